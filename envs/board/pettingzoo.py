"""Board games as environments of PettingZoo, for two agents in turn (`pip install 'skidpad[games]'`).

Terry et al. 2021, "PettingZoo: Gym for multi-agent reinforcement learning" (https://pettingzoo.farama.org/api/aec).
"""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.board import game as board_game
from envs.board.env import unfinished
from envs.board.game import PLIES, WIN
from envs.window import Window

try:
    from pettingzoo import AECEnv
    from pettingzoo.utils.wrappers import OrderEnforcingWrapper
except ModuleNotFoundError as error:
    raise ValueError(f"{error.name} is not installed: pip install 'skidpad[games]'") from None


def aec(game: str = "connect_four", render_mode: str | None = None, **options: Any) -> AECEnv:
    """A `BoardGameAEC` that says so when it is used before its first reset."""
    return OrderEnforcingWrapper(BoardGameAEC(game, render_mode, **options))


class BoardGameAEC(AECEnv):
    """A board game between the agents "player_0", who moves first, and "player_1".

    An observation is a dictionary: "observation" ``(planes, rows, columns)`` int8 as `envs.board.game.Game.planes`
    says, and "action_mask" ``(n_actions,)`` int8, what is legal; all 0 of an agent whose turn it is not. Such an agent
    sees the same position from its own side: planes of what is "own" and "the other's" are exchanged, and the others
    are what they are for the mover.

    At the end both agents are terminated and have the rewards 1 and -1, or 0 for a draw. An illegal action loses at
    once, and the other wins, where PettingZoo's `TerminateIllegalWrapper` gives the other 0: so rewards always add up
    to 0. ``infos`` of the agent who did it then has "illegal".

    ``reset(options={"position": text})`` starts from a position, which says whose turn it is; ``seed`` changes nothing.

    Args:
        game: its name, see `envs.board`.
        render_mode: None, "rgb_array", "ansi", or "human": a window that shows every position.
        options: the game's own keywords, such as ``size``.

    Raises:
        ValueError: no such game or render mode.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array", "ansi", "human"],
        "render_fps": 2,
        "is_parallelizable": False,
    }

    def __init__(self, game: str = "connect_four", render_mode: str | None = None, **options: Any) -> None:
        super().__init__()
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode={render_mode!r}: use one of {self.metadata['render_modes']} or None")
        self.game = board_game(game, **options)
        self.metadata = {**self.metadata, "name": f"{game}_v0"}
        self.render_mode = render_mode
        self.possible_agents = ["player_0", "player_1"]
        shape = len(self.game.planes), self.game.rows, self.game.columns
        self.observation_spaces = {
            agent: gym.spaces.Dict(
                {
                    "observation": gym.spaces.Box(0, 127, shape, np.int8),
                    "action_mask": gym.spaces.Box(0, 1, (self.game.n_actions,), np.int8),
                }
            )
            for agent in self.possible_agents
        }
        self.action_spaces = {agent: gym.spaces.Discrete(self.game.n_actions) for agent in self.possible_agents}
        self._other_side = [self.game.planes.index(_from_other_side(plane)) for plane in self.game.planes]
        self._window: Window | None = None

    def observation_space(self, agent: str) -> gym.spaces.Dict:
        """The space of an agent's observations, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gym.spaces.Discrete:
        """The space of an agent's actions, always the same object."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Start a game; see the class for options."""
        position = (options or {}).get("position")
        self.position = self.game.start.copy() if position is None else unfinished(self.game, position)
        self.agents = self.possible_agents.copy()
        self.agent_selection = self._mover()
        self.rewards, self._cumulative_rewards = dict.fromkeys(self.agents, 0.0), dict.fromkeys(self.agents, 0.0)
        self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
        self.infos: dict[str, dict[str, Any]] = {agent: {} for agent in self.agents}
        self._show()

    def _mover(self) -> str:
        return self.possible_agents[self.position[PLIES] % 2]

    def observe(self, agent: str) -> dict[str, NDArray[np.int8]]:
        """What an agent sees, on its turn or not."""
        planes = self.game.observe(self.position)
        mask = np.zeros(self.game.n_actions, np.int8)
        if agent == self.agent_selection and not self.terminations.get(agent, True):
            mask[:] = self.game.legal(self.position)
        return {"observation": planes if agent == self._mover() else planes[self._other_side], "action_mask": mask}

    def step(self, action: int | None) -> None:
        """Play an action of the agent whose turn it is; None once the game is over.

        Raises:
            ValueError: the action is not in the action space.
        """
        agent = self.agent_selection
        if self.terminations[agent]:
            self._was_dead_step(action)
            return
        if action is None or action not in self.action_spaces[agent]:
            raise ValueError(f"action {action!r} of {agent}: give integers from 0 to {self.game.n_actions - 1}")
        self._cumulative_rewards[agent] = 0.0
        other = self.possible_agents[agent == self.possible_agents[0]]
        if self.game.legal(self.position)[action]:
            self.game.rules.play(self.position, action)
            outcome = self.game.outcome(self.position)
        else:
            outcome = WIN
            self.infos[agent]["illegal"] = True
        if outcome is not None:
            self.rewards = {agent: -float(outcome), other: float(outcome)}
            self._accumulate_rewards()
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = other
        self._show()

    def _show(self) -> None:
        if self.render_mode == "human":
            self._window = self._window or Window(type(self).__name__, self.metadata["render_fps"])
            self._window.show(self._picture())

    def _picture(self) -> NDArray[np.uint8]:
        from envs.board.drawing import draw

        return draw(self.game, self.position)

    def render(self) -> NDArray[np.uint8] | str | None:
        """The picture ``(height, width, 3)`` uint8 or the text; None without a ``render_mode``, or in a window."""
        if self.render_mode is None:
            gym.logger.warn("render() without a render_mode: pass render_mode= to aec()")
        if self.render_mode == "ansi":
            return self.game.show(self.position)
        return self._picture() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Close the window, where there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None


def _from_other_side(plane: str) -> str:
    """What a plane of the mover's observation is called in the other's."""
    if plane.startswith("own "):
        return plane.replace("own ", "the other's ")
    return plane.replace("the other's ", "own ")

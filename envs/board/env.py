"""Board games against an opponent who is part of the environment."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from envs import rng as lane_rng
from envs.batched import Array, BatchedEnv, Lanes
from envs.board import GAMES, game
from envs.board.game import Game, State
from envs.board.kernels import answer_at_random, draw_sides, judge, legal_all, move, observe_all, open_at_random
from envs.single import SingleEnv

Opponent = Callable[[State, Array, np.random.Generator], int]

SIDES = ("random", "first", "second")
OBSERVATIONS = ("planes", "state")


class BoardGame(BatchedEnv):
    """A board game for two; the other player belongs to the environment and answers in the same step.

    | id | game | actions | observation |
    |---|---|---|---|
    | ``skidpad/TicTacToe-v0`` | three in a row | 9 | 2 x 3 x 3 |
    | ``skidpad/ConnectFour-v0`` | four in a row, stones fall | 7 | 2 x 6 x 7 |
    | ``skidpad/Othello-v0`` | ``size=8`` (or 4, 6) | 65 | 2 x 8 x 8 |
    | ``skidpad/Gomoku-v0`` | ``line=5`` in a row, ``size=15`` | 225 | 2 x 15 x 15 |
    | ``skidpad/Go-v0`` | ``size=9`` (2 to 19), ``komi=7.5`` | 82 | 5 x 9 x 9 |
    | ``skidpad/Chess-v0`` | extra games | 4672 | 21 x 8 x 8 |
    | ``skidpad/Shogi-v0`` | extra games | 11583 | 46 x 9 x 9 |

    ## Actions: ``Discrete(n)``
    Cells row by row from the top, columns in Connect Four, then "pass" where a game has it; ``env.unwrapped.game``
    knows how an action is written (``game.move(action)``) and what a text means (``game.action("d3")``).
    ``infos["action_mask"]`` ``(lanes, n)`` int8 says what is legal. An illegal action loses the game at once.

    ## Observations: ``Box(planes, rows, columns)`` int8
    From the side of the player whose turn it is: own stones, the other's, and what else the game needs
    (``game.planes``).

    ## Reward
    1 for a game won, 0 for a draw, -1 for a game lost, at its end.

    ## Episode
    One game. Terminates at its end, and with an illegal action (``infos["illegal"]``); ``max_episode_steps`` is None.
    ``reset(options={"position": text})`` starts from a position, with the player to move (``game.write`` and
    ``game.read`` say how it is written).

    ## Keywords
    ``opponent=None``: who answers, ``opponent(state, legal, rng) -> action`` of the position ``(words,)``, its legal
    actions ``(n,)`` bool and a NumPy generator (the lane's own); None plays at random. `agents.opponents.resolve`
    makes some. It should depend on nothing else, or lanes depend on each other.
    ``observation="planes"``; "state": the position itself, ``Box(words,)`` int64, for agents that know the rules.
    ``opening=0``: so many random actions begin every game (fewer where the next one would end it; none where the
    opponent could then end it at once).
    ``side="random"``: who begins, drawn for every game; "first": the player, "second": the opponent.
    And those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    metadata: dict[str, Any] = {
        **BatchedEnv.metadata,
        "render_modes": ["rgb_array", "ansi", "human"],
        "render_fps": 2,
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        game: str = "connect_four",
        opponent: Opponent | None = None,
        side: str = "random",
        observation: str = "planes",
        opening: int = 0,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        if side not in SIDES:
            raise ValueError(f"side={side!r}: use one of {', '.join(SIDES)}")
        if observation not in OBSERVATIONS:
            raise ValueError(f"observation={observation!r}: use one of {', '.join(OBSERVATIONS)}")
        if not isinstance(opening, int) or opening < 0:
            raise ValueError(f"opening={opening!r}: use 0 or more random actions")
        if opponent is not None and not callable(opponent):
            raise ValueError(f"opponent={opponent!r}: give a callable, as agents.opponents.resolve does")
        self.game, rest = made(game, kwargs)
        self.opponent, self.side, self.observation, self.opening = opponent, side, observation, opening
        n_actions, words = self.game.n_actions, len(self.game.start)
        shape = len(self.game.planes), self.game.rows, self.game.columns
        numbers = np.iinfo(np.int64)
        super().__init__(
            num_envs,
            gym.spaces.Box(0, 127, shape, np.int8)
            if observation == "planes"
            else gym.spaces.Box(numbers.min, numbers.max, (words,), np.int64),
            gym.spaces.Discrete(n_actions),
            {"state": np.zeros((num_envs, words), np.int64), "illegal": np.zeros(num_envs, np.bool_)},
            max_episode_steps=max_episode_steps,
            **rest,
        )

    def _split(self) -> list[Lanes]:
        # an opponent may keep what it computes with: it is asked by one thread
        return super()._split() if self.opponent is None else [self._all]

    def _run(self, kernel: Any, *arguments: Any) -> None:
        """A kernel, or its Python where the game's rules are not compiled."""
        self.game.runnable(kernel)(*arguments)

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        states, illegal = lanes.fields
        waiting, mask = np.empty(len(states), np.bool_), np.empty(self.game.n_actions, np.bool_)
        play, legal, outcome = self.game.rules[:3]
        results = lanes.rewards, lanes.terminated
        self._run(move, play, legal, outcome, states, actions, lanes.ended, *results, illegal, waiting, mask)
        self._answer(states, waiting, lanes.rng)
        self._run(judge, outcome, states, waiting, *results)

    def _answer(self, states: Array, waiting: Array, rng: Array) -> None:
        if self.opponent is None:
            mask = np.empty(self.game.n_actions, np.bool_)
            self._run(answer_at_random, self.game.rules.play, self.game.rules.legal, states, waiting, rng, mask)
            return
        for lane in np.flatnonzero(waiting):
            generator = lane_rng.to_generator(rng[lane])
            legal = self.game.legal(states[lane])
            action = int(self.opponent(states[lane].copy(), legal, generator))
            try:
                states[lane] = self.game.after(states[lane], action)
            except ValueError as error:
                raise ValueError(f"the opponent's {error}") from None
            rng[lane] = lane_rng.from_generator(generator)

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        states = lanes.fields[0]
        if "position" in options:
            states[mask] = unfinished(self.game, options["position"])
            return
        states[mask] = self.game.start
        rules, scratch = self.game.rules, np.empty(self.game.n_actions, np.bool_)
        kernel = rules.play, rules.legal, rules.outcome, states, mask, lanes.rng, scratch, self.opening
        self._run(open_at_random, *kernel)
        waiting = mask.copy()
        if self.side == "random":
            draw_sides(lanes.rng, waiting)
        if self.side != "first":
            self._answer(states, waiting, lanes.rng)
        if self.opening:  # an answer that ends the game at once is none: that game begins without an opening
            waiting &= np.array([self.game.outcome(state) is not None for state in states])
            states[waiting] = self.game.start
            self._answer(states, waiting, lanes.rng)

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        if self.observation == "state":
            np.copyto(out, lanes.fields[0])
        else:
            self._run(observe_all, self.game.rules.observe, lanes.fields[0], out)

    def _infos(self) -> dict[str, Any]:
        mask = np.empty((self.num_envs, self.game.n_actions), np.bool_)
        self._run(legal_all, self.game.rules.legal, self.fields["state"], mask)
        everywhere = np.ones(self.num_envs, np.bool_)
        return {"action_mask": mask.astype(np.int8), "_action_mask": everywhere}  # int8: as Space.sample takes it

    def _outcome(self) -> dict[str, Any]:
        return {"illegal": self.fields["illegal"].copy(), "_illegal": self.done.copy()}

    def _render_lane(self, lane: int) -> Any:
        state = self.fields["state"][lane]
        if self.render_mode == "ansi":
            return self.game.show(state)
        from envs.board.drawing import draw

        return draw(self.game, state)


def made(name: str, keywords: Mapping[str, Any]) -> tuple[Game, dict[str, Any]]:
    """A game of those keywords that it takes, such as ``size``, and the other keywords."""
    known = inspect.signature(GAMES[name]).parameters if name in GAMES else {}
    own = {key: value for key, value in keywords.items() if key in known}
    return game(name, **own), {key: value for key, value in keywords.items() if key not in known}


def unfinished(game: Game, text: str) -> State:
    """The position of a text; raises ValueError where there can be none, or the game is over."""
    state = game.read(str(text))
    if game.outcome(state) is not None:
        raise ValueError(f"position {text!r}: the game is over, give one that goes on")
    return state


class BoardGameEnv(SingleEnv):
    batched = BoardGame

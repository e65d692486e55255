"""Monte Carlo tree search for one player: the environment is its own model (book, chapter 9).

Any of our environments can be put into a state that it was in, ``load_state_dict``, so the same environment, in another
copy, tells what follows. Simulations run side by side, a lane each: one after another they are led to a leaf, each
counting the visits of those before it, whose returns are not known yet (Liu et al. 2020); then all lanes take their
last action at once, and play on at random for some steps. What is backed up is the discounted sum of rewards.

UCT's bound needs values of about 0 to 1: they are scaled by the least and largest seen (Schrittwieser et al. 2020).
The lanes draw their own random numbers, so that the search does not know what the environment will draw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.rollout import make_lanes
from envs.batched import Array, BatchedEnv
from envs.board.env import BoardGame
from envs.finite import FiniteEnv
from supervised.training.errors import UserError, require

State = Mapping[str, Array]  # of one lane, the rows of `BatchedEnv.state_dict`


@dataclass(slots=True)
class Node:
    """A state, and how it was reached."""

    state: State | None  # None until it has been stepped to
    action: int = 0  # of the step that led here
    reward: float = 0.0
    over: bool = False
    visits: int = 0  # simulations under way included
    done: int = 0  # simulations that came back
    total: float = 0.0  # of the returns from here on
    children: dict[int, "Node"] = field(default_factory=dict)


class Planner:
    """Plans in copies of an environment with a finite number of actions.

    Args:
        env, env_kwargs: the environment's id and keywords, of ours.
        simulations: of a search.
        lanes: simulations side by side.
        horizon: steps of random play after a leaf.
        discount: weight of the next step's value, gamma.
        exploration: c of UCT.
        seed: of all randomness.

    Raises:
        UserError: an environment that is none of ours, or has other actions; a number that cannot be.
    """

    def __init__(
        self,
        env: str,
        env_kwargs: Mapping[str, Any] | None = None,
        *,
        simulations: int = 512,
        lanes: int = 32,
        horizon: int = 50,
        discount: float = 0.99,
        exploration: float = math.sqrt(2),
        seed: int = 0,
    ) -> None:
        require(simulations >= 1, "simulations", simulations, "a search needs at least 1")
        require(lanes >= 1, "lanes", lanes, "use at least 1")
        require(horizon >= 0, "horizon", horizon, "use 0 or more")
        require(0 <= discount <= 1, "discount", discount, "use a number from 0 to 1")
        require(exploration >= 0, "exploration", exploration, "use 0 or more")
        require(seed >= 0, "seed", seed, "use 0 or more")
        batch = make_lanes(env, lanes, env_kwargs or {}, autoreset_mode=AutoresetMode.DISABLED)
        if not isinstance(batch, BatchedEnv):
            raise UserError(f"{env} cannot be put back into an earlier state: plan in an environment of Skidpad's")
        if not isinstance(batch.single_action_space, gym.spaces.Discrete):
            raise UserError(f"{env} has actions {batch.single_action_space}: a search needs a finite number")
        self.n_actions = int(batch.single_action_space.n)
        self.simulations, self.horizon, self.discount, self.exploration = simulations, horizon, discount, exploration
        self._env, self._batch, self._rng = env, batch, np.random.default_rng(seed)
        batch.reset(seed=seed)
        self._low, self._high = math.inf, -math.inf  # of the returns seen in a search
        self.root = Node(None)

    def plan(self, state: State) -> NDArray[np.int64]:
        """Search from the state of one lane; returns the visits of its actions ``(n_actions,)``.

        Args:
            state: ``state_dict()`` of a single environment, or of a batch of one lane.

        Raises:
            ValueError: the episode is over; or the state is one of another environment or board, as far as it tells:
                where a state is but a number, such as a maze's, only one that there is not is refused.
        """
        self.root = Node(self._checked(state))
        self._low, self._high = math.inf, -math.inf
        left = self.simulations
        while left > 0:
            count = min(left, self._batch.num_envs)
            self._simulate(count)
            left -= count
        visits = np.zeros(self.n_actions, np.int64)
        for action, child in self.root.children.items():
            visits[action] = child.visits
        return visits

    def act(self, state: State) -> int:
        """The most visited action of a search."""
        return int(self.plan(state).argmax())

    def _checked(self, state: State) -> dict[str, Array]:
        """The rows of a state that this environment can be put into and go on from; ValueError as of `plan`."""
        batch, no_state = self._batch, f"no state of {self._env}:"
        needed = batch.state_dict()
        if needed.keys() != state.keys():
            raise ValueError(f"{no_state} it has the fields {sorted(state)}, not {sorted(needed)}")
        rows: dict[str, Array] = {}
        for name, lanes in needed.items():
            array, shape = np.asarray(state[name]), (1, *lanes.shape[1:])
            same = array.dtype == lanes.dtype and array.ndim == lanes.ndim and len(array) == 1
            # what is no field of the batch, as Atari's tape, may be of another length
            if not same or (name in batch.fields and array.shape != shape):
                raise ValueError(f"{no_state} field {name} is {array.dtype} {array.shape}, not {lanes.dtype} {shape}")
            rows[name] = array[0].copy()
        over = bool(rows["done"])
        if over and rows["elapsed"] == 0:  # a batch that resets by itself: the episode before was
            over = False
            rows.update(dict.fromkeys(("done", "terminated", "truncated"), np.array(False)))
        if isinstance(batch, FiniteEnv):
            number, states = int(rows["state"]), batch.mdp.n_states
            if not 0 <= number < states:
                raise ValueError(f"{no_state} state {number}, of 0 to {states - 1}")
            over |= bool(batch.mdp.terminal[number])
        if isinstance(batch, BoardGame):
            over |= batch.game.outcome(rows["state"]) is not None
        if over:
            raise ValueError("the episode is over: reset the environment first")
        return rows

    def _simulate(self, count: int) -> None:
        """So many simulations side by side."""
        paths = [self._select() for _ in range(count)]
        returns = self._play(paths)
        for path, value in zip(paths, returns, strict=True):
            self._back_up(path, value)

    def _select(self) -> list[Node]:
        """The nodes from the root to a leaf; all of them count one visit more."""
        node = self.root
        path = [node]
        while node.state is not None and not node.over:
            action = self._best(node)
            node = node.children.setdefault(action, Node(None, action))
            path.append(node)
        for node in path:
            node.visits += 1
        return path

    def _best(self, node: Node) -> int:
        """An action never tried, or that of the largest upper bound."""
        untried = [action for action in range(self.n_actions) if action not in node.children]
        if untried:
            return int(self._rng.choice(untried))
        low = self._low if self._low <= self._high else 0.0  # nothing is known before the first return
        width = max(self._high - low, 1e-9)

        def bound(action: int) -> float:
            child = node.children[action]
            known = child.reward + self.discount * child.total / child.done if child.done else low
            # u(s, a) = q(s, a) + c sqrt(ln N_s / n_sa)  (D-35)
            return (known - low) / width + self.exploration * math.sqrt(math.log(node.visits) / child.visits)

        return max(range(self.n_actions), key=bound)

    def _play(self, paths: list[list[Node]]) -> NDArray[np.float64]:
        """Step to the leaves, and on at random; returns what follows on each leaf ``(paths,)``."""
        batch, lanes = self._batch, range(len(paths))
        arrays = batch.state_dict()
        before = [path[-2] if len(path) > 1 else path[-1] for path in paths]
        before += [self.root] * (batch.num_envs - len(paths))  # lanes that nothing is made of
        for name in arrays.keys() - {"rng"}:
            arrays[name] = stacked([node.state[name] for node in before if node.state is not None])
        batch.load_state_dict(arrays)
        actions = np.zeros(batch.num_envs, np.int64)
        actions[: len(paths)] = [path[-1].action for path in paths]
        _, rewards, terminated, truncated, _ = batch.step(actions)
        over = terminated | truncated
        arrays = batch.state_dict()
        for lane in lanes:
            leaf = paths[lane][-1]
            if leaf.state is None:
                leaf.state = {name: array[lane].copy() for name, array in arrays.items()}
                leaf.reward, leaf.over = float(rewards[lane]), bool(over[lane])
        returns, weight = np.zeros(batch.num_envs), 1.0
        for _ in range(self.horizon):
            if over.all():
                break
            _, rewards, terminated, truncated, _ = batch.step(self._rng.integers(self.n_actions, size=len(over)))
            returns += weight * np.where(over, 0.0, rewards)
            over = over | terminated | truncated
            weight *= self.discount
        return np.where([path[-1].over for path in paths], 0.0, returns[: len(paths)])

    def _back_up(self, path: list[Node], value: float) -> None:
        """Add the return from the leaf on to it, and what rewards make of it to the nodes before."""
        for node in reversed(path):
            node.total += value
            node.done += 1
            value = node.reward + self.discount * value
            self._low, self._high = min(self._low, value), max(self._high, value)


def stacked(rows: Sequence[Array]) -> Array:
    """A field of all lanes; shorter rows are filled up, as Atari's tapes are as long as the longest of their batch."""
    if len({row.shape for row in rows}) > 1:
        width = max(map(len, rows))
        rows = [np.pad(row, (0, width - len(row))) for row in rows]
    return np.stack(rows)

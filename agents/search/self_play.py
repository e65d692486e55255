"""Search for many positions at once, and games that a network plays against itself (AlphaZero's source of data)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.search.matches import random_position
from agents.search.neural import absorb, conclude, forest, halving, plant_all, select, stir
from envs.board.game import LOSS, ONGOING, PLIES, Array, Game, State
from supervised.training.seeding import generator_state, set_generator_state

NOBODY = -1
COUNTS = ("games", "plies", "given_up", "checked", "wrongly")
MOST_SIMULATIONS = 100_000  # of a move; trees have room for all from the start
DENSE, SPARSE = 400, 128  # a tree has room for all actions of every node up to DENSE, else for so many on average

#: planes (batch, planes, rows, columns) int8 give logits (batch, n_actions) and values (batch,), float32
Evaluate = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Plan:
    """What a search found of every position."""

    policies: NDArray[np.float32]  # (lanes, n_actions)
    values: NDArray[np.float32]  # (lanes,), for the mover
    best: NDArray[np.int64]  # (lanes,)
    visits: NDArray[np.int64]  # (lanes, n_actions)
    q_values: NDArray[np.float32]  # (lanes, n_actions), for the mover; NaN where never visited


@dataclass(frozen=True)
class Searching:
    """How a search goes.

    Args:
        simulations: of a move.
        exploration: c of PUCT.
        considered: actions that Gumbel AlphaZero looks at from the root; 0: PUCT.
        value_scale: its c_scale.
    """

    simulations: int
    exploration: float = 1.5
    considered: int = 0
    value_scale: float = 1.0


class Search:
    """Trees for a fixed number of positions, which `plan` grows anew each time."""

    def __init__(self, game: Game, lanes: int, how: Searching) -> None:
        self.game, self.lanes, self.how = game, lanes, how
        branches = game.n_actions if game.n_actions <= DENSE else SPARSE
        self.trees = forest(lanes, 1 + (how.simulations + 1) * branches + game.n_actions)
        self.scale = how.value_scale if how.considered else 0.0
        most = min(how.considered, game.n_actions)
        self._schedule = np.array([halving(max(k, 1), how.simulations) for k in range(most + 1)])
        self._states = np.empty((lanes, len(game.start)), np.int64)
        self._observations = np.zeros((lanes, len(game.planes), game.rows, game.columns), np.int8)
        self._leaves, self._done = np.empty(lanes, np.int64), np.empty(lanes, np.int64)

    def plan(
        self,
        roots: NDArray[np.int64],
        evaluate: Evaluate,
        dirichlet: Array | None = None,
        fraction: float = 0.0,
        gumbel: Array | None = None,
    ) -> Plan:
        """Search every position of ``roots`` ``(lanes, words)``; none may be over.

        Args:
            evaluate: the network.
            dirichlet, fraction: Gamma's numbers ``(lanes, n_actions)`` to mix into the roots' priors, and how much.
            gumbel: noise ``(lanes, n_actions)`` of Gumbel AlphaZero's choice at the root; None: none.
        """
        lanes, rules, trees = len(roots), self.game.rules, self.trees
        noise = np.zeros((lanes, self.game.n_actions)) if gumbel is None else gumbel
        plant_all(trees)
        self._done[:] = 0
        budget = self.how.simulations, self.how.exploration, self.scale, self._schedule, noise, self._observations
        out = self._states, self._leaves, self._done
        new = True  # the first leaves are the roots
        while self.game.runnable(select)(rules.play, rules.outcome, rules.observe, trees, roots, *out, *budget):
            self.game.runnable(absorb)(rules.legal, trees, *out, *evaluate(self._observations))
            if new and dirichlet is not None:
                stir(trees, dirichlet, fraction)
            new = False
        policies = np.empty((lanes, self.game.n_actions), np.float32)
        values, best = np.empty(lanes, np.float32), np.empty(lanes, np.int64)
        conclude(trees, self.scale, noise, policies, values, best)
        return Plan(policies, values, best, *self._actions())

    def _actions(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Visits and values of every root's actions."""
        trees, shape = self.trees, (self.lanes, self.game.n_actions)
        visits, q_values = np.zeros(shape, np.int64), np.full(shape, np.nan, np.float32)
        children = trees.children[:, 0]
        lanes, places = np.nonzero(np.arange(children.max()) < children[:, None])
        nodes = lanes, trees.first[lanes, 0] + places
        counts, proven = trees.visits[nodes], trees.proven[nodes]
        means = np.where(counts > 0, trees.total[nodes] / np.maximum(counts, 1), np.nan)
        actions = lanes, trees.action[nodes]
        visits[actions] = counts
        q_values[actions] = np.where(proven == ONGOING, means, -proven)
        return visits, q_values


def draw(policies: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Actions ``(batch,)`` drawn from policies ``(batch, n_actions)``, none of which has the probability 0."""
    sums = policies.cumsum(1, dtype=np.float64)
    return (sums > rng.random((len(sums), 1)) * sums[:, -1:]).argmax(1)


@dataclass(frozen=True)
class Positions:
    """Positions of finished games and what is to be learnt of them."""

    states: NDArray[np.int64]  # (positions, words)
    policies: NDArray[np.float32]  # (positions, n_actions)
    results: NDArray[np.float32]  # (positions,), for the mover


@dataclass(frozen=True)
class Playing:
    """How games of self-play go.

    Args:
        noise_alpha, noise_fraction: of Dirichlet's noise in the root's priors, for PUCT.
        random_plies: games begin with up to so many random actions, which nothing is learnt from.
        temperature_plies: so many first actions of a game are drawn in proportion to the policy found; then the best.
        resign_below: a game is given up once the value of its mover is less than this.
        resign_checked: the share of games that are played on all the same, to see how many were given up wrongly.
    """

    noise_alpha: float
    noise_fraction: float
    random_plies: int
    temperature_plies: int
    resign_below: float
    resign_checked: float


class SelfPlay:
    """Games that a network plays against itself, as many at once as there are lanes.

    Attributes:
        counts: games and plies of those that ended, games given up, games that were played on for a check after they
            would have been given up, and of these those that were not lost after all.
    """

    def __init__(self, game: Game, lanes: int, how: Searching, playing: Playing, rng: np.random.Generator) -> None:
        self.game, self.playing = game, playing
        self.counts = dict.fromkeys(COUNTS, 0)
        self._rng, self._search = rng, Search(game, lanes, how)
        self._states = np.array([self._opening() for _ in range(lanes)])
        self._policies: list[list[Array]] = [[] for _ in range(lanes)]
        self._past: list[list[State]] = [[] for _ in range(lanes)]
        self._checked = rng.random(lanes) < playing.resign_checked
        self._loser = np.full(lanes, NOBODY)  # in a game played on, who would have given up: 0 or 1

    def step(self, evaluate: Evaluate) -> list[Positions]:
        """Play an action in every game; returns those that ended by it, in whose lanes others begin."""
        plan = self._plan(evaluate)
        plies = self._states[:, PLIES]
        drawn = draw(plan.policies, self._rng)
        actions = np.where(plies < self.playing.temperature_plies, drawn, plan.best)
        finished = []
        for lane in range(len(self._states)):
            self._past[lane].append(self._states[lane].copy())
            self._policies[lane].append(plan.policies[lane])
            mover = int(plies[lane]) % 2
            if self._gives_up(lane, mover, plan.values[lane]):
                self.counts["given_up"] += 1
                finished.append(self._finish(lane, LOSS, mover))
                continue
            self.game.rules.play(self._states[lane], actions[lane])
            outcome = self.game.rules.outcome(self._states[lane])
            if outcome != ONGOING:
                finished.append(self._finish(lane, outcome, 1 - mover))
        return finished

    def _opening(self) -> State:
        return random_position(self.game, int(self._rng.integers(self.playing.random_plies + 1)), self._rng)

    def _plan(self, evaluate: Evaluate) -> Plan:
        shape = len(self._states), self.game.n_actions
        if self._search.scale:
            return self._search.plan(self._states, evaluate, gumbel=self._rng.gumbel(size=shape))
        noise = self._rng.standard_gamma(self.playing.noise_alpha, shape) + 1e-12
        return self._search.plan(self._states, evaluate, noise, self.playing.noise_fraction)

    def _gives_up(self, lane: int, mover: int, value: float) -> bool:
        """Whether the mover gives up; in a game that is played on it is only noted who would have, first."""
        if value >= self.playing.resign_below:
            return False
        if self._checked[lane] and self._loser[lane] == NOBODY:
            self._loser[lane] = mover
        return not self._checked[lane]

    def _finish(self, lane: int, outcome: int, mover: int) -> Positions:
        """The positions of a game with the outcome of ``mover``, 0 or 1; another begins in its lane."""
        states, policies = np.array(self._past[lane]), np.array(self._policies[lane])
        results = np.where(states[:, PLIES] % 2 == mover, outcome, -outcome).astype(np.float32)
        self.counts["games"] += 1
        self.counts["plies"] += len(states)
        if self._loser[lane] != NOBODY:
            self.counts["checked"] += 1
            self.counts["wrongly"] += (outcome if self._loser[lane] == mover else -outcome) != LOSS
        self._past[lane], self._policies[lane] = [], []
        self._states[lane] = self._opening()
        self._checked[lane], self._loser[lane] = self._rng.random() < self.playing.resign_checked, NOBODY
        return Positions(states, policies, results)

    def state_dict(self) -> dict[str, Any]:
        """All that the future of the games depends on."""
        shape = len(self.game.start), self.game.n_actions
        return {
            "counts": dict(self.counts),
            "rng": generator_state(self._rng),
            "states": self._states.copy(),
            "lengths": [len(past) for past in self._past],
            "past": np.array([state for past in self._past for state in past], np.int64).reshape(-1, shape[0]),
            "policies": np.array([row for rows in self._policies for row in rows], np.float32).reshape(-1, shape[1]),
            "checked": self._checked.copy(),
            "loser": self._loser.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.counts = dict(state["counts"])
        set_generator_state(self._rng, state["rng"])
        np.copyto(self._states, state["states"])
        np.copyto(self._checked, state["checked"])
        np.copyto(self._loser, state["loser"])
        edges = np.cumsum(state["lengths"])[:-1]
        self._past = [list(part) for part in np.split(state["past"], edges)]
        self._policies = [list(part) for part in np.split(state["policies"], edges)]

"""Monte Carlo tree search with UCT (book, chapter 9, "Monte Carlo Tree Search"; Kocsis and Szepesvari 2006).

A simulation has four steps:

    selection       from the root, the child with the largest  mean + c sqrt(ln N / n),  an untried one first (D-35)
    expansion       a leaf that is visited again gets its children, and one of them is the new leaf
    simulation      random play from the leaf to the end
    back-up         the result, its sign changed at every ply (D-37), counts for every node from the leaf to the root

Certain outcomes, of ends of the game and what follows from them, are carried towards the root ("prove"): such nodes
are not searched any more, lost actions are not chosen again, and a search whose root is decided is over. RAVE (Gelly
and Silver 2011) adds to a child's mean that of all simulations in which its action was played later by the same player.

A search of another position that lies in the tree goes on from there. With several threads, each grows a tree of its
own from its own random numbers, and their roots are added up.
"""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import boolean, float64, int64, njit, types, uint64
from numpy.typing import NDArray

from agents.search.tree import TREE, Tree, back_up, copy_subtree, expand, grown, prove, shuffle
from envs import rng as lane_rng
from envs.board.game import (
    DRAW,
    LEGAL,
    LOSS,
    ONGOING,
    OUTCOME,
    PLAY,
    PLIES,
    ROLLOUT,
    WIN,
    Array,
    Game,
    Legal,
    Outcome,
    Play,
    Rollout,
    State,
)
from supervised.training.errors import require
from supervised.training.memory import available_memory

SIMULATIONS = 1_000  # of a search that is told neither how many nor how long
MOST_SIMULATIONS = 10**9  # of a search: beyond it a tree takes more memory than machines have
MOST_NODES = 2**31 - 1  # of a tree, whose nodes are numbered by int32
FEW_NODES = 2**20  # with which a tree may do without a look at the memory, which takes as long as some simulations
CHUNK = 64  # simulations between looks at the clock, at first

# sqrt(ln n) and sqrt(1 / n), looked up where n is small, as it is at most nodes
_COUNTS = np.maximum(np.arange(1024), 1)
_ROOT_OF_LOG, _ROOT_OF_SHARE = np.sqrt(np.log(_COUNTS)), np.sqrt(1 / _COUNTS)

FUNCTIONS = tuple(map(types.FunctionType, (PLAY, LEGAL, OUTCOME, ROLLOUT)))


@njit(cache=True, nogil=True, error_model="numpy")  # which divides without looking for zeros
def _select(tree: Tree, node: int, exploration: float, rave: float) -> int:
    """The child to visit: an untried one, or that of the largest upper bound, which of a certain outcome is itself."""
    first = tree.first[node]
    count = tree.visits[node]
    width = exploration * (_ROOT_OF_LOG[count] if count < len(_COUNTS) else math.sqrt(math.log(count)))
    chosen, best = first, -math.inf
    for child in range(first, first + tree.children[node]):
        visits = tree.visits[child]
        if visits == 0:
            return child
        if tree.proven[child] == ONGOING:
            root = _ROOT_OF_SHARE[visits] if visits < len(_COUNTS) else 1 / math.sqrt(visits)
            mean = tree.total[child] * (root * root)
            if rave > 0 and tree.others[child] > 0:
                weight = math.sqrt(rave / (3 * visits + rave))
                mean = (1 - weight) * mean + weight * tree.others_total[child] / tree.others[child]
            # u(s, a) = mean + c sqrt(ln N_s / n_sa)
            score = mean + width * root
        elif tree.proven[child] == WIN:  # of the other
            continue
        else:
            score = float(-tree.proven[child])
        if score > best:
            chosen, best = child, score
    return chosen


@njit(cache=True, nogil=True)
def _count_others(tree: Tree, leaf: int, depth: int, value: float, actions: Array, plies: int, played: Array) -> None:
    """RAVE's back-up: at every node on the way, the actions that its mover played from here on, once each.

    Args:
        depth: of the leaf.
        value: for the mover at the leaf.
        actions: of the simulation, from the root on.
        played: scratch ``(2, n_actions)``: the depth from which on each side has played an action.
    """
    played[:] = -1
    for ply in range(plies - 1, depth - 1, -1):
        played[ply % 2, actions[ply]] = ply
    node = leaf
    while True:
        for child in range(tree.first[node], tree.first[node] + tree.children[node]):
            if played[depth % 2, tree.action[child]] >= depth:
                tree.others[child] += 1
                tree.others_total[child] += value
        if node == 0:
            return
        value = -value
        depth -= 1
        played[depth % 2, tree.action[node]] = depth
        node = tree.parent[node]


@njit(
    int64(*FUNCTIONS, TREE, int64[::1], uint64[::1], float64, float64, int64, boolean[::1], int64[::1]),
    cache=True,
    nogil=True,
)
def simulate(
    play: Play,
    legal: Legal,
    outcome: Outcome,
    rollout: Rollout,
    tree: Tree,
    root: State,
    rng: NDArray[np.uint64],
    exploration: float,
    rave: float,
    budget: int,
    mask: Array,
    actions: Array,
) -> int:
    """Run ``budget`` simulations from the position ``root``; returns how many there were.

    Fewer where the tree has no room for more nodes, or where the root's outcome is certain.

    Args:
        mask, actions: scratch ``(n_actions,)`` and ``(longest,)``.
    """
    state = np.empty_like(root)
    played = np.empty((2, mask.shape[0]), np.int64)
    for simulation in range(budget):
        if tree.proven[0] != ONGOING:
            return simulation
        state[:] = root
        node = depth = 0
        while True:
            if tree.first[node] == 0:
                if tree.visits[node] == 0 and node > 0:
                    break
                legal(state, mask)
                if not expand(tree, node, mask):
                    return simulation
                shuffle(tree, node, rng)
            node = _select(tree, node, exploration, rave)
            play(state, tree.action[node])
            actions[depth] = tree.action[node]
            depth += 1
            if tree.proven[node] != ONGOING:
                break
        if tree.proven[node] == ONGOING:  # a leaf seen for the first time
            tree.proven[node] = outcome(state)
            if tree.proven[node] != ONGOING:
                prove(tree, node)
        plies = depth
        if tree.proven[node] != ONGOING:
            value = float(tree.proven[node])
        else:
            plies += rollout(state, rng, actions[depth:])
            value = float(outcome(state))
            if (plies - depth) % 2:
                value = -value
        back_up(tree, node, value)
        if rave > 0:
            _count_others(tree, node, depth, value, actions, plies, played)
    return budget


@dataclass(frozen=True)
class Result:
    """What a search found of a position."""

    visits: NDArray[np.int64]  # (n_actions,)
    values: NDArray[np.float64]  # (n_actions,) for the mover, -1 to 1; NaN where never visited
    outcomes: NDArray[np.int8]  # (n_actions,) for the mover where they are certain, else ONGOING
    value: float  # of the position for the mover
    outcome: int | None  # for the mover where it is certain: 1, 0 or -1
    simulations: int  # of this search, all threads together

    @property
    def action(self) -> int:
        """A certain win, or the most visited action, of equal ones that of the largest value.

        Certain losses come last, and before them what looks worse than a certain draw.
        """
        worse = (self.outcomes == DRAW).any() & (self.values < DRAW)
        cases = [self.visits == 0, self.outcomes == LOSS, self.outcomes == WIN, worse]
        return int(np.lexsort((self.values, self.visits, np.select(cases, [-3, -2, 1, -1], 0)))[-1])


class MCTS:
    """A player that searches; ``player(state, legal, rng)`` is its action, so that it may be anybody's opponent.

    Args:
        game: the rules.
        simulations: of a search, those that an earlier one left in the tree not counted; None: as many as `seconds`
            and memory have room for, or 1,000 without `seconds`.
        seconds: how long a search takes; `simulations`, if given, is then the most there may be.
        exploration: c of UCT; sqrt(2) suits values of 0 to 1, twice that -1 to 1.
        rave: visits after which a child's own mean counts as much as RAVE's, about; 0: no RAVE.
        threads: trees that are grown side by side.
        seed: of all randomness.

    Raises:
        UserError: a budget or number that cannot be.
        ValueError: a seed that cannot be.
    """

    def __init__(
        self,
        game: Game,
        *,
        simulations: int | None = None,
        seconds: float = math.inf,
        exploration: float = 2.0,
        rave: float = 0.0,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        if simulations is None:
            simulations = MOST_SIMULATIONS if seconds < math.inf else SIMULATIONS
        require(simulations >= 1, "simulations", simulations, "a search needs at least 1")
        require(simulations <= MOST_SIMULATIONS, "simulations", simulations, f"use at most {MOST_SIMULATIONS:,}")
        require(seconds > 0, "seconds", seconds, "use a positive number")
        require(exploration >= 0, "exploration", exploration, "use 0 or more")
        require(rave >= 0, "rave", rave, "use 0 or more")
        require(threads >= 1, "threads", threads, "use at least 1")
        self.game, self.simulations, self.seconds = game, simulations, seconds
        self.exploration, self.rave = float(exploration), float(rave)
        self.rng = np.zeros((threads, lane_rng.STATE_WORDS), np.uint64)
        lane_rng.seed_rows(self.rng[:1], [seed])
        others = np.random.SeedSequence(seed).generate_state(threads, np.uint64)[1:]
        lane_rng.seed_rows(self.rng[1:], others)
        self._trees: list[Tree] = []
        self._root: State | None = None
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def search(self, state: State) -> Result:
        """Search a position ``(words,)`` that is not over; the result has fewer simulations where memory is used up.

        Raises:
            ValueError: the game is over, or the position is one of another game or board.
        """
        self.game.check(state)
        if state.shape != self.game.start.shape:
            raise ValueError(f"position {state.dtype} {state.shape}: give a single one, {self.game.start.shape}")
        state = np.ascontiguousarray(state)
        if self.game.outcome(state) is not None:
            raise ValueError(f"position {self.game.write(state)!r}: the game is over")
        self._go_to(state)
        deadline = time.perf_counter() + self.seconds
        threads = len(self.rng)
        shares = [self.simulations * (k + 1) // threads - self.simulations * k // threads for k in range(threads)]
        work = (range(threads), shares, [deadline] * threads)
        done = sum(map(self._grow, *work) if self._pool is None else self._pool.map(self._grow, *work))
        return self._result(done)

    def forget(self) -> None:
        """Forget the tree; the next search starts from nothing."""
        self._trees = []

    def __call__(self, state: State, legal: Array, rng: np.random.Generator) -> int:
        """The action of a search."""
        return self.search(state).action

    def _go_to(self, state: State) -> None:
        """Make ``state`` the root, of what there is of its tree."""
        known: list[Tree] = []
        if self._trees and self._root is not None:
            for tree in self._trees:
                node = find(self.game, tree, self._root, state)
                if node is None:
                    break
                known.append(grown(None, int(tree.size[0])))
                copy_subtree(tree, node, known[-1])
        self._trees = known if len(known) == len(self.rng) else [grown(None, 0) for _ in self.rng]
        self._root = state.copy()

    def _grow(self, thread: int, simulations: int, deadline: float) -> int:
        """Grow a thread's tree; returns the number of simulations."""
        run = self.game.runnable(simulate)
        rules = self.game.rules
        scratch = np.empty(self.game.n_actions, np.bool_), np.empty(self.game.longest + 1, np.int64)
        done, chunk = 0, CHUNK if self.game.compiled else 1
        while done < simulations and self._trees[thread].proven[0] == ONGOING:
            tree = self._trees[thread]
            wanted = simulations - done if deadline == math.inf else min(chunk, simulations - done)
            settings = (self.exploration, self.rave, wanted)
            began = time.perf_counter()
            made = run(
                *(rules.play, rules.legal, rules.outcome, rules.rollout),
                *(tree, self._root, self.rng[thread], *settings, *scratch),
            )
            done += made
            now = time.perf_counter()
            if now >= deadline:
                break
            if made < wanted and tree.proven[0] == ONGOING:
                capacity = 2 * len(tree.parent) + self.game.n_actions
                if not self._fits(capacity):
                    break
                self._trees[thread] = grown(tree, capacity)
            elif now - began < 0.01:  # looks at the clock cost nothing to speak of
                chunk *= 2
        return done

    def _fits(self, capacity: int) -> bool:
        """Whether there is memory for a tree of so many nodes, and as much for every other thread's."""
        if capacity <= FEW_NODES:
            return True
        node = sum(field.itemsize for field in self._trees[0][:-1])
        return capacity <= MOST_NODES and capacity * node * len(self.rng) <= available_memory()

    def _result(self, simulations: int) -> Result:
        visits = np.zeros(self.game.n_actions, np.int64)
        totals = np.zeros(self.game.n_actions)
        certain = np.full(self.game.n_actions, ONGOING, np.int8)
        for tree in self._trees:
            children = slice(tree.first[0], tree.first[0] + tree.children[0])
            actions, proven = tree.action[children], tree.proven[children]
            visits[actions] += tree.visits[children]
            totals[actions] += tree.total[children]
            known = proven != ONGOING
            certain[actions[known]] = -proven[known]
        means = np.divide(totals, visits, out=np.full(len(visits), np.nan), where=visits > 0)
        outcomes = [int(tree.proven[0]) for tree in self._trees if tree.proven[0] != ONGOING]
        return Result(
            visits=visits,
            values=np.where(certain == ONGOING, means, certain),
            outcomes=certain,
            value=outcomes[0] if outcomes else float(totals.sum() / visits.sum()),
            outcome=outcomes[0] if outcomes else None,
            simulations=simulations,
        )


def find(game: Game, tree: Tree, root: State, state: State) -> int | None:
    """The node of a position at or up to two plies below the root, or None."""
    level = [(0, root)]
    for _ in range(int(state[PLIES] - root[PLIES])):
        if len(level) > game.n_actions:
            return None
        below = []
        for node, position in level:
            for child in range(tree.first[node], tree.first[node] + tree.children[node]):
                reached = position.copy()
                game.rules.play(reached, int(tree.action[child]))
                below.append((child, reached))
        level = below
    return next((node for node, position in level if np.array_equal(position, state)), None)

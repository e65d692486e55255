"""Tree search that a network guides, many positions at once (book, chapter 9, "Playing board games with AlphaZero").

Every position has a tree of its own, and all trees take their next leaf before the network is asked about all of them
in one call. The network's value takes the place of a rollout, and its policy, of the legal actions alone, decides what
is worth a look (Silver et al. 2018):

    u(s, a) = q(s, a) + c p(s, a) sqrt(N_s) / (1 + n_sa)

Ends of the game count with their true result (D-37), and certain outcomes are carried towards the root as in `mcts`.

Gumbel AlphaZero (Danihelka et al. 2022, "Policy improvement by planning with Gumbel") spends few simulations better: at
the root, noise and network choose some actions, of which the better half goes on again and again; and what is learnt is
not how often an action was visited, but the policy that its values improve.
"""

import math

import numpy as np
from numba import float32, float64, int8, int64, njit, types
from numpy.typing import NDArray

from agents.search.tree import Tree, back_up, expand, plant, prove
from envs.board.game import LEGAL, OBSERVE, ONGOING, OUTCOME, PLAY, WIN, Array, Legal, Observe, Outcome, Play

GUMBEL_VISITS = 50.0  # c_visit of Danihelka et al.: as if every action had been visited so often

#: trees side by side: the fields of `Tree`, lane first
FOREST = types.NamedTuple(
    (
        *(types.Array(types.int32, 2, "C"),) * 5,
        *(types.Array(kind, 2, "C") for kind in (float64, float32, float32, int8, types.int32, float64, int64)),
    ),
    Tree,
)


def forest(lanes: int, capacity: int) -> Tree:
    """Trees with room for ``capacity`` nodes each; arrays ``(lanes, capacity)``."""
    numbers, totals = np.empty((6, lanes, capacity), np.int32), np.empty((2, lanes, capacity))
    network, proven = np.empty((2, lanes, capacity), np.float32), np.empty((lanes, capacity), np.int8)
    sizes = np.empty((lanes, 1), np.int64)
    return Tree._make([*numbers[:5], totals[0], *network, proven, numbers[5], totals[1], sizes])


@njit(cache=True, nogil=True, inline="always")
def _tree(trees: Tree, lane: int) -> Tree:
    return Tree(
        trees.parent[lane],
        trees.first[lane],
        trees.children[lane],
        trees.action[lane],
        trees.visits[lane],
        trees.total[lane],
        trees.prior[lane],
        trees.value[lane],
        trees.proven[lane],
        trees.others[lane],
        trees.others_total[lane],
        trees.size[lane],
    )


@njit(types.none(FOREST), cache=True, nogil=True)
def plant_all(trees: Tree) -> None:
    """Start every tree anew, with nothing but a root."""
    for lane in range(trees.size.shape[0]):
        tree = _tree(trees, lane)
        tree.size[0] = 1
        plant(tree, 0, 0, 0)


@njit(cache=True, nogil=True)
def mean_value(tree: Tree, child: int) -> float:
    """A visited child's value for the mover of its parent."""
    if tree.proven[child] != ONGOING:
        return float(-tree.proven[child])
    return tree.total[child] / tree.visits[child]


@njit(cache=True, nogil=True)
def by_puct(tree: Tree, node: int, exploration: float) -> int:
    """The child of the largest upper bound. One never visited has its parent's value; lost ones count for nothing."""
    first = tree.first[node]
    width = exploration * math.sqrt(tree.visits[node])
    unknown = -tree.total[node] / tree.visits[node]
    chosen, best = first, -math.inf
    for child in range(first, first + tree.children[node]):
        if tree.proven[child] == WIN:  # of the other
            continue
        value = mean_value(tree, child) if tree.visits[child] > 0 else unknown
        # u(s, a) = q(s, a) + c p(s, a) sqrt(N_s) / (1 + n_sa)
        score = value + width * tree.prior[child] / (1 + tree.visits[child])
        if score > best:
            chosen, best = child, score
    return chosen


@njit(cache=True, nogil=True)
def improved_logits(tree: Tree, node: int, scale: float, out: NDArray[np.float64]) -> None:
    """Of every child, ln p + sigma(q): the network's logit, improved by the values found (Danihelka et al., eq. 11).

    A child that was never visited has the value v_mix (their appendix D): between the network's value of the node, and
    that of the visited children weighted by their priors.

    Args:
        scale: c_scale of  sigma(q) = (c_visit + max n) c_scale q,  for q from 0 to 1.
    """
    first, children = tree.first[node], tree.children[node]
    visits, most, weights, weighted = 0, 0, 0.0, 0.0
    for child in range(first, first + children):
        if tree.visits[child] > 0:
            visits += tree.visits[child]
            most = max(most, tree.visits[child])
            weights += tree.prior[child]
            weighted += tree.prior[child] * mean_value(tree, child)
    mixed = float(tree.value[node])
    if weights > 0:
        mixed = (mixed + visits * weighted / weights) / (1 + visits)
    for k in range(children):
        child = first + k
        value = mean_value(tree, child) if tree.visits[child] > 0 else mixed
        out[k] = math.log(tree.prior[child] + 1e-12) + (GUMBEL_VISITS + most) * scale * (value + 1) / 2


@njit(cache=True, nogil=True)
def softmax(logits: NDArray[np.float64]) -> None:
    """Probabilities in the place of logits."""
    logits -= logits.max()
    np.exp(logits, logits)
    logits /= logits.sum()


@njit(cache=True, nogil=True)
def by_improved_policy(tree: Tree, node: int, scale: float, scratch: NDArray[np.float64]) -> int:
    """Below the root, the child that keeps visits in proportion to the improved policy (Danihelka et al., eq. 14)."""
    policy = scratch[: tree.children[node]]
    improved_logits(tree, node, scale, policy)
    softmax(policy)
    visits = 0
    for k in range(len(policy)):
        visits += tree.visits[tree.first[node] + k]
    chosen, best = 0, -math.inf
    for k in range(len(policy)):
        # pi'(a) - n_a / (1 + sum n)
        score = policy[k] - tree.visits[tree.first[node] + k] / (1 + visits)
        if score > best:
            chosen, best = k, score
    return tree.first[node] + chosen


@njit(cache=True, nogil=True)
def by_halving(
    tree: Tree, considered: int, noise: NDArray[np.float64], scale: float, scratch: NDArray[np.float64]
) -> int:
    """At the root, of the children visited ``considered`` times the one of the largest g + ln p + sigma(q)."""
    logits = scratch[: tree.children[0]]
    improved_logits(tree, 0, scale, logits)
    chosen, best = 0, -math.inf
    for k in range(len(logits)):
        child = tree.first[0] + k
        score = noise[tree.action[child]] + logits[k]
        if tree.visits[child] == considered and score > best:
            chosen, best = k, score
    return tree.first[0] + chosen


@njit(cache=True, nogil=True)
def _last_of_halving(
    tree: Tree, lost: NDArray[np.bool_], noise: NDArray[np.float64], scale: float, scratch: NDArray[np.float64]
) -> int:
    """The root's child of the largest g + ln p + sigma(q) among those visited most, of those that are not lost."""
    logits = scratch[: tree.children[0]]
    improved_logits(tree, 0, scale, logits)
    chosen, most, best = 0, -1, -math.inf
    for k in range(len(logits)):
        child = tree.first[0] + k
        score = noise[tree.action[child]] + logits[k]
        if not lost[k] and (tree.visits[child] > most or (tree.visits[child] == most and score > best)):
            chosen, most, best = k, tree.visits[child], score
    return tree.first[0] + chosen


def halving(actions: int, simulations: int) -> NDArray[np.int64]:
    """How often the root's child of each simulation was visited before ``(simulations,)``: sequential halving.

    The simulations are shared among about log2(actions) rounds; in each, the actions that are left get as many as each
    other, and the better half goes on to the next.
    """
    rounds = max(1, math.ceil(math.log2(max(actions, 2))))
    left, visits = actions, [0] * actions
    sequence: list[int] = []
    while len(sequence) < simulations:
        for _ in range(max(1, simulations // (rounds * left))):
            sequence += visits[:left]
            visits[:left] = [count + 1 for count in visits[:left]]
        left = max(2, left // 2) if actions > 1 else 1
    return np.array(sequence[:simulations], np.int64)


_PLAY, _LEGAL, _OUTCOME, _OBSERVE = map(types.FunctionType, (PLAY, LEGAL, OUTCOME, OBSERVE))


@njit(
    int64(
        *(_PLAY, _OUTCOME, _OBSERVE, FOREST, int64[:, ::1], int64[:, ::1], int64[::1], int64[::1]),
        *(int64, float64, float64, int64[:, ::1], float64[:, ::1], int8[:, :, :, ::1]),
    ),
    cache=True,
    nogil=True,
)
def select(
    play: Play,
    outcome: Outcome,
    observe: Observe,
    trees: Tree,
    roots: Array,
    states: Array,
    leaves: Array,
    done: Array,
    simulations: int,
    exploration: float,
    scale: float,
    schedule: Array,
    noise: Array,
    observations: Array,
) -> int:
    """Lead every tree to a leaf that needs the network; returns how many there are.

    Simulations that end in a certain outcome are over at once, and the next begins.

    Args:
        roots: positions ``(lanes, words)``.
        states, leaves, observations: out: positions, nodes (-1: this tree is done) and observations of the leaves.
        done: ``(lanes,)`` simulations so far.
        exploration: c of PUCT.
        scale: c_scale of Gumbel AlphaZero; 0: PUCT.
        schedule: ``(actions + 1, simulations)``, `halving` for so many actions.
        noise: ``(lanes, n_actions)`` Gumbel noise.
    """
    scratch = np.empty(noise.shape[1])
    asked = 0
    for lane in range(roots.shape[0]):
        tree = _tree(trees, lane)
        state = states[lane]
        leaves[lane] = -1
        while leaves[lane] < 0 and done[lane] < simulations and tree.proven[0] == ONGOING:
            state[:] = roots[lane]
            node = 0
            while tree.first[node] > 0 and tree.proven[node] == ONGOING:
                if scale == 0:
                    node = by_puct(tree, node, exploration)
                elif node == 0:
                    actions = min(tree.children[0], schedule.shape[0] - 1)
                    node = by_halving(tree, schedule[actions, done[lane]], noise[lane], scale, scratch)
                else:
                    node = by_improved_policy(tree, node, scale, scratch)
                play(state, tree.action[node])
            if tree.proven[node] == ONGOING:
                tree.proven[node] = outcome(state)
                if tree.proven[node] != ONGOING:
                    prove(tree, node)
            if tree.proven[node] != ONGOING:
                back_up(tree, node, float(tree.proven[node]))
                done[lane] += 1
            else:
                observe(state, observations[lane])
                leaves[lane] = node
                asked += 1
    return asked


@njit(
    types.none(_LEGAL, FOREST, int64[:, ::1], int64[::1], int64[::1], float32[:, ::1], float32[::1]),
    cache=True,
    nogil=True,
)
def absorb(legal: Legal, trees: Tree, states: Array, leaves: Array, done: Array, logits: Array, values: Array) -> None:
    """Give the leaves their children, whose priors are the network's policy over legal actions, and back up its values.

    A leaf for whose children the tree has no room stays a leaf. The root's own evaluation is no simulation.

    Args:
        logits: ``(lanes, n_actions)``.
        values: ``(lanes,)`` for the mover.
    """
    mask = np.empty(logits.shape[1], np.bool_)
    priors = np.empty(logits.shape[1])
    for lane in range(states.shape[0]):
        node = leaves[lane]
        if node < 0:
            continue
        tree = _tree(trees, lane)
        legal(states[lane], mask)
        if expand(tree, node, mask):
            first, children = tree.first[node], tree.children[node]
            for k in range(children):
                priors[k] = logits[lane, tree.action[first + k]]
            softmax(priors[:children])
            for k in range(children):
                tree.prior[first + k] = priors[k]
        tree.value[node] = values[lane]
        back_up(tree, node, float(values[lane]))
        if node > 0:
            done[lane] += 1


@njit(types.none(FOREST, float64[:, ::1], float64), cache=True, nogil=True)
def stir(trees: Tree, noise: Array, fraction: float) -> None:
    """Mix noise into the roots' priors, once a move, over legal actions alone (D-37).

    Args:
        noise: ``(lanes, n_actions)``, Gamma's numbers, which are Dirichlet's once they sum to 1.
    """
    for lane in range(noise.shape[0]):
        tree = _tree(trees, lane)
        children = range(tree.first[0], tree.first[0] + tree.children[0])
        total = 0.0
        for child in children:
            total += noise[lane, tree.action[child]]
        for child in children:
            share = noise[lane, tree.action[child]] / total
            tree.prior[child] = (1 - fraction) * tree.prior[child] + fraction * share


@njit(types.none(FOREST, float64, float64[:, ::1], float32[:, ::1], float32[::1], int64[::1]), cache=True, nogil=True)
def conclude(trees: Tree, scale: float, noise: Array, policies: Array, values: Array, best: Array) -> None:
    """What the search makes of every root.

    Where the outcome is certain, the policy is that of the best actions, as often as one another; where all are lost,
    the priors. Otherwise it is the shares of the visits, or (``scale`` > 0) Gumbel AlphaZero's improved policy, without
    actions that are known to lose.

    Args:
        policies: out ``(lanes, n_actions)``.
        values: out ``(lanes,)``, for the mover.
        best: out ``(lanes,)``, the action to play: the largest share, or the one that Gumbel's halving left.
    """
    logits, scratch = np.empty((2, noise.shape[1]))
    for lane in range(policies.shape[0]):
        tree = _tree(trees, lane)
        first, children, known = tree.first[0], tree.children[0], tree.proven[0]
        policies[lane], values[lane], best[lane] = 0.0, known, 0
        if children == 0:  # the game was over
            continue
        if known == ONGOING:
            values[lane] = -tree.total[0] / tree.visits[0]
        shares = logits[:children]
        if known != ONGOING:
            for k in range(children):
                shares[k] = tree.prior[first + k] if known < 0 else tree.proven[first + k] == -known
        elif scale == 0:
            for k in range(children):
                shares[k] = tree.visits[first + k]
        else:
            improved_logits(tree, 0, scale, shares)
            softmax(shares)
        lost = tree.proven[first : first + children] == WIN  # for the other
        if known == ONGOING:
            shares[lost] = 0.0
            if shares.sum() == 0:  # all visits went to what turned out lost
                shares[:] = np.where(lost, 0.0, tree.prior[first : first + children])
        total = shares.sum()
        for k in range(children):
            policies[lane, tree.action[first + k]] = shares[k] / total
        if known == ONGOING and scale > 0:
            best[lane] = tree.action[_last_of_halving(tree, lost, noise[lane], scale, scratch)]
        else:
            best[lane] = tree.action[first + shares.argmax()]

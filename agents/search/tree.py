"""A search tree as arrays, one number a node: kernels that search in Python's place need nothing else.

Node 0 is the root, the position searched. The children of a node lie side by side, in random order; a node whose
``first`` is 0 has none yet.
"""

from typing import NamedTuple

import numpy as np
from numba import boolean, float32, float64, int8, int32, int64, njit, types
from numpy.typing import NDArray

from envs.board.game import ONGOING, WIN
from envs.rng import integers

LEAST = 1024  # nodes


class Tree(NamedTuple):
    """Nodes; arrays ``(capacity,)``."""

    parent: NDArray[np.int32]
    first: NDArray[np.int32]  # its first child
    children: NDArray[np.int32]  # how many
    action: NDArray[np.int32]  # that led here
    visits: NDArray[np.int32]
    total: NDArray[np.float64]  # of the values of its visits, for who moved here: the mover of its parent
    prior: NDArray[np.float32]  # a network's probability of the action
    value: NDArray[np.float32]  # a network's value for the mover
    proven: NDArray[np.int8]  # the outcome for the mover, where it is certain, else ONGOING
    others: NDArray[np.int32]  # simulations in which who moved here played the action now or later (RAVE)
    others_total: NDArray[np.float64]  # of their values
    size: NDArray[np.int64]  # (1,): how many nodes there are


TREE = types.NamedTuple(
    (*[int32[::1]] * 5, float64[::1], float32[::1], float32[::1], int8[::1], int32[::1], float64[::1], int64[::1]), Tree
)


def grown(tree: Tree | None, capacity: int) -> Tree:
    """A tree with room for so many nodes: a new one, which has a root, or one with the nodes of ``tree``."""
    capacity = max(capacity, LEAST)
    numbers, totals = np.empty((6, capacity), np.int32), np.empty((2, capacity))
    network, proven = np.empty((2, capacity), np.float32), np.empty(capacity, np.int8)
    made = Tree._make([*numbers[:5], totals[0], *network, proven, numbers[5], totals[1], np.ones(1, np.int64)])
    if tree is None:
        plant(made, 0, 0, 0)
        return made
    size = tree.size[0]
    for name in tree._fields[:-1]:
        getattr(made, name)[:size] = getattr(tree, name)[:size]
    made.size[0] = size
    return made


@njit(cache=True, nogil=True, inline="always")
def plant(tree: Tree, node: int, parent: int, action: int) -> None:
    """Write a new node."""
    tree.parent[node], tree.action[node] = parent, action
    tree.first[node] = tree.children[node] = 0
    tree.visits[node] = tree.others[node] = 0
    tree.total[node] = tree.others_total[node] = 0.0
    tree.prior[node] = tree.value[node] = 0.0
    tree.proven[node] = ONGOING


@njit(types.boolean(TREE, int64, boolean[::1]), cache=True, nogil=True)
def expand(tree: Tree, node: int, legal: NDArray[np.bool_]) -> bool:
    """Give a node a child for every legal action, in the order of the actions; False where the tree has no room."""
    first = tree.size[0]
    count = 0
    for action in range(legal.shape[0]):
        count += legal[action]
    if first + count > tree.parent.shape[0]:
        return False
    child = first
    for action in range(legal.shape[0]):
        if legal[action]:
            plant(tree, child, node, action)
            child += 1
    tree.first[node], tree.children[node] = first, count
    tree.size[0] = child
    return True


@njit(cache=True, nogil=True)
def shuffle(tree: Tree, node: int, rng: NDArray[np.uint64]) -> None:
    """Put a node's new children into random order."""
    first = tree.first[node]
    for place in range(tree.children[node] - 1, 0, -1):
        other = first + integers(rng, place + 1)
        kept = tree.action[first + place]
        tree.action[first + place] = tree.action[other]
        tree.action[other] = kept


@njit(cache=True, nogil=True)
def prove(tree: Tree, node: int) -> None:
    """Carry a node's certain outcome towards the root (Winands, Bjoernsson and Saito 2008, and draws).

    A position is won if one action leads to a position lost for the other, and has the best of its actions' outcomes
    once all of them are known.
    """
    while node > 0:
        outcome = tree.proven[node]
        node = tree.parent[node]
        best = -outcome
        if best != WIN:
            for child in range(tree.first[node], tree.first[node] + tree.children[node]):
                if tree.proven[child] == ONGOING:
                    return
                best = max(best, -tree.proven[child])
        tree.proven[node] = best


@njit(types.none(TREE, int64, float64), cache=True, nogil=True)
def back_up(tree: Tree, node: int, value: float) -> None:
    """Count a visit with ``value`` for the mover at ``node``; every ply above changes its sign (erratum D-37)."""
    while True:
        value = -value
        tree.visits[node] += 1
        tree.total[node] += value
        if node == 0:
            return
        node = tree.parent[node]


@njit(types.none(TREE, int64, TREE), cache=True, nogil=True)
def copy_subtree(tree: Tree, root: int, out: Tree) -> None:
    """Write the nodes at and below ``root`` into the tree ``out``, which has room for them, children side by side."""
    origin = np.empty(tree.size[0], np.int32)
    origin[0] = root
    out.size[0] = 1
    node = 0
    while node < out.size[0]:
        old = origin[node]
        out.action[node], out.visits[node], out.total[node] = tree.action[old], tree.visits[old], tree.total[old]
        out.prior[node], out.value[node], out.proven[node] = tree.prior[old], tree.value[old], tree.proven[old]
        out.others[node], out.others_total[node] = tree.others[old], tree.others_total[old]
        first = out.size[0]
        out.first[node] = first if tree.children[old] else 0
        out.children[node] = tree.children[old]
        for child in range(tree.children[old]):
            origin[first + child] = tree.first[old] + child
            out.parent[first + child] = node
        out.size[0] = first + tree.children[old]
        node += 1
    out.parent[0] = 0

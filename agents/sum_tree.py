"""A binary tree of sums, to draw numbers in proportion to their priority (Schaul et al. 2016, appendix B.2.1)."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


PLACE_BYTES = 32  # that a place takes at most, in two to four nodes


class SumTree:
    """Priorities of the places 0 to ``size`` - 1, all of them 0 at first.

    Node i holds the sum of its children 2 i and 2 i + 1; the places are the last nodes. Sums are always those of the
    present children, so that they do not depend on the order of changes.
    """

    def __init__(self, size: int) -> None:
        self._first = 1 << max(size - 1, 1).bit_length()
        self._nodes = np.zeros(2 * self._first)
        self.values = self._nodes[self._first : self._first + size]  # (size,) to be read only

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._nodes[1])

    def set(self, places: Array, priorities: Array) -> None:
        """Give places ``(n,)`` other priorities ``(n,)``; of a place that is there twice the last one counts."""
        _set(self._nodes, places.astype(np.int64) + self._first, priorities.astype(np.float64))

    def find(self, sums: Array) -> Array:
        """The places ``(n,)`` int64 where the running sum of priorities passes ``sums (n,)``, 0 <= sum < total."""
        return _find(self._nodes, sums.astype(np.float64)) - self._first


@njit(cache=True, nogil=True)
def _set(nodes: Array, leaves: Array, priorities: Array) -> None:
    for k in range(len(leaves)):
        node = leaves[k]
        nodes[node] = priorities[k]
        while node > 1:
            node //= 2
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]


@njit(cache=True, nogil=True)
def _find(nodes: Array, sums: Array) -> Array:
    found = np.empty(len(sums), np.int64)
    for k in range(len(sums)):
        node, rest = 1, sums[k]
        while node < len(nodes) // 2:
            node *= 2
            if rest >= nodes[node] and nodes[node + 1] > 0:
                rest -= nodes[node]
                node += 1
        found[k] = node
    return found

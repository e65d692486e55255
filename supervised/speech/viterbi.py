"""Viterbi's algorithm: the likeliest path through the states of a hidden Markov model (book, chapter 7, "Decoding").

best_t(s) = max over r of best_{t-1}(r) + log P(s | r), plus log p(x_t | s)
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised.training.errors import UserError

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def _search(emissions, start, moves, end):  # type: ignore[no-untyped-def]
    steps, states = emissions.shape
    best = start + emissions[0]
    came = np.zeros((steps, states), np.int64)
    for t in range(1, steps):
        following = np.empty(states)
        for s in range(states):
            came[t, s] = 0
            most = -np.inf
            for r in range(states):
                if best[r] + moves[r, s] > most:
                    most, came[t, s] = best[r] + moves[r, s], r
            following[s] = most + emissions[t, s]
        best = following
    best = best + end
    path = np.empty(steps, np.int64)
    path[-1] = np.argmax(best)
    for t in range(steps - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path, best[path[-1]]


def viterbi(emissions: Array, start: Array, moves: Array, end: Array) -> tuple[Array, float]:
    """The likeliest path ``(time,)``, and the logarithm of its chance.

    Args:
        emissions: log p(x_t | s) ``(time, states)``.
        start, end: logarithms of the chances to begin and to end in a state ``(states,)``.
        moves: of going from a state (row) to another ``(states, states)``.

    Raises:
        UserError: no path is that short.
    """
    arrays = (np.ascontiguousarray(one, np.float64) for one in (emissions, start, moves, end))
    path, found = _search(*arrays)
    if found == -np.inf:
        raise UserError(
            f"no path through {emissions.shape[1]} states has {len(emissions)} steps; give a longer recording"
        )
    return path, float(found)

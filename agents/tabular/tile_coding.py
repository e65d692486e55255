"""Tile coding: binary features of a continuous observation (Sutton & Barto 9.5.4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from supervised.training.errors import require

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def _encode(low: Array, per_unit: Array, tiles: Array, offsets: Array, observations: Array, out: Array) -> None:
    for row in range(observations.shape[0]):
        for tiling in range(offsets.shape[0]):
            index = tiling
            for axis in range(tiles.shape[0]):
                place = (observations[row, axis] - low[axis]) * per_unit[axis]
                place = min(max(place, 0.0), np.float64(tiles[axis]))
                # the offset pushes the last part of the range into one tile more
                index = index * (tiles[axis] + 1) + np.int64(place + offsets[tiling, axis])
            out[row, tiling] = index


class TileCoder:
    """Several grids of tiles over a box, each displaced by a different fraction of a tile.

    An observation lies in one tile of every tiling; those tiles are its features, worth 1, all others 0.
    Displacements follow the vector (1, 3, 5, ...), which spreads them evenly.

    Args:
        low, high: ``(dimensions,)`` the box; observations outside of it count as on its edge.
        tiles: how many tiles cover each dimension, or one number for all.
        tilings: how many grids.

    Attributes:
        n_features: length of a weight vector.
        tilings: how many features are 1 at a time.

    Raises:
        UserError: a box that is unbounded or empty, or numbers of tiles below 1.
    """

    def __init__(self, low: ArrayLike, high: ArrayLike, tiles: int | Sequence[int] = 8, tilings: int = 8) -> None:
        self._low = np.atleast_1d(np.asarray(low, np.float64))
        width = np.atleast_1d(np.asarray(high, np.float64)) - self._low
        require(bool(np.isfinite(width).all() and (width > 0).all()), "high - low", width, "give finite bounds")
        self._tiles = np.broadcast_to(np.asarray(tiles, np.int64), width.shape).copy()
        require(bool((self._tiles >= 1).all()), "tiles", tiles, "use at least 1 in every dimension")
        require(tilings >= 1, "tilings", tilings, "use at least 1")
        self.tilings = tilings
        self._per_unit = self._tiles / width
        displacement = 2 * np.arange(len(width)) + 1
        self._offsets = np.arange(tilings)[:, None] * displacement % tilings / tilings
        self.n_features = int(tilings * np.prod(self._tiles + 1))

    def __call__(self, observations: ArrayLike) -> Array:
        """The features that are 1: ``(batch, tilings)`` indices for observations ``(batch, dimensions)``."""
        rows = np.asarray(observations, np.float64).reshape(-1, len(self._low))
        out = np.empty((len(rows), self.tilings), np.int64)
        _encode(self._low, self._per_unit, self._tiles, self._offsets, rows, out)
        return out

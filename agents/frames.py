"""Room for the observations of a replay memory: an array, or one compressed string of bytes for each."""

import math
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from supervised.training.errors import needs_extra

Array = NDArray[Any]

# The share that LZ4 leaves of a game's picture, at most. Of 84 x 84 gray pixels: Breakout 0.06, Seaquest 0.11, Space
# Invaders 0.23, CarRacing 0.25, Ms. Pac-Man 0.26.
SHRINKS_TO = 0.3
OVERHEAD = sys.getsizeof(b"") + 8  # bytes of a string that are not its own, and the pointer to it


class Frames(Protocol):
    """Places for frames of one shape and type."""

    def put(self, places: Array, frames: Array) -> None:
        """Keep frames ``(n, *frame)`` at places ``(n,)``."""
        ...

    def get(self, places: Array) -> Array:
        """The frames ``(*places.shape, *frame)``."""
        ...


class PlainFrames:
    """`Frames` as they are."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._array = np.zeros((capacity, *shape), dtype)

    def put(self, places: Array, frames: Array) -> None:
        """See `Frames`."""
        self._array[places] = frames

    def get(self, places: Array) -> Array:
        """See `Frames`."""
        return self._array[places]


class CompressedFrames:
    """`Frames` by LZ4, for images with large even areas."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        with needs_extra("atari"):
            import lz4.block
        self._codec, self._shape, self._dtype = lz4.block, shape, np.dtype(dtype)
        self._packed: list[bytes] = [b""] * capacity

    def put(self, places: Array, frames: Array) -> None:
        """See `Frames`."""
        for place, frame in zip(places.tolist(), np.ascontiguousarray(frames), strict=True):
            self._packed[place] = self._codec.compress(frame)

    def get(self, places: Array) -> Array:
        """See `Frames`; a place that nothing was put at gives zeros."""
        frames = np.zeros((places.size, *self._shape), self._dtype)
        for frame, place in zip(frames, places.ravel().tolist(), strict=True):
            packed = self._packed[place]
            if packed:
                frame[...] = np.frombuffer(self._codec.decompress(packed), self._dtype).reshape(self._shape)
        return frames.reshape(*places.shape, *self._shape)


def make_frames(capacity: int, shape: tuple[int, ...], dtype: DTypeLike, compress: bool) -> Frames:
    """Room for ``capacity`` frames."""
    return (CompressedFrames if compress else PlainFrames)(capacity, shape, dtype)


def frame_size(shape: tuple[int, ...], dtype: DTypeLike, compress: bool) -> int:
    """Bytes that a frame takes; of a compressed one those that a game's picture takes at most."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return int(size * SHRINKS_TO) + OVERHEAD if compress else size

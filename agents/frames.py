"""Room for the observations of a replay memory: an array, or one compressed string of bytes for each."""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from supervised.training.errors import needs_extra
from supervised.training.memory import require_memory

Array = NDArray[Any]


class Frames(Protocol):
    """Places for frames of one shape and type; ``nbytes`` is the memory they take."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...

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
        self.nbytes = self._array.nbytes

    def put(self, places: Array, frames: Array) -> None:
        """See `Frames`."""
        self._array[places] = frames

    def get(self, places: Array) -> Array:
        """See `Frames`."""
        return self._array[places]


class CompressedFrames:
    """`Frames` by LZ4: images with large even areas take a tenth of their size or less."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        with needs_extra("atari"):
            import lz4.block
        self._codec, self._shape, self._dtype = lz4.block, shape, np.dtype(dtype)
        self._packed: list[bytes] = [b""] * capacity
        self.nbytes = 0

    def put(self, places: Array, frames: Array) -> None:
        """See `Frames`."""
        for place, frame in zip(places.tolist(), np.ascontiguousarray(frames), strict=True):
            packed = self._codec.compress(frame)
            self.nbytes += len(packed) - len(self._packed[place])
            self._packed[place] = packed

    def get(self, places: Array) -> Array:
        """See `Frames`; a place that nothing was put at gives zeros."""
        frames = np.zeros((places.size, *self._shape), self._dtype)
        for frame, place in zip(frames, places.ravel().tolist(), strict=True):
            packed = self._packed[place]
            if packed:
                frame[...] = np.frombuffer(self._codec.decompress(packed), self._dtype).reshape(self._shape)
        return frames.reshape(*places.shape, *self._shape)


def make_frames(capacity: int, shape: tuple[int, ...], dtype: DTypeLike, compress: bool) -> Frames:
    """Room for ``capacity`` frames.

    Raises:
        UserError: uncompressed they would not fit into the memory that is free.
    """
    if compress:
        return CompressedFrames(capacity, shape, dtype)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    require_memory("replay_size", capacity, size, "observations", ", or compress_replay")
    return PlainFrames(capacity, shape, dtype)

"""Frames of the emulator to observations, and the actions of a step frame by frame."""

from typing import Any

import numpy as np
from numba import njit, uint8, uint16, uint32
from numpy.typing import NDArray

from envs import rng as lane_rng

Array = NDArray[Any]

COLUMNS = 160  # of every screen
SIZE = 84  # rows and columns of an observation


@njit(cache=True, nogil=True)
def plan(
    actions: Array, ended: Array, held: Array, repeat_action_probability: float, rng: Array, frames: Array
) -> None:
    """What is pressed in each frame of a step ``frames (lanes, frame_skip)``: the action, or still the one before.

    Args:
        actions: ``(lanes,)`` uint8.
        held: ``(lanes,)`` uint8, the action of the last frame.
    """
    for lane in range(frames.shape[0]):
        if ended[lane]:
            continue
        for frame in range(frames.shape[1]):
            sticks = repeat_action_probability > 0 and lane_rng.random(rng[lane]) < repeat_action_probability
            if not sticks:
                held[lane] = actions[lane]
            frames[lane, frame] = held[lane]


@njit(cache=True, nogil=True)
def draw_waits(mask: Array, most: int, rng: Array, waits: Array) -> None:
    """How many frames the masked lanes wait at the start of an episode: 1 to ``most``, or none."""
    for lane in range(len(mask)):
        if mask[lane]:
            waits[lane] = 1 + lane_rng.integers(rng[lane], most) if most else 0


@njit(cache=True, nogil=True)
def take_in(screen: Array, palette: Array, known: Array, gray: Array, changed: Array) -> bool:
    """Bring ``gray (rows, columns)`` of the screen ``known`` up to the next ``screen``, only where it has ``changed``.

    Most of a picture stays from one frame to the next, and looking up colours is what takes time.

    Args:
        screen, known: ``(rows, columns)`` uint8, numbers of colours.
        palette: ``(256,)`` int16, the gray of every colour, -1 where it is not known.
        changed: ``(rows,)`` bool, set where rows changed.

    Returns:
        whether the gray of every colour was known; if not, call it again when it is.
    """
    ours, theirs = screen.view(np.uint64), known.view(np.uint64)
    for row in range(screen.shape[0]):
        difference = np.uint64(0)
        for word in range(ours.shape[1]):
            difference |= ours[row, word] ^ theirs[row, word]
        if difference == 0:
            continue
        for column in range(COLUMNS):
            value = palette[screen[row, column]]
            if value < 0:
                return False
            gray[row, column] = uint8(value)
        changed[row] = True
        theirs[row] = ours[row]
    return True


@njit(cache=True, nogil=True)
def shrink(gray: Array, changed: Array, top: int, bottom: int, out: Array) -> None:
    """The lighter of two frames, rows ``top`` to ``bottom``, as the mean over the area of each pixel of ``out``.

    Means are rounded half up. Only rows that depend on changed ones are computed.

    Args:
        gray: ``(2, rows, columns)`` uint8.
        changed: ``(2, rows)`` bool, cleared.
        out: ``(SIZE, SIZE)`` uint8.
    """
    height = bottom - top
    area = uint32(height * COLUMNS)
    sums = np.empty(COLUMNS, np.uint16)  # up to 255 * height, which is below 2^16
    for i in range(SIZE):
        # output row i covers height rows of which each input row is SIZE long
        first, end = i * height // SIZE, -(-(i + 1) * height // SIZE)
        if not (changed[0, top + first : top + end].any() or changed[1, top + first : top + end].any()):
            continue
        sums[:] = 0
        for row in range(first, end):
            weight = uint16(min((i + 1) * height, (row + 1) * SIZE) - max(i * height, row * SIZE))
            earlier, later = gray[0, top + row], gray[1, top + row]
            for column in range(COLUMNS):
                sums[column] += weight * uint16(max(earlier[column], later[column]))
        for j in range(SIZE):
            total = uint32(0)
            for column in range(j * COLUMNS // SIZE, -(-(j + 1) * COLUMNS // SIZE)):
                weight32 = uint32(min((j + 1) * COLUMNS, (column + 1) * SIZE) - max(j * COLUMNS, column * SIZE))
                total += weight32 * uint32(sums[column])
            out[i, j] = uint8((uint32(2) * total + area) // (uint32(2) * area))
    changed[:] = False

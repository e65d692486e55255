"""Which pixels pygame-ce gives to polygons and lines: its `gfxdraw` (SDL_gfx) and its `draw` module, exactly.

Corners are whole pixels. Kernels write the lists ``spans`` and ``pixels`` of a `Window`, of what lies in it, and return
their lengths.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.window import HEIGHT, WIDTH

_SOLID = 256  # the alpha of a pixel that is replaced
_RIGHT, _BOTTOM = WIDTH - 1, HEIGHT - 1


@njit(cache=True, nogil=True)
def _round_16(value: int) -> int:
    """The nearest whole number of a 16.16 fixed-point number."""
    return (value >> 16) + (value >> 15 & 1)


@njit(cache=True, nogil=True)
def fill_quad(corners: Array, low: int, high: int, spans: Array) -> int:
    """Spans of ``gfxdraw.filled_polygon`` of ``corners`` (4, 2) in the rows from low to high, which it must reach.

    The first span of row y is entry y - low; an empty one if the row has none. Second ones follow at the end.
    """
    crossings = np.empty((high - low + 1, 4), np.int32)  # 16.16 fixed point
    counts = np.zeros(high - low + 1, np.int32)
    top = max(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1])
    for i in range(4):
        x1, y1, x2, y2 = corners[i - 1, 0], corners[i - 1, 1], corners[i, 0], corners[i, 1]
        if y1 == y2:
            continue
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        height = y2 - y1
        begin = max(y1, low)
        # the share of the edge below the row, floor(65536 (y - y1) / height), kept up with its remainder
        share, remainder = divmod(65536 * (begin - y1), height)
        step, step_remainder = divmod(65536, height)
        for row in range(begin - low, min(y2 if y2 == top else y2 - 1, high) - low + 1):
            crossings[row, counts[row]] = 65536 * x1 + share * (x2 - x1)
            counts[row] += 1
            share += step
            remainder += step_remainder
            if remainder >= height:
                remainder -= height
                share += 1
    count = high - low + 1
    for row in range(high - low + 1):
        if counts[row] == 4:
            crossings[row].sort()
        spans[row, 0], spans[row, 1], spans[row, 2] = low + row, 0, -1
        for i in range(0, counts[row], 2):
            left = _round_16(min(crossings[row, i], crossings[row, i + 1]) + 1)
            right = _round_16(max(crossings[row, i], crossings[row, i + 1]) - 1)
            entry = row if i == 0 else count
            spans[entry, 0], spans[entry, 1], spans[entry, 2] = low + row, min(left, right), max(left, right)
            count += i > 0
    return count


@njit(cache=True, nogil=True)
def _side(x: int, y: int) -> int:
    """On which sides a point lies outside the window: bits left, right, below, above."""
    return (x < 0) | (x > _RIGHT) << 1 | (y < 0) << 2 | (y > _BOTTOM) << 3


@njit(cache=True, nogil=True)
def _clip(x1: int, y1: int, x2: int, y2: int) -> tuple[bool, int, int, int, int]:
    """Cohen and Sutherland's clipping of a line to the window, with the rounding (and swapping) of SDL_gfx."""
    side1, side2 = _side(x1, y1), _side(x2, y2)
    while side1 | side2 and not side1 & side2:
        if not side1:
            x1, y1, side1, x2, y2, side2 = x2, y2, side2, x1, y1, side1
        slope = np.float32(y2 - y1) / np.float32(x2 - x1) if x1 != x2 else np.float32(1)
        if side1 & 3:
            border = 0 if side1 & 1 else _RIGHT
            y1 += int(np.float32(border - x1) * slope)
            x1 = border
        else:
            border = _BOTTOM if side1 & 8 else 0
            if x1 != x2:
                x1 += int(np.float32(border - y1) / slope)
            y1 = border
        side1 = _side(x1, y1)
    return not side1 | side2, x1, y1, x2, y2


@njit(cache=True, nogil=True)
def outline_quad(corners: Array, low: int, high: int, spans: Array, pixels: Array) -> int:
    """Pixels of ``gfxdraw.aapolygon`` of ``corners`` (4, 2) that its own ``spans`` (see `fill_quad`) will not cover.

    Wu's anti-aliased lines: along the longer axis two pixels a step share the weight 255 (Wu 1991, "An efficient
    antialiasing technique"). An edge's end is left to the edge that begins there.
    """
    count = 0
    for i in range(4):
        j = (i + 1) % 4
        visible, x1, y1, x2, y2 = _clip(corners[i, 0], corners[i, 1], corners[j, 0], corners[j, 1])
        if not visible:
            continue
        if x1 == x2 or y1 == y2:  # solid, with both ends
            for y in range(max(min(y1, y2), low), max(y1, y2) + 1):
                for x in range(min(x1, x2), max(x1, x2) + 1):
                    pixels[count, 0], pixels[count, 1], pixels[count, 2] = y, x, _SOLID
                    count += 1
            continue
        pixels[count, 0], pixels[count, 1], pixels[count, 2] = y1, x1, _SOLID
        count += y1 >= low
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        direction = 1 if x1 < x2 else -1
        width, height = abs(x2 - x1), y2 - y1
        steep = height > width
        across, up = (direction, 0) if steep else (0, 1)  # from a step's first pixel to its second
        slope = (min(width, height) << 16) // max(width, height) << 16
        for step in range(max(1, low - y1) if steep else 1, max(width, height)):
            offset = step * slope  # along the shorter axis, 32.32 fixed point
            weight = offset >> 24 & 255
            x = x1 + direction * (offset >> 32 if steep else step)
            y = y1 + (step if steep else offset >> 32)
            alpha = (255 * (255 - weight)) >> 8
            for _ in range(2):
                if alpha > 0 and low <= y <= high and 0 <= x <= _RIGHT:
                    row, place = np.uint64(y - low), np.uint64(count)
                    pixels[place, 0], pixels[place, 1], pixels[place, 2] = y, x, alpha
                    count += x < spans[row, 1] or x > spans[row, 2]
                x, y, alpha = x + across, y + up, (255 * weight) >> 8
    return count


@njit(cache=True, nogil=True)
def fill_polygon(corners: Array, spans: Array) -> int:
    """Spans of ``pygame.draw.polygon`` of ``corners`` (n, 2)."""
    corner_count = corners.shape[0]
    low, high = corners[:, 1].min(), corners[:, 1].max()
    count = 0
    crossings = np.empty(corner_count, np.int64)
    for y in range(max(low, 0), min(high, _BOTTOM) + 1):
        found = 0
        for i in range(corner_count):
            x1, y1, x2, y2 = corners[i - 1, 0], corners[i - 1, 1], corners[i, 0], corners[i, 1]
            if y1 > y2:
                x1, y1, x2, y2 = x2, y2, x1, y1
            if y1 <= y < y2 or y1 < y2 == y == high:
                offset = np.float32((y - y1) * (x2 - x1)) / np.float32(y2 - y1)
                crossings[found] = x1 + int(math.floor(offset) if found % 2 == 0 else math.ceil(offset))
                found += 1
        if found > 2:
            crossings[:found].sort()
        for i in range(0, found, 2):
            left, right = crossings[i], crossings[i + 1]
            spans[count, 0], spans[count, 1], spans[count, 2] = y, min(left, right), max(left, right)
            count += 1
    for i in range(corner_count):
        y, x1, x2 = corners[i, 1], corners[i - 1, 0], corners[i, 0]
        if corners[i - 1, 1] == y and (low < y < high or low == high) and 0 <= y <= _BOTTOM:
            spans[count, 0], spans[count, 1], spans[count, 2] = y, min(x1, x2), max(x1, x2)
            count += 1
    return count


@njit(cache=True, nogil=True)
def thick_line(x1: int, y1: int, x2: int, y2: int, spans: Array) -> int:
    """Spans of ``pygame.draw.line`` of width 2: Bresenham's line and a second one right of it, or above a flat one."""
    width, height = abs(x2 - x1), abs(y2 - y1)
    right, up = (1, 0) if width <= height else (0, 1)
    error = width // 2 if width > height else -(height // 2)
    count = 0
    while True:
        for y in range(max(y1, 0), min(y1 + up, _BOTTOM) + 1):
            spans[count, 0], spans[count, 1], spans[count, 2] = y, x1, x1 + right
            count += 1
        if (x1 == x2 and y1 == y2) or count + 2 > spans.shape[0]:
            return count
        before = error
        if before > -width:
            error -= height
            x1 += 1 if x1 < x2 else -1
        if before < height:
            error += width
            y1 += 1 if y1 < y2 else -1

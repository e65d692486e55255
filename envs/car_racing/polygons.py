"""Which pixels pygame-ce gives to polygons and lines: its `gfxdraw` (SDL_gfx) and its `draw` module, exactly.

Corners are whole pixels. Kernels write lists of spans or pixels (see `fill_spans` and `blend_pixels`) of what lies in
the window, and return their lengths.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.window import HEIGHT, WIDTH

_SOLID = 256  # the alpha of a pixel that is replaced
_FAR_RIGHT = 2**31 - 1  # 16.16 fixed point
_RIGHT, _BOTTOM = WIDTH - 1, HEIGHT - 1


@njit(cache=True, nogil=True)
def fill_quad(corners: Array, low: int, high: int, spans: Array) -> int:
    """Spans of ``gfxdraw.filled_polygon`` of ``corners`` (4, 2) in the rows from low to high, which it must reach.

    The first span of row y is column y - low. Second ones, which few quads have, follow after all rows; rows without
    one have a span right of the window.
    """
    rows = high - low + 1
    top = max(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1])
    if top == min(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1]):
        spans[0, 0], spans[1, 0], spans[2, 0] = low, 0, -1
        return 1
    # A row crosses one edge that rises and one that falls, unless edges do so by turns. Then it may cross all four.
    rise0, rise1 = corners[0, 1] - corners[3, 1], corners[1, 1] - corners[0, 1]
    rise2, rise3 = corners[2, 1] - corners[1, 1], corners[3, 1] - corners[2, 1]
    zigzag = rise0 * rise1 < 0 and rise1 * rise2 < 0 and rise2 * rise3 < 0
    count = 2 * rows if zigzag else rows
    for entry in range(rows):
        spans[0, entry] = low + entry
    if zigzag:
        spans[0, rows:count] = spans[0, :rows]
        spans[1:, :count] = _FAR_RIGHT
    for i in range(4):
        x1, y1, x2, y2 = corners[i - 1, 0], corners[i - 1, 1], corners[i, 0], corners[i, 1]
        if y1 == y2:
            continue
        side = 1 if y1 < y2 else 2
        first_entry = rows - low if zigzag and i > 1 else -low
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        height = y2 - y1
        begin = max(y1, low)
        # the share of the edge below the row, floor(65536 (y - y1) / height), kept up with its remainder
        share, remainder = divmod(65536 * (begin - y1), height)
        step, step_remainder = divmod(65536, height)
        for row in range(begin, min(y2 if y2 == top else y2 - 1, high) + 1):
            spans[side, np.uint64(first_entry + row)] = 65536 * x1 + share * (x2 - x1)  # 16.16 fixed point
            share += step
            remainder += step_remainder
            if remainder >= height:
                remainder -= height
                share += 1
    if zigzag:
        for row in range(rows):
            crossings = np.sort(np.array([spans[1, row], spans[2, row], spans[1, rows + row], spans[2, rows + row]]))
            spans[1, row], spans[2, row], spans[1, rows + row], spans[2, rows + row] = crossings
    for entry in range(count):
        one, other = spans[1, entry], spans[2, entry]
        left, right = (min(one, other) + 0x8001) >> 16, (max(one, other) + 0x7FFF) >> 16  # 1 to the inside, rounded
        spans[1, entry], spans[2, entry] = min(left, right), max(left, right)
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
    """Pixels of ``gfxdraw.aapolygon`` of ``corners`` (4, 2) that ``spans``, one a row from low on, will not cover.

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
                    pixels[count] = y << 20 | x << 10 | _SOLID
                    count += 1
            continue
        pixels[count] = y1 << 20 | x1 << 10 | _SOLID
        count += y1 >= low
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        direction = 1 if x1 < x2 else -1
        width, height = abs(x2 - x1), y2 - y1
        slope = (min(width, height) << 16) // max(width, height) << 16
        if height > width:
            for y in range(max(y1 + 1, low), y2):
                offset = (y - y1) * slope  # along the shorter axis, 32.32 fixed point
                weight, x = offset >> 24 & 255, x1 + direction * (offset >> 32)
                left, right = spans[1, np.uint64(y - low)], spans[2, np.uint64(y - low)]
                pixels[np.uint64(count)] = y << 20 | x << 10 | 255 * (255 - weight) >> 8
                count += x < left or x > right
                x += direction
                pixels[np.uint64(count)] = y << 20 | x << 10 | 255 * weight >> 8
                count += x < left or x > right
            continue
        for step in range(1, width):
            offset = step * slope
            weight, x, y = offset >> 24 & 255, x1 + direction * step, y1 + (offset >> 32)
            if y >= low:
                pixels[np.uint64(count)] = y << 20 | x << 10 | 255 * (255 - weight) >> 8
                count += x < spans[1, np.uint64(y - low)] or x > spans[2, np.uint64(y - low)]
            y += 1
            if y >= low:
                pixels[np.uint64(count)] = y << 20 | x << 10 | 255 * weight >> 8
                count += x < spans[1, np.uint64(y - low)] or x > spans[2, np.uint64(y - low)]
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
            spans[0, count], spans[1, count], spans[2, count] = y, min(left, right), max(left, right)
            count += 1
    for i in range(corner_count):
        y, x1, x2 = corners[i, 1], corners[i - 1, 0], corners[i, 0]
        if corners[i - 1, 1] == y and (low < y < high or low == high) and 0 <= y <= _BOTTOM:
            spans[0, count], spans[1, count], spans[2, count] = y, min(x1, x2), max(x1, x2)
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
            spans[0, count], spans[1, count], spans[2, count] = y, x1, x1 + right
            count += 1
        if (x1 == x2 and y1 == y2) or count + 2 > spans.shape[1]:
            return count
        before = error
        if before > -width:
            error -= height
            x1 += 1 if x1 < x2 else -1
        if before < height:
            error += width
            y1 += 1 if y1 < y2 else -1

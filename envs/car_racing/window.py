"""A window of 1000x800 pixels, kept pixel by pixel only where its colour changes, and shrunk to 96x96 by area.

Shrinking averages 1000/96 pixels of a row to a cell, then 800/96 rows of cells to a pixel. Most cells are of one
colour, so the window holds, for each row, 96 cells: either a colour, or the number of a strip with the cell's pixels.
The pixel that a cell's edge cuts belongs to both neighbours. A colour is 0xBBGGRR, so that its bytes are R, G, B, 0.

Rows count from the bottom: Gymnasium paints the world so and turns the window over at the end.

Indices are unsigned in the loops that matter: numba then leaves out what negative ones would need.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from envs.batched import Array

WIDTH, HEIGHT = 1000, 800
COLUMNS = 96  # cells of a row, and rows and columns of the shrunken picture
SLOTS = 16  # pixels that a strip has room for; a cell has 11 or 12
STRIPS = 2 * HEIGHT * COLUMNS  # room for the strips of all cells, and for as many that have been covered since
_MOST_OF_A_POLYGON = 20_000  # strips that one polygon may need

ONE = 16384  # weights are in 1/16384 of a pixel, as in pygame-ce's smoothscale
_RED_BLUE, _GREEN = 0xFF00FF, 0x00FF00


def divide(pixels: int) -> tuple[Array, Array, Array, int]:
    """Cells of an axis of ``pixels``: first and last pixel and the weight of the last (96,) int64, and the scale.

    The first pixel has the weight that the cell before left; a cell's value is its weighted sum * scale / 65536.
    """
    length = ONE * pixels // COLUMNS
    ends = length * np.arange(1, COLUMNS + 1)
    last = (ends - 1) // ONE
    return np.append(0, last[:-1]), last, ends - last * ONE, (1 << 30) // length


_FIRST, _LAST, _TAIL, _SCALE = divide(WIDTH)
_FIRST_ROW, _LAST_ROW, _TAIL_OF_ROW, _ROW_SCALE = divide(HEIGHT)
_CELL = np.searchsorted(_LAST, np.arange(WIDTH)).astype(np.int32)  # of a pixel; where two have it, the left one
_FIRST_WHOLE = np.searchsorted(_FIRST, np.arange(WIDTH)).astype(np.int32)  # first cell right of a pixel's left side
_LAST_WHOLE = (np.searchsorted(_LAST, np.arange(WIDTH), side="right") - 1).astype(np.int32)  # last cell that ends there
_FIRST, _LAST, _TAIL = _FIRST.astype(np.int32), _LAST.astype(np.int32), _TAIL.astype(np.int32)
_HEAD = (ONE - np.append(0, _TAIL[:-1])).astype(np.int32)  # weight of a cell's first pixel
_slots = np.arange(SLOTS) + _FIRST[:, None]
_INSIDE = np.where((_slots > _FIRST[:, None]) & (_slots < _LAST[:, None]), np.int32(0xFFFFFF), np.int32(0))


class Window(NamedTuple):
    """A picture in the making. Only `clear` makes it valid."""

    cells: Array  # (HEIGHT * COLUMNS,) int32: colour, or ~ the number of a strip
    strips: Array  # (STRIPS, SLOTS) int32: colours
    owners: Array  # (STRIPS,) int32: the cell that each strip was laid out for
    used: Array  # (1,) int32: strips laid out so far
    spans: Array  # (5 * HEIGHT, 3) int32: scratch, room for the spans of a polygon of up to eight corners
    pixels: Array  # (8 * WIDTH, 3) int32: scratch, room for the outline of a quad


@njit(cache=True, nogil=True)
def allocate_window() -> Window:
    """A window's memory; `clear` makes it a picture."""
    strips = np.empty((STRIPS + 1) * SLOTS, np.int32)
    aligned = -(strips.ctypes.data // 4) % SLOTS  # a strip is to fill a line of the cache, not halves of two
    return Window(
        np.empty(HEIGHT * COLUMNS, np.int32),
        strips[aligned : aligned + STRIPS * SLOTS].reshape((STRIPS, SLOTS)),
        np.empty(STRIPS, np.int32),
        np.zeros(1, np.int32),
        np.empty((5 * HEIGHT, 3), np.int32),
        np.empty((8 * WIDTH, 3), np.int32),
    )


@njit(cache=True, nogil=True)
def clear(window: Window, color: int) -> None:
    """Paint all of the window."""
    cells, value = window.cells, np.int32(color)
    for cell in range(np.uint64(HEIGHT * COLUMNS)):
        cells[cell] = value
    window.used[0] = 0


@njit(cache=True, nogil=True)
def make_room(window: Window) -> None:
    """Forget strips that have been covered, if there is no room for those of another polygon."""
    if window.used[0] <= STRIPS - _MOST_OF_A_POLYGON:
        return
    kept = 0
    for strip in range(window.used[0]):
        cell = window.owners[strip]
        if window.cells[cell] == ~strip:
            window.strips[kept] = window.strips[strip]
            window.owners[kept] = cell
            window.cells[cell] = ~kept
            kept += 1
    window.used[0] = kept


@njit(cache=True, nogil=True)
def _strip_of(cells: Array, strips: Array, owners: Array, used: Array, cell: np.uint64) -> np.uint64:
    """The number of a cell's strip, laid out if the cell was of one colour."""
    color = cells[cell]
    if color < 0:
        return np.uint64(~color)
    strip = np.uint64(used[0])
    used[0] += 1
    owners[strip] = cell
    cells[cell] = ~np.int32(strip)
    for slot in range(np.uint64(SLOTS)):
        strips[strip, slot] = color
    return strip


@njit(cache=True, nogil=True)
def fill_spans(window: Window, count: int, color: int) -> None:
    """Paint the first ``count`` entries of ``window.spans``: a row and its columns from left to right, ends included.

    Columns outside the window are left out; rows must lie in it.
    """
    cells, strips, owners, used, spans = window.cells, window.strips, window.owners, window.used, window.spans
    paint = np.int32(color)
    for i in range(np.uint64(count)):
        left, right = max(spans[i, 1], np.int32(0)), min(spans[i, 2], np.int32(WIDTH - 1))
        if left > right:
            continue
        row = np.uint64(spans[i, 0]) * np.uint64(COLUMNS)
        begin, end = _FIRST_WHOLE[np.uint64(left)], _LAST_WHOLE[np.uint64(right)]
        for cell in range(row + np.uint64(begin), row + np.uint64(end + 1)):
            cells[cell] = paint
        for side in range(2):  # the cells at the ends, which may be the same; a row's ends have none
            cut = begin - 1 if side == 0 else end + 1
            if cut < 0 or cut >= COLUMNS or (side == 1 and cut < begin):
                continue
            column = np.uint64(cut)
            if cells[row + column] == paint:
                continue
            strip = _strip_of(cells, strips, owners, used, row + column)
            first, last = np.int32(left - _FIRST[column]), np.int32(right - _FIRST[column])
            for place in range(np.int32(SLOTS)):
                old = strips[strip, np.uint64(place)]
                strips[strip, np.uint64(place)] = paint if first <= place <= last else old


@njit(cache=True, nogil=True)
def blend_pixels(window: Window, count: int, color: int) -> None:
    """Mix a colour into the first ``count`` entries of ``window.pixels``: row, column, both in the window, and alpha.

    Alpha is in 1/256.
    """
    cells, strips, owners, used, pixels = window.cells, window.strips, window.owners, window.used, window.pixels
    red_blue, green, low_bytes = np.uint32(color & _RED_BLUE), np.uint32(color >> 8 & 0xFF), np.uint32(0xFF)
    for i in range(np.uint64(count)):
        x, alpha = np.uint64(pixels[i, 1]), np.uint32(pixels[i, 2])
        column = np.uint64(_CELL[x])
        cell = np.uint64(pixels[i, 0]) * np.uint64(COLUMNS) + column
        if cells[cell] == color:
            continue
        strip = _strip_of(cells, strips, owners, used, cell)
        slot, rest = x - np.uint64(_FIRST[column]), np.uint32(256) - alpha
        old = np.uint32(strips[strip, slot])
        # old + (color - old) * alpha / 256, rounded down, in every channel
        mixed = (((old & np.uint32(_RED_BLUE)) * rest + red_blue * alpha) >> np.uint32(8)) & np.uint32(_RED_BLUE)
        new = mixed | (((old >> np.uint32(8)) & low_bytes) * rest + green * alpha) & np.uint32(_GREEN)
        strips[strip, slot] = new
        if x == np.uint64(_LAST[column]) and column < np.uint64(COLUMNS - 1):
            strips[_strip_of(cells, strips, owners, used, cell + np.uint64(1)), 0] = new


@njit(cache=True, nogil=True)
def _shrink_strips(window: Window) -> None:
    """Replace every strip by the colour that would shrink to the same.

    A cell of the level v shrinks to v - 1, or 0, at every place of the row.
    """
    cells, strips = window.cells, window.strips
    for strip in range(np.uint64(window.used[0])):
        cell = np.uint64(window.owners[strip])
        if cells[cell] != ~np.int32(strip):
            continue  # covered since
        column = cell % np.uint64(COLUMNS)
        red_blue, green = np.int32(0), np.int32(0)
        for slot in range(np.uint64(SLOTS)):
            pixel = strips[strip, slot] & _INSIDE[column, slot]
            red_blue += pixel & np.int32(_RED_BLUE)
            green += pixel >> np.int32(8) & np.int32(255)
        head, tail = strips[strip, 0], strips[strip, np.uint64(_LAST[column] - _FIRST[column])]
        sums = (red_blue & 0xFFFF, green, red_blue >> 16)
        value = 0
        for channel in range(3):
            shift = 8 * channel
            total = sums[channel] + ((head >> shift & 255) * _HEAD[column] >> 14)
            total += (tail >> shift & 255) * _TAIL[column] >> 14
            value |= ((total * _SCALE >> 16) + 1) << shift
        cells[cell] = value


@njit(cache=True, nogil=True)
def shrink(window: Window, out: Array) -> None:
    """Average the window's upper rows into ``out`` (rows, 96, 3) uint8, its top row first; ends the window's use."""
    _shrink_strips(window)
    levels = window.cells.view(np.uint8).reshape((HEIGHT, 4 * COLUMNS))
    total = np.zeros(4 * COLUMNS, np.uint16)
    line_out = np.empty(4 * COLUMNS, np.uint8)
    scale, bits = np.uint16(_ROW_SCALE), np.uint32(16)  # products of 16 bits, of which the upper half counts
    for row in range(out.shape[0]):
        for y in range(_FIRST_ROW[row] + (row > 0), _LAST_ROW[row]):
            line = levels[HEIGHT - 1 - y]
            for i in range(4 * COLUMNS):
                total[i] += max(line[i], np.uint8(1)) - np.uint8(1)
        line = levels[HEIGHT - 1 - _LAST_ROW[row]]
        tail, head = np.uint16(_TAIL_OF_ROW[row]), np.uint16(ONE - _TAIL_OF_ROW[row])
        for i in range(4 * COLUMNS):
            level = np.uint16(np.uint16(max(line[i], np.uint8(1)) - np.uint8(1)) << np.uint16(2))
            whole = np.uint16(total[i] + np.uint16(np.uint32(level) * np.uint32(tail) >> bits))
            line_out[i] = np.uint16(np.uint32(whole) * np.uint32(scale) >> bits)
            total[i] = np.uint16(np.uint32(level) * np.uint32(head) >> bits)
        for column in range(COLUMNS):
            for channel in range(3):
                out[row, column, channel] = line_out[4 * column + channel]


@njit(cache=True, nogil=True)
def unpack(window: Window, out: Array) -> None:
    """Write all pixels to ``out`` (HEIGHT, WIDTH, 3) uint8, the top row first."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            color = window.cells[(HEIGHT - 1 - y) * COLUMNS + _CELL[x]]
            if color < 0:
                color = window.strips[~color, x - _FIRST[_CELL[x]]]
            for channel in range(3):
                out[y, x, channel] = color >> 8 * channel & 255

"""A window of 1000x800 pixels, kept pixel by pixel only where its colour changes, and shrunk to 96x96 by area.

Shrinking averages 1000/96 pixels of a row to a cell, then 800/96 rows of cells to a pixel. Most cells are of one
colour, so the window holds, for each row, 96 cells: either a colour, or the number of a strip with the cell's pixels.
The pixel that a cell's edge cuts belongs to both neighbours. A colour is 0xBBGGRR, so that its bytes are R, G, B, 0.

Rows count from the bottom: Gymnasium paints the world so and turns the window over at the end.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from envs.batched import Array

WIDTH, HEIGHT = 1000, 800
COLUMNS = 96  # cells of a row, and rows and columns of the shrunken picture
SLOTS = 16  # pixels that a strip has room for; a cell has 11 or 12

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
_CELL = np.searchsorted(_LAST, np.arange(WIDTH))  # of a pixel; where two have it, the left one
_FIRST_WHOLE = np.searchsorted(_FIRST, np.arange(WIDTH))  # first cell that lies right of a pixel's left side
_LAST_WHOLE = np.searchsorted(_LAST, np.arange(WIDTH), side="right") - 1  # last cell that ends at or before a pixel
_slots = np.arange(SLOTS) + _FIRST[:, None]
_INSIDE = np.where((_slots > _FIRST[:, None]) & (_slots < _LAST[:, None]), np.int32(0xFFFFFF), np.int32(0))


class Window(NamedTuple):
    """A picture in the making. Only `clear` makes it valid."""

    cells: Array  # (HEIGHT * COLUMNS,) int32: colour, or ~ the number of a strip
    strips: Array  # (HEIGHT * COLUMNS, SLOTS) int32: colours
    owners: Array  # (HEIGHT * COLUMNS + 1,) int32: the cell of each strip in use; the last entry counts those
    reserved: Array  # (HEIGHT * COLUMNS,) int32: the strip whose owner the cell is, if it has had one
    spans: Array  # (5 * HEIGHT, 3) int32: scratch, room for the spans of a polygon of up to eight corners
    pixels: Array  # (8 * WIDTH, 3) int32: scratch, room for the outline of a quad


@njit(cache=True, nogil=True)
def allocate_window() -> Window:
    """A window's memory; `clear` makes it a picture."""
    cells = HEIGHT * COLUMNS
    return Window(
        np.empty(cells, np.int32),
        np.empty((cells, SLOTS), np.int32),
        np.empty(cells + 1, np.int32),
        np.zeros(cells, np.int32),
        np.empty((5 * HEIGHT, 3), np.int32),
        np.empty((8 * WIDTH, 3), np.int32),
    )


@njit(cache=True, nogil=True)
def clear(window: Window, color: int) -> None:
    """Paint all of the window."""
    window.cells[:] = color
    window.owners[-1] = 0


@njit(cache=True, nogil=True, inline="always")
def _strip_of(cells: Array, strips: Array, owners: Array, reserved: Array, cell: int) -> int:
    """The number of a cell's strip, laid out if the cell was of one colour."""
    value = cells[cell]
    strip = ~value
    if value >= 0:
        # A cell that was mixed, then covered, takes its strip again; so there are never more strips than cells.
        strip = reserved[cell]
        if strip >= owners[HEIGHT * COLUMNS] or owners[strip] != cell:
            strip = owners[HEIGHT * COLUMNS]
            owners[HEIGHT * COLUMNS] = strip + 1
            owners[strip] = cell
            reserved[cell] = strip
        for slot in range(SLOTS):
            strips[strip, slot] = value
        cells[cell] = ~strip
    return strip


@njit(cache=True, nogil=True)
def fill_spans(window: Window, count: int, color: int) -> None:
    """Paint the first ``count`` entries of ``window.spans``: a row and its columns from left to right, ends included.

    Columns outside the window are left out; rows must lie in it.
    """
    cells, strips, owners, reserved, spans, _ = window
    for i in range(count):
        left, right = max(spans[i, 1], 0), min(spans[i, 2], WIDTH - 1)
        if left > right:
            continue
        cell = spans[i, 0] * COLUMNS
        begin, end = _FIRST_WHOLE[left], _LAST_WHOLE[right]
        for column in range(begin, end + 1):
            cells[cell + column] = color
        for side in range(2):  # the cells at the ends, which may be the same; a row's ends have none
            column = begin - 1 if side == 0 else end + 1
            if column < 0 or column >= COLUMNS or (side == 1 and column < begin):
                continue
            strip = _strip_of(cells, strips, owners, reserved, cell + column)
            first, last = np.int32(left - _FIRST[column]), np.int32(right - _FIRST[column])
            for slot in range(np.int32(SLOTS)):
                old = strips[strip, slot]
                strips[strip, slot] = color if first <= slot <= last else old


@njit(cache=True, nogil=True)
def blend_pixels(window: Window, count: int, color: int) -> None:
    """Mix a colour into the first ``count`` entries of ``window.pixels``: row, column, both in the window, and alpha.

    Alpha is in 1/256.
    """
    cells, strips, owners, reserved, _, pixels = window
    for i in range(count):
        x, alpha = pixels[i, 1], pixels[i, 2]
        column = _CELL[x]
        cell = pixels[i, 0] * COLUMNS + column
        if cells[cell] == color:
            continue
        strip = _strip_of(cells, strips, owners, reserved, cell)
        slot = x - _FIRST[column]
        old = strips[strip, slot]
        # old + (color - old) * alpha / 256, rounded down, in every channel
        red_blue = ((old & _RED_BLUE) * (256 - alpha) + (color & _RED_BLUE) * alpha) >> 8
        green = ((old & _GREEN) * (256 - alpha) + (color & _GREEN) * alpha) >> 8
        new = (red_blue & _RED_BLUE) | (green & _GREEN)
        strips[strip, slot] = new
        if x == _LAST[column] and column < COLUMNS - 1:
            strips[_strip_of(cells, strips, owners, reserved, cell + 1), 0] = new


@njit(cache=True, nogil=True)
def _shrink_strips(window: Window) -> None:
    """Replace every strip by the colour that would shrink to the same.

    A cell of the level v shrinks to v - 1, or 0, at every place of the row.
    """
    for strip in range(window.owners[-1]):
        cell = window.owners[strip]
        if window.cells[cell] != ~strip:
            continue  # covered since
        column = cell % COLUMNS
        red_blue, green = np.int32(0), np.int32(0)
        for slot in range(SLOTS):
            pixel = window.strips[strip, slot] & _INSIDE[column, slot]
            red_blue += np.int32(pixel & _RED_BLUE)
            green += np.int32(pixel >> 8 & 255)
        head, tail = window.strips[strip, 0], window.strips[strip, _LAST[column] - _FIRST[column]]
        head_weight = ONE - _TAIL[column - 1] if column > 0 else ONE
        sums = (red_blue & 0xFFFF, green, red_blue >> 16)
        value = 0
        for channel in range(3):
            shift = 8 * channel
            total = sums[channel] + ((head >> shift & 255) * head_weight >> 14)
            total += (tail >> shift & 255) * _TAIL[column] >> 14
            value |= ((total * _SCALE >> 16) + 1) << shift
        window.cells[cell] = value


@njit(cache=True, nogil=True)
def shrink(window: Window, out: Array) -> None:
    """Average the window's upper rows into ``out`` (rows, 96, 3) uint8, its top row first; ends the window's use."""
    _shrink_strips(window)
    levels = window.cells.view(np.uint8).reshape((HEIGHT, 4 * COLUMNS))
    total = np.zeros(4 * COLUMNS, np.uint16)
    for row in range(out.shape[0]):
        for y in range(_FIRST_ROW[row] + (row > 0), _LAST_ROW[row]):
            line = levels[HEIGHT - 1 - y]
            for i in range(4 * COLUMNS):
                total[i] += max(line[i], np.uint8(1)) - np.uint8(1)
        line = levels[HEIGHT - 1 - _LAST_ROW[row]]
        for i in range(4 * COLUMNS):
            total[i] += (max(line[i], np.uint8(1)) - np.uint8(1)) * _TAIL_OF_ROW[row] >> 14
        for column in range(COLUMNS):
            for channel in range(3):
                out[row, column, channel] = np.int32(total[4 * column + channel]) * _ROW_SCALE >> 16
        for i in range(4 * COLUMNS):
            total[i] = (max(line[i], np.uint8(1)) - np.uint8(1)) * (ONE - _TAIL_OF_ROW[row]) >> 14


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

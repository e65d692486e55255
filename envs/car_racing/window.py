"""A window of 1000x800 pixels, kept pixel by pixel only where its colour changes, and shrunk to 96x96 by area.

Shrinking averages 1000/96 pixels of a row to a cell, then 800/96 rows of cells to a pixel. Most cells are of one
colour, so the window holds, for each row, 96 cells: either a colour, or the number of a strip with the cell's pixels.
The pixel that a cell's edge cuts belongs to both neighbours. A colour is 0xBBGGRR, so that its bytes are R, G, B, 0.

Rows count from the bottom: Gymnasium paints the world so and turns the window over at the end.

Indices are unsigned in the loops that matter: numba then leaves out what negative ones would need. Loops over the
slots of a strip end at a number unknown to the compiler, which would otherwise write them out instead of using vectors.
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
QUEUED = 3  # quads that a queue holds: a tile, its kerb, and the next tile
_LINE = 4 * COLUMNS  # bytes of a row of cells

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
_shared = (np.arange(WIDTH) == _LAST[_CELL]) & (_CELL < COLUMNS - 1)  # by two cells
# of a pixel: its slot in bits 0 to 3, its cell in bits 4 to 10, and bit 11 if the next cell has it too, in slot 0
_PLACES = (np.arange(WIDTH) - _FIRST[_CELL] + SLOTS * _CELL + 2048 * _shared).astype(np.uint16)
_slots = np.arange(SLOTS) + _FIRST[:, None]
_weights = np.where((_slots > _FIRST[:, None]) & (_slots < _LAST[:, None]), ONE, 0)
_weights[:, 0] = ONE - np.append(0, _TAIL[:-1])
_weights[np.arange(COLUMNS), _LAST - _FIRST] = _TAIL
_WEIGHTS = np.repeat(_weights, 4, axis=1).astype(np.uint16)  # (96, 64): of the four bytes of a strip's slots
_FIRST = _FIRST.astype(np.int32)


class Queue(NamedTuple):
    """Quads that wait to be painted: quad i is in place i % QUEUED."""

    ends: Array  # (2,) int64: the numbers of quads painted and added so far
    corners: Array  # (QUEUED, 4, 2) int64
    facts: Array  # (QUEUED, 4) int64: color, lowest and highest row, number of spans
    spans: Array  # (QUEUED, 3, 2 * HEIGHT) int32: see `polygons.fill_quad`
    covers: Array  # (3, HEIGHT) int32: scratch


class Window(NamedTuple):
    """A picture in the making. Only `clear` makes it valid."""

    cells: Array  # (HEIGHT * COLUMNS,) int32: colour, or ~ the number of a strip
    strips: Array  # (STRIPS, SLOTS) int32: colours
    owners: Array  # (STRIPS,) int32: the cell that each strip was laid out for
    used: Array  # (1,) int32: strips laid out so far
    spans: Array  # (3, 5 * HEIGHT) int32: scratch, room for the spans of a polygon of up to eight corners
    pixels: Array  # (8 * WIDTH,) uint32: scratch, room for the outline of a quad
    queue: Queue


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
        np.empty((3, 5 * HEIGHT), np.int32),
        np.empty(8 * WIDTH, np.uint32),
        Queue(
            np.zeros(2, np.int64),
            np.empty((QUEUED, 4, 2), np.int64),
            np.empty((QUEUED, 4), np.int64),
            np.empty((QUEUED, 3, 2 * HEIGHT), np.int32),
            np.empty((3, HEIGHT), np.int32),
        ),
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
def fill_spans(window: Window, spans: Array, count: int, color: int) -> None:
    """Paint the first ``count`` columns of ``spans`` (3, n): a row, its first and its last pixel.

    Pixels outside the window are left out; rows must lie in it.
    """
    cells, strips, owners = window.cells, window.strips, window.owners
    used, paint = np.uint64(window.used[0]), np.int32(color)
    slots = min(strips.shape[1], SLOTS)
    for i in range(np.uint64(count)):
        left, right = max(spans[1, i], np.int32(0)), min(spans[2, i], np.int32(WIDTH - 1))
        if left > right:
            continue
        row = np.uint64(spans[0, i]) * np.uint64(COLUMNS)
        begin, end = _FIRST_WHOLE[np.uint64(left)], _LAST_WHOLE[np.uint64(right)]
        for cell in range(row + np.uint64(begin), row + np.uint64(end + 1)):
            cells[cell] = paint
        for side in range(2):  # the cells at the ends, which may be the same; a row's ends have none
            cut = begin - 1 if side == 0 else end + 1
            if cut < 0 or cut >= COLUMNS or (side == 1 and cut < begin):
                continue
            column = np.uint64(cut)
            value = cells[row + column]
            if value == paint:
                continue
            first, last = np.int32(left - _FIRST[column]), np.int32(right - _FIRST[column])
            if value < 0:
                strip = np.uint64(~value)
                for place in range(slots):
                    old = strips[strip, place]
                    strips[strip, place] = paint if first <= place <= last else old
            else:
                owners[used] = row + column
                cells[row + column] = ~np.int32(used)
                for place in range(slots):
                    strips[used, place] = paint if first <= place <= last else value
                used += np.uint64(1)
    window.used[0] = used


@njit(cache=True, nogil=True)
def blend_pixels(window: Window, count: int, color: int) -> None:
    """Mix a colour into the first ``count`` entries of ``window.pixels``: row << 20 | column << 10 | alpha in 1/256.

    Rows and columns must lie in the window.
    """
    cells, strips, owners, pixels = window.cells, window.strips, window.owners, window.pixels
    used, paint = np.uint64(window.used[0]), np.int32(color)
    slots = min(strips.shape[1], SLOTS)
    red_blue, green, low_bytes = np.uint32(color & _RED_BLUE), np.uint32(color >> 8 & 0xFF), np.uint32(0xFF)
    for i in range(np.uint64(count)):
        pixel = pixels[i]
        place = np.uint64(_PLACES[np.uint64(pixel >> np.uint32(10) & np.uint32(1023))])
        alpha = pixel & np.uint32(1023)
        rest = np.uint32(256) - alpha
        slot = place & np.uint64(SLOTS - 1)
        cell = np.uint64(pixel >> np.uint32(20)) * np.uint64(COLUMNS) + (place >> np.uint64(4) & np.uint64(127))
        for part in range(cell, cell + np.uint64(1) + (place >> np.uint64(11))):
            value = cells[part]
            if value != paint:
                strip = np.uint64(~value)
                if value >= 0:
                    strip = used
                    used += np.uint64(1)
                    owners[strip] = part
                    cells[part] = ~np.int32(strip)
                    for k in range(slots):
                        strips[strip, k] = value
                old = np.uint32(strips[strip, slot])
                # old + (color - old) * alpha / 256, rounded down, in every channel
                mixed = (((old & np.uint32(_RED_BLUE)) * rest + red_blue * alpha) >> np.uint32(8)) & np.uint32(
                    _RED_BLUE
                )
                new = mixed | (((old >> np.uint32(8)) & low_bytes) * rest + green * alpha) & np.uint32(_GREEN)
                strips[strip, slot] = new
            slot = np.uint64(0)
    window.used[0] = used


@njit(cache=True, nogil=True)
def _shrink_strips(window: Window) -> None:
    """Replace every strip by the colour that would shrink to the same.

    A cell of the level v shrinks to v - 1, or 0, at every place of the row.
    """
    cells, owners, levels = window.cells, window.owners, window.strips.view(np.uint8)
    sums = np.empty(SLOTS, np.uint16)  # the four bytes of four pixels, each of which is the sum of four
    pixels = sums.view(np.uint64)
    bits, scale, low = np.uint64(16), np.uint64(_SCALE), np.uint64(0xFFFF)
    for strip in range(np.uint64(window.used[0])):
        cell = np.uint64(owners[strip])
        if cells[cell] != ~np.int32(strip):
            continue  # covered since
        column = cell % np.uint64(COLUMNS)
        for k in range(np.uint64(SLOTS)):
            total = np.uint16(0)
            for quarter in range(4):
                place = np.uint64(SLOTS * quarter) + k
                level = np.uint16(np.uint16(levels[strip, place]) << np.uint16(2))
                weighted = np.uint32(level) * np.uint32(_WEIGHTS[column, place]) >> np.uint32(16)
                total = np.uint16(total + np.uint16(weighted))
            sums[k] = total
        channels = pixels[0] + pixels[1] + pixels[2] + pixels[3]  # 16 bits each
        red = (channels & low) * scale >> bits
        green = (channels >> np.uint64(16) & low) * scale >> bits
        blue = (channels >> np.uint64(32) & low) * scale >> bits
        cells[cell] = (blue << np.uint64(16) | green << np.uint64(8) | red) + np.uint64(0x010101)


@njit(cache=True, nogil=True)
def _lower(level: np.uint8) -> np.uint16:
    """A level as shrinking a row leaves it (see `_shrink_strips`)."""
    return np.uint16(np.uint8(max(level, np.uint8(1)) - np.uint8(1)))


@njit(cache=True, nogil=True)
def shrink(window: Window, out: Array) -> None:
    """Average the window's upper rows into ``out`` (rows, 96, 3) uint8, its top row first; ends the window's use."""
    _shrink_strips(window)
    levels = window.cells.view(np.uint8)
    total = np.zeros(_LINE, np.uint16)
    line = np.empty(_LINE, np.uint8)
    words, out_words = line.view(np.uint32), out.reshape((out.shape[0], 3 * COLUMNS)).view(np.uint32)
    scale, bits = np.uint16(_ROW_SCALE), np.uint32(16)  # products of 16 bits, of which the upper half counts
    for row in range(out.shape[0]):
        last = (HEIGHT - 1 - _LAST_ROW[row]) * _LINE
        first = last + _LINE  # of 7 or 8 whole rows
        if _LAST_ROW[row] - _FIRST_ROW[row] - (row > 0) == 8:
            for i in range(_LINE):
                total[i] += _lower(levels[np.uint64(first + i)])
            first += _LINE
        for i in range(_LINE):
            k = np.uint64(first + i)
            more = _lower(levels[k])
            for above in range(np.uint64(1), np.uint64(7)):
                more = np.uint16(more + _lower(levels[k + above * np.uint64(_LINE)]))
            total[i] += more
        tail, head = np.uint16(_TAIL_OF_ROW[row]), np.uint16(ONE - _TAIL_OF_ROW[row])
        for i in range(_LINE):
            level = np.uint16(_lower(levels[np.uint64(last + i)]) << np.uint16(2))
            whole = np.uint16(total[i] + np.uint16(np.uint32(level) * np.uint32(tail) >> bits))
            line[i] = np.uint16(np.uint32(whole) * np.uint32(scale) >> bits)
            total[i] = np.uint16(np.uint32(level) * np.uint32(head) >> bits)
        for i in range(np.uint64(COLUMNS // 4)):  # without their fourth bytes, four pixels are three words
            a, b = words[np.uint64(4) * i], words[np.uint64(4) * i + np.uint64(1)]
            c, d = words[np.uint64(4) * i + np.uint64(2)], words[np.uint64(4) * i + np.uint64(3)]
            place = np.uint64(3) * i
            out_words[row, place] = a & np.uint32(0xFFFFFF) | b << np.uint32(24)
            out_words[row, place + np.uint64(1)] = b >> np.uint32(8) & np.uint32(0xFFFF) | c << np.uint32(16)
            out_words[row, place + np.uint64(2)] = c >> np.uint32(16) & np.uint32(0xFF) | d << np.uint32(8)


@njit(cache=True, nogil=True)
def unpack(window: Window, out: Array) -> None:
    """Write all pixels to ``out`` (HEIGHT, WIDTH, 3) uint8, the top row first."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            color = window.cells[(HEIGHT - 1 - y) * COLUMNS + _CELL[x]]
            if color < 0:
                color = window.strips[~color, _PLACES[x] & (SLOTS - 1)]
            for channel in range(3):
                out[y, x, channel] = color >> 8 * channel & 255

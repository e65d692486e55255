"""The panel at the bottom of the picture: the score's text and seven bars, exact to the last bit at 96x96.

The original draws a 1000x800 window and shrinks it to 96x96 by averaging areas, first along x, then along y, in
whole numbers (pygame-ce's `smoothscale`). The panel is the window's rows 700 to 799, the picture's rows 84 to 95.
Its bars are axis-parallel: most of its rows are equal, and a row is shrunk run by run instead of pixel by pixel.

``digits.npz`` holds the glyphs "0" to "9" and "-" of pygame's default font (FreeSansBold) at size 42, x first, and
the distance in 1/64 pixel from each glyph to the next. ``python tests/envs/car_racing/test_hud.py`` writes it anew.
"""

import math
from pathlib import Path

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.state import State
from envs.car_racing.window import HEIGHT, ONE, WIDTH, divide

with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as _font:
    _GLYPHS = _font["glyphs"]  # (11, 23 columns, 32 rows) uint8: the rows that bear ink
    _ADVANCES = _font["advances"]  # (11, 11) int32: 1/64 pixel from a glyph (row) to its successor (column)
_MINUS = 10

PANEL_TOP, PANEL_ROWS = 700, 100  # the panel's window rows
TEXT_TOP, TEXT_ROWS, TEXT_COLUMNS = 730, 32, 125  # the text's window rows, and columns from 0 on that it can touch
_TEXT_MIDDLE = 60
_PANEL_CELL, _PANEL_CELLS = 84, 12  # the panel's picture rows: the first, and how many
_TEXT_CELL, _TEXT_CELLS = 87, (5, 12)  # the text's first picture row, and its picture rows and columns
BAR_COLORS = np.array(
    [[255, 255, 255], [0, 0, 255], [0, 0, 255], [51, 0, 255], [51, 0, 255], [0, 255, 0], [255, 0, 0]], np.float32
)
_SMALLEST = 1e-4  # quantities up to this have no bar

# Shrinking one axis: cell i of the picture ends within pixel `last[i]` of the window, of which it takes the share
# `head[i]`; the next cell takes the share `rest[i]` of that pixel. Shares of a pixel are rounded down to whole levels,
# and so is the sum times `scale`, one over a cell's width. The original multiplies whole numbers and shifts them by 16
# bits; all products are below 2^24, so that float32 holds them, and their quotients by 2^16, exactly.


def _cells(pixels: int) -> tuple[Array, Array, Array, np.float32]:
    """``(last, head, rest, scale)`` of shrinking an axis of the window: arrays (96,) int32, float32, float32."""
    _, last, tail, scale = divide(pixels)
    head = (tail / ONE).astype(np.float32)
    return last.astype(np.int32), head, 1 - head, np.float32(scale / 65536)


_X_LAST, _X_HEAD, _X_REST, _X_SCALE = _cells(WIDTH)
_Y_LAST, _Y_HEAD, _Y_REST, _Y_SCALE = _cells(HEIGHT)


@njit(cache=True, nogil=True)
def text_bitmap(reward: float, out: Array) -> None:
    """The score as the window shows it: ``out`` (TEXT_COLUMNS, TEXT_ROWS) uint8, grey levels, **x first**.

    ``out[x, y]`` is the window's column x, row TEXT_TOP + y, after its flip. The text is f"{reward:04.0f}": halves
    go to the even number and -0.1 shows "-000". Scores beyond +-9999 are shown as that.
    """
    out[:] = 0
    glyphs = np.empty(5, np.int64)
    number = np.int64(min(abs(np.rint(reward)), 9999.0))
    negative = math.copysign(1.0, reward) < 0
    length = 5 if negative and number > 999 else 4
    for i in range(length - 1, -1, -1):
        glyphs[i] = number % 10
        number //= 10
    if negative:
        glyphs[0] = _MINUS

    width = 0
    for i in range(length - 1):
        width += _ADVANCES[glyphs[i], glyphs[i + 1]]
    pen = _TEXT_MIDDLE - ((width >> 6) + (13 if glyphs[length - 1] == _MINUS else 23)) // 2 << 6
    for i in range(length):
        left = pen >> 6
        for x in range(23):
            for y in range(TEXT_ROWS):  # neighbours' frames overlap, their ink does not
                out[left + x, y] |= _GLYPHS[glyphs[i], x, y]
        if i + 1 < length:
            pen += _ADVANCES[glyphs[i], glyphs[i + 1]]


@njit(cache=True, nogil=True, inline="always")
def _end_cell(pixel: Array, repeats: int, head: float, rest: float, scale: float, total: Array, out: Array) -> None:
    """The averages ``out`` (n,) of the sums ``total`` (n,) plus ``repeats`` + ``head`` times ``pixel`` (n,)."""
    whole = np.float32(repeats)
    for m in range(len(total)):
        value = np.float32(pixel[m])
        out[m] = np.uint8(np.int32((total[m] + whole * value + np.floor(value * head)) * scale))
        total[m] = np.floor(value * rest)


@njit(cache=True, nogil=True)
def _shrink(
    pixels: Array, start: int, first: int, last: Array, head: Array, rest: Array, scale: float, out: Array
) -> None:
    """Shrink axis 0 of ``pixels`` (n, m), the window's n rows or columns from ``start`` on, into ``out`` (cells, m).

    ``out`` begins with the picture's cell ``first``; window pixels outside ``pixels`` count as black.
    """
    total = np.zeros(pixels.shape[1], np.float32)
    black = np.zeros(pixels.shape[1], np.uint8)
    p = 0
    for cell in range(out.shape[0]):
        end = last[first + cell] - start
        while p < min(end, len(pixels)):
            for m in range(len(total)):
                total[m] += np.float32(pixels[p, m])
            p += 1
        pixel = pixels[end] if 0 <= end < len(pixels) else black
        _end_cell(pixel, 0, head[first + cell], rest[first + cell], scale, total, out[cell])
        p = max(end + 1, 0)


@njit(cache=True, nogil=True)
def find_bars(state: State, lane: int, bars: Array) -> None:
    """The window's rectangles of speed, four rolling speeds, steering angle and spin: ``bars`` (7, 4) int32.

    A row is x0, x1, y0, y1, the ends x1 and y1 not included, y from the panel's top; an absent bar has y0 > y1.
    """
    vx, vy = np.float64(state.velocity[lane, 0, 0]), np.float64(state.velocity[lane, 0, 1])
    speed = math.sqrt(vx * vx + vy * vy)
    for i in range(5):
        quantity = speed if i == 0 else state.omega[lane, i - 1]
        place = 5 if i == 0 else 6 + i
        end = int(100.0 - (20 + 20 * ((0.02 if i == 0 else 0.01) * quantity)))
        shown = abs(quantity) > _SMALLEST
        bars[i, 0], bars[i, 1] = 25 * place, 25 * (place + 1) + 1
        bars[i, 2] = max(min(end, 80), 0) if shown else 1
        bars[i, 3] = min(max(end, 80) + 1, PANEL_ROWS) if shown else 0

    steering = np.float64(state.angle[lane, 1] - state.angle[lane, 0])
    spin = np.float64(state.spin[lane, 0])
    for i in range(5, 7):
        quantity = steering if i == 5 else spin
        place = 20 if i == 5 else 30
        end = int((place + (-10.0 if i == 5 else -0.8) * quantity) * 25)
        shown = abs(quantity) > _SMALLEST
        bars[i, 0] = max(min(end, 25 * place), 0)
        bars[i, 1] = min(max(end, 25 * place) + 1, 1000)
        bars[i, 2] = 20 if shown else 1
        bars[i, 3] = 61 if shown else 0


@njit(cache=True, nogil=True)
def _shrink_bars(bars: Array, y: int, out: Array) -> None:
    """Panel row ``y`` of ``bars``, shrunk along x: ``out`` (288,) float32, RGB by turns."""
    # Cut the row where any bar begins or ends; on each piece the last bar covers those before it.
    cuts = np.empty(14, np.int32)
    count = 0
    for i in range(7):
        if bars[i, 2] <= y < bars[i, 3]:
            for end in range(2):
                k = count
                while k > 0 and cuts[k - 1] > bars[i, end]:
                    cuts[k] = cuts[k - 1]
                    k -= 1
                cuts[k] = bars[i, end]
                count += 1

    out[:] = np.float32(0)
    for k in range(count - 1):
        begin, end = cuts[k], cuts[k + 1]
        top = -1
        for i in range(7):
            if bars[i, 2] <= y < bars[i, 3] and bars[i, 0] <= begin < bars[i, 1]:
                top = i
        if top < 0 or begin == end:
            continue
        for cell in range(begin * 96 // 1000, 96):
            before, last = (_X_LAST[cell - 1] if cell > 0 else -1), _X_LAST[cell]
            if before >= end:
                break
            rest = _X_REST[cell - 1] if cell > 0 and begin <= before else np.float32(0)
            whole = np.float32(max(min(end, last) - max(begin, before + 1), 0))
            head = _X_HEAD[cell] if last < end else np.float32(0)
            for channel in range(3):
                value = BAR_COLORS[top, channel]
                out[3 * cell + channel] += np.floor(value * rest) + value * whole + np.floor(value * head)
    for m in range(288):
        out[m] = np.floor(out[m] * _X_SCALE)


@njit(cache=True, nogil=True)
def _draw_bars(state: State, lane: int, out: Array) -> None:
    """The panel without the text: ``out`` (12, 288) uint8, RGB by turns."""
    bars = np.empty((7, 4), np.int32)
    find_bars(state, lane, bars)
    changes = np.zeros(PANEL_ROWS + 1, np.bool_)  # rows unlike the one above
    for i in range(7):
        changes[bars[i, 2]] |= bars[i, 2] <= bars[i, 3]
        changes[bars[i, 3]] |= bars[i, 2] <= bars[i, 3]

    row = np.zeros(288, np.float32)  # window row y, shrunk along x
    total = np.zeros(288, np.float32)
    y = 0
    for cell in range(_PANEL_CELLS):
        end = _Y_LAST[_PANEL_CELL + cell] - PANEL_TOP
        equal = 0  # rows like `row` that `total` still lacks
        while y <= end:
            if changes[y]:
                total += np.float32(equal) * row
                equal = 0
                _shrink_bars(bars, y, row)
            equal += y < end
            y += 1
        k = _PANEL_CELL + cell
        _end_cell(row, equal, _Y_HEAD[k], _Y_REST[k], _Y_SCALE, total, out[cell])


@njit(cache=True, nogil=True)
def _draw_text(reward: float, out: Array) -> None:
    """The text over the panel without it: ``out`` (12, 288) uint8, RGB by turns."""
    bitmap = np.empty((TEXT_COLUMNS, TEXT_ROWS), np.uint8)
    text_bitmap(reward, bitmap)
    columns = np.empty((_TEXT_CELLS[1], TEXT_ROWS), np.uint8)
    _shrink(bitmap, 0, 0, _X_LAST, _X_HEAD, _X_REST, _X_SCALE, columns)
    rows = np.empty((TEXT_ROWS, _TEXT_CELLS[1]), np.uint8)
    for x in range(_TEXT_CELLS[1]):
        for y in range(TEXT_ROWS):
            rows[y, x] = columns[x, y]
    text = np.empty(_TEXT_CELLS, np.uint8)
    _shrink(rows, TEXT_TOP, _TEXT_CELL, _Y_LAST, _Y_HEAD, _Y_REST, _Y_SCALE, text)
    for y in range(_TEXT_CELLS[0]):
        for x in range(_TEXT_CELLS[1]):
            for channel in range(3):
                out[_TEXT_CELL - _PANEL_CELL + y, 3 * x + channel] = text[y, x]


@njit(cache=True, nogil=True)
def draw_panel(state: State, lane: int, reward: float, out: Array) -> None:
    """Rows 84 to 95 of a lane's picture: ``out`` (12, 288) uint8, RGB by turns, with the score ``reward``.

    Equal to the original's to the last bit, save that a bar of a wheel rolling at more than 400 rad/s (gas alone
    reaches about 300) stops at the panel's top.
    """
    _draw_bars(state, lane, out)
    _draw_text(reward, out)

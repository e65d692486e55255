"""Exact pictures as ``render`` gives them: the whole window with skid marks and panel, unscaled or shrunk."""

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing import hud, raster
from envs.car_racing.state import State
from envs.car_racing.window import HEIGHT, ONE, WIDTH, allocate_window, unpack


@njit(cache=True, nogil=True)
def exact_picture(state: State, lane: int, width: int, height: int, skid_marks: bool) -> Array:
    """The picture (height, width, 3) uint8 of one lane, showing ``state.reward``; at most 1000 x 800."""
    window = allocate_window()
    raster.draw_world(state, lane, 0, skid_marks, window)
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    unpack(window, pixels)
    _draw_panel(state, lane, pixels)
    if width == WIDTH and height == HEIGHT:
        return pixels
    narrow = np.empty((HEIGHT, width, 3), np.uint8)
    for row in range(HEIGHT):
        _shrink(pixels[row], narrow[row])
    out = np.empty((height, width, 3), np.uint8)
    _shrink(narrow.reshape((HEIGHT, 3 * width)), out.reshape((height, 3 * width)))
    return out


@njit(cache=True, nogil=True)
def _draw_panel(state: State, lane: int, pixels: Array) -> None:
    top = HEIGHT - hud.PANEL_ROWS
    pixels[top:] = 0
    bars = np.empty((7, 4), np.int32)
    hud.find_bars(state, lane, bars)
    for i in range(7):
        x0, x1, y0, y1 = bars[i]
        for y in range(top + y0, top + y1):
            for x in range(max(x0, 0), min(x1, WIDTH)):
                for channel in range(3):
                    pixels[y, x, channel] = np.uint8(hud.BAR_COLORS[i, channel])
    text = np.empty((hud.TEXT_COLUMNS, hud.TEXT_ROWS), np.uint8)
    hud.text_bitmap(state.reward[lane], text)
    for x in range(hud.TEXT_COLUMNS):
        for y in range(hud.TEXT_ROWS):
            pixels[hud.TEXT_TOP + y, x] = text[x, y]


@njit(cache=True, nogil=True)
def _shrink(pixels: Array, out: Array) -> None:
    """Average ``pixels`` (n, k) to ``out`` (m, k) by area, m <= n, in pygame-ce's 16-bit fixed point.

    A pixel counts 16384; the one that a cell's end cuts is shared by both neighbours.
    """
    space = ONE * pixels.shape[0] // out.shape[0]
    scale = (1 << 30) // space
    for k in range(pixels.shape[1]):
        left, total, cell = space, 0, 0
        for i in range(pixels.shape[0]):
            value = int(pixels[i, k])
            if left > ONE:
                total += value
                left -= ONE
            elif cell < out.shape[0]:
                rest = ONE - left
                out[cell, k] = (total + (value * left >> 14)) * scale >> 16
                total = value * rest >> 14
                left = space - rest
                cell += 1

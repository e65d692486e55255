"""Fast pictures of the car and its track, drawn straight at 96x96, and the class of every pixel.

The original draws a 1000x800 window and averages areas of 10.4x8.3 of its pixels. Here the averages are computed: the
shares of every pixel that road, kerbs and car cover (`coverage.py`), over a ground whose squares are the product of two
square waves, smoothed over a pixel.

The picture differs from the original's by what that rounds to whole window pixels, and where roads cross: kerbs lie
over all road, shades add up to _MOST_SHADE, and kerbs without width are left out. Where it is flat, the values are
equal: the original's averaging lowers every level by 2, and so does this. The panel is equal.
"""

import math

import numpy as np
from numba import njit, prange

from envs.batched import Array
from envs.car_racing.coverage import (
    CAR_COLUMN,
    CAR_ROW,
    COLUMNS,
    HULL_PLANE,
    KERB,
    PLANES,
    ROAD,
    ROWS,
    SHADE,
    STRIPE,
    WHEEL,
    WHITE,
    View,
    find_view,
    lay_polygons,
    sum_row,
)
from envs.car_racing.hud import draw_panel
from envs.car_racing.state import GRASS_CELL, PLAYFIELD, State

SEGMENTATION_CLASSES = ("grass", "road", "kerb", "car", "panel")  # the class of a pixel is an index into these

_GREEN, _BLUE = COLUMNS, 2 * COLUMNS  # where these channels lie in a row of levels
# The same of `_lay_ground`'s row.
_V, _WITHIN, _DOWN, _STEEP, _GROUND = COLUMNS, 2 * COLUMNS, 3 * COLUMNS, 3 * COLUMNS + 2, 3 * COLUMNS + 4
_SQUARES = 2 * GRASS_CELL  # m: the ground's pattern repeats; its squares are half of that wide
_FIELD = np.float32(PLAYFIELD / _SQUARES)
_MOST_SHADE = np.float32(6)  # levels
_LOWERED = 2.0  # levels that the original's averaging loses
_WHITE_LEVEL, _STRIPE_LEVEL, _HULL_LEVEL = np.float32(253), np.float32(75), np.float32(202)
_ZERO, _HALF, _QUARTER, _ONE = np.float32(0), np.float32(0.5), np.float32(0.25), np.float32(1)


@njit(cache=True, nogil=True)
def _lay_ground(view: View, out: Array) -> bool:
    """Where the pattern of the ground is: its coordinates u, v along the picture's row 0; ``out`` (_GROUND,) float32.

    The squares are where both u and v have a fractional part below a half. After u and v of every column come their
    changes from row to row, 1 / the width of a pixel along u and v, and how much of it is within the field (1; see
    `_lay_field`). Returns whether the picture may reach beyond the field.
    """
    ahead = (CAR_ROW - 0.5) / view.along
    du, dv = view.cosine / (view.across * _SQUARES), view.sine / (view.across * _SQUARES)
    for m in range(COLUMNS):
        right = m + 0.5 - CAR_COLUMN
        out[m] = (view.x - view.sine * ahead) / _SQUARES + du * right
        out[_V + m] = (view.y + view.cosine * ahead) / _SQUARES + dv * right
        out[_WITHIN + m] = _ONE
    down_u, down_v = view.sine / (view.along * _SQUARES), -view.cosine / (view.along * _SQUARES)
    out[_DOWN], out[_DOWN + 1] = down_u, down_v
    out[_STEEP], out[_STEEP + 1] = 1.0 / (abs(du) + abs(down_u)), 1.0 / (abs(dv) + abs(down_v))
    return max(abs(view.x), abs(view.y)) + CAR_ROW / view.along + CAR_COLUMN / view.across > PLAYFIELD


@njit(cache=True, nogil=True)
def _lay_field(row: int, ground: Array) -> None:
    """How much of every pixel of a row lies within the field, which the original draws on black."""
    y = np.float32(row)
    down_u, down_v, steep_u, steep_v = ground[_DOWN], ground[_DOWN + 1], ground[_STEEP], ground[_STEEP + 1]
    for m in range(COLUMNS):
        in_u = min(max(_HALF + (_FIELD - abs(ground[m] + y * down_u)) * steep_u, _ZERO), _ONE)
        in_v = min(max(_HALF + (_FIELD - abs(ground[_V + m] + y * down_v)) * steep_v, _ZERO), _ONE)
        ground[_WITHIN + m] = in_u * in_v


@njit(cache=True, nogil=True)
def _draw_ground(ground: Array, row: int, colors: Array, sums: Array, out: Array) -> None:
    """One row of the background, the squares and the road over them: ``out`` (3 * COLUMNS,) float32.

    ``colors`` (9,) float32: levels of road, background, and by how much the squares differ from that.
    """
    # Shifted by a quarter, the middle of a stripe has the fraction a half; its edges lie a quarter from there.
    shift_u = _QUARTER + np.float32(row) * ground[_DOWN]
    shift_v = _QUARTER + np.float32(row) * ground[_DOWN + 1]
    steep_u, steep_v = ground[_STEEP], ground[_STEEP + 1]
    middle_u, middle_v = _HALF + _QUARTER * steep_u, _HALF + _QUARTER * steep_v
    road_red, road_green, road_blue, red, green, blue = colors[0], colors[1], colors[2], colors[3], colors[4], colors[5]
    more_red, more_green, more_blue = colors[6], colors[7], colors[8]
    for m in range(COLUMNS):
        u, v = ground[m] + shift_u, ground[_V + m] + shift_v
        share_u = min(max(middle_u - abs(u - np.floor(u) - _HALF) * steep_u, _ZERO), _ONE)
        share_v = min(max(middle_v - abs(v - np.floor(v) - _HALF) * steep_v, _ZERO), _ONE)
        road, shade = min(max(sums[ROAD + m], _ZERO), _ONE), min(sums[SHADE + m], _MOST_SHADE)
        field = (_ONE - road) * ground[_WITHIN + m]
        square = field * share_u * share_v
        out[m] = field * red + square * more_red + road * road_red + shade
        out[_GREEN + m] = field * green + square * more_green + road * road_green + shade
        out[_BLUE + m] = field * blue + square * more_blue + road * road_blue + shade


@njit(cache=True, nogil=True)
def _lower_colors(colors: Array, out: Array) -> None:
    """Levels of road, background and (as a difference) squares, whole and lowered like all flat areas: (9,) float32."""
    for k in range(9):
        out[k] = max(math.floor(colors[k // 3, k % 3]) - _LOWERED, 0.0)
    for k in range(6, 9):
        out[k] -= out[k - 3]


@njit(cache=True, nogil=True)
def _draw_kerbs(sums: Array, out: Array) -> None:
    for m in range(COLUMNS):
        share, white = min(max(sums[KERB + m], _ZERO), _ONE), min(max(sums[WHITE + m], _ZERO), _ONE)
        out[m] += share * (_WHITE_LEVEL - out[m])
        out[_GREEN + m] += white * _WHITE_LEVEL - share * out[_GREEN + m]
        out[_BLUE + m] += white * _WHITE_LEVEL - share * out[_BLUE + m]


@njit(cache=True, nogil=True)
def _draw_car(sums: Array, out: Array) -> None:
    for m in range(COLUMNS):
        wheel, hull = min(max(sums[WHEEL + m], _ZERO), _ONE), min(max(sums[HULL_PLANE + m], _ZERO), _ONE)
        stripe = min(max(sums[STRIPE + m], _ZERO), _ONE) * _STRIPE_LEVEL
        out[m] = (out[m] * (_ONE - wheel) + stripe) * (_ONE - hull) + hull * _HULL_LEVEL
        out[_GREEN + m] = (out[_GREEN + m] * (_ONE - wheel) + stripe) * (_ONE - hull)
        out[_BLUE + m] = (out[_BLUE + m] * (_ONE - wheel) + stripe) * (_ONE - hull)


@njit(cache=True, nogil=True)
def _store(levels: Array, out: Array) -> None:
    """Round a row of ``levels``, channel by channel, into the picture: ``out`` (3 * COLUMNS,) uint8, RGB by turns."""
    for m in range(COLUMNS):
        out[3 * m] = np.uint8(np.int32(levels[m] + _HALF))
        out[3 * m + 1] = np.uint8(np.int32(levels[_GREEN + m] + _HALF))
        out[3 * m + 2] = np.uint8(np.int32(levels[_BLUE + m] + _HALF))


@njit(cache=True, nogil=True)
def _draw_lanes(state: State, out: Array, first: int, end: int) -> None:
    planes = np.zeros((ROWS + 2, PLANES), np.float32)
    sums = np.zeros(PLANES, np.float32)
    spans = np.zeros((2, 2), np.int64)
    levels = np.empty(3 * COLUMNS, np.float32)
    ground, colors = np.empty(_GROUND, np.float32), np.empty(9, np.float32)
    for lane in range(first, end):
        view = find_view(state, lane)
        lay_polygons(state, lane, view, planes, spans)
        ends = _lay_ground(view, ground)
        _lower_colors(state.colors[lane], colors)
        picture = out[lane].reshape(96, 3 * COLUMNS)
        for row in range(ROWS):
            kerbs, car = sum_row(planes, spans, row, sums)
            if ends:
                _lay_field(row, ground)
            _draw_ground(ground, row, colors, sums, levels)
            if kerbs:
                _draw_kerbs(sums, levels)
            if car:
                _draw_car(sums, levels)
            _store(levels, picture[row])
        planes[ROWS:] = _ZERO
        sums[:] = _ZERO
        draw_panel(state, lane, state.shown_reward[lane], picture[ROWS:])


@njit(cache=True, nogil=True, parallel=True)
def fast_frames(state: State, out: Array, shares: int) -> None:
    """Pictures of all lanes, as the observation shows them: ``out`` (lanes, 96, 96, 3) uint8; ``shares`` threads."""
    lanes = out.shape[0]
    if shares == 1:
        _draw_lanes(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _draw_lanes(state, out, lanes * share // shares, lanes * (share + 1) // shares)


@njit(cache=True, nogil=True)
def _classify_lanes(state: State, out: Array, first: int, end: int) -> None:
    planes = np.zeros((ROWS + 2, PLANES), np.float32)
    sums = np.zeros(PLANES, np.float32)
    spans = np.zeros((2, 2), np.int64)
    for lane in range(first, end):
        lay_polygons(state, lane, find_view(state, lane), planes, spans)
        for row in range(ROWS):
            sum_row(planes, spans, row, sums)
            for m in range(COLUMNS):
                car = sums[WHEEL + m] + sums[HULL_PLANE + m] >= _HALF
                kerb, road = sums[KERB + m] >= _HALF, sums[ROAD + m] >= _HALF
                out[lane, row, m] = 3 if car else 2 if kerb else 1 if road else 0
        planes[ROWS:] = _ZERO
        sums[:] = _ZERO
        out[lane, ROWS:] = 4


@njit(cache=True, nogil=True, parallel=True)
def segmentation_frames(state: State, out: Array, shares: int) -> None:
    """What covers most of every pixel: ``out`` (lanes, 96, 96) uint8, indices into SEGMENTATION_CLASSES.

    All that lies beside road, kerbs and car is grass, beyond the field too; rows 84 to 95 are the panel. ``shares``
    threads work on it.
    """
    lanes = out.shape[0]
    if shares == 1:
        _classify_lanes(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _classify_lanes(state, out, lanes * share // shares, lanes * (share + 1) // shares)

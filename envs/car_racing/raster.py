"""Exact pictures: what Gymnasium 1.4.0 draws of a CarRacing state, bit for bit.

The world is painted into a window of 1000x800 pixels, quad after quad in the original's order, and the window is
shrunk. A fill replaces what lies under it, so that a tile's outline is left out where the next tile will cover it.
Coordinates are float64 as in the original, those of the car float32 up to the window, and truncated there.
"""

import math

import numpy as np
from numba import njit, prange

from envs.batched import Array
from envs.car_racing import hud
from envs.car_racing.car import HULL, HULL_COUNTS, SIZE, WHEEL, WHEEL_HALF_WIDTH
from envs.car_racing.polygons import fill_polygon, fill_quad, outline_quad, thick_line
from envs.car_racing.state import CENTER_KERB, FIRST_ZOOM, GRASS_CELL, PLAYFIELD, SKID_LINES, ZOOM, State
from envs.car_racing.window import (
    COLUMNS,
    HEIGHT,
    QUEUED,
    WIDTH,
    Window,
    allocate_window,
    blend_pixels,
    clear,
    fill_spans,
    make_room,
    shrink,
)

_CAR_X, _CAR_Y = WIDTH / 2, HEIGHT / 4  # where the hull's origin is shown
_PANEL = 100  # window rows that the panel hides
_WORLD_ROWS = 84  # picture rows above the panel
_MARGIN = 2.0  # m by which a quad that is left out must miss the window

_BLACK, _STRIPE, _HULL, _MUD = 0, 0x4D4D4D, 0x0000CC, 0x006666  # 0xBBGGRR
_WHITE, _RED = 0xFFFFFF, 0x0000FF


@njit(cache=True, nogil=True)
def _find_view(state: State, lane: int, view: Array) -> None:
    """``view`` (5,): cosine and sine of the world's rotation, zoom, and the window's x and y of the world's origin."""
    angle = -np.float64(state.angle[lane, 0]) % (2 * math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    if (angle + 1e-6) % (0.5 * math.pi) < 2e-6:  # pygame's vectors turn exactly by right angles
        cosine, sine = np.rint(cosine), np.rint(sine)
    time = state.time[lane]
    zoom = FIRST_ZOOM * max(1 - time, 0.0) + ZOOM * min(time, 1.0)
    x, y = -np.float64(state.position[lane, 0, 0]) * zoom, -np.float64(state.position[lane, 0, 1]) * zoom
    view[0], view[1], view[2] = cosine, sine, zoom
    view[3], view[4] = _CAR_X + (cosine * x - sine * y), _CAR_Y + (sine * x + cosine * y)


@njit(cache=True, nogil=True)
def _project(view: Array, x: float, y: float, pixel: Array) -> None:
    """Write the window's pixel (2,) of a point of the world."""
    pixel[0] = int((view[0] * x - view[1] * y) * view[2] + view[3])
    pixel[1] = int((view[1] * x + view[0] * y) * view[2] + view[4])


@njit(cache=True, nogil=True)
def _pack(red: float, green: float, blue: float) -> int:
    """A colour 0xBBGGRR of levels, truncated."""
    return int(red) | int(green) << 8 | int(blue) << 16


@njit(cache=True, nogil=True)
def _paint_quads(window: Window, waiting: int) -> None:
    """Paint all quads of the queue but the last ``waiting``, without the outlines that those after them will cover."""
    ends, facts, covers = window.queue.ends, window.queue.facts, window.queue.covers
    while ends[1] - ends[0] > waiting:
        place = ends[0] % QUEUED
        corners, spans = window.queue.corners[place], window.queue.spans[place]
        color, low, high, count = facts[place, 0], facts[place, 1], facts[place, 2], facts[place, 3]
        covers[:, : high - low + 1] = spans[:, : high - low + 1]
        for later in range(ends[0] + 1, ends[1]):
            _extend(covers, low, high, window.queue.spans[later % QUEUED], facts[later % QUEUED])
        make_room(window)
        blend_pixels(window, outline_quad(corners, low, high, covers, window.pixels), color)
        fill_spans(window, spans, count, color)
        ends[0] += 1


@njit(cache=True, nogil=True)
def _extend(covers: Array, low: int, high: int, spans: Array, facts: Array) -> None:
    """Unite the spans ``covers`` of the rows from low to high with those of another quad where they overlap."""
    begin, end = max(low, facts[1]), min(high, facts[2]) + 1
    for k in range(end - begin):
        mine, others = np.uint64(begin - low + k), np.uint64(begin - facts[1] + k)
        left, right, its_left, its_right = covers[1, mine], covers[2, mine], spans[1, others], spans[2, others]
        overlap = left <= its_right and its_left <= right
        covers[1, mine] = min(left, its_left) if overlap else left
        covers[2, mine] = max(right, its_right) if overlap else right


@njit(cache=True, nogil=True)
def _add_quad(corners: Array, color: int, lowest: int, window: Window) -> None:
    """``gfxdraw.aapolygon`` and ``filled_polygon`` of ``corners`` (4, 2) int64, in the rows from ``lowest`` on.

    It is painted when those after it are known.
    """
    left = min(corners[0, 0], corners[1, 0], corners[2, 0], corners[3, 0])
    right = max(corners[0, 0], corners[1, 0], corners[2, 0], corners[3, 0])
    low = max(min(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1]), lowest)
    high = min(max(corners[0, 1], corners[1, 1], corners[2, 1], corners[3, 1]), HEIGHT - 1)
    if left >= WIDTH or right < 0 or low > high:
        return
    _paint_quads(window, QUEUED - 1)
    queue = window.queue
    place = queue.ends[1] % QUEUED
    queue.corners[place] = corners
    count = fill_quad(corners, low, high, queue.spans[place])
    queue.facts[place, 0], queue.facts[place, 1], queue.facts[place, 2], queue.facts[place, 3] = color, low, high, count
    queue.ends[1] += 1


@njit(cache=True, nogil=True)
def _draw_field(state: State, lane: int, view: Array, bounds: Array, lowest: int, window: Window) -> None:
    """Paint the background, its squares of grass, and black beyond the field."""
    background, grass = state.colors[lane, 1], state.colors[lane, 2]
    color = _pack(background[0], background[1], background[2])
    corners = np.empty((4, 2), np.int64)
    if bounds[0] > -PLAYFIELD and bounds[1] > -PLAYFIELD and bounds[2] < PLAYFIELD and bounds[3] < PLAYFIELD:
        clear(window, color)
    else:
        clear(window, _BLACK)
        _project(view, PLAYFIELD, PLAYFIELD, corners[0])
        _project(view, PLAYFIELD, -PLAYFIELD, corners[1])
        _project(view, -PLAYFIELD, -PLAYFIELD, corners[2])
        _project(view, -PLAYFIELD, PLAYFIELD, corners[3])
        _add_quad(corners, color, lowest, window)

    color = _pack(grass[0], grass[1], grass[2])
    for column in range(-20, 20, 2):
        x = GRASS_CELL * column
        if x > bounds[2] or x + GRASS_CELL < bounds[0]:
            continue
        for row in range(-20, 20, 2):
            y = GRASS_CELL * row
            if y > bounds[3] or y + GRASS_CELL < bounds[1]:
                continue
            _project(view, x + GRASS_CELL, y, corners[0])
            _project(view, x, y, corners[1])
            _project(view, x, y + GRASS_CELL, corners[2])
            _project(view, x + GRASS_CELL, y + GRASS_CELL, corners[3])
            _add_quad(corners, color, lowest, window)


@njit(cache=True, nogil=True)
def _draw_road(state: State, lane: int, view: Array, bounds: Array, lowest: int, window: Window) -> None:
    """Paint the tiles, each with its kerb, in the track's order."""
    corners = np.empty((4, 2), np.int64)
    edges, points = state.edges[lane], state.points[lane]  # a view a tile would count references, which threads share
    red, green, blue = state.colors[lane, 0, 0], state.colors[lane, 0, 1], state.colors[lane, 0, 2]
    for i in range(state.tiles[lane]):
        before = i - 1 if i > 0 else state.tiles[lane] - 1
        # the kerbs' outer edges are the corners that lie farthest out
        if (
            max(edges[i, 4], edges[i, 6], edges[before, 4], edges[before, 6]) < bounds[0]
            or max(edges[i, 5], edges[i, 7], edges[before, 5], edges[before, 7]) < bounds[1]
            or min(edges[i, 4], edges[i, 6], edges[before, 4], edges[before, 6]) > bounds[2]
            or min(edges[i, 5], edges[i, 7], edges[before, 5], edges[before, 7]) > bounds[3]
        ):
            continue
        shade = 0.01 * (i % 3) * 255 if state.shaded[lane, i] else 0.0
        _project(view, edges[i, 0], edges[i, 1], corners[0])
        _project(view, edges[i, 2], edges[i, 3], corners[1])
        _project(view, edges[before, 2], edges[before, 3], corners[2])
        _project(view, edges[before, 0], edges[before, 1], corners[3])
        _add_quad(corners, _pack(red + shade, green + shade, blue + shade), lowest, window)
        side = state.kerbs[lane, i]
        if side == CENTER_KERB:  # without width: only its outline shows
            for j in range(4):
                point = i if j < 2 else before
                _project(view, points[point, 1], points[point, 2], corners[j])
        elif side != 0:
            near = 0 if side < 0 else 2
            _project(view, edges[i, near], edges[i, near + 1], corners[0])
            _project(view, edges[i, near + 4], edges[i, near + 5], corners[1])
            _project(view, edges[before, near + 4], edges[before, near + 5], corners[2])
            _project(view, edges[before, near], edges[before, near + 1], corners[3])
        if side != 0:
            _add_quad(corners, _WHITE if i % 2 == 0 else _RED, lowest, window)


@njit(cache=True, nogil=True)
def _draw_part(state: State, lane: int, body: int, polygon: Array, view: Array, color: int, window: Window) -> None:
    """Paint a polygon (n, 2) float32 of a body."""
    corners = np.empty(polygon.shape, np.int64)
    x, y = state.position[lane, body]
    sine, cosine = state.rotation[lane, body]
    for i in range(polygon.shape[0]):
        _project(
            view,
            np.float64((cosine * polygon[i, 0] - sine * polygon[i, 1]) + x),
            np.float64((sine * polygon[i, 0] + cosine * polygon[i, 1]) + y),
            corners[i],
        )
    fill_spans(window, window.spans, fill_polygon(corners, window.spans), color)


@njit(cache=True, nogil=True)
def _draw_car(state: State, lane: int, view: Array, window: Window) -> None:
    """Paint the wheels, each with the stripe that shows its rolling, and the hull."""
    stripe = np.empty((4, 2), np.float32)
    for wheel in range(4):
        _draw_part(state, lane, 1 + wheel, WHEEL, view, _BLACK, window)
        phase = state.phase[lane, wheel]
        sine1, cosine1 = math.sin(phase), math.cos(phase)
        sine2, cosine2 = math.sin(phase + 1.2), math.cos(phase + 1.2)
        if sine1 > 0 and sine2 > 0:
            continue
        if sine1 > 0:
            cosine1 = np.sign(cosine1)
        if sine2 > 0:
            cosine2 = np.sign(cosine2)
        stripe[0, 0], stripe[1, 0], stripe[2, 0], stripe[3, 0] = (
            -WHEEL_HALF_WIDTH,
            WHEEL_HALF_WIDTH,
            WHEEL_HALF_WIDTH,
            -WHEEL_HALF_WIDTH,
        )
        stripe[0, 1] = stripe[1, 1] = 27 * cosine1 * SIZE
        stripe[2, 1] = stripe[3, 1] = 27 * cosine2 * SIZE
        _draw_part(state, lane, 1 + wheel, stripe, view, _STRIPE, window)
    for part in range(4):
        _draw_part(state, lane, 0, HULL[part, : HULL_COUNTS[part]], view, _HULL, window)


@njit(cache=True, nogil=True)
def _draw_skid_marks(state: State, lane: int, view: Array, window: Window) -> None:
    """Paint the newest skid marks, the oldest of them first."""
    ends = np.empty((2, 2), np.int64)
    for age in range(SKID_LINES):
        line = (state.skid_next[lane] + age) % SKID_LINES
        color = _MUD if state.skid_grass[lane, line] else _BLACK
        for i in range(1, state.skid_counts[lane, line]):
            for end in range(2):
                x, y = state.skid_points[lane, line, i - 1 + end]
                _project(view, np.float64(x), np.float64(y), ends[end])
            count = thick_line(ends[0, 0], ends[0, 1], ends[1, 0], ends[1, 1], window.spans)
            fill_spans(window, window.spans, count, color)


@njit(cache=True, nogil=True)
def draw_world(state: State, lane: int, lowest: int, skid_marks: bool, window: Window) -> None:
    """Paint what lies in the window's rows from ``lowest`` on; below, the rows are undefined."""
    view = np.empty(5)
    _find_view(state, lane, view)
    # smallest x, y and largest x, y of the world's points that the window shows
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for x in (0, WIDTH):
        for y in (0, HEIGHT):
            right, up = (x - view[3]) / view[2], (y - view[4]) / view[2]
            world_x, world_y = view[0] * right + view[1] * up, view[0] * up - view[1] * right
            bounds[0], bounds[1] = min(bounds[0], world_x - _MARGIN), min(bounds[1], world_y - _MARGIN)
            bounds[2], bounds[3] = max(bounds[2], world_x + _MARGIN), max(bounds[3], world_y + _MARGIN)
    _draw_field(state, lane, view, bounds, lowest, window)
    _draw_road(state, lane, view, bounds, lowest, window)
    _paint_quads(window, 0)
    if skid_marks:
        _draw_skid_marks(state, lane, view, window)
    _draw_car(state, lane, view, window)


@njit(cache=True, nogil=True)
def _draw_lanes(state: State, out: Array, first: int, end: int) -> None:
    window = allocate_window()
    panel = np.empty((COLUMNS - _WORLD_ROWS, 3 * COLUMNS), np.uint8)
    for lane in range(first, end):
        draw_world(state, lane, _PANEL, False, window)
        shrink(window, out[lane, :_WORLD_ROWS])
        hud.draw_panel(state, lane, state.shown_reward[lane], panel)
        out[lane, _WORLD_ROWS:] = panel.reshape((COLUMNS - _WORLD_ROWS, COLUMNS, 3))


@njit(cache=True, nogil=True, parallel=True)
def exact_frames(state: State, out: Array, shares: int) -> None:
    """Write the observation of every lane into ``out`` (lanes, 96, 96, 3) uint8, with ``shares`` threads."""
    lanes = out.shape[0]
    if shares == 1:
        _draw_lanes(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _draw_lanes(state, out, lanes * share // shares, lanes * (share + 1) // shares)

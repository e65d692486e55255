"""How much of every pixel road, kerbs and the parts of the car cover, computed straight at 96x96.

An edge that crosses a column of pixels adds the area beneath it to the column, from the edge's row on downwards, or
takes it away, by the sign of its direction along x. So the running sums down the columns of what all edges of a polygon
have added are the shares of the pixels that it covers. Road, kerbs and the car's parts have a plane of them each.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.car import HULL, HULL_COUNTS, WHEEL_HALF_WIDTH, WHEEL_RADIUS
from envs.car_racing.state import CAPACITY, FIRST_ZOOM, KERB_WIDTH, ROAD_HALF_WIDTH, ZOOM, State

ROWS, COLUMNS = 84, 96  # above the panel
# Where the planes lie in a row of all planes; shade is in levels, white a part of the kerbs. Rows are flat, and their
# parts are found by constants: the compiler then sees that they do not overlap, and turns loops into vectors.
ROAD, SHADE, KERB, WHITE, WHEEL, STRIPE, HULL_PLANE, PLANES = range(0, 8 * COLUMNS, COLUMNS)
KERBS, CAR = 0, 1  # rows of `spans`: the first and last row of the picture that kerbs and car touch
CAR_COLUMN, CAR_ROW = 48.0, 72.0  # where the hull's origin is drawn
_COLUMN_PIXELS, _ROW_PIXELS = 1000 / 96, 800 / 96  # window pixels
_OUTWARD = np.sign(HULL - np.array([[[0, corners[:, 1].mean()]] for corners in HULL]))  # (4, 8, 2): to grow the hull
_ZERO = np.float32(0)


class View(NamedTuple):
    """Where a lane's camera is: the car heads up, its origin at column CAR_COLUMN and row CAR_ROW."""

    x: float  # m: the hull's origin
    y: float
    sine: float  # of the hull's angle
    cosine: float
    across: float  # columns a metre
    along: float  # rows a metre
    margin: float  # m: half a window pixel, by which the original's polygons are wider to every side


@njit(cache=True, nogil=True)
def find_view(state: State, lane: int) -> View:
    """Where a lane's camera is now."""
    # window pixels a metre: the original zooms in during the first second
    zoom = FIRST_ZOOM * max(1.0 - state.time[lane], 0.0) + ZOOM * min(state.time[lane], 1.0)
    x, y = np.float64(state.position[lane, 0, 0]), np.float64(state.position[lane, 0, 1])
    angle = np.float64(state.angle[lane, 0])
    return View(x, y, math.sin(angle), math.cos(angle), zoom / _COLUMN_PIXELS, zoom / _ROW_PIXELS, 0.5 / zoom)


@njit(cache=True, nogil=True, inline="always")
def _project(view: View, x: float, y: float) -> tuple[float, float]:
    """Column and row of a point of the world."""
    dx, dy = x - view.x, y - view.y
    right, ahead = view.cosine * dx + view.sine * dy, view.cosine * dy - view.sine * dx
    return CAR_COLUMN + view.across * right, CAR_ROW - view.along * ahead


@njit(cache=True, nogil=True, error_model="numpy")
def _add_edge(
    planes: Array, plane: int, x0: float, y0: float, x1: float, y1: float, weight: float, second: float
) -> None:
    """Add the area below an edge from (x0, y0) to (x1, y1), column and row, to a plane, and to the plane after it.

    ``weight`` and ``second`` are the factors for either.
    """
    if x0 > x1:
        x0, y0, x1, y1, weight, second = x1, y1, x0, y0, -weight, -second
    if x1 <= 0.0 or x0 >= COLUMNS or x0 == x1 or (y0 >= ROWS and y1 >= ROWS):
        return
    slope = (y1 - y0) / (x1 - x0)
    x = max(x0, 0.0)
    y = y0 + slope * (x - x0)
    stop = min(x1, float(COLUMNS))
    column = int(x)
    at = plane + column
    both = second != 0.0
    while x < stop:
        column += 1
        x_next = float(column) if column < stop else stop
        y_next = y + slope * (x_next - x)
        width = x_next - x
        top, bottom = (y, y_next) if slope > 0.0 else (y_next, y)
        if top < 0.0 or bottom > ROWS:
            # All of a column lies below what of the edge is above the picture, nothing below what is beneath it.
            low, high = min(max(top, 0.0), float(ROWS)), min(max(bottom, 0.0), float(ROWS))
            above = width if bottom <= 0.0 else width * max(-top, 0.0) / (bottom - top)
            width = 0.0 if low == high else width * (high - low) / (bottom - top)
            planes[0, at] += weight * above
            if both:
                planes[0, at + COLUMNS] += second * above
            top, bottom = low, high
        row, last = int(top), int(bottom)
        covered = 0.0
        if row == last:
            covered = width * (row + 1 - 0.5 * (top + bottom))
            planes[row, at] += weight * covered
            if both:
                planes[row, at + COLUMNS] += second * covered
        else:
            # The area above row r's lower end, for an edge from `top` to `bottom`: width / height times the
            # integral of clip(r + 1 - y, 0, 1) over y.
            density = width / (bottom - top)
            while row <= last:
                since, beyond = row + 1 - top, max(row + 1 - bottom, 0.0)
                integral = since - 0.5 if since > 1.0 else 0.5 * since * since
                more = density * (integral - 0.5 * beyond * beyond) - covered
                planes[row, at] += weight * more
                if both:
                    planes[row, at + COLUMNS] += second * more
                covered += more
                row += 1
            row = last
        planes[row + 1, at] += weight * (width - covered)
        if both:
            planes[row + 1, at + COLUMNS] += second * (width - covered)
        x, y = x_next, y_next
        at += 1


@njit(cache=True, nogil=True)
def add_polygon(planes: Array, plane: int, corners: Array, weight: float, second: float, span: Array) -> None:
    """Add a polygon, ``corners`` (n, 2) clockwise in the picture, and widen ``span`` (2,), the rows touched."""
    n = len(corners)
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        _add_edge(planes, plane, corners[i, 0], corners[i, 1], corners[j, 0], corners[j, 1], weight, second)
        row = int(min(max(corners[i, 1], 0.0), float(ROWS)))
        span[0] = min(span[0], row)
        span[1] = max(span[1], row + 2)


@njit(cache=True, nogil=True)
def _find_near(view: View, boxes: Array, near: Array) -> None:
    """Which of the tiles in ``boxes`` (4, CAPACITY) may show, with their kerbs: ``near`` (CAPACITY,) bool."""
    # the picture's middle, and half of its size along the axes of the world
    ahead = (CAR_ROW - ROWS / 2) / view.along
    x, y = view.x - view.sine * ahead, view.y + view.cosine * ahead
    wide, high = COLUMNS / 2 / view.across, ROWS / 2 / view.along
    reach_x = abs(view.cosine) * wide + abs(view.sine) * high + KERB_WIDTH
    reach_y = abs(view.sine) * wide + abs(view.cosine) * high + KERB_WIDTH
    left, right = np.float32(x - reach_x), np.float32(x + reach_x)
    low, top = np.float32(y - reach_y), np.float32(y + reach_y)
    for i in range(CAPACITY):
        near[i] = (boxes[2, i] >= left) & (boxes[0, i] <= right) & (boxes[3, i] >= low) & (boxes[1, i] <= top)


@njit(cache=True, nogil=True)
def _project_road(state: State, lane: int, view: View, near: Array, points: Array) -> None:
    """The road's left and right edge at every tile of ``near`` and the tile before it: ``points`` (CAPACITY, 4).

    Tiles that turn out to lie outside the picture are taken out of ``near``.
    """
    n = state.tiles[lane]
    grow = 0.5 * view.margin / ROAD_HALF_WIDTH
    for i in range(n):
        if near[i] or near[i + 1 if i + 1 < n else 0]:
            edge = state.edges[lane, i]
            dx, dy = grow * (edge[2] - edge[0]), grow * (edge[3] - edge[1])
            points[i, 0], points[i, 1] = _project(view, edge[0] - dx, edge[1] - dy)
            points[i, 2], points[i, 3] = _project(view, edge[2] + dx, edge[3] + dy)
    kerb_columns, kerb_rows = KERB_WIDTH * view.across, KERB_WIDTH * view.along
    for i in range(n):
        if near[i]:
            here, there = points[i], points[i - 1 if i > 0 else n - 1]
            right = max(max(here[0], here[2]), max(there[0], there[2]))
            left = min(min(here[0], here[2]), min(there[0], there[2]))
            low = max(max(here[1], here[3]), max(there[1], there[3]))
            high = min(min(here[1], here[3]), min(there[1], there[3]))
            beside = (right <= -kerb_columns) | (left >= COLUMNS + kerb_columns)
            near[i] = not (beside | (low <= -kerb_rows) | (high >= ROWS + kerb_rows))


@njit(cache=True, nogil=True)
def _shade(color: float, shaded: bool, i: int) -> float:
    """By how many levels tile ``i`` is lighter than the road's ``color``, while it is untouched."""
    return float(math.floor(color + 2.55 * (i % 3)) - math.floor(color)) if shaded else 0.0


@njit(cache=True, nogil=True)
def _lay_road(state: State, lane: int, view: View, planes: Array, spans: Array) -> None:
    """Road and kerbs near the car. Edges between two tiles are left out of the road: their areas cancel."""
    n = state.tiles[lane]
    near = np.empty(CAPACITY, np.bool_)
    points = np.empty((CAPACITY, 4))
    _find_near(view, state.boxes[lane], near)
    _project_road(state, lane, view, near, points)
    corners = np.empty((4, 2))
    color = state.colors[lane, 0, 0]
    for i in range(n):
        if not near[i]:
            continue
        before, after = i - 1 if i > 0 else n - 1, i + 1 if i + 1 < n else 0
        lx, ly, rx, ry = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
        kx, ky, sx, sy = points[before, 0], points[before, 1], points[before, 2], points[before, 3]
        shade = _shade(color, state.shaded[lane, i], i)
        shade_before = _shade(color, state.shaded[lane, before], before)
        _add_edge(planes, ROAD, kx, ky, lx, ly, 1.0, shade)
        _add_edge(planes, ROAD, rx, ry, sx, sy, 1.0, shade)
        if not near[before]:
            _add_edge(planes, ROAD, sx, sy, kx, ky, 1.0, shade)
        elif shade != shade_before:
            _add_edge(planes, SHADE, sx, sy, kx, ky, shade - shade_before, 0.0)
        if not near[after]:
            _add_edge(planes, ROAD, lx, ly, rx, ry, 1.0, shade)

        side = state.kerbs[lane, i]
        if side == -1 or side == 1:  # one that has no width is left out
            inner, outer = (0, 4) if side < 0 else (2, 6)
            here, there = state.edges[lane, i], state.edges[lane, before]
            corners[0, 0], corners[0, 1] = _project(view, here[inner], here[inner + 1])
            corners[1, 0], corners[1, 1] = _project(view, here[outer], here[outer + 1])
            corners[2, 0], corners[2, 1] = _project(view, there[outer], there[outer + 1])
            corners[3, 0], corners[3, 1] = _project(view, there[inner], there[inner + 1])
            add_polygon(planes, KERB, corners, float(side), 0.0 if i % 2 else float(side), spans[KERBS])


@njit(cache=True, nogil=True)
def lay_car(state: State, lane: int, view: View, planes: Array, spans: Array) -> None:
    """Wheels, the white stripes that show them rolling, and hull, drawn in that order."""
    corners = np.empty((8, 2))
    margin = view.margin
    span = spans[CAR]
    for body in range(1, 5):
        x, y = state.position[lane, body, 0], state.position[lane, body, 1]
        sine, cosine = state.rotation[lane, body, 0], state.rotation[lane, body, 1]
        half = WHEEL_HALF_WIDTH + margin
        phase = state.phase[lane, body - 1]
        s1, c1, s2, c2 = math.sin(phase), math.cos(phase), math.sin(phase + 1.2), math.cos(phase + 1.2)
        low = -WHEEL_RADIUS - margin
        high = WHEEL_RADIUS + margin
        for part in range(2):
            if part == 1:
                if s1 > 0 and s2 > 0:
                    continue
                c1 = np.sign(c1) if s1 > 0 else c1
                c2 = np.sign(c2) if s2 > 0 else c2
                low = WHEEL_RADIUS * min(c1, c2) - margin
                high = WHEEL_RADIUS * max(c1, c2) + margin
            for k in range(4):  # clockwise from the front left
                across = half if k == 1 or k == 2 else -half
                along = high if k < 2 else low
                dx, dy = cosine * across - sine * along, sine * across + cosine * along
                corners[k, 0], corners[k, 1] = _project(view, x + dx, y + dy)
            add_polygon(planes, WHEEL + part * COLUMNS, corners[:4], 1.0, 0.0, span)

    x, y = state.position[lane, 0, 0], state.position[lane, 0, 1]
    sine, cosine = state.rotation[lane, 0, 0], state.rotation[lane, 0, 1]
    for part in range(4):
        n = HULL_COUNTS[part]
        for k in range(n):
            across = HULL[part, k, 0] + margin * _OUTWARD[part, k, 0]
            along = HULL[part, k, 1] + margin * _OUTWARD[part, k, 1]
            dx, dy = cosine * across - sine * along, sine * across + cosine * along
            corners[k, 0], corners[k, 1] = _project(view, x + dx, y + dy)
        add_polygon(planes, HULL_PLANE, corners[:n], -1.0, 0.0, span)


@njit(cache=True, nogil=True)
def lay_polygons(state: State, lane: int, view: View, planes: Array, spans: Array) -> None:
    """All polygons of a lane into ``planes`` (ROWS + 2, PLANES) float32, which are zero; spans (2, 2) int64."""
    spans[:, 0], spans[:, 1] = ROWS, 0
    _lay_road(state, lane, view, planes, spans)
    lay_car(state, lane, view, planes, spans)


@njit(cache=True, nogil=True)
def _sum_down(first: int, end: int, row: Array, sums: Array) -> None:
    """Add the planes from ``first`` to ``end`` of a ``row`` (PLANES,) to ``sums`` (PLANES,), and clear them."""
    for m in range(first, end):
        sums[m] += row[m]
        row[m] = _ZERO


@njit(cache=True, nogil=True)
def sum_row(planes: Array, spans: Array, row: int, sums: Array) -> tuple[bool, bool]:
    """Bring ``sums`` (PLANES,), the shares that are covered, to ``row``, and clear that row of the planes.

    To be called with all rows of a picture from above; returns whether there may be kerbs and car in this one.
    """
    kerbs = spans[KERBS, 0] <= row <= spans[KERBS, 1]
    car = spans[CAR, 0] <= row <= spans[CAR, 1]
    _sum_down(ROAD, KERB, planes[row], sums)
    if kerbs:
        _sum_down(KERB, WHEEL, planes[row], sums)
    if car:
        _sum_down(WHEEL, PLANES, planes[row], sums)
    return kerbs, car

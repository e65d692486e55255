"""Which tiles the car touches, decided as Box2D 2.3 decides it, and what a first touch pays.

Box2D measures the distance of two polygons in float32 by the algorithm of Gilbert, Johnson & Keerthi (1988), and takes
them for touching when their rounded skins do. `overlap` repeats that operation by operation. Few pairs need it: most
are separated by an edge of the tile, or have a corner within the tile, by more than float32 can be wrong about.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.car import HULL, HULL_COUNTS, WHEEL
from envs.car_racing.state import State

# The car's polygons, as the bits of `State.touching` count them: four wheels, then the four of the hull.
POLYGONS = np.concatenate([np.pad(np.stack([WHEEL] * 4), ((0, 0), (0, 4), (0, 0)), mode="edge"), HULL])  # (8, 8, 2)
COUNTS = np.concatenate([np.full(4, 4), HULL_COUNTS])  # (8,): corners of each; the last one is repeated up to 8
BODIES = np.array([1, 2, 3, 4, 0, 0, 0, 0])  # (8,)
WHEELS = 0b1111  # bits of the wheels
MIDDLES = np.stack([corners[:count].mean(0) for corners, count in zip(POLYGONS, COUNTS, strict=True)])  # (8, 2)
EPSILON = np.finfo(np.float32).eps
SKIN = np.float32(0.01) + np.float32(0.01)  # m, around two polygons
TOUCHING = np.float32(10) * EPSILON  # m between skins
MARGIN = np.float32(0.001)  # m; float32 is exact to 3e-5 where the field ends
CLEAR = SKIN + MARGIN  # m between polygons that certainly do not touch
FAR = np.sqrt(((POLYGONS - MIDDLES[:, None]) ** 2).sum(-1)).max(-1) + CLEAR  # (8,) m; the same from their middles
HULL_REACH = np.sqrt((HULL**2).sum(-1)).max() + CLEAR  # m; the same from the hull's origin
WHEEL_REACH = np.sqrt((WHEEL**2).sum(-1)).max() + CLEAR
BLOCK = 32  # boxes that are compared together; CAPACITY is a multiple

_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _furthest(corners: Array, count: int, x: float, y: float) -> int:
    """Index of the corner of ``corners`` (count, 2) that lies furthest in the direction x, y; of equals the first."""
    best = 0
    best_value = corners[0, 0] * x + corners[0, 1] * y
    for i in range(1, count):
        value = corners[i, 0] * x + corners[i, 1] * y
        if value > best_value:
            best, best_value = i, value
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _difference(tile: Array, i: int, polygon: Array, k: int, position: Array, rotation: Array) -> tuple:
    """Corner k of the polygon minus corner i of the tile, the latter, the former (x, y each), the pair's name."""
    sine, cosine = rotation[0], rotation[1]
    x = (cosine * polygon[k, 0] - sine * polygon[k, 1]) + position[0]
    y = (sine * polygon[k, 0] + cosine * polygon[k, 1]) + position[1]
    return x - tile[i, 0], y - tile[i, 1], tile[i, 0], tile[i, 1], x, y, 8 * i + k


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest_of_two(p: tuple, q: tuple) -> tuple:
    """The part of the segment p, q nearest to the origin: number of points, the points, their weights."""
    edge_x, edge_y = q[0] - p[0], q[1] - p[1]
    weight_q = -(p[0] * edge_x + p[1] * edge_y)
    if weight_q <= 0:
        return 1, p, q, _ONE, _ZERO
    weight_p = q[0] * edge_x + q[1] * edge_y
    if weight_p <= 0:
        return 1, q, q, _ONE, _ZERO
    scale = _ONE / (weight_p + weight_q)
    return 2, p, q, weight_p * scale, weight_q * scale


@njit(cache=True, nogil=True, error_model="numpy")
def _nearest_of_three(p: tuple, q: tuple, r: tuple) -> tuple:
    """The same of the triangle p, q, r; 3 points if the origin is within, whose weights nobody needs."""
    pq_x, pq_y = q[0] - p[0], q[1] - p[1]
    pr_x, pr_y = r[0] - p[0], r[1] - p[1]
    qr_x, qr_y = r[0] - q[0], r[1] - q[1]
    p_to_q, q_to_p = -(p[0] * pq_x + p[1] * pq_y), q[0] * pq_x + q[1] * pq_y
    p_to_r, r_to_p = -(p[0] * pr_x + p[1] * pr_y), r[0] * pr_x + r[1] * pr_y
    q_to_r, r_to_q = -(q[0] * qr_x + q[1] * qr_y), r[0] * qr_x + r[1] * qr_y
    # signed areas between the origin and each edge: negative beyond the edge opposite to the corner
    area = pq_x * pr_y - pq_y * pr_x
    area_p = area * (q[0] * r[1] - q[1] * r[0])
    area_q = area * (r[0] * p[1] - r[1] * p[0])
    area_r = area * (p[0] * q[1] - p[1] * q[0])
    if p_to_q <= 0 and p_to_r <= 0:
        return 1, p, p, _ONE, _ZERO
    if q_to_p > 0 and p_to_q > 0 and area_r <= 0:
        scale = _ONE / (q_to_p + p_to_q)
        return 2, p, q, q_to_p * scale, p_to_q * scale
    if r_to_p > 0 and p_to_r > 0 and area_q <= 0:
        scale = _ONE / (r_to_p + p_to_r)
        return 2, p, r, r_to_p * scale, p_to_r * scale
    if q_to_p <= 0 and q_to_r <= 0:
        return 1, q, q, _ONE, _ZERO
    if r_to_p <= 0 and r_to_q <= 0:
        return 1, r, r, _ONE, _ZERO
    if r_to_q > 0 and q_to_r > 0 and area_p <= 0:
        scale = _ONE / (r_to_q + q_to_r)
        return 2, r, q, q_to_r * scale, r_to_q * scale
    return 3, p, q, _ZERO, _ZERO


@njit(cache=True, nogil=True, error_model="numpy")
def overlap(tile: Array, polygon: Array, count: int, position: Array, rotation: Array) -> bool:
    """Whether the skins of ``tile`` (4, 2) and of a body's ``polygon`` (count, 2) touch.

    Goes from corner to corner of the two polygons' difference towards the origin, all in float32.
    """
    p = q = r = _difference(tile, 0, polygon, 0, position, rotation)
    corners, weight_p, weight_q = 1, _ONE, _ZERO
    for _ in range(20):
        known, known_p, known_q, known_r = corners, p[6], q[6], r[6]
        if corners == 2:
            corners, p, q, weight_p, weight_q = _nearest_of_two(p, q)
        elif corners == 3:
            corners, p, q, weight_p, weight_q = _nearest_of_three(p, q, r)
            if corners == 3:
                return True
        # direction from the nearest point to the origin
        if corners == 1:
            x, y = -p[0], -p[1]
        else:
            x, y = q[0] - p[0], q[1] - p[1]
            if x * -p[1] - y * -p[0] > 0:
                x, y = -y, x
            else:
                x, y = y, -x
        if x * x + y * y < EPSILON * EPSILON:
            break
        i = _furthest(tile, 4, -x, -y)
        k = _furthest(polygon, count, rotation[1] * x + rotation[0] * y, -rotation[0] * x + rotation[1] * y)
        vertex = _difference(tile, i, polygon, k, position, rotation)
        name = vertex[6]
        if name == known_p or (known > 1 and name == known_q) or (known > 2 and name == known_r):
            break
        if corners == 1:
            q = vertex
        else:
            r = vertex
        corners += 1
    if corners == 3:
        return True
    x, y = p[2] - p[4], p[3] - p[5]
    if corners == 2:
        x = (weight_p * p[2] + weight_q * q[2]) - (weight_p * p[4] + weight_q * q[4])
        y = (weight_p * p[3] + weight_q * q[3]) - (weight_p * p[5] + weight_q * q[5])
    distance = math.sqrt(x * x + y * y)
    return bool(distance <= SKIN or distance - SKIN < TOUCHING)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _inward(tile: Array, e: int, origin: Array) -> tuple[float, float, float]:
    """a, b, c of edge ``e``: a point lies a x + b y + c (m) inward of it, x and y relative to ``origin``."""
    x, y = tile[e, 0], tile[e, 1]
    edge_x, edge_y = tile[(e + 1) & 3, 0] - x, tile[(e + 1) & 3, 1] - y
    # an edge without length (a tile of three corners) decides nothing
    scale = _ONE / max(np.float32(math.sqrt(edge_x * edge_x + edge_y * edge_y)), EPSILON)
    a, b = -edge_y * scale, edge_x * scale
    return a, b, a * (origin[0] - x) + b * (origin[1] - y)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _depths(edges: tuple, x: float, y: float) -> tuple[float, float, float, float]:
    """How far a point lies inward of each of the four edges."""
    (a0, b0, c0), (a1, b1, c1), (a2, b2, c2), (a3, b3, c3) = edges
    return a0 * x + b0 * y + c0, a1 * x + b1 * y + c1, a2 * x + b2 * y + c2, a3 * x + b3 * y + c3


@njit(cache=True, nogil=True, error_model="numpy")
def _touches(tile: Array, edges: tuple, p: int, position: Array, rotation: Array) -> bool:
    """Whether polygon ``p`` touches ``tile`` (4, 2): by its middle or its corners if they tell, else by `overlap`."""
    body = BODIES[p]
    sine, cosine = rotation[body, 0], rotation[body, 1]
    shift_x, shift_y = position[body, 0] - position[0, 0], position[body, 1] - position[0, 1]
    x = cosine * MIDDLES[p, 0] - sine * MIDDLES[p, 1] + shift_x
    y = sine * MIDDLES[p, 0] + cosine * MIDDLES[p, 1] + shift_y
    d0, d1, d2, d3 = _depths(edges, x, y)
    depth = min(min(d0, d1), min(d2, d3))
    if depth > MARGIN or depth < -FAR[p]:
        return depth > MARGIN
    deepest0 = deepest1 = deepest2 = deepest3 = -FAR[p]
    for k in range(COUNTS[p]):
        x = cosine * POLYGONS[p, k, 0] - sine * POLYGONS[p, k, 1] + shift_x
        y = sine * POLYGONS[p, k, 0] + cosine * POLYGONS[p, k, 1] + shift_y
        d0, d1, d2, d3 = _depths(edges, x, y)
        if min(min(d0, d1), min(d2, d3)) > MARGIN:
            return True
        deepest0, deepest1 = max(deepest0, d0), max(deepest1, d1)
        deepest2, deepest3 = max(deepest2, d2), max(deepest3, d3)
    if min(min(deepest0, deepest1), min(deepest2, deepest3)) < -CLEAR:
        return False  # all corners lie beyond one edge
    return overlap(tile, POLYGONS[p], COUNTS[p], position[body], rotation[body])


@njit(cache=True, nogil=True, error_model="numpy")
def _touched(tile: Array, position: Array, rotation: Array) -> int:
    """The bits of the car's polygons that touch ``tile`` (4, 2)."""
    origin = position[0]
    edges = _inward(tile, 0, origin), _inward(tile, 1, origin), _inward(tile, 2, origin), _inward(tile, 3, origin)
    bits = 0
    for p in range(8):
        bits |= _touches(tile, edges, p, position, rotation) << p
    return bits


@njit(cache=True, nogil=True, error_model="numpy")
def _bound_car(position: Array) -> tuple[float, float, float, float]:
    """Smallest x, y and largest x, y of circles around the bodies at ``position`` (5, 2)."""
    x, y = position[0]
    left, bottom, right, top = x - HULL_REACH, y - HULL_REACH, x + HULL_REACH, y + HULL_REACH
    for wheel in range(1, 5):
        x, y = position[wheel]
        left, bottom = min(left, x - WHEEL_REACH), min(bottom, y - WHEEL_REACH)
        right, top = max(right, x + WHEEL_REACH), max(top, y + WHEEL_REACH)
    return left, bottom, right, top


@njit(cache=True, nogil=True, error_model="numpy")
def _some_near(boxes: Array, touching: Array, start: int, left: float, bottom: float, right: float, top: float) -> bool:
    """Whether any box of the block at ``start`` meets the car's, or its tile was touched until now."""
    end = start + BLOCK
    lefts, bottoms, rights, tops = boxes[0, start:end], boxes[1, start:end], boxes[2, start:end], boxes[3, start:end]
    touched = touching[start:end]
    count = 0
    for i in range(BLOCK):
        across = (lefts[i] < right) & (rights[i] > left)
        along = (bottoms[i] < top) & (tops[i] > bottom)
        count += across & along | (touched[i] != 0)
    return count > 0


@njit(cache=True, nogil=True, error_model="numpy")
def _touch_tiles(
    lane: int,
    tiles: Array,
    positions: Array,
    rotations: Array,
    boxes: Array,
    sensors: Array,
    touching: Array,
    shaded: Array,
    visited: Array,
) -> tuple[int, int, int, bool]:
    """Bring ``touching, shaded, visited`` (N or more,) of one lane up to date.

    Takes the arrays one by one: numba counts references to every view that is taken of a named tuple's.

    Returns:
        Number of tiles visited for the first time; bits of the polygons on any tile; bits of those that came to touch
        the first tile; whether that was visited for the first time.
    """
    position, rotation, boxes, sensors = positions[lane], rotations[lane], boxes[lane], sensors[lane]
    touching, shaded, visited = touching[lane], shaded[lane], visited[lane]
    left, bottom, right, top = _bound_car(position)
    visits, on_road, begun_at_start, first_at_start = 0, 0, 0, False
    for start in range(0, tiles[lane], BLOCK):
        if not _some_near(boxes, touching, start, left, bottom, right, top):
            continue
        for i in range(start, min(start + BLOCK, tiles[lane])):
            near = boxes[0, i] < right and boxes[2, i] > left and boxes[1, i] < top and boxes[3, i] > bottom
            if not near and touching[i] == 0:
                continue
            now = _touched(sensors[i], position, rotation) if near else 0
            begun = now & ~touching[i]
            first = (begun & WHEELS != 0) & (not visited[i])
            touching[i] = now
            # the end of a contact takes the shade too, but its beginning has already done so
            shaded[i] &= begun == 0
            visited[i] |= first
            visits += first
            on_road |= now
            if i == 0:
                begun_at_start, first_at_start = begun, first
    return visits, on_road, begun_at_start, first_at_start


@njit(cache=True, nogil=True, error_model="numpy")
def update_contacts(state: State, lane: int, lap_complete_percent: float, fixed_rule: bool) -> None:
    """Find what the car touches where it stands now, and pay 1000 / N for every tile that a wheel visits first.

    Args:
        lap_complete_percent: the share of visited tiles from which a lap counts as complete.
        fixed_rule: test it whenever a wheel comes to touch the first tile. Otherwise as Gymnasium 1.4.0 does: only
            when the first tile is visited for the first time, at the start of the episode, so that no lap ever counts.
    """
    tiles = state.tiles[lane]
    visits, on_road, begun_at_start, first_at_start = _touch_tiles(
        lane,
        state.tiles,
        state.position,
        state.rotation,
        state.boxes,
        state.sensors,
        state.touching,
        state.shaded,
        state.visited,
    )
    state.visits[lane] += visits
    for _ in range(visits):  # not in one: the original rounds after every tile
        state.reward[lane] += 1000.0 / tiles
    for wheel in range(4):
        state.grip[lane, wheel] = on_road >> wheel & 1 != 0
    # after all tiles of this step: Box2D reports the newest contacts first, at a new environment's start the first
    # tile's last (at later resets the order depends on what its memory held; it matters for percentages below 0.01)
    lap_test = begun_at_start & WHEELS != 0 if fixed_rule else first_at_start
    state.new_lap[lane] |= lap_test and state.visits[lane] / tiles > lap_complete_percent

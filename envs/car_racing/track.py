"""Compiled generation of CarRacing's random tracks, bit-equal to Gymnasium 1.4.0's for the same generator.

A track is walked from checkpoint to checkpoint around the centre of the field; the lap that closes best upon itself
becomes N points, and the quads between neighbouring points its tiles.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.state import CAPACITY, CENTER_KERB, KERB_WIDTH, ROAD_HALF_WIDTH, SCALE, TILE_LENGTH, State
from envs.rng import integers, uniform

CHECKPOINTS = 12
RADIUS = 900 / SCALE  # m, of the circle that the checkpoints disturb
START_ANGLE = 2 * math.pi * -0.5 / CHECKPOINTS  # rad; a lap begins where its points pass this angle about the centre
TURN_RATE = 0.31  # rad, the largest turn between two points
WALK_LENGTH = 2500  # points after which a walk is given up
KERB_RUN = 4  # turns in a row that make a kerb


@njit(cache=True, nogil=True)
def default_colors(state: State, lane: int) -> None:
    """The original's gray road between two greens."""
    state.colors[lane, 0] = 102.0
    state.colors[lane, 1:, 0] = 102.0
    state.colors[lane, 1, 1] = 204.0
    state.colors[lane, 2, 1] = 230.0
    state.colors[lane, 1:, 2] = 102.0


@njit(cache=True, nogil=True)
def draw_colors(state: State, lane: int, rng: Array) -> None:
    """Random colours: road and background, and grass that differs from the background in one channel by 20."""
    for surface in range(2):
        for channel in range(3):
            state.colors[lane, surface, channel] = uniform(rng, 0.0, 210.0)
    state.colors[lane, 2] = state.colors[lane, 1]
    state.colors[lane, 2, integers(rng, 3)] += 20.0


@njit(cache=True, nogil=True)
def _draw_checkpoints(checkpoints: Array, rng: Array) -> None:
    """Draw ``checkpoints`` (12, 3): angle about the centre, x, y."""
    for c in range(CHECKPOINTS):
        angle = 2 * math.pi * c / CHECKPOINTS + uniform(rng, 0.0, 2 * math.pi * 1 / CHECKPOINTS)
        radius = uniform(rng, RADIUS / 3, RADIUS)
        if c == 0 or c == CHECKPOINTS - 1:
            angle = 2 * math.pi * c / CHECKPOINTS
            radius = 1.5 * RADIUS
        checkpoints[c, 0] = angle
        checkpoints[c, 1] = radius * math.cos(angle)
        checkpoints[c, 2] = radius * math.sin(angle)


@njit(cache=True, nogil=True)
def _walk(checkpoints: Array, path: Array) -> int:
    """Write five laps of points to ``path`` (points, 4): angle about the centre, beta, x, y; return their number."""
    x, y, beta = 1.5 * RADIUS, 0.0, 0.0
    target = 0
    laps = 0
    seen_other_side = False
    for i in range(WALK_LENGTH):
        angle = math.atan2(y, x)
        if seen_other_side and angle > 0:
            laps += 1
            seen_other_side = False
        if angle < 0:
            seen_other_side = True
            angle += 2 * math.pi
        while angle > checkpoints[target, 0]:
            target += 1
            if target == CHECKPOINTS:
                target = 0
                angle -= 2 * math.pi
        right_x, right_y = math.cos(beta), math.sin(beta)
        # distance of the checkpoint to the right, in units of the track
        aside = right_x * (checkpoints[target, 1] - x) + right_y * (checkpoints[target, 2] - y)
        while beta - angle > 1.5 * math.pi:
            beta -= 2 * math.pi
        while beta - angle < -1.5 * math.pi:
            beta += 2 * math.pi
        beta_before = beta
        aside *= SCALE
        if aside > 0.3:
            beta -= min(TURN_RATE, abs(0.001 * aside))
        if aside < -0.3:
            beta += min(TURN_RATE, abs(0.001 * aside))
        x += -right_y * TILE_LENGTH
        y += right_x * TILE_LENGTH
        path[i, 0] = angle
        path[i, 1] = beta_before * 0.5 + beta * 0.5
        path[i, 2] = x
        path[i, 3] = y
        if laps > 4:
            return i + 1
    return WALK_LENGTH


@njit(cache=True, nogil=True)
def _find_lap(path: Array, length: int) -> tuple[int, int]:
    """First index and number of points of the last whole lap in ``path``; 0 points if it does not close."""
    first, end = -1, -1
    for i in range(1, length):
        if path[i, 0] > START_ANGLE and path[i - 1, 0] <= START_ANGLE:
            first, end = end, i
    if first < 0:
        return 0, 0
    last = end - 2  # the original leaves out the point before the start too
    gap_x = math.cos(path[first, 1]) * (path[first, 2] - path[last, 2])
    gap_y = math.sin(path[first, 1]) * (path[first, 3] - path[last, 3])
    if math.sqrt(gap_x * gap_x + gap_y * gap_y) > TILE_LENGTH:
        return 0, 0
    return first, last - first + 1


@njit(cache=True, nogil=True)
def _find_kerbs(beta: Array, kerbs: Array) -> None:
    """Mark in ``kerbs`` (N,) the inner side of bends (-1 left, 1 right) whose last four turns were hard.

    Negative indices wrap around the seam. A bend there hands its kerb on to three more tiles, straight ones too:
    where a tile does not turn at all, its kerb is CENTER_KERB, without width and on the centre line.
    """
    tiles = beta.shape[0]
    for i in range(tiles):
        lefts, rights = 0, 0
        for n in range(KERB_RUN):
            turn = beta[i - n] - beta[i - n - 1]
            lefts += turn > TURN_RATE * 0.2
            rights += turn < -TURN_RATE * 0.2
        kerbs[i] = lefts == KERB_RUN or rights == KERB_RUN
    for i in range(tiles):
        for n in range(KERB_RUN):
            kerbs[i - n] |= kerbs[i]
    for i in range(tiles):
        if kerbs[i]:
            side = np.sign(beta[i - 1] - beta[i])
            kerbs[i] = side if side else CENTER_KERB


@njit(cache=True, nogil=True)
def _lay_edges(points: Array, edges: Array) -> None:
    """Edges (N, 8) of the road and of its kerbs beside ``points`` (N, 3)."""
    for i in range(points.shape[0]):
        x, y = points[i, 1], points[i, 2]
        right_x, right_y = math.cos(points[i, 0]), math.sin(points[i, 0])
        edges[i, 0] = x - ROAD_HALF_WIDTH * right_x
        edges[i, 1] = y - ROAD_HALF_WIDTH * right_y
        edges[i, 2] = x + ROAD_HALF_WIDTH * right_x
        edges[i, 3] = y + ROAD_HALF_WIDTH * right_y
        edges[i, 4] = x - (ROAD_HALF_WIDTH + KERB_WIDTH) * right_x
        edges[i, 5] = y - (ROAD_HALF_WIDTH + KERB_WIDTH) * right_y
        edges[i, 6] = x + (ROAD_HALF_WIDTH + KERB_WIDTH) * right_x
        edges[i, 7] = y + (ROAD_HALF_WIDTH + KERB_WIDTH) * right_y


@njit(cache=True, nogil=True)
def _wrap_corners(quad: Array, corners: Array) -> None:
    """Write the convex hull of ``quad`` (4, 2) to ``corners`` (4, 2) as Box2D orders a polygon.

    It starts at the largest x (of equal ones at the smallest y) and goes counter-clockwise. The tile at the seam can be
    twisted (26 of 100,000 tracks), even to a hull of three corners (2 of 100,000): the last one is then repeated, which
    changes no distance. (Box2D's welding of near points never applies: no side in those tracks is shorter than 1.4 m.)
    """
    start = 0
    for i in range(1, 4):
        if quad[i, 0] > quad[start, 0] or (quad[i, 0] == quad[start, 0] and quad[i, 1] < quad[start, 1]):
            start = i
    here = start
    for count in range(4):
        corners[count, 0] = quad[here, 0]
        corners[count, 1] = quad[here, 1]
        # gift wrapping: the next corner has all others on its left
        following = 0 if here != 0 else 1
        for i in range(following + 1, 4):
            to_x, to_y = quad[following, 0] - quad[here, 0], quad[following, 1] - quad[here, 1]
            x, y = quad[i, 0] - quad[here, 0], quad[i, 1] - quad[here, 1]
            if to_x * y - to_y * x < 0:
                following = i
        here = following if following != start else here


@njit(cache=True, nogil=True)
def _lay_sensors(edges: Array, sensors: Array, boxes: Array) -> None:
    """Tiles' corners (N, 4, 2) and bounds (4, N or more) between ``edges`` (N, 8)."""
    quad = np.empty((4, 2), np.float32)
    for i in range(edges.shape[0]):
        for axis in range(2):
            quad[0, axis] = edges[i, axis]
            quad[1, axis] = edges[i, 2 + axis]
            quad[2, axis] = edges[i - 1, 2 + axis]
            quad[3, axis] = edges[i - 1, axis]
            boxes[axis, i] = min(quad[0, axis], quad[1, axis], quad[2, axis], quad[3, axis])
            boxes[2 + axis, i] = max(quad[0, axis], quad[1, axis], quad[2, axis], quad[3, axis])
        _wrap_corners(quad, sensors[i])


@njit(cache=True, nogil=True)
def make_track(state: State, lane: int, rng: Array) -> None:
    """Draw tracks from the generator's row ``rng`` (6,) until one closes; the lane's tiles are then untouched.

    Tracks have 212 to 394 tiles (100,000 seeds). One that had more than a lane has room for would be drawn again.
    """
    checkpoints = np.empty((CHECKPOINTS, 3))
    path = np.empty((WALK_LENGTH, 4))
    first, tiles = 0, 0
    while tiles == 0 or tiles > CAPACITY:
        _draw_checkpoints(checkpoints, rng)
        first, tiles = _find_lap(path, _walk(checkpoints, path))
    state.tiles[lane] = tiles
    state.points[lane, :tiles] = path[first : first + tiles, 1:]
    _find_kerbs(state.points[lane, :tiles, 0], state.kerbs[lane, :tiles])
    _lay_edges(state.points[lane, :tiles], state.edges[lane, :tiles])
    _lay_sensors(state.edges[lane, :tiles], state.sensors[lane, :tiles], state.boxes[lane])
    state.boxes[lane, :, tiles:] = np.nan  # nothing overlaps an unused slot
    state.touching[lane] = 0
    state.shaded[lane] = True
    state.visited[lane] = False
    state.visits[lane] = 0
    state.grip[lane] = False
    state.new_lap[lane] = False

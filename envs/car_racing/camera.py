"""What sensors on the car see: a driver's camera, and ALVINN's retina of a camera and a range finder.

The ground is the plane z = 0 with the track's own quadrilaterals on it. A sensor stands `SENSOR_HEIGHT` above the
origin of the hull's body and looks along the hull's heading. In the car's frame a point of the ground has a
`lateral` coordinate (m, to the right) and a `forward` one (m).

A pinhole camera that does not roll sees, along one line of its picture, ground of one forward distance. So a picture
is scanned line by line: grass is looked up at every sample, and road and kerbs, in the order in which the track was
built, are spans between the sides of their quadrilaterals. Neighbours share those sides' arithmetic: no sample falls
between them. Lines near the horizon, which cover much ground, are means of several scans; and where a scan steps over
the kerbs' stripes or the squares of the grass, these fade to their mean colour instead of flickering.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from envs.batched import Array
from envs.car_racing.state import CAPACITY, GRASS_CELL, TILE_LENGTH, State

SENSOR_HEIGHT = 3.0  # m, as on the roof of a van; the hull is 5 m long
DRIVER_SHAPE = (66, 200)  # rows and columns of PilotNet's input (Bojarski et al. 2016, figure 4)
DRIVER_VIEW = math.radians(80)  # from the first to the last column
DRIVER_HORIZON = 14  # rows of sky; the camera so looks 9 degrees down and sees the ground from 6.6 m on
ALVINN_SHAPE = (30, 32)  # camera of Pomerleau (1989), which tells neither mounting nor lens
ALVINN_VIEW = math.radians(60)
ALVINN_HORIZON = 6
ALVINN_SAMPLES = 4  # across and along every pixel, which is the mean of its patch
RANGE_SHAPE = (8, 32)  # beams of the range finder, elevations and azimuths (Pomerleau 1989)
RANGE_VIEW = math.radians(80)  # from the first azimuth to the last
RANGE_DEPRESSIONS = (math.radians(3), math.radians(33))  # of the first row of beams and of the last

SKY_COLOR = (135, 206, 235)
BACKGROUND, SQUARE, ROAD, KERB, SKY = 0, 1, 2, 5, 7  # what a scan meets; + shade of the road, + 1 for red kerbs
MATERIALS = 8
CLASSES = np.array([0, 0, 1, 1, 1, 2, 2, 5], np.uint8)  # grass, road, kerb and sky in `segmentation`
GREEN = 1


class Camera(NamedTuple):
    """The rays of a camera: row ``r`` of a picture is the mean of the scans ``starts[r]`` to ``starts[r + 1] - 1``."""

    starts: Array  # (rows + 1,) int64; rows of sky have no scan
    forward: Array  # (scans,) float64, m, descending: distance of the ground
    step: Array  # (scans,) float64, m: from one column's ground to the next one's
    stripes: Array  # (scans,) float64 in [0, 1]: contrast of the kerbs' stripes
    squares: Array  # (scans,) float64 in [0, 1]: contrast of the grass's squares
    lens: Array  # (4,) float64: focal length and rows from horizon to axis, px; sine and cosine of the downward pitch
    density: Array  # (3,) float64: scans a row near the horizon, scans a row farther down, number of the former rows


def _camera(shape: tuple[int, int], horizon: int, view: float, across: int, density: tuple[int, int, int]) -> Camera:
    """Rays of a camera with `across` samples in each column and scans of that `density`.

    Lengths in the picture are in pixels; rows are counted from the horizon.
    """
    many, few, rows = density
    samples = np.repeat([0, many, few], [horizon, rows, shape[0] - horizon - rows])
    row = np.concatenate([r + (np.arange(n) + 0.5) / n for r, n in enumerate(samples)]) - horizon
    focal, axis = shape[1] / 2 / math.tan(view / 2), shape[0] / 2 - horizon
    pitch = math.atan(axis / focal)
    sine, cosine = math.sin(pitch), math.cos(pitch)
    # the ray (column, row - axis, focal), pitched, meets the ground at this multiple of itself
    scale = SENSOR_HEIGHT / (focal * sine + (row - axis) * cosine)
    forward = scale * (focal * cosine - (row - axis) * sine)
    # a scan stands for so much ground; the mean over a length lets through sinc(length / period) of a pattern
    length = (forward * cosine + SENSOR_HEIGHT * sine) ** 2 / (SENSOR_HEIGHT * focal) / np.repeat(samples, samples)
    stripes, squares = (np.sinc(np.minimum(length / period, 1)) for period in (2 * TILE_LENGTH, 2 * GRASS_CELL))
    lens = np.array([focal, axis, sine, cosine])
    starts = np.concatenate(([0], np.cumsum(samples)))
    return Camera(starts, forward, scale / across, stripes, squares, lens, np.array(density, np.float64))


DRIVER = _camera(DRIVER_SHAPE, DRIVER_HORIZON, DRIVER_VIEW, 1, (5, 1, 8))
ALVINN = _camera(ALVINN_SHAPE, ALVINN_HORIZON, ALVINN_VIEW, ALVINN_SAMPLES, (ALVINN_SAMPLES, ALVINN_SAMPLES, 0))
AZIMUTHS = np.linspace(-RANGE_VIEW / 2, RANGE_VIEW / 2, RANGE_SHAPE[1])  # rad, to the right
REACHES = SENSOR_HEIGHT / np.tan(np.linspace(*RANGE_DEPRESSIONS, RANGE_SHAPE[0]))  # m to the ground, by row
BEAMS = np.stack([np.sin(AZIMUTHS), np.cos(AZIMUTHS)], axis=1)  # lateral and forward part of the directions


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_driver(state: State, out: Array, first_lane: int, end_lane: int) -> None:
    samples, palette, ground = _empty_samples(DRIVER, DRIVER_SHAPE[1]), _empty_palette(DRIVER), _empty_ground()
    colors = np.empty(DRIVER_SHAPE[1], np.int64)
    for lane in range(first_lane, end_lane):
        _scan(DRIVER, state, lane, ground, samples)
        _mix_palette(DRIVER, state.colors[lane], palette)
        for channel in range(3):
            out[lane, :DRIVER_HORIZON, :, channel] = SKY_COLOR[channel]
        for row in range(DRIVER_HORIZON, DRIVER_SHAPE[0]):
            first, last = DRIVER.starts[row], DRIVER.starts[row + 1]
            colors[:] = 0
            for scan in range(first, last):
                for column in range(DRIVER_SHAPE[1]):
                    colors[column] += palette[scan, samples[scan, column]]
            line, scale = out[lane, row].reshape(-1), 65536 // (last - first) + 1  # a product for the quotient, exactly
            for column in range(DRIVER_SHAPE[1]):
                for channel in range(3):
                    line[3 * column + channel] = (colors[column] >> 16 * channel & 0xFFFF) * scale >> 16


@njit(cache=True, nogil=True, parallel=True)
def driver_frames(state: State, out: Array, shares: int) -> None:
    """Pictures of the driver's camera into ``out`` (lanes, 66, 200, 3) uint8, with ``shares`` threads."""
    lanes = out.shape[0]
    if shares == 1:
        _draw_driver(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _draw_driver(state, out, lanes * share // shares, lanes * (share + 1) // shares)


@njit(cache=True, nogil=True, error_model="numpy")
def _classify_driver(state: State, out: Array, first_lane: int, end_lane: int) -> None:
    samples, ground = _empty_samples(DRIVER, DRIVER_SHAPE[1]), _empty_ground()
    for lane in range(first_lane, end_lane):
        _scan(DRIVER, state, lane, ground, samples)
        for row in range(out.shape[1]):
            first, last = DRIVER.starts[row], DRIVER.starts[row + 1]
            for column in range(out.shape[2]):
                material = samples[(first + last) // 2, column] if last > first else SKY
                out[lane, row, column] = CLASSES[material]


@njit(cache=True, nogil=True, parallel=True)
def driver_segmentation(state: State, out: Array, shares: int) -> None:
    """Classes of the driver's pixels' centres into ``out`` (lanes, 66, 200) uint8, with ``shares`` threads.

    0 grass, 1 road, 2 kerb, 5 sky.
    """
    lanes = out.shape[0]
    if shares == 1:
        _classify_driver(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _classify_driver(state, out, lanes * share // shares, lanes * (share + 1) // shares)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_alvinn(state: State, out: Array, first_lane: int, end_lane: int) -> None:
    samples = _empty_samples(ALVINN, ALVINN_SHAPE[1] * ALVINN_SAMPLES)
    palette, ground, ranges = _empty_palette(ALVINN), _empty_ground(), np.empty(RANGE_SHAPE[1])
    for lane in range(first_lane, end_lane):
        _scan(ALVINN, state, lane, ground, samples)
        _mix_palette(ALVINN, state.colors[lane], palette)
        for row in range(ALVINN_HORIZON):
            out[lane, row] = SKY_COLOR[GREEN]
        for row in range(ALVINN_HORIZON, ALVINN_SHAPE[0]):
            for column in range(ALVINN_SHAPE[1]):
                total = 0
                for scan in range(ALVINN.starts[row], ALVINN.starts[row + 1]):
                    for sample in range(ALVINN_SAMPLES * column, ALVINN_SAMPLES * (column + 1)):
                        total += palette[scan, samples[scan, sample]] >> 16 * GREEN & 0xFFFF
                out[lane, row, column] = total // ALVINN_SAMPLES**2
        _find_edges(ground, int(state.tiles[lane]), ranges)
        for elevation in range(RANGE_SHAPE[0]):
            for azimuth in range(RANGE_SHAPE[1]):
                distance = min(ranges[azimuth], REACHES[elevation])
                proximity = 255 * (1 - distance / REACHES[0])
                out[lane, ALVINN_SHAPE[0] + elevation, azimuth] = int(proximity + 0.5)


@njit(cache=True, nogil=True, parallel=True)
def alvinn_frames(state: State, out: Array, shares: int) -> None:
    """ALVINN's two retinas into ``out`` (lanes, 38, 32) uint8 (Pomerleau 1989).

    Rows 0 to 29 are the camera: one colour band, every pixel the mean of its patch. The paper takes the band with the
    highest contrast between road and surroundings, on its roads blue. CarRacing's road and grass are equally
    blue, and its green takes that place.

    Rows 30 to 37 are the range finder: 8 elevations, the highest first, by 32 azimuths from left to right. The
    paper's activation is the proximity of what a beam hits. Nothing stands above this ground, so the road's edges
    count as the obstacles, from either side: a beam ends where it passes over the first of them or meets the ground,
    at the distance ``d`` along the ground, and its value is 255 (1 - d / D) rounded, D = 57.2 m being the reach of
    the highest beams: 255 is near, 0 far. ``shares`` threads share the lanes.
    """
    lanes = out.shape[0]
    if shares == 1:
        _draw_alvinn(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _draw_alvinn(state, out, lanes * share // shares, lanes * (share + 1) // shares)


class Ground(NamedTuple):
    """Points of the track in the car's frame; point ``4 tile + edge`` is that of `State.edges`."""

    lateral: Array  # (4 CAPACITY,) float64, m
    forward: Array  # (4 CAPACITY,) float64, m
    rank: Array  # (4 CAPACITY,) int32: scans that look farther


@njit(cache=True, nogil=True)
def _empty_ground() -> Ground:
    return Ground(np.empty(4 * CAPACITY), np.empty(4 * CAPACITY), np.empty(4 * CAPACITY, np.int32))


@njit(cache=True, nogil=True)
def _empty_samples(camera: Camera, columns: int) -> Array:
    return np.empty((camera.forward.shape[0], columns), np.uint8)


@njit(cache=True, nogil=True)
def _empty_palette(camera: Camera) -> Array:
    """Room for the materials' colours at every scan: red + green << 16 + blue << 32, so that one sum adds all three."""
    return np.empty((camera.forward.shape[0], MATERIALS), np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _mix_palette(camera: Camera, colors: Array, palette: Array) -> None:
    """Colours of the materials at every scan (see `_empty_palette`), of a lane's ``colors`` (3, 3)."""
    palette[:] = 0
    for channel in range(3):
        shift = 16 * channel
        road, background = colors[0, channel], int(colors[1, channel])
        contrast = int(colors[2, channel]) - background
        mean = background + 0.25 * contrast  # a quarter of the field are squares
        for scan in range(palette.shape[0]):
            stripes, squares = camera.stripes[scan], camera.squares[scan]
            palette[scan, BACKGROUND] += int(mean - 0.25 * squares * contrast + 0.5) << shift
            palette[scan, SQUARE] += int(mean + 0.75 * squares * contrast + 0.5) << shift
            for shade in range(3):
                palette[scan, ROAD + shade] += int(road + 0.01 * shade * 255) << shift
            # kerbs: white (255, 255, 255) and red (255, 0, 0) in turns
            palette[scan, KERB] += (255 if channel == 0 else int(128 + 127.5 * stripes)) << shift
            palette[scan, KERB + 1] += (255 if channel == 0 else int(128 - 127.5 * stripes)) << shift


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(camera: Camera, state: State, lane: int, ground: Ground, samples: Array) -> None:
    """The materials that a camera meets into ``samples`` (scans, columns) uint8, and the track into ``ground``."""
    tiles = state.tiles[lane]
    _scan_grass(camera, state.position[lane, 0], state.rotation[lane, 0], samples)
    _turn_track(camera, state.position[lane, 0], state.rotation[lane, 0], state.edges[lane, :tiles], ground)
    _scan_track(camera, ground, state.shaded[lane, :tiles], state.kerbs[lane, :tiles], samples)


@njit(cache=True, nogil=True, error_model="numpy")
def _scan_grass(camera: Camera, position: Array, rotation: Array, samples: Array) -> None:
    """Background and squares of the whole field, and plain background beyond it."""
    sine, cosine = rotation
    middle = (samples.shape[1] - 1) / 2
    # Coordinates in cells, counted from cell -22; squares are the cells even in both, -20 to 18.
    low, high = np.float32(22 - 20.5), np.float32(22 + 19.5)
    for scan in range(samples.shape[0]):
        forward, step = camera.forward[scan] / GRASS_CELL, camera.step[scan] / GRASS_CELL
        x0 = np.float32(position[0] / GRASS_CELL - middle * step * cosine - forward * sine + 22)
        y0 = np.float32(position[1] / GRASS_CELL - middle * step * sine + forward * cosine + 22)
        dx, dy = np.float32(step * cosine), np.float32(step * sine)
        line = samples[scan]
        for column in range(line.shape[0]):
            x = min(max(x0 + np.float32(column) * dx, low), high)
            y = min(max(y0 + np.float32(column) * dy, low), high)
            line[column] = ((np.int32(x) | np.int32(y)) & 1) ^ SQUARE


@njit(cache=True, nogil=True, error_model="numpy")
def _turn_track(camera: Camera, position: Array, rotation: Array, edges: Array, ground: Ground) -> None:
    """Points and ranks of the track's ``edges`` (tiles, 8); vector instructions throughout."""
    sine, cosine = rotation
    x0, y0 = np.float64(position[0]), np.float64(position[1])
    focal, axis, down, ahead = camera.lens
    many, few, rows = camera.density
    farthest, nearest = camera.forward[0] * 1.001, camera.forward[-1] * 0.999
    points = edges.reshape(-1)
    for point in range(points.shape[0] // 2):
        x, y = points[2 * point] - x0, points[2 * point + 1] - y0
        ground.lateral[point] = x * cosine + y * sine
        ground.forward[point] = forward = y * cosine - x * sine
        seen = min(max(forward, nearest), farthest)
        # rows below the horizon at which a pinhole camera shows this ground
        row = axis + focal * (SENSOR_HEIGHT * ahead - seen * down) / (seen * ahead + SENSOR_HEIGHT * down)
        ground.rank[point] = np.int32(min(many * row, few * row + (many - few) * rows) + 0.5)


@njit(cache=True, nogil=True, error_model="numpy")
def _scan_track(camera: Camera, ground: Ground, shaded: Array, kerbs: Array, samples: Array) -> None:
    """Road and kerbs, in the order in which they were built: later ones cover earlier ones."""
    lateral, forward, rank, distances, steps = ground.lateral, ground.forward, ground.rank, camera.forward, camera.step
    low, high = np.full(distances.shape[0], np.inf), np.full(distances.shape[0], -np.inf)
    corners = np.empty(4, np.int64)
    columns = samples.shape[1]
    for quadrilateral in range(2 * kerbs.shape[0]):
        tile = quadrilateral // 2
        near, far, material = 0, 1, ROAD + (tile % 3 if shaded[tile] else 0)
        if quadrilateral % 2 == 1:
            if abs(kerbs[tile]) != 1:  # none, or without width
                continue
            near = 0 if kerbs[tile] < 0 else 1
            far, material = near + 2, KERB + tile % 2
        point, before = 4 * tile, 4 * (tile - 1 if tile > 0 else kerbs.shape[0] - 1)
        corners[0], corners[1], corners[2], corners[3] = point + near, point + far, before + far, before + near
        top = bottom = rank[corners[0]]
        for k in range(1, 4):
            top, bottom = min(top, rank[corners[k]]), max(bottom, rank[corners[k]])
        if top == bottom:
            continue
        for k in range(4):
            a, b = corners[k], corners[(k + 1) % 4]
            if rank[a] > rank[b]:  # always from far to near, that neighbours get the same numbers
                a, b = b, a
            slope = (lateral[b] - lateral[a]) / (forward[b] - forward[a])
            for scan in range(rank[a], rank[b]):
                crossing = lateral[a] + slope * (distances[scan] - forward[a])
                low[scan], high[scan] = min(low[scan], crossing), max(high[scan], crossing)
        for scan in range(top, bottom):
            # the columns whose middles lie from low up to, but not at, high
            first = min(max(low[scan] / steps[scan] + columns / 2 + 0.5, 0.0), columns)
            last = min(max(high[scan] / steps[scan] + columns / 2 + 0.5, 0.0), columns)
            samples[scan, int(first) : int(last)] = material
            low[scan], high[scan] = np.inf, -np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _find_edges(ground: Ground, tiles: int, ranges: Array) -> None:
    """Distance along the ground to the first edge of the road, for every azimuth: ``ranges`` (32,) m or infinity."""
    ranges[:] = np.inf
    for point in range(4 * tiles):
        if point % 4 >= 2:  # kerbs
            continue
        before = point - 4 if point >= 4 else point + 4 * (tiles - 1)
        x1, y1, x2, y2 = ground.lateral[point], ground.forward[point], ground.lateral[before], ground.forward[before]
        if max(y1, y2) <= 0 or min(y1, y2) > REACHES[0]:
            continue
        for azimuth in range(ranges.shape[0]):
            lateral, forward = BEAMS[azimuth]
            # on which sides of the beam the ends lie, and where between them the beam passes
            side1, side2 = x1 * forward - y1 * lateral, x2 * forward - y2 * lateral
            if (side1 < 0) != (side2 < 0):
                share = side1 / (side1 - side2)
                distance = (x1 + share * (x2 - x1)) * lateral + (y1 + share * (y2 - y1)) * forward
                if 0 < distance < ranges[azimuth]:
                    ranges[azimuth] = distance

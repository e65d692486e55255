"""The driver's camera and ALVINN's retina against projections computed by hand and point by point."""

import math

import numpy as np
import pytest

from envs.car_racing import camera
from envs.car_racing.camera import ALVINN_SHAPE, DRIVER_HORIZON, DRIVER_SHAPE, RANGE_SHAPE, SENSOR_HEIGHT, SKY_COLOR
from envs.car_racing.state import KERB_WIDTH, PLAYFIELD, ROAD_HALF_WIDTH, TILE_LENGTH, State, allocate

ROWS, COLUMNS = DRIVER_SHAPE
CELL = PLAYFIELD / 20
COLORS = [[102.0, 102, 102], [102, 204, 102], [102, 230, 102]]  # road, background, grass
# The camera by hand: 80 degrees across 200 columns; the horizon lies on the upper edge of row 14 of 66.
FOCAL = 100 / math.tan(math.radians(40))
PITCH = math.atan((33 - 14) / FOCAL)


def put_track(state: State, lane: int, points: np.ndarray, kerbs: np.ndarray | int = 0) -> None:
    """Give a lane the track through ``points`` (tiles, 3: direction across the road, x, y)."""
    tiles = len(points)
    across = np.stack([np.cos(points[:, 0]), np.sin(points[:, 0])], axis=1)
    offsets = [-ROAD_HALF_WIDTH, ROAD_HALF_WIDTH, -ROAD_HALF_WIDTH - KERB_WIDTH, ROAD_HALF_WIDTH + KERB_WIDTH]
    state.tiles[lane] = tiles
    state.points[lane, :tiles] = points
    state.edges[lane, :tiles] = np.concatenate([points[:, 1:] + offset * across for offset in offsets], axis=1)
    state.kerbs[lane, :tiles] = kerbs
    state.shaded[lane] = True
    state.colors[lane] = COLORS


def put_car(state: State, lane: int, x: float, y: float, angle: float) -> None:
    state.position[lane, 0] = x, y
    state.rotation[lane, 0] = math.sin(angle), math.cos(angle)


def straight(x: float = 0.0, start: float = -60.0, end: float = 250.0) -> np.ndarray:
    y = np.arange(start, end, TILE_LENGTH)
    return np.stack([np.zeros_like(y), np.full_like(y, x), y], axis=1)


def left_bend(radius: float = 40.0) -> np.ndarray:
    """A full circle to the left about the origin, from (radius, 0) upwards."""
    angles = np.arange(0, 2 * math.pi, TILE_LENGTH / radius)
    return np.stack([angles, radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def scene(points: np.ndarray, x: float, y: float, angle: float, kerbs: np.ndarray | int = 0) -> State:
    state = allocate(1)
    put_track(state, 0, points, kerbs)
    put_car(state, 0, x, y, angle)
    return state


def frame(state: State) -> np.ndarray:
    out = np.empty((len(state.tiles), *DRIVER_SHAPE, 3), np.uint8)
    camera.driver_frames(state, out, 1)
    return out


def classes(state: State) -> np.ndarray:
    out = np.full((len(state.tiles), *DRIVER_SHAPE), 99, np.uint8)
    camera.driver_segmentation(state, out, 1)
    return out


def retina(state: State) -> tuple[np.ndarray, np.ndarray]:
    out = np.empty((len(state.tiles), ALVINN_SHAPE[0] + RANGE_SHAPE[0], ALVINN_SHAPE[1]), np.uint8)
    camera.alvinn_frames(state, out, 1)
    return out[:, : ALVINN_SHAPE[0]], out[:, ALVINN_SHAPE[0] :]


def ground_of_pixels(x: float, y: float, angle: float) -> np.ndarray:
    """World points (rows, columns, 2) under the pixels' middles, by turning the rays of a pinhole camera in space."""
    columns, rows = np.meshgrid(np.arange(COLUMNS) + 0.5 - 100, np.arange(DRIVER_HORIZON, ROWS) + 0.5 - 33)
    right, forward, up = columns, FOCAL * math.cos(PITCH) - rows * math.sin(PITCH), -rows * math.cos(PITCH)
    up = up - FOCAL * math.sin(PITCH)
    right, forward = right * SENSOR_HEIGHT / -up, forward * SENSOR_HEIGHT / -up
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.stack([x + right * cosine - forward * sine, y + right * sine + forward * cosine], axis=-1)


def inside(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether points (..., 2) lie in a convex quadrilateral (4, 2) of either orientation."""
    sides = np.roll(corners, -1, axis=0) - corners
    away = point[..., None, :] - corners
    crosses = sides[:, 0] * away[..., 1] - sides[:, 1] * away[..., 0]
    return (crosses > 0).all(-1) | (crosses < 0).all(-1)


@pytest.mark.parametrize(
    "pose", [(40, 0, 0), (38, 12, 0.7), (30, -25, -0.2), (0, 0, 2.0), (70, 10, 1.1), (-38, 3, 4.0)]
)
def test_every_pixel_against_the_point_of_the_ground_it_shows(pose: tuple[float, float, float]) -> None:
    points = left_bend()
    kerbs = np.where(np.arange(len(points)) % 20 < 9, -1, np.where(np.arange(len(points)) % 20 < 14, 1, 0))
    state = scene(points, *pose, kerbs)
    expected = np.zeros((ROWS - DRIVER_HORIZON, COLUMNS), np.uint8)
    ground = ground_of_pixels(*pose)
    edges = state.edges[0, : len(points)].reshape(-1, 4, 2)
    for tile in range(len(points)):
        before = tile - 1
        expected[inside(ground, edges[[tile, tile, before, before], [0, 1, 1, 0]])] = 1
        if kerbs[tile]:
            near = 0 if kerbs[tile] < 0 else 1
            far = near + 2
            expected[inside(ground, edges[[tile, tile, before, before], [near, far, far, near]])] = 2
    seen = classes(state)[0]
    assert (seen[:DRIVER_HORIZON] == 5).all()
    assert (expected == 1).sum() > 20 and (expected == 2).sum() > 5
    assert (seen[DRIVER_HORIZON:] != expected).sum() <= 2  # points exactly between two tiles
    # the picture agrees in rows of one scan
    picture = frame(state)[0, 30:]
    greens, grays = picture[seen[30:] == 0].tolist(), picture[seen[30:] == 1].tolist()
    assert all(color in [[102, 204, 102], [102, 230, 102]] for color in greens)
    assert all(color in [[102] * 3, [104] * 3, [107] * 3] for color in grays)


def test_squares_of_the_grass() -> None:
    x, y, angle = 100.0, -280.0, -0.3
    ground = np.floor(ground_of_pixels(x, y, angle) / CELL)
    square = (ground % 2 == 0).all(-1) & (ground >= -20).all(-1) & (ground <= 18).all(-1)
    picture = frame(scene(straight(300), x, y, angle))[0, DRIVER_HORIZON:]
    rows = slice(8, None)  # of one scan
    assert 500 < square[rows].sum() < square[rows].size - 500
    assert ((picture[rows, :, 1] > 217) == square[rows]).mean() > 0.999


def test_a_straight_road_is_symmetric() -> None:
    middle = CELL / 2  # of a square of the grass
    state = scene(straight(middle), middle, 0.0, 0.0)
    seen, picture = classes(state)[0], frame(state)[0]
    assert np.array_equal(seen, seen[:, ::-1])
    assert (picture != picture[:, ::-1]).mean() < 0.001
    eye, ranges = retina(state)
    assert (np.abs(eye[0].astype(int) - eye[0, :, ::-1]) <= 2).all()
    assert np.array_equal(ranges[0], ranges[0, :, ::-1])


@pytest.mark.parametrize("row", [20, 30, 40, 55])
def test_the_edge_of_the_road_projects_by_hand(row: int) -> None:
    distance = SENSOR_HEIGHT / math.tan(PITCH + math.atan((row + 0.5 - 33) / FOCAL))
    depth = distance * math.cos(PITCH) + SENSOR_HEIGHT * math.sin(PITCH)
    seen = classes(scene(straight(), 2.0, 0.0, 0.0))[0, row]
    left, right = (100 + FOCAL * (side * ROAD_HALF_WIDTH - 2.0) / depth for side in (-1, 1))
    road = np.flatnonzero(seen == 1)
    assert abs(road[0] - max(left, 0)) <= 0.51 and abs(road[-1] + 1 - min(right, 200)) <= 0.51
    assert len(road) == road[-1] - road[0] + 1


@pytest.mark.parametrize("ahead", [15.0, 30.0, 60.0])
def test_the_end_of_the_road_projects_by_hand(ahead: float) -> None:
    points = straight(end=100)
    seen = classes(scene(points, 0.0, points[-1, 2] - ahead, 0.0))[0]
    row = 33 + FOCAL * math.tan(math.atan(SENSOR_HEIGHT / ahead) - PITCH)
    assert abs(np.flatnonzero(seen[:, 100] == 1)[0] - row) <= 0.51


def test_a_left_bend_lies_to_the_left() -> None:
    state = scene(left_bend(), 40.0, 0.0, 0.0)
    far = classes(state)[0, 16:26] == 1
    assert far[:, :100].sum() > 1.5 * far[:, 100:].sum()
    azimuths = np.radians(np.linspace(-40, 40, 32))
    # from (40, 0) to the circles of the road's edges: t^2 + 2 t b + 40^2 - radius^2 = 0
    b = 40 * np.sin(azimuths)
    outer = -b + np.sqrt(b**2 - 40**2 + (40 + ROAD_HALF_WIDTH) ** 2)
    within = b**2 - 40**2 + (40 - ROAD_HALF_WIDTH) ** 2
    inner = np.where((b < 0) & (within > 0), -b - np.sqrt(np.maximum(within, 0)), np.inf)
    expected = 255 * (1 - np.minimum(outer, inner) * math.tan(math.radians(3)) / SENSOR_HEIGHT)
    clear = abs(within) > 30  # beams that do not graze the inner edge, which is a polygon
    assert clear.sum() > 28
    assert np.abs(retina(state)[1][0, 0] - expected)[clear].max() < 1.5


def test_the_car_looks_where_it_heads() -> None:
    """Pose and track turned together: the same picture of the road."""
    points = left_bend()
    shown = classes(scene(points, 39.0, 1.0, 0.1))
    for turn in (0.5, 2.0, -2.5):
        sine, cosine = math.sin(turn), math.cos(turn)
        turned = np.stack(
            [
                points[:, 0] + turn,
                points[:, 1] * cosine - points[:, 2] * sine,
                points[:, 1] * sine + points[:, 2] * cosine,
            ],
            axis=1,
        )
        again = classes(scene(turned, 39 * cosine - sine, 39 * sine + cosine, 0.1 + turn))
        assert (again != shown).mean() < 0.001


def test_colours_of_the_lane_are_used() -> None:
    state = scene(straight(), 0.0, 0.0, 0.0)
    state.colors[0] = [[10.7, 200.2, 30.9], [40.1, 50.9, 60.5], [40.1, 70.9, 60.5]]
    state.shaded[0] = False
    picture, seen = frame(state)[0], classes(state)[0]
    near = slice(45, None)
    assert {tuple(color) for color in picture[near][seen[near] == 1].tolist()} == {(10, 200, 30)}
    assert {tuple(color) for color in picture[near][seen[near] == 0].tolist()} <= {(40, 50, 60), (40, 70, 60)}
    assert (picture[:DRIVER_HORIZON] == SKY_COLOR).all()
    assert retina(state)[0][0, -1, 16] == 200


def test_touched_tiles_lose_their_shade() -> None:
    state = scene(straight(), 0.0, 0.0, 0.0)
    assert {102, 104, 107} == set(frame(state)[0, 30:, 100, 0])
    state.shaded[0] = False
    assert {102} == set(frame(state)[0, 30:, 100, 0])


def test_far_kerbs_fade_instead_of_flickering() -> None:
    points = straight()
    pictures = [frame(scene(points, 0.0, y, 0.0, 1)).astype(int) for y in (0.0, TILE_LENGTH)]  # white where was red
    change = np.abs(pictures[0] - pictures[1])[0].max(axis=(1, 2))
    assert change[30:40].max() > 150
    assert change[DRIVER_HORIZON : DRIVER_HORIZON + 4].max() < 40


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_ranges_on_a_straight_road(offset: float) -> None:
    """An edge at the side w is met at w / sin(azimuth), unless the beam meets the ground before."""
    ranges = retina(scene(straight(), offset, 0.0, 0.0))[1][0]
    depressions = np.radians(np.linspace(3, 33, 8))
    azimuths = np.radians(np.linspace(-40, 40, 32))
    width = ROAD_HALF_WIDTH - np.sign(azimuths) * offset
    distance = np.minimum(width / np.abs(np.sin(azimuths)), SENSOR_HEIGHT / np.tan(depressions)[:, None])
    expected = 255 * (1 - distance * math.tan(math.radians(3)) / SENSOR_HEIGHT)
    assert np.abs(ranges - expected).max() <= 0.5 + 1e-4


def test_ranges_from_the_grass() -> None:
    """A car 20 m left of the road's middle that looks straight at it meets the near edge first."""
    ranges = retina(scene(straight(end=200), -20.0, 50.0, -math.pi / 2))[1][0, 0]
    azimuths = np.radians(np.linspace(-40, 40, 32))
    distance = (20 - ROAD_HALF_WIDTH) / np.cos(azimuths)
    assert np.abs(ranges - 255 * (1 - distance * math.tan(math.radians(3)) / SENSOR_HEIGHT)).max() <= 0.5 + 1e-4
    away = retina(scene(straight(end=200), -20.0, 50.0, math.pi / 2))[1][0, 0]
    assert (away == 0).all()


def test_the_eye_of_alvinn_is_the_mean_of_its_patches() -> None:
    eye = retina(scene(straight(), 0.0, 0.0, 0.0))[0][0]
    assert (eye[: camera.ALVINN_HORIZON] == SKY_COLOR[1]).all()
    assert {102, 103, 104, 105, 106, 107} >= set(eye[20, 10:22].tolist())  # road
    assert set(np.unique(eye[12:])) - {102, 104, 107, 204, 230}  # blended edges
    assert eye[20].min() >= 102 and eye[camera.ALVINN_HORIZON :].max() <= 230


def test_lanes_are_independent() -> None:
    tracks = [
        (straight(), (0.0, 10.0, 0.1), 0),
        (left_bend(), (40.0, 0.0, 0.0), -1),
        (left_bend(60), (0.0, 0.0, 1.0), 1),
    ]
    together = allocate(len(tracks))
    for lane, (points, pose, kerbs) in enumerate(tracks):
        put_track(together, lane, points, kerbs)
        put_car(together, lane, *pose)
    together.colors[1, 0] = 10, 20, 30
    alone = [State(*(field[lane : lane + 1] for field in together)) for lane in range(len(tracks))]
    for draw in (frame, classes, lambda state: np.concatenate(retina(state), axis=1)):
        batch = draw(together)
        assert len({picture.tobytes() for picture in batch}) == len(tracks)
        for lane in range(len(tracks)):
            assert np.array_equal(draw(alone[lane])[0], batch[lane])

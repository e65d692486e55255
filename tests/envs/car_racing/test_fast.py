"""Fast pictures: against areas known by other means, a track made by hand, and the original's pictures."""

from typing import Any

import numpy as np
import pytest

from envs.batched import Array
from envs.car_racing import coverage, fast
from envs.car_racing.state import KERB_WIDTH, ROAD_HALF_WIDTH, State, allocate

GRASS, ROAD, KERB, CAR, PANEL = range(5)
DEFAULT_COLORS = [[102, 102, 102], [102, 204, 102], [102, 230, 102]]


def ring(lanes: int = 1, radius: float = 60.0, tiles: int = 100, kerb: int = -1) -> State:
    """A round track about the origin, run through counter-clockwise, and a car on it that heads up, at (radius, 0)."""
    state = allocate(lanes)
    beta = 2 * np.pi * np.arange(tiles) / tiles
    across = np.stack([np.cos(beta), np.sin(beta)], axis=1)
    halves = (-ROAD_HALF_WIDTH, ROAD_HALF_WIDTH, -ROAD_HALF_WIDTH - KERB_WIDTH, ROAD_HALF_WIDTH + KERB_WIDTH)
    state.tiles[:] = tiles
    state.edges[:, :tiles] = np.concatenate([(radius + half) * across for half in halves], axis=1)
    corners = np.concatenate([state.edges[0, :tiles, :4], np.roll(state.edges[0, :tiles, :4], 1, axis=0)], axis=1)
    corners = corners.reshape(tiles, 4, 2)
    state.boxes[:] = np.nan
    state.boxes[:, :, :tiles] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).T
    state.kerbs[:, :tiles] = kerb
    state.shaded[:, :tiles] = True
    state.colors[:] = DEFAULT_COLORS
    state.position[:, 0] = radius, 0
    state.position[:, 1:] = np.array([radius, 0]) + [(-1.1, 1.6), (1.1, 1.6), (-1.1, -1.64), (1.1, -1.64)]
    state.rotation[..., 1] = 1
    state.time[:] = 2.0
    return state


def draw(state: State) -> Array:
    out = np.full((len(state.tiles), 96, 96, 3), 77, np.uint8)
    fast.fast_frames(state, out, 1)
    return out


def segment(state: State) -> Array:
    out = np.full((len(state.tiles), 96, 96), 77, np.uint8)
    fast.segmentation_frames(state, out, 1)
    return out


def test_coverage_of_triangles_is_their_area() -> None:
    rng = np.random.default_rng(0)
    fine = (np.arange(96 * 16) + 0.5) / 16
    x, y = np.meshgrid(fine, fine[: 84 * 16])
    for k in range(40):
        # some reach beyond the picture; every other has an upright edge
        corners = rng.uniform(-30, 120, (3, 2)) if k < 20 else rng.uniform(5, 80, (3, 2))
        corners[2, 0] = corners[0, 0] if k % 2 else corners[2, 0]
        (x0, y0), (x1, y1), (x2, y2) = corners
        twice = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        planes = np.zeros((coverage.ROWS + 2, coverage.COLUMNS * 7), np.float32)
        coverage.add_polygon(planes, 0, corners, float(np.sign(twice)), 0.0, np.zeros(2, np.int64))
        covered = np.cumsum(planes, axis=0)[: coverage.ROWS, : coverage.COLUMNS]

        inside = np.ones_like(x, bool)
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            inside &= np.sign(twice) * ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) >= 0
        sampled = inside.reshape(84, 16, 96, 16).mean(axis=(1, 3))
        np.testing.assert_allclose(covered, sampled, atol=0.05)
        assert not planes[:, coverage.COLUMNS :].any()
        if k >= 20:
            assert covered.sum() == pytest.approx(abs(twice) / 2, rel=1e-4)


def test_flat_areas_have_the_original_s_levels() -> None:
    picture = draw(ring())[0]
    levels = {tuple(color) for color in picture[:84].reshape(-1, 3)}
    assert {(100, 202, 100), (100, 228, 100), (100, 100, 100), (102, 102, 102), (105, 105, 105)} <= levels
    assert {(253, 253, 253), (253, 0, 0)} <= {tuple(c) for c in draw(ring(radius=20, tiles=12))[0].reshape(-1, 3)}


def test_road_and_car_are_where_they_should_be() -> None:
    state = ring(kerb=0)
    picture, classes = draw(state)[0], segment(state)[0]
    half = ROAD_HALF_WIDTH * 16.2 / (1000 / 96)  # columns
    assert (classes[72] == ROAD).sum() + (classes[72] == CAR).sum() == pytest.approx(2 * half, abs=1)
    assert (classes[84:] == PANEL).all() and (classes[:84] != PANEL).all() and not (classes == KERB).any()
    rows, columns = np.nonzero(classes == CAR)
    assert abs(columns.mean() - 47.5) < 0.6 and 64 < rows.min() < rows.max() < 79
    assert picture[72, 48, 0] > 150 and picture[72, 48, 1] < 40  # the hull is red
    state.position[:] += 100  # beside the road
    assert not np.isin(segment(state)[0, 60:84], [ROAD]).any()


def test_kerbs_lie_beside_the_road() -> None:
    for side in (-1, 1):
        row = segment(ring(kerb=side))[0, 72]
        kerb, road = np.nonzero(row == KERB)[0], np.nonzero(row == ROAD)[0]
        assert len(kerb) == pytest.approx(KERB_WIDTH * 16.2 / (1000 / 96), abs=1)
        assert (kerb < road.min()).all() if side < 0 else (kerb > road.max()).all()


def test_touched_tiles_lose_their_shade() -> None:
    state = ring(kerb=0)
    state.shaded[:] = False
    picture, classes = draw(state)[0], segment(state)[0]
    road = picture[:84][classes[:84] == ROAD]
    assert (np.median(road, axis=0) == 100).all() and (road[:, 0] == 100).mean() > 0.98


def test_segmentation_agrees_with_colours() -> None:
    state = ring(radius=40, tiles=70)
    picture, classes = draw(state)[0, :84].astype(int), segment(state)[0, :84]
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert (classes[(green == 202) & (red == 100) | (green == 228) & (red == 100)] == GRASS).all()
    assert (classes[(red == green) & (green == blue) & (red >= 100) & (red <= 105)] == ROAD).all()
    assert (classes[(red == 253) & (green == blue)] == KERB).all()
    assert all((classes == k).any() for k in (GRASS, ROAD, KERB, CAR))
    assert len(fast.SEGMENTATION_CLASSES) == 5


def test_randomised_colours_and_the_end_of_the_field() -> None:
    state = ring(kerb=0)
    state.colors[0] = [[10.9, 150.2, 60.5], [200.7, 1.5, 33.3], [200.7, 21.5, 33.3]]
    levels = {tuple(color) for color in draw(state)[0, :84].reshape(-1, 3).tolist()}
    assert {(8, 148, 58), (198, 0, 31), (198, 19, 31)} <= levels
    state.position[..., 0] += 330 - 60
    picture = draw(state)[0]
    assert not picture[:84, 60:].any() and picture[:84, :40].any(axis=-1).all()


def test_lanes_are_independent() -> None:
    singles = [ring(radius=50.0), ring(radius=33.0, tiles=60), ring(kerb=0), ring(radius=20.0, tiles=12)]
    singles[1].time[:], singles[2].angle[:, 0] = 0.1, 0.7
    singles[3].shown_reward[:], singles[3].velocity[:] = 512.0, 30.0
    batch = State(*(np.concatenate(field) for field in zip(*singles, strict=True)))
    for function in (draw, segment):
        together = function(batch)
        for lane, single in enumerate(singles):
            np.testing.assert_array_equal(together[lane], function(single)[0])


def frames(env: Any, seed: int, steps: int, every: int) -> Any:
    """A drive of the original: our state and its picture."""
    from tests.envs.car_racing import original

    env.reset(seed=seed)
    for step in range(steps):
        picture = env.step(original.drive(env))[0]
        if step % every == 0:
            state = original.load(env)
            state.shown_reward[0] += 0.1  # the picture is drawn before the step's own -0.1
            yield state, picture


@pytest.mark.parametrize("colours", [False, True])
def test_close_to_the_original(colours: bool) -> None:
    pytest.importorskip("Box2D")
    from gymnasium.envs.box2d.car_racing import CarRacing

    differences: dict[bool, list[float]] = {True: [], False: []}
    for state, picture in frames(CarRacing(domain_randomize=colours), seed=3, steps=220, every=7):
        ours = draw(state)[0]
        np.testing.assert_array_equal(ours[84:], picture[84:])
        differences[state.time[0] < 1].append(float(np.abs(ours.astype(int) - picture).mean()))
    assert len(differences[True]) >= 7 and max(differences[True]) < 0.5
    assert len(differences[False]) >= 20 and np.mean(differences[False]) < 0.25 and max(differences[False]) < 0.4

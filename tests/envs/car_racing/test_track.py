"""CarRacing's tracks: known ones, properties of all, and Gymnasium's own."""

import hashlib
import platform
from typing import Any

import numpy as np
import pytest

from envs import rng
from envs.batched import Array
from envs.car_racing import track
from envs.car_racing.state import CAPACITY, CENTER_KERB, ROAD_HALF_WIDTH, TILE_LENGTH, State, allocate

SEEDS = 300
TWISTED, TRIANGLE = 1114, 68297  # seeds whose tile at the seam is twisted, the latter's hull has three corners


def tracks(seeds: list[int], randomize: bool = False) -> tuple[State, Array]:
    """One lane a seed, and the generators' rows afterwards."""
    state, rows = allocate(len(seeds)), np.zeros((len(seeds), rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, seeds)
    for lane in range(len(seeds)):
        if randomize:
            track.draw_colors(state, lane, rows[lane])
        else:
            track.default_colors(state, lane)
        track.make_track(state, lane, rows[lane])
    return state, rows


@pytest.fixture(scope="module")
def many() -> State:
    return tracks(list(range(SEEDS)))[0]


def turn(corners: Array) -> Array:
    """Cross product (..., 4) of the sides before and after each of the corners (..., 4, 2)."""
    sides = np.roll(corners, -1, axis=-2) - corners
    following = np.roll(sides, -1, axis=-2)
    return sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the digests hold the last bits of glibc's sine")
def test_first_twenty_tracks() -> None:
    state, _ = tracks(list(range(20)))
    sizes = [319, 275, 335, 271, 275, 329, 284, 319, 251, 285, 301, 259, 303, 281, 295, 305, 291, 301, 313, 350]
    np.testing.assert_array_equal(state.tiles, sizes)
    digests = {
        "points": "34b65ef211282387c956cfce75100227f4a534d099915170913eed375e57a182",
        "edges": "4beee2872112de9da87da119e07d2de62fa2833ee2e33b596f5568cda2a46b6c",
        "kerbs": "52c3b099055327200714eb9d05fa64863fb436393f9774bb87dda3492df40191",
        "sensors": "877baeffddea58fe12010934e77ecbcafc6d802c345b9a1afa680a3ae0eb0b14",
    }
    for name, digest in digests.items():
        used = [getattr(state, name)[lane, :size].tobytes() for lane, size in enumerate(sizes)]
        assert hashlib.sha256(b"".join(used)).hexdigest() == digest, name


def test_points_follow_each_other(many: State) -> None:
    for lane, n in enumerate(many.tiles):
        steps = np.diff(many.points[lane, :n, 1:], axis=0)
        np.testing.assert_allclose(np.hypot(*steps.T), TILE_LENGTH, rtol=1e-12)
        turns = np.diff(many.points[lane, :n, 0])  # beta jumps by a whole turn somewhere
        assert np.abs(turns - 2 * np.pi * np.round(turns / (2 * np.pi))).max() <= track.TURN_RATE + 1e-12
        seam = many.points[lane, 0, 1:] - many.points[lane, n - 1, 1:]
        assert np.hypot(*seam) < 4 * TILE_LENGTH
    assert 200 < many.tiles.min() and many.tiles.max() < 400
    assert 285 < many.tiles.mean() < 302


def test_neighbours_share_an_edge_of_the_road_s_width(many: State) -> None:
    for lane, n in enumerate(many.tiles):
        edges = many.edges[lane, :n].astype(np.float32)
        left, right = edges[:, :2], edges[:, 2:4]
        quads = np.stack([left, right, np.roll(right, 1, axis=0), np.roll(left, 1, axis=0)], axis=1)
        np.testing.assert_array_equal(np.sort(quads, axis=1), np.sort(many.sensors[lane, :n], axis=1))
        np.testing.assert_allclose(np.hypot(*(right - left).T), 2 * ROAD_HALF_WIDTH, atol=1e-4)


def test_sensors_are_convex_and_start_at_the_right(many: State) -> None:
    for lane, n in enumerate(many.tiles):
        sensors = many.sensors[lane, :n]
        assert (turn(sensors.astype(np.float64)) > 0).all()
        assert (sensors[:, 0, 0] == sensors[:, :, 0].max(axis=1)).all()


def test_boxes_bound_the_tiles_and_unused_slots_have_none(many: State) -> None:
    for lane, n in enumerate(many.tiles):
        sensors = many.sensors[lane, :n]
        np.testing.assert_array_equal(many.boxes[lane, :2, :n].T, sensors.min(axis=1))
        np.testing.assert_array_equal(many.boxes[lane, 2:, :n].T, sensors.max(axis=1))
        assert np.isnan(many.boxes[lane, :, n:]).all()


def test_a_twisted_seam_has_a_convex_sensor() -> None:
    state, _ = tracks([TWISTED, TRIANGLE])
    assert (turn(state.sensors[0, 0].astype(np.float64)) > 0).all()
    np.testing.assert_array_equal(state.sensors[1, 0, 3], state.sensors[1, 0, 2])
    assert (turn(state.sensors[1, 0].astype(np.float64)) >= 0).all()


def test_kerbs_lie_inside_of_bends(many: State) -> None:
    hard = track.TURN_RATE * 0.2
    found = 0
    for lane, n in enumerate(many.tiles):
        turns = many.points[lane, :n, 0] - np.roll(many.points[lane, :n, 0], 1)
        kerbs = many.kerbs[lane, :n]
        # a bend over the seam hands its kerb on to tiles before it, whatever these do
        away = np.arange(n) < n - 7
        left, right = (kerbs == -1) & away, (kerbs == 1) & away
        assert (turns[left] > hard).all() and (turns[right] < -hard).all()
        found += left.sum() + right.sum()
        for i in range(4, n - 7):  # whoever ends a run of four hard turns has a kerb
            run = turns[i - 3 : i + 1]
            if (run > hard).all():
                assert kerbs[i] == -1
            elif (run < -hard).all():
                assert kerbs[i] == 1
    assert found / SEEDS > 40


def test_kerbs_without_width() -> None:
    state, _ = tracks([298])
    np.testing.assert_array_equal(np.flatnonzero(state.kerbs[0] == CENTER_KERB), [268, 269])
    assert state.points[0, 268, 0] == state.points[0, 267, 0]


def test_a_track_starts_untouched() -> None:
    state, rows = tracks([5])
    for name in ("touching", "visited", "visits", "grip", "new_lap"):
        getattr(state, name)[:] = 1
    state.shaded[:] = False
    track.make_track(state, 0, rows[0])
    for name in ("touching", "visited", "visits", "grip", "new_lap"):
        assert not getattr(state, name).any()
    assert state.shaded.all()


def test_a_track_without_room_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(track, "CAPACITY", 300)
    state, rows = allocate(1), np.zeros((1, rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, [0])  # its first track has 319 tiles
    track.make_track.py_func(state, 0, rows[0])
    assert 200 < state.tiles[0] <= 300 < CAPACITY


def test_random_colors() -> None:
    state, _ = tracks(list(range(50)), randomize=True)
    assert (state.colors[:, :2] >= 0).all() and (state.colors[:, :2] < 210).all()
    difference = state.colors[:, 2] - state.colors[:, 1]
    np.testing.assert_allclose(np.sort(difference, axis=1), np.tile([0, 0, 20], (50, 1)))
    assert len(np.unique(difference.argmax(axis=1))) == 3


@pytest.mark.parametrize("randomize", [False, True])
def test_equal_to_gymnasium(randomize: bool) -> None:
    pytest.importorskip("Box2D")
    from gymnasium.envs.box2d.car_racing import CarRacing

    original: Any = CarRacing(domain_randomize=randomize)
    original._render = lambda mode: None
    for seed in [*range(12), 250, 298, TWISTED, TRIANGLE]:
        original.reset(seed=seed)
        state, rows = tracks([seed], randomize)
        n = state.tiles[0]
        assert n == len(original.track)
        np.testing.assert_array_equal(state.points[0, :n], np.array(original.track)[:, 1:])
        np.testing.assert_array_equal(rows[0], rng.from_generator(original.np_random))
        colors = [original.road_color, original.bg_color, original.grass_color]
        np.testing.assert_array_equal(state.colors[0], colors)
        np.testing.assert_array_equal(list(quads(state)), [quad for quad, _ in original.road_poly])
        for i, tile in enumerate(original.road):
            corners = np.array(tile.fixtures[0].shape.vertices, np.float32)
            expected = np.pad(corners, ((0, 4 - len(corners)), (0, 0)), mode="edge")
            np.testing.assert_array_equal(state.sensors[0, i], expected)


def quads(state: State) -> Any:
    """Corners (4, 2) of tiles, each followed by its kerb, as the original lists them."""
    for i in range(state.tiles[0]):
        before = i - 1 if i else state.tiles[0] - 1
        here, there = state.edges[0, i].reshape(4, 2), state.edges[0, before].reshape(4, 2)
        yield here[0], here[1], there[1], there[0]
        side = state.kerbs[0, i]
        if side == CENTER_KERB:
            here, there = state.points[0, i, 1:], state.points[0, before, 1:]
            yield here, here, there, there
        elif side:
            near, far = (0, 2) if side == -1 else (1, 3)
            yield here[near], here[far], there[far], there[near]

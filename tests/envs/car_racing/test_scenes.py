"""Scenes: classes against colours, other cars against the own one, kerbs in runs, boxes by hand."""

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401  (registers the ids)
from envs.batched import Array
from envs.car_racing import scenes
from envs.car_racing.scenes import CAR, HULL_COLOR, KERB, Placement
from envs.car_racing.state import CENTER_KERB, State, allocate

GRASS, ROAD, PANEL = 0, 1, 4


@pytest.fixture(scope="module")
def driven() -> State:
    """A car on each of eight tracks, after 60 steps of a drive straight ahead."""
    batch = gym.make_vec(
        "skidpad/CarRacing-v0", num_envs=8, vectorization_mode="vector_entry_point", observation="none"
    )
    batch.reset(seed=list(range(8)))  # type: ignore[arg-type]
    for _ in range(60):
        batch.step(np.tile(np.array([0, 0.3, 0], np.float32), (8, 1)))
    return State(**{name: field.copy() for name, field in batch.unwrapped.fields.items()})  # type: ignore[attr-defined]


def lane(driven: State, number: int) -> State:
    return scenes.still(driven._asdict(), number)


def by_colours(picture: Array) -> Array:
    """The classes of the pixels of a plain picture that are of one colour; 255: mixed."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    classes = np.full(red.shape, 255)
    classes[(red == 100) & (blue == 100) & ((green == 202) | (green == 228))] = GRASS
    classes[(red == green) & (green == blue) & (red >= 100) & (red <= 105)] = ROAD
    classes[(red == 253) & (green == blue) & ((green == 0) | (green == 253))] = KERB
    classes[((red == 202) | (red == 0)) & (green == 0) & (blue == 0)] = CAR
    classes[84:] = PANEL
    return classes


def test_the_classes_are_those_of_the_colours_where_a_pixel_has_one(driven: State) -> None:
    seen = np.zeros(5, int)
    for number in range(8):
        state = lane(driven, number)
        scenes.move_car(state, 2.0 * number - 7, 0.2 * number)
        picture, classes = scenes.draw(state)
        told = by_colours(picture)
        plain = told != 255
        assert plain.mean() > 0.85
        np.testing.assert_array_equal(classes[plain], told[plain])
        seen += np.bincount(classes[plain], minlength=5)
    assert (seen > 50).all()


def test_a_moved_car_stays_in_its_place_of_the_picture(driven: State) -> None:
    state = lane(driven, 0)
    state.velocity[:] = 0  # bars of the panel
    before, origin = state.position[0].copy(), scenes.draw(state)[1] == CAR
    scenes.move_car(state, 3.0, 0.5)
    assert np.hypot(*(state.position[0, 0] - before[0])) == pytest.approx(3, abs=1e-4)
    wheels = [np.hypot(*(place[1:] - place[0]).T) for place in (before, state.position[0])]
    np.testing.assert_allclose(wheels[0], wheels[1], atol=1e-4)
    assert ((scenes.draw(state)[1] == CAR) ^ origin).sum() <= 2, "the camera moved with it"
    scenes.move_car(state, -3.0 * np.cos(0.5), -0.5)  # to the right of where it heads now
    assert np.hypot(*(state.position[0, 0] - before[0])) == pytest.approx(3 * np.sin(0.5), abs=1e-4)


def test_another_car_is_the_own_one_elsewhere(driven: State) -> None:
    state = lane(driven, 0)
    picture, classes = scenes.draw(state)
    own = classes == CAR

    def other(column: float, row: float, turn: float = 0.0, scale: float = 1.0) -> tuple[Array, Array]:
        drawn = picture.copy()
        return scenes.draw_car(state, Placement(column, row, turn, scale), np.array(HULL_COLOR), drawn), drawn

    np.testing.assert_array_equal(other(48, 72)[0], own)
    covered, drawn = other(58, 42)
    np.testing.assert_array_equal(covered, np.roll(own, (-30, 10), (0, 1)))
    core = covered & (by_colours(drawn) == CAR)
    np.testing.assert_array_equal(drawn[core], np.roll(picture, (-30, 10), (0, 1))[core])
    assert core.sum() > 10
    changed = (drawn != picture).any(-1)
    x_min, y_min, x_max, y_max = scenes.bounding_box(covered)
    assert not changed[84:].any() and changed[y_min:y_max, x_min:x_max].sum() >= changed.sum() - 2 * 40
    twice, fourfold = (other(48, 40, scale=scale)[0].sum() for scale in (2, 4))
    assert fourfold == pytest.approx(4 * twice, rel=0.15)
    # a quarter turn counter-clockwise: the front, 2.6 m ahead of the origin, shows to the left
    left, top, right, bottom = scenes.bounding_box(other(48, 42, np.pi / 2, 4)[0])
    assert 48 - left > right - 48 and right - left > bottom - top
    assert left == pytest.approx(48 - 4 * 2.6 * 1.5552, abs=1) and right == pytest.approx(48 + 4 * 2.4 * 1.5552, abs=1)
    assert not other(300, 40)[0].any()


def test_kerbs_come_in_runs() -> None:
    state = allocate(1)
    state.tiles[0] = 12
    assert scenes.kerb_runs(state) == []
    state.kerbs[0, :12] = [1, 1, 0, -1, -1, 1, CENTER_KERB, 1, 0, 0, 0, 1]
    runs = [run.tolist() for run in scenes.kerb_runs(state)]
    assert runs == [[3, 4], [5], [7], [11, 0, 1]]
    state.kerbs[0, :12] = -1
    assert [run.tolist() for run in scenes.kerb_runs(state)] == [list(range(12))]


def test_runs_have_all_pixels_of_kerbs_between_them(driven: State) -> None:
    found = 0
    for number in range(8):
        state = lane(driven, number)
        scenes.move_car(state, 0.0, 0.4 * number)
        kerbs = [scenes.kerb_pixels(state, run) for run in scenes.kerb_runs(state)]
        classes = scenes.draw(state)[1]
        np.testing.assert_array_equal(np.any(kerbs, axis=0), classes == KERB)
        found += sum(bool(pixels.any()) for pixels in kerbs)
    assert found >= 4


def test_boxes_end_at_the_outer_edges_of_pixels() -> None:
    pixels = np.zeros((6, 9), np.bool_)
    pixels[2, 3] = True
    assert scenes.bounding_box(pixels) == (3, 2, 4, 3)
    pixels[4, 8] = pixels[5, 0] = True
    assert scenes.bounding_box(pixels) == (0, 2, 9, 6)

"""What the car touches: cases that geometry decides, Box2D's own test, and Gymnasium's car while it drives."""

from typing import Any

import numpy as np
import pytest

from envs import rng
from envs.batched import Array
from envs.car_racing import contacts, track
from envs.car_racing.car import WHEEL_OFFSETS
from envs.car_racing.state import State, allocate

WHEELS, HULL = 0x0F, 0xF0
SQUARE = np.array([(1, -1), (1, 1), (-1, 1), (-1, -1)], np.float32)
UPRIGHT = np.array([0, 1], np.float32)


def lane_of_tiles(n: int = 40, length: float = 3.5) -> State:
    """A straight road of ``n`` tiles along +y; tile i reaches from i * length to (i + 1) * length."""
    state = allocate(1)
    state.tiles[0] = n
    state.boxes[:] = np.nan
    state.shaded[:] = True
    for i in range(n):
        low, high = i * length, (i + 1) * length
        state.sensors[0, i] = [(6, low), (6, high), (-6, high), (-6, low)]
        state.boxes[0, :, i] = -6, low, 6, high
    return state


def place(state: State, x: float, y: float, angle: float = 0.0) -> None:
    """Put the car's origin at x, y, all wheels straight."""
    sine, cosine = np.sin(angle), np.cos(angle)
    offsets = np.concatenate([[(0.0, 0.0)], WHEEL_OFFSETS])
    state.position[0] = (x, y) + offsets @ np.array([(cosine, sine), (-sine, cosine)])
    state.rotation[0] = sine, cosine


def update(state: State, percent: float = 0.95, fixed_rule: bool = False) -> None:
    contacts.update_contacts(state, 0, percent, fixed_rule)


def test_polygons_touch_when_their_skins_do() -> None:
    for gap, expected in [(-0.5, True), (0, True), (0.0199, True), (0.0201, False), (1, False)]:
        position = np.array([2 + gap, 0.3], np.float32)
        assert contacts.overlap(SQUARE, SQUARE, 4, position, UPRIGHT) == expected, gap
    # from corner to corner the skin is round
    for gap, expected in [(0.0140, True), (0.0143, False)]:
        position = np.array([2 + gap, 2 + gap], np.float32)
        assert contacts.overlap(SQUARE, SQUARE, 4, position, UPRIGHT) == expected, gap
    # turned by 45 degrees, its corner reaches sqrt(2) far
    turned = np.full(2, np.sqrt(0.5), np.float32)
    assert contacts.overlap(SQUARE, SQUARE, 4, np.array([1 + 2**0.5 + 0.019, 0], np.float32), turned)
    assert not contacts.overlap(SQUARE, SQUARE, 4, np.array([1 + 2**0.5 + 0.021, 0], np.float32), turned)


def test_a_car_in_the_middle_of_a_tile() -> None:
    state = lane_of_tiles(length=7.0)
    place(state, 0, 10.5)
    update(state)
    np.testing.assert_array_equal(np.flatnonzero(state.touching[0]), [1])
    assert state.touching[0, 1] == WHEELS | HULL
    assert state.grip.all() and state.visits[0] == 1 and state.reward[0] == 1000.0 / 40
    assert not state.shaded[0, 1] and state.shaded[0].sum() == state.shaded.size - 1
    update(state)
    assert state.visits[0] == 1 and state.reward[0] == 1000.0 / 40


def test_the_hull_takes_the_shade_but_visits_nothing() -> None:
    state = lane_of_tiles(length=7.0)
    place(state, 0, 7 - 2.5)  # the bumper reaches 2.6 ahead, the nose 2.4, the front wheels 2.14
    update(state)
    assert state.touching[0, 1] == 1 << 4
    assert not state.shaded[0, 1] and not state.visited[0, 1] and state.visits[0] == 1


def test_one_wheel_on_the_road_grips_alone() -> None:
    state = lane_of_tiles(length=7.0)
    place(state, 7.0, 10.5)  # the left wheels' outer sides lie at 7 - 1.38, the right ones' inner sides at 7 + 0.82
    update(state)
    np.testing.assert_array_equal(state.grip[0], [True, False, True, False])
    place(state, 30, 10.5)
    update(state)
    assert not state.grip.any() and not state.touching.any()
    assert state.visits[0] == 1


def test_turned_upside_down_the_wheels_swap() -> None:
    state = lane_of_tiles(length=7.0)
    place(state, 7.0, 10.5, np.pi)
    update(state)
    np.testing.assert_array_equal(state.grip[0], [False, True, False, True])


def test_rewards_are_added_tile_by_tile() -> None:
    state = lane_of_tiles()
    expected = 0.0
    for y in np.arange(2.0, 120.0, 2.0):
        place(state, 0, y)
        before = state.visits[0]
        update(state)
        for _ in range(state.visits[0] - before):
            expected += 1000.0 / 40
    assert state.reward[0] == expected and state.visits[0] == state.visited[0].sum()


@pytest.mark.parametrize(("fixed_rule", "expected"), [(False, False), (True, True)])
def test_a_lap_ends_on_the_first_tile(fixed_rule: bool, expected: bool) -> None:
    state = lane_of_tiles()
    place(state, 0, 1.75)
    update(state, 0.5, fixed_rule)
    assert state.visited[0, 0] and not state.new_lap[0]
    for y in np.arange(3.5, 100.0, 3.0):
        place(state, 0, y)
        update(state, 0.5, fixed_rule)
    assert state.visits[0] > 20 and not state.new_lap[0]
    place(state, 0, 1.75)
    update(state, 0.5, fixed_rule)
    assert state.new_lap[0] == expected


def test_early_decisions_are_those_of_overlap() -> None:
    state, rows = allocate(1), np.zeros((1, rng.STATE_WORDS), np.uint64)
    random = np.random.default_rng(0)
    touched = 0
    for seed in range(6):
        rng.seed_rows(rows, [seed])
        track.make_track(state, 0, rows[0])
        n = state.tiles[0]
        for _ in range(60):
            x, y = state.points[0, random.integers(n), 1:] + random.normal(0, 5, 2)
            place(state, x, y, random.uniform(-4, 4))
            update(state)
            near = np.abs(state.points[0, :n, 1:] - (x, y)).max(axis=1) < 30
            assert not state.touching[0, :n][~near].any()
            for i in np.flatnonzero(near):
                assert state.touching[0, i] == bits(state, int(i))
                touched += state.touching[0, i] != 0
    assert touched > 300


def bits(state: State, i: int) -> int:
    """All eight polygons against a tile by the exact test alone."""
    found = 0
    for p, (polygon, count, body) in enumerate(zip(contacts.POLYGONS, contacts.COUNTS, contacts.BODIES, strict=True)):
        at = state.position[0, body], state.rotation[0, body]
        found |= contacts.overlap(state.sensors[0, i], polygon, count, *at) << p
    return found


def test_overlap_is_box2d_s_to_the_last_bit() -> None:
    box2d = pytest.importorskip("Box2D")
    state, rows = allocate(1), np.zeros((1, rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, [3])
    track.make_track(state, 0, rows[0])
    random = np.random.default_rng(1)
    here, there = box2d.b2Transform(), box2d.b2Transform()
    here.SetIdentity()

    def shape(corners: Array) -> Any:
        return box2d.b2PolygonShape(vertices=[tuple(map(float, corner)) for corner in corners])

    decisions = []
    for _ in range(150):
        tile, p = state.sensors[0, random.integers(state.tiles[0])], random.integers(8)
        polygon, count = contacts.POLYGONS[p], contacts.COUNTS[p]
        theirs, ours = shape(tile), shape(polygon[:count])
        there.angle = random.uniform(-7, 7)
        direction = random.normal(size=2)
        direction /= np.hypot(*direction)

        def touching(distance: float, tile: Array = tile, shapes: Any = (theirs, ours), d: Array = direction) -> bool:
            there.position = tuple(map(float, (tile.mean(axis=0) + distance * d).astype(np.float32)))
            return bool(box2d.b2TestOverlap(shapes[0], 0, shapes[1], 0, here, there))

        low, high = 0.0, 25.0  # where they part, to the last bit
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if touching(middle) else (low, middle)
        for distance in low + np.concatenate([[0], random.normal(0, 1e-5, 10), random.normal(0, 1, 3)]):
            expected = touching(distance)
            position = np.array(there.position, np.float32)
            rotation = np.array([there.q.s, there.q.c], np.float32)
            assert contacts.overlap(tile, polygon, count, position, rotation) == expected
            decisions.append(expected)
    assert 0.2 < np.mean(decisions) < 0.8


def weave(env: Any, step: int) -> Array:
    """Follow the track in a snake, leaving it now and then."""
    points, position = np.array(env.track)[:, 2:], np.array(env.car.hull.position)
    nearest = int(((points - position) ** 2).sum(axis=1).argmin())
    x, y = points[(nearest + 4) % len(points)] - position
    error = (np.arctan2(-x, y) - env.car.hull.angle + np.pi) % (2 * np.pi) - np.pi
    slow = np.hypot(*env.car.hull.linearVelocity) < 45
    return np.array([0.8 * np.sin(step / 5) - 1.5 * error, 0.3 * slow, 0.0])


DRIVERS = {
    "random": lambda env, random, step: random.uniform((-1, 0, 0), (1, 1, 1)),
    "full gas": lambda env, random, step: np.array([0.0, 1.0, 0.0]),
    "weaving": lambda env, random, step: weave(env, step),
    "circling": lambda env, random, step: np.array([1.0 if step // 40 % 2 else -1.0, 0.3, 0.0]),
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("seed", [7, 8])
def test_equal_to_gymnasium_while_driving(driver: str, seed: int) -> None:
    pytest.importorskip("Box2D")
    from gymnasium.envs.box2d.car_racing import CarRacing

    original: Any = CarRacing(lap_complete_percent=0.0069)
    original._render = lambda mode: None
    state, rows = allocate(1), np.zeros((1, rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, [seed])
    track.make_track(state, 0, rows[0])
    world = original.world

    class Watched:
        """The world, whose contacts are also found by ours, from the poses before each step."""

        def __getattr__(self, name: str) -> Any:
            return getattr(world, name)

        def Step(self, *args: Any) -> None:  # noqa: N802
            for i, body in enumerate([original.car.hull, *original.car.wheels]):
                state.position[0, i] = body.position
                state.rotation[0, i] = body.transform.q.s, body.transform.q.c
            update(state, original.lap_complete_percent)
            world.Step(*args)

    original.world = Watched()
    random = np.random.default_rng(seed)
    original.reset(seed=seed)
    compare(state, original)
    for step in range(300):
        *_, terminated, _, _ = original.step(DRIVERS[driver](original, random, step).astype(np.float32))
        state.reward[0] -= 0.1
        compare(state, original)
        if terminated and not original.new_lap:
            break


def compare(state: State, original: Any) -> None:
    n = len(original.road)
    for w, wheel in enumerate(original.car.wheels):
        assert {tile.idx for tile in wheel.tiles} == set(np.flatnonzero(state.touching[0] >> w & 1))
        assert state.grip[0, w] == bool(wheel.tiles)
    assert state.visits[0] == original.tile_visited_count
    assert state.reward[0] == original.reward
    assert state.new_lap[0] == original.new_lap
    np.testing.assert_array_equal(state.visited[0, :n], [tile.road_visited for tile in original.road])
    shades = original.road_color[0] + np.where(state.shaded[0, :n], 0.01 * (np.arange(n) % 3) * 255, 0.0)
    np.testing.assert_array_equal(shades, [tile.color[0] for tile in original.road])

"""The car's physics: laws it must obey, and Gymnasium's own car, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from envs.batched import Array
from envs.car_racing import car, solver
from envs.car_racing.dynamics import BLOCKING_BRAKE, GRASS_GRIP, ROAD_GRIP, place_cars, step_cars
from envs.car_racing.state import SKID_LINES, TIME_STEP, State, allocate
from envs.car_racing.track import make_track
from envs.rng import STATE_WORDS, seed_rows

MASSES = np.array([car.HULL_MASS] + 4 * [car.WHEEL_MASS], np.float64)
INERTIAS = np.array([car.HULL_INERTIA] + 4 * [car.WHEEL_INERTIA], np.float64)


def at_start(lanes: int, seeds: list[int] | None = None) -> State:
    """Cars after the first step: on the tracks of ``seeds``, or without a track, all on grass."""
    state = allocate(lanes)
    if seeds is None:
        for lane in range(lanes):
            state.points[lane, 0] = 0.1 * lane, 3.0 * lane, -5.0 * lane
    else:
        rows = np.zeros((lanes, STATE_WORDS), np.uint64)
        seed_rows(rows, seeds)
        for lane in range(lanes):
            make_track(state, lane, rows[lane])
    place_cars(state, np.ones(lanes, np.bool_), 0, lanes)
    step(state, np.zeros((lanes, 3)))
    return state


def step(state: State, actions: Array, moving: Array | None = None) -> None:
    lanes = len(state.awake)
    actions = np.broadcast_to(np.asarray(actions, np.float64), (lanes, 3)).copy()
    step_cars(state, np.ones(lanes, np.bool_) if moving is None else moving, actions, 0.95, False, 0, lanes)


def copied(state: State) -> State:
    return State(*(field.copy() for field in state))


def assert_equal(ours: State, theirs: State, lanes: Array | slice = slice(None)) -> None:
    for name, mine, other in zip(State._fields, ours, theirs, strict=True):
        np.testing.assert_array_equal(mine[lanes], other[lanes], err_msg=name)


def drivers(lanes: int, steps: int) -> Array:
    """Actions (steps, lanes, 3) of eight drivers in turn; what a continuous action holds is float32."""
    rng = np.random.default_rng(5)
    t = np.arange(steps)
    actions = np.zeros((steps, lanes, 3))
    for lane in range(lanes):
        mine = actions[:, lane]
        match lane % 8:
            case 0:  # anything
                mine[:] = rng.uniform([-1, 0, 0], [1, 1, 1], (steps, 3))
            case 1:  # anything for half a second: joints at their limits
                mine[:] = rng.uniform([-1, 0, 0], [1, 1, 0.3], (-(-steps // 25), 3)).repeat(25, 0)[:steps]
            case 2:  # full gas
                mine[:, 1] = 1
            case 3:  # slalom
                mine[:, 0], mine[:, 1] = np.where(t // 20 % 2, 1, -1), 0.5
            case 4:  # brakes, blocking and not
                mine[:, 0], mine[:, 1] = 0.3, t % 60 < 40
                mine[:, 2] = np.where(t % 60 < 40, 0, np.where(t % 120 < 60, 0.95, 0.3))
            case 5:  # off the road
                mine[:, 0], mine[:, 1] = 0.1, 1
            case 6:  # steers at rest, then nothing at all: sleeps
                mine[:, 0] = np.where(t < 20, 0.2, 0)
            case 7:  # beyond the range of actions
                mine[:] = rng.uniform([-3, -1, -1], [3, 2, 2], (steps, 3))
    return actions.astype(np.float32).astype(np.float64)


# Mass


def test_masses_are_density_times_area() -> None:
    def area(corners: Array) -> float:
        x, y = corners.astype(np.float64).T
        return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2

    polygons = [corners[:count] for corners, count in zip(car.HULL, car.HULL_COUNTS, strict=True)]
    assert car.HULL_MASS == pytest.approx(sum(map(area, polygons)), rel=1e-6) == 7.06
    assert car.WHEEL_MASS == pytest.approx(0.1 * area(car.WHEEL), rel=1e-6) == 0.06048
    # of a rectangle: m (width^2 + height^2) / 12
    assert car.WHEEL_INERTIA == pytest.approx(0.06048 * (0.56**2 + 1.08**2) / 12, rel=1e-6)
    np.testing.assert_allclose(car.LOCAL_CENTER, [0, -0.0825309], atol=1e-7)


def test_polygons_are_counter_clockwise_from_the_right() -> None:
    np.testing.assert_array_equal(car.HULL_COUNTS, [4, 4, 8, 4])
    for corners, count in zip([*car.HULL, car.WHEEL], [*car.HULL_COUNTS, 4], strict=True):
        used = corners[:count]
        assert used[0, 0] == used[:, 0].max() and used[0, 1] == used[used[:, 0] == used[0, 0], 1].min()
        edges = np.roll(used, -1, axis=0) - used
        following = np.roll(edges, -1, axis=0)
        assert np.all(edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0)


# Laws


@pytest.mark.parametrize("joint_angle", [0.0, 0.45], ids=["free", "at a limit"])
def test_joints_conserve_momentum(joint_angle: float) -> None:
    state = at_start(1)
    rng = np.random.default_rng(2)
    state.velocity[:] = rng.normal(0, 3, state.velocity.shape)
    state.spin[:] = rng.normal(0, 3, state.spin.shape)
    state.angle[0, 1] = state.angle[0, 0] + joint_angle

    def momenta() -> tuple[Array, float]:
        v, r = state.velocity[0].astype(np.float64), state.center[0].astype(np.float64)
        turning = np.sum(MASSES * (r[:, 0] * v[:, 1] - r[:, 1] * v[:, 0])) + np.sum(INERTIAS * state.spin[0])
        return MASSES @ v, turning

    linear, turning = momenta()
    assert solver.start_step(state, 0) == (joint_angle > 0.4)
    solver.solve_car(state, 0, np.zeros((1, 4), np.float32))
    new_linear, new_turning = momenta()
    np.testing.assert_allclose(new_linear, linear, atol=1e-4)
    assert new_turning == pytest.approx(turning, abs=1e-3)
    # every wheel's centre moves with its anchor
    arm = state.center[0, 1:] - state.center[0, :1]
    anchor_velocity = state.velocity[0, 0] + state.spin[0, 0] * np.stack([-arm[:, 1], arm[:, 0]], axis=1)
    np.testing.assert_allclose(state.velocity[0, 1:], anchor_velocity, atol=5e-3)


@pytest.mark.parametrize("on_road", [True, False])
def test_tyres_push_no_harder_than_their_grip(on_road: bool) -> None:
    state = at_start(8)
    actions = drivers(8, 100)
    for t in range(100):
        state.grip[:] = on_road
        before = np.einsum("b,lbx->lx", MASSES, state.velocity)
        step(state, actions[t])
        force = np.linalg.norm(np.einsum("b,lbx->lx", MASSES, state.velocity) - before, axis=1) / TIME_STEP
        assert np.all(force <= 4 * (ROAD_GRIP if on_road else GRASS_GRIP) + 0.1)
    assert np.abs(state.velocity).max() > 5


def test_a_coasting_car_loses_its_sideways_speed() -> None:
    state = at_start(1)
    state.velocity[:] = [4, 4]  # the car heads up: its wheels roll ahead freely, the tyres brake the rest
    energies = []
    for _ in range(200):
        step(state, np.zeros(3))
        speeds = np.sum(state.velocity[0].astype(np.float64) ** 2, axis=1)
        energies.append(np.sum(MASSES * speeds) + np.sum(INERTIAS * state.spin[0].astype(np.float64) ** 2))
    assert energies[-1] < 0.6 * (16 + 16) * MASSES.sum()  # as it was set
    np.testing.assert_allclose(energies[-100:], energies[-1], rtol=1e-5)  # nothing slows a rolling car
    sine, cosine = state.rotation[0, 0]
    vx, vy = state.velocity[0, 0]
    assert abs(cosine * vx + sine * vy) < 0.01 and -sine * vx + cosine * vy > 0.5


def test_an_idle_car_falls_asleep_every_half_second() -> None:
    state = at_start(1)
    place = state.position.copy()
    asleep = []
    for t in range(100):
        step(state, np.zeros(3))
        asleep += [] if state.awake[0] else [t]
        assert state.awake[0] or not (state.velocity.any() or state.spin.any() or state.sleep_time.any())
    assert len(asleep) >= 3
    assert set(np.diff(asleep)) == {25}
    np.testing.assert_array_equal(state.position, place)


def test_controls() -> None:
    state = at_start(1)
    gas = []
    for wanted in (2.0, 2.0, 0.05, 1.0):
        step(state, np.array([0.0, wanted, 0.0]))
        gas.append(state.gas[0])
    np.testing.assert_allclose(gas, [0.1, 0.2, 0.05, 0.15])  # clipped, the rise limited, the fall at once
    for _ in range(60):
        step(state, np.array([-1.0, 0.2, 0.0]))
        joints = state.angle[0, 1:] - state.angle[0, 0]
        assert np.all(np.abs(joints) < 0.4 + np.deg2rad(2) + 0.01)
    assert state.steer[0] == 1.0 and np.all(joints[:2] > 0.35) and np.all(np.abs(joints[2:]) < 0.1)
    rolled = state.phase.copy()
    step(state, np.array([0.0, 1.0, BLOCKING_BRAKE]))
    np.testing.assert_array_equal(state.phase, rolled)
    assert state.time[0] == pytest.approx((1 + 4 + 60 + 1) * TIME_STEP)


def test_skid_marks_are_a_ring_of_lines() -> None:
    state = at_start(1)
    for t in range(300):
        step(state, np.array([0.6, 1.0, 1.0 if t % 40 > 30 else 0.0]))
    assert state.skid_next[0] > SKID_LINES  # overwritten at least once
    counts = state.skid_counts[0]
    assert counts.min() >= 2 and counts.max() == 30
    assert state.skid_grass.all()
    newest = (state.skid_next[0] - 1) % SKID_LINES
    points = state.skid_points[0, newest, : counts[newest]]
    assert np.all(np.linalg.norm(np.diff(points, axis=0), axis=1) < 2)
    place_cars(state, np.ones(1, np.bool_), 0, 1)
    assert not state.skid_counts.any() and not state.skid_next.any()


def test_a_step_on_the_road_marks_black() -> None:
    state = at_start(1)
    for _ in range(20):
        state.grip[:] = True
        step(state, np.array([0.0, 1.0, 0.0]))
    assert state.skid_next[0] >= 2 and not state.skid_grass.any()


# Lanes


@pytest.mark.parametrize("lanes", [1, 2, 16, 37])
def test_lanes_do_not_know_each_other(lanes: int) -> None:
    """Cars solved side by side are, bit for bit, cars solved one by one: with limits, sleep and remainders."""
    together, alone = at_start(lanes), at_start(lanes)
    each = np.eye(lanes, dtype=np.bool_)
    actions = drivers(lanes, 120)
    limited = slept = False
    for t in range(len(actions)):
        grip = np.random.default_rng(t).random((lanes, 4)) < 0.9
        together.grip[:] = alone.grip[:] = grip
        step(together, actions[t])
        for lane in range(lanes):
            step(alone, actions[t], each[lane])
        assert_equal(together, alone)
        limited |= bool(together.limit.any())
        slept |= not together.awake.all()
    assert (limited and slept) or lanes < 16


def test_only_moving_lanes_change() -> None:
    state = at_start(5)
    before = copied(state)
    moving = np.array([True, False, True, True, False])
    step(state, np.array([0.3, 1.0, 0.0]), moving)
    assert_equal(state, before, ~moving)
    assert np.all((state.omega[:, 2:] != before.omega[:, 2:]).any(axis=1) == moving)


def test_placing_starts_afresh() -> None:
    state = at_start(3)
    fresh = copied(state)
    for actions in drivers(3, 60):
        step(state, actions)
    mask = np.array([True, False, True])
    state.grip[mask] = False
    place_cars(state, mask, 0, len(mask))
    step(state, np.zeros((3, 3)), mask)
    state.skid_points[:] = fresh.skid_points[:] = 0  # slots beyond the counts are unused
    state.skid_grass[:] = fresh.skid_grass[:] = False
    assert_equal(state, fresh, mask)
    assert state.skid_next[1] == 0 or state.time[1] > 1


# The original


def original(seed: int, continuous: bool = True) -> Any:
    """Gymnasium's environment without its pictures, which take all the time."""
    pytest.importorskip("Box2D")
    from gymnasium.envs.box2d.car_racing import CarRacing

    env: Any = CarRacing(continuous=continuous)
    env._render = lambda mode: None
    env.reset(seed=seed)
    return env


def assert_same_car(state: State, lane: int, env: Any) -> None:
    bodies = [env.car.hull, *env.car.wheels]
    wheels = env.car.wheels
    joints = [wheel.joint for wheel in wheels]
    float32 = {
        "position": [tuple(body.position) for body in bodies],
        "center": [tuple(body.worldCenter) for body in bodies],
        "angle": [body.angle for body in bodies],
        "velocity": [tuple(body.linearVelocity) for body in bodies],
        "spin": [body.angularVelocity for body in bodies],
        "impulse": [(*joint.GetReactionForce(1.0), joint.GetReactionTorque(1.0)) for joint in joints],
        "motor_impulse": [joint.GetMotorTorque(1.0) for joint in joints],
    }
    float64 = {
        "omega": [wheel.omega for wheel in wheels],
        "phase": [wheel.phase for wheel in wheels],
        "gas": wheels[2].gas,
        "time": env.t,
        "awake": env.car.hull.awake,
    }
    for expected, dtype in ((float32, np.float32), (float64, np.float64)):
        for name, value in expected.items():
            np.testing.assert_array_equal(getattr(state, name)[lane], np.array(value, dtype), err_msg=name)
    lines = []
    for number in range(max(0, state.skid_next[lane] - SKID_LINES), state.skid_next[lane]):
        slot = number % SKID_LINES
        points = state.skid_points[lane, slot, : state.skid_counts[lane, slot]]
        lines.append((bool(state.skid_grass[lane, slot]), points.tolist()))
    assert lines == [(bool(line.grass), [list(point) for point in line.poly]) for line in env.car.particles]


def test_car_is_the_original() -> None:
    their_car = original(1).car
    for corners, count, fixture in zip(car.HULL, car.HULL_COUNTS, their_car.hull.fixtures, strict=True):
        np.testing.assert_array_equal(corners[:count], np.array(fixture.shape.vertices, np.float32))
    square = car.LOCAL_CENTER[0] ** 2 + car.LOCAL_CENTER[1] ** 2
    assert their_car.hull.mass == car.HULL_MASS
    assert their_car.hull.inertia == car.HULL_INERTIA + car.HULL_MASS * square
    np.testing.assert_array_equal(np.array(their_car.hull.localCenter, np.float32), car.LOCAL_CENTER)
    for wheel in their_car.wheels:
        np.testing.assert_array_equal(np.array(wheel.fixtures[0].shape.vertices, np.float32), car.WHEEL)
        assert (wheel.mass, wheel.inertia) == (car.WHEEL_MASS, car.WHEEL_INERTIA)


@pytest.mark.parametrize("seed", [0, 100])
def test_every_driver_drives_the_original(seed: int) -> None:
    envs = [original(seed + lane) for lane in range(8)]
    state = at_start(8, [seed + lane for lane in range(8)])
    for t, actions in enumerate(drivers(8, 300)):
        for lane, env in enumerate(envs):
            env.step(actions[lane].astype(np.float32))
        step(state, actions)
        if t % 10 == 0 or t == 299:
            for lane, env in enumerate(envs):
                assert_same_car(state, lane, env)


def test_discrete_actions_drive_the_original() -> None:
    table: Callable[[int], Array] = np.array(
        [[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]]
    ).__getitem__
    env, state = original(7, continuous=False), at_start(1, [7])
    for t, action in enumerate(np.random.default_rng(1).choice(5, 300, p=[0.1, 0.15, 0.15, 0.55, 0.05])):
        env.step(int(action))
        step(state, table(action))
        if t % 10 == 0 or t == 299:
            assert_same_car(state, 0, env)

"""A step of the cars: controls, tyres, contacts, and the bodies' motion (`solver.py`).

Equal to CarRacing of Gymnasium 1.4.0 with Box2D 2.3, bit for bit: what Python computes there is float64 here, what
Box2D computes is float32.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.car import LOCAL_CENTER, SIZE, WHEEL_INV_MASS, WHEEL_OFFSETS, WHEEL_RADIUS
from envs.car_racing.contacts import update_contacts
from envs.car_racing.solver import (
    BLOCK,
    WIDTH,
    end_step,
    place_body,
    solve_block,
    solve_car,
    start_step,
)
from envs.car_racing.state import SKID_LINES, TIME_STEP, State

ENGINE_POWER = 100000000 * SIZE * SIZE  # W
WHEEL_INERTIA = 4000 * SIZE * SIZE  # kg m^2, of rolling
ROAD_GRIP = 1000000 * SIZE * SIZE  # N, the largest force of a tyre
GRASS_GRIP = ROAD_GRIP * 0.6
TYRE_STIFFNESS = 205000 * SIZE * SIZE  # N s/m
BRAKE_RATE = 15  # rad/s a step
BLOCKING_BRAKE = 0.9  # blocks the wheels
GAS_RISE = 0.1  # a step
STEER_GAIN, STEER_SPEED = 50.0, 3.0  # 1/s, rad/s
LINE_LENGTH = 30  # points of a skid mark

_DT = np.float32(TIME_STEP)


@njit(cache=True, nogil=True)
def place_cars(state: State, mask: Array, first: int, end: int) -> None:
    """Put the cars of ``mask`` among the lanes from first to end at rest on the first tile, with a score of nothing.

    The wheels lie where they would if the car headed up, whatever its angle; the first step pulls them into place.

    Args:
        mask: ``(lanes,)`` bool.
    """
    for lane in range(first, end):
        if not mask[lane]:
            continue
        angle, x, y = state.points[lane, 0]
        state.angle[lane] = angle
        place_body(state, lane, 0)  # for its rotation: the centre follows from the origin here
        sine, cosine = state.rotation[lane, 0]
        state.position[lane, 0, 0], state.position[lane, 0, 1] = x, y
        state.center[lane, 0, 0] = (cosine * LOCAL_CENTER[0] - sine * LOCAL_CENTER[1]) + state.position[lane, 0, 0]
        state.center[lane, 0, 1] = (sine * LOCAL_CENTER[0] + cosine * LOCAL_CENTER[1]) + state.position[lane, 0, 1]
        for wheel in range(4):
            state.center[lane, wheel + 1, 0] = x + WHEEL_OFFSETS[wheel, 0]
            state.center[lane, wheel + 1, 1] = y + WHEEL_OFFSETS[wheel, 1]
            place_body(state, lane, wheel + 1)
        for vectors in (state.velocity, state.impulse):
            vectors[lane] = 0.0
        for scalars in (state.spin, state.motor_impulse, state.sleep_time):
            scalars[lane] = 0.0
        state.limit[lane] = 0
        state.awake[lane] = True
        for wheels in (state.omega, state.phase):
            wheels[lane] = 0.0
        for controls in (state.steer, state.gas, state.brake):
            controls[lane] = 0.0
        for score in (state.time, state.reward, state.shown_reward, state.paid_reward):
            score[lane] = 0.0
        state.skid_counts[lane] = 0
        state.skid_next[lane] = 0
        state.skid_line[lane] = -1
        state.skid_start[lane] = np.nan


@njit(cache=True, nogil=True)
def step_cars(
    state: State,
    moving: Array,
    actions: Array,
    lap_complete_percent: float,
    any_contact_counts: bool,
    first: int,
    end: int,
) -> None:
    """Move the cars of ``moving`` among the lanes from ``first`` to ``end`` by one step of 0.02 s.

    Args:
        moving: ``(lanes,)`` bool.
        actions: ``(lanes, 3)`` float64: steering (not clipped), gas (clipped to [0, 1]), brake (not clipped).
        lap_complete_percent, any_contact_counts: the lap rule, see `contacts.update_contacts`.
    """
    motor_speeds = np.empty((moving.shape[0], 4), np.float32)
    side_by_side, count = np.empty(WIDTH, np.int64), 0
    block = np.zeros(BLOCK, np.float32)
    for lane in range(first, end):
        if moving[lane]:
            _set_controls(state, lane, actions[lane])
            for wheel in range(4):
                skids = _turn_wheel(state, lane, wheel, motor_speeds)
                _mark_skid(state, lane, wheel, skids)
            update_contacts(state, lane, lap_complete_percent, any_contact_counts)
            if start_step(state, lane):
                solve_car(state, lane, motor_speeds)
            else:
                side_by_side[count] = lane
                count += 1
                if count == WIDTH:
                    solve_block(state, side_by_side, count, motor_speeds, block)
                    count = 0
    if count == 1:  # a block takes as long as two single cars
        solve_car(state, side_by_side[0], motor_speeds)
    elif count > 1:
        solve_block(state, side_by_side, count, motor_speeds, block)
    for lane in range(first, end):
        if moving[lane]:
            end_step(state, lane)
            state.time[lane] += TIME_STEP


@njit(cache=True, nogil=True, inline="always")
def _set_controls(state: State, lane: int, action: Array) -> None:
    state.steer[lane] = -action[0]
    rise = min(max(action[1], 0.0), 1.0) - state.gas[lane]
    state.gas[lane] += min(rise, GAS_RISE)
    state.brake[lane] = action[2]


@njit(cache=True, nogil=True, error_model="numpy")
def _turn_wheel(state: State, lane: int, wheel: int, motor_speeds: Array) -> bool:
    """Steer, drive and brake a wheel, and push it by its tyre's force for the step; whether it leaves a mark.

    The grip is that of the contacts found in the step before.
    """
    body = wheel + 1
    steering_error = (state.steer[lane] if wheel < 2 else 0.0) - np.float64(
        state.angle[lane, body] - state.angle[lane, 0]
    )
    motor_speeds[lane, wheel] = np.sign(steering_error) * min(STEER_GAIN * abs(steering_error), STEER_SPEED)

    sine, cosine = np.float64(state.rotation[lane, body, 0]), np.float64(state.rotation[lane, body, 1])
    vx, vy = np.float64(state.velocity[lane, body, 0]), np.float64(state.velocity[lane, body, 1])
    forward_speed = -sine * vx + cosine * vy
    side_speed = cosine * vx + sine * vy

    omega = state.omega[lane, wheel]
    gas = state.gas[lane] if wheel >= 2 else 0.0
    omega += TIME_STEP * ENGINE_POWER * gas / WHEEL_INERTIA / (abs(omega) + 5.0)  # power / (inertia * omega)
    brake = state.brake[lane]
    if brake >= BLOCKING_BRAKE:
        omega = 0.0
    elif brake > 0:
        omega -= np.sign(omega) * min(BRAKE_RATE * brake, abs(omega))
    state.phase[lane, wheel] += omega * TIME_STEP

    along = (-forward_speed + omega * WHEEL_RADIUS) * TYRE_STIFFNESS
    across = -side_speed * TYRE_STIFFNESS
    force = math.sqrt(along * along + across * across)
    grip = ROAD_GRIP if state.grip[lane, wheel] else GRASS_GRIP
    skids = force > 2.0 * grip
    if force > grip:
        along = along / force * grip
        across = across / force * grip
    state.omega[lane, wheel] = omega - TIME_STEP * along * WHEEL_RADIUS / WHEEL_INERTIA

    push_x, push_y = np.float32(across * cosine + along * -sine), np.float32(across * sine + along * cosine)
    state.velocity[lane, body, 0] += _DT * (WHEEL_INV_MASS * push_x)
    state.velocity[lane, body, 1] += _DT * (WHEEL_INV_MASS * push_y)
    return skids


@njit(cache=True, nogil=True, inline="always")
def _mark_skid(state: State, lane: int, wheel: int, skids: bool) -> None:
    """Lengthen the wheel's skid mark, or begin one: a skid's first step only announces it.

    A mark that the ring has already overwritten counts as finished.
    """
    if not skids:
        state.skid_line[lane, wheel] = -1
        state.skid_start[lane, wheel, 0] = np.nan
        return
    grass = not state.grip[lane, wheel]
    x, y = state.position[lane, wheel + 1, 0], state.position[lane, wheel + 1, 1]
    line = state.skid_line[lane, wheel]
    slot = line % SKID_LINES
    kept = line >= 0 and line >= state.skid_next[lane] - SKID_LINES
    if kept and state.skid_grass[lane, slot] == grass and state.skid_counts[lane, slot] < LINE_LENGTH:
        point = state.skid_counts[lane, slot]
        state.skid_points[lane, slot, point, 0], state.skid_points[lane, slot, point, 1] = x, y
        state.skid_counts[lane, slot] = point + 1
    elif math.isnan(state.skid_start[lane, wheel, 0]):
        state.skid_start[lane, wheel, 0], state.skid_start[lane, wheel, 1] = x, y
    else:
        line = state.skid_next[lane]
        slot = line % SKID_LINES
        state.skid_next[lane] = line + 1
        state.skid_line[lane, wheel] = line
        # the original keeps no copy of the start, but the wheel's moving position: both ends are where it is now
        for point in range(2):
            state.skid_points[lane, slot, point, 0], state.skid_points[lane, slot, point, 1] = x, y
        state.skid_counts[lane, slot] = 2
        state.skid_grass[lane, slot] = grass
        state.skid_start[lane, wheel, 0] = np.nan

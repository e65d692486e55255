"""The step of a car's five bodies and four joints, as Box2D 2.3 makes it: bit for bit, in float32.

Every joint holds a wheel's centre to its anchor on the hull (a point in two coordinates), turns the wheel by a motor
of limited torque, and keeps its angle within limits. Impulses are found by sequential sweeps over the joints (Catto
2005, "Iterative dynamics with temporal coherence"), starting from the step before; Box2D visits the joints from the
last to the first. The wheel's lever arm is zero, so a wheel's own rotation has no part in its point.

Joint `j` ties body 0 to body `j + 1`. Kernels follow Box2D's order of operations; a comment names the quantity
where an expression looks longer than need be.
"""

import math

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.car import (
    ANCHORS,
    HULL_INV_INERTIA,
    HULL_INV_MASS,
    LOCAL_CENTER,
    WHEEL_INV_INERTIA,
    WHEEL_INV_MASS,
)
from envs.car_racing.state import TIME_STEP, State

VELOCITY_SWEEPS, POSITION_SWEEPS = 180, 60
WIDTH = 16  # cars side by side in a block: one AVX-512 register

_ZERO, _ONE = np.float32(0), np.float32(1)
_DT = np.float32(TIME_STEP)
_ARMS = ANCHORS - LOCAL_CENTER  # (4, 2), from the hull's centre of mass
_POINT_MASS = HULL_INV_MASS + WHEEL_INV_MASS
_AXIAL_MASS = HULL_INV_INERTIA + WHEEL_INV_INERTIA
_MOTOR_MASS = _ONE / _AXIAL_MASS
_MAX_MOTOR_IMPULSE = _DT * np.float32(180 * 900 * 0.02 * 0.02)
_LOWER, _UPPER = np.float32(-0.4), np.float32(0.4)  # rad
_INACTIVE, _AT_LOWER, _AT_UPPER = 0, 1, 2

_LINEAR_SLOP = np.float32(0.005)  # m, a joint's error that is let be
_ANGULAR_SLOP = np.float32(2) / np.float32(180) * np.float32(np.pi)
_MAX_ANGULAR_CORRECTION = np.float32(8) / np.float32(180) * np.float32(np.pi)
_MAX_TRANSLATION = np.float32(2)  # m a step
_MAX_ROTATION = np.float32(0.5) * np.float32(np.pi)
_SLEEP_SPEED, _SLEEP_SPIN, _TIME_TO_SLEEP = np.float32(0.01), _ANGULAR_SLOP, np.float32(0.5)

# A block of WIDTH cars is a flat float32 array of rows of WIDTH: those of every joint (its wheel's velocities, its
# impulses, what `_point_matrix` gives, the motor's speed), then the hull's velocities.
_VX, _VY, _SPIN, _IMPULSE_X, _IMPULSE_Y, _MOTOR, _ARM_X, _ARM_Y, _K11, _K12, _K22, _INVERSE, _SPEED, _JOINT = range(
    0, 14 * WIDTH, WIDTH
)
_HULL = 4 * _JOINT
BLOCK = _HULL + 3 * WIDTH


@njit(cache=True, nogil=True, inline="always")
def _clamp(value: float, low: float, high: float) -> float:
    value = value if value < high else high
    return low if low > value else value


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _point_matrix(state: State, lane: int, joint: int) -> tuple[float, float, float, float, float, float]:
    """The rotated lever arm (x, y) on the hull and the point's matrix K: K11, K12, K22, 1 / det K."""
    sine, cosine = state.rotation[lane, 0, 0], state.rotation[lane, 0, 1]
    x = cosine * _ARMS[joint, 0] - sine * _ARMS[joint, 1]
    y = sine * _ARMS[joint, 0] + cosine * _ARMS[joint, 1]
    # K = (1/m_A + 1/m_B) 1 + skew(r)^T skew(r) / I_A
    k11 = _POINT_MASS + y * y * HULL_INV_INERTIA
    k12 = -y * x * HULL_INV_INERTIA
    k22 = _POINT_MASS + x * x * HULL_INV_INERTIA
    return x, y, k11, k12, k22, _ONE / (k11 * k22 - k12 * k12)


@njit(cache=True, nogil=True, error_model="numpy")
def start_step(state: State, lane: int) -> bool:
    """Find which limits act and apply the impulses of the step before; whether any limit acts."""
    velocity, spin, impulse = state.velocity[lane], state.spin[lane], state.impulse[lane]
    limited = False
    for joint in range(3, -1, -1):
        angle = state.angle[lane, joint + 1] - state.angle[lane, 0]
        limit = _AT_LOWER if angle <= _LOWER else _AT_UPPER if angle >= _UPPER else _INACTIVE
        if limit == _INACTIVE or limit != state.limit[lane, joint]:
            impulse[joint, 2] = _ZERO
        state.limit[lane, joint] = limit
        limited |= limit != _INACTIVE

        arm_x, arm_y, _, _, _, _ = _point_matrix(state, lane, joint)
        x, y = impulse[joint, 0], impulse[joint, 1]
        velocity[0, 0] -= HULL_INV_MASS * x
        velocity[0, 1] -= HULL_INV_MASS * y
        torque = arm_x * y - arm_y * x + state.motor_impulse[lane, joint] + impulse[joint, 2]
        spin[0] -= HULL_INV_INERTIA * torque
        velocity[joint + 1, 0] += WHEEL_INV_MASS * x
        velocity[joint + 1, 1] += WHEEL_INV_MASS * y
        spin[joint + 1] += WHEEL_INV_INERTIA * (state.motor_impulse[lane, joint] + impulse[joint, 2])
    return limited


@njit(cache=True, nogil=True, inline="always")
def _dot_cross(
    ax: float, ay: float, az: float, bx: float, by: float, bz: float, cx: float, cy: float, cz: float
) -> float:
    """a . (b x c)."""
    return ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _limited_impulse(
    limit: int, total: float, slip_x: float, slip_y: float, slip: float, matrix: Array
) -> tuple[float, float, float]:
    """Impulse (x, y, angular) against the slip of point and angle while a limit acts that has given ``total``."""
    x, y, k11, k12, k22, inverse = matrix
    k13, k23, k33 = -y * HULL_INV_INERTIA, x * HULL_INV_INERTIA, _AXIAL_MASS
    # Cramer's rule for the symmetric matrix with the columns (k11, k12, k13), (k12, k22, k23), (k13, k23, k33)
    determinant = _ONE / _dot_cross(k11, k12, k13, k12, k22, k23, k13, k23, k33)
    angular = -(determinant * _dot_cross(k11, k12, k13, k12, k22, k23, slip_x, slip_y, slip))
    if (limit == _AT_LOWER and total + angular < _ZERO) or (limit == _AT_UPPER and total + angular > _ZERO):
        # the limit would pull: it lets go, and the point is solved without it
        b_x, b_y = -slip_x + total * k13, -slip_y + total * k23
        return inverse * (k22 * b_x - k12 * b_y), inverse * (k11 * b_y - k12 * b_x), -total
    impulse_x = -(determinant * _dot_cross(slip_x, slip_y, slip, k12, k22, k23, k13, k23, k33))
    impulse_y = -(determinant * _dot_cross(k11, k12, k13, slip_x, slip_y, slip, k13, k23, k33))
    return impulse_x, impulse_y, angular


@njit(cache=True, nogil=True, error_model="numpy")
def solve_car(state: State, lane: int, motor_speeds: Array) -> None:
    """All velocity sweeps of one car, whose limits may act.

    Args:
        motor_speeds: ``(lanes, 4)`` float32.
    """
    velocity, spin, impulse, motor = state.velocity[lane], state.spin[lane], state.impulse[lane], state.motor_impulse
    matrices = np.empty((4, 6), np.float32)
    for joint in range(4):
        matrices[joint] = _point_matrix(state, lane, joint)
    vx, vy, w = velocity[0, 0], velocity[0, 1], spin[0]
    for _ in range(VELOCITY_SWEEPS):
        old_vx, old_vy, old_w = vx, vy, w
        changed = False
        for joint in range(3, -1, -1):
            arm_x, arm_y, k11, k12, k22, inverse = matrices[joint]
            wheel_vx, wheel_vy, wheel_w = velocity[joint + 1, 0], velocity[joint + 1, 1], spin[joint + 1]

            old_motor = motor[lane, joint]
            turn = old_motor + -_MOTOR_MASS * (wheel_w - w - motor_speeds[lane, joint])
            motor[lane, joint] = _clamp(turn, -_MAX_MOTOR_IMPULSE, _MAX_MOTOR_IMPULSE)
            turn = motor[lane, joint] - old_motor
            w -= HULL_INV_INERTIA * turn
            new_w = wheel_w + WHEEL_INV_INERTIA * turn

            slip_x, slip_y = wheel_vx - vx - -w * arm_y, wheel_vy - vy - w * arm_x
            limit = state.limit[lane, joint]
            if limit == _INACTIVE:
                x = inverse * (k22 * -slip_x - k12 * -slip_y)
                y = inverse * (k11 * -slip_y - k12 * -slip_x)
                angular = _ZERO
            else:
                total = impulse[joint, 2]
                x, y, angular = _limited_impulse(limit, total, slip_x, slip_y, new_w - w, matrices[joint])
            vx -= HULL_INV_MASS * x
            vy -= HULL_INV_MASS * y
            w -= HULL_INV_INERTIA * (arm_x * y - arm_y * x + angular)
            velocity[joint + 1, 0] = wheel_vx + WHEEL_INV_MASS * x
            velocity[joint + 1, 1] = wheel_vy + WHEEL_INV_MASS * y
            spin[joint + 1] = new_w + WHEEL_INV_INERTIA * angular
            changed |= velocity[joint + 1, 0] != wheel_vx or velocity[joint + 1, 1] != wheel_vy
            changed |= spin[joint + 1] != wheel_w or motor[lane, joint] != old_motor
            for axis, part in enumerate((x, y, angular)):
                before = impulse[joint, axis]
                impulse[joint, axis] = before + part
                changed |= impulse[joint, axis] != before
        if not (changed or vx != old_vx or vy != old_vy or w != old_w):
            break  # a fixed point: no further sweep changes a bit
    velocity[0, 0], velocity[0, 1], spin[0] = vx, vy, w


@njit(cache=True, nogil=True, inline="always")
def _sweep_joint(block: Array, at: int, vx: float, vy: float, w: float) -> tuple[float, float, float]:
    """One sweep's visit to the joint that lies ``at`` in a block, no limit acting; the hull's new velocities."""
    wheel_vx, wheel_vy, wheel_w, old_motor = block[at + _VX], block[at + _VY], block[at + _SPIN], block[at + _MOTOR]
    motor = old_motor + -_MOTOR_MASS * (wheel_w - w - block[at + _SPEED])
    motor = _clamp(motor, -_MAX_MOTOR_IMPULSE, _MAX_MOTOR_IMPULSE)
    turn = motor - old_motor
    w -= HULL_INV_INERTIA * turn

    arm_x, arm_y, k12 = block[at + _ARM_X], block[at + _ARM_Y], block[at + _K12]
    slip_x, slip_y = wheel_vx - vx - -w * arm_y, wheel_vy - vy - w * arm_x
    x = block[at + _INVERSE] * (block[at + _K22] * -slip_x - k12 * -slip_y)
    y = block[at + _INVERSE] * (block[at + _K11] * -slip_y - k12 * -slip_x)

    block[at + _VX] = wheel_vx + WHEEL_INV_MASS * x
    block[at + _VY] = wheel_vy + WHEEL_INV_MASS * y
    block[at + _SPIN] = wheel_w + WHEEL_INV_INERTIA * turn
    block[at + _IMPULSE_X] += x
    block[at + _IMPULSE_Y] += y
    block[at + _MOTOR] = motor
    return vx - HULL_INV_MASS * x, vy - HULL_INV_MASS * y, w - HULL_INV_INERTIA * (arm_x * y - arm_y * x)


@njit(cache=True, nogil=True)
def _sweep_block(block: Array) -> None:
    for _ in range(VELOCITY_SWEEPS):
        for car in range(WIDTH):  # without branches or calls: becomes vector instructions
            hull = _HULL + car
            vx, vy, w = block[hull + _VX], block[hull + _VY], block[hull + _SPIN]
            vx, vy, w = _sweep_joint(block, 3 * _JOINT + car, vx, vy, w)
            vx, vy, w = _sweep_joint(block, 2 * _JOINT + car, vx, vy, w)
            vx, vy, w = _sweep_joint(block, _JOINT + car, vx, vy, w)
            vx, vy, w = _sweep_joint(block, car, vx, vy, w)
            block[hull + _VX], block[hull + _VY], block[hull + _SPIN] = vx, vy, w


@njit(cache=True, nogil=True, error_model="numpy")
def solve_block(state: State, cars: Array, count: int, motor_speeds: Array, block: Array) -> None:
    """All velocity sweeps of the ``count`` cars of the lanes ``cars``, none of whose limits acts, side by side.

    Args:
        cars: ``(WIDTH,)`` int64; entries from ``count`` on are unused.
        motor_speeds: ``(lanes, 4)`` float32.
        block: ``(BLOCK,)`` float32, scratch.
    """
    for car in range(count):
        lane = cars[car]
        for body in range(5):
            at = (_HULL if body == 0 else (body - 1) * _JOINT) + car
            block[at + _VX], block[at + _VY] = state.velocity[lane, body, 0], state.velocity[lane, body, 1]
            block[at + _SPIN] = state.spin[lane, body]
        for joint in range(4):
            at = joint * _JOINT + car
            block[at + _IMPULSE_X], block[at + _IMPULSE_Y] = (
                state.impulse[lane, joint, 0],
                state.impulse[lane, joint, 1],
            )
            block[at + _MOTOR] = state.motor_impulse[lane, joint]
            for row, value in enumerate(_point_matrix(state, lane, joint)):
                block[at + _ARM_X + row * WIDTH] = value
            block[at + _SPEED] = motor_speeds[lane, joint]
    _sweep_block(block)
    for car in range(count):
        lane = cars[car]
        for body in range(5):
            at = (_HULL if body == 0 else (body - 1) * _JOINT) + car
            state.velocity[lane, body, 0], state.velocity[lane, body, 1] = block[at + _VX], block[at + _VY]
            state.spin[lane, body] = block[at + _SPIN]
        for joint in range(4):
            at = joint * _JOINT + car
            state.impulse[lane, joint, 0], state.impulse[lane, joint, 1] = (
                block[at + _IMPULSE_X],
                block[at + _IMPULSE_Y],
            )
            state.motor_impulse[lane, joint] = block[at + _MOTOR]


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_positions(state: State, lane: int) -> bool:
    """Position sweeps, which move the bodies until the joints' errors are small; whether they became so."""
    center, angle = state.center[lane], state.angle[lane]
    cx, cy, a = center[0, 0], center[0, 1], angle[0]
    sine, cosine, rotated = math.sin(a), math.cos(a), a
    for _ in range(POSITION_SWEEPS):
        loose = 0
        for joint in range(3, -1, -1):
            limit = state.limit[lane, joint]
            if limit != _INACTIVE:
                beyond = angle[joint + 1] - a - (_LOWER if limit == _AT_LOWER else _UPPER)
                if limit == _AT_LOWER:
                    loose += int(-beyond > _ANGULAR_SLOP)
                    turn = -_MOTOR_MASS * _clamp(beyond + _ANGULAR_SLOP, -_MAX_ANGULAR_CORRECTION, _ZERO)
                else:
                    loose += int(beyond > _ANGULAR_SLOP)
                    turn = -_MOTOR_MASS * _clamp(beyond - _ANGULAR_SLOP, _ZERO, _MAX_ANGULAR_CORRECTION)
                a -= HULL_INV_INERTIA * turn
                angle[joint + 1] += WHEEL_INV_INERTIA * turn

            if a != rotated:
                sine, cosine, rotated = math.sin(a), math.cos(a), a
            arm_x = cosine * _ARMS[joint, 0] - sine * _ARMS[joint, 1]
            arm_y = sine * _ARMS[joint, 0] + cosine * _ARMS[joint, 1]
            error_x, error_y = center[joint + 1, 0] - cx - arm_x, center[joint + 1, 1] - cy - arm_y
            loose += int(math.sqrt(error_x * error_x + error_y * error_y) > _LINEAR_SLOP)
            k11 = _POINT_MASS + HULL_INV_INERTIA * arm_y * arm_y
            k12 = -HULL_INV_INERTIA * arm_x * arm_y
            k22 = _POINT_MASS + HULL_INV_INERTIA * arm_x * arm_x
            inverse = _ONE / (k11 * k22 - k12 * k12)
            x, y = -(inverse * (k22 * error_x - k12 * error_y)), -(inverse * (k11 * error_y - k12 * error_x))
            cx -= HULL_INV_MASS * x
            cy -= HULL_INV_MASS * y
            a -= HULL_INV_INERTIA * (arm_x * y - arm_y * x)
            center[joint + 1, 0] += WHEEL_INV_MASS * x
            center[joint + 1, 1] += WHEEL_INV_MASS * y
        if loose == 0:
            break
    center[0, 0], center[0, 1], angle[0] = cx, cy, a
    return loose == 0


@njit(cache=True, nogil=True, error_model="numpy")
def end_step(state: State, lane: int) -> None:
    """Move the bodies by their velocities, mend the joints, and put a car to sleep that has long been still."""
    velocity, spin = state.velocity[lane], state.spin[lane]
    for body in range(5):
        dx, dy = _DT * velocity[body, 0], _DT * velocity[body, 1]
        if dx * dx + dy * dy > _MAX_TRANSLATION * _MAX_TRANSLATION:
            ratio = _MAX_TRANSLATION / math.sqrt(dx * dx + dy * dy)
            velocity[body, 0] *= ratio
            velocity[body, 1] *= ratio
        turn = _DT * spin[body]
        if turn * turn > _MAX_ROTATION * _MAX_ROTATION:
            spin[body] *= _MAX_ROTATION / abs(turn)
        state.center[lane, body, 0] += _DT * velocity[body, 0]
        state.center[lane, body, 1] += _DT * velocity[body, 1]
        state.angle[lane, body] += _DT * spin[body]
    solved = _solve_positions(state, lane)
    for body in range(5):
        place_body(state, lane, body)

    stillness = _TIME_TO_SLEEP
    for body in range(5):
        speed_squared = velocity[body, 0] * velocity[body, 0] + velocity[body, 1] * velocity[body, 1]
        moves = spin[body] * spin[body] > _SLEEP_SPIN * _SLEEP_SPIN or speed_squared > _SLEEP_SPEED * _SLEEP_SPEED
        state.sleep_time[lane, body] = _ZERO if moves else state.sleep_time[lane, body] + _DT
        stillness = min(stillness, state.sleep_time[lane, body])
    state.awake[lane] = not (stillness >= _TIME_TO_SLEEP and solved)
    if not state.awake[lane]:
        velocity[:] = _ZERO
        spin[:] = _ZERO
        state.sleep_time[lane] = _ZERO


@njit(cache=True, nogil=True)
def place_body(state: State, lane: int, body: int) -> None:
    """Find rotation and origin of a body from its angle and centre of mass."""
    sine, cosine = math.sin(state.angle[lane, body]), math.cos(state.angle[lane, body])
    state.rotation[lane, body, 0], state.rotation[lane, body, 1] = sine, cosine
    x, y = (LOCAL_CENTER[0], LOCAL_CENTER[1]) if body == 0 else (_ZERO, _ZERO)
    state.position[lane, body, 0] = state.center[lane, body, 0] - (cosine * x - sine * y)
    state.position[lane, body, 1] = state.center[lane, body, 1] - (sine * x + cosine * y)

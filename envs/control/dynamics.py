"""Compiled dynamics of cart-pole and mountain car, on one array a state variable, lane first."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from envs.rng import uniform

Array = NDArray[Any]

GRAVITY = 9.8  # m/s^2
POLE_MASS = 0.1  # kg
TOTAL_MASS = 1.1  # kg, cart and pole
HALF_LENGTH = 0.5  # m, half the pole
FORCE = 10.0  # N
CART_POLE_TAU = 0.02  # s between two states
ANGLE_LIMIT = 12 * 2 * math.pi / 360  # rad
POSITION_LIMIT = 2.4  # m


@njit(cache=True, nogil=True, inline="always")
def _sin_cos(angle: float) -> tuple[float, float]:
    """Sine and cosine by their Taylor series: exact to the last bit or two for |angle| < 0.3 rad.

    A living pole leans less than 0.21 rad, and a series, unlike the C library's functions, runs on whole vector
    registers of lanes.
    """
    q = angle * angle
    sine = angle * (1 + q * (-1 / 6 + q * (1 / 120 + q * (-1 / 5040 + q * (1 / 362880 - q / 39916800)))))
    cosine = 1 + q * (-1 / 2 + q * (1 / 24 + q * (-1 / 720 + q * (1 / 40320 + q * (-1 / 3628800 + q / 479001600)))))
    return sine, cosine


@njit(cache=True, nogil=True, error_model="numpy")
def step_cart_pole(
    x: Array,
    x_dot: Array,
    theta: Array,
    theta_dot: Array,
    actions: Array,
    ended: Array,
    rewards: Array,
    terminated: Array,
) -> None:
    """One Euler step of Barto, Sutton & Anderson's cart-pole (1983) for every lane that has not ended.

    Free of branches, so that it compiles to vector instructions: a lane that has ended moves by a step of 0 s.
    """
    pole_moment = POLE_MASS * HALF_LENGTH
    for lane in range(x.shape[0]):
        moves = not ended[lane]
        tau = CART_POLE_TAU if moves else 0.0
        speed, angle, spin = x_dot[lane], theta[lane], theta_dot[lane]
        sine, cosine = _sin_cos(angle)
        force = FORCE * (2.0 * actions[lane] - 1.0)
        push = (force + pole_moment * spin * spin * sine) * (1 / TOTAL_MASS)
        angle_acc = (GRAVITY * sine - cosine * push) / (
            HALF_LENGTH * (4.0 / 3.0 - (POLE_MASS / TOTAL_MASS) * cosine * cosine)
        )
        acc = push - (pole_moment / TOTAL_MASS) * angle_acc * cosine
        place = x[lane] + tau * speed
        lean = angle + tau * spin
        x[lane], theta[lane] = place, lean
        x_dot[lane] = speed + tau * acc
        theta_dot[lane] = spin + tau * angle_acc
        rewards[lane] = 1.0 if moves else 0.0
        terminated[lane] = (abs(place) > POSITION_LIMIT) | (abs(lean) > ANGLE_LIMIT)


@njit(cache=True, nogil=True)
def reset_cart_pole(x: Array, x_dot: Array, theta: Array, theta_dot: Array, mask: Array, rng: Array) -> None:
    """All four state variables uniform in [-0.05, 0.05)."""
    for lane in range(x.shape[0]):
        if mask[lane]:
            x[lane] = uniform(rng[lane], -0.05, 0.05)
            x_dot[lane] = uniform(rng[lane], -0.05, 0.05)
            theta[lane] = uniform(rng[lane], -0.05, 0.05)
            theta_dot[lane] = uniform(rng[lane], -0.05, 0.05)


@njit(cache=True, nogil=True)
def observe_cart_pole(x: Array, x_dot: Array, theta: Array, theta_dot: Array, out: Array) -> None:
    """The state as float32 ``(lanes, 4)``, or without the velocities ``(lanes, 2)``."""
    if out.shape[1] == 4:
        for lane in range(x.shape[0]):
            out[lane, 0] = x[lane]
            out[lane, 1] = x_dot[lane]
            out[lane, 2] = theta[lane]
            out[lane, 3] = theta_dot[lane]
    else:
        for lane in range(x.shape[0]):
            out[lane, 0] = x[lane]
            out[lane, 1] = theta[lane]


@njit(cache=True, nogil=True)
def step_mountain_car(
    position: Array, velocity: Array, actions: Array, ended: Array, rewards: Array, terminated: Array
) -> None:
    """One step of Moore's mountain car (Sutton & Barto, example 10.1) for every lane that has not ended.

    Every lane is stored to, moving or not: LLVM 20 to 22 compile a store of booleans that depends on ``ended`` to
    masked instructions that write beyond their lanes on processors with 512-bit registers (AMD Zen 4).
    """
    for lane in range(position.shape[0]):
        moves = not ended[lane]
        speed = velocity[lane] + ((actions[lane] - 1) * 0.001 + math.cos(3 * position[lane]) * (-0.0025))
        speed = min(max(speed, -0.07), 0.07)
        place = min(max(position[lane] + speed, -1.2), 0.6)
        if place == -1.2 and speed < 0:
            speed = 0.0  # the wall on the left is inelastic
        place = place if moves else position[lane]
        speed = speed if moves else velocity[lane]
        position[lane], velocity[lane] = place, speed
        rewards[lane] = -1.0 if moves else 0.0
        terminated[lane] = (place >= 0.5) & (speed >= 0.0)


@njit(cache=True, nogil=True)
def reset_mountain_car(position: Array, velocity: Array, mask: Array, rng: Array) -> None:
    """Position uniform in [-0.6, -0.4) m, at rest."""
    for lane in range(position.shape[0]):
        if mask[lane]:
            position[lane] = uniform(rng[lane], -0.6, -0.4)
            velocity[lane] = 0.0


@njit(cache=True, nogil=True)
def observe_mountain_car(position: Array, velocity: Array, out: Array) -> None:
    """The state as float32 ``(lanes, 2)``."""
    for lane in range(position.shape[0]):
        out[lane, 0] = np.float32(position[lane])
        out[lane, 1] = np.float32(velocity[lane])

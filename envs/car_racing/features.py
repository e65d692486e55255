"""The true state of a car as a vector: what a driver with perfect senses would know."""

import math

import numpy as np
from numba import njit, prange

from envs.batched import Array
from envs.car_racing.state import TILE_LENGTH, State

AHEAD = (1, 2, 3, 4, 6, 8, 11, 14, 18, 22)  # tiles in front of the nearest one whose places are told
OWN = 16
STRIDE = 8  # tiles that the search for the nearest one looks at together
REACH = 1.001 * TILE_LENGTH * STRIDE / 2  # m: neighbours lie a tile's length apart, the first and the last farther
SIZE = OWN + 2 * len(AHEAD)

_AHEAD = np.array(AHEAD)


@njit(cache=True, nogil=True)
def nearest_tile(state: State, lane: int) -> int:
    """Index of the track point that is nearest to the hull."""
    x, y = np.float64(state.position[lane, 0, 0]), np.float64(state.position[lane, 0, 1])
    points, tiles = state.points[lane], state.tiles[lane]
    best, least, near = 0, np.inf, np.inf
    for first in range(0, tiles, STRIDE):
        middle = min(first + STRIDE // 2, tiles - 1)
        if (points[middle, 1] - x) ** 2 + (points[middle, 2] - y) ** 2 > near:
            continue
        for i in range(first, min(first + STRIDE, tiles)):
            squared = (points[i, 1] - x) ** 2 + (points[i, 2] - y) ** 2
            if squared < least:
                best, least = i, squared
                # points of a stride lie within REACH of its middle: farther middles have none that is nearer
                near = (math.sqrt(least) + REACH) ** 2
    return best


@njit(cache=True, nogil=True)
def _observe_lanes(state: State, out: Array, first: int, end: int) -> None:
    for lane in range(first, end):
        row = out[lane]
        x, y = state.position[lane, 0]
        sine, cosine = state.rotation[lane, 0]
        tile = nearest_tile(state, lane)
        beta, center_x, center_y = state.points[lane, tile]
        row[0], row[1] = x, y
        row[2], row[3] = sine, cosine
        # the car's own axes: right (cos, sin) and forward (-sin, cos)
        vx, vy = state.velocity[lane, 0]
        row[4] = cosine * vx + sine * vy
        row[5] = -sine * vx + cosine * vy
        row[6] = state.spin[lane, 0]
        row[7] = 0.5 * (state.angle[lane, 1] + state.angle[lane, 2]) - state.angle[lane, 0]
        for wheel in range(4):
            row[8 + wheel] = state.omega[lane, wheel]
        row[12] = state.gas[lane]
        row[13] = np.cos(beta) * (x - center_x) + np.sin(beta) * (y - center_y)
        difference = state.angle[lane, 0] - beta
        row[14] = np.arctan2(np.sin(difference), np.cos(difference))
        row[15] = state.visits[lane] / state.tiles[lane]
        for i in range(_AHEAD.shape[0]):
            ahead = (tile + _AHEAD[i]) % state.tiles[lane]
            dx, dy = state.points[lane, ahead, 1] - x, state.points[lane, ahead, 2] - y
            row[OWN + 2 * i] = cosine * dx + sine * dy
            row[OWN + 2 * i + 1] = -sine * dx + cosine * dy


@njit(cache=True, nogil=True, parallel=True)
def observe_state(state: State, out: Array, shares: int) -> None:
    """Write the vectors of all lanes into ``out`` (lanes, SIZE) float32, with ``shares`` threads.

    `envs.car_racing.env` names the entries.
    """
    lanes = out.shape[0]
    if shares == 1:
        _observe_lanes(state, out, 0, lanes)
    else:
        for share in prange(shares):
            _observe_lanes(state, out, lanes * share // shares, lanes * (share + 1) // shares)

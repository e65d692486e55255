"""The true state of a car as a vector: what a driver with perfect senses would know."""

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.state import State

AHEAD = (1, 2, 3, 4, 6, 8, 11, 14, 18, 22)  # tiles in front of the nearest one whose places are told
OWN = 16
SIZE = OWN + 2 * len(AHEAD)

_AHEAD = np.array(AHEAD)


@njit(cache=True, nogil=True)
def nearest_tile(state: State, lane: int) -> int:
    """Index of the track point that is nearest to the hull."""
    x, y = state.position[lane, 0]
    best, distance = 0, np.inf
    for i in range(state.tiles[lane]):
        squared = (state.points[lane, i, 1] - x) ** 2 + (state.points[lane, i, 2] - y) ** 2
        if squared < distance:
            best, distance = i, squared
    return best


@njit(cache=True, nogil=True)
def observe_state(state: State, out: Array) -> None:
    """Write the vectors of all lanes into ``out`` (lanes, SIZE) float32; `envs.car_racing.env` names the entries."""
    for lane in range(out.shape[0]):
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

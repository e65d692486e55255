"""Gymnasium's own CarRacing: driving it, and copying what it holds into our `State` of one lane."""

from typing import Any

import numpy as np

from envs.batched import Array
from envs.car_racing.state import KERB_WIDTH, ROAD_HALF_WIDTH, State, allocate


def load(env: Any) -> State:
    """The track, the bodies and the score of a running, unwrapped CarRacing, as `render` and observations need them."""
    state = allocate(1)
    state.colors[0] = env.road_color, env.bg_color, env.grass_color
    n = len(env.track)
    state.tiles[0] = n
    for i, (_, beta, x, y) in enumerate(env.track):
        across = np.array([np.cos(beta), np.sin(beta)])
        middle = np.array([x, y])
        state.points[0, i] = beta, x, y
        for k, half in enumerate((-ROAD_HALF_WIDTH, ROAD_HALF_WIDTH)):
            state.edges[0, i, 2 * k : 2 * k + 2] = middle + half * across
            state.edges[0, i, 4 + 2 * k : 6 + 2 * k] = middle + (half + np.sign(half) * KERB_WIDTH) * across
        tile = env.road[i]
        state.sensors[0, i] = tile.fixtures[0].shape.vertices
        state.shaded[0, i] = bool((tile.color != env.road_color).any())
    _load_quads(env, state)
    corners = state.sensors[0, :n]
    state.boxes[:] = np.nan
    state.boxes[0, :, :n] = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).T

    for i, body in enumerate([env.car.hull, *env.car.wheels]):
        state.position[0, i] = body.position
        state.center[0, i] = body.worldCenter
        state.angle[0, i] = body.angle
        state.rotation[0, i] = body.transform.q.s, body.transform.q.c
        state.velocity[0, i] = body.linearVelocity
        state.spin[0, i] = body.angularVelocity
    state.omega[0] = [wheel.omega for wheel in env.car.wheels]
    state.phase[0] = [wheel.phase for wheel in env.car.wheels]
    state.time[0] = env.t
    state.reward[0] = state.shown_reward[0] = env.reward
    return state


def _load_quads(env: Any, state: State) -> None:
    """The road's corners exactly as the original computed them, and the kerbs' sides."""
    tile = -1
    for corners, color in env.road_poly:
        here, there = np.array(corners[:2]), np.array(corners[2:])  # at the tile's own point, at the one before
        if isinstance(color, np.ndarray):
            tile += 1
            state.edges[0, tile, :4] = here.ravel()
        else:
            beta = env.track[tile - 1][1] - env.track[tile][1]
            state.kerbs[0, tile] = side = int(np.sign(beta))
            k = 4 if side < 0 else 6
            state.edges[0, tile, k : k + 2] = here[1]
            state.edges[0, tile - 1, k : k + 2] = there[0]


def drive(env: Any) -> Array:
    """An action (3,) that follows the track at a moderate speed, looking a few points ahead of the nearest."""
    track = np.array(env.track)[:, 2:]
    position, angle = np.array(env.car.hull.position), env.car.hull.angle
    nearest = int(((track - position) ** 2).sum(axis=1).argmin())
    aim = track[(nearest + 4) % len(track)] - position
    error = (np.arctan2(-aim[0], aim[1]) - angle + np.pi) % (2 * np.pi) - np.pi
    speed = float(np.hypot(*env.car.hull.linearVelocity))
    wanted = 60.0 / (1.0 + 3.0 * abs(error))
    return np.array([-np.clip(2 * error, -1, 1), 0.5 * (speed < wanted), 0.2 * (speed > wanted + 10)], np.float32)

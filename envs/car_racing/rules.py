"""Episodes of CarRacing: how one begins, what a step of the game pays, and when it ends."""

import numpy as np
from numba import njit

from envs.batched import Array
from envs.car_racing.dynamics import place_cars, step_cars
from envs.car_racing.state import PLAYFIELD, State
from envs.car_racing.track import default_colors, draw_colors, make_track


@njit(cache=True, nogil=True)
def start(state: State, mask: Array, rng: Array, randomize: bool) -> None:
    """Begin an episode in the lanes of ``mask``: colours, a track, and the car on its first tile.

    The original makes one step without an action here, whose tiles are paid with the first real step.

    Args:
        randomize: draw new colours; otherwise lanes keep theirs, or have the usual ones at their first episode.
    """
    for lane in range(mask.shape[0]):
        if mask[lane]:
            if randomize:
                draw_colors(state, lane, rng[lane])
            elif state.tiles[lane] == 0:
                default_colors(state, lane)
            make_track(state, lane, rng[lane])
    place_cars(state, mask)
    step_cars(state, mask, np.zeros((mask.shape[0], 3)), 1.0, False)
    for lane in range(mask.shape[0]):
        if mask[lane]:
            state.shown_reward[lane] = state.reward[lane]


@njit(cache=True, nogil=True)
def drive(
    state: State,
    ended: Array,
    actions: Array,
    frames: Array,
    lap_complete_percent: float,
    any_contact_counts: bool,
    rewards: Array,
    terminated: Array,
) -> None:
    """Drive every lane that has not ``ended`` for ``frames`` steps of the game, or until its episode ends.

    Args:
        actions: ``(lanes, 3)`` float64: steering, gas, brake, held for all frames.
        frames: ``(lanes,)`` int64.
        any_contact_counts: the lap rule: whether any contact with the first tile can complete a lap, or only the
            first one.
    """
    lanes = rewards.shape[0]
    moving = np.empty(lanes, np.bool_)
    for lane in range(lanes):
        rewards[lane] = 0.0
        terminated[lane] = terminated[lane] & ended[lane]
    for frame in range(frames.max()):
        for lane in range(lanes):
            moving[lane] = (not ended[lane]) & (not terminated[lane]) & (frame < frames[lane])
        step_cars(state, moving, actions, lap_complete_percent, any_contact_counts)
        for lane in range(lanes):
            if moving[lane]:
                state.shown_reward[lane] = state.reward[lane]
                state.reward[lane] -= 0.1
                finished = state.visits[lane] == state.tiles[lane] or state.new_lap[lane]
                x, y = state.position[lane, 0]
                outside = abs(x) > PLAYFIELD or abs(y) > PLAYFIELD
                # leaving the field replaces what the step paid; the collected reward goes on
                rewards[lane] += -100.0 if outside else state.reward[lane] - state.paid_reward[lane]
                state.paid_reward[lane] = state.reward[lane]
                terminated[lane] = finished or outside
                state.lap_finished[lane] = finished and not outside

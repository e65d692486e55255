"""Episodes of CarRacing: how one begins, what a step of the game pays, and when it ends."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from envs.batched import Array
from envs.car_racing.dynamics import place_cars, step_cars
from envs.car_racing.state import PLAYFIELD, State
from envs.car_racing.track import default_colors, draw_colors, make_track


@njit(cache=True, nogil=True)
def _start_lanes(state: State, mask: Array, rng: Array, randomize: bool, first: int, end: int) -> None:
    for lane in range(first, end):
        if mask[lane]:
            if randomize:
                draw_colors(state, lane, rng[lane])
            elif state.tiles[lane] == 0:
                default_colors(state, lane)
            make_track(state, lane, rng[lane])
    place_cars(state, mask, first, end)
    step_cars(state, mask, np.zeros((mask.shape[0], 3)), 1.0, False, first, end)
    for lane in range(first, end):
        if mask[lane]:
            state.shown_reward[lane] = state.reward[lane]


@njit(cache=True, nogil=True, parallel=True)
def start(state: State, mask: Array, rng: Array, randomize: bool, shares: int) -> None:
    """Begin an episode in the lanes of ``mask``: colours, a track, and the car on its first tile.

    The original makes one step without an action here, whose tiles are paid with the first real step.

    Args:
        randomize: draw new colours; otherwise lanes keep theirs, or have the usual ones at their first episode.
        shares: threads among which the lanes are shared.
    """
    lanes = mask.shape[0]
    if shares == 1:
        _start_lanes(state, mask, rng, randomize, 0, lanes)
    else:
        for share in prange(shares):
            _start_lanes(state, mask, rng, randomize, lanes * share // shares, lanes * (share + 1) // shares)


class Rules(NamedTuple):
    """How a lap is completed, see `contacts.update_contacts`."""

    lap_complete_percent: float
    any_contact_counts: bool  # any contact with the first tile can complete a lap, or only the first one


@njit(cache=True, nogil=True)
def _drive_lanes(
    state: State,
    ended: Array,
    actions: Array,
    frames: Array,
    rules: Rules,
    rewards: Array,
    terminated: Array,
    first: int,
    end: int,
) -> None:
    moving = np.empty(ended.shape[0], np.bool_)
    longest = 0
    for lane in range(first, end):
        rewards[lane] = 0.0
        terminated[lane] = terminated[lane] & ended[lane]
        longest = max(longest, frames[lane])
    for frame in range(longest):
        for lane in range(first, end):
            moving[lane] = (not ended[lane]) & (not terminated[lane]) & (frame < frames[lane])
        step_cars(state, moving, actions, rules.lap_complete_percent, rules.any_contact_counts, first, end)
        for lane in range(first, end):
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


@njit(cache=True, nogil=True, parallel=True)
def drive(
    state: State,
    ended: Array,
    actions: Array,
    frames: Array,
    rules: Rules,
    rewards: Array,
    terminated: Array,
    shares: int,
) -> None:
    """Drive every lane that has not ``ended`` for ``frames`` steps of the game, or until its episode ends.

    Args:
        actions: ``(lanes, 3)`` float64: steering, gas, brake, held for all frames.
        frames: ``(lanes,)`` int64.
        shares: threads among which the lanes are shared.
    """
    lanes = ended.shape[0]
    if shares == 1:
        _drive_lanes(state, ended, actions, frames, rules, rewards, terminated, 0, lanes)
    else:
        for share in prange(shares):
            first, end = lanes * share // shares, lanes * (share + 1) // shares
            _drive_lanes(state, ended, actions, frames, rules, rewards, terminated, first, end)

"""Board games played in lanes: one player's moves, the answers of an opponent who moves at random, what is seen."""

import numpy as np
from numba import boolean, float64, int8, int64, njit, types, uint64
from numpy.typing import NDArray

from envs.board.game import LEGAL, LOSS, OBSERVE, ONGOING, OUTCOME, PLAY, Array, Legal, Observe, Outcome, Play
from envs.rng import integers

_PLAY, _LEGAL, _OUTCOME, _OBSERVE = map(types.FunctionType, (PLAY, LEGAL, OUTCOME, OBSERVE))
_STATES, _FLAGS = int64[:, ::1], boolean[::1]


@njit(
    types.none(_PLAY, _LEGAL, _OUTCOME, _STATES, int64[::1], _FLAGS, float64[::1], _FLAGS, _FLAGS, _FLAGS, _FLAGS),
    cache=True,
    nogil=True,
)
def move(
    play: Play,
    legal: Legal,
    outcome: Outcome,
    states: Array,
    actions: Array,
    ended: Array,
    rewards: Array,
    terminated: Array,
    illegal: Array,
    waiting: Array,
    mask: Array,
) -> None:
    """Play an action in every lane that has not ended; ``waiting`` says where the opponent has to answer.

    Args:
        mask: scratch ``(n_actions,)``.
    """
    for lane in range(states.shape[0]):
        waiting[lane] = False
        if ended[lane]:
            continue
        illegal[lane] = False
        legal(states[lane], mask)
        if not mask[actions[lane]]:
            rewards[lane], terminated[lane], illegal[lane] = LOSS, True, True
            continue
        play(states[lane], actions[lane])
        result = outcome(states[lane])  # for the opponent, whose turn it would be
        terminated[lane] = result != ONGOING
        waiting[lane] = not terminated[lane]
        rewards[lane] = -result if terminated[lane] else 0.0


@njit(types.none(_PLAY, _LEGAL, _STATES, _FLAGS, uint64[:, ::1], _FLAGS), cache=True, nogil=True)
def answer_at_random(
    play: Play, legal: Legal, states: Array, waiting: Array, rng: NDArray[np.uint64], mask: Array
) -> None:
    """Play a legal action, each as likely as any other, in the lanes that wait for one."""
    for lane in range(states.shape[0]):
        if waiting[lane]:
            legal(states[lane], mask)
            choices = np.flatnonzero(mask)
            play(states[lane], choices[integers(rng[lane], len(choices))])


@njit(types.none(_OUTCOME, _STATES, _FLAGS, float64[::1], _FLAGS), cache=True, nogil=True)
def judge(outcome: Outcome, states: Array, waiting: Array, rewards: Array, terminated: Array) -> None:
    """Rewards and ends after the opponent's answer in the lanes that waited for one."""
    for lane in range(states.shape[0]):
        if waiting[lane]:
            result = outcome(states[lane])
            terminated[lane] = result != ONGOING
            rewards[lane] = result if terminated[lane] else 0.0


@njit(types.none(_PLAY, _LEGAL, _OUTCOME, _STATES, _FLAGS, uint64[:, ::1], _FLAGS, int64), cache=True, nogil=True)
def open_at_random(
    play: Play, legal: Legal, outcome: Outcome, states: Array, wanted: Array, rng: Array, mask: Array, plies: int
) -> None:
    """Play so many actions at random in the lanes wanted, or fewer where the next one would end the game.

    Args:
        mask: scratch ``(n_actions,)``.
    """
    before = np.empty(states.shape[1], np.int64)
    for lane in range(states.shape[0]):
        for _ in range(plies if wanted[lane] else 0):
            before[:] = states[lane]
            legal(states[lane], mask)
            actions = np.flatnonzero(mask)
            play(states[lane], actions[integers(rng[lane], len(actions))])
            if outcome(states[lane]) != ONGOING:
                states[lane] = before
                break


@njit(types.none(uint64[:, ::1], _FLAGS), cache=True, nogil=True)
def draw_sides(rng: NDArray[np.uint64], waiting: Array) -> None:
    """Let the opponent begin in one half of the games that ``waiting`` marks: clear the mark in the others."""
    for lane in range(waiting.shape[0]):
        if waiting[lane]:
            waiting[lane] = integers(rng[lane], 2) == 1


@njit(types.none(_OBSERVE, _STATES, int8[:, :, :, ::1]), cache=True, nogil=True)
def observe_all(observe: Observe, states: Array, out: Array) -> None:
    """The observation of every lane ``(lanes, planes, rows, columns)``."""
    for lane in range(states.shape[0]):
        observe(states[lane], out[lane])


@njit(types.none(_LEGAL, _STATES, boolean[:, ::1]), cache=True, nogil=True)
def legal_all(legal: Legal, states: Array, out: Array) -> None:
    """The legal actions of every lane ``(lanes, n_actions)``."""
    for lane in range(states.shape[0]):
        legal(states[lane], out[lane])

"""Hidden Markov models of digits: who emits what is for others to say (book, chapter 7, "Acoustic model").

Every digit is a chain of states, each of which goes on to itself or to the next one; between digits there may be a
pause, a state of its own. A string is a path through them, and Viterbi's algorithm finds the likeliest.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.data.spoken import WORDS, Recording
from supervised.speech.features import SIZE, STEP
from supervised.speech.viterbi import viterbi
from supervised.training.errors import UserError

Array = NDArray[Any]

DIGITS = len(WORDS)


def digits_at(recording: Recording, frames: int) -> list[tuple[int, int]]:
    """First frame and end of each digit of a string that was put together, of so many frames; between are pauses.

    Raises:
        UserError: not every recording in it has one digit, so that nobody knows where they are.
    """
    if len(recording.pauses) != len(recording.digits) + 1:
        raise UserError(f"{recording.name}: this model learns from recordings of one digit each; split it")
    middles = np.arange(frames) * STEP + SIZE // 2
    begins, ends = (np.searchsorted(middles, places) for places in (recording.pauses[:-1, 1], recording.pauses[1:, 0]))
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


class Graph(NamedTuple):
    """States that a path may go through."""

    states: Array
    """Which state of the model each one is ``(n,)``; a digit that is said twice is there twice."""
    start: Array
    moves: Array
    end: Array

    def search(self, emissions: Array) -> Array:
        """The likeliest path ``(time,)`` of places in `states`, by log p(x_t | state) ``(time, states of the model)``.

        Raises:
            UserError: no path is that short.
        """
        return viterbi(emissions[:, self.states], self.start, self.moves, self.end)[0]


class Topology:
    """The model's states: of digit d those from ``d * length`` on; the last one is the pause.

    Args:
        length: states of a digit.
        stay: chances that a state goes on to itself ``(states,)``.
    """

    def __init__(self, length: int, stay: Array) -> None:
        self.length, self.stay = length, stay
        self.pause = DIGITS * length

    def _graph(self, digits: Sequence[int]) -> tuple[Array, Array]:
        """States of pause, digit, pause, ... digit, pause, and the moves within each of them."""
        states: list[int] = [self.pause]
        for digit in digits:
            states += [*range(digit * self.length, (digit + 1) * self.length), self.pause]
        moves = np.full((len(states), len(states)), -np.inf)
        for place, state in enumerate(states):
            moves[place, place] = np.log(self.stay[state])
            if state != self.pause and (state + 1) % self.length:
                moves[place, place + 1] = np.log1p(-self.stay[state])
        return np.array(states), moves

    def chain(self, digits: Sequence[int]) -> Graph:
        """Paths that say these digits, with or without pauses around them."""
        states, moves = self._graph(digits)
        leave = np.log1p(-self.stay[states])
        start, end = np.full((2, len(states)), -np.inf)
        start[:2] = 0  # the first pause, or the first digit
        end[-2:] = 0
        for place in range(0, len(states) - 1, self.length + 1):
            moves[place, place + 1] = leave[place]  # from a pause into the digit after it
            if place:
                moves[place - 1, place] = moves[place - 1, place + 1] = leave[
                    place - 1
                ]  # from a digit, or past the pause
        return Graph(states, start, moves, end)

    def loop(self, penalty: float) -> Graph:
        """Paths that say any digits, each of them for a ``penalty`` (nat)."""
        states, moves = self._graph(range(DIGITS))
        # one pause is enough for all of them
        kept = np.r_[0, np.flatnonzero(states != self.pause)]
        states, moves = states[kept], moves[np.ix_(kept, kept)]
        firsts = 1 + self.length * np.arange(DIGITS)
        lasts = firsts + self.length - 1
        leave = np.log1p(-self.stay[states])
        enter = -np.log(DIGITS) - penalty
        start, end = np.full((2, len(states)), -np.inf)
        start[0], start[firsts] = 0, enter
        end[0], end[lasts] = 0, 0
        moves[0, firsts] = leave[0] + enter
        moves[lasts, 0] = leave[lasts]
        moves[np.ix_(lasts, firsts)] = np.maximum(moves[np.ix_(lasts, firsts)], leave[lasts, None] + enter)
        return Graph(states, start, moves, end)

    def said(self, path: Array) -> list[int]:
        """Digits of a path of states: each is said where its first state is entered."""
        entered = np.flatnonzero(np.diff(path, prepend=self.pause))
        return [int(one) // self.length for one in path[entered] if one != self.pause and one % self.length == 0]

"""Matches between players of a board game, and what their results say: score and Elo."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.board.game import DRAW, LOSS, PLIES, WIN, Game

#: positions (games, words) to move in give actions (games,)
Player = Callable[[NDArray[np.int64]], NDArray[np.int64]]

NORMAL_95 = 1.959964  # standard deviations on either side of a mean


@dataclass(frozen=True)
class Tally:
    """Games won, drawn and lost."""

    wins: int
    draws: int
    losses: int

    @classmethod
    def of(cls, results: NDArray[np.float64]) -> "Tally":
        """Of results 1, 0 and -1."""
        return cls(*(int((results == one).sum()) for one in (WIN, DRAW, LOSS)))

    @property
    def games(self) -> int:
        """How many there were."""
        return self.wins + self.draws + self.losses

    @property
    def score(self) -> float:
        """Points a game, 0 to 1: a draw is half a win."""
        return (self.wins + self.draws / 2) / self.games

    def elo(self) -> float:
        """The difference in Elo that has this score,  400 log10(s / (1 - s)).

        One more game, drawn, is counted, so that it is finite; the interval ends where that game alone is not lost.
        """
        return self._elo((self.wins + self.draws / 2 + 0.5) / (self.games + 1))

    def elo_interval(self) -> tuple[float, float]:
        """95 % of it, from Wilson's interval of the score (1927), as if a draw were half a win and half a loss."""
        spread = NORMAL_95**2 / self.games
        middle = (self.score + spread / 2) / (1 + spread)
        reach = math.sqrt(spread * self.score * (1 - self.score) + spread**2 / 4) / (1 + spread)
        return self._elo(middle - reach), self._elo(middle + reach)

    def _elo(self, score: float) -> float:
        least = 0.5 / (self.games + 1)
        score = min(max(score, least), 1 - least)
        return 400 * math.log10(score / (1 - score))


def play_match(game: Game, first: Player, second: Player, games: int, opening: int, rng: np.random.Generator) -> Tally:
    """Play games, each opening once from either side; the tally is that of ``first``.

    Args:
        games: how many; an odd number is one more.
        opening: random actions that begin them; fewer where a game is over by then.
    """
    pairs = -(-games // 2)
    states = np.repeat(np.array([random_position(game, opening, rng) for _ in range(pairs)]), 2, axis=0)
    mine = np.arange(len(states)) % 2  # the parity of the plies at which ``first`` is to move
    over = np.array([game.outcome(state) is not None for state in states])
    while not over.all():
        firsts_turn = states[:, PLIES] % 2 == mine
        for player, turn in ((first, firsts_turn), (second, ~firsts_turn)):
            moving = np.flatnonzero(~over & turn)
            if not len(moving):
                continue
            for lane, action in zip(moving, player(states[moving]), strict=True):
                states[lane] = game.after(states[lane], int(action))
                over[lane] = game.outcome(states[lane]) is not None
    outcomes = np.array([game.outcome(state) for state in states])
    return Tally.of(np.where(states[:, PLIES] % 2 == mine, outcomes, -outcomes))


def random_position(game: Game, plies: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A position that is not over, after so many random actions, or fewer where the next one would end the game."""
    state = game.start
    for _ in range(plies):
        after = game.after(state, int(rng.choice(np.flatnonzero(game.legal(state)))))
        if game.outcome(after) is not None:
            break
        state = after
    return state

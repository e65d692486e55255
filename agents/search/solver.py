"""Perfect players: the value of a position when nobody errs, and at random one of the actions that keep it.

Values are outcomes for the mover, WIN, DRAW or LOSS; how soon does not count. ``perfect`` gives the solver of a game:

tic_tac_toe    every position that can follow, in a table (5478 from the start)
connect_four   a search for proofs, from the middle of the game on in milliseconds, from 8 plies in about a second

The search asks "does the mover reach at least ``target``?" with target WIN or DRAW: negamax with null windows, of which
the answer is yes or no (alpha-beta: Knuth and Moore 1975, "An analysis of alpha-beta pruning"; null windows: Pearl
1980, "Asymptotic properties of minimax trees and game-searching procedures"). A position reaches its target when one
after it, asked from the other's side, does not reach ``1 - target``. What makes it quick:

forced moves   a threat of the other must be met, the cell below one of his must be left, and two threats at once, or
               one above the other, win (Pons 2015, "Solving Connect 4", blog.gamesolver.org)
order          actions that make the most threats first, of equal ones those nearest to the centre (Pons)
follow-up      when all columns hold an even number of stones and it is the first player's turn, the second can answer
               every stone in its column and gets all cells of rows 2, 4 and 6: a draw if the first cannot make four of
               the rest, a win if these cells make four (Allis 1988, "A knowledge-based approach of Connect-Four")
table          bounds of the values of positions met before, asked for the positions after an action first
               (Tromp's Fhourstones keeps such a table; looking ahead into it: Plaat et al. 1996)

The first plies are not for it: the start, a win (Allen and Allis 1988), takes more than two minutes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numba import int64, njit
from numpy.typing import NDArray

from envs.board.connect_four import CELLS, COLUMNS, MOVER, ROWS, STONES, four_in_a_row
from envs.board.game import DRAW, LOSS, PLIES, WIN, Array, Game, State
from supervised.training.errors import UserError, require

ILLEGAL = -2  # among the values of actions: less than any


class Solver(ABC):
    """What knows the values of a game's positions; ``solver(state, legal, rng)`` is the perfect player's action.

    Args:
        game: the rules.
    """

    def __init__(self, game: Game) -> None:
        self.game = game

    @abstractmethod
    def value(self, state: State) -> int:
        """The outcome for the mover when nobody errs; after the end, the outcome."""

    def values(self, state: State) -> NDArray[np.int8]:
        """The outcome for the mover after each action ``(n_actions,)``; ILLEGAL where there is none."""
        values = np.full(self.game.n_actions, ILLEGAL, np.int8)
        for action in np.flatnonzero(self.game.legal(state)).tolist():
            values[action] = -self.value(self.game.after(state, action))
        return values

    def __call__(self, state: State, legal: Array, rng: np.random.Generator) -> int:
        """One of the actions of the largest value, each equally likely.

        Args:
            state: a position that is not over.
            legal: its legal actions ``(n_actions,)`` bool; not needed here, but by other players called so.
            rng: decides between equal actions.

        Raises:
            ValueError: the game is over.
        """
        values = self.values(state)
        if values.max() == ILLEGAL:
            raise ValueError(f"position {self.game.write(state)!r}: the game is over")
        return int(rng.choice(np.flatnonzero(values == values.max())))


class Exhaustive(Solver):
    """Tries everything, once: for games with few positions.

    ``table`` has the value of each position that can follow one asked for, by its bytes.
    """

    def __init__(self, game: Game) -> None:
        super().__init__(game)
        self.table: dict[bytes, int] = {}

    def value(self, state: State) -> int:
        position = state.tobytes()
        if position not in self.table:
            outcome = self.game.outcome(state)
            self.table[position] = int(self.values(state).max()) if outcome is None else outcome
        return self.table[position]


_HEIGHT = ROWS + 1  # bits of a column
_BOTTOM = sum(1 << (_HEIGHT * column) for column in range(COLUMNS))
_COLUMN = (1 << ROWS) - 1
_BOARD = _BOTTOM * _COLUMN
_FIRST_ROWS = _BOTTOM * sum(1 << row for row in range(0, ROWS, 2))
_SECOND_ROWS = _BOTTOM * sum(1 << row for row in range(1, ROWS, 2))
_ORDER = tuple(sorted(range(COLUMNS), key=lambda column: -abs(column - COLUMNS // 2)))  # the centre last
_NO, _YES = -2, -1  # answers, where numbers of actions are 0 or more


@njit(cache=True, nogil=True)
def _threats(player: int, stones: int) -> int:
    """Empty cells, in reach or not, that would give a player four in a row."""
    found = (player << 1) & (player << 2) & (player << 3)
    for step in (_HEIGHT - 1, _HEIGHT, _HEIGHT + 1):
        two_before = (player << step) & (player << (2 * step))
        two_after = (player >> step) & (player >> (2 * step))
        found |= two_before & ((player << (3 * step)) | (player >> step))
        found |= two_after & ((player >> (3 * step)) | (player << step))
    return found & _BOARD & ~stones


@njit(cache=True, nogil=True)
def _count(bits: int) -> int:
    count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count


@njit(cache=True, nogil=True)
def _slot(table: Array, key: int) -> int:
    """Where a table, of a power of two of entries, has a key: Fibonacci hashing (Knuth)."""
    return int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & (table.size - 1)


@njit(cache=True, nogil=True)
def _key(own: int, stones: int) -> int:
    """A number for each position: in each column, the own stones below a bit above the topmost stone (Tromp)."""
    return own + stones + _BOTTOM


@njit(cache=True, nogil=True)
def _bounds(table: Array, key: int) -> tuple[int, int]:
    """The least and the largest value that a position can have, as far as the table knows."""
    entry = table[_slot(table, key)]
    return ((entry & 3) - 1, ((entry >> 2) & 3) - 1) if entry >> 4 == key else (LOSS, WIN)


@njit(cache=True, nogil=True)
def _learn(table: Array, key: int, target: int, reached: bool) -> None:
    """Write an answer over whatever has its slot. An entry is one number, so threads can share a table."""
    least, most = _bounds(table, key)
    if reached:
        least = max(least, target)
    else:
        most = min(most, target - 1)
    table[_slot(table, key)] = (key << 4) | ((most + 1) << 2) | (least + 1)


@njit(cache=True, nogil=True)
def _judge(own: int, stones: int, plies: int, target: int) -> int:
    """_YES or _NO if the stones show it, else 0."""
    other, empty = stones ^ own, _BOARD & ~stones
    if target == WIN and not four_in_a_row(own | empty):
        return _NO
    if target == DRAW and not four_in_a_row(other | empty):
        return _YES
    odd = (stones + _BOTTOM) & _SECOND_ROWS  # the next cells of columns with an odd number of stones
    if odd & (odd - 1):
        return 0  # even the second player's stone does not make all even
    second_moves = plies % 2 == 1
    first, second = (other, own) if second_moves else (own, other)
    if four_in_a_row(first | (empty & _FIRST_ROWS)):
        return 0
    if target == (DRAW if second_moves else WIN) or four_in_a_row(second | (empty & _SECOND_ROWS)):
        return _YES if second_moves else _NO
    return 0


@njit(cache=True, nogil=True)
def _expand(own: int, stones: int, plies: int, target: int, table: Array, moves: Array, scores: Array) -> int:
    """The answer of a position in which the mover cannot win at once, or how many ``moves`` to try, from the last."""
    other = stones ^ own
    threats = _threats(other, stones)
    reach = (stones + _BOTTOM) & _BOARD
    forced = reach & threats
    if forced & (forced - 1):
        return _NO
    if forced:
        reach = forced
    reach &= ~(threats >> 1)
    if reach == 0:
        return _NO
    if plies >= CELLS - 2:  # neither this stone nor the last makes four
        return _YES if target <= DRAW else _NO
    answer = _judge(own, stones, plies, target)
    if answer:
        return answer
    least, most = _bounds(table, _key(own, stones))
    if least >= target:
        return _YES
    if most < target:
        return _NO
    count = 0
    for column in _ORDER:
        move = reach & (_COLUMN << (_HEIGHT * column))
        if move == 0:
            continue
        new_stones = stones | move
        made = _threats(own | move, new_stones)
        now = made & (new_stones + _BOTTOM)
        if now & (now - 1) or now & (made >> 1):
            return _YES
        least, most = _bounds(table, _key(other, new_stones))
        if most < 1 - target:
            return _YES
        if least >= 1 - target:
            continue
        place, score = count, _count(made)
        while place > 0 and scores[place - 1] > score:
            moves[place], scores[place] = moves[place - 1], scores[place - 1]
            place -= 1
        moves[place], scores[place] = move, score
        count += 1
    return count if count else _NO


@njit(cache=True, nogil=True)
def _reaches(own: int, stones: int, plies: int, target: int, table: Array) -> bool:
    """Whether the mover, who has no four at once, reaches at least ``target``: depth first, with a stack."""
    owns, filled, left = np.empty(CELLS, np.int64), np.empty(CELLS, np.int64), np.empty(CELLS, np.int64)
    targets, moves, scores = (
        np.empty(CELLS, np.int64),
        np.empty((CELLS, COLUMNS), np.int64),
        np.empty(COLUMNS, np.int64),
    )
    owns[0], filled[0], targets[0], depth = own, stones, target, 0
    while True:
        left[depth] = _expand(owns[depth], filled[depth], plies + depth, targets[depth], table, moves[depth], scores)
        if left[depth] < 0:
            reached = left[depth] == _YES
            while True:  # back to a position with actions left that can change its answer
                if depth == 0:
                    return reached
                depth -= 1
                reached = not reached
                if not reached and left[depth] > 0:
                    break
                _learn(table, _key(owns[depth], filled[depth]), targets[depth], reached)
        left[depth] -= 1
        owns[depth + 1] = filled[depth] ^ owns[depth]
        filled[depth + 1] = filled[depth] | moves[depth, left[depth]]
        targets[depth + 1] = 1 - targets[depth]
        depth += 1


@njit(cache=True, nogil=True)
def _value(own: int, stones: int, plies: int, table: Array) -> int:
    """The value of a position that is not over."""
    if _threats(own, stones) & (stones + _BOTTOM):
        return WIN
    for target in (WIN, DRAW):
        if _reaches(own, stones, plies, target, table):
            return target
    return LOSS


class ConnectFourSolver(Solver):
    """Searches, and remembers between calls.

    Args:
        game: the rules.
        entries: of the table, of 8 bytes each: a power of two.

    Raises:
        UserError: another number of entries.
    """

    def __init__(self, game: Game, entries: int = 1 << 23) -> None:
        super().__init__(game)
        require(entries >= 1 and entries & (entries - 1) == 0, "entries", entries, "use a power of two")
        self._table = np.zeros(entries, np.int64)  # takes memory as it is written to

    def value(self, state: State) -> int:
        outcome = self.game.outcome(state)
        if outcome is None:
            return int(_value(state[MOVER], state[STONES], state[PLIES], self._table))
        return outcome


#: the plies from which on a position is solved within seconds, where that is not from the start
SOLVED_FROM = {"connect_four": 8}
PERFECT: dict[str, Callable[[Game], Solver]] = {"tic_tac_toe": Exhaustive, "connect_four": ConnectFourSolver}


def perfect(game: Game) -> Solver:
    """The solver of a game, which is its perfect player.

    Raises:
        UserError: there is none.
    """
    if game.name not in PERFECT:
        raise UserError(f"game {game.name!r} has no perfect player: use one of {', '.join(PERFECT)}")
    return PERFECT[game.name](game)

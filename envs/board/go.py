"""Go on a square board, of Tromp and Taylor's rules (https://tromp.github.io/go.html) but without suicide.

Two passes in a row end the game, and so do ``2 * size * size`` plies. What counts is area: stones, and empty regions
that touch one colour only; the second player, "o", gets komi besides. No stone may bring back a board that has been
there in the game before (positional superko); boards are compared by hashes of 64 bits (Zobrist 1970).

A position is, in this order:

========== ============================================================================================
PLIES      plies played
SIZE       rows of the board
TWICE_KOMI komi in halves
PASSES     passes in a row: 0, 1, or 2 at the end
KO         the point at which the last ply took a stone that must not be taken back at once, or 0
HASH       of the board
SEEN       how many boards there have been
EMPTIES    how many points are empty
board      int16 numbers `(ROWS, points)`, four in a word: what is kept of every point
boards     hashes of the boards there have been, of which SEEN are in use
========== ============================================================================================

Points are numbered row by row from the top, with a border: above, below, and one column that is left of a row and
right of the row before. Stones of a colour that touch form a chain. It is known by one of its points, its head, where
its pseudo-liberties are kept: each empty point counts as often as stones of the chain touch it, so that the number is
kept by additions alone and is 0 when there are no liberties. Nothing has head 0: what is counted there has no meaning.
"""

import numpy as np
from numba import int16, int64, njit

from envs.board.game import (
    DRAW,
    LEGAL,
    LOSS,
    OBSERVE,
    ONGOING,
    OUTCOME,
    PLAY,
    PLIES,
    ROLLOUT,
    WIN,
    Array,
    Game,
    Rules,
    State,
)
from envs.board.notation import Board, read_position, show_board, square_symmetries, to_move, write_board
from envs.rng import integers

SMALLEST, LARGEST = 2, 19
SIZE, TWICE_KOMI, PASSES, KO, HASH, SEEN, EMPTIES, _BOARD = 1, 2, 3, 4, 5, 6, 7, 8  # of a position, after PLIES
COLOUR = 0  # of a point: EMPTY, 1 for x, 2 for o, or BORDER, which has the bits of both
HEAD = 1  # the head of its chain, 0 without a stone
NEXT = 2  # the next stone of its chain, in a circle; an empty point keeps its last one: 0 if there never was a stone
LIBERTIES = 3  # of a head: pseudo-liberties of its chain
STONES = 4  # of a head: stones of its chain
EMPTY_LIST = 5  # not of a point: the empty points, in any order
SLOT = 6  # of an empty point: where in this list it is
ROWS = 7
EMPTY, BORDER = 0, 3
PASS = 0  # in place of a point
PLANES = ("own stones", "the other's stones", "forbidden by ko", "mover plays second", "other has passed")
_LETTERS = "abcdefghjklmnopqrst"
_KEYS = np.random.default_rng(9).integers(-(2**63), 2**63, (2, (LARGEST + 1) * (LARGEST + 2)))


@njit(cache=True, nogil=True, inline="always")
def _points(size: int) -> int:
    """Points with their border, rounded up to whole words."""
    return ((size + 1) * (size + 2) + 4) // 4 * 4


@njit(cache=True, nogil=True, inline="always")
def _boards(size: int) -> int:
    """Where in a position the hashes of boards begin."""
    return _BOARD + ROWS * _points(size) // 4


@njit(cache=True, nogil=True, inline="always")
def _longest(size: int) -> int:
    return 2 * size * size


@njit(cache=True, nogil=True, inline="always")
def _point(cell: int, size: int) -> int:
    return cell + cell // size + size + 2


@njit(cache=True, nogil=True, inline="always")
def _cell(point: int, size: int) -> int:
    point -= size + 2
    return point - point // (size + 1)


@njit(cache=True, nogil=True)
def _board(state: State) -> Array:
    """The board in a position, as it is kept there."""
    size = state[SIZE]
    return state[_BOARD : _boards(size)].view(np.int16).reshape((ROWS, _points(size)))


@njit(cache=True, nogil=True, inline="always")
def _around(point: int, size: int) -> tuple[int, int, int, int]:
    return point - size - 1, point - 1, point + 1, point + size + 1


@njit(cache=True, nogil=True)
def _take(state: State, board: Array, point: int) -> None:
    """Take a chain off the board."""
    size, colour, last = state[SIZE], board[COLOUR, point], point
    while True:
        board[COLOUR, point] = EMPTY
        board[HEAD, point] = 0
        board[EMPTY_LIST, state[EMPTIES]] = point
        board[SLOT, point] = state[EMPTIES]
        state[EMPTIES] += 1
        state[HASH] ^= _KEYS[colour - 1, point]
        for near in _around(point, size):
            board[LIBERTIES, board[HEAD, near]] += int16(1)
        point = board[NEXT, point]
        if point == last:
            return


@njit(cache=True, nogil=True)
def _join(board: Array, one: int, other: int) -> None:
    """Make one chain of two, by their heads."""
    if board[STONES, one] < board[STONES, other]:
        one, other = other, one
    board[STONES, one] += board[STONES, other]
    board[LIBERTIES, one] += board[LIBERTIES, other]
    point = other
    while board[HEAD, point] != one:
        board[HEAD, point] = one
        point = board[NEXT, point]
    board[NEXT, one], board[NEXT, other] = board[NEXT, other], board[NEXT, one]


@njit(cache=True, nogil=True)
def _move(state: State, board: Array, point: int) -> None:
    """The mover's ply: a stone on an empty point, or PASS."""
    size, own = state[SIZE], 1 + (state[PLIES] & 1)
    state[PLIES] += 1
    state[KO] = 0
    if point == PASS:
        state[PASSES] += 1
        return
    state[PASSES] = 0
    state[EMPTIES] -= 1
    slot, moved = board[SLOT, point], board[EMPTY_LIST, state[EMPTIES]]
    board[EMPTY_LIST, slot] = moved
    board[SLOT, moved] = slot
    board[COLOUR, point] = own
    board[HEAD, point] = point
    board[NEXT, point] = point
    board[STONES, point] = 1
    state[HASH] ^= _KEYS[own - 1, point]
    free, inside, empties, taken = 0, int64(3 - own), state[EMPTIES], 0
    for near in _around(point, size):
        free += board[COLOUR, near] == EMPTY
        inside &= board[COLOUR, near]
        board[LIBERTIES, board[HEAD, near]] -= int16(1)
    board[LIBERTIES, point] = free
    for near in _around(point, size):
        if (board[COLOUR, near] == 3 - own) & (board[LIBERTIES, board[HEAD, near]] == 0):
            _take(state, board, near)
            taken = near
    for near in _around(point, size):
        if (board[COLOUR, near] == own) & (board[HEAD, near] != board[HEAD, point]):
            _join(board, board[HEAD, point], board[HEAD, near])
    if inside and state[EMPTIES] == empties + 1:
        state[KO] = taken
    state[_boards(size) + state[SEEN]] = state[HASH]
    state[SEEN] += 1


@njit(cache=True, nogil=True, inline="always")
def _touches(board: Array, point: int, size: int, head: int) -> int:
    """At how many sides of a point is the chain."""
    count = 0
    for near in _around(point, size):
        count += board[HEAD, near] == head
    return count


@njit(cache=True, nogil=True)
def _lives(board: Array, point: int, size: int, own: int) -> bool:
    """Whether a stone put there has a liberty, on its own, by its chains, or by what it takes."""
    for near in _around(point, size):
        if board[COLOUR, near] == EMPTY:
            return True
    for near in _around(point, size):
        colour = board[COLOUR, near]
        if colour != BORDER:
            head = board[HEAD, near]
            if (board[LIBERTIES, head] == _touches(board, point, size, head)) == (colour != own):
                return True
    return False


@njit(cache=True, nogil=True)
def _repeats(state: State, board: Array, point: int) -> bool:
    """Whether the mover's stone, put there, makes a board that there has been."""
    if point == state[KO]:  # of a position that was read, the boards before are not known
        return True
    if board[NEXT, point] == 0:  # there never was a stone
        return False
    size, own = state[SIZE], 1 + (state[PLIES] & 1)
    after = state[HASH] ^ _KEYS[own - 1, point]
    around = _around(point, size)
    for side in range(4):
        near = around[side]
        head = board[HEAD, near]
        met = False  # the chain, at a side before
        for before in range(side):
            met |= board[HEAD, around[before]] == head
        if not met and board[COLOUR, near] == 3 - own and board[LIBERTIES, head] == _touches(board, point, size, head):
            stone = near
            while True:
                after ^= _KEYS[2 - own, stone]
                stone = int64(board[NEXT, stone])
                if stone == near:
                    break
    start, found = _boards(size), False
    for known in state[start : start + state[SEEN]]:
        found |= known == after
    return found


@njit(cache=True, nogil=True)
def _is_eye(board: Array, point: int, size: int, own: int) -> bool:
    """Whether own stones or the edge are at all sides, and the other's at one corner at most; at the edge, at none."""
    sides = int64(own)
    for near in _around(point, size):
        sides &= board[COLOUR, near]
    if sides == 0:
        return False
    others, edge = 0, 0
    for corner in (point - size - 2, point - size, point + size, point + size + 2):
        others += board[COLOUR, corner] == 3 - own
        edge |= board[COLOUR, corner] == BORDER
    return others + edge < 2


@njit(PLAY, cache=True, nogil=True)
def play(state: State, action: int) -> None:
    """Put the mover's stone on a point, or pass."""
    size = state[SIZE]
    _move(state, _board(state), PASS if action == size * size else _point(action, size))


@njit(LEGAL, cache=True, nogil=True)
def legal(state: State, out: Array) -> None:
    """Empty points where a stone lives and makes a new board; and to pass."""
    size, board, own = state[SIZE], _board(state), 1 + (state[PLIES] & 1)
    ongoing = state[PASSES] < 2 and state[PLIES] < _longest(size)
    for cell in range(size * size):
        point = _point(cell, size)
        out[cell] = (
            ongoing
            and board[COLOUR, point] == EMPTY
            and _lives(board, point, size, own)
            and not _repeats(state, board, point)
        )
    out[size * size] = ongoing


@njit(OUTCOME, cache=True, nogil=True)
def outcome(state: State) -> int:
    """Who has more area, with komi."""
    size = state[SIZE]
    if state[PASSES] < 2 and state[PLIES] < _longest(size):
        return ONGOING
    board = _board(state)
    reached = board[COLOUR] % BORDER  # by which colours, as bits
    changed = True
    while changed:
        changed = False
        for point in board[EMPTY_LIST, : state[EMPTIES]]:
            by = reached[point]
            for near in _around(point, size):
                by |= reached[near]
            changed |= by != reached[point]
            reached[point] = by
    margin = -state[TWICE_KOMI]
    for by in reached:
        margin += 2 * ((by == 1) - (by == 2))
    if state[PLIES] & 1:
        margin = -margin
    return WIN if margin > 0 else LOSS if margin < 0 else DRAW


@njit(OBSERVE, cache=True, nogil=True)
def observe(state: State, out: Array) -> None:
    """Stones of the mover, and of the other; where the mover could live but may not, for ko; the rest all 0 or all 1:
    whether the mover plays second, and has komi; whether the other has just passed.
    """
    size, board, own = state[SIZE], _board(state), 1 + (state[PLIES] & 1)
    for cell in range(size * size):
        point, row, column = _point(cell, size), cell // size, cell % size
        colour = board[COLOUR, point]
        out[0, row, column] = colour == own
        out[1, row, column] = colour == 3 - own
        out[2, row, column] = colour == EMPTY and _lives(board, point, size, own) and _repeats(state, board, point)
        out[3, row, column] = own == 2
        out[4, row, column] = state[PASSES] > 0


@njit(ROLLOUT, cache=True, nogil=True)
def rollout(state: State, rng: Array, actions: Array) -> int:
    """Random points to the end, each that is left with the same chance; passes only when none is.

    Left are the legal ones that fill no eye of the mover's: all sides its own stones or the edge, and at most one
    corner the other's, none at the edge. Without this no chain would ever be safe. Of superko only the simple ko is
    heeded: to look up the boards takes half as long again, and changes one game in a hundred; the limit of plies ends
    what would go round.
    """
    size, board, first = state[SIZE], _board(state), state[PLIES]
    while state[PASSES] < 2 and state[PLIES] < _longest(size):
        own, left, chosen = 1 + (state[PLIES] & 1), state[EMPTIES], PASS
        while left > 0:
            slot = integers(rng, left)
            point = int64(board[EMPTY_LIST, slot])
            if point != state[KO] and not _is_eye(board, point, size, own) and _lives(board, point, size, own):
                chosen = point
                break
            left -= 1
            moved = board[EMPTY_LIST, left]  # out of the way, behind those that are left
            board[EMPTY_LIST, slot], board[EMPTY_LIST, left] = moved, point
            board[SLOT, moved], board[SLOT, point] = slot, left
        actions[state[PLIES] - first] = size * size if chosen == PASS else _cell(chosen, size)
        _move(state, board, chosen)
    return state[PLIES] - first


def board(state: State) -> Board:
    """The stones ``(rows, columns)``: 0 empty, 1 x, 2 o."""
    return _board(state)[COLOUR, _inner(state[SIZE])].astype(np.int8)


def _inner(size: int) -> Array:
    """The points of the cells ``(rows, columns)``."""
    return _point(np.arange(size * size), size).reshape(size, size)


def _move_name(action: int, size: int) -> str:
    row, column = divmod(action, size)
    return "pass" if row == size else f"{_LETTERS[column]}{size - row}"


def write(state: State) -> str:
    """A position as `envs.board.notation` has it, the passes in a row, and the point of the simple ko or "-":
    "5/1xo2/xo1o1/1xo2/5 x 0 c3". Plies and the boards before are not told.
    """
    ko = _move_name(_cell(int(state[KO]), state[SIZE]), state[SIZE]) if state[KO] else "-"
    return f"{write_board(board(state))} {to_move(state)} {state[PASSES]} {ko}"


def read(text: str, start: State) -> State:
    """The position of a line that `write` wrote, of the game that starts with ``start``. The plies begin at 0 or 1, and
    of boards before none is known; raises ValueError where there can be no such position.
    """
    size = int(start[SIZE])
    cells, x_moves, (passes, ko) = read_position(text, size, size, 4)
    if passes not in ("0", "1", "2"):
        raise ValueError(f"position {text!r}: {passes!r} passes in a row, use 0, 1 or 2")
    state = start.copy()
    for cell in np.flatnonzero(cells):
        state[PLIES] = cells.flat[cell] - 1
        play(state, cell)
    kept = _board(state)
    stifled = kept[LIBERTIES, kept[HEAD, _inner(size)]] == 0
    wrong = np.flatnonzero((board(state) != cells) | ((cells != EMPTY) & stifled))
    if len(wrong):
        raise ValueError(f"position {text!r}: the chain at {_move_name(int(wrong[0]), size)} has no liberties")
    state[PLIES], state[PASSES], state[KO] = not x_moves, int(passes), 0
    state[SEEN], state[_boards(size) :] = 1, 0
    state[_boards(size)] = state[HASH]
    if ko != "-":
        points = {_move_name(cell, size): cell for cell in np.flatnonzero(cells == EMPTY).tolist()}
        if ko not in points:
            raise ValueError(f"position {text!r}: ko at {ko!r}, name an empty point, or use '-'")
        if passes != "0":
            raise ValueError(f"position {text!r}: ko at {ko!r} after a pass, use '-'")
        back = state.copy()
        play(back, points[ko])
        if back[KO] == 0:  # to take back is to make a ko, too
            raise ValueError(f"position {text!r}: ko at {ko!r}, but no stone has just been taken there in a ko")
        state[KO] = _point(points[ko], size)
    return state


def go(size: int = 9, komi: float = 7.5) -> Game:
    """The game; it can be seen in eight ways.

    Args:
        size: rows and columns, 2 to 19.
        komi: what the second player gets, in points: whole or half ones.

    Raises:
        ValueError: there is no such board or komi.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size {size} of a Go board: use {SMALLEST} to {LARGEST}")
    cells = size * size
    if not (abs(komi) <= LARGEST**2 and float(2 * komi).is_integer()):
        raise ValueError(f"komi {komi}: use whole or half points, {LARGEST**2} at most")
    start = np.zeros(_boards(size) + _longest(size) + 1, np.int64)
    start[[SIZE, TWICE_KOMI, SEEN, EMPTIES]] = size, int(2 * komi), 1, cells
    kept, points = _board(start), _inner(size).ravel()
    kept[COLOUR] = BORDER
    kept[COLOUR, points] = EMPTY
    kept[EMPTY_LIST, :cells] = points
    kept[SLOT, points] = np.arange(cells)
    views = square_symmetries(size)
    return Game(
        name="go",
        rows=size,
        columns=size,
        n_actions=cells + 1,
        planes=PLANES,
        start=start,
        longest=_longest(size),
        rules=Rules(play, legal, outcome, observe, rollout),
        cells=views,
        actions=np.pad(views, ((0, 0), (0, 1)), constant_values=cells),
        write=write,
        read=lambda text: read(text, start),
        show=lambda state: show_board(board(state)),
        move=lambda action: _move_name(action, size),
        constants=(SIZE, TWICE_KOMI),
    )

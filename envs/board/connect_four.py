"""Connect Four: four in a row on a board of 6 rows and 7 columns, into which stones fall.

A position is four numbers: the plies played, the stones of the mover and all stones as bits, and whether the player
before the mover has four in a row. Bit ``7 * column + row`` is the cell in that column, rows counted from below; the
seventh bit of a column stays empty, so that no line of four runs over an edge (Tromp's layout).
"""

import numpy as np
from numba import int64, njit

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
    Array,
    Game,
    Rules,
    State,
)
from envs.board.notation import board_reader, count_stones, read_position, show_board, to_move, write_board
from envs.rng import next_uint64

ROWS, COLUMNS = 6, 7
CELLS = ROWS * COLUMNS
MOVER, STONES, OVER = 1, 2, 3  # of a position's numbers, after PLIES
_HEIGHT = ROWS + 1  # bits of a column


@njit(cache=True, nogil=True, inline="always")
def four_in_a_row(stones: int) -> bool:
    """Whether bits of one player hold four in a row."""
    for step in (1, _HEIGHT - 1, _HEIGHT, _HEIGHT + 1):
        pairs = stones & (stones >> step)
        if pairs & (pairs >> (2 * step)):
            return True
    return False


@njit(cache=True, nogil=True, inline="always")
def full(stones: int, column: int) -> bool:
    """Whether a column has no room, of the bits of all stones."""
    return (stones >> (_HEIGHT * column + ROWS - 1)) & 1 != 0


@njit(PLAY, cache=True, nogil=True)
def play(state: State, action: int) -> None:
    """Drop the mover's stone into a column."""
    before = state[MOVER]
    stones = state[STONES] | (state[STONES] + (int64(1) << (_HEIGHT * action)))
    state[OVER] = four_in_a_row(stones ^ (state[STONES] ^ before))  # the mover's stones with the new one
    state[MOVER] = state[STONES] ^ before
    state[STONES] = stones
    state[PLIES] += 1


@njit(LEGAL, cache=True, nogil=True)
def legal(state: State, out: Array) -> None:
    """Columns with room."""
    for column in range(COLUMNS):
        out[column] = state[OVER] == 0 and not full(state[STONES], column)


@njit(OUTCOME, cache=True, nogil=True)
def outcome(state: State) -> int:
    """Lost when the other has four in a row, drawn on a full board."""
    if state[OVER]:
        return LOSS
    return DRAW if state[PLIES] == CELLS else ONGOING


@njit(OBSERVE, cache=True, nogil=True)
def observe(state: State, out: Array) -> None:
    """Stones of the mover, and of the other."""
    for row in range(ROWS):
        for column in range(COLUMNS):
            bit = _HEIGHT * column + ROWS - 1 - row
            own = (state[MOVER] >> bit) & 1
            out[0, row, column] = own
            out[1, row, column] = ((state[STONES] >> bit) & 1) - own


@njit(ROLLOUT, cache=True, nogil=True)
def rollout(state: State, rng: Array, actions: Array) -> int:
    """Random columns to the end. A draw of 64 bits is used three at a time; 7 and full columns are passed over."""
    mover, stones, plies = state[MOVER], state[STONES], state[PLIES]
    first, over, bits, left = plies, state[OVER] != 0, np.uint64(0), 0
    while not over and plies < CELLS:
        if left == 0:
            bits, left = next_uint64(rng), 21
        column = int64(bits & np.uint64(7))
        bits >>= np.uint64(3)
        left -= 1
        if column == COLUMNS or full(stones, column):
            continue
        other = stones ^ mover
        stones |= stones + (int64(1) << (_HEIGHT * column))
        over = four_in_a_row(stones ^ other)
        mover = other
        actions[plies - first] = column
        plies += 1
    state[PLIES], state[MOVER], state[STONES], state[OVER] = plies, mover, stones, over
    return plies - first


def _bits(cells: Array) -> int:
    """The bits of cells ``(rows, columns)`` bool, the top row first."""
    rows, columns = np.nonzero(cells)
    return sum(1 << (_HEIGHT * int(column) + ROWS - 1 - int(row)) for row, column in zip(rows, columns, strict=True))


board = board_reader(observe, 2, ROWS, COLUMNS)


def write(state: State) -> str:
    """A position as `envs.board.notation` has it: "7/7/7/7/7/3x3 o"."""
    return f"{write_board(board(state))} {to_move(state)}"


def read(text: str) -> State:
    """The position of a line that `write` wrote; raises ValueError where there can be none."""
    cells, x_moves, _ = read_position(text, ROWS, COLUMNS)
    plies = count_stones(text, cells, x_moves)
    if ((cells[:-1] != 0) & (cells[1:] == 0)).any():
        raise ValueError(f"position {text!r}: a stone hangs above an empty cell")
    mover, other = (cells == 1, cells == 2) if x_moves else (cells == 2, cells == 1)
    if four_in_a_row(_bits(mover)):
        raise ValueError(f"position {text!r}: {'x' if x_moves else 'o'} has won already, and is to move")
    return np.array([plies, _bits(mover), _bits(cells != 0), four_in_a_row(_bits(other))], np.int64)


def connect_four() -> Game:
    """The game; it can be seen in a mirror."""
    cells = np.arange(CELLS).reshape(ROWS, COLUMNS)
    return Game(
        name="connect_four",
        rows=ROWS,
        columns=COLUMNS,
        n_actions=COLUMNS,
        planes=("own stones", "the other's stones"),
        start=np.zeros(4, np.int64),
        longest=CELLS,
        rules=Rules(play, legal, outcome, observe, rollout),
        cells=np.stack([cells.ravel(), cells[:, ::-1].ravel()]),
        actions=np.stack([np.arange(COLUMNS), np.arange(COLUMNS)[::-1]]),
        write=write,
        read=read,
        show=lambda state: show_board(board(state)),
        move=lambda action: str(action + 1),
    )

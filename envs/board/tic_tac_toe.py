"""Tic-tac-toe: three in a row on a board of 3 x 3.

A position is three numbers: the plies played, and the stones of the mover and all stones as bits. Bit
``3 * row + column`` is a cell, rows counted from the top.
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
from envs.board.notation import (
    board_reader,
    cell_name,
    count_stones,
    read_position,
    show_board,
    square_symmetries,
    to_move,
    write_board,
)
from envs.rng import integers

SIZE = 3
CELLS = SIZE * SIZE
MOVER, STONES = 1, 2  # of a position's numbers, after PLIES
_LINES = tuple(sum(1 << cell for cell in line) for line in (
    (0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6),
))  # fmt: skip


@njit(cache=True, nogil=True)
def three_in_a_row(stones: int) -> bool:
    """Whether bits of one player hold three in a row."""
    for line in _LINES:
        if stones & line == line:
            return True
    return False


@njit(PLAY, cache=True, nogil=True)
def play(state: State, action: int) -> None:
    """Put the mover's stone into a cell."""
    state[MOVER] ^= state[STONES]
    state[STONES] |= int64(1) << action
    state[PLIES] += 1


@njit(LEGAL, cache=True, nogil=True)
def legal(state: State, out: Array) -> None:
    """Empty cells."""
    over = three_in_a_row(state[STONES] ^ state[MOVER])
    for cell in range(CELLS):
        out[cell] = not over and (state[STONES] >> cell) & 1 == 0


@njit(OUTCOME, cache=True, nogil=True)
def outcome(state: State) -> int:
    """Lost when the other has three in a row, drawn on a full board."""
    if three_in_a_row(state[STONES] ^ state[MOVER]):
        return LOSS
    return DRAW if state[PLIES] == CELLS else ONGOING


@njit(OBSERVE, cache=True, nogil=True)
def observe(state: State, out: Array) -> None:
    """Stones of the mover, and of the other."""
    for cell in range(CELLS):
        own = (state[MOVER] >> cell) & 1
        out[0, cell // SIZE, cell % SIZE] = own
        out[1, cell // SIZE, cell % SIZE] = ((state[STONES] >> cell) & 1) - own


@njit(ROLLOUT, cache=True, nogil=True)
def rollout(state: State, rng: Array, actions: Array) -> int:
    """Random empty cells to the end."""
    first = state[PLIES]
    while outcome(state) == ONGOING:
        wanted = integers(rng, CELLS - state[PLIES])  # which of the empty cells
        cell = 0
        while (state[STONES] >> cell) & 1 or wanted > 0:
            wanted -= 1 - ((state[STONES] >> cell) & 1)
            cell += 1
        actions[state[PLIES] - first] = cell
        play(state, cell)
    return state[PLIES] - first


board = board_reader(observe, 2, SIZE, SIZE)


def write(state: State) -> str:
    """A position as `envs.board.notation` has it: "3/1x1/3 o"."""
    return f"{write_board(board(state))} {to_move(state)}"


def read(text: str) -> State:
    """The position of a line that `write` wrote; raises ValueError where there can be none."""
    cells, x_moves, _ = read_position(text, SIZE, SIZE)
    plies = count_stones(text, cells, x_moves)
    x, o = (int((cells.ravel() == stone) @ (1 << np.arange(CELLS))) for stone in (1, 2))
    mover = x if x_moves else o
    if three_in_a_row(mover):
        raise ValueError(f"position {text!r}: {'x' if x_moves else 'o'} has won already, and is to move")
    return np.array([plies, mover, x | o], np.int64)


def tic_tac_toe() -> Game:
    """The game; it can be seen in eight ways."""
    views = square_symmetries(SIZE)
    return Game(
        name="tic_tac_toe",
        rows=SIZE,
        columns=SIZE,
        n_actions=CELLS,
        planes=("own stones", "the other's stones"),
        start=np.zeros(3, np.int64),
        longest=CELLS,
        rules=Rules(play, legal, outcome, observe, rollout),
        cells=views,
        actions=views,
        write=write,
        read=read,
        show=lambda state: show_board(board(state)),
        move=lambda action: cell_name(action, SIZE, SIZE),
    )

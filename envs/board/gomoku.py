"""Gomoku: five stones in a row, or more, on a board of 15 x 15; boards and lines of other sizes too.

A position is a row of numbers: the plies played, whether the player before the mover has a line, the size of the board,
the length of a line, then the stones of x and those of o as bits, both over as many words as the cells need. A row of
cells takes ``size + 1`` bits, rows counted from the top; the bits between rows, and those of a row above and one below,
stay empty, so that every line ends on the board.
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

SMALLEST, LARGEST = 5, 19
OVER, SIZE, LINE, STONES = 1, 2, 3, 4  # of a position's numbers, after PLIES; the stones are all from STONES on


@njit(cache=True, nogil=True, inline="always")
def _stones(state: State, player: int) -> Array:
    """The words of x's stones (player 0) or o's (1)."""
    words = (state.shape[0] - STONES) // 2
    return state[STONES + player * words : STONES + (player + 1) * words]


@njit(cache=True, nogil=True, inline="always")
def _bit(cell: int, size: int) -> int:
    return cell + cell // size + size + 2


@njit(cache=True, nogil=True, inline="always")
def _has(stones: Array, bit: int) -> int:
    return (stones[bit >> 6] >> (bit & 63)) & 1


@njit(cache=True, nogil=True)
def _put(stones: Array, cell: int, size: int, line: int) -> bool:
    """Add a stone; whether a line runs through it."""
    bit = _bit(cell, size)
    stones[bit >> 6] |= int64(1) << (bit & 63)
    for step in (1, size, size + 1, size + 2):
        before, behind = bit - step, bit + step
        while _has(stones, before):
            before -= step
        while _has(stones, behind):
            behind += step
        if behind - before > line * step:
            return True
    return False


@njit(PLAY, cache=True, nogil=True)
def play(state: State, action: int) -> None:
    """Put the mover's stone into a cell."""
    state[OVER] = _put(_stones(state, state[PLIES] % 2), action, state[SIZE], state[LINE])
    state[PLIES] += 1


@njit(LEGAL, cache=True, nogil=True)
def legal(state: State, out: Array) -> None:
    """Empty cells."""
    x, o, size = _stones(state, 0), _stones(state, 1), state[SIZE]
    for cell in range(size * size):
        bit = _bit(cell, size)
        out[cell] = state[OVER] == 0 and not _has(x, bit) | _has(o, bit)


@njit(OUTCOME, cache=True, nogil=True)
def outcome(state: State) -> int:
    """Lost when the other has a line, drawn on a full board."""
    if state[OVER]:
        return LOSS
    return DRAW if state[PLIES] == state[SIZE] * state[SIZE] else ONGOING


@njit(OBSERVE, cache=True, nogil=True)
def observe(state: State, out: Array) -> None:
    """Stones of the mover, and of the other."""
    size, mover = state[SIZE], state[PLIES] % 2
    for plane in range(2):
        stones = _stones(state, mover ^ plane)
        for cell in range(size * size):
            out[plane, cell // size, cell % size] = _has(stones, _bit(cell, size))


@njit(ROLLOUT, cache=True, nogil=True)
def rollout(state: State, rng: Array, actions: Array) -> int:
    """Empty cells in random order until the end. They wait in ``actions``, behind those that are played."""
    x, o, size, line = _stones(state, 0), _stones(state, 1), state[SIZE], state[LINE]
    empty = 0
    for cell in range(size * size):
        bit = _bit(cell, size)
        if not _has(x, bit) | _has(o, bit):
            actions[empty] = cell
            empty += 1
    first, plies, over = state[PLIES], 0, state[OVER] != 0
    while not over and plies < empty:
        drawn = plies + integers(rng, empty - plies)
        actions[plies], actions[drawn] = actions[drawn], actions[plies]
        over = _put(o if (first + plies) % 2 else x, actions[plies], size, line)
        plies += 1
    state[OVER] = over
    state[PLIES] += plies
    return plies


def _start(size: int, line: int) -> State:
    words = ((size + 1) * (size + 2)) // 64 + 1  # the last bit, below the last cell to its right, is read too
    return np.array([0, 0, size, line] + [0] * 2 * words, np.int64)


def read(text: str, size: int, line: int) -> State:
    """The position of a line such as "5/5/2x2/5/5 o"; raises ValueError where there can be none."""
    cells, x_moves, _ = read_position(text, size, size)
    state = _start(size, line)
    state[PLIES] = count_stones(text, cells, x_moves)
    mover_has, state[OVER] = (
        any([_put(_stones(state, player), int(cell), size, line) for cell in np.flatnonzero(cells == 1 + player)])
        for player in ((0, 1) if x_moves else (1, 0))
    )
    if mover_has:
        raise ValueError(f"position {text!r}: {'x' if x_moves else 'o'} has won already, let the other move")
    return state


def gomoku(size: int = 15, line: int = 5) -> Game:
    """The game; it can be seen in eight ways.

    Args:
        size: rows and columns of the board, 5 to 19.
        line: how many stones in a row win, as do more; 3 to ``size``.

    Raises:
        ValueError: a size or a line out of range.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size {size}: use {SMALLEST} to {LARGEST}")
    if not 3 <= line <= size:
        raise ValueError(f"line {line}: use 3 to the size of the board, {size}")
    board = board_reader(observe, 2, size, size)
    views = square_symmetries(size)
    return Game(
        name="gomoku",
        rows=size,
        columns=size,
        n_actions=size * size,
        planes=("own stones", "the other's stones"),
        start=_start(size, line),
        longest=size * size,
        rules=Rules(play, legal, outcome, observe, rollout),
        cells=views,
        actions=views,
        write=lambda state: f"{write_board(board(state))} {to_move(state)}",
        read=lambda text: read(text, size, line),
        show=lambda state: show_board(board(state)),
        move=lambda action: cell_name(action, size, size),
        constants=(SIZE, LINE),
    )

"""Othello (Reversi) on boards of 8 x 8, 6 x 6 or 4 x 4.

A position is four numbers: the plies played, the discs of the mover and of the other as bits, and the size of the
board. Bit ``8 * row + column`` is a cell, rows counted from the top; a smaller board lies in the corner of the one of
8 x 8. A player who can turn no disc must pass; when neither can, the game is over.
"""

import numpy as np
from numba import int64, njit, uint64

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
from envs.board.notation import board_reader, read_position, show_board, square_symmetries, to_move, write_board
from envs.rng import integers

SIZES = (4, 6, 8)
MOVER, OTHER, SIZE = 1, 2, 3  # of a position's numbers, after PLIES
_WIDTH = 8  # bits of a row, whatever the size
_STEPS = (1, -1, 7, -7, 8, -8, 9, -9)  # from a cell to its neighbours


def _bits(cells: Array) -> int:
    """The bits of cells ``(rows, columns)`` bool."""
    return sum(1 << (_WIDTH * int(row) + int(column)) for row, column in np.argwhere(cells))


# Masks by size: all cells, and those off the left and right edges. No line sideways or aslant turns a disc on an edge;
# left out, it stops shifted bits there, which would run on in the next row.
_CELLS = np.array([_bits(np.ones((size, size))) for size in range(_WIDTH + 1)], np.uint64)
_INNER = np.array([_bits(np.pad(np.ones((size, max(size - 2, 0))), [(0, 0), (1, 1)])) for size in range(9)], np.uint64)


@njit(cache=True, nogil=True, inline="always")
def _shift(bits: int, step: int) -> int:
    return bits << uint64(step) if step > 0 else bits >> uint64(-step)


@njit(cache=True, nogil=True, inline="always")
def _run(start: int, through: int, step: int) -> int:
    """Cells of ``through`` that follow on ``start`` in one direction, up to six; doubled steps need half as many."""
    run = through & _shift(start, step)
    run |= through & _shift(run, step)
    pairs = through & _shift(through, step)
    run |= pairs & _shift(run, 2 * step)
    return run | (pairs & _shift(run, 2 * step))


@njit(cache=True, nogil=True)
def _moves(mover: int, other: int, size: int) -> int:
    """The cells where the mover can put a disc."""
    inner, found = other & _INNER[size], uint64(0)
    for step in _STEPS:
        found |= _shift(_run(mover, other if abs(step) == _WIDTH else inner, step), step)
    return found & _CELLS[size] & ~(mover | other)


@njit(cache=True, nogil=True)
def _turned(mover: int, other: int, disc: int, size: int) -> int:
    """The other's discs that a new disc of the mover turns."""
    inner, turned = other & _INNER[size], uint64(0)
    for step in _STEPS:
        run = _run(disc, other if abs(step) == _WIDTH else inner, step)
        if _shift(run, step) & mover:
            turned |= run
    return turned


@njit(cache=True, nogil=True)
def _count(bits: int) -> int:
    """How many of 64 bits are set: sums of pairs, of fours, of bytes, of all."""
    bits -= (bits >> uint64(1)) & uint64(0x5555555555555555)
    bits = (bits & uint64(0x3333333333333333)) + ((bits >> uint64(2)) & uint64(0x3333333333333333))
    bits = (bits + (bits >> uint64(4))) & uint64(0x0F0F0F0F0F0F0F0F)
    return int64((bits * uint64(0x0101010101010101)) >> uint64(56))


@njit(PLAY, cache=True, nogil=True)
def play(state: State, action: int) -> None:
    """Put the mover's disc into a cell and turn the other's, or pass."""
    mover, other, size = uint64(state[MOVER]), uint64(state[OTHER]), state[SIZE]
    if action < size * size:
        disc = uint64(1) << uint64(_WIDTH * (action // size) + action % size)
        turned = _turned(mover, other, disc, size)
        mover |= turned | disc
        other ^= turned
    state[MOVER], state[OTHER] = int64(other), int64(mover)
    state[PLIES] += 1


@njit(LEGAL, cache=True, nogil=True)
def legal(state: State, out: Array) -> None:
    """Cells where a disc turns others; to pass only without such a cell, when the other has one."""
    mover, other, size = uint64(state[MOVER]), uint64(state[OTHER]), state[SIZE]
    moves = _moves(mover, other, size)
    for row in range(size):
        for column in range(size):
            out[row * size + column] = (moves >> uint64(_WIDTH * row + column)) & uint64(1)
    out[size * size] = moves == 0 and _moves(other, mover, size) != 0


@njit(OUTCOME, cache=True, nogil=True)
def outcome(state: State) -> int:
    """Whose discs are more, once neither can put one."""
    mover, other, size = uint64(state[MOVER]), uint64(state[OTHER]), state[SIZE]
    if _moves(mover, other, size) or _moves(other, mover, size):
        return ONGOING
    lead = _count(mover) - _count(other)
    return WIN if lead > 0 else LOSS if lead < 0 else DRAW


@njit(OBSERVE, cache=True, nogil=True)
def observe(state: State, out: Array) -> None:
    """Discs of the mover, and of the other."""
    for row in range(state[SIZE]):
        for column in range(state[SIZE]):
            bit = _WIDTH * row + column
            out[0, row, column] = (state[MOVER] >> bit) & 1
            out[1, row, column] = (state[OTHER] >> bit) & 1


@njit(ROLLOUT, cache=True, nogil=True)
def rollout(state: State, rng: Array, actions: Array) -> int:
    """Random moves to the end; each position's are found once."""
    mover, other, size = uint64(state[MOVER]), uint64(state[OTHER]), state[SIZE]
    plies = 0
    moves = _moves(mover, other, size)
    while True:
        if moves:
            for _ in range(integers(rng, _count(moves))):
                moves &= moves - uint64(1)
            disc = moves & (~moves + uint64(1))  # the lowest that is left
            cell = _count(disc - uint64(1))
            actions[plies] = cell // _WIDTH * size + cell % _WIDTH
            turned = _turned(mover, other, disc, size)
            mover, other = other ^ turned, mover | turned | disc
            moves = _moves(mover, other, size)
        else:
            moves = _moves(other, mover, size)
            if moves == 0:
                break
            actions[plies] = size * size
            mover, other = other, mover
        plies += 1
    state[MOVER], state[OTHER] = int64(mover), int64(other)
    state[PLIES] += plies
    return plies


def read(text: str, size: int) -> State:
    """The position of a line such as "4/1ox1/1xo1/4 x 0", which ends with the plies played.

    Raises:
        ValueError: there can be no such position.
    """
    cells, x_moves, (plies,) = read_position(text, size, size, fields=3)
    if not plies.isdecimal():
        raise ValueError(f"position {text!r}: {plies!r} plies, give the number of those played")
    middle = slice(size // 2 - 1, size // 2 + 1)
    if not cells[middle, middle].all():
        raise ValueError(f"position {text!r}: the four cells in the middle are never empty, give them discs")
    fewest = int((cells != 0).sum()) - 4  # and at most one pass after each
    if not fewest <= int(plies) <= 2 * fewest or (int(plies) % 2 == 0) != x_moves:
        parity = "even as x is" if x_moves else "odd as o is"
        raise ValueError(f"position {text!r}: {plies} plies, give {fewest} to {2 * fewest}, {parity} to move")
    mover, other = (cells == 1, cells == 2) if x_moves else (cells == 2, cells == 1)
    return np.array([int(plies), _bits(mover), _bits(other), size], np.uint64).view(np.int64)


def othello(size: int = 8) -> Game:
    """The game; it can be seen in eight ways.

    Args:
        size: rows and columns of the board, 4, 6 or 8.

    Raises:
        ValueError: another size.
    """
    if size not in SIZES:
        raise ValueError(f"size {size}: use {', '.join(map(str, SIZES))}")
    board = board_reader(observe, 2, size, size)
    side = size // 2 - 1
    empty = "/".join([str(size)] * side)
    views = square_symmetries(size)
    return Game(
        name="othello",
        rows=size,
        columns=size,
        n_actions=size * size + 1,
        planes=("own discs", "the other's discs"),
        start=read(f"{empty}/{side}ox{side}/{side}xo{side}/{empty} x 0", size),
        longest=2 * (size * size - 4) - 1,  # no two passes follow one another, and no pass is first or last
        rules=Rules(play, legal, outcome, observe, rollout),
        cells=views,
        actions=np.pad(views, ((0, 0), (0, 1)), constant_values=size * size),
        write=lambda state: f"{write_board(board(state))} {to_move(state)} {state[PLIES]}",
        read=lambda text: read(text, size),
        show=lambda state: show_board(board(state)),
        move=lambda action: "pass" if action == size * size else f"{chr(ord('a') + action % size)}{action // size + 1}",
        constants=(SIZE,),
    )

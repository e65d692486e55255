"""Positions of games with two kinds of stones as text, in the manner of chess's FEN.

Rows from the top, separated by "/": ``x`` (who moves first), ``o``, and numbers for so many empty cells; then who is to
move: "3/1x1/3 o".
"""

import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from envs.board.game import PLIES, Array, State

STONES = ".xo"
Board = NDArray[np.int8]  # (rows, columns): 0 empty, 1 x, 2 o


def write_board(board: Board) -> str:
    """The rows of a board: "3/1x1/3"."""
    return "/".join(
        "".join(
            str(len(list(cells))) if stone == 0 else STONES[stone] * len(list(cells))
            for stone, cells in itertools.groupby(row)
        )
        for row in board.tolist()
    )


def read_board(text: str, rows: int, columns: int) -> Board:
    """The board ``(rows, columns)`` of its rows; raises ValueError that names what is wrong."""
    parts = text.split("/")
    if len(parts) != rows:
        raise ValueError(f"position {text!r}: {len(parts)} rows, give {rows} separated by '/'")
    board = np.zeros((rows, columns), np.int8)
    for row, part in enumerate(parts):
        cells: list[int] = []
        for is_number, letters in itertools.groupby(part, str.isdecimal):
            piece = "".join(letters)
            if is_number:
                cells += [0] * min(int(piece), columns + 1)
            elif set(piece) <= set(STONES[1:]):
                cells += [STONES.index(letter) for letter in piece]
            else:
                raise ValueError(f"position {text!r}: {piece!r} in row {part!r}, use x, o and numbers of empty cells")
        if len(cells) != columns:
            raise ValueError(f"position {text!r}: row {part!r} has not {columns} cells")
        board[row] = cells
    return board


def read_position(text: str, rows: int, columns: int, fields: int = 2) -> tuple[Board, bool, list[str]]:
    """Board, whether x is to move, and the fields after these, of ``fields`` in all; ValueError as `read_board`."""
    parts = text.split()
    if len(parts) != fields:
        raise ValueError(f"position {text!r}: {len(parts)} fields, give {fields} separated by blanks")
    if parts[1] not in ("x", "o"):
        raise ValueError(f"position {text!r}: {parts[1]!r} is to move, use x or o")
    return read_board(parts[0], rows, columns), parts[1] == "x", parts[2:]


def count_stones(text: str, board: Board, x_moves: bool) -> int:
    """The stones on a board on which each turn adds one; raises ValueError when they do not fit who is to move."""
    x, o = int((board == 1).sum()), int((board == 2).sum())
    if x - o != (0 if x_moves else 1):
        raise ValueError(f"position {text!r}: {x} x and {o} o, but {'x' if x_moves else 'o'} to move")
    return x + o


def board_reader(
    observe: Callable[[State, Array], None], planes: int, rows: int, columns: int
) -> Callable[[State], Board]:
    """What gives the board of a position, of a game whose first two planes are the stones of mover and other."""

    def board(state: State) -> Board:
        out = np.empty((planes, rows, columns), np.int8)
        observe(state, out)
        x, o = out[:2] if state[PLIES] % 2 == 0 else out[1::-1]
        return x + 2 * o

    return board


def to_move(state: State) -> str:
    """Whose turn it is: "x" or "o"."""
    return "xo"[state[PLIES] % 2]


def show_board(board: Board) -> str:
    """The board as characters, rows separated by line breaks."""
    return "\n".join("".join(STONES[stone] for stone in row) for row in board.tolist())


def square_symmetries(size: int) -> NDArray[np.int64]:
    """The eight ways to see a square board, as permutations of its cells ``(8, size * size)``."""
    cells = np.arange(size * size).reshape(size, size)
    turned = [np.rot90(cells, quarter) for quarter in range(4)]
    return np.stack([view.ravel() for one in turned for view in (one, one[:, ::-1])])


def cell_name(cell: int, rows: int, columns: int) -> str:
    """A cell of `rows` x `columns` as in chess: the column's letter, the row's number from below ("a1")."""
    row, column = divmod(cell, columns)
    return f"{chr(ord('a') + column)}{rows - row}"

"""Pictures of board games: the board, its stones or letters, and what a search thinks of the moves."""

import re
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from envs.board.game import Game, State
from envs.drawing import Canvas

CELL, MARGIN, TOP = 56, 28, 40  # pixels
Colour = tuple[int, int, int]
INK: Colour = (38, 44, 54)
PAPER: Colour = (250, 250, 247)
WOOD: Colour = (226, 190, 130)
GREEN: Colour = (62, 124, 86)
BLUE: Colour = (38, 84, 156)
NOTE: Colour = (200, 40, 90)
SQUARES: tuple[Colour, Colour] = ((240, 225, 200), (196, 160, 120))
#: of each game: colour of the board, of the first player's and of the second player's stones
COLOURS: dict[str, tuple[Colour, Colour, Colour]] = {
    "tic_tac_toe": (PAPER, (36, 92, 196), (210, 70, 60)),
    "connect_four": (BLUE, (232, 196, 60), (206, 66, 60)),
    "othello": (GREEN, (24, 26, 30), (245, 245, 240)),
    "gomoku": (WOOD, (24, 26, 30), (245, 245, 240)),
    "go": (WOOD, (24, 26, 30), (245, 245, 240)),
}
ON_LINES = ("gomoku", "go")  # stones lie where lines cross


def draw(game: Game, state: State, notes: Mapping[int, str] | None = None) -> NDArray[np.uint8]:
    """A position as a picture ``(height, width, 3)`` uint8.

    Args:
        notes: short texts of actions, drawn in the cells where they play; of Connect Four above the columns, and
            of actions that are no cell, such as a pass or a move in chess, in a line above the board.
    """
    width, height = game.columns * CELL + 2 * MARGIN, game.rows * CELL + MARGIN + TOP
    board, first, second = COLOURS.get(game.name, (PAPER, INK, INK))
    canvas = Canvas(width, height, PAPER)
    left, bottom, right, top = MARGIN, MARGIN, width - MARGIN, height - TOP
    canvas.polygon([(left, bottom), (right, bottom), (right, top), (left, top)], board)

    def centre(row: int, column: int) -> tuple[float, float]:
        return left + (column + 0.5) * CELL, top - (row + 0.5) * CELL

    _lines(canvas, game, centre)
    lines = game.show(state).splitlines()
    for row, line in enumerate(lines[: game.rows]):
        for column, piece in enumerate(line.split() if " " in line else line):
            place = centre(row, column)
            if piece in ("x", "o") and game.name in COLOURS:
                canvas.circle(place, 0.42 * CELL, INK)
                canvas.circle(place, 0.42 * CELL - 1, first if piece == "x" else second)
            elif game.name == "connect_four":
                canvas.circle(place, 0.42 * CELL, PAPER)  # a hole
            elif piece != ".":
                canvas.text(place, piece, INK, 0.6 * CELL / max(1, len(piece) - 1))
    for column in range(game.columns):
        canvas.text((centre(0, column)[0], MARGIN / 2), names(game, 0, column)[0], INK, 14)
    for row in range(game.rows):
        canvas.text((MARGIN / 2, centre(row, 0)[1]), names(game, row, 0)[1], INK, 14)
    if beside := " ".join(lines[game.rows :]).strip():  # pieces in hand
        canvas.text((width / 2, height - TOP / 4), f"in hand: {beside}", INK, 14)
    cells, elsewhere = game.rows * game.columns, list[str]()
    for action, text in (notes or {}).items():
        if game.name == "connect_four":
            canvas.text((centre(0, action)[0], height - TOP / 2), text, NOTE, 15)
        elif action < cells and game.n_actions <= cells + 1:
            canvas.text(centre(*divmod(action, game.columns)), text, NOTE, 15)
        else:
            elsewhere.append(f"{game.move(action)} {text}")
    if elsewhere:
        canvas.text((width / 2, height - 2 * TOP / 3), ", ".join(elsewhere), NOTE, 15)
    return canvas.array()


def _lines(canvas: Canvas, game: Game, centre: Callable[[int, int], tuple[float, float]]) -> None:
    """What is drawn on the board below the stones."""
    last_row, last_column = game.rows - 1, game.columns - 1
    if game.name in ON_LINES:
        for row in range(game.rows):
            canvas.line([centre(row, 0), centre(row, last_column)], INK)
        for column in range(game.columns):
            canvas.line([centre(0, column), centre(last_row, column)], INK)
    elif game.name != "connect_four":
        half = CELL / 2
        for row in range(game.rows):
            for column in range(game.columns):
                x, y = centre(row, column)
                corners = [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
                if game.name == "chess":
                    canvas.polygon(corners, SQUARES[(row + column) % 2])
                canvas.line([*corners, corners[0]], INK)


def names(game: Game, row: int, column: int) -> tuple[str, str]:
    """The names of a cell's column and row, of which a move is written; in Connect Four rows have none."""
    move = game.move(column if game.name == "connect_four" else row * game.columns + column)
    found = re.match(r"([a-z]+|\d)(\d+|[a-z])", move)
    return (found[1], found[2]) if found else (move, "")

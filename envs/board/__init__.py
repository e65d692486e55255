"""Board games: rules only. `game` gives the rules of a name; the environments are in `envs.board.env`.

tic_tac_toe    three in a row on 3 x 3
connect_four   four in a row on 6 x 7, stones fall
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from envs.board.chess_game import chess_game
from envs.board.connect_four import connect_four
from envs.board.game import Game
from envs.board.go import go
from envs.board.gomoku import gomoku
from envs.board.othello import othello
from envs.board.shogi_game import shogi_game
from envs.board.tic_tac_toe import tic_tac_toe

GAMES: dict[str, Callable[..., Game]] = {
    "tic_tac_toe": tic_tac_toe,
    "connect_four": connect_four,
    "othello": othello,
    "gomoku": gomoku,
    "go": go,
    "chess": chess_game,
    "shogi": shogi_game,
}


def game(name: str, **options: Any) -> Game:
    """The game ``name``.

    Args:
        options: the game's own keywords, such as ``size``.

    Raises:
        ValueError: no such game.
    """
    if name not in GAMES:
        raise ValueError(f"game {name!r}: use one of {', '.join(GAMES)}")
    try:
        known = inspect.signature(GAMES[name]).bind(**options)
        known.apply_defaults()
        return dataclasses.replace(GAMES[name](**options), options=known.arguments)
    except TypeError as error:
        raise ValueError(f"{name} with {options}: {error}") from error


def remade(name: str, options: dict[str, Any]) -> Game:
    """A game again, for copies and other processes."""
    return game(name, **options)

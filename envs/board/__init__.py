"""Board games: rules only. `game` gives the rules of a name; the environments are in `envs.board.env`.

tic_tac_toe    three in a row on 3 x 3
connect_four   four in a row on 6 x 7, stones fall
othello        what lies between two of a colour turns over; boards of 4, 6 and 8
gomoku         five in a row, or as many as asked for
go             area scoring, positional superko, komi; boards of 2 to 19
chess, shogi   over python-chess and python-shogi (extra ``games``)
"""

import dataclasses
import inspect
from collections.abc import Callable
from numbers import Integral, Real
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
        ValueError: no such game, or keywords that it does not have or take.
    """
    if name not in GAMES:
        raise ValueError(f"game {name!r}: use one of {', '.join(GAMES)}")
    signature = inspect.signature(GAMES[name])
    try:
        known = signature.bind(**options)
    except TypeError as error:
        raise ValueError(f"{name} with {options}: {error}") from error
    for key, value in options.items():
        kind, wanted = (Integral, "whole number") if signature.parameters[key].annotation is int else (Real, "number")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{key} {value!r} of {name}: use a {wanted}")
    known.apply_defaults()
    return dataclasses.replace(GAMES[name](**options), options=known.arguments)


def remade(name: str, options: dict[str, Any]) -> Game:
    """A game again, for copies and other processes."""
    return game(name, **options)

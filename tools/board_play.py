"""A person plays a board game against an opponent, in a window or in the terminal (`tools.play` is the door).

Both front ends show a `Session` and tell it what the person writes: a move ("4", "d3", "pass"), "undo" or "hint".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.opponents import Thinker, Thought, resolve
from agents.rollout import make_lanes
from envs.board import GAMES
from envs.board.drawing import CELL, MARGIN, NOTE, TOP, draw
from envs.board.env import BoardGame, Opponent
from envs.board.game import DRAW, PLIES, WIN, Game, State
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError
from tools.window import Window

MOST_SHOWN = 9  # moves of which it is told what the opponent thinks
LOWEST, HIGHEST = 440, 700  # pixels of a picture in the window
FRAMES_PER_SECOND = 30
LINE_LENGTH = 100  # characters that the window has room for
#: of each game: what the first player's stones and the second's are in the window, and in the terminal
SIDES: dict[str, tuple[str, str]] = {"tic_tac_toe": ("blue", "red"), "connect_four": ("yellow", "red")}
LETTERS = ("capital letters", "small letters")


class Session:
    """A game under way.

    Args:
        game: its rules.
        opponent: who answers.
        name: what the opponent is called.
        person: whose turn the person has: 0 the first player, 1 the second.
        rng: the opponent's random numbers.

    Attributes:
        states: the positions up to now.
        moves: what was played in them, but the last one.
        thought: what the opponent thought of its last move, or as a hint of the person's next; None: nothing.
        said: what happened last, in a line.
    """

    def __init__(self, game: Game, opponent: Opponent, name: str, person: int, rng: np.random.Generator) -> None:
        self.game, self.opponent, self.name, self.person = game, opponent, name, person
        self._rng = rng
        self.states: list[State] = [game.start]
        self.moves: list[int] = []
        self.thought: Thought | None = None
        self.said = ""

    @property
    def state(self) -> State:
        """The position now."""
        return self.states[-1]

    @property
    def result(self) -> str | None:
        """How the game ended; None while it goes on."""
        outcome = self.game.outcome(self.state)
        if outcome is None or outcome == DRAW:
            return None if outcome is None else "The game is drawn."
        return "You win." if (outcome == WIN) == self._is_mover else f"{self.name} wins."

    @property
    def _is_mover(self) -> bool:
        return bool(self.state[PLIES] % 2 == self.person)

    @property
    def waits(self) -> bool:
        """Whether it is the person's turn."""
        return self._is_mover and self.result is None

    def legal(self) -> dict[str, int]:
        """The legal actions by how they are written."""
        return {self.game.move(action): action for action in np.flatnonzero(self.game.legal(self.state)).tolist()}

    def do(self, text: str) -> None:
        """Do what the person writes: play a move, "undo" or "hint".

        Raises:
            ValueError: it cannot be done.
        """
        if text == "undo":
            self._undo()
        elif not self.waits:
            raise ValueError(f"{text!r}: the game is over, only undo is left")
        elif text == "hint":
            self._hint()
        else:
            legal = self.legal()
            action = legal.get(text, legal.get(text.lower()))
            if action is None:
                raise ValueError(f"{text!r} is no legal move, use {', '.join(legal)}")
            self._play(action, None)
            self.said = f"You played {self.game.move(action)}."

    def answer(self) -> None:
        """The opponent's move."""
        if isinstance(self.opponent, Thinker):
            thought = self.opponent.think(self.state, self._rng)
            self._play(thought.action, thought)
        else:
            self._play(self.opponent(self.state, self.game.legal(self.state), self._rng), None)
        self.said = f"{self.name} played {self.game.move(self.moves[-1])}."

    def _play(self, action: int, thought: Thought | None) -> None:
        self.states.append(self.game.after(self.state, action))
        self.moves.append(action)
        self.thought = thought

    def _undo(self) -> None:
        """Back to the position before the person's last move."""
        ply = (len(self.moves) - 1 - self.person) // 2 * 2 + self.person
        if ply < 0:
            raise ValueError("'undo': you have not played yet")
        self.said = f"Your move {self.game.move(self.moves[ply])} is taken back."
        del self.states[ply + 1 :], self.moves[ply:]
        self.thought = None

    def _hint(self) -> None:
        if not isinstance(self.opponent, Thinker):
            raise ValueError(f"'hint': {self.name} does not search, play mcts:2000 for hints")
        self.thought = self.opponent.think(self.state, self._rng)
        self.said = f"{self.name} would play {self.game.move(self.thought.action)} here."

    def thoughts(self) -> list[tuple[int, int, float, float]]:
        """Action, visits, share of all visits and value of the moves most visited, the chosen one first."""
        if self.thought is None:
            return []
        chosen, visits, values = self.thought
        order = sorted(np.flatnonzero(visits).tolist(), key=lambda action: (action != chosen, -visits[action]))
        return [(one, int(visits[one]), visits[one] / visits.sum(), values[one]) for one in order[:MOST_SHOWN]]

    @property
    def thinker(self) -> str:
        """Whose values the thought has."""
        return "you" if self.waits and len(self.states) > len(self.moves) + 1 else self.name


def play(what: str, env: str, kwargs: Mapping[str, Any], side: str, terminal: bool, seed: int | None) -> None:
    """Play one game.

    Args:
        what: the opponent, as `agents.opponents.resolve` has it.
        env, kwargs: the environment whose game is played.
        side: "first" or "second", of the person.

    Raises:
        UserError: no board game, or no such opponent of it; no display for a window.
    """
    game = game_of(env, kwargs)
    name = Path(what).name if Path(what).exists() else what
    session = Session(game, resolve(what, game), name, int(side == "second"), np.random.default_rng(seed))
    if terminal:
        in_terminal(session)
    else:
        in_window(session)


def game_of(env: str, kwargs: Mapping[str, Any]) -> Game:
    """The game of an environment's id and keywords.

    Raises:
        UserError: there is no such environment, or it is no board game.
    """
    batch: Any = make_lanes(env, 1, kwargs).unwrapped
    batch.close()
    if isinstance(batch, BoardGame):
        return batch.game
    games = [name for name, spec in gym.registry.items() if spec.kwargs.get("game") in GAMES]
    raise UserError(f"env={env!r} is no board game: use one of {', '.join(games)}")

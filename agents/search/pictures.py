"""Pictures of what an agent has learnt: a game against itself."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agents.search.agent import Agent
from envs.board.drawing import draw
from supervised.training.checkpoint import atomic_write

MOST, ACROSS = 12, 4  # boards of a picture, and in a row
LEAST = 0.05  # smaller shares are left out


def draw_game(agent: Agent, path: Path) -> None:
    """Draw a game of the agent against itself: boards before its moves, and what it thinks of them, in percent."""
    game, state, boards = agent.game, agent.game.start, list[NDArray[np.uint8]]()
    while game.outcome(state) is None:
        shares = agent.policies(state[None])[0]
        notes = {int(action): f"{shares[action]:.0%}" for action in np.flatnonzero(shares >= LEAST)}
        boards.append(draw(game, state, notes))
        state = game.after(state, int(shares.argmax()))
    boards.append(draw(game, state))
    shown = np.unique(np.linspace(0, len(boards) - 1, MOST).round().astype(int))
    chosen = [boards[number] for number in shown]
    chosen += [np.full_like(boards[0], 255)] * (-len(chosen) % ACROSS)
    rows = [np.concatenate(chosen[first : first + ACROSS], axis=1) for first in range(0, len(chosen), ACROSS)]
    picture = Image.fromarray(np.concatenate(rows))
    data = io.BytesIO()
    picture.reduce(2).save(data, "png")
    atomic_write(path, data.getvalue())

"""What an evaluation tells of board games: games and Elo, and what the perfect player says of moves."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.opponents import board_game, resolve
from agents.rollout import make_lanes
from agents.search import judging
from agents.search.matches import Tally
from agents.search.solver import perfect
from envs.board.game import Game
from supervised.training.errors import UserError, require


class Contestant:
    """An opponent as an agent: ``random``, ``mcts:N`` or ``perfect`` in the place of a run.

    What it plays depends on the position alone, whatever was played before.
    """

    def __init__(self, name: str, game: Game) -> None:
        self.game, self._opponent = game, resolve(name, game)

    def transform(self, observations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions are what opponents see."""
        return observations

    def act(self, observations: NDArray[np.int64], deterministic: bool = False) -> NDArray[np.int64]:
        """Actions ``(batch,)`` in positions ``(batch, words)``; 0 where the game is over."""
        different, which = np.unique(observations, axis=0, return_inverse=True)  # a batch may be filled up with copies
        return np.array([self._move(state) for state in different])[which.reshape(-1)]

    def _move(self, state: NDArray[np.int64]) -> int:
        legal = self.game.legal(state)
        return self._opponent(state, legal, np.random.default_rng(zlib.crc32(state.tobytes()))) if legal.any() else 0


def contestant(name: str, env: str | None, env_kwargs: Mapping[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """The agent of an opponent's name, the environment, and its keywords.

    Raises:
        UserError: no environment, or one that is no board game; no such opponent.
    """
    if env is None:
        raise UserError(f"{name} plays board games: name one, as --env skidpad/ConnectFour-v0")
    kwargs = {**env_kwargs, "observation": "state"}
    make_lanes(env, 1, env_kwargs).close()  # says what it does not know or take
    game = board_game(env, kwargs)
    if game is None:
        raise UserError(f"{name} plays board games, and {env} is none: use such as skidpad/ConnectFour-v0")
    return Contestant(name, game), env, kwargs


def told(result: dict[str, Any], opponent: str) -> tuple[dict[str, Any], list[str]]:
    """Games, score and Elo of an evaluation's returns, as entries of its result and as lines."""
    tally = Tally.of(np.array(result["returns"]))
    low, high = tally.elo_interval()
    entries = {"opponent": opponent, "wins": tally.wins, "draws": tally.draws, "losses": tally.losses}
    entries |= {"score": tally.score, "elo": tally.elo(), "elo_ci95": [low, high]}
    return entries, [
        f"games    {tally.wins} won, {tally.draws} drawn, {tally.losses} lost   score {tally.score:.3f}",
        f"Elo      {tally.elo():+.0f}   95 % interval {low:+.0f} to {high:+.0f}   (difference to the opponent)",
    ]


def check_judged(agent: Any, positions: int, won_openings: int) -> None:
    """Raise `UserError` where `judged` could not judge."""
    for name, count in {"positions": positions, "won_openings": won_openings}.items():
        require(count >= 0, name, count, "use 0 or more")
    if not hasattr(agent, "game"):
        raise UserError(f"positions={positions}: only players of positions are judged, as alpha-zero and mcts:200")
    perfect(agent.game)


def judged(agent: Any, positions: int, won_openings: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """What the perfect player says: ``kept`` of ``positions`` and ``converted`` of ``won_openings``, and as lines."""
    if not (positions or won_openings):
        return {}, []

    def player(states: NDArray[np.int64]) -> NDArray[np.int64]:
        return agent.act(states, deterministic=True)

    solver, entries, lines = perfect(agent.game), dict[str, Any](), []
    if positions:
        states = judging.positions(solver, positions, seed)
        entries |= {"kept": judging.kept(player, solver, states), "positions": len(states)}
        lines.append(f"moves    {entries['kept']:.1%} keep the game's value, in {len(states)} positions")
    if won_openings:
        won = judging.converted(player, solver, won_openings, seed)
        entries |= {"converted": won, "won_openings": won_openings}
        lines.append(f"openings {won} / {won_openings} won ones are won against the perfect player")
    return entries, lines

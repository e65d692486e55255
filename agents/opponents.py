"""Opponents for board games by name: who answers in the environment, in evaluation and in play.

    random      any legal action
    mcts:N      tree search of N simulations a move
    perfect     the perfect player, where a game has one (`agents.search.solver`); Connect Four's is from the 8th ply on
    RUN         the agent of a run's folder or "zoo:NAME"

An opponent is ``opponent(state, legal, rng) -> action`` of a position ``(words,)``, its legal actions ``(n_actions,)``
bool and a NumPy generator, and remembers nothing: games do not depend on those played beside them. One that searches is
a `Thinker`, and can be asked what it thinks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs import rng as lane_rng
from envs.board import GAMES
from envs.board.env import Opponent, made
from envs.board.game import PLIES, Array, Game, State
from supervised.training.errors import UserError


class Thought(NamedTuple):
    """What a search made of a position."""

    action: int  # to play
    visits: NDArray[np.int64]  # (n_actions,)
    values: NDArray[Any]  # (n_actions,) for the mover, -1 to 1; NaN where never visited


@dataclass(frozen=True)
class Thinker:
    """An opponent that searches: ``think(state, rng)`` is what it thinks of a position that is not over."""

    think: Callable[[State, np.random.Generator], Thought]

    def __call__(self, state: State, legal: Array, rng: np.random.Generator) -> int:
        """The action it plays."""
        return self.think(state, rng).action


OPENING_SIMULATIONS = 20_000  # of a move that the perfect player leaves to tree search


def board_game(env: str | Callable[[], Any], kwargs: Mapping[str, Any]) -> Game | None:
    """The game of an environment's id and keywords; None where it is no board game of ours."""
    spec = gym.registry.get(env) if isinstance(env, str) else None
    if spec is None or spec.namespace != "skidpad" or spec.kwargs.get("game") not in GAMES:
        return None
    keywords = {**spec.kwargs, **kwargs}
    return made(keywords.pop("game"), keywords)[0]


def is_name(text: str) -> bool:
    """Whether a text names an opponent that is no run."""
    return text in ("random", "perfect") or text.startswith("mcts:")


def resolve(name: str, game: Game) -> Opponent:
    """The opponent of that name.

    Raises:
        UserError: there is none, or it does not play this game.
    """
    kind, _, budget = name.partition(":")
    if name == "random":
        return at_random
    if kind == "mcts":
        if not budget.isdecimal():
            raise UserError(f"opponent {name!r}: write the simulations of a move, as mcts:2000")
        return searching(game, int(budget))
    if name == "perfect":
        return perfect_player(game)
    if kind == "zoo" or Path(name).exists():
        return trained(name, game)
    raise UserError(f"unknown opponent {name!r}: use random, mcts:2000, perfect, or a run's folder")


def named(name: str, env: str, kwargs: Mapping[str, Any]) -> Opponent | None:
    """The opponent of that name for an environment; None where it is its own, who moves at random.

    Raises:
        UserError: the environment is no board game, or as `resolve`.
    """
    game = board_game(env, kwargs)
    if game is None:
        raise UserError(f"opponent {name!r}: {env} is no board game, leave it out")
    return None if name == "random" else resolve(name, game)


def perfect_player(game: Game) -> Opponent:
    """A game's perfect player; one that needs minutes for an opening searches its first plies by `searching`.

    Raises:
        UserError: the game has none.
    """
    from agents.search.solver import SOLVED_FROM, perfect

    solver, opening = perfect(game), searching(game, OPENING_SIMULATIONS)

    def opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
        return (opening if state[PLIES] < SOLVED_FROM.get(game.name, 0) else solver)(state, legal, rng)

    return opponent


def at_random(state: State, legal: Array, rng: np.random.Generator) -> int:
    """Any legal action."""
    return int(rng.choice(np.flatnonzero(legal)))


def searching(game: Game, simulations: int) -> Opponent:
    """Tree search that begins anew at every move."""
    from agents.search.mcts import MCTS

    player = MCTS(game, simulations=simulations)

    def think(state: State, rng: np.random.Generator) -> Thought:
        player.forget()
        lane_rng.seed_rows(player.rng, [int(rng.integers(2**63))])
        result = player.search(state)
        return Thought(result.action, result.visits, result.values)

    return Thinker(think)


def trained(run: str, game: Game) -> Opponent:
    """The agent of a run, at its best; an agent that does not know the rules moves at random where it breaks them.

    Raises:
        UserError: no run there, or it was trained for another game.
    """
    from agents.evaluate import load

    loaded, env, kwargs = load(run)
    agent: Any = loaded
    known = board_game(env, kwargs)
    if known is None or (known.name, known.options) != (game.name, game.options):
        played = env if known is None else f"{known.name} {dict(known.options) or ''}".strip()
        raise UserError(f"opponent {run}: it plays {played}, not {game.name} {dict(game.options) or ''}".strip())
    sees_states = hasattr(agent, "game")

    def think(state: State, rng: np.random.Generator) -> Thought:
        plan = agent.plan(state[None])
        return Thought(int(plan.policies[0].argmax()), plan.visits[0], plan.q_values[0])

    def opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
        seen = state if sees_states else game.observe(state)
        action = int(agent.act(agent.transform(seen[None]), deterministic=True)[0])
        return action if legal[action] else at_random(state, legal, rng)

    return Thinker(think) if getattr(agent, "simulations", 0) else opponent

"""A player of board games judged by the perfect one: moves that keep a game's value, won positions that are won."""

import numpy as np
from numpy.typing import NDArray

from agents.search.matches import Player, random_position
from agents.search.solver import Exhaustive, Solver
from envs.board.game import PLIES as PLY
from envs.board.game import WIN, State

PLIES = range(12, 25)  # of the positions drawn
BLOCK = 64  # positions that a player is asked about at once
OPENING = 8  # plies of the openings that are won
EASY = 0.5  # a position is left out where more than this share of its legal moves keep the value


def positions(solver: Solver, count: int, seed: int) -> NDArray[np.int64]:
    """Positions to judge moves by ``(positions, words)``.

    Of a game small enough for a table, all of them that are not over; otherwise ``count`` reached by 12 to 24 random
    moves, in which at most half of the legal moves keep the value.
    """
    if isinstance(solver, Exhaustive):
        solver.value(solver.game.start)
        states = [np.frombuffer(position, np.int64) for position in solver.table]
        return np.array([state for state in states if solver.game.outcome(state.copy()) is None])
    rng = np.random.default_rng(seed)
    found: list[State] = []
    while len(found) < count:
        state = random_position(solver.game, int(rng.integers(PLIES.start, PLIES.stop)), rng)
        if state[PLY] in PLIES and keeping(solver, state).sum() <= EASY * solver.game.legal(state).sum():
            found.append(state)
    return np.array(found)


def keeping(solver: Solver, state: State) -> NDArray[np.bool_]:
    """Which actions keep the value of a position ``(n_actions,)``."""
    values = solver.values(state)
    return values == values.max()


def kept(player: Player, solver: Solver, states: NDArray[np.int64]) -> float:
    """The share of positions ``(positions, words)`` in which a player's move keeps the value."""
    actions = np.concatenate([player(block) for block in np.split(states, range(BLOCK, len(states), BLOCK))])
    return float(np.mean([keeping(solver, state)[action] for state, action in zip(states, actions, strict=True)]))


def converted(player: Player, solver: Solver, count: int, seed: int) -> int:
    """How many of ``count`` random openings of 8 plies, won for the mover, a player wins against the perfect one.

    That one answers with any of its best moves, each equally likely.
    """
    game, rng, won = solver.game, np.random.default_rng(seed), 0
    for _ in range(count):
        state = random_position(game, OPENING, rng)
        while state[PLY] < OPENING or solver.value(state) != WIN:
            state = random_position(game, OPENING, rng)
        mine = True
        while game.outcome(state) is None:
            action = int(player(state[None])[0]) if mine else solver(state, game.legal(state), rng)
            state, mine = game.after(state, action), not mine
        won += game.outcome(state) == (WIN if mine else -WIN)
    return won

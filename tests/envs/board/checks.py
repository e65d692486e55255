"""Checks that hold for the rules of any board game."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from envs.board.game import ONGOING, PLIES, Game, State
from envs.board.notation import read_board, write_board
from envs.rng import from_generator


def playthroughs(game: Game, games: int, seed: int = 0) -> Iterator[tuple[State, list[int]]]:
    """Every position of random games, the last included, with the actions that led to it."""
    generator = np.random.default_rng(seed)
    for _ in range(games):
        state, actions = game.start.copy(), list[int]()
        yield state.copy(), actions
        while game.outcome(state) is None:
            actions.append(int(generator.choice(np.flatnonzero(game.legal(state)))))
            game.rules.play(state, actions[-1])
            yield state.copy(), actions


def count(game: Game, depth: int) -> tuple[list[int], list[int]]:
    """Paths of 1, 2, ..., ``depth`` plies from the start (perft), and the different positions these end in."""
    layer, paths, positions = Counter({game.start.tobytes(): 1}), [], []
    for _ in range(depth):
        following = Counter[bytes]()
        for row, ways in layer.items():
            state = np.frombuffer(row, np.int64).copy()
            for action in np.flatnonzero(game.legal(state)).tolist():
                child = state.copy()
                game.rules.play(child, action)
                following[child.tobytes()] += ways
        layer = following
        paths.append(layer.total())
        positions.append(len(layer))
    return paths, positions


def check_playthroughs(game: Game, games: int) -> None:
    """Plies count up to `longest`, observations hold 0 and 1, and only a game that goes on has legal actions."""
    for state, actions in playthroughs(game, games):
        assert state[PLIES] == len(actions) <= game.longest
        assert game.legal(state).any() == (game.outcome(state) is None)
        assert set(game.observe(state).ravel().tolist()) <= {0, 1}


def check_texts(game: Game, games: int) -> None:
    """A position's text gives the same position; a move's text the same action."""
    for state, _ in playthroughs(game, games):
        np.testing.assert_array_equal(game.read(game.write(state)), state)
        assert len(game.show(state).splitlines()) == game.rows
    moves = [game.move(action) for action in range(game.n_actions)]
    assert [game.action(move) for move in moves] == list(range(game.n_actions))


def check_refused(game: Game, text: str, told: str) -> None:
    """A bad text ends in a line that names it, or its first field, and says ``told``."""
    with pytest.raises(ValueError, match="^position '") as error:
        game.read(text)
    named = [f"position {part!r}: {told}" for part in (text, text.split()[0])]
    assert str(error.value).startswith(tuple(named)) and "\n" not in str(error.value), error.value


def check_symmetries(game: Game, games: int) -> None:
    """A game played on the board seen otherwise goes on as on the board itself, seen so."""
    n_symmetries, n_cells = game.cells.shape
    assert n_cells == game.rows * game.columns and game.actions.shape == (n_symmetries, game.n_actions)
    assert game.cells[0].tolist() == list(range(n_cells)) and game.actions[0].tolist() == list(range(game.n_actions))
    views = {tuple(view) for view in game.cells.tolist()}
    assert len(views) == n_symmetries
    assert views == {tuple(one[other]) for one in game.cells for other in game.cells}, "they are a group"
    rows, *rest = game.write(game.start).split(" ")
    start = read_board(rows, game.rows, game.columns)
    for cells, actions in zip(game.cells, game.actions, strict=True):
        seen = seen_start = game.read(" ".join([write_board(start.ravel()[cells].reshape(start.shape)), *rest]))
        seen_action = np.argsort(actions)
        assert (actions[seen_action] == np.arange(game.n_actions)).all(), "a permutation"
        for state, played in playthroughs(game, games):
            seen = game.after(seen, int(seen_action[played[-1]])) if played else seen_start
            planes = game.observe(state).reshape(-1, n_cells)
            np.testing.assert_array_equal(game.observe(seen).reshape(-1, n_cells), planes[:, cells])
            np.testing.assert_array_equal(game.legal(seen), game.legal(state)[actions])
            assert game.outcome(seen) == game.outcome(state)


def check_rollouts(game: Game, rollouts: int) -> None:
    """Rollouts from all along random games are legal to the end, leave what `play` leaves, and follow their seed."""
    for seed, (state, _) in zip(range(rollouts), playthroughs(game, rollouts), strict=False):
        played, replayed = state.copy(), state.copy()
        actions = np.full(game.longest, -1, np.int64)
        plies = game.rules.rollout(played, from_generator(np.random.default_rng(seed)), actions)
        for action in actions[:plies].tolist():
            assert game.legal(replayed)[action], f"{game.move(action)} in {game.write(replayed)}"
            game.rules.play(replayed, action)
        np.testing.assert_array_equal(played, replayed)
        assert game.rules.outcome(played) != ONGOING
        again, same = state.copy(), np.full(game.longest, -1, np.int64)
        game.rules.rollout(again, from_generator(np.random.default_rng(seed)), same)
        np.testing.assert_array_equal(same[:plies], actions[:plies])


def check_uniform(game: Game, state: State, rollouts: int) -> None:
    """The first action of a rollout is any legal one with the same probability (chi-square test at 0.001)."""
    rng, actions = from_generator(np.random.default_rng(0)), np.empty(game.longest, np.int64)
    counts = np.zeros(game.n_actions, np.int64)
    for _ in range(rollouts):
        game.rules.rollout(state.copy(), rng, actions)
        counts[actions[0]] += 1
    legal = game.legal(state)
    assert counts[~legal].sum() == 0
    assert chisquare(counts[legal]).pvalue > 0.001, counts[legal]


def check_peer(
    game: Game, peer: Any, games: int, action_of: Callable[[int], int], board_of: Callable[[str], str]
) -> None:
    """Random games agree with those of OpenSpiel, state by state: mover, board, legal actions, result.

    Args:
        peer: the game as ``pyspiel.load_game`` gives it.
        action_of: our action of one of the peer's.
        board_of: the board as `Game.show` gives it, of the peer's state as text.
    """
    for state, played in playthroughs(game, games):
        if not played:
            other = peer.new_initial_state()
        else:
            other.apply_action(next(action for action in other.legal_actions() if action_of(action) == played[-1]))
        assert board_of(str(other)) == game.show(state)
        assert sorted(map(action_of, other.legal_actions())) == np.flatnonzero(game.legal(state)).tolist()
        outcome, mover = game.outcome(state), int(state[PLIES]) % 2
        assert other.is_terminal() == (outcome is not None)
        if outcome is None:
            assert other.current_player() == mover
        else:
            assert other.returns()[mover] == outcome

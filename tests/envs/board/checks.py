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


def check_peer(game: Game, peer: Any, games: int, board_of: Callable[[str], str]) -> None:
    """Random games agree with those of OpenSpiel, state by state: mover, board, legal actions, result.

    Thousands of games are worth more than what a state costs: each is asked only once for what is compared.

    Args:
        peer: the game as ``pyspiel.load_game`` gives it, whose actions have our numbers.
        board_of: the board as `Game.show` gives it, of the peer's state as text.
    """
    generator = np.random.default_rng(0)
    for _ in range(games):
        state, other = game.start.copy(), peer.new_initial_state()
        while True:
            legal, outcome, mover = np.flatnonzero(game.legal(state)).tolist(), game.outcome(state), state[PLIES] % 2
            assert board_of(str(other)) == game.show(state)
            assert other.legal_actions() == legal
            assert other.is_terminal() == (outcome is not None)
            if outcome is not None:
                assert other.returns()[mover] == outcome
                break
            assert other.current_player() == mover
            action = legal[generator.integers(len(legal))]
            other.apply_action(action)
            game.rules.play(state, action)


def check_named_peer(
    game: Game,
    state: State,
    other: Any,
    first: int,
    seed: int,
    moves_of: Callable[[Any], dict[str, int]],
    text_of: Callable[[str], list[str]],
) -> int | None:
    """A random game agrees with OpenSpiel's, state by state: position, legal moves, result; returns the mover's.

    A game that is so long that we end it as drawn is compared up to there: OpenSpiel plays on.

    Args:
        state, other: where it begins, ours and the peer's.
        first: the peer's number of the player of even plies.
        moves_of: the peer's legal actions by how we write them.
        text_of: what is compared of a position's text, ours and the peer's.
    """
    generator, state = np.random.default_rng(seed), state.copy()
    while True:
        outcome, legal = game.outcome(state), np.flatnonzero(game.legal(state)).tolist()
        assert text_of(str(other)) == text_of(game.write(state))
        if state[PLIES] == game.longest:
            return outcome
        assert other.is_terminal() == (outcome is not None), game.write(state)
        if outcome is not None:
            assert other.returns()[(first + state[PLIES]) % 2] == outcome
            return outcome
        theirs = moves_of(other)
        assert sorted(map(game.move, legal)) == sorted(theirs), game.write(state)
        action = legal[generator.integers(len(legal))]
        other.apply_action(theirs[game.move(action)])
        game.rules.play(state, action)

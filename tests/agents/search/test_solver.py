"""Perfect players: known answers, plain minimax, and what must hold between positions."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from agents.search.solver import ILLEGAL, ConnectFourSolver, Exhaustive, Solver, perfect
from envs.board import game
from envs.board.game import DRAW, LOSS, WIN, Game, State
from supervised.training.errors import UserError

TIC_TAC_TOE, CONNECT_FOUR = game("tic_tac_toe"), game("connect_four")


@pytest.fixture(scope="module")
def tic_tac_toe() -> Exhaustive:
    return Exhaustive(TIC_TAC_TOE)


@pytest.fixture(scope="module")
def connect_four() -> ConnectFourSolver:
    return ConnectFourSolver(CONNECT_FOUR, 1 << 20)


def after(rules: Game, *moves: str) -> State:
    return functools.reduce(lambda state, move: rules.after(state, rules.action(move)), moves, rules.start)


def random_positions(count: int, plies: int, seed: int) -> list[State]:
    """Positions of Connect Four after random play that is not over."""
    rng = np.random.default_rng(seed)
    found: list[State] = []
    while len(found) < count:
        state = CONNECT_FOUR.start
        while CONNECT_FOUR.outcome(state) is None and state[0] < plies:
            state = CONNECT_FOUR.after(state, int(rng.choice(np.flatnonzero(CONNECT_FOUR.legal(state)))))
        if CONNECT_FOUR.outcome(state) is None:
            found.append(state)
    return found


@functools.cache
def minimax(position: tuple[int, ...]) -> int:
    """The value of a position of Connect Four, from all that can follow."""
    state = np.array(position, np.int64)
    outcome = CONNECT_FOUR.outcome(state)
    if outcome is not None:
        return outcome
    actions = np.flatnonzero(CONNECT_FOUR.legal(state)).tolist()
    return max(-minimax(tuple(CONNECT_FOUR.after(state, action).tolist())) for action in actions)


def best(solver: Solver, state: State) -> set[str]:
    """The moves that keep a position's value."""
    values = solver.values(state)
    return {solver.game.move(int(action)) for action in np.flatnonzero(values == values.max())}


def test_tic_tac_toe_is_a_draw_of_5478_positions(tic_tac_toe: Exhaustive) -> None:
    assert tic_tac_toe.value(TIC_TAC_TOE.start) == DRAW
    positions = [np.frombuffer(position, np.int64).copy() for position in tic_tac_toe.table]
    assert len(positions) == 5478
    assert sum(TIC_TAC_TOE.outcome(state) is None for state in positions) == 4520


@pytest.mark.parametrize(
    ("moves", "replies"),
    [
        (("b2",), {"a1", "a3", "c1", "c3"}),  # the centre is answered in a corner,
        (("a1",), {"b2"}),  # a corner in the centre,
        (("a1", "b2", "c3"), {"a2", "b1", "b3", "c2"}),  # opposite corners at an edge
    ],
)
def test_replies_that_hold_tic_tac_toe(tic_tac_toe: Exhaustive, moves: tuple[str, ...], replies: set[str]) -> None:
    state = after(TIC_TAC_TOE, *moves)
    assert tic_tac_toe.value(state) == DRAW
    assert best(tic_tac_toe, state) == replies


@pytest.mark.parametrize("side", [0, 1])
def test_perfect_tic_tac_toe_never_loses(tic_tac_toe: Exhaustive, side: int) -> None:
    """Over all that it may play and all replies."""
    positions, ends = [TIC_TAC_TOE.start], set()
    for ply in range(TIC_TAC_TOE.longest):
        following = {}
        for state in positions:
            allowed = best(tic_tac_toe, state) if ply % 2 == side else None
            for action in np.flatnonzero(TIC_TAC_TOE.legal(state)).tolist():
                if allowed is None or TIC_TAC_TOE.move(action) in allowed:
                    child = TIC_TAC_TOE.after(state, action)
                    outcome = TIC_TAC_TOE.outcome(child)
                    if outcome is None:
                        following[child.tobytes()] = child
                    else:
                        ends.add(outcome if (ply + 1) % 2 == side else -outcome)
        positions = list(following.values())
    assert ends == {WIN, DRAW}


def test_it_picks_among_all_best_replies_and_no_other(tic_tac_toe: Exhaustive, connect_four: ConnectFourSolver) -> None:
    rng = np.random.default_rng(0)
    some = (state for state in random_positions(20, 20, seed=0) if 2 <= len(best(connect_four, state)) <= 4)
    for solver, state in ((tic_tac_toe, after(TIC_TAC_TOE, "b2")), (connect_four, next(some))):
        legal = solver.game.legal(state)
        played = {solver.game.move(solver(state, legal, rng)) for _ in range(100)}
        assert played == best(solver, state)
        assert 1 < len(played) < legal.sum()


def test_the_same_seed_plays_the_same(tic_tac_toe: Exhaustive) -> None:
    state = TIC_TAC_TOE.start
    first, second = (
        [tic_tac_toe(state, TIC_TAC_TOE.legal(state), rng) for _ in range(20)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert first == second


@pytest.mark.parametrize(
    ("text", "value", "wins"),
    [
        ("7/7/7/2x4/2x1o2/2xoo2 x", WIN, {"3"}),  # four in a column
        ("7/7/7/7/2ooo2/2xxx2 x", WIN, {"2", "6"}),  # four in a row, at either end
        ("7/7/7/7/2oo3/2xx3 x", WIN, {"2", "5"}),  # three with both ends open
        ("7/7/7/7/2oo3/2xxx2 o", LOSS, set()),  # which no stone stops
        ("7/7/7/2x4/ooxo3/oxxx3 o", LOSS, set()),  # nor two threats in different directions
    ],
)
def test_forced_wins(connect_four: ConnectFourSolver, text: str, value: int, wins: set[str]) -> None:
    state = CONNECT_FOUR.read(text)
    assert connect_four.value(state) == value
    for move in wins:
        assert connect_four.value(CONNECT_FOUR.after(state, CONNECT_FOUR.action(move))) == LOSS


@pytest.mark.parametrize("plies", [30, 31, 32, 33, 34, 35, 36, 38])
def test_agrees_with_minimax(connect_four: ConnectFourSolver, plies: int) -> None:
    seen = set()
    for state in random_positions(20, plies, seed=plies):
        for action, value in enumerate(connect_four.values(state).tolist()):
            if CONNECT_FOUR.legal(state)[action]:
                assert value == -minimax(tuple(CONNECT_FOUR.after(state, action).tolist()))
            else:
                assert value == ILLEGAL
        value = connect_four.value(state)
        assert value == minimax(tuple(state.tolist()))
        seen.add(value)
    assert len(seen) > 1


@pytest.mark.parametrize("plies", [14, 17, 20, 25])
def test_a_position_is_worth_its_best_action_and_its_mirror_image(connect_four: ConnectFourSolver, plies: int) -> None:
    for state in random_positions(10, plies, seed=plies):
        values = connect_four.values(state)
        assert connect_four.value(state) == values.max()
        rows, mover = CONNECT_FOUR.write(state).split()
        mirrored = CONNECT_FOUR.read("/".join(row[::-1] for row in rows.split("/")) + f" {mover}")
        np.testing.assert_array_equal(connect_four.values(mirrored), values[::-1])


def test_a_small_table_forgets_but_does_not_err(connect_four: ConnectFourSolver) -> None:
    for entries in (1, 64):
        small = ConnectFourSolver(CONNECT_FOUR, entries)
        for state in random_positions(10, 20, seed=entries):
            np.testing.assert_array_equal(small.values(state), connect_four.values(state))


def test_perfect_players_end_where_the_value_says(connect_four: ConnectFourSolver) -> None:
    rng = np.random.default_rng(1)
    for state in random_positions(10, 16, seed=1):
        value, first = connect_four.value(state), state[0]
        while (outcome := CONNECT_FOUR.outcome(state)) is None:
            state = CONNECT_FOUR.after(state, connect_four(state, CONNECT_FOUR.legal(state), rng))
        assert outcome == (value if (state[0] - first) % 2 == 0 else -value)


def test_after_the_end_nothing_is_played(connect_four: ConnectFourSolver) -> None:
    won = after(CONNECT_FOUR, *"1212121")
    assert connect_four.value(won) == LOSS
    assert (connect_four.values(won) == ILLEGAL).all()
    with pytest.raises(ValueError, match="the game is over"):
        connect_four(won, CONNECT_FOUR.legal(won), np.random.default_rng(0))


def test_who_is_perfect() -> None:
    assert isinstance(perfect(TIC_TAC_TOE), Exhaustive)
    assert isinstance(perfect(CONNECT_FOUR), ConnectFourSolver)


def test_bad_input() -> None:
    with pytest.raises(UserError, match="'go' has no perfect player: use one of tic_tac_toe, connect_four"):
        perfect(replace(CONNECT_FOUR, name="go"))
    with pytest.raises(UserError, match="entries=1000: use a power of two"):
        ConnectFourSolver(CONNECT_FOUR, 1000)

"""Tic-tac-toe and Connect Four: published counts, OpenSpiel state by state, and what holds for any game."""

import functools

import checks
import pytest

from envs.board.connect_four import connect_four
from envs.board.game import Game, State
from envs.board.tic_tac_toe import tic_tac_toe

GAMES = {"tic_tac_toe": tic_tac_toe(), "connect_four": connect_four()}


@pytest.fixture(params=GAMES)
def game(request: pytest.FixtureRequest) -> Game:
    return GAMES[request.param]


def after(game: Game, actions: list[int]) -> State:
    return functools.reduce(game.after, actions, game.start)


def test_tic_tac_toe_counts() -> None:
    paths, positions = checks.count(GAMES["tic_tac_toe"], 9)
    assert paths == [9, 72, 504, 3024, 15120, 54720, 148176, 200448, 127872]
    assert 1 + sum(positions) == 5478


def test_connect_four_counts() -> None:
    """Positions are those of OEIS A212693; of 7^7 ways, 7 would put a seventh stone into a column."""
    paths, positions = checks.count(GAMES["connect_four"], 7)
    assert paths == [7, 49, 343, 2401, 16807, 117649, 823536]
    assert positions == [7, 49, 238, 1120, 4263, 16422, 54859]


def test_openspiel_agrees(game: Game) -> None:
    pyspiel = pytest.importorskip("pyspiel")
    checks.check_peer(game, pyspiel.load_game(game.name), 2000, str.strip)


def test_playthroughs(game: Game) -> None:
    checks.check_playthroughs(game, 100)


def test_texts(game: Game) -> None:
    checks.check_texts(game, 100)


def test_symmetries(game: Game) -> None:
    checks.check_symmetries(game, 20)


def test_rollouts(game: Game) -> None:
    checks.check_rollouts(game, 2000)


@pytest.mark.parametrize("moves", [[], [4, 3]])
def test_rollouts_are_uniform(game: Game, moves: list[int]) -> None:
    checks.check_uniform(game, after(game, moves), 10_000)


def test_rollouts_pass_over_full_columns() -> None:
    checks.check_uniform(GAMES["connect_four"], after(GAMES["connect_four"], [0, 0, 0, 0, 0, 0, 6]), 10_000)


@pytest.mark.parametrize(
    "moves, outcome",
    [([0, 1, 3, 2], None), ([0, 1, 3, 2, 6], -1), ([0, 4, 1, 2, 6, 3, 5, 8, 7], 0)],
    ids=["goes on", "a column", "full board"],
)
def test_tic_tac_toe_outcomes(moves: list[int], outcome: int | None) -> None:
    assert GAMES["tic_tac_toe"].outcome(after(GAMES["tic_tac_toe"], moves)) == outcome


def test_a_line_of_four_does_not_run_over_an_edge() -> None:
    """Three cells at the top of a column and the lowest of the next, which is theirs to fill."""
    game = GAMES["connect_four"]
    state = game.after(game.read("2x4/2x4/2x4/2o4/2o4/2o4 x"), 3)
    assert game.show(state).endswith("..ox...") and game.outcome(state) is None


BAD = [
    ("tic_tac_toe", "3/3/3", "1 fields, give 2 separated by blanks"),
    ("tic_tac_toe", "3/3/3 z", "'z' is to move, use x or o"),
    ("tic_tac_toe", "3/3 x", "2 rows, give 3 separated by '/'"),
    ("tic_tac_toe", "3/1w1/3 o", "'w' in row '1w1', use x, o and numbers of empty cells"),
    ("tic_tac_toe", "3/1x2/3 o", "row '1x2' has not 3 cells"),
    ("tic_tac_toe", "3/9999999/3 o", "row '9999999' has not 3 cells"),
    ("tic_tac_toe", "3/1x1/3 x", "1 x and 0 o, but x to move"),
    ("tic_tac_toe", "xxx/oo1/o2 x", "x has won already"),
    ("connect_four", "7/7/7/7/7/8 x", "row '8' has not 7 cells"),
    ("connect_four", "7/7/7/7/x6/7 o", "a stone hangs above an empty cell"),
    ("connect_four", "7/7/7/7/ooo4/xxxxo2 x", "x has won already"),
]


@pytest.mark.parametrize("name, text, told", BAD)
def test_bad_texts(name: str, text: str, told: str) -> None:
    checks.check_refused(GAMES[name], text, told)


def test_illegal_moves_are_refused() -> None:
    game = GAMES["tic_tac_toe"]
    with pytest.raises(
        ValueError, match="^move b2 is not legal in '3/1x1/3 o': legal are a3, b3, c3, a2, c2, a1, b1, c1$"
    ):
        game.after(game.read("3/1x1/3 o"), 4)
    with pytest.raises(ValueError, match="^move 9 is not legal"):
        game.after(game.start, 9)
    with pytest.raises(ValueError, match="^move a3 is not legal in 'xxx/oo1/3 o': the game is over$"):
        game.after(game.read("xxx/oo1/3 o"), 0)
    with pytest.raises(ValueError, match="^move 'd4': write moves of tic_tac_toe such as a3$"):
        game.action("d4")


def test_positions_as_text() -> None:
    game = GAMES["connect_four"]
    state = after(game, [3, 3, 0])
    assert game.write(state) == "7/7/7/7/3o3/x2x3 o"
    assert game.show(state) == ".......\n" * 4 + "...o...\nx..x..."
    assert [game.move(action) for action in range(game.n_actions)] == list("1234567")

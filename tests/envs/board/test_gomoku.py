"""Gomoku: OpenSpiel and slow rules state by state, lines at the edges, and what holds for any game."""

import functools
import math
import sys

import checks
import numpy as np
import pytest

from envs.board.game import Game
from envs.board.gomoku import LINE, gomoku

GAMES = {(size, line): gomoku(size, line) for size, line in ((5, 3), (5, 5), (7, 4), (15, 5), (19, 6))}


@pytest.fixture(params=GAMES, ids=str)
def game(request: pytest.FixtureRequest) -> Game:
    return GAMES[request.param]


def has_line(stones: np.ndarray, line: int) -> bool:
    """Slow rules: whether cells ``(size, size)`` bool hold a line, by all of the board moved on a step at a time."""
    room = np.pad(stones, line)
    return any(
        np.logical_and.reduce([np.roll(room, (k * down, k * right), (0, 1)) for k in range(line)]).any()
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
    )


def test_slow_rules_agree(game: Game) -> None:
    line = int(game.start[LINE])
    for state, actions in checks.playthroughs(game, 60 // game.rows):
        cells = np.zeros(game.rows * game.columns, np.int8)
        cells[actions[::2]], cells[actions[1::2]] = 1, 2
        board = cells.reshape(game.rows, game.columns)
        assert game.show(state) == "\n".join("".join(".xo"[cell] for cell in row) for row in board)
        mover = 1 + len(actions) % 2
        assert not has_line(board == mover, line)
        outcome = -1 if has_line(board == 3 - mover, line) else 0 if cells.all() else None
        assert game.outcome(state) == outcome
        assert np.flatnonzero(game.legal(state)).tolist() == (
            np.flatnonzero(cells == 0).tolist() if outcome is None else []
        )


@pytest.mark.parametrize(
    ("size", "line", "games"), [(5, 3, 1000), (5, 5, 1000), (7, 4, 500), (15, 5, 150), (19, 6, 50)]
)
def test_openspiel_agrees(size: int, line: int, games: int) -> None:
    pyspiel = pytest.importorskip("pyspiel")
    peer = pyspiel.load_game("gomoku", {"size": size, "connect": line})

    def board(text: str) -> str:
        return "\n".join(text.split()[1:]).translate(str.maketrans("bw", "xo"))

    checks.check_peer(GAMES[size, line], peer, games, board)


def test_counts_are_those_of_tic_tac_toe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of three on a board of 3 x 3, which is too small to be offered; the counts are published."""
    monkeypatch.setattr(sys.modules["envs.board.gomoku"], "SMALLEST", 3)
    paths, positions = checks.count(gomoku(3, 3), 10)
    assert paths == [9, 72, 504, 3024, 15120, 54720, 148176, 200448, 127872, 0]
    assert 1 + sum(positions) == 5478


def test_counts_of_longer_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: x can have its line with the fifth ply, and every order of its three stones among those two of o."""
    monkeypatch.setattr(sys.modules["envs.board.gomoku"], "SMALLEST", 4)
    lines = 2 * 4 * 2 + 2 * 2 * 2  # along rows and columns, along diagonals
    won = lines * math.perm(3) * math.perm(16 - 3, 2)
    plies = [math.perm(16, depth) for depth in range(1, 7)]
    assert checks.count(gomoku(4, 3), 6)[0] == [*plies[:5], plies[5] - won * (16 - 5)]


def test_playthroughs(game: Game) -> None:
    checks.check_playthroughs(game, 3)


def test_texts(game: Game) -> None:
    checks.check_texts(game, 3)


def test_symmetries(game: Game) -> None:
    checks.check_symmetries(game, 2)


def test_rollouts(game: Game) -> None:
    checks.check_rollouts(game, 300)


def test_rollouts_are_uniform(game: Game) -> None:
    checks.check_uniform(game, game.start, 10_000)
    checks.check_uniform(game, functools.reduce(game.after, [3, 0, game.n_actions - 1], game.start), 10_000)


def test_more_than_a_line_wins() -> None:
    state = gomoku().read("xxx1xxx8/oooo11/oo13" + "/15" * 12 + " x")
    assert gomoku().outcome(state) is None and gomoku().outcome(gomoku().after(state, 3)) == -1


@pytest.mark.parametrize(
    "text, outcome",
    [
        ("2xxx/xx3/5/oooo1/5 o", None),
        ("3xx/xxx2/5/oooo1/5 o", None),
        ("xxxxx/5/5/oooo1/5 o", -1),
        ("5/oooo1/5/5/xxxxx o", -1),
        ("4x/oo2x/oo2x/4x/4x o", -1),
        ("x4/ox3/oox2/o2x1/4x o", -1),
        ("4x/o2x1/o1x2/ox3/x2o1 o", -1),
        ("1x1x1/x1x2/1x3/2oo1/1oo2 o", None),
        ("oxoxo/oxoxo/xoxox/oxoxo/xoxxx o", 0),
    ],
    ids=["over the edge", "over the edge too", "top", "bottom", "right", "diagonal", "other diagonal", "none", "full"],
)
def test_lines_end_at_the_edges(text: str, outcome: int | None) -> None:
    game = GAMES[5, 5]
    assert game.outcome(game.read(text)) == outcome


@pytest.mark.parametrize(
    "text, told",
    [
        ("5/5/5/5 x", "4 rows, give 5 separated by '/'"),
        ("5/5/5/5/5 o", "0 x and 0 o, but o to move"),
        ("xxxxx/oooo1/o4/5/5 x", "x has won already, let the other move"),
        ("ooooo/xxxx1/xx3/5/5 o", "o has won already, let the other move"),
    ],
)
def test_bad_texts(text: str, told: str) -> None:
    checks.check_refused(GAMES[5, 5], text, told)


@pytest.mark.parametrize(
    "size, line, told",
    [
        (4, 4, "size 4: use 5 to 19"),
        (20, 5, "size 20: use 5 to 19"),
        (5, 6, "line 6: use 3 to the size of the board, 5"),
        (9, 2, "line 2: use 3 to the size of the board, 9"),
    ],
)
def test_bad_options(size: int, line: int, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        gomoku(size, line)


def test_moves_as_text() -> None:
    """Rows are counted from below."""
    game = gomoku()
    assert [game.move(action) for action in (0, 14, 112, 224)] == ["a15", "o15", "h8", "o1"]
    assert game.write(game.after(game.start, game.action("h8"))) == "15/15/15/15/15/15/15/7x7/15/15/15/15/15/15/15 o"

"""Othello: published counts and results, OpenSpiel and slow rules state by state, and what holds for any game."""

import functools
from itertools import product

import checks
import numpy as np
import pytest

from envs.board.game import LOSS, Game, State
from envs.board.othello import othello

GAMES = {size: othello(size) for size in (4, 6, 8)}


@pytest.fixture(params=GAMES)
def game(request: pytest.FixtureRequest) -> Game:
    return GAMES[request.param]


def played(game: Game, moves: str) -> State:
    return functools.reduce(game.after, map(game.action, moves.split()), game.start)


def turned(board: list[str], cell: int, stone: str) -> list[tuple[int, int]]:
    """Slow rules: the discs that ``stone`` turns from an empty cell, a step at a time."""
    size, found = len(board), []
    if board[cell // size][cell % size] != ".":
        return []
    for down, right in set(product((-1, 0, 1), repeat=2)) - {(0, 0)}:
        line, row, column = [], cell // size + down, cell % size + right
        while 0 <= row < size and 0 <= column < size and board[row][column] not in (".", stone):
            line.append((row, column))
            row, column = row + down, column + right
        if 0 <= row < size and 0 <= column < size and board[row][column] == stone:
            found += line
    return found


def slow_legal(board: list[str], stone: str) -> list[int]:
    size = len(board)
    moves, others = ([c for c in range(size**2) if turned(board, c, s)] for s in (stone, "xo"[stone == "x"]))
    return moves or ([size**2] if others else [])


def slow_after(board: list[str], cell: int, stone: str) -> list[str]:
    size = len(board)
    if cell == size**2:
        return board
    mine = {divmod(cell, size), *turned(board, cell, stone)}
    return ["".join(stone if (r, c) in mine else old for c, old in enumerate(row)) for r, row in enumerate(board)]


def test_slow_rules_agree(game: Game) -> None:
    passes = 0
    for state, actions in checks.playthroughs(game, 240 // game.rows):
        stone = "xo"[len(actions) % 2]
        if not actions:
            board = game.show(state).splitlines()
        else:
            board = slow_after(board, actions[-1], "xo"[stone == "x"])
            passes += actions[-1] == game.n_actions - 1
        assert game.show(state).splitlines() == board
        assert np.flatnonzero(game.legal(state)).tolist() == slow_legal(board, stone)
        if game.outcome(state) is not None:
            discs = "".join(board)
            assert game.outcome(state) == np.sign(2 * discs.count(stone) - len(discs.replace(".", "")))
    assert passes > 0


def test_openspiel_agrees() -> None:
    pyspiel = pytest.importorskip("pyspiel")

    def board(text: str) -> str:
        rows = text.replace("-", ".").splitlines()[2:-1]  # between a line of names and the player, and another
        return "\n".join([row[2:-2:2] for row in rows])

    checks.check_peer(GAMES[8], pyspiel.load_game("othello"), 1000, board)
    peer = pyspiel.load_game("othello").new_initial_state()
    assert all(peer.action_to_string(0, cell) == GAMES[8].move(cell) for cell in range(64))


def test_counts() -> None:
    """Published by Aart Bik: https://aartbik.blogspot.com/2009/02/perft-for-reversi.html"""
    assert checks.count(GAMES[8], 8)[0] == [4, 12, 56, 244, 1396, 8200, 55092, 390216]


def test_counts_on_small_boards_are_those_of_the_slow_rules() -> None:
    def count(board: list[str], stone: str, depth: int) -> int:
        if depth == 0:
            return 1
        other = "xo"[stone == "x"]
        return sum(count(slow_after(board, cell, stone), other, depth - 1) for cell in slow_legal(board, stone))

    for size in (4, 6):
        start = GAMES[size].show(GAMES[size].start).splitlines()
        assert checks.count(GAMES[size], 5)[0] == [count(start, "x", depth) for depth in range(1, 6)]


def test_the_second_player_wins_on_the_board_of_4() -> None:
    """A known result, by search of all positions."""
    game = GAMES[4]

    @functools.cache
    def value(row: bytes) -> int:
        state = np.frombuffer(row, np.int64).copy()
        outcome = game.outcome(state)
        if outcome is not None:
            return outcome
        best = LOSS
        for action in np.flatnonzero(game.legal(state)).tolist():
            best = max(best, -value(game.after(state, action).tobytes()))
            if best == 1:
                break
        return best

    assert value(game.start.tobytes()) == LOSS


def test_the_shortest_game() -> None:
    """Nine moves after which White has no disc."""
    game = GAMES[8]
    state = played(game, "e6 f4 e3 f6 g5 d6 e7 f5 c5")
    assert game.outcome(state) == -1 and game.show(state).count("x") == 13 and "o" not in game.show(state)
    assert not game.legal(state).any()


def test_a_player_without_a_move_passes() -> None:
    game = GAMES[4]
    state = played(game, "a2 a3 c4 a1")
    assert game.write(state) == "o3/oxx1/oxx1/2x1 x 4"
    assert np.flatnonzero(game.legal(state)).tolist() == [game.action("pass")]
    after = game.after(state, game.action("pass"))
    assert game.write(after) == "o3/oxx1/oxx1/2x1 o 5" and not game.legal(after)[-1]


def test_playthroughs(game: Game) -> None:
    checks.check_playthroughs(game, 30)


def test_texts(game: Game) -> None:
    checks.check_texts(game, 20)


def test_symmetries(game: Game) -> None:
    checks.check_symmetries(game, 5)


def test_rollouts(game: Game) -> None:
    checks.check_rollouts(game, 1000)


def test_rollouts_are_uniform(game: Game) -> None:
    for _, (state, _) in zip(range(5), checks.playthroughs(game, 1), strict=False):
        checks.check_uniform(game, state, 5000)


@pytest.mark.parametrize(
    "text, told",
    [
        ("4/1ox1/1xo1/4 x", "2 fields, give 3 separated by blanks"),
        ("4/1ox1/1xo1/4 x ?", "'?' plies, give the number of those played"),
        ("4/1ox1/1x2/4 x 0", "the four cells in the middle are never empty, give them discs"),
        ("4/1ox1/1xo1/4 x 2", "2 plies, give 0 to 0, even as x is to move"),
        ("4/xxx1/1xo1/4 o 2", "2 plies, give 1 to 2, odd as o is to move"),
        ("4/xxx1/1xo1/4 x 0", "0 plies, give 1 to 2, even as x is to move"),
        ("4/1ox1/1xo1/5 x 0", "row '5' has not 4 cells"),
    ],
)
def test_bad_texts(text: str, told: str) -> None:
    checks.check_refused(GAMES[4], text, told)


@pytest.mark.parametrize("size", [0, 5, 7, 10])
def test_bad_sizes(size: int) -> None:
    with pytest.raises(ValueError, match=f"^size {size}: use 4, 6, 8$"):
        othello(size)


def test_moves_as_text() -> None:
    """Rows are counted from the top."""
    names = [[GAMES[size].move(action) for action in (0, size - 1, size, size**2)] for size in (4, 8)]
    assert names == [["a1", "d1", "a2", "pass"], ["a1", "h1", "a2", "pass"]]

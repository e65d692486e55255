"""Shogi: counts of move paths, moves as actions and back, ends of games, text, observations."""

import re
import sys
from typing import Any

import checks
import numpy as np
import pytest

from envs.board.game import Game, State
from envs.board.shogi_game import shogi_game
from envs.rng import from_generator

shogi = pytest.importorskip("shogi")

PINNED = "3nkn3/5g3/4G1B2/9/9/9/9/9/K8 b P 1"  # the gold of 4b could take a pawn on 5b, but for the bishop
SHUFFLE = ["2h3h", "8b7b", "3h2h", "7b8b"]
CHASE = "5k3/9/9/9/4R4/9/9/9/K8 b - 1"  # the rook checks a king that goes to and fro
CHECKS = ["5e4e", "4a5a", "4e5e", "5a4a"]


@pytest.fixture(scope="module")
def game() -> Game:
    return shogi_game()


def played(game: Game, state: State, moves: list[str]) -> State:
    for move in moves:
        state = game.after(state, game.action(move))
    return state


def legal_moves(game: Game, state: State) -> set[str]:
    return {game.move(int(action)) for action in np.flatnonzero(game.legal(state))}


def paths(game: Game, state: State, depth: int) -> int:
    """How many sequences of so many legal moves there are."""
    actions = np.flatnonzero(game.legal(state))
    if depth == 1:
        return len(actions)
    total = 0
    for action in actions:
        after = state.copy()
        game.rules.play(after, action)
        total += paths(game, after, depth - 1)
    return total


def random_game(game: Game, seed: int) -> tuple[State, list[int]]:
    """The last position of a random game, and its actions."""
    state, actions = game.start.copy(), np.zeros(game.longest, np.int64)
    plies = game.rules.rollout(state, from_generator(np.random.default_rng(seed)), actions)
    return state, actions[:plies].tolist()


def test_as_many_move_paths_as_known(game: Game) -> None:
    assert [paths(game, game.start, depth) for depth in (1, 2, 3)] == [30, 900, 25470]


def test_every_action_has_a_name_of_its_own(game: Game) -> None:
    assert len({game.move(action) for action in range(game.n_actions)}) == game.n_actions == 143 * 81


@pytest.mark.parametrize("seed", range(12))
def test_random_games_are_those_of_openspiel(game: Game, seed: int) -> None:
    pyspiel = pytest.importorskip("pyspiel")

    def moves_of(peer: Any) -> dict[str, int]:
        return {peer.action_to_string(action): action for action in peer.legal_actions()}

    def text_of(text: str) -> list[str]:
        pieces, mover, hands, _ = text.split()  # pieces in hand have another order there, and moves are half as many
        return [pieces, mover, *sorted(re.findall(r"\d*\D", hands))]

    peer, sente = pyspiel.load_game("shogi").new_initial_state(), 0
    checks.check_named_peer(game, game.start, peer, sente, seed, moves_of, text_of)


@pytest.mark.parametrize("seed", range(3))
def test_random_games_are_those_of_the_library(game: Game, seed: int) -> None:
    last, actions = random_game(game, seed)
    state, board = game.start.copy(), shogi.Board()
    for action in actions:
        assert game.write(state) == board.sfen()
        again = game.read(game.write(state))
        assert game.write(again) == game.write(state)
        assert again[0] == state[0] and np.array_equal(again[2:97], state[2:97])
        assert shogi.Move.from_usi(game.move(action)) in board.legal_moves
        board.push_usi(game.move(action))
        game.rules.play(state, action)
    assert np.array_equal(state, last) and last[0] == len(actions) > 50


@pytest.mark.parametrize(
    ("position", "moves", "result"),
    [
        ("4k4/9/4P4/9/9/9/9/9/K8 b G 1", ["G*5b"], -1),  # mate by a gold that a pawn guards
        ("4k4/9/4P4/9/9/9/9/9/K8 b S 1", ["S*5b"], None),
        ("k8/9/9/G8/9/9/9/9/1R6K b - 1", ["9d9c"], -1),  # who cannot move loses, in check or not
        ("4k4/9/9/9/9/9/9/9/4K4 b - 511", ["5i5h"], None),
        ("4k4/9/9/9/9/9/9/9/4K4 w - 512", ["5a5b"], 0),  # 512 plies
    ],
)
def test_ends(game: Game, position: str, moves: list[str], result: int | None) -> None:
    state = played(game, game.read(position), moves)
    assert game.outcome(state) == result
    assert game.legal(state).any() == (result is None)


def test_a_position_that_stands_for_the_fourth_time_is_a_draw(game: Game) -> None:
    state = game.start
    for time in ("first", "second", "third"):
        assert game.outcome(state) is None
        times = [
            plane
            for plane, cells in zip(game.planes, game.observe(state), strict=True)
            if "stands" in plane and cells.all()
        ]
        assert times == [f"stands for the {time} time"]
        state = played(game, state, SHUFFLE)
    assert game.outcome(state) == 0 and not game.legal(state).any()


def test_who_gives_check_all_the_time_loses(game: Game) -> None:
    state = played(game, game.read(CHASE), CHECKS * 3)
    assert game.outcome(state) == -1 and not game.legal(state).any()
    first = played(game, game.read(CHASE), CHECKS[:1])
    assert (
        game.outcome(played(game, game.read(game.write(first)), [*CHECKS[1:], CHECKS[0]] * 3)) == 1
    )  # of who is chased


def test_a_move_without_check_makes_it_a_draw(game: Game) -> None:
    state = played(game, game.read(CHASE), [*CHECKS, "9i8i", "4a3a", "8i9i", "3a4a", *CHECKS])
    assert game.outcome(state) == 0 and not game.legal(state).any()


def test_no_mate_by_a_dropped_pawn(game: Game) -> None:
    assert "P*5b" not in legal_moves(game, game.read(PINNED))
    assert "P*5b" in legal_moves(game, game.read(PINNED.replace("4G1B2", "4G4")))
    assert "G*5b" in legal_moves(game, game.read(PINNED.replace(" P ", " G ")))
    pushed = PINNED.replace("5g3", "9").replace("4G1B2", "4P4").replace(" P ", " - ")
    assert "5c5b" in legal_moves(game, game.read(pushed))


def test_no_second_pawn_in_a_column(game: Game) -> None:
    state = game.read("4k4/9/9/9/9/9/4P4/9/4K4 b P 1")
    drops = {move for move in legal_moves(game, state) if "*" in move}
    assert len(drops) == 8 * 8 and not any(move.startswith("P*5") or move.endswith("a") for move in drops)


def test_captures_and_promotions_change_sides_and_kinds(game: Game) -> None:
    state = played(game, game.start, ["7g7f", "3c3d", "8h2b+", "3a2b", "B*5e", "B*4d", "5e4d"])
    assert game.write(state) == "lnsgkg1nl/1r5s1/pppppp1pp/5Bp2/9/2P6/PP1PPPPPP/7R1/LNSGKGSNL w B 8"


def test_actions_are_planes_of_cells(game: Game) -> None:
    assert game.action("9a9b") == 0
    assert game.action("9a9i+") == 81 * (64 + 7)
    assert {game.action(f"5e{goal}") // 81 for goal in ("6c", "4c", "6g", "4g")} == {128, 129, 130, 131}
    assert game.action("P*9a") == 81 * 136 and game.action("R*1i") == 81 * 143 - 1


def test_observation(game: Game) -> None:
    def cells(plane: str) -> list[tuple[int, int]]:
        return list(zip(*np.nonzero(observed[game.planes.index(plane)]), strict=True))

    observed = game.observe(game.start)
    assert observed.shape == (46, 9, 9)
    assert cells("own king") == [(8, 4)] and cells("the other's king") == [(0, 4)]
    assert cells("own bishop") == [(7, 1)] and cells("own rook") == [(7, 7)]
    assert not observed[game.planes.index("gote to move")].any()

    observed = game.observe(game.read("4k4/9/4+P4/9/9/9/2n6/9/4K4 w 3P2rb 8"))
    assert cells("own king") == [(0, 4)] and cells("own knight") == [(6, 2)]
    assert cells("the other's promoted pawn") == [(2, 4)] and not cells("the other's pawn")
    hands = {plane: int(observed[index, 0, 0]) for index, plane in enumerate(game.planes) if "in hand" in plane}
    assert {plane: count for plane, count in hands.items() if count} == {
        "own bishops in hand": 1,
        "own rooks in hand": 2,
        "the other's pawns in hand": 3,
    }
    assert observed[game.planes.index("gote to move")].all()


def test_a_count_of_moves_that_does_not_fit_is_one_more(game: Game) -> None:
    handicap = "lnsgkgsn1/1r5b1/ppppppppp/9/9/9/PPPPPPPPP/1B5R1/LNSGKGSNL w - 1"
    assert game.write(game.read(handicap)) == handicap[:-1] + "2"


def test_show(game: Game) -> None:
    assert game.show(game.start).splitlines()[1].split() == ". r . . . . . b .".split()


KINGS = "4k4/9/9/9/9/9/9/9/4K4"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 fields"),
        ("9/9 b - 1", "expected 9 rows"),
        (f"{KINGS} x - 1", "expected 'b' or 'w'"),
        (f"{KINGS} b 2 1", "'2' in hand"),
        (f"{KINGS} b K 1", "'K' in hand"),
        (f"{KINGS} b - one", "'one'"),
        (f"{KINGS} b - 600", "move 600"),
        (f"{KINGS} b 3R 1", "3 rooks"),
        (f"{KINGS}K b - 1", "expected 9 columns"),
        ("4k4/9/9/9/9/9/9/9/9 b - 1", "one king"),
        ("4k4/9/4R4/9/9/9/9/9/4K4 b - 1", "king of the side not to move"),
        ("4k4/9/4P4/4P4/9/9/9/9/4K4 b - 1", "two pawns"),
        ("N3k4/9/9/9/9/9/9/9/4K4 b - 1", "knight of 9a"),
    ],
)
def test_bad_positions_are_told_in_a_line(game: Game, text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^position ") as error:
        game.read(text)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shogi", None)
    with pytest.raises(ValueError, match=r"pip install 'skidpad\[games\]'"):
        shogi_game()

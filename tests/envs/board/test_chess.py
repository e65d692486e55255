"""Chess: counts of move paths, moves as actions and back, ends of games, text, observations."""

import sys
from collections.abc import Iterator
from typing import Any

import checks
import numpy as np
import pytest

from envs.board.chess_game import chess_game
from envs.board.game import Game, State
from envs.rng import from_generator

chess = pytest.importorskip("chess")

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"
ENDGAME = "8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1"
PROMOTIONS = "n1n5/PPPk4/8/8/8/8/4Kppp/5N1N b - - 0 1"
MATES = "7k/R7/1Q6/8/8/8/6PP/6K1 w - - 0 1"  # by many moves
SHUFFLE = ["g1f3", "g8f6", "f3g1", "f6g8"]


@pytest.fixture(scope="module")
def game() -> Game:
    return chess_game()


def played(game: Game, state: State, moves: list[str]) -> State:
    for move in moves:
        state = game.after(state, game.action(move))
    return state


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


def random_game(game: Game, state: State, seed: int) -> tuple[State, list[int]]:
    """The last position of a random game, and its actions."""
    state, actions = state.copy(), np.zeros(game.longest, np.int64)
    plies = game.rules.rollout(state, from_generator(np.random.default_rng(seed)), actions)
    return state, actions[:plies].tolist()


@pytest.mark.parametrize(
    ("position", "counts"),
    [
        (chess.STARTING_FEN, [20, 400, 8902]),
        (KIWIPETE, [48, 2039]),
        (ENDGAME, [14, 191, 2812]),
        (PROMOTIONS, [24, 496, 9483]),
    ],
)
def test_as_many_move_paths_as_known(game: Game, position: str, counts: list[int]) -> None:
    state = game.read(position)
    assert [paths(game, state, depth + 1) for depth in range(len(counts))] == counts


def test_every_action_has_a_name_of_its_own(game: Game) -> None:
    assert len({game.move(action) for action in range(game.n_actions)}) == game.n_actions == 4672


def library_moves(board: "chess.Board") -> set[str]:
    """The library's legal moves as the game writes them."""
    return {move.uci().removesuffix("q") for move in board.legal_moves}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("position", [chess.STARTING_FEN, KIWIPETE, PROMOTIONS])
def test_random_games_are_those_of_the_library(game: Game, position: str, seed: int) -> None:
    state, board = game.read(position), chess.Board(position)
    _, actions = random_game(game, state, seed)
    for action in actions:
        assert game.write(state) == board.fen()
        assert game.outcome(state) is None
        assert not (board.is_repetition(3) or board.halfmove_clock >= 100 or board.is_insufficient_material())
        legal = {game.move(int(one)) for one in np.flatnonzero(game.legal(state))}
        assert len(legal) == game.legal(state).sum() and legal == library_moves(board)
        move = game.move(action)
        game.rules.play(state, action)
        board.push_uci(move if chess.Move.from_uci(move) in board.legal_moves else f"{move}q")
    assert game.write(state) == board.fen()
    assert board.is_game_over() or board.is_repetition(3) or board.halfmove_clock == 100 or board.ply() == game.longest
    assert game.outcome(state) == (-1 if board.is_checkmate() else 0) and not game.legal(state).any()


@pytest.mark.parametrize(
    ("position", "games"), [(chess.STARTING_FEN, 20), (KIWIPETE, 15), (ENDGAME, 20), (PROMOTIONS, 20), (MATES, 50)]
)
def test_random_games_are_those_of_openspiel(game: Game, position: str, games: int) -> None:
    pyspiel = pytest.importorskip("pyspiel")

    def moves_of(peer: Any) -> dict[str, int]:
        board = peer.board()
        return {
            pyspiel.chess.action_to_move(action, board).to_lan().removesuffix("q"): action
            for action in peer.legal_actions()
        }

    def text_of(text: str) -> list[str]:
        pieces, mover, castling, _, *numbers = text.split()  # en passant is told there though a pin forbids it
        return [pieces, mover, castling, *numbers]

    peer, white = pyspiel.load_game("chess"), 1
    results = {
        checks.check_named_peer(
            game, game.read(position), peer.new_initial_state(position), white, seed, moves_of, text_of
        )
        for seed in range(games)
    }
    assert 0 in results and (position != MATES or -1 in results)


def test_rollout_is_the_game_that_its_actions_tell(game: Game) -> None:
    last, actions = random_game(game, game.start, seed=1)
    state = game.start.copy()
    for action in actions:
        state = game.after(state, action)
    assert np.array_equal(state, last) and last[0] == len(actions) > 50


@pytest.mark.parametrize(
    ("position", "moves", "result"),
    [
        (chess.STARTING_FEN, ["f2f3", "e7e5", "g2g4", "d8h4"], -1),  # fool's mate
        ("7k/4Q3/6K1/8/8/8/8/8 w - - 0 1", ["e7f7"], 0),  # stalemate
        ("7k/4Q3/6K1/8/8/8/8/8 w - - 0 1", ["e7e8"], -1),
        ("8/8/8/8/8/k7/8/K6n w - - 0 1", [], 0),  # a knight mates nobody
        ("8/8/8/8/8/k7/8/K6r w - - 0 1", [], -1),
        ("4k3/8/8/8/8/8/8/R3K3 w - - 98 80", ["a1a2"], None),
        ("4k3/8/8/8/8/8/8/R3K3 w - - 99 80", ["a1a2"], 0),
        ("k7/8/1K6/8/8/8/8/7R w - - 99 80", ["h1h8"], -1),  # mate comes before fifty moves
        ("4k3/7p/8/8/8/8/8/R3K3 b - - 99 80", ["h7h6"], None),  # a pawn's move sets the clock to 0
        ("4k3/7p/8/8/8/8/8/R3K3 b - - 0 256", ["h7h6"], 0),  # 512 plies
        ("4k3/7p/8/8/8/8/8/R3K3 w - - 0 256", ["a1a2"], None),
    ],
)
def test_ends(game: Game, position: str, moves: list[str], result: int | None) -> None:
    state = played(game, game.read(position), moves)
    assert game.outcome(state) == result
    assert game.legal(state).any() == (result is None)


def test_a_position_that_stands_for_the_third_time_is_a_draw(game: Game) -> None:
    first, second = (game.planes.index(f"stands for the {time} time") for time in ("first", "second"))
    state = played(game, game.start, SHUFFLE)
    assert game.outcome(state) is None
    assert game.observe(state)[second].all() and not game.observe(state)[first].any()
    assert game.outcome(played(game, state, SHUFFLE[:3])) is None
    assert game.outcome(played(game, state, SHUFFLE)) == 0


def test_a_capture_forgets_what_stood_before(game: Game) -> None:
    state = played(game, game.start, ["e2e4", "d7d5", *SHUFFLE, "e4d5"])
    fresh = game.read(game.write(state))
    assert np.array_equal(state, fresh)


@pytest.mark.parametrize(
    ("position", "moves", "more"),  # how many more make a position stand for the third time
    [
        ("r3k3/8/8/8/8/8/8/4K2R w Kq - 0 1", ["h1g1", "a8b8", "g1h1", "b8a8"], 2),
        ("4k3/8/8/8/4Pp2/8/8/4K3 b - e3 0 1", ["e8d8", "e1d1", "d8e8", "d1e1"], 1),
    ],
)
def test_castling_and_en_passant_are_of_the_position(game: Game, position: str, moves: list[str], more: int) -> None:
    state = played(game, game.read(position), moves * 2)
    assert game.outcome(state) is None  # the pieces stand so for the third time, but the first time they could do more
    assert game.outcome(played(game, state, moves[: more - 1])) is None
    assert game.outcome(played(game, state, moves[:more])) == 0


def test_actions_are_planes_of_cells(game: Game) -> None:
    down, up_right_leap = 0, 56
    assert game.action("a8a7") == 64 * down + 0
    assert game.action("h8h1") == 64 * (down + 6) + 7
    assert game.action("g1h3") == 64 * up_right_leap + 62
    assert {game.action(f"b7a8{piece}") // 64 for piece in "nbr"} == {66, 69, 72}
    assert {game.action(f"b2{cell}r") // 64 for cell in ("c1", "b1", "a1")} == {70, 71, 72}


def test_a_pawn_becomes_a_queen_unless_said(game: Game) -> None:
    state = game.read("8/P6k/8/8/8/8/8/K7 w - - 0 1")
    assert game.write(played(game, state, ["a7a8"])).startswith("Q7/")
    assert game.write(played(game, state, ["a7a8n"])).startswith("N7/")
    state = game.read("8/R7/7k/8/8/8/8/K7 w - - 0 1")
    assert game.write(played(game, state, ["a7a8"])).startswith("R7/")


def test_observation(game: Game) -> None:
    def cells(plane: str) -> list[tuple[int, int]]:
        return list(zip(*np.nonzero(observed[game.planes.index(plane)]), strict=True))

    observed = game.observe(game.start)
    assert observed.shape == (21, 8, 8)
    assert cells("own kings") == [(7, 4)] and cells("the other's kings") == [(0, 4)]
    assert cells("own pawns") == [(6, column) for column in range(8)]
    assert not observed[game.planes.index("black to move")].any()

    observed = game.observe(game.read("r3k3/8/8/8/3Pp3/8/8/4K2R b Kq d3 0 7"))
    assert cells("own kings") == [(0, 4)] and cells("own rooks") == [(0, 0)] and cells("own pawns") == [(4, 4)]
    assert cells("the other's rooks") == [(7, 7)]
    assert cells("en passant") == [(5, 3)]
    castling = [plane for plane in game.planes if "castling" in plane and cells(plane)]
    assert castling == ["own castling, queen's side", "the other's castling, king's side"]
    assert observed[game.planes.index("black to move")].all()
    assert (
        game.observe(game.read("4k3/8/8/8/8/8/8/R3K3 w - - 77 80"))[game.planes.index("halfmove clock")] == 77
    ).all()


def positions(game: Game) -> Iterator[State]:
    state, (_, actions) = game.start.copy(), random_game(game, game.start, seed=7)
    for action in actions:
        game.rules.play(state, action)
        yield state


def test_what_is_written_is_read(game: Game) -> None:
    for state in positions(game):
        again = game.read(game.write(state))
        assert game.write(again) == game.write(state)
        assert np.array_equal(again[:2], state[:2]) and np.array_equal(again[3:13], state[3:13])


def test_show(game: Game) -> None:
    assert game.show(game.start).splitlines()[0] == "r n b q k b n r"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 fields, give 6"),
        ("rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR", "1 fields, give 6 separated by blanks"),
        ("rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0", "5 fields"),
        (f"{chess.STARTING_FEN} 1", "7 fields"),
        ("8/8 w - - 0 1", "expected 8 rows"),
        ("8/8/8/8/8/8/8/8 w - - 0 1", "no_white_king, no_black_king"),
        ("4k3/8/8/8/8/8/4R3/4K3 w - - 0 1", "opposite_check"),
        ("4k3/8/8/8/8/8/8/4K2R w Q - 0 1", "bad_castling_rights"),
        ("4k3/8/8/8/8/8/8/4K2R w - - 101 90", "halfmove clock of 101"),
        ("4k3/8/8/8/8/8/8/4K2R w - - 0 300", "move 300"),
        ("4k3/8/8/8/8/8/8/4K2R x - - 0 1", "expected 'w' or 'b'"),
    ],
)
def test_bad_positions_are_told_in_a_line(game: Game, text: str, told: str) -> None:
    with pytest.raises(ValueError, match="^position ") as error:
        game.read(text)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chess", None)
    with pytest.raises(ValueError, match=r"pip install 'skidpad\[games\]'"):
        chess_game()

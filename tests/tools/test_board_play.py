"""A person at the board: terminal sessions on lines of text, window sessions on posted events."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

from agents import train
from agents.opponents import Thinker, Thought, resolve
from envs.board import game
from tools import board_play, play
from tools.board_play import board_text, moved, noted, short
from tools.window import Window

TIC_TAC_TOE = ("--env", "skidpad/TicTacToe-v0")
CONNECT_FOUR = ("--env", "skidpad/ConnectFour-v0")
LEFT = "You left after {} plies."

Terminal = Callable[..., str]
ByHand = Callable[..., list[list[str]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "zero"
    quick = "--lanes 8 --total-steps 64 --simulations 4 --play-simulations 20 --blocks 1 --filters 8 --evaluate-every 0"
    train.main(["alpha-zero", "--preset", "tic-tac-toe", *quick.split(), "--run-dir", str(folder), "--quiet"])
    return folder


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A function that plays what a person writes, and returns what is printed."""

    def session(lines: str, *arguments: object) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(lines))
        play.main([*map(str, arguments), "--terminal"])
        return capsys.readouterr().out

    return session


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes every opponent one that plays these moves."""

    def script(*moves: str) -> None:
        left = list(moves)
        monkeypatch.setattr(board_play, "resolve", lambda name, game: lambda *_: game.action(left.pop(0)))

    return script


def new_session(name: str, thought: Thought | None = None, **options: Any) -> board_play.Session:
    """A game whose person moves next, after what an opponent thought of the move it would make."""
    rules = game(name, **options)
    session = board_play.Session(rules, lambda *_: 0, "nobody", 0, np.random.default_rng(0))
    session.thought, session.is_hint = thought, True
    return session


def thought_of(visits: dict[int, int], n_actions: int) -> Thought:
    """That of a search with these visits, of which every move but those visited most loses half of the games."""
    counts = np.zeros(n_actions, np.int64)
    counts[list(visits)] = list(visits.values())
    values = np.where(counts == 0, np.nan, np.where(counts == counts.max(), 0.25, 0.0))
    return Thought(int(counts.argmax()), counts, values)


def table(printed: str) -> dict[str, tuple[int, float]]:
    """Visits and value of the moves that are told."""
    rows = re.findall(r"^ +(\w+) +(\d+) +\d+% +([+-][\d.]+)$", printed, re.MULTILINE)
    return {move: (int(visits), float(value)) for move, visits, value in rows}


def test_a_game_won(terminal: Terminal, scripted: Any) -> None:
    scripted("1", "2", "3")
    printed = terminal("4\n4\n4\n4\n", "random", *CONNECT_FOUR)
    assert printed.startswith("connect four against random: you have x and move first.\nWrite a move such as 1, undo,")
    boards = printed.split("\n\n")
    assert boards[-2].splitlines()[-5:] == [
        *("  . . . x . . .", "  . . . x . . .", "  . . . x . . ."),
        *("  o o o x . . .", "  1 2 3 4 5 6 7"),
    ]
    assert boards[-1] == "You have won.\n"


def test_a_game_lost(terminal: Terminal) -> None:
    """After a corner only the centre draws, then every reply but one loses: the perfect player has no choice."""
    printed = terminal("a1\nc1\na2\n", "perfect", *TIC_TAC_TOE)
    assert re.findall("perfect played (..)", printed) == ["b2", "b1", "b3"]
    assert printed.endswith("3 . o .\n2 x o .\n1 x o x\n  a b c\n\nperfect has won.\n")


def test_a_game_drawn_as_second(terminal: Terminal, scripted: Any) -> None:
    scripted("b2", "c1", "b3", "c2", "a1")
    printed = terminal("a3\nc3\nb1\na2\n", "random", *TIC_TAC_TOE, "--side", "second")
    assert "you have o and move second" in printed and printed.endswith("The game is drawn.\n")


def test_moves_that_cannot_be(terminal: Terminal) -> None:
    printed = terminal("z9\n\nb2\nb2\nquit\n", "perfect", *TIC_TAC_TOE)
    refused = [line for line in printed.splitlines() if "is no legal move" in line]
    assert refused[0].endswith(": 'z9' is no legal move: use a3, b3, c3, a2, b2, c2, a1, b1, c1, undo, hint or quit")
    assert "'' is no legal move" in refused[1] and "'b2' is no legal move: use" in refused[2]
    assert printed.endswith(LEFT.format(2) + "\n"), "the game went on"


def test_words_have_short_forms_and_letters_no_case(terminal: Terminal, scripted: Any) -> None:
    scripted("c3", "c3", "c1")
    printed = terminal("B2\nu\nA1\nUN\nB3\nH\nhi\nx\nhinted\n\nQ\n", "random", *TIC_TAC_TOE)
    assert "undo, hint or quit (u, h, q for short; capitals or not)." in printed.splitlines()[1]
    assert re.findall("Your move (..) is taken back", printed) == ["b2", "a1"]
    assert printed.endswith(LEFT.format(2) + "\n"), "b3 was played"
    assert printed.count("'hint': random does not search") == 2
    assert re.findall("'(.*)' is no legal move", printed) == ["x", "hinted", ""]


def test_a_move_comes_before_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_session("tic_tac_toe")
    monkeypatch.setattr(session, "legal", lambda: {"h": 0, "P*5e": 1, "p*5e": 2})
    meant = {"h": "h", "H": "h", "hi": "hint", "U": "undo", "p*5e": "p*5e", "P*5E": "P*5e", "h8": "h8", "": ""}
    assert {text: session.meant(text) for text in meant} == meant


def test_nobody_moves_for_the_opponent() -> None:
    session = board_play.Session(game("connect_four"), lambda *_: 0, "nobody", 0, np.random.default_rng(0))
    session.do("4")
    with pytest.raises(ValueError, match="^'5': it is nobody's turn$"):
        session.do("5")
    session.answer()
    session.do("5")


def test_undo_takes_back_two_plies(terminal: Terminal, scripted: Any) -> None:
    scripted("1", "2", "3")
    printed = terminal("4\n5\nundo\nundo\nundo\n6\n", "random", *CONNECT_FOUR)
    assert "Your move 5 is taken back." in printed and "Your move 4 is taken back." in printed
    assert "'undo': you have not played yet" in printed
    assert "  o o . x x . ." in printed and "  . . o . . x ." in printed.split("taken back")[-1]
    assert printed.endswith(LEFT.format(2) + "\n"), "the end of the file leaves"


@pytest.mark.parametrize("ending", ["quit\n", ""])
def test_leaving(terminal: Terminal, ending: str) -> None:
    assert terminal(ending, "random", *CONNECT_FOUR).endswith(LEFT.format(0) + "\n")


def test_what_a_search_thinks(terminal: Terminal) -> None:
    printed = terminal("a1\nhint\n", "mcts:300", *TIC_TAC_TOE, "--seed", "1")
    its, mine = printed.split("would play")
    assert "(value -1: mcts:300 loses, 1: it wins)" in its and "(value -1: you lose, 1: you win)" in mine
    visits = table(its)
    assert sum(count for count, _ in visits.values()) == 300 and len(visits) == 8
    assert f"played {next(iter(visits))}." in its, "the move played comes first"
    assert printed == terminal("a1\nhint\n", "mcts:300", *TIC_TAC_TOE, "--seed", "1")
    assert "'hint': random does not search" in terminal("hint\n", "random", *TIC_TAC_TOE)


def test_a_hint_sees_the_win(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    start = game("tic_tac_toe").read("xx1/oo1/3 x")
    begin = board_play.Session.__init__

    def later(self: Any, *arguments: Any) -> None:
        begin(self, *arguments)
        self.states, self.moves = [start], []

    monkeypatch.setattr(board_play.Session, "__init__", later)
    printed = terminal("hint\nc3\n", "mcts:300", *TIC_TAC_TOE)
    assert "mcts:300 would play c3." in printed and table(printed)["c3"][1] == 1 and "You have won." in printed


def test_a_run_of_a_board_game_plays_with_people(terminal: Terminal, run: Path, tmp_path: Path) -> None:
    printed = terminal("b2\nhint\nquit\n", run)
    its, mine = printed.split("would play")
    assert "tic tac toe against zero" in its and "(value -1: zero loses" in its
    for part in (its, mine):
        visits = table(part)
        assert sum(count for count, _ in visits.values()) == 20
        assert next(iter(visits.values()))[0] == max(count for count, _ in visits.values())
    play.main([str(run), "--episode", "0", "--video", str(tmp_path / "greedy.gif")])
    assert imageio.imread(tmp_path / "greedy.gif").shape[-1] == 3, "a game against random, filmed"


@pytest.mark.parametrize("name", ["mcts:50", "run"])
def test_a_thinker_plays_what_it_thinks(run: Path, name: str) -> None:
    rules = game("tic_tac_toe")
    opponent = resolve(str(run) if name == "run" else name, rules)
    assert isinstance(opponent, Thinker)
    for state in (rules.start, rules.read("1x1/1o1/3 x"), rules.read("xx1/oo1/3 x")):
        thought = opponent.think(state, np.random.default_rng(0))
        assert thought.action == opponent(state, rules.legal(state), np.random.default_rng(0))
        assert (np.isnan(thought.values) == (thought.visits == 0)).all()
        assert not thought.visits[~rules.legal(state)].any() and np.nanmax(np.abs(thought.values)) <= 1
    assert thought.action == rules.action("c3") and thought.values[thought.action] == 1


def test_boards_have_names() -> None:
    assert board_text(game("tic_tac_toe"), game("tic_tac_toe").read("2x/3/o2 x")).splitlines()[1:] == [
        *("3 . . x", "2 . . .", "1 o . .", "  a b c"),
    ]
    assert board_text(game("othello", size=4), game("othello", size=4).start).splitlines()[1] == "1 . . . ."
    assert board_text(game("go", size=13), game("go", size=13).start).splitlines()[1].startswith("13  .  .")


def test_names_of_moving_pieces() -> None:
    pytest.importorskip("shogi")
    rules = game("shogi")
    state = rules.start
    for move in ("7g7f", "3c3d", "8h2b+"):
        before, state = state, rules.after(state, rules.action(move))
    lines = board_text(rules, state).splitlines()
    assert lines[2].split() == ["b", ".", "r", ".", ".", ".", ".", ".", "+B", "."]
    assert lines[10].split() == list("987654321") and lines[-1] == "in hand: B*1"
    assert moved(rules, before, state) == [(1, 7)], "a piece taken"


def test_what_moved() -> None:
    rules = game("othello")
    assert moved(rules, rules.start, rules.after(rules.start, rules.action("d3"))) == [(2, 3)], "not what turned"
    rules = game("connect_four")
    assert moved(rules, rules.start, rules.after(rules.start, 2)) == [(5, 2)]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[ByHand]:
    """A function that plays in a window by a script of events, one batch a picture; returns the lines shown."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def session(batches: list[list[Any]], *arguments: object) -> list[list[str]]:
        shown: list[list[str]] = []
        draw = Window.show

        def show(self: Window, picture: Any, lines: Any) -> None:
            shown.append(list(lines))
            draw(self, picture, lines)

        def wait(self: Window, frames_per_second: float) -> None:
            assert batches, "the script has no end"
            for one in batches.pop(0):
                pygame.event.post(one)

        with monkeypatch.context() as patch:
            patch.setattr(Window, "show", show)
            patch.setattr(Window, "wait", wait)
            play.main([str(argument) for argument in arguments])
        return shown

    yield session
    pygame.quit()


def typed(text: str) -> list[Any]:
    from key_events import event, pygame

    return [*(event("KEYDOWN", key=ord(one), unicode=one) for one in text), event("KEYDOWN", key=pygame.K_RETURN)]


def click(x: int, y: int) -> list[Any]:
    from key_events import event

    return [event("MOUSEBUTTONDOWN", button=1, pos=(x, y))]


def escape() -> list[Any]:
    from key_events import press

    return [press("ESCAPE")]


def test_a_game_in_the_window(by_hand: ByHand, scripted: Any) -> None:
    """The board of 448 x 404 is drawn 440 high, in the middle of a window 720 wide: columns of 61 pixels from 146."""
    scripted("1", "2", "3", "5")
    four = click(360, 90)
    shown = by_hand(
        [four, click(20, 20), typed("9"), typed("hint"), four, typed("undo"), four, four, four, click(300, 90)]
        + [typed("6"), typed("undo"), escape()],
        *("random", *CONNECT_FOUR),
    )
    first = [lines[0] for lines in shown]
    said = [lines[1] for lines in shown]
    assert first[:3] == ["Your turn, you have yellow.    Move: _", "random has red and thinks ...", first[0]]
    assert said[:4] == ["", "You played 4.", "random played 1.", "random played 1."], "beside the board: nothing"
    assert said[4].startswith("'9' is no legal move: use 1, 2, 3") and "does not search" in said[5]
    assert "Your move 4 is taken back." in said and "You have won.    " in first
    assert any("'6': the game is over" in line for line in said)
    assert first[-1] == first[0], "undo after the end"
    assert shown[0][-1] == "Click a column, or type a move, undo or hint and press Enter.    Esc: quit"


@pytest.mark.parametrize(
    ("count", "written"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (1234, "1.2k"), (9949, "9.9k"), (9950, "10k"), (123_456, "123k")]
    + [(1_234_567, "1.2M"), (23_000_000, "23M")],
)
def test_counts_are_short(count: int, written: str) -> None:
    assert short(count) == written


def test_visits_are_told_of_moves_that_have_some() -> None:
    cells = new_session("go", thought_of({0: 4, 7: 1250, 360: 3, 361: 2}, 362), size=19)
    assert noted(cells) == {7: "1.2k\n+0.25", 0: "4\n+0.00", 360: "3\n+0.00", 361: "2 visits +0.00"}, "the last: a pass"
    columns = new_session("connect_four", thought_of({3: 40, 6: 1}, 7))
    assert noted(columns) == {3: "40\n+0.25", 6: "1\n+0.00"}
    many = new_session("go", thought_of(dict(zip(range(20), range(20, 0, -1), strict=True)), 26), size=5)
    assert list(noted(many)) == list(range(board_play.MOST_SHOWN))
    many.is_hint = False
    assert list(noted(many)) == list(range(1, board_play.MOST_SHOWN)), "none where it has played"


@pytest.mark.parametrize(("name", "size"), [("othello", 6), ("othello", 8), ("go", 9), ("go", 19), ("gomoku", 15)])
def test_notes_are_written_on_paper_inside_of_their_cells(
    monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    thought = thought_of({0: 888_888, 1: 8888, size: 88}, game(name, size=size).n_actions)
    plain = board_play.InWindow(new_session(name, size=size))
    window = board_play.InWindow(new_session(name, thought, size=size))
    window.window.close()
    changed = np.argwhere((window._picture != plain._picture).any(axis=-1))
    places = (changed + 0.5) / window._scale - (board_play.TOP, board_play.MARGIN)
    cells, inside = np.divmod(places / board_play.CELL, 1)
    assert {tuple(cell) for cell in cells.tolist()} == {(0, 0), (0, 1), (1, 0)}
    on_the_edge = (inside < 0.01) | (inside > 0.99)
    assert not on_the_edge.any(), "the widest has room"
    colours = window._picture[tuple(changed.T)]
    assert (colours == board_play.PAPER).all(axis=-1).mean() > 0.4, "letters stand on paper"


def test_thoughts_in_the_window(by_hand: ByHand, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[dict[int, str]] = []
    put = board_play.put_notes
    monkeypatch.setattr(
        board_play, "put_notes", lambda image, game, texts, scale: notes.append(texts) or put(image, game, texts, scale)
    )
    shown = by_hand([click(360, 230), typed("hint"), typed("quit")], "mcts:100", *TIC_TAC_TOE, "--seed", "0")
    last = [lines[1:3] for lines in shown if "visits" in lines[1]]
    assert re.fullmatch(r"mcts:100 played ..\. The move has \d+ of 100 visits, value [+-]\d.\d\d\.", last[0][0])
    assert last[0][1] == "Pink: visits and value of its moves (value -1: mcts:100 loses, 1: it wins)."
    assert "mcts:100 would play" in last[1][0] and "your moves (value -1: you lose, 1: you win)" in last[1][1]
    assert [len(texts) for texts in notes] == [0, 0, 7, 7], "none in the cell where it has played"
    assert 4 not in notes[2] and re.fullmatch(r"\d+\n[+-]\d.\d\d", next(iter(notes[2].values())))


def test_pieces_move_with_two_clicks(by_hand: ByHand, scripted: Any) -> None:
    """Cells of 56 pixels; the board's corner a8 begins at (136, 40)."""
    pytest.importorskip("chess")
    scripted("e7e5")
    e2, e4, e6, g1, f3 = (click(136 + 28 + 56 * column, 40 + 28 + 56 * row) for column, row in
                          [(4, 6), (4, 4), (4, 2), (6, 7), (5, 5)])  # fmt: skip
    shown = by_hand([e6, g1, e2, e4, escape()], "random", "--env", "skidpad/Chess-v0")
    assert shown[1][1].startswith("'e6' is no legal move") and shown[2][0].endswith("Move: g1_")
    assert shown[3][0].endswith("Move: e2_"), "another piece is chosen"
    assert shown[4][:2] == ["random has black, small letters and thinks ...", "You played e2e4."]
    assert shown[5][1] == "random played e7e5."


def test_mistakes_are_one_line(run: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> str:
        return refused(play.main, *arguments)

    assert "random plays board games: name one, as --env skidpad/ConnectFour-v0" in refuse("random")
    assert "it is no board game, use one of skidpad/" in refuse("random", "--env", "skidpad/CartPole-v1")
    assert "unknown environment 'skidpad/Conect4-v0'" in refuse("random", "--env", "skidpad/Conect4-v0")
    assert "size 5: use 4, 6, 8" in refuse("random", "--env", "skidpad/Othello-v0", "--env-kwargs", '{"size": 5}')
    assert "unknown opponent 'nobody'" in refuse("nobody", *TIC_TAC_TOE)
    assert "write the simulations of a move, as mcts:2000" in refuse("mcts", *TIC_TAC_TOE)
    assert "has no perfect player" in refuse("perfect", "--env", "skidpad/Othello-v0")
    assert "it plays tic_tac_toe, not connect_four" in refuse(run, *CONNECT_FOUR)
    assert "invalid choice" in refuse("random", *TIC_TAC_TOE, "--side", "third")
    for where in ((), ("--terminal",)):
        assert refuse("random", *TIC_TAC_TOE, "--seed", -1, *where).endswith("seed=-1: use 0 or more")
    for watched in (("--episode", 0), ("--video", "v.gif"), ("--verify",)):
        assert f"{run} is only watched here: --env," in refuse(run, "--terminal", *watched)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert "play in the terminal with --terminal" in refuse("random", *TIC_TAC_TOE)

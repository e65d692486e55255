"""A person plays a board game against an opponent, in a window or in the terminal (`tools.play` is the door).

Both front ends show a `Session` and tell it what the person writes: a move ("4", "d3", "pass"), "undo" or "hint".
"""

from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

from agents.opponents import Thinker, Thought, resolve
from agents.rollout import make_lanes
from envs.board import GAMES
from envs.board.drawing import CELL, MARGIN, NOTE, PAPER, TOP, draw, names
from envs.board.env import BoardGame, Opponent
from envs.board.game import DRAW, PLIES, WIN, Game, State
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError, require
from tools.window import WIDTH, Window

MOST_SHOWN = 9  # moves of which it is told what was thought of them
LOWEST, HIGHEST = 440, 700  # pixels: smaller pictures are enlarged in the window, larger ones reduced
FRAME = 3  # pixels of the frame around what moved last
NOTE_SIZE, LEAST_NOTE_SIZE = 15, 11  # pixels of a note's letters: on a picture of its own size, and on reduced ones
PAD = 2  # pixels of a note's paper around its letters
LINE_LENGTH = 105  # characters for which the window has room
FRAMES_PER_SECOND = 30
WORDS = ("undo", "hint", "quit")  # what can be written besides moves, in full or their first letters
#: what the first and the second player have, in the window and in the terminal, where it is not black and white stones
COLOURS = {"tic_tac_toe": ("blue", "red"), "connect_four": ("yellow", "red")}
LETTERS = {
    "chess": ("white, capital letters", "black, small letters"),
    "shogi": ("sente, capital letters", "gote, small letters"),
}


class Note(NamedTuple):
    """What was thought of a move."""

    action: int
    visits: int
    share: float  # of all visits
    value: float  # -1 to 1


class Session:
    """A game under way.

    Args:
        game: its rules.
        opponent: who answers.
        name: what the opponent is called.
        person: whose turns the person has: 0 those of the first player, 1 of the second.
        rng: the opponent's random numbers.

    Attributes:
        title: what is played against whom.
        words: what can be written besides moves to cells.
        states: the positions up to now.
        moves: the actions between them.
        thought: what the opponent thought of its last move, or as a hint of the person's next; None: nothing.
        is_hint: whether it is a hint.
        said: what happened last, in a line.
    """

    def __init__(self, game: Game, opponent: Opponent, name: str, person: int, rng: np.random.Generator) -> None:
        self.game, self.opponent, self.name, self.person = game, opponent, name, person
        self.title = f"{game.name.replace('_', ' ')} against {name}"
        self.words = "pass, undo" if game.move(game.n_actions - 1) == "pass" else "undo"
        self._rng = rng
        self.states: list[State] = [game.start]
        self.moves: list[int] = []
        self.thought: Thought | None = None
        self.is_hint = False
        self.said = ""

    @property
    def state(self) -> State:
        """The position now."""
        return self.states[-1]

    @property
    def result(self) -> str | None:
        """How the game ended, in words; None while it goes on."""
        outcome = self.game.outcome(self.state)
        if outcome is None:
            return None
        if outcome == DRAW:
            return "The game is drawn."
        return "You have won." if (outcome == WIN) == self._moves_next() else f"{self.name} has won."

    @property
    def waits(self) -> bool:
        """Whether it is the person's turn."""
        return self._moves_next() and self.game.outcome(self.state) is None

    def _moves_next(self) -> bool:
        return bool(self.state[PLIES] % 2 == self.person)

    def legal(self) -> dict[str, int]:
        """The legal actions by how they are written."""
        return {self.game.move(action): action for action in np.flatnonzero(self.game.legal(self.state)).tolist()}

    def meant(self, text: str) -> str:
        """The move or word that a text stands for: small letters and capitals are the same, "u" is "undo".

        A text that is a legal move as it is written, or that stands for nothing, is returned as it is.
        """
        legal, letters = self.legal(), text.lower()
        if text in legal or not text:
            return text
        found = [move for move in legal if move.lower() == letters] or [w for w in WORDS if w.startswith(letters)]
        return found[0] if found else text

    def do(self, text: str) -> None:
        """Do what the person means: play a move, "undo" or "hint".

        Raises:
            ValueError: it cannot be done.
        """
        legal = self.legal()
        if text == "undo":
            self._undo()
        elif not legal:
            raise ValueError(f"{text!r}: the game is over, only undo goes on")
        elif not self.waits:  # keys may come faster than answers
            raise ValueError(f"{text!r}: it is {self.name}'s turn")
        elif text == "hint":
            self._hint()
        elif text in legal:
            self._play(legal[text], None)
        else:
            raise ValueError(f"{text!r} is no legal move: use {', '.join(legal)}, undo, hint or quit")

    def answer(self) -> None:
        """The opponent's move."""
        if isinstance(self.opponent, Thinker):
            thought = self.opponent.think(self.state, self._rng)
            self._play(thought.action, thought)
        else:
            self._play(self.opponent(self.state, self.game.legal(self.state), self._rng), None)

    def _play(self, action: int, thought: Thought | None) -> None:
        who = "You" if self.waits else self.name
        self.said = f"{who} played {self.game.move(action)}."
        self.states.append(self.game.after(self.state, action))
        self.moves.append(action)
        self.thought, self.is_hint = thought, False

    def _undo(self) -> None:
        """Back to the person's last turn."""
        turns = range(self.person, len(self.moves), 2)
        if not turns:
            raise ValueError("'undo': you have not played yet")
        self.said = f"Your move {self.game.move(self.moves[turns[-1]])} is taken back."
        del self.states[turns[-1] + 1 :], self.moves[turns[-1] :]
        self.thought = None

    def _hint(self) -> None:
        if not isinstance(self.opponent, Thinker):
            raise ValueError(f"'hint': {self.name} does not search; opponents such as mcts:2000 give hints")
        self.thought, self.is_hint = self.opponent.think(self.state, self._rng), True
        self.said = f"{self.name} would play {self.game.move(self.thought.action)}."

    def notes(self) -> list[Note]:
        """What was thought of the moves visited most, the chosen one first."""
        if self.thought is None:
            return []
        chosen, visits, values = self.thought
        order = sorted(np.flatnonzero(visits).tolist(), key=lambda action: (action != chosen, -visits[action]))
        all_visits = visits.sum()
        return [Note(one, visits[one], visits[one] / all_visits, values[one]) for one in order[:MOST_SHOWN]]

    def scale(self) -> str:
        """What the values mean."""
        return "value -1: you lose, 1: you win" if self.is_hint else f"value -1: {self.name} loses, 1: it wins"


def play(what: str, env: str, kwargs: Mapping[str, Any], side: str, terminal: bool, seed: int | None) -> None:
    """Play one game.

    Args:
        what: the opponent, as `agents.opponents.resolve` has it.
        env, kwargs: the environment whose game is played.
        side: "first" or "second", of the person.
        terminal: there, or in a window.
        seed: of the opponent's random numbers; None: others every time.

    Raises:
        UserError: no board game, or no such opponent of it; a negative seed; no display for a window.
    """
    require(seed is None or seed >= 0, "seed", seed, "use 0 or more")
    game = game_of(env, kwargs)
    name = Path(what).name if Path(what).exists() else what
    session = Session(game, resolve(what, game), name, int(side == "second"), np.random.default_rng(seed))
    if terminal:
        in_terminal(session)
    else:
        InWindow(session).run()


def game_of(env: str, kwargs: Mapping[str, Any]) -> Game:
    """The game of an environment's id and keywords.

    Raises:
        UserError: there is no such environment, or it is no board game.
    """
    batch = make_lanes(env, 1, kwargs)
    batch.close()
    if isinstance(batch.unwrapped, BoardGame):
        return batch.unwrapped.game
    games = [name for name, spec in gym.registry.items() if spec.kwargs.get("game") in GAMES]
    raise UserError(f"env={env!r}: it is no board game, use one of {', '.join(games)}")


# The board.


def cells(game: Game, state: State) -> list[list[str]]:
    """The pieces by row and column, "." where there is none; then what lies beside the board."""
    return [line.split() if " " in line else list(line) for line in game.show(state).splitlines()]


def board_text(game: Game, state: State) -> str:
    """The board of a position with the names of rows and columns."""
    pieces = cells(game, state)
    rows = [[names(game, row, 0)[1], *pieces[row]] for row in range(game.rows)]
    rows.append(["", *(names(game, 0, column)[0] for column in range(game.columns))])
    width = max(len(cell) for row in rows for cell in row)
    lines = [" ".join(cell.rjust(width) for cell in row) for row in rows]
    return "\n".join(["", *lines, *in_hand(game, state), ""])


def in_hand(game: Game, state: State) -> list[str]:
    """What lies beside the board, in lines: of shogi, pieces in hand."""
    return [f"in hand: {' '.join(line)}" for line in cells(game, state)[game.rows :] if line]


def moved(game: Game, before: State, after: State) -> list[tuple[int, int]]:
    """The cells (row, column) to which something came with a move; discs turned and stones taken do not count."""
    old, new = cells(game, before), cells(game, after)
    board = [(row, column) for row in range(game.rows) for column in range(game.columns)]
    changed = [(row, column) for row, column in board if new[row][column] not in (old[row][column], ".")]
    return [(row, column) for row, column in changed if old[row][column] == "."] or changed


# The terminal.


def in_terminal(session: Session) -> None:
    """Play by reading lines and writing boards."""
    game = session.game
    sides = LETTERS.get(game.name, ("x", "o"))
    yours, order = sides[session.person], ("first", "second")[session.person]
    example = next(iter(session.legal()))
    print(f"{session.title}: you have {yours} and move {order}.")
    print(f"Write a move such as {example}, {session.words}, hint or quit (u, h, q for short; capitals or not).")
    shown: State | None = None
    try:
        while session.result is None:
            if not session.waits:
                print(f"{session.name} thinks ...", flush=True)
                session.answer()
                print("\n".join([session.said, *table(session)]))
                continue
            if shown is not session.state:
                shown = session.state
                print(board_text(game, shown))
            text = session.meant(input(f"your move ({yours}): ").strip())
            if text == "quit":
                break
            try:
                session.do(text)
            except ValueError as error:
                print(error)
                continue
            if session.waits:  # after undo and hint
                print("\n".join([session.said, *table(session)]))
    except (EOFError, KeyboardInterrupt):
        print()
    if session.result is None:
        print(f"You left after {len(session.moves)} plies.")
    else:
        print(board_text(game, session.state), session.result, sep="\n")


def table(session: Session) -> list[str]:
    """What was thought of the best moves, in columns."""
    notes = session.notes()
    lines = [f"{session.game.move(one.action):>8}{one.visits:8}{one.share:8.0%}{one.value:+8.2f}" for one in notes]
    return [f"{'move':>8}{'visits':>8}{'share':>8}{'value':>8}   ({session.scale()})", *lines] if lines else []


# The window.


def short(count: int) -> str:
    """A count in at most four characters: "950", "1.2k", "12k"."""
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if count >= unit:
            digits = 1 if count < 9.95 * unit else 0
            return f"{count / unit:.{digits}f}{letter}"
    return str(count)


def is_cell(game: Game, action: int) -> bool:
    """Whether an action is a cell, in which its note is written; of Connect Four the actions are columns."""
    cells = game.rows * game.columns
    return action < cells and game.n_actions in (cells, cells + 1)


def noted(session: Session) -> dict[int, str]:
    """Visits and value of the moves that were visited most, as they are drawn."""
    game, notes = session.game, session.notes()
    if not session.is_hint and game.name != "connect_four":
        notes = notes[1:]  # the others: where it played is a stone
    if game.n_actions > game.rows * game.columns + 1:  # they have no cells, and are told in a line
        notes = notes[:3]
    texts: dict[int, str] = {}
    for action, visits, _, value in notes:
        between = "\n" if is_cell(game, action) or game.name == "connect_four" else " visits "
        texts[action] = f"{short(visits)}{between}{value:+.2f}"
    return texts


def put_notes(image: Image.Image, game: Game, texts: Mapping[int, str], scale: float) -> None:
    """Write into cells of a picture that was scaled.

    Each note is on paper of its own, as a board's lines and colours hide letters, and no smaller on larger boards: on
    Go's of 19 x 19 it could not be read.
    """
    pen = ImageDraw.Draw(image)
    for action, text in texts.items():
        row, column = divmod(action, game.columns)
        place = (MARGIN + (column + 0.5) * CELL) * scale, (TOP + (row + 0.5) * CELL) * scale
        how: dict[str, Any] = {"anchor": "mm", "align": "center", "font_size": max(LEAST_NOTE_SIZE, NOTE_SIZE * scale)}
        left, top, right, bottom = pen.multiline_textbbox(place, text, spacing=PAD, **how)
        pen.rounded_rectangle((left - PAD, top - PAD, right + PAD, bottom + PAD), PAD, PAPER)
        pen.multiline_text(place, text, NOTE, spacing=PAD, **how)


class InWindow:
    """A session's window; what is not a click is written as in the terminal."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.window = Window(session.title, "play in the terminal with --terminal")
        self.written = self.complaint = ""
        self._draw()

    def run(self) -> None:
        """Play until the window is closed; the opponent thinks between two pictures."""
        session, pygame, pictures = self.session, self.window.pygame, 0
        while all([self.see(event) for event in self.window.events()]) and not (SMOKE and pictures == 3):
            self.show()
            pictures += 1
            if session.waits or session.result is not None:
                self.window.wait(FRAMES_PER_SECOND)
            else:
                session.answer()
                pygame.event.clear(pygame.MOUSEBUTTONDOWN)  # nobody meant the position that is there now
        self.window.close()

    def see(self, event: Any) -> bool:
        """Take notice of an event; returns whether the window stays open."""
        pygame = self.window.pygame
        if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
            return False
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self.click(*event.pos)
        elif event.type == pygame.KEYDOWN and event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            return self.enter(self.written.strip())
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_BACKSPACE:
            self.written = self.written[:-1]
        elif event.type == pygame.KEYDOWN and event.unicode.isprintable():
            self.written += event.unicode
        return True

    def enter(self, text: str) -> bool:
        """Do what is written; returns whether the window stays open."""
        self.written = self.complaint = ""
        text = self.session.meant(text)
        try:
            if text not in ("", "quit"):
                self.session.do(text)
        except ValueError as error:
            self.complaint = str(error)
        return text != "quit"

    def click(self, x: int, y: int) -> None:
        """A click writes the name of its cell, and plays once that is a move: of chess, after from and to."""
        game = self.session.game
        if not self.session.waits:
            return
        left = (max(WIDTH, self._picture.shape[1]) - self._picture.shape[1]) // 2
        row, column = int((y / self._scale - TOP) // CELL), int(((x - left) / self._scale - MARGIN) // CELL)
        if not (0 <= row < game.rows and 0 <= column < game.columns):
            return
        name = "".join(names(game, row, column))
        legal = self.session.legal()
        texts = [text for text in (self.written + name, name) if any(move.startswith(text) for move in legal)]
        text = texts[0] if texts else name
        if not texts or (text in legal and f"{text}+" not in legal):  # shogi: whether it promotes is to be written
            self.enter(text)
        else:
            self.written, self.complaint = text, ""

    def show(self) -> None:
        """Draw the position, what was thought of it, and what there is to do."""
        session = self.session
        if self._drawn[0] is not session.state or self._drawn[1] is not session.thought:
            self._draw()
        sides = {**COLOURS, **LETTERS}.get(session.game.name, ("black", "white"))
        yours, its = sides[session.person], sides[1 - session.person]
        place = "column" if session.game.name == "connect_four" else "cell"
        tips = f"Click a {place}, or type a move, {session.words} or hint and press Enter.    Esc: quit"
        if session.result is not None:
            turn, tips = f"{session.result}    {self.written}", "Type undo and press Enter to go on.    Esc: quit"
        elif session.waits:
            turn = f"Your turn, you have {yours}.    Move: {self.written}_"
        else:
            turn = f"{session.name} has {its} and thinks ..."
        lines = wrap(self.complaint, LINE_LENGTH) or self._explained()
        self.window.show(self._picture, [turn, *(lines + ["", ""])[:2], *in_hand(session.game, session.state), tips])

    def _explained(self) -> list[str]:
        """What happened last, and what the numbers on the board are."""
        session = self.session
        if session.thought is None:
            return [session.said]
        best = session.notes()[0]
        visits, whose = session.thought.visits.sum(), "your" if session.is_hint else "its"
        return [
            f"{session.said} The move has {best.visits} of {visits} visits, value {best.value:+.2f}.",
            f"Pink: visits and value of {whose} moves ({session.scale()}).",
        ]

    def _draw(self) -> None:
        """The board, with a frame around what moved last, and what was thought of moves."""
        session, game = self.session, self.session.game
        self._drawn = session.state, session.thought
        texts = noted(session)
        picture = draw(game, session.state, {one: text for one, text in texts.items() if not is_cell(game, one)}).copy()
        for row, column in moved(game, *session.states[-2:]) if session.moves else ():
            top, left = TOP + row * CELL, MARGIN + column * CELL
            cell = picture[top : top + CELL, left : left + CELL]
            inside = cell[FRAME:-FRAME, FRAME:-FRAME].copy()
            cell[:] = NOTE
            cell[FRAME:-FRAME, FRAME:-FRAME] = inside
        height, width = picture.shape[:2]
        self._scale = min(max(1, LOWEST / height), HIGHEST / height)
        size = round(width * self._scale), round(height * self._scale)
        image = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
        put_notes(image, game, {one: text for one, text in texts.items() if is_cell(game, one)}, self._scale)
        self._picture = np.asarray(image)

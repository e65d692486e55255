"""Shogi, over the library python-shogi (`pip install 'skidpad[games]'`), which knows how the pieces move.

A position is 610 numbers: the plies played; how often the position stood before; the 81 cells from 9a by rows (0 for
empty, a piece's kind for sente, who moves first, minus its kind for gote); how many of each of seven kinds sente has in
hand, then gote; and for each ply up to now a 64-bit hash of the position, whose lowest bit is whether the mover was in
check, 0 where it is not known or yet to come. Drops can undo captures, so repetition counts all plies of a game.

Who cannot move has lost. When a position stands for the fourth time (sennichite) the game is drawn, but lost by a side
all of whose moves since the first time gave check. After 512 plies it is drawn, as in AlphaZero's training (Silver et
al. 2018, "A general reinforcement learning algorithm that masters chess, shogi, and Go through self-play"). That kings
have entered the other's camp ends no game.

Action ``81 * plane + cell`` moves the piece of a cell or, in the last seven planes, drops one there. The 143 planes: 64
moves along lines (8 directions, 1 to 8 cells) and the same with promotion, 4 of a knight and the same with promotion, 7
drops. The board is never turned: actions and observations are sente's view for both sides, so that an action is a move
without the position; the paper turns it for gote, and needs 2 moves of a knight, 139 planes in all. Pieces and hands
are still told as the mover's and the other's, and a plane tells whose turn it is. The paper's seven earlier positions
and its count of moves are left out.

Moves are written as USI does: "7g7f", "8h2b+", "P*5e". The action of a move that would leave the board is written as
its cell and plane, "9a~14". Positions are written as SFEN, which has no history: one that is read has not stood before.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from envs.board.chess_game import along_lines, fingerprint, random_game, target
from envs.board.game import DRAW, LOSS, ONGOING, PLIES, Array, Game, Rules, State

SIZE = 9
SQUARES = SIZE * SIZE
LONGEST = 512
# the library's numbers of pieces: these, and promoted ones after them
PAWN, LANCE, KNIGHT, SILVER, GOLD, BISHOP, ROOK, KING = range(1, 9)
KINDS = (
    *("pawn", "lance", "knight", "silver", "gold", "bishop", "rook", "king"),
    *("promoted pawn", "promoted lance", "promoted knight", "promoted silver", "promoted bishop", "promoted rook"),
)
IN_HAND = range(PAWN, KING)
SETS = (18, 4, 4, 4, 4, 2, 2)  # how many there are of each kind that can be in hand
REPEATED, CELLS, HANDS = 1, 2, 2 + SQUARES  # of a position's numbers
HISTORY = HANDS + 2 * len(IN_HAND)
WORDS = HISTORY + LONGEST + 1
PLANES = (
    *(f"own {kind}" for kind in KINDS),
    *(f"the other's {kind}" for kind in KINDS),
    *(f"stands for the {time} time" for time in ("first", "second", "third")),
    *(f"own {KINDS[kind - 1]}s in hand" for kind in IN_HAND),
    *(f"the other's {KINDS[kind - 1]}s in hand" for kind in IN_HAND),
    "gote to move",
)
LEAPS = ((-2, -1), (-2, 1), (2, -1), (2, 1))
ALIGNED = [{target(cell, step, SIZE) for step in along_lines(SIZE)} - {None} for cell in range(SQUARES)]


def _moves() -> Iterator[tuple[int | None, int | None, bool, int | None]]:
    """From-cell (None of drops), to-cell (None off the board), whether it promotes and what is dropped, by action."""
    for steps in (along_lines(SIZE), LEAPS):
        for promotes in (False, True):
            for step in steps:
                yield from ((cell, target(cell, step, SIZE), promotes, None) for cell in range(SQUARES))
    for kind in IN_HAND:
        yield from ((None, cell, False, kind) for cell in range(SQUARES))


MOVES = list(_moves())
ACTIONS = {move: action for action, move in enumerate(MOVES)}


def to_board(state: State) -> Any:
    """The library's board of a position, without its history.

    Its constructor is passed over: it hashes the position for a count of repetitions that this game does itself.
    """
    import shogi

    board: Any = shogi.Board.__new__(shogi.Board)
    plies, cells = int(state[PLIES]), state[CELLS:HANDS].tolist()
    board.turn, board.move_number = plies % 2, plies + 1
    board.pieces = [abs(piece) for piece in cells]
    board.piece_bb = [0] * (len(KINDS) + 1)
    sides = [0, 0]
    for cell, piece in enumerate(cells):
        if piece:
            board.piece_bb[abs(piece)] |= 1 << cell
            sides[piece < 0] |= 1 << cell
    board.occupied = shogi.Occupied(*sides)
    board.king_squares = [cells.index(KING), cells.index(-KING)]
    hands = state[HANDS:HISTORY].reshape(2, -1).tolist()
    board.pieces_in_hand = [
        Counter({kind: count for kind, count in zip(IN_HAND, hand, strict=True) if count}) for hand in hands
    ]
    board.captured_piece_stack, board.move_stack = deque(), deque()
    board.incremental_zobrist_hash, board.transpositions = 0, Counter()
    return board


def _set_board(state: State, board: Any, plies: int) -> None:
    """Make a position that of a board after so many plies; its history stays."""
    state[PLIES] = plies
    gote = board.occupied[1]
    state[CELLS:HANDS] = [-piece if gote >> cell & 1 else piece for cell, piece in enumerate(board.pieces)]
    state[HANDS:HISTORY] = [hand[kind] for hand in board.pieces_in_hand for kind in IN_HAND]
    here = fingerprint(state[CELLS:HISTORY]) & ~1 | board.is_check()
    # every second one: those before which the same side moved
    state[REPEATED] = np.count_nonzero(state[HISTORY + plies % 2 : HISTORY + plies : 2] == here)
    state[HISTORY + plies] = here


def legal_moves(board: Any) -> Iterator[Any]:
    """The moves of a board that are legal.

    The library's own test tries every move, and allows mate by a dropped pawn that only a pinned piece could take. Here
    only moves that can expose the king, and pawns dropped before the other's, are tried.
    """
    king, checked = board.king_squares[board.turn], board.is_check()
    before_other = board.king_squares[1 - board.turn] + (SIZE if board.turn == 0 else -SIZE)
    for move in board.generate_pseudo_legal_moves():
        drops_before = move.drop_piece_type == PAWN and move.to_square == before_other
        if checked or drops_before or move.from_square == king or move.from_square in ALIGNED[king]:
            board.push(move)
            is_legal = not board.was_suicide() and not (drops_before and not any(legal_moves(board)))
            board.pop()
            if not is_legal:
                continue
        yield move


def play(state: State, action: int) -> None:
    """Move or drop a piece."""
    import shogi

    board = to_board(state)
    board.push(shogi.Move(*MOVES[action]))
    _set_board(state, board, int(state[PLIES]) + 1)


def legal(state: State, out: Array) -> None:
    """The legal moves: no second pawn of a side in a column, no mate by a dropped pawn."""
    out[:] = False
    if state[REPEATED] < 3 and state[PLIES] < LONGEST:
        for move in legal_moves(to_board(state)):
            out[ACTIONS[move.from_square, move.to_square, move.promotion, move.drop_piece_type]] = True


def outcome(state: State) -> int:
    """Lost without a legal move; drawn by repetition, unless one side gave check all the time, and after 512 plies."""
    plies = int(state[PLIES])
    history = state[HISTORY : HISTORY + plies + 1]
    if state[REPEATED] >= 3:
        first = plies % 2 + 2 * int(np.argmax(history[plies % 2 :: 2] == history[plies]))
        checks = history[first + 1 :] & 1  # after a move of the mover, the other, the mover, ...
        return int(checks[1::2].all()) - int(checks[::2].all())
    if not any(legal_moves(to_board(state))):
        return LOSS
    return DRAW if plies >= LONGEST else ONGOING


def observe(state: State, out: Array) -> None:
    """The planes of `PLANES`: 1 at the pieces, all of a plane 1 for what holds, and how many are in hand."""
    gote = state[PLIES] % 2
    cells = state[CELLS:HANDS].reshape(SIZE, SIZE) * (1 - 2 * gote)
    kinds = np.arange(1, len(KINDS) + 1)[:, None, None]
    hands = np.roll(state[HANDS:HISTORY], len(IN_HAND) * gote)
    out[: len(KINDS)] = cells == kinds
    out[len(KINDS) : 2 * len(KINDS)] = cells == -kinds
    out[2 * len(KINDS) :] = np.array([*(state[REPEATED] == np.arange(3)), *hands, gote], np.int8)[:, None, None]


def write(state: State) -> str:
    """A position as SFEN."""
    return str(to_board(state).sfen())


def _fault(board: Any) -> str | None:
    """Why a board cannot be that of a game; None where it can."""
    import shogi

    for side in (0, 1):
        own = board.occupied[side]
        if (own & board.piece_bb[KING]).bit_count() != 1:
            return "each side has one king"
        pawns = [cell % SIZE for cell in range(SQUARES) if own & board.piece_bb[PAWN] & 1 << cell]
        if len(set(pawns)) < len(pawns):
            return "a side has two pawns in a column"
    for cell, piece in enumerate(board.pieces):
        if not shogi.can_move_without_promotion(cell, piece, int(board.occupied[1] >> cell & 1)):
            return f"the {KINDS[piece - 1]} of {square(cell)} could never move"
    kinds = Counter(shogi.PIECE_PROMOTED.index(piece) if piece > KING else piece for piece in board.pieces)
    kinds += board.pieces_in_hand[0] + board.pieces_in_hand[1]
    for kind, most in zip(IN_HAND, SETS, strict=True):
        if kinds[kind] > most:
            return f"{kinds[kind]} {KINDS[kind - 1]}s, there are {most}"
    return "the king of the side not to move is in check" if board.was_suicide() else None


def read(text: str) -> State:
    """The position of an SFEN; raises ValueError where there can be none.

    A count of moves that does not fit who is to move, as in games with a handicap, is taken for one more.
    """
    import shogi

    fields = text.split()
    if len(fields) != 4:
        raise ValueError(f"position {text!r}: {len(fields)} fields, give 4 separated by blanks")
    if not re.fullmatch(r"-|(([1-9]\d*)?[plnsgbrPLNSGBR])+", fields[2]):
        raise ValueError(f"position {text!r}: {fields[2]!r} in hand, use '-' or such as '2Pb'")
    try:
        board = shogi.Board(text)
    except ValueError as error:
        raise ValueError(f"position {text!r}: {error}") from None
    if fault := _fault(board):
        raise ValueError(f"position {text!r}: {fault}")
    plies = board.move_number - 1
    plies += (plies - board.turn) % 2
    if plies > LONGEST:
        raise ValueError(f"position {text!r}: move {board.move_number}, a game ends after {LONGEST} plies")
    state = np.zeros(WORDS, np.int64)
    _set_board(state, board, plies)
    return state


def square(cell: int) -> str:
    """A cell as players write it: the column from the right, the row from above ("9a")."""
    return f"{SIZE - cell % SIZE}{'abcdefghi'[cell // SIZE]}"


def move(action: int) -> str:
    """An action as the module says."""
    origin, goal, promotes, kind = MOVES[action]
    if goal is None:
        return f"{square(action % SQUARES)}~{action // SQUARES}"
    if kind is not None:
        return f"{'PLNSGBR'[kind - PAWN]}*{square(goal)}"
    assert origin is not None, "what is not dropped comes from a cell"
    return square(origin) + square(goal) + ("+" if promotes else "")


def shogi_game() -> Game:
    """The game; its board cannot be seen in other ways.

    Raises:
        ValueError: python-shogi is not installed.
    """
    try:
        import shogi
    except ModuleNotFoundError:
        raise ValueError("shogi needs the package python-shogi: pip install 'skidpad[games]'") from None
    return Game(
        name="shogi",
        rows=SIZE,
        columns=SIZE,
        n_actions=len(MOVES),
        planes=PLANES,
        start=read(shogi.STARTING_SFEN),
        longest=LONGEST,
        rules=Rules(play, legal, outcome, observe, random_game(legal, play, len(MOVES))),
        cells=np.arange(SQUARES)[None],
        actions=np.arange(len(MOVES))[None],
        write=write,
        read=read,
        show=lambda state: str(to_board(state)),
        move=move,
    )

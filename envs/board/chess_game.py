"""Chess, over the library python-chess (`pip install 'skidpad[games]'`), which knows how the pieces move.

A position is 113 numbers: the plies played, the halfmove clock, how often the position stood before, ten that are the
position itself (a bitboard of each kind of piece and of each side, bit 0 is a1 and bit 7 h1; the rooks that may still
castle; the square where a pawn can be captured en passant, 64 for none), and a 64-bit hash of the position at each
earlier value of the clock, 0 where there is none or it is not known. A game is drawn when the clock is 100, so this is
all that repetition can need.

The game ends as in AlphaZero's training (Silver et al. 2018, "A general reinforcement learning algorithm that masters
chess, shogi, and Go through self-play"): mate, stalemate and too little material, and, claimed or not, a draw when a
position stands for the third time, after fifty moves without capture or pawn move, or after 512 plies.

Action ``64 * plane + cell`` moves the piece of a cell, counted from a8 by rows as observations are. The 73 planes are
the paper's: 56 moves of a queen (8 directions, 1 to 7 squares), 8 of a knight, 9 promotions to knight, bishop or rook
(to the right when seen from White, straight on, to the left). The board is never turned: actions and observations are
White's view for both sides, so that an action is a move without the position. Pieces and castling are still told as
the mover's and the other's, and a plane tells whose turn it is. The paper's seven earlier positions and its count of
moves are left out; en passant, which only the former show, has a plane.

Moves are written as UCI does, "g1f3" and "e7e8n", but a pawn that becomes a queen is "e7e8". The action of a move that
would leave the board is written as its cell and plane, "a8~14". Positions are written as FEN, which has no history: one
that is read has not stood before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from envs.board.game import DRAW, LOSS, ONGOING, PLIES, Array, Game, Legal, Play, Rollout, Rules, State
from envs.board.notation import cell_name
from envs.rng import integers

if TYPE_CHECKING:
    import chess

SIZE = 8
CELLS = SIZE * SIZE
LONGEST = 512
FIFTY_MOVES = 100  # of the clock, in plies
FIELDS = 6  # of a FEN: pieces, side to move, castling, en passant, clock, move
CLOCK, REPEATED, PIECES, WHITE, BLACK, CASTLING, EN_PASSANT, HISTORY = 1, 2, 3, 9, 10, 11, 12, 13
WORDS = HISTORY + FIFTY_MOVES
KINDS = ("pawns", "knights", "bishops", "rooks", "queens", "kings")
PLANES = (
    *(f"own {kind}" for kind in KINDS),
    *(f"the other's {kind}" for kind in KINDS),
    "own castling, king's side",
    "own castling, queen's side",
    "the other's castling, king's side",
    "the other's castling, queen's side",
    "en passant",
    "stands for the first time",
    "stands for the second time",
    "black to move",
    "halfmove clock",
)
_CASTLES = np.array([1 << 7, 1 << 0, 1 << 63, 1 << 56], np.uint64)  # rooks on h1, a1, h8, a8
_ALL = np.uint64(2**64 - 1)
KNIGHT, BISHOP, ROOK, QUEEN = 2, 3, 4, 5  # the library's numbers

# steps in rows, counted from above, and columns
LINES = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
LEAPS = ((-2, 1), (-1, 2), (1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1))


def along_lines(size: int) -> list[tuple[int, int]]:
    """The steps of a queen on a board of that size: eight directions, each from near to far."""
    return [(rows * distance, columns * distance) for rows, columns in LINES for distance in range(1, size)]


def target(cell: int, step: tuple[int, int], size: int) -> int | None:
    """The cell a step leads to; None when it leaves the board."""
    row, column = cell // size + step[0], cell % size + step[1]
    return size * row + column if 0 <= row < size and 0 <= column < size else None


def _moves() -> Iterator[tuple[int, int | None, int | None]]:
    """From-cell, to-cell (None off the board) and what a pawn becomes if not a queen, of every action."""
    for step in (*along_lines(SIZE), *LEAPS):
        yield from ((cell, target(cell, step, SIZE), None) for cell in range(CELLS))
    for piece, columns in itertools.product((KNIGHT, BISHOP, ROOK), (1, 0, -1)):
        for cell in range(CELLS):
            rows = {1: -1, SIZE - 2: 1}.get(cell // SIZE, SIZE)  # to the last row, from the one before it
            yield cell, target(cell, (rows, columns), SIZE), piece


MOVES = list(_moves())
ACTIONS = {move: action for action, move in enumerate(MOVES)}


def fingerprint(numbers: Array) -> int:
    """A 64-bit hash of numbers, the same on every machine."""
    return int.from_bytes(blake2b(numbers.tobytes(), digest_size=8).digest(), "little", signed=True)


def random_game(legal: Legal, play: Play, n_actions: int) -> Rollout:
    """The rollout of rules in plain Python: random legal moves to the end."""

    def rollout(state: State, rng: Array, actions: Array) -> int:
        first, mask = state[PLIES], np.empty(n_actions, np.bool_)
        while True:
            legal(state, mask)
            choices = np.flatnonzero(mask)
            if len(choices) == 0:
                return int(state[PLIES] - first)
            actions[state[PLIES] - first] = action = choices[integers(rng, len(choices))]
            play(state, action)

    return rollout


def _square(cell: int) -> int:
    """The library's square of a cell and back: it counts the rows from below."""
    return cell ^ (CELLS - SIZE)


def to_board(state: State) -> chess.Board:
    """The library's board of a position, without its history."""
    import chess

    board = chess.Board(None)
    numbers = state[PIECES:HISTORY].view(np.uint64).tolist()
    board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings = numbers[: len(KINDS)]
    white, black, board.castling_rights, en_passant = numbers[len(KINDS) :]
    board.occupied_co[chess.WHITE], board.occupied_co[chess.BLACK], board.occupied = white, black, white | black
    board.ep_square = None if en_passant == CELLS else en_passant
    plies = int(state[PLIES])
    board.turn, board.fullmove_number, board.halfmove_clock = plies % 2 == 0, plies // 2 + 1, int(state[CLOCK])
    return board


def _set_board(state: State, board: chess.Board) -> None:
    """Make a position that of a board, and its history the earlier one's where it can be repeated."""
    clock = board.halfmove_clock
    state[PLIES], state[CLOCK] = board.ply(), clock
    state[PIECES:HISTORY].view(np.uint64)[:] = [
        *(getattr(board, kind) for kind in KINDS),
        *(board.occupied_co[white] for white in (True, False)),
        board.clean_castling_rights(),
        board.ep_square if board.has_legal_en_passant() else CELLS,
    ]
    state[HISTORY + clock :] = 0
    here = fingerprint(state[PIECES:HISTORY])
    # every second one: those before which the same side moved
    state[REPEATED] = np.count_nonzero(state[HISTORY + clock % 2 : HISTORY + clock : 2] == here)
    if clock < FIFTY_MOVES:
        state[HISTORY + clock] = here


def play(state: State, action: int) -> None:
    """Move a piece."""
    import chess

    board = to_board(state)
    origin, goal, piece = MOVES[action]
    assert goal is not None, "a legal action stays on the board"
    if board.pawns & 1 << _square(origin) and goal // SIZE in (0, SIZE - 1):
        piece = piece or QUEEN
    board.push(chess.Move(_square(origin), _square(goal), piece))
    _set_board(state, board)


def _drawn(state: State, board: chess.Board) -> bool:
    """Whether it is a draw, unless mate; a position that has stood before, or has so few pieces, is no mate."""
    return (
        state[REPEATED] >= 2
        or state[CLOCK] >= FIFTY_MOVES
        or state[PLIES] >= LONGEST
        or board.is_insufficient_material()
    )


def legal(state: State, out: Array) -> None:
    """The library's legal moves."""
    out[:] = False
    board = to_board(state)
    if not _drawn(state, board):
        for move in board.generate_legal_moves():
            piece = None if move.promotion == QUEEN else move.promotion
            out[ACTIONS[_square(move.from_square), _square(move.to_square), piece]] = True


def outcome(state: State) -> int:
    """Lost when mated; drawn in stalemate and as the module says."""
    board = to_board(state)
    if not any(board.generate_legal_moves()):
        return LOSS if board.is_check() else DRAW
    return DRAW if _drawn(state, board) else ONGOING


def observe(state: State, out: Array) -> None:
    """The planes of `PLANES`: 1 at pieces and en passant's square, all of a plane 1 for what holds, and the clock."""
    black = state[PLIES] % 2
    numbers = state.view(np.uint64)
    sides = numbers[[WHITE, BLACK] if black == 0 else [BLACK, WHITE], None]
    rights = (numbers[CASTLING] & _CASTLES) != 0
    bitboards = np.concatenate(
        [
            (numbers[PIECES:WHITE] & sides).ravel(),
            np.where(np.roll(rights, 2 * black), _ALL, np.uint64(0)),
            [np.uint64(1 << state[EN_PASSANT] if state[EN_PASSANT] < CELLS else 0)],
        ]
    )
    # eight bytes a number, of which the first is the lowest row
    bits = np.unpackbits(bitboards.view(np.uint8).reshape(-1, SIZE, 1), axis=2, bitorder="little")
    out[: len(bits)] = bits[:, ::-1]
    out[len(bits) :] = np.array([state[REPEATED] == 0, state[REPEATED] == 1, black, state[CLOCK]], np.int8)[
        :, None, None
    ]


def write(state: State) -> str:
    """A position as FEN, en passant only where it can be done."""
    return to_board(state).fen()


def read(text: str) -> State:
    """The position of a FEN; raises ValueError where there can be none."""
    import chess

    fields = len(text.split())
    if fields != FIELDS:  # the library takes fewer, and leaves out castling without a word
        raise ValueError(f"position {text!r}: {fields} fields, give {FIELDS} separated by blanks")
    try:
        board = chess.Board(text)
    except ValueError as error:
        raise ValueError(f"position {text!r}: {error}") from None
    if not board.is_valid():
        raise ValueError(f"position {text!r}: {str(board.status().name).lower().replace('|', ', ')}")
    if board.halfmove_clock > FIFTY_MOVES:
        raise ValueError(f"position {text!r}: a halfmove clock of {board.halfmove_clock}, it ends at {FIFTY_MOVES}")
    if board.ply() > LONGEST:
        raise ValueError(f"position {text!r}: move {board.fullmove_number}, a game ends after {LONGEST} plies")
    state = np.zeros(WORDS, np.int64)
    _set_board(state, board)
    return state


def move(action: int) -> str:
    """An action as the module says."""
    origin, goal, piece = MOVES[action]
    if goal is None:
        return f"{cell_name(origin, SIZE, SIZE)}~{action // CELLS}"
    return cell_name(origin, SIZE, SIZE) + cell_name(goal, SIZE, SIZE) + ("nbr"[piece - KNIGHT] if piece else "")


def chess_game() -> Game:
    """The game; a board cannot be seen in other ways.

    Raises:
        ValueError: python-chess is not installed.
    """
    try:
        import chess
    except ModuleNotFoundError:
        raise ValueError("chess needs the package chess: pip install 'skidpad[games]'") from None
    return Game(
        name="chess",
        rows=SIZE,
        columns=SIZE,
        n_actions=len(MOVES),
        planes=PLANES,
        start=read(chess.STARTING_FEN),
        longest=LONGEST,
        rules=Rules(play, legal, outcome, observe, random_game(legal, play, len(MOVES))),
        cells=np.arange(CELLS)[None],
        actions=np.arange(len(MOVES))[None],
        write=write,
        read=read,
        show=lambda state: str(to_board(state)),
        move=move,
    )

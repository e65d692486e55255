"""The protocol of board games: two players in turn, zero sum, nothing hidden, nothing random.

A position is a row of int64 numbers, ``(words,)``, of which the first counts the plies played; what the others hold is
the game's own business. The rules are five functions on such rows, of the signatures below: compiled ones, which
search calls from compiled code by their addresses, so that it is compiled once for all games; or plain Python for games
over a library, for which the same search is interpreted.

Results and observations are those of the mover, the player whose turn it is. A player who can do nothing but pass has
an action for it: turns always alternate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import boolean, int8, int64, types, uint64
from numpy.typing import NDArray

Array = NDArray[Any]
State = NDArray[np.int64]  # (words,)

WIN, DRAW, LOSS, ONGOING = 1, 0, -1, 2  # of the mover

PLIES = 0  # of a position's numbers, the one that counts the plies played

_STATE = int64[::1]
PLAY = types.none(_STATE, int64)  # (state, action): play in place; the action must be legal
LEGAL = types.none(_STATE, boolean[::1])  # (state, out): which actions are legal, none after the end
OUTCOME = int64(_STATE)  # (state): WIN, DRAW or LOSS of the mover, or ONGOING
OBSERVE = types.none(_STATE, int8[:, :, ::1])  # (state, out): planes (planes, rows, columns) from the mover's side
ROLLOUT = int64(_STATE, uint64[::1], int64[::1])  # (state, rng, actions): play at random to the end; the plies played


Play: TypeAlias = Callable[[State, int], None]
Legal: TypeAlias = Callable[[State, Array], None]
Outcome: TypeAlias = Callable[[State], int]
Observe: TypeAlias = Callable[[State, Array], None]
Rollout: TypeAlias = Callable[[State, Array, Array], int]


class Rules(NamedTuple):
    """The functions of a game, in the order of this module's signatures."""

    play: Play
    legal: Legal
    outcome: Outcome
    observe: Observe
    rollout: Rollout


@dataclass(frozen=True)
class Game:
    """A game's rules and how it is written.

    Args:
        name: what commands call it, "connect_four".
        rows, columns: of the board.
        n_actions: actions, legal or not.
        planes: what each plane of an observation shows.
        start: the first position ``(words,)`` int64.
        longest: no game has more plies.
        rules: its functions.
        cells: the board's symmetries as permutations ``(symmetries, rows * columns)``: cell i of the board seen so is
            cell ``cells[k, i]`` of the board; the first is the identity.
        actions: the same of the actions ``(symmetries, n_actions)``.
        write: a position as a line of text.
        read: a position of such a line; raises ValueError that names what is wrong.
        show: a position as a board of characters, rows separated by line breaks.
        move: an action as players write it.
        constants: which numbers of a position are those of ``start`` in all of them, such as the size of the board.
        options: the keywords that `envs.board.game` took.
    """

    name: str
    rows: int
    columns: int
    n_actions: int
    planes: tuple[str, ...]
    start: State
    longest: int
    rules: Rules
    cells: Array
    actions: Array
    write: Callable[[State], str]
    read: Callable[[str], State]
    show: Callable[[State], str]
    move: Callable[[int], str]
    constants: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        from envs.board import remade  # functions have no copies: the name has them again

        return remade, (self.name, dict(self.options))

    @property
    def compiled(self) -> bool:
        """Whether its functions are compiled, or plain Python."""
        return hasattr(self.rules.play, "py_func")

    @property
    def title(self) -> str:
        """Its name and keywords: "othello, size 6"."""
        return self.name + "".join(f", {name} {value}" for name, value in self.options.items())

    def runnable(self, kernel: Any) -> Any:
        """A compiled function that calls these rules, or its Python source where they are not compiled."""
        return kernel if self.compiled else kernel.py_func

    def check(self, states: NDArray[np.int64]) -> None:
        """Compiled rules trust what they are given: refuse positions ``(..., words)`` of another game or board.

        Raises:
            ValueError: they are not this game's.
        """
        fits = states.dtype == np.int64 and states.shape[-1:] == self.start.shape
        if not fits or (states[..., list(self.constants)] != self.start[list(self.constants)]).any():
            raise ValueError(f"position {states.dtype} {states.shape} of another game: this is {self.title}")

    def legal(self, state: State) -> NDArray[np.bool_]:
        """Which actions are legal ``(n_actions,)``; none after the end. As all here it raises as `check` does."""
        self.check(state)
        mask = np.empty(self.n_actions, np.bool_)
        self.rules.legal(state, mask)
        return mask

    def after(self, state: State, action: int) -> State:
        """The position after an action; ``state`` stays as it is.

        Raises:
            ValueError: the action is not legal there.
        """
        if not (0 <= action < self.n_actions and self.legal(state)[action]):
            names = [self.move(int(one)) for one in np.flatnonzero(self.legal(state))]
            known = self.move(action) if 0 <= action < self.n_actions else action
            told = f"legal are {', '.join(names)}" if names else "the game is over"
            raise ValueError(f"move {known} is not legal in {self.write(state)!r}: {told}")
        state = state.copy()
        self.rules.play(state, action)
        return state

    def outcome(self, state: State) -> int | None:
        """1, 0 or -1: won, drawn or lost by the mover; None while the game goes on."""
        self.check(state)
        value = int(self.rules.outcome(state))
        return None if value == ONGOING else value

    def observe(self, state: State) -> NDArray[np.int8]:
        """The observation ``(planes, rows, columns)`` of the mover."""
        self.check(state)
        out = np.empty((len(self.planes), self.rows, self.columns), np.int8)
        self.rules.observe(state, out)
        return out

    def action(self, move: str) -> int:
        """The action that players write as ``move``.

        Raises:
            ValueError: there is none.
        """
        for action in range(self.n_actions):
            if self.move(action) == move.strip():
                return action
        raise ValueError(f"move {move!r}: write moves of {self.name} such as {self.move(0)}")

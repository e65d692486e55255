"""Grids of characters: reading them, moving on them, and what every grid world shares."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.batched import Array
from envs.finite import FiniteEnv
from envs.mdp import MDP

#: (row, column) steps of the first four actions of every grid: up, right, down, left
MOVES = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])

FREE, WALL, START, GOAL = ".", "#", "S", "G"


def read_layout(lines: Sequence[str]) -> Array:
    """The characters ``(rows, columns)`` of lines of text.

    Raises:
        ValueError: there is no cell, or the lines differ in length.
    """
    if not lines or not lines[0]:
        raise ValueError("the layout is empty: give one line of characters a row")
    for row, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise ValueError(f"row {row} of the layout has {len(line)} cells: row 0 has {len(lines[0])}")
    return np.array([list(line) for line in lines])


def neighbours(walls: Array) -> Array:
    """The cell each of the four moves leads to; a move off the grid or into a wall stays where it is.

    Args:
        walls: ``(..., rows, columns)`` bool; leading axes are separate grids.

    Returns:
        ``(cells, 4)`` int32 indices into ``walls.ravel()``, for every cell, walls included.
    """
    rows, columns = walls.shape[-2:]
    own = np.arange(walls.size, dtype=np.int32).reshape(walls.shape)
    fenced = np.pad(walls, [(0, 0)] * (walls.ndim - 2) + [(1, 1), (1, 1)], constant_values=True)
    reached = np.empty((*walls.shape, len(MOVES)), np.int32)
    for action, (down, right) in enumerate(MOVES.tolist()):
        blocked = fenced[..., 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        reached[..., action] = np.where(blocked, own, own + np.int32(down * columns + right))
    return reached.reshape(-1, len(MOVES))


class GridEnv(FiniteEnv):
    """A finite environment whose states lie on a grid: text, pictures, and functions drawn over the grid.

    Attributes:
        characters: ``(rows, columns)`` one character a cell, as the layout is written.
    """

    metadata: dict[str, Any] = {**FiniteEnv.metadata, "render_modes": ["rgb_array", "ansi"], "render_fps": 8}
    icons: ClassVar[Mapping[str, str]] = {GOAL: "goal"}  # character -> how `envs.grid.drawing` shows the cell

    def __init__(self, num_envs: int, *, mdp: MDP, characters: Array, moves: Array = MOVES, **kwargs: Any) -> None:
        self.characters, self.moves = characters, moves
        super().__init__(num_envs, mdp=mdp, **kwargs)

    def cells(self, states: ArrayLike) -> Array:
        """Row and column ``(..., 2)`` of states ``(...)``."""
        return np.stack(np.divmod(states, self.characters.shape[1]), axis=-1)

    def _view(self, lane: int) -> tuple[Array, Array]:
        """What a lane sees: characters and states ``(rows, columns)``, the latter -1 where there is none."""
        return self.characters, np.arange(self.characters.size).reshape(self.characters.shape)

    def draw(
        self,
        values: ArrayLike | None = None,
        policy: ArrayLike | None = None,
        path: ArrayLike | None = None,
        *,
        lane: int = 0,
    ) -> NDArray[np.uint8]:
        """The world with functions of its states drawn over it, without the agent.

        Args:
            values: ``(states,)`` shown as colours, and as numbers where cells are large enough: shades from
                dark (lowest) to light, or red and blue about white zero where there are both signs. policy:
                ``(states, actions)`` probabilities; an arrow for every action with a positive one. path:
                ``(steps,)`` states, joined by a line. lane: whose maze, and whose carrots, are shown where
                lanes differ.

        Returns:
            ``(height, width, 3)`` uint8.

        Raises:
            ValueError: a shape does not fit, or a state of the path does not exist.
        """
        from envs.grid.drawing import draw_grid

        characters, states = self._view(lane)
        n_states, n_actions = self.mdp.allowed.shape
        living = (states >= 0) & ~self.mdp.terminal[states]
        layers: dict[str, Array] = {}
        if values is not None:
            function = _of_shape(values, (n_states,), "values")
            layers["values"] = np.where(living, function[states], np.nan)
        if policy is not None:
            function = _of_shape(policy, (n_states, n_actions), "policy")
            layers["policy"] = np.where(living[..., None], function[states], 0.0)
        if path is not None:
            visited = np.asarray(path, np.int64).reshape(-1)
            if visited.size and (visited.min() < 0 or visited.max() >= n_states):
                raise ValueError(f"path has states {visited.min()} to {visited.max()}: give 0 to {n_states - 1}")
            layers["path"] = self.cells(visited)
        return draw_grid(characters, self.icons, self.moves, **layers)

    def _render_lane(self, lane: int) -> str | NDArray[np.uint8]:
        from envs.grid.drawing import draw_grid

        characters, _ = self._view(lane)
        agent = self.cells(self.fields["state"][lane])
        if self.render_mode == "ansi":
            characters = characters.copy()
            characters[tuple(agent)] = "@"
            return "\n".join("".join(row) for row in characters)
        return draw_grid(characters, self.icons, self.moves, agent=agent)


def _of_shape(value: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = np.asarray(value, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} of shape {array.shape}: give {shape}")
    return array

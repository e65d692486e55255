"""Windy grid world: an upward wind shifts every move in the middle of the grid."""

from typing import Any, ClassVar

import numpy as np

from envs.batched import Array
from envs.grid.layout import GOAL, MOVES, START, GridEnv
from envs.mdp import MDP
from envs.single import SingleEnv

WIND = np.array([0, 0, 0, 1, 1, 1, 2, 2, 1, 0])  # cells upwards, of each column
ROWS, BEGIN, END = 7, (3, 0), (3, 7)

_DIAGONALS = np.array([(-1, 1), (1, 1), (1, -1), (-1, -1)])
MOVE_SETS = {
    "four": MOVES,
    "king": np.concatenate([MOVES, _DIAGONALS]),
    "king+stay": np.concatenate([MOVES, _DIAGONALS, [(0, 0)]]),
}


class WindyGridWorld(GridEnv):
    """From the start to the goal across a grid of 7 x 10 cells in which the wind blows upwards.

    Sutton & Barto (2018), example 6.5, exercise 6.9 (king's moves) and exercise 6.10 (stochastic wind).

    ## Actions: ``Discrete(4)``, ``Discrete(8)`` or ``Discrete(9)``
    | action | meaning | with ``moves`` |
    |---|---|---|
    | 0, 1, 2, 3 | up, right, down, left | all |
    | 4, 5, 6, 7 | up and right, down and right, down and left, up and left | "king", "king+stay" |
    | 8 | stay, and be blown | "king+stay" |

    The wind of the column that is left is added: 0 0 0 1 1 1 2 2 1 0 cells upwards. The edges of the grid
    stop a move.

    ## Observations: ``Discrete(70)``
    The cell's index, row by row: start 30, goal 37.

    ## Reward
    -1 a step.

    ## Episode
    Starts at 30. Terminates at 37, at best after 15 steps (7 with king's moves); is truncated after
    ``max_episode_steps`` (1000).

    ## Keywords
    - ``moves="four"``, "king" or "king+stay".
    - ``stochastic_wind=False``: where the wind blows, it is one cell weaker, as given, or one cell stronger,
      each with probability 1/3.
    - those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    icons: ClassVar = {GOAL: "goal", "1": "wind", "2": "strong wind"}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        moves: str = "four",
        stochastic_wind: bool = False,
        max_episode_steps: int | None = 1000,
        **kwargs: Any,
    ) -> None:
        if moves not in MOVE_SETS:
            raise ValueError(f"moves={moves!r}: use one of {', '.join(MOVE_SETS)}")
        characters = np.tile(np.where(WIND, WIND.astype("U1"), "."), (ROWS, 1))
        characters[BEGIN], characters[END] = START, GOAL
        super().__init__(
            num_envs,
            mdp=build(MOVE_SETS[moves], stochastic_wind),
            characters=characters,
            moves=MOVE_SETS[moves],
            max_episode_steps=max_episode_steps,
            **kwargs,
        )


def build(moves: Array, stochastic_wind: bool) -> MDP:
    """The model for ``moves`` (actions, 2)."""
    columns = len(WIND)
    row, column = (index.reshape(-1, 1, 1) for index in np.indices((ROWS, columns)))  # (cells, 1, 1)
    gusts = np.array([-1, 0, 1] if stochastic_wind else [0])
    wind = WIND[column] + gusts * (WIND[column] > 0)
    # (cells, actions, gusts): the move and the wind together, stopped by the edge
    reached_row = np.clip(row + moves[:, :1] - wind, 0, ROWS - 1)
    reached_column = np.clip(column + moves[:, 1:], 0, columns - 1)
    reached = reached_row * columns + reached_column
    states, actions, _ = np.indices(reached.shape, np.int32).reshape(3, -1)
    cells = np.arange(ROWS * columns)
    return MDP.from_outcomes(
        reached.shape[:2],
        states,
        actions,
        reached.ravel(),
        np.full(reached.size, 1 / len(gusts)),
        np.full(reached.size, -1.0),
        terminal=cells == np.ravel_multi_index(END, (ROWS, columns)),
        start=(cells == np.ravel_multi_index(BEGIN, (ROWS, columns))).astype(float),
    )


class WindyGridWorldEnv(SingleEnv):
    batched = WindyGridWorld

"""Cliff walking: a short way along the edge, a long way that is safe."""

from typing import Any, ClassVar

import numpy as np

from envs.batched import Array
from envs.grid.layout import GOAL, START, GridEnv, neighbours, read_layout
from envs.mdp import MDP
from envs.single import SingleEnv

CLIFF = "C"
LAYOUT = ["............", "............", "............", "SCCCCCCCCCCG"]


class CliffWalking(GridEnv):
    """From the start to the goal along the edge of a cliff; who falls is back at the start.

    Sutton & Barto (2018), example 6.6: Sarsa learns the safe way, Q-learning the optimal one, 13 steps along
    the edge.

    ## Actions: ``Discrete(4)``
    | action | meaning |
    |---|---|
    | 0 | up |
    | 1 | right |
    | 2 | down |
    | 3 | left |

    ## Observations: ``Discrete(48)``
    The cell's index, row by row, in 4 rows of 12: start 36, cliff 37 to 46, goal 47. These are the numbers
    (and the whole model is that) of Gymnasium's ``CliffWalking``; cells of the cliff are never observed.

    ## Reward
    -1 a step; -100 for the step that falls, which leads to the start, and the episode goes on.

    ## Episode
    Starts at 36. Terminates at 47; is truncated after ``max_episode_steps`` (1000).

    ## Keywords
    Those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    icons: ClassVar = {GOAL: "goal", CLIFF: "cliff"}

    def __init__(self, num_envs: int = 1, *, max_episode_steps: int | None = 1000, **kwargs: Any) -> None:
        characters = read_layout(LAYOUT)
        super().__init__(
            num_envs,
            mdp=build(characters),
            characters=characters,
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _view(self, lane: int) -> tuple[Array, Array]:
        characters, states = super()._view(lane)
        return characters, np.where(characters == CLIFF, -1, states)  # no one is ever there


def build(characters: Array) -> MDP:
    """The model of a grid of ``characters`` (rows, columns) with one start, a cliff and goals."""
    names = characters.ravel()
    reached = neighbours(np.zeros(characters.shape, np.bool_))
    falls = names[reached] == CLIFF
    start = names == START
    shape = reached.shape
    states, actions = np.indices(shape, np.int32).reshape(2, -1)
    return MDP.from_outcomes(
        shape,
        states,
        actions,
        np.where(falls, start.argmax(), reached).ravel(),
        np.ones(falls.size),
        np.where(falls, -100.0, -1.0).ravel(),
        terminal=names == GOAL,
        start=start.astype(float),
    )


class CliffWalkingEnv(SingleEnv):
    batched = CliffWalking

"""Grid world: cells, walls, goals and teleports, given as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.batched import Array
from envs.grid.layout import FREE, GOAL, START, WALL, GridEnv, neighbours, read_layout
from envs.mdp import MDP
from envs.single import SingleEnv

LAYOUT = """
G...
....
....
...G
"""

#: Sutton & Barto (2018), example 3.5: ``GridWorld(**SUTTON_BARTO_3_5)``
SUTTON_BARTO_3_5: dict[str, Any] = dict(
    layout="""
        .A.B.
        .....
        ...b.
        .....
        .a...
    """,
    teleports={"A": ("a", 10.0), "B": ("b", 5.0)},
    step_reward=0.0,
    bump_reward=-1.0,
)


class GridWorld(GridEnv):
    """A robot moves from cell to cell until it reaches a goal.

    The default is the book's robot (chapter 8, "Policy evaluation example"): a 4 x 4 grid whose first and
    last cell are terminal, -1 a step. Any other grid is one keyword away.

    ## Actions: ``Discrete(4)``
    | action | meaning |
    |---|---|
    | 0 | up |
    | 1 | right |
    | 2 | down |
    | 3 | left |

    A move off the grid or into a wall stays in its cell, and is rewarded all the same.

    ## Observations: ``Discrete(rows * columns)``
    The cell's index, row by row: ``row * columns + column``. Walls are numbered as well; no one enters them,
    and the model calls them terminal, so that their value is 0.

    ## Reward
    ``step_reward``; entering a cell whose letter is in ``rewards`` gives that number instead. A move off the
    grid or into a wall enters nothing: it gives ``bump_reward``.

    ## Episode
    Starts in a cell ``S`` (uniformly in one of them), without any in a uniformly drawn cell that is not
    terminal. Terminates in a cell ``G``; is truncated after ``max_episode_steps`` (1000).

    ## Keywords
    - ``layout``: lines of characters: ``.`` free, ``#`` wall, ``S`` start, ``G`` goal, other letters free
      cells with a name. Blanks around the lines are ignored.
    - ``slip=0.0``: probability that a move goes astray, to one or the other side with half of it each.
    - ``step_reward=-1.0``, ``bump_reward=None`` (None: as an ordinary step), ``rewards={}`` (letter to
      reward).
    - ``teleports={}``: ``{"A": ("a", 10.0)}``: from cells ``A``, every action leads to the one cell ``a`` and
      gives 10. Sutton & Barto's example 3.5 is ``SUTTON_BARTO_3_5``.
    - those of `envs.batched.BatchedEnv`.

    Raises ``ValueError`` for lines of unequal length, other characters, letters that the layout does not
    have, a teleport to several cells, a grid of walls and goals only, ``slip`` outside [0, 1].

    ## Versions
    v0.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        layout: str = LAYOUT,
        slip: float = 0.0,
        step_reward: float = -1.0,
        bump_reward: float | None = None,
        rewards: Mapping[str, float] | None = None,
        teleports: Mapping[str, tuple[str, float]] | None = None,
        max_episode_steps: int | None = 1000,
        **kwargs: Any,
    ) -> None:
        characters = read_layout(layout.split())
        mdp = build(characters, slip, step_reward, bump_reward, rewards or {}, teleports or {})
        super().__init__(num_envs, mdp=mdp, characters=characters, max_episode_steps=max_episode_steps, **kwargs)


def build(
    characters: Array,
    slip: float,
    step_reward: float,
    bump_reward: float | None,
    rewards: Mapping[str, float],
    teleports: Mapping[str, tuple[str, float]],
) -> MDP:
    """The model of a grid of ``characters`` (rows, columns); see `GridWorld` for the rest."""
    if not 0 <= slip <= 1:
        raise ValueError(f"slip={slip}: give a probability from 0 to 1")
    names = characters.ravel()
    for name in np.unique(names).tolist():
        if name not in (FREE, WALL) and not (name.isascii() and name.isalpha()):
            raise ValueError(f"{name!r} in the layout: use . free, # wall, S start, G goal, or letters")
    terminal = (names == GOAL) | (names == WALL)
    if terminal.all():
        raise ValueError("the layout has walls and goals only: leave a cell to start in")

    own = np.arange(names.size)[:, None]
    reached = neighbours(characters == WALL)  # (cells, 4)
    entering = np.full(names.size, step_reward)
    for letter, reward in rewards.items():
        entering[_named(names, letter, "rewards")] = reward
    bump = step_reward if bump_reward is None else bump_reward
    move_rewards = np.where(reached == own, bump, entering[reached])
    for letter, (target, reward) in teleports.items():
        source, destination = _named(names, letter, "teleports"), _named(names, target, "teleports")
        if len(destination) > 1:
            raise ValueError(f"teleports lead to {target!r}, the name of {len(destination)} cells: name one")
        reached[source], move_rewards[source] = destination[0], reward

    turns = np.array([0, 1, -1] if slip else [0])  # straight on, to the right, to the left
    probabilities = np.array([1 - slip, slip / 2, slip / 2] if slip else [1.0])
    taken = (np.arange(4)[:, None] + turns) % 4  # (4, turns)
    shape = (names.size, 4, len(turns))
    states, actions, _ = np.indices(shape, np.int32).reshape(3, -1)
    starts = names == START if START in names else ~terminal
    return MDP.from_outcomes(
        shape[:2],
        states,
        actions,
        reached[:, taken].ravel(),
        np.broadcast_to(probabilities, shape).ravel(),
        move_rewards[:, taken].ravel(),
        terminal=terminal,
        start=starts / starts.sum(),
    )


def _named(names: Array, letter: str, keyword: str) -> Array:
    """The cells that bear a letter."""
    cells = np.flatnonzero(names == letter)
    if letter in (FREE, WALL) or not len(cells):
        letters = "".join(sorted(set(names.tolist()) - {FREE, WALL})) or "none"
        raise ValueError(f"{keyword} names {letter!r}: the letters of the layout are {letters}")
    return cells


class GridWorldEnv(SingleEnv):
    batched = GridWorld

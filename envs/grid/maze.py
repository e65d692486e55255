"""Maze: find the exit, eat the carrots, avoid the traps."""

from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
import scipy.ndimage
from numba import njit
from numpy.typing import ArrayLike

from envs.batched import Array, Lanes
from envs.grid.layout import FREE, START, WALL, GridEnv, neighbours, read_layout
from envs.grid.maze_generation import generate
from envs.mdp import MDP
from envs.single import SingleEnv

EXIT, CARROT, TRAP = "E", "c", "t"
MOST_CARROTS = 8
_ALIASES = {"0": WALL, "1": FREE, " ": FREE}


class Maze(GridEnv):
    """A rectangular maze with an exit; carrots on the way are worth a detour, traps are to be avoided.

    The game of the book's chapter 8 ("RL paradigms"): cells of value 0 are walls, cells of value 1 paths.

    ## Actions: ``Discrete(4)``
    | action | meaning |
    |---|---|
    | 0 | up |
    | 1 | right |
    | 2 | down |
    | 3 | left |

    A move off the grid or into a wall stays in its cell.

    ## Observations
    | ``observation`` | space | meaning |
    |---|---|---|
    | "index" | ``Discrete(states)`` | ``(maze * 2**carrots + eaten) * open_cells + cell`` |
    | "coordinates" | ``Box((2 + carrots,), int32)`` | row, column, for each carrot 1 while it is there |
    | "planes" | ``Box((5, rows, columns), uint8)`` | 0 or 1 a cell: wall, agent, exit, carrot left, trap |

    ``cell`` counts the open cells row by row, and bit k of ``eaten`` says that carrot k is gone (carrots are
    counted row by row, too). "coordinates" does not tell which of several mazes it is, and is then no Markov
    state.

    ## Reward
    The sum of ``step_reward`` (-0.01) for every step, ``carrot_reward`` (0.5) for a carrot, once an episode,
    ``trap_reward`` (-0.5) for each time a trap is entered, and ``exit_reward`` (1) for reaching the exit.

    ## Episode
    Starts at ``S`` (uniformly at one of them), in one maze drawn uniformly. Terminates at the exit; is
    truncated after ``max_episode_steps``; "4 x cells", the default, is 4 times the number of open cells.

    ## Keywords
    - ``layout``: lines of ``#`` or ``0`` wall, ``.``, ``1`` or blank path, ``S`` start, ``E`` exit, ``c``
      carrot, ``t`` trap; or an array ``(rows, columns)`` of 0 and 1 together with ``start=(row, column)`` and
      ``exit=(row, column)``.
    - or, without a layout, a maze made by `envs.grid.maze_generation.generate`: ``size=(9, 9)``,
      ``maze_seed=0``, ``loops=0.0`` (fraction of the walls between rooms that is opened on top of the perfect
      maze), ``carrots=0``, ``traps=0``; and ``mazes=1``, how many different ones, with the seeds
      ``maze_seed``, ``maze_seed + 1``, ...
    - ``observation="index"``; ``step_reward``, ``carrot_reward``, ``trap_reward``, ``exit_reward``.
    - those of `envs.batched.BatchedEnv`.

    Raises ``ValueError`` for sizes below 2 x 3, other characters, no start or exit, an exit that cannot be
    reached from every start, a start on a wall, more than 8 carrots, more carrots and traps than free cells.

    ## Versions
    v0.
    """

    icons: ClassVar = {EXIT: "goal", CARROT: "carrot", TRAP: "trap"}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        layout: str | ArrayLike | None = None,
        start: tuple[int, int] | None = None,
        exit: tuple[int, int] | None = None,
        size: tuple[int, int] = (9, 9),
        maze_seed: int = 0,
        loops: float = 0.0,
        carrots: int = 0,
        traps: int = 0,
        mazes: int = 1,
        observation: Literal["index", "coordinates", "planes"] = "index",
        step_reward: float = -0.01,
        carrot_reward: float = 0.5,
        trap_reward: float = -0.5,
        exit_reward: float = 1.0,
        max_episode_steps: int | Literal["4 x cells"] | None = "4 x cells",
        **kwargs: Any,
    ) -> None:
        if layout is None:
            if start is not None or exit is not None:
                raise ValueError(f"start={start}, exit={exit}: these belong to a layout given as an array")
            if mazes < 1:
                raise ValueError(f"mazes={mazes}: give a positive number")
            if carrots > MOST_CARROTS:
                raise ValueError(f"carrots={carrots}: at most {MOST_CARROTS}, as each doubles the states")
            self.mazes = np.stack([generate(size, maze_seed + i, loops, carrots, traps) for i in range(mazes)])
        else:
            if loops or carrots or traps or mazes != 1:
                raise ValueError("loops, carrots, traps and mazes are for generated mazes: draw them into the layout")
            self.mazes = read_maze(layout, start, exit)[None]
        check(self.mazes)

        self.columns = self.mazes.shape[2]
        flat = self.mazes.reshape(len(self.mazes), -1)
        #: (mazes, open cells) int32: where each open cell lies, row * columns + column
        self.places = np.nonzero(flat != WALL)[1].reshape(len(flat), -1).astype(np.int32)
        #: (mazes, carrots) int32: where the carrots lie
        self.carrots = np.nonzero(flat == CARROT)[1].reshape(len(flat), -1).astype(np.int32)
        mdp = build(self.mazes, step_reward, carrot_reward, trap_reward, exit_reward)
        if max_episode_steps == "4 x cells":
            max_episode_steps = 4 * self.places.shape[1]
        self.observation = observation
        super().__init__(
            num_envs,
            mdp=mdp,
            characters=self.mazes[0],
            observation_space=self._space(observation, mdp),
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _space(self, observation: str, mdp: MDP) -> gym.Space[Any]:
        rows, columns = self.mazes.shape[1:]
        if observation == "index":
            return gym.spaces.Discrete(mdp.n_states)
        if observation == "coordinates":
            high = np.array([rows - 1, columns - 1] + [1] * self.carrots.shape[1], np.int32)
            return gym.spaces.Box(np.zeros_like(high), high, dtype=np.int32)
        if observation == "planes":
            # the agent's plane is filled in for each observation
            planes = [self.mazes == name for name in (WALL, "@", EXIT, CARROT, TRAP)]
            self._planes = np.stack(planes, axis=1).astype(np.uint8)
            return gym.spaces.Box(0, 1, self._planes.shape[1:], np.uint8)
        raise ValueError(f"observation={observation!r}: use index, coordinates or planes")

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        if self.observation == "coordinates":
            _observe_coordinates(lanes.fields[0], self.places, self.carrots, self.columns, out)
        elif self.observation == "planes":
            flat = self._planes.reshape(*self._planes.shape[:2], -1)
            _observe_planes(lanes.fields[0], self.places, self.carrots, flat, out.reshape(len(out), 5, -1))
        else:
            super()._observe_lanes(lanes, out)

    def cells(self, states: ArrayLike) -> Array:
        """Row and column ``(..., 2)`` of states ``(...)``."""
        block, cell = np.divmod(states, self.places.shape[1])
        return np.stack(np.divmod(self.places[block >> self.carrots.shape[1], cell], self.columns), axis=-1)

    def _view(self, lane: int) -> tuple[Array, Array]:
        n_open, n_carrots = self.places.shape[1], self.carrots.shape[1]
        block = int(self.fields["state"][lane]) // n_open
        maze, eaten = block >> n_carrots, block & ((1 << n_carrots) - 1)
        characters = self.mazes[maze].copy()
        bits = 1 << np.arange(n_carrots)
        left = eaten & bits == 0
        characters.flat[self.carrots[maze][~left]] = FREE
        states = np.full(characters.shape, -1)
        states.flat[self.places[maze]] = block * n_open + np.arange(n_open)
        states.flat[self.carrots[maze][left]] += bits[left] * n_open  # whoever is there has eaten the carrot
        return characters, states


@njit(cache=True, nogil=True)
def _observe_coordinates(states: Array, places: Array, carrots: Array, columns: int, out: Array) -> None:
    n_open, n_carrots = places.shape[1], carrots.shape[1]
    for lane in range(states.shape[0]):
        block, cell = states[lane] // n_open, states[lane] % n_open
        place = places[block >> n_carrots, cell]
        out[lane, 0], out[lane, 1] = place // columns, place % columns
        for carrot in range(n_carrots):
            out[lane, 2 + carrot] = 1 - (block >> carrot & 1)


@njit(cache=True, nogil=True)
def _observe_planes(states: Array, places: Array, carrots: Array, planes: Array, out: Array) -> None:
    n_open, n_carrots = places.shape[1], carrots.shape[1]
    for lane in range(states.shape[0]):
        block, cell = states[lane] // n_open, states[lane] % n_open
        maze = block >> n_carrots
        out[lane] = planes[maze]
        out[lane, 1, places[maze, cell]] = 1
        for carrot in range(n_carrots):
            if block >> carrot & 1:
                out[lane, 3, carrots[maze, carrot]] = 0


def read_maze(layout: str | ArrayLike, start: tuple[int, int] | None, exit: tuple[int, int] | None) -> Array:
    """The characters ``(rows, columns)`` of a layout: text, or 0 and 1 with a start and an exit.

    Raises:
        ValueError: unknown characters or numbers, unequal rows, a start or exit that is missing or on a wall.
    """
    if isinstance(layout, str):
        if start is not None or exit is not None:
            raise ValueError(f"start={start}, exit={exit}: write S and E into a layout given as text")
        characters = read_layout(layout.strip("\n").split("\n"))
        for alias, name in _ALIASES.items():
            characters[characters == alias] = name
        for name in np.unique(characters).tolist():
            if name not in (WALL, FREE, START, EXIT, CARROT, TRAP):
                raise ValueError(f"{name!r} in the layout: use # or 0, . or 1 or blank, S, E, c, t")
        return characters
    cells = np.asarray(layout)
    if cells.ndim != 2 or not np.isin(cells, (0, 1)).all():
        raise ValueError(f"a layout of shape {cells.shape}: give rows and columns of 0 (wall) and 1 (path)")
    characters = np.where(cells.astype(np.bool_), FREE, WALL)
    for name, keyword, place in ((START, "start", start), (EXIT, "exit", exit)):
        if place is None:
            raise ValueError(f"a layout given as an array needs {keyword}=(row, column)")
        row, column = place
        if not (0 <= row < cells.shape[0] and 0 <= column < cells.shape[1]):
            raise ValueError(f"{keyword}={place}: the maze has {cells.shape[0]} rows and {cells.shape[1]} columns")
        if characters[row, column] != FREE:
            raise ValueError(f"{keyword}={place} is a wall or taken: choose a free path")
        characters[row, column] = name
    return characters


def check(mazes: Array) -> None:
    """Refuse mazes ``(mazes, rows, columns)`` that cannot be solved, or have too many carrots.

    Raises:
        ValueError: no start, no exit, an exit out of reach, more than 8 carrots.
    """
    for maze in mazes:
        starts = maze == START
        for name, found in (("start S", starts.any()), ("exit E", (maze == EXIT).any())):
            if not found:
                raise ValueError(f"the maze has no {name}: mark one")
        carrots = int((maze == CARROT).sum())
        if carrots > MOST_CARROTS:
            raise ValueError(f"{carrots} carrots: at most {MOST_CARROTS}, as each doubles the states")
        region, _ = scipy.ndimage.label(maze != WALL)
        cut_off = starts & ~np.isin(region, region[maze == EXIT])
        if cut_off.any():
            place = tuple(np.argwhere(cut_off)[0].tolist())
            raise ValueError(f"no exit can be reached from the start at {place}: open a way through the walls")


def build(mazes: Array, step_reward: float, carrot_reward: float, trap_reward: float, exit_reward: float) -> MDP:
    """The model of mazes ``(mazes, rows, columns)`` that have the same numbers of open cells and of carrots."""
    is_open = mazes != WALL
    names = mazes[is_open].reshape(len(mazes), -1)  # (mazes, open cells)
    n_mazes, n_open = names.shape
    n_masks = 1 << int((names[0] == CARROT).sum())
    n_states = n_mazes * n_masks * n_open
    if n_states > 2**24:  # some 10 GB
        raise ValueError(f"{n_states} states, more than {2**24}: use fewer cells, carrots or mazes")
    place_rewards = trap_reward * (names == TRAP) + exit_reward * (names == EXIT)
    next_states, rewards = _outcomes(is_open, names, n_masks, step_reward, carrot_reward, place_rewards)
    start = np.zeros((n_mazes, n_masks, n_open))
    # every maze equally often, with all its carrots
    start[:, 0] = (names == START) / (names == START).sum(axis=1, keepdims=True) / n_mazes
    return MDP.from_outcomes(
        (n_states, 4),
        np.repeat(np.arange(n_states, dtype=np.int32), 4),
        np.tile(np.arange(4, dtype=np.int8), n_states),
        next_states,
        np.broadcast_to(1.0, n_states * 4),
        rewards,
        terminal=np.repeat(names == EXIT, n_masks, axis=0).ravel(),
        start=start.ravel(),
    )


def _outcomes(
    is_open: Array, names: Array, n_masks: int, step_reward: float, carrot_reward: float, place_rewards: Array
) -> tuple[Array, Array]:
    """Next states and rewards of all ``mazes * masks * open cells * 4`` pairs; memory is what limits a maze's size."""
    n_mazes, n_open = names.shape
    number = np.cumsum(is_open, dtype=np.int32) - np.int32(1)  # of an open cell, counted over all mazes
    reached = number[neighbours(~is_open)[is_open.ravel()]]
    rewards = place_rewards.ravel()[reached]
    rewards[reached == np.arange(reached.shape[0], dtype=np.int32)[:, None]] = 0.0  # nothing is entered
    rewards += step_reward

    bits = np.zeros(names.size, np.int32)  # 2^k at carrot k
    bits[names.ravel() == CARROT] = np.tile(1 << np.arange(n_masks.bit_length() - 1), n_mazes)
    eaten = np.arange(n_masks, dtype=np.int32)[:, None, None]
    reached = reached.reshape(n_mazes, 1, n_open, 4)
    next_eaten = eaten | bits[reached]
    # reached = maze * open_cells + cell; the state is (maze * masks + eaten) * open_cells + cell
    earlier = np.arange(n_mazes, dtype=np.int32)[:, None, None, None] * np.int32(n_masks - 1)
    next_states = reached + (earlier + next_eaten) * np.int32(n_open)
    rewards = rewards.reshape(n_mazes, 1, n_open, 4)
    if n_masks > 1:
        rewards = rewards + carrot_reward * (next_eaten != eaten)
    return next_states.ravel(), rewards.ravel()


class MazeEnv(SingleEnv):
    batched = Maze

"""Compiled rules of `envs.grid.instruction_maze`: drawing mazes, shortest ways, steps, what is seen."""

import numpy as np
from numba import njit

from envs import rng as lane_rng
from envs.batched import Array
from envs.grid.maze_generation import carve

# What a cell holds: OBJECT + k is object k, EXIT + k the door in side k.
FREE, WALL, OBJECT, EXIT = 0, 1, 2, 6
OBJECTS, SIDES = EXIT - OBJECT, 4
TRIES = 20  # rooms tried for an object, before another maze is drawn

# Planes of an observation; then one for each of the objects and of the doors
WALL_PLANE, AGENT_PLANE, THINGS_PLANE = 0, 1, 2
PLANES = THINGS_PLANE + OBJECTS + SIDES


@njit(cache=True, nogil=True)
def _flood(cells: Array, columns: int, queue: Array, sources: int, taken: Array, steps: Array) -> int:
    """Steps to each cell ``steps (cells,)`` from the nearest of ``queue[:sources]``, -1 where there is no way.

    Ways lead over free cells and over those of the objects that are ``taken (objects,)``. Returns how many cells have
    been reached, the sources included.
    """
    steps[:] = -1
    for place in range(sources):
        steps[queue[place]] = 0
    first, end = 0, sources
    while first < end:
        cell = queue[first]
        first += 1
        for move in (-columns, 1, columns, -1):
            near = cell + move
            if near < 0 or near >= cells.shape[0] or steps[near] >= 0:
                continue
            code = cells[near]
            if code == FREE or (OBJECT <= code < EXIT and taken[code - OBJECT]):
                steps[near] = steps[cell] + 1
                queue[end] = near
                end += 1
    return end


@njit(cache=True, nogil=True)
def _room(cells: Array, columns: int, rng: Array) -> int:
    """A room, drawn uniformly; rooms lie at odd rows and columns."""
    rows = cells.shape[0] // columns
    row = 2 * lane_rng.integers(rng, rows // 2) + 1
    return row * columns + 2 * lane_rng.integers(rng, columns // 2) + 1


@njit(cache=True, nogil=True)
def _build(cells: Array, columns: int, loops: float, rng: Array) -> int:
    """Walls, paths and doors of a maze; returns the number of free cells."""
    rows = cells.shape[0] // columns
    paths = np.zeros((rows - 2, columns - 2), np.bool_)
    carve(paths, rng)
    cells[:] = WALL
    free = 0
    for row in range(1, rows - 1):
        for column in range(1, columns - 1):
            path = paths[row - 1, column - 1]
            if not path and (row + column) % 2 == 1:  # a wall between two rooms
                path = lane_rng.random(rng) < loops
            if path:
                cells[row * columns + column] = FREE
                free += 1
    north, east = 2 * lane_rng.integers(rng, columns // 2) + 1, 2 * lane_rng.integers(rng, rows // 2) + 1
    south, west = 2 * lane_rng.integers(rng, columns // 2) + 1, 2 * lane_rng.integers(rng, rows // 2) + 1
    cells[north] = EXIT
    cells[east * columns + columns - 1] = EXIT + 1
    cells[(rows - 1) * columns + south] = EXIT + 2
    cells[west * columns] = EXIT + 3
    return free


@njit(cache=True, nogil=True)
def _stands_well(room: int, places: Array, cells: Array, columns: int, free: int, queue: Array, steps: Array) -> bool:
    """Whether all ``free`` cells still hang together, with each object in ``places`` beside one of them.

    And whether none of them is right behind a door: then everything can be reached without taking any other thing.
    """
    for move in (-columns, 1, columns, -1):
        if cells[room + move] >= EXIT:
            return False
    queue[0] = np.argmax(cells == FREE)
    if _flood(cells, columns, queue, 1, np.zeros(OBJECTS, np.bool_), steps) < free:
        return False
    for place in places:
        if max(steps[place - columns], steps[place + 1], steps[place + columns], steps[place - 1]) < 0:
            return False
    return True


@njit(cache=True, nogil=True)
def _furnish(cells: Array, columns: int, free: int, rng: Array, queue: Array, steps: Array) -> bool:
    """Put every object into a room of its own; False where no room was found for one."""
    places = np.empty(OBJECTS, np.int64)
    for number in range(OBJECTS):
        found = False
        for _ in range(TRIES):
            room = _room(cells, columns, rng)
            if cells[room] != FREE:
                continue
            cells[room], places[number] = OBJECT + number, room
            found = _stands_well(room, places[: number + 1], cells, columns, free - number - 1, queue, steps)
            if found:
                break
            cells[room] = FREE
        if not found:
            return False
    return True


@njit(cache=True, nogil=True)
def _plan(cells: Array, columns: int, goals: Array, exits: Array, queue: Array, distances: Array) -> None:
    """Steps to the end of the task ``(stages, cells)`` in each of its stages, over what may be entered by then.

    The last stage leads to an exit, stage k before it to the object ``goals[k]``; -1 where there is no way.
    """
    taken = np.zeros(OBJECTS, np.bool_)
    places = np.zeros(goals.shape[0], np.int64)
    stages = 0
    while stages < goals.shape[0] and goals[stages] >= 0:
        places[stages] = queue[0] = np.argmax(cells == OBJECT + goals[stages])
        _flood(cells, columns, queue, 1, taken, distances[stages])
        taken[goals[stages]] = True
        stages += 1
    doors = 0
    for cell in range(cells.shape[0]):
        if cells[cell] >= EXIT and exits[cells[cell] - EXIT]:
            queue[doors] = cell
            doors += 1
    _flood(cells, columns, queue, doors, taken, distances[stages])
    for stage in range(stages - 1, -1, -1):  # and on from there to the end
        further = distances[stage + 1, places[stage]]
        for cell in range(cells.shape[0]):
            if distances[stage, cell] >= 0:
                distances[stage, cell] += further


@njit(cache=True, nogil=True)
def reset(
    mask: Array,
    rng: Array,
    columns: int,
    loops: float,
    groups: Array,
    members: Array,
    forced: Array,
    goals: Array,
    exits: Array,
    cells: Array,
    place: Array,
    instruction: Array,
    stage: Array,
    distances: Array,
) -> None:
    """Draw a maze and an instruction for every lane of the mask.

    Args:
        groups: ``(templates + 1,)`` where those of each template begin in ``members``, numbers of instructions.
        forced: ``(lanes,)`` the instruction wanted, or -1.
        goals, exits: ``(instructions, ...)`` what is to be taken, -1 for nothing; by which exits to leave.
        cells, place, instruction, stage, distances: the lanes' fields.
    """
    queue = np.empty(cells.shape[1], np.int64)
    for lane in range(mask.shape[0]):
        if not mask[lane]:
            continue
        own = cells[lane]
        while not _furnish(own, columns, _build(own, columns, loops, rng[lane]), rng[lane], queue, distances[lane, 0]):
            pass
        start = _room(own, columns, rng[lane])
        while own[start] != FREE:
            start = _room(own, columns, rng[lane])
        # the maze is drawn before the instruction: it tells nothing about it
        group = lane_rng.integers(rng[lane], groups.shape[0] - 1)
        wanted = members[groups[group] + lane_rng.integers(rng[lane], groups[group + 1] - groups[group])]
        if forced[lane] >= 0:
            wanted = forced[lane]
        place[lane], instruction[lane], stage[lane] = start, wanted, 0
        _plan(own, columns, goals[wanted], exits[wanted], queue, distances[lane])


@njit(cache=True, nogil=True)
def step(
    actions: Array,
    ended: Array,
    columns: int,
    goals: Array,
    exits: Array,
    step_reward: float,
    object_reward: float,
    exit_reward: float,
    mistake_reward: float,
    progress_reward: float,
    rewards: Array,
    terminated: Array,
    cells: Array,
    place: Array,
    instruction: Array,
    stage: Array,
    distances: Array,
    success: Array,
) -> None:
    """Move every lane that has not ended."""
    moves = (-columns, 1, columns, -1)
    for lane in range(actions.shape[0]):
        if ended[lane]:
            continue
        terminated[lane] = success[lane] = False
        rewards[lane] = step_reward
        now, task, before = stage[lane], instruction[lane], place[lane]
        cell = before + moves[actions[lane]]
        code = cells[lane, cell]
        if code == WALL:
            continue
        place[lane] = cell
        goal = goals[task, now] if now < goals.shape[1] else -1
        if code >= EXIT:
            terminated[lane] = True
            success[lane] = goal < 0 and exits[task, code - EXIT]
        elif code >= OBJECT:
            terminated[lane] = code - OBJECT != goal
        if terminated[lane] and not success[lane]:
            rewards[lane] += mistake_reward
            continue
        if success[lane]:
            rewards[lane] += exit_reward
        elif code >= OBJECT:
            rewards[lane] += object_reward
            cells[lane, cell] = FREE
            stage[lane] += 1
        rewards[lane] += progress_reward * (distances[lane, now, before] - distances[lane, now, cell])


@njit(cache=True, nogil=True)
def shortest(columns: int, cells: Array, place: Array, stage: Array, distances: Array, actions: Array) -> None:
    """The first move of a shortest way to the end of the task, into ``actions (lanes,)``."""
    moves = (-columns, 1, columns, -1)
    for lane in range(actions.shape[0]):
        steps = distances[lane, stage[lane]]
        for action in range(4):
            near = place[lane] + moves[action]
            # the object or door that ends a stage is at the distance of what follows it
            if 0 <= near < steps.shape[0] and steps[near] == steps[place[lane]] - 1:
                actions[lane] = action
                break


@njit(cache=True, nogil=True)
def observe(cells: Array, place: Array, planes: Array) -> None:
    """What is to be seen, 0 or 1 a cell, into ``planes (lanes, planes, cells)``."""
    for lane in range(cells.shape[0]):
        planes[lane] = 0
        planes[lane, AGENT_PLANE, place[lane]] = 1
        for cell in range(cells.shape[1]):
            code = cells[lane, cell]
            if code == WALL:
                planes[lane, WALL_PLANE, cell] = 1
            elif code >= OBJECT:
                planes[lane, THINGS_PLANE + code - OBJECT, cell] = 1

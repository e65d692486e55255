"""Mazes from a seed: a depth-first walk through a lattice of rooms."""

import numpy as np
from numba import njit

from envs import rng as lane_rng
from envs.batched import Array


@njit(cache=True, nogil=True)
def carve(paths: Array, rng: Array) -> None:
    """Walk from room to room, always on to one not seen yet, back where there is none; open what is walked through.

    Rooms are the cells with even coordinates. Every room but the first is entered once from an earlier one,
    so the rooms form a spanning tree: exactly one way leads from any of them to any other.
    """
    rows, columns = (paths.shape[0] + 1) // 2, (paths.shape[1] + 1) // 2
    trail = np.empty((rows * columns, 2), np.int32)
    ways = np.empty((4, 2), np.int32)
    trail[0] = 0
    paths[0, 0] = True
    depth = 1
    while depth > 0:
        row, column = trail[depth - 1]
        count = 0
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1)):
            inside = 0 <= row + down < rows and 0 <= column + right < columns
            if inside and not paths[2 * (row + down), 2 * (column + right)]:
                ways[count, 0], ways[count, 1] = down, right
                count += 1
        if count == 0:
            depth -= 1
            continue
        down, right = ways[lane_rng.integers(rng, count)]
        paths[2 * row + down, 2 * column + right] = True
        paths[2 * (row + down), 2 * (column + right)] = True
        trail[depth, 0], trail[depth, 1] = row + down, column + right
        depth += 1


def generate(size: tuple[int, int], seed: int, loops: float = 0.0, carrots: int = 0, traps: int = 0) -> Array:
    """A maze as characters ``size``: ``#`` wall, ``.`` path, ``S`` start, ``E`` exit, ``c`` carrot, ``t`` trap.

    Rooms lie at even coordinates, no border is stored, and an even size leaves its last row or column a wall.
    The start is the first room and the exit the last.

    Args:
        size: (rows, columns).
        seed: the same seed and size give the same walls, whatever is put into the maze.
        loops: fraction of the walls between two rooms that is opened on top of the perfect maze.
        carrots, traps: how many, on paths drawn uniformly.

    Raises:
        ValueError: there are not two rooms, a number is out of range, or too few free cells for carrots and
        traps.
    """
    if len(size) != 2 or min(size) < 2 or max(size) < 3:
        raise ValueError(f"size={tuple(size)}: a maze has at least 2 rows and 2 columns, and 3 of one of them")
    if not 0 <= loops <= 1:
        raise ValueError(f"loops={loops}: give a fraction from 0 to 1")
    if min(carrots, traps) < 0:
        raise ValueError(f"carrots={carrots}, traps={traps}: give numbers from 0 on")
    row = np.zeros((1, lane_rng.STATE_WORDS), np.uint64)
    lane_rng.seed_rows(row, [seed])
    paths = np.zeros(size, np.bool_)
    carve(paths, row[0])
    generator = lane_rng.to_generator(row[0])

    last_row, last_column = (size[0] - 1) // 2 * 2, (size[1] - 1) // 2 * 2
    between = np.zeros(size, np.bool_)
    between[: last_row + 1 : 2, 1:last_column:2] = True
    between[1:last_row:2, : last_column + 1 : 2] = True
    closed = np.flatnonzero(between & ~paths)
    paths.flat[generator.choice(closed, round(loops * len(closed)), replace=False)] = True

    characters = np.where(paths, ".", "#")
    characters[0, 0], characters[last_row, last_column] = "S", "E"
    free = np.flatnonzero(characters == ".")
    if carrots + traps > len(free):
        raise ValueError(f"carrots={carrots} and traps={traps}: the maze has {len(free)} free cells")
    places = generator.choice(free, carrots + traps, replace=False)
    characters.flat[places[:carrots]] = "c"
    characters.flat[places[carrots:]] = "t"
    return characters

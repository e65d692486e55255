"""Examples to imitate: frames with what the teacher did on each, split by episode, balanced, mirrored, stacked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.training.errors import UserError, require

Array = NDArray[Any]

#: the book's classes (`demonstrations.BOOK_CLASSES`) as a mirror shows them: left and right change places
MIRRORED_CLASSES = np.array([0, 3, 4, 1, 2, 5, 6])
BRAKES, NOTHING, GAS = (2, 4, 6), 0, 5
BOOK_REPEATS, BOOK_KEEPS = 21, {GAS: 0.3, NOTHING: 0.7}  # the book's `train.py`; 21 is the original and 20 copies


@dataclass
class Examples:
    """Rows of all episodes, one after the other.

    Attributes:
        frames: ``(rows, *frame)``, transformed but not stacked.
        targets: ``(rows, ...)``, as the head encodes the teacher's actions.
        firsts: ``(rows,)`` int64, where the row's episode begins.
    """

    frames: Array
    targets: Array
    firsts: Array

    def __len__(self) -> int:
        return len(self.frames)

    @classmethod
    def join(cls, parts: Sequence["Examples"]) -> "Examples":
        """The rows of all parts, which hold whole episodes."""
        offsets = np.cumsum([0, *map(len, parts[:-1])])
        firsts = [part.firsts + offset for part, offset in zip(parts, offsets, strict=True)]
        frames, targets = ([getattr(part, name) for part in parts] for name in ("frames", "targets"))
        return cls(*map(np.concatenate, (frames, targets, firsts)))

    @classmethod
    def collect(cls, episodes: Iterable[tuple[Array, Array]], rows: int) -> "Examples":
        """Episodes of (frames, targets), together that many rows, copied one by one into their places."""
        frames = targets = np.zeros(0)
        firsts = np.zeros(rows, np.int64)
        end = 0
        for episode_frames, episode_targets in episodes:
            if end == 0:
                frames = np.empty((rows, *episode_frames.shape[1:]), episode_frames.dtype)
                targets = np.empty((rows, *episode_targets.shape[1:]), episode_targets.dtype)
            start, end = end, end + len(episode_frames)
            frames[start:end], targets[start:end], firsts[start:end] = episode_frames, episode_targets, start
        return cls(frames, targets, firsts)

    def observations(self, rows: Array, stack: int = 1, stride: int = 1) -> Array:
        """What a network sees at those rows: ``(batch, *frame)``, or ``(batch, stack, *frame)``, the oldest first.

        Frames of a stack lie ``stride`` rows apart and do not reach before the episode, as
        `agents.transforms.FrameStack` has it.
        """
        if stack == 1:
            return self.frames[rows]
        back = np.arange(stack - 1, -1, -1) * stride
        return self.frames[np.maximum(rows[:, None] - back, self.firsts[rows][:, None])]


def split(lengths: Array, share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Numbers of the episodes to train on and to validate on, each in order.

    Episodes are drawn one after the other, and taken for validation while they fit into ``share`` of all steps; the
    shortest is taken if none fits.

    Raises:
        UserError: a single episode, which cannot be split.
    """
    if share == 0:
        return np.arange(len(lengths)), np.zeros(0, np.int64)
    if len(lengths) < 2:
        remedy = "record more, or set it to 0"
        raise UserError(f"validation={share}: episodes are never cut in two, and there is only one: {remedy}")
    room = share * lengths.sum()
    chosen = []
    for episode in rng.permutation(len(lengths)):
        if lengths[episode] <= room:
            chosen.append(episode)
            room -= lengths[episode]
    chosen = chosen or [int(lengths.argmin())]
    held_out = np.isin(np.arange(len(lengths)), chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def class_weights(classes: Array, power: float) -> Array:
    """Chances ``(rows,)`` to draw each row, so that class c comes with a share in proportion to count_c^(1 - power).

    With power 1 every class that occurs is equally likely, with 0 every row.
    """
    counts = np.bincount(classes)
    weights = counts[classes] ** -float(power)
    return weights / weights.sum()


def book_rows(classes: Array, rng: np.random.Generator) -> Array:
    """Row numbers by the book's ratios: braking 21 times, gas alone with chance 0.3, no key with chance 0.7."""
    rows = np.repeat(np.arange(len(classes)), np.where(np.isin(classes, BRAKES), BOOK_REPEATS, 1))
    keeps = np.ones(len(MIRRORED_CLASSES))
    keeps[list(BOOK_KEEPS)] = list(BOOK_KEEPS.values())
    return rows[rng.random(len(rows)) < keeps[classes[rows]]]


def mirror(observations: Array, targets: Array, coloured: bool) -> tuple[Array, Array]:
    """Images and targets as seen in a mirror.

    Args:
        observations: ``(batch, ..., height, width)``, or ``(batch, ..., height, width, colours)`` where ``coloured``.
        targets: the book's classes ``(batch,)``, or actions ``(batch, parts)`` whose first part steers.
    """
    flipped = observations[..., ::-1, :] if coloured else observations[..., ::-1]
    if targets.ndim == 1:
        return flipped, MIRRORED_CLASSES[targets]
    signs = np.ones(targets.shape[1], targets.dtype)
    signs[0] = -1
    return flipped, targets * signs


def require_book_classes(n: int, setting: str) -> None:
    """Raise `UserError` unless there are as many classes as the book has."""
    remedy = 'use it with the book\'s seven classes ({"actions": "book"})'
    require(n == len(MIRRORED_CLASSES), setting, n, remedy)

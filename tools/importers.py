"""Recordings of others as episodes: the book's ``data.gzip``, and .npz files. Nothing in them is run."""

import gzip
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.imitation.episodes import Episode, check
from supervised.training.errors import CorruptFile, UserError, require
from supervised.training.restricted_pickle import MOST_BYTES, read_plain

Array = NDArray[Any]

FRAMES = spaces.Box(0, 255, (96, 96, 3), np.uint8)
CONTROLS = spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))  # steering, gas, brake
ARRAYS = ("frames", "actions", "rewards", "terminal")


def read(file: Path, max_episode_steps: int) -> list[Episode]:
    """The episodes in a recording.

    An episode ends where the recording says so, after ``max_episode_steps``, and (in the book's) where the next
    step's frame is not the one that this step led to.

    Raises:
        UserError: no such file, another kind of file, wrong shapes, hostile content.
        CorruptFile: it is truncated or damaged.
    """
    require(max_episode_steps >= 1, "max_episode_steps", max_episode_steps, "use 1 or more")
    try:
        with open(file, "rb") as opened:
            start = opened.read(2)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}; name a data.gzip or .npz file") from error
    if start == b"PK":
        columns = _read_npz(file)
    elif start == b"\x1f\x8b":
        columns = _read_book(file)
    else:
        raise UserError(f"{file} is neither a gzip file such as the book's data.gzip nor an .npz file")
    frames, actions, rewards, terminal, following = columns
    cuts = _cuts(frames, following, terminal, max_episode_steps)
    details = {"driver": "imported", "source": file.name}
    episodes = []
    for first, end in zip([0, *cuts], cuts, strict=False):
        # Frames alone do not tell what the last action led to: its frame stands for that.
        last = frames[end - 1] if following is None else following[end - 1]
        ends = np.zeros((2, end - first), np.bool_)
        ends[:, -1] = terminal[end - 1], not terminal[end - 1]
        observations = np.concatenate([np.asarray(frames[first:end]), np.asarray(last)[None]])
        parts = actions[first:end], rewards[first:end]
        episodes.append(Episode(observations, *parts, terminations=ends[0], truncations=ends[1], details=details))
    return episodes


def check_all(
    episodes: Sequence[Episode], observation_space: gym.Space[Any], action_space: gym.Space[Any], file: Path
) -> None:
    """Refuse the whole recording for any episode that does not fit the spaces.

    Raises:
        UserError: wrong shapes, unknown actions, NaN.
    """
    for number, episode in enumerate(episodes):
        try:
            check(episode, observation_space, action_space)
        except UserError as error:
            raise UserError(f"{file}, episode {number}: {error}; nothing was imported") from error


def _cuts(frames: Any, following: Any, terminal: Array, most: int) -> list[int]:
    """Where episodes end: the indices after their last steps."""
    cuts, first = [], 0
    steps = len(frames)
    for step in range(steps):
        broken = (
            following is not None
            and step + 1 < steps
            and following[step] is not frames[step + 1]
            and not np.array_equal(following[step], frames[step + 1])
        )
        if terminal[step] or broken or step + 1 - first == most or step + 1 == steps:
            cuts.append(step + 1)
            first = step + 1
    return cuts


def _read_npz(file: Path) -> tuple[Any, ...]:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"{size} bytes are more than is allowed")
        with np.load(file, allow_pickle=False) as arrays:
            missing = [name for name in ARRAYS if name not in arrays]
            if missing:
                raise UserError(f"{file} has no array {missing[0]!r}: it needs {', '.join(ARRAYS)}")
            frames, actions, rewards, terminal = (arrays[name] for name in ARRAYS)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptFile(f"cannot read {file}: {' '.join(str(error).split())[:200]}") from error
    lengths = {
        name: np.shape(array)[:1] for name, array in zip(ARRAYS, (frames, actions, rewards, terminal), strict=True)
    }
    if len(set(lengths.values())) != 1 or lengths["frames"] in ((), (0,)):
        raise UserError(f"{file} has arrays of the lengths {lengths}: every step needs one row of each")
    return (*_typed(file, frames, actions, rewards, terminal), None)


def _read_book(file: Path) -> tuple[Any, ...]:
    """The book's layout: a list of (state, action, next_state, reward, terminal)."""
    try:
        with gzip.open(file) as unpacked:
            rows = read_plain(cast(IO[bytes], unpacked), file)
    except OSError as error:
        raise CorruptFile(f"cannot read {file}: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{file} holds a {type(rows).__name__}: the book's is a list of steps, with one at least")
    for number, row in enumerate(rows):
        if not isinstance(row, tuple | list) or len(row) != 5:
            raise UserError(f"{file}, step {number}: need (state, action, next_state, reward, terminal)")
        for name, state in (("state", row[0]), ("next_state", row[2])):
            if not isinstance(state, np.ndarray) or state.shape != FRAMES.shape or state.dtype != np.uint8:
                found = f"{getattr(state, 'shape', type(state).__name__)} {getattr(state, 'dtype', '')}".strip()
                raise UserError(f"{file}, step {number}: the {name} is {found}, need {FRAMES.shape} uint8")
    states, actions, following, rewards, terminal = zip(*rows, strict=True)
    return (*_typed(file, states, actions, rewards, terminal), following)


def _typed(file: Path, frames: Any, actions: Any, rewards: Any, terminal: Any) -> tuple[Any, ...]:
    """Controls as float32 (classes as int64), rewards as float64, and the flags as bool."""
    if isinstance(frames, np.ndarray) and frames.dtype != np.uint8:
        raise UserError(f"{file}: frames are {frames.dtype}, need uint8")
    try:
        actions, rewards = np.asarray(actions), np.asarray(rewards, np.float64)
        integers = np.issubdtype(actions.dtype, np.integer) and actions.ndim == 1
        actions = actions.astype(np.int64 if integers else np.float32)
        flags = np.asarray(terminal)
        if flags.shape != rewards.shape or not np.isin(flags, (0, 1)).all():
            raise ValueError("terminal must be one True or False a step")
    except (TypeError, ValueError) as error:
        raise UserError(f"{file}: {' '.join(str(error).split())[:200]}; need numbers of one shape a step") from error
    return frames, actions, rewards, flags.astype(np.bool_)

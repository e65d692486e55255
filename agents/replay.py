"""Experience replay: a sliding window over the latest transitions (book, chapter 8: "Experience replay")."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.rollout import Transitions
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import require

Array = NDArray[Any]


class Batch(NamedTuple):
    """Transitions drawn from a replay memory."""

    observations: Array  # (batch, *observation)
    actions: Array  # (batch, *action)
    rewards: Array  # (batch,) float32
    next_observations: Array  # (batch, *observation)
    terminated: Array  # (batch,) bool: whether the environment ended there; a time limit does not count


class Replay:
    """The latest ``capacity`` transitions.

    Args:
        space: of the observations that networks see.
        action_space: of one lane.
        log: where a checkpoint keeps the memory: only what is new is written at each checkpoint.
    """

    def __init__(self, capacity: int, space: gym.spaces.Box, action_space: gym.Space[Any], log: ChunkLog) -> None:
        require(capacity > 0, "replay_size", capacity, "use at least 1")
        self.capacity, self.added = capacity, 0  # transitions held at most, and ever added
        # lowest and highest of all rewards ever added, and of 0, which is what follows a terminal state
        self.reward_range: tuple[float, float] = (0.0, 0.0)
        self._arrays = {
            "observations": np.zeros((capacity, *space.shape), space.dtype),
            "actions": np.zeros((capacity, *(action_space.shape or ())), action_space.dtype),
            "rewards": np.zeros(capacity, np.float32),
            "next_observations": np.zeros((capacity, *space.shape), space.dtype),
            "terminated": np.zeros(capacity, np.bool_),
        }
        self._log, self._logged = log, 0
        self._kept: list[list[dict[str, Any]]] = []  # the chunks that the last checkpoints list

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, transitions: Transitions) -> None:
        """Append one step of every lane, but for lanes that only reset."""
        valid = transitions.valid
        rows = {name: getattr(transitions, name)[valid] for name in self._arrays}
        self._write(rows, int(valid.sum()))

    def _write(self, rows: Mapping[str, Array], count: int) -> None:
        places = np.arange(self.added, self.added + count) % self.capacity
        for name, array in self._arrays.items():
            array[places] = rows[name]
        lowest, highest = self.reward_range
        self.reward_range = min(lowest, float(rows["rewards"].min())), max(highest, float(rows["rewards"].max()))
        self.added += count

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """``size`` transitions drawn uniformly, with replacement."""
        places = rng.integers(len(self), size=size)
        return Batch(*(array[places] for array in self._arrays.values()))

    def state_dict(self) -> dict[str, Any]:
        """Writes what is new to the log, and returns the list of chunks that hold the memory."""
        oldest = self.added - len(self)
        first = max(self._logged, oldest)
        if first < self.added:
            places = np.arange(first, self.added) % self.capacity
            self._log.append(first, {name: array[places] for name, array in self._arrays.items()})
        self._logged = self.added
        entries = self._log.entries(oldest)
        # the chunks that the checkpoints before need stay, in case this one is never finished or found corrupt
        self._log.prune([*self._kept, entries])
        if entries not in self._kept:  # a step may be saved twice
            self._kept = [*self._kept[-1:], entries]
        before = self._kept[0] if self._kept else []
        return {
            "added": self.added,
            "reward_range": list(self.reward_range),
            "chunks": entries,
            "chunks_before": before,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Read the memory back.

        Raises:
            CorruptFile: a chunk is missing or damaged.
        """
        rows = self._log.restore(state["chunks"])
        count = len(next(iter(rows.values()))) if rows else 0
        first = state["chunks"][0]["first"] if state["chunks"] else 0
        self.added = first
        skip = max(0, count - self.capacity)  # the oldest chunk may begin before the window
        self.added += skip
        self._write({name: array[skip:] for name, array in rows.items()}, count - skip)
        lowest, highest = state["reward_range"]
        self.reward_range = (lowest, highest)
        self._logged = self.added
        self._kept = [state["chunks_before"], state["chunks"]]

"""Experience replay: a sliding window over the latest steps (book, chapter 8: "Experience replay").

Every observation is kept once. A row of the memory is one step: the newest frame of what the network saw, the action,
the reward, whether the episode terminated there, and the number of the row before it in the same episode. Stacks of
frames are put together when they are asked for, and the next observation of a row is the observation of the next one.
Only where a time limit cuts an episode off does the observation that it cut off take a row of its own.

For n > 1 steps the reward of a transition is that of the next n steps, as far as they are known:

    R = sum_(k < m) gamma^k r_(t+k),   m = min(n, steps to the end of the episode or of the memory)

and what follows counts gamma^m; nothing follows a terminal state.
"""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.frames import Frames, frame_size, make_frames
from agents.rollout import Transitions
from agents.sum_tree import PLACE_BYTES, SumTree
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import require
from supervised.training.memory import require_memory

Array = NDArray[Any]

NONE = -1  # instead of the number of a row
CHUNK = 2**26  # bytes of a file of the log, at most (of a single row, at least)


class Batch(NamedTuple):
    """Transitions drawn from a replay memory."""

    observations: Array  # (batch, *observation)
    actions: Array  # (batch, *action)
    rewards: Array  # (batch,) float32: R
    next_observations: Array  # (batch, *observation): m steps later
    discounts: Array  # (batch,) float32: gamma^m, 0 where the episode terminated
    weights: Array  # (batch,) float32: importance weights, 1 where draws are uniform
    rows: Array  # (batch,) int64: which they are, for `Replay.set_priorities`


class Sequences(NamedTuple):
    """Steps one after the other, drawn from a replay memory, for networks that remember nothing at the first.

    What is learnt from, ``(rows, ...)``, are some of the places of the flattened ``(time, batch)``. A sequence shorter
    than others has its last step again and again.
    """

    observations: Array  # (time, batch, *observation)
    here: Array  # (rows,) int64: places to learn from
    there: Array  # (rows,) int64: places m steps later
    actions: Array  # (rows, *action)
    rewards: Array  # (rows,) float32: R
    discounts: Array  # (rows,) float32: gamma^m, 0 where the episode terminated
    weights: Array  # (rows,) float32: importance weights of the rows that sequences were drawn for
    rows: Array  # (rows,) int64: which they are, for `Replay.set_priorities`


class Replay:
    """The latest ``capacity`` steps of all lanes.

    Args:
        space: of the observations that networks see.
        action_space: of one lane.
        log: where a checkpoint keeps the memory: only what is new is written at each checkpoint.
        total_steps: of all lanes that there will be: no more rows than that are reserved.
        lanes: how many step at once.
        stack: the first axis of ``space`` is that many frames, oldest first, of which consecutive observations share
            all but one; 1: there is no such axis.
        discount, n_step: gamma and n.
        priority_exponent: alpha of prioritized replay (Schaul et al. 2016): P(i) ~ (|error_i| + 1e-6)^alpha, with the
            largest priority so far for new rows; 0: draws are uniform.
        compress: keep frames compressed, for images (the book's ``COMPRESS_ER``).

    Raises:
        UserError: a capacity that is too small, or that does not fit into memory.
    """

    def __init__(
        self,
        capacity: int,
        space: gym.spaces.Box,
        action_space: gym.Space[Any],
        log: ChunkLog,
        *,
        total_steps: int = sys.maxsize,
        lanes: int = 1,
        stack: int = 1,
        discount: float = 0.99,
        n_step: int = 1,
        priority_exponent: float = 0.0,
        compress: bool = False,
    ) -> None:
        least = lanes * (stack + n_step + 1)
        require(capacity >= least, "replay_size", capacity, f"use at least {least}, a few steps of every lane")
        capacity = min(capacity, max(least, total_steps))
        self.capacity, self.added = capacity, 0  # rows held at most, and ever added
        # lowest and highest of all rewards ever added, and of 0, which is what follows a terminal state
        self.reward_range: tuple[float, float] = (0.0, 0.0)
        self._stack, self._discount, self._n_step = stack, np.float32(discount), n_step
        self._shape = space.shape
        frame = space.shape if stack == 1 else space.shape[1:]
        columns: dict[str, Any] = {
            "actions": (action_space.dtype, action_space.shape or ()),
            "rewards": np.float32,
            "terminated": np.bool_,
            "cut": np.bool_,  # no step, but the observation that a time limit cut off
            "before": np.int64,
        }
        self._compressed = compress
        self.row_bytes = frame_size(frame, space.dtype, compress) + np.dtype(list(columns.items())).itemsize + 8
        self.row_bytes += PLACE_BYTES if priority_exponent else 0
        remedy = "" if compress else ", or dqn's compress_replay"
        require_memory("replay_size", capacity, self.row_bytes, "transitions", remedy)
        self._frames: Frames = make_frames(capacity, frame, space.dtype, compress)
        self._columns = {name: np.zeros(capacity, dtype) for name, dtype in columns.items()}
        self._after = np.full(capacity, NONE, np.int64)
        self._newest = np.full(lanes, NONE, np.int64)  # row of the episode under way in each lane
        self._exponent = priority_exponent
        self._tree = SumTree(capacity) if priority_exponent else None
        self._highest = 1.0  # priority so far
        self._chunk_rows = max(CHUNK // (self._frames.get(np.zeros(1, np.int64)).nbytes + 32), 1)
        self._log, self._logged = log, 0
        self._kept: list[list[dict[str, Any]]] = []  # the chunks that the last checkpoints list

    def describe(self) -> str:
        """Its size, for a run's notes."""
        size, packed = self.capacity * self.row_bytes / 2**30, " at most, compressed" if self._compressed else ""
        return f"replay memory: {self.capacity:,} transitions, {size:.2g} GiB{packed}"

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, transitions: Transitions) -> None:
        """Append one step of every lane, but for lanes that only reset."""
        lanes = np.flatnonzero(transitions.valid)
        self._newest[lanes[transitions.starts[lanes]]] = NONE
        seen = transitions.observations[lanes]
        rows = {
            "frames": seen if self._stack == 1 else seen[:, -1],
            "actions": transitions.actions[lanes],
            "rewards": transitions.rewards[lanes],
            "terminated": transitions.terminated[lanes],
            "cut": np.zeros(len(lanes), np.bool_),
            "before": self._newest[lanes],
        }
        self._newest[lanes] = np.arange(self.added, self.added + len(lanes))
        self._write(rows)
        lanes = np.flatnonzero(transitions.valid & transitions.truncated & ~transitions.terminated)
        if len(lanes):
            seen = transitions.next_observations[lanes]
            rows = {name: np.zeros((len(lanes), *one.shape[1:]), one.dtype) for name, one in self._columns.items()}
            rows["frames"] = seen if self._stack == 1 else seen[:, -1]
            rows["cut"][:], rows["before"] = True, self._newest[lanes]
            self._write(rows)

    def _write(self, rows: Mapping[str, Array]) -> None:
        count = len(rows["before"])
        numbers = np.arange(self.added, self.added + count)
        slots = numbers % self.capacity
        self._frames.put(slots, rows["frames"])
        for name, column in self._columns.items():
            column[slots] = rows[name]
        self._after[slots] = NONE
        linked = rows["before"] >= max(self.added + count - self.capacity, 0)  # the row before is there, and still is
        before = rows["before"][linked] % self.capacity
        self._after[before] = numbers[linked]
        lowest, highest = self.reward_range
        self.reward_range = min(lowest, float(rows["rewards"].min())), max(highest, float(rows["rewards"].max()))
        self.added += count
        if self._tree is not None:  # a step can be drawn once it is known what followed
            self._tree.set(slots, np.where(rows["terminated"], self._highest, 0.0))
            before = before[~self._columns["terminated"][before]]
            self._tree.set(before, np.full(len(before), self._highest))

    def sample(self, size: int, rng: np.random.Generator, weight_exponent: float = 1.0) -> Batch:
        """``size`` transitions drawn with replacement.

        Args:
            weight_exponent: beta of prioritized replay: the weights are (N P(i))^-beta, divided by their largest.

        Raises:
            ValueError: no step is complete yet.
        """
        rows = self._draw(size, rng)
        rewards, discounts, last, _ = self._ahead(rows)
        weights, actions = self._weights(rows, weight_exponent), self._columns["actions"][rows % self.capacity]
        return Batch(self._seen(rows), actions, rewards, self._seen(last), discounts, weights, rows)

    def sample_sequences(
        self, size: int, length: int, burn_in: int, rng: np.random.Generator, weight_exponent: float = 1.0
    ) -> Sequences:
        """``size`` sequences, each of one episode, around steps drawn as by `sample`.

        The step drawn is any of the ``length`` last of its sequence, or a later one where the episode ended before.
        A sequence begins ``burn_in`` steps before those, which only fill the memory (Kapturowski et al. 2019), or with
        the episode, where the memory is rightly empty.

        Raises:
            ValueError: no step is complete yet.
        """
        drawn = self._draw(size, rng)
        rows, first, whole = self._around(drawn, rng.integers(length, size=size), length + burn_in)
        end = len(rows) - 1  # the last that can be learnt from
        for _ in range(self._n_step):
            after = self._after[rows[-1] % self.capacity]
            rows = np.concatenate([rows, np.where(after == NONE, rows[-1], after)[None]])
        # all begin at once, so that a recurrent layer passes through them in one go
        place = np.arange(len(rows) - first.min())[:, None] + first
        rows = np.take_along_axis(rows, np.minimum(place, len(rows) - 1), 0)
        learnt = (burn_in <= place) & (place < end) & (whole | (place - first >= burn_in)) | (place == end)
        places = np.flatnonzero(learnt)
        chosen = rows.ravel()[places]
        rewards, discounts, _, steps = self._ahead(chosen)
        weights = self._weights(drawn, weight_exponent)[places % size]
        return Sequences(
            self._seen(rows.ravel()).reshape(*rows.shape, *self._shape),
            places,
            places + np.where(discounts == 0, 0, steps) * size,
            self._columns["actions"][chosen % self.capacity],
            rewards,
            discounts,
            weights,
            chosen,
        )

    def _around(self, rows: Array, later: Array, length: int) -> tuple[Array, Array, Array]:
        """Rows ``(length, n)`` of the same episodes that end up to ``later (n,)`` steps after some rows ``(n,)``.

        Returns:
            them; ``(n,)`` the place of the first, before which it is only repeated, as the episode, or what is
            remembered of it, is shorter; and ``(n,)`` whether the episode began with that.
        """
        for k in range(int(later.max())):
            after = self._after[rows % self.capacity]
            rows = np.where((k < later) & (after != NONE) & self._complete(after), after, rows)
        found, first, known = [rows], np.full(len(rows), length - 1), np.ones(len(rows), np.bool_)
        for _ in range(length - 1):
            before = self._columns["before"][rows % self.capacity]
            known &= (before >= self.added - len(self)) & self._complete(before)
            rows, first = np.where(known, before, rows), first - known
            found.append(rows)
        return np.stack(found[::-1]), first, self._columns["before"][rows % self.capacity] == NONE

    def _weights(self, rows: Array, exponent: float) -> Array:
        """Importance weights ``(n,)`` float32 of rows drawn."""
        if self._tree is None:
            return np.ones(len(rows), np.float32)
        weights = (len(self) * self._tree.values[rows % self.capacity] / self._tree.total) ** -exponent
        return (weights / weights.max()).astype(np.float32)

    def _draw(self, size: int, rng: np.random.Generator) -> Array:
        """Numbers of rows ``(size,)``, drawn until all of them can be learnt from."""
        found, missing = np.empty(0, np.int64), size
        while missing:
            if self._tree is None:
                drawn = rng.integers(self.added - len(self), self.added, size=missing)
            else:  # one of each of ``missing`` equal shares of all priority
                places = (np.arange(missing) + rng.random(missing)) / missing
                slots = self._tree.find(places * self._tree.total)
                drawn = self.added - 1 - (self.added - 1 - slots) % self.capacity
            found = np.concatenate([found, drawn[self._complete(drawn)]])
            if not len(found) and not self._complete(np.arange(self.added - len(self), self.added)).any():
                raise ValueError(f"{len(self)} rows, none of them complete: step the lanes once more")
            missing = size - len(found)
        return found

    def _complete(self, rows: Array) -> Array:
        """Whether all is known of rows ``(n,)``: that they are steps, what followed, and the frames before."""
        slots, oldest = rows % self.capacity, self.added - len(self)
        terminated, after = self._columns["terminated"][slots], self._after[slots]
        complete = ~self._columns["cut"][slots] & (terminated | (after != NONE))
        for _ in range(self._stack - 1):
            before = self._columns["before"][rows % self.capacity]
            complete &= (before == NONE) | (before >= oldest)
            rows = np.where(before >= oldest, before, rows)
        return complete

    def _ahead(self, rows: Array) -> tuple[Array, Array, Array, Array]:
        """R and gamma^m (0 after a terminal state) of rows ``(n,)``, the rows m steps later, and m."""
        columns, slots = self._columns, rows % self.capacity
        rewards, discounts = columns["rewards"][slots], np.full(len(rows), self._discount)
        going, last, steps = ~columns["terminated"][slots], self._after[slots], np.ones(len(rows), np.int64)
        for _ in range(self._n_step - 1):
            slots = last % self.capacity
            further = going & ~columns["cut"][slots] & (columns["terminated"][slots] | (self._after[slots] != NONE))
            rewards = np.where(further, rewards + discounts * columns["rewards"][slots], rewards)
            discounts = np.where(further, discounts * self._discount, discounts)
            going &= ~(further & columns["terminated"][slots])
            last = np.where(further & going, self._after[slots], last)
            steps += further & going
        return rewards, np.where(going, discounts, 0), np.where(going, last, rows), steps

    def _seen(self, rows: Array) -> Array:
        """What the network sees at rows ``(n,)``: an episode's first frame fills the stack, as in acting."""
        if self._stack == 1:
            return self._frames.get(rows % self.capacity)
        numbers = np.empty((len(rows), self._stack), np.int64)
        for k in reversed(range(self._stack)):
            numbers[:, k] = rows
            before = self._columns["before"][rows % self.capacity]
            rows = np.where(before == NONE, rows, before)
        return self._frames.get(numbers % self.capacity)

    def set_priorities(self, rows: Array, errors: Array) -> None:
        """Take the absolute errors ``(batch,)`` of the rows of a batch, for prioritized replay."""
        if self._tree is not None:
            priorities = (np.abs(errors).astype(np.float64) + 1e-6) ** self._exponent
            self._highest = max(self._highest, float(priorities.max()))
            self._tree.set(rows % self.capacity, priorities)

    def state_dict(self) -> dict[str, Any]:
        """Writes what is new to the log, and returns the list of chunks that hold the memory."""
        oldest = self.added - len(self)
        first = max(self._logged, oldest)
        while first < self.added:
            end = min(first + self._chunk_rows, self.added)
            slots = np.arange(first, end) % self.capacity
            columns = {name: column[slots] for name, column in self._columns.items()}
            self._log.append(first, {"frames": self._frames.get(slots), **columns})
            first = end
        self._logged = self.added
        entries = self._log.entries(oldest)
        # the chunks that the checkpoints before need stay, in case this one is never finished or found corrupt
        self._log.prune([*self._kept, entries])
        if entries not in self._kept:  # a step may be saved twice
            self._kept = [*self._kept[-1:], entries]
        before = self._kept[0] if self._kept else []
        return {
            "added": self.added,
            "newest": self._newest.copy(),
            "reward_range": list(self.reward_range),
            "chunks": entries,
            "chunks_before": before,
            "priorities": None if self._tree is None else self._tree.values[: len(self)].copy(),
            "highest": self._highest,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Read the memory back.

        Raises:
            CorruptFile: a chunk is missing or damaged.
        """
        chunks = state["chunks"]
        self.added = chunks[0]["first"] if chunks else 0
        for rows in self._log.read(chunks):
            self._write(rows)
        lowest, highest = state["reward_range"]
        self.reward_range = (lowest, highest)
        self._newest, self._logged = np.array(state["newest"]), self.added
        self._kept = [state["chunks_before"], chunks]
        self._highest = state["highest"]
        if self._tree is not None:
            self._tree.set(np.arange(len(self)), np.array(state["priorities"]))

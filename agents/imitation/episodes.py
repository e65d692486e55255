"""What one episode is: its arrays, the checks that they fit their spaces, and how they are gathered."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.rollout import stack
from supervised.training.errors import UserError

Array = NDArray[Any]

MOST_STEPS = 131_071  # Minari reads an episode as one Arrow batch, and the last observation needs a row


@dataclass(frozen=True)
class Episode:
    """One episode, decoded. Row t of ``observations`` is what was seen before action t; the last row ends it."""

    observations: Any  # (steps + 1, *observation); a dictionary or tuple of such arrays for Dict and Tuple spaces
    actions: Array  # (steps, *action), as the environment got them
    rewards: NDArray[np.float64]  # (steps,)
    terminations: NDArray[np.bool_]  # (steps,)
    truncations: NDArray[np.bool_]  # (steps,)
    seed: int | None = None  # of the reset; None where nobody knows it (imported recordings)
    keys: NDArray[np.int64] | None = None  # (steps + 1,): bit i is set while key i of details["keys"] was held down
    meant: Array | None = None  # (steps, *action): what the driver wanted, where its actions were disturbed
    details: Mapping[str, Any] = field(default_factory=dict)  # driver, version of this package, source, ...
    number: int = -1  # in the data set, from 0; given by the data set

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def frames(self) -> Any:
        """``(steps, *observation)``: the observations that belong to the actions, without the last."""
        return self.seen(slice(len(self)))

    def seen(self, rows: slice) -> Any:
        """Those rows of the observations, of all arrays where they are a dictionary or tuple."""
        return _rows(self.observations, rows)

    @property
    def lessons(self) -> Array:
        """``(steps, *action)``: the actions to imitate, which are those that the driver meant."""
        return self.actions if self.meant is None else self.meant


def _rows(values: Any, rows: slice) -> Any:
    if isinstance(values, Mapping):
        return {name: _rows(one, rows) for name, one in values.items()}
    if isinstance(values, tuple):
        return tuple(_rows(one, rows) for one in values)
    return values[rows]


@dataclass
class Recording:
    """An episode under way: gathered step by step, from one reset on."""

    space: gym.Space[Any]
    observations: list[Any]  # elements of the space; the first is the reset's
    seed: int | None
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    truncated: bool = False
    keys: list[int] = field(default_factory=list)
    meant: list[Any] = field(default_factory=list)

    def add(self, action: Any, keys: int, observation: Any, reward: Any, terminated: Any, truncated: Any) -> None:
        """One step; ``keys`` are the bits of the keys that were held down."""
        self.actions.append(np.array(action))
        self.keys.append(keys)
        self.observations.append(copy.deepcopy(observation))
        self.rewards.append(float(reward))
        self.terminated, self.truncated = bool(terminated), bool(truncated)

    def __len__(self) -> int:
        return len(self.rewards)

    def episode(self, **details: Any) -> Episode:
        """The episode so far; it ends with the last step only if the environment said so."""
        terminations, truncations = np.zeros((2, len(self)), np.bool_)
        terminations[-1:], truncations[-1:] = self.terminated, self.truncated
        return Episode(
            stack(self.space, self.observations),
            np.array(self.actions),
            np.array(self.rewards),
            terminations,
            truncations,
            self.seed,
            np.array([*self.keys, 0], np.int64),
            np.array(self.meant) if self.meant else None,
            details,
        )


def check(episode: Episode, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
    """Refuse an episode that does not fit its spaces.

    Raises:
        UserError: wrong shapes, actions outside the space, NaN, no step or too many, an end before the last step.
    """
    steps = len(episode.rewards)
    if not 1 <= steps <= MOST_STEPS:
        raise UserError(f"an episode of {steps} steps: record 1 to {MOST_STEPS}")
    for space, array in leaves(observation_space, episode.observations):
        if array.shape != (steps + 1, *space.shape):
            raise UserError(f"observations of shape {array.shape} for {steps} steps: need {(steps + 1, *space.shape)}")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise UserError("observations hold NaN: record them again")
    both = [episode.actions] if episode.meant is None else [episode.actions, episode.meant]
    for space, array in (leaf for actions in both for leaf in leaves(action_space, actions)):
        if array.shape != (steps, *space.shape):
            raise UserError(f"actions of shape {array.shape} for {steps} steps: need {(steps, *space.shape)}")
        wrong = ~np.isfinite(array)
        if isinstance(space, spaces.Box):
            wrong |= (array < space.low) | (array > space.high)
        elif isinstance(space, spaces.Discrete):
            wrong |= (array < space.start) | (array >= space.start + space.n)
        if wrong.any():
            step = int(np.argmax(wrong.reshape(steps, -1).any(axis=1)))
            raise UserError(f"action {array[step].tolist()} of step {step} is not in {space}")
    for name in ("rewards", "terminations", "truncations"):
        array = np.asarray(getattr(episode, name))
        if array.shape != (steps,):
            raise UserError(f"{name} of shape {array.shape} for {steps} steps: need ({steps},)")
    if not np.isfinite(episode.rewards).all():
        raise UserError(
            f"reward {episode.rewards[np.argmin(np.isfinite(episode.rewards))]}: rewards are finite numbers"
        )
    ends = np.flatnonzero(np.asarray(episode.terminations) | np.asarray(episode.truncations))
    if len(ends) and ends[0] != steps - 1:
        raise UserError(f"the episode ends at step {ends[0]}, but {steps} steps are there: split it")


def leaves(space: gym.Space[Any], values: Any) -> Iterator[tuple[Any, Array]]:
    """The arrays ``(rows, ...)`` of a batch with their spaces: several for Dict and Tuple spaces."""
    if isinstance(space, spaces.Dict):
        for name, part in space.items():
            yield from leaves(part, values[name])
    elif isinstance(space, spaces.Tuple):
        for part, value in zip(space, values, strict=True):
            yield from leaves(part, value)
    else:
        yield space, np.asarray(values)


def typed(space: gym.Space[Any], values: Any) -> Any:
    """The batch with the dtypes of its space, which is what Minari writes."""
    if isinstance(space, spaces.Dict):
        return {name: typed(part, values[name]) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(typed(part, value) for part, value in zip(space, values, strict=True))
    return np.asarray(values, space.dtype)

"""Observation transforms: what a network sees of an observation.

Box observations pass as they are. Everything else (Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of
any of these) is flattened into one float32 vector, discrete parts one-hot, in the order of Gymnasium's
``flatten``.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from supervised.training.errors import UserError

Array = NDArray[Any]


def flattener(space: gym.Space[Any]) -> tuple[spaces.Box, Callable[[Any], Array]]:
    """The space that a network sees, and the function that turns a batch of observations into it.

    Returns:
        the transformed space, and a function from observations as vector environments give them (arrays
        ``(batch, ...)``, or dictionaries and tuples of them) to an array ``(batch, *shape)``.

    Raises:
        UserError: a space without fixed size (Text, Sequence, Graph).
    """
    if isinstance(space, spaces.Box):
        return space, np.asarray
    if not space.is_np_flattenable:
        raise UserError(f"observations of {space} have no fixed size: wrap the environment to give arrays")
    flat = spaces.flatten_space(space)
    assert isinstance(flat, spaces.Box)
    shape = (int(np.prod(flat.shape)),)
    bounds = flat.low.astype(np.float32), flat.high.astype(np.float32)
    return spaces.Box(*bounds, shape, np.float32), lambda observations: np.concatenate(
        _parts(space, observations), axis=1
    )


def _parts(space: gym.Space[Any], observations: Any) -> list[Array]:
    """The float32 columns of a batch, part by part."""
    if isinstance(space, spaces.Dict):
        return [part for key, child in space.spaces.items() for part in _parts(child, observations[key])]
    if isinstance(space, spaces.Tuple):
        return [part for child, batch in zip(space.spaces, observations, strict=True) for part in _parts(child, batch)]
    if isinstance(space, spaces.Discrete):
        return [np.eye(space.n, dtype=np.float32)[np.asarray(observations) - space.start]]
    if isinstance(space, spaces.MultiDiscrete):
        batch = np.asarray(observations).reshape(len(observations), -1)
        sizes = zip(space.nvec.ravel(), (batch - space.start.ravel()).T, strict=True)
        return [np.eye(size, dtype=np.float32)[column] for size, column in sizes]
    batch = np.asarray(observations)
    return [batch.reshape(len(batch), -1).astype(np.float32)]

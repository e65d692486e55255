"""Vectors that know what they were made of."""

from typing import Any

import gymnasium as gym
import numpy as np


class Flattened(gym.spaces.Box):
    """The space of float32 vectors into which observations of another space are flattened, in the order of Gymnasium.

    Attributes:
        parts: the space before: a Dict, Tuple, Discrete, MultiDiscrete or MultiBinary.
    """

    def __init__(self, parts: gym.Space[Any]) -> None:
        flat = gym.spaces.flatten_space(parts)
        assert isinstance(flat, gym.spaces.Box)  # whoever calls has seen to that: `Space.is_np_flattenable`
        low, high = (bound.astype(np.float32).ravel() for bound in (flat.low, flat.high))
        super().__init__(low, high, dtype=np.float32)
        self.parts = parts

"""Flattening of observation spaces against Gymnasium's own, observation by observation."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array

from agents.transforms import flattener
from supervised.training.errors import UserError

SPACES = [
    spaces.Discrete(5),
    spaces.Discrete(4, start=-2),
    spaces.MultiDiscrete([3, 2, 4]),
    spaces.MultiBinary(6),
    spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (2, 2), np.float32))),
    spaces.Dict(goal=spaces.Box(0, 1, (3,), np.float64), room=spaces.Discrete(4), bits=spaces.MultiBinary(2)),
    spaces.Dict(outer=spaces.Dict(inner=spaces.Discrete(2)), image=spaces.Box(0, 255, (2, 2, 3), np.uint8)),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_equals_gymnasium_flatten(space: gym.Space) -> None:
    space.seed(0)
    samples = [space.sample() for _ in range(7)]
    batch = concatenate(space, samples, create_empty_array(space, n=len(samples)))
    flat_space, flatten = flattener(space)
    expected = np.stack([spaces.flatten(space, sample) for sample in samples]).astype(np.float32)
    result = flatten(batch)
    assert result.dtype == np.float32
    assert np.array_equal(result, expected)
    assert all(flat_space.contains(row) for row in result)


def test_boxes_pass_untouched() -> None:
    image = spaces.Box(0, 255, (4, 4, 3), np.uint8)
    space, flatten = flattener(image)
    batch = np.zeros((2, 4, 4, 3), np.uint8)
    assert space is image and flatten(batch) is batch


def test_spaces_without_fixed_size_are_refused() -> None:
    with pytest.raises(UserError, match="no fixed size"):
        flattener(spaces.Sequence(spaces.Discrete(3)))

"""Running moments of what is seen or earned, by which it is brought to mean 0 and variance 1."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.training.errors import UserError

Array = NDArray[Any]


class Moments(nn.Module):
    """Running mean and variance of arrays ``(*shape)``, which are part of what is saved."""

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def update(self, values: Array) -> None:
        """Take in values ``(n, *shape)`` (Chan, Golub and LeVeque 1983)."""
        new = torch.from_numpy(np.asarray(values, np.float64)).to(self.mean.device)
        n, mean, variance = len(new), new.mean(0), new.var(0, correction=0)
        total = self.count + n
        shift = mean - self.mean
        squares = self.variance * self.count + variance * n + shift.square() * self.count * n / total
        self.mean += shift * n / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)

    def forward(self, values: Tensor) -> Tensor:
        scaled = (values - self.mean.float()) / (self.variance.float() + 1e-8).sqrt()
        return scaled.clamp(-10, 10)


def observation_moments(normalize: bool, space: gym.spaces.Box) -> Moments | None:
    """Moments of observations, where those are to be normalized; raises `UserError` for images."""
    if normalize and space.dtype == np.uint8:
        raise UserError("normalize_observations=True: images are scaled by the backbone already; use False")
    return Moments(space.shape) if normalize else None

"""Backbones: a name and an observation space give the network that turns observations into features.

Any agent takes ``--backbone NAME``. A backbone is an ``nn.Module`` with an attribute ``feature_dim`` and
``forward(observations (batch, *observation)) -> (batch, feature_dim)``; observations enter as the environment
gives them (images as uint8), the backbone converts and scales.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from supervised.training.errors import UserError, require, suggest

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


class Backbone(nn.Module):
    """A network from observations ``(batch, *observation)`` to features ``(batch, feature_dim)``."""

    feature_dim: int


class MLP(Backbone):
    """Fully connected layers over the flattened observation; bytes are scaled from 0..255 to 0..1.

    Args:
        space: a Box.
        hidden: units of each hidden layer; none gives the observation itself as features.
        activation: a name in `ACTIVATIONS`, after every layer.
    """

    def __init__(self, space: gym.spaces.Box, hidden: Sequence[int] = (64, 64), activation: str = "relu") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {activation!r}{suggest(activation, ACTIVATIONS)}")
        require(all(units > 0 for units in hidden), "hidden", tuple(hidden), "every layer needs at least one unit")
        self.scale = 1 / 255 if space.dtype == np.uint8 else 1.0
        widths = [int(np.prod(space.shape)), *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)
        self.feature_dim = widths[-1]

    def forward(self, observations: Tensor) -> Tensor:
        flat = observations.flatten(1)
        if flat.dtype != torch.float32:
            flat = flat.float()
        return self.layers(flat if self.scale == 1.0 else flat * self.scale)


BACKBONES: dict[str, Callable[..., Backbone]] = {"mlp": MLP}


def build(name: str, space: gym.Space[Any], **options: Any) -> Backbone:
    """The backbone ``name`` for observations of ``space``.

    Args:
        options: the backbone's own keywords (``hidden`` and ``activation`` of "mlp").

    Raises:
        UserError: no such backbone, or it cannot read this space.
    """
    if name not in BACKBONES:
        raise UserError(f"unknown backbone {name!r}{suggest(name, BACKBONES)}")
    if not isinstance(space, gym.spaces.Box):
        raise UserError(f"backbone {name!r} reads a Box, not {space}: flatten the observation first")
    return BACKBONES[name](space, **options)

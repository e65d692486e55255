"""Q-networks: a backbone, and a head that may be dueling, distributional or noisy, in any combination."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.backbones import Backbone, Recurrent


class QNetwork(nn.Module):
    """Observations ``(batch, ...)`` to ``size`` numbers an action ``(batch, actions, size)``.

    Args:
        backbone: gives features ``(batch, features)``.
        dueling: a value and advantages add up to the outputs, see `Dueling`.
        noisy: the standard deviation that noisy layers begin with, see `NoisyLinear`; 0: no noise.
    """

    def __init__(self, backbone: Backbone, actions: int, size: int, dueling: bool, noisy: float) -> None:
        super().__init__()
        self.backbone, self._outputs = backbone, (actions, size)
        self.state_dim = backbone.state_dim if isinstance(backbone, Recurrent) else 0
        features = backbone.feature_dim
        self.head = Dueling(features, actions, size) if dueling else nn.Linear(features, actions * size)
        if noisy:
            _make_noisy(self, noisy)
        self.noisy = [module for module in self.modules() if isinstance(module, NoisyLinear)]

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.backbone(observations)).unflatten(1, self._outputs)

    def unroll(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """By a backbone that remembers ``(time, batch, ...)`` to ``(time * batch, actions, size)``; the state after.

        Args:
            state: ``(batch, state_dim)``, before the first step.
            starts: ``(time, batch)`` bool, where an episode begins.
        """
        features, state = self.backbone(observations, state, starts)
        return self.head(features.flatten(0, 1)).unflatten(1, self._outputs), state

    def draw_noise(self, rng: np.random.Generator | None) -> None:
        """New noise for all noisy layers; None: none at all."""
        for layer in self.noisy:
            layer.draw(rng)


class Dueling(nn.Module):
    """q(s, a) = v(s) + A(s, a) - mean_a' A(s, a'), each a linear layer (Wang et al. 2016, equation 9).

    The paper gives both a hidden layer of their own; here they share the backbone's last one.
    """

    def __init__(self, features: int, actions: int, size: int) -> None:
        super().__init__()
        self.value, self.advantage = nn.Linear(features, size), nn.Linear(features, actions * size)
        self._outputs = (actions, size)

    def forward(self, features: Tensor) -> Tensor:
        advantages = self.advantage(features).unflatten(1, self._outputs)
        return (self.value(features)[:, None] + advantages - advantages.mean(1, keepdim=True)).flatten(1)


class NoisyLinear(nn.Module):
    """y = (W + S * (f(e_out) f(e_in)^T)) x + b + s * f(e_out), f(e) = sign(e) sqrt|e| (Fortunato et al. 2018).

    ``weight_std`` and ``bias_std`` are learnt as ``weight`` and ``bias`` are, and begin with ``std / sqrt(inputs)``.
    """

    noise_in: Tensor
    noise_out: Tensor

    def __init__(self, linear: nn.Linear, std: float) -> None:
        super().__init__()
        inputs, outputs = linear.in_features, linear.out_features
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty_like(linear.weight).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_std = nn.Parameter(torch.full_like(self.weight, std * bound))
        self.bias_std = nn.Parameter(torch.full_like(self.bias, std * bound))
        self.register_buffer("noise_in", torch.zeros(inputs))
        self.register_buffer("noise_out", torch.zeros(outputs))

    def draw(self, rng: np.random.Generator | None) -> None:
        """New noise, or none."""
        for noise in (self.noise_in, self.noise_out):
            drawn = np.zeros(len(noise)) if rng is None else rng.standard_normal(len(noise))
            noise.copy_(torch.from_numpy(np.sign(drawn) * np.sqrt(np.abs(drawn))))

    def forward(self, input: Tensor) -> Tensor:
        # (S * (out in^T)) x = out * (S (in * x)): no noisy copy of the weights
        noise = F.linear(input * self.noise_in, self.weight_std, self.bias_std) * self.noise_out
        return F.linear(input, self.weight, self.bias) + noise


def _make_noisy(module: nn.Module, std: float) -> None:
    """Replace all linear layers."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, NoisyLinear(child, std))
        else:
            _make_noisy(child, std)

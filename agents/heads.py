"""Heads: from features to actions, and the loss against actions that were demonstrated.

    classes      logits of discrete actions; cross-entropy
    continuous   steering and acceleration, each -1..1; squared error
    gaussian     mean and logarithm of the standard deviation of every part of an action; negative log-likelihood
    alvinn       45 curvatures, trained towards a Gaussian hill (Pomerleau 1989), and acceleration; squared error

A car's action is (steering, gas, brake), steering -1 (left) to 1. Acceleration is gas where positive, brake where
negative: gas = max(a, 0), brake = max(-a, 0).
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.training.errors import UserError, suggest

Array = NDArray[Any]

CURVATURES = 45
HILL_VARIANCE = 10.0  # target of the unit at distance d from the right one: exp(-d^2 / 10)
HILL_REACH = 7  # units on each side that make up the hill: exp(-7^2 / 10) < 0.01
LOG_STD_RANGE = (-5.0, 2.0)
LEAST_SPREAD = 0.05  # of demonstrated steering or acceleration: who never brakes does not make brakes count all


class Head(nn.Linear):
    """A linear layer from features ``(batch, features)``, and what its outputs mean."""

    def encode(self, actions: Array) -> Array:
        """Targets ``(batch, ...)`` of actions ``(batch, *action)``."""
        raise NotImplementedError

    def fit(self, targets: Array) -> None:
        """Take the scale of all targets ``(rows, ...)`` that are to be learnt, where the loss depends on it."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss ``(batch,)`` of each row."""
        raise NotImplementedError

    def decode(self, outputs: Tensor, rng: np.random.Generator | None = None) -> Array:
        """Actions ``(batch, *action)``: the most likely, or with a generator drawn ones where the head has chances."""
        raise NotImplementedError


class Categorical(Head):
    """One logit a discrete action; targets are action numbers from 0 ``(batch,)`` int64."""

    def __init__(self, features: int, space: gym.spaces.Discrete) -> None:
        super().__init__(features, int(space.n))
        self.first = int(space.start)

    def encode(self, actions: Array) -> Array:
        targets = np.asarray(actions).astype(np.int64) - self.first
        outside = (targets < 0) | (targets >= self.out_features)
        if outside.any():
            known = f"{self.first} to {self.first + self.out_features - 1}"
            raise UserError(f"action {np.asarray(actions)[outside][0]} is unknown: this environment has {known}")
        return targets

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")

    def decode(self, outputs: Tensor, rng: np.random.Generator | None = None) -> Array:
        if rng is None:
            return outputs.argmax(1).numpy() + self.first
        # adding Gumbel noise to logits and taking the largest draws from their softmax
        return (outputs.numpy() + rng.gumbel(size=outputs.shape)).argmax(1) + self.first


def steering_and_acceleration(actions: Array) -> Array:
    """``(batch, 2)`` float32 of a car's actions ``(batch, 3)``."""
    return np.stack([actions[:, 0], actions[:, 1] - actions[:, 2]], axis=1).astype(np.float32)


def car_actions(steering: Array, acceleration: Array) -> Array:
    """A car's actions ``(batch, 3)`` float32 of steering and acceleration ``(batch,)``."""
    pedals = np.maximum(acceleration, 0), np.maximum(-acceleration, 0)
    return np.clip(np.stack([steering, *pedals], axis=1), [-1, 0, 0], 1).astype(np.float32)


class SteeringAndAcceleration(Head):
    """Two outputs through tanh; targets are `steering_and_acceleration`.

    Errors are measured in standard deviations of the targets, those of gas and brake each in its own. A racing driver's
    steering and brake vary by 0.1, the gas by 0.4: as they are, squared errors of the gas would outweigh all others by
    16, and the car would come too fast into hairpins, and turn too little there.
    """

    spread: Tensor

    def __init__(self, features: int, space: gym.spaces.Box) -> None:
        _require_car(space)
        super().__init__(features, 2)
        self.register_buffer("spread", torch.ones(3))  # of steering, gas and brake

    def forward(self, input: Tensor) -> Tensor:
        return torch.tanh(super().forward(input))

    def encode(self, actions: Array) -> Array:
        return steering_and_acceleration(actions)

    def fit(self, targets: Array) -> None:
        self.spread.copy_(torch.from_numpy(car_actions(*targets.T).std(0).clip(LEAST_SPREAD)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        steering, gas, brake = self.spread

        def scaled(controls: Tensor) -> Tensor:
            acceleration = controls[:, 1]
            pedals = acceleration.clamp(min=0) / gas + acceleration.clamp(max=0) / brake
            return torch.stack([controls[:, 0] / steering, pedals], dim=1)

        return (scaled(outputs) - scaled(targets)).square().sum(1)

    def decode(self, outputs: Tensor, rng: np.random.Generator | None = None) -> Array:
        return car_actions(*outputs.numpy().T)


class Gaussian(Head):
    """Mean and log standard deviation of every part of an action; targets are actions ``(batch, parts)`` float32."""

    def __init__(self, features: int, space: gym.spaces.Box) -> None:
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"the head gaussian needs actions in a Box of one axis, not {space}: use the head classes")
        super().__init__(features, 2 * space.shape[0])
        self.low, self.high, self.dtype = space.low, space.high, space.dtype

    def encode(self, actions: Array) -> Array:
        return np.asarray(actions, np.float32)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mean, log_std = outputs.chunk(2, dim=1)
        log_std = log_std.clamp(*LOG_STD_RANGE)
        # -log N(a; mu, sigma) without its constant: log sigma + (a - mu)^2 / (2 sigma^2)
        return (log_std + (targets - mean).square() / (2 * (2 * log_std).exp())).sum(1)

    def decode(self, outputs: Tensor, rng: np.random.Generator | None = None) -> Array:
        mean, log_std = np.split(outputs.numpy(), 2, axis=1)
        if rng is not None:
            mean = mean + np.exp(log_std.clip(*LOG_STD_RANGE)) * rng.standard_normal(mean.shape)
        return np.clip(mean, self.low, self.high).astype(self.dtype)


class Curvature(Head):
    """ALVINN's 45 curvature units, from full left to full right, and one more that accelerates or brakes.

    The paper's network leaves the speed to others; its road intensity unit belongs to the backbone "alvinn". Targets
    are `steering_and_acceleration`; a steering wheel's place among the units becomes a hill around it, and is read off
    as the centre of mass of the hill around the highest unit.
    """

    def __init__(self, features: int, space: gym.spaces.Box) -> None:
        _require_car(space)
        super().__init__(features, CURVATURES + 1)

    def forward(self, input: Tensor) -> Tensor:
        outputs = super().forward(input)
        return torch.cat([outputs[:, :CURVATURES].sigmoid(), outputs[:, CURVATURES:].tanh()], dim=1)

    def encode(self, actions: Array) -> Array:
        return steering_and_acceleration(actions)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        place = (targets[:, :1] + 1) * (CURVATURES - 1) / 2  # among the units 0..44
        distance = torch.arange(CURVATURES, device=place.device) - place
        wanted = torch.cat([torch.exp(-distance.square() / HILL_VARIANCE), targets[:, 1:]], dim=1)
        return (outputs - wanted).square().sum(1)

    def decode(self, outputs: Tensor, rng: np.random.Generator | None = None) -> Array:
        heights = outputs[:, :CURVATURES].numpy()
        units = np.arange(CURVATURES)
        peak = heights.argmax(1)[:, None]
        # as far to both sides, or the edge would draw the centre towards the middle
        reach = np.minimum(HILL_REACH, np.minimum(peak, CURVATURES - 1 - peak))
        hill = np.where(abs(units - peak) <= reach, heights, 0)
        centre = (hill * units).sum(1) / np.maximum(hill.sum(1), 1e-12)
        return car_actions(2 * centre / (CURVATURES - 1) - 1, outputs[:, CURVATURES].numpy())


def _require_car(space: gym.Space[Any]) -> None:
    if not isinstance(space, gym.spaces.Box) or space.shape != (3,):
        remedy = 'use the head classes, or an environment such as skidpad/CarRacing-v0 with {"actions": "continuous"}'
        raise UserError(f"this head gives steering, gas and brake, and the environment has {space}: {remedy}")


HEADS: dict[str, Callable[..., Head]] = {
    "classes": Categorical,
    "continuous": SteeringAndAcceleration,
    "gaussian": Gaussian,
    "alvinn": Curvature,
}


def build(name: str, features: int, space: gym.Space[Any]) -> Head:
    """The head ``name`` over that many features for actions of ``space``.

    Raises:
        UserError: no such head, or it cannot give such actions.
    """
    if name not in HEADS:
        raise UserError(f"unknown head {name!r}{suggest(name, HEADS)}")
    if name == "classes" and not isinstance(space, gym.spaces.Discrete):
        raise UserError(f"the head classes needs discrete actions, not {space}: use the head continuous or gaussian")
    return HEADS[name](features, space)

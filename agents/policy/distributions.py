"""Stochastic policies: from features to the parameters of a distribution over actions, and what they say of actions.

    categorical   discrete actions: a logit each
    gaussian      a mean for every part of an action, and a standard deviation that does not depend on the state
    squashed      tanh of a Gaussian whose deviation depends on the state (Haarnoja et al. 2018): never out of bounds
    beta          a Beta distribution for every part (Chou et al. 2017): its support is the bounded action space itself

Continuous policies act in coordinates of their own, in which -1 and 1 (Beta: 0 and 1) are the bounds of the action
space; `to_env` scales. Where the space has no bounds the Gaussian's coordinates are the actions.
"""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.training.errors import UserError, suggest

Array = NDArray[Any]

LOG_STD_RANGE = (-5.0, 2.0)
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class Policy(nn.Linear):
    """A linear layer from features ``(batch, features)`` to parameters ``(batch, parameters)``, and what they mean.

    Sampling is NumPy's, from a generator that belongs to the run; densities are torch's, for their gradients.
    """

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Actions ``(batch, *action)`` drawn in the policy's own coordinates."""
        raise NotImplementedError

    def mode(self, parameters: Array) -> Array:
        """The most likely actions (Beta: the mean ones)."""
        raise NotImplementedError

    def log_probs(self, parameters: Tensor, actions: Tensor) -> Tensor:
        """log pi(a|s) ``(batch,)`` of actions in the policy's own coordinates."""
        raise NotImplementedError

    def entropy(self, parameters: Tensor) -> Tensor:
        """Entropy ``(batch,)`` (nat)."""
        raise NotImplementedError

    def to_env(self, actions: Array) -> Array:
        """Actions as the environment takes them."""
        raise NotImplementedError


class Categorical(Policy):
    """One logit a discrete action; actions are numbers from 0 ``(batch,)`` int64."""

    def __init__(self, features: int, space: gym.Space[Any]) -> None:
        if not isinstance(space, gym.spaces.Discrete):
            raise UserError(f"a categorical policy needs discrete actions, not {space}: use --policy auto")
        super().__init__(features, int(space.n))
        self.first = int(space.start)

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        # the largest of logits plus Gumbel noise is drawn from their softmax
        return (parameters + rng.gumbel(size=parameters.shape)).argmax(1)

    def mode(self, parameters: Array) -> Array:
        return parameters.argmax(1)

    def log_probs(self, parameters: Tensor, actions: Tensor) -> Tensor:
        return F.log_softmax(parameters, 1).gather(1, actions[:, None])[:, 0]

    def entropy(self, parameters: Tensor) -> Tensor:
        log_probs = F.log_softmax(parameters, 1)
        return -(log_probs.exp() * log_probs).sum(1)  # H = -sum_a pi(a) log pi(a)

    def to_env(self, actions: Array) -> Array:
        return actions + self.first


class Continuous(Policy):
    """Base of policies over a Box of one axis, whose bounds, where it has some, are ``low`` and ``high``."""

    bounded_only = True

    def __init__(self, features: int, space: gym.Space[Any], parameters: int) -> None:
        name = type(self).__name__.lower()
        if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
            raise UserError(f"a {name} policy needs actions in a Box of one axis, not {space}: use --policy auto")
        bounded = space.is_bounded("both")
        if self.bounded_only and not bounded:
            raise UserError(f"a {name} policy needs bounds, and {space} has none on some side: use --policy gaussian")
        super().__init__(features, parameters * space.shape[0])
        self.low, self.high, self.dtype, self.bounded = space.low, space.high, space.dtype, bounded

    def scaled(self, shares: Array) -> Array:
        """The environment's actions at shares 0..1 of the way from ``low`` to ``high``; shares beyond are clipped."""
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        return np.clip(low + shares * (high - low), low, high).astype(self.dtype)

    def centred(self, actions: Array) -> Array:
        """The environment's actions as -1..1 float32, where the bounds are finite."""
        low, high = self.low.astype(np.float64), self.high.astype(np.float64)
        return (2 * (actions - low) / (high - low) - 1).astype(np.float32)


class Gaussian(Continuous):
    """A mean a part, and a learnt logarithm of the standard deviation that all states share."""

    bounded_only = False

    def __init__(self, features: int, space: gym.Space[Any]) -> None:
        super().__init__(features, space, 1)
        self.log_std = nn.Parameter(torch.zeros(self.out_features))

    def forward(self, input: Tensor) -> Tensor:
        mean = super().forward(input)
        return torch.cat([mean, self.log_std.expand_as(mean)], dim=1)

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        mean, log_std = np.split(parameters, 2, axis=1)
        return mean + np.exp(log_std) * rng.standard_normal(mean.shape, np.float32)

    def mode(self, parameters: Array) -> Array:
        return np.split(parameters, 2, axis=1)[0]

    def log_probs(self, parameters: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, dim=1)
        return _normal_log_probs(mean, log_std, actions)

    def entropy(self, parameters: Tensor) -> Tensor:
        return _normal_entropy(parameters.chunk(2, dim=1)[1])

    def to_env(self, actions: Array) -> Array:
        if not self.bounded:
            return np.clip(actions, self.low, self.high).astype(self.dtype)
        return self.scaled((actions + 1) / 2)


class Squashed(Continuous):
    """tanh(u) of a Gaussian u; the policy's own coordinates are u, so that no density needs the inverse of tanh."""

    # nodes and weights of E f(x) for a standard normal x (Gauss-Hermite)
    NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(8)

    def __init__(self, features: int, space: gym.Space[Any]) -> None:
        super().__init__(features, space, 2)

    def forward(self, input: Tensor) -> Tensor:
        mean, log_std = super().forward(input).chunk(2, dim=1)
        return torch.cat([mean, log_std.clamp(*LOG_STD_RANGE)], dim=1)

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        mean, log_std = np.split(parameters, 2, axis=1)
        return mean + np.exp(log_std) * rng.standard_normal(mean.shape, np.float32)

    def mode(self, parameters: Array) -> Array:
        return np.split(parameters, 2, axis=1)[0]

    def log_probs(self, parameters: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, dim=1)
        # log pi(tanh u) = log N(u) - sum log(1 - tanh(u)^2)
        return _normal_log_probs(mean, log_std, actions) - _log_slope(actions).sum(1)

    def entropy(self, parameters: Tensor) -> Tensor:
        mean, log_std = parameters.chunk(2, dim=1)
        nodes, weights = (mean.new_tensor(one) for one in (self.NODES, self.WEIGHTS / self.WEIGHTS.sum()))
        u = mean[..., None] + log_std.exp()[..., None] * nodes
        # H(tanh u) = H(u) + E log(1 - tanh(u)^2)
        return _normal_entropy(log_std) + (_log_slope(u) @ weights).sum(1)

    def to_env(self, actions: Array) -> Array:
        return self.scaled((np.tanh(actions) + 1) / 2)

    def rsample(self, parameters: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Drawn actions tanh(u) ``(batch, actions)`` in -1..1 and their log pi ``(batch,)``, both with gradients.

        A draw is u = mean + std noise: what is made of it has a gradient in mean and std (Kingma and Welling 2014).
        """
        mean, log_std = parameters.chunk(2, dim=1)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32)).to(mean.device)
        u = mean + log_std.exp() * noise
        # log N(u; mean, std) = log N(noise; 0, 1) - log std
        log_probs = (-0.5 * noise.square() - log_std - HALF_LOG_TAU - _log_slope(u)).sum(1)
        return u.tanh(), log_probs


class Beta(Continuous):
    """alpha and beta, both above 1, a part: one hump within 0..1."""

    EDGE = 1e-6  # actions keep this distance from 0 and 1, where the density may vanish

    def __init__(self, features: int, space: gym.Space[Any]) -> None:
        super().__init__(features, space, 2)

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(super().forward(input)) + 1

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        alpha, beta = np.split(parameters, 2, axis=1)
        return rng.beta(alpha, beta).clip(self.EDGE, 1 - self.EDGE).astype(np.float32)

    def mode(self, parameters: Array) -> Array:
        alpha, beta = np.split(parameters, 2, axis=1)
        return alpha / (alpha + beta)  # the mean: the mode runs to the edges where alpha or beta is near 1

    def log_probs(self, parameters: Tensor, actions: Tensor) -> Tensor:
        alpha, beta = parameters.chunk(2, dim=1)
        # log of x^(alpha - 1) (1 - x)^(beta - 1) / B(alpha, beta)
        return ((alpha - 1) * actions.log() + (beta - 1) * (-actions).log1p() - _log_beta(alpha, beta)).sum(1)

    def entropy(self, parameters: Tensor) -> Tensor:
        alpha, beta = parameters.chunk(2, dim=1)
        total = alpha + beta
        digammas = (total - 2) * total.digamma() - (alpha - 1) * alpha.digamma() - (beta - 1) * beta.digamma()
        return (_log_beta(alpha, beta) + digammas).sum(1)

    def to_env(self, actions: Array) -> Array:
        return self.scaled(actions)


def _normal_log_probs(mean: Tensor, log_std: Tensor, values: Tensor) -> Tensor:
    # log N(x; mu, sigma) = -(x - mu)^2 / (2 sigma^2) - log sigma - log sqrt(2 pi)
    return (-0.5 * ((values - mean) * (-log_std).exp()).square() - log_std - HALF_LOG_TAU).sum(1)


def _normal_entropy(log_std: Tensor) -> Tensor:
    return (log_std + 0.5 + HALF_LOG_TAU).sum(1)


def _log_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)^2), without the cancellation of that form."""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))


def _log_beta(alpha: Tensor, beta: Tensor) -> Tensor:
    return alpha.lgamma() + beta.lgamma() - (alpha + beta).lgamma()


POLICIES: dict[str, type[Any]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "squashed": Squashed,
    "beta": Beta,
}


def build(name: str, features: int, space: gym.Space[Any]) -> Policy:
    """The policy ``name`` over that many features for actions of ``space``; "auto" is categorical or gaussian.

    Raises:
        UserError: no such policy, or it cannot give such actions.
    """
    if name == "auto":
        name = "categorical" if isinstance(space, gym.spaces.Discrete) else "gaussian"
    if name not in POLICIES:
        raise UserError(f"unknown policy {name!r}{suggest(name, ('auto', *POLICIES))}")
    return POLICIES[name](features, space)

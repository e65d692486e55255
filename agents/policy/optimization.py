"""The gradient step that all learners of stochastic policies take: its size, its bounds, and what stops it."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from agents.policy.networks import PolicySettings
from supervised.training.errors import UserError


def anneal(optimizer: torch.optim.Optimizer, config: PolicySettings, left: float) -> float:
    """Set the step size for the share ``left`` of the run, and return it: it falls linearly to its end.

    A group of parameters may say by what its own is larger: ``{"params": ..., "times": 3.0}``.
    """
    rate = config.learning_rate_end + left * (config.learning_rate - config.learning_rate_end)
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("times", 1.0)
    return rate


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, max_gradient_norm: float) -> None:
    """One step against the gradient of a loss, which is scaled down to a norm (0: never).

    Raises:
        UserError: the loss is not finite.
    """
    value = loss.item()
    if not np.isfinite(value):
        remedy = "training stopped, the last checkpoint is kept; try a smaller learning_rate"
        raise UserError(f"loss={value}: {remedy}")
    optimizer.zero_grad()
    loss.backward()
    if max_gradient_norm:
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
    optimizer.step()


def measured(parts: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars as numbers, all fetched at once."""
    return dict(zip(parts, torch.stack([*parts.values()]).detach().tolist(), strict=True))

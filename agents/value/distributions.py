"""What a Q-network says of the return of an action: its expected value, or its whole distribution.

    expected     one number an action: the expected return (Mnih et al. 2015)
    categorical  C51: probabilities of fixed returns, the atoms (Bellemare, Dabney and Munos 2017)
    quantile     QR-DQN: returns that are passed with fixed probabilities, the quantiles (Dabney et al. 2018)

The target of a transition with the reward R and the discount gamma^m is Z' = R + gamma^m Z(s', a').
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

LOSSES: dict[str, Callable[..., Tensor]] = {"huber": F.smooth_l1_loss, "squared": F.mse_loss}


class Distribution(Protocol):
    """How ``size`` numbers an action tell of its return."""

    size: int

    def values(self, outputs: Tensor) -> Tensor:
        """Expected returns ``(batch, actions)`` of outputs ``(batch, actions, size)``."""
        ...

    def targets(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """What `losses` compares with ``(batch, size)``, of outputs ``(batch, size)`` for the next action.

        Args:
            rewards, discounts: R and gamma^m ``(batch, 1)``, 0 after a terminal state.
        """
        ...

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Losses ``(batch,)`` of outputs ``(batch, size)`` for the action taken, and errors ``(batch,)``."""
        ...


class Expected:
    """`Distribution` by the expected value alone; the loss is "huber" or "squared"."""

    size = 1

    def __init__(self, loss: str) -> None:
        self._loss = LOSSES[loss]

    def values(self, outputs: Tensor) -> Tensor:
        """See `Distribution`."""
        return outputs[..., 0]

    def targets(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """See `Distribution`."""
        return rewards + discounts * outputs  # y = R + gamma^m q(s', a')

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution`; the error is q - y."""
        return self._loss(outputs, targets, reduction="none")[:, 0], (outputs - targets)[:, 0]


class Categorical:
    """`Distribution` by a softmax over ``size`` atoms, evenly spaced from ``low`` to ``high``."""

    def __init__(self, size: int, low: float, high: float) -> None:
        self.size = size
        self._low, self._high = low, high
        self._atoms = torch.linspace(low, high, size)

    def values(self, outputs: Tensor) -> Tensor:
        """See `Distribution`."""
        return outputs.softmax(-1) @ self._atoms.to(outputs.device)

    def targets(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """See `Distribution`: the probabilities of Z', shared out to the atoms next to it.

        Those beyond the outermost atoms go to these; within, their sum and their mean stay.
        """
        returns = rewards + discounts * self._atoms.to(outputs.device)  # (batch, size)
        places = (returns.clamp(self._low, self._high) - self._low) * ((self.size - 1) / (self._high - self._low))
        below = places.floor().clamp(max=self.size - 2)
        above, probabilities = places - below, outputs.softmax(1)
        targets = torch.zeros_like(probabilities)
        targets.scatter_add_(1, below.long(), probabilities * (1 - above))
        return targets.scatter_add_(1, below.long() + 1, probabilities * above)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution`; the loss is the cross entropy, the error the divergence of target from output."""
        losses = -(targets * F.log_softmax(outputs, 1)).sum(1)
        return losses, losses + torch.special.entr(targets).mul(-1).sum(1)


class Quantile:
    """`Distribution` by ``size`` quantiles, the returns passed with probability (i + 1/2) / size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._levels = (torch.arange(size) + 0.5) / size  # tau

    def values(self, outputs: Tensor) -> Tensor:
        """See `Distribution`."""
        return outputs.mean(-1)

    def targets(self, outputs: Tensor, rewards: Tensor, discounts: Tensor) -> Tensor:
        """See `Distribution`: quantiles of Z'."""
        return rewards + discounts * outputs

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Distribution`; the loss is the quantile Huber loss, which is the error, too."""
        errors = targets[:, None, :] - outputs[:, :, None]  # (batch, quantile, target)
        # rho(u) = |tau - 1{u < 0}| huber(u), a sum over the quantiles of the mean over the targets
        slopes = (self._levels.to(outputs.device)[:, None] - (errors.detach() < 0).float()).abs()
        losses = (slopes * F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")).mean(2).sum(1)
        return losses, losses


KINDS = ("expected", "categorical", "quantile")

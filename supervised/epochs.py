"""Training in passes through data: what all models of this package have in common, but for what a pass does.

All that is random in an epoch depends on the run's seed and the epoch's number alone (`supervised.training.seeding`),
so that a checkpoint holds weights and optimizers and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from supervised.training.errors import UserError, require, require_falling
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.precision import DTYPES, require_device
from supervised.training.run import Run


@dataclass(frozen=True)
class Settings:
    """A training in epochs."""

    data: str = "mnist"
    """The data set: mnist, fashion-mnist, cifar10, cifar10-jpeg, digits, iris, or pictures:PATH."""
    seed: int = 0
    """Seed of everything random in the run."""
    epochs: int = 5
    """Passes through what is learnt from."""
    batch_size: int = 100
    """Rows of a gradient step."""
    learning_rate: float = 1e-3
    """Step size at the start."""
    learning_rate_end: float = 0.0
    """Step size in the end; it falls linearly over the epochs."""
    dtype: str = "float32"
    """Arithmetic of the network: float32, or bfloat16 (faster on some processors for convolutions)."""
    device: str = "cpu"
    """Where the network lives: "cpu" or "cuda"."""
    threads: int = 1
    """Threads of torch and numba."""
    checkpoint_every: int = 1
    """Epochs between checkpoints; 0: only at the end or when stopped."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("learning_rate_end", "checkpoint_every", "seed"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        require_falling(self, "learning_rate", "learning_rate_end")
        require(self.dtype in DTYPES, "dtype", self.dtype, f"use one of {', '.join(DTYPES)}")
        require_device(self.device)

    def rate(self, epoch: int) -> float:
        """The step size of an epoch, from 0 on."""
        left = 1 - epoch / self.epochs
        return self.learning_rate_end + left * (self.learning_rate - self.learning_rate_end)


def require_statistics(network: nn.Module, rows: int, batch_size: int) -> None:
    """Refuse batches of a single row, of which a network cannot take means and variances.

    Raises:
        UserError: it normalizes by batches, and some of the even parts of ``rows`` have one row.
    """
    normalizes = any(isinstance(one, nn.modules.batchnorm._BatchNorm) for one in network.modules())
    alone = rows // -(-rows // batch_size) < 2
    remedy = f"some batches of {rows} rows would have one, and the network normalizes by batches: use another"
    require(not (normalizes and alone), "batch_size", batch_size, remedy)


def train_epochs(
    config: Settings,
    run: Run,
    parts: Mapping[str, nn.Module | torch.optim.Optimizer],
    learn: Callable[[int], Mapping[str, float]],
) -> None:
    """Learn for ``config.epochs`` epochs; log, save checkpoints, and continue from the newest one.

    Args:
        parts: all that changes, by the name under which checkpoints hold it. Optimizers get the epoch's step size.
        learn: passes through the data in the epoch of that number, and returns metrics.

    Raises:
        UserError: a metric is not finite.
        supervised.training.run.Interrupted: after a signal; a resumed run repeats the epoch under way.
    """
    optimizers = {name: part for name, part in parts.items() if isinstance(part, torch.optim.Optimizer)}
    modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    epoch = 0

    def state() -> dict[str, object]:
        weights = {name: module.state_dict() for name, module in modules.items()}
        return {"epoch": epoch, **weights, **{name: optimizer_state(one) for name, one in optimizers.items()}}

    if saved := run.restore():
        epoch = saved["epoch"]
        for name, module in modules.items():
            module.load_state_dict(saved[name])
        for name, optimizer in optimizers.items():
            load_optimizer_state(optimizer, saved[name])

    while epoch < config.epochs:
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = config.rate(epoch)
        with run.restartable():
            metrics = {**learn(epoch), "learning_rate": config.rate(epoch)}
        for name, value in metrics.items():
            if not np.isfinite(value):
                kept = "training stopped, the last checkpoint is kept" if epoch else "training stopped"
                remedy = f"{kept}; try a smaller learning_rate"
                raise UserError(f"{name}={value} in epoch {epoch + 1}: {remedy}")
        epoch += 1
        run.log(epoch, metrics)
        run.progress(epoch)
        run.checkpoint(epoch, state, config.checkpoint_every)
    run.finish(epoch, state)

"""Optimizer states as checkpoints store them: nested dictionaries with string keys."""

from typing import Any

import torch


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A torch optimizer's ``state_dict`` with its parameter numbers as strings."""
    state = optimizer.state_dict()
    return {**state, "state": {str(number): values for number, values in state["state"].items()}}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Continue from `optimizer_state`."""
    optimizer.load_state_dict({**state, "state": {int(number): values for number, values in state["state"].items()}})
    # checkpoints keep numbers, not their order in memory, by which fused steps pair those of a weight and of its state
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                values[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)

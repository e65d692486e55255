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

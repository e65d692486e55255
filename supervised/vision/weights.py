"""Weights that others have published: files of torchvision and others with a state dict of PyTorch."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from supervised.training.errors import CorruptFile, UserError


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a ``.pth`` file; nothing that it holds is run.

    Raises:
        UserError: there is no such file, or it is not weights alone.
        CorruptFile: it is damaged.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: give a file of weights") from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise CorruptFile(f"cannot read {path}: {str(error).splitlines()[0]}; it is truncated or damaged") from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":  # of a module that nothing of ours imports
            raise
        raise UserError(f"{path} is not weights alone; nothing of it was run, do not use it") from error
    if not isinstance(found, dict) or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise UserError(f"{path} holds no state dict: names of weights and tensors")
    return found


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a file; all of them, and none besides.

    Raises:
        UserError: also weights of another architecture; the message names the first that differs.
    """
    given, wanted = read_weights(path), network.state_dict()
    for name, tensor in wanted.items():
        if name not in given and not name.endswith("num_batches_tracked"):  # old files do not count batches
            raise UserError(f"{path} has no {name}: its weights are of another architecture")
        if name in given and given[name].shape != tensor.shape:
            shapes = f"{tuple(given[name].shape)} in {path}, {tuple(tensor.shape)} here"
            raise UserError(f"{name} is {shapes}: its weights are of another architecture, or other classes")
    if strange := [name for name in given if name not in wanted]:
        raise UserError(
            f"{path} has {strange[0]}, which is not in this network: its weights are of another architecture"
        )
    network.load_state_dict({**wanted, **given})

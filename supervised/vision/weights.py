"""Weights to start from: published ones, files of torchvision and others with a state dict of PyTorch, and our own."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from supervised.data.sources import FILES, locate
from supervised.training.errors import CorruptFile, UserError
from supervised.training.run import read_state
from supervised.vision import keras_weights
from supervised.vision.networks import AUXILIARY, head

#: of ImageNet's colours, from 0 to 1: what torchvision's networks have seen was scaled by them
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: torchvision's files of DenseNet are older than its names: norm.1 for norm1
OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])(?=\.)")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The state dict of a ``.pth`` file, or of Keras' ``.h5`` of a VGG; nothing that it holds is run.

    Raises:
        UserError: there is no such file, or it is not weights alone.
        CorruptFile: it is damaged.
    """
    if path.suffix == ".h5":
        return keras_weights.read(path, IMAGENET_STD, IMAGENET_MEAN)
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


def find_weights(name: str) -> dict[str, torch.Tensor]:
    """The state dict of a file in `supervised.data.sources`, of a ``.pth`` file, or of a classifier's run.

    Raises:
        UserError: as `read_weights`, or a run of another model.
    """
    path = locate(name) if name in FILES else Path(name)
    if not path.is_dir():
        return read_weights(path)
    saved = read_state(path).get("classifier")
    if saved is None:
        raise UserError(f"{path} is no run of a classifier: give one, or a file of weights")
    return {key.removeprefix("network."): one for key, one in saved.items() if key.startswith("network.")}


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights of a file; all of them, and none besides.

    Raises:
        UserError: also weights of another architecture; the message names the first that differs.
    """
    fill(network, read_weights(path), str(path))


def transfer(network: nn.Module, name: str) -> None:
    """Give a network the weights that `find_weights` finds, but for what tells classes, which stays new.

    That is the last layer, and in the middle of some networks further classifiers.

    Raises:
        UserError: as `find_weights` and `load_weights`.
    """
    last, _ = head(network)

    def part(weights: dict[str, torch.Tensor], wanted: bool) -> dict[str, torch.Tensor]:
        """Those that tell classes, or all others."""
        return {key: one for key, one in weights.items() if key.startswith((f"{last}.", *AUXILIARY)) == wanted}

    fill(network, {**part(find_weights(name), False), **part(network.state_dict(), True)}, name)


def fill(network: nn.Module, given: dict[str, torch.Tensor], path: str) -> None:
    """Give a network a state dict, strictly; see `load_weights`."""
    given = {OLD_NAME.sub(r"\1\2", name): tensor for name, tensor in given.items()}
    wanted = network.state_dict()
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

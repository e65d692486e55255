"""VGG's weights as Keras publishes them, ``vgg16_weights_tf_dim_ordering_tf_kernels.h5`` and that of VGG-19.

Keras has filters ``(height, width, inputs, outputs)`` and features with the channels last, and its VGG sees blue, green
and red from 0 to 255, less the mean. What is read has torchvision's names and sees what torchvision's VGG does.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from supervised.training.errors import CorruptFile, UserError, needs_extra

MEAN = (123.68, 116.779, 103.939)  # that Keras takes off red, green and blue
LAYERS = {"fc1": "classifier.0", "fc2": "classifier.3", "predictions": "classifier.6"}


def read(path: Path, std: Sequence[float], mean: Sequence[float]) -> dict[str, torch.Tensor]:
    """The state dict of a VGG in a ``.h5`` file.

    Args:
        std, mean: of the colours from 0 to 1, by which the images to be seen are scaled.

    Raises:
        UserError: there is no such file, h5py is not installed, or it is of another network.
        CorruptFile: it is damaged.
    """
    with needs_extra("learn"):
        import h5py
    if not path.is_file():
        raise UserError(f"{path} does not exist: give a file of weights")
    found: dict[str, dict[int, NDArray[np.float32]]] = {}  # layer -> number of axes -> kernel or bias

    def take(name: str, one: object) -> None:
        if isinstance(one, h5py.Dataset):
            found.setdefault(name.split("/")[0], {})[one.ndim] = np.asarray(one, np.float32)

    try:
        with h5py.File(path) as file:
            file.visititems(take)
    except (OSError, RuntimeError, KeyError) as error:
        raise CorruptFile(f"cannot read {path}: {error}; it is truncated or damaged") from error
    try:
        return converted(found, np.array(std), np.array(mean))
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} holds no VGG of Keras' ({error}): give vgg16's or vgg19's") from error


def converted(
    found: Mapping[str, Mapping[int, NDArray[np.float32]]], std: NDArray[np.float64], mean: NDArray[np.float64]
) -> dict[str, torch.Tensor]:
    """The state dict of layers by name, each a kernel of 4 or 2 axes and a bias."""
    numbers = {name: re.fullmatch(r"block(\d)_conv(\d)", name) for name in found}
    convolutions = sorted((int(match[1]), int(match[2]), name) for name, match in numbers.items() if match)
    state: dict[str, torch.Tensor] = {}
    for k, (block, _, name) in enumerate(convolutions):
        kernel, bias = found[name][4].transpose(3, 2, 0, 1), found[name][1]
        if k == 0:
            # Keras' x' = 255 (std x + mean) - MEAN, blue first
            kernel = kernel[:, ::-1]
            bias = bias + np.einsum("oihw,i->o", kernel, 255 * mean - MEAN).astype(np.float32)
            kernel = kernel * (255 * std)[:, None, None].astype(np.float32)
        place = f"features.{2 * k + block - 1}"  # each convolution has a ReLU after it, and each block pooling
        state |= _layer(place, kernel, bias)
    channels = len(found[convolutions[-1][2]][1]) if convolutions else 0
    for name, place in LAYERS.items():
        kernel = found[name][2]
        if name == "fc1":  # its inputs are maps of 7 x 7, of which Keras has the channels last
            kernel = kernel.reshape(7, 7, channels, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
        state |= _layer(place, kernel.T, found[name][1])
    return state


def _layer(place: str, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    arrays = {"weight": kernel, "bias": bias}
    return {f"{place}.{name}": torch.from_numpy(np.ascontiguousarray(one, np.float32)) for name, one in arrays.items()}

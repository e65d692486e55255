"""The book's own classifiers: fully connected (chapter 3), and convolutional (chapter 4).

All take inputs ``(batch, *shape)`` float32, images with their colours in front, and give logits ``(batch, classes)``.
Activations come after pooling, where the listings have them before: they grow with their input, so the largest of four
stays the largest, and a quarter of the work is left.
"""

import math
from collections.abc import Sequence

from torch import nn

from supervised.training.errors import require


def mlp(shape: Sequence[int], classes: int, hidden: Sequence[int], activations: Sequence[type[nn.Module]]) -> nn.Module:
    """Layers of ``hidden`` units, each with an activation, the last of them for all that are left, and logits."""
    widths = [math.prod(shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for k, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        layers += [nn.Linear(inputs, outputs), activations[min(k, len(activations) - 1)]()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def cnn(shape: Sequence[int], classes: int) -> nn.Module:
    """Chapter 4's network for MNIST: two convolutions of 32 filters, one pooling, 64 units; 305,194 weights there.

    Raises:
        UserError: images smaller than 6 x 6.
    """
    channels, height, width = shape
    require(min(height, width) >= 6, "image", f"{height} x {width}", "this network needs 6 x 6 pixels or more")
    flat = 32 * ((height - 4) // 2) * ((width - 4) // 2)
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, classes)),
    )


def deep_cnn(shape: Sequence[int], classes: int) -> nn.Module:
    """Chapter 4's network for CIFAR-10: three blocks of two convolutions with batch normalization, ELU and dropout.

    Raises:
        UserError: images smaller than 24 x 24.
    """
    channels, height, width = shape
    require(min(height, width) >= 24, "image", f"{height} x {width}", "this network needs 24 x 24 pixels or more")
    layers: list[nn.Module] = []
    for filters, padding, dropout in ((32, 1, 0.2), (64, 1, 0.2), (128, 0, 0.5)):
        for pooling in ([], [nn.MaxPool2d(2)]):
            convolution = nn.Conv2d(channels, filters, 3, padding=padding)
            layers += [convolution, nn.BatchNorm2d(filters), *pooling, nn.ELU()]
            height, width, channels = height - 2 + 2 * padding, width - 2 + 2 * padding, filters
        layers.append(nn.Dropout(dropout))
        height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, classes))

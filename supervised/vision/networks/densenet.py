"""DenseNet: every layer sees what all layers of its block before it have found (book, chapter 5; Huang et al. 2017)."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from supervised.vision.networks.layers import he_normal


class DenseLayer(nn.Module):
    """Normalize, ReLU, convolve: 3 x 3 to ``growth`` channels, after 1 x 1 to four times as many where narrowed (B)."""

    def __init__(self, inputs: int, growth: int, narrowed: bool) -> None:
        super().__init__()
        width = 4 * growth if narrowed else inputs
        if narrowed:
            self.norm1, self.relu1 = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)
            self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, growth, 3, padding=1, bias=False)
        self._narrowed = narrowed

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.conv1(self.relu1(self.norm1(inputs))) if self._narrowed else inputs
        return torch.cat([inputs, self.conv2(self.relu2(self.norm2(found)))], dim=1)


class DenseNet(nn.Module):
    """DenseNet.

    Args:
        counts: dense layers of each block.
        growth: channels that a layer adds, k in the paper.
        first: channels of the first layer.
        narrowed: layers have a 1 x 1 convolution first ("B").
        compression: share of the channels that a transition between blocks keeps ("C" where it is below 1).
        small: images of a few dozen pixels: a first convolution of 3 x 3 that shrinks nothing, and no pooling.
    """

    def __init__(
        self,
        counts: tuple[int, ...],
        growth: int,
        first: int,
        narrowed: bool,
        compression: float,
        channels: int,
        classes: int,
        small: bool,
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small else (7, 2)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(channels, first, kernel, stride, kernel // 2, bias=False),
            norm0=nn.BatchNorm2d(first),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.Identity() if small else nn.MaxPool2d(3, 2, 1),
        )
        width = first
        for number, count in enumerate(counts, 1):
            block = OrderedDict[str, nn.Module]()
            for k in range(1, count + 1):
                block[f"denselayer{k}"] = DenseLayer(width, growth, narrowed)
                width += growth
            layers[f"denseblock{number}"] = nn.Sequential(block)
            if number < len(counts):
                kept = int(width * compression)
                convolution = nn.Conv2d(width, kept, 1, bias=False)
                steps = {"norm": nn.BatchNorm2d(width), "relu": nn.ReLU(inplace=True), "conv": convolution}
                layers[f"transition{number}"] = nn.Sequential(OrderedDict(**steps, pool=nn.AvgPool2d(2)))
                width = kept
        layers[f"norm{len(counts) + 1}"] = nn.BatchNorm2d(width)
        self.features, self.feature_dim = nn.Sequential(layers), width
        self.classifier = nn.Linear(width, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).relu().mean((2, 3)))


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    **{
        f"densenet{layers}": partial(DenseNet, counts, growth, first, True, 0.5)
        for layers, counts, growth, first in (
            (121, (6, 12, 24, 16), 32, 64),
            (161, (6, 12, 36, 24), 48, 96),
            (169, (6, 12, 32, 32), 32, 64),
            (201, (6, 12, 48, 32), 32, 64),
        )
    },
    # the paper's for CIFAR, 12 channels a layer: plain, with "B", with "C", and with both
    "densenet40": partial(DenseNet, (12, 12, 12), 12, 16, False, 1.0),
    "densenet40_b": partial(DenseNet, (6, 6, 6), 12, 16, True, 1.0),
    "densenet40_c": partial(DenseNet, (12, 12, 12), 12, 16, False, 0.5),
    "densenet100_bc": partial(DenseNet, (16, 16, 16), 12, 24, True, 0.5),
}

"""Residual networks (book, chapter 5; He et al. 2016): every block adds to what it is given."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from supervised.vision.networks.layers import he_normal

#: layers with weights -> whether blocks are bottlenecks, and how many there are in each stage
DEPTHS = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """As large as its input, but for the stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)


class Block(nn.Module):
    """What blocks share: the shortcut, with 1 x 1 filters of its own where the shapes differ."""

    expansion: ClassVar[int]

    def shortcut(self, inputs: int, width: int, stride: int) -> nn.Module | None:
        """From the block's inputs to what its outputs look like; None: they are added as they are."""
        outputs = width * self.expansion
        if stride == 1 and inputs == outputs:
            return None
        return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class Basic(Block):
    """Two convolutions of 3 x 3."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3), nn.BatchNorm2d(width)
        self.relu, self.downsample = nn.ReLU(inplace=True), self.shortcut(inputs, width, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        added = inputs if self.downsample is None else self.downsample(inputs)
        found = self.relu(self.bn1(self.conv1(inputs)))
        return self.relu(self.bn2(self.conv2(found)) + added)


class Bottleneck(Block):
    """1 x 1 to fewer channels, 3 x 3, and 1 x 1 back to four times as many; the stride is the 3 x 3's."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = convolution(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.relu, self.downsample = nn.ReLU(inplace=True), self.shortcut(inputs, width, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        added = inputs if self.downsample is None else self.downsample(inputs)
        found = self.relu(self.bn1(self.conv1(inputs)))
        found = self.relu(self.bn2(self.conv2(found)))
        return self.relu(self.bn3(self.conv3(found)) + added)


class ResNet(nn.Module):
    """Four stages of blocks, each of half the size and twice the channels of the one before.

    Args:
        block, counts: `Basic` or `Bottleneck`, and how many in each stage.
        small: images of a few dozen pixels: a first convolution of 3 x 3 that shrinks nothing, and no pooling.
    """

    def __init__(
        self, block: type[Basic | Bottleneck], counts: tuple[int, ...], channels: int, classes: int, small: bool
    ) -> None:
        super().__init__()
        self.conv1 = convolution(channels, 64, 3) if small else convolution(channels, 64, 7, 2)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs, stages = 64, []
        for stage, count in enumerate(counts):
            width, blocks = 64 * 2**stage, []
            for k in range(count):
                blocks.append(block(inputs, width, 2 if stage and k == 0 else 1))
                inputs = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.feature_dim, self.fc = inputs, nn.Linear(inputs, classes)
        he_normal(self)

    def features(self, images: Tensor) -> Tensor:
        """Features ``(batch, feature_dim)``."""
        found = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(found)))).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    f"resnet{layers}": partial(ResNet, Bottleneck if bottleneck else Basic, counts)
    for layers, (bottleneck, counts) in DEPTHS.items()
}

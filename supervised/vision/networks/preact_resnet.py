"""Residual networks, version 2 (book, chapter 5; He et al. 2016, "Identity mappings in deep residual networks").

Normalization and activation come before each convolution, so that nothing stands in the way from block to block.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from supervised.vision.networks.layers import he_normal
from supervised.vision.networks.resnet import DEPTHS, convolution


class Block(nn.Module):
    """Convolutions, each after normalization and ReLU; where shapes differ the shortcut is 1 x 1, after the first ReLU.

    Args:
        steps: kernel, channels and stride of each convolution.
    """

    def __init__(self, inputs: int, steps: tuple[tuple[int, int, int], ...]) -> None:
        super().__init__()
        width = inputs
        for number, (kernel, outputs, stride) in enumerate(steps, 1):
            self.add_module(f"bn{number}", nn.BatchNorm2d(width))
            self.add_module(f"conv{number}", convolution(width, outputs, kernel, stride))
            width = outputs
        stride = max(one for _, _, one in steps)
        same = stride == 1 and inputs == width
        self.downsample = None if same else convolution(inputs, width, 1, stride)
        self._count = len(steps)

    def forward(self, inputs: Tensor) -> Tensor:
        found, added = inputs, inputs
        for number in range(1, self._count + 1):
            found = F.relu(self.get_submodule(f"bn{number}")(found))
            if number == 1 and self.downsample is not None:
                added = self.downsample(found)
            found = self.get_submodule(f"conv{number}")(found)
        return found + added


class PreActResNet(nn.Module):
    """Four stages of blocks, as of `supervised.vision.networks.resnet.ResNet`.

    Args:
        bottleneck: blocks of 1 x 1, 3 x 3, 1 x 1, not of 3 x 3 twice.
        counts: blocks of each stage.
        small: images of a few dozen pixels: a first convolution of 3 x 3 that shrinks nothing, and no pooling.
    """

    def __init__(self, bottleneck: bool, counts: tuple[int, ...], channels: int, classes: int, small: bool) -> None:
        super().__init__()
        self.conv1 = convolution(channels, 64, 3) if small else convolution(channels, 64, 7, 2)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs, blocks = 64, []
        for stage, count in enumerate(counts):
            width = 64 * 2**stage
            for k in range(count):
                stride = 2 if stage and k == 0 else 1
                deep = ((1, width, 1), (3, width, stride), (1, 4 * width, 1))
                steps = deep if bottleneck else ((3, width, stride), (3, width, 1))
                blocks.append(Block(inputs, steps))
                inputs = steps[-1][1]
        self.blocks, self.bn = nn.Sequential(*blocks), nn.BatchNorm2d(inputs)
        self.feature_dim, self.fc = inputs, nn.Linear(inputs, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        found = self.blocks(self.maxpool(self.conv1(images)))
        return self.fc(F.relu(self.bn(found)).mean((2, 3)))


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    f"preact_resnet{layers}": partial(PreActResNet, bottleneck, counts)
    for layers, (bottleneck, counts) in DEPTHS.items()
}

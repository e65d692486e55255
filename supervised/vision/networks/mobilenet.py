"""MobileNet v2: inverted residuals with linear bottlenecks (book, chapter 5; Sandler et al. 2018)."""

from torch import Tensor, nn

#: factor of expansion, channels, blocks, stride of the first of them (the paper's table 2)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def layer(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalization, and a ReLU that ends at 6."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class InvertedResidual(nn.Module):
    """Wide in the middle: 1 x 1 to more channels, 3 x 3 on each of them alone, 1 x 1 to few, without activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        expand = [layer(inputs, wide, 1)] if expansion != 1 else []
        depthwise = layer(wide, wide, 3, stride, groups=wide)
        project = nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv = nn.Sequential(*expand, depthwise, *project)
        self._shortcut = stride == 1 and inputs == outputs

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.conv(inputs) if self._shortcut else self.conv(inputs)


class MobileNetV2(nn.Module):
    """MobileNet v2.

    Args:
        small: images of a few dozen pixels: the first layer and the first stage that shrinks do not.
    """

    feature_dim = 1280

    def __init__(self, channels: int = 3, classes: int = 1000, small: bool = False) -> None:
        super().__init__()
        blocks: list[nn.Module] = [layer(channels, 32, 3, 1 if small else 2)]
        inputs = 32
        for expansion, outputs, count, stride in STAGES:
            first = 1 if small and outputs == 24 else stride
            for k in range(count):
                blocks.append(InvertedResidual(inputs, outputs, first if k == 0 else 1, expansion))
                inputs = outputs
        self.features = nn.Sequential(*blocks, layer(inputs, self.feature_dim, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.feature_dim, classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).mean((2, 3)))

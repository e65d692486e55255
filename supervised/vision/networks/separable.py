"""Xception and MobileNet v1: convolutions in two steps, each channel alone, then all of a pixel (book, chapter 5)."""

from collections.abc import Callable

from torch import Tensor, nn

from supervised.vision.networks.layers import he_normal

#: channels of MobileNet's depthwise separable layers, and their strides (Howard et al. 2017, table 1)
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class MobileNetV1(nn.Module):
    """MobileNet v1 (Howard et al. 2017).

    Args:
        small: images of a few dozen pixels: the first layer and the first that shrinks after it do not.
    """

    feature_dim = 1024

    def __init__(self, channels: int, classes: int, small: bool) -> None:
        super().__init__()
        layers, inputs, shrunk = _normalized(nn.Conv2d(channels, 32, 3, 1 if small else 2, 1, bias=False)), 32, False
        for outputs, wanted in LAYERS:
            stride = 1 if small and not shrunk else wanted
            shrunk = shrunk or wanted == 2
            layers += _normalized(nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False))
            layers += _normalized(nn.Conv2d(inputs, outputs, 1, bias=False))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(self.feature_dim, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


def _normalized(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def _separable(inputs: int, outputs: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return [depthwise, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """Separable convolutions with a shortcut, a ReLU before each; pooling where the stride is 2.

    Args:
        widths: channels of the inputs, and after each convolution.
        stride: 1 or 2; at 2 the shortcut has filters of its own.
        bare: no ReLU before the first convolution.
    """

    def __init__(self, widths: tuple[int, ...], stride: int, bare: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
            layers += [] if bare and number == 0 else [nn.ReLU()]
            layers += _separable(inputs, outputs)
        self.layers = nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, 1)] if stride == 2 else []))
        shortcut = nn.Conv2d(widths[0], widths[-1], 1, 2, bias=False), nn.BatchNorm2d(widths[-1])
        self.shortcut = nn.Sequential(*shortcut) if stride == 2 else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs) + self.shortcut(inputs)


class Xception(nn.Module):
    """Xception (Chollet 2017, figure 5).

    Args:
        small: images of a few dozen pixels: the first layer does not shrink them.
    """

    feature_dim = 2048

    def __init__(self, channels: int, classes: int, small: bool) -> None:
        super().__init__()
        stride, edge = (1, 1) if small else (2, 0)
        self.features = nn.Sequential(
            *_normalized(nn.Conv2d(channels, 32, 3, stride, edge, bias=False)),
            *_normalized(nn.Conv2d(32, 64, 3, padding=edge, bias=False)),
            *(Block((64, 128, 128), 2, bare=True), Block((128, 256, 256), 2), Block((256, 728, 728), 2)),
            *(Block((728, 728, 728, 728), 1) for _ in range(8)),
            Block((728, 728, 1024), 2),
            *(*_separable(1024, 1536), nn.ReLU(inplace=True), *_separable(1536, 2048), nn.ReLU(inplace=True)),
        )
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(self.feature_dim, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(images).mean((2, 3))))


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {"xception": Xception, "mobilenet_v1": MobileNetV1}

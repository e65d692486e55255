"""Inception v2, v3, v4 and Inception-ResNet v2 (book, chapter 5), written as their papers draw them, see `Mixed`."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from supervised.vision.networks.layers import Convolution, Mixed, he_normal

#: the least maps that the classifier in the middle of version 3 can see, px: those of images of 299
AUXILIARY_SIDE = 17


def paths(*texts: str) -> dict[str, str]:
    """Paths of `Mixed` by number."""
    return {f"path{number}": text for number, text in enumerate(texts, 1)}


class Inception(nn.Module):
    """What versions 2 and 4 and the residual one share: features, and one layer over their means.

    Args:
        layers: images to maps of ``feature_dim`` channels.
    """

    def __init__(self, layers: list[nn.Module], feature_dim: int, classes: int) -> None:
        super().__init__()
        self.features, self.feature_dim = nn.Sequential(*layers), feature_dim
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(feature_dim, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(self.features(images).mean((2, 3))))


def first_layer(channels: int, small: bool) -> Convolution:
    """Of version 3 and those after it; images of a few dozen pixels are not shrunk."""
    return Convolution(channels, 32, 3, padding=1) if small else Convolution(channels, 32, 3, 2)


def chain(inputs: int, blocks: list[dict[str, str]], padded: bool = False) -> list[nn.Module]:
    """Blocks one after the other."""
    layers: list[nn.Module] = []
    for block in blocks:
        layers.append(Mixed(inputs, block, padded))
        inputs = layers[-1].outputs  # type: ignore[assignment]
    return layers


def inception_v2(channels: int, classes: int, small: bool) -> nn.Module:
    """Inception with batch normalization (Ioffe and Szegedy 2015, figure 5): the book's block A, two 3 x 3 for a 5 x 5.

    Two paths of pooling have 128 channels where the figure has 96, as the authors' published weights do.
    """
    stem: list[nn.Module] = [
        Convolution(channels, 64, 3, padding=1) if small else Convolution(channels, 64, 7, 2, 3),
        nn.Identity() if small else nn.MaxPool2d(3, 2, ceil_mode=True),
        *(Convolution(64, 64, 1), Convolution(64, 192, 3, padding=1), nn.MaxPool2d(3, 2, ceil_mode=True)),
    ]
    blocks = [
        paths("1x1:64", "1x1:64 3x3:64", "1x1:64 3x3:96 3x3:96", "avg 1x1:32"),
        paths("1x1:64", "1x1:64 3x3:96", "1x1:64 3x3:96 3x3:96", "avg 1x1:64"),
        paths("1x1:128 3x3:160/2", "1x1:64 3x3:96 3x3:96/2", "max/2"),
        paths("1x1:224", "1x1:64 3x3:96", "1x1:96 3x3:128 3x3:128", "avg 1x1:128"),
        paths("1x1:192", "1x1:96 3x3:128", "1x1:96 3x3:128 3x3:128", "avg 1x1:128"),
        paths("1x1:160", "1x1:128 3x3:160", "1x1:128 3x3:160 3x3:160", "avg 1x1:128"),
        paths("1x1:96", "1x1:128 3x3:192", "1x1:160 3x3:192 3x3:192", "avg 1x1:128"),
        paths("1x1:128 3x3:192/2", "1x1:192 3x3:256 3x3:256/2", "max/2"),
        paths("1x1:352", "1x1:192 3x3:320", "1x1:160 3x3:224 3x3:224", "avg 1x1:128"),
        paths("1x1:352", "1x1:192 3x3:320", "1x1:192 3x3:224 3x3:224", "max 1x1:128"),
    ]
    return Inception([*stem, *chain(192, blocks, padded=True)], 1024, classes)


class Auxiliary(nn.Module):
    """A classifier in the middle of version 3, that layers below it learn from, too."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = Convolution(inputs, 128, 1), Convolution(128, 768, 5)
        self.fc = nn.Linear(768, classes)

    def forward(self, maps: Tensor) -> Tensor:
        return self.fc(self.conv1(self.conv0(F.avg_pool2d(maps, 5, 3))).mean((2, 3)))


def block_a(inputs: int, pooled: int) -> Mixed:
    """Before the first reduction; torchvision's second path has 5 x 5 where the paper has 3 x 3 twice."""
    three = {"branch5x5": "1x1:48 5x5:64", "branch3x3dbl": "1x1:64 3x3:96 3x3:96"}
    return Mixed(inputs, {"branch1x1": "1x1:64", **three, "branch_pool": f"avg 1x1:{pooled}"})


def block_b(width: int) -> Mixed:
    """1 x 7 and 7 x 1 in a row: the book's block B."""
    twice = f"1x1:{width} 7x1:{width} 1x7:{width} 7x1:{width} 1x7:192"
    seven = {"branch7x7": f"1x1:{width} 1x7:{width} 7x1:192", "branch7x7dbl": twice}
    return Mixed(768, {"branch1x1": "1x1:192", **seven, "branch_pool": "avg 1x1:192"})


def block_c(inputs: int) -> Mixed:
    """1 x 3 and 3 x 1 side by side: the book's block C."""
    wide = "1x3:384+3x1:384"
    three = {"branch3x3": f"1x1:384 {wide}", "branch3x3dbl": f"1x1:448 3x3:384 {wide}"}
    return Mixed(inputs, {"branch1x1": "1x1:320", **three, "branch_pool": "avg 1x1:192"})


class InceptionV3(nn.Module):
    """Inception v3 (Szegedy et al. 2016, "Rethinking the Inception architecture"), with torchvision's names.

    Args:
        small: images of a few dozen pixels: the first layer and the first pooling do not shrink them, and there is no
            classifier in the middle, which in training also sees nothing of others below 299 pixels.

    Attributes:
        auxiliary: logits ``(batch, classes)`` of the classifier in the middle, of the latest pass in training, until
            `supervised.vision.networks.auxiliary_loss` takes them.
        auxiliary_weight: of its loss.
    """

    feature_dim = 2048
    auxiliary_weight = 0.4

    def __init__(self, channels: int, classes: int, small: bool) -> None:
        super().__init__()
        self.auxiliary: list[Tensor] = []
        self.Conv2d_1a_3x3 = first_layer(channels, small)
        self.Conv2d_2a_3x3, self.Conv2d_2b_3x3 = Convolution(32, 32, 3), Convolution(32, 64, 3, padding=1)
        self.maxpool1 = nn.Identity() if small else nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Convolution(64, 80, 1), Convolution(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = block_a(192, 32), block_a(256, 64), block_a(288, 64)
        reduction = {"branch3x3": "3x3:384/2", "branch3x3dbl": "1x1:64 3x3:96 3x3:96/2", "branch_pool": "max/2"}
        self.Mixed_6a = Mixed(288, reduction)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(block_b, (128, 160, 160, 192))
        self.AuxLogits = None if small else Auxiliary(768, classes)
        reduction = {"branch3x3": "1x1:192 3x3:320/2", "branch7x7x3": "1x1:192 1x7:192 7x1:192 3x3:192/2"}
        self.Mixed_7a = Mixed(768, {**reduction, "branch_pool": "max/2"})
        self.Mixed_7b, self.Mixed_7c = block_c(1280), block_c(2048)
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(self.feature_dim, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        found = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images))))
        found = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(found)))
        found = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(found))))
        found = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(found))))
        if self.training and self.AuxLogits is not None and min(found.shape[2:]) >= AUXILIARY_SIDE:
            self.auxiliary = [self.AuxLogits(found)]
        found = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(found)))
        return self.fc(self.dropout(found.mean((2, 3))))


def inception_v4(channels: int, classes: int, small: bool) -> nn.Module:
    """Inception v4 (Szegedy et al. 2017, "Inception-v4, Inception-ResNet", figures 3 to 9)."""
    edge = 1 if small else 0
    stem: list[nn.Module] = [
        first_layer(channels, small),
        *(Convolution(32, 32, 3, padding=edge), Convolution(32, 64, 3, padding=1)),
    ]
    first = paths("max", "3x3:96") if small else paths("max/2", "3x3:96/2")
    last = "1x1:64 {}3x3:96"
    blocks = [
        first,
        paths(last.format(""), last.format("1x7:64 7x1:64 ")),
        paths("3x3:192/2", "max/2"),
        *[paths("1x1:96", "1x1:64 3x3:96", "1x1:64 3x3:96 3x3:96", "avg 1x1:96")] * 4,
        paths("3x3:384/2", "1x1:192 3x3:224 3x3:256/2", "max/2"),
        *[
            paths(
                *("1x1:384", "1x1:192 1x7:224 7x1:256"),
                *("1x1:192 7x1:192 1x7:224 7x1:224 1x7:256", "avg 1x1:128"),
            )
        ]
        * 7,
        paths("1x1:192 3x3:192/2", "1x1:256 1x7:256 7x1:320 3x3:320/2", "max/2"),
        *[
            paths(
                *("1x1:256", "1x1:384 1x3:256+3x1:256"),
                *("1x1:384 3x1:448 1x3:512 1x3:256+3x1:256", "avg 1x1:256"),
            )
        ]
        * 3,
    ]
    return Inception([*stem, *chain(64, blocks)], 1536, classes)


class Residual(nn.Module):
    """Paths side by side, of which a 1 x 1 convolution makes what is added to the inputs, scaled down."""

    def __init__(self, channels: int, block: dict[str, str], scale: float, last: bool = False) -> None:
        super().__init__()
        self.mixed = Mixed(channels, block)
        self.up = nn.Conv2d(self.mixed.outputs, channels, 1)
        self._scale, self._last = scale, last

    def forward(self, inputs: Tensor) -> Tensor:
        found = inputs + self._scale * self.up(self.mixed(inputs))
        return found if self._last else F.relu(found)


def inception_resnet_v2(channels: int, classes: int, small: bool) -> nn.Module:
    """Inception-ResNet v2 (Szegedy et al. 2017), with the stem of version 3, as the authors' program has it."""
    stem: list[nn.Module] = [
        first_layer(channels, small),
        *(Convolution(32, 32, 3), Convolution(32, 64, 3, padding=1)),
        nn.Identity() if small else nn.MaxPool2d(3, 2),
        *(Convolution(64, 80, 1), Convolution(80, 192, 3), nn.MaxPool2d(3, 2)),
    ]
    block35 = paths("1x1:32", "1x1:32 3x3:32", "1x1:32 3x3:48 3x3:64")
    block17 = paths("1x1:192", "1x1:128 1x7:160 7x1:192")
    block8 = paths("1x1:192", "1x1:192 1x3:224 3x1:256")
    layers = [
        Mixed(192, paths("1x1:96", "1x1:48 5x5:64", "1x1:64 3x3:96 3x3:96", "avg 1x1:64")),
        *(Residual(320, block35, 0.17) for _ in range(10)),
        Mixed(320, paths("3x3:384/2", "1x1:256 3x3:256 3x3:384/2", "max/2")),
        *(Residual(1088, block17, 0.1) for _ in range(20)),
        Mixed(1088, paths("1x1:256 3x3:384/2", "1x1:256 3x3:288/2", "1x1:256 3x3:288 3x3:320/2", "max/2")),
        *(Residual(2080, block8, 0.2) for _ in range(9)),
        Residual(2080, block8, 1.0, last=True),
        Convolution(2080, 1536, 1),
    ]
    return Inception([*stem, *layers], 1536, classes)


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "inception_v2": inception_v2,
    "inception_v3": InceptionV3,
    "inception_v4": inception_v4,
    "inception_resnet_v2": inception_resnet_v2,
}

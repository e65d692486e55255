"""VGG: convolutions of 3 x 3, pooling, and three large layers (book, chapter 5; Simonyan and Zisserman 2015)."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from supervised.vision.networks.layers import he_normal

#: convolutions of each of the five stages, by the number of layers with weights (columns A, B, D and E of the paper)
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """VGG.

    Args:
        stages: convolutions of each stage.
        normalized: batch normalization after each.
        small: images of a few dozen pixels: a single layer after the last pooling instead of three large ones, and
            a last pooling that leaves the only pixel which the four before leave of images below 32.
    """

    def __init__(self, stages: tuple[int, ...], normalized: bool, channels: int, classes: int, small: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, count in zip(WIDTHS, stages, strict=True):
            for _ in range(count):
                normal = [nn.BatchNorm2d(width)] if normalized else []
                layers += [nn.Conv2d(channels, width, 3, padding=1), *normal, nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        layers[-1] = nn.MaxPool2d(2, ceil_mode=small)
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1 if small else 7)
        large = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)]
        large += [nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)]
        self.feature_dim = 512 if small else 4096
        self.classifier = nn.Sequential(*([] if small else large), nn.Linear(self.feature_dim, classes))
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(images)).flatten(1))


NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    f"vgg{layers}{'_bn' if normalized else ''}": partial(VGG, stages, normalized)
    for layers, stages in STAGES.items()
    for normalized in (False, True)
}

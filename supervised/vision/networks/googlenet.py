"""GoogLeNet, the first Inception network (book, chapter 5; Szegedy et al. 2015), with batch normalization."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.vision.networks.layers import Convolution, he_normal


class Inception(nn.Module):
    """Four paths side by side: 1 x 1, 1 x 1 and 3 x 3 twice, and pooling and 1 x 1.

    The third path's 5 x 5 filters are of 3 x 3, as in torchvision, whose published weights are so.
    """

    def __init__(self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.branch1 = Convolution(inputs, one, 1)
        self.branch2 = nn.Sequential(Convolution(inputs, three[0], 1), Convolution(*three, 3, padding=1))
        self.branch3 = nn.Sequential(Convolution(inputs, five[0], 1), Convolution(*five, 3, padding=1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Convolution(inputs, pooled, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([path(inputs) for path in (self.branch1, self.branch2, self.branch3, self.branch4)], dim=1)


class Auxiliary(nn.Module):
    """A classifier in the middle, that layers below it learn from, too."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.conv = Convolution(inputs, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, maps: Tensor) -> Tensor:
        found = self.conv(F.adaptive_avg_pool2d(maps, (4, 4))).flatten(1)
        return self.fc2(F.dropout(F.relu(self.fc1(found)), 0.7, self.training))


class GoogLeNet(nn.Module):
    """GoogLeNet.

    Args:
        small: images of a few dozen pixels: the first layer and the first pooling do not shrink them, and there are no
            classifiers in the middle.

    Attributes:
        auxiliary: logits ``(batch, classes)`` of the classifiers in the middle, of the latest pass in training, until
            `supervised.vision.networks.auxiliary_loss` takes them.
        auxiliary_weight: of their losses.
    """

    feature_dim = 1024
    auxiliary_weight = 0.3

    def __init__(self, channels: int, classes: int, small: bool) -> None:
        super().__init__()
        self.auxiliary: list[Tensor] = []
        self.conv1 = Convolution(channels, 64, 3, 1, 1) if small else Convolution(channels, 64, 7, 2, 3)
        self.maxpool1 = nn.Identity() if small else nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.conv3 = Convolution(64, 64, 1), Convolution(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = Inception(192, 64, (96, 128), (16, 32), 32)
        self.inception3b = Inception(256, 128, (128, 192), (32, 96), 64)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = Inception(480, 192, (96, 208), (16, 48), 64)
        self.inception4b = Inception(512, 160, (112, 224), (24, 64), 64)
        self.inception4c = Inception(512, 128, (128, 256), (24, 64), 64)
        self.inception4d = Inception(512, 112, (144, 288), (32, 64), 64)
        self.inception4e = Inception(528, 256, (160, 320), (32, 128), 128)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = Inception(832, 256, (160, 320), (32, 128), 128)
        self.inception5b = Inception(832, 384, (192, 384), (48, 128), 128)
        self.aux1 = None if small else Auxiliary(512, classes)
        self.aux2 = None if small else Auxiliary(528, classes)
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(self.feature_dim, classes)
        he_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        found = self.maxpool2(self.conv3(self.conv2(self.maxpool1(self.conv1(images)))))
        found = self.inception4a(self.maxpool3(self.inception3b(self.inception3a(found))))
        below = self.inception4d(self.inception4c(self.inception4b(found)))
        if self.training and self.aux1 is not None and self.aux2 is not None:
            self.auxiliary = [self.aux1(found), self.aux2(below)]
        found = self.inception5b(self.inception5a(self.maxpool4(self.inception4e(below))))
        return self.fc(self.dropout(found.mean((2, 3))))

"""Architectures by name. Where torchvision has one, the names and shapes of its weights are torchvision's.

A network takes images ``(batch, channels, height, width)`` and gives logits ``(batch, classes)`` by a layer over
``feature_dim`` features. Of images below `SMALL` pixels a side its first layers do not shrink them.
"""

from collections.abc import Callable

from torch import nn

from supervised.training.errors import UserError, suggest
from supervised.vision.networks import mobilenet, resnet, vgg

SMALL = 65

#: name -> network(channels, classes, small)
NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "mobilenet_v2": mobilenet.MobileNetV2,
    **resnet.NETWORKS,
    **vgg.NETWORKS,
}


def head(network: nn.Module) -> tuple[str, nn.Linear]:
    """The last layer of a classifier, and its name."""
    return [(name, one) for name, one in network.named_modules() if isinstance(one, nn.Linear)][-1]


def headless(network: nn.Module) -> int:
    """Take the last layer off a classifier: it then gives that layer's inputs, and how many is returned."""
    name, last = head(network)
    network.set_submodule(name, nn.Identity())
    return last.in_features


def build(name: str, channels: int, classes: int, side: int) -> nn.Module:
    """A network for images of ``channels`` colours and at least ``side`` pixels a side; raises `UserError`."""
    if name not in NETWORKS:
        raise UserError(f"unknown network {name!r}{suggest(name, NETWORKS)}")
    return NETWORKS[name](channels, classes, side < SMALL)

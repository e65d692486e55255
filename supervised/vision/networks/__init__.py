"""Architectures by name. Where torchvision has one, the names and shapes of its weights are torchvision's.

A network takes images ``(batch, channels, height, width)`` and gives logits ``(batch, classes)`` by a layer over
``feature_dim`` features. Its first layers do not shrink images that are small, see `is_small`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.training.errors import UserError, suggest
from supervised.vision.networks import densenet, googlenet, inception, mobilenet, preact_resnet, resnet, separable, vgg

SMALL = 65  # pixels a side below which images are small
#: the same of networks that would shrink images of more to nothing
SMALL_OF = {"inception_v3": 75, "inception_v4": 67, "inception_resnet_v2": 75}

#: name -> network(channels, classes, small)
NETWORKS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    **densenet.NETWORKS,
    "googlenet": googlenet.GoogLeNet,
    **inception.NETWORKS,
    "mobilenet_v2": mobilenet.MobileNetV2,
    **preact_resnet.NETWORKS,
    **resnet.NETWORKS,
    **separable.NETWORKS,
    **vgg.NETWORKS,
}
#: classifiers in the middle of GoogLeNet and Inception v3: layers below them learn from their losses, too
AUXILIARY = ("aux1", "aux2", "AuxLogits")


def head(network: nn.Module) -> tuple[str, nn.Linear]:
    """The last layer of a classifier, and its name."""
    return [(name, one) for name, one in network.named_modules() if isinstance(one, nn.Linear)][-1]


def headless(network: nn.Module) -> int:
    """Take the last layer off a classifier: it then gives that layer's inputs, and how many is returned."""
    name, last = head(network)
    network.set_submodule(name, nn.Identity())
    for auxiliary in AUXILIARY:
        if hasattr(network, auxiliary):
            setattr(network, auxiliary, None)
    return last.in_features


def auxiliary_loss(network: nn.Module, labels: Tensor) -> Tensor:
    """What classifiers in the middle add to the loss of the latest batch learnt from, 0 where there are none.

    Their logits are taken from the network: kept there, they would keep it from being copied, and memory in use.
    """
    logits: list[Tensor] = getattr(network, "auxiliary", [])
    weight: float = getattr(network, "auxiliary_weight", 0.0)
    losses = [F.cross_entropy(one.float(), labels) for one in logits]
    logits.clear()
    return weight * torch.stack(losses).sum() if losses else torch.zeros((), device=labels.device)


def is_small(name: str, side: int) -> bool:
    """Whether images of so many pixels a side are small for a network: its first layers leave their size as it is."""
    return side < SMALL_OF.get(name, SMALL)


def build(name: str, channels: int, classes: int, side: int) -> nn.Module:
    """A network for images of ``channels`` colours and at least ``side`` pixels a side.

    Raises:
        UserError: an unknown name, or images too small for it.
    """
    if name not in NETWORKS:
        raise UserError(f"unknown network {name!r}{suggest(name, NETWORKS)}")
    small = is_small(name, side)
    try:
        with torch.device("meta"):  # shapes alone, without numbers
            NETWORKS[name](channels, classes, small).eval()(torch.zeros(1, channels, side, side))
    except RuntimeError as error:
        raise UserError(f"images of {side} pixels a side are too small for {name}: resize them") from error
    return NETWORKS[name](channels, classes, small)

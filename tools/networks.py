"""The table of architectures in docs/networks.md: counted from the networks themselves, without memory for weights."""

import torch
from torch import Tensor, nn

from supervised.vision.networks import AUXILIARY, NETWORKS, is_small
from tools.tables import markdown

#: beginning of the name -> pixels a side that those networks were published for; others for 224
SIDES = {
    "densenet40": 32,
    "densenet100": 32,
    "inception_v3": 299,
    "inception_v4": 299,
    "inception_resnet_v2": 299,
    "xception": 299,
}
#: beginning of the name -> where it is from, and whose published weights have its names
SOURCES = {
    "densenet40": ("Huang et al. 2017, for CIFAR", ""),
    "densenet100": ("Huang et al. 2017, for CIFAR", ""),
    "densenet": ("Huang et al. 2017", "torchvision"),
    "googlenet": ("Szegedy et al. 2015", "torchvision, `--inputs centred`"),
    "inception_v2": ("Ioffe and Szegedy 2015", ""),
    "inception_v3": ("Szegedy et al. 2016", "torchvision, `--inputs centred`"),
    "inception": ("Szegedy et al. 2017", ""),
    "mobilenet_v1": ("Howard et al. 2017", ""),
    "mobilenet_v2": ("Sandler et al. 2018", "torchvision"),
    "preact_resnet": ('He et al. 2016, "Identity mappings"', ""),
    "resnet": ("He et al. 2016", "torchvision"),
    "vgg16": ("Simonyan and Zisserman 2015", "torchvision, Keras"),
    "vgg19": ("Simonyan and Zisserman 2015", "torchvision, Keras"),
    "vgg": ("Simonyan and Zisserman 2015", "torchvision"),
    "xception": ("Chollet 2017", ""),
}


def architectures() -> str:
    """A line a network: weights and multiplications for an image of its size, of ImageNet's or CIFAR-10's classes."""
    rows = []
    for name in NETWORKS:
        side = next((SIDES[key] for key in SIDES if name.startswith(key)), 224)
        small = is_small(name, side)
        with torch.device("meta"):
            network = NETWORKS[name](3, 10 if small else 1000, small).eval()
            weights = sum(one.numel() for key, one in network.named_parameters() if not key.startswith(AUXILIARY))
            multiplications = count(network, torch.zeros(1, 3, side, side))
        source, published = next(SOURCES[key] for key in SOURCES if name.startswith(key))
        published = "torchvision" if name.endswith("_bn") else published
        rows.append((f"`{name}`", f"{weights / 1e6:.1f}", f"{multiplications / 1e9:.2f}", side, source, published))
    head = ("name", "million weights", "billion multiplications", "pixels a side", "paper", "published weights")
    return markdown(head, rows)


def count(network: nn.Module, images: Tensor) -> int:
    """Multiplications of convolutions and fully connected layers."""
    total = 0

    def add(module: nn.Module, _: object, outputs: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.Linear)
        total += outputs.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    network(images)
    return total

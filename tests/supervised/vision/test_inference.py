"""Folded networks give what they gave."""

import pytest
import torch
from torch import nn

from supervised.vision import book
from supervised.vision.inference import folded
from supervised.vision.networks import build

#: those that normalize before they convolve -> normalizations after a sum or several layers, which stay: of each of 18
#: layers the first, two transitions' and the last of all; of each of 8 blocks the first, and the last of all
FIRST = {"densenet40_b": 21, "preact_resnet18": 9}
#: those that convolve first, and then normalize
LATER = ("resnet18", "resnet50", "mobilenet_v1", "mobilenet_v2", "vgg11_bn", "deep-cnn", "xception")
INCEPTIONS = ("googlenet", "inception_v3", "inception_resnet_v2")


@pytest.mark.parametrize("name", [*LATER, *INCEPTIONS, *FIRST])
def test_folding_changes_nothing_but_the_modules(name: str) -> None:
    torch.manual_seed(0)
    network = book.deep_cnn((3, 32, 32), 10) if name == "deep-cnn" else build(name, 3, 10, 32)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.bias, -0.5)):
                nn.init.uniform_(values, low, low + 1)
    network.eval()
    images = torch.randn(1, 3, 32, 32)
    quick = folded(network)
    with torch.inference_mode():
        torch.testing.assert_close(quick(images), network(images), rtol=1e-3, atol=1e-4)
    left = [module for module in quick.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) == FIRST.get(name, 0)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), "the network itself is as it was"

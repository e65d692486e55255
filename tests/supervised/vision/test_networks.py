"""Architectures: sizes as published, torchvision's names, and official weights that tell a cat from a cup."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supervised.data.sources import is_here, locate
from supervised.training.errors import CorruptFile, UserError
from supervised.vision.networks import NETWORKS, build
from supervised.vision.weights import load_weights, read_weights

#: weights for 1,000 classes, as torchvision's documentation states them
PUBLISHED = {
    "mobilenet_v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
}
#: some of torchvision's names, and their shapes
NAMES: dict[str, dict[str, tuple[int, ...]]] = {
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.1.bn2.weight": (64,),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.running_var": (128,),
        "layer4.1.conv2.weight": (512, 512, 3, 3),
        "fc.weight": (1000, 512),
    },
    "resnet50": {
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer3.5.bn3.bias": (1024,),
        "fc.weight": (1000, 2048),
    },
    "vgg16": {
        "features.0.weight": (64, 3, 3, 3),
        "features.28.bias": (512,),
        "classifier.0.weight": (4096, 25088),
        "classifier.3.weight": (4096, 4096),
        "classifier.6.weight": (1000, 4096),
    },
    "vgg11_bn": {
        "features.0.weight": (64, 3, 3, 3),
        "features.1.running_mean": (64,),
        "features.25.weight": (512, 512, 3, 3),
    },
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.2.conv.1.1.running_var": (96,),
        "features.18.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
    },
}
CATS, CUPS = {281, 282, 285}, {504, 967, 968}  # tabby, tiger and Egyptian cat; coffee mug, espresso, cup
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # ImageNet's


@pytest.fixture
def plain() -> Callable[[str], nn.Module]:
    """A function that makes a network for ImageNet without memory for its weights."""

    def make(name: str) -> nn.Module:
        with torch.device("meta"):
            return NETWORKS[name](3, 1000, False)

    return make


@pytest.mark.parametrize("name", list(NETWORKS))
def test_sizes_are_as_published(name: str, plain: Callable[[str], nn.Module]) -> None:
    assert sum(parameter.numel() for parameter in plain(name).parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", list(NAMES))
def test_weights_have_torchvisions_names(name: str, plain: Callable[[str], nn.Module]) -> None:
    state = plain(name).state_dict()
    for key, shape in NAMES[name].items():
        assert tuple(state[key].shape) == shape


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet50", "vgg11_bn"])
def test_small_images_are_not_shrunk_away(name: str) -> None:
    network = build(name, channels=1, classes=7, side=32).eval()
    out = network(torch.zeros(2, 1, 32, 32))
    assert out.shape == (2, 7) and torch.isfinite(out).all()
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert last.in_features == network.feature_dim


def test_unknown_networks_are_named() -> None:
    with pytest.raises(UserError, match="unknown network 'resnet19'; did you mean resnet18"):
        build("resnet19", 3, 10, 224)


def photograph(name: str) -> torch.Tensor:
    """A photograph of scikit-image ``(1, 3, 224, 224)`` as torchvision prepares it."""
    data = pytest.importorskip("skimage.data", reason="needs the learn extra")
    image = torch.from_numpy(getattr(data, name)()).movedim(2, 0)[None].float() / 255
    height, width = image.shape[2:]
    scale = 256 / min(height, width)
    image = F.interpolate(image, size=(round(height * scale), round(width * scale)), mode="bilinear", antialias=True)
    top, left = (image.shape[2] - 224) // 2, (image.shape[3] - 224) // 2
    return (image[:, :, top : top + 224, left : left + 224] - MEAN[:, None, None]) / STD[:, None, None]


@pytest.mark.skipif(not os.environ.get("SKIDPAD_DATA"), reason="needs the data sets of SKIDPAD_DATA")
def test_torchvisions_own_weights_tell_a_cat_from_a_cup() -> None:
    name = "weights/mobilenet_v2-b0353104.pth"
    if not is_here(name):
        pytest.skip(f"SKIDPAD_DATA has no {name}")
    network = NETWORKS["mobilenet_v2"](3, 1000, False).eval()
    load_weights(network, locate(name))
    for picture, wanted in (("chelsea", CATS), ("coffee", CUPS)):
        with torch.inference_mode():
            best = network(photograph(picture))[0].topk(3).indices.tolist()
        assert best[0] in wanted, best


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    def save(state: object) -> Path:
        torch.save(state, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    network = build("resnet18", 3, 10, 32)
    good = network.state_dict()
    load_weights(network, save(good))
    old = {name: tensor for name, tensor in good.items() if not name.endswith("num_batches_tracked")}
    load_weights(network, save(old))
    with pytest.raises(UserError, match="weights.pth has no conv1.weight: its weights are of another architecture"):
        load_weights(network, save(build("vgg11", 3, 10, 32).state_dict()))
    with pytest.raises(UserError, match=r"fc.weight is \(5, 512\) in .*, \(10, 512\) here"):
        load_weights(network, save(build("resnet18", 3, 5, 32).state_dict()))
    with pytest.raises(UserError, match="weights.pth has more, which is not in this network"):
        load_weights(network, save({**good, "more": torch.zeros(1)}))
    with pytest.raises(UserError, match="holds no state dict"):
        read_weights(save([1, 2]))
    with pytest.raises(UserError, match="is not weights alone; nothing of it was run"):
        read_weights(save({"a": print}))
    whole = save(good).read_bytes()
    (tmp_path / "weights.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFile, match="cannot read .*weights.pth"):
        read_weights(tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not exist: give a file of weights"):
        read_weights(tmp_path / "nowhere.pth")

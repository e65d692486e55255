"""Architectures: sizes as published, torchvision's names, and official weights that tell a cat from a cup."""

import copy
import hashlib
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supervised.data import load
from supervised.data.sources import is_here, locate
from supervised.training.errors import CorruptFile, UserError
from supervised.vision.networks import NETWORKS, SMALL_OF, auxiliary_loss, build, head, headless, is_small
from supervised.vision.networks.densenet import DenseLayer
from supervised.vision.networks.layers import Mixed
from supervised.vision.networks.preact_resnet import Block
from supervised.vision.weights import load_weights, read_weights

#: weights for 1,000 classes, as torchvision's documentation states them, or Keras' (`xception`, `mobilenet_v1`), timm's
#: (`preact_resnet50` and deeper), or the published files of inception_v2 (which has biases besides), v4 and of
#: Inception-ResNet
PUBLISHED = {
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "googlenet": 13_004_888,
    "inception_v2": 11_295_240 - 10_016,
    "inception_v3": 27_161_264,
    "inception_v4": 42_679_816,
    "inception_resnet_v2": 55_843_464,
    "mobilenet_v1": 4_231_976,
    "preact_resnet50": 25_549_352,
    "preact_resnet101": 44_541_480,
    "preact_resnet152": 60_185_128,
    "xception": 22_855_952,
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
    "googlenet": {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv3.bn.running_var": (192,),
        "inception3a.branch1.conv.weight": (64, 192, 1, 1),
        "inception4b.branch2.1.conv.weight": (224, 112, 3, 3),
        "inception4b.branch3.1.conv.weight": (64, 24, 3, 3),
        "inception5b.branch4.1.bn.bias": (128,),
        "aux1.conv.conv.weight": (128, 512, 1, 1),
        "aux2.fc1.weight": (1024, 2048),
        "aux2.fc2.weight": (1000, 1024),
        "fc.weight": (1000, 1024),
    },
    "inception_v3": {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_3b_1x1.bn.weight": (80,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch3x3dbl_3.bn.running_mean": (96,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6c.branch7x7_2.conv.weight": (160, 160, 1, 7),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_6e.branch7x7dbl_4.conv.weight": (192, 192, 7, 1),
        "AuxLogits.conv1.conv.weight": (768, 128, 5, 5),
        "AuxLogits.fc.weight": (1000, 768),
        "Mixed_7a.branch7x7x3_3.conv.weight": (192, 192, 7, 1),
        "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
        "fc.weight": (1000, 2048),
    },
    "densenet121": {
        "features.conv0.weight": (64, 3, 7, 7),
        "features.denseblock1.denselayer1.norm1.weight": (64,),
        "features.denseblock3.denselayer24.conv1.weight": (128, 992, 1, 1),
        "features.denseblock4.denselayer16.conv2.weight": (32, 128, 3, 3),
        "features.transition2.norm.running_var": (512,),
        "features.transition3.conv.weight": (512, 1024, 1, 1),
        "features.norm5.bias": (1024,),
        "classifier.weight": (1000, 1024),
    },
    "mobilenet_v2": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.0.0.weight": (32, 1, 3, 3),
        "features.2.conv.1.1.running_var": (96,),
        "features.18.0.weight": (1280, 320, 1, 1),
        "classifier.1.weight": (1000, 1280),
    },
}
#: first digits of the SHA-256 of all of torchvision's names and shapes, of a list written apart from our networks
DIGESTS = {
    "googlenet": "de3745733576b3b1",
    "inception_v3": "4c9e13f64584de74",
    "densenet121": "9c659ec278435e95",
    "densenet161": "96e788964c2c431f",
    "densenet169": "03a0accd6e99d8d0",
    "densenet201": "ebf13d018b02ad9d",
}
#: layers of each stage, as the papers' tables have them
RESNETS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
VGGS = {11: "64 M 128 M 256 256 M 512 512 M 512 512 M", 13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M"}
VGGS[16] = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
VGGS[19] = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"
#: t, c, n, s of table 2 of Sandler et al. 2018
MOBILENET = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
CATS, CUPS = {281, 282, 285}, {504, 967, 968}  # tabby, tiger and Egyptian cat; coffee mug, espresso, cup
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # ImageNet's


@pytest.fixture
def plain() -> Callable[[str], nn.Module]:
    """A function that makes a network for ImageNet without memory for its weights."""

    def make(name: str) -> nn.Module:
        with torch.device("meta"):
            return NETWORKS[name](3, 1000, False)

    return make


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_sizes_are_as_published(name: str, plain: Callable[[str], nn.Module]) -> None:
    assert sum(parameter.numel() for parameter in plain(name).parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", list(NAMES))
def test_weights_have_torchvisions_names(name: str, plain: Callable[[str], nn.Module]) -> None:
    state = plain(name).state_dict()
    for key, shape in NAMES[name].items():
        assert tuple(state[key].shape) == shape


@pytest.mark.parametrize("name", list(DIGESTS))
def test_all_names_and_shapes_are_torchvisions(name: str, plain: Callable[[str], nn.Module]) -> None:
    lines = sorted(f"{key} {tuple(one.shape)}" for key, one in plain(name).state_dict().items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest().startswith(DIGESTS[name])


Shapes = dict[str, tuple[int, ...]]


def layer_of(name: str, *shape: int) -> Shapes:
    """What torchvision's files have of a layer with weights and biases."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm_of(name: str, width: int) -> Shapes:
    """The same of a batch normalization."""
    running = {f"{name}.{what}": (width,) for what in ("running_mean", "running_var")}
    return {**layer_of(name, width), **running, f"{name}.num_batches_tracked": ()}


def resnet_shapes(depth: int) -> Shapes:
    """torchvision's `models.resnet`, told without our networks."""
    found: Shapes = {"conv1.weight": (64, 3, 7, 7), **norm_of("bn1", 64)}
    wide, before = (4 if depth >= 50 else 1), 64
    for stage, blocks in enumerate(RESNETS[depth], 1):
        width = 32 * 2**stage
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            if depth >= 50:
                steps = [(width, before, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)]
            else:
                steps = [(width, before, 3, 3), (width, width, 3, 3)]
            for number, shape in enumerate(steps, 1):
                found |= {f"{name}.conv{number}.weight": shape, **norm_of(f"{name}.bn{number}", shape[0])}
            if block == 0 and before != wide * width:
                found[f"{name}.downsample.0.weight"] = (wide * width, before, 1, 1)
                found |= norm_of(f"{name}.downsample.1", wide * width)
            before = wide * width
    return {**found, **layer_of("fc", 1000, before)}


def vgg_shapes(depth: int, normalized: bool) -> Shapes:
    """torchvision's `models.vgg`: numbers count ReLU and pooling, too."""
    found: Shapes = {}
    number, before = 0, 3
    for one in VGGS[depth].split():
        if one == "M":
            number += 1
            continue
        found |= layer_of(f"features.{number}", int(one), before, 3, 3)
        if normalized:
            found |= norm_of(f"features.{number + 1}", int(one))
        number, before = number + (3 if normalized else 2), int(one)
    for at, outputs, inputs in ((0, 4096, 512 * 7 * 7), (3, 4096, 4096), (6, 1000, 4096)):
        found |= layer_of(f"classifier.{at}", outputs, inputs)
    return found


def mobilenet_shapes() -> Shapes:
    """torchvision's `models.mobilenet_v2`."""
    found: Shapes = {"features.0.0.weight": (32, 3, 3, 3), **norm_of("features.0.1", 32)}
    number, before = 1, 32
    for t, c, n, _ in MOBILENET:
        for _ in range(n):
            name, wide, at = f"features.{number}.conv", t * before, 0
            if t > 1:
                found |= {f"{name}.0.0.weight": (wide, before, 1, 1), **norm_of(f"{name}.0.1", wide)}
                at = 1
            found |= {f"{name}.{at}.0.weight": (wide, 1, 3, 3), **norm_of(f"{name}.{at}.1", wide)}
            found |= {f"{name}.{at + 1}.weight": (c, wide, 1, 1), **norm_of(f"{name}.{at + 2}", c)}
            number, before = number + 1, c
    found |= {f"features.{number}.0.weight": (1280, before, 1, 1), **norm_of(f"features.{number}.1", 1280)}
    return {**found, **layer_of("classifier.1", 1000, 1280)}


TORCHVISIONS: dict[str, Callable[[], Shapes]] = {
    "mobilenet_v2": mobilenet_shapes,
    **{f"resnet{depth}": partial(resnet_shapes, depth) for depth in RESNETS},
    **{f"vgg{depth}": partial(vgg_shapes, depth, False) for depth in VGGS},
    **{f"vgg{depth}_bn": partial(vgg_shapes, depth, True) for depth in VGGS},
}


@pytest.mark.parametrize("name", list(TORCHVISIONS))
def test_every_name_and_shape_is_torchvisions(name: str, plain: Callable[[str], nn.Module]) -> None:
    assert {key: tuple(one.shape) for key, one in plain(name).state_dict().items()} == TORCHVISIONS[name]()


SIZES = ((28, 28), (32, 32), (33, 47), (65, 65), (66, 210), (75, 75))
FAMILIES = (
    *("densenet121", "googlenet", "inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2"),
    *("mobilenet_v1", "mobilenet_v2", "preact_resnet18", "resnet18", "vgg11", "xception"),
)


@pytest.mark.parametrize("name", FAMILIES)
def test_images_of_all_sizes(name: str) -> None:
    """From MNIST's on, in one colour, also where they are a few pixels larger than what counts as small."""
    with torch.device("meta"):
        made = {small: NETWORKS[name](1, 7, small).eval() for small in (False, True)}
        for height, width in SIZES:
            network = made[is_small(name, min(height, width))]
            assert network(torch.zeros(1, 1, height, width)).shape == (1, 7), (height, width)


@pytest.mark.parametrize(("name", "least"), list(SMALL_OF.items()))
def test_as_few_images_as_may_be_are_small(name: str, least: int) -> None:
    """What a network takes as it was published, it takes so."""
    with torch.device("meta"):
        network = NETWORKS[name](1, 7, False).eval()
        assert network(torch.zeros(1, 1, least, least)).shape == (1, 7)
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 1, least - 1, least - 1))
        assert build(name, 1, 7, least - 1).feature_dim == network.feature_dim


def test_a_vgg_sees_all_of_mnist() -> None:
    """28 pixels a side become one, and the logits are of it."""
    network = build("vgg11", 1, 10, 28).eval()
    images = torch.rand(2, 1, 28, 28)
    with torch.inference_mode():
        logits, maps = network(images), network.get_submodule("features")(images)
    assert maps.shape == (2, 512, 1, 1) and logits.shape == (2, 10)
    assert torch.isfinite(logits).all() and not torch.equal(logits[0], logits[1])


def test_sizes_of_the_papers_networks_for_cifar() -> None:
    """Huang et al. 2017, table 2, millions; fewer with "C"."""
    sizes = {}
    for name in ("densenet40", "densenet100_bc", "densenet40_c"):
        sizes[name] = sum(one.numel() for one in build(name, 3, 10, 32).parameters()) / 1e6
    assert round(sizes["densenet40"], 1) == 1.0 and round(sizes["densenet100_bc"], 1) == 0.8
    assert sizes["densenet40_c"] < sizes["densenet40"]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_has_a_head_over_its_features(name: str) -> None:
    """With shapes alone, for images of 32 and of 96 pixels a side."""
    for side in (32, 96):
        with torch.device("meta"):
            network = NETWORKS[name](1, 7, is_small(name, side)).eval()
            images = torch.zeros(2, 1, side, side)
            assert network(images).shape == (2, 7)
            assert headless(network) == network.feature_dim
            assert network.train()(images).shape == (2, network.feature_dim)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_layers_below_learn_from_classifiers_in_the_middle(name: str) -> None:
    side = 107 if name == "googlenet" else 299
    network = build(name, 3, 5, side)
    images, labels = torch.randn(2, 3, side, side), torch.tensor([0, 3])
    network.eval()(images)
    assert auxiliary_loss(network, labels) == 0
    network.train()(images)
    logits = network.auxiliary
    assert [one.shape for one in logits] == [(2, 5)] * (2 if name == "googlenet" else 1)  # type: ignore[union-attr]
    weight = {"googlenet": 0.3, "inception_v3": 0.4}[name]
    wanted = sum(weight * F.cross_entropy(one, labels) for one in logits)  # type: ignore[union-attr]
    loss = auxiliary_loss(network, labels)
    torch.testing.assert_close(loss, wanted)
    assert auxiliary_loss(network, labels) == 0, "taken once"
    assert copy.deepcopy(network).state_dict().keys() == network.state_dict().keys()
    loss.backward()
    above, below = head(network)[1].weight, next(network.parameters())
    assert above.grad is None and below.grad is not None and below.grad.abs().sum() > 0
    assert auxiliary_loss(build("resnet18", 3, 5, 32).train(), labels) == 0


@pytest.mark.parametrize(
    ("name", "side", "steps"),
    [
        ("densenet40_c", 8, 12),
        ("densenet100_bc", 8, 12),
        ("googlenet", 8, 8),
        ("inception_v2", 8, 8),
        ("inception_v3", 24, 8),
        ("mobilenet_v1", 16, 8),
        ("preact_resnet18", 8, 8),
        ("xception", 8, 5),
    ],
)
def test_every_family_learns_digits(name: str, side: int, steps: int) -> None:
    """24 pictures of four digits by heart, as it sees them in training, and as it judges them after."""
    data = load("digits").train
    kept = np.flatnonzero(data.labels < 4)[:24]
    labels = torch.from_numpy(data.labels[kept])
    images = F.interpolate(torch.from_numpy(data.inputs[kept])[:, None].float(), (side, side), mode="bilinear")
    images = (images - images.mean()) / images.std()
    torch.manual_seed(0)
    network = build(name, 1, 4, side).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1 and losses[-1] < 0.5, losses
    for module in network.modules():  # so few steps are too few for running means: those of the last one's weights
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(images)
        assert (network.eval()(images).argmax(1) == labels).float().mean() >= 0.9


def test_paths_side_by_side() -> None:
    """Written as the papers draw them: names, shapes, pooling, and what comes from where."""
    mixed = Mixed(4, {"one": "1x1:2", "two": "1x1:3 1x3:5/2", "pool": "max/2", "fork": "avg 1x1:2 1x3:1+3x1:6"})
    shapes = {name: tuple(one.shape) for name, one in mixed.state_dict().items() if name.endswith("conv.weight")}
    assert shapes == {
        "one.conv.weight": (2, 4, 1, 1),
        "two_1.conv.weight": (3, 4, 1, 1),
        "two_2.conv.weight": (5, 3, 1, 3),
        "fork_1.conv.weight": (2, 4, 1, 1),
        "fork_2a.conv.weight": (1, 2, 1, 3),
        "fork_2b.conv.weight": (6, 2, 3, 1),
    }
    assert mixed.outputs == 2 + 5 + 4 + 7
    images = torch.randn(2, 4, 7, 7)
    shrunk = Mixed(4, {"a": "3x3:3/2", "b": "max/2"}).eval()
    found = shrunk(images)
    assert found.shape == (2, 7, 3, 3)
    torch.testing.assert_close(found[:, 3:], F.max_pool2d(images, 3, 2))
    torch.testing.assert_close(found[:, :3], shrunk.a(images))  # type: ignore[operator]
    assert Mixed(4, {"a": "3x3:3/2", "b": "max/2"}, padded=True)(images).shape == (2, 7, 4, 4)
    along = Mixed(4, {"a": "1x1:3 3x3:2", "b": "avg 1x1:1"}).eval()
    found = along(images)
    torch.testing.assert_close(found[:, :2], along.a_2(along.a_1(images)))  # type: ignore[operator]
    torch.testing.assert_close(found[:, 2:], along.b(F.avg_pool2d(images, 3, 1, 1)))  # type: ignore[operator]


def test_dense_layers_see_all_before_them() -> None:
    """Plain and narrowed; what they add stands behind what they saw."""
    for narrowed in (False, True):
        layer = DenseLayer(4, 3, narrowed).eval()
        images = torch.randn(2, 4, 5, 5)
        found = layer(images)
        assert found.shape == (2, 7, 5, 5) and torch.equal(found[:, :4], images)
    kept = [build(name, 3, 10, 32).features.transition1.conv.weight.shape[:2]  # type: ignore[union-attr]
            for name in ("densenet40", "densenet40_c")]  # fmt: skip
    assert kept == [(160, 160), (80, 160)]


def test_preactivated_blocks_leave_the_way_free() -> None:
    """Where convolutions give nothing, a block gives what it is given."""
    block = Block(4, ((1, 2, 1), (3, 2, 1), (1, 4, 1))).eval()
    torch.nn.init.zeros_(block.conv3.weight)  # type: ignore[arg-type]
    images = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(images), images)  # version 1 would have cut what is below 0
    assert Block(4, ((3, 6, 2), (3, 6, 1)))(images).shape == (2, 6, 3, 3)


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
    with pytest.raises(UserError, match="images of 8 pixels a side are too small for inception_v3: resize them"):
        build("inception_v3", 3, 10, 8)


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


def mobilenet_by_hand(weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Logits by the paper's table 2, from the tensors of torchvision's file alone."""

    def normalized(maps: torch.Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        filters = weights[f"{convolution}.weight"]
        maps = F.conv2d(maps, filters, None, stride, filters.shape[-1] // 2, groups=groups)
        mean, variance, scale, shift = (
            weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(maps, mean, variance, scale, shift, training=False, eps=1e-5)

    maps = F.relu6(normalized(images, "features.0.0", "features.0.1", 2))
    number = 1
    for t, c, n, s in MOBILENET:
        for repeat in range(n):
            name, inputs, at = f"features.{number}.conv", maps, 0
            if t > 1:
                maps, at = F.relu6(normalized(maps, f"{name}.0.0", f"{name}.0.1")), 1
            stride = s if repeat == 0 else 1
            maps = F.relu6(normalized(maps, f"{name}.{at}.0", f"{name}.{at}.1", stride, maps.shape[1]))
            maps = normalized(maps, f"{name}.{at + 1}", f"{name}.{at + 2}")
            if stride == 1 and inputs.shape[1] == c:
                maps = maps + inputs
            number += 1
    maps = F.relu6(normalized(maps, f"features.{number}.0", f"features.{number}.1"))
    return F.linear(maps.mean((2, 3)), weights["classifier.1.weight"], weights["classifier.1.bias"])


@pytest.mark.skipif(not os.environ.get("SKIDPAD_DATA"), reason="needs the data sets of SKIDPAD_DATA")
def test_outputs_are_those_of_the_papers_network_with_torchvisions_weights() -> None:
    name = "weights/mobilenet_v2-b0353104.pth"
    if not is_here(name):
        pytest.skip(f"SKIDPAD_DATA has no {name}")
    network = NETWORKS["mobilenet_v2"](3, 1000, False).eval()
    load_weights(network, locate(name))
    image = photograph("chelsea")
    with torch.inference_mode():
        wanted = mobilenet_by_hand(torch.load(locate(name), weights_only=True), image)
        assert wanted.std() > 0.5
        torch.testing.assert_close(network(image), wanted, rtol=0, atol=1e-4)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    def save(state: object) -> Path:
        torch.save(state, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    network = build("resnet18", 3, 10, 32)
    good = network.state_dict()
    load_weights(network, save(good))
    old = {name: tensor for name, tensor in good.items() if not name.endswith("num_batches_tracked")}
    load_weights(network, save(old))
    dense = build("densenet40_b", 3, 10, 32)
    names = {re.sub(r"(norm|conv)([12])\.", r"\1.\2.", name): one for name, one in dense.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in names  # as torchvision's files have them
    load_weights(dense, save(names))
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

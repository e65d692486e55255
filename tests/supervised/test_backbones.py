"""Backbones: the papers' parameter counts, shapes for every kind of image, scaling, and the book's order of layers."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from supervised import backbones
from supervised.training.errors import UserError


def box(*shape: int) -> gym.spaces.Box:
    return gym.spaces.Box(0, 255, shape, np.uint8)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def images(space: gym.spaces.Box, batch: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (batch, *space.shape), dtype=np.uint8))


def test_pilotnet_has_the_papers_size() -> None:
    """With its single output 252,219; the paper says "about 250 thousand"."""
    backbone = backbones.build("pilotnet", box(66, 200, 3))
    assert count(backbone) + count(nn.Linear(backbone.feature_dim, 1)) == 252_219
    convolutions = [layer for layer in backbone.layers if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, *layer.kernel_size, *layer.stride) for layer in convolutions] == [
        (24, 5, 5, 2, 2),
        (36, 5, 5, 2, 2),
        (48, 5, 5, 2, 2),
        (64, 3, 3, 1, 1),
        (64, 3, 3, 1, 1),
    ]
    assert (backbone.height, backbone.width) == (1, 18)  # the paper's last maps


def test_nature_cnn_has_the_papers_size() -> None:
    """With the 18 actions of an Atari console."""
    backbone = backbones.build("nature_cnn", box(4, 84, 84))
    assert count(backbone) + count(nn.Linear(backbone.feature_dim, 18)) == 1_693_362


def test_nips_cnn_has_the_papers_size() -> None:
    """By hand: 16 filters of 4 x 8 x 8, 32 of 16 x 4 x 4, and 256 units over their maps of 9 x 9."""
    backbone = backbones.build("nips_cnn", box(4, 84, 84))
    layers = (16 * (4 * 8 * 8 + 1), 32 * (16 * 4 * 4 + 1), 256 * (32 * 9 * 9 + 1))
    assert count(backbone) == sum(layers) and backbone.feature_dim == 256


BOOK_LAYERS = {
    "0": (32, 1, 8, 8),
    "1": (32,),
    "4": (64, 32, 4, 4),
    "5": (64,),
    "8": (64, 64, 3, 3),
    "11": (3136,),
    "13": (120, 3136),
    "15": (120,),
    "17": (7, 120),
}


def book_state() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict of the network printed in chapter 10."""
    state: dict[str, tuple[int, ...]] = {}
    for layer, shape in BOOK_LAYERS.items():
        state |= {f"{layer}.weight": shape, f"{layer}.bias": shape[:1]}
        if len(shape) == 1:  # batch normalization
            state |= {f"{layer}.running_mean": shape, f"{layer}.running_var": shape, f"{layer}.num_batches_tracked": ()}
    return state


def test_book_network_has_the_books_layers() -> None:
    backbone = backbones.build("book_bc", box(84, 84))
    whole = nn.Sequential(*backbone.layers, nn.Linear(backbone.feature_dim, 7))
    assert {name: tuple(value.shape) for name, value in whole.state_dict().items()} == book_state()
    kinds = [type(layer).__name__ for layer in whole]
    assert (
        kinds
        == (
            "Conv2d BatchNorm2d ELU Dropout2d Conv2d BatchNorm2d ELU Dropout2d Conv2d ELU Flatten BatchNorm1d Dropout "
            "Linear ELU BatchNorm1d Dropout Linear"
        ).split()
    )
    whole.load_state_dict({name: torch.ones(shape) for name, shape in book_state().items()})
    assert (backbone.layers[0].weight == 1).all()


def test_impala_has_the_papers_layers() -> None:
    """By hand, of 72 x 96 pixels: the paper's "fifteen convolutional layers" and 256 units over maps of 9 x 12."""
    backbone = backbones.build("impala", box(72, 96, 3))
    assert sum(isinstance(module, nn.Conv2d) for module in backbone.modules()) == 15
    filters = ((3, 16), *[(16, 16)] * 4, (16, 32), *[(32, 32)] * 4, *[(32, 32)] * 5)
    convolutions = sum(outputs * (9 * inputs + 1) for inputs, outputs in filters)
    assert count(backbone) == convolutions + 256 * (32 * 9 * 12 + 1)


@pytest.mark.parametrize(
    ("name", "side", "features"),
    [
        ("resnet18", 32, 512),
        ("mobilenet_v2", 32, 1280),
        ("vgg11_bn", 32, 512),
        ("densenet100_bc", 32, 342),
        ("googlenet", 84, 1024),  # large enough for classifiers in the middle, of which agents have no use
        ("inception_v2", 32, 1024),
        ("mobilenet_v1", 32, 1024),
        ("preact_resnet18", 32, 512),
        ("xception", 32, 2048),
    ],
)
def test_architectures_give_what_their_last_layer_sees(name: str, side: int, features: int) -> None:
    backbone = backbones.build(name, box(4, side, side)).eval()
    assert backbone(images(box(4, side, side), 2)).shape == (2, features) == (2, backbone.feature_dim)
    assert backbone.train()(images(box(4, side, side), 2)).requires_grad
    assert count(copy.deepcopy(backbone)) == count(backbone)  # as agents' targets are, after a pass in training, too


@pytest.mark.parametrize("name", ["book_bc", "nature_cnn", "nips_cnn", "pilotnet", "impala"])
@pytest.mark.parametrize(
    ("shape", "channels"),
    [((84, 96), 1), ((84, 96, 3), 3), ((4, 84, 96), 4), ((2, 84, 96, 3), 6), ((84, 96, 1), 1)],
)
def test_every_kind_of_image(name: str, shape: tuple[int, ...], channels: int) -> None:
    space = box(*shape)
    backbone = backbones.build(name, space).eval()
    assert next(layer for layer in backbone.layers if isinstance(layer, nn.Conv2d)).in_channels == channels
    with torch.no_grad():
        features = backbone(images(space))
    assert features.shape == (3, backbone.feature_dim) and features.dtype == torch.float32


def test_channels_keep_their_order() -> None:
    """A filter that reads one channel gives that channel's pixel, scaled to 0..1, oldest image first."""
    space = box(2, 84, 84, 3)
    backbone = backbones.build("book_bc", space)
    first = backbone.layers[0]
    batch = images(space, 1)
    with torch.no_grad():
        for image in range(2):
            for colour in range(3):
                first.weight.zero_()
                first.bias.zero_()
                first.weight[0, 3 * image + colour, 2, 5] = 1.0
                backbone.layers = nn.Sequential(first)
                assert backbone(batch)[0, 0, 1, 3].item() == pytest.approx(batch[0, image, 6, 17, colour].item() / 255)


@pytest.mark.parametrize("shape", [(4, 84, 84), (42, 50), (2, 45, 40, 3)])
def test_patches_give_what_images_give(shape: tuple[int, ...]) -> None:
    """Bytes pass the first layer as patches, numbers from 0 to 1 as images: the same features and gradients."""
    bytes_space, numbers_space = box(*shape), gym.spaces.Box(0.0, 1.0, shape, np.float32)
    torch.manual_seed(0)
    patched, plain = (backbones.build("nature_cnn", space) for space in (bytes_space, numbers_space))
    plain.load_state_dict(patched.state_dict())
    batch = images(bytes_space)
    features = patched(batch)
    torch.testing.assert_close(features, plain(batch / 255), rtol=1e-4, atol=1e-6)
    features.square().sum().backward()
    plain(batch / 255).square().sum().backward()
    for one, other in zip(patched.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_bytes_enter_bfloat16_unrounded() -> None:
    space = box(1, 36, 36)
    backbone = backbones.build("nature_cnn", space)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rounded = backbone(images(space))
    torch.testing.assert_close(rounded.float(), backbone(images(space)), rtol=0.1, atol=0.005)


def test_pilotnet_centres_bytes() -> None:
    backbone = backbones.build("pilotnet", box(66, 200, 3))
    backbone.layers = nn.Sequential(nn.Identity())
    planes = backbone(torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 66, 200, 3))
    assert planes.amin((1, 2, 3)).tolist() == [-1, 1] and planes.amax((1, 2, 3)).tolist() == [-1, 1]


def test_alvinn_sees_the_intensity_that_it_found_in_the_image_before() -> None:
    """1,217 inputs, 29 hidden units; with a hidden layer that copies the fed-back unit, two steps by hand."""
    single, double = (backbones.build("alvinn", box(*shape)) for shape in ((38, 32), (2, 38, 32)))
    assert tuple(single.hidden.weight.shape) == (29, 38 * 32 + 1)
    for backbone in (single, double):
        with torch.no_grad():
            for parameter in backbone.parameters():
                parameter.zero_()
            backbone.hidden.weight[0, -1] = 2.0
            backbone.road_intensity.weight[0, 0] = 3.0
    sigmoid = torch.sigmoid
    once = sigmoid(torch.tensor(2 * 0.5))
    twice = sigmoid(2 * sigmoid(3 * once))
    assert single(images(box(38, 32)))[:, 0].tolist() == pytest.approx([once.item()] * 3)
    assert double(images(box(2, 38, 32)))[:, 0].tolist() == pytest.approx([twice.item()] * 3)


def test_road_is_lighter() -> None:
    retinas = torch.full((2, 38, 32), 100, dtype=torch.uint8)
    retinas[0, 20:30, 10:22] = 180
    retinas[1, 20:30, 10:22] = 30
    assert backbones.road_is_lighter(retinas).tolist() == [1.0, 0.0]
    assert backbones.road_is_lighter(torch.stack([255 - retinas, retinas], dim=1)).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("nature_cnn", box(20, 20), "images of 20 x 20 are too small for NatureCNN"),
        ("book_bc", gym.spaces.Box(-1, 1, (4,), np.float32), "are no images"),
        ("alvinn", box(38, 32, 3), "alvinn sees a single plane"),
        ("pilotnett", box(66, 200, 3), "did you mean pilotnet"),
    ],
)
def test_what_does_not_fit_is_named(name: str, space: gym.spaces.Box, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(name, space)


@pytest.mark.parametrize("name", backbones.RECURRENT)
@pytest.mark.parametrize("space", [gym.spaces.Box(-1, 1, (3,), np.float32), box(40, 40)], ids=["numbers", "pictures"])
def test_a_sequence_at_once_is_step_after_step_and_begins_anew_with_an_episode(
    name: str, space: gym.spaces.Box
) -> None:
    torch.manual_seed(0)
    backbone: Any = backbones.build(name, space, hidden=(8, 4))
    observations = torch.from_numpy(np.stack([[space.sample() for _ in range(2)] for _ in range(5)]))
    starts = torch.zeros(5, 2, dtype=torch.bool)
    starts[2, 1] = starts[4, 0] = True
    state = torch.randn(2, backbone.state_dim)
    features, after = backbone(observations, state, starts)
    assert features.shape == (5, 2, 4) and backbone.feature_dim == 4
    for t in range(5):
        one, state = backbone(observations[t : t + 1], state, starts[t : t + 1])
        torch.testing.assert_close(one[0], features[t])
    torch.testing.assert_close(state, after)
    fresh, _ = backbone(observations[2:3], torch.zeros(2, backbone.state_dim), torch.zeros(1, 2, dtype=torch.bool))
    torch.testing.assert_close(fresh[0, 1], features[2, 1], msg="nothing of the episode before is left")


def test_what_keeps_no_memory_refuses_recurrent_backbones() -> None:
    space = gym.spaces.Box(-1, 1, (3,), np.float32)
    assert isinstance(backbones.build_feedforward("mlp", space, hidden=(4,)), backbones.MLP)
    with pytest.raises(UserError, match="backbone='gru' remembers"):
        backbones.build_feedforward("gru", space)

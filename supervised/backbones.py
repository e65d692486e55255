"""Backbones: a name and an observation space give the network that turns observations into features.

Any agent takes ``--backbone NAME``; recurrent ones those that keep a state, as ppo and dqn do. A backbone is an
``nn.Module`` with an attribute ``feature_dim`` and
``forward(observations (batch, *observation)) -> (batch, feature_dim)``; observations enter as the environment gives
them (images as uint8), the backbone converts, permutes and scales.

Images are ``(height, width)`` or ``(height, width, colours)``, or stacks of them ``(stack, height, width)`` and
``(stack, height, width, colours)``; stacked images and colours become input channels, the oldest image first.

    mlp         fully connected
    book_bc     the book's network for behavioral cloning (chapter 10): three convolutions, 120 units
    nature_cnn  Mnih et al. 2015: three convolutions, 512 units
    nips_cnn    Mnih et al. 2013: two convolutions, 256 units; a third of the arithmetic
    pilotnet    Bojarski et al. 2016: five convolutions; 100, 50 and 10 units
    alvinn      Pomerleau 1989: 29 units that also see the road intensity found in the image before
    impala      Espeholt et al. 2018: fifteen convolutions in residual blocks, 256 units
    resnet18, vgg11_bn, mobilenet_v2, ...  what `supervised.vision.networks` has, without the last layer
    language    planes and a sentence about them, see `supervised.language.backbone.Language`
    gru, lstm, attention, transformer      remember, see `Recurrent` and `supervised.memories`: over fully connected
                layers, or over nature_cnn where they see images

With the weights of a run of `supervised.train` the backbone is that run's own network, see `Pretrained`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.memories import MEMORIES
from supervised.perception import perception
from supervised.registry import CATALOGUE
from supervised.training.errors import UserError, require, suggest
from supervised.training.precision import precision
from supervised.vision import networks

MOST_COLOURS = 4  # a last axis beyond this is the width of an image

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU, "silu": nn.SiLU}


class Backbone(nn.Module):
    """A network from observations ``(batch, *observation)`` to features ``(batch, feature_dim)``."""

    feature_dim: int


class MLP(Backbone):
    """Fully connected layers over the flattened observation; bytes are scaled from 0..255 to 0..1.

    Args:
        space: a Box.
        hidden: units of each hidden layer; none gives the observation itself as features.
        activation: a name in `ACTIVATIONS`, after every layer.
        layer_norm: normalize the outputs of every layer before that (Ba, Kiros and Hinton 2016).
    """

    def __init__(
        self,
        space: gym.spaces.Box,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {activation!r}{suggest(activation, ACTIVATIONS)}")
        require(all(units > 0 for units in hidden), "hidden", tuple(hidden), "every layer needs at least one unit")
        self.scale = 1 / 255 if space.dtype == np.uint8 else 1.0
        widths = [int(np.prod(space.shape)), *hidden]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            normalized = [nn.LayerNorm(outputs)] if layer_norm else []
            layers += [nn.Linear(inputs, outputs), *normalized, ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers)
        self.feature_dim = widths[-1]

    def forward(self, observations: Tensor) -> Tensor:
        flat = observations.flatten(1)
        if flat.dtype != torch.float32:
            flat = flat.float()
        return self.layers(flat if self.scale == 1.0 else flat * self.scale)


def is_stacked(space: gym.spaces.Box) -> bool:
    """Whether an observation is a stack of images, not one alone; raises `UserError` where it is neither."""
    shape = space.shape
    coloured = len(shape) in (3, 4) and shape[-1] <= MOST_COLOURS
    stacked = len(shape) == 3 + coloured
    if len(shape) != 2 + coloured + stacked:
        raise UserError(
            f"observations of {space} are no images: use the backbone mlp, or an environment that shows some"
        )
    return stacked


def image_shape(space: gym.spaces.Box) -> tuple[int, int, int]:
    """(channels, height, width) of the images of a space, stacks and colours together; raises `UserError`."""
    shape, stacked = space.shape, is_stacked(space)
    height, width, *colours = shape[stacked:]
    return (shape[0] if stacked else 1) * math.prod(colours), height, width


class Convolutions(Backbone):
    """Base of what reads images: ``self.layers`` over float32 ``(batch, channels, height, width)``.

    Bytes are scaled to 0..1, and to -1..1 where ``centred``.
    """

    layers: nn.Sequential

    def __init__(self, space: gym.spaces.Box, centred: bool = False) -> None:
        super().__init__()
        self.channels, self.height, self.width = image_shape(space)
        self._coloured = space.shape[-1] <= MOST_COLOURS
        self._scale = 1.0 if space.dtype != np.uint8 else 2 / 255 if centred else 1 / 255
        self._offset = -1.0 if centred and space.dtype == np.uint8 else 0.0

    def convolutions(self, *sizes: tuple[int, int, int]) -> list[nn.Conv2d]:
        """One layer a triple of (filters, kernel, stride); `height` and `width` become those of the last one's maps.

        Raises:
            UserError: the images are too small.
        """
        layers, channels, image = [], self.channels, (self.height, self.width)
        for filters, kernel, stride in sizes:
            self.height, self.width = ((side - kernel) // stride + 1 for side in (self.height, self.width))
            if min(self.height, self.width) < 1:
                raise UserError(
                    f"images of {image[0]} x {image[1]} are too small for {type(self).__name__}: enlarge them"
                )
            layers.append(nn.Conv2d(channels, filters, kernel, stride))
            channels = filters
        return layers

    def forward(self, observations: Tensor) -> Tensor:
        images = observations.movedim(-1, -3) if self._coloured else observations
        images = images.reshape(len(images), self.channels, *images.shape[-2:])
        first, dtype = self.layers[0], precision(images.device)  # bytes are exact in any
        if isinstance(first, PatchConvolution) and images.dtype == torch.uint8:
            return self.layers(first.patches(images).to(dtype))
        images = images.to(dtype)
        images = images.contiguous(memory_format=torch.channels_last)  # convolutions of many channels are faster so
        return self.layers(images * self._scale + self._offset if self._offset else images * self._scale)


class PatchConvolution(nn.Conv2d):
    """A convolution with a stride of 4 and a kernel of a multiple of that, which can also read patches of bytes.

    Images have few channels, which processors do badly at. Cut into patches of 4 x 4 pixels, all of them channels, the
    same sums are a convolution with a stride of 1 over 16 times as many channels.
    """

    SIDE = 4

    def patches(self, images: Tensor) -> Tensor:
        """Bytes ``(batch, channels, height, width)`` as ``(batch, 16 channels, height / 4, width / 4)``.

        Rows and columns that no kernel would reach are left out.
        """
        side = self.SIDE
        height, width = (length - length % side for length in images.shape[2:])
        # the four bytes of a patch's row move as one number
        words = images[..., :height, :width].contiguous().view(torch.int32)
        words = words.unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3)  # (batch, rows, columns, channels, rows of one)
        return words.flatten(3).contiguous().view(torch.uint8).permute(0, 3, 1, 2)

    def forward(self, input: Tensor) -> Tensor:
        """Of images ``(batch, channels, height, width)``, or of `patches`, whose bytes count as 0..1."""
        if input.shape[1] == self.in_channels:
            return super().forward(input)
        side = self.SIDE
        weight = self.weight.unflatten(3, (-1, side)).unflatten(2, (-1, side))  # (filters, channels, y, row, x, column)
        return F.conv2d(input, weight.permute(0, 1, 3, 5, 2, 4).flatten(1, 3) / 255, self.bias)


class BookBC(Convolutions):
    """The book's network for behavioral cloning (chapter 10: "Behavioral cloning with PyTorch") without its last layer.

    ``nn.Sequential(*backbone.layers, head)`` with ``head = nn.Linear(120, 7)`` has the order and the names of the
    book's own: a state dict saved from that one loads strictly. One gray image of 84 x 84 there; any size here.
    """

    feature_dim = 120

    def __init__(self, space: gym.spaces.Box) -> None:
        super().__init__(space)
        first, second, third = self.convolutions((32, 8, 4), (64, 4, 2), (64, 3, 1))
        flat = 64 * self.height * self.width
        self.layers = nn.Sequential(
            *(first, nn.BatchNorm2d(32), nn.ELU(), nn.Dropout2d(0.5)),
            *(second, nn.BatchNorm2d(64), nn.ELU(), nn.Dropout2d(0.5)),
            *(third, nn.ELU(), nn.Flatten(), nn.BatchNorm1d(flat), nn.Dropout(0.5)),
            *(nn.Linear(flat, 120), nn.ELU(), nn.BatchNorm1d(120), nn.Dropout(0.5)),
        )


class NatureCNN(Convolutions):
    """The network of Mnih et al. 2015, "Human-level control through deep reinforcement learning", without its head.

    Args:
        layer_norm: normalize the outputs of every layer over all its units, before the activation.
    """

    sizes: ClassVar[tuple[tuple[int, int, int], ...]] = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    feature_dim = 512

    def __init__(self, space: gym.spaces.Box, layer_norm: bool = False) -> None:
        super().__init__(space)
        maps = self.convolutions(*self.sizes)
        maps[0] = PatchConvolution(self.channels, *self.sizes[0])
        dense = nn.Linear(maps[-1].out_channels * self.height * self.width, self.feature_dim)

        def activated(layer: nn.Module, units: int) -> tuple[nn.Module, ...]:
            # one group is all units of an image, whatever the size of its maps
            return (layer, nn.GroupNorm(1, units), nn.ReLU()) if layer_norm else (layer, nn.ReLU())

        convolved = [part for layer in maps for part in activated(layer, layer.out_channels)]
        self.layers = nn.Sequential(*convolved, nn.Flatten(), *activated(dense, self.feature_dim))


class NipsCNN(NatureCNN):
    """The network of Mnih et al. 2013, "Playing Atari with Deep Reinforcement Learning", without its head.

    Mnih et al. 2016 (A3C) and Schulman et al. 2017 (PPO) learnt Atari games with it too.
    """

    sizes = ((16, 8, 4), (32, 4, 2))
    feature_dim = 256


class PilotNet(Convolutions):
    """The network of Bojarski et al. 2016, "End to End Learning for Self-Driving Cars", without its output.

    The normalization layer maps bytes to -1..1 and is not learnt. Images are 66 x 200 there, with three planes of YUV,
    which the first layer's weights absorb: here planes are as the camera gives them. The paper names no activation.
    """

    feature_dim = 10

    def __init__(self, space: gym.spaces.Box) -> None:
        super().__init__(space, centred=True)
        maps = self.convolutions((24, 5, 2), (36, 5, 2), (48, 5, 2), (64, 3, 1), (64, 3, 1))
        widths = [64 * self.height * self.width, 100, 50, 10]
        dense = [nn.Linear(inputs, outputs) for inputs, outputs in zip(widths, widths[1:], strict=False)]
        layers = [*maps, nn.Flatten(), *dense]
        self.layers = nn.Sequential(*(part for layer in layers for part in _activated(layer)))


def _activated(layer: nn.Module) -> tuple[nn.Module, ...]:
    return (layer,) if isinstance(layer, nn.Flatten) else (layer, nn.ReLU())


class Impala(Convolutions):
    """The residual network of Espeholt et al. 2018, "IMPALA: Scalable Distributed Deep-RL" (figure 3, right)."""

    feature_dim = 256

    def __init__(self, space: gym.spaces.Box) -> None:
        super().__init__(space)
        layers: list[nn.Module] = []
        channels, height, width = self.channels, self.height, self.width
        for filters in (16, 32, 32):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.MaxPool2d(3, 2, 1)]
            layers += [Residual(filters), Residual(filters)]
            channels, height, width = filters, (height + 1) // 2, (width + 1) // 2
        dense = nn.Linear(channels * height * width, self.feature_dim)
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), dense, nn.ReLU())


class Residual(nn.Module):
    """Two convolutions, each after a ReLU, added to what they are given."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(filters, filters, 3, padding=1) for _ in range(2)]
        self.layers = nn.Sequential(nn.ReLU(), convolutions[0], nn.ReLU(), convolutions[1])

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.layers(inputs)


class Architecture(Convolutions):
    """A network of `supervised.vision.networks` without its last layer, over all images of a stack together."""

    def __init__(self, space: gym.spaces.Box, name: str) -> None:
        super().__init__(space, centred=True)
        network = networks.build(name, self.channels, 1, min(self.height, self.width))
        self.feature_dim = networks.headless(network)
        self.layers = nn.Sequential(network)


class Pretrained(Backbone):
    """What a run of `supervised.train` has learnt to see; each image of a stack alone, features one after the other.

    Args:
        run: its folder.
        frozen: it learns no more; what it normalizes by batches of images stays as it is.

    Raises:
        UserError: the run is of another model than ``name``, or its network cannot see this space.
    """

    def __init__(self, space: gym.spaces.Box, name: str, run: Path, frozen: bool) -> None:
        super().__init__()
        self._stacked, self._frozen = is_stacked(space), frozen
        kind, self.network = perception(run)
        require(kind == name, "backbone_weights", str(run), f"that is a run of {kind}, use --backbone {kind}")
        require(space.dtype == np.uint8, "backbone_weights", str(run), f"it sees images of bytes, and not {space}")
        try:
            with torch.no_grad():
                features = self(torch.zeros((1, *space.shape), dtype=torch.uint8))
        except RuntimeError as error:
            raise UserError(f"backbone_weights={str(run)!r}: it learnt from other images than {space} shows") from error
        if features.ndim != 2:
            raise UserError(f"backbone_weights={str(run)!r}: {kind} gives maps, use the transform perceive:{run}")
        self.feature_dim = features.shape[1]
        self.requires_grad_(not frozen)
        self.train()

    def train(self, mode: bool = True) -> "Pretrained":
        """As of any module, but what is frozen always judges."""
        return super().train(mode and not self._frozen)

    def forward(self, observations: Tensor) -> Tensor:
        if not self._stacked:
            return self.network(observations)
        return self.network(observations.flatten(0, 1)).unflatten(0, observations.shape[:2]).flatten(1)


class Alvinn(Backbone):
    """ALVINN's hidden layer (Pomerleau 1989): 29 sigmoid units over the retina and the road intensity fed back.

    The road intensity unit says whether the road is lighter than its surroundings, and its output on one image is
    an input on the next. Of stacked retinas ``(stack, rows, columns)`` the oldest is seen with the intensity 0.5,
    which says nothing; with a single one that is all.

    Attributes:
        road_intensity: the layer from the features to the logit of that unit.
    """

    feature_dim = 29

    def __init__(self, space: gym.spaces.Box) -> None:
        super().__init__()
        _, rows, columns = image_shape(space)
        if space.shape[-1] <= MOST_COLOURS:
            raise UserError(f"alvinn sees a single plane, not {space}: use the transform gray")
        self._scale = 1 / 255 if space.dtype == np.uint8 else 1.0
        self._stacked = len(space.shape) == 3
        self.hidden = nn.Linear(rows * columns + 1, 29)
        self.road_intensity = nn.Linear(29, 1)

    def forward(self, observations: Tensor) -> Tensor:
        retinas = (observations if self._stacked else observations[:, None]).flatten(2).float() * self._scale
        intensity = torch.full_like(retinas[:, 0, :1], 0.5)
        for newest in range(retinas.shape[1]):
            features = torch.sigmoid(self.hidden(torch.cat([retinas[:, newest], intensity], dim=1)))
            intensity = torch.sigmoid(self.road_intensity(features))
        return features


def road_is_lighter(observations: Tensor) -> Tensor:
    """What `Alvinn.road_intensity` should find in the newest retina ``(batch,)``: 1 where the road is the lighter part.

    The road is taken to be what lies right before the car: the middle of the camera's lowest third, against the rest
    of its lower two thirds.
    """
    retinas = observations[:, -1] if observations.ndim == 4 else observations
    ground, road = retinas[:, 10:30].float(), retinas[:, 20:30, 12:20].float()
    return (road.mean((1, 2)) > ground.mean((1, 2))).float()


class Recurrent(Backbone):
    """A memory over the features of single observations.

    ``forward(observations (time, batch, *observation), state (batch, state_dim), starts (time, batch))`` returns
    features ``(time, batch, feature_dim)`` and the state after the last step. Where ``starts`` is true an episode
    begins, with zeros ``(batch, state_dim)``.

    Args:
        hidden: units of the layers before, and last those of the memory; images pass nature_cnn before it.
        kind: a name in `supervised.memories`.
    """

    def __init__(
        self, space: gym.spaces.Box, hidden: Sequence[int] = (64, 64), activation: str = "relu", kind: str = "gru"
    ) -> None:
        super().__init__()
        require(len(hidden) >= 1, "hidden", tuple(hidden), "name at least the units of the memory")
        images = space.dtype == np.uint8 and len(space.shape) >= 2
        self.encoder = NatureCNN(space) if images else MLP(space, hidden[:-1], activation)
        self.feature_dim = hidden[-1]
        self.memory = MEMORIES[kind](self.encoder.feature_dim, hidden[-1])
        self.state_dim = self.memory.state_dim

    def forward(self, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(observations.flatten(0, 1)).unflatten(0, observations.shape[:2])
        return self.memory(encoded, state, starts)


def _language(space: gym.spaces.Box) -> Backbone:
    from supervised.language.backbone import Language

    return Language(space)


#: backbones that remember
RECURRENT = tuple(MEMORIES)
#: backbones that take the keywords ``hidden`` and ``activation``
WITH_HIDDEN = ("mlp", *RECURRENT)

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "mlp": MLP,
    "book_bc": BookBC,
    "nature_cnn": NatureCNN,
    "nips_cnn": NipsCNN,
    "pilotnet": PilotNet,
    "alvinn": Alvinn,
    "impala": Impala,
    **{name: functools.partial(Architecture, name=name) for name in networks.NETWORKS},
    "language": _language,
    **{name: functools.partial(Recurrent, kind=name) for name in RECURRENT},
}


def build(name: str, space: gym.Space[Any], weights: str = "", frozen: bool = False, **options: Any) -> Backbone:
    """The backbone ``name`` for observations of ``space``.

    Args:
        weights: the folder of a run of `supervised.train` that it is taken from; "": it is new.
        frozen: what is taken so learns no more.
        options: the backbone's own keywords (``hidden`` and ``activation`` of "mlp"), where it is new.

    Raises:
        UserError: no such backbone, or it cannot read this space.
    """
    if name not in (CATALOGUE if weights else BACKBONES):
        if name in CATALOGUE:
            raise UserError(
                f"backbone {name!r} is what a run of supervised.train has learnt: give its backbone_weights"
            )
        raise UserError(f"unknown backbone {name!r}{suggest(name, CATALOGUE if weights else BACKBONES)}")
    learns = bool(weights) or not frozen
    require(learns, "backbone_frozen", frozen, "the backbone would never learn: give its backbone_weights")
    if not isinstance(space, gym.spaces.Box):
        raise UserError(f"backbone {name!r} reads a Box, not {space}: flatten the observation first")
    return Pretrained(space, name, Path(weights), frozen) if weights else BACKBONES[name](space, **options)


def build_feedforward(name: str, space: gym.Space[Any], **options: Any) -> Backbone:
    """`build` for whoever keeps no state between steps.

    Raises:
        UserError: as `build`, or the backbone is recurrent.
    """
    if name in RECURRENT:
        raise UserError(f"backbone={name!r} remembers, and this algorithm keeps no memory: use another, or ppo")
    return build(name, space, **options)

"""Artistic style transfer (book, chapter 5; Gatys, Ecker and Bethge 2016): one picture's content in another's style.

A classifier's maps say what a picture shows: its content. Which of a layer's maps go together, wherever that is, says
how it is painted: the Gram matrix of the maps, its style. A picture is changed until both are as wanted.

Both losses are relative: a square error divided by the square of what is aimed at. So 1 is the loss of a layer without
any response, and weights mean the same whatever the network, the layer and the sizes of the pictures are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.photographs import photograph
from supervised.training.errors import UserError, require, suggest
from supervised.vision import networks
from supervised.vision.weights import IMAGENET_MEAN, IMAGENET_STD, transfer

Array = NDArray[Any]


class Layers(NamedTuple):
    """Names of a network's layers whose maps are compared."""

    content: tuple[str, ...]
    style: tuple[str, ...]


#: by the beginning of a network's name; of VGG-19 those of the paper, after their ReLU
LAYERS: Mapping[str, Layers] = {
    "mobilenet_v2": Layers(
        ("features.7.conv.0",),
        ("features.0", *(f"features.{k}.conv.0" for k in (2, 4, 7))),
    ),
    "vgg19": Layers(("features.22",), ("features.1", "features.6", "features.11", "features.20", "features.29")),
    "vgg16": Layers(("features.20",), ("features.1", "features.6", "features.11", "features.18", "features.25")),
    "resnet": Layers(("layer2",), ("relu", "layer1", "layer2", "layer3")),
}


def default_layers(network: str) -> Layers:
    """Layers that suit a network by name; raises `UserError` where none are known."""
    for name, layers in LAYERS.items():
        if network.startswith(name) and not network.endswith("_bn"):
            return layers
    raise UserError(f"network={network!r}: name its content_layers and style_layers")


class _Reached(Exception):
    """All that was asked for is there."""


class Maps(nn.Module):
    """What some layers of a network, which learns no more, make of pictures.

    Args:
        network: sees pictures scaled as ImageNet's.
        names: of its modules; in any order.

    Raises:
        UserError: there is no such layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        for module in network.modules():
            if hasattr(module, "inplace"):
                setattr(module, "inplace", False)  # noqa: B010  (or it would change the maps of the layer before)
        layers = dict(network.named_modules())
        for name in names:
            if name not in layers or not name:
                raise UserError(f"unknown layer {name!r}{suggest(name, layers)}")
        self.names = tuple(dict.fromkeys(names))
        self._made: dict[str, Tensor] = {}
        for name in self.names:
            layers[name].register_forward_hook(self._keeper(name))
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def _keeper(self, name: str) -> Callable[..., None]:
        def keep(_: nn.Module, __: Any, output: Tensor) -> None:
            self._made[name] = output
            if len(self._made) == len(self.names):
                raise _Reached  # what comes after need not be computed

        return keep

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps ``(batch, channels, height, width)`` by layer, of pictures ``(batch, 3, height, width)`` from 0 to 1."""
        self._made = {}
        try:
            self.network((images - self.mean) / self.std)
        except _Reached:
            pass
        return self._made


def gram(maps: Tensor) -> Tensor:
    """How much the maps ``(batch, channels, height, width)`` go together: ``(batch, channels, channels)``."""
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]  # G_ij = mean_k F_ik F_jk


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """The square error of each ``(batch, ...)``, in parts of the square of what is wanted ``(1 or batch, ...)``."""
    return (found - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1).clamp_min(1e-12)


def total_variation(images: Tensor) -> Tensor:
    """The mean square difference of neighbouring pixels, down and across ``(batch,)``."""
    return sum(images.diff(dim=axis).square().flatten(1).mean(1) for axis in (2, 3))  # type: ignore[return-value]


class Losses(NamedTuple):
    """Weights of what is made small: J = content J_C + style J_S + smoothness TV."""

    content: float
    style: float
    smoothness: float


class Objective:
    """How far pictures are from a content in a style.

    Args:
        style: a picture ``(1, 3, height, width)`` from 0 to 1.
    """

    def __init__(self, network: nn.Module, layers: Layers, weights: Losses, style: Tensor) -> None:
        self.layers, self.weights = layers, weights
        self.maps = Maps(network, (*layers.content, *layers.style))
        with torch.no_grad():
            self.grams = {name: gram(self.maps(style)[name]) for name in layers.style}

    @torch.no_grad()
    def content(self, images: Tensor) -> dict[str, Tensor]:
        """What is to be kept of pictures ``(batch, 3, height, width)``."""
        made = self.maps(images)
        return {name: made[name] for name in self.layers.content}

    def parts(self, images: Tensor, content: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The losses of pictures ``(batch, 3, height, width)``, means over the batch; "loss" is their weighted sum."""
        made = self.maps(images)
        errors = {
            "content_loss": [relative_error(made[name], content[name]).mean() for name in self.layers.content],
            "style_loss": [relative_error(gram(made[name]), self.grams[name]).mean() for name in self.layers.style],
        }
        found = {name: torch.stack(some).mean() for name, some in errors.items()}
        found["variation"] = total_variation(images).mean()
        loss = sum(weight * one for weight, one in zip(self.weights, found.values(), strict=True))
        return {"loss": loss, **found}  # type: ignore[dict-item]


def pretrained(name: str, weights: str) -> nn.Module:
    """A network of `supervised.vision.networks` for pictures of ImageNet's sizes, with weights; see `find_weights`.

    Raises:
        UserError: an unknown network, or weights that do not fit.
    """
    network = networks.build(name, 3, 1, 224)  # its last layer is not used
    transfer(network, weights)
    return network


def picture(name: str, side: int) -> Tensor:
    """A picture ``(1, 3, height, width)`` from 0 to 1, with ``side`` pixels of its longer side.

    Args:
        name: see `photograph`, whose errors it raises, too.

    Raises:
        UserError: too few pixels.
    """
    require(side >= 16, "side", side, "use 16 pixels or more")
    image = torch.from_numpy(np.ascontiguousarray(photograph(name))).movedim(2, 0)[None].float() / 255
    height, width = (max(round(side * one / max(image.shape[2:])), 1) for one in image.shape[2:])
    return F.interpolate(image, (height, width), mode="bilinear", antialias=True).clamp(0, 1)


def bytes_of(images: Tensor) -> Array:
    """Pictures ``(batch, 3, height, width)`` from 0 to 1 as ``(batch, height, width, 3)`` uint8."""
    return (images.detach().clamp(0, 1) * 255).round().byte().movedim(1, 3).cpu().numpy()


def _lbfgs(image: Tensor) -> torch.optim.Optimizer:
    return torch.optim.LBFGS([image], max_iter=1, history_size=20, line_search_fn="strong_wolfe")


OPTIMIZERS: dict[str, Callable[[Tensor], torch.optim.Optimizer]] = {
    "lbfgs": _lbfgs,
    "adam": lambda image: torch.optim.Adam([image], 0.02),
}


def repaint(
    objective: Objective, content: Tensor, start: Tensor, steps: int, optimizer: str = "lbfgs"
) -> tuple[Tensor, list[dict[str, float]]]:
    """Change a picture until its content is that of another, in the objective's style.

    Args:
        content, start: pictures ``(1, 3, height, width)`` from 0 to 1: what is painted, and where to begin.
        optimizer: lbfgs (as in the paper) or adam.

    Returns:
        The picture, and the losses before each step and after the last.

    Raises:
        UserError: an unknown optimizer, or a loss that is no longer finite.
    """
    if optimizer not in OPTIMIZERS:
        raise UserError(f"unknown optimizer {optimizer!r}{suggest(optimizer, OPTIMIZERS)}")
    wanted, image = objective.content(content), start.clone().requires_grad_()
    way, history = OPTIMIZERS[optimizer](image), list[dict[str, float]]()

    def losses(backward: bool) -> dict[str, Tensor]:
        with torch.set_grad_enabled(backward):
            found = objective.parts(image, wanted)
        if backward:
            way.zero_grad()
            found["loss"].backward()
        return found

    for _ in range(steps):
        evaluated: list[dict[str, Tensor]] = []

        def closure(evaluated: list[dict[str, Tensor]] = evaluated) -> float:
            evaluated.append(losses(backward=True))
            return evaluated[-1]["loss"].item()

        way.step(closure)
        history.append({name: one.item() for name, one in evaluated[0].items()})
        finite = np.isfinite(history[-1]["loss"])
        require(bool(finite), "loss", history[-1]["loss"], "the picture is lost; use other weights or adam")
    history.append({name: one.item() for name, one in losses(backward=False).items()})
    return image.detach().clamp(0, 1), history

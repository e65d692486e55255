"""Classifiers: their settings, what makes of inputs as data sets have them what networks see, and the networks."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.augmentation import PRESETS as AUGMENTATIONS
from supervised.data.sets import standards
from supervised.epochs import Settings
from supervised.training.errors import UserError, require, suggest
from supervised.training.precision import autocast
from supervised.training.seeding import seeded_modules
from supervised.vision import book, networks
from supervised.vision.weights import IMAGENET_MEAN, IMAGENET_STD

Array = NDArray[Any]

BLOCK = 500  # rows judged at once, of at most as many pixels as
PIXELS = 500 * 32 * 32

OPTIMIZERS: dict[str, Callable[[Any, "Config"], torch.optim.Optimizer]] = {
    "sgd": lambda weights, config: torch.optim.SGD(
        weights, config.learning_rate, config.momentum, weight_decay=config.weight_decay, fused=True
    ),
    "adam": lambda weights, config: torch.optim.AdamW(
        weights, config.learning_rate, weight_decay=config.weight_decay, fused=True
    ),
    "adadelta": lambda weights, config: torch.optim.Adadelta(
        weights, config.learning_rate, weight_decay=config.weight_decay, foreach=True
    ),
}
SCALES = ("standardized", "imagenet", "centred", "unit", "bytes")


@dataclass(frozen=True)
class Config(Settings):
    """A classifier's training."""

    rows: int = 0
    """Training rows to learn from at most, as many of each class; 0: all."""
    validation: float = 0.0
    """Share of them held out, to log how well those are told; 0: none."""
    inputs: str = "standardized"
    """Images as "bytes" (0 to 255), "unit" (0 to 1), "centred" (-1 to 1), or "imagenet" (in three colours, by the means
    and deviations of ImageNet's); or all inputs "standardized" (mean 0, variance 1 a colour)."""
    resize: int = 0
    """Pixels of the shorter side that images are enlarged or reduced to; 0: as they are."""
    augmentation: str = "none"
    """What changes images in training: none, book, book-sharp or cifar."""
    optimizer: str = "adam"
    """sgd, adam (with decoupled weight decay) or adadelta."""
    momentum: float = 0.0
    """Of sgd."""
    weight_decay: float = 0.0
    """How much a step pulls weights towards 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rows", "resize", "momentum", "weight_decay"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(0 <= self.validation < 1, "validation", self.validation, "use a share from 0 to below 1")
        for name, known in (("inputs", SCALES), ("augmentation", AUGMENTATIONS), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise UserError(f"unknown {name} {getattr(self, name)!r}{suggest(getattr(self, name), known)}")

    def network(self, shape: Sequence[int], classes: int) -> nn.Module:
        """The network for inputs of that shape, colours in front, and that many classes."""
        raise NotImplementedError


@dataclass(frozen=True)
class MLPConfig(Config):
    """A fully connected classifier."""

    hidden: tuple[int, ...] = (128,)
    """Units of the hidden layers."""
    activations: tuple[str, ...] = ("relu",)
    """Their activations, the last one for all that are left: relu, sigmoid, tanh or elu."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(units >= 1 for units in self.hidden), "hidden", self.hidden, "every layer needs at least one unit")
        require(len(self.activations) >= 1, "activations", self.activations, "name at least one")
        for name in self.activations:
            if name not in ACTIVATIONS:
                raise UserError(f"unknown activation {name!r}{suggest(name, ACTIVATIONS)}")

    def network(self, shape: Sequence[int], classes: int) -> nn.Module:
        """See `Config`."""
        return book.mlp(shape, classes, self.hidden, [ACTIVATIONS[name] for name in self.activations])


@dataclass(frozen=True)
class CNNConfig(Config):
    """The convolutional classifier of chapter 4's first example."""

    def network(self, shape: Sequence[int], classes: int) -> nn.Module:
        """See `Config`."""
        return book.cnn(shape, classes)


@dataclass(frozen=True)
class DeepCNNConfig(Config):
    """The convolutional classifier of chapter 4's second example."""

    data: str = "cifar10"
    """The data set: mnist, fashion-mnist, cifar10, cifar10-jpeg, digits, iris, or pictures:PATH."""

    def network(self, shape: Sequence[int], classes: int) -> nn.Module:
        """See `Config`."""
        return book.deep_cnn(shape, classes)


@dataclass(frozen=True)
class NetworkConfig(Config):
    """A classifier of an architecture by name."""

    data: str = "cifar10"
    """The data set: mnist, fashion-mnist, cifar10, cifar10-jpeg, digits, iris, or pictures:PATH."""
    epochs: int = 20
    """Passes through what is learnt from."""
    augmentation: str = "cifar"
    """What changes images in training: none, book, book-sharp or cifar."""
    architecture: str = "resnet18"
    """The network, a name in `supervised.vision.networks`."""
    weights: str = ""
    """Weights to begin with, but for the last layer: a .pth file, Keras' .h5 of a VGG, a name in
    `supervised.data.sources`, or a run's folder; none: all are new."""
    frozen: bool = False
    """Only the last layer learns; the others stay as the weights are, and see every image once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen:
            require(bool(self.weights), "frozen", True, "the network would never learn: give its weights")
            remedy = "a frozen network sees every image once, as it is: use none"
            require(self.augmentation == "none", "augmentation", self.augmentation, remedy)

    def network(self, shape: Sequence[int], classes: int) -> nn.Module:
        """See `Config`."""
        return networks.build(self.architecture, shape[0], classes, min(shape[1:]))


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}


class Inputs(nn.Module):
    """Inputs as data sets have them, made what the network sees: colours in front, and scaled.

    Args:
        inputs: what is learnt from ``(n, *input)``; mean and deviation are theirs, and are saved with the weights.
        scale: one of `SCALES`; only images are "bytes", "unit", "centred" or "imagenet".
        side: of images, see `Config.resize`.
    """

    mean: Tensor
    std: Tensor
    shape: Tensor  # of an input; the networks of some shapes have weights of the same shapes

    def __init__(self, inputs: Array, scale: str, side: int = 0) -> None:
        super().__init__()
        self._image, self._coloured, self._side = inputs.ndim >= 3, inputs.ndim == 4, side
        mean, std = np.zeros(inputs.shape[3:]), np.ones(inputs.shape[3:])
        if scale == "standardized":
            mean, std = standards(inputs)
        elif scale == "unit":
            std = 255 * std
        elif scale == "centred":
            mean, std = 127.5 + mean, 127.5 * std
        elif scale == "imagenet":  # gray images become three equal colours
            mean, std = 255 * np.array(IMAGENET_MEAN), 255 * np.array(IMAGENET_STD)
        shape = (-1, 1, 1) if self._image else (-1,)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(shape))
        self.register_buffer("shape", torch.tensor(inputs.shape[1:]))

    def forward(self, inputs: Tensor) -> Tensor:
        if self._image:
            inputs = inputs.movedim(-1, 1) if self._coloured else inputs[:, None]
            inputs = inputs.contiguous(memory_format=torch.channels_last)  # convolutions are faster so
        scaled = (inputs.float() - self.mean) / self.std
        if not self._side:
            return scaled
        sides = [round(self._side * side / min(scaled.shape[2:])) for side in scaled.shape[2:]]
        return F.interpolate(scaled, sides, mode="bilinear", antialias=True)


class Classifier(nn.Module):
    """A network and what goes before it.

    Args:
        inputs: training inputs ``(n, *input)``, or some of them.
        classes: names.
    """

    def __init__(self, config: Config, inputs: Array, classes: Sequence[str]) -> None:
        super().__init__()
        self.config, self.classes, self.device = config, tuple(classes), torch.device(config.device)
        images = inputs.ndim > 2
        require(images or not config.resize, "resize", config.resize, f"{config.data} has no images: use 0")
        require(images or config.inputs != "imagenet", "inputs", "imagenet", f"{config.data} has no images")
        self.inputs = Inputs(inputs, config.inputs, config.resize)
        shape = tuple(self.inputs(torch.from_numpy(inputs[:1])).shape[1:])
        flat = isinstance(config, MLPConfig) or len(shape) == 3
        require(flat, "data", config.data, "this network sees images alone, use mlp")
        with seeded_modules(config.seed, "network"):
            self.network = config.network(shape, len(classes))
        # colours last in the filters, too: of images in one colour they alone tell convolutions which way is meant
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.to(self.device)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(batch, classes)`` float32 of inputs ``(batch, *input)``."""
        with autocast(self.device, self.config.dtype):
            return self.network(self.inputs(inputs.to(self.device))).float()

    @torch.inference_mode()
    def probabilities(self, inputs: Array) -> Array:
        """What each class has ``(n, classes)``; the network is judged as it is, without dropout."""
        return self._in_blocks(lambda some: self(some).softmax(1), inputs)

    @torch.inference_mode()
    def features(self, inputs: Array) -> Array:
        """What the last layer of an architecture by name is given ``(n, feature_dim)``, of the network as it is."""
        given: list[Tensor] = []
        _, last = networks.head(self.network)
        hook = last.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0].float().cpu()))
        try:
            self._in_blocks(self, inputs)
        finally:
            hook.remove()
        return torch.cat(given).numpy()

    def _in_blocks(self, function: Callable[[Tensor], Tensor], inputs: Array) -> Array:
        self.eval()
        pixels = self.inputs(torch.from_numpy(inputs[:1]).to(self.device))[0, 0].numel()
        block = min(BLOCK, max(PIXELS // pixels, 1))
        parts = [function(torch.from_numpy(inputs[k : k + block])).cpu() for k in range(0, len(inputs), block)]
        return torch.cat(parts).numpy()


def last_layer(classifier: Classifier) -> Classifier:
    """The last layer of a classifier, itself a classifier: of what it is given ``(n, feature_dim)``."""
    _, last = networks.head(classifier.network)
    common = {one.name: getattr(classifier.config, one.name) for one in dataclasses.fields(Config)}
    config = MLPConfig(**{**common, "inputs": "bytes", "resize": 0})
    alone = Classifier(config, np.zeros((1, last.in_features), np.float32), classifier.classes)
    alone.network = last
    return alone

"""Style transfer by a network that has learnt one style (Johnson, Alahi and Fei-Fei 2016): one pass, not hundreds.

It is trained on what `supervised.vision.style_transfer` makes small. Every map is normalized alone (Ulyanov, Vedaldi
and Lempitsky 2016), and enlarged before it is convolved (Odena, Dumoulin and Olah 2016), which leaves no chequers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data import Split, load
from supervised.epochs import Settings, train_epochs
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.plots import figure
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.vision.classification import balanced
from supervised.vision.style_transfer import Losses, Objective, bytes_of, default_layers, picture, pretrained

Array = NDArray[Any]

JUDGED = 40  # test images that it is judged by
DRAWN = 6


@dataclass(frozen=True)
class Config(Settings):
    """Training of a network that paints in one style."""

    data: str = "cifar10-jpeg"
    """The data set with images in colours: cifar10, cifar10-jpeg, or pictures:PATH."""
    rows: int = 1_000
    """Images to learn from at most, as many of each class; 0: all."""
    epochs: int = 2
    """Passes through what is learnt from."""
    batch_size: int = 4
    """Images of a gradient step."""
    resize: int = 96
    """Pixels of the shorter side that images are brought to."""
    style: str = "immunohistochemistry"
    """The style: a picture's file, or the name of one of scikit-image's photographs."""
    channels: int = 16
    """Maps of the first layer; 32 in the paper."""
    blocks: int = 3
    """Residual blocks in the middle; 5 in the paper."""
    network: str = "mobilenet_v2"
    """The network that compares pictures, a name in `supervised.vision.networks`."""
    weights: str = "weights/mobilenet_v2-b0353104.pth"
    """Its weights: a .pth file, one of `supervised.data.sources`, or a run's folder."""
    content_weight: float = 1.0
    """Weight of the relative error of the content."""
    style_weight: float = 30.0
    """Weight of the relative error of the style."""
    smoothness: float = 10.0
    """Weight of the mean square difference of neighbouring pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("channels", "blocks"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("rows", "content_weight", "style_weight", "smoothness"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(self.resize >= 16, "resize", self.resize, "use 16 pixels or more")


def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution within mirrored edges, and normalization of every map alone."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect")
    return nn.Sequential(convolution, nn.InstanceNorm2d(outputs, affine=True))


class Residual(nn.Module):
    """Two convolutions whose result is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(layer(channels, channels, 3), nn.ReLU(), layer(channels, channels, 3))

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class Painter(nn.Module):
    """From pictures ``(batch, 3, height, width)`` from 0 to 1 to painted ones; any size of 16 pixels or more."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.channels
        with seeded_modules(config.seed, "painter"):
            self.shrink = nn.ModuleList(
                [layer(3, width, 9), layer(width, 2 * width, 3, 2), layer(2 * width, 4 * width, 3, 2)]
            )
            self.middle = nn.Sequential(*(Residual(4 * width) for _ in range(config.blocks)))
            self.enlarge = nn.ModuleList([layer(4 * width, 2 * width, 3), layer(2 * width, width, 3)])
            self.last = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")

    def forward(self, images: Tensor) -> Tensor:
        maps, sizes = images - 0.5, []
        for one in self.shrink:
            maps = F.relu(one(maps))
            sizes.append(maps.shape[2:])
        maps = self.middle(maps)
        for one, size in zip(self.enlarge, (sizes[1], sizes[0]), strict=True):
            maps = F.relu(one(F.interpolate(maps, size)))
        return self.last(maps).sigmoid()


def prepare(images: Array, side: int) -> Tensor:
    """Images ``(batch, height, width, 3)`` uint8 as pictures from 0 to 1, ``side`` pixels the shorter side."""
    found = torch.from_numpy(images).movedim(3, 1).float() / 255
    size = [round(side * one / min(found.shape[2:])) for one in found.shape[2:]]
    return F.interpolate(found, size, mode="bilinear", antialias=True).clamp(0, 1)


def objective(config: Config) -> Objective:
    """What pictures are compared by; raises `UserError` as `pretrained` and `picture`."""
    network, weights = (
        pretrained(config.network, config.weights),
        Losses(config.content_weight, config.style_weight, config.smoothness),
    )
    return Objective(network, default_layers(config.network), weights, picture(config.style, config.resize))


def _coloured(config: Config, part: Split, name: str) -> Split:
    require(part.inputs.ndim == 4, "data", name, "give images in colours, such as cifar10-jpeg")
    return part


def train(config: Config, run: Run | None = None) -> Painter:
    """Train a painter; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data, a style or weights that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    run = run or Run.off()
    set_threads(config.threads)
    data = _coloured(config, load(config.data).train, config.data)
    data = balanced(data, config.rows, config.seed) if config.rows else data
    goal, painter = objective(config), Painter(config)
    optimizer = torch.optim.Adam(painter.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        rows = generators(config.seed, name)[name].permutation(len(data.labels))
        sums: dict[str, float] = {}
        for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
            images = prepare(data.inputs[batch], config.resize)
            losses = goal.parts(painter(images), goal.content(images))
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            for key, one in losses.items():
                sums[key] = sums.get(key, 0.0) + one.item() * len(batch) / len(rows)
        return sums

    train_epochs(config, run, {"painter": painter, "optimizer": optimizer}, learn)
    return painter


@torch.inference_mode()
def judgement(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How near a trained painter comes to its style, and to what it paints; see `Model`."""
    part = _coloured(config, load(name).test, name)
    chosen = balanced(part, JUDGED, 0)
    goal, painter = objective(config), Painter(config)
    painter.load_state_dict(state["painter"])
    images = prepare(chosen.inputs, config.resize)
    painted = torch.cat([painter(image[None]) for image in images])
    sums = {"content_loss": 0.0, "style_loss": 0.0, "style_loss_before": 0.0}
    for before, after in zip(images, painted, strict=True):
        content = goal.content(before[None])
        found = goal.parts(after[None], content)
        parts = found["content_loss"], found["style_loss"], goal.parts(before[None], content)["style_loss"]
        for key, one in zip(sums, parts, strict=True):
            sums[key] += one.item() / len(images)

    def draw(folder: Path) -> Iterator[Path]:
        with figure(folder / "painted.png", (130 * DRAWN, 290)) as drawing:
            for axes, image in zip(
                drawing.subplots(2, DRAWN, squeeze=False).ravel(),
                bytes_of(torch.cat([images[:DRAWN], painted[:DRAWN]])),
                strict=True,
            ):
                axes.imshow(image)
                axes.set_axis_off()
        yield folder / "painted.png"

    return Judgement(f"{name}, {len(images)} test examples", sums, {"examples": len(images)}, draw)


PRESETS = {"default": Config(), "paper": Config(rows=0, channels=32, blocks=5)}
ALGORITHMS = {
    "fast-style": Model(
        *(Config, PRESETS, train, Painter, "epochs", lambda config: config.epochs),
        measures=dict.fromkeys(("content_loss", "style_loss", "style_loss_before"), ".4f"),
        judge=judgement,
    )
}

"""Semantic segmentation: the class of every pixel (book, chapter 5).

The loss is the mean over pixels of the cross-entropy -log softmax(logits)[class]. What is learnt from are scenes with
exact labels (`supervised.data.scenes`). `segment` is for whoever sees through a trained network; agents do so by
`supervised.perception`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.scenes import Segmented, load_segmentation
from supervised.epochs import Settings, train_epochs
from supervised.judgement import Judgement, Model
from supervised.training.confusion import confusion_matrix, draw_confusion
from supervised.training.errors import UserError, require
from supervised.training.plots import figure
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.vision.classifier import Inputs
from supervised.vision.networks.segmentation import FCN, PixelClassifier, UNet, WindowClassifier

Array = NDArray[Any]

BLOCK = 16  # images told at once
SHOWN = 3  # scenes in a picture of what was told, and the worst
COLORS = ("#7fb069", "#6c757d", "#d1495b", "#f2c14e", "#22223b", "#8ecae6", "#9d4edd", "#ff8fab")  # of classes, in turn
TITLES = ("image", "true", "told", "told over image", "differs")  # of a scene's pictures


@dataclass(frozen=True)
class Config(Settings):
    """A segmentation network's training."""

    data: str = "scenes:runs/road"
    """Scenes that tools.make_dataset has made: scenes:FOLDER."""
    epochs: int = 9
    """Passes through what is learnt from."""
    batch_size: int = 6
    """Images of a gradient step."""
    learning_rate: float = 3e-3
    """Step size at the start."""
    weight_decay: float = 0.0
    """How much a step pulls weights towards 0."""
    width: int = 8
    """Channels of the first layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "use 0 or more")
        require(self.width >= 1, "width", self.width, "use at least 1")

    def network(self, classes: int) -> nn.Module:
        """The network that tells so many classes."""
        raise NotImplementedError

    def examples(self, images: Array, masks: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """What a step learns from, of some images ``(n, height, width, 3)`` and masks ``(n, height, width)``."""
        return images, masks


@dataclass(frozen=True)
class PixelConfig(Config):
    """Every pixel by its own colour."""

    width: int = 32
    """Units of the two hidden layers."""

    def network(self, classes: int) -> nn.Module:
        """See `Config`."""
        return PixelClassifier(3, classes, self.width)


@dataclass(frozen=True)
class WindowConfig(Config):
    """A sliding window."""

    side: int = 17
    """Of the window, px; odd."""
    windows: int = 100
    """Learnt from in every image of a step, at random places."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.side >= 11 and self.side % 2 == 1, "side", self.side, "use an odd number from 11 on")
        require(self.windows >= 1, "windows", self.windows, "use at least 1")

    def network(self, classes: int) -> nn.Module:
        """See `Config`."""
        return WindowClassifier(3, classes, self.width, self.side)

    def examples(self, images: Array, masks: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Windows ``(n windows, side, side, 3)``, and the class of the pixel in the middle ``(n windows, 1, 1)``."""
        every = sliding_window_view(extended(images, self.side // 2), (self.side, self.side), axis=(1, 2))
        image = np.repeat(np.arange(len(images)), self.windows)
        row, column = (rng.integers(size, size=len(image)) for size in masks.shape[1:])
        windows = every[image, row, column].transpose(0, 2, 3, 1)
        return np.ascontiguousarray(windows), masks[image, row, column][:, None, None]


@dataclass(frozen=True)
class FCNConfig(Config):
    """Encoder and decoder."""

    depth: int = 3
    """How often the size is halved."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.depth <= 6, "depth", self.depth, "use 1 to 6")

    def network(self, classes: int) -> nn.Module:
        """See `Config`."""
        return FCN(3, classes, self.width, self.depth)


@dataclass(frozen=True)
class UNetConfig(FCNConfig):
    """Encoder and decoder, with shortcuts between them."""

    def network(self, classes: int) -> nn.Module:
        """See `Config`."""
        return UNet(3, classes, self.width, self.depth)


class Segmenter(nn.Module):
    """A network and what goes before it.

    Args:
        classes: names.
        images: training images ``(n, height, width, 3)``; None: their statistics come with the weights.
    """

    def __init__(self, config: Config, classes: Sequence[str], images: Array | None = None) -> None:
        super().__init__()
        self.config, self.classes, self.device = config, tuple(classes), torch.device(config.device)
        self.inputs = Inputs(np.zeros((1, 1, 1, 3), np.uint8) if images is None else images, "standardized")
        with seeded_modules(config.seed, "network"):
            self.network = config.network(len(classes))
        self.to(self.device)

    @property
    def margin(self) -> int:
        """Pixels that the network needs on every side more than it tells."""
        return int(self.network.margin)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(batch, classes, height, width)`` float32 of uint8 ``(batch, height, width, 3)`` with `margin`."""
        with autocast(self.device, self.config.dtype):
            return self.network(self.inputs(images.to(self.device))).float()

    def get_extra_state(self) -> list[str]:
        """The classes, which are saved with the weights."""
        return list(self.classes)

    def set_extra_state(self, state: list[str]) -> None:
        """Refuse weights of other classes."""
        if tuple(state) != self.classes:
            raise UserError(f"classes {self.classes}: the network has learnt {tuple(state)}; use scenes like its own")


@torch.inference_mode()
def segment(segmenter: Segmenter, images: Array) -> Array:
    """The most probable class of every pixel ``(n, height, width)`` uint8 of images ``(n, height, width, 3)`` uint8.

    Raises:
        UserError: images of another shape or dtype.
    """
    shape = f"{images.dtype} {images.shape}"
    require(images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] == 3, "images", shape,
            "give uint8 (n, height, width, 3)")  # fmt: skip
    segmenter.eval()
    told = np.empty(images.shape[:3], np.uint8)
    for first in range(0, len(images), BLOCK):
        some = extended(images[first : first + BLOCK], segmenter.margin)
        told[first : first + BLOCK] = segmenter(torch.from_numpy(some)).argmax(1).cpu().numpy()
    return told


def extended(images: Array, margin: int) -> Array:
    """Images ``(n, height, width, 3)`` with so many pixels more on every side, like the nearest."""
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), "edge") if margin else images


class ClassMap(nn.Module):
    """A trained network as `supervised.perception` gives it: images in, the class of every pixel out, as its gray.

    The classes' grays lie from 0 to 255, as far apart as they can: what acts on a map sees it as any gray image.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> Tensor:
        """Grays ``(n, height, width)`` uint8 of images, see `segment`."""
        classes = segment(self.segmenter, images.cpu().numpy())
        return torch.from_numpy(classes * np.uint8(255 // max(len(self.segmenter.classes) - 1, 1)))


def perceive(config: Config, state: Mapping[str, Any]) -> ClassMap:
    """A trained network, for whoever acts on what it tells; see `Model`."""
    saved = state["segmenter"]
    segmenter = Segmenter(config, saved["_extra_state"])
    segmenter.load_state_dict(saved)
    return ClassMap(segmenter)


def train(config: Config, run: Run | None = None) -> Segmenter:
    """Train a segmentation network; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    run = run or Run.off()
    set_threads(config.threads)
    data = load_segmentation(config.data)
    segmenter = Segmenter(config, data.classes, data.train.images)
    weights = segmenter.network.parameters()
    optimizer = torch.optim.AdamW(weights, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"segmenter": segmenter, "optimizer": optimizer}
    train_epochs(config, run, parts, lambda epoch: learn(segmenter, optimizer, data.train, epoch))
    return segmenter


def learn(segmenter: Segmenter, optimizer: torch.optim.Optimizer, data: Segmented, epoch: int) -> dict[str, float]:
    """Pass once through the data; returns mean loss and figures on the way."""
    config, name = segmenter.config, f"epoch {epoch}"
    rng = generators(config.seed, name)[name]
    rows = rng.permutation(len(data.images))
    n = len(segmenter.classes)
    matrix, total = np.zeros((n, n), np.int64), 0.0
    segmenter.train()
    for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
        images, masks = config.examples(data.images[batch], data.masks[batch], rng)
        labels = torch.from_numpy(masks.astype(np.int64))
        logits = segmenter(torch.from_numpy(images))
        loss = F.cross_entropy(logits, labels.to(segmenter.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        matrix += confusion_matrix(labels.numpy().ravel(), logits.argmax(1).cpu().numpy().ravel(), n)
    return {"loss": total / len(rows), **measures(matrix)}


def intersection_over_union(matrix: Array) -> Array:
    """Of every class ``(n,)``, of counts ``(n, n)`` of pixels, true class down; NaN where there is nothing of it."""
    both = np.diag(matrix)
    either = matrix.sum(0) + matrix.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)  # |A and B| / |A or B|


def measures(matrix: Array) -> dict[str, float]:
    """Mean and least IoU of the classes that occur, and the share of pixels told right, of counts ``(n, n)``."""
    iou = intersection_over_union(matrix)
    return {
        "mean_iou": float(np.nanmean(iou)),
        "least_iou": float(np.nanmin(iou)),
        "pixel_accuracy": float(np.trace(matrix) / matrix.sum()),
    }


def judgement(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well a trained network tells the test scenes; see `Model`."""
    data = load_segmentation(name)
    segmenter = Segmenter(config, data.classes)
    segmenter.load_state_dict(state["segmenter"])
    test, classes = data.test, data.classes
    told = segment(segmenter, test.images)
    matrix = confusion_matrix(test.masks.ravel().astype(np.int64), told.ravel(), len(classes))
    iou = {
        one: None if np.isnan(share) else float(share)
        for one, share in zip(classes, intersection_over_union(matrix), strict=True)
    }

    def draw(folder: Path) -> Iterator[Path]:
        draw_scenes(test, told, classes, folder / "scenes.png")
        yield folder / "scenes.png"
        draw_confusion(matrix, classes, folder / "confusion.png", f"{name}: pixels")
        yield folder / "confusion.png"

    details = {"iou": iou, "scenes": len(told), "confusion": matrix.tolist()}
    return Judgement(f"{name}, {len(told):,} test scenes", measures(matrix), details, draw)


def overlay(images: Array, colours: Array) -> Array:
    """Colours ``(..., height, width, 3)`` half transparent over images of the same shape, uint8."""
    return ((images.astype(np.uint16) + colours) // 2).astype(np.uint8)


def draw_scenes(test: Segmented, told: Array, classes: Sequence[str], path: Path) -> None:
    """Draw some scenes, and last the one told worst.

    Side by side: the image, what is there, what was told, the same half transparent over the image, and where it errs.

    Raises:
        UserError: it cannot be written.
    """
    wrong = (test.masks != told).sum((1, 2))
    worst = int(wrong.argmax())
    others = np.delete(np.arange(len(told)), worst)
    rows = [*others[np.linspace(0, len(others) - 1, min(SHOWN, len(others))).astype(int)], worst]
    palette = np.array([[int(COLORS[k % len(COLORS)][i : i + 2], 16) for i in (1, 3, 5)] for k in range(len(classes))])
    with figure(path, (len(TITLES) * 170, 165 * len(rows) + 70)) as drawing:
        grid = drawing.subplots(len(rows), len(TITLES), squeeze=False)
        for places, row in zip(grid, rows, strict=True):
            difference = np.where(test.masks[row] != told[row], 0, 255).astype(np.uint8)
            image, true, said = test.images[row], palette[test.masks[row]], palette[told[row]]
            shown = image, true, said, overlay(image, said), difference
            for place, picture in zip(places, shown, strict=True):
                place.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                place.set_xticks([])
                place.set_yticks([])
                place.grid(False)
            places[-1].set_xlabel(f"{wrong[row]} of {told[row].size:,} px", fontsize="x-small")
        grid[-1, 0].set_ylabel("told worst", fontsize="small")
        for place, title in zip(grid[0], TITLES, strict=True):
            place.set_title(title, loc="left", fontsize="small")
        marks = [drawing.axes[0].scatter([], [], c=COLORS[k % len(COLORS)], marker="s") for k in range(len(classes))]
        drawing.legend(marks, classes, loc="outside lower left", ncols=len(classes))


UNET_PRESETS = {
    "default": UNetConfig(),
    # a narrow one for whoever drives by it, on tracks in their own colours
    "perception": UNetConfig(data="scenes:runs/tracks", width=4, depth=2, epochs=4),
}
_MODELS: list[tuple[str, type[Config], Mapping[str, Config]]] = [
    ("pixel-classifier", PixelConfig, {"default": PixelConfig()}),
    ("sliding-window", WindowConfig, {"default": WindowConfig()}),
    ("fcn", FCNConfig, {"default": FCNConfig()}),
    ("unet", UNetConfig, UNET_PRESETS),
]
ALGORITHMS = {
    name: Model(
        *(kind, presets, train, Segmenter, "epochs", lambda config: config.epochs),
        measures={"mean_iou": ".2%", "least_iou": ".2%", "pixel_accuracy": ".2%"},
        judge=judgement,
        perceive=perceive,
    )
    for name, kind, presets in _MODELS
}

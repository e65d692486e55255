"""What detectors have in common: what they learn from, how they learn, and how they tell what is in an image."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.data.mnist_scenes import MNIST_SCENES, load_mnist_scenes
from supervised.data.scenes import SCENES, Boxed, Scenes, load_detection
from supervised.epochs import Settings, train_epochs
from supervised.training.errors import UserError, require
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.boxes import nms

Array = NDArray[Any]

BLOCK = 50  # images told at once


@dataclass(frozen=True)
class Config(Settings):
    """A detector's training."""

    data: str = MNIST_SCENES
    """Scenes: mnist-scenes, or those that tools.make_dataset has made, scenes:FOLDER."""
    epochs: int = 30
    """Passes through what is learnt from."""
    batch_size: int = 16
    """Scenes of a gradient step."""
    learning_rate: float = 3e-3
    """Step size at the start."""
    flip: bool = False
    """Mirrors half of the scenes, left to right."""
    weight_decay: float = 1e-4
    """How much a step pulls weights towards 0."""
    least_score: float = 0.01
    """Boxes that are told with a lower score are none."""
    overlap: float = 0.5
    """Intersection over union from which the surer one of two boxes of a class stands for both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "use 0 or more")
        for name in ("least_score", "overlap"):
            require(0 < getattr(self, name) < 1, name, getattr(self, name), "use a number between 0 and 1")


class Detector(nn.Module, ABC):
    """A network that finds objects, and how it learns to.

    Args:
        classes: names.
    """

    def __init__(self, config: Config, classes: Sequence[str]) -> None:
        super().__init__()
        self.config, self.classes, self.device = config, tuple(classes), torch.device(config.device)

    @abstractmethod
    def losses(self, images: Tensor, there: Sequence[Objects]) -> dict[str, Tensor]:
        """Losses by name, whose sum is to fall, of images ``(batch, 3, height, width)`` and what is in each."""

    @abstractmethod
    def candidates(self, images: Tensor) -> list[Objects]:
        """What may be in each of images ``(batch, 3, height, width)``, before suppression."""

    def inputs(self, images: Array) -> Tensor:
        """Images ``(batch, height, width, 3)`` uint8 as the network sees them: colours in front, from 0 to 1."""
        pixels = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)  # channels-last: convolutions are faster
        return pixels.float() / 255

    @torch.inference_mode()
    def detect(self, images: Array) -> list[Objects]:
        """What is in each of images ``(n, height, width, 3)`` uint8, the surest first."""
        self.eval()
        found: list[Objects] = []
        for first in range(0, len(images), BLOCK):
            with autocast(self.device, self.config.dtype):
                told = self.candidates(self.inputs(images[first : first + BLOCK]))
            found += [best(one, self.config.least_score, self.config.overlap) for one in told]
        return found


AnyDetector = TypeVar("AnyDetector", bound=Detector)


def best(told: Objects, least_score: float, overlap: float) -> Objects:
    """What is left of candidates: those that are sure enough and not suppressed."""
    told = told.take(told.scores >= least_score)
    told = Objects(told.boxes.float().cpu(), told.labels.cpu(), told.scores.float().cpu())
    return told.take(nms(told.boxes, told.scores, told.labels, overlap))


def load(name: str) -> Scenes[Boxed]:
    """Scenes to detect objects in, by the name of the data; raises as `load_detection`."""
    if name == MNIST_SCENES:
        return load_mnist_scenes()
    require(name.startswith(SCENES), "data", name, f"detectors learn from {MNIST_SCENES} or {SCENES}FOLDER")
    return load_detection(name)


def objects(scenes: Boxed) -> list[Objects]:
    """What is in each image of scenes."""
    places = np.searchsorted(scenes.scene, np.arange(1, len(scenes.images)))
    boxes, labels = (np.split(one, places) for one in (scenes.boxes, scenes.labels))
    return [
        Objects(torch.from_numpy(box), torch.from_numpy(label), torch.ones(len(label)))
        for box, label in zip(boxes, labels, strict=True)
    ]


def mirrored(image: Array, there: Objects) -> tuple[Array, Objects]:
    """An image ``(height, width, 3)`` with left as right, and its boxes."""
    x_min, y_min, x_max, y_max = there.boxes.unbind(1)
    width = image.shape[1]
    return image[:, ::-1], there._replace(boxes=torch.stack([width - x_max, y_min, width - x_min, y_max], 1))


def train_detector(config: Config, run: Run | None, make: Callable[[Scenes[Boxed]], AnyDetector]) -> AnyDetector:
    """Train what ``make`` gives, untrained, for scenes; with a `Run` also log and save checkpoints.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    run = run or Run.off()
    set_threads(config.threads)
    scenes = load(config.data)
    if not len(scenes.train.boxes):
        raise UserError(f"{config.data}: no scene to learn from has a box")
    with seeded_modules(config.seed, "network"):
        detector = make(scenes).to(torch.device(config.device))
    optimizer = torch.optim.AdamW(
        detector.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    there = objects(scenes.train)
    parts: Mapping[str, Any] = {"detector": detector, "optimizer": optimizer}
    train_epochs(config, run, parts, lambda epoch: learn(detector, optimizer, scenes.train.images, there, epoch))
    return detector


def learn(
    detector: Detector, optimizer: torch.optim.Optimizer, images: Array, there: Sequence[Objects], epoch: int
) -> dict[str, float]:
    """Pass once through scenes; returns the mean losses of an image, and their sum."""
    config, name = detector.config, f"epoch {epoch}"
    rng = generators(config.seed, name)[name]
    rows = rng.permutation(len(images))
    total: dict[str, float] = {}
    detector.train()
    with seeded_modules(config.seed, name):  # what a detector draws
        for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
            pairs = [(images[row], there[row]) for row in batch]
            if config.flip:
                pairs = [
                    mirrored(*pair) if flipped else pair
                    for pair, flipped in zip(pairs, rng.random(len(pairs)) < 0.5, strict=True)
                ]
            inputs = detector.inputs(np.stack([image for image, _ in pairs]))
            with autocast(detector.device, config.dtype):
                losses = detector.losses(inputs, [Objects(*(x.to(detector.device) for x in one)) for _, one in pairs])
            loss = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for key, value in {"loss": loss, **losses}.items():
                total[key] = total.get(key, 0.0) + value.item() * len(batch)
    return {key: value / len(rows) for key, value in total.items()}

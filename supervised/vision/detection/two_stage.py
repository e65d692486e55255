"""A small two-stage detector after Faster R-CNN (book, chapter 5; Ren et al. 2015).

A region proposal network scans maps of the image and says of every anchor whether an object is there, whatever it is,
and where exactly. What it proposes is cut from the same maps by RoI align; a second head tells what it is, background
among the choices, and corrects its box once more. Both stages learn together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.scenes import Boxed, Scenes
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators
from supervised.vision.detection.anchors import NEGATIVE, assign, cluster_shapes, grid
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.boxes import clip, decode, encode, nms
from supervised.vision.detection.detector import Config, Detector, load, train_detector
from supervised.vision.detection.judging import MEASURES, judgement
from supervised.vision.detection.roi_align import roi_align

STRIDE = 4  # of the maps
SPREAD = (0.1, 0.1, 0.2, 0.2)  # of the second head's offsets, which are divided by it (Girshick's code)


@dataclass(frozen=True)
class TwoStageConfig(Config):
    """A two-stage detector."""

    filters: tuple[int, ...] = (16, 32, 48, 48)
    """Of the convolutions that make the maps; the first two halve the size."""
    anchors: int = 6
    """Shapes of anchors about a cell."""
    hidden: int = 128
    """Units of the second head."""
    positive: float = 0.6
    """Overlap with an object from which an anchor is to propose it."""
    negative: float = 0.3
    """Overlap with all objects below which an anchor is to propose none."""
    sampled_anchors: int = 64
    """Anchors of an image that the first stage learns from in a step, at most half of them positive."""
    sampled_proposals: int = 32
    """Proposals of an image that the second stage learns from in a step, at most half of them objects."""
    proposals: int = 32
    """Proposals of an image that the second stage sees, after suppression."""
    before_suppression: int = 200
    """Likeliest boxes of an image before suppression."""
    cells: int = 5
    """Of a proposal's features, in each direction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.filters) >= 2, "filters", self.filters, "name at least 2")
        require(all(one >= 1 for one in self.filters), "filters", self.filters, "use at least 1 everywhere")
        for name in ("anchors", "hidden", "proposals", "before_suppression", "cells"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("sampled_anchors", "sampled_proposals"):
            require(getattr(self, name) >= 2, name, getattr(self, name), "use at least 2")
        require(0 < self.positive <= 1, "positive", self.positive, "use a number above 0, up to 1")
        require(0 < self.negative <= self.positive, "negative", self.negative, "use a number above 0, up to positive")


class TwoStage(Detector):
    """The network, its proposals and its losses.

    Args:
        shapes: of anchors ``(k, 2)``, px.
    """

    shapes: Tensor
    spread: Tensor

    def __init__(self, config: TwoStageConfig, classes: Sequence[str], shapes: Tensor) -> None:
        super().__init__(config, classes)
        self.settings = config
        self.register_buffer("shapes", shapes)
        self.register_buffer("spread", torch.tensor(SPREAD))
        layers: list[nn.Module] = []
        for k, (inputs, outputs) in enumerate(pairwise((3, *config.filters))):
            convolution = nn.Conv2d(inputs, outputs, 3, 2 if k < 2 else 1, 1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        self.maps, width = nn.Sequential(*layers), config.filters[-1]
        self.scan = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.is_object, self.first_offsets = nn.Conv2d(width, len(shapes), 1), nn.Conv2d(width, 4 * len(shapes), 1)
        self.second = nn.Sequential(nn.Flatten(), nn.Linear(width * config.cells**2, config.hidden), nn.ReLU())
        self.tell, self.second_offsets = nn.Linear(config.hidden, len(classes) + 1), nn.Linear(config.hidden, 4)

    def first_stage(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maps ``(batch, filters, rows, columns)``, anchors ``(n, 4)``, and of each anchor the logit that an object is
        there ``(batch, n)`` and the offsets of its box ``(batch, n, 4)``."""
        maps = self.maps(images)
        seen = self.scan(maps)
        anchors = grid(self.shapes, maps.shape[2], maps.shape[3], STRIDE)
        logits = self.is_object(seen).permute(0, 2, 3, 1).flatten(1)
        offsets = self.first_offsets(seen).permute(0, 2, 3, 1).reshape(len(images), -1, 4)
        return maps, anchors, logits.float(), offsets.float()

    @torch.no_grad()
    def propose(self, anchors: Tensor, logits: Tensor, offsets: Tensor, height: int, width: int) -> list[Tensor]:
        """The likeliest boxes of each image ``(at most proposals, 4)``, none overlapping another much."""
        found = []
        for scores, moves in zip(logits, offsets, strict=True):
            likeliest = scores.topk(min(self.settings.before_suppression, len(scores))).indices
            boxes = clip(decode(moves[likeliest], anchors[likeliest]), height, width)
            some = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1  # px
            boxes, scores = boxes[some], scores[likeliest][some]
            kept = nms(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device), 0.7)
            found.append(boxes[kept[: self.settings.proposals]])
        return found

    def second_stage(self, maps: Tensor, proposals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits ``(n, classes + 1)``, the last for background, and offsets ``(n, 4)`` of all proposals in turn."""
        regions = roi_align(maps, proposals, STRIDE, self.settings.cells)
        features = self.second(regions)
        return self.tell(features).float(), self.second_offsets(features).float()

    def losses(self, images: Tensor, there: Sequence[Objects]) -> dict[str, Tensor]:
        """See `Detector`: of both stages, cross-entropy of what is there, and smooth L1 of the offsets of objects."""
        height, width = images.shape[2:]
        maps, anchors, logits, offsets = self.first_stage(images)
        first = [self._first_losses(anchors, *one) for one in zip(logits, offsets, there, strict=True)]
        proposals = self.propose(anchors, logits, offsets, height, width)
        regions, found = zip(*map(self._sample, proposals, there), strict=True)
        said, moves = self.second_stage(maps, regions)
        labels = torch.cat(
            [torch.where(k >= 0, _of(one.labels, k), len(self.classes)) for one, k in zip(there, found, strict=True)]
        )
        boxes = torch.cat([_of(one.boxes, k) for one, k in zip(there, found, strict=True)])
        objects = labels < len(self.classes)
        wanted = encode(boxes[objects], torch.cat(regions)[objects]) / self.spread
        return {
            "proposal_loss": torch.stack([one for one, _ in first]).mean(),
            "proposal_box_loss": torch.stack([one for _, one in first]).mean(),
            "class_loss": F.cross_entropy(said, labels, reduction="sum") / max(len(labels), 1),
            "box_loss": F.smooth_l1_loss(moves[objects], wanted, reduction="sum") / max(len(labels), 1),
        }

    def _first_losses(self, anchors: Tensor, logits: Tensor, offsets: Tensor, there: Objects) -> tuple[Tensor, Tensor]:
        """Of one image's anchors, some of them at random."""
        found = assign(anchors, there.boxes, self.settings.negative, self.settings.positive)
        chosen = _balanced(found, self.settings.sampled_anchors)
        is_object = found[chosen] >= 0
        mine = chosen[is_object]
        wanted = encode(there.boxes[found[mine]], anchors[mine])
        told = F.binary_cross_entropy_with_logits(logits[chosen], is_object.float())
        return told, F.smooth_l1_loss(offsets[mine], wanted, reduction="sum", beta=1 / 9) / len(chosen)

    def _sample(self, proposals: Tensor, there: Objects) -> tuple[Tensor, Tensor]:
        """Boxes that the second stage learns from, the objects' own among them, and which object each is or -1."""
        boxes = torch.cat([there.boxes, proposals])  # the objects' own: there is something to tell from the start on
        found = assign(boxes, there.boxes, 0.5, 0.5)
        chosen = _balanced(found, self.settings.sampled_proposals)
        return boxes[chosen], found[chosen]

    def candidates(self, images: Tensor) -> list[Objects]:
        """See `Detector`: every proposal as its likeliest class."""
        height, width = images.shape[2:]
        maps, anchors, likely, offsets = self.first_stage(images)
        proposals = self.propose(anchors, likely, offsets, height, width)
        logits, moves = self.second_stage(maps, proposals)
        counts = [len(one) for one in proposals]
        boxes = clip(decode(moves * self.spread, torch.cat(proposals)), height, width)
        scores, labels = logits.softmax(1)[:, :-1].max(1)
        parts = (one.split(counts) for one in (boxes, labels, scores))
        return [Objects(*one) for one in zip(*parts, strict=True)]


def _of(values: Tensor, found: Tensor) -> Tensor:
    """Values ``(m, ...)`` of numbers ``(n,)``, zeros for negative ones."""
    padded = torch.cat([values, values.new_zeros((1, *values.shape[1:]))])
    return padded[torch.where(found >= 0, found, len(values))]


def _balanced(found: Tensor, most: int) -> Tensor:
    """Numbers of at most so many, at random: up to half of them positive, and negative ones."""
    positive = (found >= 0).nonzero()[:, 0]
    negative = (found == NEGATIVE).nonzero()[:, 0]
    positive = positive[torch.randperm(len(positive))[: most // 2]]
    negative = negative[torch.randperm(len(negative))[: most - len(positive)]]
    return torch.cat([positive, negative])


def train(config: TwoStageConfig, run: Run | None = None) -> TwoStage:
    """Train a detector; see `train_detector`."""

    def make(scenes: Scenes[Boxed]) -> TwoStage:
        boxes = scenes.train.boxes
        rng = generators(config.seed, "anchors")["anchors"]
        shapes = cluster_shapes(boxes[:, 2:] - boxes[:, :2], config.anchors, rng)
        return TwoStage(config, scenes.classes, torch.from_numpy(shapes).float())

    return train_detector(config, run, make)


def restored(config: TwoStageConfig, state: Mapping[str, Any], scenes: Scenes[Boxed]) -> TwoStage:
    """A trained detector of a checkpoint's state, for scenes like those that it has learnt from."""
    detector = TwoStage(config, scenes.classes, torch.ones(config.anchors, 2))
    detector.load_state_dict(state["detector"])
    return detector.eval()


def judge(config: TwoStageConfig, state: Mapping[str, Any], name: str) -> Judgement:
    """See `Model`."""
    scenes = load(name)
    return judgement(restored(config, state, scenes), scenes, name)


PRESETS = {
    "default": TwoStageConfig(epochs=10),
    "car-racing": TwoStageConfig(data="scenes:runs/boxes", epochs=8, flip=True),
}
ALGORITHMS = {
    "two-stage": Model(
        *(TwoStageConfig, PRESETS, train, TwoStage, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
        detector=restored,
    )
}

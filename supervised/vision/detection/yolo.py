"""A small YOLOv3, trained from nothing (book, chapter 5; Redmon and Farhadi 2018): one network, one look.

The network is `yolov3.yolov3_cfg` with fewer and narrower layers, its three heads at strides 4, 8 and 16; the anchors
are the shapes that the boxes to learn from are near to. The book has a cell's box begin at its upper left corner, which
is wrong: (b_x, b_y) is its centre; and a class's confidence is objectness times the class's probability, not
objectness alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.scenes import Boxed, Scenes
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators
from supervised.vision.detection.anchors import cluster_shapes, shape_iou
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.boxes import iou, to_centres, to_corners
from supervised.vision.detection.darknet import Darknet, Head
from supervised.vision.detection.darknet_cfg import parse
from supervised.vision.detection.detector import Config, Detector, load, train_detector
from supervised.vision.detection.judging import MEASURES, judgement
from supervised.vision.detection.yolov3 import ANCHORS, Shape, yolov3_cfg

RARE = -4.0  # logit of objectness at the start, as few boxes are objects


@dataclass(frozen=True)
class YOLOConfig(Config):
    """A small YOLOv3."""

    filters: tuple[int, ...] = (8, 16, 32, 64, 128)
    """Of the first convolution, and of the stages at strides 2, 4, 8 and 16."""
    blocks: tuple[int, ...] = (0, 1, 1, 1)
    """Residual blocks in each of those stages."""
    pairs: int = 1
    """Pairs of convolutions before a head."""
    ignored: float = 0.5
    """Overlap with some object from which a box that is not to find it need not deny that there is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.filters) >= 4, "filters", self.filters, "name at least 4, as there are three heads")
        require(all(one >= 2 for one in self.filters), "filters", self.filters, "use at least 2 everywhere")
        fits = len(self.blocks) == len(self.filters) - 1 and all(one >= 0 for one in self.blocks)
        require(fits, "blocks", self.blocks, f"name {len(self.filters) - 1}, one for each but the first of filters")
        require(self.pairs >= 1, "pairs", self.pairs, "use at least 1")
        require(0 < self.ignored <= 1, "ignored", self.ignored, "use a number from 0 to 1")


class TinyYOLO(Detector):
    """The network and its loss.

    Args:
        size: height and width of images, px.
        anchors: nine, from small to large.
    """

    def __init__(
        self, config: YOLOConfig, size: tuple[int, int], classes: Sequence[str], anchors: Sequence[Shape] = ANCHORS
    ) -> None:
        super().__init__(config, classes)
        text = yolov3_cfg(size[0], len(classes), anchors, config.filters, config.blocks, config.pairs)
        self.network = Darknet(parse(text))
        with torch.no_grad():
            for before, layer in zip(self.network.layers, list(self.network.layers)[1:], strict=False):
                if isinstance(layer, Head):
                    nn.init.constant_(before[0].bias.view(len(layer.anchors), -1)[:, 4], RARE)  # type: ignore[index]

    def losses(self, images: Tensor, there: Sequence[Objects]) -> dict[str, Tensor]:
        """See `Detector`."""
        logits = [one.float() for one in self.network(images)]
        assert isinstance(self.config, YOLOConfig)
        return yolo_losses(self.network.heads, logits, there, images.shape[2], images.shape[3], self.config.ignored)

    def candidates(self, images: Tensor) -> list[Objects]:
        """See `Detector`."""
        return candidates(self.network, images)


def candidates(network: Darknet, images: Tensor) -> list[Objects]:
    """What each anchor of each cell says of each of images ``(batch, channels, height, width)``: its likeliest class.

    The score is P(object) P(class | object).
    """
    height, width = images.shape[2:]
    boxes, scores = [], []
    for head, logits in zip(network.heads, network(images), strict=True):
        logits = logits.float()
        boxes.append(to_corners(head.boxes(logits, height, width)).flatten(1, 3))
        scores.append((logits[..., 4:5].sigmoid() * logits[..., 5:].sigmoid()).flatten(1, 3))
    best, labels = torch.cat(scores, 1).max(2)
    return [Objects(*one) for one in zip(torch.cat(boxes, 1), labels, best, strict=True)]


def yolo_losses(
    heads: Sequence[Head], logits: Sequence[Tensor], there: Sequence[Objects], height: int, width: int, ignored: float
) -> dict[str, Tensor]:
    """What `Head.forward` says, against what is there: sums over an image's boxes, and the mean of images.

    An object is to be found by the one anchor of all heads whose shape is nearest to its own, in the cell where its
    centre is. That anchor's box is compared by t, as in section 2.1, its objectness is to be 1 and its classes are told
    by independent logistic regression. Objectness elsewhere is to be 0, but for boxes that overlap an object well.

    Args:
        logits: of each head ``(batch, rows, columns, k, 5 + classes)``.
        height, width: of images, px.
        ignored: overlap from which a box counts as overlapping well.
    """
    boxes = to_centres(torch.cat([one.boxes for one in there]))
    labels = torch.cat([one.labels for one in there])
    image = torch.arange(len(there), device=labels.device).repeat_interleave(
        torch.tensor([len(one.labels) for one in there], device=labels.device)
    )
    shapes = torch.cat([head.anchors for head in heads]).cpu().numpy()
    nearest = torch.from_numpy(shape_iou(boxes[:, 2:].cpu().numpy(), shapes).argmax(1)).to(labels.device)
    objectness = location = classification = boxes.new_zeros(())
    first = 0
    for head, said in zip(heads, logits, strict=True):
        rows, columns, k = said.shape[1:4]
        mine = (nearest >= first) & (nearest < first + k)
        stride = boxes.new_tensor([width / columns, height / rows])
        place, anchor = boxes[mine, :2] / stride, nearest[mine] - first
        cell = place.long().clamp(max=max(rows, columns) - 1)
        where = image[mine], cell[:, 1].clamp(max=rows - 1), cell[:, 0].clamp(max=columns - 1), anchor
        found = said[where]  # (mine, 5 + classes)
        # b_x = (sigmoid(t_x) + c_x) stride: the gradient by t_x is sigmoid(t_x) - (b_x / stride - c_x), as Darknet's
        target = place - torch.stack([where[2], where[1]], 1)
        off = F.binary_cross_entropy_with_logits(found[:, :2], target, reduction="none").sum(1)
        # b_w = p_w exp(t_w): squared error of t_w = log(b_w / p_w)
        off = off + 0.5 * (found[:, 2:4] - (boxes[mine, 2:] / head.anchors[anchor]).log()).square().sum(1)
        # up to twice as much for small boxes, as Darknet does
        location = location + ((2 - boxes[mine, 2:].prod(1) / (height * width)) * off).sum()
        wanted = F.one_hot(labels[mine], head.classes).float()
        classification = classification + F.binary_cross_entropy_with_logits(found[:, 5:], wanted, reduction="sum")
        counted = ~_overlapping(head, said.detach(), there, height, width, ignored)
        is_object = torch.zeros_like(said[..., 4])
        is_object[where], counted[where] = 1.0, True
        objectness = objectness + F.binary_cross_entropy_with_logits(
            said[..., 4], is_object, counted.float(), reduction="sum"
        )
        first += k
    n = len(there)
    return {"objectness_loss": objectness / n, "location_loss": location / n, "class_loss": classification / n}


def _overlapping(
    head: Head, said: Tensor, there: Sequence[Objects], height: int, width: int, threshold: float
) -> Tensor:
    """Which boxes overlap some object of their image by more than that ``(batch, rows, columns, k)``."""
    told = to_corners(head.boxes(said, height, width))
    overlap = [
        iou(one.flatten(0, 2), true.boxes).amax(1).view(one.shape[:3])
        if len(true.boxes)
        else one.new_zeros(one.shape[:3])
        for one, true in zip(told, there, strict=True)
    ]
    return torch.stack(overlap) > threshold


def train(config: YOLOConfig, run: Run | None = None) -> TinyYOLO:
    """Train a detector; see `train_detector`."""

    def make(scenes: Scenes[Boxed]) -> TinyYOLO:
        boxes = scenes.train.boxes
        rng = generators(config.seed, "anchors")["anchors"]
        shapes = cluster_shapes(boxes[:, 2:] - boxes[:, :2], len(ANCHORS), rng)
        return TinyYOLO(config, scenes.train.images.shape[1:3], scenes.classes, shapes.tolist())

    return train_detector(config, run, make)


def restored(config: YOLOConfig, state: Mapping[str, Any], scenes: Scenes[Boxed]) -> TinyYOLO:
    """A trained detector of a checkpoint's state, for scenes like those that it has learnt from."""
    detector = TinyYOLO(config, scenes.test.images.shape[1:3], scenes.classes)
    detector.load_state_dict(state["detector"])
    return detector.eval()


def judge(config: YOLOConfig, state: Mapping[str, Any], name: str) -> Judgement:
    """See `Model`."""
    scenes = load(name)
    return judgement(restored(config, state, scenes), scenes, name)


PRESETS = {
    "default": YOLOConfig(epochs=16),
    # a car looks the same from both sides, a digit does not
    "car-racing": YOLOConfig(data="scenes:runs/boxes", epochs=14, flip=True),
}
ALGORITHMS = {
    "tiny-yolo": Model(
        *(YOLOConfig, PRESETS, train, TinyYOLO, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
        detector=restored,
    )
}

"""Average precision: how well the boxes that a detector told are those that are there (Everingham et al. 2010)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from supervised.vision.detection.boxes import iou

Array = NDArray[Any]


class Objects(NamedTuple):
    """What is in an image, or was told of it."""

    boxes: Tensor  # (n, 4), px
    labels: Tensor  # (n,) int64
    scores: Tensor  # (n,) how sure, from 0 to 1; 1 of what is there

    def take(self, which: Tensor) -> "Objects":
        """Some of them."""
        return Objects(self.boxes[which], self.labels[which], self.scores[which])

    def of(self, label: int) -> "Objects":
        """Those of a class."""
        return self.take(self.labels == label)


def average_precision(told: Sequence[Objects], true: Sequence[Objects], label: int, threshold: float = 0.5) -> float:
    """Area under the curve of precision over recall for one class, all points of it (PASCAL VOC from 2010 on).

    From the surest on, what was told is right when the box of its class that it overlaps most does so by ``threshold``
    or more and has not been told before. Precision at a recall is the best at that recall or a higher one. NaN where
    the class has no box at all.

    Args:
        told, true: one an image.
    """
    scores, right, count = [], [], 0
    for said, there in zip(told, true, strict=True):
        said, there = said.of(label), there.of(label)
        count += len(there.boxes)
        scores.append(said.scores.numpy())
        right.append(matches(said, there, threshold))
    if not count:
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hits = np.concatenate(right)[order].cumsum()
    recall, precision = hits / count, hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * best).sum())


def matches(said: Objects, there: Objects, threshold: float = 0.5) -> Array:
    """Which of the boxes said of a class in an image are right ``(n,)``; of several of the same object, the surest."""
    right = np.zeros(len(said.boxes), bool)
    if not len(said.boxes) or not len(there.boxes):
        return right
    overlap, found = (one.numpy() for one in iou(said.boxes, there.boxes).max(1))
    taken = set()
    for k in np.argsort(-said.scores.numpy(), kind="stable"):
        if overlap[k] >= threshold and found[k] not in taken:
            taken.add(found[k])
            right[k] = True
    return right


def average_precisions(told: Sequence[Objects], true: Sequence[Objects], classes: int) -> Array:
    """`average_precision` of every class ``(classes,)`` at an overlap of 0.5; their mean is mAP@0.5."""
    return np.array([average_precision(told, true, label) for label in range(classes)])

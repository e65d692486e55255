"""Anchors: boxes of given shapes about every cell of a grid, from which those of objects are told as small offsets."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supervised.training.errors import require
from supervised.vision.detection.boxes import iou, to_corners

Array = NDArray[Any]

NEGATIVE, IGNORED = -1, -2  # what `assign` says of an anchor that matches no box


def shape_iou(left: Array, right: Array) -> Array:
    """Intersection over union ``(n, m)`` of sizes ``(n, 2)`` and ``(m, 2)``, as boxes about the same centre."""
    intersection = np.minimum(left[:, None], right).prod(-1)
    return intersection / (left.prod(-1)[:, None] + right.prod(-1) - intersection)


def cluster_shapes(sizes: Array, k: int, rng: np.random.Generator, tries: int = 5, most_steps: int = 100) -> Array:
    """Shapes ``(k, 2)`` that sizes ``(n, 2)`` of boxes are near to, by area.

    k-means where the distance of a size from a shape is 1 - IoU, so that large boxes do not count for more than small
    ones (Redmon and Farhadi 2017, section 2). A shape is the mean of the sizes that are nearest to it.

    Raises:
        UserError: fewer different sizes than shapes.
    """
    different = np.unique(sizes, axis=0)
    require(len(different) >= k, "anchors", k, f"the boxes have {len(different)} different sizes, use at most as many")
    best, found = -1.0, different[:k]
    for _ in range(tries):
        shapes = different[rng.choice(len(different), k, replace=False)].astype(np.float64)
        labels = np.full(len(sizes), -1)
        for _ in range(most_steps):
            before, labels = labels, shape_iou(sizes, shapes).argmax(1)
            if (labels == before).all():
                break
            for one in np.unique(labels):
                shapes[one] = sizes[labels == one].mean(0)
        if (mean := shape_iou(sizes, shapes).max(1).mean()) > best:
            best, found = mean, shapes
    return found[found.prod(1).argsort(kind="stable")]


def grid(shapes: Tensor, rows: int, columns: int, stride: int) -> Tensor:
    """Anchors ``(rows columns k, 4)`` by corners: shapes ``(k, 2)``, px, about the middle of each cell of a grid."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = (torch.stack([x, y], -1).to(shapes) + 0.5) * stride
    every = (rows, columns, len(shapes), 2)
    pairs = torch.cat([centres[:, :, None].expand(every), shapes.expand(every)], -1)
    return to_corners(pairs.reshape(-1, 4))


def assign(anchors: Tensor, boxes: Tensor, low: float, high: float) -> Tensor:
    """Which box each anchor is to find ``(n,)`` int64: a box's number, `NEGATIVE` for none, or `IGNORED`.

    Positive are anchors that overlap a box by ``high`` or more, and those that overlap a box most of all, so that
    every box is found by some anchor; negative are others below ``low`` (Ren et al. 2015, section 3.1.2).

    Args:
        anchors, boxes: ``(n, 4)`` and ``(m, 4)``; m may be 0.
    """
    if not len(boxes):
        return torch.full((len(anchors),), NEGATIVE, device=anchors.device)
    overlap = iou(anchors, boxes)
    best, found = overlap.max(1)
    assigned = torch.where(best < low, NEGATIVE, torch.where(best < high, IGNORED, found))
    anchor, box = ((overlap == overlap.max(0).values) & (overlap > 0)).nonzero(as_tuple=True)
    assigned[anchor] = box
    return assigned

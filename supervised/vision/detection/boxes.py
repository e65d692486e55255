"""Boxes: how much they overlap, which of many to keep, and how a network says them relative to anchors.

Boxes are tensors ``(n, 4)`` of (x_min, y_min, x_max, y_max), px, unless they are said to be of centres and sizes:
(x, y, width, height). x goes right, y down; a pixel reaches from its number to the next one.
"""

import math

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)  # of a decoded logarithm of sizes (Detectron): a wild one stays finite


def to_centres(boxes: Tensor) -> Tensor:
    """Centres and sizes ``(..., 4)`` of boxes by corners ``(..., 4)``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def to_corners(boxes: Tensor) -> Tensor:
    """Corners ``(..., 4)`` of boxes by centres and sizes ``(..., 4)``."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def iou(left: Tensor, right: Tensor) -> Tensor:
    """Intersection over union ``(n, m)`` of boxes ``(n, 4)`` and ``(m, 4)``; 0 where both are empty."""
    low = torch.maximum(left[:, None, :2], right[None, :, :2])
    high = torch.minimum(left[:, None, 2:], right[None, :, 2:])
    intersection = (high - low).clamp(min=0).prod(-1)
    union = _areas(left)[:, None] + _areas(right) - intersection
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within each class: which boxes to keep, best score first.

    A box goes where a kept one of its class and a higher score overlaps it by ``threshold`` or more. Rather than box
    by box, all are judged at once by those kept so far, until nothing changes: the best box of all is right from the
    first round on, and each round more of those after it (Zheng et al. 2020, Cluster-NMS). Equal scores: the first.

    Args:
        boxes, scores, labels: ``(n, 4)``, ``(n,)``, ``(n,)``.

    Returns:
        Their numbers ``(kept,)`` int64.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = boxes[order], labels[order]
    suppresses = ((iou(boxes, boxes) >= threshold) & (labels[:, None] == labels)).triu(1)
    kept = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    while True:
        now = ~(suppresses & kept[:, None]).any(0)
        if torch.equal(now, kept):
            return order[kept]
        kept = now


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """What a network should say ``(n, 4)`` for boxes ``(n, 4)`` from anchors ``(n, 4)`` (Girshick et al. 2014).

    t_x = (x - x_a) / w_a, t_y = (y - y_a) / h_a, t_w = log(w / w_a), t_h = log(h / h_a), of centres and sizes.
    """
    box, anchor = to_centres(boxes), to_centres(anchors)
    return torch.cat([(box[..., :2] - anchor[..., :2]) / anchor[..., 2:], (box[..., 2:] / anchor[..., 2:]).log()], -1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """The boxes that offsets from anchors say: `encode` backwards."""
    anchor = to_centres(anchors)
    centre = anchor[..., :2] + offsets[..., :2] * anchor[..., 2:]
    size = anchor[..., 2:] * offsets[..., 2:].clamp(max=LARGEST).exp()
    return to_corners(torch.cat([centre, size], -1))


def clip(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes within the image."""
    return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))

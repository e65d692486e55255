"""Anchors: their shapes, their places, and which object each is to find."""

import numpy as np
import pytest
import torch

from supervised.training.errors import UserError
from supervised.vision.detection.anchors import IGNORED, NEGATIVE, assign, cluster_shapes, grid, shape_iou
from supervised.vision.detection.boxes import iou


def test_overlaps_of_shapes_are_those_of_boxes_about_one_centre() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.uniform(1, 20, (5, 2)), rng.uniform(1, 20, (7, 2))
    as_boxes = (torch.from_numpy(np.concatenate([-sizes / 2, sizes / 2], 1)) for sizes in (left, right))
    np.testing.assert_allclose(shape_iou(left, right), iou(*as_boxes))


def test_shapes_of_boxes_are_found() -> None:
    rng = np.random.default_rng(1)
    true = np.array([[5.0, 5], [4, 16], [30, 10], [40, 40]])  # by area
    sizes = np.concatenate([shape * rng.uniform(0.9, 1.1, (50, 2)) for shape in true])
    np.testing.assert_allclose(cluster_shapes(sizes, 4, rng), true, rtol=0.05)
    assert shape_iou(sizes, cluster_shapes(sizes, 8, rng)).max(1).mean() > shape_iou(sizes, true).max(1).mean()
    with pytest.raises(UserError, match="anchors=3: the boxes have 2 different sizes"):
        cluster_shapes(np.array([[1, 2], [1, 2], [2, 2], [2, 2]]), 3, rng)


def test_a_grid_by_hand() -> None:
    anchors = grid(torch.tensor([[4.0, 2], [8, 8]]), rows=2, columns=3, stride=4)
    assert anchors.shape == (12, 4)
    assert anchors[0].tolist() == [0, 1, 4, 3] and anchors[1].tolist() == [-2, -2, 6, 6]  # about (2, 2)
    assert anchors[2].tolist() == [4, 1, 8, 3], "along a row first"
    assert anchors[-1].tolist() == [6, 2, 14, 10]  # about (10, 6)


def test_who_is_to_find_what() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [100, 100, 110, 110]])
    anchors = torch.tensor(
        [
            [0.0, 0, 10, 8],  # 0.8 of the first
            [0, 0, 10, 5],  # 0.5
            [0, 0, 10, 2],  # 0.2
            [100, 100, 110, 102],  # 0.2 of the second, and none is nearer to it
            [50, 50, 60, 60],
        ]
    )
    assert assign(anchors, boxes, 0.3, 0.7).tolist() == [0, IGNORED, NEGATIVE, 1, NEGATIVE]
    assert assign(anchors, boxes[:0], 0.3, 0.7).tolist() == [NEGATIVE] * 5
    far = torch.tensor([[500.0, 500, 510, 510]])
    assert assign(anchors, far, 0.3, 0.7).tolist() == [NEGATIVE] * 5, "an overlap of nothing is none's best"

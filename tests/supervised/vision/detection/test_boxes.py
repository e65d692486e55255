"""Boxes: overlaps computed by hand, suppression as by the greedy rule, and offsets from anchors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from torch import Tensor

from supervised.vision.detection.boxes import clip, decode, encode, iou, nms, to_centres, to_corners

corners = hypothesis_numpy.arrays("float64", (8, 4), elements=st.integers(0, 12))


def boxes_of(values: object) -> Tensor:
    low_high = torch.as_tensor(values, dtype=torch.float64).view(-1, 2, 2)
    return torch.cat([low_high.amin(1), low_high.amax(1)], 1)


def test_overlaps_by_hand() -> None:
    left = torch.tensor([[0.0, 0, 4, 2], [0, 0, 1, 1], [3, 3, 3, 3]])
    right = torch.tensor([[2.0, 0, 6, 2], [0, 0, 4, 2], [4, 0, 5, 2], [3, 3, 3, 3]])
    wanted = [[1 / 3, 1, 0, 0], [0, 1 / 8, 0, 0], [0, 0, 0, 0]]  # 4 of 12; all; they touch; nothing has no area
    torch.testing.assert_close(iou(left, right), torch.tensor(wanted))
    assert iou(left, torch.zeros(0, 4)).shape == (3, 0)


@settings(max_examples=40, deadline=None)
@given(corners)
def test_overlap_is_symmetric_and_a_share(values: object) -> None:
    boxes = boxes_of(values)
    found = iou(boxes, boxes)
    assert torch.equal(found, found.T) and found.min() >= 0 and found.max() <= 1
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    assert torch.equal(found.diagonal(), (areas > 0).double())
    moved = boxes * 3 + 7  # shares do not change with unit and origin
    torch.testing.assert_close(iou(moved, moved), found)


def greedy(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    """The book's rule, box by box."""
    left, kept = scores.argsort(descending=True, stable=True).tolist(), []
    while left:
        first, *left = left
        kept.append(first)
        overlap = iou(boxes[first, None], boxes)[0]
        left = [k for k in left if labels[k] != labels[first] or overlap[k] < threshold]
    return kept


@given(
    corners,
    hypothesis_numpy.arrays("int64", 8, elements=st.integers(0, 5)),
    hypothesis_numpy.arrays("int64", 8, elements=st.integers(0, 1)),
    st.sampled_from([0.1, 0.3, 0.5]),
)
@settings(max_examples=40, deadline=None)
def test_suppression_is_the_greedy_rule(values: object, scores: object, labels: object, threshold: float) -> None:
    boxes, scores, labels = boxes_of(values), torch.as_tensor(scores), torch.as_tensor(labels)
    assert nms(boxes, scores, labels, threshold).tolist() == greedy(boxes, scores, labels, threshold)


def test_suppression_by_hand() -> None:
    # each overlaps the next one by 3/5: the second goes, and so the third stays, though the second overlaps it
    boxes = torch.tensor([[0.0, 0, 4, 1], [1, 0, 5, 1], [2, 0, 6, 1]])
    scores, same = torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    assert nms(boxes, scores, same, 0.5).tolist() == [0, 2]
    assert nms(boxes, scores.flip(0), same, 0.5).tolist() == [2, 0]
    assert nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [0, 1, 2], "another class suppresses nothing"
    assert nms(boxes, scores, same, 0.61).tolist() == [0, 1, 2]
    twice = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]])  # of overlap 1/2: the book discards from the threshold on
    assert nms(twice, scores[:2], same[:2], 0.5).tolist() == [0]
    assert nms(boxes[:0], scores[:0], same[:0], 0.5).tolist() == []


def test_offsets_by_hand() -> None:
    anchor, box = torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([[5.0, 10, 25, 20]])
    # centres (5, 10) and (15, 15), sizes (10, 20) and (20, 10)
    torch.testing.assert_close(encode(box, anchor), torch.tensor([[1.0, 0.25, math.log(2), math.log(0.5)]]))
    assert decode(torch.tensor([[0.0, 0, 1e9, 0]]), anchor).isfinite().all()


@settings(max_examples=40, deadline=None)
@given(corners, corners)
def test_offsets_lead_back_to_the_box(values: object, others: object) -> None:
    grow = torch.tensor([0, 0, 1, 1])  # none is empty
    boxes, anchors = boxes_of(values) + grow, boxes_of(others) + grow
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes)
    assert torch.equal(to_corners(to_centres(boxes)), boxes)


def test_boxes_within_an_image() -> None:
    assert clip(torch.tensor([[-3.0, 2, 9, 40]]), height=20, width=8).tolist() == [[0, 2, 8, 20]]


@pytest.mark.parametrize("n", [1, 300])
def test_many_boxes_in_the_same_place(n: int) -> None:
    boxes = torch.tensor([[0.0, 0, 5, 5]]).expand(n, 4)
    assert nms(boxes, torch.arange(n), torch.zeros(n), 0.5).tolist() == [n - 1]

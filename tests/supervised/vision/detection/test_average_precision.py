"""Average precision against computations by hand and an independent one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from supervised.vision.detection.average_precision import Objects, average_precision, average_precisions, matches


def objects(*rows: tuple[float, int, float]) -> Objects:
    """Boxes of 10 x 10 at some x, with label and score."""
    boxes = torch.tensor([[x, 0.0, x + 10, 10] for x, _, _ in rows]).reshape(-1, 4)
    labels = torch.tensor([label for _, label, _ in rows], dtype=torch.int64)
    return Objects(boxes, labels, torch.tensor([score for _, _, score in rows]))


def test_by_hand() -> None:
    """Two images with three boxes of the class; precision is 1, 1/2, 2/3, 2/4 and recall 1/3, 1/3, 2/3, 2/3."""
    there = [objects((0, 0, 1), (50, 0, 1)), objects((0, 0, 1))]
    told = [objects((1, 0, 0.9), (80, 0, 0.8)), objects((2, 0, 0.7), (0, 1, 0.95), (0.5, 0, 0.6))]
    # of the second image's two the surer one is right; the other one has found the same box
    assert average_precision(told, there, 0) == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert np.isnan(average_precision(told, there, 1)), "there is none of it"
    np.testing.assert_allclose(average_precisions(told, there, 2), [5 / 9, np.nan])


def test_precision_is_the_best_at_a_recall_or_a_higher_one() -> None:
    there = [objects((0, 0, 1), (20, 0, 1))]
    told = [objects((40, 0, 0.9), (0, 0, 0.8), (20, 0, 0.7))]
    # precision 0, 1/2, 2/3 at recall 0, 1/2, 1: 2/3 all the way
    assert average_precision(told, there, 0) == pytest.approx(2 / 3)


def test_how_boxes_must_overlap() -> None:
    there = [objects((0, 0, 1))]
    for x, right in ((0, True), (3.33, True), (3.34, False)):  # (10 - x) / (10 + x) >= 1/2 until x = 10/3
        assert average_precision([objects((x, 0, 0.9))], there, 0) == right
    assert average_precision([objects((0, 1, 0.9))], there, 0) == 0, "a right place and a wrong class"
    assert average_precision([objects()], there, 0) == 0, "nothing is told"
    # what was told in another image counts there
    assert average_precision([objects(), objects((0, 0, 0.9))], [*there, objects()], 0) == 0


def test_of_several_the_surest_has_found_it() -> None:
    told = objects((2, 0, 0.5), (1, 0, 0.9), (30, 0, 0.7))
    assert matches(told, objects((0, 0, 1))).tolist() == [False, True, False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), min_size=1, max_size=12, unique_by=lambda one: one[1]))
def test_against_an_independent_computation(rows: list[tuple[bool, int]]) -> None:
    """scikit-learn's average precision is the same sum without the best precision to the right: at most as much."""
    metrics = pytest.importorskip("sklearn.metrics", reason="needs the learn extra")
    if not any(right for right, _ in rows):
        return
    there = [objects((0, 0, 1)) if right else objects() for right, _ in rows]
    told = [objects((0, 0, score / 1000)) for _, score in rows]
    found = average_precision(told, there, 0)
    truth, scores = np.array([right for right, _ in rows]), np.array([score for _, score in rows])
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    best = np.maximum.accumulate(precision)  # from the highest recall on
    assert found == pytest.approx(float((-np.diff(recall) * best[:-1]).sum()), abs=1e-6)
    assert found >= metrics.average_precision_score(truth, scores) - 1e-6

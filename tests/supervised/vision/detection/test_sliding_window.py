"""Sliding windows: places and scales of what a classifier sees, and what is refused."""

from typing import Any

import numpy as np
import pytest

from supervised.training.errors import UserError
from supervised.vision.detection.sliding_window import pyramid, sliding_window


def brightness(windows: Any) -> Any:
    """A classifier: probabilities of (dark, bright in the middle, bright all over)."""
    n, height, width = windows.shape[:3]
    assert windows.dtype == np.uint8
    middle = windows[:, height // 4 : -(height // 4), width // 4 : -(width // 4)].reshape(n, -1).mean(1) / 255
    every = windows.reshape(n, -1).mean(1) / 255
    return np.stack([1 - middle, middle - every, every], 1)


def test_a_pyramid_ends_where_a_window_no_longer_fits() -> None:
    image = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)
    levels = list(pyramid(image, (10, 12), 2))
    assert [level.shape for level in levels] == [(40, 60), (20, 30), (10, 15)]
    assert levels[0] is image
    np.testing.assert_allclose(levels[1][3, 4], image[6:8, 8:10].mean(), atol=1)  # each pixel is the mean of four


@pytest.mark.parametrize("colours", [False, True])
def test_what_is_found_where_it_is(colours: bool) -> None:
    """A square of the window's size, and one of twice its size, which only a smaller image shows as a whole."""
    image = np.zeros((64, 64), np.uint8)
    image[4:12, 40:48] = 255
    image[32:48, 16:32] = 255
    shown = np.repeat(image[..., None], 3, 2) if colours else image
    found = sliding_window(brightness, shown, (8, 8), stride=4, shrink=2, background=0, least_score=0.99, overlap=0.1)
    assert found.labels.tolist() == [2] * len(found.labels) and found.scores.min() > 0.99
    boxes = found.boxes.tolist()
    assert [40, 4, 48, 12] in boxes
    inside = [box for box in boxes if box != [40, 4, 48, 12]]
    assert all(16 <= x0 and 32 <= y0 and x1 <= 32 and y1 <= 48 for x0, y0, x1, y1 in inside), "the larger one's"
    large = sliding_window(brightness, shown[::2, ::2], (8, 8), 4, 2, background=0, least_score=0.99)
    assert large.boxes.tolist() == [[8, 16, 16, 24]]


def test_boxes_are_of_the_image_whatever_the_scale() -> None:
    image = np.full((30, 44), 255, np.uint8)
    found = sliding_window(brightness, image, (10, 10), 10, 1.5, least_score=0.5, overlap=0.99)
    corners = found.boxes.numpy()
    assert corners.min() >= 0 and (corners[:, 2:] <= (44, 30)).all()
    heights = np.unique((corners[:, 3] - corners[:, 1]).round(4))
    np.testing.assert_allclose(heights, [10, 15, 30 / 13 * 10], rtol=1e-4)  # levels of 30, 20 and 13 pixels
    assert set(found.labels.tolist()) == {2}, "no class is background unless one is named"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"window": (40, 8)}, "image='30 x 30': a window has 40 x 8 pixels"),
        ({"stride": 0}, "stride=0: use at least 1"),
        ({"shrink": 1.0}, "shrink=1.0: use a number above 1"),
        ({"image": np.zeros((30, 30))}, "image='float64 \\(30, 30\\)': give pixels"),
    ],
)
def test_refused(keywords: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"image": np.zeros((30, 30), np.uint8), "window": (8, 8), **keywords}
    with pytest.raises(UserError, match=message):
        sliding_window(brightness, **given)

"""Detection by a classifier of whole images: it is slid over an image, at several scales (book, chapter 5).

Works with whatever tells probabilities of images, and is slow: one image makes hundreds of windows. All windows have
the proportions of what the classifier sees, so that boxes fit objects of other proportions badly.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from supervised.training.errors import require
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.detector import best

Array = NDArray[Any]


def pyramid(image: Array, window: tuple[int, int], shrink: float) -> Iterator[Array]:
    """An image ``(height, width)`` or ``(height, width, 3)`` uint8 as it is and ever smaller, while a window fits.

    Args:
        window: height and width, px.
        shrink: how many times smaller each image is than the one before.
    """
    height, width = image.shape[:2]
    scale = 1.0
    while round(height / scale) >= window[0] and round(width / scale) >= window[1]:
        size = round(width / scale), round(height / scale)
        yield image if scale == 1 else np.array(Image.fromarray(image).resize(size, Image.Resampling.BOX))
        scale *= shrink


def sliding_window(
    probabilities: Callable[[Array], Array],
    image: Array,
    window: tuple[int, int],
    stride: int = 4,
    shrink: float = 1.25,
    background: int | None = None,
    least_score: float = 0.6,
    overlap: float = 0.5,
) -> Objects:
    """What a classifier sees in the windows of an image ``(height, width)`` or ``(height, width, 3)`` uint8.

    Args:
        probabilities: ``(n, *window) -> (n, classes)``, such as `supervised.vision.classifier.Classifier`'s.
        window: height and width of what it sees, px.
        stride: from a window to the next one, px of the image at its scale.
        shrink: of an image of the pyramid to the next one.
        background: the class that is no object, where there is one.
        least_score: probability from which a window's class is an object.
        overlap: intersection over union from which the surer one of two boxes of a class stands for both.

    Raises:
        UserError: an image that is smaller than the window, or numbers out of range.
    """
    require(image.dtype == np.uint8 and image.ndim in (2, 3), "image", f"{image.dtype} {image.shape}", "give pixels")
    height, width = image.shape[:2]
    large_enough = height >= window[0] and width >= window[1]
    require(large_enough, "image", f"{height} x {width}", f"a window has {window[0]} x {window[1]} pixels")
    require(stride >= 1, "stride", stride, "use at least 1")
    require(shrink > 1, "shrink", shrink, "use a number above 1")
    boxes, told = [], []
    for level in pyramid(image, window, shrink):
        every = sliding_window_view(level, window, axis=(0, 1))[::stride, ::stride]  # (rows, columns, [3,] *window)
        every = every if image.ndim == 2 else np.moveaxis(every, 2, -1)
        rows, columns = every.shape[:2]
        told.append(probabilities(np.ascontiguousarray(every.reshape(rows * columns, *every.shape[2:]))))
        y, x = (stride * one.ravel() for one in np.mgrid[:rows, :columns])
        scale = np.array([width / level.shape[1], height / level.shape[0]] * 2)
        boxes.append(np.stack([x, y, x + window[1], y + window[0]], 1) * scale)
    found = np.concatenate(told)
    labels, scores = found.argmax(1), found.max(1)
    candidates = Objects(*(torch.from_numpy(one) for one in (np.concatenate(boxes), labels, scores)))
    if background is not None:
        candidates = candidates.take(candidates.labels != background)
    return best(candidates, least_score, overlap)

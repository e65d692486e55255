"""Convolutions with kernels that are known beforehand (book, chapter 4): blur, and Sobel's edges."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.convolution import Convolution
from supervised.training.errors import needs_extra, require

Array = NDArray[Any]

SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])  # brighter to the right
SOBEL_Y = SOBEL_X.T  # brighter below


def gaussian(size: int, deviation: float) -> Array:
    """A bell of ``size`` x ``size`` pixels that sums to 1: each pixel becomes a mean of its neighbours."""
    require(size % 2 == 1, "size", size, "use an odd number")
    x = np.arange(size) - size // 2
    bell = np.exp(-(x**2) / (2 * deviation**2))
    return np.outer(bell, bell) / bell.sum() ** 2


def apply(image: Array, kernel: Array) -> Array:
    """A gray image ``(height, width)`` under a kernel, as large as it was: beyond its edges is black."""
    padding = tuple(size // 2 for size in kernel.shape)
    return Convolution(kernel[None, None].astype(np.float64), padding=padding).forward(image[None, None])[0, 0]


def edges(image: Array) -> Array:
    """How steep a gray image is at each pixel: sqrt(g_x^2 + g_y^2)."""
    return np.hypot(apply(image, SOBEL_X), apply(image, SOBEL_Y))


def astronaut() -> Array:
    """The portrait that the book filters, of Eileen Collins ``(512, 512)``, gray from 0 to 1 (NASA, public domain)."""
    with needs_extra("learn"):
        from skimage import color, data
    return color.rgb2gray(data.astronaut())

"""Images between data sets, where they are bytes, and generative models, where they are numbers from 0 to 1."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supervised.data import DataSet, Split, load
from supervised.data.scenes import SCENES, load_segmentation
from supervised.training.errors import require
from supervised.training.plots import figure

Array = NDArray[Any]

BLOCK = 500  # images at once where nothing is learnt


def load_images(name: str) -> DataSet:
    """A data set by name, see `supervised.data.load`, or the images of ``scenes:PATH``, all of one class.

    Raises:
        UserError, CorruptFile: as the readers do.
    """
    if not name.startswith(SCENES):
        return load(name)
    scenes = load_segmentation(name)
    train, test = (Split(part.images, np.zeros(len(part.images), np.int64)) for part in (scenes.train, scenes.test))
    return DataSet(train, test, ("scene",))


def image_shape(inputs: Array, data: str) -> tuple[int, int, int]:
    """(colours, height, width) of a data set's images ``(n, height, width)`` or ``(n, height, width, colours)``."""
    require(inputs.ndim > 2, "data", data, "it holds no images, and this model makes some")
    return (inputs.shape[3] if inputs.ndim == 4 else 1), inputs.shape[1], inputs.shape[2]


def unit(images: Tensor) -> Tensor:
    """Bytes as in data sets to ``(batch, colours, height, width)`` float32 from 0 to 1."""
    return (images.movedim(-1, 1) if images.ndim == 4 else images[:, None]).float() / 255


def blocks(inputs: Array, size: int = BLOCK) -> Iterator[Tensor]:
    """Images of a data set, some at a time, as `unit` gives them."""
    return (unit(torch.from_numpy(inputs[first : first + size])) for first in range(0, len(inputs), size))


def draw_grid(
    images: Tensor, columns: int, path: Path, title: str, extent: tuple[float, float, float, float] | None = None
) -> None:
    """Draw images ``(n, colours, height, width)`` from 0 to 1 in rows of ``columns``.

    Args:
        extent: what the picture's left, right, bottom and top stand for; None draws no axes.
    """
    pixels = images.detach().float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    rows = math.ceil(len(pixels) / columns)
    whole = np.ones((rows * columns, *pixels.shape[1:]), np.float32)
    whole[: len(pixels)] = pixels
    height, width = pixels.shape[1:3]
    sheet = whole.reshape(rows, columns, height, width, -1).swapaxes(1, 2).reshape(rows * height, columns * width, -1)
    scale = 2 if max(height, width) < 64 else 1
    size = (scale * columns * width + 80, scale * rows * height + 80)
    with figure(path, size) as drawing:
        axes = drawing.subplots()
        axes.set_title(title, loc="left", fontsize="medium")
        axes.grid(False)
        shown = sheet[..., 0] if sheet.shape[2] == 1 else sheet
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)
        if extent is None:
            axes.set_axis_off()

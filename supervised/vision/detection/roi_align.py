"""RoI align: the features of a box, brought to a size, whatever the box's (He et al. 2017, section 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

SAMPLES = 2  # along a cell's side, whose values are averaged


def roi_align(maps: Tensor, boxes: Sequence[Tensor], stride: int, size: int) -> Tensor:
    """Features ``(n, channels, size, size)`` of boxes in maps ``(batch, channels, height, width)``.

    A box is cut into cells, none of them rounded to pixels, and the maps are interpolated bilinearly at four places of
    a cell. The value of a map's pixel is that of its middle; beyond the middles at the edge values go on as they are.
    All this is linear and the same for rows and columns, hence two products of matrices: R map C'.

    Args:
        boxes: of each image ``(its boxes, 4)``, px; n of them in all.
        stride: pixels of the image that a pixel of the maps stands for.
    """
    found = []
    for image, its in zip(maps, boxes, strict=True):
        rows, columns = (
            _shares(its[:, axis] / stride, its[:, axis + 2] / stride, image.shape[2 - axis], size) for axis in (1, 0)
        )
        found.append(torch.einsum("nrh,nchs->ncrs", rows, torch.einsum("chw,nsw->nchs", image, columns)))
    return torch.cat(found)


def _shares(low: Tensor, high: Tensor, length: int, size: int) -> Tensor:
    """How much each pixel of a row of that length has in each cell ``(n, size, length)`` from ``low`` to ``high``."""
    steps = (torch.arange(size * SAMPLES, device=low.device, dtype=low.dtype) + 0.5) / (size * SAMPLES)
    places = (low[:, None] + (high - low)[:, None] * steps - 0.5).clamp(0, length - 1)
    pixels = torch.arange(length, device=low.device)
    hats = (1 - (places[..., None] - pixels).abs()).clamp(min=0)  # (n, steps, length)
    return hats.unflatten(1, (size, SAMPLES)).mean(2)

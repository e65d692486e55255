"""RoI align: values known from what maps hold, and gradients."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from supervised.vision.detection.roi_align import SAMPLES, roi_align

RNG = np.random.default_rng(0)


def test_a_plane_gives_the_middles_of_cells() -> None:
    """Bilinear interpolation is exact for a + b x + c y, and so is the mean over a cell: its value in the middle."""
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    stride = 4
    plane = 1 + 2 * (x + 0.5) * stride + 3 * (y + 0.5) * stride  # of the image's pixels
    boxes = torch.tensor([[8.0, 12, 32, 30], [3, 5, 11, 45]])
    found = roi_align(plane[None, None], [boxes], stride, 2)
    for box, values in zip(boxes, found[:, 0], strict=True):
        width, height = (box[2:] - box[:2]).tolist()
        for row in range(2):
            for column in range(2):
                at = box[0] + (column + 0.5) * width / 2, box[1] + (row + 0.5) * height / 2
                assert values[row, column] == pytest.approx(float(1 + 2 * at[0] + 3 * at[1]), rel=1e-5)


def test_against_scipys_interpolation() -> None:
    maps = torch.from_numpy(RNG.normal(size=(3, 2, 7, 9)))
    low = RNG.uniform(-2, 20, (6, 2))
    boxes = torch.from_numpy(np.concatenate([low, low + RNG.uniform(1, 15, (6, 2))], 1))
    image = [0, 0, 2, 2, 2, 2]
    found = roi_align(maps, boxes.split([2, 0, 4]), 2, 3)
    for k, (x_min, y_min, x_max, y_max) in enumerate(boxes.tolist()):
        steps = (np.arange(3 * SAMPLES) + 0.5) / (3 * SAMPLES)
        y, x = (low + (high - low) * steps for low, high in ((y_min, y_max), (x_min, x_max)))
        places = np.stack(np.meshgrid(y / 2 - 0.5, x / 2 - 0.5, indexing="ij"))
        for channel in range(2):
            values = map_coordinates(maps[image[k], channel].numpy(), places, order=1, mode="nearest")
            wanted = values.reshape(3, SAMPLES, 3, SAMPLES).mean((1, 3))
            np.testing.assert_allclose(found[k, channel].numpy(), wanted, atol=1e-9)


def test_gradients_and_narrow_maps() -> None:
    maps = torch.from_numpy(RNG.normal(size=(1, 1, 3, 4))).requires_grad_()
    boxes = torch.tensor([[1.0, 1, 6, 5]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda one: roi_align(one, [boxes], 2, 2), maps)
    assert roi_align(torch.ones(1, 5, 1, 1), [boxes.float()], 8, 2).eq(1).all()
    assert roi_align(torch.ones(1, 5, 4, 4), [torch.zeros(0, 4)], 8, 2).shape == (0, 5, 2, 2)

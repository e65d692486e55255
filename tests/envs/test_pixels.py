"""Gray pixels against Pillow's."""

import numpy as np
import pytest
from PIL import Image

from envs.pixels import to_gray


def test_every_colour_equals_pillow() -> None:
    levels = np.arange(256, dtype=np.uint8)
    gray = np.empty((256, 256), np.uint8)
    for red in range(256):
        colors = np.stack(np.broadcast_arrays(np.uint8(red), levels[:, None], levels), axis=-1)
        to_gray(np.ascontiguousarray(colors), gray, 1)
        assert np.array_equal(gray, np.asarray(Image.fromarray(colors).convert("L"))), f"red {red}"


@pytest.mark.parametrize("shape", [(1,), (7, 5), (3, 96, 96), (2, 4, 9, 13)])
def test_any_leading_shape(shape: tuple[int, ...]) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    gray = np.empty(shape, np.uint8)
    to_gray(colors, gray, 2)
    expected = np.asarray(Image.fromarray(colors.reshape(1, -1, 3)).convert("L")).reshape(shape)
    assert np.array_equal(gray, expected)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="three of the colours"):
        to_gray(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8), 1)

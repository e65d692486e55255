"""Changes of images whose outcome is known: mirrored, moved, turned and scaled, and what becomes of their tones."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from supervised.data.augmentation import PRESETS, Augmentation, _warp, augment
from supervised.training.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(256, size=(40, 7, 7, 3)).astype(np.uint8)


def changed(images: np.ndarray = IMAGES, seed: int = 0, **settings: Any) -> np.ndarray:
    return augment(images, Augmentation(**settings), np.random.default_rng(seed))


def test_nothing_asked_nothing_done() -> None:
    for settings in (PRESETS["none"], Augmentation(fill="black")):
        np.testing.assert_array_equal(augment(IMAGES, settings, RNG), IMAGES)


@pytest.mark.parametrize(("settings", "axis"), [({"flip": True}, 2), ({"flip_vertical": True}, 1)])
def test_half_of_the_images_are_mirrored(settings: dict[str, bool], axis: int) -> None:
    out, mirrored = changed(**settings), np.flip(IMAGES, axis)
    which = (out == mirrored).all((1, 2, 3))
    assert (which ^ (out == IMAGES).all((1, 2, 3))).all() and 10 < which.sum() < 30


def test_a_crop_moves_by_whole_pixels() -> None:
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)))
    found = set()
    for image, wide in zip(changed(crop=2, fill="black"), padded, strict=True):
        places = [(y, x) for y in range(5) for x in range(5) if (image == wide[y : y + 7, x : x + 7]).all()]
        assert len(places) == 1
        found.update(places)
    assert len(found) > 15


def test_the_edge_is_drawn_out() -> None:
    images = np.broadcast_to(np.arange(0, 70, 10, dtype=np.uint8)[None, None, :, None], (20, 7, 7, 1))
    out = changed(images, crop=3)
    assert (out[:, 0, :, 0] == out[:, 3, :, 0]).all(), "rows are alike, and stay so"
    assert set(np.diff(out[:, 0, :, 0].astype(int)).ravel()) <= {0, 10}


@pytest.mark.parametrize("sharp", [False, True])
@pytest.mark.parametrize("colours", [1, 3])
def test_maps_are_those_of_scipy(colours: int, sharp: bool) -> None:
    """Against `scipy.ndimage.affine_transform`, which counts rows first."""
    images = RNG.integers(256, size=(5, 12, 9, colours)).astype(np.uint8)
    maps = RNG.normal(0, 0.3, (5, 2, 3)) + [[1, 0, 1], [0, 1, -1]]
    out, tones = np.empty_like(images), np.tile(np.float32([1, 0]), (5, 1))
    for black, mode in ((False, "nearest"), (True, "grid-constant")):
        _warp(images, maps.astype(np.float32), tones, black, sharp, out)
        for image, m, mine in zip(images, maps, out, strict=True):
            matrix, offset = m[::-1, :2][:, ::-1], m[::-1, 2]
            for colour in range(colours):
                plane = image[..., colour].astype(np.float64)
                wanted = ndimage.affine_transform(plane, matrix, offset, order=0 if sharp else 1, mode=mode)
                assert np.abs(mine[..., colour] - wanted).max() <= 0.51


def test_turns_zooms_and_shears_are_about_the_centre() -> None:
    dot = np.zeros((64, 9, 9), np.uint8)
    dot[:, 4, 4] = 255
    for settings in ({"rotation": 180.0}, {"zoom": 0.5}, {"shear": 40.0}):
        assert (changed(dot, **settings)[:, 4, 4] == 255).all(), settings
    ring = np.full((64, 9, 9), 9, np.uint8)
    ring[:, 4, 7] = 200
    turned = changed(ring, rotation=180.0)
    radius = np.hypot(*np.meshgrid(np.arange(-4, 5), np.arange(-4, 5)))
    lit = turned.astype(int) - 9
    mean_radius = (lit * radius).sum((1, 2)) / np.maximum(lit.sum((1, 2)), 1)
    assert (abs(mean_radius[lit.sum((1, 2)) > 60] - 3) < 0.5).all()


def test_tones() -> None:
    gray = np.full((50, 4, 4), 100, np.uint8)
    lighter = changed(gray, brightness=0.2)
    assert lighter.min() >= 49 and lighter.max() <= 151 and len(np.unique(lighter)) > 20
    assert (changed(gray, contrast=0.5) == 100).all(), "an even image has no contrast"
    spread = changed(IMAGES, contrast=0.5).std((1, 2, 3)) / IMAGES.std((1, 2, 3))
    assert 0.45 < spread.min() < 0.75 and 1.1 < spread.max() < 1.5
    assert changed(np.array([[[0, 255]]], np.uint8), brightness=1.0).shape == (1, 1, 2)


def test_the_same_seed_gives_the_same_bytes() -> None:
    for settings in PRESETS.values():
        one, two, other = (augment(IMAGES, settings, np.random.default_rng(seed)) for seed in (3, 3, 4))
        assert one.tobytes() == two.tobytes()
        assert settings == PRESETS["none"] or one.tobytes() != other.tobytes()
    assert len({image.tobytes() for image in changed(np.repeat(IMAGES[:1], 20, 0), rotation=90.0)}) == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": -1}, "crop=-1: use 0 or more"),
        ({"zoom": 1.0}, "zoom=1.0: use 0 or more, below 1"),
        ({"shear": 90.0}, "shear=90.0: use less than 90 degrees"),
        ({"fill": "mirror"}, "fill='mirror': use edge or black"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Augmentation(**settings)

"""Scenes of digits: boxes are exact, digits whole and apart, and the same each time."""

import os

import numpy as np
import pytest

from supervised.data import mnist_scenes
from supervised.data.mnist_scenes import INK, LENGTHS, MOST, SIDE, make, scaled
from supervised.data.sets import Split, load

RNG = np.random.default_rng(0)


def digits(n: int) -> Split:
    """Slanted bars in the middle of 28 x 28 pixels; the label is the width."""
    labels = RNG.integers(2, 8, n)
    images = np.zeros((n, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        for row in range(4, 24):
            image[row, 6 + row // 4 : 6 + row // 4 + label] = 255
    return Split(images, labels)


def test_boxes_are_about_the_ink() -> None:
    scenes = make(digits(50), 60, np.random.default_rng(1))
    assert scenes.images.shape == (60, SIDE, SIDE, 3) and scenes.images.dtype == np.uint8
    assert (scenes.images == scenes.images[..., :1]).all()
    assert scenes.boxes.dtype == np.float32 and scenes.labels.dtype == scenes.scene.dtype == np.int64
    counts = np.bincount(scenes.scene, minlength=60)
    assert counts.min() >= 1 and counts.max() == MOST and (np.diff(scenes.scene) >= 0).all()
    clean = 0
    for k, image in enumerate(scenes.images[..., 0]):
        boxes = scenes.boxes[scenes.scene == k].astype(int)
        inside = np.zeros((SIDE, SIDE), int)
        for x0, y0, x1, y1 in boxes:
            inside[y0:y1, x0:x1] += 1
            ink = image[y0:y1, x0:x1] >= INK
            assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any(), "no box is too large"
            assert LENGTHS[0] - 2 <= max(x1 - x0, y1 - y0) <= LENGTHS[1]
        assert inside.max() <= 1, "digits are apart"
        if not (image[inside == 0] > 0).any():  # and nothing is outside of a box
            clean += 1
    assert 15 <= clean <= 45, "half of them have noise"


def test_a_digit_is_scaled_by_its_longer_side() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[10:20, 3:25] = 255  # 10 x 22
    assert scaled(image, 11).shape == (5, 11) and scaled(image, 22).shape == (10, 22)


@pytest.mark.skipif(not os.environ.get("SKIDPAD_DATA"), reason="needs MNIST in SKIDPAD_DATA")
def test_scenes_of_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load("mnist")
    monkeypatch.setattr(mnist_scenes, "load", lambda name: data if name == "mnist" else None)
    monkeypatch.setattr(mnist_scenes, "COUNTS", {"train": 30, "test": 20})
    first, again = mnist_scenes.load_mnist_scenes(), mnist_scenes.load_mnist_scenes()
    for left, right in zip(first.train + first.test, again.train + again.test, strict=True):
        np.testing.assert_array_equal(left, right)
    assert first.classes == tuple("0123456789") and len(first.train.images) == 30 and len(first.test.images) == 20
    alone = make(data.test, 20, mnist_scenes.generators(mnist_scenes.SEED, "test")["test"])
    np.testing.assert_array_equal(first.test.images, alone.images)

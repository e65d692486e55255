"""Scenes of several digits with exact boxes: those of MNIST, scaled and placed on a black or a noisy canvas.

Scenes to learn from have digits that MNIST has for training, those to be judged by digits of its test part; all that is
random has a seed of its own. They are made anew each time, which takes a second.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from supervised.data.scenes import SMOKE_SCENES, Boxed, Scenes
from supervised.data.sets import DIGITS, Split, load
from supervised.training.doors import SMOKE
from supervised.training.seeding import generators

Array = NDArray[Any]

MNIST_SCENES = "mnist-scenes"  # the name of such data
SEED = 0
COUNTS = {"train": 4000, "test": 500}
SIDE = 64  # of a scene, px
MOST = 4  # digits in a scene
LENGTHS = (14, 28)  # of a digit's longer side, px
NOISE = 40.0  # standard deviation of a noisy canvas, levels
INK = 64  # levels from which a pixel is of the digit
TRIES = 20  # to find a digit a place where it overlaps no other


def load_mnist_scenes() -> Scenes[Boxed]:
    """Scenes of 64 x 64 pixels, gray as three equal colours, with up to four digits each; raises as `load`."""
    data, rngs = load("mnist"), generators(SEED, *COUNTS)
    digits = {"train": data.train, "test": data.test}
    train, test = (make(digits[part], SMOKE_SCENES if SMOKE else count, rngs[part]) for part, count in COUNTS.items())
    return Scenes(train, test, DIGITS)


def make(digits: Split, count: int, rng: np.random.Generator) -> Boxed:
    """So many scenes of digits ``(n, 28, 28)`` uint8, half of them with noise; a box is about pixels of `INK`."""
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    boxes, labels, scene = [], [], []
    for k, canvas in enumerate(images):
        placed: list[tuple[int, int, int, int]] = []
        for _ in range(rng.integers(1, MOST + 1)):
            row = rng.integers(len(digits.labels))
            digit = scaled(digits.inputs[row], int(rng.integers(LENGTHS[0], LENGTHS[1] + 1)))
            if (box := _place(digit.shape, placed, rng)) is None:
                continue
            placed.append(box)
            labels.append(digits.labels[row])
            part = canvas[box[1] : box[3], box[0] : box[2]]
            np.maximum(part, digit, out=part)
        boxes += placed
        scene += [k] * len(placed)
    noisy = rng.random(count) < 0.5
    noise = np.abs(rng.normal(0, NOISE, (int(noisy.sum()), SIDE, SIDE)))
    images[noisy] = np.minimum(images[noisy] + noise, 255).astype(np.uint8)
    colours = np.repeat(images[..., None], 3, axis=3)
    return Boxed(colours, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), np.array(scene))


def scaled(digit: Array, length: int) -> Array:
    """The ink of a digit with its longer side brought to that length, px; all four edges have some ink."""
    ink = _trimmed(digit)
    height, width = (max(round(side * length / max(ink.shape)), 1) for side in ink.shape)
    return _trimmed(np.array(Image.fromarray(ink).resize((width, height), Image.Resampling.BILINEAR)))


def _trimmed(image: Array) -> Array:
    rows, columns = (np.flatnonzero((image >= INK).any(axis)) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _place(
    shape: tuple[int, ...], placed: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A box of that height and width that overlaps none of those placed; None where none is found."""
    height, width = shape
    for _ in range(TRIES):
        x, y = int(rng.integers(SIDE - width + 1)), int(rng.integers(SIDE - height + 1))
        box = x, y, x + width, y + height
        if all(box[2] <= o[0] or o[2] <= box[0] or box[3] <= o[1] or o[3] <= box[1] for o in placed):
            return box
    return None

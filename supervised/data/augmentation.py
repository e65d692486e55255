"""Random changes to batches of images that leave their class as it is: more to learn from than there is.

Every image of a batch draws its own changes. All that moves pixels is one affine map an image, so that they are
interpolated once, whatever is asked for (book, chapter 4).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised.training.errors import require

Array = NDArray[Any]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image, each by a uniform draw; zeros leave it alone."""

    flip: bool = False
    """Left becomes right, for half of the images."""
    flip_vertical: bool = False
    """Above becomes below, for half of the images."""
    crop: int = 0
    """Moved by whole pixels, at most so many either way: a crop of the image within a border as wide."""
    shift: float = 0.0
    """Moved by at most this share of width and height."""
    rotation: float = 0.0
    """Turned by at most so many degrees either way."""
    shear: float = 0.0
    """Leaned by at most so many degrees either way."""
    zoom: float = 0.0
    """Width and height each scaled by 1 - zoom to 1 + zoom."""
    brightness: float = 0.0
    """Lightened or darkened by at most this share of white."""
    contrast: float = 0.0
    """Differences from the image's mean scaled by 1 - contrast to 1 + contrast."""
    fill: str = "edge"
    """What comes in from outside: "edge", the nearest pixel, or "black"."""
    interpolation: str = "linear"
    """Between pixels: "linear", which smooths, or "nearest", which leaves images as sharp as they are."""

    def __post_init__(self) -> None:
        for name in ("crop", "shift", "rotation", "shear", "brightness"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        for name in ("zoom", "contrast"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "use 0 or more, below 1")
        require(self.shear < 90, "shear", self.shear, "use less than 90 degrees")
        require(self.fill in ("edge", "black"), "fill", self.fill, "use edge or black")
        known = self.interpolation in ("linear", "nearest")
        require(known, "interpolation", self.interpolation, "use linear or nearest")


PRESETS = {
    "none": Augmentation(),
    # chapter 4: "A CNN example with Keras and CIFAR-10"
    "book": Augmentation(rotation=90.0, shift=0.1, flip=True),
    # the same, but what is learnt from is as sharp as what is judged by
    "book-sharp": Augmentation(rotation=90.0, shift=0.1, flip=True, interpolation="nearest"),
    # He et al. 2016, section 4.2
    "cifar": Augmentation(crop=4, flip=True, fill="black"),
}


def augment(images: Array, settings: Augmentation, rng: np.random.Generator) -> Array:
    """A changed copy of images ``(batch, height, width)`` or ``(batch, height, width, colours)`` uint8."""
    if settings == Augmentation(fill=settings.fill, interpolation=settings.interpolation):
        return images
    batch, height, width = images.shape[:3]
    maps = _maps(batch, height, width, settings, rng)
    tones = np.empty((batch, 2), np.float32)
    tones[:, 0] = rng.uniform(1 - settings.contrast, 1 + settings.contrast, batch)
    tones[:, 1] = 255 * rng.uniform(-settings.brightness, settings.brightness, batch)
    out = np.empty_like(images)
    pixels = images.reshape(batch, height, width, -1)
    sharp, black = settings.interpolation == "nearest", settings.fill == "black"
    _warp(pixels, maps, tones, black, sharp, out.reshape(pixels.shape))
    return out


def _maps(batch: int, height: int, width: int, settings: Augmentation, rng: np.random.Generator) -> Array:
    """From pixels of the new image to those of the old one: ``(batch, 2, 3)`` float32, of (x, y, 1)."""

    def between(limit: float) -> Array:
        return rng.uniform(-limit, limit, batch)

    angle, lean = np.deg2rad(between(settings.rotation)), np.deg2rad(between(settings.shear))
    scale = rng.uniform(1 - settings.zoom, 1 + settings.zoom, (batch, 2))
    move = np.stack([between(settings.shift) * width, between(settings.shift) * height], axis=1)
    move += rng.integers(-settings.crop, settings.crop + 1, (batch, 2))
    mirrored = np.where(rng.random((batch, 2)) < 0.5, -1.0, 1.0)
    mirrored[:, 0] = mirrored[:, 0] if settings.flip else 1.0
    mirrored[:, 1] = mirrored[:, 1] if settings.flip_vertical else 1.0
    linear = np.zeros((batch, 2, 2))
    # rotation x shear x scale, then mirrored, all about the centre
    linear[:, 0, 0], linear[:, 0, 1] = np.cos(angle), -np.sin(angle + lean)
    linear[:, 1, 0], linear[:, 1, 1] = np.sin(angle), np.cos(angle + lean)
    linear *= (scale * mirrored)[:, None]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre + move - linear @ centre
    return np.concatenate([linear, offset[:, :, None]], axis=2).astype(np.float32)


@njit(cache=True, nogil=True)
def _warp(images: Array, maps: Array, tones: Array, black: bool, sharp: bool, out: Array) -> None:
    """Sampling of images ``(batch, height, width, colours)`` uint8, and new tones of (contrast, lightness).

    Bilinear, or where ``sharp`` of the nearest pixel alone.
    """
    batch, height, width, colours = images.shape
    for k in range(batch):
        image, m = images[k], maps[k]
        contrast, lightness = tones[k]
        mean = np.float32(0.0)
        if contrast != 1.0:
            mean = np.float32(image.mean())
        for row in range(height):
            for column in range(width):
                x = m[0, 0] * column + m[0, 1] * row + m[0, 2]
                y = m[1, 0] * column + m[1, 1] * row + m[1, 2]
                if sharp:
                    x, y = np.float32(np.floor(x + np.float32(0.5))), np.float32(np.floor(y + np.float32(0.5)))
                left, top = int(np.floor(x)), int(np.floor(y))
                right_share, low_share = x - left, y - top
                for colour in range(colours):
                    value = np.float32(0.0)
                    for dy in range(2):
                        for dx in range(2):
                            share = (right_share if dx else 1 - right_share) * (low_share if dy else 1 - low_share)
                            if share == 0:
                                continue
                            across, down = left + dx, top + dy
                            if black and not (0 <= across < width and 0 <= down < height):
                                continue
                            across, down = min(max(across, 0), width - 1), min(max(down, 0), height - 1)
                            value += share * image[down, across, colour]
                    value = (value - mean) * contrast + mean + lightness
                    out[k, row, column, colour] = np.uint8(min(max(value, np.float32(0.0)), np.float32(255.0)) + 0.5)

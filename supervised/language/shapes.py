"""Pictures of one or two coloured shapes, with captions that say what is where: "a red circle above a blue square".

The upper one of two is named first, or the left one; which of both it is, the centres' larger distance decides. So each
picture has one right caption.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SIDE = 32  # of a picture, px
RADII = (4, 7)  # of a shape, px
NOISE = 8.0  # standard deviation of every colour's levels
GROUND = 40  # level of the ground
COLOURS = {
    "red": (220, 50, 47),
    "green": (60, 170, 60),
    "blue": (50, 90, 220),
    "yellow": (230, 210, 60),
    "purple": (150, 60, 190),
    "white": (235, 235, 235),
}
SHAPES = ("circle", "square", "triangle")
SINGLE = 0.1  # share of pictures with one shape


class Shape(NamedTuple):
    """A shape in a picture."""

    colour: str
    shape: str
    x: float  # of its centre, px
    y: float
    radius: float

    @property
    def named(self) -> str:
        """ "a red circle"."""
        return f"a {self.colour} {self.shape}"

    def covers(self) -> Array:
        """The pixels that it covers ``(height, width)`` bool."""
        y, x = np.mgrid[:SIDE, :SIDE]
        x, y = x - self.x, y - self.y
        if self.shape == "circle":
            return x**2 + y**2 <= self.radius**2
        if self.shape == "square":
            return np.maximum(np.abs(x), np.abs(y)) <= 0.85 * self.radius
        return (np.abs(y) <= self.radius) & (2 * np.abs(x) <= y + self.radius)  # the tip is on top


def draw_scene(rng: np.random.Generator) -> tuple[str, list[Shape]]:
    """A caption, and its shapes in the order in which it names them."""
    first = _shape(rng)
    if rng.random() < SINGLE:
        return first.named, [first]
    while True:
        second = _shape(rng)
        right, down = second.x - first.x, second.y - first.y
        far, near = max(abs(right), abs(down)), min(abs(right), abs(down))
        if far > first.radius + second.radius + 1 and far > 2 * near:  # apart, and clearly along one axis
            break
    upright = abs(down) > abs(right)
    shapes = [first, second] if (down if upright else right) > 0 else [second, first]
    relation = "above" if upright else "left of"
    return f" {relation} ".join(one.named for one in shapes), shapes


def paint(shapes: list[Shape], rng: np.random.Generator) -> Array:
    """The picture ``(height, width, 3)`` uint8 of shapes, with some noise."""
    picture = np.full((SIDE, SIDE, 3), GROUND, np.float32)
    for one in shapes:
        picture[one.covers()] = COLOURS[one.colour]
    return np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)


def _shape(rng: np.random.Generator) -> Shape:
    radius = rng.uniform(*RADII)
    x, y = rng.uniform(radius, SIDE - 1 - radius, 2)
    return Shape(str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES)), x, y, radius)

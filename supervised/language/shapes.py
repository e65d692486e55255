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
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in ("circle", "square", "triangle"))
SINGLE = 0.1  # share of pictures with one shape


Y, X = np.mgrid[:SIDE, :SIDE]


class Shape(NamedTuple):
    """A shape in a picture."""

    name: str  # "red circle"
    x: float  # of its centre, px
    y: float
    radius: float

    def covers(self) -> Array:
        """The pixels that it covers ``(height, width)`` bool."""
        x, y = X - self.x, Y - self.y
        if self.name.endswith("circle"):
            return x**2 + y**2 <= self.radius**2
        if self.name.endswith("square"):
            return np.maximum(np.abs(x), np.abs(y)) <= 0.85 * self.radius
        return (np.abs(y) <= self.radius) & (2 * np.abs(x) <= y + self.radius)  # the tip is on top


def draw_scene(rng: np.random.Generator) -> tuple[str, list[Shape]]:
    """A caption, and its shapes in the order in which it names them."""
    names = [NAMES[one] for one in rng.integers(len(NAMES), size=2)]
    if rng.random() < SINGLE:
        return f"a {names[0]}", [Shape(names[0], *_places(1, rng)[0])]
    while True:
        places = _places(2, rng)
        (x, y, radius), (other_x, other_y, other_radius) = places
        right, down = other_x - x, other_y - y
        far, near = max(abs(right), abs(down)), min(abs(right), abs(down))
        if far > radius + other_radius + 1 and far > 2 * near:  # apart, and clearly along one axis
            break
    upright = abs(down) > abs(right)
    if (down if upright else right) < 0:
        places.reverse()
    relation = "above" if upright else "left of"
    return f"a {names[0]} {relation} a {names[1]}", [
        Shape(*one) for one in zip(names, *zip(*places, strict=True), strict=True)
    ]


def paint(shapes: list[Shape], rng: np.random.Generator) -> Array:
    """The picture ``(height, width, 3)`` uint8 of shapes, with some noise."""
    picture = np.full((SIDE, SIDE, 3), GROUND, np.float32)
    for one in shapes:
        picture[one.covers()] = COLOURS[one.name.split()[0]]
    picture += NOISE * rng.standard_normal(picture.shape, np.float32)
    return picture.clip(0, 255).astype(np.uint8)


def _places(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """x, y and radius of shapes that are wholly in the picture."""
    return [
        (*(radius + along * (SIDE - 1 - 2 * radius)).tolist(), radius)
        for radius, along in zip(rng.uniform(*RADII, count).tolist(), rng.random((count, 2)), strict=True)
    ]

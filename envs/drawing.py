"""Pictures of environments: a Pillow canvas drawn at twice the size and reduced, so that edges are smooth."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

OVERSAMPLING = 2


class Canvas:
    """A picture of ``width`` x ``height`` pixels whose coordinates start at the lower left corner."""

    def __init__(self, width: int, height: int, background: tuple[int, int, int] = (255, 255, 255)) -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * OVERSAMPLING, height * OVERSAMPLING), background)
        self._draw = ImageDraw.Draw(self._image)

    def _pixels(self, points: Any) -> list[tuple[float, float]]:
        return [(x * OVERSAMPLING, (self.height - y) * OVERSAMPLING) for x, y in points]

    def polygon(self, points: Any, colour: tuple[int, int, int]) -> None:
        """A filled polygon."""
        self._draw.polygon(self._pixels(points), fill=colour)

    def line(self, points: Any, colour: tuple[int, int, int], width: float = 1.0) -> None:
        """A line through the points."""
        self._draw.line(self._pixels(points), fill=colour, width=max(1, round(width * OVERSAMPLING)))

    def circle(self, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]) -> None:
        """A filled circle."""
        (x, y), reach = self._pixels([centre])[0], radius * OVERSAMPLING
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def text(self, centre: tuple[float, float], text: str, colour: tuple[int, int, int], size: float) -> None:
        """Text centred on a point; ``size`` in pixels."""
        self._draw.text(self._pixels([centre])[0], text, fill=colour, anchor="mm", font_size=size * OVERSAMPLING)

    def array(self) -> NDArray[np.uint8]:
        """The picture (height, width, 3)."""
        return np.asarray(self._image.resize((self.width, self.height), Image.Resampling.BOX))

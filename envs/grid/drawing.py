"""Pictures of grid worlds: cells, values as colours, a policy as arrows, a path as a line."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from envs.batched import Array

Colour = tuple[int, int, int]

LONGEST_SIDE, LARGEST_CELL = 960, 64  # pixels
SMALLEST_DETAIL = 8  # pixels; a smaller cell is one block of colour
SMALLEST_NUMBER = 32  # pixels; a smaller cell has no room for its value
OVERSAMPLING = 2  # drawn larger and reduced, so that edges are smooth

FREE, WALL, LETTER, GRID_LINE = (250, 250, 247), (47, 54, 66), (240, 232, 208), (214, 216, 220)
FILLS: dict[str, Colour] = {
    "goal": (92, 176, 118),
    "cliff": (120, 78, 66),
    "trap": (232, 132, 120),
    "carrot": (255, 214, 165),
    "apple": (250, 218, 214),
    "key": (246, 236, 190),
    "gem": (214, 232, 244),
    "wind": (226, 238, 248),
    "strong wind": (200, 222, 240),
}
INK, PALE_INK, AGENT, PATH = (38, 44, 54), (255, 255, 255), (36, 92, 196), (228, 80, 160)
RAMP = np.array([(60, 74, 138), (118, 168, 190), (253, 246, 200)], np.float64)
DIVERGING = np.array([(190, 66, 66), (250, 250, 247), (58, 116, 186)], np.float64)


def draw_grid(
    characters: Array,
    icons: Mapping[str, str],
    moves: Array,
    *,
    agent: Array | None = None,
    values: Array | None = None,
    policy: Array | None = None,
    path: Array | None = None,
) -> NDArray[np.uint8]:
    """A grid world as a picture ``(height, width, 3)``, up to 960 pixels wide and high, or a pixel a cell.

    Args:
        characters: ``(rows, columns)``.
        icons: the character's kind of cell, one of `FILLS`.
        moves: ``(actions, 2)`` row and column step of each action's arrow.
        agent: ``(2,)`` row and column.
        values: ``(rows, columns)``, nan where a cell has none.
        policy: ``(rows, columns, actions)``; arrows are left out where a cell is smaller than 8 pixels.
        path: ``(steps, 2)`` rows and columns.
    """
    colours = _fill(characters, icons)
    if values is not None:
        known = np.isfinite(values)
        colours[known] = _heat(values[known])
    size = int(np.clip(LONGEST_SIDE // max(characters.shape), 1, LARGEST_CELL))
    if size < SMALLEST_DETAIL:
        if path is not None:
            colours[path[:, 0], path[:, 1]] = PATH
        pixels = colours.repeat(size, axis=0).repeat(size, axis=1)
        goals = np.argwhere(np.isin(characters, [name for name, kind in icons.items() if kind == "goal"]))
        marks = [(goal, FILLS["goal"]) for goal in goals] + ([] if agent is None else [(agent, AGENT)])
        for cell, colour in marks:  # larger than their cells, or no one would find them
            y, x = cell * size + size // 2
            pixels[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = colour
        return pixels

    scale = size * OVERSAMPLING
    pixels = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    pixels[::scale], pixels[:, ::scale] = GRID_LINE, GRID_LINE
    image = Image.fromarray(pixels)
    pen = _Pen(image, scale, colours)
    shown = values if size >= SMALLEST_NUMBER else None
    pen.symbols(characters, icons, in_corner=size >= SMALLEST_NUMBER and not (values is None and policy is None))
    if path is not None and len(path):
        pen.line(path)
    if shown is not None:
        pen.numbers(shown, in_corner=policy is not None)
    if policy is not None:
        for row, column, action in np.argwhere(policy > 0).tolist():
            pen.arrow(row, column, moves[action], raised=shown is not None)
    if agent is not None:
        pen.disc(agent, 0.32, AGENT, outline=PALE_INK)
    height, width = characters.shape
    return np.asarray(image.resize((width * size, height * size), Image.Resampling.BOX)).copy()


def _fill(characters: Array, icons: Mapping[str, str]) -> NDArray[np.uint8]:
    """The colour of every cell ``(rows, columns, 3)``."""
    colours = np.empty((*characters.shape, 3), np.uint8)
    for character in np.unique(characters).tolist():
        plain = {".": FREE, "#": WALL}.get(character, LETTER)
        colours[characters == character] = FILLS[icons[character]] if character in icons else plain
    return colours


def _heat(values: Array) -> NDArray[np.uint8]:
    """Colours ``(values, 3)``: a ramp from least to greatest, or two about white where the signs differ."""
    if not len(values):
        return np.empty((0, 3), np.uint8)
    low, high = float(values.min()), float(values.max())
    colours = RAMP
    if low < 0 < high:
        colours, high = DIVERGING, max(-low, high)
        low = -high
    place = (values - low) / (high - low) if high > low else np.full(values.shape, 0.5)
    channels = [np.interp(place, np.linspace(0, 1, len(colours)), channel) for channel in colours.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


class _Pen:
    """Draws in units of cells on an image of ``scale`` pixels a cell."""

    def __init__(self, image: Image.Image, scale: int, colours: Array) -> None:
        self.draw, self.scale = ImageDraw.Draw(image), scale
        self.dark = colours @ (0.299, 0.587, 0.114) < 128  # cells on which ink is pale

    def _points(self, cells: Array) -> list[tuple[float, float]]:
        """Pixels (x, y) of points (row, column) ``(n, 2)``; whole numbers are the centres of cells."""
        return [(x, y) for y, x in ((np.asarray(cells) + 0.5) * self.scale).tolist()]

    def _ink(self, row: int, column: int) -> Colour:
        return PALE_INK if self.dark[row, column] else INK

    def text(self, row: float, column: float, text: str, size: float, colour: Colour, anchor: str = "mm") -> None:
        point = self._points(np.array([(row, column)]))[0]
        self.draw.text(point, text, fill=colour, anchor=anchor, font_size=size * self.scale)

    def symbols(self, characters: Array, icons: Mapping[str, str], in_corner: bool) -> None:
        """What the cells hold; in the upper left corner where something else is drawn over the cell."""
        for row, column in np.argwhere((characters != ".") & (characters != "#")).tolist():
            character = str(characters[row, column])
            kind = icons.get(character, "letter")
            moved = in_corner and kind != "goal"
            place, size = np.array([row, column]) - 0.3 * moved, 0.45 if moved else 1.0
            if kind in ("carrot", "apple", "key", "gem"):
                getattr(self, kind)(place, size)
            elif kind == "trap":
                for slope in (1, -1):
                    ends = np.array([(-0.25, -0.25 * slope), (0.25, 0.25 * slope)]) * size + place
                    self.stroke(ends, (150, 30, 30), 0.11 * size)
            elif kind in ("goal", "letter"):
                self.text(place[0], place[1], character, 0.5 * size, self._ink(row, column))

    def stroke(self, cells: Array, colour: Colour, width: float) -> None:
        self.draw.line(self._points(cells), fill=colour, width=max(2, round(width * self.scale)), joint="curve")

    def carrot(self, centre: Array, size: float) -> None:
        for leaf in (-0.16, 0.0, 0.16):
            self.stroke(np.array([(-0.14, 0), (-0.38, leaf)]) * size + centre, (64, 140, 72), 0.08 * size)
        root = np.array([(-0.18, -0.17), (-0.18, 0.17), (0.38, 0)]) * size + centre
        self.draw.polygon(self._points(root), fill=(236, 120, 28))

    def apple(self, centre: Array, size: float) -> None:
        self.stroke(np.array([(-0.1, 0), (-0.34, 0.08)]) * size + centre, (110, 76, 48), 0.07 * size)
        self.disc(np.array([0.06, 0]) * size + centre, 0.25 * size, (206, 52, 48))

    def key(self, centre: Array, size: float) -> None:
        brass = (176, 132, 24)
        for ends in ([(0, -0.1), (0, 0.34)], [(0, 0.2), (0.16, 0.2)], [(0, 0.32), (0.16, 0.32)]):
            self.stroke(np.array(ends) * size + centre, brass, 0.08 * size)
        self.disc(np.array([0, -0.2]) * size + centre, 0.16 * size, brass)
        self.disc(np.array([0, -0.2]) * size + centre, 0.07 * size, FILLS["key"])

    def gem(self, centre: Array, size: float) -> None:
        outline = np.array([(-0.22, -0.18), (-0.22, 0.18), (-0.04, 0.32), (0.3, 0), (-0.04, -0.32)]) * size + centre
        self.draw.polygon(self._points(outline), fill=(52, 128, 196))
        self.stroke(np.array([(-0.04, -0.3), (-0.04, 0.3)]) * size + centre, (170, 212, 240), 0.04 * size)

    def numbers(self, values: Array, in_corner: bool) -> None:
        """Every cell's value, with as many decimals as there is room for and need of."""
        known = values[np.isfinite(values)]
        largest = np.abs(known).max(initial=0.0)
        decimals = 2 if largest < 9.995 else 1 if largest < 99.95 else 0
        if np.allclose(known, known.round(), rtol=0, atol=1e-6):
            decimals = 0
        for row, column in np.argwhere(np.isfinite(values)).tolist():
            text, ink = f"{values[row, column]:.{decimals}f}", self._ink(row, column)
            if in_corner:
                self.text(row + 0.45, column + 0.45, text, 0.19, ink, anchor="rs")
            else:
                self.text(row, column, text, 0.3 if len(text) < 6 else 0.24, ink)

    def arrow(self, row: int, column: int, move: Array, raised: bool) -> None:
        """An arrow from the middle of a cell; or from a little above it, with a number below."""
        ink, centre = self._ink(row, column), np.array([row - 0.1 * raised, column])
        if not move.any():
            self.disc(centre, 0.08, ink)
            return
        along = move / np.hypot(*move)
        across = np.array([along[1], -along[0]])
        reach = 0.3 if raised else 0.36
        tip, neck = centre + reach * along, centre + (reach - 0.15) * along
        self.stroke(np.stack([centre, neck]), ink, 0.045)
        self.draw.polygon(self._points(np.stack([tip, neck + 0.09 * across, neck - 0.09 * across])), fill=ink)

    def line(self, path: Array) -> None:
        self.stroke(path, PATH, 0.09)
        self.disc(path[0], 0.14, PATH)
        self.disc(path[-1], 0.2, PATH, outline=PALE_INK)

    def disc(self, centre: Array, radius: float, colour: Colour, outline: Colour | None = None) -> None:
        (x, y), reach = self._points(centre[None])[0], radius * self.scale
        box = (x - reach, y - reach, x + reach, y + reach)
        self.draw.ellipse(box, fill=colour, outline=outline, width=max(1, self.scale // 20))

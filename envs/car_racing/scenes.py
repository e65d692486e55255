"""Single scenes for learning to see: the fast picture of a car on its track, and what exactly is where in it.

Classes and boxes come from the polygons that the picture is drawn from (`coverage.py`), not from its colours: a pixel
belongs to what covers half of it or more. A scene may differ from a drive: the car moved and turned, more cars drawn.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from envs.batched import Array
from envs.car_racing.coverage import (
    CAR_COLUMN,
    CAR_ROW,
    COLUMNS,
    HULL_PLANE,
    PLANES,
    ROWS,
    STRIPE,
    WHEEL,
    View,
    find_view,
    lay_car,
)
from envs.car_racing.fast import SEGMENTATION_CLASSES, fast_frames, segmentation_frames
from envs.car_racing.state import State

KERB, CAR = SEGMENTATION_CLASSES.index("kerb"), SEGMENTATION_CLASSES.index("car")
HULL_COLOR = (202, 0, 0)  # as the fast picture draws it
STRIPE_LEVEL = 75


class Placement(NamedTuple):
    """Where another car is, beside the own one and as large, but for the scale."""

    column: float  # of the picture: the hull's origin
    row: float
    turn: float  # rad, counter-clockwise from the own car's heading
    scale: float


def still(fields: Mapping[str, Array], lane: int) -> State:
    """A copy of one lane of a batch's fields, as a batch of one."""
    return State(*(fields[name][lane : lane + 1].copy() for name in State._fields))


def move_car(state: State, right: float, turn: float) -> None:
    """Put the car of a batch of one, with its camera, ``right`` m to its right, turned by ``turn`` rad."""
    sine, cosine = state.rotation[0, 0]
    origin = state.position[0, 0].copy()
    (x, y), (s, c) = (state.position[0] - origin).T, (np.sin(turn), np.cos(turn))
    state.position[0] = np.stack([c * x - s * y, s * x + c * y], axis=1) + origin + right * np.array([cosine, sine])
    state.angle[0] += turn
    state.rotation[0] = np.stack([np.sin(state.angle[0]), np.cos(state.angle[0])], axis=1)


def draw(state: State) -> tuple[Array, Array]:
    """The picture (96, 96, 3) and the classes of its pixels (96, 96), both uint8, of a batch of one."""
    picture, classes = np.empty((1, 96, 96, 3), np.uint8), np.empty((1, 96, 96), np.uint8)
    fast_frames(state, picture, 1)
    segmentation_frames(state, classes, 1)
    return picture[0], classes[0]


def draw_car(state: State, place: Placement, color: Array, picture: Array) -> Array:
    """Draw another car into the picture of a batch of one, with wheels that stand like the own one's.

    Args:
        color: the hull's (3,), levels.
        picture: (96, 96, 3) uint8; it changes.

    Returns:
        The pixels that the car covers (96, 96) bool.
    """
    planes, span = np.zeros((ROWS + 2, PLANES), np.float32), np.array([[ROWS, 0], [ROWS, 0]])
    lay_car(state, 0, _view_of(find_view(state, 0), place), planes, span)
    shares = np.clip(np.cumsum(planes[:ROWS], axis=0), 0, 1)
    wheel, stripe, hull = (shares[:, plane : plane + COLUMNS, None] for plane in (WHEEL, STRIPE, HULL_PLANE))
    below = picture[:ROWS] * (1 - wheel) + STRIPE_LEVEL * stripe
    picture[:ROWS] = (below * (1 - hull) + color * hull + 0.5).astype(np.uint8)
    covered = np.zeros(picture.shape[:2], np.bool_)
    covered[:ROWS] = (wheel + hull)[..., 0] >= 0.5
    return covered


def _view_of(view: View, place: Placement) -> View:
    """The camera that sees the own car where the other one is to be."""
    angle_sine, angle_cosine = np.sin(place.turn), np.cos(place.turn)
    # turning the camera clockwise turns what it sees counter-clockwise
    sine = view.sine * angle_cosine - view.cosine * angle_sine
    cosine = view.cosine * angle_cosine + view.sine * angle_sine
    across, along = view.across * place.scale, view.along * place.scale
    right, ahead = (place.column - CAR_COLUMN) / across, (CAR_ROW - place.row) / along
    x, y = view.x - (cosine * right - sine * ahead), view.y - (sine * right + cosine * ahead)
    return View(x, y, sine, cosine, across, along, view.margin / place.scale)


def kerb_runs(state: State) -> list[Array]:
    """The kerbs of the track of a batch of one: tiles in a row, around the start too, with a kerb on the same side."""
    n = state.tiles[0]
    sides = np.where(np.abs(state.kerbs[0, :n]) == 1, state.kerbs[0, :n], 0)  # one without width is not drawn
    begins = np.flatnonzero(sides != np.roll(sides, 1))
    if not len(begins):
        return [np.arange(n)] if sides[0] else []
    ends = np.append(begins[1:], begins[0] + n)
    return [np.arange(begin, end) % n for begin, end in zip(begins, ends, strict=True) if sides[begin]]


def kerb_pixels(state: State, run: Array) -> Array:
    """The pixels (96, 96) bool of the picture of a batch of one that show the kerb of the tiles ``run``."""
    kerbs = np.zeros_like(state.kerbs)
    kerbs[0, run] = state.kerbs[0, run]
    return draw(state._replace(kerbs=kerbs))[1] == KERB


def bounding_box(pixels: Array) -> tuple[int, int, int, int]:
    """(x_min, y_min, x_max, y_max) of pixels (height, width) bool, some of them true: their outer edges, px."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

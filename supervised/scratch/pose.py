"""Why capsules (book, chapter 5): what pooling loses of a face, and what the poses of its parts keep.

A face is drawn of strokes in any place and at any angle. Filters look for each part everywhere, at every angle. Pooling
keeps how well the best one fits; a capsule also keeps where and at which angle that was: the part's pose. From its own
pose and its place in a face each part foretells the face's pose. In a face, wherever it is and however it is turned,
these votes agree; in one with its parts exchanged, whose pooled answers are the same, they do not.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Array = NDArray[Any]

SIDE = 48  # pixels of an image
REACH = 7  # of a filter, from its centre
ANGLES = range(0, 360, 15)  # degrees

#: ends of strokes (x to the right, y down) from the part's centre, in pixels; none looks the same when turned
PARTS: dict[str, Array] = {
    "left eye": np.array([[-4, -3, 3, -5], [-3, 1, 2, 1], [-3, 1, 0, 3]], float),
    "right eye": np.array([[-4, -4, 4, -4], [-4, 2, 4, 2], [-4, -4, -4, 2]], float),  # it winks
    "nose": np.array([[0, -5, -3, 4], [-3, 4, 2, 4]], float),
    "mouth": np.array([[-6, -1, -3, 2], [-3, 2, 3, 2], [3, 2, 6, -1], [-6, -1, 6, -1]], float),
}
#: where each part's centre is in a face
PLACES = {"left eye": (-9.0, -8.0), "right eye": (9.0, -8.0), "nose": (0.0, 2.0), "mouth": (0.0, 13.0)}


class Pose(NamedTuple):
    """Where something is, and how it is turned."""

    x: float
    y: float
    angle: float  # degrees, clockwise as y points down


def turned(points: Array, angle: float) -> Array:
    """Points ``(..., 2)`` about the origin by so many degrees."""
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return points @ np.array([[c, s], [-s, c]])


def strokes(lines: Array, centre: tuple[float, float], side: int, width: float = 1.0) -> Array:
    """Lines ``(n, 4)`` from (x, y) to (x, y), moved to a centre, as an image ``(side, side)`` from 0 to 1."""
    y, x = np.mgrid[:side, :side]
    pixels = np.stack([x, y], axis=-1)[:, :, None] - centre
    start, along = lines[:, :2], lines[:, 2:] - lines[:, :2]
    share = np.clip(((pixels - start) * along).sum(3) / (along**2).sum(1), 0, 1)
    distance = np.linalg.norm(pixels - start - share[..., None] * along, axis=3)
    return np.exp(-((distance / width) ** 2)).max(2)


def part(name: str, pose: Pose, side: int = SIDE) -> Array:
    """One part as an image ``(side, side)``."""
    lines = turned(PARTS[name].reshape(-1, 2, 2), pose.angle).reshape(-1, 4)
    return strokes(lines, (pose.x, pose.y), side)


def face(pose: Pose, order: tuple[str, ...] = tuple(PLACES)) -> Array:
    """A face ``(SIDE, SIDE)``; ``order`` says which parts are in the places of left eye, right eye, nose and mouth."""
    found = np.zeros((SIDE, SIDE))
    for name, place in zip(order, PLACES.values(), strict=True):
        x, y = turned(np.array(place), pose.angle) + (pose.x, pose.y)
        found = np.maximum(found, part(name, Pose(x, y, pose.angle)))
    return found


def look_for(name: str, image: Array) -> tuple[float, Pose]:
    """How well a part's best filter fits anywhere in an image, up to 1, and the pose of that place."""
    best, pose = -1.0, Pose(0.0, 0.0, 0.0)
    side = 2 * REACH + 1
    window = np.ones((side, side))
    mean = fftconvolve(image, window, "valid") / side**2
    deviation = np.sqrt(np.maximum(fftconvolve(image**2, window, "valid") / side**2 - mean**2, 1e-4))
    for angle in ANGLES:
        kernel = part(name, Pose(REACH, REACH, angle), side)
        kernel = (kernel - kernel.mean()) / kernel.std() / side**2
        fit = fftconvolve(image, kernel[::-1, ::-1], "valid") / deviation  # a correlation, from -1 to 1
        row, column = np.unravel_index(fit.argmax(), fit.shape)
        if fit[row, column] > best:
            best, pose = float(fit[row, column]), Pose(float(column + REACH), float(row + REACH), float(angle))
    return best, pose


def vote(name: str, pose: Pose) -> Pose:
    """The pose of the face that has this part in this pose."""
    x, y = np.array([pose.x, pose.y]) - turned(np.array(PLACES[name]), pose.angle)
    return Pose(float(x), float(y), pose.angle)


def agreement(votes: list[Pose]) -> float:
    """From 0 to 1, how near votes are to each other: a face's activation, of the spread of its Gaussian.

    The votes' standard deviation is compared to a tenth of the image.
    """
    spread = np.array([[one.x, one.y] for one in votes]).std(0)
    return float(np.exp(-np.square(spread / (SIDE / 10)).sum()))

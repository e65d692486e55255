"""The car's shape and mass, as Box2D 2.3 computes them in float32 from the lengths that CarRacing gives it.

Units: m, kg, kg m^2; body coordinates, x to the right, y ahead. Bodies and wheels are ordered as in `state.py`.
"""

import numpy as np

from envs.batched import Array

SIZE = 0.02  # m a unit of the lengths below
WHEEL_HALF_WIDTH, WHEEL_RADIUS = 14 * SIZE, 27 * SIZE
WHEEL_OFFSETS = np.array([(-55, 80), (55, 80), (-55, -82), (55, -82)]) * SIZE  # (4, 2) float64: from the hull's origin

_HULL_OUTLINES = (  # the bumper, the nose, the body, the rear wing
    [(-60, 130), (60, 130), (60, 110), (-60, 110)],
    [(-15, 120), (15, 120), (20, 20), (-20, 20)],
    [(25, 20), (50, -10), (50, -40), (20, -90), (-20, -90), (-50, -40), (-50, -10), (-25, 20)],
    [(-50, -120), (50, -120), (50, -90), (-50, -90)],
)
_WHEEL_OUTLINE = [(-14, 27), (14, 27), (14, -27), (-14, -27)]
_HULL_DENSITY, _WHEEL_DENSITY = np.float32(1.0), np.float32(0.1)  # kg/m^2


def _polygon(outline: list[tuple[int, int]]) -> Array:
    """Vertices (corners, 2) float32 in Box2D's order: counter-clockwise from the lower of the rightmost ones."""
    corners = (np.array(outline) * SIZE).astype(np.float32)
    x, y = corners.T
    if np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) < 0:  # the area's sign: the outline runs clockwise
        corners = corners[::-1]
    first = np.lexsort((corners[:, 1], -corners[:, 0]))[0]
    return np.roll(corners, -first, axis=0)


def _mass_data(corners: Array, density: np.float32) -> tuple[np.float32, Array, np.float32]:
    """Mass, centre (2,) and moment of inertia about the origin of a polygon, summed over triangles in float32."""
    third = np.float32(1) / np.float32(3)
    reference = np.zeros(2, np.float32)
    for corner in corners:
        reference += corner
    reference *= np.float32(1) / np.float32(len(corners))
    area, inertia, center = np.float32(0), np.float32(0), np.zeros(2, np.float32)
    for corner, following in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (x1, y1), (x2, y2) = e1, e2 = corner - reference, following - reference
        cross = x1 * y2 - y1 * x2
        triangle = np.float32(0.5) * cross
        area += triangle
        center += triangle * third * (e1 + e2)
        x_squares = x1 * x1 + x2 * x1 + x2 * x2
        y_squares = y1 * y1 + y2 * y1 + y2 * y2
        inertia += np.float32(0.25) * third * cross * (x_squares + y_squares)
    mass = density * area
    center *= np.float32(1) / area
    from_origin = center + reference
    return mass, from_origin, density * inertia + mass * (_square(from_origin) - _square(center))


def _square(vector: Array) -> np.float32:
    return vector[0] * vector[0] + vector[1] * vector[1]


def _body(polygons: list[Array], density: np.float32) -> tuple[np.float32, np.float32, Array]:
    """Mass, moment of inertia about the centre of mass and that centre (2,) of a body of several polygons."""
    mass, inertia, center = np.float32(0), np.float32(0), np.zeros(2, np.float32)
    for corners in reversed(polygons):  # Box2D puts a new polygon at the head of the body's list
        part, part_center, part_inertia = _mass_data(corners, density)
        mass += part
        center += part * part_center
        inertia += part_inertia
    center *= np.float32(1) / mass
    return mass, inertia - mass * _square(center), center


_HULL_POLYGONS = [_polygon(outline) for outline in _HULL_OUTLINES]

HULL_COUNTS = np.array([len(corners) for corners in _HULL_POLYGONS])  # (4,): corners of the hull's polygons
HULL = np.stack(  # (4, 8, 2) float32; the last corner repeated in the unused slots
    [np.pad(corners, ((0, 8 - len(corners)), (0, 0)), mode="edge") for corners in _HULL_POLYGONS]
)
WHEEL = _polygon(_WHEEL_OUTLINE)  # (4, 2) float32

HULL_MASS, HULL_INERTIA, LOCAL_CENTER = _body(_HULL_POLYGONS, _HULL_DENSITY)  # inertia about LOCAL_CENTER (2,)
WHEEL_MASS, WHEEL_INERTIA, _ = _body([WHEEL], _WHEEL_DENSITY)  # its centre of mass is its origin, exactly
HULL_INV_MASS, HULL_INV_INERTIA = np.float32(1) / HULL_MASS, np.float32(1) / HULL_INERTIA
WHEEL_INV_MASS, WHEEL_INV_INERTIA = np.float32(1) / WHEEL_MASS, np.float32(1) / WHEEL_INERTIA

ANCHORS = WHEEL_OFFSETS.astype(np.float32)  # (4, 2): where the wheels' centres are jointed to the hull

"""What a batch of cars and their tracks is: one array a field, lane first; and the constants of that world.

Units: m, m/s, rad, rad/s, s, N s; x to the right, y up, angles counter-clockwise from +y (a car at angle 0 heads
up). A car has five bodies: the hull (0) and the wheels front-left, front-right, rear-left, rear-right (1 to 4; as
wheels 0 to 3). Fields in float32 are those that Box2D holds in float32, where parity depends on it.
"""

from typing import NamedTuple

import numpy as np

from envs.batched import Array

FPS = 50
TIME_STEP = 1.0 / FPS  # s
SCALE = 6.0  # the track's units a metre: the original's lengths are quotients of it
PLAYFIELD = 2000 / SCALE  # m from the centre to the edge of the field
ROAD_HALF_WIDTH = 40 / SCALE  # m
KERB_WIDTH = 8 / SCALE  # m
TILE_LENGTH = 21 / SCALE  # m
CAPACITY = 512  # tiles a lane has room for; tracks have 212 to 394
CENTER_KERB = 2  # a kerb that the original draws without width, from point to point (1 track in 200 has one)
GRASS_CELL = PLAYFIELD / 20  # m: squares of another green at every second cell of both axes
FIRST_ZOOM, ZOOM = 0.1 * SCALE, 2.7 * SCALE  # window pixels a metre at the start, and from one second on
SKID_LINES, SKID_POINTS = 30, 32  # skid marks that a lane keeps, and points of each


class State(NamedTuple):
    """All arrays of a batch. Kernels take the whole of it and a lane's index."""

    # The track.
    tiles: Array  # (lanes,) int32: number of tiles N; slots from N on are unused
    points: Array  # (lanes, CAPACITY, 3) float64: beta (rad, the direction across the road), x, y of every point
    edges: Array  # (lanes, CAPACITY, 8) float64: x, y of the road's left and right edge and of the kerbs' outer edges
    kerbs: Array  # (lanes, CAPACITY) int8: side of the tile's kerb (-1 left, 1 right, CENTER_KERB), or 0 for none
    sensors: Array  # (lanes, CAPACITY, 4, 2) float32: the tile's corners in the order of Box2D's polygon
    colors: Array  # (lanes, 3, 3) float64: RGB of road, background, grass
    boxes: Array  # (lanes, 4, CAPACITY) float32: smallest x, y and largest x, y of `sensors`; NaN in unused slots

    # What the car has touched.
    touching: Array  # (lanes, CAPACITY) uint8: bits 0-3 the wheels, 4-7 the hull's polygons on the tile now
    shaded: Array  # (lanes, CAPACITY) bool: never touched, so still drawn with the shade of its index
    visited: Array  # (lanes, CAPACITY) bool: touched by a wheel
    visits: Array  # (lanes,) int32: visited tiles
    grip: Array  # (lanes, 4) bool: the wheel touches a tile
    new_lap: Array  # (lanes,) bool: the lap rule says that a lap is complete

    # Bodies, as Box2D holds them.
    center: Array  # (lanes, 5, 2) float32: centre of mass
    angle: Array  # (lanes, 5) float32
    velocity: Array  # (lanes, 5, 2) float32
    spin: Array  # (lanes, 5) float32: angular velocity
    position: Array  # (lanes, 5, 2) float32: origin of the body's frame (the hull's centre of mass lies elsewhere)
    rotation: Array  # (lanes, 5, 2) float32: sine and cosine of the angle
    impulse: Array  # (lanes, 4, 3) float32: of each wheel's joint: x, y, limit
    motor_impulse: Array  # (lanes, 4) float32
    limit: Array  # (lanes, 4) int8: limit state: 0 inactive, 1 at the lower, 2 at the upper
    sleep_time: Array  # (lanes, 5) float32
    awake: Array  # (lanes,) bool

    # Wheels, as the tyre law holds them.
    steer: Array  # (lanes,) float64: wanted angle of the front wheels
    gas: Array  # (lanes,) float64: of the rear wheels, after the limit on its rise
    brake: Array  # (lanes,) float64
    omega: Array  # (lanes, 4) float64: rolling speed
    phase: Array  # (lanes, 4) float64: rolling angle

    # The score.
    time: Array  # (lanes,) float64: since the start of the episode
    reward: Array  # (lanes,) float64: collected so far, as a picture drawn by `render` shows it
    shown_reward: Array  # (lanes,) float64: as the observation shows it, before the step's own -0.1
    paid_reward: Array  # (lanes,) float64: handed out so far
    lap_finished: Array  # (lanes,) bool: the episode ended with a complete lap

    # Skid marks, drawn by `render` only; a ring whose oldest line is overwritten.
    skid_points: Array  # (lanes, SKID_LINES, SKID_POINTS, 2) float32
    skid_counts: Array  # (lanes, SKID_LINES) int8: points of each line, 0 for none
    skid_grass: Array  # (lanes, SKID_LINES) bool: drawn in the colour of mud
    skid_next: Array  # (lanes,) int32: lines begun in this episode; the ring's next slot is this modulo SKID_LINES
    skid_line: Array  # (lanes, 4) int32: the line each wheel is drawing (its number in order of beginning), or -1
    skid_start: Array  # (lanes, 4, 2) float32: where a line would begin; NaN for none


def allocate(lanes: int) -> State:
    """The zeroed arrays of a batch."""

    def field(*shape: int, dtype: type = np.float32) -> Array:
        return np.zeros((lanes, *shape), dtype)

    return State(
        tiles=field(dtype=np.int32),
        points=field(CAPACITY, 3, dtype=np.float64),
        edges=field(CAPACITY, 8, dtype=np.float64),
        kerbs=field(CAPACITY, dtype=np.int8),
        sensors=field(CAPACITY, 4, 2),
        colors=field(3, 3, dtype=np.float64),
        boxes=field(4, CAPACITY),
        touching=field(CAPACITY, dtype=np.uint8),
        shaded=field(CAPACITY, dtype=np.bool_),
        visited=field(CAPACITY, dtype=np.bool_),
        visits=field(dtype=np.int32),
        grip=field(4, dtype=np.bool_),
        new_lap=field(dtype=np.bool_),
        center=field(5, 2),
        angle=field(5),
        velocity=field(5, 2),
        spin=field(5),
        position=field(5, 2),
        rotation=field(5, 2),
        impulse=field(4, 3),
        motor_impulse=field(4),
        limit=field(4, dtype=np.int8),
        sleep_time=field(5),
        awake=field(dtype=np.bool_),
        steer=field(dtype=np.float64),
        gas=field(dtype=np.float64),
        brake=field(dtype=np.float64),
        omega=field(4, dtype=np.float64),
        phase=field(4, dtype=np.float64),
        time=field(dtype=np.float64),
        reward=field(dtype=np.float64),
        shown_reward=field(dtype=np.float64),
        paid_reward=field(dtype=np.float64),
        lap_finished=field(dtype=np.bool_),
        skid_points=field(SKID_LINES, SKID_POINTS, 2),
        skid_counts=field(SKID_LINES, dtype=np.int8),
        skid_grass=field(SKID_LINES, dtype=np.bool_),
        skid_next=field(dtype=np.int32),
        skid_line=field(4, dtype=np.int32),
        skid_start=field(4, 2),
    )

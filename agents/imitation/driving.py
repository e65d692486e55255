"""Compiled driving: a racing line and its speeds for every track, and controls that follow them.

A plan is an array ``(points, 4)``: x, y (m), signed curvature (1/m, left is positive) and speed (m/s) at each point of
the track. Angles and axes are those of `envs.car_racing.state`. The car's numbers are those of its tyre law: a tyre
pushes with STIFFNESS times its slip (the speed of the tread over the ground), GRIP at most.
"""

import math
from typing import Any, NamedTuple

from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

X, Y, CURVATURE, SPEED = 0, 1, 2, 3  # columns of a plan

MASS = 7.3  # kg, hull and wheels
WHEELBASE = 3.24  # m
TRACK = 1.1  # m from the middle of the car to its wheels
RADIUS = 0.54  # m, of a wheel
STIFFNESS = 82.0  # N s/m
GRIP = 400.0  # N, of one tyre on the road
ENGINE = 500.0  # rad^2/s^2: a step of full gas adds ENGINE / (omega + 5) to a rear wheel's rolling speed
BRAKES = 15.0  # rad/s: what a step of full brake takes from every wheel's
LOCK = 0.4  # rad, the front wheels' largest angle
TURN = 0.06  # rad, the front wheels' largest turn in one step
TOP_SPEED = 100.0  # m/s: the physics lets no body move faster
ROAD = 6.7  # m from the middle of the road to the grass
GRASS_GRIP = 0.4  # of the road's, with a margin

SWEEPS = 120  # of the relaxation
OVERRELAXATION = 1.7

SPEED_GAIN = 13.0  # 1/s: acceleration asked for per m/s of missing speed
BRAKE_LIMIT = 0.3  # more locks the wheels

# The seven classes, as in `envs.car_racing.env.BOOK_ACTIONS`.
NOTHING, LEFT, LEFT_BRAKE, RIGHT, RIGHT_BRAKE, GAS, BRAKE = range(7)
STEER_DEAD_BAND = 0.02  # rad: how far the front wheels may miss the wanted angle before full lock is applied
GAS_DEAD_BAND = 0.075  # rad: the same while there is speed to gain, since steering interrupts the gas
SPIN_SLIP = 11.5  # m/s by which the rear wheels may run ahead of the car under gas
BRAKE_SLIP = 4.4  # m/s by which the wheels may lag behind the car under the brake
EXCESS_SPEED = 0.5  # m/s above the plan before the brake is applied


class Sight(NamedTuple):
    """What a driver sees of a batch of cars: fields of `envs.car_racing.state.State`."""

    tiles: Array  # (lanes,) int32
    points: Array  # (lanes, points, 3) float64
    center: Array  # (lanes, 5, 2) float32
    angle: Array  # (lanes, 5) float32
    velocity: Array  # (lanes, 5, 2) float32
    spin: Array  # (lanes, 5) float32
    omega: Array  # (lanes, 4) float64


class Style(NamedTuple):
    """How a driver plans and looks ahead."""

    reach: float  # m that the racing line may leave the middle of the road
    lateral: float  # m/s^2 of acceleration across the line in bends
    braking: float  # m/s^2 of deceleration along it
    look: float  # m ahead of the car that it steers for, at rest
    look_time: float  # s more of that, times the speed
    delay: float  # s until steering acts: the pursuit starts from where the car will be then
    lead: float  # s ahead that the plan's speed is read
    top_speed: float = TOP_SPEED  # m/s


@njit(cache=True, nogil=True)
def racing_line(points: Array, reach: float, plan: Array) -> None:
    """Write x and y of the line of least squared curvature within ``reach`` of the track's points ``(n, 3)``.

    The line starts in the middle of the road, as the car does, and ends freely. Point i lies at the offset e_i along
    the track's normal n_i; its curvature is k_i = n_i . (p_(i-1) - 2 p_i + p_(i+1)) / h_i^2 for the spacing h_i.
    Coordinate by coordinate, e_i goes to the minimum of sum_i h_i k_i^2, over-relaxed and clipped to the road.
    """
    n = len(points)
    normal, offset = points[:, :2].copy(), points[:, 0] * 0.0
    weight = offset + 1.0  # 1 / h_i^2
    curvature = offset.copy()
    for i in range(n):
        normal[i, X], normal[i, Y] = math.cos(points[i, 0]), math.sin(points[i, 0])
        plan[i, X], plan[i, Y] = points[i, 1], points[i, 2]
    for sweep in range(SWEEPS):
        if sweep % 20 == 0:
            for i in range(1, n - 1):
                before = math.hypot(plan[i, X] - plan[i - 1, X], plan[i, Y] - plan[i - 1, Y])
                after = math.hypot(plan[i + 1, X] - plan[i, X], plan[i + 1, Y] - plan[i, Y])
                weight[i] = 1 / max(0.5 * (before + after), 1.0) ** 2
                across = normal[i, X] * (plan[i - 1, X] - 2 * plan[i, X] + plan[i + 1, X])
                across += normal[i, Y] * (plan[i - 1, Y] - 2 * plan[i, Y] + plan[i + 1, Y])
                curvature[i] = across * weight[i]
        for i in range(2, n):
            slope, bend = 0.0, 0.0  # half the first and second derivative of the sum by e_i
            for j in range(max(i - 1, 1), min(i + 2, n - 1)):
                turn = -2.0 if j == i else normal[i, X] * normal[j, X] + normal[i, Y] * normal[j, Y]
                turn *= weight[j]  # dk_j / de_i
                slope += curvature[j] * turn / math.sqrt(weight[j])
                bend += turn * turn / math.sqrt(weight[j])
            moved = min(max(offset[i] - OVERRELAXATION * slope / bend, -reach), reach) - offset[i]
            offset[i] += moved
            for j in range(max(i - 1, 1), min(i + 2, n - 1)):
                turn = -2.0 if j == i else normal[i, X] * normal[j, X] + normal[i, Y] * normal[j, Y]
                curvature[j] += moved * turn * weight[j]
            plan[i, X], plan[i, Y] = points[i, 1] + offset[i] * normal[i, X], points[i, 2] + offset[i] * normal[i, Y]


@njit(cache=True, nogil=True)
def speed_profile(lateral: float, braking: float, top_speed: float, plan: Array) -> None:
    """Write the curvature of the line and the speeds that its bends and the way to them allow.

    The tyres hold |(a_along / braking, a_across / lateral)| <= 1 with a_across = v^2 |k|. The end is open.
    """
    n = len(plan)
    plan[0, CURVATURE] = plan[n - 1, CURVATURE] = 0.0
    for i in range(1, n - 1):
        ax, ay = plan[i, X] - plan[i - 1, X], plan[i, Y] - plan[i - 1, Y]
        bx, by = plan[i + 1, X] - plan[i, X], plan[i + 1, Y] - plan[i, Y]
        sides = math.hypot(ax, ay) * math.hypot(bx, by) * math.hypot(ax + bx, ay + by)
        plan[i, CURVATURE] = 2 * (ax * by - ay * bx) / sides  # of the circle through three points
    plan[n - 1, SPEED] = top_speed
    for i in range(n - 2, -1, -1):
        bend = abs(plan[i, CURVATURE])
        corner = lateral / max(bend, 1e-9)  # v^2 = a_across / |k|
        after = plan[i + 1, SPEED] ** 2
        across = min(after * max(bend, abs(plan[i + 1, CURVATURE])) / lateral, 1.0)
        along = braking * math.sqrt(1 - across * across)
        way = math.hypot(plan[i + 1, X] - plan[i, X], plan[i + 1, Y] - plan[i, Y])
        plan[i, SPEED] = min(math.sqrt(min(corner, after + 2 * along * way)), top_speed)  # v^2 = v'^2 + 2 a s


@njit(cache=True, nogil=True)
def make_plans(sight: Sight, lanes: Array, style: Style, plans: Array, progress: Array) -> None:
    """Plan the track of every lane where ``lanes``, and set its progress to the start."""
    for lane in range(len(lanes)):
        if lanes[lane]:
            n = sight.tiles[lane]
            racing_line(sight.points[lane, :n], style.reach, plans[lane, :n])
            speed_profile(style.lateral, style.braking, style.top_speed, plans[lane, :n])
            progress[lane] = 0


@njit(cache=True, nogil=True)
def nearest(plan: Array, x: float, y: float, first: int, count: int) -> int:
    """The point nearest to (x, y) among ``count`` from ``first`` on, around the track."""
    best, least = 0, math.inf
    for k in range(first, first + count):
        i = k % len(plan)
        distance = (plan[i, X] - x) ** 2 + (plan[i, Y] - y) ** 2
        if distance < least:
            best, least = i, distance
    return best


@njit(cache=True, nogil=True)
def ahead(plan: Array, i: int, x: float, y: float, distance: float) -> tuple[int, float]:
    """The place on the line that lies ``distance`` after the foot of (x, y) near point i.

    Returns its segment and the fraction of it; past the end the last segment goes on straight.
    """
    i = min(i, len(plan) - 2)
    dx, dy = plan[i + 1, X] - plan[i, X], plan[i + 1, Y] - plan[i, Y]
    length = math.hypot(dx, dy)
    rest = ((x - plan[i, X]) * dx + (y - plan[i, Y]) * dy) / length + distance
    while rest > length and i < len(plan) - 2:
        rest -= length
        i += 1
        length = math.hypot(plan[i + 1, X] - plan[i, X], plan[i + 1, Y] - plan[i, Y])
    return i, rest / length


@njit(cache=True, nogil=True)
def pursue(sight: Sight, lane: int, style: Style, plan: Array, progress: Array) -> tuple[float, float]:
    """Wanted angle of the front wheels (rad, left is positive) and wanted speed (m/s); moves ``progress`` on."""
    x, y = sight.center[lane, 0, 0], sight.center[lane, 0, 1]
    vx, vy = sight.velocity[lane, 0, 0], sight.velocity[lane, 0, 1]
    forward_x, forward_y = -math.sin(sight.angle[lane, 0]), math.cos(sight.angle[lane, 0])
    speed = math.hypot(vx, vy)

    i = nearest(plan, x, y, progress[lane] - 3, 16)
    if math.hypot(plan[i, X] - x, plan[i, Y] - y) > 3 * ROAD:  # lost: back to the road by the shortest way
        i = nearest(plan, x, y, 0, len(plan))
    progress[lane] = i
    segment, part = ahead(plan, i, x, y, speed * style.lead)
    part = min(max(part, 0.0), 1.0)
    limit = plan[segment, SPEED] + part * (plan[segment + 1, SPEED] - plan[segment, SPEED])

    # The circle from where the car will be, along its way, through the point to steer for: k = 2 sin(eta) / distance.
    x, y = x + vx * style.delay, y + vy * style.delay
    way_x, way_y = forward_x, forward_y
    if vx * forward_x + vy * forward_y > 5:
        way_x, way_y = vx / speed, vy / speed
    turned = sight.spin[lane, 0] * style.delay
    cos, sin = math.cos(turned), math.sin(turned)
    way_x, way_y = way_x * cos - way_y * sin, way_x * sin + way_y * cos
    i = nearest(plan, x, y, i - 3, 16)
    segment, part = ahead(plan, i, x, y, style.look + style.look_time * speed)
    dx = plan[segment, X] + part * (plan[segment + 1, X] - plan[segment, X]) - x
    dy = plan[segment, Y] + part * (plan[segment + 1, Y] - plan[segment, Y]) - y
    across = way_x * dy - way_y * dx
    curvature = 2 * across / max(dx * dx + dy * dy, 1.0)
    tightest = math.tan(LOCK) / WHEELBASE
    if way_x * dx + way_y * dy < 0 or abs(curvature) > tightest:  # behind, or too close
        curvature = math.copysign(tightest, across)

    points = sight.points[lane]
    off = math.hypot(points[i, 1] - x, points[i, 2] - y) > ROAD + 1
    hold = 4 * GRIP / MASS * (GRASS_GRIP if off else 1.0)  # m/s^2
    limit = min(limit, math.sqrt(hold / max(abs(curvature), 1e-9)))
    return math.atan(WHEELBASE * curvature), limit


@njit(cache=True, nogil=True)
def drive(sight: Sight, style: Style, plans: Array, progress: Array, actions: Array) -> None:
    """Write steering (-1 left, 1 right), gas and brake ``(lanes, 3)``."""
    for lane in range(len(actions)):
        steer, limit = pursue(sight, lane, style, plans[lane, : sight.tiles[lane]], progress)
        vx, vy = sight.velocity[lane, 0, 0], sight.velocity[lane, 0, 1]
        spin, omega = sight.spin[lane, 0], sight.omega[lane]
        forward = -math.sin(sight.angle[lane, 0]) * vx + math.cos(sight.angle[lane, 0]) * vy
        speed = math.hypot(vx, vy)
        # What the bend leaves of the tyres' grip: a_across = v * spin.
        across = min(abs(speed * spin) * MASS / 4, GRIP)
        along = math.sqrt(GRIP * GRIP - across * across)
        wanted = SPEED_GAIN * (limit - speed) * MASS  # N
        gas = brake = 0.0
        if wanted > 0:
            # The rolling speed that makes the slip which makes the force, for the rear wheel that needs less gas.
            slip = min(wanted / 2, along) / STIFFNESS
            left = ((forward - TRACK * spin + slip) / RADIUS - omega[2]) * (abs(omega[2]) + 5)
            right = ((forward + TRACK * spin + slip) / RADIUS - omega[3]) * (abs(omega[3]) + 5)
            gas = min(max(min(left, right) / ENGINE, 0.0), 1.0)
        else:
            slip = min(-wanted / 4, along) / STIFFNESS
            rolling = (omega[0] + omega[1] + omega[2] + omega[3]) / 4
            brake = min(max((rolling - (forward - slip) / RADIUS) / BRAKES, 0.0), BRAKE_LIMIT)
        actions[lane, 0], actions[lane, 1], actions[lane, 2] = -steer, gas, brake


@njit(cache=True, nogil=True)
def choose(sight: Sight, style: Style, plans: Array, progress: Array, actions: Array) -> None:
    """Write the class ``(lanes,)`` that brings the front wheels and the speed closest to what is wanted.

    Full lock turns the wheels by TURN a step, any other class lets them go back as far: pulses of lock make every
    angle between. Gas and steering exclude each other, and gas builds up over ten steps; so steering waits for a
    larger error where there is speed to gain.
    """
    for lane in range(len(actions)):
        steer, limit = pursue(sight, lane, style, plans[lane, : sight.tiles[lane]], progress)
        vx, vy = sight.velocity[lane, 0, 0], sight.velocity[lane, 0, 1]
        omega = sight.omega[lane]
        forward = -math.sin(sight.angle[lane, 0]) * vx + math.cos(sight.angle[lane, 0]) * vy
        speed = math.hypot(vx, vy)
        front = (sight.angle[lane, 1] + sight.angle[lane, 2]) / 2 - sight.angle[lane, 0]
        released = front - math.copysign(min(abs(front), TURN), front)
        band = GAS_DEAD_BAND if limit > speed else STEER_DEAD_BAND
        spin_slip = RADIUS * (omega[2] + omega[3]) / 2 - forward
        brake_slip = forward - RADIUS * (omega[0] + omega[1] + omega[2] + omega[3]) / 4
        brake = speed > limit + EXCESS_SPEED and brake_slip < BRAKE_SLIP
        if steer > released + band:
            actions[lane] = LEFT_BRAKE if brake else LEFT
        elif steer < released - band:
            actions[lane] = RIGHT_BRAKE if brake else RIGHT
        elif brake:
            actions[lane] = BRAKE
        elif limit > speed and spin_slip < SPIN_SLIP:
            actions[lane] = GAS
        else:
            actions[lane] = NOTHING

"""A scripted driver for CarRacing: pure pursuit of a racing line, at the speed that the bends ahead allow.

It reads the true state, not the picture, so that it can teach (labels for cloning and DAgger) and be measured against:
on our batches, and on Gymnasium's own ``CarRacing-v3``. Source of the steering: Coulter, "Implementation of the Pure
Pursuit Path Tracking Algorithm" (1992).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.imitation.driving import Sight, Style, choose, drive, make_plans
from envs.car_racing.state import CAPACITY
from supervised.training.errors import UserError

Array = NDArray[Any]

# Found by searching on tracks of training seeds. Full lock in pulses needs a longer look ahead.
FAST = {
    "continuous": Style(reach=4.4, lateral=175, braking=200, look=6.7, look_time=0.17, delay=0.036, lead=0.05),
    "book": Style(reach=5.1, lateral=190, braking=160, look=6, look_time=0.145, delay=0.036, lead=0.003),
}
#: how the expert drives: "fast" for the return; "calm" for whoever learns from it, with room for mistakes
STYLES = {
    "fast": FAST,
    "calm": {
        "continuous": FAST["continuous"]._replace(reach=3.0, lateral=110.0, braking=110.0, top_speed=80.0),
        "book": FAST["book"]._replace(reach=3.5, lateral=150.0, braking=120.0, top_speed=80.0),
    },
}


class Expert:
    """Drives every lane of a CarRacing environment.

    Args:
        env: a batch or a single environment of ours, or Gymnasium's ``CarRacing-v3`` (1.4.0), wrapped or not. It is
            read at every `act` and never changed.
        actions: "continuous": steering, gas and brake; "book": the seven classes, which give no gas while steering.
        style: "fast", or "calm".

    Raises:
        UserError: other ``actions`` or ``style``, or an environment without a car.
    """

    def __init__(self, env: Any, actions: str = "continuous", style: str = "fast") -> None:
        if actions not in FAST:
            raise UserError(f"actions={actions!r}: the expert drives with one of {list(FAST)}")
        if style not in STYLES:
            raise UserError(f"style={style!r}: the expert drives in one of {list(STYLES)}")
        self._env = getattr(env.unwrapped, "batch", env.unwrapped)
        if not hasattr(self._env, "car") and "omega" not in getattr(self._env, "fields", ()):
            raise UserError(f"{self._env}: the expert drives CarRacing only")
        self.actions, self._style = actions, STYLES[style][actions]
        lanes = getattr(self._env, "num_envs", 1)
        self._plans = np.zeros((lanes, CAPACITY, 4))
        self._starts = np.zeros((lanes, 4, 3))  # the first points of the tracks that the plans are for
        self._progress = np.zeros(lanes, np.int64)

    def act(self, observations: Any = None, deterministic: bool = True) -> Array:
        """Actions for the present state: ``(lanes, 3)`` float32, or ``(lanes,)`` int64 classes.

        ``observations`` and ``deterministic`` are those of any policy, and ignored.
        """
        time, sight = see(self._env)
        # A new episode: its reset has made one step of 0.02 s.
        fresh = (time < 0.03) | (self._starts != sight.points[:, :4]).any(axis=(1, 2))
        if fresh.any():
            self._starts[fresh] = sight.points[fresh, :4]
            make_plans(sight, fresh, self._style, self._plans, self._progress)
        if self.actions == "book":
            classes = np.empty(len(time), np.int64)
            choose(sight, self._style, self._plans, self._progress, classes)
            return classes
        controls = np.empty((len(time), 3), np.float32)
        drive(sight, self._style, self._plans, self._progress, controls)
        return controls


def see(env: Any) -> tuple[Array, Sight]:
    """Time of the episode ``(lanes,)`` (s) and what the driver sees, of our batch or Gymnasium's environment."""
    if hasattr(env, "fields"):
        return env.fields["time"], Sight(*(env.fields[name] for name in Sight._fields))
    points = np.zeros((1, CAPACITY, 3))
    points[0, : len(env.track)] = np.array(env.track)[:, 1:]
    bodies = [env.car.hull, *env.car.wheels]
    return np.array([env.t]), Sight(
        tiles=np.array([len(env.track)], np.int32),
        points=points,
        center=np.array([[tuple(body.worldCenter) for body in bodies]], np.float32),
        angle=np.array([[body.angle for body in bodies]], np.float32),
        velocity=np.array([[tuple(body.linearVelocity) for body in bodies]], np.float32),
        spin=np.array([[body.angularVelocity for body in bodies]], np.float32),
        omega=np.array([[wheel.omega for wheel in env.car.wheels]], np.float64),
    )

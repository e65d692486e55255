"""Mountain car: swing an underpowered car out of a valley."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.batched import Array, BatchedEnv, Lanes
from envs.control import dynamics
from envs.single import SingleEnv


class MountainCar(BatchedEnv):
    """A car too weak to climb a hill must first back up the opposite slope (Sutton & Barto, example 10.1).

    Gymnasium's constants and draws: the same seed gives the same start, and the same actions the same episode.

    ## Actions: ``Discrete(3)``
    | action | meaning |
    |---|---|
    | 0 | accelerate to the left |
    | 1 | coast |
    | 2 | accelerate to the right |

    ## Observations: ``Box((2,), float32)``
    | index | meaning | range |
    |---|---|---|
    | 0 | position along the track | -1.2 ... 0.6 |
    | 1 | velocity, per step | -0.07 ... 0.07 |

    ## Reward
    -1 a step.

    ## Episode
    Starts at rest, with the position uniform in [-0.6, -0.4), or at ``reset(options={"state": s})`` with ``s`` of
    shape ``(2,)`` or ``(lanes, 2)``. Terminates at position 0.5; is truncated after ``max_episode_steps`` (200).

    ## Keywords
    Those of `envs.batched.BatchedEnv`.

    ## Versions
    v0: as Gymnasium's ``MountainCar-v0``.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 30}

    def __init__(self, num_envs: int = 1, *, max_episode_steps: int | None = 200, **kwargs: Any) -> None:
        low, high = np.array([-1.2, -0.07], np.float32), np.array([0.6, 0.07], np.float32)
        super().__init__(
            num_envs,
            gym.spaces.Box(low, high, dtype=np.float32),
            gym.spaces.Discrete(3),
            {"position": np.zeros(num_envs), "velocity": np.zeros(num_envs)},
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        dynamics.step_mountain_car(*lanes.fields, actions, lanes.ended, lanes.rewards, lanes.terminated)

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        if "state" in options:
            start = np.asarray(options["state"], np.float64)
            if start.shape not in {(2,), (self.num_envs, 2)}:
                raise ValueError(f"state has shape {start.shape}: give (2,) or {(self.num_envs, 2)}")
            place, speed = start[..., 0], start[..., 1]
            if not ((-1.2 <= place) & (place < 0.5) & (np.abs(speed) <= 0.07)).all():
                raise ValueError("state: a start has -1.2 <= position < 0.5 and |velocity| <= 0.07")
        dynamics.reset_mountain_car(*lanes.fields, mask, lanes.rng)
        if "state" in options:
            for field, values in zip(lanes.fields, np.broadcast_to(start, (self.num_envs, 2)).T, strict=True):
                field[mask] = values[mask]

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        dynamics.observe_mountain_car(*lanes.fields, out)

    def _render_lane(self, lane: int) -> NDArray[np.uint8]:
        from envs.drawing import Canvas

        def height(position: Any) -> Any:
            return (np.sin(3 * position) * 0.45 + 0.55) * 333 + 10

        def column(position: Any) -> Any:
            return (position + 1.2) * 600 / 1.8

        canvas = Canvas(600, 400)
        positions = np.linspace(-1.2, 0.6, 121)
        ground = list(zip(column(positions), height(positions), strict=True))
        canvas.polygon([(0, 0), *ground, (600, 0)], (222, 229, 214))
        canvas.line(ground, (86, 110, 72), 3)
        flag = (float(column(0.5)), float(height(0.5)))
        canvas.line([flag, (flag[0], flag[1] + 50)], (60, 60, 60), 2)
        canvas.polygon([(flag[0], flag[1] + 50), (flag[0] + 25, flag[1] + 42), (flag[0], flag[1] + 34)], (204, 60, 52))

        position = float(self.fields["position"][lane])
        slope = np.arctan(np.cos(3 * position) * 3 * 0.45 * 333 / (600 / 1.8))
        along, up = np.array([np.cos(slope), np.sin(slope)]), np.array([-np.sin(slope), np.cos(slope)])
        foot = np.array([column(position), height(position)])
        for offset in (-11, 11):
            canvas.circle(tuple(foot + along * offset + up * 6), 6, (50, 50, 50))
        body = [foot + along * a + up * b for a, b in ((-20, 9), (-20, 20), (-8, 28), (10, 28), (20, 18), (20, 9))]
        canvas.polygon(body, (38, 50, 72))
        return canvas.array()


class MountainCarEnv(SingleEnv):
    batched = MountainCar

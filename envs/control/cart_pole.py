"""Cart-pole: balance a pole on a cart by pushing the cart left or right."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.batched import Array, BatchedEnv, Lanes
from envs.control import dynamics
from envs.single import SingleEnv


class CartPole(BatchedEnv):
    """A pole is hinged to a cart on a track; pushes on the cart must keep it upright.

    The task of Barto, Sutton & Anderson (1983) with Gymnasium's constants and draws: the same seed gives the
    same start, and the same actions the same episode.

    ## Actions: ``Discrete(2)``
    | action | meaning |
    |---|---|
    | 0 | push the cart to the left with 10 N |
    | 1 | push the cart to the right with 10 N |

    ## Observations: ``Box((4,), float32)``
    | index | meaning | unit | an episode lives within |
    |---|---|---|---|
    | 0 | position of the cart | m | -2.4 ... 2.4 |
    | 1 | velocity of the cart | m/s | unbounded |
    | 2 | angle of the pole from upright, clockwise | rad | -0.2095 ... 0.2095 (12 degrees) |
    | 3 | angular velocity of the pole | rad/s | unbounded |

    With ``velocities=False`` only position and angle are seen, ``Box((2,), float32)``: the state is then hidden,
    and an agent needs memory.

    ## Reward
    1 a step, the one that ends the episode included.

    ## Episode
    Starts with all four variables uniform in [-0.05, 0.05), or at ``reset(options={"state": s})`` with ``s`` of
    shape ``(4,)`` or ``(lanes, 4)``. Terminates when the cart leaves +-2.4 m or the pole +-12 degrees; is
    truncated after ``max_episode_steps``: 200 in v0, 500 in v1.

    ## Keywords
    ``velocities=True``; and those of `envs.batched.BatchedEnv`.

    ## Versions
    v0: 200 steps. v1: 500 steps. Both as Gymnasium's ``CartPole`` of the same version.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": 50}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        velocities: bool = True,
        max_episode_steps: int | None = 500,
        **kwargs: Any,
    ) -> None:
        # twice the limits, so that the observation that ends an episode lies within, as in Gymnasium
        bounds = [2 * dynamics.POSITION_LIMIT, np.inf, 2 * dynamics.ANGLE_LIMIT, np.inf]
        high = np.array(bounds if velocities else bounds[::2], np.float32)
        super().__init__(
            num_envs,
            gym.spaces.Box(-high, high, dtype=np.float32),
            gym.spaces.Discrete(2),
            {name: np.zeros(num_envs) for name in ("x", "x_dot", "theta", "theta_dot")},
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        dynamics.step_cart_pole(*lanes.fields, actions, lanes.ended, lanes.rewards, lanes.terminated)

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        if "state" in options:
            start = np.asarray(options["state"], np.float64)
            if start.shape not in {(4,), (self.num_envs, 4)}:
                raise ValueError(f"state has shape {start.shape}: give (4,) or {(self.num_envs, 4)}")
            inside = np.abs(start[..., ::2]) <= (dynamics.POSITION_LIMIT, dynamics.ANGLE_LIMIT)
            if not (inside.all() and np.isfinite(start).all()):
                raise ValueError("state: a start is finite, and lies within +-2.4 m and +-0.2095 rad")
        dynamics.reset_cart_pole(*lanes.fields, mask, lanes.rng)
        if "state" in options:
            for field, values in zip(lanes.fields, np.broadcast_to(start, (self.num_envs, 4)).T, strict=True):
                field[mask] = values[mask]

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        dynamics.observe_cart_pole(*lanes.fields, out)

    def _render_lane(self, lane: int) -> NDArray[np.uint8]:
        from envs.drawing import Canvas

        x, theta = float(self.fields["x"][lane]), float(self.fields["theta"][lane])
        canvas = Canvas(600, 400)
        scale = 600 / (2 * dynamics.POSITION_LIMIT)  # pixels a metre
        middle, rail = 300 + x * scale, 100
        canvas.line([(0, rail), (600, rail)], (150, 150, 150), 2)
        canvas.polygon(
            [
                (middle - 30, rail - 15),
                (middle - 30, rail + 15),
                (middle + 30, rail + 15),
                (middle + 30, rail - 15),
            ],
            (38, 50, 72),
        )
        along = np.array([np.sin(theta), np.cos(theta)])
        across = np.array([along[1], -along[0]]) * 5
        hinge = np.array([middle, rail + 10])
        tip = hinge + along * scale * 2 * dynamics.HALF_LENGTH
        canvas.polygon([hinge - across, hinge + across, tip + across, tip - across], (214, 122, 62))
        canvas.circle((hinge[0], hinge[1]), 6, (240, 240, 240))
        return canvas.array()


class CartPoleEnv(SingleEnv):
    batched = CartPole

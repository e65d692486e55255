"""CarRacing: a race car on a random track, seen from above, from the driver's seat, or through its true state."""

import sys
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.batched import Array, BatchedEnv, Lanes
from envs.car_racing import camera, fast, features, picture, raster, rules
from envs.car_racing.state import State, allocate
from envs.pixels import to_gray
from envs.single import SingleEnv
from envs.threads import shares

# Steering (-1 left, 1 right), gas and brake of every discrete action.
DISCRETE_ACTIONS = np.array([[0, 0, 0], [0.6, 0, 0], [-0.6, 0, 0], [0, 0.2, 0], [0, 0, 0.8]])
BOOK_BRAKE = 0.3
BOOK_ACTIONS = np.array(
    [[0, 0, 0], [-1, 0, 0], [-1, 0, BOOK_BRAKE], [1, 0, 0], [1, 0, BOOK_BRAKE], [0, 1, 0], [0, 0, BOOK_BRAKE]]
)

ACTIONS = {"continuous": None, "discrete": DISCRETE_ACTIONS, "book": BOOK_ACTIONS}
OBSERVATIONS = ("rgb", "gray", "state", "segmentation", "alvinn", "none")
CAMERAS = {"top": (96, 96), "driver": camera.DRIVER_SHAPE}
RENDERERS = ("exact", "fast")
LAP_RULES = ("gymnasium", "fixed")
CARS_PER_THREAD = 8  # at least: fewer do not fill the blocks that the solver takes side by side


class CarRacing(BatchedEnv):
    """A race car on a random closed track: drive over all of its tiles, quickly.

    Gymnasium's ``CarRacing-v3`` (version 1.4.0), without Box2D and pygame: on x86-64 Linux tracks, physics, rewards
    and, with ``renderer="exact"``, every pixel of the pictures are the same, bit for bit. The car is powerful and
    has rear-wheel drive: do not accelerate and turn at the same time. One step is 0.02 s.

    ## Actions
    ``actions="continuous"`` (default): ``Box([-1, 0, 0], [1, 1, 1], (3,), float32)``
    | index | meaning | range |
    |---|---|---|
    | 0 | steering | -1 (full left) ... 1 (full right) |
    | 1 | gas | 0 ... 1; its rise is limited to 0.1 a step |
    | 2 | brake | 0 ... 1; from 0.9 on the wheels block |

    ``actions="discrete"``: ``Discrete(5)``
    | action | meaning | steering, gas, brake |
    |---|---|---|
    | 0 | nothing | 0, 0, 0 |
    | 1 | steer right | 0.6, 0, 0 |
    | 2 | steer left | -0.6, 0, 0 |
    | 3 | gas | 0, 0.2, 0 |
    | 4 | brake | 0, 0, 0.8 |

    ``actions="book"``: ``Discrete(7)``, the classes of *Python Deep Learning* (2nd ed.), chapter 10
    | action | meaning | steering, gas, brake |
    |---|---|---|
    | 0 | nothing | 0, 0, 0 |
    | 1 | left | -1, 0, 0 |
    | 2 | left and brake | -1, 0, 0.3 |
    | 3 | right | 1, 0, 0 |
    | 4 | right and brake | 1, 0, 0.3 |
    | 5 | gas | 0, 1, 0 |
    | 6 | brake | 0, 0, 0.3 |

    ## Observations
    | ``observation`` | what | space |
    |---|---|---|
    | "rgb" (default) | the picture of the ``camera`` | ``Box((96, 96, 3), uint8)``, driver ``(66, 200, 3)`` |
    | "gray" | the same in gray (ITU-R 601) | ``Box((96, 96), uint8)``, driver ``(66, 200)`` |
    | "segmentation" | class of every pixel: 0 grass, 1 road, 2 kerb, 3 car, 4 panel, 5 sky | as "gray" |
    | "alvinn" | ALVINN's retina: 30 rows of camera over 8 of range finder | ``Box((38, 32), uint8)`` |
    | "state" | the true state, see below | ``Box((36,), float32)`` |
    | "none" | nothing, for whoever reads `fields` | ``Box((0,), float32)`` |

    The car's axes are right and forward. The entries of "state":
    | index | meaning | unit |
    |---|---|---|
    | 0, 1 | place of the hull | m |
    | 2, 3 | sine and cosine of its angle (0 heads up, counter-clockwise) | |
    | 4, 5 | velocity to the right and forward | m/s |
    | 6 | angular velocity | rad/s |
    | 7 | mean angle of the front wheels | rad |
    | 8 to 11 | rolling speed of the wheels front-left, front-right, rear-left, rear-right | rad/s |
    | 12 | gas, after the limit on its rise | |
    | 13 | distance from the middle of the road, right is positive | m |
    | 14 | angle between the car and the road | rad |
    | 15 | share of the tiles visited | |
    | 16 to 35 | place (right, forward) of the track's points 1, 2, 3, 4, 6, 8, 11, 14, 18, 22 tiles ahead | m |

    ## Reward
    -0.1 a step, and 1000/N for each of the track's N tiles at the first touch of a wheel; -100 for the step that
    leaves the field. The tiles under the car at the start are paid with the first step.

    ## Episode
    Terminates when every tile has been visited or the lap rule says that a lap is complete
    (``info["lap_finished"]`` is True), or when the car leaves the field of 667 m x 667 m (it is False). Truncated
    after ``max_episode_steps`` (1000) steps of 0.02 s.

    ## Keywords
    Those of `envs.batched.BatchedEnv`, and
    - ``actions``, ``observation``: see above; Gymnasium's ``continuous=`` may stand for ``actions=``.
    - ``camera``: "top" (default) or "driver", the view forward from the car.
    - ``renderer``: "exact" (default): Gymnasium's picture; "fast": nearly the same, many times faster.
    - ``lap_rule``: "gymnasium" (default): a lap counts only if the first tile is touched for the first time after
      ``lap_complete_percent`` of the tiles, which cannot happen as the car starts on it; so every tile must be
      visited. "fixed": any touch of the first tile counts.
    - ``lap_complete_percent``: share of the tiles, default 0.95.
    - ``domain_randomize``: new colours at every reset, unless ``reset(options={"randomize": False})``.
    - ``action_repeat``: steps of 0.02 s in one call of `step`; the rewards are summed, only the last is drawn.
    - ``render_mode``: "rgb_array" (400, 600, 3), "state_pixels" (96, 96, 3) or "human", a window (needs pygame-ce).

    ## Versions
    v0: as Gymnasium 1.4.0's ``CarRacing-v3``.
    """

    metadata = {**BatchedEnv.metadata, "render_modes": ["human", "rgb_array", "state_pixels"], "render_fps": 50}
    lanes_per_thread = sys.maxsize  # the kernels share their lanes among threads themselves

    def __init__(
        self,
        num_envs: int = 1,
        *,
        actions: str | None = None,
        continuous: bool | None = None,
        observation: str = "rgb",
        camera: str = "top",
        renderer: str = "exact",
        lap_rule: str = "gymnasium",
        lap_complete_percent: float = 0.95,
        domain_randomize: bool = False,
        action_repeat: int = 1,
        max_episode_steps: int | None = 1000,
        **kwargs: Any,
    ) -> None:
        if continuous is not None:
            asked = "continuous" if continuous else "discrete"
            if actions not in (None, asked):
                raise ValueError(f"continuous={continuous} and actions={actions!r} disagree: leave continuous out")
            actions = asked
        actions = "continuous" if actions is None else actions
        for name, value, known in (
            ("actions", actions, ACTIONS),
            ("observation", observation, OBSERVATIONS),
            ("camera", camera, CAMERAS),
            ("renderer", renderer, RENDERERS),
            ("lap_rule", lap_rule, LAP_RULES),
        ):
            if value not in known:
                raise ValueError(f"{name}={value!r}: use one of {list(known)}")
        if not 0 < lap_complete_percent <= 1:
            raise ValueError(f"lap_complete_percent={lap_complete_percent}: use a share above 0, at most 1")
        if action_repeat < 1:
            raise ValueError(f"action_repeat={action_repeat}: use 1 or more")
        self.observation, self.camera, self.renderer = observation, camera, renderer
        self.domain_randomize, self.action_repeat = domain_randomize, action_repeat
        self._table = ACTIONS[actions]
        self._rules = rules.Rules(lap_complete_percent, lap_rule == "fixed")
        super().__init__(
            num_envs,
            _observation_space(observation, camera),
            gym.spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))
            if self._table is None
            else gym.spaces.Discrete(len(self._table)),
            allocate(num_envs)._asdict(),
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _checked(self, actions: Array) -> Array:
        actions = super()._checked(actions)
        if self._table is not None:
            return self._table[actions]
        actions = actions.astype(np.float64)
        if not np.isfinite(actions).all():
            lane = int(np.flatnonzero(~np.isfinite(actions).all(axis=1))[0])
            raise ValueError(f"action {actions[lane].tolist()} of lane {lane}: give finite numbers")
        return actions

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        frames = np.full(len(lanes.ended), self.action_repeat)
        if self.max_episode_steps is not None:
            np.minimum(frames, self.max_episode_steps - lanes.elapsed * self.action_repeat, out=frames)
        rules.drive(
            State(*lanes.fields),
            lanes.ended,
            actions,
            frames,
            self._rules,
            lanes.rewards,
            lanes.terminated,
            shares(len(lanes.ended), CARS_PER_THREAD),
        )

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        randomize = self.domain_randomize and bool(options.get("randomize", True))
        rules.start(State(*lanes.fields), mask, lanes.rng, randomize, shares(int(mask.sum())))

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        state = State(*lanes.fields)
        if self.observation == "state":
            features.observe_state(state, out, shares(len(out), CARS_PER_THREAD))
        elif self.observation == "alvinn":
            camera.alvinn_frames(state, out, shares(len(out)))
        elif self.observation == "segmentation":
            classify = camera.driver_segmentation if self.camera == "driver" else fast.segmentation_frames
            classify(state, out, shares(len(out)))
        elif self.observation == "rgb":
            self._draw(state, out)
        elif self.observation == "gray":
            frames = np.empty((*out.shape, 3), np.uint8)
            self._draw(state, frames)
            to_gray(frames, out, shares(len(out)))

    def _draw(self, state: State, out: Array) -> None:
        if self.camera == "driver":
            camera.driver_frames(state, out, shares(len(out)))
        elif self.renderer == "fast":
            fast.fast_frames(state, out, shares(len(out)))
        else:
            raster.exact_frames(state, out, shares(len(out)))

    def _outcome(self) -> dict[str, Any]:
        return {"lap_finished": self.fields["lap_finished"].copy(), "_lap_finished": self.terminated.copy()}

    def _render_lane(self, lane: int) -> NDArray[np.uint8]:
        width, height = {"human": (1000, 800), "rgb_array": (600, 400), "state_pixels": (96, 96)}[str(self.render_mode)]
        return picture.exact_picture(State(*self._all.fields), lane, width, height, width > 96)


def _observation_space(observation: str, camera: str) -> gym.spaces.Box:
    if observation == "none":
        return gym.spaces.Box(-1, 1, (0,), np.float32)
    if observation == "state":
        return gym.spaces.Box(-np.inf, np.inf, (features.SIZE,), np.float32)
    shapes = {"rgb": (*CAMERAS[camera], 3), "alvinn": (38, 32)}
    return gym.spaces.Box(
        0, 5 if observation == "segmentation" else 255, shapes.get(observation, CAMERAS[camera]), np.uint8
    )


class CarRacingEnv(SingleEnv):
    batched = CarRacing

"""Environments as batches of lanes: one compiled call steps all of them.

`BatchedEnv` is a ``gymnasium.vector.VectorEnv`` whose state is one array a field, lane first. `envs.single.SingleEnv`
is the ``gymnasium.Env`` of a batch of one, so that every environment's dynamics exist once.

An environment derives from `BatchedEnv`, declares its fields, and fills in three methods that run compiled
kernels on a slice of lanes: `_step_lanes`, `_reset_lanes`, `_observe_lanes`. Everything else - seeding, time
limits, the three autoreset modes, threads, saving and loading - is here.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium as gym
import numba
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numba import njit
from numpy.typing import NDArray

from envs import rng as lane_rng
from envs.window import Window

Array = NDArray[Any]

_pool: tuple[int, int, ThreadPoolExecutor] | None = None


def thread_pool() -> ThreadPoolExecutor:
    """The process's one pool of worker threads, as wide as numba's own setting; made anew after a fork."""
    global _pool
    width = numba.get_num_threads()
    if _pool is None or _pool[:2] != (os.getpid(), width):
        _pool = (os.getpid(), width, ThreadPoolExecutor(width, thread_name_prefix="lanes"))
    return _pool[2]


@njit(cache=True, nogil=True)
def _first_outside(actions: Array, n: int) -> int:
    """Index of the first action outside [0, n), or -1."""
    for lane in range(actions.shape[0]):
        if actions[lane] < 0 or actions[lane] >= n:
            return lane
    return -1


@njit(cache=True, nogil=True)
def _count_time(
    elapsed: Array, limit: int, restarts: bool, ended: Array, terminated: Array, truncated: Array, done: Array
) -> bool:
    """Advance the clocks of the lanes that stepped; returns whether any lane is done, and ``restarts`` its clock.

    A lane that reaches a terminal state at its last permitted step is terminated, not truncated.
    """
    any_done = False
    for lane in range(elapsed.shape[0]):
        now = elapsed[lane] + (not ended[lane])
        truncated[lane] = (now >= limit) & (not terminated[lane])
        done[lane] = terminated[lane] | truncated[lane]
        elapsed[lane] = 0 if restarts & done[lane] else now
        any_done |= done[lane]
    return any_done


def rows_of(observations: Any, where: Any) -> Any:
    """Some lanes of a batch of observations, an index or a slice; views of them where it is a slice."""
    if isinstance(observations, dict):
        return {key: rows_of(part, where) for key, part in observations.items()}
    return observations[where]


@dataclass(slots=True)
class Lanes:
    """Views of a batch's arrays over the lanes that one call of a kernel handles."""

    where: slice
    fields: tuple[Array, ...]  # the environment's own, in the order it declared them
    rng: Array
    elapsed: Array
    rewards: Array
    terminated: Array
    truncated: Array
    done: Array
    ended: Array  # done before this step: such a lane does not move


class BatchedEnv(VectorEnv[Any, Array, Array]):
    """A vector environment of ``num_envs`` lanes over arrays.

    Keywords of every environment:
        num_envs: number of lanes.
        max_episode_steps: steps after which an episode is truncated; None for no limit.
        render_mode: None, "rgb_array" or (where the environment has them) "ansi" and "human", a window that shows
            the first lane at every step.
        autoreset_mode: `SAME_STEP` (default): the step that ends an episode returns the first observation of
            the next one, and the last observation in ``infos["final_obs"]``, a dense ``(lanes, ...)`` array
            (of a Dict space a dictionary of them) whose valid rows are ``infos["_final_obs"]``. `NEXT_STEP`: the
            following step resets and ignores its action. `DISABLED`: a finished lane stands still, with reward 0,
            until it is reset through ``reset(options={"reset_mask": mask})``.
        copy: whether `step` returns fresh arrays (default), or the same buffers at every step.

    Lane i of ``reset(seed=s)`` is seeded ``s + i``, and equals the single environment reset with that seed.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array"],
        "render_fps": 30,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
    lanes_per_thread: ClassVar[int] = 8192  # below this a second thread costs more than it gains
    action_repeat: int = 1  # simulated steps in one call of `step`; a time limit counts simulated steps
    _window: Window | None = None

    def __init__(
        self,
        num_envs: int,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        fields: Mapping[str, Array],
        *,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        copy: bool = True,
    ) -> None:
        super().__init__()
        if num_envs < 1:
            raise ValueError(f"num_envs={num_envs}: a batch has at least one lane")
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode={render_mode!r}: use one of {self.metadata['render_modes']} or None")
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.copy = copy
        self.max_episode_steps = max_episode_steps

        self.fields = dict(fields)
        self.rng = np.zeros((num_envs, lane_rng.STATE_WORDS), np.uint64)
        self.elapsed = np.zeros(num_envs, np.int64)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.done = np.zeros(num_envs, np.bool_)
        self.rewards = np.zeros(num_envs, np.float64)
        self._ended = np.zeros(num_envs, np.bool_)
        self._action_shape = (num_envs, *(action_space.shape or ()))
        self._actions = int(action_space.n) if isinstance(action_space, gym.spaces.Discrete) else 0
        self._observations = self._new_observations()
        self._final_observations = self._new_observations()
        self._slices: list[Lanes] = []
        self._all = self._lanes(slice(0, num_envs))
        self._seeded = self._started = False

    def _lanes(self, where: slice) -> Lanes:
        fields = tuple(field[where] for field in self.fields.values())
        common = (
            self.rng,
            self.elapsed,
            self.rewards,
            self.terminated,
            self.truncated,
            self.done,
            self._ended,
        )
        return Lanes(where, fields, *(array[where] for array in common))

    def _split(self) -> list[Lanes]:
        """The lanes in as many slices as there are threads worth using."""
        if self.num_envs < 2 * self.lanes_per_thread:
            return [self._all]
        count = min(numba.get_num_threads(), self.num_envs // self.lanes_per_thread)
        if len(self._slices) != count:
            edges = [self.num_envs * worker // count for worker in range(count + 1)]
            self._slices = [self._lanes(slice(*pair)) for pair in zip(edges, edges[1:], strict=False)]
        return self._slices

    @property
    def max_episode_steps(self) -> int | None:
        """Steps after which an episode is truncated; None for no limit."""
        return self._max_episode_steps

    @max_episode_steps.setter
    def max_episode_steps(self, steps: int | None) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"max_episode_steps={steps}: use a positive number or None")
        self._max_episode_steps = steps
        self._limit = np.iinfo(np.int64).max if steps is None else -(-steps // self.action_repeat)

    # What an environment fills in.

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        """Move the lanes that have not ``ended``; write their ``rewards`` and ``terminated``."""
        raise NotImplementedError

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        """Start an episode in the masked lanes; options are only given for the whole batch."""
        raise NotImplementedError

    def _observe_lanes(self, lanes: Lanes, out: Any) -> None:
        """Write the observations of ``lanes`` into ``out``."""
        raise NotImplementedError

    def _render_lane(self, lane: int) -> Any:
        """One lane's picture (height, width, 3) uint8, or text where ``render_mode`` is "ansi"."""
        raise NotImplementedError

    # The vector environment.

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every lane, or in the lanes of ``options["reset_mask"]``.

        Args:
            seed: lane i is seeded ``seed + i``; or one seed a lane; or None to let every lane draw on.
            options: ``reset_mask`` (lanes,) bool; and the environment's own options.
        """
        options = dict(options or {})
        mask = np.ones(self.num_envs, np.bool_)
        if "reset_mask" in options:
            mask = np.asarray(options.pop("reset_mask"))
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
                raise ValueError(f"reset_mask has shape {mask.shape}, {mask.dtype}: give ({self.num_envs},) bool")
        if not (self._started or mask.all()):
            raise gym.error.ResetNeeded("the first reset must start every lane: leave reset_mask out")
        self._seed(seed, mask)
        self._reset_lanes(self._all, mask, options)
        for field in (self.elapsed, self.rewards, self.terminated, self.truncated, self.done):
            field[mask] = 0
        self._started = True
        self._show()
        return self.observe(), self._infos()

    def _seed(self, seed: int | Sequence[int] | None, mask: Array) -> None:
        if seed is None:
            if self._seeded:
                return
            seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
        if isinstance(seed, (int, np.integer)):
            seeds = [int(seed) + lane for lane in range(self.num_envs)]
        else:
            seeds = [int(one) for one in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"{len(seeds)} seeds for {self.num_envs} lanes: give one a lane")
        rows = self.rng[mask]
        lane_rng.seed_rows(rows, [one for one, wanted in zip(seeds, mask, strict=True) if wanted])
        self.rng[mask] = rows
        self._seeded = True

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step every lane once.

        Args:
            actions: ``(lanes, *action)``.

        Returns:
            observations ``(lanes, *observation)`` (of a Dict space a dictionary of them), rewards ``(lanes,)``
            float64, terminated and truncated ``(lanes,)`` bool, infos.

        Raises:
            ValueError: an action is outside the action space (no lane has moved then).
        """
        if not self._started:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = self._checked(actions)
        if self.copy:
            self._observations = self._new_observations()
        slices = self._split()
        if len(slices) == 1:
            any_done = self._advance(slices[0], actions)
        else:
            any_done = any(list(thread_pool().map(lambda lanes: self._advance(lanes, actions[lanes.where]), slices)))
        self._show()
        infos = self._infos()
        if any_done and self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos["final_obs"] = deepcopy(self._final_observations) if self.copy else self._final_observations
            infos["_final_obs"] = self.done.copy()
            infos["final_info"], infos["_final_info"] = self._outcome(), infos["_final_obs"]
        elif any_done:
            infos.update(self._outcome())
        if self.copy:
            results = self.rewards.copy(), self.terminated.copy(), self.truncated.copy()
            return self._observations, *results, infos
        return self._observations, self.rewards, self.terminated, self.truncated, infos

    def _advance(self, lanes: Lanes, actions: Array) -> bool:
        """Step a slice of lanes with everything that belongs to it; returns whether any is done."""
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        if not same_step:
            np.copyto(lanes.ended, lanes.done)
            lanes.rewards[lanes.ended] = 0.0
        self._step_lanes(lanes, actions)
        any_done = _count_time(
            lanes.elapsed, self._limit, same_step, lanes.ended, lanes.terminated, lanes.truncated, lanes.done
        )
        if self.autoreset_mode is AutoresetMode.NEXT_STEP and lanes.ended.any():
            self._reset_lanes(lanes, lanes.ended, {})
            lanes.elapsed[lanes.ended] = 0
            lanes.done[lanes.ended] = lanes.terminated[lanes.ended] = lanes.truncated[lanes.ended] = False
        elif same_step and any_done:
            self._observe_lanes(lanes, rows_of(self._final_observations, lanes.where))
            self._reset_lanes(lanes, lanes.done, {})
        self._observe_lanes(lanes, rows_of(self._observations, lanes.where))
        return any_done

    def _checked(self, actions: Array) -> Array:
        actions = np.asarray(actions)
        if actions.shape != self._action_shape:
            raise ValueError(f"actions have shape {actions.shape}: give {self._action_shape}")
        if self._actions:
            if actions.dtype != np.int64:
                if not np.issubdtype(actions.dtype, np.integer):
                    raise ValueError(f"actions are {actions.dtype}: give integers from 0 to {self._actions - 1}")
                actions = actions.astype(np.int64)
            lane = _first_outside(actions, self._actions)
            if lane >= 0:
                raise ValueError(f"action {actions[lane]} of lane {lane}: give integers from 0 to {self._actions - 1}")
        return actions

    def _infos(self) -> dict[str, Any]:
        """What `reset` and `step` tell of every lane."""
        return {}

    def _outcome(self) -> dict[str, Any]:
        """What is told of the episodes that are `done`: one array a name, and under ``_name`` where it is valid."""
        return {}

    def _new_observations(self) -> Any:
        return create_empty_array(self.single_observation_space, self.num_envs, fn=np.empty)

    def observe(self) -> Any:
        """The current observations ``(lanes, *observation)``, as the last `reset` or `step` returned them."""
        if self.copy:
            self._observations = self._new_observations()
        self._observe_lanes(self._all, self._observations)
        return self._observations

    def render(self) -> tuple[Any, ...] | None:
        """One picture or text a lane; None without a ``render_mode``."""
        if self.render_mode is None:
            gym.logger.warn("render() without a render_mode: pass render_mode= to make()")
            return None
        if self.render_mode == "human":
            return None
        return tuple(self._render_lane(lane) for lane in range(self.num_envs))

    def _show(self) -> None:
        if self.render_mode == "human":
            self._window = self._window or Window(type(self).__name__, self.metadata["render_fps"])
            self._window.show(self._render_lane(0))

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, where there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _arrays(self) -> dict[str, Array]:
        own = ("rng", "elapsed", "rewards", "terminated", "truncated", "done")
        return {**{name: getattr(self, name) for name in own}, **self.fields}

    def state_dict(self) -> dict[str, Array]:
        """A copy of all that the future of the lanes depends on, one array a field, lane first."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from `state_dict`; `observe` then gives the observations.

        Raises:
            ValueError: a field is missing, unknown, or of another shape or type.
        """
        arrays = self._arrays()
        if arrays.keys() != state.keys():
            raise ValueError(f"state has the fields {sorted(state)}: {sorted(arrays)} are needed")
        for name, array in arrays.items():
            value = np.asarray(state[name])
            if value.shape != array.shape or value.dtype != array.dtype:
                raise ValueError(f"field {name} is {value.dtype} {value.shape}: {array.dtype} {array.shape} is needed")
        for name, array in arrays.items():
            np.copyto(array, state[name])
        self._seeded = self._started = True

    def __getstate__(self) -> dict[str, Any]:
        # views would come back as copies that no longer belong to the fields
        return {name: value for name, value in self.__dict__.items() if name not in ("_all", "_slices", "_window")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._slices, self._all = [], self._lanes(slice(0, self.num_envs))

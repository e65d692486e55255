"""Lanes of any environment as Stable-Baselines3 wants them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.progress import Episodes
from agents.rollout import Rollout, episode_seeds, make_lanes, protocol
from agents.transforms import action_repeat
from supervised.backbones import MOST_COLOURS, image_shape
from supervised.training.errors import UserError, require
from supervised.training.seeding import generators

Array = NDArray[Any]


class Layout:
    """What Stable-Baselines3 sees of observations, after `agents.transforms`, and what its actions mean.

    Images become ``(channels, height, width)`` uint8, stacks and colours together; discrete actions begin at 0.

    Raises:
        UserError: actions without bounds.
    """

    def __init__(self, space: gym.spaces.Box, action_space: gym.Space[Any]) -> None:
        if isinstance(action_space, gym.spaces.Box) and not action_space.is_bounded("both"):
            raise UserError(
                f"Stable-Baselines3 needs bounds of actions, and {action_space} has none: wrap it, or use ppo"
            )
        self._image = space.dtype == np.uint8 and len(space.shape) >= 2
        self._coloured = space.shape[-1] <= MOST_COLOURS
        self.observation_space = gym.spaces.Box(0, 255, image_shape(space), np.uint8) if self._image else space
        self.action_space, self._first = action_space, 0
        if isinstance(action_space, gym.spaces.Discrete):
            self.action_space, self._first = gym.spaces.Discrete(int(action_space.n)), int(action_space.start)

    def see(self, observations: Array) -> Array:
        """Observations ``(batch, *observation)`` in its layout."""
        if not self._image:
            return observations
        images = np.moveaxis(observations, -1, -3) if self._coloured else observations
        return images.reshape(len(images), *self.observation_space.shape)

    def to_env(self, actions: Array) -> Array:
        """Its actions as the environment takes them."""
        return actions + self._first if self._first else actions


class Lanes(VecEnv):
    """A ``VecEnv`` over a `Rollout`; see `agents.sb3.as_sb3`.

    A lane that is done says so in its info as Stable-Baselines3 expects: ``terminal_observation``,
    ``TimeLimit.truncated`` and ``episode``, with return ``r`` and length ``l``.

    Attributes:
        episodes: the latest that ended.
        protocol: what makes scores comparable, where the environment says so.
        spaces: of single observations and actions, as the environment has them.
    """

    def __init__(
        self,
        env: str | Callable[[], Any],
        lanes: int,
        env_kwargs: Mapping[str, Any],
        transforms: Sequence[str],
        seed: int,
    ) -> None:
        require(lanes >= 1, "lanes", lanes, "use at least 1")
        self._env = make_lanes(env, lanes, env_kwargs, action_repeat(transforms), copy=True)
        self._rollout = Rollout(self._env, seed, transforms)
        if self._rollout.mode is AutoresetMode.NEXT_STEP:
            raise UserError(f"{env} spends steps on resets, which Stable-Baselines3 would learn from: use another mode")
        self.spaces = self._env.single_observation_space, self._env.single_action_space
        self.protocol = protocol(self._env, self._rollout.stack)
        self._layout = Layout(self._rollout.space, self._env.single_action_space)
        self.episodes = Episodes()
        self._fresh = True  # no lane has moved since its first observation
        super().__init__(self._rollout.lanes, self._layout.observation_space, self._layout.action_space)

    def reset(self) -> Array:
        """Begin an episode in every lane."""
        if self._seeds[0] is not None:
            rng = generators(self._seeds[0], "lanes")["lanes"]
            self._rollout.restart(episode_seeds(rng, self.num_envs))
        elif not self._fresh:
            self._rollout.restart()
        self._fresh = False
        self._reset_seeds()
        self._reset_options()
        return self._layout.see(self._rollout.observations)

    def step_async(self, actions: Array) -> None:
        """Take note of the actions of the next step."""
        self._actions = self._layout.to_env(actions)

    def step_wait(self) -> tuple[Array, Array, Array, list[dict[str, Any]]]:
        """Observations, rewards, which lanes are done, and their infos."""
        rollout = self._rollout
        step = rollout.step(self._actions)
        self.episodes.add(rollout)
        self._fresh = False
        done = step.terminated | step.truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            final = self._layout.see(step.next_observations)
            ends = zip(np.flatnonzero(done).tolist(), rollout.finished_returns, rollout.finished_lengths, strict=True)
            for lane, episode_return, length in ends:
                infos[lane] = {
                    "terminal_observation": final[lane],
                    "TimeLimit.truncated": bool(step.truncated[lane] and not step.terminated[lane]),
                    "episode": {"r": float(episode_return), "l": int(length)},
                }
        return self._layout.see(rollout.observations), step.rewards.astype(np.float32), done, infos

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def get_images(self) -> Sequence[Array | None]:
        """One picture a lane, where the environment has a ``render_mode``."""
        pictures: Any = self._env.render()
        return pictures or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of the batch, for each lane asked for."""
        return [getattr(self._env, attr_name)] * len(self._indices(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refused: lanes are one batch, and have no attributes of their own."""
        raise NotImplementedError(f"{attr_name}: lanes are one batch; pass env_kwargs to as_sb3")

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Refused: lanes are one batch, and have no methods of their own."""
        raise NotImplementedError(f"{method_name}: lanes are one batch; wrap the environment before as_sb3")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """False for every lane: what a ``Monitor`` would tell is in the infos."""
        return [False] * len(self._indices(indices))

    def _indices(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))

"""A batch of one lane as a ``gymnasium.Env``."""

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from envs import rng as lane_rng
from envs.batched import Array, BatchedEnv, rows_of


class SingleEnv(gym.Env[Any, Any]):
    """The ``gymnasium.Env`` of a batch of one lane.

    A subclass names its batch: ``batched = CartPole``; keywords are the batch's.
    """

    batched: ClassVar[type[BatchedEnv]]

    def __init_subclass__(cls) -> None:
        cls.metadata = {key: value for key, value in cls.batched.metadata.items() if key != "autoreset_mode"}
        cls.__doc__ = cls.__doc__ or cls.batched.__doc__

    def __init__(self, **kwargs: Any) -> None:
        self.batch = self.batched(num_envs=1, autoreset_mode=AutoresetMode.DISABLED, **kwargs)
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self.render_mode = self.batch.render_mode

    @property
    def np_random(self) -> np.random.Generator:
        """A NumPy generator in the lane's present state; assign one to continue the lane from it."""
        if not self.batch._seeded:
            self.batch._seed(None, np.ones(1, np.bool_))
        if self._np_random is None:
            self._np_random = np.random.default_rng(0)
        self._np_random.bit_generator.state = lane_rng.to_generator(self.batch.rng[0]).bit_generator.state
        return self._np_random

    @np_random.setter
    def np_random(self, generator: np.random.Generator) -> None:
        self._np_random = generator
        self.batch.rng[0] = lane_rng.from_generator(generator)
        self.batch._seeded = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see the class for options."""
        super().reset(seed=seed)
        observations, infos = self.batch.reset(seed=None if seed is None else [seed], options=options)
        return self._first(observations), self._unbatched(infos)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step once; a finished episode stands still until `reset`."""
        observations, rewards, terminated, truncated, infos = self.batch.step(np.asarray(action)[None])
        return (
            self._first(observations),
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            self._unbatched(infos),
        )

    def _first(self, observations: Any) -> Any:
        first = rows_of(observations, 0)
        return first.item() if self.observation_space.shape == () else first

    @staticmethod
    def _unbatched(infos: Mapping[str, Any]) -> dict[str, Any]:
        valid = {key for key in infos if not key.startswith("_") and infos.get(f"_{key}", (True,))[0]}
        return {key: value[0] for key, value in infos.items() if key in valid}

    def render(self) -> Any:
        """The lane's picture or text; None without a ``render_mode``."""
        frames = self.batch.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Close the window, where there is one."""
        self.batch.close()

    def state_dict(self) -> dict[str, Array]:
        """As `BatchedEnv.state_dict`, for the one lane."""
        return self.batch.state_dict()

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """As `BatchedEnv.load_state_dict`, for the one lane."""
        self.batch.load_state_dict(state)

    def __getattr__(self, name: str) -> Any:
        # what a batch offers beyond Gymnasium's interface (mdp, kernel, layout, ...) is its single's too
        if name.startswith("_") or name == "batch":
            raise AttributeError(name)
        return getattr(self.batch, name)

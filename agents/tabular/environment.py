"""What tabular methods learn from: a finite model inside compiled loops, or any discrete environment through `step`.

A method's loop is written once, as a compiled kernel that calls `sample_start`, `sample_any` and `take_step` of
this module. On our finite environments it runs as compiled. On any other environment `interpreted` gives the same
source to the interpreter, with these three names bound to the environment's `reset` and `step`.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numba import njit
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from agents.rollout import making
from envs.finite import FiniteEnv
from envs.mdp import MDP, OUTCOME, Model, sample_outcome, sample_start
from envs.rng import integers
from envs.single import SingleEnv
from supervised.training.errors import UserError, require
from supervised.training.seeding import generator_state, set_generator_state

__all__ = ["Environment", "Indexing", "Model", "Stepped", "interpreted", "sample_any", "sample_start", "take_step"]

Array = NDArray[Any]

EPISODE_STEPS = 1_000_000  # an episode without a limit of its own is cut here, so that a compiled loop always ends


@njit(cache=True, nogil=True, inline="always")
def take_step(
    offsets: Array, outcomes: Array, allowed: Array, state: int, action: int, rng: Array
) -> tuple[int, float, bool, bool]:
    """(next state, reward, terminated, truncated) of one step of an unpacked `envs.mdp.Model`."""
    next_state, reward, terminated = sample_outcome(offsets, outcomes, allowed, state, action, rng)
    return next_state, reward, terminated, False


@njit(cache=True, nogil=True)
def sample_any(model: Model, rng: Array) -> int:
    """A state drawn uniformly from those that are not terminal, for exploring starts."""
    state = integers(rng, model.terminal.shape[0])
    while model.terminal[state]:
        state = integers(rng, model.terminal.shape[0])
    return state


class Indexing:
    """Numbers the points of a discrete space: ``Discrete``, ``MultiDiscrete``, or a ``Tuple`` of ``Discrete``.

    Attributes:
        sizes: of the parts; the last part counts fastest.
        n: how many points there are.

    Raises:
        UserError: any other space.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self._single = isinstance(space, gym.spaces.Discrete)
        if isinstance(space, gym.spaces.Discrete):
            starts, sizes = [space.start], [space.n]
        elif isinstance(space, gym.spaces.MultiDiscrete) and space.nvec.ndim == 1:
            starts, sizes = list(space.start), list(space.nvec)
        elif isinstance(space, gym.spaces.Tuple) and all(isinstance(part, gym.spaces.Discrete) for part in space):
            starts, sizes = [part.start for part in space], [part.n for part in space]
        else:
            remedy = "use semi-gradient-sarsa, semi-gradient-q-learning or dqn"
            raise UserError(f"a table needs discrete observations, not {space}: {remedy}")
        self._starts, self.sizes = [int(start) for start in starts], [int(size) for size in sizes]
        self.n = int(np.prod(self.sizes))

    def batch(self, observations: Any) -> Array:
        """The numbers ``(batch,)`` of observations as vector environments give them."""
        if isinstance(observations, tuple):
            parts = observations
        else:
            parts = tuple(np.asarray(observations).reshape(len(observations), -1).T)
        return np.ravel_multi_index([p - s for p, s in zip(parts, self._starts, strict=True)], self.sizes)

    def __call__(self, observation: Any) -> int:
        """The number of one observation."""
        parts = (observation,) if self._single else observation
        index = 0
        for part, start, size in zip(parts, self._starts, self.sizes, strict=True):
            index = index * size + int(part) - start
        return index


class Stepped:
    """An environment with numbered actions, stepped from outside, and resumable between episodes.

    Args:
        env: an id (ours, Gymnasium's, ``module:Id``), an environment, or a function that makes one.
        kwargs: keywords for an id.

    Attributes:
        env: the environment, without the wrappers that only check or count.
        limit: steps after which an episode is truncated.
        mdp: the model for dynamic programming; None where the environment does not show one.
        model: the arrays that kernels read.

    Raises:
        UserError: an environment that cannot be made, or whose actions are not numbered from 0.
    """

    mdp: MDP | None = None

    def __init__(self, env: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        self._open(env, kwargs, gym.Env)
        self.model = self._sizes(1)

    def _open(self, env: Any, kwargs: Mapping[str, Any] | None, *kinds: type) -> None:
        if isinstance(env, str):
            env = _make(env, kwargs or {})
        elif callable(env):
            env = env()
        self.limit = EPISODE_STEPS
        while isinstance(env, (PassiveEnvChecker, OrderEnforcing, TimeLimit)):
            if isinstance(env, TimeLimit):
                self.limit = min(self.limit, env._max_episode_steps)
            env = env.env
        require(isinstance(env, kinds), "env", env, "give an id, a single environment or an MDP")
        self.env: Any = env
        self._seed: int | None = None

    def _sizes(self, n_states: int) -> Model:
        """A model of which only the numbers of states and actions mean something."""
        space = self.env.action_space
        numbered = isinstance(space, gym.spaces.Discrete) and space.start == 0
        require(numbered, "action space", space, "give actions numbered from 0, or use sac, td3 or ppo")
        allowed, none = np.ones((n_states, int(space.n)), np.bool_), np.zeros(0, np.int64)
        return Model(none, np.zeros(0, OUTCOME), np.zeros(n_states, np.bool_), allowed, none, np.zeros(0))

    def kernel(self, loop: Callable[..., None], seed: int) -> Callable[..., None]:
        """The function that plays, where ``loop`` is meant; the first reset is seeded with ``seed``."""
        self._seed = seed
        return loop

    def reset(self) -> Any:
        """The first observation of an episode."""
        observation, _ = self.env.reset(seed=self._seed)
        self._seed = None
        return observation

    def step(self, action: int) -> tuple[Any, float, bool, bool]:
        """(observation, reward, terminated, truncated)."""
        observation, reward, terminated, truncated, _ = self.env.step(int(action))
        return observation, float(reward), bool(terminated), bool(truncated)

    def state_dict(self) -> dict[str, Any]:
        """What the next episodes depend on: the environment's generator, the only state that it shows between them."""
        return {} if self.mdp is not None else {"generator": generator_state(self.env.unwrapped.np_random)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; call it after `kernel`."""
        if self.mdp is None:
            generator = np.random.default_rng()
            set_generator_state(generator, state["generator"])
            self.env.unwrapped.np_random = generator
            self._seed = None


class Environment(Stepped):
    """An environment as tabular methods need it: numbered states, and a compiled model where there is one.

    Args:
        env: as `Stepped`, or an `MDP`.

    Attributes:
        observation_space, action_space: of one environment.
        index: numbers the observations.

    Raises:
        UserError: also an environment whose observations are not discrete.
    """

    def __init__(self, env: Any, kwargs: Mapping[str, Any] | None = None) -> None:
        self._open(env, kwargs, gym.Env, FiniteEnv, MDP)
        batch = self.env.batch if isinstance(self.env, SingleEnv) else self.env
        if isinstance(batch, MDP):
            self.mdp, self.model = batch, batch.model
            self.observation_space: gym.Space[Any] = gym.spaces.Discrete(batch.n_states)
        elif isinstance(batch, FiniteEnv) and isinstance(batch.single_observation_space, gym.spaces.Discrete):
            self.mdp, self.model = batch.mdp, batch.kernel
            self.limit = min(self.limit, batch.max_episode_steps or self.limit)
            self.observation_space = batch.single_observation_space
        else:
            self.observation_space = self.env.observation_space
            self.model = self._sizes(Indexing(self.observation_space).n)
        self.action_space = gym.spaces.Discrete(self.model.allowed.shape[1])
        self.index = Indexing(self.observation_space)

    def kernel(self, loop: Any, seed: int) -> Callable[..., None]:
        """The compiled loop itself, or its source over this environment, first reset with ``seed``."""
        super().kernel(loop, seed)
        if self.mdp is not None:
            return loop
        return interpreted(loop, sample_start=self._start, sample_any=self._start, take_step=self._take_step)

    def _start(self, model: Model, rng: Array) -> int:
        return self.index(self.reset())

    def _take_step(self, offsets: Any, outcomes: Any, allowed: Any, state: int, action: int, rng: Any) -> Any:
        observation, reward, terminated, truncated = self.step(action)
        return self.index(observation), reward, terminated, truncated


def _make(name: str, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    with making(name):
        spec = gym.registry.get(name)
        if spec is not None and str(spec.entry_point).startswith("envs."):
            # ours, without wrappers: `gymnasium.make` would keep max_episode_steps for itself, and only shorten
            creator: Any = gym.envs.registration.load_env_creator(str(spec.entry_point))
            return creator(**{**spec.kwargs, **kwargs})
        return gym.make(name, disable_env_checker=True, **kwargs)


def interpreted(kernel: Dispatcher, **names: Any) -> Callable[..., Any]:
    """The Python source of a compiled function, as a function in which ``names`` mean something else.

    Compiled functions that it calls are interpreted too if they use one of the names; the others stay compiled, so
    that the numbers are the same.
    """
    source = kernel.py_func
    bound = dict(source.__globals__)
    for name in set(source.__code__.co_names) - names.keys():
        helper = bound.get(name)
        if isinstance(helper, Dispatcher) and names.keys() & set(helper.py_func.__code__.co_names):
            bound[name] = interpreted(helper, **names)
    return types.FunctionType(source.__code__, bound | names, source.__name__, source.__defaults__)

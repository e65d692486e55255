"""Lanes of any environment as a stream of true transitions: the one place that reads the autoreset mode."""

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

import envs  # noqa: F401 - registers skidpad/*
from agents import opponents
from agents.settings import Online
from agents.transforms import FrameStack, Transforms, action_repeat
from supervised.training.errors import UserError, require, suggest
from supervised.training.run import Run
from supervised.training.seeding import generators

Array = NDArray[Any]


def make_lanes(
    env: str | Callable[[], Any], lanes: int, kwargs: Mapping[str, Any], repeat: int = 1, **own: Any
) -> VectorEnv[Any, Any, Any]:
    """A vector environment of ``lanes`` lanes.

    Our environments are batches; every other id, and a callable that makes a single environment, is stepped lane
    by lane with autoreset disabled, so that `Rollout` sees each reset. A callable may also return a vector
    environment of its own, in any autoreset mode.

    Args:
        repeat: steps of the environment for which every action is held (fewer where the episode ends); the rewards
            are summed, and only the last observation is given.
        own: keywords for our own environments only (``autoreset_mode``, ``copy``).

    Raises:
        UserError: an unknown id, or keywords the environment refuses.
    """
    with making(env):
        return _make(env, lanes, kwargs, repeat, own)


@contextmanager
def making(env: object) -> Iterator[None]:
    """Raise whatever goes wrong in making an environment as a `UserError` that names it."""
    try:
        with warnings.catch_warnings():
            # whoever names an older version (CartPole-v0, the book's) wants it
            warnings.filterwarnings("ignore", message=".*is out of date")
            yield
    except ModuleNotFoundError as error:
        raise UserError(f"environment {env!r}: {error}; install it, or check the name before the colon") from error
    except gym.error.UnregisteredEnv as error:
        raise UserError(f"unknown environment {env!r}{suggest(str(env), gym.registry)}") from error
    except (gym.error.Error, TypeError, ValueError) as error:
        raise UserError(f"environment {env!r}: {' '.join(str(error).split())}") from error


def _make(
    env: str | Callable[[], Any], lanes: int, kwargs: Mapping[str, Any], repeat: int, own: Mapping[str, Any]
) -> VectorEnv[Any, Any, Any]:
    if callable(env):
        first = env()
        if isinstance(first, VectorEnv):
            if repeat > 1:
                raise ValueError(f"repeat:{repeat} needs a callable that makes single environments")
            return first
        makers = [lambda: first, *[env] * (lanes - 1)]
        return SyncVectorEnv([_repeating(one, repeat) for one in makers], autoreset_mode=AutoresetMode.DISABLED)
    package, _, env_id = env.rpartition(":")
    if package:
        importlib.import_module(package)
    entry_point = gym.spec(env_id).vector_entry_point
    if isinstance(entry_point, str) and entry_point.startswith("envs."):
        keywords = {"copy": False, **own, **kwargs}
        if isinstance(keywords.get("opponent"), str):
            keywords["opponent"] = opponents.named(keywords["opponent"], env, kwargs)
        if repeat > 1 and "action_repeat" in inspect.signature(load_env_creator(entry_point)).parameters:
            keywords, repeat = {**keywords, "action_repeat": repeat}, 1
        elif repeat > 1:
            keywords["autoreset_mode"] = AutoresetMode.DISABLED
        batch = gym.make_vec(env, lanes, vectorization_mode="vector_entry_point", **keywords)
        return batch if repeat == 1 else RepeatLanes(batch, repeat)
    modes = {"autoreset_mode": AutoresetMode.DISABLED}
    wrappers = {"wrappers": [lambda single: Repeat(single, repeat)]} if repeat > 1 else {}
    return gym.make_vec(env, lanes, vectorization_mode="sync", vector_kwargs=modes, **wrappers, **kwargs)


def _repeating(make: Callable[[], Any], repeat: int) -> Callable[[], Any]:
    return make if repeat == 1 else lambda: Repeat(make(), repeat)


class Repeat(gym.Wrapper[Any, Any, Any, Any]):
    """Holds every action for ``repeat`` steps, or to the episode's end, and sums the rewards."""

    def __init__(self, env: gym.Env[Any, Any], repeat: int) -> None:
        super().__init__(env)
        self.repeat = repeat

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As `gymnasium.Env.step`."""
        total = 0.0
        for _ in range(self.repeat):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class RepeatLanes(VectorWrapper):
    """`Repeat` for a batch of ours whose finished lanes stand still (`AutoresetMode.DISABLED`)."""

    def __init__(self, env: VectorEnv[Any, Any, Any], repeat: int) -> None:
        super().__init__(env)
        self.repeat = repeat

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """As `gymnasium.vector.VectorEnv.step`."""
        total = np.zeros(self.num_envs)
        for _ in range(self.repeat):
            observations, rewards, terminated, truncated, infos = self.env.step(actions)
            total += rewards
        return observations, total, terminated.copy(), truncated.copy(), infos  # a reset clears the batch's own


class Transitions(NamedTuple):
    """One step of every lane; ``next_observations`` are those of the same episode, whatever the autoreset mode."""

    observations: Array  # (lanes, *observation)
    actions: Array  # (lanes, *action)
    rewards: Array  # (lanes,): to learn from, clipped where that is asked for
    next_observations: Array  # (lanes, *observation)
    terminated: Array  # (lanes,) bool: nothing follows; a terminal state, or a lost life where that ends
    truncated: Array  # (lanes,) bool
    valid: Array  # (lanes,) bool: False where the environment spent the step on a reset
    starts: Array  # (lanes,) bool: the observation is the first of its episode
    ended: Array  # (lanes,) bool: so did the episode, which a lost life does not


def episode_seeds(rng: np.random.Generator, count: int) -> list[int]:
    """Seeds of training episodes, beyond those that evaluation uses."""
    return [int(seed) for seed in rng.integers(2**32, 2**63, count)]


class Rollout:
    """``lanes`` environments stepped together.

    Args:
        transforms: names of `agents.transforms`; ``repeat:K`` is the business of `make_lanes`.
        life_loss_ends: transitions that lose a life (``infos["life_lost"]``) are ``terminated``, though episodes, their
            returns and their stacks of frames go on.
        clip_rewards: the rewards of transitions are -1, 0 or 1; those of returns are not.

    Attributes:
        space, stack: the observation space that networks see (after `agents.transforms`), and of how many frames.
        observations: the present observations ``(lanes, *observation)``.
        started: ``(lanes,)`` bool, where the present observation is the first of an episode.
        resting: ``(lanes,)`` bool, lanes that whoever steps them wants to leave out until `restart`: their steps are
            not valid, and their episodes not counted. It is not part of `state_dict`.
        returns, lengths: ``(lanes,)`` of the episodes under way; ``finished_returns`` and ``finished_lengths`` of
            the episodes that ended at the last step.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        seed: int,
        transforms: Sequence[str] = (),
        *,
        life_loss_ends: bool = False,
        clip_rewards: bool = False,
    ) -> None:
        self.env = env
        self._life_loss_ends, self._clip_rewards = life_loss_ends, clip_rewards
        self.lanes = env.num_envs
        self._transform = Transforms(env.single_observation_space, transforms)
        self.space, self.stack = self._transform.space, self._transform.stack
        self._stack = FrameStack(self.stack)
        self.mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        self.returns, self.lengths = np.zeros(self.lanes), np.zeros(self.lanes, np.int64)
        self.finished_returns, self.finished_lengths = np.zeros(0), np.zeros(0, np.int64)
        self.resting = np.zeros(self.lanes, np.bool_)
        self._pending = np.zeros(self.lanes, np.bool_)  # NEXT_STEP: this lane's next step is its reset
        seeds = episode_seeds(generators(seed, "lanes")["lanes"], self.lanes)
        self._journal = Journal(env, seeds) if isinstance(env, SyncVectorEnv) else None
        observations, infos = env.reset(seed=seeds)  # type: ignore[arg-type]
        told = "life_lost" in infos or not life_loss_ends
        require(told, "life_loss_ends", life_loss_ends, "the environment does not tell of lost lives; use False")
        self.started = np.ones(self.lanes, np.bool_)
        self.observations = self._stack.start(self._transform(observations), self.started)

    def step(self, actions: Array) -> Transitions:
        """Step every lane once ``actions (lanes, *action)``."""
        observations, starts = self.observations.copy(), self.started  # the environment may reuse its buffer
        raw, rewards, terminated, truncated, infos = self.env.step(actions)
        following = frames = self._transform(raw)  # frames end this step, and the next one begins with following
        valid = ~(self._pending | self.resting)
        done = terminated | truncated
        started = done
        if self._journal is not None:
            self._journal.add(actions)
        if self.mode is AutoresetMode.SAME_STEP and done.any():
            frames = following.copy()
            frames[done] = self._final(infos["final_obs"], done)
        elif self.mode is AutoresetMode.DISABLED and done.any():
            frames = following.copy()
            if self._journal is not None:
                self._journal.begin(done)
            raw, _ = self.env.reset(options={"reset_mask": done})
            following = self._transform(raw)
        elif self.mode is AutoresetMode.NEXT_STEP:
            started, self._pending = self._pending, done.copy()
        next_observations = self._stack.push(frames)
        self.started = started
        self.observations = self._stack.start(following, started)
        self.returns[valid] += rewards[valid]
        self.lengths[valid] += 1
        ended = done & valid
        self.finished_returns, self.finished_lengths = self.returns[ended], self.lengths[ended]
        self.returns[ended], self.lengths[ended] = 0.0, 0
        if self._life_loss_ends:
            terminated = terminated | infos["life_lost"]
        if self._clip_rewards:
            rewards = np.sign(rewards)
        ends = terminated, truncated, valid, starts, ended
        return Transitions(observations, actions, rewards, next_observations, *ends)

    def restart(self, seeds: Sequence[int] | None = None) -> None:
        """Begin an episode in every lane, resting or not; those under way are given up.

        Args:
            seeds: one a lane, such as `episode_seeds`; None: every lane draws on.
        """
        everywhere = np.ones(self.lanes, np.bool_)
        if self._journal is not None:
            self._journal.begin(everywhere, seeds)
        raw, _ = self.env.reset(seed=seeds)  # type: ignore[arg-type]
        self.started = everywhere
        self.observations = self._stack.start(self._transform(raw), everywhere)
        for counter in (self.returns, self.lengths, self._pending, self.resting):
            counter[:] = 0

    def _final(self, final: Any, done: Array) -> Array:
        """The last observations of the lanes that are done, from a dense batch or an array of objects."""
        space = self.env.single_observation_space
        if isinstance(final, np.ndarray) and final.dtype == object:
            return self._transform(stack(space, [one for one, ended in zip(final, done, strict=True) if ended]))
        return self._transform(final)[done]

    def state_dict(self) -> dict[str, Any]:
        """All that the future of the lanes depends on."""
        own = {
            "returns": self.returns.copy(),
            "lengths": self.lengths.copy(),
            "pending": self._pending.copy(),
            "started": self.started.copy(),
            **self._stack.state_dict(),
        }
        if self._journal is not None:
            return {**own, "journal": self._journal.state_dict(), "observations": self.observations.copy()}
        if hasattr(self.env, "state_dict"):
            return {**own, "env": self.env.state_dict()}
        return own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; warns where the environment cannot be brought back exactly."""
        if self._journal is not None:
            frames = self._transform(self._journal.replay(state["journal"]))
            self.observations = self._stack.load_state_dict(state, frames)
            if not np.array_equal(self.observations, state["observations"]):
                warnings.warn(
                    "the environment did not replay to the same state: the run goes on from another",
                    stacklevel=2,
                )
        elif "env" in state:
            self.env.load_state_dict(state["env"])  # type: ignore[attr-defined]
            frames = self._transform(self.env.observe())  # type: ignore[attr-defined]
            self.observations = self._stack.load_state_dict(state, frames)
        else:
            warnings.warn(f"{self.env} cannot be saved: its lanes start new episodes", stacklevel=2)
            return
        self.returns, self.lengths, self._pending, self.started = (
            np.array(state[name]) for name in ("returns", "lengths", "pending", "started")
        )


def begin(config: Online, run: Run) -> Rollout:
    """The lanes of a run, at their first observations; notes the environment's protocol, where it has one.

    Raises:
        UserError: an unknown environment, settings that do not fit it, or actions that no learner gives.
    """
    lanes = make_lanes(config.env, config.lanes, config.env_kwargs, action_repeat(config.transforms))
    require_actions(config.env, lanes.single_action_space)
    learning = {"life_loss_ends": config.life_loss_ends, "clip_rewards": config.clip_rewards}
    rollout = Rollout(lanes, config.seed, config.transforms, **learning)
    if text := protocol(lanes, rollout.stack):
        ends = "a lost life ends what is learnt from" if config.life_loss_ends else "only the game's end is one"
        run.note(f"{text}; in learning {ends}, rewards are {'clipped' if config.clip_rewards else 'as they are'}")
    return rollout


def require_actions(env: object, space: gym.Space[Any]) -> None:
    """Raise `UserError` unless ``space``, the actions of ``env``, is Discrete or a Box of one axis."""
    if not (isinstance(space, gym.spaces.Discrete) or (isinstance(space, gym.spaces.Box) and len(space.shape) == 1)):
        raise UserError(f"{env} has actions in {space}: wrap it so that they are Discrete, or a Box of one axis")


def protocol(env: VectorEnv[Any, Any, Any], stack: int) -> str | None:
    """What makes scores of ``env`` comparable, where it says so, of which the agent sees ``stack`` frames at once."""
    text = getattr(env, "protocol", None)
    return text if text is None or stack == 1 else f"{text}, of which the agent sees {stack}"


class Journal:
    """The way back to where third-party lanes are: how each episode under way began, and its actions so far.

    Gymnasium environments cannot be copied, but draw their randomness from ``np_random``: an episode begun from the
    same generator state and given the same actions is the same episode.
    """

    def __init__(self, env: SyncVectorEnv, seeds: Sequence[int]) -> None:
        self._envs = env
        self._starts: list[Any] = list(seeds)  # a seed, or a generator's state
        self._actions: list[list[Any]] = [[] for _ in seeds]

    def add(self, actions: Array) -> None:
        """Remember the actions of one step."""
        for lane, action in enumerate(actions):
            self._actions[lane].append(np.array(action))

    def begin(self, mask: Array, seeds: Sequence[int] | None = None) -> None:
        """Remember the seeds, or without them the generators, of the lanes that are about to be reset."""
        for lane in np.flatnonzero(mask).tolist():
            generator = self._envs.envs[lane].unwrapped.np_random.bit_generator
            self._starts[lane] = generator.state if seeds is None else seeds[lane]
            self._actions[lane] = []

    def state_dict(self) -> dict[str, Any]:
        """Starts and actions ``(steps, *action)`` of every lane."""
        return {"starts": list(self._starts), "actions": [np.array(actions) for actions in self._actions]}

    def replay(self, state: Mapping[str, Any]) -> Any:
        """Bring every lane to where the journal ends; returns the observations as the vector environment gives them."""
        env = self._envs
        self._starts = list(state["starts"])
        self._actions = [list(actions) for actions in state["actions"]]
        for lane, (start, actions) in enumerate(zip(self._starts, self._actions, strict=True)):
            single = env.envs[lane]
            if isinstance(start, int):
                observation, _ = single.reset(seed=start)
            else:
                single.reset(seed=0)
                single.unwrapped.np_random.bit_generator.state = start
                observation, _ = single.reset()
            for action in actions:
                observation, *_ = single.step(action if action.shape else action[()])
            env._env_obs[lane] = observation
        return stack(env.single_observation_space, env._env_obs)


def stack(space: gym.Space[Any], items: Sequence[Any]) -> Any:
    """A batch of observations as vector environments give it."""
    empty: Any = create_empty_array(space, n=len(items))
    return concatenate(space, items, empty)

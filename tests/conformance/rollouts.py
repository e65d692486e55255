"""Environments made from their ids, and what they return along a plan of random actions."""

import importlib
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

import envs  # noqa: F401  (registers the ids)
from envs.batched import Array, BatchedEnv, rows_of
from envs.single import SingleEnv

# Keywords that change spaces or dynamics, as ids of their own.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "CartPole-hidden-v1": ("skidpad/CartPole-v1", {"velocities": False}),
    "GridWorld-slip-v0": ("skidpad/GridWorld-v0", {"slip": 0.3}),
    "WindyGridWorld-king-v0": ("skidpad/WindyGridWorld-v0", {"moves": "king+stay", "stochastic_wind": True}),
    "Maze-coordinates-v0": ("skidpad/Maze-v0", {"observation": "coordinates", "carrots": 2, "traps": 2, "mazes": 3}),
    "Atari-Breakout-small-v0": (
        "skidpad/Atari-Breakout-v0",
        {"stack": 1, "frame_skip": 2, "crop": "book", "full_action_space": True, "noop_max": 3},
    ),
    "InstructionMaze-large-v0": (
        "skidpad/InstructionMaze-v0",
        {"size": (11, 13), "loops": 0.0, "split": "train", "progress_reward": 0.1},
    ),
    "Maze-planes-v0": ("skidpad/Maze-v0", {"observation": "planes", "carrots": 2, "traps": 2, "loops": 0.2}),
}
for name, (base, keywords) in VARIANTS.items():
    spec = gym.spec(base)
    gym.register(
        f"skidpad-variant/{name}",
        entry_point=spec.entry_point,
        vector_entry_point=spec.vector_entry_point,
        kwargs={**spec.kwargs, **keywords},
    )

# One game stands for all of them.
IDS = sorted(
    env_id
    for env_id in gym.registry
    if env_id.startswith(("skidpad/", "skidpad-variant/"))
    and (env_id == "skidpad/Atari-Breakout-v0" or not env_id.startswith("skidpad/Atari-"))
)
SLOW = ("Atari", "Chess", "Shogi")  # steps of an emulator, and of rules that are not compiled
LANES = 5
LIMIT = 12  # steps; short, so that lanes end often and together
STEPS = 5 * LIMIT
MODES = list(AutoresetMode)


class Trace(NamedTuple):
    """Everything a batch returned; time first."""

    observations: Array  # (steps + 1, lanes, ...)
    rewards: Array  # (steps, lanes)
    terminated: Array
    truncated: Array
    final_observations: Array  # (steps, lanes, ...), zero where no episode ended


def find(entry_point: Any) -> Any:
    module, name = entry_point.split(":")
    return getattr(importlib.import_module(module), name)


def make_batch(env_id: str, num_envs: int = LANES, **kwargs: Any) -> BatchedEnv:
    env = gym.make_vec(env_id, num_envs, vectorization_mode="vector_entry_point", **kwargs)
    assert isinstance(env, BatchedEnv)
    return env


def make_single(env_id: str, **kwargs: Any) -> SingleEnv:
    """The single environment without Gymnasium's wrappers, whose ``max_episode_steps`` is the batch's."""
    spec = gym.spec(env_id)
    env = find(spec.entry_point)(**{**spec.kwargs, **kwargs})
    assert isinstance(env, SingleEnv)
    return env


def make_plan(space: gym.Space[Any], steps: int = STEPS, lanes: int = LANES) -> Array:
    """Random actions ``(steps, lanes, ...)``; those of lane i do not depend on the number of lanes.

    Fewer in Chess and Shogi, which have thousands of actions and slow steps.
    """
    if isinstance(space, gym.spaces.Discrete) and space.n > 1000:
        steps = min(steps, LIMIT + 1)
    columns = []
    for lane in range(lanes):
        space.seed(lane)
        columns.append([space.sample() for _ in range(steps)])
    return np.stack(columns, axis=1)


def plain(observation: Any, axes: int = 1) -> Array:
    """One array of a batch of observations, or with no ``axes`` kept of a single one: parts of Dicts side by side."""
    if not isinstance(observation, dict):
        return np.array(observation)
    return np.concatenate([part.reshape(*part.shape[:axes], -1) for part in observation.values()], axis=-1)


def rollout(env: VectorEnv[Any, Any, Any], plan: Array, seed: int = 0, first: Array | None = None) -> Trace:
    """Follow a plan from ``reset(seed)``, or from where the environment stands, which is ``first``."""
    observation = plain(env.reset(seed=seed)[0] if first is None else first)
    rows: list[tuple[Array, ...]] = []
    observations = [observation]
    for actions in plan:
        raw, rewards, terminated, truncated, infos = env.step(actions)
        observations.append(plain(raw))
        final = np.zeros_like(observations[-1])
        for lane in np.flatnonzero(infos.get("_final_obs", ())):
            final[lane] = plain(rows_of(infos["final_obs"], lane), 0)
        rows.append((np.array(rewards), np.array(terminated), np.array(truncated), final))
    return Trace(np.stack(observations), *(np.stack(column) for column in zip(*rows, strict=True)))


def assert_same(one: Trace, other: Trace) -> None:
    for name, left, right in zip(Trace._fields, one, other, strict=True):
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, err_msg=name)


def true_transitions(env: VectorEnv[Any, Any, Any], plan: Array) -> list[list[tuple[Any, ...]]]:
    """(observation, action, reward, terminated, truncated, next observation) of every lane, resets left out.

    Ends when every lane has made ``len(plan)``; where resets take steps, some lanes have then made more.
    """
    mode = env.metadata["autoreset_mode"]
    streams: list[list[tuple[Any, ...]]] = [[] for _ in range(env.num_envs)]
    observation, _ = env.reset(seed=0)
    lanes = np.arange(env.num_envs)
    ended = np.zeros(env.num_envs, np.bool_)
    while min(map(len, streams)) < len(plan):
        times = [min(len(stream), len(plan) - 1) for stream in streams]
        actions = plan[times, lanes]
        following, rewards, terminated, truncated, infos = env.step(actions)
        done = terminated | truncated
        for lane in lanes:
            if ended[lane]:
                assert rewards[lane] == 0 and not done[lane], "a step that resets is no step of an episode"
                continue
            reached = plain(infos["final_obs"] if mode is AutoresetMode.SAME_STEP and done[lane] else following)
            columns = (plain(observation), actions, rewards, terminated, truncated, reached)
            streams[lane].append(tuple(column[lane] for column in columns))
        observation = following
        if mode is AutoresetMode.NEXT_STEP:
            ended = done
        elif mode is AutoresetMode.DISABLED and done.any():
            observation, _ = env.reset(options={"reset_mask": done})
    return streams

"""Evaluation: the greedy policy on fresh episodes, the same whatever the number of lanes."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.rollout import make_lanes
from supervised.training.statistics import summarise

Array = NDArray[Any]


class Policy(Protocol):
    """What can be evaluated."""

    def transform(self, observations: Any) -> Array:
        """What `act` reads ``(batch, ...)`` of a batch of observations as the vector environment gives them."""
        ...

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)`` for observations ``(batch, *observation)``."""
        ...


def evaluate(
    policy: Policy,
    env: str | Callable[[], Any],
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    episodes: int = 100,
    seed: int = 10_000,
    lanes: int = 16,
) -> dict[str, Any]:
    """Play ``episodes`` episodes greedily; episode k is seeded ``seed + k``.

    Returns:
        ``mean std iqm ci95`` of the undiscounted returns, ``lengths`` and ``returns`` (lists, in the order of the
        seeds) and ``seeds``.
    """
    batch = make_lanes(env, min(lanes, episodes), env_kwargs or {}, autoreset_mode=AutoresetMode.DISABLED, copy=True)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    playing = np.arange(batch.num_envs)  # the episode of each lane; lanes beyond the last play on uncounted
    observations, _ = batch.reset(seed=[seed + int(episode) for episode in playing])  # type: ignore[arg-type]
    waiting = batch.num_envs
    counted = np.ones(batch.num_envs, np.bool_)
    while counted.any():
        actions = act_in_blocks(policy, observations)
        observations, rewards, terminated, truncated, _ = batch.step(actions)
        returns[playing[counted]] += rewards[counted]
        lengths[playing[counted]] += 1
        done = terminated | truncated
        if not done.any():
            continue
        seeds = [seed + int(episode) for episode in playing]
        for lane in np.flatnonzero(done):
            counted[lane] &= waiting < episodes
            if counted[lane]:
                playing[lane], seeds[lane] = waiting, seed + waiting
                waiting += 1
        observations, _ = batch.reset(seed=seeds, options={"reset_mask": done})  # type: ignore[arg-type]
    batch.close()
    return {**summarise(returns, lengths), "returns": returns.tolist(), "seeds": [seed, seed + episodes - 1]}


BLOCK = 16  # rows of every call of a policy


def act_in_blocks(policy: Policy, raw: Any) -> Array:
    """Act on blocks of one size, padded: matrix products of other sizes may differ in the last bit."""
    observations = policy.transform(raw)
    padding = -len(observations) % BLOCK
    padded = np.concatenate([observations, np.repeat(observations[:1], padding, axis=0)])
    blocks = [policy.act(padded[first : first + BLOCK], deterministic=True) for first in range(0, len(padded), BLOCK)]
    return np.concatenate(blocks)[: len(observations)]

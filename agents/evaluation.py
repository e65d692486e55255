"""Evaluation: the greedy policy on fresh episodes, the same whatever the number of lanes."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from agents.rollout import make_lanes, protocol
from agents.transforms import FrameStack
from supervised.training.statistics import summarise

Array = NDArray[Any]


#: what environments tell of an episode's end -> the name under which evaluations count it
OUTCOMES = {"lap_finished": "laps", "success": "success"}


class Policy(Protocol):
    """What can be evaluated."""

    def transform(self, observations: Any) -> Array:
        """What `act` reads ``(batch, ...)`` of a batch of observations as the vector environment gives them.

        It may be an `agents.transforms.Transforms`, whose ``stack`` and ``repeat`` then count.
        """
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
        ``mean std iqm ci95`` of the undiscounted returns, ``lengths`` (decisions: with ``repeat:K`` a K-th of the
        steps) and ``returns`` (lists, in the order of the seeds) and ``seeds``; where the environment tells of laps,
        as CarRacing does, ``laps``: the number of episodes that ended with a complete one; where it tells of
        ``success``, the share of episodes that ended so; and where it has one, as Atari games do, its ``protocol``.
    """
    batch = playground(policy, env, min(lanes, episodes), env_kwargs or {})
    player = Player(policy)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    playing = np.arange(batch.num_envs)  # the episode of each lane; lanes beyond the last play on uncounted
    observations, _ = batch.reset(seed=[seed + int(episode) for episode in playing])  # type: ignore[arg-type]
    waiting = batch.num_envs
    counted, done = np.ones((2, batch.num_envs), np.bool_)
    rewards = np.zeros(batch.num_envs)
    reached: dict[str, int] = {}  # outcome -> episodes that ended with it
    while counted.any():
        actions = player.act(observations, done, rewards)
        observations, rewards, terminated, truncated, infos = batch.step(actions)
        returns[playing[counted]] += rewards[counted]
        lengths[playing[counted]] += 1
        done = terminated | truncated
        if not done.any():
            continue
        for key in OUTCOMES.keys() & infos.keys():
            reached[key] = reached.get(key, 0) + int((infos[key] & infos[f"_{key}"] & counted).sum())
        seeds = [seed + int(episode) for episode in playing]
        for lane in np.flatnonzero(done):
            counted[lane] &= waiting < episodes
            if counted[lane]:
                playing[lane], seeds[lane] = waiting, seed + waiting
                waiting += 1
        observations, _ = batch.reset(seed=seeds, options={"reset_mask": done})  # type: ignore[arg-type]
    batch.close()
    told: dict[str, Any] = {OUTCOMES[key]: count for key, count in reached.items()}
    if "success" in told:
        told["success"] /= episodes
    if text := protocol(batch, getattr(policy.transform, "stack", 1)):
        told["protocol"] = text
    seeds = [seed, seed + episodes - 1]
    return {**summarise(returns, lengths), "returns": returns.tolist(), "seeds": seeds, **told}


def playground(
    policy: Policy, env: str | Callable[[], Any], lanes: int, env_kwargs: Mapping[str, Any]
) -> VectorEnv[Any, Any, Any]:
    """Lanes for a policy to play in: finished ones wait for ``reset(options={"reset_mask": mask})``."""
    repeat = getattr(policy.transform, "repeat", 1)
    return make_lanes(env, lanes, env_kwargs, repeat, autoreset_mode=AutoresetMode.DISABLED, copy=True)


BLOCK = 16  # rows of every call of a policy


class Player:
    """A policy that plays lanes, with the frames it remembers of each, and its own state where it keeps one.

    A policy with a memory has ``initial_state(lanes) -> state (lanes, ...)`` and ``act_with_state(observations, state,
    starts, deterministic) -> (actions, state)`` besides `act`; ``starts`` says where an episode begins. One that wants
    to know what it has got has ``rewarded(state, rewards) -> state``, too.
    """

    def __init__(self, policy: Policy, block: int = BLOCK) -> None:
        self._policy: Any = policy
        self._block = block
        self._state: Array | None = None
        self._stack = FrameStack(getattr(policy.transform, "stack", 1))

    def act(self, raw: Any, started: Array, rewards: Array) -> Array:
        """Greedy actions ``(lanes, *action)``.

        The policy is called with blocks of one size, padded: matrix products of other sizes may differ in the last
        bit.

        Args:
            raw: observations as the vector environment gives them.
            started: ``(lanes,)`` bool, where they are the first of an episode; all of them at the first call.
            rewards: ``(lanes,)`` since the last call; of no meaning where an episode has started.
        """
        observations = self._stack.see(self._policy.transform(raw), started)
        padding = -len(observations) % self._block
        padded = np.concatenate([observations, np.repeat(observations[:1], padding, axis=0)])
        parts = [slice(first, first + self._block) for first in range(0, len(padded), self._block)]
        if hasattr(self._policy, "act_with_state"):
            if self._state is None:
                self._state = self._policy.initial_state(len(padded))
            elif hasattr(self._policy, "rewarded"):
                self._state = self._policy.rewarded(self._state, np.append(rewards, np.zeros(padding)))
            state = self._state
            starts = np.append(started, np.zeros(padding, np.bool_))
            both = [self._policy.act_with_state(padded[k], state[k], starts[k], deterministic=True) for k in parts]
            blocks, states = zip(*both, strict=True)
            self._state = np.concatenate(states)
        else:
            blocks = tuple(self._policy.act(padded[k], deterministic=True) for k in parts)
        return np.concatenate(blocks)[: len(observations)]

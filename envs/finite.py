"""Batched environments over a finite MDP: the model is the environment."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numba import njit

from envs.batched import Array, BatchedEnv, Lanes
from envs.mdp import MDP, Model, sample_start, sample_step
from envs.single import SingleEnv


@njit(cache=True, nogil=True)
def _step(
    model: Model, state: Array, actions: Array, ended: Array, rng: Array, rewards: Array, terminated: Array
) -> None:
    for lane in range(state.shape[0]):
        if not ended[lane]:
            state[lane], rewards[lane], terminated[lane] = sample_step(model, state[lane], actions[lane], rng[lane])


@njit(cache=True, nogil=True)
def _reset(model: Model, state: Array, mask: Array, rng: Array) -> None:
    for lane in range(state.shape[0]):
        if mask[lane]:
            state[lane] = sample_start(model, rng[lane])


class FiniteEnv(BatchedEnv):
    """An environment whose dynamics are a finite `envs.mdp.MDP`.

    Observations are the state's index, ``Discrete(states)``, unless a subclass shows more; actions are
    ``Discrete(actions)``. ``reset(options={"state": s})`` starts in a given state, or one state a lane. Where some
    actions are not allowed in every state, ``infos["action_mask"]`` ``(lanes, actions)`` says which are.

    Attributes:
        mdp: the model.
        kernel: the arrays that `envs.mdp.sample_start` and `envs.mdp.sample_step` take, for compiled episodes.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        mdp: MDP,
        observation_space: gym.Space[Any] | None = None,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.mdp = mdp
        self.kernel: Model = mdp.model
        self._masks = not mdp.allowed.all()
        super().__init__(
            num_envs,
            observation_space or gym.spaces.Discrete(mdp.n_states),
            gym.spaces.Discrete(mdp.n_actions),
            {"state": np.zeros(num_envs, np.int64)},
            max_episode_steps=max_episode_steps,
            **kwargs,
        )

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        _step(self.kernel, lanes.fields[0], actions, lanes.ended, lanes.rng, lanes.rewards, lanes.terminated)

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        if "state" in options:
            self._check_start(np.asarray(options["state"]))
        _reset(self.kernel, lanes.fields[0], mask, lanes.rng)
        if "state" in options:
            lanes.fields[0][mask] = np.broadcast_to(options["state"], self.num_envs)[mask]

    def _check_start(self, start: Array) -> None:
        n_states = self.mdp.n_states
        if start.dtype.kind not in "iu" or start.shape not in {(), (self.num_envs,)}:
            raise ValueError(f"state is {start.dtype} {start.shape}: give an integer, or one a lane")
        for state in np.unique(start):
            if not 0 <= state < n_states or self.mdp.terminal[state]:
                raise ValueError(f"state {state}: give states from 0 to {n_states - 1} that are not terminal")

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        np.copyto(out, lanes.fields[0])

    def _infos(self) -> dict[str, Any]:
        if not self._masks:
            return {}
        mask = self.mdp.allowed[self.fields["state"]].astype(np.int8)  # as Space.sample(mask) takes it
        return {"action_mask": mask, "_action_mask": np.ones(self.num_envs, np.bool_)}


class FiniteSingle(SingleEnv):
    """A batch of one over any `MDP`: ``FiniteSingle(mdp=MDP(...))``."""

    batched = FiniteEnv

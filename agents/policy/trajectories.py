"""Trajectories of the present policy, and the advantages that learners of policies compute from them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policy.networks import ActorCritic, Agent, Moments, PolicySettings
from agents.progress import Episodes
from agents.rollout import Rollout

Array = NDArray[Any]


class Trajectories(NamedTuple):
    """Steps of all lanes; arrays ``(time, lanes, ...)``."""

    observations: Array
    actions: Array  # in the policy's own coordinates
    log_probs: Array  # float32: of the policy that acted
    values: Array  # float32
    next_values: Array  # float32: of the state that followed, 0 after a terminal one
    rewards: Array  # float32
    done: Array  # bool: the episode ended, or was cut by a time limit
    starts: Array  # bool: the first step of an episode
    valid: Array  # bool: a step that counts
    state: Array  # (lanes, units): what a recurrent network remembered before the first step


class Collector:
    """Plays the agent's policy in all lanes of a rollout."""

    def __init__(self, config: PolicySettings, agent: Agent, rollout: Rollout) -> None:
        self.config, self.agent, self.rollout = config, agent, rollout
        self.episodes = Episodes()
        self._state = agent.initial_state(rollout.lanes)
        self._scale = Moments(()) if config.normalize_rewards else None
        self._discounted = np.zeros(rollout.lanes)  # returns so far, of which `_scale` has the variance

    def collect(self, steps: int) -> Trajectories:
        """``steps`` of every lane."""
        agent, rollout, policy = self.agent, self.rollout, self.agent.network.policy
        before = self._state
        rows: list[tuple[Array, ...]] = []
        for _ in range(steps):
            starts = rollout.started
            parameters, values, self._state = agent.outputs(rollout.observations, self._state, starts)
            actions = policy.sample(parameters, agent.rng)
            step = rollout.step(policy.to_env(actions))
            self.episodes.add(rollout)
            done, following = step.terminated | step.truncated, np.zeros_like(values)
            cut = step.truncated & ~step.terminated & step.valid
            if cut.any():  # a time limit is no end: what would have followed counts
                inputs = step.next_observations[cut], self._state[cut], np.zeros(cut.sum(), np.bool_)
                following[cut] = agent.outputs(*inputs)[1]
            rewards = self._rewards(step.rewards, step.terminated, done)
            rows.append((step.observations, actions, parameters, values, following, rewards, done, starts, step.valid))
        observations, actions, parameters, *others = map(np.stack, zip(*rows, strict=True))
        trajectories = Trajectories._make(
            [observations, actions, self._log_probs(parameters, actions), *others, before]
        )
        last = agent.outputs(rollout.observations, self._state, rollout.started)[1]
        following = np.concatenate([trajectories.values[1:], last[None]])  # of the states between
        trajectories.next_values[~trajectories.done] = following[~trajectories.done]
        return trajectories

    @torch.inference_mode()
    def _log_probs(self, parameters: Array, actions: Array) -> Array:
        """``(time, lanes)`` of arrays ``(time, lanes, ...)``."""
        flat = (torch.from_numpy(one.reshape(-1, *one.shape[2:])) for one in (parameters, actions))
        return self.agent.network.policy.log_probs(*flat).numpy().reshape(parameters.shape[:2])

    def _rewards(self, rewards: Array, terminated: Array, done: Array) -> Array:
        config = self.config
        if config.terminal_reward is not None:
            rewards = np.where(terminated, config.terminal_reward, rewards)
        if self._scale is not None:
            self._discounted = self._discounted * config.discount + rewards
            self._scale.update(self._discounted)
            rewards = (rewards / np.sqrt(self._scale.variance.item() + 1e-8)).clip(-10, 10)
            self._discounted[done] = 0
        return (rewards * config.reward_scale).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """Lanes, memory, latest episodes and moments."""
        return {
            "rollout": self.rollout.state_dict(),
            "episodes": self.episodes.state_dict(),
            "state": self._state,
            "discounted": self._discounted,
            "scale": None if self._scale is None else self._scale.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.rollout.load_state_dict(state["rollout"])
        self.episodes.load_state_dict(state["episodes"])
        self._state, self._discounted = np.array(state["state"]), np.array(state["discounted"])
        if self._scale is not None:
            self._scale.load_state_dict(state["scale"])


def advantages(trajectories: Trajectories, discount: float, gae_lambda: float) -> Array:
    """Generalized advantage estimates ``(time, lanes)`` float32 (Schulman et al. 2016).

    With lambda 0 the TD error, with lambda 1 the return (bootstrapped where it was cut) minus the value.
    """
    # delta_t = r_t + gamma v(s_(t+1)) - v(s_t)
    deltas = trajectories.rewards + discount * trajectories.next_values - trajectories.values
    result, following = np.empty_like(deltas), np.zeros_like(deltas[0])
    for t in reversed(range(len(deltas))):
        # A_t = delta_t + gamma lambda A_(t+1), within one episode
        following = deltas[t] + discount * gae_lambda * np.where(trajectories.done[t], 0, following)
        result[t] = following
    return result


class Minibatch(NamedTuple):
    """Some valid steps; tensors ``(rows, ...)``."""

    parameters: Tensor  # of the network as it is now
    values: Tensor
    actions: Tensor
    old_log_probs: Tensor  # of the policy that acted
    old_values: Tensor
    advantages: Tensor
    returns: Tensor


def minibatches(
    network: ActorCritic, trajectories: Trajectories, advantage: Array, count: int, rng: np.random.Generator
) -> Iterator[Minibatch]:
    """All valid steps in random order, in about ``count`` parts; the network is run as each part is asked for.

    A part is made of single steps; for a recurrent network of the whole trajectories of some lanes.
    """
    device = network.value.weight.device
    time, lanes = trajectories.valid.shape
    returns = advantage + trajectories.values
    columns = trajectories.actions, trajectories.log_probs, trajectories.values, advantage, returns

    def tensors(arrays: Iterable[Array]) -> list[Tensor]:
        return [torch.from_numpy(one).to(device) for one in arrays]

    if network.recurrent:
        for part in np.array_split(rng.permutation(lanes), min(count, lanes)):
            sequence = trajectories.observations[:, part], trajectories.state[part], trajectories.starts[:, part]
            parameters, values, _ = network(*tensors(sequence))
            valid = trajectories.valid[:, part].ravel()
            (kept,) = tensors([valid])
            rows = tensors(column[:, part].reshape(-1, *column.shape[2:])[valid] for column in columns)
            yield Minibatch(parameters[kept], values[kept], *rows)
        return
    flat = [column.reshape(time * lanes, *column.shape[2:]) for column in (trajectories.observations, *columns)]
    order = rng.permutation(np.flatnonzero(trajectories.valid))
    for part in np.array_split(order, min(count, len(order))):
        observations, *rows = tensors(column[part] for column in flat)
        parameters, values, _ = network(observations)
        yield Minibatch(parameters, values, *rows)

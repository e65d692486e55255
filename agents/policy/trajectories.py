"""Trajectories of the present policy, and the advantages that learners of policies compute from them."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.moments import Moments
from agents.policy.networks import ActorCritic, Agent, PolicySettings
from agents.progress import Episodes
from agents.rollout import Rollout, Transitions

Array = NDArray[Any]


class Trajectories(NamedTuple):
    """Steps of all lanes; arrays ``(time, lanes, ...)``."""

    observations: Array
    actions: Array  # in the policy's own coordinates
    log_probs: Array  # float32: of the policy that acted
    values: Array  # float32
    next_values: Array  # float32: of the state that followed, 0 after a terminal one
    rewards: Array  # float32
    terminated: Array  # bool: a terminal state followed
    done: Array  # bool: a terminal state followed, or a time limit cut the episode
    starts: Array  # bool: the first step of an episode
    valid: Array  # bool: a step that counts
    state: Array  # (lanes, units): what a recurrent network remembered before the first step

    def of(self, lanes: Any) -> "Trajectories":
        """Those of some lanes, an index array or a slice."""
        *columns, state = self
        return Trajectories._make([*(column[:, lanes] for column in columns), state[lanes]])


class Rewards:
    """The environment's rewards as the settings change them for learning."""

    def __init__(self, config: PolicySettings, lanes: int) -> None:
        self.config = config
        self._scale = Moments(()) if config.normalize_rewards else None
        self._discounted = np.zeros(lanes)  # returns so far, of which `_scale` has the variance

    def __call__(self, transitions: Transitions) -> Array:
        """Rewards ``(lanes,)`` float32 to learn from."""
        config, rewards = self.config, transitions.rewards
        if config.terminal_reward is not None:
            rewards = np.where(transitions.terminated, config.terminal_reward, rewards)
        if self._scale is not None:
            self._discounted = self._discounted * config.discount + rewards
            self._scale.update(self._discounted)
            rewards = (rewards / np.sqrt(self._scale.variance.item() + 1e-8)).clip(-10, 10)
            self._discounted[transitions.terminated | transitions.truncated] = 0
        return (rewards * config.reward_scale).astype(np.float32)

    def restart(self) -> None:
        """Every lane begins a new episode."""
        self._discounted[:] = 0

    def state_dict(self) -> dict[str, Any]:
        """Returns so far and their moments."""
        return {"discounted": self._discounted, "scale": None if self._scale is None else self._scale.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._discounted = np.array(state["discounted"])
        if self._scale is not None:
            self._scale.load_state_dict(state["scale"])


class Collector:
    """Plays the agent's policy in all lanes of a rollout; ``episodes`` are the latest that ended."""

    def __init__(self, config: PolicySettings, agent: Agent, rollout: Rollout) -> None:
        self.agent, self.rollout, self.episodes = agent, rollout, Episodes()
        self._state = agent.initial_state(rollout.lanes)
        self._rewards = Rewards(config, rollout.lanes)

    def collect(self, steps: int) -> Trajectories:
        """``steps`` of every lane."""
        before = self._state
        return self._trajectories([self._step() for _ in range(steps)], before)

    def collect_episodes(self, most: int) -> Trajectories | None:
        """One whole new episode of every lane; None if that takes more than ``most`` steps.

        A lane whose episode has ended rests until the last one has: its steps are not valid. Every lane gives one
        episode, however long: the first to end among many would be the short ones.
        """
        if most < 1:
            return None
        before = self._state
        rows: list[Row] = []
        self.rollout.restart()
        self._rewards.restart()
        while not self.rollout.resting.all():
            if len(rows) == most:
                return None
            rows.append(row := self._step())
            self.rollout.resting |= row.ended
        return self._trajectories(rows, before)

    def _step(self) -> "Row":
        agent, rollout, policy = self.agent, self.rollout, self.agent.network.policy
        starts = rollout.started
        parameters, features, self._state = agent.act_outputs(rollout.observations, self._state, starts)
        actions = policy.sample(parameters, agent.rng)
        step = rollout.step(policy.to_env(actions))
        self.episodes.add(rollout)
        following = np.zeros(rollout.lanes, np.float32)
        cut = step.truncated & ~step.terminated & step.valid
        if cut.any():  # a time limit is no end: what would have followed counts
            inputs = step.next_observations[cut], self._state[cut], np.zeros(cut.sum(), np.bool_)
            following[cut] = agent.outputs(*inputs)[1]
        done, rewards = step.terminated | step.truncated, self._rewards(step)
        seen = step.observations, actions, parameters, features
        return Row(*seen, following, rewards, step.terminated & step.valid, done, starts, step.valid, step.ended)

    def _trajectories(self, rows: list["Row"], before: Array) -> Trajectories:
        """The rows, with the values of all states at once."""
        agent, rollout = self.agent, self.rollout
        observations, actions, parameters, features, following, *others = map(np.stack, zip(*rows, strict=True))
        flat = (one.reshape(-1, *one.shape[2:]) for one in (observations, features))
        values = agent.values(*flat).reshape(-1, rollout.lanes)
        last = agent.outputs(rollout.observations, self._state, rollout.started)[1]
        rewards, terminated, done, starts, valid, _ = others
        next_values = np.where(done, following, np.concatenate([values[1:], last[None]]))
        judged = self._log_probs(parameters, actions), values, next_values
        return Trajectories(observations, actions, *judged, rewards, terminated, done, starts, valid, before)

    @torch.inference_mode()
    def _log_probs(self, parameters: Array, actions: Array) -> Array:
        """``(time, lanes)`` of arrays ``(time, lanes, ...)``."""
        flat = (torch.from_numpy(one.reshape(-1, *one.shape[2:])) for one in (parameters, actions))
        return self.agent.network.policy.log_probs(*flat).numpy().reshape(parameters.shape[:2])

    def state_dict(self) -> dict[str, Any]:
        """Lanes, memory, latest episodes and moments of rewards."""
        return {
            "rollout": self.rollout.state_dict(),
            "episodes": self.episodes.state_dict(),
            "state": self._state,
            "rewards": self._rewards.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.rollout.load_state_dict(state["rollout"])
        self.episodes.load_state_dict(state["episodes"])
        self._state = np.array(state["state"])
        self._rewards.load_state_dict(state["rewards"])


class Row(NamedTuple):
    """A step of all lanes; arrays ``(lanes, ...)``, named as in `Trajectories`."""

    observations: Array
    actions: Array
    parameters: Array  # of the policy
    features: Array  # of the actor
    cut_values: Array  # of the state at which a time limit cut the episode, 0 elsewhere
    rewards: Array
    terminated: Array
    done: Array
    starts: Array
    valid: Array
    ended: Array  # the episode ended, which a lost life does not do


def advantages(trajectories: Trajectories, discount: float, gae_lambda: float) -> Array:
    """Generalized advantage estimates ``(time, lanes)`` float32 (Schulman et al. 2016).

    With lambda 0 the TD error, with lambda 1 the return (bootstrapped where it was cut) minus the value.
    """
    # delta_t = r_t + gamma v(s_(t+1)) - v(s_t)
    result = trajectories.rewards + discount * trajectories.next_values - trajectories.values
    kept = np.where(trajectories.done, np.float32(0), np.float32(discount * gae_lambda))
    for t in reversed(range(len(result) - 1)):
        result[t] += kept[t] * result[t + 1]  # A_t = delta_t + gamma lambda A_(t+1), within one episode
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


def minibatch(
    network: ActorCritic, trajectories: Trajectories, advantage: Array, returns: Array, rows: Array | None = None
) -> Minibatch:
    """The network's outputs for all valid steps, or those of the given numbers among the flattened ``(time, lanes)``.

    Args:
        advantage, returns: ``(time, lanes)``.
        rows: not for a recurrent network, which reads the trajectories as they are.
    """
    device = network.policy.weight.device
    columns = trajectories.actions, trajectories.log_probs, trajectories.values, advantage, returns
    if rows is None:
        rows = np.flatnonzero(trajectories.valid)
    others = [torch.from_numpy(one.reshape(-1, *one.shape[2:])[rows]).to(device) for one in columns]
    if network.recurrent:
        sequence = trajectories.observations, trajectories.state, trajectories.starts
        parameters, values, _ = network(*(torch.from_numpy(one).to(device) for one in sequence))
        kept = torch.from_numpy(rows).to(device)
        return Minibatch(parameters[kept], values[kept], *others)
    observations = trajectories.observations.reshape(-1, *trajectories.observations.shape[2:])[rows]
    parameters, values, _ = network(torch.from_numpy(observations).to(device))
    return Minibatch(parameters, values, *others)


def minibatches(
    network: ActorCritic, trajectories: Trajectories, advantage: Array, count: int, rng: np.random.Generator
) -> Iterator[Minibatch]:
    """All valid steps in random order, in about ``count`` parts; the network is run as each part is asked for.

    A part is made of single steps; for a recurrent network of the whole trajectories of some lanes.
    """
    returns = advantage + trajectories.values
    if network.recurrent:
        lanes = trajectories.valid.shape[1]
        for part in np.array_split(rng.permutation(lanes), min(count, lanes)):
            yield minibatch(network, trajectories.of(part), advantage[:, part], returns[:, part])
        return
    order = rng.permutation(np.flatnonzero(trajectories.valid))
    for rows in np.array_split(order, min(count, len(order))):
        yield minibatch(network, trajectories, advantage, returns, rows)

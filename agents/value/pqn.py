"""Q-learning in parallel lanes without replay memory and without target network (PQN, Gallici et al. 2024).

What keeps it from diverging is layer normalization, and lambda returns from the newest steps of many lanes. A round
plays some steps in every lane with the present epsilon-greedy policy; then, backwards in time,

    G_t = r_t + gamma (lambda G_(t+1) + (1 - lambda) max_a q(s_(t+1), a)),

only r_t where the episode terminates and r_t + gamma max_a q(s_(t+1), a) where it is cut off or the round ends. Several
passes in minibatches move q(s_t, a_t) towards G_t. The gradient is clipped by norm.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import nn

from agents.progress import Episodes, Examiner, crossed
from agents.rollout import Rollout, begin
from agents.settings import BREAKOUT
from agents.value.agent import Agent, ValueSettings
from supervised.backbones import RECURRENT
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, set_generator_state, set_threads

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(ValueSettings):
    """PQN: action values from lambda returns of the newest steps of many lanes."""

    lanes: int = 32
    """Environments stepped together."""
    round_steps: int = 32
    """Steps of every lane in a round."""
    epochs: int = 4
    """Passes through a round's steps."""
    minibatches: int = 8
    """Gradient steps of a pass."""
    q_lambda: float = 0.65
    """Lambda: 0 trusts the next state's value, 1 the rewards of the round."""
    learning_rate: float = 1e-3
    """RAdam's step size at the start."""
    loss: str = "squared"
    """"huber" (its gradient is bounded) or "squared"."""
    epsilon_steps: int = 20_000
    """Environment steps over which the share of random actions falls linearly."""
    layer_norm: tyro.conf.FlagConversionOff[bool] = True
    """Layer normalization in the backbones mlp, nature_cnn and nips_cnn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("round_steps", "epochs", "minibatches"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0 <= self.q_lambda <= 1, "q_lambda", self.q_lambda, "use a number from 0 to 1")
        expected = self.distribution == "expected" and not self.noisy
        require(expected, "distribution", self.distribution, "pqn learns expected values without noise: use dqn")
        memory = "pqn keeps no memory: use another backbone, or dqn"
        require(self.backbone not in RECURRENT, "backbone", self.backbone, memory)
        rows = self.round_steps * self.lanes
        room = f"a round must have a step for every minibatch ({self.minibatches})"
        require(rows >= self.minibatches, "round_steps", self.round_steps, room)
        round_room = f"use at least one round ({self.round_steps} steps in each of {self.lanes} lanes)"
        require(self.total_steps >= rows, "total_steps", self.total_steps, round_room)


PRESETS = {
    "default": Config(),
    # Gallici et al. 2024
    "breakout": Config(
        **BREAKOUT,
        total_steps=4_000_000,
        lanes=128,
        round_steps=32,
        epochs=2,
        minibatches=32,
        learning_rate=2.5e-4,
        epsilon_end=0.001,
        epsilon_steps=400_000,
    ),
}


class Round(NamedTuple):
    """The steps of a round; arrays ``(time, lanes, ...)``."""

    observations: Array
    actions: Array  # from 0
    rewards: Array  # float32
    next_values: Array  # float32: max_a q of what followed, 0 after a terminal state
    done: Array  # bool: the episode ended, or was cut by a time limit
    valid: Array  # bool: a step that counts


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner, episodes, examiner, step = Learner(config, agent), Episodes(), Examiner(config), 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "episodes": episodes.state_dict(),
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "rollout": rollout.state_dict(),
        }

    if saved := run.restore():
        step = saved["step"]
        episodes.load_state_dict(saved["episodes"])
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        rollout.load_state_dict(saved["rollout"])

    size = config.round_steps * config.lanes
    while step + size <= config.total_steps:
        agent.epsilon = config.epsilon(step)
        played = play(config, agent, rollout, episodes)
        metrics = learner.learn(played, step / config.total_steps)
        before, step = step, step + size
        if crossed(before, step, config.log_every):
            run.log(step, {**episodes.metrics(), "epsilon": agent.epsilon, **metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    run.finish(step, state)
    return agent


def play(config: Config, agent: Agent, rollout: Rollout, episodes: Episodes) -> Round:
    """``round_steps`` of every lane by the agent's present values and exploration."""
    rows: list[tuple[Array, ...]] = []
    values = agent.q_values(rollout.observations)
    for _ in range(config.round_steps):
        actions = agent.choose(values)
        step = rollout.step(actions + agent.first_action)
        episodes.add(rollout)
        values = agent.q_values(rollout.observations)
        done, following = step.terminated | step.truncated, values.max(1)
        following[step.terminated] = 0
        cut = step.truncated & ~step.terminated & step.valid
        if cut.any():  # a time limit is no end: what would have followed counts
            following[cut] = agent.q_values(step.next_observations[cut]).max(1)
        rewards = step.rewards
        if config.terminal_reward is not None:
            rewards = np.where(step.terminated, config.terminal_reward, rewards)
        rows.append((step.observations, actions, rewards.astype(np.float32), following, done, step.valid))
    return Round._make(map(np.stack, zip(*rows, strict=True)))


def lambda_returns(played: Round, discount: float, q_lambda: float) -> Array:
    """G ``(time, lanes)`` float32."""
    returns, following = np.empty_like(played.rewards), played.next_values[-1]
    for t in reversed(range(len(returns))):
        mixed = q_lambda * following + (1 - q_lambda) * played.next_values[t]
        following = played.rewards[t] + discount * np.where(played.done[t], played.next_values[t], mixed)
        returns[t] = following
    return returns


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.network = config, agent, agent.network
        self.optimizer = torch.optim.RAdam(self.network.parameters(), lr=config.learning_rate)
        self.rng = generators(config.seed, "minibatches")["minibatches"]

    def learn(self, played: Round, done: float) -> dict[str, float]:
        """All passes through a round; ``done`` is the share of the run before it. Returns metrics of the last part.

        Raises:
            UserError: the loss is not finite.
        """
        config, agent = self.config, self.agent
        rate = config.learning_rate + done * (config.learning_rate_end - config.learning_rate)
        self.optimizer.param_groups[0]["lr"] = rate
        returns = lambda_returns(played, config.discount, config.q_lambda)
        columns = [one.reshape(-1, *one.shape[2:]) for one in (played.observations, played.actions, returns)]
        valid, metrics = np.flatnonzero(played.valid), {"loss": 0.0, "q_value": 0.0}
        for epoch in range(config.epochs):
            for part in np.array_split(self.rng.permutation(valid), min(config.minibatches, len(valid))):
                observations, actions, targets = (torch.from_numpy(one[part]).to(agent.device) for one in columns)
                outputs = agent.outputs(self.network, observations)
                chosen = outputs[torch.arange(len(part), device=agent.device), actions]
                loss = agent.distribution.losses(chosen, targets[:, None])[0].mean()
                metrics = {"loss": loss.item(), "q_value": outputs.detach().mean().item()}
                if not np.isfinite(metrics["loss"]):
                    remedy = "training stopped, the last checkpoint is kept; try a smaller learning_rate"
                    raise UserError(f"loss={metrics['loss']} in epoch {epoch}: {remedy}")
                self.optimizer.zero_grad()
                loss.backward()
                if config.max_gradient_norm:
                    nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
                self.optimizer.step()
        agent.see(played.observations[played.valid])  # a round's are all seen alike: from now on
        return {**metrics, "learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and the order of minibatches."""
        return {"optimizer": optimizer_state(self.optimizer), "rng": generator_state(self.rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])
        set_generator_state(self.rng, state["rng"])

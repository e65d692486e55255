"""Advantage actor-critic (book, chapter 9: "Actor-Critic with advantage"; Mnih et al. 2016, their A3C synchronously).

A round plays some steps in every lane; then actor and critic take one step. With the advantage A of an action the
loss is, in means over the round's steps,

    -E[A log pi(a|s)] + value_coefficient E[(v(s) - G)^2] / 2 - entropy_coefficient E[H(pi)]

G is the return from there on, within the round, and then the value of the state it ends in. A is the TD error
r + gamma v(s') - v(s) with `gae_lambda` 0, G - v(s) with 1, and a mean of all in between.

The preset ``book`` has the order of the book's listing: every lane plays a whole episode, the critic takes a step on
each of them and the actor one on all, and training ends after ten full episodes in a row. Where it departs:

- rewards are not overwritten by returns before the advantage is taken, which counted the future twice. And as the
  critic learns from returns of whole episodes, this is no online method (erratum D-32).
- log pi is that of the action taken, from log_softmax: a sum over actions, and a mean over steps only. The deviation
  by which advantages are divided has an epsilon, and no gradient flows through them (D-33).
- the critic estimates the values of states and the actor is the policy, not the other way round (D-34).
- a time limit is no failure: its step keeps its reward, and the value of the state it cut off counts (D-20).
- the three episodes are played side by side, and judged by the critic as it was before; weights begin as PPO's.
"""

from dataclasses import dataclass
from typing import Any

import torch
import tyro
from torch import Tensor

from agents.policy.networks import Agent, PolicySettings
from agents.policy.optimization import anneal, descend
from agents.policy.trajectories import Collector, Minibatch, Trajectories, advantages, minibatch
from agents.progress import Examiner, crossed
from agents.rollout import begin
from agents.settings import BREAKOUT
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import set_threads


@dataclass(frozen=True)
class Config(PolicySettings):
    """A2C: one step of actor and critic on every few steps of all lanes."""

    round_steps: int = 16
    """Steps of every lane in a round: returns reach as far."""
    whole_episodes: tyro.conf.FlagConversionOff[bool] = False
    """A round is a whole episode of every lane instead, and the critic takes a step on each (the book's listing)."""
    gae_lambda: float = 1.0
    """Advantages: 0 trusts the value function, 1 the returns (Schulman et al. 2016)."""
    standardize_advantages: tyro.conf.FlagConversionOff[bool] = True
    """Shift and scale a round's advantages to mean 0 and variance 1."""
    value_coefficient: float = 0.5
    """Weight of the value function's squared error."""
    optimizer: str = "rmsprop"
    """"rmsprop", as in the paper, or "adam", as in the book."""
    learning_rate: float = 3e-3
    """Step size of the optimizer at the start."""
    stop_full_episodes: int = 0
    """Training ends after so many whole episodes in a row that the time limit cut (the book: 10); 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.round_steps >= 1, "round_steps", self.round_steps, "use at least 1")
        require(0 <= self.gae_lambda <= 1, "gae_lambda", self.gae_lambda, "use a number from 0 to 1")
        for name in ("value_coefficient", "stop_full_episodes"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(self.optimizer in OPTIMIZERS, "optimizer", self.optimizer, f"use one of {', '.join(OPTIMIZERS)}")
        stop, counted = self.stop_full_episodes, "only whole episodes are counted: use 0, or whole_episodes=True"
        require(self.whole_episodes or not stop, "stop_full_episodes", stop, counted)
        if not self.whole_episodes:
            round_room = f"use at least one round ({self.round_steps} steps in each of {self.lanes} lanes)"
            require(self.total_steps >= self.round_steps * self.lanes, "total_steps", self.total_steps, round_room)


OPTIMIZERS = {
    "rmsprop": lambda parameters, rate: torch.optim.RMSprop(parameters, rate, alpha=0.99, eps=1e-5, foreach=True),
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, rate, eps=1e-5, fused=True),
}

PRESETS = {
    "default": Config(),
    # Mnih et al. 2016
    "breakout": Config(
        **BREAKOUT,
        total_steps=4_000_000,
        lanes=16,
        round_steps=5,
        standardize_advantages=False,
        learning_rate=7e-4,
        entropy_coefficient=0.01,
    ),
    "acrobot": Config(
        env="Acrobot-v1",
        total_steps=500_000,
        standardize_advantages=False,
        learning_rate=1e-3,
        normalize_observations=True,
        normalize_rewards=True,
        evaluate_every=0,
    ),
    "book": Config(
        env="skidpad/CartPole-v0",
        lanes=3,
        discount=0.9,
        hidden=(20,),
        whole_episodes=True,
        optimizer="adam",
        learning_rate=0.01,
        learning_rate_end=0.01,
        max_gradient_norm=0.0,
        terminal_reward=-1.0,
        reward_scale=0.1,
        stop_full_episodes=10,
        evaluate_every=0,
    ),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, no whole episode of every lane within the budget where
            rounds are such, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner, collector, examiner = Learner(config, agent), Collector(config, agent, rollout), Examiner(config)
    step = full_episodes = 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "full_episodes": full_episodes,
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "collector": collector.state_dict(),
        }

    if saved := run.restore():
        step, full_episodes = saved["step"], saved["full_episodes"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        collector.load_state_dict(saved["collector"])

    while trajectories := collect(collector, config, (config.total_steps - step) // config.lanes):
        metrics = learner.learn(trajectories, 1 - step / config.total_steps)
        before, step = step, step + trajectories.valid.size
        if crossed(before, step, config.log_every):
            run.log(step, {**collector.episodes.metrics(), **metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        for failures in trajectories.terminated.T:
            full_episodes = 0 if failures.any() else full_episodes + 1
        if config.stop_full_episodes and full_episodes >= config.stop_full_episodes:
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    config.require_episodes(step)
    run.finish(step, state)
    return agent


def collect(collector: Collector, config: Config, most: int) -> Trajectories | None:
    """The next round, or None where it does not fit into ``most`` steps of every lane."""
    if config.whole_episodes:
        return collector.collect_episodes(most)
    return collector.collect(config.round_steps) if config.round_steps <= most else None


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.network = config, agent.network
        self.optimizer = OPTIMIZERS[config.optimizer](self.network.parameters(), config.learning_rate)

    def learn(self, trajectories: Trajectories, left: float) -> dict[str, Any]:
        """Learn from a round; ``left`` is the share of the run before it. Returns metrics.

        Raises:
            UserError: the loss is not finite.
        """
        config, rate = self.config, anneal(self.optimizer, self.config, left)
        advantage = advantages(trajectories, config.discount, config.gae_lambda)
        returns = advantages(trajectories, config.discount, 1.0) + trajectories.values
        if config.standardize_advantages:
            counted = advantage[trajectories.valid]
            advantage = (advantage - counted.mean()) / (counted.std() + 1e-8)
        if config.whole_episodes:
            for lane in range(config.lanes):
                one = slice(lane, lane + 1)
                episode = minibatch(self.network, trajectories.of(one), advantage[:, one], returns[:, one])
                self._descend(self.losses(episode)["value_loss"])
        losses = self.losses(minibatch(self.network, trajectories, advantage, returns))
        loss = losses["policy_loss"] - config.entropy_coefficient * losses["entropy"]
        if not config.whole_episodes:
            loss = loss + config.value_coefficient * losses["value_loss"]
        self._descend(loss)
        self.network.see(trajectories.observations[trajectories.valid])
        return {**{name: one.detach() for name, one in losses.items()}, "learning_rate": rate}

    def losses(self, batch: Minibatch) -> dict[str, Tensor]:
        """The parts of the loss, in means over the steps of a batch."""
        policy = self.network.policy
        return {
            # grad J = E[A grad log pi(a|s)]
            "policy_loss": -(batch.advantages * policy.log_probs(batch.parameters, batch.actions)).mean(),
            "value_loss": 0.5 * (batch.values - batch.returns).square().mean(),
            "entropy": policy.entropy(batch.parameters).mean(),
        }

    def _descend(self, loss: Tensor) -> None:
        descend(self.optimizer, loss, self.config.max_gradient_norm)

    def state_dict(self) -> dict[str, Any]:
        """Optimizer."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])

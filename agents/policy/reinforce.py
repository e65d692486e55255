"""REINFORCE, Monte Carlo policy gradients, with and without a baseline (book, chapter 9; Williams 1992).

A round plays one whole episode in every lane; then the policy takes one step. For the returns
G_t = sum_{j=t}^{T-1} gamma^(j-t) r_(j+1) of N episodes the gradient's estimate is

    grad J = 1/N sum over episodes, sum over t of gamma^t (G_t - b(s_t)) grad log pi(a_t|s_t)

It is an estimate of the gradient of v_pi(s_0), not that value itself (erratum D-27). The sum of G_t ends at T - 1, and
gamma^t belongs to the gradient of the discounted return; most programs drop it on purpose, and so does this one unless
`discounted_objective` is set (D-28).

The baseline b(s) may be any function that does not depend on the action, as E[grad log pi] = 0; it is subtracted from
returns, not from rewards, and what it lowers is the variance of the estimate, not the ratio of two updates (D-31).
Here it is a learnt state value. `gradient_variance` measures what it does, on the same episodes.

Departures: an episode that a time limit cuts counts as if the baseline's value followed (without one, nothing does);
steps are Adam's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from agents.policy.networks import ActorCritic, Agent, PolicySettings
from agents.policy.optimization import anneal, descend
from agents.policy.trajectories import Collector, Trajectories, advantages, minibatch
from agents.progress import Examiner, crossed
from agents.rollout import begin
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import set_threads

Array = NDArray[Any]

BASELINES = {"value": "state", "none": "none"}


@dataclass(frozen=True)
class Config(PolicySettings):
    """REINFORCE: a policy improved along the gradient estimated from whole episodes."""

    baseline: str = "value"
    """What is subtracted from returns: "value", a learnt state value, or "none"."""
    discounted_objective: tyro.conf.FlagConversionOff[bool] = False
    """Weigh step t by discount^t, as the gradient of the discounted return does; late steps hardly count then."""
    baseline_steps: int = 20
    """Gradient steps of the baseline on a round's returns, after the policy's single one."""
    learning_rate: float = 1e-2
    """Adam's step size at the start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.baseline in BASELINES, "baseline", self.baseline, f"use one of {', '.join(BASELINES)}")
        require(self.baseline_steps >= 1, "baseline_steps", self.baseline_steps, "use at least 1")

    @property
    def critic_of(self) -> str:
        """The baseline is a critic of states."""
        return BASELINES[self.baseline]


PRESETS = {
    "default": Config(),
    "no-baseline": Config(baseline="none"),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, no whole episode of every lane within the budget, or a
            loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner, collector, examiner = Learner(config, agent), Collector(config, agent, rollout), Examiner(config)
    step = 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "collector": collector.state_dict(),
        }

    if saved := run.restore():
        step = saved["step"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        collector.load_state_dict(saved["collector"])

    while trajectories := collector.collect_episodes((config.total_steps - step) // config.lanes):
        before, step = step, step + trajectories.valid.size
        logging = crossed(before, step, config.log_every) > 0
        metrics = learner.learn(trajectories, 1 - before / config.total_steps, logging)
        if logging:
            run.log(step, {**collector.episodes.metrics(), **metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    config.require_episodes(step)
    run.finish(step, state)
    return agent


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.network = config, agent.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)

    def learn(self, trajectories: Trajectories, left: float, measuring: bool) -> dict[str, Any]:
        """Learn from whole episodes; ``left`` is the share of the run before them. Returns metrics.

        Args:
            measuring: whether the metrics tell of the gradient's variance, with and without the baseline.

        Raises:
            UserError: the loss is not finite.
        """
        config, rate = self.config, anneal(self.optimizer, self.config, left)
        episodes = trajectories.valid.shape[1]
        # G_t - b(s_t); without a baseline all values are 0
        advantage = advantages(trajectories, config.discount, 1.0)
        returns = advantage + trajectories.values
        powers = config.discount ** np.arange(len(returns), dtype=np.float32)[:, None]  # gamma^t
        discounts = powers if config.discounted_objective else np.ones_like(powers)
        variances = {}
        if measuring and episodes > 1:
            variances["gradient_variance"] = gradient_variance(self.network, trajectories, discounts * advantage)
            if config.baseline == "value":
                without = gradient_variance(self.network, trajectories, discounts * returns)
                variances["gradient_variance_without"] = without
        batch = minibatch(self.network, trajectories, discounts * advantage, returns)
        log_probs = self.network.policy.log_probs(batch.parameters, batch.actions)
        policy_loss = -(batch.advantages * log_probs).sum() / episodes
        entropy = self.network.policy.entropy(batch.parameters).mean()
        descend(self.optimizer, policy_loss - config.entropy_coefficient * entropy, config.max_gradient_norm)
        metrics = {"policy_loss": policy_loss.detach(), "entropy": entropy.detach(), **variances}
        for _ in range(config.baseline_steps if config.baseline == "value" else 0):
            batch = minibatch(self.network, trajectories, advantage, returns)
            value_loss = 0.5 * (batch.values - batch.returns).square().mean()
            descend(self.optimizer, value_loss, config.max_gradient_norm)
            metrics["value_loss"] = value_loss.detach()
        self.network.see(trajectories.observations[trajectories.valid])
        return {**metrics, "learning_rate": rate}

    def state_dict(self) -> dict[str, Any]:
        """Optimizer."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])


def gradient_variance(network: ActorCritic, trajectories: Trajectories, weights: Array) -> float:
    """Trace of the covariance of the gradient that a single episode gives, estimated from one of every lane.

    Args:
        weights: ``(time, lanes)`` of grad log pi(a_t|s_t): returns, with or without a baseline subtracted.
    """
    parameters = [*network.actor.parameters(), *network.policy.parameters()]
    gradients = []
    for lane in range(weights.shape[1]):
        one = slice(lane, lane + 1)
        episode = minibatch(network, trajectories.of(one), weights[:, one], weights[:, one])
        log_probs = network.policy.log_probs(episode.parameters, episode.actions)
        gradient = torch.autograd.grad((episode.advantages * log_probs).sum(), parameters)
        gradients.append(torch.cat([part.flatten() for part in gradient]))
    return float(torch.stack(gradients).var(0).sum())

"""Soft actor-critic with a learnt temperature (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications").

The policy, tanh of a Gaussian, maximizes returns and its own entropy, weighted by the temperature alpha. On a batch
of replayed transitions, with a ~ pi(.|s) and a' ~ pi(.|s'),

    alpha      minimizes  -log(alpha) E[log pi(a|s) + H]
    critics    minimize   E[(q_i(s, a_replayed) - y)^2] / 2,  y = r + gamma (min_i q_i'(s', a') - alpha log pi(a'|s'))
    the policy minimizes  E[alpha log pi(a|s) - min_i q_i(s, a)]

for a wanted entropy H and target networks q_i' that follow q_i slowly; y = r at a terminal state.

Differences from the paper: log(alpha) in place of alpha in its loss, as in its authors' code (a positive factor,
which Adam all but removes); log std is kept within -5..2; a time limit is not a terminal state.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import torch
import tyro
from torch import Tensor

from agents.policy import off_policy
from agents.policy.distributions import Squashed
from agents.policy.off_policy import Batch, Critics, OffPolicySettings, descend, draw, follow, refuse_divergence
from agents.progress import Episodes, Examiner, crossed
from agents.replay import Replay
from agents.rollout import begin
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state, set_threads


@dataclass(frozen=True)
class Config(OffPolicySettings):
    """SAC: a stochastic policy that trades return against entropy, and twin critics."""

    temperature: float = 1.0
    """Weight of the entropy at the start, alpha, in units of reward."""
    learn_temperature: tyro.conf.FlagConversionOff[bool] = True
    """Adapt it, so that the policy's mean entropy becomes `target_entropy`."""
    target_entropy: float | None = None
    """Entropy wanted (nat) of actions in -1..1; None: minus the number of components of an action."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.temperature > 0, "temperature", self.temperature, "use a positive number")


# From rl-baselines3-zoo, hyperparams/sac.yml, but for what is said. Where the environment's own threshold is below the
# return published there, training goes on to that.
PRESETS = {
    "default": Config(),
    # half the steps, a quarter of the units, and a larger step size that falls
    "pendulum": Config(
        total_steps=10_000,
        learning_starts=500,
        hidden=(64, 64),
        learning_rate=2e-3,
        evaluate_every=2_500,
    ),
    "lunar-lander": Config(
        env="LunarLander-v3",
        env_kwargs={"continuous": True},
        total_steps=500_000,
        learning_starts=10_000,
        hidden=(400, 300),
        learning_rate=7.3e-4,
        tau=0.01,
        stop_return=260.4,
    ),
    # actions held for eight steps explore in place of the Zoo's state-dependent noise; a fifth of the gradient steps
    "mountain-car": Config(
        env="MountainCarContinuous-v0",
        transforms=("repeat:8",),
        total_steps=15_000,
        discount=0.999,
        learning_starts=1_000,
        hidden=(64, 64),
        learning_rate=1e-3,
        tau=0.01,
        temperature=0.1,
        learn_temperature=False,
        evaluate_every=1_000,
        stop_return=94.7,
    ),
    # without the Zoo's state-dependent exploration
    "bipedal-walker": Config(
        env="BipedalWalker-v3",
        total_steps=500_000,
        discount=0.98,
        replay_size=300_000,
        learning_starts=10_000,
        train_every=64,
        updates=64,
        hidden=(400, 300),
        learning_rate=7.3e-4,
        learning_rate_end=7.3e-4,
        tau=0.02,
    ),
}


class Agent(off_policy.Agent):
    """Acts by a squashed Gaussian; deterministically by tanh of its mean."""

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        off_policy.refuse_actions(config.env, action_space)
        super().__init__(config, observation_space, action_space, lambda features: Squashed(features, action_space))


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads, config.matmul_precision)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner = Learner(config, agent)
    replay_log = ChunkLog(run.folder / "checkpoints" / "replay" if run.folder else None)
    replay = Replay(
        *(config.replay_size, rollout.space, lanes.single_action_space, replay_log),
        total_steps=config.total_steps,
        lanes=config.lanes,
        stack=rollout.stack,
        discount=config.discount,
    )
    run.note(replay.describe())
    episodes, examiner, step = Episodes(), Examiner(config), 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "episodes": episodes.state_dict(),
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "rollout": rollout.state_dict(),
            "replay": replay.state_dict(),
        }

    if saved := run.restore(check=lambda saved: replay.load_state_dict(saved["replay"])):
        step = saved["step"]
        episodes.load_state_dict(saved["episodes"])
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        rollout.load_state_dict(saved["rollout"])

    while step + config.lanes <= config.total_steps:
        random = step < config.learning_starts
        actions = agent.random_actions(config.lanes) if random else agent.act(rollout.observations)
        replay.add(rollout.step(actions))
        episodes.add(rollout)
        before, step = step, step + config.lanes
        if step > max(config.learning_starts, config.lanes):  # the first steps are complete with the second ones
            learning_rate = config.learning_rate_at(step)
            for _ in range(crossed(before, step, config.train_every) * config.updates):
                learner.update(replay, learning_rate)
        if crossed(before, step, config.log_every):
            run.log(step, {**episodes.metrics(), **learner.metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    run.finish(step, state)
    return agent


class Learner:
    """Gradient steps on temperature, critics and policy, with the target critics and the optimizers' states."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.actor = config, agent, agent.actor
        assert isinstance(agent.actor.policy, Squashed)
        self.policy = agent.actor.policy
        with seeded_modules(config.seed, "critics"):
            self.critics = Critics(config, agent.space, agent.actions).to(agent.device).eval()
        self.target = copy.deepcopy(self.critics).requires_grad_(False)
        self.log_temperature = torch.tensor([math.log(config.temperature)], device=agent.device, requires_grad=True)
        self.target_entropy = -agent.actions if config.target_entropy is None else config.target_entropy
        parameters = {
            "temperature": [self.log_temperature],
            "critics": self.critics.parameters(),
            "actor": self.actor.parameters(),
        }
        self.optimizers = {
            name: torch.optim.Adam(some, lr=config.learning_rate, fused=True) for name, some in parameters.items()
        }
        self.rng = generators(config.seed, "learning")["learning"]
        self.updates = 0
        self.metrics: dict[str, float] = {}

    def update(self, replay: Replay, learning_rate: float) -> None:
        """One gradient step of everything on a batch; raises `UserError` when the critics' loss is not finite."""
        batch = draw(replay, self.config, self.agent, self.rng)
        actions, log_probs = self.policy.rsample(self.actor(batch.observations), self.rng)
        if self.config.learn_temperature:
            descend(self.optimizers["temperature"], self.temperature_loss(log_probs.detach()), learning_rate)
        temperature = self.log_temperature.detach().exp()
        q_values = self.critics(batch.observations, batch.actions)
        critic_loss = 0.5 * (q_values - self.targets(batch, temperature)).square().mean(1).sum()
        refuse_divergence(critic_loss.item(), self.updates)
        descend(self.optimizers["critics"], critic_loss, learning_rate)
        values = self.critics(batch.observations, actions).amin(0)
        actor_loss = (temperature * log_probs - values).mean()
        descend(self.optimizers["actor"], actor_loss, learning_rate)
        follow(self.target, self.critics, self.config.tau)
        self.updates += 1
        parts = {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "q_value": q_values.mean(),
            "entropy": -log_probs.mean(),
            "temperature": temperature[0],
        }
        numbers = torch.stack([*parts.values()]).tolist()
        self.metrics = {**dict(zip(parts, numbers, strict=True)), "updates": self.updates}

    def temperature_loss(self, log_probs: Tensor) -> Tensor:
        """Falls with alpha where the policy's entropy is below the wanted one, and rises with it above."""
        # J = -log(alpha) E[log pi(a|s) + H]
        return -(self.log_temperature * (log_probs + self.target_entropy)).mean()

    @torch.no_grad()
    def targets(self, batch: Batch, temperature: Tensor) -> Tensor:
        """What the critics should say of the replayed actions ``(batch,)``."""
        actions, log_probs = self.policy.rsample(self.actor(batch.next_observations), self.rng)
        following = self.target(batch.next_observations, actions).amin(0)
        # y = r + gamma (min_i q_i'(s', a') - alpha log pi(a'|s')), and y = r at a terminal state
        return batch.rewards + batch.discounts * (following - temperature * log_probs)

    def state_dict(self) -> dict[str, Any]:
        """Critics and their targets, temperature, optimizers, draws and counters."""
        return {
            "critics": self.critics.state_dict(),
            "target": self.target.state_dict(),
            "log_temperature": self.log_temperature.detach(),
            "optimizers": {name: optimizer_state(one) for name, one in self.optimizers.items()},
            "rng": generator_state(self.rng),
            "updates": self.updates,
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.critics.load_state_dict(state["critics"])
        self.target.load_state_dict(state["target"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])
        for name, optimizer in self.optimizers.items():
            load_optimizer_state(optimizer, state["optimizers"][name])
        set_generator_state(self.rng, state["rng"])
        self.updates, self.metrics = state["updates"], state["metrics"]

"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, "Addressing Function Approximation Error").

A deterministic policy mu explores with added normal noise. On a batch of replayed transitions

    critics    minimize  E[(q_i(s, a_replayed) - y)^2],  y = r + gamma min_i q_i'(s', a'),
                         a' = clip(mu'(s') + clip(noise, -c, c), -1, 1)
    the policy minimizes -E[q_1(s, mu(s))], at every `policy_delay`-th gradient step only

and the target networks mu' and q_i' follow whenever the policy has moved; y = r at a terminal state, which a time
limit is not.
"""

import copy
import functools
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.policy import off_policy
from agents.policy.distributions import Continuous
from agents.policy.off_policy import Batch, Critics, OffPolicySettings, descend, draw, follow, refuse_divergence
from agents.progress import Episodes, Examiner, crossed
from agents.replay import Replay
from agents.rollout import begin
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state, set_threads

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(OffPolicySettings):
    """TD3: a deterministic policy, and twin critics that are smoothed and updated more often than it."""

    exploration_noise: float = 0.1
    """Standard deviation of the noise on actions in training; the bounds are at -1 and 1."""
    target_noise: float = 0.2
    """Standard deviation of the noise on the target policy's actions, sigma, in the same units."""
    target_noise_clip: float = 0.5
    """Bound of that noise, c."""
    policy_delay: int = 2
    """Gradient steps of the critics for one of the policy and of the target networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("exploration_noise", "target_noise", "target_noise_clip"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(self.policy_delay >= 1, "policy_delay", self.policy_delay, "use at least 1")


# From rl-baselines3-zoo, hyperparams/td3.yml, but for what is said. Where the environment's own threshold is below the
# return published there (LunarLander: that of SAC), training goes on to that.
PRESETS = {
    "default": Config(),
    # half the steps, a sixth of the units, and a larger step size that falls
    "pendulum": Config(
        total_steps=10_000,
        learning_starts=1_000,
        hidden=(64, 64),
        learning_rate=2e-3,
        evaluate_every=2_500,
    ),
    "lunar-lander": Config(
        env="LunarLander-v3",
        env_kwargs={"continuous": True},
        total_steps=300_000,
        discount=0.98,
        replay_size=200_000,
        learning_starts=10_000,
        hidden=(400, 300),
        learning_rate=1e-3,
        learning_rate_end=1e-3,
        stop_return=260.4,
    ),
    # actions held for eight steps explore in place of the Zoo's correlated noise; a thirtieth of the gradient steps
    "mountain-car": Config(
        env="MountainCarContinuous-v0",
        transforms=("repeat:8",),
        total_steps=6_000,
        learning_starts=1_000,
        hidden=(64, 64),
        learning_rate=1e-3,
        exploration_noise=0.5,
        evaluate_every=1_000,
        stop_return=93.5,
    ),
    "bipedal-walker": Config(
        env="BipedalWalker-v3",
        total_steps=1_000_000,
        discount=0.98,
        replay_size=200_000,
        learning_starts=10_000,
        hidden=(400, 300),
        learning_rate=1e-3,
        learning_rate_end=1e-3,
        stop_return=306.0,
    ),
}


class Deterministic(Continuous):
    """One action for a state, in -1..1; draws lie around it."""

    def __init__(self, features: int, space: gym.Space[Any], noise: float) -> None:
        super().__init__(features, space, 1)
        self.noise = noise

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).tanh()

    def sample(self, parameters: Array, rng: np.random.Generator) -> Array:
        return parameters + self.noise * rng.standard_normal(parameters.shape, np.float32)

    def mode(self, parameters: Array) -> Array:
        return parameters

    def to_env(self, actions: Array) -> Array:
        return self.scaled((actions + 1) / 2)


class Agent(off_policy.Agent):
    """Acts by a deterministic policy, with noise unless asked for deterministic actions."""

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        off_policy.refuse_actions(config.env, action_space)
        policy = functools.partial(Deterministic, space=action_space, noise=config.exploration_noise)
        super().__init__(config, observation_space, action_space, policy)


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
    """Gradient steps on critics and policy, with their target networks and the optimizers' states."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.actor = config, agent, agent.actor
        with seeded_modules(config.seed, "critics"):
            self.critics = Critics(config, agent.space, agent.actions).to(agent.device).eval()
        networks = {"critics": self.critics, "actor": self.actor}
        self.target_critics, self.target_actor = (
            copy.deepcopy(network).requires_grad_(False) for network in networks.values()
        )
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
            for name, network in networks.items()
        }
        self.rng = generators(config.seed, "learning")["learning"]
        self.updates = 0
        self.metrics: dict[str, float] = {}

    def update(self, replay: Replay, learning_rate: float) -> None:
        """One gradient step of the critics on a batch, and when it is due of the policy.

        Raises:
            UserError: the critics' loss is not finite.
        """
        batch = draw(replay, self.config, self.agent, self.rng)
        q_values = self.critics(batch.observations, batch.actions)
        critic_loss = (q_values - self.targets(batch)).square().mean(1).sum()
        refuse_divergence(critic_loss.item(), self.updates)
        descend(self.optimizers["critics"], critic_loss, learning_rate)
        self.updates += 1
        self.metrics |= {
            "critic_loss": critic_loss.item(),
            "q_value": q_values.mean().item(),
            "updates": self.updates,
        }
        if self.updates % self.config.policy_delay:
            return
        actor_loss = -self.critics(batch.observations, self.actor(batch.observations), twins=1).mean()
        descend(self.optimizers["actor"], actor_loss, learning_rate)
        follow(self.target_critics, self.critics, self.config.tau)
        follow(self.target_actor, self.actor, self.config.tau)
        self.metrics["actor_loss"] = actor_loss.item()

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """What the critics should say of the replayed actions ``(batch,)``."""
        config = self.config
        noise = torch.from_numpy(self.rng.standard_normal(batch.actions.shape, np.float32)).to(batch.actions.device)
        # a' = clip(mu'(s') + clip(sigma noise, -c, c), -1, 1)
        smoothing = (config.target_noise * noise).clamp(-config.target_noise_clip, config.target_noise_clip)
        actions = (self.target_actor(batch.next_observations) + smoothing).clamp(-1, 1)
        # y = r + gamma min_i q_i'(s', a'), and y = r at a terminal state
        return batch.rewards + batch.discounts * self.target_critics(batch.next_observations, actions).amin(0)

    def state_dict(self) -> dict[str, Any]:
        """Critics, target networks, optimizers, draws and counters."""
        return {
            "critics": self.critics.state_dict(),
            "target_critics": self.target_critics.state_dict(),
            "target_actor": self.target_actor.state_dict(),
            "optimizers": {name: optimizer_state(one) for name, one in self.optimizers.items()},
            "rng": generator_state(self.rng),
            "updates": self.updates,
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.critics.load_state_dict(state["critics"])
        self.target_critics.load_state_dict(state["target_critics"])
        self.target_actor.load_state_dict(state["target_actor"])
        for name, optimizer in self.optimizers.items():
            load_optimizer_state(optimizer, state["optimizers"][name])
        set_generator_state(self.rng, state["rng"])
        self.updates, self.metrics = state["updates"], state["metrics"]

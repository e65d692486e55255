"""Proximal policy optimization with a clipped objective (Schulman et al. 2017; named in the book's chapter 9).

A round plays some steps in every lane, and passes several times through them in minibatches. For the ratio
r = pi(a|s) / pi_old(a|s) and the advantage A the objective is

    E[min(r A, clip(r, 1 - clip, 1 + clip) A)] - value_coefficient E[(v - G)^2] / 2 + entropy_coefficient E[H(pi)]

Differences from the paper: advantages have mean 0 and variance 1 in each minibatch, and gradients are clipped by
norm, as in its authors' code; a time limit bootstraps the value of the state it cut off.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
import tyro
from torch import Tensor

from agents.policy.networks import Agent, PolicySettings
from agents.policy.optimization import anneal, descend, measured
from agents.policy.trajectories import Collector, Minibatch, Trajectories, advantages, minibatches
from agents.progress import Examiner, crossed
from agents.rollout import begin
from agents.settings import BREAKOUT
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, set_generator_state, set_threads


@dataclass(frozen=True)
class Config(PolicySettings):
    """PPO: a policy improved in small, clipped steps on its own latest experience."""

    round_steps: int = 32
    """Steps of every lane in a round."""
    epochs: int = 10
    """Passes through a round's steps."""
    minibatches: int = 4
    """Gradient steps of a pass."""
    gae_lambda: float = 0.95
    """Generalized advantage estimation: 0 trusts the value function, 1 the returns (Schulman et al. 2016)."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    clip: float = 0.2
    """How far the ratio of new and old probability counts."""
    clip_values: tyro.conf.FlagConversionOff[bool] = False
    """Keep new values within `clip` of the old ones, too."""
    value_coefficient: float = 0.5
    """Weight of the value function's squared error."""
    kl_stop: float = 0.0
    """A round ends early once the mean divergence of new from old policy passes this (nat); 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("round_steps", "epochs", "minibatches"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("value_coefficient", "kl_stop"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(0 <= self.gae_lambda <= 1, "gae_lambda", self.gae_lambda, "use a number from 0 to 1")
        require(self.clip > 0, "clip", self.clip, "use a positive number")
        rows, room = self.round_steps * self.lanes, "a round must have two steps for every minibatch"
        require(rows >= 2 * self.minibatches, "round_steps", self.round_steps, room)
        round_room = f"use at least one round ({self.round_steps} steps in each of {self.lanes} lanes)"
        require(self.total_steps >= rows, "total_steps", self.total_steps, round_room)


# CartPole's lanes tell neither the cart's speed nor the pole's: what the network remembers must
_MEMORY = Config(
    env_kwargs={"velocities": False},
    backbone="gru",
    total_steps=500_000,
    learning_rate=1e-3,
    discount=0.98,
    gae_lambda=0.8,
    normalize_observations=True,
    evaluate_every=25_000,
)

# ends once as good as RL Zoo's; later policies are not always better
_LUNAR_LANDER = Config(
    env="LunarLander-v3",
    total_steps=4_000_000,
    discount=0.999,
    round_steps=512,
    epochs=4,
    minibatches=64,
    gae_lambda=0.98,
    learning_rate=3e-4,
    entropy_coefficient=0.01,
    evaluate_every=100_000,
    evaluate_episodes=48,
    stop_return=250.0,
)

# pictures are drawn roughly for training; Gymnasium's own serve as well. The whole picture, as its panel shows the
# speed; it ends when the mean over validation tracks is high, since later policies drive faster than they can
_CAR_RACING = Config(
    env="skidpad/CarRacing-v0",
    env_kwargs={"renderer": "fast"},
    transforms=("gray", "resize:48:48", "stack:3", "repeat:6"),
    total_steps=1_500_000,
    lanes=32,
    backbone="nature_cnn",
    policy="beta",
    round_steps=128,
    epochs=4,
    minibatches=16,
    learning_rate=3e-4,
    normalize_rewards=True,
    evaluate_every=30_000,
    evaluate_episodes=48,
    stop_return=885.0,
    log_every=10_000,
    checkpoint_every=100_000,
    dtype="bfloat16",
)

# how much nearer each step leads is paid at once, so that nothing later counts; mazes end soon, as lanes that are stuck
# in theirs would teach nothing but these
_INSTRUCTION_MAZE = Config(
    env="skidpad/InstructionMaze-v0",
    env_kwargs={"split": "train", "progress_reward": 0.5, "max_episode_steps": 40},
    backbone="language",
    total_steps=12_000_000,
    lanes=2048,
    discount=0.0,
    round_steps=4,
    epochs=1,
    minibatches=16,
    learning_rate=2e-3,
    entropy_coefficient=0.02,
    evaluate_every=250_000,
    evaluate_episodes=200,
    log_every=20_000,
    checkpoint_every=100_000,
    dtype="bfloat16",
)

PRESETS = {
    "default": Config(),
    "car-racing": _CAR_RACING,
    # the same through the eyes of runs of supervised.train, as docs/perception.md makes them
    "car-racing-vae": dataclasses.replace(
        _CAR_RACING, transforms=("perceive:runs/car-vae", "stack:3", "repeat:6"), backbone="mlp", dtype="float32"
    ),
    # fewer steps, as the network that sees takes longer than all else
    "car-racing-maps": dataclasses.replace(
        _CAR_RACING,
        transforms=("perceive:runs/car-maps", "resize:48:48", "stack:3", "repeat:6"),
        total_steps=400_000,
    ),
    "memory": _MEMORY,
    "memory-attention": dataclasses.replace(_MEMORY, backbone="attention"),
    "memory-transformer": dataclasses.replace(_MEMORY, backbone="transformer"),
    "no-memory": dataclasses.replace(_MEMORY, backbone="mlp"),
    "instruction-maze": _INSTRUCTION_MAZE,
    # the same with its eyes for the maze alone
    "instruction-maze-blind": dataclasses.replace(
        _INSTRUCTION_MAZE, env_kwargs={**_INSTRUCTION_MAZE.env_kwargs, "blind": True}
    ),
    "mountain-car": Config(
        env="skidpad/MountainCar-v0",
        total_steps=500_000,
        round_steps=16,
        epochs=4,
        learning_rate=1e-3,
        gae_lambda=0.98,
        normalize_observations=True,
        normalize_rewards=True,
        evaluate_every=0,
    ),
    "acrobot": Config(
        env="Acrobot-v1",
        total_steps=1_000_000,
        learning_rate=1e-3,
        round_steps=128,
        epochs=4,
        minibatches=8,
        gae_lambda=0.94,
        normalize_observations=True,
        normalize_rewards=True,
        evaluate_every=25_000,
        evaluate_episodes=48,
        stop_return=-73.5,
    ),
    "lunar-lander": _LUNAR_LANDER,
    "lunar-lander-continuous": dataclasses.replace(
        _LUNAR_LANDER, env_kwargs={"continuous": True}, entropy_coefficient=0.0, stop_return=270.9
    ),
    "bipedal-walker": Config(
        env="BipedalWalker-v3",
        total_steps=5_000_000,
        lanes=32,
        discount=0.999,
        round_steps=512,
        minibatches=64,
        learning_rate=3e-4,
        normalize_observations=True,
        normalize_rewards=True,
        evaluate_every=250_000,
        evaluate_episodes=48,
    ),
    # Schulman et al. 2017, with twice the lanes, and larger steps for half the frames
    "breakout": Config(
        **{**BREAKOUT, "backbone": "nips_cnn"},
        total_steps=5_000_000,
        lanes=16,
        round_steps=128,
        epochs=4,
        minibatches=8,
        learning_rate=1e-3,
        clip=0.2,
        entropy_coefficient=0.01,
        dtype="bfloat16",
    ),
}


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

    size = config.round_steps * config.lanes
    while step + size <= config.total_steps:
        left = 1 - step / config.total_steps
        trajectories = collector.collect(config.round_steps)
        metrics = learner.learn(trajectories, left)
        before, step = step, step + size
        if crossed(before, step, config.log_every):
            run.log(step, {**collector.episodes.metrics(), **metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    run.finish(step, state)
    return agent


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.network = config, agent.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, eps=1e-5, fused=True)
        self.rng = generators(config.seed, "minibatches")["minibatches"]

    def learn(self, trajectories: Trajectories, left: float) -> dict[str, float]:
        """All passes through a round; ``left`` is the share of the run before it. Returns metrics of the last part.

        Raises:
            UserError: the loss is not finite.
        """
        config, rate = self.config, anneal(self.optimizer, self.config, left)
        advantage = advantages(trajectories, config.discount, config.gae_lambda)
        metrics: dict[str, float] = {}
        for _ in range(config.epochs):
            for batch in minibatches(self.network, trajectories, advantage, config.minibatches, self.rng):
                loss, metrics = self.loss(batch)
                if config.kl_stop and metrics["kl"] > config.kl_stop:
                    break
                descend(self.optimizer, loss, config.max_gradient_norm)
            else:
                continue
            break
        self.network.see(trajectories.observations[trajectories.valid])  # a round's are all seen alike: from now on
        return {**metrics, "learning_rate": rate}

    def loss(self, batch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """The objective, to be minimized, and its parts."""
        config, policy = self.config, self.network.policy
        log_ratio = policy.log_probs(batch.parameters, batch.actions) - batch.old_log_probs
        ratio = log_ratio.exp()
        advantage = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
        policy_loss = -torch.minimum(ratio * advantage, clipped * advantage).mean()
        errors = (batch.values - batch.returns).square()
        if config.clip_values:
            near = batch.old_values + (batch.values - batch.old_values).clamp(-config.clip, config.clip)
            errors = torch.maximum(errors, (near - batch.returns).square())
        value_loss = 0.5 * errors.mean()
        entropy = policy.entropy(batch.parameters).mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
        # KL(old, new) = E[r - 1 - log r], never negative and of little variance (Schulman 2020)
        kl = (ratio - 1 - log_ratio).mean()
        parts = {"loss": loss, "policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy, "kl": kl}
        return loss, measured(parts)

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and the order of minibatches."""
        return {"optimizer": optimizer_state(self.optimizer), "rng": generator_state(self.rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])
        set_generator_state(self.rng, state["rng"])

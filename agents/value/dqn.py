"""Q-learning with a network and experience replay (book, chapter 8: "Q-learning in action"; Mnih et al. 2015).

Differences from the book's listing, which the preset ``book-ch8`` otherwise follows: a time limit is not a
failure (its transition keeps its reward and bootstraps, erratum D-20), every step counts (D-21), exploration
keeps a small floor (D-22). From Mnih et al. come the target network and Huber's loss; gradients are clipped by norm.

The default preset adds three things that neither has: the learning rate falls to 0 over the run, targets stay within
what rewards can add up to, and training ends when the environment's reward threshold is reached.
"""

import copy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from agents.progress import Episodes, Examiner, crossed
from agents.replay import Replay
from agents.rollout import Rollout, make_lanes
from agents.settings import Online
from agents.transforms import Transforms, action_repeat
from supervised import backbones
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import (
    generator_state,
    generators,
    seeded_modules,
    set_generator_state,
    set_threads,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(Online):
    """DQN: action values by a network, learnt from replayed transitions."""

    learning_rate: float = 4e-3
    """Adam's step size at the start."""
    learning_rate_end: float = 0.0
    """Adam's step size in the end; it falls linearly over `total_steps`, so that the last policies are steady."""
    batch_size: int = 256
    """Transitions of one gradient step."""
    replay_size: int = 100_000
    """Transitions remembered."""
    learning_starts: int = 1_000
    """Environment steps before the first gradient step; actions are random until then."""
    train_every: int = 32
    """Environment steps between rounds of gradient steps, counted over all lanes."""
    updates: int = 8
    """Gradient steps of a round."""
    target_every: int = 20
    """Gradient steps between copies into the target network (Mnih et al. 2015); 0: no target network, as the book."""
    epsilon_start: float = 1.0
    """Share of random actions at the start, drawn for every lane."""
    epsilon_end: float = 0.04
    """Share of random actions in the end."""
    epsilon_steps: int = 5_000
    """Environment steps, after `learning_starts`, over which the share falls linearly."""
    loss: str = "huber"
    """"huber" (its gradient is bounded) or "squared" (the book's)."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this norm; 0: never."""
    bound_targets: tyro.conf.FlagConversionOff[bool] = True
    """Keep targets within what the rewards seen so far can add up to, r / (1 - discount): values cannot run away."""
    terminal_reward: float | None = None
    """Reward that replaces the environment's at a terminal state (the book: -1); None keeps the environment's."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the hidden layers of the "mlp" backbone."""
    activation: str = "relu"
    """Activation of the "mlp" backbone: relu, tanh, elu or silu."""
    evaluate_every: int = 2_048
    """Environment steps between greedy evaluations during training, on seeds of their own; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "replay_size", "train_every", "updates"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("learning_starts", "target_every", "epsilon_steps", "max_gradient_norm"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        for name in ("epsilon_start", "epsilon_end"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        require(self.learning_rate_end >= 0, "learning_rate_end", self.learning_rate_end, "use 0 or more")
        require(self.loss in LOSSES, "loss", self.loss, f"use one of {', '.join(LOSSES)}")


LOSSES = {"huber": F.smooth_l1_loss, "squared": F.mse_loss}

PRESETS = {
    "default": Config(),
    "book-ch8": Config(
        env="skidpad/CartPole-v0",
        total_steps=60_000,
        lanes=1,
        discount=0.9,
        batch_size=128,
        replay_size=200_000,
        learning_starts=5_000,
        train_every=1,
        updates=1,
        target_every=0,
        epsilon_end=0.01,
        epsilon_steps=15_000,
        learning_rate=1e-3,
        learning_rate_end=1e-3,
        loss="squared",
        max_gradient_norm=0.0,
        bound_targets=False,
        terminal_reward=-1.0,
        hidden=(20,),
        activation="tanh",
        evaluate_every=0,
    ),
}


class QNetwork(nn.Module):
    """Backbone and a linear head: observations ``(batch, ...)`` to action values ``(batch, actions)``."""

    def __init__(self, config: Config, space: gym.spaces.Box, n_actions: int) -> None:
        super().__init__()
        options = {"hidden": config.hidden, "activation": config.activation} if config.backbone == "mlp" else {}
        self.backbone = backbones.build_feedforward(config.backbone, space, **options)
        self.head = nn.Linear(self.backbone.feature_dim, n_actions)

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.backbone(observations))


class Agent:
    """Acts by the action values of a network.

    Attributes:
        space, transform: what the network sees, and what makes it from a batch of observations.
        network: the online network.
        epsilon: share of random actions when not deterministic.
    """

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        if not isinstance(action_space, gym.spaces.Discrete):
            raise UserError(
                f"dqn chooses among discrete actions, and {config.env} has {action_space}: use another algorithm"
            )
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.n_actions, self.first_action = int(action_space.n), int(action_space.start)
        self.device = torch.device(config.device)
        with seeded_modules(config.seed, "network"):
            self.network = QNetwork(config, self.space, self.n_actions).to(self.device)
        self.epsilon = config.epsilon_end
        self._rng = generators(config.seed, "exploration")["exploration"]

    @torch.inference_mode()
    def q_values(self, observations: Array) -> Array:
        """Action values ``(batch, actions)`` float32 for observations ``(batch, *observation)``."""
        return self.network(torch.from_numpy(observations).to(self.device)).cpu().numpy()

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Greedy actions ``(batch,)``, or epsilon-greedy ones with a draw of its own for every row."""
        greedy = self.q_values(observations).argmax(axis=1)
        if deterministic:
            return greedy + self.first_action
        explore = self._rng.random(len(greedy)) < self.epsilon
        random_actions = self._rng.integers(self.n_actions, size=len(greedy))
        return np.where(explore, random_actions, greedy) + self.first_action

    def state_dict(self) -> dict[str, Any]:
        """Weights and the state of exploration."""
        return {
            "network": self.network.state_dict(),
            "epsilon": self.epsilon,
            "rng": generator_state(self._rng),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        self.epsilon = state["epsilon"]
        set_generator_state(self._rng, state["rng"])


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    lanes = make_lanes(config.env, config.lanes, config.env_kwargs, action_repeat(config.transforms))
    rollout = Rollout(lanes, config.seed, config.transforms)
    agent = Agent(config, rollout.env.single_observation_space, rollout.env.single_action_space)
    learner = Learner(config, agent)
    replay_log = ChunkLog(run.folder / "checkpoints" / "replay" if run.folder else None)
    replay = Replay(config.replay_size, rollout.space, rollout.env.single_action_space, replay_log)
    rng = generators(config.seed, "replay")["replay"]
    episodes, examiner, step = Episodes(), Examiner(config), 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "episodes": episodes.state_dict(),
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "rollout": rollout.state_dict(),
            "replay": replay.state_dict(),
            "rng": generator_state(rng),
        }

    if saved := run.restore(check=lambda saved: replay.load_state_dict(saved["replay"])):
        step = saved["step"]
        episodes.load_state_dict(saved["episodes"])
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        rollout.load_state_dict(saved["rollout"])
        set_generator_state(rng, saved["rng"])

    while step + config.lanes <= config.total_steps:
        # epsilon falls linearly from its start to its end
        fallen = min(max(step - config.learning_starts, 0) / max(config.epsilon_steps, 1), 1.0)
        agent.epsilon = config.epsilon_start + fallen * (config.epsilon_end - config.epsilon_start)
        transitions = rollout.step(agent.act(rollout.observations))
        if config.terminal_reward is not None:
            transitions.rewards[transitions.terminated] = config.terminal_reward
        replay.add(transitions)
        episodes.add(rollout)
        before, step = step, step + config.lanes
        if step > config.learning_starts:
            left = 1 - step / config.total_steps
            learning_rate = config.learning_rate_end + left * (config.learning_rate - config.learning_rate_end)
            for _ in range(crossed(before, step, config.train_every) * config.updates):
                learner.update(replay, learning_rate, rng)
        if crossed(before, step, config.log_every):
            run.log(step, {**episodes.metrics(), "epsilon": agent.epsilon, **learner.metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    run.finish(step, state)
    return agent


class Learner:
    """The gradient step on the agent's network, with the target network and the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.network, self.device = config, agent.network, agent.device
        self.first_action = agent.first_action
        self.target = copy.deepcopy(agent.network).requires_grad_(False) if config.target_every else agent.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, fused=True)
        self.updates = 0
        self.metrics: dict[str, float] = {}

    def update(self, replay: Replay, learning_rate: float, rng: np.random.Generator) -> None:
        """One gradient step on a batch; raises `UserError` when the loss is not finite."""
        batch = replay.sample(self.config.batch_size, rng)
        observations, actions, rewards, next_observations, terminated = (
            torch.from_numpy(array).to(self.device) for array in batch
        )
        with torch.no_grad():
            next_values = self.target(next_observations).amax(dim=1)
            # y = r + gamma max_a' q(s', a'; w_fixed), and y = r at a terminal state
            targets = rewards + self.config.discount * next_values.masked_fill_(terminated, 0.0)
            if self.config.bound_targets and self.config.discount < 1:
                targets.clamp_(*(reward / (1 - self.config.discount) for reward in replay.reward_range))
        chosen = (actions - self.first_action)[:, None]
        q_values = self.network(observations).gather(1, chosen).squeeze(1)  # (batch,)
        loss = LOSSES[self.config.loss](q_values, targets)
        value = loss.item()
        if not np.isfinite(value):
            raise UserError(
                f"loss={value} after {self.updates} gradient steps: training stopped, the last checkpoint is kept; "
                "try a smaller learning_rate or reward scale"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.max_gradient_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self.updates += 1
        if self.config.target_every and self.updates % self.config.target_every == 0:
            self.target.load_state_dict(self.network.state_dict())
        self.metrics = {"loss": value, "q_value": q_values.mean().item(), "updates": self.updates}

    def state_dict(self) -> dict[str, Any]:
        """Target network, optimizer and counters."""
        return {
            "target": self.target.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
            "updates": self.updates,
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.target.load_state_dict(state["target"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.updates, self.metrics = state["updates"], state["metrics"]

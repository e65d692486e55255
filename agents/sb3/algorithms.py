"""Stable-Baselines3's PPO, A2C, DQN and SAC for the doors: settings and presets.

Settings are named like ours where they mean the same, and as Stable-Baselines3 names them where they do not. The
presets are those of rl-baselines3-zoo (hyperparams/*.yml): CartPole-v1, and Pendulum-v1 for SAC.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from agents.settings import EnvId, Online
from supervised.backbones import ACTIVATIONS
from supervised.training.errors import UserError, needs_extra, require, require_falling, suggest
from supervised.training.registry import Algorithm
from supervised.training.run import Run

POLICIES = {"mlp": "MlpPolicy", "nature_cnn": "CnnPolicy"}


@dataclass(frozen=True)
class Settings(Online):
    """Settings of every algorithm of Stable-Baselines3."""

    model: ClassVar[str]  # the name of its class there
    backbone: str = "mlp"
    """mlp (its MlpPolicy) or nature_cnn (its CnnPolicy)."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers (net_arch), for nature_cnn those after the convolutions."""
    learning_rate: float = 3e-4
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 3e-4
    """Its step size in the end; it falls linearly over `total_steps`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.dtype == "float32", "dtype", self.dtype, "Stable-Baselines3 has float32 only")
        for name in ("clip_rewards", "life_loss_ends"):
            remedy = "Stable-Baselines3 learns from what the environment gives, leave it out"
            require(not getattr(self, name), name, getattr(self, name), remedy)
        require(self.backbone in POLICIES, "backbone", self.backbone, f"use one of {', '.join(POLICIES)}")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {self.activation!r}{suggest(self.activation, ACTIVATIONS)}")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        require(self.learning_rate_end >= 0, "learning_rate_end", self.learning_rate_end, "use 0 or more")
        require_falling(self, "learning_rate", "learning_rate_end")
        room = f"use at least one round of {self.round} steps"
        require(self.total_steps >= self.round, "total_steps", self.total_steps, room)

    @property
    def round(self) -> int:
        """Environment steps between updates; it trains in whole rounds."""
        raise NotImplementedError

    def keywords(self) -> dict[str, Any]:
        """Arguments of the model, under its names."""
        return {"gamma": self.discount, "learning_rate": linear(self.learning_rate, self.learning_rate_end)}

    def policy_keywords(self) -> dict[str, Any]:
        """Arguments of its policy."""
        return {"net_arch": list(self.hidden), "activation_fn": ACTIVATIONS[self.activation]}


def linear(start: float, end: float) -> Any:
    """A schedule of Stable-Baselines3: a number for the share of the run that is left."""
    return lambda left: end + left * (start - end)


@dataclass(frozen=True)
class OnPolicy(Settings):
    """Settings of PPO and A2C."""

    lanes: int = 8
    """Environments stepped together (n_envs)."""
    round_steps: int = 5
    """Steps of every lane in a round (n_steps)."""
    gae_lambda: float = 1.0
    """Generalized advantage estimation."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's entropy (ent_coef)."""
    value_coefficient: float = 0.5
    """Weight of the value function's squared error (vf_coef)."""
    max_gradient_norm: float = 0.5
    """Gradients are scaled down to this norm (max_grad_norm)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.round_steps >= 1, "round_steps", self.round_steps, "use at least 1")
        require(0 <= self.gae_lambda <= 1, "gae_lambda", self.gae_lambda, "use a number from 0 to 1")
        require(self.max_gradient_norm > 0, "max_gradient_norm", self.max_gradient_norm, "use a positive number")

    @property
    def round(self) -> int:
        """See `Settings`."""
        return self.round_steps * self.lanes

    def keywords(self) -> dict[str, Any]:
        """See `Settings`."""
        return {
            **super().keywords(),
            "n_steps": self.round_steps,
            "gae_lambda": self.gae_lambda,
            "ent_coef": self.entropy_coefficient,
            "vf_coef": self.value_coefficient,
            "max_grad_norm": self.max_gradient_norm,
        }


@dataclass(frozen=True)
class PPO(OnPolicy):
    """Stable-Baselines3's PPO."""

    model: ClassVar[str] = "PPO"
    round_steps: int = 32
    """Steps of every lane in a round (n_steps)."""
    epochs: int = 20
    """Passes through a round's steps (n_epochs)."""
    batch_size: int = 256
    """Steps of a minibatch."""
    discount: float = 0.98
    """Weight of the next step's value, gamma, 0 to 1."""
    gae_lambda: float = 0.8
    """Generalized advantage estimation."""
    learning_rate: float = 1e-3
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 0.0
    """Its step size in the end; it falls linearly over `total_steps`."""
    clip: float = 0.2
    """How far the ratio of new and old probability counts (clip_range), at the start."""
    clip_end: float = 0.0
    """The same in the end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs >= 1, "epochs", self.epochs, "use at least 1")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "use at least 2")
        require(self.clip > 0, "clip", self.clip, "use a positive number")
        require(self.clip_end >= 0, "clip_end", self.clip_end, "use 0 or more")
        require_falling(self, "clip", "clip_end")

    def keywords(self) -> dict[str, Any]:
        """See `Settings`."""
        own = {"n_epochs": self.epochs, "batch_size": self.batch_size}
        return {**super().keywords(), **own, "clip_range": linear(self.clip, self.clip_end)}


@dataclass(frozen=True)
class A2C(OnPolicy):
    """Stable-Baselines3's A2C."""

    model: ClassVar[str] = "A2C"
    total_steps: int = 500_000
    """Environment steps of the run, all lanes together; never exceeded."""
    learning_rate: float = 7e-4
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 7e-4
    """Its step size in the end; it falls linearly over `total_steps`."""


@dataclass(frozen=True)
class OffPolicy(Settings):
    """Settings of DQN and SAC."""

    lanes: int = 1
    """Environments stepped together (n_envs)."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of the hidden layers (net_arch), for nature_cnn those after the convolutions."""
    activation: str = "relu"
    """Activation of those layers: relu, tanh, elu or silu."""
    batch_size: int = 256
    """Transitions of one gradient step."""
    replay_size: int = 1_000_000
    """Transitions remembered (buffer_size); no more than `total_steps` are reserved."""
    learning_starts: int = 100
    """Environment steps before the first gradient step; actions are random until then."""
    train_every: int = 1
    """Environment steps between rounds of gradient steps, counted over all lanes (train_freq, counted in one)."""
    updates: int = 1
    """Gradient steps of a round (gradient_steps)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "replay_size", "updates"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.learning_starts >= 0, "learning_starts", self.learning_starts, "use 0 or more")
        self.require_beginning(self.learning_starts)
        steps = f"use a multiple of lanes ({self.lanes})"
        require(self.train_every >= 1 and self.train_every % self.lanes == 0, "train_every", self.train_every, steps)

    @property
    def round(self) -> int:
        """See `Settings`."""
        return max(self.train_every, 1)

    def keywords(self) -> dict[str, Any]:
        """See `Settings`."""
        return {
            **super().keywords(),
            "batch_size": self.batch_size,
            "buffer_size": min(self.replay_size, self.total_steps),
            "learning_starts": self.learning_starts,
            "train_freq": self.train_every // self.lanes,
            "gradient_steps": self.updates,
        }


@dataclass(frozen=True)
class DQN(OffPolicy):
    """Stable-Baselines3's DQN."""

    model: ClassVar[str] = "DQN"
    total_steps: int = 50_000
    """Environment steps of the run, all lanes together; never exceeded."""
    learning_rate: float = 2.3e-3
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 2.3e-3
    """Its step size in the end; it falls linearly over `total_steps`."""
    batch_size: int = 64
    """Transitions of one gradient step."""
    replay_size: int = 100_000
    """Transitions remembered (buffer_size); no more than `total_steps` are reserved."""
    learning_starts: int = 1_000
    """Environment steps before the first gradient step; actions are random until then."""
    train_every: int = 256
    """Environment steps between rounds of gradient steps, counted over all lanes (train_freq, counted in one)."""
    updates: int = 128
    """Gradient steps of a round (gradient_steps)."""
    target_update_interval: int = 10
    """Environment steps between copies into the target network."""
    epsilon_start: float = 1.0
    """Share of random actions at the start (exploration_initial_eps)."""
    epsilon_end: float = 0.04
    """Share of random actions in the end (exploration_final_eps)."""
    exploration_fraction: float = 0.16
    """Share of the run over which that falls."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this norm (max_grad_norm)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epsilon_start", "epsilon_end", "exploration_fraction"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        require_falling(self, "epsilon_start", "epsilon_end")
        interval = self.target_update_interval
        require(interval >= 1, "target_update_interval", interval, "use at least 1")
        require(self.max_gradient_norm > 0, "max_gradient_norm", self.max_gradient_norm, "use a positive number")

    def keywords(self) -> dict[str, Any]:
        """See `Settings`."""
        return {
            **super().keywords(),
            "target_update_interval": self.target_update_interval,
            "exploration_initial_eps": self.epsilon_start,
            "exploration_final_eps": self.epsilon_end,
            "exploration_fraction": self.exploration_fraction,
            "max_grad_norm": self.max_gradient_norm,
        }


@dataclass(frozen=True)
class SAC(OffPolicy):
    """Stable-Baselines3's SAC."""

    model: ClassVar[str] = "SAC"
    env: EnvId = "Pendulum-v1"
    """Environment: an id (ours, Gymnasium's, "my_package:MyEnv-v0"), or from Python a callable that makes one."""
    total_steps: int = 20_000
    """Environment steps of the run, all lanes together; never exceeded."""
    learning_rate: float = 1e-3
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 1e-3
    """Its step size in the end; it falls linearly over `total_steps`."""
    tau: float = 0.005
    """Share of the way that target networks move towards the learnt ones at an update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.tau <= 1, "tau", self.tau, "use a number above 0, and 1 at most (copies)")

    def keywords(self) -> dict[str, Any]:
        """See `Settings`."""
        return {**super().keywords(), "tau": self.tau}


def _train(config: Settings, run: Run | None = None) -> Any:
    with needs_extra("sb3"):
        from agents.sb3 import training
    return training.train(config, run)


def _agent(*arguments: Any) -> Any:
    with needs_extra("sb3"):
        from agents.sb3 import training
    return training.Agent(*arguments)


ALGORITHMS = {
    f"sb3-{kind.model.lower()}": Algorithm(
        kind, {"default": kind()}, _train, _agent, "steps", lambda config: config.total_steps
    )
    for kind in (PPO, A2C, DQN, SAC)
}

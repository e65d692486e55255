"""What learners of continuous actions from replayed transitions share: settings, networks, agent and batches.

Critics and policies speak of actions ``(batch, actions)`` in -1..1, from the lower to the upper bound of the action
space. Replay memories hold actions as the environment takes them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.policy.distributions import Continuous
from agents.replay import Replay
from agents.settings import EnvId, Online
from agents.transforms import Transforms
from supervised import backbones
from supervised.training.errors import UserError, require, require_falling
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state

Array = NDArray[Any]

MATMUL_PRECISIONS = ("highest", "high", "medium")


@dataclass(frozen=True)
class OffPolicySettings(Online):
    """Settings of every learner of continuous actions from replayed transitions."""

    env: EnvId = "Pendulum-v1"
    """Environment: an id (ours, Gymnasium's, "my_package:MyEnv-v0"), or from Python a callable that makes one."""
    lanes: int = 4
    """Environments stepped together."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of the hidden layers of the critics, and of the policy over the "mlp" backbone."""
    activation: str = "relu"
    """Activation of those layers: relu, tanh, elu or silu."""
    learning_rate: float = 3e-4
    """Adam's step size at the start, of every optimizer."""
    learning_rate_end: float = 0.0
    """Adam's step size in the end; it falls linearly over `total_steps`."""
    batch_size: int = 256
    """Transitions of one gradient step."""
    replay_size: int = 1_000_000
    """Transitions remembered; no more than `total_steps` are reserved."""
    learning_starts: int = 1_000
    """Environment steps before the first gradient step; actions are uniformly random until then."""
    train_every: int = 4
    """Environment steps between rounds of gradient steps, counted over all lanes."""
    updates: int = 4
    """Gradient steps of a round."""
    tau: float = 0.005
    """Share of the way that target networks move towards the learnt ones at an update (Lillicrap et al. 2016)."""
    matmul_precision: str = "highest"
    """Products of float32 matrices: "highest"; with "high" or "medium" (`torch.set_float32_matmul_precision`) torch
    may take faster ways, on processors that have them by rounding the factors, to bfloat16 at the least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "replay_size", "train_every", "updates"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        for name in ("learning_rate_end", "learning_starts"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require_falling(self, "learning_rate", "learning_rate_end")
        self.require_beginning(self.learning_starts)
        require(0 < self.tau <= 1, "tau", self.tau, "use a number above 0, and 1 at most (copies)")
        require(self.dtype == "float32", "dtype", self.dtype, "these are small networks; matmul_precision is faster")
        known = f"use one of {', '.join(MATMUL_PRECISIONS)}"
        require(self.matmul_precision in MATMUL_PRECISIONS, "matmul_precision", self.matmul_precision, known)

    def learning_rate_at(self, step: int) -> float:
        """Adam's step size after ``step`` environment steps."""
        left = 1 - step / self.total_steps
        return self.learning_rate_end + left * (self.learning_rate - self.learning_rate_end)


def refuse_actions(env: object, space: gym.Space[Any]) -> None:
    """Raise `UserError` unless ``space``, the actions of ``env``, is a Box of real numbers between bounds."""
    if not isinstance(space, gym.spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise UserError(f"actions must be continuous, and {env} has {space}: use dqn or ppo")
    if not (space.is_bounded("both") and (space.low < space.high).all()):
        raise UserError(
            f"actions need bounds with room between them, and {env} has {space}: wrap it to set some, or use ppo"
        )


class Actor(nn.Module):
    """Backbone and policy: from observations ``(batch, *observation)`` to parameters ``(batch, parameters)``."""

    def __init__(
        self, config: OffPolicySettings, space: gym.spaces.Box, make_policy: Callable[[int], Continuous]
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {}
        if config.backbone == "mlp":
            options = {"hidden": config.hidden, "activation": config.activation}
        self.backbone = backbones.build_feedforward(config.backbone, space, **config.learnt_before, **options)
        self.policy = make_policy(self.backbone.feature_dim)

    def forward(self, observations: Tensor) -> Tensor:
        return self.policy(self.backbone(observations))


class Critics(nn.Module):
    """Twin action values (Fujimoto et al. 2018): fully connected over features of the observation and the action.

    The features are the observation itself for the "mlp" backbone; any other backbone is there once for both twins.
    """

    def __init__(self, config: OffPolicySettings, space: gym.spaces.Box, actions: int) -> None:
        super().__init__()
        options: dict[str, Any] = {"hidden": ()} if config.backbone == "mlp" else {}
        self.backbone = backbones.build_feedforward(config.backbone, space, **config.learnt_before, **options)
        inputs = gym.spaces.Box(-np.inf, np.inf, (self.backbone.feature_dim + actions,), np.float32)
        bodies = [backbones.MLP(inputs, config.hidden, config.activation) for _ in range(2)]
        self.twins = nn.ModuleList(nn.Sequential(body, nn.Linear(body.feature_dim, 1)) for body in bodies)

    def forward(self, observations: Tensor, actions: Tensor, twins: int = 2) -> Tensor:
        """Values ``(twins, batch)`` of actions in -1..1; with ``twins`` 1 of the first critic alone."""
        inputs = torch.cat([self.backbone(observations), actions], dim=1)
        return torch.stack([twin(inputs)[:, 0] for twin in self.twins[:twins]])


class Agent:
    """Acts by a policy over bounded actions.

    Attributes:
        space, transform: what the networks see, and what makes it from a batch of observations.
        actor: the network that acts.
        actions: components of an action.

    Args:
        make_policy: the policy over that many features.
    """

    def __init__(
        self,
        config: OffPolicySettings,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        make_policy: Callable[[int], Continuous],
    ) -> None:
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.device = torch.device(config.device)
        with seeded_modules(config.seed, "actor"):
            # dropout and statistics of batches would make the policy that acts another than the one that learns
            self.actor = Actor(config, self.space, make_policy).to(self.device).eval()
        self.actions = self.actor.policy.low.size
        self.rng = generators(config.seed, "acting")["acting"]

    @torch.inference_mode()
    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, actions)`` as the environment takes them, drawn, or the policy's mode."""
        policy = self.actor.policy
        parameters = self.actor(torch.from_numpy(observations).to(self.device)).cpu().numpy()
        return policy.to_env(policy.mode(parameters) if deterministic else policy.sample(parameters, self.rng))

    def random_actions(self, lanes: int) -> Array:
        """Actions ``(lanes, actions)`` as the environment takes them, uniform between the bounds."""
        return self.actor.policy.scaled(self.rng.random((lanes, self.actions)))

    def state_dict(self) -> dict[str, Any]:
        """Weights and the state of drawn actions."""
        return {"actor": self.actor.state_dict(), "rng": generator_state(self.rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.actor.load_state_dict(state["actor"])
        set_generator_state(self.rng, state["rng"])


class Batch(NamedTuple):
    """Transitions as the learners take them; tensors ``(batch, ...)``."""

    observations: Tensor
    actions: Tensor  # in -1..1
    rewards: Tensor
    next_observations: Tensor
    discounts: Tensor  # of what follows: gamma, and 0 after a terminal state


def draw(replay: Replay, config: OffPolicySettings, agent: Agent, rng: np.random.Generator) -> Batch:
    """``batch_size`` transitions drawn from ``replay``."""
    drawn = replay.sample(config.batch_size, rng)
    actions = agent.actor.policy.centred(drawn.actions)
    arrays = drawn.observations, actions, drawn.rewards, drawn.next_observations, drawn.discounts
    return Batch._make(torch.from_numpy(array).to(agent.device) for array in arrays)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float) -> None:
    """One step down the gradient of ``loss`` in the optimizer's parameters; those of no others are computed."""
    group = optimizer.param_groups[0]
    optimizer.zero_grad()
    loss.backward(inputs=group["params"])
    group["lr"] = learning_rate
    optimizer.step()


@torch.no_grad()
def follow(target: nn.Module, network: nn.Module, tau: float) -> None:
    """Move the weights of ``target`` towards those of ``network``."""
    # w' = w' + tau (w - w')
    torch._foreach_lerp_([*target.parameters()], [*network.parameters()], tau)


def refuse_divergence(loss: float, updates: int) -> None:
    """Raise `UserError` unless the critics' loss is finite."""
    if not np.isfinite(loss):
        raise UserError(
            f"critic_loss={loss} after {updates} gradient steps: training stopped, the last checkpoint is kept; "
            "try a smaller learning_rate or reward scale"
        )

"""Actor and critic: settings, networks and the agent that all learners of stochastic policies share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.moments import observation_moments
from agents.policy import distributions
from agents.settings import Normalizing, Online
from agents.transforms import Transforms
from supervised import backbones
from supervised.training.errors import UserError, require, require_falling
from supervised.training.precision import autocast
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state
from supervised.transformer import Transformer

Array = NDArray[Any]


@dataclass(frozen=True)
class PolicySettings(Normalizing, Online):
    """Settings of every learner of a stochastic policy."""

    policy: str = "auto"
    """Distribution of actions: categorical, gaussian, squashed or beta; auto: categorical or gaussian."""
    learning_rate: float = 7e-4
    """Step size of the optimizer at the start."""
    learning_rate_end: float = 0.0
    """Its step size in the end; it falls linearly over `total_steps`."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's entropy in the objective: more explores longer."""
    max_gradient_norm: float = 0.5
    """Gradients are scaled down to this norm; 0: never."""
    terminal_reward: float | None = None
    """Reward that replaces the environment's at a terminal state; None keeps the environment's."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before learning."""
    normalize_rewards: tyro.conf.FlagConversionOff[bool] = False
    """Divide rewards by the standard deviation of discounted returns so far."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        for name in ("learning_rate_end", "entropy_coefficient", "max_gradient_norm"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require_falling(self, "learning_rate", "learning_rate_end")
        require(self.reward_scale > 0, "reward_scale", self.reward_scale, "use a positive number")

    @property
    def critic_of(self) -> str:
        """What the critic values: "state"; "action", every discrete one in a state; "none": there is no critic."""
        return "state"


class ActorCritic(nn.Module):
    """A policy and a value function, of states, of actions or none, as ``config.critic_of`` says.

    The "mlp" backbone is there twice, one for each; any other is shared by both heads.
    """

    def __init__(self, config: PolicySettings, space: gym.spaces.Box, action_space: gym.Space[Any]) -> None:
        super().__init__()
        named = config.backbone in backbones.WITH_HIDDEN
        options: dict[str, Any] = {"hidden": config.hidden, "activation": config.activation} if named else {}
        self.moments = observation_moments(config.normalize_observations, space)
        self.actor = backbones.build(config.backbone, space, **config.learnt_before, **options)
        values = _values(config.critic_of, action_space)
        twice = config.backbone == "mlp" and values > 0
        self.critic = backbones.build(config.backbone, space, **config.learnt_before, **options) if twice else None
        self.policy = distributions.build(config.policy, self.actor.feature_dim, action_space)
        self.value = nn.Linear(self.actor.feature_dim, values) if values else None
        self.of_states = config.critic_of == "state"
        self.recurrent = isinstance(self.actor, backbones.Recurrent)
        self.state_dim = self.actor.state_dim if isinstance(self.actor, backbones.Recurrent) else 0
        self._dtype = config.dtype
        _initialise(self)

    def forward(
        self, observations: Tensor, state: Tensor | None = None, starts: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The policy's parameters ``(rows, parameters)``, `values` and the state after the last step.

        Args:
            observations: ``(rows, *observation)``; for a recurrent backbone ``(time, lanes, *observation)``, whose
                rows are those of the first step, then those of the second, ...
            state: a recurrent backbone's, before the first step.
            starts: ``(time, lanes)`` bool: where an episode begins.
        """
        parameters, features, state = self.act(observations, state, starts)
        return parameters, self.values(observations, features), state

    def act(
        self, observations: Tensor, state: Tensor | None = None, starts: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As `forward`, with the actor's features ``(rows, features)`` in place of the values."""
        with autocast(observations.device, self._dtype):
            if self.recurrent:
                features, state = self.actor(self._seen(observations), state, starts)
                features = features.flatten(0, 1)
            else:
                features = self.actor(self._seen(observations))
            parameters = self.policy(features)
        return parameters.float(), features.float(), None if state is None else state.float()

    def values(self, observations: Tensor, features: Tensor) -> Tensor:
        """Values ``(rows,)`` of states, ``(rows, actions)`` of actions, or zeros ``(rows,)`` without a critic.

        Args:
            features: the actor's ``(rows, features)``, which a critic without a backbone of its own reads.
        """
        if self.value is None:
            return features.new_zeros(len(features))
        with autocast(observations.device, self._dtype):
            values = self.value(features if self.critic is None else self.critic(self._seen(observations))).float()
        return values[:, 0] if self.of_states else values

    def see(self, observations: Array) -> None:
        """Take observations ``(n, *observation)`` into the moments that normalise later ones, where there are any."""
        if self.moments is not None:
            self.moments.update(observations)

    def _seen(self, observations: Tensor) -> Tensor:
        return observations if self.moments is None else self.moments(observations)


def _values(critic_of: str, action_space: gym.Space[Any]) -> int:
    """How many values a critic gives for an observation."""
    if critic_of != "action":
        return int(critic_of == "state")
    if not isinstance(action_space, gym.spaces.Discrete):
        raise UserError(f"a critic of actions needs discrete ones, not {action_space}: use a critic of states")
    return int(action_space.n)


def _initialise(network: ActorCritic) -> None:
    """Orthogonal weights, those of the policy's output small: the first policy is nearly uniform.

    A backbone that has learnt before stays as it is, and so does a Transformer, which begins in a way of its own.
    """
    relu = nn.init.calculate_gain("relu")
    own = (backbones.Pretrained, Transformer)
    begun = {one for part in network.modules() if isinstance(part, own) for one in part.modules()}
    for module in network.modules():
        if module not in begun and isinstance(module, (nn.Linear, nn.Conv2d)):
            gain = 0.01 if module is network.policy else 1.0 if module is network.value else relu
            nn.init.orthogonal_(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Agent:
    """Acts by a stochastic policy.

    Attributes:
        space, transform: what the network sees, and what makes it from a batch of observations.
        network: actor and critic.
        rng: draws actions.
    """

    def __init__(self, config: PolicySettings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.device = torch.device(config.device)
        with seeded_modules(config.seed, "network"):
            # dropout and statistics of batches would make the policy that acts another than the one that learns
            self.network = ActorCritic(config, self.space, action_space).to(self.device).eval()
        self.rng = generators(config.seed, "acting")["acting"]

    def initial_state(self, lanes: int) -> Array:
        """What a recurrent backbone remembers before an episode ``(lanes, units)``; for others ``(lanes, 0)``."""
        return np.zeros((lanes, self.network.state_dim), np.float32)

    @torch.inference_mode()
    def act_outputs(self, observations: Array, state: Array, starts: Array) -> tuple[Array, Array, Array]:
        """The policy's parameters ``(lanes, parameters)``, features ``(lanes, features)`` and the state afterwards."""
        seen = torch.from_numpy(observations).to(self.device)
        if not self.network.recurrent:
            parameters, features, _ = self.network.act(seen)
            return parameters.cpu().numpy(), features.cpu().numpy(), state
        memory, begun = torch.from_numpy(state).to(self.device), torch.from_numpy(starts).to(self.device)
        parameters, features, after = self.network.act(seen[None], memory, begun[None])
        assert after is not None
        return parameters.cpu().numpy(), features.cpu().numpy(), after.cpu().numpy()

    @torch.inference_mode()
    def values(self, observations: Array, features: Array) -> Array:
        """Values of observations ``(rows, *observation)`` with the features that `act_outputs` found in them."""
        rows = (torch.from_numpy(one).to(self.device) for one in (observations, features))
        return self.network.values(*rows).cpu().numpy()

    def outputs(self, observations: Array, state: Array, starts: Array) -> tuple[Array, Array, Array]:
        """The policy's parameters ``(lanes, parameters)``, values ``(lanes,)`` and the state afterwards."""
        parameters, features, after = self.act_outputs(observations, state, starts)
        return parameters, self.values(observations, features), after

    def act_with_state(
        self, observations: Array, state: Array, starts: Array, deterministic: bool = False
    ) -> tuple[Array, Array]:
        """Actions ``(lanes, *action)`` as the environment takes them, and what to remember for the next step."""
        parameters, _, state = self.act_outputs(observations, state, starts)
        policy = self.network.policy
        actions = policy.mode(parameters) if deterministic else policy.sample(parameters, self.rng)
        return policy.to_env(actions), state

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)`` without memory of earlier steps, drawn, or the most likely."""
        state, starts = self.initial_state(len(observations)), np.ones(len(observations), np.bool_)
        return self.act_with_state(observations, state, starts, deterministic)[0]

    def state_dict(self) -> dict[str, Any]:
        """Weights, moments of observations and the state of drawn actions."""
        return {"network": self.network.state_dict(), "rng": generator_state(self.rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        set_generator_state(self.rng, state["rng"])

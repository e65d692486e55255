"""What all learners of action values share: settings, and the agent that acts by a Q-network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor

from agents.moments import observation_moments
from agents.settings import Normalizing, Online
from agents.transforms import Transforms
from agents.value.distributions import LOSSES, Categorical, Distribution, Expected, Quantile
from agents.value.networks import QNetwork
from supervised import backbones
from supervised.training.errors import UserError, require, require_falling
from supervised.training.precision import autocast
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state

Array = NDArray[Any]

NORMALIZED = ("mlp", "nature_cnn", "nips_cnn")


@dataclass(frozen=True)
class ValueSettings(Normalizing, Online):
    """Settings of every learner of action values."""

    learning_rate: float = 4e-3
    """Adam's step size at the start."""
    learning_rate_end: float = 0.0
    """Adam's step size in the end; it falls linearly over `total_steps`, so that the last policies are steady."""
    loss: str = "huber"
    """"huber" (its gradient is bounded) or "squared" (the book's)."""
    max_gradient_norm: float = 10.0
    """Gradients are scaled down to this norm; 0: never."""
    epsilon_start: float = 1.0
    """Share of random actions at the start, drawn for every lane."""
    epsilon_end: float = 0.04
    """Share of random actions in the end."""
    epsilon_steps: int = 5_000
    """Environment steps over which the share falls linearly."""
    terminal_reward: float | None = None
    """Reward that replaces the environment's at a terminal state (the book: -1); None keeps the environment's."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the hidden layers of the backbone mlp; in recurrent ones the last remembers."""
    activation: str = "relu"
    """Activation of those layers: relu, tanh, elu or silu."""
    dueling: tyro.conf.FlagConversionOff[bool] = False
    """Dueling network: a value and advantages add up to the action values."""
    distribution: str = "expected"
    """What is learnt of returns: expected (their mean), categorical (C51) or quantile (QR-DQN)."""
    atoms: int = 51
    """Atoms of the categorical distribution, or quantiles."""
    value_range: tuple[float, float] = (-10.0, 10.0)
    """Lowest and highest atom of the categorical distribution."""
    noisy: float = 0.0
    """Noisy layers: the standard deviation their noise begins with, times sqrt(inputs) (0.5 in the paper); 0: none."""
    layer_norm: tyro.conf.FlagConversionOff[bool] = False
    """Layer normalization in the backbones mlp, nature_cnn and nips_cnn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("learning_rate_end", "epsilon_steps", "max_gradient_norm", "noisy"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        for name in ("epsilon_start", "epsilon_end"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")
        for start, end in (("learning_rate", "learning_rate_end"), ("epsilon_start", "epsilon_end")):
            require_falling(self, start, end)
        require(self.loss in LOSSES, "loss", self.loss, f"use one of {', '.join(LOSSES)}")
        require(self.atoms >= 2, "atoms", self.atoms, "use at least 2")
        low, high = self.value_range
        require(low < high, "value_range", self.value_range, "use a lower number first")
        make_distribution(self)

    def epsilon(self, step: int) -> float:
        """The share of random actions after ``step`` steps that count for it."""
        fallen = min(max(step, 0) / max(self.epsilon_steps, 1), 1.0)
        return self.epsilon_start + fallen * (self.epsilon_end - self.epsilon_start)


def make_distribution(config: ValueSettings) -> Distribution:
    """How the numbers of an action tell of its return."""
    kinds: dict[str, Callable[[], Distribution]] = {
        "expected": lambda: Expected(config.loss),
        "categorical": lambda: Categorical(config.atoms, *config.value_range),
        "quantile": lambda: Quantile(config.atoms),
    }
    require(config.distribution in kinds, "distribution", config.distribution, f"use one of {', '.join(kinds)}")
    return kinds[config.distribution]()


class Agent:
    """Acts by the action values of a network.

    Attributes:
        moments: of all observations seen, where those are normalized.
        space, transform: what the network sees, and what makes it from a batch of observations.
        network: the online network.
        epsilon: share of random actions when not deterministic.
    """

    def __init__(self, config: ValueSettings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        if not isinstance(action_space, gym.spaces.Discrete):
            raise UserError(
                f"action values need discrete actions, and {config.env} has {action_space}: use ppo, sac or td3"
            )
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.n_actions, self.first_action = int(action_space.n), int(action_space.start)
        self.device = torch.device(config.device)
        self.distribution = make_distribution(config)
        moments = observation_moments(config.normalize_observations, self.space)
        self.moments = None if moments is None else moments.to(self.device)
        with seeded_modules(config.seed, "network"):
            normalized = not config.layer_norm or config.backbone in NORMALIZED
            require(normalized, "layer_norm", True, f"only the backbones {', '.join(NORMALIZED)} have it")
            named = config.backbone in backbones.WITH_HIDDEN
            options: dict[str, Any] = {"hidden": config.hidden, "activation": config.activation} if named else {}
            if config.layer_norm:
                options["layer_norm"] = True
            backbone = backbones.build(config.backbone, self.space, **config.learnt_before, **options)
            size = self.distribution.size
            self.network = QNetwork(backbone, self.n_actions, size, config.dueling, config.noisy).to(self.device)
        self.epsilon, self._dtype = config.epsilon_end, config.dtype
        self._rng = generators(config.seed, "exploration")["exploration"]

    @torch.inference_mode()
    def q_values(self, observations: Array) -> Array:
        """Action values ``(batch, actions)`` float32 for observations ``(batch, *observation)``."""
        outputs = self.outputs(self.network, torch.from_numpy(observations).to(self.device))
        return self.distribution.values(outputs).cpu().numpy()

    def outputs(self, network: QNetwork, observations: Tensor) -> Tensor:
        """What a network of this kind puts out ``(batch, actions, size)`` float32, in the arithmetic of the run."""
        with autocast(self.device, self._dtype):
            return network(self._seen(observations)).float()

    def unrolled(self, network: QNetwork, observations: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        """What a network that remembers puts out, and its state, see `QNetwork.unroll`; both float32."""
        with autocast(self.device, self._dtype):
            outputs, state = network.unroll(self._seen(observations), state, starts)
        return outputs.float(), state.float()

    def see(self, observations: Array) -> None:
        """Take observations ``(n, *observation)`` into the moments that normalize later ones, where there are any."""
        if self.moments is not None:
            self.moments.update(observations)

    def _seen(self, observations: Tensor) -> Tensor:
        return observations if self.moments is None else self.moments(observations)

    def initial_state(self, lanes: int) -> Array:
        """What a recurrent backbone remembers before an episode ``(lanes, units)``; for others ``(lanes, 0)``."""
        return np.zeros((lanes, self.network.state_dim), np.float32)

    def choose(self, values: Array) -> Array:
        """Epsilon-greedy actions ``(batch,)`` from 0, by ``values (batch, actions)``, each row with its own draw."""
        explore = self._rng.random(len(values)) < self.epsilon
        return np.where(explore, self._rng.integers(self.n_actions, size=len(values)), values.argmax(1))

    def act_with_state(
        self, observations: Array, state: Array, starts: Array, deterministic: bool = False
    ) -> tuple[Array, Array]:
        """Greedy actions ``(lanes,)``, or epsilon-greedy ones, and what to remember for the next step."""
        self.network.draw_noise(None if deterministic else self._rng)
        values, state = self._remembering(observations, state, starts)
        return (values.argmax(1) if deterministic else self.choose(values)) + self.first_action, state

    @torch.inference_mode()
    def _remembering(self, observations: Array, state: Array, starts: Array) -> tuple[Array, Array]:
        """Action values ``(lanes, actions)`` and the state afterwards."""
        if not self.network.state_dim:
            return self.q_values(observations), state
        seen, memory, begun = (torch.from_numpy(one).to(self.device) for one in (observations, state, starts))
        outputs, after = self.unrolled(self.network, seen[None], memory, begun[None])
        return self.distribution.values(outputs).cpu().numpy(), after.cpu().numpy()

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch,)`` without memory of earlier steps, greedy, or epsilon-greedy ones."""
        state, starts = self.initial_state(len(observations)), np.ones(len(observations), np.bool_)
        return self.act_with_state(observations, state, starts, deterministic)[0]

    def state_dict(self) -> dict[str, Any]:
        """Weights and the state of exploration."""
        return {
            "network": self.network.state_dict(),
            "moments": None if self.moments is None else self.moments.state_dict(),
            "epsilon": self.epsilon,
            "rng": generator_state(self._rng),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        if self.moments is not None:
            self.moments.load_state_dict(state["moments"])
        self.epsilon = state["epsilon"]
        set_generator_state(self._rng, state["rng"])

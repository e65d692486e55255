"""What imitates: settings, network and agent that behavioral cloning and DAgger share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from agents import heads
from agents.evaluation import Policy, evaluate
from agents.imitation import demonstrations
from agents.imitation.episodes import Episode
from agents.imitation.examples import Examples, require_book_classes
from agents.rollout import make_lanes
from agents.settings import VALIDATION_SEED, Common, EnvId, Keywords, Seeing
from agents.transforms import Transforms
from supervised import backbones
from supervised.training.errors import UserError, require
from supervised.training.precision import require_device
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state

Array = NDArray[Any]

BLOCK = 32  # frames transformed at once: they stay in the cache between two transforms
BALANCES = ("weights", "book", "none")


@dataclass(frozen=True)
class Cloning(Seeing, Common):
    """Settings of every way to imitate that trains a network by gradients."""

    transforms: tuple[str, ...] = ()
    """What the network sees of an observation, in this order: gray, crop:A:B:C:D, resize:H:W,
    perceive:RUN, stack:K, repeat:K."""
    head: str = "classes"
    """What the network puts out: classes, continuous (steering and acceleration), gaussian or alvinn."""
    epochs: int = 30
    """Passes through the examples."""
    batch_size: int = 64
    """Examples a gradient step, at most."""
    learning_rate: float = 1e-3
    """Step size of Adam (Kingma and Ba 2014; the book's, and torch's default)."""
    decay: tyro.conf.FlagConversionOff[bool] = False
    """Let the step size fall linearly to 0 over the run (DAgger: over each round)."""
    weight_decay: float = 0.0
    """Adam's L2 penalty."""
    evaluate_every: int = 0
    """Epochs (rounds of DAgger) between drives on tracks of their own during training; 0: none."""
    evaluate_episodes: int = 8
    """Episodes of such a drive."""
    checkpoint_every: int = 1
    """Epochs (rounds of DAgger) between checkpoints; 0: only at the end."""
    threads: int = 2
    """Threads of torch and numba."""
    device: str = "cpu"
    """Where the network lives: "cpu" or "cuda"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_device(self.device)
        for name in ("epochs", "evaluate_episodes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("weight_decay", "evaluate_every"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "use at least 2")
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")


@dataclass(frozen=True)
class Settings(Cloning):
    """What cloning single observations needs besides."""

    env: EnvId = "skidpad/CarRacing-v0"
    """Environment to drive in: an id, or from Python a callable that makes one."""
    env_kwargs: Keywords = field(default_factory=lambda: {"actions": "book"})
    """Keywords of the environment, as JSON: '{"camera": "driver"}'."""
    transforms: tuple[str, ...] = ("gray", "crop:0:84:6:90")
    """What the network sees of an observation, in this order: gray, crop:A:B:C:D, resize:H:W,
    perceive:RUN, stack:K, repeat:K."""
    backbone: str = "book_bc"
    """Network between observation and head, a name in `supervised.backbones`."""
    balance: str = "weights"
    """Classes: "weights" draws rare ones more often, "book" repeats and drops by the book's ratios, "none"."""
    balance_power: float = 0.5
    """Of "weights": 1 makes all classes that occur equally frequent, 0 leaves them as recorded."""
    mirror: tyro.conf.FlagConversionOff[bool] = True
    """Show half of the examples in a mirror, left and right exchanged."""
    early_dropout: float = 1.0
    """Share of the epochs after which dropout is off (Liu et al. 2023): to the end it makes numbers come out too small.
    DAgger counts those of each round."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.balance in BALANCES, "balance", self.balance, f"use one of {', '.join(BALANCES)}")
        for name in ("balance_power", "early_dropout"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        fits = self.balance == "none" or self.head == "classes"
        require(fits, "balance", self.balance, f"the head {self.head} has no classes: use none")


class Network(nn.Module):
    """Backbone and head: observations ``(batch, ...)`` to the head's outputs."""

    def __init__(self, config: Settings, space: gym.spaces.Box, actions: gym.Space[Any]) -> None:
        super().__init__()
        self.backbone = backbones.build_feedforward(config.backbone, space, **config.learnt_before)
        self.head = heads.build(config.head, self.backbone.feature_dim, actions)

    def forward(self, observations: Tensor) -> Tensor:
        return self.head(self.backbone(observations))

    def loss(self, observations: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and the loss ``(batch,)``."""
        features = self.backbone(observations)
        outputs = self.head(features)
        loss = self.head.loss(outputs, targets)
        if isinstance(self.backbone, backbones.Alvinn):
            lighter = backbones.road_is_lighter(observations)
            logits = self.backbone.road_intensity(features)[:, 0]
            loss = loss + F.binary_cross_entropy_with_logits(logits, lighter, reduction="none")
        return outputs, loss

    def load_sequential(self, path: str) -> None:
        """Load the state dict of ``nn.Sequential`` of all layers, as the book's script saves it; raises `UserError`."""
        layers = getattr(self.backbone, "layers", None)
        if layers is None:
            raise UserError(f"weights={path!r}: only a backbone of layers in a row loads such a file")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            nn.Sequential(*layers, self.head).load_state_dict(state)
        except Exception as error:  # a foreign file may fail in any way; nothing in it is run
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"weights={path!r} do not fit this network: {reason}") from error


class Agent:
    """Does what the network says.

    Attributes:
        transform, space: what makes of observations what the network sees, and its space.
        is_car: whether actions are steering, gas and brake.
        network: backbone and head.
    """

    def __init__(self, config: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.device = torch.device(config.device)
        self.is_car = isinstance(action_space, gym.spaces.Box) and action_space.shape == (3,)
        # an environment that takes steering, gas and brake can do the book's classes
        self._as_car = self.is_car and config.head == "classes"
        actions = gym.spaces.Discrete(len(demonstrations.BOOK_CLASSES)) if self._as_car else action_space
        with seeded_modules(config.seed, "network"):
            self.network = Network(config, self.space, actions).to(self.device)
        self._rng = generators(config.seed, "acting")["acting"]

    @torch.inference_mode()
    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)``: the most likely, or drawn where the head has chances."""
        self.network.eval()
        outputs = self.network(torch.from_numpy(observations).to(self.device)).cpu()
        actions = self.network.head.decode(outputs, None if deterministic else self._rng)
        return _book_actions()[actions] if self._as_car else actions

    def targets(self, actions: Array) -> Array:
        """What the head should have put out where a teacher did ``actions (steps, *action)``.

        Raises:
            UserError: actions that the head cannot give.
        """
        actions, head = np.asarray(actions), self.network.head
        if isinstance(head, heads.Categorical) and (self._as_car or actions.ndim == 2):
            require_book_classes(head.out_features, "actions")
            return demonstrations.book_classes(actions)
        if self.is_car and np.issubdtype(actions.dtype, np.integer):
            actions = _book_actions()[demonstrations.book_classes(actions)]
        return head.encode(actions)

    def examples(self, episodes: demonstrations.Demonstrations, numbers: Array) -> Examples:
        """Frames and targets of the episodes of those numbers.

        Raises:
            UserError: they show something else than this agent sees.
        """

        return demonstrated(episodes, numbers, self.transform, self.targets)

    def state_dict(self) -> dict[str, Any]:
        """Weights and the state of drawn actions."""
        return {"network": self.network.state_dict(), "rng": generator_state(self._rng)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        set_generator_state(self._rng, state["rng"])


def _book_actions() -> Array:
    """``(7, 3)`` float32: steering, gas and brake of the book's classes."""
    from envs.car_racing.env import BOOK_ACTIONS  # the environment's module is slow to import

    return BOOK_ACTIONS.astype(np.float32)


def demonstrated(
    episodes: demonstrations.Demonstrations, numbers: Array, transform: Transforms, encode: Callable[[Array], Array]
) -> Examples:
    """Frames of the episodes of those numbers, transformed, and targets that ``encode`` makes of what was to be done.

    Raises:
        UserError: as ``encode``.
    """

    def prepared() -> Iterator[tuple[Array, Array]]:
        for number in numbers:
            episode = episodes[int(number)]
            yield transformed(episode, transform), encode(episode.lessons)

    return Examples.collect(prepared(), int(episodes.lengths[numbers].sum()))


def transformed(episode: Episode, transform: Transforms) -> Array:
    """What is seen of an episode's frames ``(steps, *frame)``."""
    firsts = range(0, len(episode), BLOCK)
    blocks = [transform(episode.seen(slice(k, min(k + BLOCK, len(episode))))) for k in firsts]
    return np.concatenate(blocks)


def make_agent(config: Settings, recorded: gym.Space[Any] | None = None) -> Agent:
    """A new agent for the environment of the settings; raises `UserError` unless it shows what was ``recorded``."""
    return Agent(config, *matching_spaces(config, recorded))


def matching_spaces(config: Common, recorded: gym.Space[Any] | None) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """What the environment of the settings shows and takes; raises `UserError` unless that was ``recorded``."""
    lanes = make_lanes(config.env, 1, config.env_kwargs)
    space, actions = lanes.single_observation_space, lanes.single_action_space
    lanes.close()
    if recorded is not None and (recorded.shape != space.shape or recorded.dtype != space.dtype):
        remedy = "record in this environment, or set env and env_kwargs to those of the recording"
        raise UserError(f"the demonstrations show {recorded}, and {config.env} shows {space}: {remedy}")
    return space, actions


def driven(agent: Policy, config: Cloning, step: int) -> dict[str, float]:
    """The mean return of a drive during training, on tracks of its own, when it is due."""
    if not config.evaluate_every or step % config.evaluate_every:
        return {}
    result = evaluate(agent, config.env, config.env_kwargs, episodes=config.evaluate_episodes, seed=VALIDATION_SEED)
    return {"evaluation_return": result["mean"]}

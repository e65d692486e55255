"""What every learning algorithm's configuration has in common, and how it is read and shown."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from supervised.training.errors import require
from supervised.training.precision import DTYPES, require_device

FIRST_EVALUATION_SEED = 10_000  # training seeds lie below, evaluation seeds from here on
VALIDATION_SEED = 8_000  # evaluations during training, which may decide when it ends
CONFIRMATION_SEED = 9_000  # their confirmation


def _keywords(arguments: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(arguments[0])
    except json.JSONDecodeError as error:
        raise ValueError(f"{arguments[0]!r} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{arguments[0]!r} is not a JSON object")
    return value


#: keywords for an environment; on the command line one JSON object
Keywords = Annotated[
    dict[str, Any],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=_keywords,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]


#: an environment's id, or from Python a callable that makes the environment
EnvId = Annotated[
    str | Callable[[], Any],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="ID",
        instance_from_str=lambda arguments: arguments[0],
        is_instance=lambda value: isinstance(value, str) or callable(value),
        str_from_instance=lambda value: [str(value)],
    ),
]


@dataclass(frozen=True)
class Common:
    """Settings of every algorithm."""

    env: EnvId = "skidpad/CartPole-v1"
    """Environment: an id (ours, Gymnasium's, "my_package:MyEnv-v0"), or from Python a callable that makes one."""
    env_kwargs: Keywords = field(default_factory=dict)
    """Keywords of the environment, as JSON: '{"velocities": false}'."""
    seed: int = 0
    """Seed of everything random in the run, 0 to 9,999 (evaluation uses seeds from 10,000)."""
    checkpoint_every: int = 10_000
    """Environment steps (episodes for tabular methods) between checkpoints; 0: only at the end or when stopped."""

    #: keywords of the environment without which the agent could not see it
    own_kwargs: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        seeds = f"training seeds are 0 to {FIRST_EVALUATION_SEED - 1}, later ones are for evaluation"
        require(0 <= self.seed < FIRST_EVALUATION_SEED, "seed", self.seed, seeds)
        require(self.checkpoint_every >= 0, "checkpoint_every", self.checkpoint_every, "use 0 or more")


@dataclass(frozen=True)
class Acting(Common):
    """Settings of every algorithm that learns a policy in the environments it acts in, whatever the policy is."""

    total_steps: int = 100_000
    """Environment steps of the run, all lanes together; never exceeded."""
    transforms: tuple[str, ...] = ()
    """What the policy sees of an observation, in this order: gray, crop:A:B:C:D, resize:H:W,
    perceive:RUN, stack:K, repeat:K."""
    evaluate_every: int = 10_000
    """Environment steps between greedy evaluations during training, on seeds of their own; 0: none."""
    evaluate_episodes: int = 10
    """Episodes of such an evaluation."""
    stop_return: float | None = None
    """Training ends when such an evaluation's mean return reaches this and 100 other episodes confirm it; None: the
    environment's own threshold (Gymnasium's `reward_threshold`, 475 for CartPole-v1), where it has one; inf: never."""
    threads: int = 1
    """Threads of torch and numba; small networks are fastest with one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("total_steps", "evaluate_episodes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.evaluate_every >= 0, "evaluate_every", self.evaluate_every, "use 0 or more")

    def require_episodes(self, step: int) -> None:
        """Refuse a budget that ended at ``step`` 0, before whole episodes could be learnt from; raises UserError."""
        too_few = "not every lane ended an episode in so many; give more, or an environment with a time limit"
        require(step > 0, "total_steps", self.total_steps, too_few)


@dataclass(frozen=True)
class Seeing:
    """Settings of every algorithm whose network begins with a backbone."""

    backbone: str = "mlp"
    """Network between observation and head, a name in `supervised.backbones`."""
    backbone_weights: str = ""
    """Folder of a run of supervised.train that the backbone is taken from, as it was learnt there; "": it is new."""
    backbone_frozen: tyro.conf.FlagConversionOff[bool] = False
    """A backbone taken from a run learns no more."""

    @property
    def learnt_before(self) -> dict[str, Any]:
        """Keywords of `supervised.backbones.build`: where the backbone comes from."""
        return {"weights": self.backbone_weights, "frozen": self.backbone_frozen}


@dataclass(frozen=True)
class Normalizing:
    """Settings of every algorithm that can bring observations to one scale."""

    normalize_observations: tyro.conf.FlagConversionOff[bool] = False
    """Shift and scale observations to mean 0 and variance 1 over all those seen before."""


@dataclass(frozen=True)
class Online(Seeing, Acting):
    """Settings of every algorithm that trains a network by gradients in the environments it acts in."""

    lanes: int = 16
    """Environments stepped together."""
    discount: float = 0.99
    """Weight of the next step's value, gamma, 0 to 1."""
    life_loss_ends: tyro.conf.FlagConversionOff[bool] = False
    """In learning nothing follows a lost life, where the environment tells of them; the episode itself goes on."""
    clip_rewards: tyro.conf.FlagConversionOff[bool] = False
    """Learn from -1, 0 or 1 in place of rewards; returns are counted as they are."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers of the backbone mlp; in recurrent ones the last remembers."""
    activation: str = "tanh"
    """Activation of those layers: relu, tanh, elu or silu."""
    log_every: int = 1_000
    """Environment steps between lines of metrics."""
    dtype: str = "float32"
    """Arithmetic of the network: float32, or bfloat16 (faster on some processors for convolutions)."""
    device: str = "cpu"
    """Where the network lives: "cpu" or "cuda"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lanes", "log_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0 <= self.discount <= 1, "discount", self.discount, "use a number from 0 to 1")
        require_device(self.device)
        require(self.dtype in DTYPES, "dtype", self.dtype, f"use one of {', '.join(DTYPES)}")
        room = f"use at least one step of every lane ({self.lanes})"
        require(self.total_steps >= self.lanes, "total_steps", self.total_steps, room)

    def require_beginning(self, learning_starts: int) -> None:
        """Refuse what fills a replay memory for longer than the run lasts; raises UserError."""
        begin = f"learning would never begin; use less than total_steps ({self.total_steps})"
        require(learning_starts < self.total_steps, "learning_starts", learning_starts, begin)


#: what learners have in common that train on Breakout; without sticky actions, as Mnih et al. 2015
BREAKOUT: dict[str, Any] = {
    "env": "skidpad/Atari-Breakout-v0",
    "env_kwargs": {"repeat_action_probability": 0.0},
    "life_loss_ends": True,
    "clip_rewards": True,
    "backbone": "nature_cnn",
    "evaluate_every": 0,
    "log_every": 10_000,
    "checkpoint_every": 100_000,
}

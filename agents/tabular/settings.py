"""Settings of the tabular methods: for each algorithm exactly those that it uses."""

from dataclasses import dataclass, field
from typing import Literal

import tyro

from agents.settings import Common, EnvId, Keywords
from agents.tabular import multi_step
from agents.tabular.dynamic_programming import Order
from supervised.training.errors import require


@dataclass(frozen=True)
class Tabular(Common):
    """Settings of every tabular method."""

    env: EnvId = "skidpad/CliffWalking-v0"
    """Environment with discrete observations and actions: an id, or from Python a callable that makes one."""
    discount: float = 1.0
    """Weight of the next step's value, gamma, 0 to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("discount", "epsilon", "epsilon_end", "trace_decay"):
            share = getattr(self, name, None)
            require(share is None or 0 <= share <= 1, name, share, "use a number from 0 to 1")
        step_size = getattr(self, "step_size", None)
        require(step_size is None or 0 < step_size <= 1, "step_size", step_size, "use a number above 0, up to 1")
        for name in ("max_sweeps", "episodes", "total_steps", "n", "tiles", "tilings"):
            number = getattr(self, name, None)
            require(number is None or number >= 1, name, number, "use at least 1")


@dataclass(frozen=True)
class Planning(Tabular):
    """Settings of dynamic programming, which reads the environment's model."""

    tolerance: float = 1e-6
    """Sweeps end when no value changes by more."""
    max_sweeps: int = 100_000
    """Sweeps after which the values count as not converging."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tolerance > 0, "tolerance", self.tolerance, "use a positive number")


@dataclass(frozen=True)
class ValueIteration(Planning):
    """Settings of value iteration."""

    order: Order = "synchronous"
    """Order of the backups: all from the sweep before, in place, or the largest residual first."""


@dataclass(frozen=True)
class Episodic(Tabular):
    """Settings of every method that learns from episodes."""

    episodes: int = 500
    """Episodes to play."""
    total_steps: int | None = None
    """Environment steps after which no episode starts, if that comes first; None: no such limit."""


@dataclass(frozen=True)
class Table(Episodic):
    """Settings of every method that learns a table from episodes."""

    initial_value: float = 0.0
    """Value of everything before the first visit; above the true values it makes an agent explore."""


@dataclass(frozen=True)
class Prediction(Table):
    """Settings of TD prediction, of the uniform policy's values."""

    env: EnvId = "skidpad/RandomWalk-v0"
    """Environment with discrete observations and actions: an id, or from Python a callable that makes one."""
    step_size: float = 0.1
    """Step size, alpha, above 0, up to 1."""


@dataclass(frozen=True)
class NStepPrediction(Prediction):
    """Settings of n-step TD prediction."""

    n: int = 4
    """Steps whose rewards count before the value of the state reached."""


@dataclass(frozen=True)
class TracePrediction(Prediction):
    """Settings of TD(lambda) prediction."""

    trace_decay: float = 0.9
    """Decay of eligibility traces, lambda, 0 to 1."""
    traces: multi_step.Traces = "accumulating"
    """What a visit does to a state's trace."""


@dataclass(frozen=True)
class MonteCarlo(Table):
    """Settings of Monte Carlo methods."""

    env: EnvId = "skidpad/Blackjack-v0"
    """Environment with discrete observations and actions: an id, or from Python a callable that makes one."""
    episodes: int = 100_000
    """Episodes to play."""
    step_size: float | None = None
    """Step size, alpha, above 0, up to 1; None: the average over all samples."""
    first_visit: tyro.conf.FlagConversionOff[bool] = True
    """Whether only the first visit in an episode counts."""


@dataclass(frozen=True)
class Exploring:
    """Settings of epsilon-greedy behaviour, mixed into others (a base of its own would undo their defaults)."""

    epsilon: float = 0.1
    """Share of random actions in the first episode, 0 to 1."""
    epsilon_end: float | None = None
    """Share in the last episode, towards which it changes linearly; None: as in the first."""


@dataclass(frozen=True)
class MonteCarloControl(Exploring, MonteCarlo):
    """Settings of Monte Carlo control."""


@dataclass(frozen=True)
class OffPolicyMonteCarlo(Exploring, Table):
    """Settings of off-policy Monte Carlo control, whose behaviour is epsilon-greedy."""

    env: EnvId = "skidpad/Blackjack-v0"
    """Environment with discrete observations and actions: an id, or from Python a callable that makes one."""
    episodes: int = 100_000
    """Episodes to play."""


@dataclass(frozen=True)
class Control(Exploring, Table):
    """Settings of TD control."""

    step_size: float = 0.5
    """Step size, alpha, above 0, up to 1."""
    epsilon_end: float | None = 0.0
    """Share in the last episode, towards which it changes linearly; None: as in the first."""


@dataclass(frozen=True)
class NStepControl(Control):
    """Settings of n-step Sarsa."""

    n: int = 4
    """Steps whose rewards count before the value of the pair reached."""


@dataclass(frozen=True)
class TraceControl(Control):
    """Settings of Sarsa(lambda)."""

    trace_decay: float = 0.9
    """Decay of eligibility traces, lambda, 0 to 1."""
    traces: multi_step.Traces = "replacing"
    """What a visit does to a pair's trace."""


@dataclass(frozen=True)
class Approximation(Episodic):
    """Settings of semi-gradient methods, by default those of Sutton & Barto's figure 10.1."""

    env: EnvId = "skidpad/MountainCar-v0"
    """Environment with discrete actions: an id, or from Python a callable that makes one."""
    env_kwargs: Keywords = field(default_factory=lambda: {"max_episode_steps": 5000})
    """Keywords of the environment, as JSON."""
    step_size: float = 0.5 / 8
    """Step size, alpha, above 0, up to 1; with tiles, 0.5 / tilings moves an estimate half-way to its target."""
    features: Literal["tiles", "network"] = "tiles"
    """Tiles over bounded observations, or a network."""
    tiles: int = 8
    """Tiles that cover each dimension of the observation."""
    tilings: int = 8
    """Grids of tiles, each displaced by a different part of a tile."""
    hidden: tuple[int, ...] = (64,)
    """Units of the network's hidden layers."""
    activation: str = "tanh"
    """Activation of the network: relu, tanh, elu or silu."""


@dataclass(frozen=True)
class ApproximateControl(Exploring, Approximation):
    """Settings of semi-gradient control."""

    epsilon: float = 0.0
    """Share of random actions in the first episode, 0 to 1; values that start too high explore by themselves."""

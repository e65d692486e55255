"""CMA-ES over policies: evolution by a normal distribution that learns its own shape (Hansen 2016, through `cma`).

A generation is drawn from N(m, sigma^2 C) over the weights of a network. The better half, weighted by rank, moves the
mean m; the steps of the mean adapt the covariance C and the length sigma, so that what succeeded becomes likelier. The
agent acts by the mean.

A checkpoint holds the fitness of every generation so far, and resuming tells it again: from the same seed the
strategy draws the same individuals and comes to the same state, whatever it keeps inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from agents.evolution.arena import MOUNTAIN_CAR, Arena
from agents.evolution.perceptrons import Agent, WeightSettings
from agents.progress import Examiner, crossed
from supervised.training.errors import needs_extra, require
from supervised.training.run import Run
from supervised.training.seeding import generators

Array = NDArray[Any]

__all__ = ["PRESETS", "Agent", "Config", "Strategy", "train"]

MOST_GENES = 2_000  # with their full covariance, whose decomposition takes the cube of that


@dataclass(frozen=True)
class Config(WeightSettings):
    """CMA-ES: the weights of a network drawn from a normal distribution that adapts."""

    population: int = 32
    """Individuals of a generation."""
    hidden: tuple[int, ...] = (8,)
    """Units of the hidden layers; none: actions are linear in observations."""
    initial_std: float = 0.5
    """Standard deviation of every weight at the start; their mean is 0."""
    diagonal: tyro.conf.FlagConversionOff[bool] = False
    """Adapt variances only (Ros and Hansen 2008): for large networks, whose full covariance is too much."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.population >= 4, "population", self.population, "use at least 4: the better half becomes the mean")
        require(self.initial_std > 0, "initial_std", self.initial_std, "use a positive number")


PRESETS = {
    "default": Config(),
    "mountain-car": Config(**MOUNTAIN_CAR),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Evolve an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: `cma` is not installed, an environment or setting that does not fit, or a budget too small
            for one generation.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    arena = Arena(config)
    agent, examiner = Agent(config, *arena.spaces), Examiner(config)
    strategy = Strategy(config, agent.genes.size)

    def state() -> dict[str, Any]:
        return {"agent": agent.state_dict(), "arena": arena.state_dict(), "strategy": strategy.state_dict()}

    if saved := run.restore():
        agent.load_state_dict(saved["agent"])
        arena.load_state_dict(saved["arena"])
        strategy.load_state_dict(saved["strategy"])

    before = arena.step
    while (fitness := arena.play(agent.acting(strategy.ask().astype(np.float32)))) is not None:
        strategy.tell(fitness)
        agent.genes = strategy.mean.astype(np.float32)
        arena.log(run, gene_std=strategy.std)
        if crossed(before, arena.step, config.evaluate_every) and examiner.solved(agent, run, arena.step):
            break
        run.checkpoint(arena.step, state, config.checkpoint_every)
        before = arena.step
    arena.close()
    run.finish(arena.step, state)
    return agent


class Strategy:
    """`cma.CMAEvolutionStrategy` for fitness that is to rise, with draws of its own and an exact state.

    Raises:
        UserError: `cma` is not installed, or a network too large for a full covariance.
    """

    def __init__(self, config: Config, genes: int) -> None:
        with needs_extra("evolution"):
            import cma
        room = f"gives {genes} weights, and their full covariance is too large: use fewer units, or diagonal"
        require(config.diagonal or genes <= MOST_GENES, "hidden", config.hidden, room)
        rng = generators(config.seed, "strategy")["strategy"]
        options = {
            "popsize": config.population,
            "CMA_diagonal": config.diagonal,
            "randn": lambda *shape: rng.standard_normal(shape),  # it would draw from NumPy's global state
            "verbose": -9,  # prints nothing
        }
        self._strategy = cma.CMAEvolutionStrategy(np.zeros(genes), config.initial_std, options)
        self._told: list[Array] = []
        self._asked: Sequence[Array] = []

    @property
    def mean(self) -> Array:
        """The distribution's mean ``(genes,)``."""
        return self._strategy.mean

    @property
    def std(self) -> float:
        """The mean standard deviation of a gene."""
        return float(self._strategy.stds.mean())

    def ask(self) -> Array:
        """A new generation ``(population, genes)``."""
        self._asked = self._strategy.ask()
        return np.array(self._asked)

    def tell(self, fitness: Array) -> None:
        """The fitness ``(population,)`` of the generation asked for."""
        self._strategy.tell(self._asked, (-fitness).tolist())  # it minimizes
        self._told.append(fitness)

    def state_dict(self) -> dict[str, Any]:
        """The fitness ``(generations, population)`` told so far."""
        return {"told": np.array(self._told)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Tell a new strategy what the saved one was told."""
        for fitness in state["told"]:
            self.ask()
            self.tell(fitness)

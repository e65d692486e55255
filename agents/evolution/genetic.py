"""A genetic algorithm over policies (book, chapter 9: "Introduction to genetic algorithms playing games").

The genes of an individual are the weights of its network. A generation plays whole episodes, and

    selection   a share of highest fitness has children, each as often as any other; ``elites`` live on
    crossover   a child takes every gene from one of its two parents, or all genes from one
    mutation    a gene changes by a draw from a normal distribution

make the next one. Nothing but the return counts: there is no gradient, no value and no model (Such et al. 2017 train
deep networks so, by mutation alone).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evolution.arena import MOUNTAIN_CAR, Arena
from agents.evolution.perceptrons import Agent, WeightSettings
from agents.progress import Examiner, crossed
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, set_generator_state

Array = NDArray[Any]

__all__ = ["PRESETS", "Agent", "Config", "breed", "train"]


@dataclass(frozen=True)
class Config(WeightSettings):
    """Genetic algorithm: selection, crossover and mutation of the weights of a network."""

    survival: float = 0.25
    """Share of a generation, the one of highest fitness, that has children."""
    elites: int = 4
    """Individuals of highest fitness that live on unchanged."""
    crossover: float = 0.5
    """Share of children that have two parents."""
    mutation_rate: float = 0.2
    """Share of a child's genes that mutate."""
    mutation_std: float = 0.5
    """Standard deviation of what is added to them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.elites < self.population, "elites", self.elites, f"use 0 to {self.population - 1}")
        for name in ("survival", "crossover", "mutation_rate"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        require(self.mutation_std > 0, "mutation_std", self.mutation_std, "use a positive number")


PRESETS = {
    "default": Config(),
    "mountain-car": Config(**MOUNTAIN_CAR),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Evolve an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a budget too small for one generation.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    arena = Arena(config)
    agent, examiner = Agent(config, *arena.spaces), Examiner(config)
    rng = generators(config.seed, "breeding")["breeding"]
    genes = agent.random_genes(rng, config.population)

    def state() -> dict[str, Any]:
        return {
            "agent": agent.state_dict(),
            "arena": arena.state_dict(),
            "genes": genes,
            "rng": generator_state(rng),
        }

    if saved := run.restore():
        agent.load_state_dict(saved["agent"])
        arena.load_state_dict(saved["arena"])
        genes = saved["genes"]
        set_generator_state(rng, saved["rng"])

    before = arena.step
    while (fitness := arena.play(agent.acting(genes))) is not None:
        agent.genes = genes[fitness.argmax()]
        arena.log(run, gene_std=genes.std(axis=0).mean())
        genes = breed(config, genes, fitness, rng)
        if crossed(before, arena.step, config.evaluate_every) and examiner.solved(agent, run, arena.step):
            break
        run.checkpoint(arena.step, state, config.checkpoint_every)
        before = arena.step
    arena.close()
    run.finish(arena.step, state)
    return agent


def breed(config: Config, genes: Array, fitness: Array, rng: np.random.Generator) -> Array:
    """The next generation ``(population, genes)`` of one with that fitness ``(population,)``; elites come first."""
    ranked = genes[np.argsort(-fitness, kind="stable")]
    parents, children = math.ceil(config.survival * config.population) or 1, config.population - config.elites
    first, second = ranked[rng.integers(parents, size=(2, children))]
    paired = rng.random((children, 1)) < config.crossover
    child = np.where(paired & (rng.random(first.shape) < 0.5), second, first)
    mutates = rng.random(child.shape) < config.mutation_rate
    noise = rng.standard_normal(child.shape, np.float32) * np.float32(config.mutation_std)
    return np.concatenate([ranked[: config.elites], child + mutates * noise])

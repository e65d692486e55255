"""Policies whose genes are the weights of a fully connected network: a population acts in one product a layer."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.evolution.arena import EvolutionSettings, Interface
from supervised.training.errors import UserError, require, suggest

Array = NDArray[Any]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": np.tanh, "relu": lambda values: np.maximum(values, 0)}


@dataclass(frozen=True)
class WeightSettings(EvolutionSettings):
    """Settings of every algorithm that evolves the weights of a network of fixed shape."""

    hidden: tuple[int, ...] = (16,)
    """Units of the hidden layers; none: actions are linear in observations."""
    activation: str = "tanh"
    """Activation of those layers: tanh or relu."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(units > 0 for units in self.hidden), "hidden", self.hidden, "every layer needs at least one unit")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"unknown activation {self.activation!r}{suggest(self.activation, ACTIVATIONS)}")


class Agent:
    """Acts by the network of one individual, always the same way in the same state.

    Attributes:
        genes: weights and biases ``(genes,)`` float32, of each layer the weights ``(inputs, outputs)`` row by row, then
            the biases.
        transform: see `agents.evaluation.Policy`.
    """

    def __init__(self, config: WeightSettings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self._interface = Interface(config, observation_space, action_space)
        self.transform = self._interface.transform
        self._shapes = [*itertools.pairwise((self._interface.inputs, *config.hidden, self._interface.outputs))]
        self._activate = ACTIVATIONS[config.activation]
        self.genes = np.zeros(sum((inputs + 1) * outputs for inputs, outputs in self._shapes), np.float32)

    def random_genes(self, rng: np.random.Generator, individuals: int) -> Array:
        """New genes ``(individuals, genes)`` float32: weights of variance 1 / inputs, and biases of 0."""
        layers = []
        for inputs, outputs in self._shapes:
            weights = rng.standard_normal((individuals, inputs * outputs), np.float32) / np.float32(inputs**0.5)
            layers += [weights, np.zeros((individuals, outputs), np.float32)]
        return np.concatenate(layers, axis=1)

    def acting(self, genes: Array) -> Callable[[Array], Array]:
        """Actions of individuals with genes ``(individuals, genes)``, of each for its share of the observations."""
        individuals, layers, first = len(genes), [], 0
        for inputs, outputs in self._shapes:
            middle, end = first + inputs * outputs, first + (inputs + 1) * outputs
            weights = np.ascontiguousarray(genes[:, first:middle].reshape(individuals, inputs, outputs))
            layers.append((weights, genes[:, None, middle:end]))
            first = end

        def act(observations: Array) -> Array:
            seen = self._interface.see(observations)
            values = seen.reshape(individuals, len(seen) // individuals, seen.shape[1])
            for number, (weights, biases) in enumerate(layers, 1):
                values = values @ weights + biases  # (individuals, share, outputs)
                if number < len(layers):
                    values = self._activate(values)
            return self._interface.decide(values.reshape(len(seen), -1))

        return act

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)``; there is nothing to draw."""
        return self.acting(self.genes[None])(observations)

    def state_dict(self) -> dict[str, Any]:
        """Genes."""
        return {"genes": self.genes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; raises `ValueError` for genes of a network of another shape."""
        if state["genes"].shape != self.genes.shape:
            raise ValueError(f"{state['genes'].size} genes for a network of {self.genes.size}")
        self.genes = np.array(state["genes"])

"""Restricted Boltzmann machines and deep belief networks (book, chapter 3; Hinton 2002, Hinton et al. 2006).

A machine has visible units v and hidden ones h, all 0 or 1, and gives each state a probability by its energy:

    E(v, h) = -a . v - b . h - v W h,    p(v, h) = exp(-E(v, h)) / Z

No two units of a layer are linked, so that either layer is drawn at once, given the other.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.regression import sigmoid

Array = NDArray[Any]


class RBM:
    """A restricted Boltzmann machine.

    Attributes:
        weights: W ``(visible, hidden)``.
        visible_bias, hidden_bias: a ``(visible,)`` and b ``(hidden,)``.
    """

    def __init__(self, visible: int, hidden: int, rng: np.random.Generator) -> None:
        self.weights = rng.normal(0, 0.1, (visible, hidden))
        self.visible_bias, self.hidden_bias = np.zeros(visible), np.zeros(hidden)
        self._rng = rng

    def hidden(self, visible: Array) -> Array:
        """p(h = 1 | v) = s(b + v W) ``(n, hidden)``."""
        return sigmoid(self.hidden_bias + visible @ self.weights)

    def visible(self, hidden: Array) -> Array:
        """p(v = 1 | h) = s(a + W h) ``(n, visible)``."""
        return sigmoid(self.visible_bias + hidden @ self.weights.T)

    def draw(self, probabilities: Array) -> Array:
        """Units that are 1 with these probabilities."""
        return (self._rng.random(probabilities.shape) < probabilities).astype(np.float64)

    def free_energy(self, visible: Array) -> Array:
        """-log sum_h exp(-E(v, h)) = -a . v - sum_j log(1 + exp(b_j + (v W)_j)) ``(n,)``."""
        return -visible @ self.visible_bias - np.logaddexp(0, self.hidden_bias + visible @ self.weights).sum(1)

    def log_likelihood(self, visible: Array) -> float:
        """Mean log p(v) (nat), exactly: by a sum over all 2^visible states, so for small machines only."""
        states = np.array(list(product((0.0, 1.0), repeat=len(self.visible_bias))))
        return float(-self.free_energy(visible).mean() - np.logaddexp.reduce(-self.free_energy(states)))

    def contrast(self, visible: Array, steps: int = 1) -> tuple[Array, Array, Array]:
        """Contrastive divergence: what raises log p(v) of data, about, for W, a and b.

        d log p / dW = <v h> of data - <v h> of the machine; the second is taken ``steps`` draws from the data away.
        """
        told = self.hidden(visible)
        dreamt, guessed = visible, told
        for _ in range(steps):
            dreamt = self.draw(self.visible(self.draw(guessed)))
            guessed = self.hidden(dreamt)
        n = len(visible)
        of_weights = (visible.T @ told - dreamt.T @ guessed) / n
        return of_weights, (visible - dreamt).mean(0), (told - guessed).mean(0)

    def fit(
        self, inputs: Array, *, epochs: int, learning_rate: float = 0.1, batch_size: int = 20, steps: int = 1
    ) -> Array:
        """Learn from inputs ``(n, visible)`` in 0..1; returns the mean squared error of a reconstruction, an epoch."""
        errors = []
        for _ in range(epochs):
            order = self._rng.permutation(len(inputs))
            for rows in (order[first : first + batch_size] for first in range(0, len(order), batch_size)):
                changes = self.contrast(inputs[rows], steps)
                for values, change in zip((self.weights, self.visible_bias, self.hidden_bias), changes, strict=True):
                    values += learning_rate * change
            errors.append(float(((inputs - self.visible(self.hidden(inputs))) ** 2).mean()))
        return np.array(errors)

    def dream(self, hidden: Array, steps: int) -> Array:
        """Visible probabilities after so many draws back and forth, from hidden units ``(n, hidden)``."""
        for _ in range(steps):
            hidden = self.draw(self.hidden(self.draw(self.visible(hidden))))
        return self.visible(hidden)


class DBN:
    """A deep belief network: machines on top of each other, each learning what the one below tells.

    Args:
        sizes: units of all layers, visible ones first.
    """

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator) -> None:
        self.machines = [RBM(below, above, rng) for below, above in zip(sizes, sizes[1:], strict=False)]

    def fit(self, inputs: Array, **settings: Any) -> list[Array]:
        """Greedily, from the lowest machine to the highest, each as `RBM.fit`; returns the errors of each."""
        errors = []
        for machine in self.machines:
            errors.append(machine.fit(inputs, **settings))
            inputs = machine.hidden(inputs)
        return errors

    def features(self, inputs: Array) -> Array:
        """What the highest hidden units make of inputs ``(n, top)``."""
        for machine in self.machines:
            inputs = machine.hidden(inputs)
        return inputs

    def dream(self, n: int, steps: int = 200) -> Array:
        """Inputs that it makes up ``(n, visible)``: the top machine dreams, and the others say what that looks like."""
        top = self.machines[-1]
        seen = top.dream(top.draw(np.full((n, len(top.hidden_bias)), 0.5)), steps)
        for machine in reversed(self.machines[:-1]):
            seen = machine.visible(seen)
        return seen

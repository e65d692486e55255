"""Ways down a gradient (book, chapters 2 and 3), in the symbols of their papers; g is dJ/dw.

All of them equal torch's of the same name.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Optimizer:
    """Gradient descent: w <- w - eta g.

    Args:
        learning_rate: eta.
        weight_decay: lambda; g becomes g + lambda w, the gradient of J + lambda |w|^2 / 2 (erratum E-6: plus).
    """

    def __init__(self, learning_rate: float, weight_decay: float = 0.0) -> None:
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.steps = 0
        self._memory: list[dict[str, Array]] = []

    def step(self, weights: Sequence[Array], gradients: Sequence[Array]) -> None:
        """Change all weights in place."""
        self.steps += 1
        self._memory = self._memory or [{} for _ in weights]
        for w, gradient, memory in zip(weights, gradients, self._memory, strict=True):
            w -= self.change(gradient + self.weight_decay * w, memory)

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """What is subtracted from weights; ``memory`` is theirs, from step to step."""
        return self.learning_rate * gradient


class Momentum(Optimizer):
    """v <- mu v + g; w <- w - eta v."""

    def __init__(self, learning_rate: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(learning_rate, weight_decay)
        self.momentum = momentum

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """See `Optimizer`."""
        memory["v"] = self.momentum * memory.get("v", 0.0) + gradient
        return self.learning_rate * memory["v"]


class Nesterov(Momentum):
    """Momentum with the gradient of where it leads: v <- mu v + g; w <- w - eta (g + mu v).

    ``w`` is kept at the place looked ahead to, where g is taken (Sutskever et al. 2013, in Bengio's form).
    """

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """See `Optimizer`."""
        return self.learning_rate * gradient + self.momentum * super().change(gradient, memory)


class RMSProp(Optimizer):
    """r <- rho r + (1 - rho) g^2; w <- w - eta g / (sqrt(r) + eps) (Hinton 2012)."""

    def __init__(self, learning_rate: float = 1e-2, rho: float = 0.99, epsilon: float = 1e-8) -> None:
        super().__init__(learning_rate)
        self.rho, self.epsilon = rho, epsilon

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """See `Optimizer`."""
        memory["r"] = self.rho * memory.get("r", 0.0) + (1 - self.rho) * gradient**2
        return self.learning_rate * gradient / (np.sqrt(memory["r"]) + self.epsilon)


class AdaDelta(Optimizer):
    """r <- rho r + (1 - rho) g^2; d = g sqrt(s + eps) / sqrt(r + eps); s <- rho s + (1 - rho) d^2; w <- w - eta d.

    Zeiler 2012, whose eta is 1.
    """

    def __init__(self, learning_rate: float = 1.0, rho: float = 0.9, epsilon: float = 1e-6) -> None:
        super().__init__(learning_rate)
        self.rho, self.epsilon = rho, epsilon

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """See `Optimizer`."""
        memory["r"] = self.rho * memory.get("r", 0.0) + (1 - self.rho) * gradient**2
        moved = memory.get("s", np.zeros_like(gradient))
        change = gradient * np.sqrt(moved + self.epsilon) / np.sqrt(memory["r"] + self.epsilon)
        memory["s"] = self.rho * moved + (1 - self.rho) * change**2
        return self.learning_rate * change


class Adam(Optimizer):
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; w <- w - eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    Kingma and Ba 2015.
    """

    def __init__(
        self, learning_rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        super().__init__(learning_rate)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def change(self, gradient: Array, memory: dict[str, Array]) -> Array:
        """See `Optimizer`."""
        memory["m"] = self.beta1 * memory.get("m", 0.0) + (1 - self.beta1) * gradient
        memory["v"] = self.beta2 * memory.get("v", 0.0) + (1 - self.beta2) * gradient**2
        mean = memory["m"] / (1 - self.beta1**self.steps)
        square = memory["v"] / (1 - self.beta2**self.steps)
        return self.learning_rate * mean / (np.sqrt(square) + self.epsilon)

"""Layers that change what is learnt rather than what can be told (book, chapter 4): batch normalization and dropout.

Weight decay is an optimizer's, see `supervised.scratch.optimizers`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class BatchNorm:
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, each of a channel (Ioffe and Szegedy 2015).

    In training mean and variance are the batch's; afterwards they are averages over training, ``momentum`` of each new
    one. Inputs are ``(n, channels)`` or ``(n, channels, *space)``.
    """

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        self.gamma, self.beta = np.ones(channels), np.zeros(channels)
        self.mean, self.variance = np.zeros(channels), np.ones(channels)
        self.momentum, self.epsilon = momentum, epsilon

    def forward(self, inputs: Array, training: bool = True) -> Array:
        """Outputs, shaped as inputs."""
        axes = (0, *range(2, inputs.ndim))
        mean, variance = self.mean, self.variance
        if training:
            mean, variance = inputs.mean(axes), inputs.var(axes)
            count = inputs.size // inputs.shape[1]
            self.mean = (1 - self.momentum) * self.mean + self.momentum * mean
            unbiased = variance * count / max(count - 1, 1)
            self.variance = (1 - self.momentum) * self.variance + self.momentum * unbiased
        shape = (-1, *[1] * (inputs.ndim - 2))
        self._scale = (self.gamma / np.sqrt(variance + self.epsilon)).reshape(shape)
        self._normal = (inputs - mean.reshape(shape)) / np.sqrt(variance + self.epsilon).reshape(shape)
        return self.gamma.reshape(shape) * self._normal + self.beta.reshape(shape)

    def backward(self, gradient: Array) -> tuple[Array, Array, Array]:
        """From dJ/dy of a batch in training: dJ/dx, dJ/dgamma and dJ/dbeta.

        With z the normalized inputs, dJ/dx = gamma / sqrt(variance + eps) (g - mean(g) - z mean(g z)).
        """
        axes = (0, *range(2, gradient.ndim))
        of_beta, of_gamma = gradient.sum(axes), (gradient * self._normal).sum(axes)
        means = gradient.mean(axes, keepdims=True), (gradient * self._normal).mean(axes, keepdims=True)
        return self._scale * (gradient - means[0] - self._normal * means[1]), of_gamma, of_beta


class Dropout:
    """In training each input is 0 with a chance, and others are larger, so that means stay (Hinton et al. 2012).

    Args:
        chance: of an input to be dropped, 0 to below 1.
    """

    def __init__(self, chance: float, rng: np.random.Generator) -> None:
        self.chance, self._rng = chance, rng

    def forward(self, inputs: Array, training: bool = True) -> Array:
        """Outputs, shaped as inputs."""
        self._kept = (self._rng.random(inputs.shape) >= self.chance) / (1 - self.chance) if training else 1.0
        return inputs * self._kept

    def backward(self, gradient: Array) -> Array:
        """dJ/dx of dJ/dy: nothing flows through what was dropped."""
        return gradient * self._kept

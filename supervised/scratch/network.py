"""A network of fully connected layers, with back-propagation written out (book, chapters 2 and 3).

With a_j = sum_i y_i w_ij the value that enters neuron j, and y_j = f(a_j):

    delta_j = dJ/dy_j f'(a_j)                     of the last layer
    delta_i = (sum_j delta_j w_ij) f'(a_i)        of the layers before
    dJ/dw_ij = delta_j y_i
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.activations import ACTIVATIONS, softmax
from supervised.scratch.optimizers import Optimizer
from supervised.training.errors import UserError, require, suggest

Array = NDArray[Any]

LOSSES = ("squared", "cross-entropy")


class Network:
    """Layers of neurons.

    Args:
        sizes: neurons of each layer, inputs first: ``(2, 4, 1)``.
        rng: draws the first weights, evenly between -1 and 1, as the book does.
        activation: a name in `ACTIVATIONS`, of all layers; with cross-entropy the last layer is softmax.
        loss: "squared", J = 1/(2n) sum (y - t)^2, or "cross-entropy", J = -1/n sum t log y.

    Attributes:
        weights: an array ``(1 + inputs, outputs)`` a layer, biases first.
    """

    def __init__(
        self, sizes: Sequence[int], rng: np.random.Generator, activation: str = "tanh", loss: str = "squared"
    ) -> None:
        require(len(sizes) >= 2, "sizes", tuple(sizes), "a network has inputs and outputs")
        for value, known in ((activation, ACTIVATIONS), (loss, LOSSES)):
            if value not in known:
                raise UserError(f"unknown {value!r}{suggest(value, known)}")
        self.activation, self.loss = ACTIVATIONS[activation], loss
        pairs = zip(sizes, sizes[1:], strict=False)
        self.weights = [rng.uniform(-1, 1, (1 + inputs, outputs)) for inputs, outputs in pairs]

    def predict(self, inputs: Array) -> Array:
        """Outputs ``(n, outputs)`` of inputs ``(n, inputs)``."""
        return self._forward(inputs)[1][-1]

    def cost(self, inputs: Array, targets: Array) -> float:
        """J, with targets ``(n, outputs)``: numbers, or one-hot classes."""
        outputs = self.predict(inputs)
        if self.loss == "squared":
            return float(0.5 * ((outputs - targets) ** 2).sum() / len(targets))
        return float(-(targets * np.log(np.maximum(outputs, 1e-300))).sum() / len(targets))

    def _forward(self, inputs: Array) -> tuple[list[Array], list[Array]]:
        """Activation values of every layer but the inputs, and outputs of all layers."""
        values: list[Array] = []
        outputs = [np.asarray(inputs, dtype=np.float64)]
        for layer, weights in enumerate(self.weights, 1):
            values.append(outputs[-1] @ weights[1:] + weights[0])
            last = layer == len(self.weights)
            outputs.append(softmax(values[-1]) if last and self._softmax else self.activation.function(values[-1]))
        return values, outputs

    @property
    def _softmax(self) -> bool:
        return self.loss == "cross-entropy"

    def gradients(self, inputs: Array, targets: Array) -> list[Array]:
        """dJ/dw of every layer, shaped as `weights`."""
        values, outputs = self._forward(inputs)
        # dJ/dy = y - t; through softmax and cross-entropy together dJ/da = y - t
        delta = (outputs[-1] - targets) / len(targets)
        if not self._softmax:
            delta = delta * self.activation.derivative(values[-1])
        found: list[Array] = []
        for layer in reversed(range(len(self.weights))):
            found.append(np.concatenate([delta.sum(0, keepdims=True), outputs[layer].T @ delta]))
            if layer:
                delta = delta @ self.weights[layer][1:].T * self.activation.derivative(values[layer - 1])
        return found[::-1]

    def fit(
        self,
        inputs: Array,
        targets: Array,
        optimizer: Optimizer,
        *,
        epochs: int,
        batch_size: int,
        rng: np.random.Generator,
    ) -> Array:
        """Pass ``epochs`` times through the samples in random order.

        Returns:
            J before the first pass and after each ``(epochs + 1,)``.
        """
        costs = [self.cost(inputs, targets)]
        for _ in range(epochs):
            order = rng.permutation(len(targets))
            for rows in (order[first : first + batch_size] for first in range(0, len(order), batch_size)):
                optimizer.step(self.weights, self.gradients(inputs[rows], targets[rows]))
            costs.append(self.cost(inputs, targets))
        return np.array(costs)

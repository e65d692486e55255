"""What classic learners have found, as arrays, and what they answer: NumPy alone, so that scikit-learn only fits.

Answers equal scikit-learn's. Arrays go into checkpoints as they are; nothing is pickled.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.activations import softmax
from supervised.training.errors import require

Array = NDArray[Any]

BLOCK = 500  # rows judged at once


def flatten(inputs: Array) -> Array:
    """Inputs ``(n, *input)`` as ``(n, features)``."""
    return inputs.reshape(len(inputs), int(np.prod(inputs.shape[1:])))


class Predictor:
    """Tells classes of inputs.

    Args:
        arrays: what was found. Of every predictor: ``labels (classes,)``, the classes that occurred, in order, and
            ``features ()``, how many numbers an input has.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)
        self.labels, self.features = arrays["labels"], int(arrays["features"])

    def scores(self, inputs: Array) -> Array:
        """What speaks for each class that occurred ``(n, classes)``, of inputs ``(n, *input)``.

        Raises:
            UserError: inputs of another size than was learnt from.
        """
        flat = flatten(inputs)
        require(flat.shape[1] == self.features, "inputs", inputs.shape[1:], f"{self.features} numbers were learnt from")
        blocks = [self._scores(flat[first : first + BLOCK]) for first in range(0, len(flat), BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.labels)))

    def predict(self, inputs: Array) -> Array:
        """The class ``(n,)`` for which most speaks, the first of equals."""
        return self.labels[self.scores(inputs).argmax(1)]

    def _scores(self, inputs: Array) -> Array:
        """`scores` of flat inputs ``(n, features)``."""
        raise NotImplementedError


class SupportVectors(Predictor):
    """A support vector machine: f(x) = sum_s a_s k(x, s) + b for every pair of classes, each pair casting a vote.

    | array | shape | meaning |
    |---|---|---|
    | ``mean``, ``std`` | ``(features,)`` | inputs are standardized by them |
    | ``vectors`` | ``(vectors, features)`` float32 | support vectors s, standardized, those of each class together |
    | ``counts`` | ``(classes,)`` | how many there are of each class |
    | ``dual`` | ``(classes - 1, vectors)`` | a_s against each other class |
    | ``intercepts`` | ``(pairs,)`` | b of the pairs (0, 1), (0, 2), ..., (1, 2), ... |
    | ``kernel`` | ``(3,)`` | degree, gamma and r, see `kernel`; degree 0: rbf |
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__(arrays)
        self._vectors = arrays["vectors"].astype(np.float64)
        ends = np.cumsum(arrays["counts"])
        of_class = [slice(end - count, end) for end, count in zip(ends, arrays["counts"], strict=True)]
        self._pairs = list(combinations(range(len(self.labels)), 2))
        self._weights = np.zeros((len(self._vectors), len(self._pairs)))
        for pair, (i, j) in enumerate(self._pairs):
            self._weights[of_class[i], pair] = arrays["dual"][j - 1, of_class[i]]
            self._weights[of_class[j], pair] = arrays["dual"][i, of_class[j]]

    def decisions(self, inputs: Array) -> Array:
        """f(x) of each pair ``(n, pairs)``, positive for its first class, of flat inputs ``(n, features)``."""
        scaled = ((inputs - self.arrays["mean"]) / self.arrays["std"]).astype(np.float32).astype(np.float64)
        return kernel(scaled, self._vectors, *self.arrays["kernel"]) @ self._weights + self.arrays["intercepts"]

    def _scores(self, inputs: Array) -> Array:
        first_wins = self.decisions(inputs) > 0
        votes = np.zeros((len(inputs), len(self.labels)))
        for pair, (i, j) in enumerate(self._pairs):
            votes[:, i] += first_wins[:, pair]
            votes[:, j] += ~first_wins[:, pair]
        return votes


def kernel(x: Array, s: Array, degree: float, gamma: float, r: float) -> Array:
    """k(x, s) = (gamma x . s + r)^degree, or exp(-gamma |x - s|^2) where degree is 0 ``(n, vectors)``."""
    products = x @ s.T
    if degree:
        return (gamma * products + r) ** degree
    distances = (x**2).sum(1)[:, None] + (s**2).sum(1) - 2 * products
    return np.exp(-gamma * np.maximum(distances, 0))


class Trees(Predictor):
    """Decision trees, whose leaves tell a number for each class; those of all trees are added.

    Nodes of all trees lie one after the other. A leaf's children are the leaf itself.

    | array | shape | meaning |
    |---|---|---|
    | ``roots`` | ``(trees,)`` | where each tree begins |
    | ``depth`` | ``()`` | of the deepest |
    | ``left``, ``right`` | ``(nodes,)`` | where to go if the feature is at most the threshold, and if not |
    | ``feature``, ``threshold`` | ``(nodes,)`` | what is asked |
    | ``values`` | ``(nodes, classes)`` | what a leaf tells |
    """

    def _sums(self, inputs: Array) -> Array:
        inputs, arrays = inputs.astype(np.float32), self.arrays  # as scikit-learn has them
        rows = np.arange(len(inputs))[:, None]
        at = np.broadcast_to(arrays["roots"], (len(inputs), len(arrays["roots"])))
        for _ in range(int(arrays["depth"])):
            below = inputs[rows, arrays["feature"][at]] <= arrays["threshold"][at]
            at = np.where(below, arrays["left"][at], arrays["right"][at])
        return arrays["values"][at].sum(1)


class Forest(Trees):
    """One tree, or many that were grown apart: leaves tell the share of each class, which are averaged."""

    def _scores(self, inputs: Array) -> Array:
        return self._sums(inputs) / len(self.arrays["roots"])


class Boosted(Trees):
    """Trees that were grown one after the other, each on the errors of those before: softmax(``baseline`` + sums)."""

    def _scores(self, inputs: Array) -> Array:
        return softmax(self.arrays["baseline"] + self._sums(inputs))

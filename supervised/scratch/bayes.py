"""Bayes' theorem, and the classifier that applies it as if all features told of the class alone (book, chapter 1)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def posterior(likelihood: float, prior: float, evidence: float) -> float:
    """p(X | Y) = p(Y | X) p(X) / p(Y)."""
    return likelihood * prior / evidence


class NaiveBayes:
    """p(class | x) ~ p(class) product over features of p(x_j | class).

    Features are counted: numbers from 0 to ``values`` - 1, each with ``smoothing`` observations more than there were,
    so that what was never seen is not impossible (Laplace).

    Attributes:
        priors: ``(classes,)`` p(class).
        likelihoods: ``(classes, features, values)`` p(x_j = value | class).
    """

    def __init__(self, inputs: Array, labels: Array, values: int, smoothing: float = 1.0) -> None:
        classes = int(labels.max()) + 1
        counts = np.zeros((classes, inputs.shape[1], values))
        for feature in range(inputs.shape[1]):
            np.add.at(counts, (labels, np.full(len(labels), feature), inputs[:, feature]), 1)
        self.priors = np.bincount(labels, minlength=classes) / len(labels)
        self.likelihoods = (counts + smoothing) / (counts + smoothing).sum(2, keepdims=True)

    def probabilities(self, inputs: Array) -> Array:
        """p(class | x) ``(n, classes)`` of inputs ``(n, features)``."""
        told = np.log(self.likelihoods)[:, np.arange(inputs.shape[1]), inputs].sum(2).T  # (n, classes)
        joint = np.log(self.priors) + told
        joint = np.exp(joint - joint.max(1, keepdims=True))
        return joint / joint.sum(1, keepdims=True)

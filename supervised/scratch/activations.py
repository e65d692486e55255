"""Activation functions and their derivatives (book, chapter 2), of activation values ``a`` of any shape."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.regression import sigmoid

Array = NDArray[Any]


class Activation(NamedTuple):
    """f and df/da, both of the activation value: a derivative in terms of f(a) is easily given a by mistake (E-4)."""

    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS = {
    # f(a) = a
    "identity": Activation(lambda a: a, np.ones_like),
    # f(a) = 1 where a >= 0, else 0
    "threshold": Activation(lambda a: np.where(a >= 0, 1.0, 0.0), np.zeros_like),
    # f(a) = 1 / (1 + exp(-a)), f' = f (1 - f)
    "logistic": Activation(sigmoid, lambda a: sigmoid(a) * sigmoid(-a)),
    # f(a) = 2 / (1 + exp(-a)) - 1, f' = (1 + f) (1 - f) / 2
    "bipolar": Activation(lambda a: 2 * sigmoid(a) - 1, lambda a: 2 * sigmoid(a) * sigmoid(-a)),
    # f(a) = (exp(a) - exp(-a)) / (exp(a) + exp(-a)), f' = (1 + f) (1 - f)
    "tanh": Activation(np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    # f(a) = a where a >= 0, else 0
    "relu": Activation(lambda a: np.maximum(a, 0.0), lambda a: np.where(a >= 0, 1.0, 0.0)),
}


def softmax(activation: Array) -> Array:
    """exp(a_i) / sum_j exp(a_j) ``(n, classes)``, without overflow (chapter 3)."""
    decay = np.exp(activation - activation.max(-1, keepdims=True))
    return decay / decay.sum(-1, keepdims=True)


def boxcar(x: Array, start: float, end: float, height: float, steepness: float = 1000.0) -> Array:
    """``height`` between ``start`` and ``end``, else 0: a network of two logistic units (chapter 2).

    h s(w x + b_1) - h s(w x + b_2), with t = -b / w: with w large, s is a step at t. A sum of such boxes comes near any
    continuous function.
    """
    return height * (sigmoid(steepness * (x - start)) - sigmoid(steepness * (x - end)))


def approximate(function: Callable[[Array], Array], low: float, high: float, boxes: int) -> Callable[[Array], Array]:
    """A sum of boxcars, each as high as the function is in its middle."""
    edges = np.linspace(low, high, boxes + 1)
    heights = function((edges[1:] + edges[:-1]) / 2)
    steepness = 100 * boxes / (high - low)

    def network(x: Array) -> Array:
        parts = zip(edges[:-1], edges[1:], heights, strict=True)
        return np.sum([boxcar(x, start, end, height, steepness) for start, end, height in parts], axis=0)

    return network

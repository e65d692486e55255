"""Neurons by themselves (book, chapters 1 and 2): linear and logistic regression, Adaline and the perceptron.

All of them answer f(x . w); a bias is the weight of an input that is always 1, see `with_bias`. They differ in f and in
what is minimized, and `descend` is how: with all samples at once (batch), some (mini-batch) or one (stochastic).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Fit(NamedTuple):
    """What was learnt."""

    weights: Array  # (features,)
    losses: Array  # (epochs + 1,): of all samples, before each epoch and after the last


def with_bias(inputs: Array) -> Array:
    """Inputs ``(n, features)`` with another that is always 1 ``(n, features + 1)``."""
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)


def sigmoid(activation: Array) -> Array:
    """1 / (1 + exp(-a)), without overflow."""
    decay = np.exp(-np.abs(activation))
    return np.where(activation >= 0, 1, decay) / (1 + decay)


def mean_squared_error(weights: Array, inputs: Array, targets: Array) -> tuple[float, Array]:
    """J(w) = 1/n sum_i (x_i . w - t_i)^2, and its gradient 2/n sum_i (x_i . w - t_i) x_i."""
    errors = inputs @ weights - targets
    return float(np.mean(errors**2)), 2 / len(targets) * errors @ inputs


def cross_entropy(weights: Array, inputs: Array, targets: Array) -> tuple[float, Array]:
    """J(w) = -1/n sum_i [t_i log s(a_i) + (1 - t_i) log(1 - s(a_i))], a_i = x_i . w, targets 0 or 1, and its gradient.

    P(t | x, w) is s(a) where t is 1, and 1 - s(a) where it is 0 (erratum E-3). The gradient is 1/n sum_i (s(a_i) - t_i)
    x_i: in the book's last line before it the second term has lost its minus.
    """
    activation = inputs @ weights
    # log s(a) = -log(1 + exp(-a)), log(1 - s(a)) = log s(-a)
    loss = np.logaddexp(0, -activation) * targets + np.logaddexp(0, activation) * (1 - targets)
    return float(loss.mean()), (sigmoid(activation) - targets) @ inputs / len(targets)


def descend(
    cost: Callable[[Array, Array, Array], tuple[float, Array]],
    inputs: Array,
    targets: Array,
    *,
    learning_rate: float,
    epochs: int,
    batch_size: int | None = None,
    threshold: float = 0.0,
    weights: Array | None = None,
    rng: np.random.Generator | None = None,
) -> Fit:
    """w <- w - learning_rate dJ/dw.

    Args:
        cost: gives J and its gradient ``(features,)`` of weights, inputs ``(n, features)`` and targets ``(n,)``.
        epochs: passes through all samples, at most.
        batch_size: samples of a step; 1: stochastic descent; None: all of them.
        threshold: it ends once J of all samples is below.
        weights: to begin with; by default 0.
        rng: shuffles the samples before each epoch, and is needed where ``batch_size`` is given.
    """
    weights = np.zeros(inputs.shape[1]) if weights is None else weights.astype(np.float64)
    size = len(targets) if batch_size is None else batch_size
    losses = [cost(weights, inputs, targets)[0]]
    for _ in range(epochs):
        if losses[-1] < threshold:
            break
        order = np.arange(len(targets)) if rng is None else rng.permutation(len(targets))
        for rows in (order[first : first + size] for first in range(0, len(order), size)):
            weights = weights - learning_rate * cost(weights, inputs[rows], targets[rows])[1]
        losses.append(cost(weights, inputs, targets)[0])
    return Fit(weights, np.array(losses))


def least_squares(inputs: Array, targets: Array) -> Array:
    """The weights ``(features,)`` that `descend` on squared errors approaches from 0: the shortest of the best."""
    return np.linalg.pinv(inputs) @ targets


def perceptron(inputs: Array, targets: Array, *, learning_rate: float = 1.0, epochs: int = 100) -> Fit:
    """Rosenblatt's rule: y = 1 where x . w > 0, and w <- w + learning_rate (t - y) x, sample after sample.

    It ends when all samples are told right, which comes after finitely many mistakes if a plane through 0 parts the
    classes, and never otherwise (XOR). ``losses`` are the mistakes, of all samples.

    Args:
        targets: ``(n,)`` 0 or 1.
    """
    weights = np.zeros(inputs.shape[1])
    mistakes = [int(np.sum((inputs @ weights > 0) != targets))]
    for _ in range(epochs):
        if not mistakes[-1]:
            break
        for x, t in zip(inputs, targets, strict=True):
            weights = weights + learning_rate * (t - float(x @ weights > 0)) * x
        mistakes.append(int(np.sum((inputs @ weights > 0) != targets)))
    return Fit(weights, np.array(mistakes))

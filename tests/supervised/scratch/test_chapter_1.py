"""Chapter 1: the numbers that the book prints, exact solutions, and gradients by finite differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervised.scratch.bayes import NaiveBayes, posterior
from supervised.scratch.k_means import k_means
from supervised.scratch.regression import (
    cross_entropy,
    descend,
    least_squares,
    mean_squared_error,
    perceptron,
    sigmoid,
    with_bias,
)

XOR = with_bias(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))


def numeric(cost: Callable[..., tuple[float, Any]], weights: np.ndarray, *data: np.ndarray) -> np.ndarray:
    steps = 1e-6 * np.eye(len(weights))
    return np.array([(cost(weights + step, *data)[0] - cost(weights - step, *data)[0]) / 2e-6 for step in steps])


def test_the_house() -> None:
    """100 square metres, 25 years, 3 bathrooms, 2 floors, neighbourhood 7: 100,000 euros (erratum E-1)."""
    house, price = np.array([[100, 25, 3, 2, 7]]), np.array([100_000])
    fit = descend(mean_squared_error, house, price, learning_rate=4e-5, epochs=1_000, threshold=1e-6)
    assert fit.losses[-1] < 1e-6 < fit.losses[-2]
    np.testing.assert_allclose(house @ fit.weights, price, atol=1e-3)
    np.testing.assert_allclose(fit.weights, least_squares(house, price), rtol=1e-6)


@pytest.mark.parametrize(
    ("batch_size", "epochs"), [(None, 400), (10, 20), (1, 4)], ids=["batch", "mini-batch", "stochastic"]
)
def test_a_thousand_houses(batch_size: int | None, epochs: int) -> None:
    rng = np.random.default_rng(0)
    inputs = with_bias(rng.normal(size=(1_000, 5)))
    truth = np.array([3.0, -1, 0.5, 0.2, 2, 10])
    exact = descend(
        mean_squared_error, inputs, inputs @ truth, learning_rate=0.02, epochs=epochs, batch_size=batch_size, rng=rng
    )
    np.testing.assert_allclose(exact.weights, truth, atol=1e-4)


def test_adaline() -> None:
    """Widrow and Hoff's rule, sample after sample, on targets of -1 and 1: the sign of x . w tells them apart."""
    rng = np.random.default_rng(0)
    inputs = with_bias(rng.normal(size=(200, 2)))
    targets = np.where(inputs @ np.array([2.0, -1.0, 0.3]) > 0, 1.0, -1.0)
    fit = descend(mean_squared_error, inputs, targets, learning_rate=0.005, epochs=30, batch_size=1, rng=rng)
    assert np.mean(np.sign(inputs @ fit.weights) == targets) >= 0.95
    np.testing.assert_allclose(fit.weights, least_squares(inputs, targets), atol=0.05)


@pytest.mark.parametrize("cost", [mean_squared_error, cross_entropy])
def test_gradients(cost: Callable[..., tuple[float, Any]]) -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(20, 4)), rng.integers(2, size=20)
    weights = rng.normal(size=4)
    np.testing.assert_allclose(cost(weights, inputs, targets)[1], numeric(cost, weights, inputs, targets), atol=1e-7)


def test_the_probability_is_that_of_class_1() -> None:
    """Erratum E-3; and costs of certain mistakes are large, not infinite or NaN."""
    one = np.array([[1.0]])
    for activation, target, probability in ((2.0, 1, sigmoid(2.0)), (2.0, 0, 1 - sigmoid(2.0))):
        loss, _ = cross_entropy(np.array([activation]), one, np.array([target]))
        assert loss == pytest.approx(-np.log(probability))
    loss, gradient = cross_entropy(np.array([1000.0]), one, np.array([0]))
    assert loss == pytest.approx(1000) and gradient == pytest.approx(1)
    assert sigmoid(np.array([-1000.0, 0, 1000])).tolist() == [0, 0.5, 1]


def test_logistic_regression_tells_what_is_overvalued() -> None:
    rng = np.random.default_rng(0)
    inputs = with_bias(rng.normal(size=(2_000, 3)))
    chance = sigmoid(inputs @ np.array([2.0, -1.0, 0.5, 0.3]))
    targets = (rng.random(2_000) < chance).astype(float)
    fit = descend(cross_entropy, inputs, targets, learning_rate=3.0, epochs=500)
    assert np.abs(cross_entropy(fit.weights, inputs, targets)[1]).max() < 1e-6, "the minimum of a convex function"
    np.testing.assert_allclose(fit.weights, [2, -1, 0.5, 0.3], atol=0.3)
    assert np.mean((sigmoid(inputs @ fit.weights) > 0.5) == (chance > 0.5)) > 0.95


def test_the_perceptron_parts_what_a_line_parts() -> None:
    for targets in ([0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]):  # and, or, nand
        fit = perceptron(XOR, np.array(targets))
        assert fit.losses[-1] == 0
        assert ((XOR @ fit.weights > 0) == np.array(targets)).all()


def test_the_perceptron_never_learns_xor() -> None:
    fit = perceptron(XOR, np.array([0, 1, 1, 0]), epochs=500)
    assert len(fit.losses) == 501 and fit.losses.min() >= 1


def test_the_books_test_for_cancer() -> None:
    assert round(posterior(likelihood=0.98, prior=0.02, evidence=0.039), 2) == 0.50


def test_naive_bayes_by_hand() -> None:
    inputs, labels = np.array([[0, 1], [0, 0], [1, 1], [1, 1]]), np.array([0, 0, 1, 1])
    model = NaiveBayes(inputs, labels, values=2)
    np.testing.assert_allclose(model.likelihoods[:, 0, 0], [3 / 4, 1 / 4])  # (2 + 1) / (2 + 2), (0 + 1) / (2 + 2)
    np.testing.assert_allclose(model.likelihoods[:, 1, 1], [2 / 4, 3 / 4])
    mine = model.probabilities(np.array([[0, 1]]))[0]
    joint = np.array([0.5 * 3 / 4 * 2 / 4, 0.5 * 1 / 4 * 3 / 4])
    np.testing.assert_allclose(mine, joint / joint.sum())


def test_naive_bayes_where_it_is_right() -> None:
    """Features that are independent given the class: probabilities come out as they are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=40_000)
    chances = rng.random((3, 4))
    inputs = (rng.random((40_000, 4)) < chances[labels]).astype(int)
    every = np.array([[a, b, c, d] for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)])
    joint = np.prod(np.where(every[:, None], chances, 1 - chances), axis=2)
    found = NaiveBayes(inputs, labels, values=2).probabilities(every)
    np.testing.assert_allclose(found, joint / joint.sum(1, keepdims=True), atol=0.03)


def test_four_pizza_sites() -> None:
    rng = np.random.default_rng(0)
    sites = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    orders = np.concatenate([rng.normal(site, 0.7, (50, 2)) for site in sites])
    found = k_means(orders, 4, np.random.default_rng(1))
    centres = found.centroids[np.lexsort(found.centroids.round().T)]
    np.testing.assert_allclose(centres, sites[np.lexsort(sites.T)], atol=0.5)
    assert np.bincount(found.labels).tolist() == [50] * 4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1_000))
def test_every_point_has_the_nearest_centre(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(30, 2))
    found = k_means(points, k, rng, tries=2)
    distances = ((points[:, None] - found.centroids) ** 2).sum(2)
    assert (found.labels == distances.argmin(1)).all()
    assert found.distance == pytest.approx(distances.min(1).sum())
    assert k_means(points, k, rng, tries=8).distance <= ((points - points.mean(0)) ** 2).sum() + 1e-9


def test_more_centres_than_points_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="k=4: use 1 to 3"):
        k_means(np.zeros((3, 2)), 4, rng)

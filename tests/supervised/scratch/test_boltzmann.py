"""Boltzmann machines small enough to be summed over: probabilities, gradients, and that learning raises likelihood."""

from itertools import product

import numpy as np
import pytest

from supervised.scratch.boltzmann import DBN, RBM

STATES = np.array(list(product((0.0, 1.0), repeat=4)))


def machine(seed: int = 0) -> RBM:
    rng = np.random.default_rng(seed)
    found = RBM(4, 3, rng)
    found.weights, found.visible_bias, found.hidden_bias = (
        rng.normal(size=(4, 3)),
        rng.normal(size=4),
        rng.normal(size=3),
    )
    return found


def energy(one: RBM, v: np.ndarray, h: np.ndarray) -> float:
    return float(-one.visible_bias @ v - one.hidden_bias @ h - v @ one.weights @ h)


def bars(n: int, rng: np.random.Generator) -> np.ndarray:
    """3 x 3 pixels, whole rows or whole columns alight."""
    lines = rng.integers(2, size=(n, 3)).astype(float)
    pictures = np.repeat(lines[:, :, None], 3, 2)
    upright = rng.random(n) < 0.5
    pictures[upright] = pictures[upright].transpose(0, 2, 1)
    return pictures.reshape(n, 9)


def test_probabilities_by_summing_over_all_states() -> None:
    one, hidden = machine(), np.array(list(product((0.0, 1.0), repeat=3)))
    weights = np.exp([[-energy(one, v, h) for h in hidden] for v in STATES])  # (v, h)
    np.testing.assert_allclose(np.exp(-one.free_energy(STATES)), weights.sum(1))
    np.testing.assert_allclose(one.hidden(STATES), weights @ hidden / weights.sum(1, keepdims=True))
    np.testing.assert_allclose(one.visible(hidden), weights.T @ STATES / weights.T.sum(1, keepdims=True))
    likelihoods = [one.log_likelihood(v[None]) for v in STATES]
    assert np.exp(likelihoods).sum() == pytest.approx(1)
    np.testing.assert_allclose(likelihoods, np.log(weights.sum(1) / weights.sum()))


def test_contrastive_divergence_comes_near_the_gradient() -> None:
    """With many draws; the gradient by finite differences of the exact likelihood."""
    one, data = machine(), np.array([[1.0, 0, 1, 0], [1, 1, 0, 0], [1, 0, 1, 1]])
    found = one.contrast(np.repeat(data, 60_000, 0), steps=15)
    for values, change in zip((one.weights, one.visible_bias, one.hidden_bias), found, strict=True):
        for place in np.ndindex(values.shape):
            before, sides = values[place], []
            for step in (1e-5, -1e-5):
                values[place] = before + step
                sides.append(one.log_likelihood(data))
            values[place] = before
            assert change[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=0.01)


def test_a_machine_learns_bars() -> None:
    rng = np.random.default_rng(0)
    data = bars(500, rng)
    one = RBM(9, 12, rng)
    before = one.log_likelihood(data)
    errors = one.fit(data, epochs=150, learning_rate=0.2)
    assert one.log_likelihood(data) > before + 2 and errors[-1] < errors[0] / 2
    dreams = one.dream(one.draw(np.full((400, 12), 0.5)), 300).round()
    known = {row.tobytes() for row in data}
    assert np.mean([row.tobytes() in known for row in dreams]) > 0.5, "of 512 pictures 14 are bars"


def test_a_deep_belief_network_dreams_of_what_it_saw() -> None:
    rng = np.random.default_rng(1)
    data = bars(500, rng)
    net = DBN((9, 16, 12), rng)
    errors = net.fit(data, epochs=100, learning_rate=0.2)
    assert len(errors) == 2 and errors[0][-1] < errors[0][0] / 2
    assert net.features(data).shape == (500, 12)
    known = {row.tobytes() for row in data}
    assert np.mean([row.tobytes() in known for row in net.dream(300).round()]) > 0.3

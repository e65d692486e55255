"""What is drawn of a language model's chances."""

import numpy as np
import pytest

from supervised.language.sampling import Prompt
from supervised.training.errors import UserError

CHANCES = np.array([0.0, 0.1, 0.2, 0.7])


def drawn(prompt: Prompt) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.bincount([prompt.draw(CHANCES, rng) for _ in range(4_000)], minlength=4) / 4_000


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, CHANCES), (0.5, CHANCES**2 / 0.54), (2.0, CHANCES**0.5)])
def test_temperature(temperature: float, expected: np.ndarray) -> None:
    np.testing.assert_allclose(drawn(Prompt(temperature=temperature)), expected / expected.sum(), atol=0.03)


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_temperatures_that_are_none(temperature: float) -> None:
    with pytest.raises(UserError, match=f"temperature={temperature}: use 0 or more, and finite"):
        Prompt(temperature=temperature)


def test_the_most_likely() -> None:
    np.testing.assert_allclose(drawn(Prompt(top_k=2)), np.array([0, 0, 2, 7]) / 9, atol=0.03)
    np.testing.assert_array_equal(drawn(Prompt(top_k=1)), [0, 0, 0, 1])
    for coldest in (0, 1e-320):
        np.testing.assert_array_equal(drawn(Prompt(temperature=coldest)), [0, 0, 0, 1])
    np.testing.assert_allclose(drawn(Prompt(top_k=40)), CHANCES, atol=0.03)

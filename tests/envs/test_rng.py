"""The lanes' generator against NumPy's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import rng


def seeded(seed: int) -> np.ndarray:
    rows = np.zeros((1, rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, [seed])
    return rows[0]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2), min_size=1, max_size=40), st.integers(1, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_equal_to_numpy_in_any_order_of_calls(seed: int, calls: list[int], bound: int) -> None:
    row, generator = seeded(seed), np.random.default_rng(seed)
    for call in calls:
        if call == 0:
            assert rng.random(row) == generator.random()
        elif call == 1:
            assert rng.uniform(row, -0.05, 0.05) == generator.uniform(-0.05, 0.05)
        else:
            assert rng.integers(row, bound) == generator.integers(bound)
    assert np.array_equal(row, rng.from_generator(generator)) or calls.count(2)
    assert rng.to_generator(row).random() == generator.random()


def test_many_seeds_at_once() -> None:
    seeds = np.arange(1000, dtype=np.uint64) * 7919
    rows = np.zeros((1000, rng.STATE_WORDS), np.uint64)
    rng.seed_rows(rows, seeds)
    expected = [rng.from_generator(np.random.default_rng(int(seed))) for seed in seeds]
    assert np.array_equal(rows, expected)


def test_normal_has_the_moments_of_a_standard_normal() -> None:
    row = seeded(3)
    draws = np.array([rng.normal(row) for _ in range(20_000)])
    # standard errors: 0.007 for the mean, 0.01 for the variance, 0.05 for the fourth moment (times five)
    assert abs(draws.mean()) < 0.035
    assert abs(draws.var() - 1) < 0.05
    assert abs((draws**4).mean() - 3) < 0.35


def test_refuses_what_it_cannot_continue() -> None:
    with pytest.raises(ValueError, match="-1 is out of range"):
        seeded(-1)
    with pytest.raises(ValueError, match="MT19937"):
        rng.from_generator(np.random.Generator(np.random.MT19937(0)))

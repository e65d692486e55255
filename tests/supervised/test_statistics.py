"""Evaluation statistics against known answers, and requirements as users write them."""

import math

import numpy as np
import pytest

from supervised.training.errors import UserError, require, suggest
from supervised.training.statistics import bootstrap_ci, iqm, requirement, summarise


def test_iqm_leaves_a_quarter_out_at_each_end() -> None:
    assert iqm([1000, 1, 2, 3, 4, -1000, 5, 6]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert iqm([7]) == 7
    assert iqm([1, 2, 6]) == 3  # a quarter of three values is none


def test_bootstrap_interval_of_a_normal_sample_is_the_textbook_one() -> None:
    sample = np.random.default_rng(1).normal(10, 2, size=400)
    low, high = bootstrap_ci(sample)
    half = 1.96 * sample.std(ddof=1) / math.sqrt(len(sample))
    # The ends of 2,000 resamples stray by about 0.06 standard errors; the tolerance is 0.25.
    assert low == pytest.approx(sample.mean() - half, abs=half / 8)
    assert high == pytest.approx(sample.mean() + half, abs=half / 8)


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(2).exponential(1, size=(300, 50))
    intervals = [bootstrap_ci(sample, level=0.9, resamples=500) for sample in draws]
    covered = sum(low <= 1 <= high for low, high in intervals)
    assert 0.80 <= covered / 300 <= 0.95  # 0.9, less the shortfall on skewed samples, give or take 4 sigma


def test_bootstrap_is_seeded_and_leaves_the_global_generator_alone() -> None:
    sample = np.random.default_rng(3).normal(size=30)
    before = str(np.random.get_state())
    assert bootstrap_ci(sample) == bootstrap_ci(sample)
    assert bootstrap_ci(sample) != bootstrap_ci(sample, seed=1)
    assert str(np.random.get_state()) == before
    assert bootstrap_ci([5.0, 5.0, 5.0]) == (5.0, 5.0)


def test_summary() -> None:
    summary = summarise(np.array([1.0, 2.0, 3.0, 6.0]), np.array([10, 20, 30, 40]))
    assert list(summary) == ["mean", "std", "iqm", "ci95", "lengths"]
    assert summary["mean"] == 3
    assert summary["std"] == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3))
    assert summary["iqm"] == 2.5
    assert summary["lengths"] == [10, 20, 30, 40]
    assert type(summary["lengths"][0]) is int
    assert summarise([4.0], [9]) == {"mean": 4.0, "std": 0.0, "iqm": 4.0, "ci95": [4.0, 4.0], "lengths": [9]}


@pytest.mark.parametrize(("returns", "lengths"), [([], []), ([1.0], []), ([1.0], [1, 2])])
def test_summary_refuses_unequal_input(returns: list[float], lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="one of each"):
        summarise(returns, lengths)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("mean>=475", True),
        ("mean > 475", False),
        ("mean<=475.0", True),
        ("mean < 475", False),
        ("iqm > 4.8e2", True),
        (" ci95_low>=450 ", True),
        ("ci95_low>451", False),
        ("ci95_high<500", True),
        ("length<=30", True),
        ("length<25", False),
        ("std >= -1", True),
        ("std < .5", False),
    ],
)
def test_requirement(text: str, met: bool) -> None:
    summary = {"mean": 475.0, "std": 3.0, "iqm": 481.0, "ci95": [450.0, 490.0], "lengths": [20, 30]}
    assert requirement(text).check(summary) is met


def test_requirement_on_nan_is_missed() -> None:
    assert not requirement("mean>=0").check({"mean": math.nan})
    assert not requirement("mean<=0").check({"mean": math.nan})


@pytest.mark.parametrize(
    "text", ["", "mean", "mean>=", "mean==4", "mean=4", "reward>=3", "mean>=4x", "mean>=nan", "exit()>1"]
)
def test_bad_requirement_names_the_metrics(text: str) -> None:
    with pytest.raises(UserError, match="mean, std, iqm, ci95_low, ci95_high, length") as caught:
        requirement(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_suggestions_name_the_nearest_or_all() -> None:
    assert suggest("q_lerning", ["sarsa", "q_learning", "dqn"]) == "; did you mean q_learning?"
    assert suggest("zzz", ["sarsa", "dqn"]) == "; known: dqn, sarsa"


def test_require_names_value_and_remedy() -> None:
    require(True, "discount", 0.9, "choose 0 to 1")
    with pytest.raises(UserError) as caught:
        require(False, "discount", 1.5, "choose 0 to 1")
    assert str(caught.value) == "discount=1.5: choose 0 to 1"

"""Evaluation numbers: means with intervals, and the requirements that users put on them."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from supervised.training.errors import UserError

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
METRICS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "mean": lambda summary: summary["mean"],
    "std": lambda summary: summary["std"],
    "iqm": lambda summary: summary["iqm"],
    "ci95_low": lambda summary: summary["ci95"][0],
    "ci95_high": lambda summary: summary["ci95"][1],
    "length": lambda summary: float(np.mean(summary["lengths"])),
}


def iqm(values: Sequence[float] | np.ndarray) -> float:
    """Return the interquartile mean: that of the values left when a quarter is cut from each end.

    Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    return float(trim_mean(values, 0.25))


def bootstrap_ci(
    values: Sequence[float] | np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean, the same for the same arguments.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
    """
    sample = np.asarray(values, dtype=np.float64)
    indices = np.random.default_rng(seed).integers(0, len(sample), (resamples, len(sample)))
    tail = (1 - level) / 2
    low, high = np.quantile(sample[indices].mean(axis=1), (tail, 1 - tail))
    return float(low), float(high)


def summarise(
    returns: Sequence[float] | np.ndarray, lengths: Sequence[int] | np.ndarray
) -> dict[str, float | list[float] | list[int]]:
    """Return `mean std iqm ci95 lengths` of episodes, ready for JSON.

    `returns` and `lengths` are `(episodes,)`, lengths in steps. `std` is the sample's (n - 1), 0 for a single
    episode; `ci95` is `[low, high]` for the mean. Raises `ValueError` unless there is one of each an episode.
    """
    if len(returns) == 0 or len(returns) != len(lengths):
        raise ValueError(f"{len(returns)} returns and {len(lengths)} lengths: one of each for every episode")
    sample = np.asarray(returns, dtype=np.float64)
    return {
        "mean": float(sample.mean()),
        "std": float(sample.std(ddof=1)) if len(sample) > 1 else 0.0,
        "iqm": iqm(sample),
        "ci95": list(bootstrap_ci(sample)),
        "lengths": [int(length) for length in lengths],
    }


@dataclass(frozen=True)
class Requirement:
    """A bound on one metric of a summary, such as `mean>=475`."""

    text: str
    operator: str
    bound: float
    read: Callable[[Mapping[str, Any]], float | None]

    def check(self, summary: Mapping[str, Any]) -> bool:
        """Return whether the summary meets the bound; a metric that is NaN, or None, does not."""
        value = self.read(summary)
        return value is not None and OPERATORS[self.operator](value, self.bound)


def requirement(text: str, metrics: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = METRICS) -> Requirement:
    """Parse "METRIC OPERATOR NUMBER", as in `ci95_low >= 450`; raises `UserError` for anything else."""
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*", text)
    if match is None or match[1] not in metrics:
        raise UserError(
            f"requirement {text!r}: write METRIC OPERATOR NUMBER, as in '{next(iter(metrics))}>=0.5', "
            f"with one of {', '.join(metrics)} and one of {' '.join(OPERATORS)}"
        )
    return Requirement(text, match[2], float(match[3]), metrics[match[1]])


def judge(requirements: Sequence[Requirement], summary: Mapping[str, Any]) -> None:
    """Print which requirements are met; exit code 1 if one is missed."""
    verdicts = [one.check(summary) for one in requirements]
    for one, met in zip(requirements, verdicts, strict=True):
        print(f"{'met' if met else 'missed'}: {one.text}")
    if not all(verdicts):
        raise SystemExit(1)

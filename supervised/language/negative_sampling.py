"""Vectors of words learnt from what stands near, against noise; compiled (Mikolov et al. 2013; book, chapter 7).

At every place of a text sources foretell targets:

    skip-gram   the word at the place foretells each of those around it
    CBOW        those around it together, by the mean of their vectors, foretell the word at the place

Of a target w among noise n_1 ... n_K the loss is

    -log s(h . o_w) - sum over k of log s(-h . o_k)

of the sources' vector h, the vectors o of words as targets, and s(x) = 1 / (1 + exp(-x)). Noise that happens to be the
target is passed over. The gradient is followed at once, place by place, in one thread, so that a seed decides all.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import float32, njit
from numpy.typing import NDArray

Array = NDArray[Any]

PLACES = 10_000  # of a text, whose noise is drawn at once, and which have one step size
LIMIT = 12.0  # beyond it s(x) is as good as 0 or 1
CELLS = 4096  # of a table of s between
SIGMOID = (1 / (1 + np.exp(-np.linspace(-LIMIT, LIMIT, CELLS + 1)))).astype(np.float32)
#: sums of products may be taken in lanes, or they would not be vectorized; a compiled kernel always does it alike
VECTORIZED = {"reassoc", "contract", "nsz"}


class Rows(NamedTuple):
    """Of which rows a word's vector is the sum: its own, and those of its n-grams of characters."""

    numbers: Array  # int32, those of all words one after the other
    starts: Array  # (words + 1,) int32: where each word's begin


class Noise:
    """Words drawn in proportion to their count to the power of 3/4, by the alias method (Walker 1977, Vose 1991).

    Each word has a share of 1 / words of all draws; what is too much for it goes to one other.

    Attributes:
        chances: ``(words,)`` of a word.
    """

    def __init__(self, counts: Array, power: float = 0.75) -> None:
        self.chances = counts**power / (counts**power).sum()
        left = (self.chances * len(counts)).tolist()
        keeps, self._other = np.ones(len(counts)), np.arange(len(counts), dtype=np.int32)
        small, large = ([k for k, one in enumerate(left) if (one < 1) == below] for below in (True, False))
        while small and large:
            poor, rich = small.pop(), large[-1]
            keeps[poor], self._other[poor] = left[poor], rich
            left[rich] -= 1 - left[poor]
            if left[rich] < 1:
                small.append(large.pop())
        self._keeps = np.minimum(keeps * 2**32, 2**32 - 1).astype(np.uint64)

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Numbers of words ``shape`` int32."""
        return _drawn(rng.integers(2**64, size=shape, dtype=np.uint64), self._keeps, self._other)


@njit(cache=True, nogil=True)
def _drawn(bits: Array, keeps: Array, other: Array) -> Array:
    """The upper half of each number chooses a word, and the lower half whether it is taken or its other one."""
    found, flat = np.empty(bits.size, np.int32), bits.ravel()
    for k in range(len(flat)):
        word = ((flat[k] >> np.uint64(32)) * np.uint64(len(keeps))) >> np.uint64(32)
        found[k] = word if (flat[k] & np.uint64(0xFFFFFFFF)) < keeps[word] else other[word]
    return found.reshape(bits.shape)


def kept(counts: Array, threshold: float) -> Array:
    """The chance ``(words,)`` that a place of a word is kept: min(1, sqrt(t / f)), f its share of the text."""
    return np.minimum(1, np.sqrt(threshold * counts.sum() / np.maximum(counts, 1)))


def sizes(spans: Array) -> Array:
    """How many places are around each, up to its span on either side ``(n,)``."""
    places = np.arange(len(spans))
    return np.minimum(spans, places) + np.minimum(spans, len(spans) - 1 - places)


def around(spans: Array) -> Array:
    """Those places ``(n, 2 * widest)``, from left to right, and -1 where there is none."""
    widest = int(spans.max(initial=0))
    offsets = np.array([k for k in range(-widest, widest + 1) if k], np.int64)
    places = np.arange(len(spans))[:, None] + offsets
    inside = (np.abs(offsets) <= spans[:, None]) & (places >= 0) & (places < len(spans))
    return np.where(inside, places, -1)


def sweep(
    inputs: Array, outputs: Array, rows: Rows, text: Array, spans: Array, *, cbow: bool, noise: Noise, negatives: int,
    rng: np.random.Generator, rates: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, int]:  # fmt: skip
    """Pass through a text once, and learn where the step size is not 0.

    Args:
        inputs: ``(rows, size)`` float32, changed in place.
        outputs: ``(words, size)`` float32, changed in place.
        text: ``(n,)`` int32 numbers of words.
        spans: ``(n,)`` int32, how far around each place words count.
        negatives: drawn for each target.
        rates: step size at the beginning and at the end, falling linearly.

    Returns:
        The sum of the losses (nat), and the number of targets.
    """
    per_place = sizes(spans)
    total, targets = 0.0, 0
    for first in range(0, len(text), PLACES):
        last = min(first + PLACES, len(text))
        found = per_place[first:last]
        count = int((found > 0).sum() if cbow else found.sum())
        rate = rates[0] + (rates[1] - rates[0]) * first / len(text)
        drawn = noise.draw(rng, count, negatives)
        total += _learn(inputs, outputs, *rows, text, spans, first, last, cbow, drawn, np.float32(rate))
        targets += count
    return total, targets


@njit(inline="always")
def _sigmoid(x: float) -> float:
    """s(x) between the table's values, to 1e-6."""
    place = min(max((x + float32(LIMIT)) * float32(CELLS / (2 * LIMIT)), float32(0)), float32(CELLS - 0.01))
    cell = int(place)
    return SIGMOID[cell] + (place - float32(cell)) * (SIGMOID[cell + 1] - SIGMOID[cell])


@njit(cache=True, nogil=True, fastmath=VECTORIZED)
def _learn(
    inputs: Array, outputs: Array, rows: Array, starts: Array, text: Array, spans: Array, first: int, last: int,
    cbow: bool, negatives: Array, rate: float,
) -> float:  # fmt: skip
    """Learn the places from ``first`` to before ``last``, whose targets have ``negatives (targets, K)``."""
    size = inputs.shape[1]
    hidden, gradient = np.empty(size, np.float32), np.empty(size, np.float32)
    total, example = 0.0, 0
    for t in range(first, last):
        low, high = max(t - spans[t], 0), min(t + spans[t] + 1, len(text))
        if high - low < 2:
            continue
        # CBOW: around -> t; skip-gram: t -> around
        from_low, from_high, to_low, to_high = (low, high, t, t + 1) if cbow else (t, t + 1, low, high)
        scale = float32(1 / (high - low - 1)) if cbow else float32(1)
        hidden[:], gradient[:] = 0, 0
        for place in range(from_low, from_high):
            if cbow and place == t:
                continue
            for k in range(starts[text[place]], starts[text[place] + 1]):
                row = inputs[rows[k]]
                for d in range(size):
                    hidden[d] += scale * row[d]
        for place in range(to_low, to_high):
            if not cbow and place == t:
                continue
            likely = 1.0
            for k in range(-1, negatives.shape[1]):
                word = text[place] if k < 0 else negatives[example, k]
                if k >= 0 and word == text[place]:
                    continue
                output = outputs[word]
                score = float32(0)
                for d in range(size):
                    score += hidden[d] * output[d]
                found = _sigmoid(score)
                likely *= found if k < 0 else 1 - found
                # -d loss / d score = 1 - s(x) of the target, 0 - s(x) of noise
                error = rate * (float32(1 if k < 0 else 0) - found)
                for d in range(size):
                    gradient[d] += error * output[d]
                    output[d] += error * hidden[d]
            total -= np.log(likely)
            example += 1
        for place in range(from_low, from_high):
            if cbow and place == t:
                continue
            for k in range(starts[text[place]], starts[text[place] + 1]):
                row = inputs[rows[k]]
                for d in range(size):
                    row[d] += scale * gradient[d]
    return total

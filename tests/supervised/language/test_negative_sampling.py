"""The compiled passes: noise, subsampling and windows against slow references, gradients against autograd."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised.language.negative_sampling import Noise, Rows, around, kept, sizes, sweep
from supervised.language.subwords import Subwords, fnv1a

WORDS, SIZE = 600, 12
TEXT = np.array([7, 3, 9, 4], np.int32)


def test_noise_is_drawn_by_counts_to_the_power_of_three_quarters() -> None:
    counts = np.array([1000, 200, 50, 7, 1, 1])
    noise = Noise(counts)
    np.testing.assert_allclose(noise.chances, counts**0.75 / (counts**0.75).sum())
    drawn = noise.draw(np.random.default_rng(0), 400_000, 2)
    assert drawn.shape == (400_000, 2) and drawn.dtype == np.int32
    shares = np.bincount(drawn.ravel(), minlength=6) / drawn.size
    np.testing.assert_allclose(shares, noise.chances, atol=4 * math.sqrt(0.25 / drawn.size))


def test_subsampling_by_hand() -> None:
    """Of 1000 places 900, 90 and 10: with t = 0.01 the chance is sqrt(0.01 / f), and never above 1."""
    np.testing.assert_allclose(kept(np.array([900, 90, 10]), 0.01), [math.sqrt(0.01 / 0.9), math.sqrt(0.01 / 0.09), 1])


def test_windows_against_a_loop() -> None:
    spans = np.random.default_rng(0).integers(0, 4, 30, np.int32)
    slow = [[p for p in range(len(spans)) if p != t and abs(p - t) <= spans[t]] for t in range(len(spans))]
    assert sizes(spans).tolist() == [len(one) for one in slow]
    assert [[p for p in row if p >= 0] for row in around(spans).tolist()] == slow


@pytest.mark.parametrize("buckets", [0, 20])
@pytest.mark.parametrize("cbow", [False, True])
def test_gradient_by_autograd(cbow: bool, buckets: int) -> None:
    """Of one place, whose span alone is not 0; a step of size 1 takes exactly the gradient off."""
    rng = np.random.default_rng(1)
    rows = Subwords(buckets, 3, 4).rows([f"word{k}" for k in range(WORDS)])
    tables = [rng.normal(0, 0.5, (n, SIZE)).astype(np.float32) for n in (WORDS + buckets, WORDS)]
    noise, spans = Noise(np.ones(WORDS)), np.array([0, 2, 0, 0], np.int32)
    sources, targets = ([7, 9, 4], [3]) if cbow else ([3], [7, 9, 4])
    negatives = noise.draw(np.random.default_rng(5), len(targets), 3)
    assert len({*targets, *negatives.ravel().tolist()}) == 4 * len(targets)  # or steps would build on one another

    inputs, outputs = (torch.from_numpy(one).double().requires_grad_() for one in tables)
    parts = [inputs[rows.numbers[rows.starts[word] : rows.starts[word + 1]]].sum(0) for word in sources]
    h = torch.stack(parts).mean(0)
    loss = -sum(F.logsigmoid(h @ outputs[word]) for word in targets)
    loss = loss - F.logsigmoid(-outputs[negatives] @ h).sum()
    loss.backward()

    changed = [one.copy() for one in tables]
    keywords = {"cbow": cbow, "noise": noise, "negatives": 3, "rng": np.random.default_rng(5), "rates": (1.0, 1.0)}
    total, count = sweep(*changed, rows, TEXT, spans, **keywords)  # type: ignore[arg-type]
    assert count == len(targets) and total == pytest.approx(loss.item(), rel=1e-5)
    for before, after, table in zip(tables, changed, (inputs, outputs), strict=True):
        np.testing.assert_allclose(before - after, table.grad, atol=2e-5)
        assert np.abs(before - after).max() > 0.1


def test_noise_that_is_the_target_is_passed_over_and_without_steps_nothing_changes() -> None:
    """Both words are each other's only neighbours: noise is the target, or the word itself."""
    rows, noise = Rows(np.arange(2, dtype=np.int32), np.arange(3, dtype=np.int32)), Noise(np.array([1, 0]))
    tables = [np.full((2, SIZE), one, np.float32) for one in (0.5, 0.2)]
    score = 0.5 * 0.2 * SIZE
    keywords = {"cbow": False, "noise": noise, "negatives": 4, "rng": np.random.default_rng(0)}
    total, count = sweep(*tables, rows, np.array([0, 1], np.int32), np.ones(2, np.int32), **keywords)  # type: ignore
    # 0 foretells 1, with four times 0 as noise; 1 foretells 0, and its noise is the target
    assert count == 2
    assert total == pytest.approx(2 * math.log1p(math.exp(-score)) + 4 * math.log1p(math.exp(score)), abs=1e-5)
    assert [one[0, 0] for one in tables] == [np.float32(0.5), np.float32(0.2)]


def test_hash_and_ngrams_by_hand() -> None:
    """The hash's published test values; n-grams of "where" as in the paper."""
    assert [fnv1a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]
    assert Subwords(10, 3, 3).ngrams("where") == ["<wh", "whe", "her", "ere", "re>"]
    assert Subwords(10, 3, 6).ngrams("a") == []  # but for the word itself
    rows = Subwords(10, 3, 3).rows(["he", "where"])
    assert rows.numbers.tolist() == [0, *(2 + fnv1a(one) % 10 for one in ("<he", "he>"))] + [
        *(1, *(2 + fnv1a(one) % 10 for one in ("<wh", "whe", "her", "ere", "re>")))
    ]
    assert rows.starts.tolist() == [0, 3, 9]

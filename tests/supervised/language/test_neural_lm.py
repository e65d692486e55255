"""The neural probabilistic language model: its equation by hand, and what it learns."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised import words as words_door
from supervised.language import neural_lm
from supervised.language.neural_lm import Config, NeuralLM

SMALL = {
    "size": 8,
    "hidden": 16,
    "order": 3,
    "batch_size": 32,
    "learning_rate": 2e-2,
    "dtype": "float32",
    "dropout": 0.0,
}


@pytest.fixture
def text(tmp_path: Path) -> str:
    """After "red" or "blue" comes what the word before that one says: two words have to be looked at."""
    rng = np.random.default_rng(0)
    pieces = ("one red apple .", "two red pears .", "one blue sky .", "two blue seas .")
    (tmp_path / "rhyme.txt").write_text(" ".join(pieces[k] for k in rng.integers(4, size=300)))
    return f"text:{tmp_path / 'rhyme.txt'}"


def test_chances_by_hand() -> None:
    model = NeuralLM(Config(order=4, size=3, hidden=5, dtype="float32"), ("<unk>", "a", "b", "c")).eval()
    contexts, words = np.array([[1, 2, 3], [0, 0, 2]]), np.array([2, 1])
    C, H, d, U, b = (one.detach().double().numpy() for one in model.parameters())  # noqa: N806  (the paper's)
    for context, word, chance in zip(contexts, words, model.chances(contexts, words), strict=True):
        y = U @ np.tanh(H @ np.concatenate([C[one] for one in context]) + d) + b
        assert chance == pytest.approx((np.exp(y) / np.exp(y).sum())[word], rel=1e-5)


def test_by_command(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four pieces of four words, all as likely: 2 bits in 4 words."""
    run = tmp_path / "run"
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    validated = ["--epochs", "8", "--validation", "0.2", "--run-dir", str(run), "--quiet"]
    train_door.main(["neural-lm", "--data", text, *options, *validated])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 8 and lines[-1]["validation_loss"] < 0.38 < lines[0]["validation_loss"]
    evaluate_door.main([str(run), "--require", "perplexity<1.5", "--require", "with_trigrams<1.5"])
    result = json.loads((run / "evaluation.json").read_text())
    assert result["perplexity"] > 2 ** (2 / 4) - 0.05
    made = result["sample"].replace(".", " .").split()[6:]
    pairs = [one for one in zip(made, made[2:], strict=False) if one[0] in ("one", "two")]
    right = {("one", "apple"), ("two", "pears"), ("one", "sky"), ("two", "seas")}
    assert set(pairs) >= right and sum(one in right for one in pairs) >= 0.95 * len(pairs)
    capsys.readouterr()
    words_door.main([str(run), "neighbours", "one", "--count", "1"])
    assert capsys.readouterr().out.startswith("one\n  ")


def test_mixed_with_trigrams_it_is_half_of_each(text: str) -> None:
    """A network that says nothing (all weights 0): the mean of 1 / V and of the trigrams' chance."""
    config = Config(data=text, **SMALL)
    corpus = neural_lm.corpus(text, "words", config.rare)
    model = NeuralLM(config, corpus.vocabulary)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    found = neural_lm.judge(config, {"model": model.state_dict()}, text).measures
    size = len(corpus.vocabulary)
    assert found["perplexity"] == pytest.approx(size, rel=1e-4)
    counted = neural_lm.NGrams.counted(corpus.train, corpus.vocabulary, 3)
    contexts, words = neural_lm.held_out(corpus, corpus.vocabulary, 2)
    half = (counted.probabilities(contexts, words, "kneser-ney") + 1 / size) / 2
    assert found["with_trigrams"] == pytest.approx(np.exp(-np.log(half).mean()), rel=1e-4)


def test_mistakes_are_one_line(text: str, refused: Callable[..., str]) -> None:
    def training(*more: object) -> str:
        return refused(train_door.main, "neural-lm", "--data", text, *more)

    assert "order=1: use 2 or more" in training("--order", "1")
    assert "is shorter than that" in training("--order", "5000")
    assert "dropout=1.0: use 0 up to less than 1" in training("--dropout", "1")
    assert "hidden=0: use at least 1" in training("--hidden", "0")
    assert "has no word that often; use less" in training("--rare", "100000")

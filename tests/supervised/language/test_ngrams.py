"""N-grams: counts and chances against dictionaries, and what is made of texts."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data.text import corpus, join, read_text, tokens
from supervised.language import ngrams
from supervised.language.ngrams import NGrams
from supervised.language.sampling import Prompt
from supervised.training.errors import UserError

PHRASE = "the quick brown fox"
FABLE = (
    "the crow saw the fox and the fox saw the crow , but the crow had the cheese and the fox had none . " * 3
).split()


def counted(words: list[str], order: int) -> tuple[NGrams, np.ndarray]:
    vocabulary = ("<unk>", *sorted(set(words)))
    numbers = np.array([vocabulary.index(word) for word in words])
    return NGrams.counted(numbers, vocabulary, order), numbers


def test_ngrams_of_a_phrase() -> None:
    """The book's: four words, three pairs, two triples, and the whole."""
    found, _ = counted(PHRASE.split(), 4)
    assert [len(found.arrays[f"keys_{n}"]) for n in (1, 2, 3, 4)] == [4, 3, 2, 1]


def every(found: NGrams, length: int) -> tuple[np.ndarray, np.ndarray]:
    """All histories of that length, each before every word."""
    sizes = [np.arange(found.size)] * (length + 1)
    grid = np.stack(np.meshgrid(*sizes, indexing="ij"), -1).reshape(-1, length + 1)
    return grid[:, :-1], grid[:, -1]


def slow(numbers: list[int], size: int, order: int) -> Callable[[tuple[int, ...], int], float]:
    """Interpolated Kneser-Ney by dictionaries."""

    def grams(n: int) -> Counter:
        return Counter(tuple(numbers[t : t + n]) for t in range(len(numbers) - n + 1))

    counts: dict[int, Counter] = {order: grams(order)}
    for n in range(1, order):
        counts[n] = Counter(one[1:] for one in grams(n + 1))
        for one in grams(n):
            counts[n].setdefault(one, 0)

    def chance(history: tuple[int, ...], word: int) -> float:
        n = len(history) + 1
        lower = chance(history[1:], word) if history else 1 / size
        followers = {one[-1]: count for one, count in counts[n].items() if one[:-1] == history}
        total = sum(followers.values())
        if not total:
            return lower
        kinds = Counter(counts[n].values())
        d = kinds[1] / (kinds[1] + 2 * kinds[2]) if kinds[1] else 0.5
        return (max(followers.get(word, 0) - d, 0) + d * len(followers) * lower) / total

    return chance


@pytest.mark.parametrize("order", [1, 2, 3])
def test_kneser_ney_by_dictionaries(order: int) -> None:
    found, numbers = counted(FABLE[:40], order)
    wanted = slow(numbers.tolist(), found.size, order)
    histories, words = every(found, order - 1)
    chances = found.probabilities(histories, words, "kneser-ney")
    by_hand = [wanted(tuple(history), word) for history, word in zip(histories.tolist(), words.tolist(), strict=True)]
    np.testing.assert_allclose(chances, by_hand, rtol=1e-12)
    np.testing.assert_allclose(chances.reshape(-1, found.size).sum(1), 1)


def test_likelihood_and_added_counts_by_hand() -> None:
    found, numbers = counted(FABLE, 2)
    pairs, singles = Counter(zip(numbers, numbers[1:], strict=False)), Counter(numbers[:-1].tolist())
    histories, words = every(found, 1)
    likely = found.probabilities(histories, words, "maximum-likelihood")
    added = found.probabilities(histories, words, "add-k", k=0.5)
    for history, word, one, two in zip(histories[:, 0].tolist(), words.tolist(), likely, added, strict=True):
        assert one == (pairs[history, word] / singles[history] if singles[history] else 0)
        assert two == pytest.approx((pairs[history, word] + 0.5) / (singles[history] + 0.5 * found.size))


def test_made_up_text_follows_what_was_counted() -> None:
    found, _ = counted(FABLE, 3)
    prompt = Prompt(prime="The crow", length=50)
    made = found.write(prompt, "words", "maximum-likelihood")
    seen = {tuple(FABLE[t : t + 3]) for t in range(len(FABLE) - 2)}
    text = tokens(made, "words")
    assert len(text) == 52 and all(tuple(text[t : t + 3]) in seen for t in range(50))
    assert made == found.write(prompt, "words", "maximum-likelihood")
    assert made != found.write(dataclasses.replace(prompt, seed=1), "words", "maximum-likelihood")


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "fable.txt").write_text("\ufeff" + " ".join(FABLE).capitalize(), encoding="utf-8")
    return f"text:{tmp_path / 'fable.txt'}"


def test_texts_become_numbers(text: str) -> None:
    assert tokens("Well, Prince\u2014don't: 'twas Anna-Mary's", "words") == [
        *("well", ",", "prince", "\u2014", "don't", ":", "'", "twas", "anna-mary's")
    ]
    found = corpus(text, "words", rare=2)
    assert found.vocabulary[0] == "<unk>" and "fox" in found.vocabulary and len(found.test) == len(FABLE) // 10
    np.testing.assert_array_equal([found.vocabulary[number] for number in found.train[:3]], FABLE[:3])
    characters = corpus(text, "characters")
    assert characters.vocabulary[characters.train[0]] == "T"  # and not the mark of the encoding
    assert join(["so", ",", "he", "said", "."], "words") == "so, he said." and join(["a", "b"], "characters") == "ab"


@pytest.mark.parametrize("preset", list(ngrams.PRESETS))
def test_by_command(preset: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train_door.main(["ngrams", "--preset", preset, "--data", text, "--run-dir", str(run), "--quiet"])
    evaluate_door.main([str(run), "--require", "perplexity<12"])
    result = json.loads((run / "evaluation.json").read_text())
    assert result["unseen"] == 0 and result["bits"] == pytest.approx(np.log2(result["perplexity"]))
    assert "perplexity" in capsys.readouterr().out and len(result["sample"]) > 100


def test_mistakes_are_one_line(tmp_path: Path, text: str, refused: Callable[..., str]) -> None:
    def refuse(name: str, content: bytes, *more: str) -> Any:
        (tmp_path / name).write_bytes(content)
        return refused(train_door.main, "ngrams", "--data", f"text:{tmp_path / name}", *more)

    assert "byte 3 is not UTF-8" in refuse("latin.txt", "caf\u00e9".encode("latin-1"))
    assert "there is no text in it" in refuse("empty.txt", b" \n")
    assert "its 2 words are too few" in refuse("short.txt", b"two words")
    assert "is shorter than that" in refuse("ten.txt", b"a " * 10, "--order", "40")
    assert "has nothing that often; use less" in refuse("ten.txt", b"a " * 10, "--rare", "40")
    assert "k=inf: use a positive, finite number" in refuse("a.txt", b"a", "--smoothing", "add-k", "--k", "inf")
    assert "unknown smoothing 'kneser'; did you mean kneser-ney" in refuse("a.txt", b"a", "--smoothing", "kneser")
    assert "order=0: use 1 or more" in refuse("a.txt", b"a", "--order", "0")
    with pytest.raises(UserError, match=r"cannot read .*nowhere.txt: No such file or directory; give a file of text"):
        read_text(f"text:{tmp_path}/nowhere.txt")
    with pytest.raises(UserError, match="unknown text 'war'; known: war-and-peace; or text:PATH"):
        read_text("war")

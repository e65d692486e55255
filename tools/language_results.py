"""Tables of stored evaluations of models of language and speech (`supervised.evaluate`)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tools.results import FOLDER
from tools.tables import markdown


def _stored(name: str) -> dict[str, Any]:
    """The stored evaluation of MODEL-PRESET, or an empty one."""
    path = FOLDER / f"supervised-{name}-s0.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def texts_by_epoch() -> dict[str, str]:
    """What the language model of the book's size made up after each epoch of its stored run."""
    path = FOLDER / "notes-char-lm-book-s0.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return {epoch: text for epoch, _, text in (line.removeprefix("epoch ").partition(": ") for line in lines)}


def written_texts() -> str:
    """The same as a table."""
    return markdown(("epoch", "text"), texts_by_epoch().items())


#: presets of word2vec whose answers are shown
WORD_VECTORS = ("default", "cbow", "subwords", "softmax", "cbow-softmax")


def _word_vectors() -> Iterator[tuple[str, dict[str, Any]]]:
    """Stored evaluations of presets of word2vec."""
    for name in WORD_VECTORS:
        if found := _stored(f"word2vec-{name}"):
            yield name, found


def word_results() -> str:
    """How well presets of word2vec foretell, and agree with people."""
    rows = []
    for name, one in _word_vectors():
        relations = (f"{one['right'][kind]} of {of}" if of else "" for kind, of in one["questions"].items())
        numbers = (
            f"{one['loss']:.3f}",
            f"{one['baseline']:.3f}",
            f"{one['related']:.1%} of {one['pairs']}",
            f"{one['analogies']:.1%}",
        )
        rows.append((f"`{name}`", f"{one['vocabulary']:,}", *numbers, *relations))
    head = ("preset", "words", "loss", "baseline", "related", "analogies", "he, she", "go, went", "man, men")
    return markdown(head, rows)


def word_neighbours() -> str:
    """What is nearest to some words, by two presets."""
    found = {name: one["neighbours"] for name, one in _word_vectors() if name in ("default", "subwords")}
    words = dict.fromkeys(word for neighbours in found.values() for word in neighbours)
    rows = [(word, *(_ranked(one.get(word, ())) for one in found.values())) for word in words]
    return markdown(("word", *(f"`{name}`" for name in found)), rows)


def word_answers() -> str:
    """What the preset `subwords` answers to questions of analogy."""
    answers = dict(_word_vectors()).get("subwords", {}).get("answers", [])
    rows = ((f"{a} is to {b} as {c} is to", _ranked(ranked)) for a, b, c, ranked in answers)
    return markdown(("question", "answers"), rows)


def _ranked(words: Sequence[tuple[str, float]]) -> str:
    """The first few of them, with their cosines."""
    return ", ".join(f"{word} {cosine:.2f}" for word, cosine in words[:5])


def spoken_results() -> str:
    """How many digits of each unheard speaker are told wrong, by how they are found."""
    if not (result := _stored("ctc-unseen")):
        return markdown(("speaker",), [])
    ways = ("beam", "greedy")
    rates = {name: [result[way][name]["digit_error_rate"] for way in ways] for name in result["beam"]}
    rows = [(name, *(f"{rate:.1%}" for rate in one)) for name, one in rates.items()]
    means = (f"{rate:.2%}" for rate in np.mean(list(rates.values()), axis=0))
    return markdown(("speaker unheard", *ways), [*rows, ("*mean of all*", *means)])


def spoken_years() -> str:
    """How many digits of years are told wrong, with and without what is known of years."""
    rows = []
    for preset in ("default", "unseen"):
        if result := _stored(f"ctc-{preset}"):
            rates = (f"{rate['digit_error_rate']:.2%}" for rate in result["years"].values())
            rows.append((f"`{preset}`", *rates))
    return markdown(("preset", "lexicon alone", "with a language model"), rows)

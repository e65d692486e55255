"""word2vec on made-up texts whose neighbours are known, and its doors."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised import words as words_door
from supervised.language import neural_lm, related, word2vec
from supervised.language.negative_sampling import Noise, kept
from supervised.language.word2vec import Config, Word2Vec, examples, unigram_loss
from supervised.language.word_vectors import WordVectors
from supervised.training.configuration import to_json
from supervised.training.run import Run

TOPICS = ("boat sail wave anchor harbour", "bread oven flour yeast crust", "fiddle bow string tune dance")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sentences each of which has words of one topic alone."""
    rng = np.random.default_rng(0)
    topics = [topic.split() for topic in TOPICS]
    sentences = (rng.choice(topics[rng.integers(3)], 12).tolist() for _ in range(600))
    path = tmp_path_factory.mktemp("text") / "topics.txt"
    path.write_text(" ".join(word for sentence in sentences for word in sentence))
    return f"text:{path}"


def state(model: torch.nn.Module) -> dict[str, Any]:
    return {"model": model.state_dict()}


def vectors(config: Any, model: torch.nn.Module) -> WordVectors:
    module = word2vec if isinstance(model, Word2Vec) else neural_lm
    return module.word_vectors(config, state(model))


def foretells_topics(known: WordVectors) -> None:
    for topic in TOPICS:
        first, *others = topic.split()
        assert {word for word, _ in known.neighbours(first, 4)} == set(others)


SMALL = {"size": 12, "window": 3, "threshold": 1.0, "epochs": 5, "seed": 3}


@pytest.mark.parametrize(
    "more",
    [
        {"learning_rate": 0.1},
        {"learning_rate": 0.3, "architecture": "cbow"},
        {"learning_rate": 0.05, "buckets": 200},
        {"learning_rate": 0.02, "objective": "softmax"},
        {"learning_rate": 0.02, "objective": "softmax", "architecture": "cbow", "buckets": 200},
    ],
    ids=["skip-gram", "cbow", "subwords", "softmax", "cbow-softmax-subwords"],
)
def test_words_of_a_topic_become_neighbours(more: dict[str, Any], text: str) -> None:
    config = Config(data=text, **{**SMALL, **more})
    model = word2vec.train(config)
    foretells_topics(vectors(config, model))
    found = word2vec.judge(config, state(model), text)
    assert found.measures["loss"] < found.measures["baseline"] - 0.1
    again = word2vec.train(config)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))


def test_places_of_frequent_words_are_kept_as_often_as_they_should(text: str) -> None:
    config = Config(data=text, threshold=0.02)
    counts = np.array([9000, 900, 100])
    model, rng = Word2Vec(config, ("the", "of", "boat"), counts), np.random.default_rng(0)
    read, spans = model.text(np.repeat([0, 1, 2], counts * 10), rng)
    shares = np.bincount(read, minlength=3) / (counts * 10)
    np.testing.assert_allclose(shares, kept(counts, 0.02), atol=0.02)
    assert np.bincount(spans).tolist()[0] == 0 and set(spans.tolist()) == set(range(1, config.window + 1))
    np.testing.assert_allclose(np.bincount(spans)[1:] / len(spans), 1 / config.window, atol=0.02)


def test_examples_by_hand() -> None:
    text, spans = np.array([5, 6, 7, 8]), np.array([1, 2, 0, 1])
    sources, targets = examples(text, spans, cbow=False)
    pairs = [(5, 6), (6, 5), (6, 7), (6, 8), (8, 7)]
    assert list(zip(sources[:, 0].tolist(), targets.tolist(), strict=True)) == pairs
    sources, targets = examples(text, spans, cbow=True)
    assert targets.tolist() == [5, 6, 8]
    assert [sorted(one for one in row if one >= 0) for row in sources.tolist()] == [[6], [5, 7, 8], [7]]


def test_baseline_is_what_scores_without_a_source_come_to() -> None:
    """By drawing noise; and no other scores do better."""
    counts = np.array([50, 20, 20, 10])
    model = Word2Vec(Config(threshold=1.0, negatives=3), ("a", "b", "c", "d"), counts)
    rng = np.random.default_rng(0)
    targets = rng.choice(4, 200_000, p=counts / counts.sum())
    noise = Noise(counts)
    drawn = noise.draw(rng, len(targets), 3)

    def loss(scores: np.ndarray) -> float:
        wrong = np.logaddexp(0, scores[drawn]) * (drawn != targets[:, None])
        return float((np.logaddexp(0, -scores[targets]) + wrong.sum(1)).mean())

    chances = counts / counts.sum()
    scores = np.log(chances / (3 * noise.chances * (1 - chances)))
    assert unigram_loss(model, targets) == pytest.approx(loss(scores), abs=0.01)
    for k in range(4):
        for step in (-0.3, 0.3):
            assert loss(scores) < loss(scores + step * np.eye(4)[k])
    soft = Word2Vec(Config(threshold=1.0, objective="softmax"), ("a", "b", "c", "d"), counts)
    assert unigram_loss(soft, targets) == pytest.approx(-(chances * np.log(chances)).sum(), abs=0.01)


def test_cbow_foretells_from_the_mean_of_what_is_around() -> None:
    config = Config(threshold=1.0, objective="softmax", architecture="cbow", size=3, dtype="float32")
    model = Word2Vec(config, ("a", "b", "c", "d"), np.ones(4, np.int64))
    rng = np.random.default_rng(0)
    sources, outputs = rng.normal(size=(2, 4, 3)).astype(np.float32)
    with torch.no_grad():
        model.inputs.copy_(torch.from_numpy(sources))
        model.outputs.copy_(torch.from_numpy(outputs))
    text, spans = np.array([0, 1, 2, 3, 1]), np.ones(5, np.int64)  # one word on either side
    losses = []
    for place, word in enumerate(text):
        near = [text[k] for k in (place - 1, place + 1) if 0 <= k < 5]
        scores = outputs @ sources[near].mean(0)
        losses.append(np.log(np.exp(scores).sum()) - scores[word])
    total, count = word2vec.soften(model, text, spans, rng)
    assert count == 5 and total == pytest.approx(sum(losses), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "module", "config"),
    [
        ("word2vec", word2vec, Config(epochs=3, size=8, rare=1)),
        ("word2vec", word2vec, Config(epochs=3, size=8, rare=1, objective="softmax", batch_size=4096)),
        ("neural-lm", neural_lm, neural_lm.Config(epochs=3, size=4, hidden=8, batch_size=1024, dropout=0.1)),
    ],
    ids=["negative-sampling", "softmax", "neural-lm"],
)
def test_a_run_that_is_cut_ends_in_the_same_bits(
    name: str, module: Any, config: Any, text: str, tmp_path: Path
) -> None:
    config = dataclasses.replace(config, data=text)

    class Cut(Exception):
        pass

    def create(folder: str) -> Run:
        record = {"algorithm": name, "preset": "x", "config": to_json(config), "total": 3, "unit": "epochs"}
        return Run.create(tmp_path / folder, **record, progress=False)

    with create("whole") as run:
        whole = module.train(config, run).state_dict()
    with pytest.raises(Cut), create("cut") as run:
        progress = run.progress

        def stop(step: int) -> None:
            progress(step)
            if step == 3:
                raise Cut

        run.progress = stop  # type: ignore[method-assign]
        module.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = module.train(config, run).state_dict()
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_by_command(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="draws the picture")
    run = tmp_path / "run"
    options = "--size 12 --window 3 --threshold 1 --epochs 3 --learning-rate 0.05 --buckets 200".split()
    train_door.main(["word2vec", "--data", text, *options, "--run-dir", str(run), "--quiet"])
    evaluate_door.main([str(run), "--require", "loss<2.2"])
    result = json.loads((run / "evaluation.json").read_text())
    assert result["vocabulary"] == 15 and result["pairs"] == 0 and result["related"] == 0
    assert (run / "words.png").read_bytes()[:4] == b"\x89PNG"
    capsys.readouterr()
    words_door.main([str(run), "neighbours", "boat", "boatsail", "--count", "3"])
    seen = capsys.readouterr().out.splitlines()
    assert seen[0] == "boat" and seen[4] == "boatsail" and len(seen) == 8
    assert seen[5].split()[0] in ("boat", "sail")  # a word that is nowhere in the text, by its parts
    words_door.main([str(run), "analogy", "boat", "sail", "oven"])
    assert capsys.readouterr().out.startswith("boat is to sail as oven is to\n  ")
    words_door.main([str(run), "write", str(tmp_path / "vectors.txt")])
    assert "15 words of 12 numbers" in capsys.readouterr().out
    words_door.main([f"glove:{tmp_path / 'vectors.txt'}", "neighbours", "boat", "--count", "3"])
    assert capsys.readouterr().out.splitlines() == seen[:4]


def test_mistakes_are_one_line(text: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    def training(*more: object) -> str:
        return refused(train_door.main, "word2vec", "--data", text, *more)

    assert "unknown architecture 'bow'; did you mean cbow" in training("--architecture", "bow")
    assert "dtype='bfloat16': negative sampling is compiled for float32" in training("--dtype", "bfloat16")
    assert "longest=2: use shortest, 3, or more" in training("--longest", "2")
    assert "threshold=0.0: use a positive number" in training("--threshold", "0")
    assert "has fewer than two words that often; use less" in training("--rare", "100000")

    run = tmp_path / "run"
    train_door.main(["word2vec", "--data", text, "--epochs", "1", "--run-dir", str(run), "--quiet"])
    other = tmp_path / "other.txt"
    other.write_text("nothing of this was ever seen before in a text of ships and loaves and fiddlers and so on")
    assert "has no two words that are known" in refused(evaluate_door.main, run, "--data", f"text:{other}")

    def asking(*arguments: object) -> str:
        return refused(words_door.main, *arguments)

    assert "unknown word 'boats'; did you mean boat" in asking(run, "neighbours", "boats")
    assert "unknown task 'neighbors'; did you mean neighbours" in asking(run, "neighbors", "boat")
    assert "name three words" in asking(run, "analogy", "boat", "sail")
    assert "name a word or more" in asking(run, "neighbours")
    assert "name one file" in asking(run, "write")
    assert "count=0: use at least 1" in asking(run, "neighbours", "boat", "--count", "0")
    assert "give the folder of a run" in asking(tmp_path, "neighbours", "boat")
    train_door.main(["ngrams", "--data", text, "--run-dir", str(tmp_path / "counts"), "--quiet"])
    assert "is a run of ngrams, which has no vectors" in asking(tmp_path / "counts", "neighbours", "boat")


def test_agreement_is_measured_by_hand() -> None:
    """he - she and man - woman differ alike; of the pairs all are near; what is unknown does not count."""
    words = ("he", "she", "man", "woman", "go")
    matrix = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [-1, 0, 0]], np.float32)
    measures, details = related.measure(WordVectors(words, matrix))
    assert details["questions"] == {"gender": 4, "past": 0, "plural": 0} and details["pairs"] == 2
    assert measures == {"related": 1.0, "analogies": 1.0} and details["right"]["gender"] == 4
    matrix[3] = [0, -1, 1]  # the other way: only he, she and man remain to be told wrong
    measures, _ = related.measure(WordVectors(words, matrix))
    assert measures["analogies"] < 1
    assert related.measure(WordVectors(("one", "other"), np.eye(2)))[0] == {"related": 0.0, "analogies": 0.0}


def test_pictures_of_known_words(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="draws the picture")
    words = sorted({word for group in related.GROUPS.values() for word in group} | {"king", "queen"})
    found = WordVectors(words, np.random.default_rng(0).normal(size=(len(words), 8)))
    drawn = list(related.draw(found, [], tmp_path))
    assert [path.name for path in drawn] == ["words.png", "analogies.png"]
    once = [path.read_bytes() for path in drawn]
    assert [path.read_bytes() for path in related.draw(found, [], tmp_path)] == once

"""Language models of characters: what they read, learn, tell and write."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised import evaluate as evaluate_door
from supervised import generate as generate_door
from supervised import train as train_door
from supervised.data.text import corpus, unwrapped
from supervised.language import characters
from supervised.language.characters import CELLS, CharacterModel, Config, batches, foretold, lanes, learn
from supervised.language.sampling import Prompt
from supervised.training.run import Run

FABLE = "The crow saw the fox, and the fox saw the crow.\n\n" * 60
SMALL = {"units": 64, "sequence": 20, "batch_size": 8, "learning_rate": 5e-3, "dtype": "float32"}
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
VOCABULARY = ("<unk>", *sorted(set(FABLE)))


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "fable.txt").write_text(FABLE)
    return f"text:{tmp_path / 'fable.txt'}"


def model(cell: str, **more: object) -> CharacterModel:
    return CharacterModel(dataclasses.replace(Config(cell=cell, layers=2), **{**SMALL, **more}), VOCABULARY).eval()


def test_lines_within_paragraphs_are_joined() -> None:
    assert unwrapped("one\ntwo\n\n\n\nthree\n") == "one two\n\nthree "


def test_lanes_go_on_where_batches_end() -> None:
    """The book's figure: each batch is the continuation of the last, lane by lane."""
    read = lanes(np.arange(25), 2, 1)
    np.testing.assert_array_equal(read, np.stack([np.arange(1, 13), np.arange(12, 24)], 1))
    parts = list(batches(read, 5))
    assert [len(inputs) for inputs, _ in parts] == [5, 5, 1]
    for inputs, targets in parts:
        torch.testing.assert_close(targets, inputs + 1)
    assert parts[1][0][0].tolist() == (parts[0][0][-1] + 1).tolist()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_batch_begins_with_what_the_last_one_left(cell: str) -> None:
    """Until all is forgotten, every so many batches."""
    ours = model(cell, reset_every=3)
    given: list[Any] = []
    left: list[Any] = []

    def spy(network: torch.nn.Module, arguments: Any, result: Any) -> None:
        given.append(arguments[1])
        left.append(result[1])

    ours.register_forward_hook(spy)
    learn(ours, torch.optim.Adam(ours.parameters()), lanes(np.arange(1100) % len(VOCABULARY), 8, 0))
    assert len(given) > 3 and [state is None for state in given] == [k % 3 == 0 for k in range(len(given))]
    for before, after in zip(left[:-1], given[1:], strict=True):
        if after is not None:
            pairs = zip(before, after, strict=True) if cell == "lstm" else [(before, after)]
            assert all(torch.equal(one, other) and not other.requires_grad for one, other in pairs)


def test_gradients_are_cut_to_the_norm_asked_for() -> None:
    read = lanes(np.arange(200) % len(VOCABULARY), 8, 0)[:21]  # a batch
    for clip in (1e-2, 1e4):
        ours = model("lstm", clip=clip)
        before = [one.detach().clone() for one in ours.parameters()]
        learn(ours, torch.optim.SGD(ours.parameters(), 1.0), read)  # a step as long as the gradient
        moved = torch.cat([(a - b).flatten() for a, b in zip(ours.parameters(), before, strict=True)]).norm().item()
        assert (moved == pytest.approx(clip, rel=0.05)) == (clip < 1), moved


def test_gates_that_forget_are_open_at_first() -> None:
    biases = {name: bias for name, bias in model("lstm").named_parameters() if "bias_hh" in name}
    assert len(biases) == 2
    for bias in biases.values():
        assert (bias[64:128] == 1).all() and (bias[:64] < 1).all()


@pytest.mark.parametrize("cell", CELLS)
def test_in_parts_as_in_one(cell: str) -> None:
    """What is remembered between parts makes them one text."""
    numbers = torch.arange(18)[:, None] % len(VOCABULARY)
    one = model(cell)
    whole, _ = one(numbers)
    parts, state = [], None
    for some in numbers.split(7):
        logits, state = one(some, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-4)


def test_a_transformer_sees_its_window() -> None:
    one = model("transformer", sequence=6)
    numbers = torch.arange(1, 13)[:, None]
    _, state = one(numbers[:6])
    logits, state = one(numbers[6:9], state)
    torch.testing.assert_close(logits, one(numbers[3:9])[0][3:], atol=1e-5, rtol=1e-4)
    logits, _ = one(numbers[9:], state)
    torch.testing.assert_close(logits, one(numbers[6:12])[0][3:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
@pytest.mark.parametrize("judged", [40, 70])
def test_bits_are_those_of_every_judged_character(cell: str, judged: int) -> None:
    """Against one character after the other: in up to 64 parts, each begins a sequence before it."""
    one, sequence = model(cell, sequence=30), 30
    numbers = np.arange(120) % len(VOCABULARY)
    losses = []
    for part in np.array_split(np.arange(120 - judged, 120), min(64, judged)):
        for k in part:
            with torch.inference_mode():
                logits = one(torch.from_numpy(numbers[part[0] - sequence : k])[-sequence:, None])[0][-1]
            losses.append(F.cross_entropy(logits, torch.tensor(numbers[k : k + 1])).item())
    assert foretold(one, numbers, judged) == pytest.approx(np.mean(losses) / np.log(2), rel=0.01)


@pytest.mark.parametrize("cell", CELLS)
def test_learns_to_tell_and_to_write(cell: str, text: str) -> None:
    read = corpus(text, "characters")
    one = CharacterModel(dataclasses.replace(Config(cell=cell, data=text), **SMALL), read.vocabulary)
    optimizer = torch.optim.Adam(one.parameters(), 5e-3)
    for _ in range(40):
        bits = learn(one, optimizer, lanes(read.train, 8, 0))
    assert bits < 0.5
    assert foretold(one.eval(), np.concatenate([read.train, read.test]), len(read.test)) < 0.3
    assert one.write(Prompt(prime="The crow saw the f", length=9, temperature=0)) == "The crow saw the fox, and t"


def test_by_command(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    train_door.main(["char-lm", "--data", text, *OPTIONS, "--epochs", "2", "--run-dir", str(run), "--quiet"])
    assert [line[:32] for line in (run / "notes.txt").read_text().splitlines()] == [
        *("epoch 1: She was born in the yea", "epoch 2: She was born in the yea")
    ]
    evaluate_door.main([str(run), "--require", "bits<4.5"])
    assert json.loads((run / "evaluation.json").read_text())["characters"] == len(corpus(text, "characters").test)
    capsys.readouterr()
    generate_door.main([str(run), "--prime", "The crow", "--length", "30"])
    made = capsys.readouterr().out
    assert made.startswith("The crow") and len(made) == 39
    generate_door.main([str(run), "--prime", "The crow", "--length", "30"])
    assert capsys.readouterr().out == made


def test_resumed_exactly(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(step: int) -> None:
        if step == 2:  # before its checkpoint
            raise InterruptedError

    config = dataclasses.replace(Config(data=text, epochs=2, dropout=0.1), **SMALL)
    record = {"algorithm": "char-lm", "preset": "default", "config": dataclasses.asdict(config), "total": 2}
    with Run.create(tmp_path / "whole", **record, progress=False) as run:
        whole = characters.train(config, run).state_dict()
    with pytest.raises(InterruptedError), Run.create(tmp_path / "cut", **record, progress=False) as run:
        monkeypatch.setattr(run, "progress", stop)
        characters.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = characters.train(config, run).state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    for name in ("metrics.jsonl", "notes.txt"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_mistakes_are_one_line(tmp_path: Path, text: str, refused: Callable[..., str]) -> None:
    def refuse(*more: str) -> str:
        return refused(train_door.main, "char-lm", "--data", text, *more)

    assert "unknown cell 'lstn'; did you mean lstm" in refuse("--cell", "lstn")
    assert "units=100: a Transformer's heads have 64 each" in refuse("--cell", "transformer", "--units", "100")
    assert "is too short for so many lanes" in refuse("--batch-size", "4000")
    assert "dropout=1.0: use 0 up to less than 1" in refuse("--dropout", "1")
    assert "temperature=-1.0: use 0 or more" in refused(generate_door.main, str(tmp_path), "--temperature", "-1")
    train_door.main(["mlp", "--data", "digits", "--epochs", "1", "--run-dir", str(tmp_path / "mlp"), "--quiet"])
    assert "is a run of mlp, which makes up no text" in refused(generate_door.main, str(tmp_path / "mlp"))

"""Sequence models by their commands: learning, exact resuming, what is asked of a run, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised import translate
from supervised.language import captioning, reviews, sentiment, seq2seq
from supervised.language.recurrent import learn_from
from supervised.language.vocabulary import vocabulary_of
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer examples to judge by."""
    for module in (seq2seq, captioning):
        monkeypatch.setattr(module, "VALIDATED", 20)
        monkeypatch.setattr(module, "UNSEEN", 60)
    monkeypatch.setattr(seq2seq, "LONGER", 20)


def state(model: torch.nn.Module) -> dict[str, Any]:
    return {"model": model.state_dict()}


@pytest.mark.parametrize("attention", ["bahdanau", "luong"])
def test_letters_are_learnt_to_be_turned_round(attention: str) -> None:
    """Up to three letters, nine of ten right after a few seconds; with no weights to speak of it was none."""
    config = seq2seq.Config(
        data="reversed-copy", longest=3, attention=attention, hidden=64, epochs=4, rows=2_500, learning_rate=8e-3,
    )  # fmt: skip
    model = seq2seq.train(config)
    found = seq2seq.judge(config, state(model), "reversed-copy")
    assert found.measures["exact"] > 0.9 and found.measures["ci95_low"] < found.measures["exact"]
    assert set(found.details["by_length"]) == set("123456") and 0 <= found.details["longer"] < found.measures["exact"]
    weights = model.attended("abc", "cba")
    assert weights is not None and weights.shape == (4, 4)
    assert weights[:3, :3].argmax(1).tolist() == [2, 1, 0]  # it looks at what it writes


def test_the_books_form_learns_without_attention() -> None:
    config = seq2seq.Config(
        data="reversed-copy", longest=2, attention="none", both=False, hidden=64, epochs=4, rows=2_500,
        learning_rate=8e-3,
    )  # fmt: skip
    model = seq2seq.train(config)
    assert seq2seq.judge(config, state(model), "reversed-copy").measures["exact"] > 0.9
    assert model.attended("ab", "ba") is None


@pytest.mark.parametrize("longest", [{"longest": 17}, {"limit": 11}])
def test_there_may_be_nothing_longer(longest: dict[str, int]) -> None:
    """No number of the task has more than 17 words, and a model reads no more than its limit."""
    vocabularies = (("<unk>", "<pad>", "<go>", "<eos>", "one", "1"),) * 2
    config = seq2seq.Config(hidden=4, **longest)  # type: ignore[arg-type]
    found = seq2seq.judge(config, state(seq2seq.Seq2Seq(config, *vocabularies)), "number-words")
    assert found.details["longer"] is None and found.details["longer_examples"] == 0


def test_reversed_inputs_are_read_so() -> None:
    """What a model reads in reverse is what another reads that is given it in reverse."""
    vocabularies = (("<unk>", "<pad>", "<go>", "<eos>", *"abcd"),) * 2
    config = seq2seq.Config(data="reversed-copy", attention="none", both=False)
    turned = seq2seq.Config(data="reversed-copy", attention="none", both=False, reverse=True)
    first, second = (seq2seq.Seq2Seq(one, *vocabularies) for one in (config, turned))
    for one, other in zip(first.read([list("abcd")]), second.read([list("dcba")]), strict=True):
        torch.testing.assert_close(one, other)


def test_sentiment_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 900 reviews far more than the half that guessing gets; words that are not known are no obstacle."""
    monkeypatch.setattr(reviews, "TRAIN", 1_100)
    config = sentiment.Config(epochs=7, learning_rate=8e-3, unknown=0.0)
    model = sentiment.train(config)
    found = sentiment.judge(config, state(model), "reviews").measures
    assert found["accuracy"] > 0.8
    told = sentiment.answer(config, state(model), ["the acting was superb", "the acting was awful", "Zounds!"], 1)
    assert [one.split()[0] for one in told[:2]] == ["good", "bad"] and told[2].split()[0] in ("good", "bad")


@pytest.mark.parametrize("attention", ["bahdanau", "luong"])
def test_captions_are_learnt(attention: str) -> None:
    """Sixteen pictures by heart, which takes seeing what is in them: nearly all captions are right then."""
    config = captioning.Config(attention=attention, width=8, hidden=64, learning_rate=6e-3, batch_size=16)
    scenes = captioning.drawn("shapes", "train", 16, np.random.default_rng(0))
    model = captioning.Captioner(config, vocabulary_of(caption.split() for _, caption in scenes))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    losses = [learn_from(scenes, model.loss, optimizer, config) for _ in range(120)]
    assert losses[-1] < 0.1 * losses[0]
    assert captioning.exact(model.eval(), scenes, beam=1).mean() > 0.9
    black = np.zeros_like(scenes[0][0])
    told = model.captions([scenes[0][0], black], beam=2)
    assert told[0] == scenes[0][1] and told[0] != told[1]


CASES = {
    "seq2seq": (seq2seq, seq2seq.Config(data="sorting", rows=40, epochs=3, hidden=8, teacher_forcing=0.5)),
    "sentiment": (sentiment, sentiment.Config(epochs=3, hidden=4, batch_size=400)),
    "captioning": (captioning, captioning.Config(rows=40, epochs=3, hidden=8, width=2, cell="gru", attention="luong")),
}


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_is_cut_ends_in_the_same_bits(name: str, tmp_path: Path) -> None:
    module, config = CASES[name]

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


def test_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        "seq2seq": (["--rows", "50", "--hidden", "8"], {"lengths.png", "attention.png"}),
        "sentiment": (["--hidden", "4", "--batch-size", "500"], {"confusion.png"}),
        "captioning": (["--rows", "50", "--hidden", "8", "--width", "2"], {"captions.png"}),
    }
    for name, (options, drawn) in cases.items():
        folder = tmp_path / name
        train_door.main([name, "--epochs", "1", "--run-dir", str(folder), "--quiet", *options])
        evaluate_door.main([str(folder)])
        assert {path.name for path in folder.glob("*.png")} == drawn | {"curve.png"}
        result = json.loads((folder / "evaluation.json").read_text())
        assert result["ci95_low"] <= result["accuracy" if name == "sentiment" else "exact"] <= result["ci95_high"]
    capsys.readouterr()
    translate.main([str(tmp_path / "seq2seq"), "three hundred and twelve", "umpteen", "", "--beam", "3"])
    assert len(capsys.readouterr().out.splitlines()) == 3
    translate.main([str(tmp_path / "sentiment"), "not good"])
    assert capsys.readouterr().out.startswith(("good (", "bad ("))


def test_mistakes_are_one_line(tmp_path: Path, refused: Callable[..., str]) -> None:
    run = tmp_path / "run"
    options = ["--run-dir", run, "--quiet"]
    for arguments, message in (
        (["seq2seq", "--data", "date"], "unknown task 'date'; did you mean dates?"),
        (["seq2seq", "--attention", "luon"], "unknown attention 'luon'; did you mean luong?"),
        (["seq2seq", "--cell", "rnn"], "unknown cell 'rnn'; known: gru, lstm"),
        (["seq2seq", "--score", "dots"], "unknown score 'dots'; did you mean dot?"),
        (["seq2seq", "--beam", "0"], "beam=0: use at least 1"),
        (["seq2seq", "--limit", "10"], "limit=10: use at least 11, the longest that is learnt from"),
        (["seq2seq", "--data", "dates", "--longest", "4"], "the task has no inputs of 1 to 4 characters"),
        (["seq2seq", "--teacher-forcing", "2"], "teacher_forcing=2.0: use 0 to 1"),
        (["seq2seq", "--hidden", "5"], "hidden=5: use an even number for both directions"),
        (["sentiment", "--data", "review"], "unknown data 'review'; did you mean reviews?"),
        (["sentiment", "--unknown", "1"], "unknown=1.0: use 0 or more, and less than 1"),
        (["captioning", "--data", "shape"], "unknown data 'shape'; did you mean shapes?"),
        (["captioning", "--width", "0"], "width=0: use at least 1"),
    ):
        assert message in refused(train_door.main, *arguments, *options)
        assert not run.exists()
    train_door.main(["seq2seq", "--limit", "12", "--rows", "20", "--hidden", "4", "--epochs", "1", *map(str, options)])
    long = "one " * 13
    assert "has 13 words: give at most 12" in refused(translate.main, run, "one", long)
    assert "give at least one" in refused(translate.main, run)
    assert "beam=0: use at least 1" in refused(translate.main, run, "one", "--beam", "0")
    assert "data='dates': the model has learnt number-words" in refused(evaluate_door.main, run, "--data", "dates")
    train_door.main(["captioning", "--rows", "20", "--hidden", "4", "--width", "1", "--epochs", "1",
                     "--run-dir", str(tmp_path / "captions"), "--quiet"])  # fmt: skip
    assert "a run of captioning, which answers no texts" in refused(translate.main, tmp_path / "captions", "a")
    with pytest.raises(UserError, match="give at most 12"):
        vocabularies = (("<unk>", "<pad>", "<go>", "<eos>"),) * 2
        seq2seq.Seq2Seq(seq2seq.Config(limit=12), *vocabularies).translate([long], 1)

"""Recognizers of digits that are tones: they learn, are judged, go on after a kill, and refuse."""

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data.spoken import RATE, Recording
from supervised.registry import find
from supervised.speech import hybrid, recognizer
from supervised.speech.digits import edit_distance, error_rates
from supervised.speech.encoder import Encoder, EncoderSettings, padded
from supervised.speech.features import heard
from supervised.training.run import read_state

INDICES = {"ann": range(4, 8), "bob": range(4, 7)}  # the first of ann's to be judged by


def tone(digit: int, voice: float, rng: np.random.Generator) -> bytes:
    """A wav file of 0.25 s: a tone that tells the digit, which swells and fades."""
    t = np.arange(int(0.25 * RATE)) / RATE
    sound = np.sin(np.pi * t / 0.25) * np.sin(2 * np.pi * voice * 250 * 1.3**digit * t)
    samples = 8_000 * sound * rng.uniform(0.5, 1) + 10 * rng.normal(size=len(sound))
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(RATE)
        opened.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Data of two speakers."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    for speaker, voice in (("ann", 1.0), ("bob", 0.95)):
        for digit in range(10):
            for index in INDICES[speaker]:
                (folder / f"{digit}_{speaker}_{index}.wav").write_bytes(tone(digit, voice, rng))
    return f"recordings:{folder}"


QUICK = "--units 32 --batch-size 4 --learning-rate 0.003 --growth 4 --ramp 1000 --quiet".split()
CASES = {
    "gmm-hmm": "--mixtures 1 --voices 1 --iterations 3 --states 2 --penalty 60 --quiet".split(),
    "hybrid-hmm": [*QUICK, "--epochs", "24", "--penalty", "2"],
    "ctc": [*QUICK, "--epochs", "24", "--growth", "8"],
}


@pytest.mark.parametrize("model", list(CASES))
def test_learns_what_tones_mean(model: str, tones: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if model == "gmm-hmm":
        pytest.importorskip("hmmlearn", reason="needs the speech extra")
    train_door.main([model, "--data", tones, "--run-dir", str(tmp_path / "run"), *CASES[model]])
    evaluate_door.main([str(tmp_path / "run"), "--require", "digit_error_rate<0.1"])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert "speakers it has heard" in result["protocol"] and "digit_error_rate" in capsys.readouterr().out
    if model == "ctc":
        assert set(result["years"]) == {"lexicon", "language model"}
        assert {path.name for path in tmp_path.glob("run/*.png")} >= {"alignment.png", "lattice.png"}


def test_each_speaker_held_out_by_a_model_of_its_own(tones: str, tmp_path: Path) -> None:
    options = ["--preset", "unseen", "--epochs", "1", "--units", "8", "--features", "learned", "--quiet"]
    train_door.main(["listen-attend", "--data", tones, "--run-dir", str(tmp_path / "run"), *options])
    evaluate_door.main([str(tmp_path / "run")])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert set(result["beam"]) == set(result["greedy"]) == {"ann", "bob"}
    mean = np.mean([one["digit_error_rate"] for one in result["beam"].values()])
    assert result["digit_error_rate"] == pytest.approx(mean) and "each speaker unheard" in result["protocol"]
    assert (tmp_path / "run" / "attention.png").exists()
    # other recordings, of whatever length and number, are judged by both models
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "12_cem_9.wav").write_bytes((Path(tones.removeprefix("recordings:")) / "1_ann_4.wav").read_bytes())
    evaluate_door.main([str(tmp_path / "run"), "--data", f"recordings:{ours}", "--json", str(tmp_path / "ours.json")])
    result = json.loads((tmp_path / "ours.json").read_text())
    assert set(result["beam"]) == {"ann", "bob"} and result["protocol"].endswith("all of it, 4 digits in strings")


def test_a_killed_run_ends_in_the_same_bits(tones: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--data", tones, "--units", "8", "--epochs", "3", "--growth", "1", "--ramp", "1", "--quiet"]
    train_door.main(["ctc", *options, "--run-dir", str(tmp_path / "whole")])

    class Killed(Exception):
        pass

    losses = 0

    def dies(*arguments: object) -> torch.Tensor:
        nonlocal losses
        losses += 1
        if losses > 8:  # in the second epoch
            raise Killed
        return once(*arguments)

    once = recognizer.loss
    monkeypatch.setattr(recognizer, "loss", dies)
    with pytest.raises(Killed):
        train_door.main(["ctc", *options, "--run-dir", str(tmp_path / "cut")])
    monkeypatch.undo()
    train_door.main(["--resume", str(tmp_path / "cut"), "--quiet"])
    whole, cut = (read_state(tmp_path / name)["models"] for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_distances() -> None:
    cases = [("", "12", 2), ("123", "123", 0), ("123", "13", 1), ("2314", "1234", 2), ("0", "9", 1)]
    for one, other, wanted in cases:
        assert edit_distance([*map(int, one)], [*map(int, other)]) == wanted
    nobody = np.zeros((0, 2), np.int64)
    strings = [Recording("", "ann", 0, digits, np.ones(8, np.float32), nobody) for digits in ((1, 2, 3), (4,))]
    assert error_rates([[1, 3], [4]], strings) == {"digit_error_rate": 0.25, "string_error_rate": 0.5}


@pytest.mark.parametrize("features", ["mel", "mfcc", "learned"])
@pytest.mark.parametrize("stride", [2, 4])
def test_steps_are_counted(features: str, stride: int) -> None:
    encoder = Encoder(EncoderSettings(features=features, units=8), stride).eval()
    for samples in (700, 1_000, 1_234):
        found = heard(np.random.default_rng(0).normal(size=samples).astype(np.float32), features)
        assert encoder(padded([found])).shape == (1, encoder.steps(len(found)), 8)


def test_labels_of_words() -> None:
    config = recognizer.Config(labels="characters")
    letters = [recognizer.CHARACTERS[label - 1] for label in config.labelled([1, 2])]
    assert "".join(letters) == "onetwo"
    assert recognizer.read(config.labelled([7, 0]), config.spellings) == [7, 0]
    assert recognizer.read([3, *config.labelled([4])], config.spellings) == [4]  # a letter too many is left out


def test_years_are_four_digits() -> None:
    found = recognizer.years(5_000, np.random.default_rng(0))
    assert set(found) == {tuple(map(int, str(year))) for year in range(1800, 2100)}


def test_a_year_is_one_speakers() -> None:
    nobody = np.zeros((0, 2), np.int64)
    said = [
        Recording("", speaker, 0, (digit,), np.ones(9, np.float32), nobody)
        for speaker, digits in (("ann", range(10)), ("bob", range(9)), ("cem", range(10)))
        for digit in digits
    ]
    found = recognizer.who_says_all(said)
    assert [{one.speaker for by in speaker for one in by} for speaker in found] == [{"ann"}, {"cem"}]
    assert [one.digits for by in found[1] for one in by] == [(digit,) for digit in range(10)]


def test_states_are_told_of_what_is_said() -> None:
    """Viterbi's alignment by a network's chances is as it should be where these are sure."""
    config = hybrid.Config(states=2)
    states = np.array([20, 2, 2, 3, 20, 20, 14, 15, 15])  # a pause, 1, a pause, 7
    scaled = np.full((9, 21), -5.0)
    scaled[np.arange(9), states] = 0
    string = Recording("", "ann", 0, (1, 7), np.ones(1_600, np.float32), np.zeros((3, 2), np.int64))
    np.testing.assert_array_equal(hybrid.aligned(config.topology, string, scaled), states)


@pytest.mark.parametrize("epoch", [0, hybrid.FIRST_EPOCHS])
def test_states_are_first_shared_out_and_then_found(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = hybrid.Config(states=2, units=16)
    model = hybrid.Teller(config)
    monkeypatch.setattr(hybrid, "aligned", lambda topology, one, scaled: np.full(len(scaled), 7))
    string = Recording("", "ann", 0, (1,), np.ones(1_600, np.float32), np.array([[0, 400], [1_200, 1_600]]))
    hybrid.loss(config, model, [heard(string.wave, "mel")], [string], epoch)
    counted = np.flatnonzero(model.counts.numpy() > hybrid.FORGOTTEN + 0.5)
    assert counted.tolist() == ([7] if epoch else [2, 3, 20]), "both states of 1, and the pause"


def test_mistakes_are_one_line(tones: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    def refuse(*more: str, model: str = "ctc", data: str = tones) -> str:
        return refused(train_door.main, model, "--data", data, "--run-dir", str(tmp_path / "run"), *more)

    assert "unknown speaker 'an'; did you mean ann" in refuse("--held-out", "an")
    assert "unknown features 'mell'; did you mean mel" in refuse("--features", "mell")
    assert "unknown labels 'letters'" in refuse("--labels", "letters")
    assert "unknown attention 'luon'" in refuse("--attention", "luon", model="listen-attend")
    assert "states=1: use at least 2" in refuse("--states", "1", model="gmm-hmm")
    assert "warp=0.9: use 0 to 0.5" in refuse("--warp", "0.9")
    folder = Path(tones.removeprefix("recordings:"))
    stereo = tmp_path / "stereo"
    stereo.mkdir()
    with wave.open(str(stereo / "1_ann_5.wav"), "wb") as opened:
        opened.setnchannels(2)
        opened.setsampwidth(2)
        opened.setframerate(44_100)
        opened.writeframes(bytes(400))
    assert "44,100 Hz, 2 channels" in refuse(data=f"recordings:{stereo}")
    long = tmp_path / "long"
    long.mkdir()
    with wave.open(str(long / "1_ann_5.wav"), "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(2)
        opened.setframerate(RATE)
        opened.writeframes(bytes(2 * 21 * RATE))
    assert "1_ann_5.wav: 21.0 s, and at most 20 s are read; cut it" in refuse(data=f"recordings:{long}")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "1_ann_5.wav").write_bytes((folder / "1_ann_5.wav").read_bytes())
    assert "nothing is left to test with; give more speakers or indices" in refuse(data=f"recordings:{alone}")
    for name in ("train", "dr.x"):  # which cannot be names of modules
        named = tmp_path / name
        named.mkdir()
        for digit in range(2):
            sound = (folder / f"{digit}_ann_5.wav").read_bytes()
            (named / f"{digit}_{name}_5.wav").write_bytes(sound)
            (named / f"{digit}_ann_5.wav").write_bytes(sound)
        told = refuse("--held-out", name, data=f"recordings:{named}")
        assert f"a speaker called {name!r} cannot be held out" in told
    assert not (tmp_path / "run").exists()
    assert find("ctc").measures == {"digit_error_rate": ".2%", "string_error_rate": ".2%"}

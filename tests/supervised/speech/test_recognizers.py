"""Recognizers of digits that are tones: they learn, are judged, go on after a kill, and refuse."""

import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data.spoken import RATE

INDICES = {"ann": range(4, 8), "bob": range(4, 7)}  # the first of ann's to be judged by


def tone(digit: int, voice: float, rng: np.random.Generator) -> bytes:
    """A wav file of 0.25 s: two tones after each other, which tell the digit."""
    first, second = 300 + 350 * (digit % 5), 500 + 900 * (digit // 5)
    t = np.arange(int(0.125 * RATE)) / RATE
    sound = np.concatenate([np.sin(2 * np.pi * voice * pitch * t) for pitch in (first, second)])
    samples = 8_000 * sound * rng.uniform(0.5, 1) + 80 * rng.normal(size=len(sound))
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


QUICK = ["--units", "32", "--growth", "3", "--quiet"]
CASES = {
    "gmm-hmm": (["--mixtures", "1", "--voices", "1", "--iterations", "3", "--states", "2", "--quiet"], 0.2),
    "hybrid-hmm": ([*QUICK, "--epochs", "6"], 0.2),
    "ctc": ([*QUICK, "--epochs", "9"], 0.2),
}


@pytest.mark.parametrize("model", list(CASES))
def test_learns_what_tones_mean(model: str, tones: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if model == "gmm-hmm":
        pytest.importorskip("hmmlearn", reason="needs the speech extra")
    options, most = CASES[model]
    train_door.main([model, "--data", tones, "--run-dir", str(tmp_path / "run"), *options])
    evaluate_door.main([str(tmp_path / "run"), "--require", f"digit_error_rate<{most}"])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert "speakers it has heard" in result["protocol"] and "digit_error_rate" in capsys.readouterr().out
    if model == "ctc":
        assert set(result["years"]) == {"lexicon", "language model"}
        assert {path.name for path in tmp_path.glob("run/*.png")} >= {"alignment.png", "lattice.png"}

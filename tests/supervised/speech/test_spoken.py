"""Recordings of digits: read, refused, and put together."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from supervised.data.sources import is_here
from supervised.data.spoken import LONGEST, RATE, Recording, load_spoken, put_together, read_wav, strings
from supervised.training.errors import CorruptFile, UserError


def wav(samples: np.ndarray, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as opened:
        opened.setnchannels(channels)
        opened.setsampwidth(width)
        opened.setframerate(rate)
        opened.writeframes(samples.astype(f"<i{width}" if width > 1 else "u1").tobytes())
    return file.getvalue()


def test_samples_come_back() -> None:
    samples = np.array([0, 16_384, -32_768, 32_767])
    found = read_wav(wav(samples), "a.wav")
    np.testing.assert_array_equal(found, (samples / 32_768).astype(np.float32))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            wav(np.zeros(100), 44_100, 2),
            "a.wav: 44,100 Hz, 2 channels, 16 bits instead of 8,000 Hz, 1 channel",
        ),
        (wav(np.zeros(100), RATE, 1, 1), "8,000 Hz, 1 channel, 8 bits .* convert it: sox a.wav -r 8000 -c 1 -b 16"),
        (wav(np.zeros(0)), "there is no sound in it"),
    ],
)
def test_other_formats_are_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_wav(content, "a.wav")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"ID3 an MP3 file, or whatever", "cannot read a.wav: .*RIFF"),
        (b"", "it ends within its head"),
        (wav(np.zeros(100))[:-50], "75 samples, and its head tells of 100; it is truncated"),
        (wav(np.zeros(100))[:30], "cannot read a.wav"),
    ],
)
def test_damaged_files_are_refused(content: bytes, complaint: str) -> None:
    with pytest.raises(CorruptFile, match=complaint):
        read_wav(content, "a.wav")


def test_a_folder_of_recordings(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to hear")
    (tmp_path / "42_ann_7.wav").write_bytes(wav(np.arange(1_000)))
    (one,) = load_spoken(f"recordings:{tmp_path}")
    assert (one.speaker, one.take, one.digits, one.seconds) == ("ann", 7, (4, 2), 0.125)
    (tmp_path / "hello.wav").write_bytes(wav(np.arange(1_000)))
    with pytest.raises(UserError, match=r"hello.wav: call it DIGITS_SPEAKER_INDEX.wav, such as 42_ann_0.wav"):
        load_spoken(f"recordings:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there are no recordings in it"):
        load_spoken(f"recordings:{tmp_path / 'empty'}")
    with pytest.raises(UserError, match="unknown data 'digits'; did you mean spoken-digits.*; or recordings:PATH"):
        load_spoken("digits")


def test_strings_have_every_recording_once() -> None:
    nobody = np.zeros((0, 2), np.int64)
    said = [
        Recording(f"{k}", speaker, k, (k % 10,), np.full(50 + k, 0.5, np.float32), nobody)
        for speaker in ("ann", "bob")
        for k in range(30)
    ]
    found = strings(said, np.random.default_rng(0))
    parts = [(one.speaker, name) for one in found for name in one.name.split("+")]
    assert sorted(parts) == sorted((one.speaker, one.name) for one in said)
    assert {len(one.digits) for one in found} <= set(range(1, LONGEST + 1))
    one = put_together(said[:3], np.random.default_rng(1))
    quiet = np.zeros(len(one.wave), np.bool_)
    for begin, end in one.pauses:
        assert 0 <= end - begin <= 1_600
        quiet[begin:end] = True
    np.testing.assert_array_equal(quiet, one.wave == 0)
    assert one.digits == (0, 1, 2) and (~quiet).sum() == 50 + 51 + 52


@pytest.mark.skipif(not is_here("fsdd/recordings.tar"), reason="needs the spoken digits")
def test_the_spoken_digits() -> None:
    found = load_spoken("spoken-digits")
    assert len(found) == 3_000 and len({one.speaker for one in found}) == 6
    assert {one.digits for one in found} == {(digit,) for digit in range(10)}
    assert {one.take for one in found} == set(range(50))

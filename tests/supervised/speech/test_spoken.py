"""Recordings of digits: read, refused, and put together."""

import gzip
import io
import tarfile
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


def test_strings_of_recordings_with_several_digits_have_no_more_than_others() -> None:
    nobody = np.zeros((0, 2), np.int64)
    said = [Recording(f"{k}", "ann", k, (1,) * (1 + k % 4), np.ones(9, np.float32), nobody) for k in range(40)]
    said.append(Recording("long", "ann", 99, (2,) * 9, np.ones(9, np.float32), nobody))
    found = strings(said, np.random.default_rng(0))
    assert sorted(name for one in found for name in one.name.split("+")) == sorted(one.name for one in said)
    assert all(len(one.digits) <= LONGEST for one in found if one.name != "long")
    assert max(len(one.name.split("+")) for one in found) > 2


def test_a_cut_archive_is_one_line(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "whole.tar", "w") as archive:
        for index in range(4):
            content = wav(np.arange(5_000))
            member = tarfile.TarInfo(f"1_ann_{index}.wav")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert len(load_spoken(f"recordings:{tmp_path / 'whole.tar'}")) == 4
    (tmp_path / "cut.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[:15_000])
    (tmp_path / "cut.tgz").write_bytes(gzip.compress((tmp_path / "whole.tar").read_bytes())[:3_000])
    for name in ("cut.tar", "cut.tgz"):
        with pytest.raises(CorruptFile, match=f"cannot read .*{name}: .*; it is truncated or damaged"):
            load_spoken(f"recordings:{tmp_path / name}")


@pytest.mark.skipif(not is_here("fsdd/recordings.tar"), reason="needs the spoken digits")
def test_the_spoken_digits() -> None:
    found = load_spoken("spoken-digits")
    assert len(found) == 3_000 and len({one.speaker for one in found}) == 6
    assert {one.digits for one in found} == {(digit,) for digit in range(10)}
    assert {one.take for one in found} == set(range(50))

"""Spoken digits: recordings of them, and strings of digits made by putting some after one another.

The recordings are the Free Spoken Digit Dataset's (Jackson 2016; CC BY-SA 4.0): six speakers say each digit 50 times.
Files are called DIGITS_SPEAKER_INDEX.wav. As that data set's own notes have it, indices 0 to 4 are to be judged by.
"""

import io
import re
import wave
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.data.formats import entries
from supervised.data.sources import locate
from supervised.training.doors import SMOKE
from supervised.training.errors import CorruptFile, UserError, require, suggest

Array = NDArray[Any]

RATE = 8_000  # samples per second, of all that is read
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RECORDINGS = "recordings:"  # and the path of a folder or tar archive
SPOKEN = {"spoken-digits": "fsdd/recordings.tar"}
NAME = re.compile(r"(\d+)_([^_]+)_(\d+)\.wav")
TEST_INDICES = 5  # of each digit and speaker, the first ones
SMOKE_INDICES = {0, TEST_INDICES}  # that SKIDPAD_SMOKE leaves: one to be judged by, one to learn from
PAUSE = 0.2  # s, the longest one between digits of a string
LONGEST = 7  # digits of a string, as in the TIDIGITS corpus (Leonard 1984)


class Recording(NamedTuple):
    """What somebody said."""

    name: str
    speaker: str
    take: int  # the INDEX
    digits: tuple[int, ...]
    wave: Array  # (samples,) float32 from -1 to 1
    pauses: Array  # (digits + 1, 2) int64: where nobody speaks, from the sample on and up to that one; or (0, 2)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.wave) / RATE


def read_wav(content: bytes, name: str) -> Array:
    """Samples ``(n,)`` float32 from -1 to 1 of a wav file of `RATE` samples per second, one channel and 16 bits.

    Raises:
        UserError: another rate, more channels, another format, or nothing in it.
        CorruptFile: no wav file, or less in it than its head tells.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            found = (file.getframerate(), file.getnchannels(), 8 * file.getsampwidth())
            frames, data = file.getnframes(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise CorruptFile(f"cannot read {name}: {str(error) or 'it ends within its head'}; give PCM in RIFF") from error
    if found != (RATE, 1, 16):
        told = f"{found[0]:,} Hz, {found[1]} channel{'s' if found[1] > 1 else ''}, {found[2]} bits"
        remedy = f"convert it: sox {Path(name).name} -r {RATE} -c 1 -b 16 converted.wav"
        raise UserError(f"{name}: {told} instead of {RATE:,} Hz, 1 channel, 16 bits; {remedy}")
    if len(data) != 2 * frames:
        raise CorruptFile(f"{name}: {len(data) // 2:,} samples, and its head tells of {frames:,}; it is truncated")
    require(frames > 0, "recording", name, "there is no sound in it")
    return np.frombuffer(data, "<i2").astype(np.float32) / 2**15


def load_spoken(name: str) -> list[Recording]:
    """The recordings of that name, in the order of their names: ``spoken-digits``, or ``recordings:PATH``.

    Raises:
        UserError: an unknown name, a file that is called otherwise, or what `read_wav` refuses.
        CorruptFile: as `read_wav`.
    """
    if not name.startswith(RECORDINGS) and name not in SPOKEN:
        raise UserError(f"unknown data {name!r}{suggest(name, SPOKEN)}; or {RECORDINGS}PATH")
    path = Path(name.removeprefix(RECORDINGS)) if name.startswith(RECORDINGS) else locate(SPOKEN[name])
    found = []
    for member, file in entries(path):
        if not member.endswith(".wav"):
            continue
        match = NAME.fullmatch(member.rpartition("/")[2])
        if match is None:
            raise UserError(f"{path}/{member}: call it DIGITS_SPEAKER_INDEX.wav, such as 42_ann_0.wav")
        if SMOKE and int(match[3]) not in SMOKE_INDICES:
            continue
        samples = read_wav(file.read(), f"{path}/{member}")
        digits = tuple(map(int, match[1]))
        found.append(Recording(member, match[2], int(match[3]), digits, samples, np.zeros((0, 2), np.int64)))
    require(bool(found), "data", name, "there are no recordings in it")
    return sorted(found, key=lambda one: one.name)


def put_together(parts: list[Recording], rng: np.random.Generator) -> Recording:
    """Recordings one after the other, with pauses of up to `PAUSE` between, before and after."""
    silences = rng.integers(0, int(PAUSE * RATE) + 1, len(parts) + 1)
    pieces, pauses, place = [], [], 0
    for k, silence in enumerate(silences):
        pauses.append((place, place + silence))
        pieces.append(np.zeros(silence, np.float32))
        place += silence
        if k < len(parts):
            pieces.append(parts[k].wave)
            place += len(parts[k].wave)
    digits = tuple(digit for one in parts for digit in one.digits)
    name = "+".join(one.name for one in parts)
    return Recording(name, parts[0].speaker, 0, digits, np.concatenate(pieces), np.array(pauses))


def strings(recordings: list[Recording], rng: np.random.Generator, longest: int = LONGEST) -> list[Recording]:
    """Strings of 1 to ``longest`` digits of one speaker each, so that every recording is in one of them.

    Longer ones are single recordings of more digits.
    """
    found = []
    for speaker in sorted({one.speaker for one in recordings}):
        those = [one for one in recordings if one.speaker == speaker]
        order, first = rng.permutation(len(those)), 0
        while first < len(those):
            wanted, end = int(rng.integers(1, longest + 1)), first + 1
            while sum(len(those[k].digits) for k in order[first : end + 1]) <= wanted and end < len(those):
                end += 1
            found.append(put_together([those[k] for k in order[first:end]], rng))
            first = end
    return found

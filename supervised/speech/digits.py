"""What all recognizers of spoken digits share: who is heard and who is not, and how what they say is judged."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from supervised.data.spoken import TEST_INDICES, Recording, load_spoken, strings
from supervised.judgement import Judgement
from supervised.training.errors import UserError, suggest
from supervised.training.seeding import generators

MEASURES = {"digit_error_rate": ".2%", "string_error_rate": ".2%"}
EACH = "each"  # in place of a speaker: as many models as speakers, each of which has not heard one
ROUNDS = 3  # times that every recording to be judged by is in some string
SECONDS = 20.0  # the longest recording that is read


@dataclass(frozen=True)
class Spoken:
    """Which recordings are learnt from."""

    data: str = "spoken-digits"
    """The recordings: spoken-digits, or recordings:PATH of a folder with DIGITS_SPEAKER_INDEX.wav."""
    held_out: str = ""
    """A speaker who is not learnt from, and judged by; or each of them, by a model of its own. Else indices 0 to 4."""


class Fold(NamedTuple):
    """A model's recordings."""

    train: list[Recording]
    test: list[Recording]


def short(data: str) -> list[Recording]:
    """The recordings of that name, none of which is too long to be read; raises `UserError`, and as `load_spoken`."""
    found = load_spoken(data)
    for one in found:
        if one.seconds > SECONDS:
            raise UserError(f"{one.name}: {one.seconds:.1f} s, and at most {SECONDS:.0f} s are read; cut it")
    return found


def judged_by(config: Spoken, data: str, models: Iterable[str]) -> dict[str, Fold]:
    """The folds of these models; of other data than what they learnt from, everything is to be judged by each."""
    if data == config.data:
        return folds(config)
    recordings = short(data)
    return {name: Fold([], recordings) for name in models}


def folds(config: Spoken) -> dict[str, Fold]:
    """What each model learns from and is judged by, by the speaker held out, or by ``all``.

    Raises:
        UserError: an unknown speaker, nothing to learn from or to be judged by, or a recording that is too long.
        CorruptFile: as `load_spoken`.
    """
    recordings = short(config.data)
    speakers = sorted({one.speaker for one in recordings})
    if config.held_out == "":
        found = {"all": _parted(recordings, lambda one: one.take < TEST_INDICES)}
    elif config.held_out != EACH and config.held_out not in speakers:
        raise UserError(f"unknown speaker {config.held_out!r}{suggest(config.held_out, [EACH, *speakers])}")
    else:
        names = speakers if config.held_out == EACH else [config.held_out]
        found = {name: _parted(recordings, lambda one: one.speaker == name) for name in names}  # noqa: B023
    for fold in found.values():
        for part, rows in fold._asdict().items():
            if not rows:
                raise UserError(f"data={config.data!r}: nothing is left to {part} with; give more speakers or indices")
    return found


def _parted(recordings: Sequence[Recording], judged: Callable[[Recording], bool]) -> Fold:
    return Fold([one for one in recordings if not judged(one)], [one for one in recordings if judged(one)])


def edit_distance(one: Sequence[int], other: Sequence[int]) -> int:
    """The least insertions, deletions and substitutions that make one of the other (Levenshtein 1966)."""
    best = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, best[0] = best[0], i
        for j, b in enumerate(other, 1):
            diagonal, best[j] = best[j], min(best[j] + 1, best[j - 1] + 1, diagonal + (a != b))
    return best[-1]


def error_rates(said: Sequence[Sequence[int]], wanted: Sequence[Recording]) -> dict[str, float]:
    """Digits wrong, of those that were said; and strings with something wrong in them."""
    wrong = [edit_distance(a, b.digits) for a, b in zip(said, wanted, strict=True)]
    return {
        "digit_error_rate": sum(wrong) / sum(len(one.digits) for one in wanted),
        "string_error_rate": float(np.mean([one > 0 for one in wrong])),
    }


def test_strings(recordings: list[Recording]) -> list[Recording]:
    """What is judged by: every recording in `ROUNDS` strings, always the same ones."""
    rng = generators(0, "strings of judging")["strings of judging"]
    return [one for _ in range(ROUNDS) for one in strings(recordings, rng)]


def example(recordings: list[Recording]) -> Recording:
    """A string to draw: the first one of four digits that is judged by."""
    those = test_strings(recordings)
    return next((one for one in those if len(one.digits) == 4), those[0])


def judged(
    config: Spoken,
    name: str,
    models: Iterable[str],
    say: Callable[[str, Recording], Mapping[str, Sequence[int]]],
    draw: Callable[[Path, Mapping[str, Fold]], Iterator[Path]] = lambda folder, parts: iter(()),
) -> Judgement:
    """How many digits of strings are told wrong, the mean of all folds; see `supervised.judgement.Model`.

    Args:
        models: by the names of their folds.
        say: what the model of a fold's name makes of a recording, by how it is decoded; the first way is the measure.
    """
    parts = judged_by(config, name, models)
    details: dict[str, Any] = {}
    for fold, (_, test) in parts.items():
        those = test_strings(test)
        told = [say(fold, one) for one in those]
        for way in told[0]:
            details.setdefault(way, {})[fold] = error_rates([one[way] for one in told], those)
    first = next(iter(details.values())).values()
    measures = {one: float(np.mean([found[one] for found in first])) for one in MEASURES}
    digits = sum(len(one.digits) for fold in parts.values() for one in fold.test)
    heard = {"": "speakers it has heard", EACH: "each speaker unheard"}
    whom = heard.get(config.held_out, f"{config.held_out} unheard") if name == config.data else "all of it"
    protocol = f"{name}, {whom}, {digits:,} digits in strings"
    return Judgement(protocol, measures, details, lambda folder: draw(folder, parts))

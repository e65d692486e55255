"""Strings of digits by a bidirectional LSTM and CTC (Graves et al. 2006, 2013; book, chapter 7, "CTC").

What the LSTM says is added to what convolutions say of the same step by themselves, and both together as well as these
alone are to say the string (Lee and Watanabe 2021). As long as strings have one digit, the convolutions learn alone: a
bidirectional LSTM would learn to say everything at the first step, and stay there for long.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.data.spoken import WORDS, Recording, put_together
from supervised.judgement import Judgement, Model
from supervised.speech.ctc import ctc_loss, said
from supervised.speech.decoding import LanguageModel, beam_search, lattice, lexicon_tree, words_at
from supervised.speech.digits import EACH, MEASURES, Fold, error_rates, example, judged, judged_by
from supervised.speech.encoder import Encoder, EncoderSettings, padded
from supervised.speech.features import heard
from supervised.speech.learning import restored, train_networks
from supervised.speech.pictures import draw_lattice, draw_steps
from supervised.training.errors import UserError, require, suggest
from supervised.training.run import Run
from supervised.training.seeding import generators

Array = NDArray[Any]

LABELS = ("digits", "characters")
CHARACTERS = sorted(set("".join(WORDS)))
YEARS, YEARS_READ = 100, 2_000  # drawn to be judged by, and for the language model to read
LATTICE_WIDTH = 32  # prefixes that the search for a lattice keeps


@dataclass(frozen=True)
class Config(EncoderSettings):
    """A recognizer with CTC."""

    labels: str = "digits"
    """What is told of a step: digits, or the characters of number words."""
    width: int = 8
    """Prefixes that decoding keeps at a step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels not in LABELS:
            raise UserError(f"unknown labels {self.labels!r}{suggest(self.labels, LABELS)}")
        require(self.width >= 1, "width", self.width, "use at least 1")

    @property
    def spellings(self) -> list[list[int]]:
        """The labels of each digit; 0 is the blank."""
        if self.labels == "digits":
            return [[digit + 1] for digit in range(len(WORDS))]
        return [[CHARACTERS.index(one) + 1 for one in word] for word in WORDS]

    def labelled(self, digits: Sequence[int]) -> Array:
        """The labels of a string ``(n,)``."""
        return np.array([label for digit in digits for label in self.spellings[digit]], np.int64)


class Recognizer(nn.Module):
    """``forward(heard (batch, time, n))``: logits ``(batch, steps, labels + 1)`` of all, and those without LSTM."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        classes = 1 + max(label for one in config.spellings for label in one)
        self.encoder = Encoder(config, stride=4 if config.labels == "digits" else 2)
        self.lstm = nn.LSTM(config.units, config.units, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.told, self.told_alone = nn.Linear(2 * config.units, classes), nn.Linear(config.units, classes)
        nn.init.zeros_(self.told.weight)

    def forward(self, heard: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        found = self.encoder(heard)
        alone = self.told_alone(found)
        return alone + self.told(self.dropout(self.lstm(found)[0])), alone


def loss(config: Config, model: Recognizer, rows: Sequence[Array], spoken: Sequence[Recording], epoch: int) -> Tensor:
    """The mean of -log P of strings; see `learning.Loss`."""
    lengths = [model.encoder.steps(len(row)) for row in rows]
    labels = [config.labelled(one.digits) for one in spoken]
    together, alone = model(padded(rows).to(config.device))
    found = ctc_loss(alone.log_softmax(-1), lengths, labels)
    if epoch >= config.growth:
        found = found + ctc_loss(together.log_softmax(-1), lengths, labels)
    # what is said too fast for its labels teaches nothing
    return found[torch.isfinite(found)].sum() / len(rows)


def train(config: Config, run: Run | None = None) -> nn.ModuleDict:
    """Train a recognizer of each fold; see `train_networks`."""
    return train_networks(config, run, partial(Recognizer, config), partial(loss, config))


class Decoder:
    """What the recognizers of a run make of recordings.

    Args:
        models: by the name of their fold.
    """

    def __init__(self, config: Config, models: Mapping[str, Recognizer]) -> None:
        self.config, self.models, self.root = config, models, lexicon_tree(config.spellings)

    @torch.inference_mode()
    def chances(self, fold: str, recording: Recording) -> Array:
        """Logarithms of the chances of labels ``(steps, labels + 1)``."""
        rows = padded([heard(recording.wave, self.config.features)]).to(self.config.device)
        found: Array = self.models[fold](rows)[0][0].double().log_softmax(-1).cpu().numpy()
        return found

    def best(self, log_y: Array, language: LanguageModel | None = None) -> Sequence[int]:
        """The digits that a search with the lexicon finds likeliest."""
        found = beam_search(log_y, self.root, language, width=self.config.width)
        return found[0].words if found else ()

    def say(self, fold: str, recording: Recording) -> dict[str, Sequence[int]]:
        """The digits that a search finds, and those of the likeliest label of each step."""
        log_y = self.chances(fold, recording)
        return {"beam": self.best(log_y), "greedy": read(said(log_y.argmax(1)), self.config.spellings)}


def read(labels: Sequence[int], spellings: Sequence[Sequence[int]]) -> list[int]:
    """Words that labels spell, from left to right; a label that no word begins with here is left out."""
    found, place = [], 0
    while place < len(labels):
        words = [w for w, one in enumerate(spellings) if list(labels[place : place + len(one)]) == list(one)]
        found += words[:1]
        place += len(spellings[words[0]]) if words else 1
    return found


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many digits are told wrong; years with and without a language model; see `supervised.judgement.Model`."""
    decoder = Decoder(config, restored(config, state, partial(Recognizer, config)))
    found = judged(config, name, decoder.models, decoder.say, partial(draw, decoder))
    spoken = {fold: who_says_all(test) for fold, (_, test) in judged_by(config, name, decoder.models).items()}
    years = {"years": of_years(decoder, spoken)} if all(spoken.values()) else {}
    return found._replace(details={**found.details, **years})


def who_says_all(recordings: Sequence[Recording]) -> list[list[list[Recording]]]:
    """Recordings of single digits, by speaker and digit; of those who say all of them."""
    found: dict[str, list[list[Recording]]] = {}
    for one in recordings:
        if len(one.digits) == 1:
            found.setdefault(one.speaker, [[] for _ in WORDS])[one.digits[0]].append(one)
    return [by_digit for by_digit in found.values() if all(by_digit)]


def of_years(decoder: Decoder, spoken: Mapping[str, list[list[list[Recording]]]]) -> dict[str, Any]:
    """Error rates of years: without a language model, and with one that has read enough of them to know all.

    Args:
        spoken: by fold, as of `who_says_all`.
    """
    rng = generators(0, "years")["years"]
    model = LanguageModel(years(YEARS_READ, rng), len(WORDS))
    rates: dict[str, list[dict[str, float]]] = {"lexicon": [], "language model": []}
    for fold, speakers in spoken.items():
        those = []
        for year in years(YEARS, rng):
            by_digit = speakers[rng.integers(len(speakers))]  # a year is one speaker's
            those.append(put_together([by_digit[d][rng.integers(len(by_digit[d]))] for d in year], rng))
        chances = [decoder.chances(fold, one) for one in those]
        for way, language in (("lexicon", None), ("language model", model)):
            rates[way].append(error_rates([decoder.best(one, language) for one in chances], those))
    return {
        way: {one: float(np.mean([rate[one] for rate in found])) for one in MEASURES} for way, found in rates.items()
    }


def years(count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """The digits of so many years drawn from 1800 to 2099."""
    return [tuple(map(int, str(year))) for year in rng.integers(1800, 2100, count)]


def draw(decoder: Decoder, folder: Path, parts: Mapping[str, Fold]) -> Iterator[Path]:
    """Draw what is told of the steps of a string, and what else it may have been."""
    fold, (_, test) = next(iter(parts.items()))
    shown = example(test)
    log_y, spellings = decoder.chances(fold, shown), decoder.config.spellings
    names = ["blank", *(WORDS if decoder.config.labels == "digits" else CHARACTERS)]
    begins, title = words_at(log_y, shown.digits, spellings), "what is told of each step, and from when on each word"
    draw_steps(shown, np.exp(log_y), names, begins, folder / "alignment.png", title)
    yield folder / "alignment.png"
    edges = lattice(log_y, beam_search(log_y, decoder.root, width=LATTICE_WIDTH), spellings)
    draw_lattice(edges, len(log_y), shown.seconds, folder / "lattice.png")
    yield folder / "lattice.png"


PRESETS = {
    "default": Config(),
    "unseen": Config(held_out=EACH),
    "characters": Config(labels="characters"),
    "cepstra": Config(features="mfcc"),
    "learned": Config(features="learned"),
}
ALGORITHMS = {
    "ctc": Model(
        *(Config, PRESETS, train, Recognizer, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
    )
}

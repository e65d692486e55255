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
from supervised.epochs import train_epochs
from supervised.judgement import Judgement, Model
from supervised.speech.ctc import ctc_loss, said
from supervised.speech.decoding import LanguageModel, beam_search, lattice, lexicon_tree, words_at
from supervised.speech.digits import EACH, MEASURES, Fold, error_rates, folds, judged, test_strings
from supervised.speech.encoder import Encoder, EncoderSettings, batches, padded, perturbed
from supervised.speech.features import heard
from supervised.speech.pictures import draw_lattice, draw_steps
from supervised.training.errors import UserError, suggest
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]

LABELS = ("digits", "characters")
CHARACTERS = sorted(set("".join(WORDS)))
CLIP = 5.0  # the longest gradient
YEARS, YEARS_READ = 100, 2_000  # to be judged by, and for the language model to read
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
    """``forward(heard (batch, time, n))`` gives logits ``(batch, steps, labels + 1)`` twice: of all, and without LSTM."""

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


def train(config: Config, run: Run | None = None) -> nn.ModuleDict:
    """Train a recognizer of each fold; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: recordings or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    parts = folds(config)
    models = made(config, parts)
    optimizer = torch.optim.Adam(models.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        losses = [learn_epoch(config, models[name], optimizer, fold.train, epoch, name) for name, fold in parts.items()]
        return {"loss": float(np.mean(losses))}

    train_epochs(config, run or Run.off(), {"models": models, "optimizer": optimizer}, learn)
    return models.eval()


def made(config: Config, names: Mapping[str, Any] | Sequence[str]) -> nn.ModuleDict:
    """Recognizers that have learnt nothing."""
    found = nn.ModuleDict()
    for name in names:
        with seeded_modules(config.seed, f"network {name}"):
            found[name] = Recognizer(config)
    return found.to(torch.device(config.device))


def learn_epoch(
    config: Config,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    recordings: list[Recording],
    epoch: int,
    name: str,
) -> float:
    """Pass through the recordings, and return the mean loss of a digit (nat)."""
    stream = f"{name}, epoch {epoch}"
    rng = generators(config.seed, stream)[stream]
    rows, spoken = zip(*perturbed(config, recordings, epoch, rng), strict=True)
    labels = [config.labelled(one.digits) for one in spoken]
    model.train()
    total = 0.0
    with seeded_modules(config.seed, stream):
        for batch in batches(rows, config.batch_size, rng):
            lengths = [model.encoder.steps(len(rows[k])) for k in batch]
            both = [
                ctc_loss(logits.log_softmax(-1), lengths, [labels[k] for k in batch])
                for logits in model(padded([rows[k] for k in batch]).to(config.device))
            ]
            possible = torch.isfinite(both[0])  # what is said too fast for its labels teaches nothing
            losses = both[1] if epoch < config.growth else both[0] + both[1]
            loss = losses[possible].sum() / len(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            total += both[0][possible].sum().item()
    return total / sum(len(one.digits) for one in spoken)


def restored(config: Config, state: Mapping[str, Any]) -> nn.ModuleDict:
    """The trained recognizers of a checkpoint's state."""
    found = made(config, sorted({name.partition(".")[0] for name in state["models"]}))
    found.load_state_dict(state["models"])
    return found.eval()


@torch.inference_mode()
def log_chances(config: Config, model: nn.Module, recording: Recording) -> Array:
    """Logarithms of the chances of labels ``(steps, labels + 1)``."""
    rows = padded([heard(recording.wave, config.features)]).to(config.device)
    found: Array = model(rows)[0][0].double().log_softmax(-1).cpu().numpy()
    return found


class Decoder:
    """What the recognizers of a run make of recordings, each listened to once.

    Args:
        models: by the name of their fold.
    """

    def __init__(self, config: Config, models: nn.ModuleDict) -> None:
        self.config, self.models, self.root = config, models, lexicon_tree(config.spellings)
        self._heard: dict[tuple[str, int], Array] = {}

    def chances(self, fold: str, recording: Recording) -> Array:
        """See `log_chances`."""
        key = fold, id(recording.wave)
        if key not in self._heard:
            self._heard[key] = log_chances(self.config, self.models[fold], recording)
        return self._heard[key]

    def beam(self, fold: str, recording: Recording) -> Sequence[int]:
        """The digits that a search with the lexicon finds likeliest."""
        found = beam_search(self.chances(fold, recording), self.root, width=self.config.width)
        return found[0].words if found else ()

    def greedy(self, fold: str, recording: Recording) -> Sequence[int]:
        """The digits of the likeliest label of each step; spellings of no digit are left out."""
        labels = said(self.chances(fold, recording).argmax(1))
        return read(labels, self.config.spellings)


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
    decoder = Decoder(config, restored(config, state))
    found = judged(config, name, {"beam": decoder.beam, "greedy": decoder.greedy}, partial(draw, decoder))
    parts = folds(config, name)
    alone = all({one.digits for one in test} >= {(digit,) for digit in range(len(WORDS))} for _, test in parts.values())
    years = {"years": of_years(decoder, parts)} if alone else {}
    return found._replace(details={**found.details, **years})


def of_years(decoder: Decoder, parts: Mapping[str, Fold]) -> dict[str, Any]:
    """Error rates of years, which a language model has read others of: without it, and with it."""
    rng = generators(0, "years")["years"]
    model = LanguageModel([year(rng) for _ in range(YEARS_READ)], len(WORDS))
    rates: dict[str, list[dict[str, float]]] = {"lexicon": [], "language model": []}
    for fold, (_, test) in parts.items():
        by_digit = [[one for one in test if one.digits == (digit,)] for digit in range(len(WORDS))]
        those = [
            put_together([by_digit[digit][rng.integers(len(by_digit[digit]))] for digit in year(rng)], rng)
            for _ in range(YEARS)
        ]
        chances = [decoder.chances(fold, one) for one in those]
        for way, language in (("lexicon", None), ("language model", model)):
            best = [beam_search(one, decoder.root, language, width=decoder.config.width)[:1] for one in chances]
            rates[way].append(error_rates([one[0].words if one else () for one in best], those))
    return {
        way: {one: float(np.mean([rate[one] for rate in found])) for one in MEASURES} for way, found in rates.items()
    }


def year(rng: np.random.Generator) -> tuple[int, ...]:
    """The digits of a year from 1800 to 2099."""
    return tuple(map(int, str(rng.integers(1800, 2100))))


def draw(decoder: Decoder, folder: Path, parts: Mapping[str, Fold]) -> Iterator[Path]:
    """Draw what is told of the steps of a string, and what else it may have been."""
    fold, (_, test) = next(iter(parts.items()))
    shown = next((one for one in test_strings(test) if len(one.digits) == 4), test[0])
    log_y, spellings = decoder.chances(fold, shown), decoder.config.spellings
    names = ["blank", *(WORDS if decoder.config.labels == "digits" else CHARACTERS)]
    draw_steps(shown, np.exp(log_y), names, words_at(log_y, shown.digits, spellings), folder / "alignment.png")
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
        *(Config, PRESETS, train, made, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
    )
}

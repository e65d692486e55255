"""Strings of digits by an encoder that listens, and a decoder that attends and spells.

Of Chan et al. (2016), "Listen, attend and spell" (book, chapter 7, "End-to-end models").

    P(y | sound) = product over i of P(y_i | sound, y_1 ... y_{i-1})

No path through time is added up here: the decoder looks at the steps of the encoder that it weighs most, and says when
it has done. In the beginning strings have one digit, and it learns where to look.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.data.spoken import LONGEST, WORDS, Recording
from supervised.judgement import Judgement, Model
from supervised.language.decoding import State
from supervised.language.recurrent import Decoder, DecoderSettings, begun
from supervised.language.vocabulary import SPECIAL
from supervised.language.vocabulary import padded as numbered
from supervised.speech.digits import EACH, MEASURES, Fold, example, judged
from supervised.speech.encoder import Encoder, EncoderSettings, padded
from supervised.speech.features import heard
from supervised.speech.learning import restored, train_networks
from supervised.speech.pictures import draw_steps
from supervised.training.errors import require
from supervised.training.run import Run

Array = NDArray[Any]

VOCABULARY = (*SPECIAL, *WORDS)
DIGITS_A_SECOND = 8  # which nobody says


@dataclass(frozen=True)
class Config(EncoderSettings):
    """A listener and a speller."""

    epochs: int = 40
    """Passes through what is learnt from."""
    attention: str = "bahdanau"
    """How steps are weighed: bahdanau (additive) or luong (multiplicative)."""
    embedding: int = 32
    """Numbers that stand for a digit."""
    teacher_forcing: float = 0.9
    """Chance that the decoder is given the right digit before in training, and not its own."""
    beam: int = 4
    """Strings that are kept when it is judged; 1: greedy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.attention != "none", "attention", self.attention, "use bahdanau or luong")
        require(self.beam >= 1, "beam", self.beam, "use at least 1")
        _ = self.decoder  # which refuses what it does not know

    @property
    def decoder(self) -> DecoderSettings:
        """The decoder's part of it."""
        return DecoderSettings(
            hidden=2 * self.units,
            embedding=self.embedding,
            attention=self.attention,
            teacher_forcing=self.teacher_forcing,
        )


class Speller(nn.Module):
    """Encoder, LSTM in both directions, and decoder."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.lstm = nn.LSTM(config.units, config.units, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = Decoder(len(VOCABULARY), config.decoder)

    def listen(self, rows: Sequence[Array]) -> State:
        """The decoder's state before the first digit, of what is heard ``(time, n)`` in several strings."""
        device = self.decoder.out.weight.device
        places, last = self.lstm(self.encoder(padded(rows).to(device)))
        counts = torch.tensor([self.encoder.steps(len(row)) for row in rows], device=device)
        seen = torch.arange(places.shape[1], device=device) < counts[:, None]
        first = tuple(one.transpose(0, 1).flatten(1)[:, None] for one in last)
        return self.decoder.begin(first, self.dropout(places), seen)


def targets(strings: Sequence[Recording]) -> Tensor:
    """Tokens ``(batch, time)`` of strings, each with its end."""
    return numbered([[WORDS[digit] for digit in one.digits] for one in strings], VOCABULARY)[0]


def loss(config: Config, model: Speller, rows: Sequence[Array], spoken: Sequence[Recording], epoch: int) -> Tensor:
    """Mean of -log P of a token; see `learning.Loss`."""
    return model.decoder.loss(targets(spoken).to(config.device), model.listen(rows), config.teacher_forcing)


def train(config: Config, run: Run | None = None) -> nn.ModuleDict:
    """Train a model of each fold; see `train_networks`."""
    return train_networks(config, run, partial(Speller, config), partial(loss, config))


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many digits are told wrong; see `supervised.judgement.Model`."""
    models = restored(config, state, partial(Speller, config))

    @torch.inference_mode()
    def say(fold: str, recording: Recording) -> dict[str, list[int]]:
        most = max(LONGEST, int(DIGITS_A_SECOND * recording.seconds)) + 1
        began = models[fold].listen([heard(recording.wave, config.features)])
        found = {way: models[fold].decoder.write(began, most, n) for way, n in (("beam", config.beam), ("greedy", 1))}
        return {
            way: [token - len(SPECIAL) for token in one.tokens[0] if token >= len(SPECIAL)]
            for way, one in found.items()
        }

    return judged(config, name, models, say, partial(draw, config, models))


@torch.inference_mode()
def draw(config: Config, models: Mapping[str, Speller], folder: Path, parts: Mapping[str, Fold]) -> Iterator[Path]:
    """Draw where the decoder looks while it writes a string."""
    fold, (_, test) = next(iter(parts.items()))
    shown = example(test)
    wanted = targets([shown]).to(config.device)
    began = models[fold].listen([heard(shown.wave, config.features)])
    weights = models[fold].decoder(begun(wanted), began)[2]
    names = [VOCABULARY[token] for token in wanted[0]]
    draw_steps(shown, weights[0].T.cpu().numpy(), names, [], folder / "attention.png", "where the decoder looks")
    yield folder / "attention.png"


PRESETS = {"default": Config(), "unseen": Config(held_out=EACH)}
ALGORITHMS = {
    "listen-attend": Model(
        *(Config, PRESETS, train, Speller, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
    )
}

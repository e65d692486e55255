"""Sequence to sequence learning: a text into another, of another length (book, chapter 7).

An encoder reads the input into a state v, and a decoder writes the answer from it (Sutskever et al. 2014, Cho et al.
2014). What is learnt to be as great as it can is

    P(y_1 ... y_T' | x_1 ... x_T) = P(y_1 | v) P(y_2 | v, y_1) ... P(y_T' | v, y_1 ... y_{T'-1})

With attention the decoder looks at all of the encoder's states, and not at the last one alone: see `recurrent`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.ticker import PercentFormatter
from torch import Tensor, nn

from supervised.data.text import join, packed, unpacked
from supervised.epochs import train_epochs
from supervised.judgement import INTERVAL, Judgement, Model, share
from supervised.language.decoding import State
from supervised.language.recurrent import Decoder, DecoderSettings, Encoder, begun, learn_from
from supervised.language.tasks import find_task, pairs
from supervised.language.vocabulary import Vocabulary, padded, vocabulary_of
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError, require
from supervised.training.plots import COLOURS, figure, panels
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

BLOCK = 250  # texts that are translated at once
VALIDATED, UNSEEN, LONGER = (20, 20, 20) if SMOKE else (500, 2_000, 1_000)  # pairs of each kind, drawn
MAPS = 3  # examples whose attention is drawn
TOLD = 10  # examples in evaluation.json
WRITTEN = 64  # tokens of an answer with its end: one that has not ended by then is cut

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Config(DecoderSettings):
    """An encoder and a decoder."""

    data: str = "number-words"
    """The task: number-words, dates, sorting or reversed-copy."""
    longest: int = 0
    """Tokens of the longest input that is learnt from; 0: what the task has for it."""
    limit: int = 64
    """Tokens of the longest input that is read."""
    reverse: bool = False
    """The encoder reads from the last token to the first."""
    both: tyro.conf.FlagConversionOff[bool] = True
    """Half of the encoder's units read from the last token to the first, and half the other way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.longest >= 0, "longest", self.longest, "use 0 or more")
        longest = self.trained_to
        require(longest <= self.limit, "limit", self.limit, f"use at least {longest}, the longest that is learnt from")

    @property
    def trained_to(self) -> int:
        """Tokens of the longest input that is learnt from."""
        return self.longest or find_task(self.data).longest


class Seq2Seq(nn.Module):
    """Encoder and decoder of two vocabularies."""

    source: Tensor
    target: Tensor

    def __init__(self, config: Config, source: Vocabulary, target: Vocabulary) -> None:
        super().__init__()
        self.config, self.device = config, torch.device(config.device)
        self.task, self.vocabularies = find_task(config.data), (source, target)
        with seeded_modules(config.seed, "network"):
            self.encoder = Encoder(len(source), config, config.both)
            self.decoder = Decoder(len(target), config)
        self.register_buffer("source", torch.from_numpy(packed(source)))
        self.register_buffer("target", torch.from_numpy(packed(target)))
        self.to(self.device)

    def read(self, texts: Sequence[list[str]]) -> State:
        """The decoder's state after inputs, each as its tokens."""
        tokens, lengths = padded(texts, self.vocabularies[0], self.config.reverse)
        places, last = self.encoder(tokens.to(self.device), lengths)
        seen = torch.arange(places.shape[1]) < lengths[:, None]
        return self.decoder.begin(last, places, seen.to(self.device))

    def targets(self, answers: Sequence[str]) -> Tensor:
        """Numbers of answers ``(batch, time)``."""
        numbers, _ = padded([self.task.answer(one) for one in answers], self.vocabularies[1])
        return numbers.to(self.device)

    def loss(self, learnt: Pairs) -> Tensor:
        """See `Decoder.loss`."""
        inputs, answers = zip(*learnt, strict=True)
        with autocast(self.device, self.config.dtype):
            state = self.read([self.task.read(one) for one in inputs])
            return self.decoder.loss(self.targets(answers), state, self.config.teacher_forcing)

    @torch.inference_mode()
    def translate(self, texts: Sequence[str], beam: int) -> list[str]:
        """The answers to texts.

        Raises:
            UserError: a text of more tokens than the model reads.
        """
        found = []
        limit = self.config.limit
        for first in range(0, len(texts), BLOCK):
            block = [self.task.read(one) for one in texts[first : first + BLOCK]]
            for text in block:
                if len(text) > limit:
                    shown = join(text, self.task.reads)[:40]
                    raise UserError(f"{shown!r}... has {len(text)} {self.task.reads}: give at most {limit}")
            told = self.decoder.write(self.read(block), WRITTEN, beam).tokens
            found += [join([self.vocabularies[1][token] for token in one], self.task.writes) for one in told]
        return found

    @torch.inference_mode()
    def attended(self, text: str, answer: str) -> Tensor | None:
        """Where the decoder looked at each token of an answer, and at its end: ``(answer, text)``, both with <eos>."""
        weights = self.decoder(begun(self.targets([answer])), self.read([self.task.read(text)]))[2]
        return None if weights is None else weights[0]


def drawn(config: Config, part: str, count: int, stream: str) -> list[tuple[str, str]]:
    """So many pairs of a part, of the lengths that are learnt from; see `tasks.pairs`."""
    rng = generators(config.seed, stream)[stream]
    return list(pairs(find_task(config.data), part, count, rng, config.trained_to))


def exact(model: Seq2Seq, asked: Pairs, beam: int) -> np.ndarray[Any, Any]:
    """Which pairs the model answers right ``(n,)``, to the last character."""
    told = model.translate([text for text, _ in asked], beam)
    return np.array([one == answer for one, (_, answer) in zip(told, asked, strict=True)])


def train(config: Config, run: Run | None = None) -> Seq2Seq:
    """Train an encoder and a decoder; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an unknown task, settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    task = find_task(config.data)
    seen = drawn(config, "train", config.rows, "vocabulary")
    sources, targets = zip(*((task.read(text), task.answer(one)) for text, one in seen), strict=True)
    held_out = drawn(config, "validation", VALIDATED, "validation")
    model = Seq2Seq(config, vocabulary_of(sources), vocabulary_of(targets))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        with seeded_modules(config.seed, name):
            loss = learn_from(drawn(config, "train", config.rows, name), model.loss, optimizer, config)
        return {"loss": loss, "validation_accuracy": float(exact(model, held_out, beam=1).mean())}

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> Seq2Seq:
    """The trained model of a checkpoint's state."""
    model = Seq2Seq(config, *(unpacked(state["model"][name].numpy()) for name in ("source", "target")))
    model.load_state_dict(state["model"])
    return model.eval()


def answer(config: Config, state: Mapping[str, Any], texts: Sequence[str], beam: int) -> list[str]:
    """What a trained model makes of texts; see `supervised.judgement.Model`."""
    return restored(config, state).translate(texts, beam)


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many inputs are answered right whose answers were not there to be learnt from; see `Model`."""
    require(find_task(name) == find_task(config.data), "data", name, f"the model has learnt {config.data}")
    model, longest = restored(config, state), config.trained_to
    beyond = min(2 * longest, config.limit, model.task.most or config.limit)
    rng = generators(0, "judging")["judging"]
    # drawn twice, a short input is asked for once
    unseen = [*dict(pairs(model.task, "test", UNSEEN, rng, longest)).items()]
    longer = [*dict(pairs(model.task, "test", LONGER, rng, beyond, longest + 1)).items()] if beyond > longest else []
    right = exact(model, unseen, config.beam)
    right_beyond = exact(model, longer, config.beam)
    measures = {**share("exact", right), "greedy": float(exact(model, unseen, beam=1).mean())}
    by_length: dict[int, list[bool]] = defaultdict(list)
    for (text, _), good in zip((*unseen, *longer), (*right, *right_beyond), strict=True):
        by_length[len(model.task.read(text))].append(bool(good))
    lengths = {length: by_length[length] for length in sorted(by_length)}
    shown = unseen[:TOLD]
    told = model.translate([text for text, _ in shown], config.beam)
    details = {
        "examples": len(unseen),
        "longer": float(right_beyond.mean()) if longer else None,
        "longer_examples": len(longer),
        "trained_to": longest,
        "by_length": {str(length): [sum(good), len(good)] for length, good in lengths.items()},
        "told": [[text, one, wanted] for (text, wanted), one in zip(shown, told, strict=True)],
    }

    def draw(folder: Path) -> Iterator[Path]:
        draw_lengths(lengths, longest, folder / "lengths.png", f"{name}: inputs answered right", model.task.reads)
        yield folder / "lengths.png"
        if config.attention != "none":
            draw_attention(model, [text for text, _ in shown[:MAPS]], folder / "attention.png")
            yield folder / "attention.png"

    return Judgement(f"{name}, {len(unseen):,} unseen inputs", measures, details, draw)


def draw_lengths(lengths: Mapping[int, Sequence[bool]], longest: int, path: Path, title: str, unit: str) -> None:
    """Draw the share of right answers by length of the input, and up to where it was learnt."""
    with figure(path) as drawing:
        (axes,) = panels(drawing, title)
        axes.plot(list(lengths), [float(np.mean(good)) for good in lengths.values()], "o-", markersize=4)
        axes.axvline(longest + 0.5, color=COLOURS[1], linestyle="--", label="longest to learn from")
        axes.set(ylim=(-0.03, 1.03), xlabel=f"length of the input ({unit})", ylabel="share")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(loc="lower left")


def draw_attention(model: Seq2Seq, texts: Sequence[str], path: Path) -> None:
    """Draw where the decoder looked at each token that it wrote; inputs stand in the order that they were read in."""
    tallest = max(len(model.task.read(text)) for text in texts)
    with figure(path, (1200, max(420, 100 + 14 * tallest))) as drawing:
        row = drawing.subplots(1, len(texts))
        for axes, text, told in zip(row, texts, model.translate(texts, beam=1), strict=True):
            weights = model.attended(text, told)
            assert weights is not None
            read = model.task.read(text)[:: -1 if model.config.reverse else 1]
            axes.imshow(weights.T.float().cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
            axes.set_xticks(range(weights.shape[0]), [*model.task.answer(told), "<eos>"], rotation=90)
            axes.set_yticks(range(weights.shape[1]), [*read, "<eos>"])
            axes.set_title(told, loc="left", fontsize="medium")
            axes.grid(False)


PRESETS = {
    "default": Config(),
    "dates": Config(data="dates", epochs=6),
    "dates-bahdanau": Config(data="dates", epochs=6, attention="bahdanau"),
    "sorting": Config(data="sorting", epochs=20),
    "reversed-copy": Config(data="reversed-copy"),
    "book": Config(attention="none", reverse=True, both=False),
    "book-forward": Config(attention="none", both=False),
}
ALGORITHMS = {
    "seq2seq": Model(
        *(Config, PRESETS, train, Seq2Seq, "epochs", lambda config: config.epochs),
        measures={"exact": ".2%", **INTERVAL, "greedy": ".2%"},
        judge=judge,
        answer=answer,
    )
}

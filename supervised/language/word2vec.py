"""word2vec: vectors of words by what stands near them in a text (Mikolov et al. 2013; book, chapter 7).

How targets are foretold, and the loss of negative sampling, is told in `supervised.language.negative_sampling`. The
full softmax, for small vocabularies, is P(w) = exp(h . o_w) / sum over all words v of exp(h . o_v), learnt by Adam.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.text import UNKNOWN, corpus, packed, unpacked
from supervised.epochs import Settings, train_epochs
from supervised.judgement import Judgement, Model
from supervised.language import related
from supervised.language.negative_sampling import Noise, around, kept, sweep
from supervised.language.ngrams import held_out
from supervised.language.subwords import Subwords
from supervised.language.word_vectors import WordVectors
from supervised.training.errors import UserError, require, suggest
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]

ARCHITECTURES = ("skip-gram", "cbow")
OBJECTIVES = ("negative-sampling", "softmax")


@dataclass(frozen=True)
class Config(Settings):
    """Vectors of words."""

    data: str = "war-and-peace"
    """The text: war-and-peace, or text:PATH."""
    epochs: int = 10
    """Passes through what is learnt from."""
    batch_size: int = 512
    """Targets of a gradient step of softmax; negative sampling takes a step at every place of the text."""
    learning_rate: float = 0.025
    """Step size at the start."""
    architecture: str = "skip-gram"
    """What foretells what: skip-gram (a word those around it) or cbow (those around it the word)."""
    objective: str = "negative-sampling"
    """negative-sampling (compiled, in one thread), or softmax over all words."""
    size: int = 100
    """Numbers of a vector."""
    window: int = 5
    """The most words on either side that count; how many, is drawn from 1 up to it at every place."""
    negatives: int = 5
    """Words of noise for each target."""
    threshold: float = 1e-3
    """Places of words that are a greater share f of the text stay with the chance sqrt(threshold / f) in an epoch."""
    rare: int = 5
    """Words that the training part has fewer times are left out."""
    buckets: int = 0
    """Rows that n-grams of characters are hashed to, as parts of words (fastText); 0: words have no parts."""
    shortest: int = 3
    """Characters of the shortest n-grams, < and > at the word's ends among them."""
    longest: int = 6
    """Characters of the longest n-grams."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("architecture", ARCHITECTURES), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise UserError(f"unknown {name} {getattr(self, name)!r}{suggest(getattr(self, name), known)}")
        for name in ("size", "window", "negatives", "rare", "shortest"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.threshold > 0, "threshold", self.threshold, "use a positive number; 1 keeps every place")
        require(self.buckets >= 0, "buckets", self.buckets, "use 0 or more")
        require(self.longest >= self.shortest, "longest", self.longest, f"use shortest, {self.shortest}, or more")
        for name, plain in (("dtype", "float32"), ("device", "cpu")):
            compiled = self.objective == "softmax" or getattr(self, name) == plain
            require(compiled, name, getattr(self, name), f"negative sampling is compiled for {plain}")

    @property
    def cbow(self) -> bool:
        """Whether those around a word foretell it."""
        return self.architecture == "cbow"

    @property
    def subwords(self) -> Subwords:
        """The parts of words."""
        return Subwords(self.buckets, self.shortest, self.longest)


_SOFTMAX: Mapping[str, Any] = {"objective": "softmax", "rare": 100, "learning_rate": 1e-2, "epochs": 3}
PRESETS = {
    "default": Config(),
    # each of those around a word gets but its share of the gradient, so that steps are longer
    "cbow": Config(architecture="cbow", epochs=20, learning_rate=0.1),
    # and all parts of a word move it, so that steps are shorter
    "subwords": Config(buckets=20_000, learning_rate=0.005),
    "softmax": Config(**_SOFTMAX),
    "cbow-softmax": Config(**_SOFTMAX, architecture="cbow"),
}


class Word2Vec(nn.Module):
    """Vectors of words as sources and as targets.

    Args:
        vocabulary: words by number.
        counts: ``(words,)``, how often the training part has each.
    """

    words: Tensor
    counts: Tensor

    def __init__(self, config: Config, vocabulary: tuple[str, ...], counts: Array) -> None:
        super().__init__()
        self.config, self.vocabulary, self.device = config, vocabulary, torch.device(config.device)
        self.rows = config.subwords.rows(vocabulary)
        sources = torch.empty(len(vocabulary) + config.buckets, config.size)
        with seeded_modules(config.seed, "network"):
            self.inputs = nn.Parameter(nn.init.uniform_(sources, -0.5 / config.size, 0.5 / config.size))
        self.outputs = nn.Parameter(torch.zeros(len(vocabulary), config.size))
        self.register_buffer("words", torch.from_numpy(packed(vocabulary)))
        self.register_buffer("counts", torch.from_numpy(counts))
        self.to(self.device)

    def sources(self) -> Tensor:
        """The vectors of all words ``(words, size)``, of each the sum of its rows."""
        numbers, starts = (torch.from_numpy(one).to(self.device) for one in self.rows)
        return F.embedding_bag(numbers, self.inputs, starts[:-1], mode="sum")

    def unseen(self, word: str) -> Array | None:
        """The vector ``(size,)`` of a word that is not in the vocabulary, by its n-grams; None without any."""
        buckets = self.config.subwords.numbers(word)
        rows = torch.tensor(buckets, dtype=torch.int64) + len(self.vocabulary)
        return self.inputs.detach().cpu()[rows].sum(0).numpy() if buckets else None

    def text(self, tokens: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """What an epoch reads: the places that are kept ``(n,)`` int32, and how far around each words count."""
        chances = kept(self.counts.cpu().numpy(), self.config.threshold)
        found = tokens[rng.random(len(tokens)) < chances[tokens]]
        spans = rng.integers(1, self.config.window + 1, len(found), np.int32)
        return found.astype(np.int32), spans


def sample(
    model: Word2Vec, text: Array, spans: Array, rng: np.random.Generator, rates: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, int]:
    """A pass of negative sampling: the sum of the losses (nat), and how many targets there were."""
    config, noise = model.config, Noise(model.counts.cpu().numpy())
    inputs, outputs = model.inputs.detach().numpy(), model.outputs.detach().numpy()  # the same memory
    return sweep(
        *(inputs, outputs, model.rows, text, spans),
        cbow=config.cbow, noise=noise, negatives=config.negatives, rng=rng, rates=rates,
    )  # fmt: skip


def soften(
    model: Word2Vec, text: Array, spans: Array, rng: np.random.Generator, optimizer: torch.optim.Optimizer | None = None
) -> tuple[float, int]:
    """A pass of softmax; without an optimizer nothing is learnt. Returns as `sample`."""
    sources, targets = examples(text, spans, model.config.cbow)
    order, total = rng.permutation(len(targets)), 0.0
    for batch in np.array_split(order, max(1, -(-len(order) // model.config.batch_size))):
        shown, wanted = (torch.from_numpy(one[batch]).to(model.device) for one in (sources, targets))
        some = (shown >= 0)[..., None]
        with torch.set_grad_enabled(optimizer is not None), autocast(model.device, model.config.dtype):
            hidden = (model.sources()[shown.clamp(min=0)] * some).sum(1) / some.sum(1)
            loss = F.cross_entropy(hidden @ model.outputs.T, wanted)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        total += loss.item() * len(batch)
    return total, len(order)


def examples(text: Array, spans: Array, cbow: bool) -> tuple[Array, Array]:
    """What foretells what: words ``(n, k)``, -1 where there are fewer, and the target of each ``(n,)``."""
    places = around(spans)
    here, column = np.nonzero(places >= 0)
    if not cbow:  # each pair for itself
        return text[here, None].astype(np.int64), text[places[here, column]].astype(np.int64)
    some = np.unique(here)
    return np.where(places >= 0, text[places], -1)[some].astype(np.int64), text[some].astype(np.int64)


def train(config: Config, run: Run | None = None) -> Word2Vec:
    """Train vectors; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: a text that cannot be read or has too few words that are not rare, or a loss that is not finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    text = corpus(config.data, "words", config.rare)
    tokens = text.train[text.train > 0] - 1  # those that are not rare
    several = len(text.vocabulary) > 2
    require(several, "rare", config.rare, f"{config.data} has fewer than two words that often; use less")
    model = Word2Vec(config, text.vocabulary[1:], np.bincount(tokens))
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"model": model}
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)
    if config.objective == "softmax":
        parts["optimizer"] = optimizer

    def learn(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        rng = generators(config.seed, name)[name]
        read, spans = model.text(tokens, rng)
        if config.objective == "softmax":
            total, targets = soften(model, read, spans, rng, optimizer)
        else:
            total, targets = sample(model, read, spans, rng, (config.rate(epoch), config.rate(epoch + 1)))
        return {"loss": total / max(targets, 1), "targets": targets}

    train_epochs(config, run or Run.off(), parts, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> Word2Vec:
    """The trained vectors of a checkpoint's state."""
    saved = state["model"]
    model = Word2Vec(config, unpacked(saved["words"].numpy()), saved["counts"].numpy())
    model.load_state_dict(saved)
    return model.eval()


def word_vectors(config: Config, state: Mapping[str, Any]) -> WordVectors:
    """The vectors of a checkpoint's state, those of words as sources."""
    model = restored(config, state)
    return WordVectors(model.vocabulary, model.sources().detach().cpu().numpy(), model.unseen)


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well the last tenth of a text is foretold, and what is near what; see `supervised.judgement.Model`."""
    model = restored(config, state)
    text = corpus(name, "words", config.rare)
    _, tokens = held_out(text, (UNKNOWN, *model.vocabulary), 0)
    rng = generators(config.seed, "judge")["judge"]
    read, spans = model.text(tokens[tokens > 0] - 1, rng)
    targets = examples(read, spans, config.cbow)[1]
    require(len(targets) > 0, "data", name, "its last tenth has no two words that are known; judge by another text")
    total, _ = (soften if config.objective == "softmax" else sample)(model, read, spans, rng)
    vectors = word_vectors(config, state)
    measures, details = related.measure(vectors)
    found = {"loss": total / len(targets), "baseline": unigram_loss(model, targets), **measures}
    frequent = [model.vocabulary[k] for k in np.argsort(-model.counts.cpu().numpy(), kind="stable")[: related.MOST]]

    def draw(folder: Path) -> Iterator[Path]:
        yield from related.draw(vectors, frequent, folder)

    details |= {"targets": len(targets), "vocabulary": len(model.vocabulary)}
    return Judgement(f"{name}, {len(targets):,} words foretold in its last tenth", found, details, draw)


def unigram_loss(model: Word2Vec, targets: Array) -> float:
    """The mean loss of targets ``(n,)`` by the best scores that do not look at what foretells them (nat).

    P(w) is a word's share of the places that are kept. With softmax the loss is -log P(w). With K words of noise, each
    w with the chance N(w), the best score is x(w) = log P(w) / (K N(w) (1 - P(w))), as noise that is the target is
    passed over; the mean over noise is taken exactly.
    """
    counts = model.counts.cpu().numpy()
    chances = counts * kept(counts, model.config.threshold)
    chances = chances / chances.sum()
    if model.config.objective == "softmax":
        return float(-np.log(chances[targets]).mean())
    noise, drawn = Noise(counts).chances, model.config.negatives
    scores = np.log(chances / (drawn * noise * (1 - chances)))
    of_noise = noise * np.logaddexp(0, scores)
    losses = np.logaddexp(0, -scores) + drawn * (of_noise.sum() - of_noise)
    return float(losses[targets].mean())


ALGORITHMS = {
    "word2vec": Model(
        *(Config, PRESETS, train, Word2Vec, "epochs", lambda config: config.epochs),
        measures={"loss": ".3f", "baseline": ".3f", "related": ".1%", "analogies": ".1%"},
        judge=judge,
        vectors=word_vectors,
    )
}

"""Pairs of words a second of word2vec, against a plain PyTorch loop and gensim; characters of an LSTM, against a loop.

All sides of word2vec learn skip-gram with negative sampling of the same text in one thread: vectors of the same size,
every place with all words of a window as targets, no subsampling, the same number of negatives for each pair. So a pass
has the same pairs, which are counted and not estimated. Ours and gensim's draw their noise and read the text as they
go, gensim's from strings, as it takes no numbers. The loop gets pairs and noise made beforehand, and is left with what
PyTorch is for: look-ups of a batch, scores, losses, sparse gradients and steps.

The LSTM is the book's, two layers of 512, of the novel's first characters. The loop learns the same batches by the same
network in float32, in torch's fused LSTM; ours multiplies bfloat16 where the processor can. What both have learnt by
then, in bits a character, stands in the settings.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from gensim.models import Word2Vec as Gensim
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.text import corpus
from supervised.language.characters import PRESETS, CharacterModel, Config, batches, lanes
from supervised.language.characters import learn as learn_characters
from supervised.language.negative_sampling import Noise, sizes, sweep
from supervised.language.subwords import Subwords
from supervised.language.word2vec import examples
from supervised.training.precision import multiplies_bfloat16
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement, rates

Array = NDArray[Any]

WORDS, TEXT = (50, 500) if SMOKE else (10_000, 100_000)
SENTENCE = 1000  # words of a list for gensim, which reads lists
SIZE, WINDOW, NEGATIVES, RATE = 100, 5, 5, 0.025
BATCH = 1024  # pairs of a step of the loop
LOOP, GENSIM, LSTM = 5.0, 0.5, 1.3
STEPS = 2 if SMOKE else 20  # batches of characters


def run() -> Iterator[Measurement]:
    """Measure all of it."""
    set_threads(1)
    yield from word_vectors()
    yield characters_read()


def word_vectors() -> Iterator[Measurement]:
    """Skip-gram, of a text whose words are as frequent as in natural ones (Zipf)."""
    chances = 1 / np.arange(1, WORDS + 1)
    text = np.random.default_rng(0).choice(WORDS, TEXT, p=chances / chances.sum()).astype(np.int32)
    found = rates({"ours": ours(text), "loop": loop(text), "gensim": gensim(text)}, seconds=0)
    settings = {"size": SIZE, "window": WINDOW, "negatives": NEGATIVES, "vocabulary": WORDS, "threads": 1}
    for peer, name, goal, more in (
        ("loop", "a PyTorch loop", LOOP, {"batch": BATCH}),
        ("gensim", "gensim", GENSIM, {}),
    ):
        yield Measurement(
            f"word2vec, skip-gram, against {name}",
            *(found["ours"], found[peer], "pairs/s", found["ours"] / found[peer], goal),
            settings={**settings, **more, "dtype": "float32"},
        )


def ours(text: Array) -> Callable[[], int]:
    """A pass of `supervised.language.negative_sampling`."""
    rng = np.random.default_rng(0)
    inputs = ((rng.random((WORDS, SIZE)) - 0.5) / SIZE).astype(np.float32)
    outputs = np.zeros((WORDS, SIZE), np.float32)
    rows = Subwords(0, 3, 6).rows([""] * WORDS)
    noise, spans = Noise(np.bincount(text, minlength=WORDS)), np.full(len(text), WINDOW, np.int32)

    def learn() -> int:
        keywords: Any = {"cbow": False, "noise": noise, "negatives": NEGATIVES, "rng": rng, "rates": (RATE, RATE)}
        return sweep(inputs, outputs, rows, text, spans, **keywords)[1]

    return learn


def loop(text: Array) -> Callable[[], int]:
    """Batches of pairs through two tables, as tutorials of PyTorch have it."""
    sources, targets = (torch.from_numpy(one) for one in examples(text, np.full(len(text), WINDOW), cbow=False))
    noise = Noise(np.bincount(text, minlength=WORDS)).draw(np.random.default_rng(0), len(targets), NEGATIVES)
    negatives = torch.from_numpy(noise.astype(np.int64))
    inputs, outputs = (nn.Embedding(WORDS, SIZE, sparse=True) for _ in range(2))
    optimizer = torch.optim.SGD([*inputs.parameters(), *outputs.parameters()], lr=RATE)

    def learn() -> int:
        for first in range(0, len(targets), BATCH):
            batch = slice(first, first + BATCH)
            h = inputs(sources[batch, 0])
            right = (h * outputs(targets[batch])).sum(1)
            wrong = torch.bmm(outputs(negatives[batch]), h[:, :, None])[:, :, 0]
            loss = -(F.logsigmoid(right).sum() + F.logsigmoid(-wrong).sum())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return len(targets)

    return learn


def gensim(text: Array) -> Callable[[], int]:
    """A pass of gensim, with windows of one width as ours."""
    words = [str(word) for word in text.tolist()]
    sentences = [words[first : first + SENTENCE] for first in range(0, len(words), SENTENCE)]
    model = Gensim(
        vector_size=SIZE, window=WINDOW, shrink_windows=False, negative=NEGATIVES, sg=1, sample=0, min_count=1,
        alpha=RATE, min_alpha=RATE, workers=1, seed=0,
    )  # fmt: skip
    model.build_vocab(sentences)
    pairs = sum(int(sizes(np.full(len(one), WINDOW)).sum()) for one in sentences)

    def learn() -> int:
        model.train(sentences, total_examples=len(sentences), epochs=1)
        return pairs

    return learn


def characters_read() -> Measurement:
    """The book's two layers of 512, in bfloat16, against the loop of a tutorial, with what both have learnt."""
    config = PRESETS["book"]
    config = dataclasses.replace(config, dropout=0.0, dtype="bfloat16" if multiplies_bfloat16("cpu") else "float32")
    if SMOKE:
        config = dataclasses.replace(config, units=8, sequence=5)
    text = corpus("war-and-peace", "characters")
    read = lanes(text.train, config.batch_size, 0)[: STEPS * config.sequence + 1]
    bits: dict[str, float] = {}
    sides = {
        "ours": writer(config, text.vocabulary, read, bits),
        "peer": plain_writer(config, text.vocabulary, read, bits),
    }
    found = rates(sides, seconds=0, rounds=3)
    return Measurement(
        "character LSTM, bfloat16, PyTorch loop in float32",
        *(found["ours"], found["peer"], "characters/s", found["ours"] / found["peer"], LSTM),
        settings={
            **{name: getattr(config, name) for name in ("dtype", "layers", "units", "batch_size", "sequence")},
            "threads": 1,
            **{f"bits_{name}": round(float(value), 3) for name, value in bits.items()},
        },
    )


def writer(config: Config, vocabulary: tuple[str, ...], read: Tensor, bits: dict[str, float]) -> Callable[[], int]:
    """A pass of `supervised.train char-lm`."""
    model = CharacterModel(config, vocabulary)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn_on() -> int:
        bits["ours"] = learn_characters(model, optimizer, read)
        return read[1:].numel()

    return learn_on


def plain_writer(
    config: Config, vocabulary: tuple[str, ...], read: Tensor, bits: dict[str, float]
) -> Callable[[], int]:
    """The same network and steps, as tutorials of PyTorch write them."""
    model = CharacterModel(dataclasses.replace(config, dtype="float32"), vocabulary).network
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)

    def learn_on() -> int:
        state, total = None, 0.0
        for inputs, targets in batches(read, config.sequence):
            optimizer.zero_grad()
            logits, (h, c) = model(inputs, state)
            state = h.detach(), c.detach()
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            total += loss.item() * targets.numel()
        bits["loop"] = total / read[1:].numel() / math.log(2)
        return read[1:].numel()

    return learn_on

"""The neural probabilistic language model: the next word from vectors of those before it (Bengio et al. 2003).

Of the n - 1 words before, each as a row of a matrix C that all places share (book, chapter 7):

    x = concat(C(w_{t-n+1}), ..., C(w_{t-1}))
    z = tanh(H x + d)
    P(w_t | w_{t-n+1} ... w_{t-1}) = softmax(U z + b)

Words that are used alike get similar vectors, so that what was learnt of one sequence holds for many others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.text import Corpus, corpus, packed, unpacked
from supervised.epochs import Settings, train_epochs
from supervised.judgement import Judgement, Model
from supervised.language.ngrams import SAMPLE, NGrams, held_out
from supervised.language.sampling import Prompt
from supervised.language.word_vectors import WordVectors
from supervised.training.errors import require
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]

BLOCK = 2048  # words judged at once
TRIGRAMS = 3  # the n-grams that it is mixed with


@dataclass(frozen=True)
class Config(Settings):
    """A neural probabilistic language model."""

    data: str = "war-and-peace"
    """The text: war-and-peace, or text:PATH."""
    epochs: int = 4
    """Passes through what is learnt from."""
    batch_size: int = 256
    """Words of a gradient step."""
    learning_rate: float = 2e-3
    """Step size at the start."""
    dtype: str = "bfloat16"
    """Arithmetic of the network: float32, or bfloat16 (faster on some processors)."""
    order: int = 5
    """n: a word is foretold from the n - 1 before it."""
    size: int = 100
    """Numbers of a word's vector."""
    hidden: int = 128
    """Units of the hidden layer."""
    dropout: float = 0.2
    """Share of the numbers before and after the hidden layer that a step leaves out."""
    rare: int = 2
    """Words that the training part has fewer times are unknown ones."""
    validation: float = 0.0
    """Share of the training part, its end, that is not learnt from but judged by after every epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.order >= 2, "order", self.order, "use 2 or more")
        for name in ("size", "hidden", "rare"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "use 0 up to less than 1")
        require(0 <= self.validation < 1, "validation", self.validation, "use a share from 0 to below 1")


class NeuralLM(nn.Module):
    """The network: ``forward(contexts (batch, order - 1))`` returns logits ``(batch, words)`` of the next words.

    Args:
        vocabulary: words by number; number 0 is for all others.
    """

    words: Tensor

    def __init__(self, config: Config, vocabulary: tuple[str, ...]) -> None:
        super().__init__()
        self.config, self.vocabulary, self.device = config, vocabulary, torch.device(config.device)
        with seeded_modules(config.seed, "network"):
            self.embedding = nn.Embedding(len(vocabulary), config.size)  # C
            self.hidden = nn.Linear((config.order - 1) * config.size, config.hidden)  # H, d
            self.output = nn.Linear(config.hidden, len(vocabulary))  # U, b
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("words", torch.from_numpy(packed(vocabulary)))
        self.to(self.device)

    def forward(self, contexts: Tensor) -> Tensor:
        """See the class."""
        x = self.embedding(contexts).flatten(1)  # x = concat(C(w), ...)
        z = torch.tanh(self.hidden(self.dropout(x)))  # z = tanh(H x + d)
        return self.output(self.dropout(z))  # U z + b, whose softmax is P

    def losses(self, contexts: Array, words: Array) -> Tensor:
        """-log P (nat) of words ``(batch,)`` after contexts ``(batch, order - 1)``."""
        before, wanted = (torch.tensor(one, device=self.device) for one in (contexts, words))
        with autocast(self.device, self.config.dtype):
            logits = self(before)
        return F.cross_entropy(logits.float(), wanted, reduction="none")

    @torch.no_grad()
    def chances(self, contexts: Array, words: Array) -> Array:
        """P(word | context) ``(n,)`` of contexts ``(n, order - 1)`` and words ``(n,)``."""
        self.eval()
        starts = range(0, len(words), BLOCK)
        losses = [self.losses(contexts[k : k + BLOCK], words[k : k + BLOCK]) for k in starts]
        return torch.cat(losses).neg().exp().double().cpu().numpy()

    @torch.no_grad()
    def write(self, prompt: Prompt) -> str:
        """The text that is made up, its beginning included."""
        self.eval()

        def chances(context: Array) -> Array:
            return self(torch.tensor(context[None], device=self.device))[0].softmax(0).cpu().numpy()

        return prompt.write("words", self.vocabulary, self.config.order - 1, chances)


def train(config: Config, run: Run | None = None) -> NeuralLM:
    """Train a network; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: a text that cannot be read or is too short, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    text = corpus(config.data, "words", config.rare)
    require(len(text.vocabulary) > 1, "rare", config.rare, f"{config.data} has no word that often; use less")
    learnt = len(text.train) - round(config.validation * len(text.train))
    require(learnt >= config.order, "order", config.order, f"{config.data} is shorter than that")
    text = Corpus(text.train[:learnt], text.train[learnt:], text.vocabulary)
    model = NeuralLM(config, text.vocabulary)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)
    every = np.lib.stride_tricks.sliding_window_view(text.train, config.order)

    def learn(epoch: int) -> dict[str, float]:
        name, total = f"epoch {epoch}", 0.0
        order = generators(config.seed, name)[name].permutation(len(every))
        model.train()
        with seeded_modules(config.seed, name):
            for rows in np.array_split(order, -(-len(order) // config.batch_size)):
                batch = every[rows]
                loss = model.losses(batch[:, :-1], batch[:, -1]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
        metrics = {"loss": total / len(order)}
        if len(text.test):
            unread = held_out(text, text.vocabulary, config.order - 1)
            metrics["validation_loss"] = float(-np.log(model.chances(*unread)).mean())
        return metrics

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> NeuralLM:
    """The trained network of a checkpoint's state."""
    model = NeuralLM(config, unpacked(state["model"]["words"].numpy()))
    model.load_state_dict(state["model"])
    return model.eval()


def word_vectors(config: Config, state: Mapping[str, Any]) -> WordVectors:
    """C of a checkpoint's state, but for the row of unknown words."""
    model = restored(config, state)
    return WordVectors(model.vocabulary[1:], model.embedding.weight.detach()[1:].cpu().numpy())


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well the last tenth of a text is foretold, alone and mixed with n-grams; see `supervised.judgement.Model`."""
    model = restored(config, state)
    before = config.order - 1
    histories, words = held_out(corpus(name, "words", config.rare), model.vocabulary, max(before, TRIGRAMS - 1))
    chances = model.chances(histories[:, -before:], words)
    learnt = corpus(config.data, "words", config.rare)
    counted = NGrams.counted(learnt.train, learnt.vocabulary, TRIGRAMS)
    mixed = (chances + counted.probabilities(histories, words, "kneser-ney")) / 2  # half of each, as in the paper
    nats, nats_mixed = (float(-np.log(one).mean()) for one in (chances, mixed))
    measures = {
        "perplexity": float(np.exp(nats)),
        "bits": nats / float(np.log(2)),
        "with_trigrams": float(np.exp(nats_mixed)),
    }
    details = {"tokens": len(words), "sample": model.write(Prompt(length=SAMPLE, seed=config.seed))}
    return Judgement(f"{name}, {len(words):,} words of its last tenth", measures, details)


PRESETS = {"default": Config()}
ALGORITHMS = {
    "neural-lm": Model(
        *(Config, PRESETS, train, NeuralLM, "epochs", lambda config: config.epochs),
        measures={"perplexity": ".2f", "bits": ".3f", "with_trigrams": ".2f"},
        judge=judge,
        vectors=word_vectors,
        write=lambda config, state, prompt: restored(config, state).write(prompt),
    )
}

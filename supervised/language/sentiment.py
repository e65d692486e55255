"""Sentiment: whether a text says something good or bad, of the last state of a recurrent network that has read it.

Many in, one out: the loss is the cross-entropy -log softmax(logits)[class] of the last state (book, chapter 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.text import packed, tokens, unpacked
from supervised.epochs import train_epochs
from supervised.judgement import ACCURACY, Judgement, Model, told
from supervised.language.recurrent import Encoder, RecurrentSettings, learn_from
from supervised.language.reviews import CLASSES, load_reviews, unseen
from supervised.language.vocabulary import UNK, Vocabulary, padded, vocabulary_of
from supervised.training.errors import require
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

HELD_OUT = 200  # reviews of the training part that say how well it goes


@dataclass(frozen=True)
class Config(RecurrentSettings):
    """A recurrent network that tells a text's class."""

    data: str = "reviews"
    """The texts: reviews."""
    epochs: int = 20
    """Passes through what is learnt from."""
    batch_size: int = 20
    """Texts of a gradient step."""
    embedding: int = 32
    """Numbers that stand for a word."""
    hidden: int = 64
    """Units of a recurrent layer, half of which read from the last word to the first."""
    unknown: float = 0.1
    """Chance that a word is learnt as an unknown one, so that texts may have words that are not known."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.unknown < 1, "unknown", self.unknown, "use 0 or more, and less than 1")


class Classifier(nn.Module):
    """A recurrent network in both directions, and a layer over its last states."""

    words: Tensor

    def __init__(self, config: Config, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.device, self.vocabulary = config, torch.device(config.device), vocabulary
        with seeded_modules(config.seed, "network"):
            self.encoder = Encoder(len(vocabulary), config, both=True)
            self.out = nn.Linear(config.hidden, len(CLASSES))
        self.register_buffer("words", torch.from_numpy(packed(vocabulary)))
        self.to(self.device)

    def forward(self, texts: Sequence[str], unknown: float = 0.0) -> Tensor:
        """Logits ``(batch, classes)`` of texts, of whose words so many are not to be known."""
        numbers, lengths = padded([tokens(one, "words") for one in texts], self.vocabulary)
        if unknown:
            hidden = (torch.rand(numbers.shape) < unknown) & (torch.arange(numbers.shape[1]) < lengths[:, None] - 1)
            numbers = numbers.masked_fill(hidden, UNK)
        with autocast(self.device, self.config.dtype):
            _, last = self.encoder(numbers.to(self.device), lengths)
            logits: Tensor = self.out(last[0][:, -1])
        return logits

    def loss(self, examples: Sequence[tuple[str, int]]) -> Tensor:
        """The mean cross-entropy of texts and their classes."""
        texts, labels = zip(*examples, strict=True)
        return F.cross_entropy(self(texts, self.config.unknown), torch.tensor(labels, device=self.device))

    @torch.inference_mode()
    def chances(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Of each class ``(n, classes)``."""
        return self(texts).softmax(1).float().cpu().numpy()


def train(config: Config, run: Run | None = None) -> Classifier:
    """Train a network; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    every = load_reviews(config.data).train
    examples = list(zip(every.inputs.tolist(), every.labels.tolist(), strict=True))
    learnt, held_out = examples[:-HELD_OUT], every.take(slice(-HELD_OUT, None))
    model = Classifier(config, vocabulary_of(tokens(text, "words") for text, _ in learnt))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        order = generators(config.seed, name)[name].permutation(len(learnt))
        with seeded_modules(config.seed, name):
            loss = learn_from([learnt[row] for row in order], model.loss, optimizer, config)
        right = model.chances(held_out.inputs.tolist()).argmax(1) == held_out.labels
        return {"loss": loss, "validation_accuracy": float(right.mean())}

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> Classifier:
    """The trained network of a checkpoint's state."""
    model = Classifier(config, unpacked(state["model"]["words"].numpy()))
    model.load_state_dict(state["model"])
    return model.eval()


def answer(config: Config, state: Mapping[str, Any], texts: Sequence[str], beam: int) -> list[str]:
    """The likeliest class of each text, and its chance; see `supervised.judgement.Model`."""
    chances = restored(config, state).chances(texts)
    return [f"{CLASSES[one.argmax()]} ({one.max():.0%})" for one in chances]


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many unseen texts' classes are told right, and how many of those with an unseen negation; see `Model`."""
    data = load_reviews(name)
    classes = restored(config, state).chances(data.test.inputs.tolist()).argmax(1)
    found = told(name, data, classes)
    strange = np.array([unseen(text) for text in data.test.inputs.tolist()])
    right = classes == data.test.labels
    return found._replace(measures={**found.measures, "unseen_negations": float(right[strange].mean())})


PRESETS = {"default": Config()}
ALGORITHMS = {
    "sentiment": Model(
        *(Config, PRESETS, train, Classifier, "epochs", lambda config: config.epochs),
        measures={**ACCURACY, "unseen_negations": ".2%"},
        judge=judge,
        answer=answer,
    )
}

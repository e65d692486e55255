"""Language models of characters: recurrent networks, as the book's (chapter 7), and a Transformer beside them.

Recurrent ones learn by truncated back-propagation through time: a text is parted into as many lanes as a batch has,
which are read side by side from their beginnings; what a network remembers at the end of a batch is where the next one
begins, and gradients stay within a batch. A Transformer sees the characters of a batch, and remembers none before it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.text import corpus
from supervised.epochs import Settings, train_epochs
from supervised.judgement import Judgement, Model
from supervised.language.sampling import Prompt
from supervised.training.errors import UserError, require, suggest
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.transformer import Transformer, sinusoids

CELLS = ("lstm", "gru", "transformer")
HEAD = 64  # units of a Transformer's head
JUDGED_LANES = 64  # side by side in judging
UNREAD = -100  # in place of a character that is not judged
SAMPLE = Prompt(length=200)  # what is made up after every epoch, as the book shows it

State = Any  # what a network remembers: tensors of its own


@dataclass(frozen=True)
class Config(Settings):
    """A language model of characters."""

    data: str = "war-and-peace"
    """The text: war-and-peace, or text:PATH."""
    epochs: int = 8
    """Passes through what is learnt from."""
    batch_size: int = 64
    """Lanes that the text is parted into, read side by side."""
    learning_rate: float = 4e-3
    """Step size at the start."""
    dtype: str = "bfloat16"
    """Arithmetic of the network: float32, or bfloat16 (faster on some processors)."""
    cell: str = "lstm"
    """What reads: lstm, gru or transformer."""
    layers: int = 1
    """Layers upon each other."""
    units: int = 256
    """Units of each layer."""
    sequence: int = 100
    """Characters of a lane in a batch: gradients go back no further, and a Transformer sees as many."""
    dropout: float = 0.0
    """Share of the units after each layer that a step leaves out."""
    clip: float = 5.0
    """The norm that gradients are cut to."""
    reset_every: int = 100
    """Batches after which a recurrent network forgets, so that it learns to begin, too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell not in CELLS:
            raise UserError(f"unknown cell {self.cell!r}{suggest(self.cell, CELLS)}")
        for name in ("layers", "units", "sequence", "reset_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "use 0 up to less than 1")
        require(self.clip > 0, "clip", self.clip, "use a positive number")
        heads = self.cell != "transformer" or self.units % HEAD == 0
        require(heads, "units", self.units, f"a Transformer's heads have {HEAD} each: use a multiple")


_BOOK: Mapping[str, Any] = {"layers": 2, "units": 512, "learning_rate": 2e-3}
PRESETS = {
    "default": Config(),
    "gru": Config(cell="gru"),
    # the book's two layers of 512
    "book": Config(**_BOOK, batch_size=32, epochs=14, dropout=0.2),
    # as many weights, and about as long
    "transformer": Config(
        cell="transformer", layers=4, units=256, sequence=256, batch_size=32, learning_rate=1e-3, epochs=10, dropout=0.1
    ),
}


class Recurrent(nn.Module):
    """Characters one-hot, recurrent layers, and a linear one.

    ``forward(numbers (time, lanes), state)`` returns logits ``(time, lanes, characters)`` of the next characters, and
    the state after the last; None as a state: nothing was read before.
    """

    def __init__(self, config: Config, characters: int) -> None:
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[config.cell]
        between = config.dropout if config.layers > 1 else 0.0
        self.layers = kind(characters, config.units, config.layers, dropout=between)
        # of a one-hot vector one weight is left: torch's are small, as if all counted, and learning would start late
        nn.init.normal_(self.layers.weight_ih_l0)
        if config.cell == "lstm":  # gates that forget are open at first (Jozefowicz et al. 2015), as the book's are
            for name, bias in self.layers.named_parameters():
                if name.startswith("bias_hh"):
                    nn.init.ones_(bias[config.units : 2 * config.units])
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.units, characters)
        self.characters = characters

    def forward(self, numbers: Tensor, state: State = None) -> tuple[Tensor, State]:
        """See the class."""
        hidden, state = self.layers(F.one_hot(numbers, self.characters).float(), state)
        return self.out(self.dropout(hidden)), state  # y_t = s_t V


class Attentive(nn.Module):
    """A Transformer over the characters so far, a window of ``config.sequence`` at the most.

    `Recurrent`'s forward, of no more than a window; the state is the characters before, of which the new ones see as
    many as there is room for.
    """

    places: Tensor

    def __init__(self, config: Config, characters: int) -> None:
        super().__init__()
        self.window = config.sequence
        self.embedding = nn.Embedding(characters, config.units)
        heads = config.units // HEAD
        self.layers = Transformer(config.units, config.layers, heads, causal=True, dropout=config.dropout)
        self.out = nn.Linear(config.units, characters)
        self.register_buffer("places", sinusoids(self.window, config.units), persistent=False)

    def forward(self, numbers: Tensor, state: State = None) -> tuple[Tensor, State]:
        """See the class."""
        before = numbers[:0] if state is None else state[max(0, len(state) + len(numbers) - self.window) :]
        read = torch.cat([before, numbers])
        places = self.embedding(read.T) + self.places[: len(read)]
        hidden = self.layers(places)[:, len(before) :].transpose(0, 1)
        return self.out(hidden), read


class CharacterModel(nn.Module):
    """A network and the characters that it knows.

    Args:
        vocabulary: characters by number; number 0 is for all others.
    """

    vocabulary: Tensor

    def __init__(self, config: Config, vocabulary: tuple[str, ...]) -> None:
        super().__init__()
        self.config, self.device = config, torch.device(config.device)
        with seeded_modules(config.seed, "network"):
            kind = Attentive if config.cell == "transformer" else Recurrent
            self.network = kind(config, len(vocabulary))
        code_points = [0, *map(ord, vocabulary[1:])]
        self.register_buffer("vocabulary", torch.tensor(code_points))
        self.to(self.device)

    def forward(self, numbers: Tensor, state: State = None) -> tuple[Tensor, State]:
        """See `Recurrent`; numbers on any device."""
        with autocast(self.device, self.config.dtype):
            logits, state = self.network(numbers.to(self.device), state)
        return logits.float(), state

    def write(self, prompt: Prompt) -> str:
        """The text that the model makes up, its beginning included; never a character it does not know."""
        rng = generators(prompt.seed, "sample")["sample"]
        known = {chr(point): number for number, point in enumerate(self.vocabulary.tolist()) if number}
        text = [known.get(one, 0) for one in prompt.prime or "\n"]
        made, state, numbers = prompt.prime, None, torch.tensor(text)[:, None]
        with torch.inference_mode():
            for _ in range(prompt.length):
                for part in numbers.split(self.config.sequence):
                    logits, state = self(part, state)
                chances = logits[-1, 0].softmax(0).cpu().numpy()
                chances[0] = 0
                number = prompt.draw(chances, rng)
                made += chr(int(self.vocabulary[number]))
                numbers = torch.tensor([[number]])
        return made


def lanes(numbers: NDArray[np.int64], count: int, start: int) -> Tensor:
    """A text from ``start`` on, parted into so many lanes ``(time, lanes)``, each with its last character's target."""
    length = (len(numbers) - start - 1) // count
    parts = [numbers[start + k * length : start + (k + 1) * length + 1] for k in range(count)]
    return torch.from_numpy(np.stack(parts, 1))


def batches(read: Tensor, sequence: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets ``(time, lanes)`` of `lanes`, one after the other."""
    for first in range(0, len(read) - 1, sequence):
        part = read[first : first + sequence + 1]
        yield part[:-1], part[1:]


def train(config: Config, run: Run | None = None) -> CharacterModel:
    """Train a language model; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: a text that cannot be read or is too short, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    text, run = corpus(config.data, "characters"), run or Run.off()
    enough = len(text.train) > config.batch_size * 2 + config.sequence
    require(enough, "batch_size", config.batch_size, f"{config.data} is too short for so many lanes")
    model = CharacterModel(config, text.vocabulary)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn_epoch(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        start = int(generators(config.seed, name)[name].integers(config.sequence))  # other batches in every epoch
        with seeded_modules(config.seed, name):
            bits = learn(model, optimizer, lanes(text.train, config.batch_size, start))
        run.note(f"epoch {epoch + 1}: {model.eval().write(SAMPLE).replace(chr(10), ' ')}")
        return {"bits": bits}

    train_epochs(config, run, {"model": model, "optimizer": optimizer}, learn_epoch)
    return model


def learn(model: CharacterModel, optimizer: torch.optim.Optimizer, read: Tensor) -> float:
    """Pass once through lanes ``(time, lanes)``; bits a character on the way."""
    model.train()
    config, state, total = model.config, None, 0.0
    for batch, (inputs, targets) in enumerate(batches(read, config.sequence)):
        if config.cell == "transformer" or batch % config.reset_every == 0:
            state = None
        logits, state = model(inputs, state)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten().to(model.device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        state = detached(state)
        total += loss.item() * targets.numel()
    return float(total / read[1:].numel() / np.log(2))


def detached(state: State) -> State:
    """The same state, through which no gradients pass."""
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()


def restored(config: Config, state: Mapping[str, Any]) -> CharacterModel:
    """The trained model of a checkpoint's state."""
    points = state["model"]["vocabulary"].tolist()
    model = CharacterModel(config, ("", *map(chr, points[1:])))
    model.load_state_dict(state["model"])
    return model.eval()


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well the last tenth of a text is foretold; see `supervised.judgement.Model`.

    It is read in parts side by side, each after a sequence of what comes before it, which does not count itself.
    """
    set_threads(config.threads)
    model, text = restored(config, state), corpus(name, "characters")
    points = {point: number for number, point in enumerate(model.vocabulary.tolist())}
    points[0] = 0
    known = [points.get(ord(one), 0) if number else 0 for number, one in enumerate(text.vocabulary)]
    numbers = np.array(known)[np.concatenate([text.train, text.test])]
    bits = foretold(model, numbers, len(text.test))
    weights = sum(one.numel() for one in model.parameters())
    details = {"characters": len(text.test), "weights": weights, "sample": model.write(SAMPLE)}
    return Judgement(f"{name}, {len(text.test):,} characters of its last tenth", {"bits": bits}, details)


@torch.inference_mode()
def foretold(model: CharacterModel, numbers: NDArray[np.int64], judged: int) -> float:
    """Bits a character of the last ``judged`` of a text."""
    sequence, first = model.config.sequence, len(numbers) - judged
    before = min(sequence, first)
    parts = np.array_split(np.arange(first, len(numbers)), min(JUDGED_LANES, judged))
    read = np.full((before + len(parts[0]), len(parts)), UNREAD)
    for lane, part in enumerate(parts):
        read[: before + len(part), lane] = numbers[part[0] - before : part[-1] + 1]
    targets = torch.from_numpy(read[1:].copy())
    targets[: before - 1] = UNREAD
    total, state = 0.0, None
    step = -(-sequence // 2)  # a Transformer sees half of its window or more before each character
    for some, wanted in zip(torch.from_numpy(read[:-1]).split(step), targets.split(step), strict=True):
        logits, state = model(some.clamp(min=0), state)
        right = wanted.flatten().to(model.device)
        total += F.cross_entropy(logits.flatten(0, 1), right, ignore_index=UNREAD, reduction="sum").item()
    return total / judged / float(np.log(2))


ALGORITHMS = {
    "char-lm": Model(
        *(Config, PRESETS, train, CharacterModel, "epochs", lambda config: config.epochs),
        measures={"bits": ".3f"},
        judge=judge,
        write=lambda config, state, prompt: restored(config, state).write(prompt),
    )
}

"""Hidden Markov models whose states a network tells, frame by frame (Bourlard and Morgan 1994; book, chapter 7, "Recurrent
neural networks").

    p(x_t | state) = P(state | x_t) p(x_t) / P(state), and p(x_t) is the same for all states

The network learns the states that Viterbi's algorithm finds, by the network's own chances, in the strings that are
said: at first every digit is shared out evenly to its states, and every epoch aligns anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.spoken import Recording
from supervised.epochs import train_epochs
from supervised.judgement import Judgement, Model
from supervised.speech.digits import EACH, MEASURES, folds, judged
from supervised.speech.encoder import Encoder, EncoderSettings, batches, padded, perturbed
from supervised.speech.features import heard
from supervised.speech.hmm import DIGITS, Topology, digits_at
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]

FIRST_EPOCHS = 2  # in which states are shared out evenly
UNTOLD = -100  # label of what is filled up: F.cross_entropy's own


@dataclass(frozen=True)
class Config(EncoderSettings):
    """A hybrid of a network and hidden Markov models."""

    epochs: int = 20
    """Passes through what is learnt from."""
    states: int = 4
    """States of a digit."""
    stay: float = 0.6
    """Chance that a state goes on to itself, at each step of 20 ms."""
    penalty: float = 2.0
    """What a digit costs in a string (nat): more makes for fewer digits."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.states >= 2, "states", self.states, "use at least 2")
        require(0 < self.stay < 1, "stay", self.stay, "use more than 0 and less than 1")
        require(self.penalty >= 0, "penalty", self.penalty, "use 0 or more")

    @property
    def topology(self) -> Topology:
        """The states of all digits, and the pause."""
        return Topology(self.states, np.full(DIGITS * self.states + 1, self.stay))


class Teller(nn.Module):
    """``forward(heard (batch, time, n))`` gives logits ``(batch, steps, states)``; and counts how often states are."""

    counts: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        states = config.topology.pause + 1
        self.encoder = Encoder(config, stride=2)
        self.told = nn.Linear(config.units, states)
        self.register_buffer("counts", torch.ones(states))

    def forward(self, heard: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.told(self.encoder(heard))
        return found

    def scaled(self, logits: Tensor) -> Tensor:
        """log P(state | x) - log P(state), ``(batch, steps, states)``."""
        return logits.log_softmax(-1) - (self.counts / self.counts.sum()).log()


def train(config: Config, run: Run | None = None) -> nn.ModuleDict:
    """Train a hybrid of each fold; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: recordings or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    parts = folds(config)
    models = made(config, list(parts))
    optimizer = torch.optim.Adam(models.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        found = [learn_epoch(config, models[name], optimizer, fold.train, epoch, name) for name, fold in parts.items()]
        return {one: float(np.mean([fold[one] for fold in found])) for one in ("loss", "accuracy")}

    train_epochs(config, run or Run.off(), {"models": models, "optimizer": optimizer}, learn)
    return models.eval()


def learn_epoch(
    config: Config, model: Teller, optimizer: torch.optim.Optimizer, recordings: list[Recording], epoch: int, name: str
) -> dict[str, float]:
    """Pass through the recordings; returns the mean loss of a step (nat) and how many states are told right."""
    stream = f"{name}, epoch {epoch}"
    rng = generators(config.seed, stream)[stream]
    rows, spoken = zip(*perturbed(config, recordings, epoch, rng), strict=True)
    model.train()
    counts = torch.zeros_like(model.counts)
    total = right = 0.0
    with seeded_modules(config.seed, stream):
        for batch in batches(rows, config.batch_size, rng):
            logits = model(padded([rows[k] for k in batch]).to(config.device))
            labels = torch.full(logits.shape[:2], UNTOLD)
            scaled = model.scaled(logits.detach()).cpu().numpy()
            for row, k in enumerate(batch):
                count = model.encoder.steps(len(rows[k]))
                if epoch < FIRST_EPOCHS:
                    labels[row, :count] = torch.from_numpy(evenly(config.topology, spoken[k], count))
                else:
                    labels[row, :count] = torch.from_numpy(aligned(config.topology, spoken[k], scaled[row, :count]))
            labels = labels.to(config.device)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=UNTOLD)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            told = labels != UNTOLD
            counts += torch.bincount(labels[told], minlength=len(counts))
            total += loss.item() * int(told.sum())
            right += int((logits.argmax(-1) == labels)[told].sum())
    model.counts.copy_(counts + 1)  # P(state), as often as states are; none is impossible
    steps = float(counts.sum())
    return {"loss": total / steps, "accuracy": right / steps}


def evenly(topology: Topology, recording: Recording, count: int) -> Array:
    """States ``(count,)`` of a string's steps: each digit shared out evenly, and pauses between."""
    states = np.full(count, topology.pause)
    for digit, (begin, end) in zip(recording.digits, digits_at(recording, 2 * count), strict=True):
        first, last = begin // 2, max(end // 2, begin // 2 + 1)
        share = np.arange(last - first) * topology.length // (last - first)
        states[first:last] = (digit * topology.length + share)[: count - first]
    return states


def aligned(topology: Topology, recording: Recording, scaled: Array) -> Array:
    """States ``(steps,)`` of the likeliest path that says a string's digits; evenly where it is said too fast for one."""
    if len(scaled) < topology.length * len(recording.digits):
        return evenly(topology, recording, len(scaled))
    chain = topology.chain(recording.digits)
    found: Array = chain.states[chain.search(scaled)]
    return found


def made(config: Config, names: Sequence[str]) -> nn.ModuleDict:
    """Networks that have learnt nothing."""
    found = nn.ModuleDict()
    for name in names:
        with seeded_modules(config.seed, f"network {name}"):
            found[name] = Teller(config)
    return found.to(torch.device(config.device))


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many digits are told wrong; see `supervised.judgement.Model`."""
    models = made(config, sorted({one.partition(".")[0] for one in state["models"]}))
    models.load_state_dict(state["models"])
    models.eval()
    topology = config.topology
    loop = topology.loop(config.penalty)

    @torch.inference_mode()
    def say(fold: str, recording: Recording) -> list[int]:
        rows = padded([heard(recording.wave, config.features)]).to(config.device)
        scaled = models[fold].scaled(models[fold](rows))[0].cpu().numpy()
        return topology.said(loop.states[loop.search(scaled)])

    return judged(config, name, {"viterbi": say})


PRESETS = {"default": Config(), "unseen": Config(held_out=EACH)}
ALGORITHMS = {
    "hybrid-hmm": Model(
        *(Config, PRESETS, train, made, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
    )
}

"""Hidden Markov models whose states a network tells, frame by frame (book, chapter 7, "Recurrent neural networks").

By Bayes (Bourlard and Morgan 1994),

    p(x_t | state) = P(state | x_t) p(x_t) / P(state), and p(x_t) is the same for all states

The network learns the states that Viterbi's algorithm finds, by the network's own chances, in the strings that are
said: at first every digit is shared out evenly to its states, and every epoch aligns anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.spoken import Recording
from supervised.judgement import Judgement, Model
from supervised.speech.digits import EACH, MEASURES, judged
from supervised.speech.encoder import Encoder, EncoderSettings, padded
from supervised.speech.features import heard
from supervised.speech.hmm import DIGITS, Topology, digits_at
from supervised.speech.learning import restored, train_networks
from supervised.training.errors import require
from supervised.training.run import Run

Array = NDArray[Any]

FIRST_EPOCHS = 2  # in which states are shared out evenly
FORGOTTEN = 0.99  # what a gradient step leaves of the counts of states
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
    penalty: float = 40.0
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


def loss(config: Config, model: Teller, rows: Sequence[Array], spoken: Sequence[Recording], epoch: int) -> Tensor:
    """Mean cross-entropy of a step's state (nat); see `learning.Loss`. Counts how often states are."""
    logits = model(padded(rows).to(config.device))
    scaled = model.scaled(logits.detach()).cpu().numpy()
    labels = torch.full(logits.shape[:2], UNTOLD)
    for k, one in enumerate(spoken):
        count = model.encoder.steps(len(rows[k]))
        found = evenly(config.topology, one, count)
        if epoch >= FIRST_EPOCHS:
            found = aligned(config.topology, one, scaled[k, :count])
        labels[k, :count] = torch.from_numpy(found)
    labels = labels.to(config.device)
    model.counts.mul_(FORGOTTEN).add_(torch.bincount(labels[labels != UNTOLD], minlength=len(model.counts)))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=UNTOLD)


def train(config: Config, run: Run | None = None) -> nn.ModuleDict:
    """Train a hybrid of each fold; see `train_networks`."""
    return train_networks(config, run, partial(Teller, config), partial(loss, config))


def evenly(topology: Topology, recording: Recording, count: int) -> Array:
    """States ``(count,)`` of a string's steps: each digit shared out evenly, and pauses between."""
    states = np.full(count, topology.pause)
    for digit, (begin, end) in zip(recording.digits, digits_at(recording, 2 * count), strict=True):
        first, last = begin // 2, max(end // 2, begin // 2 + 1)
        share = np.arange(last - first) * topology.length // (last - first)
        states[first:last] = (digit * topology.length + share)[: count - first]
    return states


def aligned(topology: Topology, recording: Recording, scaled: Array) -> Array:
    """States ``(steps,)`` of the likeliest path that says a string's digits; even ones if it is too short for that."""
    if len(scaled) < topology.length * len(recording.digits):
        return evenly(topology, recording, len(scaled))
    chain = topology.chain(recording.digits)
    found: Array = chain.states[chain.search(scaled)]
    return found


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many digits are told wrong; see `supervised.judgement.Model`."""
    models = restored(config, state, partial(Teller, config))
    topology = config.topology
    loop = topology.loop(config.penalty)

    @torch.inference_mode()
    def say(fold: str, recording: Recording) -> dict[str, list[int]]:
        rows = padded([heard(recording.wave, config.features)]).to(config.device)
        scaled = models[fold].scaled(models[fold](rows))[0].cpu().numpy()
        return {"viterbi": topology.said(loop.states[loop.search(scaled)])}

    return judged(config, name, models, say)


PRESETS = {"default": Config(), "unseen": Config(held_out=EACH)}
ALGORITHMS = {
    "hybrid-hmm": Model(
        *(Config, PRESETS, train, Teller, "epochs", lambda config: config.epochs),
        measures=MEASURES,
        judge=judge,
    )
}

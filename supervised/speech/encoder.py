"""What networks for speech are made of: a front end, and layers that look at what is around a frame.

The front end takes spectra or cepstra, or learns its own filters from the samples (Zeghidour et al. 2018; book, chapter
7, "Preprocessing"): two convolutions of 25 ms a filter, whose squares are added up, averaged over a frame and put on a
logarithmic scale. They begin as waves within a bell, cosine and sine at the pitch of a Mel filter's peak.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data.spoken import RATE
from supervised.epochs import Settings
from supervised.speech.digits import Spoken
from supervised.speech.features import CEPSTRA, FEATURES, FILTERS, FLOOR, SIZE, STEP, centres
from supervised.training.errors import UserError, require, suggest

Array = NDArray[Any]

CHANNELS = 24  # of the convolutions over time and pitch


@dataclass(frozen=True)
class EncoderSettings(Spoken, Settings):
    """What all networks for speech are told."""

    epochs: int = 80
    """Passes through what is learnt from."""
    batch_size: int = 12
    """Rows of a gradient step."""
    learning_rate: float = 1.5e-3
    """Step size at the start."""
    features: str = "mel"
    """What is heard: mel (spectra), mfcc (cepstra), or learned (filters of the network's own, from samples)."""
    units: int = 96
    """Units of every layer, and direction."""
    dropout: float = 0.1
    """Share of units that are left out at random in training."""
    warp: float = 0.12
    """How far vocal tracts are made longer or shorter in training: logarithm of the largest factor."""
    speed: float = 0.1
    """How far speech is made faster or slower in training: logarithm of the largest factor."""
    noise: float = 0.8
    """Share of strings of training that get noise and echoes."""
    masks: int = 6
    """The widest band of features, of two, that is hidden in training; 0: nothing is hidden."""
    growth: int = 3
    """Epochs after which strings of training may have a digit more; the first ones have one."""
    ramp: int = 10
    """Epochs over which all that is done to recordings grows from nothing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features not in FEATURES:
            raise UserError(f"unknown features {self.features!r}{suggest(self.features, FEATURES)}")
        for name in ("units", "growth", "ramp"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(0 <= self.noise <= 1, "noise", self.noise, "use 0 to 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "use 0 or more, below 1")
        for name in ("warp", "speed"):
            require(0 <= getattr(self, name) <= 0.5, name, getattr(self, name), "use 0 to 0.5")
        require(0 <= self.masks <= CEPSTRA, "masks", self.masks, f"use 0 to {CEPSTRA}")


class LearnedFilters(nn.Module):
    """Filters of samples: ``forward(samples (batch, n, 1))`` gives ``(batch, time, FILTERS)``."""

    def __init__(self) -> None:
        super().__init__()
        time = torch.arange(SIZE) / RATE
        peaks = torch.from_numpy(centres()[1:-1]).float()[:, None]
        bell = torch.hann_window(SIZE)
        waves = torch.stack([torch.cos(2 * torch.pi * peaks * time), torch.sin(2 * torch.pi * peaks * time)], 1)
        self.filters = nn.Conv1d(1, 2 * FILTERS, SIZE, bias=False, stride=STEP // 4)
        with torch.no_grad():
            self.filters.weight.copy_((bell * waves).flatten(0, 1)[:, None])

    def forward(self, samples: Tensor) -> Tensor:
        """See the class."""
        power = self.filters(samples.transpose(1, 2)).unflatten(1, (FILTERS, 2)).square().sum(2)
        found = torch.log(F.avg_pool1d(power, 4, ceil_mode=True) + FLOOR)
        return ((found - found.mean(2, keepdim=True)) / (found.std(2, keepdim=True) + 1e-3)).transpose(1, 2)


class Encoder(nn.Module):
    """``forward(heard (batch, time, n))`` gives ``(batch, steps, units)``.

    Two convolutions over time and features, then two over time, each of which adds to what it sees.

    Args:
        stride: frames of a step, 2 or 4: 20 or 40 ms.
    """

    def __init__(self, config: EncoderSettings, stride: int = 4) -> None:
        super().__init__()
        self.stride, self.learned = stride, config.features == "learned"
        features = 3 * CEPSTRA if config.features == "mfcc" else FILTERS
        units = config.units
        self.front = LearnedFilters() if self.learned else nn.Identity()
        self.spectral = nn.Sequential(
            nn.Conv2d(1, CHANNELS, 5, 2, 2), nn.BatchNorm2d(CHANNELS), nn.ReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, (stride // 2, 2), 1), nn.BatchNorm2d(CHANNELS), nn.ReLU(),
        )  # fmt: skip
        self.together = nn.Sequential(
            *(nn.Linear(CHANNELS * -(-features // 4), units), nn.LayerNorm(units), nn.ReLU()),
            nn.Dropout(config.dropout),
        )
        self.around = nn.ModuleList(
            nn.Sequential(
                *(nn.Conv1d(units, units, 5, 1, 2), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(config.dropout))
            )
            for _ in range(2)
        )

    def forward(self, heard: Tensor) -> Tensor:
        """See the class."""
        found = self.together(self.spectral(self.front(heard)[:, None]).transpose(1, 2).flatten(2)).transpose(1, 2)
        for layer in self.around:
            found = found + layer(found)
        return found.transpose(1, 2)

    def steps(self, length: int) -> int:
        """How many steps there are of so much of what is heard."""
        if self.learned:
            length = -(-((length - SIZE) // (STEP // 4) + 1) // 4)
        return -(-length // self.stride)


def padded(rows: Sequence[Array]) -> Tensor:
    """What is heard of several strings ``(batch, time, n)``, the shorter ones filled up with zeros."""
    found = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[1]), np.float32)
    for k, row in enumerate(rows):
        found[k, : len(row)] = row
    return torch.from_numpy(found)

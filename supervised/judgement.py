"""What `supervised.evaluate` needs of a model: how it is judged, and by which figures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from supervised.training.registry import Algorithm

if TYPE_CHECKING:  # torch is slow to import
    from torch import nn


class Judgement(NamedTuple):
    """What was found of a trained model."""

    protocol: str
    """On what: "mnist, 10,000 test examples"."""
    measures: Mapping[str, float]
    """The model's figures, by name."""
    details: Mapping[str, Any] = {}
    """What evaluation.json holds besides."""
    draw: Callable[[Path], Iterator[Path]] = lambda folder: iter(())
    """Draws pictures into a folder, and names each."""


@dataclass(frozen=True)
class Model(Algorithm):
    """What the doors need of a model.

    Attributes:
        measures: figure -> how it is printed, a format such as ".2%".
        judge: ``judge(config, state, data)`` of a checkpoint's state, on the test part of the data set of that name.
        perceive: ``perceive(config, state)`` of a checkpoint's state, what it makes of images: see `perception`.
    """

    measures: Mapping[str, str] = field(kw_only=True)
    judge: Callable[[Any, Mapping[str, Any], str], Judgement] = field(kw_only=True)
    perceive: Callable[[Any, Mapping[str, Any]], "nn.Module"] | None = field(kw_only=True, default=None)

"""What `supervised.evaluate` needs of a model: how it is judged, and by which figures."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray
from scipy.stats import binomtest

from supervised.data import DataSet
from supervised.training.confusion import confusion_matrix, draw_confusion
from supervised.training.registry import Algorithm

if TYPE_CHECKING:  # torch is slow to import
    from torch import nn

    from supervised.language.sampling import Prompt
    from supervised.language.word_vectors import WordVectors

#: what `told` measures, with 95 % confidence (Wilson 1927)
ACCURACY = {"accuracy": ".2%", "ci95_low": ".2%", "ci95_high": ".2%"}


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
        vectors: ``vectors(config, state)`` of a checkpoint's state, vectors of words: see `supervised.words`.
        write: ``write(config, state, prompt)``, the text that a language model makes up: see `supervised.generate`.
    """

    measures: Mapping[str, str] = field(kw_only=True)
    judge: Callable[[Any, Mapping[str, Any], str], Judgement] = field(kw_only=True)
    perceive: Callable[[Any, Mapping[str, Any]], "nn.Module"] | None = field(kw_only=True, default=None)
    vectors: Callable[[Any, Mapping[str, Any]], "WordVectors"] | None = field(kw_only=True, default=None)
    write: Callable[[Any, Mapping[str, Any], "Prompt"], str] | None = field(kw_only=True, default=None)


def told(name: str, data: DataSet, classes: NDArray[Any]) -> Judgement:
    """How well the classes ``(n,)`` that a model told of the test part are right, with the picture of confusions."""
    labels = data.test.labels
    right = binomtest(int((classes == labels).sum()), len(labels))
    interval = right.proportion_ci(0.95, "wilson")
    bounds = {"ci95_low": float(interval.low), "ci95_high": float(interval.high)}

    def draw(folder: Path) -> Iterator[Path]:
        matrix = confusion_matrix(labels, classes, len(data.classes))
        draw_confusion(matrix, data.classes, folder / "confusion.png", f"{name}: what was told")
        yield folder / "confusion.png"

    found = {"accuracy": float(right.statistic), **bounds}
    return Judgement(f"{name}, {len(labels):,} test examples", found, {"examples": len(labels)}, draw)

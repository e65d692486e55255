"""What `supervised.evaluate` needs of a model: how it is judged, and by which figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    from supervised.vision.detection.detector import Detector

#: how what `share` finds is printed, but for its first figure
INTERVAL = {"ci95_low": ".2%", "ci95_high": ".2%"}
#: what `told` measures
ACCURACY = {"accuracy": ".2%", **INTERVAL}


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
        write: ``write(config, state, prompt)``, the text that a language model makes up: see `supervised.generate`.
        answer: ``answer(config, state, texts, beam)`` of a checkpoint's state, a line for each text: see `translate`.
        detector: ``detector(config, state, scenes)`` of a checkpoint's state, for scenes like its own: see `detect`.
        vectors: ``vectors(config, state)`` of a checkpoint's state, vectors of words: see `supervised.words`.
    """

    measures: Mapping[str, str] = field(kw_only=True)
    judge: Callable[[Any, Mapping[str, Any], str], Judgement] = field(kw_only=True)
    perceive: Callable[[Any, Mapping[str, Any]], "nn.Module"] | None = field(kw_only=True, default=None)
    write: Callable[[Any, Mapping[str, Any], "Prompt"], str] | None = field(kw_only=True, default=None)
    answer: Callable[[Any, Mapping[str, Any], Sequence[str], int], list[str]] | None = field(kw_only=True, default=None)
    detector: Callable[[Any, Mapping[str, Any], Any], "Detector"] | None = field(kw_only=True, default=None)
    vectors: Callable[[Any, Mapping[str, Any]], "WordVectors"] | None = field(kw_only=True, default=None)


def share(name: str, right: NDArray[Any]) -> dict[str, float]:
    """The share of what is right ``(n,)``, under that name, and its 95 % confidence interval (Wilson 1927)."""
    found = binomtest(int(right.sum()), len(right))
    interval = found.proportion_ci(0.95, "wilson")
    return {name: float(found.statistic), "ci95_low": float(interval.low), "ci95_high": float(interval.high)}


def told(name: str, data: DataSet, classes: NDArray[Any]) -> Judgement:
    """How well the classes ``(n,)`` that a model told of the test part are right, with the picture of confusions."""
    labels = data.test.labels

    def draw(folder: Path) -> Iterator[Path]:
        matrix = confusion_matrix(labels, classes, len(data.classes))
        draw_confusion(matrix, data.classes, folder / "confusion.png", f"{name}: what was told")
        yield folder / "confusion.png"

    found = share("accuracy", classes == labels)
    return Judgement(f"{name}, {len(labels):,} test examples", found, {"examples": len(labels)}, draw)

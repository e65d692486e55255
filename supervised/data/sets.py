"""Data sets by name, whole in memory: images as bytes, labels as numbers."""

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

from supervised.data.formats import read_cifar, read_idx, read_pictures
from supervised.data.sources import FILES, cache, is_here, locate
from supervised.training.checkpoint import atomic_write
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError, needs_extra, require, suggest

Array = NDArray[Any]

PICTURES = "pictures:"  # and the path of a folder or tar archive
SMOKE_ROWS = 500  # that SKIDPAD_SMOKE leaves of a part, about
IRIS_TRAIN = 120  # flowers; the other 30 test


class Split(NamedTuple):
    """Inputs and what is to be said of them."""

    inputs: Array  # (n, *input)
    labels: Array  # (n,) int64

    def take(self, rows: Any) -> "Split":
        """Those of some rows."""
        return Split(self.inputs[rows], self.labels[rows])


class DataSet(NamedTuple):
    """What to learn from, what to be judged by, and what the labels mean."""

    train: Split
    test: Split
    classes: tuple[str, ...]


def standards(inputs: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (at least 1e-7) of inputs ``(n, *input)``.

    Of each colour of images ``(colours,)``, or of gray ones ``()``; of each number of other inputs.
    """
    axes = (0,) if inputs.ndim == 2 else (0, 1, 2)
    return inputs.mean(axes, dtype=np.float64), np.maximum(inputs.std(axes, dtype=np.float64), 1e-7)


DIGITS = tuple("0123456789")
CLOTHES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _idx(folder: str, classes: tuple[str, ...]) -> DataSet:
    def split(part: str) -> Split:
        images, labels = (
            read_idx(locate(f"{folder}/{part}-{kind}-ubyte.gz")) for kind in ("images-idx3", "labels-idx1")
        )
        return Split(images, labels.astype(np.int64))

    return DataSet(split("train"), split("t10k"), classes)


def _cifar() -> DataSet:
    versions = [f"cifar10/cifar-10-{version}.tar.gz" for version in ("python", "binary")]
    path = locate(next(filter(is_here, versions), versions[0]))
    return DataSet(Split(*read_cifar(path, train=True)), Split(*read_cifar(path, train=False)), CIFAR)


def _cifar_jpeg() -> DataSet:
    train, test = (_decoded(f"cifar10-jpeg/{part}.tar") for part in ("train", "test"))
    return DataSet(train, test, CIFAR)


def _decoded(name: str) -> Split:
    """The pictures of an archive of CIFAR-10; what is decoded is kept in the user's cache, as it takes half a minute.

    Its name says which archive and which decoder it is of; the CRCs of a zip file guard its content.
    """
    path = locate(name)
    if SMOKE:
        return Split(*read_pictures(path, every=100)[:2])
    kept = cache() / "decoded" / f"{FILES[name].sha256}-{PIL.__version__}.npz"
    if kept.exists():
        try:
            with np.load(kept, allow_pickle=False) as arrays:
                return Split(arrays["inputs"], arrays["labels"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            warnings.warn(f"{kept} is damaged and made anew: {error}", stacklevel=2)
    found = Split(*read_pictures(path)[:2])
    content = io.BytesIO()
    np.savez(content, **found._asdict())
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(kept, content.getvalue())
    except (OSError, UserError) as error:
        warnings.warn(f"what was decoded of {name} is not kept for the next time: {error}", stacklevel=2)
    return found


def _iris() -> DataSet:
    with needs_extra("learn"):
        from sklearn.datasets import load_iris
    # as in Fisher 1936: UCI's file, which the book reads, misprints the 35th and the 38th, as its own notes say
    found = load_iris()
    every = Split(found.data.astype(np.float32), found.target.astype(np.int64))
    # the order in which the book has them: pandas' sample(frac=1, random_state=1234)
    order = np.random.RandomState(1234).choice(len(every.labels), len(every.labels), replace=False)
    classes = tuple(map(str, found.target_names))
    return DataSet(every.take(order[:IRIS_TRAIN]), every.take(order[IRIS_TRAIN:]), classes)


def _digits() -> DataSet:
    with needs_extra("learn"):
        from sklearn.datasets import load_digits
    found = load_digits()
    every = Split(np.round(found.images * 255 / 16).astype(np.uint8), found.target.astype(np.int64))  # 0 to 16 there
    half = len(every.labels) // 2  # as scikit-learn's own examples split them
    return DataSet(every.take(slice(half)), every.take(slice(half, None)), DIGITS)


SETS: dict[str, Callable[[], DataSet]] = {
    "mnist": lambda: _idx("mnist", DIGITS),
    "fashion-mnist": lambda: _idx("fashion-mnist", CLOTHES),
    "cifar10": _cifar,
    "cifar10-jpeg": _cifar_jpeg,
    "iris": _iris,
    "digits": _digits,
}


def load(name: str) -> DataSet:
    """A data set by name.

    | name | inputs | train, test |
    |---|---|---|
    | ``mnist``, ``fashion-mnist`` | ``(n, 28, 28)`` uint8 | 60,000, 10,000 |
    | ``cifar10`` | ``(n, 32, 32, 3)`` uint8 | 50,000, 10,000 |
    | ``cifar10-jpeg``: the same, once compressed | ``(n, 32, 32, 3)`` uint8 | 50,000, 10,000 |
    | ``digits``: scikit-learn's | ``(n, 8, 8)`` uint8 | 898, 899 |
    | ``iris``: in the book's order | ``(n, 4)`` float32, cm | 120, 30 |
    | ``pictures:PATH``: a folder with ``train/CLASS/*`` and ``test/CLASS/*`` | ``(n, height, width, 3)`` uint8 | |

    Raises:
        UserError: an unknown name, or data that is not to be had.
        CorruptFile: data that is damaged.
    """
    if name.startswith(PICTURES):
        return _pictures(Path(name.removeprefix(PICTURES)))
    if name not in SETS:
        raise UserError(f"unknown data {name!r}{suggest(name, SETS)}; or {PICTURES}PATH")
    found = SETS[name]()
    if SMOKE:
        found = DataSet(_thinned(found.train), _thinned(found.test), found.classes)
    for part in (found.train, found.test):
        lowest, highest = (int(part.labels.min()), int(part.labels.max())) if len(part.labels) else (0, 0)
        require(len(part.inputs) == len(part.labels), "data", name, "there is not one label an input")
        require(
            0 <= lowest and highest < len(found.classes),
            "label",
            lowest if lowest < 0 else highest,
            f"{name} has {len(found.classes)} classes",
        )
    return found


def load_alike(name: str, known: str) -> DataSet:
    """The data set of that name, whose classes must be those of another that was learnt from.

    Raises:
        UserError: as `load`, or they are not.
    """
    found = load(name)
    if name != known:
        classes = load(known).classes
        strange = f"it has classes {_shown(found.classes)}, and what was learnt from, {known}, has {_shown(classes)}"
        require(found.classes == classes, "data", name, strange)
    return found


def _shown(classes: Sequence[str]) -> str:
    return f"{', '.join(classes[:3])}{' ...' if len(classes) > 3 else ''}"


def _thinned(part: Split) -> Split:
    return part.take(slice(None, None, max(len(part.labels) // SMOKE_ROWS, 1)))


def _pictures(path: Path) -> DataSet:
    parts = [read_pictures(path, part) for part in ("train", "test")]
    (*train, classes), (*test, others) = parts
    if strange := sorted(set(others) - set(classes)):
        raise UserError(f"{path}/test has pictures of {strange[0]!r}, which none of {path}/train are")
    # numbers of the classes of test are those of train
    numbers = np.array([classes.index(one) for one in others])
    size = train[0].shape[1:]
    if test[0].shape[1:] != size:
        raise UserError(
            f"{path}: pictures of {size[:2]} pixels in train, of {test[0].shape[1:3]} in test: use one size"
        )
    return DataSet(Split(*train), Split(test[0], numbers[test[1]]), classes)

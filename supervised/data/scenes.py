"""Scenes with labels, as ``python -m tools.make_dataset`` writes them: read and checked.

A folder of ``scenes.json``, which says what they are, and ``train.npz`` and ``test.npz``. The name of such data is
``scenes:PATH``.
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from supervised.training.doors import SMOKE
from supervised.training.errors import CorruptFile, UserError, require

Array = NDArray[Any]

SCENES = "scenes:"  # and the path of the folder
DETECTION_CLASSES = ("kerb", "car")
SMOKE_SCENES = 8  # that SKIDPAD_SMOKE leaves of a part


class Segmented(NamedTuple):
    """Images and the class of every pixel."""

    images: Array  # (n, height, width, 3) uint8
    masks: Array  # (n, height, width) uint8


class Boxed(NamedTuple):
    """Images and the boxes in them."""

    images: Array  # (n, height, width, 3) uint8
    boxes: Array  # (m, 4) float32: x_min, y_min, x_max, y_max, the outer edges of the object's pixels, px
    labels: Array  # (m,) int64: classes
    scene: Array  # (m,) int64, ascending: the image that each box is in


Part = TypeVar("Part", Segmented, Boxed)


class Scenes(NamedTuple, Generic[Part]):
    """What to learn from, what to be judged by, and what the labels mean."""

    train: Part
    test: Part
    classes: tuple[str, ...]


def load_segmentation(name: str) -> Scenes[Segmented]:
    """Scenes for segmentation, of the data name ``scenes:PATH``.

    Raises:
        UserError: another name, no such folder, or scenes for something else.
        CorruptFile: files that are damaged, or not what they should be.
    """
    path, classes = _folder(name, "segmentation")
    return Scenes(_segmented(path / "train.npz", len(classes)), _segmented(path / "test.npz", len(classes)), classes)


def load_detection(name: str) -> Scenes[Boxed]:
    """Scenes for detection, of the data name ``scenes:PATH``; raises as `load_segmentation`."""
    path, classes = _folder(name, "detection")
    return Scenes(_boxed(path / "train.npz", len(classes)), _boxed(path / "test.npz", len(classes)), classes)


def _folder(name: str, task: str) -> tuple[Path, tuple[str, ...]]:
    """The folder and its classes."""
    command = f"python -m tools.make_dataset --task {task} --out FOLDER"
    require(name.startswith(SCENES), "data", name, f"{task} learns from {SCENES}FOLDER; {command} makes some")
    path = Path(name.removeprefix(SCENES))
    record_path = path / "scenes.json"
    if not record_path.is_file():
        raise UserError(f"{path} holds no scenes.json: make scenes with {command}")
    try:
        record = json.loads(record_path.read_bytes())
        found, classes = str(record["task"]), tuple(map(str, record["classes"]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorruptFile(f"cannot read {record_path}: {error}; make the scenes anew") from error
    require(found == task, "data", name, f"these scenes are for {found}, not for {task}")
    return path, classes


def _segmented(path: Path, classes: int) -> Segmented:
    images, masks = _arrays(path, {"images": (np.uint8, 4), "masks": (np.uint8, 3)})
    _check(masks.shape == images.shape[:3], path, f"masks {masks.shape} for images {images.shape}")
    _check(masks.max() < classes, path, f"the class {masks.max()} of a pixel, of {classes} classes")
    if SMOKE:
        images, masks = images[:SMOKE_SCENES], masks[:SMOKE_SCENES]
    return Segmented(images, masks)


def _boxed(path: Path, classes: int) -> Boxed:
    kinds = {"images": (np.uint8, 4), "boxes": (np.float32, 2), "labels": (np.int64, 1), "scene": (np.int64, 1)}
    images, boxes, labels, scene = _arrays(path, kinds)
    shapes = f"boxes {boxes.shape}, labels {labels.shape}, scene {scene.shape}"
    _check(boxes.shape == (len(labels), 4) and scene.shape == labels.shape, path, shapes)
    if len(boxes):
        _check(0 <= labels.min() and labels.max() < classes, path, f"a label beyond the {classes} classes")
        ascending = (np.diff(scene) >= 0).all()
        _check(ascending and 0 <= scene[0] and scene[-1] < len(images), path, "boxes in no image, or out of order")
        height, width = images.shape[1:3]
        within = (boxes[:, :2] >= 0) & (boxes[:, 2:] <= (width, height)) & (boxes[:, :2] < boxes[:, 2:])
        _check(bool(within.all()), path, f"a box that is empty or not within {width} x {height} pixels")
    if SMOKE:
        kept = scene < SMOKE_SCENES
        images, boxes, labels, scene = images[:SMOKE_SCENES], boxes[kept], labels[kept], scene[kept]
    return Boxed(images, boxes, labels, scene)


def _arrays(path: Path, kinds: dict[str, tuple[type, int]]) -> list[Array]:
    """The arrays of a file, by name: each of that dtype and number of axes."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in kinds}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorruptFile(f"cannot read {path}: {error}; make the scenes anew") from error
    for name, (dtype, axes) in kinds.items():
        array = arrays[name]
        _check(array.dtype == dtype and array.ndim == axes, path, f"{name} {array.dtype} {array.shape}")
    images = arrays["images"]
    _check(images.shape[-1] == 3 and images.size > 0, path, f"images {images.shape}")
    return list(arrays.values())


def _check(good: bool, path: Path, what: str) -> None:
    if not good:
        raise CorruptFile(f"{path} holds {what}; make the scenes anew")

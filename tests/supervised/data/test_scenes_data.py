"""Scenes read back: as written, and every damage in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervised.data.scenes import load_detection, load_segmentation
from supervised.training.errors import CorruptFile, UserError

IMAGES = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
MASKS = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5) % 3
BOXES = np.array([[0, 0, 5, 4], [1, 1, 2, 2], [3, 0, 4, 4]], np.float32)
LABELS, SCENE = np.array([0, 1, 1]), np.array([0, 0, 1])
SEGMENTATION: dict[str, Any] = {"images": IMAGES, "masks": MASKS}
DETECTION: dict[str, Any] = {"images": IMAGES, "boxes": BOXES, "labels": LABELS, "scene": SCENE}


def write(folder: Path, task: str, **changed: Any) -> str:
    arrays = {**(SEGMENTATION if task == "segmentation" else DETECTION), **changed}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    classes = ["grass", "road", "kerb"] if task == "segmentation" else ["kerb", "car"]
    (folder / "scenes.json").write_text(json.dumps({"task": task, "classes": classes}))
    for part in ("train", "test"):
        np.savez(folder / f"{part}.npz", **arrays)
    return f"scenes:{folder}"


def test_what_was_written(tmp_path: Path) -> None:
    data = load_segmentation(write(tmp_path, "segmentation"))
    assert data.classes == ("grass", "road", "kerb")
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.images, IMAGES)
        np.testing.assert_array_equal(part.masks, MASKS)
    boxed = load_detection(write(tmp_path, "detection")).train
    for found, array in zip(boxed, DETECTION.values(), strict=True):
        np.testing.assert_array_equal(found, array)
    empty = {"boxes": BOXES[:0], "labels": LABELS[:0], "scene": SCENE[:0]}
    assert load_detection(write(tmp_path, "detection", **empty)).test.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("task", "changed", "message"),
    [
        ("segmentation", {"masks": None}, "cannot read"),
        ("segmentation", {"masks": MASKS[:1]}, "masks (1, 4, 5) for images (2, 4, 5, 3)"),
        ("segmentation", {"masks": MASKS + 1}, "the class 3 of a pixel, of 3 classes"),
        ("segmentation", {"masks": MASKS.astype(np.int64)}, "masks int64 (2, 4, 5)"),
        ("segmentation", {"images": IMAGES[..., :2]}, "images (2, 4, 5, 2)"),
        ("segmentation", {"images": IMAGES[:0], "masks": MASKS[:0]}, "images (0, 4, 5, 3)"),
        ("segmentation", {"images": np.array([print] * 4).reshape(1, 1, 2, 2)}, "cannot read"),
        ("detection", {"labels": LABELS + 1}, "a label beyond the 2 classes"),
        ("detection", {"labels": LABELS[:2]}, "boxes (3, 4), labels (2,), scene (3,)"),
        ("detection", {"scene": SCENE[::-1]}, "boxes in no image, or out of order"),
        ("detection", {"scene": SCENE + 1}, "boxes in no image, or out of order"),
        ("detection", {"boxes": BOXES + 1}, "a box that is empty or not within 5 x 4 pixels"),
        ("detection", {"boxes": BOXES[:, [2, 1, 0, 3]]}, "a box that is empty or not within 5 x 4 pixels"),
        ("detection", {"boxes": BOXES * np.float32(np.nan)}, "a box that is empty or not within 5 x 4 pixels"),
    ],
)
def test_damage_is_named(task: str, changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    load = load_segmentation if task == "segmentation" else load_detection
    name = write(tmp_path, task, **changed)
    with pytest.raises(CorruptFile) as caught:
        load(name)
    assert message in str(caught.value) and str(caught.value).endswith("make the scenes anew")
    assert str(tmp_path / "train.npz") in str(caught.value)


def test_truncated_and_foreign_files(tmp_path: Path) -> None:
    name = write(tmp_path, "segmentation")
    whole = (tmp_path / "test.npz").read_bytes()
    damaged = bytearray(whole)
    damaged[300] ^= 1  # within the images, which the archive's checksum covers
    for content in (whole[:-40], whole[:100], b"", b"PK\x03\x04", bytes(damaged)):
        (tmp_path / "test.npz").write_bytes(content)
        with pytest.raises(CorruptFile, match="cannot read"):
            load_segmentation(name)
    with (tmp_path / "test.npz").open("wb") as file:
        np.save(file, IMAGES)
    with pytest.raises(CorruptFile, match="cannot read"):
        load_segmentation(name)
    (tmp_path / "test.npz").unlink()
    with pytest.raises(CorruptFile, match="No such file"):
        load_segmentation(name)
    for text in ("{", "[]", '{"task": "segmentation"}', '{"task": "segmentation", "classes": 3}'):
        (tmp_path / "scenes.json").write_text(text)
        with pytest.raises(CorruptFile, match=r"cannot read .*scenes\.json"):
            load_segmentation(name)


def test_other_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="data='mnist': segmentation learns from scenes:FOLDER; python -m tools.make"):
        load_segmentation("mnist")
    with pytest.raises(UserError, match="nowhere holds no scenes.json: make scenes with .*--task detection"):
        load_detection(f"scenes:{tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="these scenes are for segmentation, not for detection"):
        load_detection(write(tmp_path, "segmentation"))

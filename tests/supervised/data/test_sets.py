"""Data sets by name: sizes, and labels that fit."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supervised.data import DataSet, Split, load, sets
from supervised.data.sources import is_here
from supervised.training.errors import UserError

needs_data = pytest.mark.skipif(not os.environ.get("SKIDPAD_DATA"), reason="needs the data sets of SKIDPAD_DATA")


@needs_data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_sets_of_lecun_s_format(name: str) -> None:
    if not is_here(f"{name}/train-images-idx3-ubyte.gz"):
        pytest.skip(f"SKIDPAD_DATA has no {name}")
    data = load(name)
    assert data.train.inputs.shape == (60_000, 28, 28) and data.test.inputs.shape == (10_000, 28, 28)
    assert data.train.inputs.dtype == np.uint8 and data.test.labels.dtype == np.int64
    assert len(data.classes) == 10 and set(data.test.labels) == set(range(10))
    if name == "mnist":  # the first digits, as everybody knows them
        assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_iris_in_the_order_of_the_book() -> None:
    pytest.importorskip("sklearn", reason="needs the learn extra")
    data = load("iris")
    assert data.train.inputs.shape == (120, 4) and data.test.inputs.shape == (30, 4)
    assert data.classes == ("setosa", "versicolor", "virginica")
    every = np.concatenate([data.train.labels, data.test.labels])
    assert np.bincount(every).tolist() == [50, 50, 50] and (np.diff(every) != 0).sum() > 50


def test_digits() -> None:
    pytest.importorskip("sklearn", reason="needs the learn extra")
    data = load("digits")
    assert len(data.train.labels) + len(data.test.labels) == 1797
    assert data.train.inputs.dtype == np.uint8 and data.train.inputs.max() == 255


def draw(path: Path, size: tuple[int, int] = (4, 4)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def test_pictures_of_ones_own(tmp_path: Path) -> None:
    for name in ("train/cat/1", "train/dog/1", "train/emu/1", "test/dog/1", "test/emu/2"):
        draw(tmp_path / f"{name}.png")
    data = load(f"pictures:{tmp_path}")
    assert data.classes == ("cat", "dog", "emu") and data.test.labels.tolist() == [1, 2]
    draw(tmp_path / "test/fox/1.png")
    with pytest.raises(UserError, match="has pictures of 'fox', which none of"):
        load(f"pictures:{tmp_path}")


def test_what_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="unknown data 'minst'; did you mean mnist"):
        load("minst")
    rows = np.zeros((3, 2, 2), np.uint8)
    for labels, message in (
        ([0, 1, 2], "label=2: mine has 2 classes"),
        ([0, -1, 1], "label=-1"),
        ([0, 1], "one label"),
    ):
        split = Split(rows, np.array(labels))
        monkeypatch.setitem(sets.SETS, "mine", lambda split=split: DataSet(split, split, ("a", "b")))
        with pytest.raises(UserError, match=message):
            load("mine")


def test_what_is_decoded_is_kept_and_never_trusted_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("airplane", "bird"):
        Image.fromarray(np.full((4, 4, 3), len(kind), np.uint8)).save(tmp_path / f"{kind}.png")
    with tarfile.open(tmp_path / "train.tar", "w") as archive:
        for kind in ("airplane", "bird"):
            archive.add(tmp_path / f"{kind}.png", f"{kind}/1.png")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sets, "locate", lambda name: tmp_path / "train.tar")
    monkeypatch.setattr(sets, "SMOKE", False)
    first = sets._decoded("cifar10-jpeg/train.tar")
    assert first.inputs[:, 0, 0, 0].tolist() == [8, 4] and first.labels.tolist() == [0, 1]
    (kept,) = (tmp_path / "cache" / "skidpad" / "decoded").iterdir()
    (tmp_path / "train.tar").unlink()
    again = sets._decoded("cifar10-jpeg/train.tar")
    assert np.array_equal(again.inputs, first.inputs) and np.array_equal(again.labels, first.labels)
    whole = kept.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 1
    for content in (damaged, whole[:100]):
        kept.write_bytes(content)
        with pytest.warns(UserWarning, match="is damaged and made anew"), pytest.raises(UserError):
            sets._decoded("cifar10-jpeg/train.tar")  # whose archive is gone

"""Readers of image formats, against files written here byte by byte; and what they say of damaged ones."""

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from supervised.data.formats import decode, read_cifar, read_idx, read_pictures
from supervised.training.errors import CorruptFile, UserError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(st.sampled_from(list(CODES)).flatmap(lambda name: hnp.arrays(name, hnp.array_shapes(max_dims=3))))
def test_idx_files_give_what_was_written(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("idx")
    (folder / "plain").write_bytes(idx(array))
    (folder / "packed.gz").write_bytes(gzip.compress(idx(array)))
    for name in ("plain", "packed.gz"):
        found = read_idx(folder / name)
        assert found.dtype == array.dtype and found.dtype.isnative
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no IDX file: it begins with nothing"),
        (b"\x89PNG", "is no IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "11 bytes, and its head tells of 13; it is truncated or damaged"),
        (b"\0\0\x08\x02\0\0\0\x05", "it is truncated or damaged"),
        (b"\0\0\x08\x01\xff\xff\xff\xffabc", "its head tells of 4,294,967,303"),
    ],
)
def test_damaged_idx_files_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CorruptFile, match=message):
        read_idx(tmp_path / "file")
    (tmp_path / "file.gz").write_bytes(gzip.compress(b"\0" * 1000)[:-9])
    with pytest.raises(CorruptFile, match="cannot read"):
        read_idx(tmp_path / "file.gz")


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def batches(
    make: Callable[[np.ndarray, np.ndarray], bytes], suffix: str
) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """CIFAR's six files of 3 images each, and all pixels ``(18, 3072)`` and labels ``(18,)``."""
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(256, size=(18, 3072)).astype(np.uint8), rng.integers(10, size=18).astype(np.uint8)
    names = [f"cifar/data_batch_{k}{suffix}" for k in range(1, 6)] + [f"cifar/test_batch{suffix}"]
    files = {name: make(pixels[3 * k : 3 * k + 3], labels[3 * k : 3 * k + 3]) for k, name in enumerate(names)}
    return {"cifar/readme.html": b"hello", **files}, pixels, labels


def binary(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    return np.concatenate([labels[:, None], pixels], axis=1).tobytes()


def python(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    return pickle.dumps({b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"one"}, protocol=2)


@pytest.mark.parametrize(("make", "suffix"), [(binary, ".bin"), (python, "")])
def test_both_versions_of_cifar(make: Callable[..., bytes], suffix: str, tmp_path: Path) -> None:
    files, pixels, labels = batches(make, suffix)
    path = archive(tmp_path / "cifar.tar.gz", dict(reversed(files.items())))
    for train, rows in ((True, slice(15)), (False, slice(15, 18))):
        images, found = read_cifar(path, train)
        np.testing.assert_array_equal(found, labels[rows])
        assert found.dtype == np.int64 and images.shape == (len(found), 32, 32, 3)
        # a plane a colour, each row by row
        assert images[1, 2, 5, 2] == pixels[rows][1, 2 * 1024 + 2 * 32 + 5]


def test_what_cifar_may_not_hold(tmp_path: Path) -> None:
    files, *_ = batches(binary, ".bin")
    del files["cifar/data_batch_3.bin"]
    with pytest.raises(CorruptFile, match="lacks data_batch_3"):
        read_cifar(archive(tmp_path / "a.tar.gz", files), train=True)
    with pytest.raises(CorruptFile, match="1 bytes are no whole number of rows of 3,073"):
        read_cifar(archive(tmp_path / "b.tar.gz", {"test_batch.bin": b"x"}), train=False)
    with pytest.raises(CorruptFile, match="is no batch of CIFAR-10"):
        read_cifar(archive(tmp_path / "c.tar.gz", {"test_batch": pickle.dumps([1, 2], protocol=2)}), train=False)
    with pytest.raises(UserError, match="is not data alone: it wants 'posix.system'"):
        read_cifar(archive(tmp_path / "d.tar.gz", {"test_batch": b"cposix\nsystem\n(S'true'\ntR."}), train=False)
    (tmp_path / "e.tar.gz").write_bytes(archive(tmp_path / "f.tar.gz", files).read_bytes()[:-2000])
    with pytest.raises(CorruptFile, match="cannot read .*e.tar.gz"):
        read_cifar(tmp_path / "e.tar.gz", train=True)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (4, 3), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, colour).save(target, kind)
    return target.getvalue()


def test_pictures_of_folders_and_archives(tmp_path: Path) -> None:
    files = {
        "dogs/b.png": picture((255, 0, 0)),
        "cats/z.bmp": picture((0, 0, 255), kind="BMP"),
        "dogs/a.png": picture((0, 255, 0)),
        "dogs/notes.txt": b"none",
    }
    for name, content in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    for path in (tmp_path / "folder", archive(tmp_path / "packed.tar", files)):
        images, labels, classes = read_pictures(path)
        assert classes == ("cats", "dogs") and labels.tolist() == [0, 1, 1] and images.shape == (3, 3, 4, 3)
        assert images[:, 0, 0].tolist() == [[0, 0, 255], [0, 255, 0], [255, 0, 0]]
    images, labels, classes = read_pictures(
        archive(tmp_path / "parts.tar", {f"./train/{k}": v for k, v in files.items()}), "train"
    )
    assert classes == ("cats", "dogs") and labels.tolist() == [0, 1, 1]


def test_a_gray_picture_of_16_bits_is_scaled() -> None:
    ramp = np.linspace(0, 65_535, 8).astype(np.uint16)[None]
    kept = io.BytesIO()
    Image.fromarray(ramp).save(kept, "PNG")
    found = decode(kept.getvalue(), "ramp.png")[0]
    np.testing.assert_allclose(found, np.repeat(ramp[0, :, None] / 257, 3, 1), atol=1)


def test_pictures_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is neither a folder nor a tar archive"):
        read_pictures(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no pictures in folders of classes"):
        read_pictures(archive(tmp_path / "none.tar", {"a/notes.txt": b""}))
    files = {"a/1.png": picture((0, 0, 0)), "a/2.png": picture((0, 0, 0), (5, 5))}
    with pytest.raises(UserError, match="2.png: pictures of 3 x 4 and 5 x 5 pixels; bring them to one size"):
        read_pictures(archive(tmp_path / "sizes.tar", files))
    for content in (b"", b"no picture", picture((9, 9, 9), (40, 40))[:60]):
        with pytest.raises(CorruptFile, match="cannot read mine.png: "):
            decode(content, "mine.png")
    huge = bytearray(picture((9, 9, 9), kind="BMP"))
    for sides in ((20_000, 9_000), (60_000, 60_000)):  # of which Pillow warns, and which it refuses
        huge[18:26] = struct.pack("<2i", *sides)
        with pytest.raises(CorruptFile, match="cannot read huge.bmp: it tells of more pixels than pictures have"):
            decode(bytes(huge), "huge.bmp")

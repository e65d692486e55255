"""Readers of the formats that data sets of images come in. None of them runs anything that a file holds."""

import gzip
import io
import itertools
import math
import tarfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from supervised.training.errors import CorruptFile, UserError
from supervised.training.restricted_pickle import read_plain

Array = NDArray[Any]

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # the third byte of an IDX file
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
CIFAR_SHAPE = (3, 32, 32)


def read_idx(path: Path) -> Array:
    """The array of an IDX file (LeCun's format for MNIST), packed by gzip or not, in this machine's byte order.

    Raises:
        CorruptFile: no IDX file, or one of another length than its head says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"cannot read {path}: {error}") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_TYPES:
        raise CorruptFile(f"{path} is no IDX file: it begins with {data[:4].hex(' ') or 'nothing'}")
    dtype, axes = np.dtype(IDX_TYPES[data[2]]), data[3]
    head = 4 + 4 * axes
    shape = tuple(np.frombuffer(data[4:head], ">u4").tolist()) if len(data) >= head else (0,)
    expected = head + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise CorruptFile(
            f"{path}: {len(data):,} bytes, and its head tells of {expected:,}; it is truncated or damaged"
        )
    return np.frombuffer(data, dtype, offset=head).reshape(shape).astype(dtype.newbyteorder("="))


def read_cifar(path: Path, train: bool) -> tuple[Array, Array]:
    """Images ``(n, 32, 32, 3)`` uint8 and labels ``(n,)`` int64 of CIFAR-10's archives, python or binary version.

    Raises:
        CorruptFile: the archive is damaged, or lacks a batch.
        UserError: a batch is a program rather than data; nothing of it has run.
    """
    names = [f"data_batch_{k}" for k in range(1, 6)] if train else ["test_batch"]
    found: dict[str, tuple[Array, Array]] = {}
    for member, file in _members(path):
        stem, _, suffix = member.rpartition("/")[2].partition(".")
        if stem in names:
            found[stem] = _binary_batch(file, member) if suffix == "bin" else _python_batch(file, member)
    if missing := [name for name in names if name not in found]:
        raise CorruptFile(f"{path} lacks {missing[0]}; it is not CIFAR-10, or damaged")
    images, labels = (np.concatenate(parts) for parts in zip(*(found[name] for name in names), strict=True))
    return np.ascontiguousarray(images.reshape(-1, *CIFAR_SHAPE).transpose(0, 2, 3, 1)), labels.astype(np.int64)


def _binary_batch(file: IO[bytes], name: str) -> tuple[Array, Array]:
    row = 1 + math.prod(CIFAR_SHAPE)
    data = np.frombuffer(file.read(), np.uint8)
    if len(data) % row:
        raise CorruptFile(f"{name}: {len(data):,} bytes are no whole number of rows of {row:,}")
    return data.reshape(-1, row)[:, 1:], data.reshape(-1, row)[:, 0]


def _python_batch(file: IO[bytes], name: str) -> tuple[Array, Array]:
    batch = read_plain(file, name)
    values = {k.decode() if isinstance(k, bytes) else k: v for k, v in batch.items()} if isinstance(batch, dict) else {}
    data, labels = values.get("data"), np.asarray(values.get("labels"))
    wanted = (len(labels) if labels.ndim else -1, math.prod(CIFAR_SHAPE))
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != wanted:
        raise CorruptFile(f"{name} is no batch of CIFAR-10: it needs data (n, 3072) uint8 and n labels")
    return data, labels


def read_pictures(path: Path, part: str = "", every: int = 1) -> tuple[Array, Array, tuple[str, ...]]:
    """The pictures of a folder, or of a tar archive, in one folder a class.

    Args:
        part: only those of the folder of that name in it.
        every: 1 for all of them, k for every k-th.

    Returns:
        images ``(n, height, width, 3)`` uint8 in the order of their names, labels ``(n,)`` int64, and the classes in
        alphabetical order.

    Raises:
        UserError: there are none, or of several sizes.
        CorruptFile: one that cannot be read.
    """
    pairs: list[tuple[str, Array]] = []
    inside = PurePosixPath(part)
    for name, file in itertools.islice(entries(path), 0, None, every):
        if PurePosixPath(name).is_relative_to(inside) and PurePosixPath(name).suffix.lower() in PICTURES:
            pairs.append((name, decode(file.read(), f"{path}/{name}")))
            first = pairs[0][1].shape[:2]
            if pairs[-1][1].shape[:2] != first:
                sizes = " and ".join("{} x {}".format(*one.shape[:2]) for one in (pairs[0][1], pairs[-1][1]))
                raise UserError(f"{path}/{name}: pictures of {sizes} pixels; bring them to one size")
    if not pairs:
        where = f"{path}/{part}" if part else str(path)
        raise UserError(f"{where} holds no pictures in folders of classes ({', '.join(sorted(PICTURES))})")
    pairs.sort(key=lambda pair: pair[0])
    kinds = [Path(name).parent.name for name, _ in pairs]
    classes = tuple(sorted(set(kinds)))
    return np.stack([image for _, image in pairs]), np.array([classes.index(kind) for kind in kinds]), classes


def decode(data: bytes, name: str) -> Array:
    """The colours ``(height, width, 3)`` uint8 of a picture's file.

    Raises:
        CorruptFile: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                shown = (_eight_bits(picture) if picture.mode.startswith("I") else picture).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise CorruptFile(f"cannot read {name}: it tells of more pixels than pictures have; it is damaged") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise CorruptFile(f"cannot read {name}: {str(error).partition('<')[0].strip() or 'no picture'}") from error
    return np.array(shown)


def resized(picture: Array, size: Sequence[int]) -> Array:
    """Colours ``(height, width, 3)`` uint8 brought to ``size`` (height, width)."""
    if picture.shape[:2] == tuple(size):
        return picture
    return np.array(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A gray picture of 16 bits, which Pillow would cut off above 255 and not scale."""
    return Image.fromarray((np.clip(np.asarray(picture, np.int64), 0, 65_535) // 257).astype(np.uint8))


def entries(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of the files in a folder (in order), or in a tar archive (as they come).

    Raises:
        UserError: neither of them.
        CorruptFile: a damaged archive.
    """
    return _members(path) if path.is_file() else _files(path)


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of the files in a tar archive, as they come; nothing is unpacked."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    yield member.name.removeprefix("./"), io.BytesIO(file.read())  # where it may fail
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise CorruptFile(f"cannot read {path}: {error}; it is truncated or damaged") from error


def _files(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if not path.is_dir():
        raise UserError(f"{path} is neither a folder nor a tar archive: give one of them")
    for file in sorted(path.rglob("*")):
        if file.is_file():
            with file.open("rb") as opened:
                yield str(file.relative_to(path)), opened

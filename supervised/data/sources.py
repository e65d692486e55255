"""Where files of data are: under ``$SKIDPAD_DATA``, or in the user's cache, where they are downloaded to.

Whatever a file's way here, its content must have the SHA-256 of `FILES`: for a ``.gz`` that of what it holds, as the
same content is packed differently by different hands. Files without an address are to be put in their place by hand.
"""

import gzip
import hashlib
import os
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from supervised.training.errors import CorruptFile, UserError, suggest, writing

BLOCK = 1 << 20  # bytes read at a time
TIMEOUT = 30.0  # s without a byte until a download is given up


class File(NamedTuple):
    """What must be in a file, and the folder where the public gets it; without one it has no public address."""

    sha256: str
    home: str | None


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_TORCHVISION = "https://download.pytorch.org/models/"

#: folder and name -> what it is
FILES = {
    "mnist/train-images-idx3-ubyte.gz": File(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", _MNIST
    ),
    "mnist/train-labels-idx1-ubyte.gz": File(
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", _MNIST
    ),
    "mnist/t10k-images-idx3-ubyte.gz": File("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", _MNIST),
    "mnist/t10k-labels-idx1-ubyte.gz": File("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", _MNIST),
    "fashion-mnist/train-images-idx3-ubyte.gz": File(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", _FASHION
    ),
    "fashion-mnist/train-labels-idx1-ubyte.gz": File(
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", _FASHION
    ),
    "fashion-mnist/t10k-images-idx3-ubyte.gz": File(
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", _FASHION
    ),
    "fashion-mnist/t10k-labels-idx1-ubyte.gz": File(
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", _FASHION
    ),
    "cifar10/cifar-10-python.tar.gz": File("6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", _CIFAR),
    "cifar10/cifar-10-binary.tar.gz": File("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", _CIFAR),
    "cifar10-jpeg/train.tar": File("7a6ca90c4be3f975a4288cb27397b1b68dbb206b78705202043e0a7e610a0cf4", None),
    "cifar10-jpeg/test.tar": File("4d3f5584bfe0a58112f8208f07dc99f96810f1c7cbb1a3a01fbc8bcca879d27e", None),
    "fsdd/recordings.tar": File("fd786690c964edc9b7957f71c1c1ff344d62b4fb4338acfe52358c9033c4cdc4", None),
    "war_and_peace.txt": File("58f1b6127fbc86ff018ca7e600ac7e803fbdd3bff9e7413827d07d33bf7905c6", None),
    "weights/mobilenet_v2-b0353104.pth": File(
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889", _TORCHVISION
    ),
}


def cache() -> Path:
    """The user's folder for data: ``$XDG_CACHE_HOME/skidpad``, by default ``~/.cache/skidpad``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skidpad"


def locate(name: str) -> Path:
    """The file of a name in `FILES`, checked; downloaded where it is not there.

    Raises:
        UserError: an unknown name, or a file that is nowhere and cannot be had; the message says where to put it.
        CorruptFile: its content is another.
    """
    if name not in FILES:
        raise UserError(f"unknown file {name!r}{suggest(name, FILES)}")
    places = _places(name)
    for path in places:
        if path.is_file():
            return _checked(path, name)
    return _download(name, places[-1], " or ".join(map(str, places)))


def is_here(name: str) -> bool:
    """Whether `locate` would find the file without a download."""
    return any(path.is_file() for path in _places(name))


def _places(name: str) -> list[Path]:
    """Where a file may be, the first of them first."""
    given = os.environ.get("SKIDPAD_DATA")
    return [Path(folder) / name for folder in (given, cache()) if folder]


def _checked(path: Path, name: str) -> Path:
    try:
        with path.open("rb") as file:
            found = _sha256(file, unpack=name.endswith(".gz") and not name.endswith(".tar.gz"))
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptFile(f"cannot read {path}: {error}; delete it, or put another copy there") from error
    if found != (wanted := FILES[name].sha256):
        raise CorruptFile(f"{path}: SHA-256 {found[:8]}... instead of {wanted[:8]}...; delete it, or put the right one")
    return path


def _sha256(file: IO[bytes], unpack: bool) -> str:
    digest = hashlib.sha256()
    for block in _blocks(gzip.open(file) if unpack else file):  # type: ignore[arg-type]
        digest.update(block)
    return digest.hexdigest()


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _download(name: str, target: Path, places: str) -> Path:
    home = FILES[name].home
    if home is None:
        raise UserError(f"{name} is missing: put it at {places}")
    address = home + target.name
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                for block in _answer(address, f"{name} is missing, and {address} does not give it: put it at {places}"):
                    file.write(block)
        _checked(temporary, name)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _answer(address: str, complaint: str) -> Iterator[bytes]:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            yield from _blocks(answer)
    except OSError as error:  # all that networks do
        raise UserError(f"{complaint} ({getattr(error, 'reason', error)})") from error

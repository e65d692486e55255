"""Texts to learn language from, as numbers: War and Peace, the book's corpus, or any file in UTF-8."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.data.sources import locate
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError, require, suggest

TEXT = "text:"  # and the path of a file
BOOKS = {"war-and-peace": "war_and_peace.txt"}
LEVELS = ("words", "characters")
UNKNOWN = "<unk>"  # number 0: what is not in the vocabulary
TOKEN = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")  # words with apostrophes and hyphens within, and marks
SMOKE_CHARACTERS = 20_000  # that SKIDPAD_SMOKE leaves


class Corpus(NamedTuple):
    """A text as numbers of tokens: its last tenth is to be judged by."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    vocabulary: tuple[str, ...]


def read_text(name: str) -> str:
    """The text of that name: one of `BOOKS`, or ``text:PATH``.

    Raises:
        UserError: an unknown name, no such file, nothing in it, or what is no UTF-8; the message names the byte.
        supervised.training.errors.CorruptFile: the book's content is another.
    """
    if not name.startswith(TEXT) and name not in BOOKS:
        raise UserError(f"unknown text {name!r}{suggest(name, BOOKS)}; or {TEXT}PATH")
    path = Path(name.removeprefix(TEXT)) if name.startswith(TEXT) else locate(BOOKS[name])
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a file of text") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8; convert the file, or cut it there") from error
    require(bool(text.strip()), "data", name, "there is no text in it")
    return text[:SMOKE_CHARACTERS] if SMOKE else text


def tokens(text: str, level: str) -> list[str]:
    """Characters of `unwrapped` text, or words in small letters and punctuation marks."""
    require(level in LEVELS, "level", level, f"use one of {', '.join(LEVELS)}")
    return TOKEN.findall(text.lower()) if level == "words" else list(unwrapped(text))


def unwrapped(text: str) -> str:
    """Without line ends in the middle of paragraphs, and with one empty line between these, as the book has it."""
    return re.sub("\n{2,}", "\n\n", re.sub("(?<!\n)\n(?!\n)", " ", text))


def corpus(name: str, level: str, rare: int = 1) -> Corpus:
    """A text as numbers; in the vocabulary is what its first nine tenths have ``rare`` times or more.

    Raises:
        UserError: as `read_text`, or a text too short to be parted.
    """
    found = tokens(read_text(name), level)
    parted = len(found) - len(found) // 10
    require(len(found) >= 10, "data", name, f"its {len(found)} {level} are too few to learn from and to be judged by")
    often = Counter(found[:parted])
    vocabulary = (UNKNOWN, *(one for one, count in sorted(often.items()) if count >= rare))
    numbers = encode(found, vocabulary)
    return Corpus(numbers[:parted], numbers[parted:], vocabulary)


def encode(found: list[str], vocabulary: tuple[str, ...]) -> NDArray[Any]:
    """Numbers of tokens ``(n,)``, 0 for those that are not in the vocabulary."""
    places = {one: number for number, one in enumerate(vocabulary)}
    return np.array([places.get(one, 0) for one in found], np.int64)


def packed(vocabulary: tuple[str, ...]) -> NDArray[np.uint8]:
    """A vocabulary as checkpoints hold it: the bytes of its words, zeros between."""
    return np.array(bytearray("\0".join(vocabulary).encode()))


def unpacked(content: NDArray[np.uint8]) -> tuple[str, ...]:
    """What was `packed`."""
    return tuple(content.tobytes().decode().split("\0"))


def join(found: list[str], level: str) -> str:
    """A text of tokens: words with spaces between, but before most marks."""
    if level == "characters":
        return "".join(found)
    return re.sub(r" ([.,;:!?)\u201d])", r"\1", " ".join(found))

"""Vectors of words: what is near, which word is to c as b is to a, and GloVe's files of text.

Nearness is the cosine of the angle between two vectors. "a is to b as c is to ...?" is answered by the word whose
vector is nearest to b - a + c, all of length 1 (3CosAdd; Mikolov, Yih and Zweig 2013, Levy and Goldberg 2014).
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.training.checkpoint import atomic_write
from supervised.training.errors import CorruptFile, UserError, suggest, writing

Array = NDArray[Any]
Ranked = list[tuple[str, float]]  # words and their cosines, the nearest first

GLOVE = "glove:"  # and the path of a file


class WordVectors:
    """Words and their vectors.

    Args:
        words: all of them; of one that is there twice the first counts.
        matrix: ``(words, size)``.
        unseen: the vector ``(size,)`` of any other word, None where it can have none.
    """

    def __init__(
        self, words: Sequence[str], matrix: Array, unseen: Callable[[str], Array | None] = lambda word: None
    ) -> None:
        self.words, self.matrix = tuple(words), matrix
        self._unseen = unseen
        self._places = {word: place for place, word in reversed(list(enumerate(self.words)))}
        # of a word that is there twice both rows have the first one's place
        self._firsts = np.array([self._places[word] for word in self.words], np.int64)
        self._units = unit(matrix)

    def __contains__(self, word: str) -> bool:
        return word in self._places

    def knows(self, word: str) -> bool:
        """Whether the word has a vector, be it by its parts."""
        return word in self or self._unseen(word) is not None

    def direction(self, word: str) -> Array:
        """The word's vector ``(size,)``, of length 1.

        Raises:
            UserError: there is none; the message names the nearest spelling.
        """
        if word in self._places:
            return self._units[self._places[word]]
        vector = self._unseen(word)
        if vector is None:
            raise UserError(f"unknown word {word!r}{suggest(word, self.words)}")
        return unit(vector)

    def neighbours(self, word: str, count: int = 10) -> Ranked:
        """The words nearest to one; raises as `direction`."""
        return self._nearest(self.direction(word), [word], count)

    def analogy(self, a: str, b: str, c: str, count: int = 10) -> Ranked:
        """The words that may be to ``c`` as ``b`` is to ``a``, none of these; raises as `direction`."""
        wanted = unit(self.direction(b) - self.direction(a) + self.direction(c))
        return self._nearest(wanted, [a, b, c], count)

    def _nearest(self, direction: Array, but: Sequence[str], count: int) -> Ranked:
        cosines = self._units @ direction
        cosines[np.isin(self._firsts, [self._places[word] for word in but if word in self])] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(count, int(np.isfinite(cosines).sum()))]
        return [(self.words[place], float(cosines[place])) for place in best]

    def write(self, path: Path) -> None:
        """Write a file as GloVe does: a line a word, the word and its numbers, which lose nothing.

        Raises:
            UserError: it cannot be written.
        """
        lines = (f"{word} {' '.join(f'{one:.9g}' for one in row.tolist())}\n" for word, row in self.rows())
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, "".join(lines))

    def rows(self) -> Iterator[tuple[str, Array]]:
        """Each word and its vector."""
        return zip(self.words, self.matrix, strict=True)


def unit(vectors: Array) -> Array:
    """Vectors ``(..., size)`` of length 1; those without length stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def read_glove(path: Path) -> WordVectors:
    """The vectors in a text file of GloVe: lines of a word and its numbers, with a space between.

    A first line of two whole numbers, how many words and of what size, is what fastText and word2vec begin with.

    Raises:
        UserError: there is no such file.
        CorruptFile: a line of other length than the first, or what is no number, or fewer lines than announced; the
            message names the line.
    """
    words: list[str] = []
    vectors: list[Array] = []
    announced = None
    try:
        with open(path, "rb") as file:
            for number, content in enumerate(file, 1):
                fields = _decoded(content, path, number).rstrip(" \r\n").split(" ")
                if number == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
                    announced = int(fields[0])
                    continue
                word, vector = _parted(fields, len(vectors[0]) if vectors else None, f"{path}: line {number}")
                words.append(word)
                vectors.append(vector)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a text file of GloVe") from error
    if not vectors or len(vectors) < (announced or 0):
        told = f"{len(vectors)} vectors where line 1 tells of {announced}" if announced else "no vectors"
        raise CorruptFile(f"{path} holds {told}; give the whole file")
    return WordVectors(words, np.stack(vectors))


def _decoded(content: bytes, path: Path, number: int) -> str:
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{path}: line {number} is not UTF-8; give a text file of GloVe") from error


def _parted(fields: Sequence[str], size: int | None, where: str) -> tuple[str, Array]:
    """The word of a line, and its vector ``(size,)``; the first line decides the size."""
    given = len(fields) - 1
    size = size or given
    # some of GloVe's words have spaces, but none has numbers after them
    longer = given > size and all(map(_is_number, fields[1 : 1 + given - size]))
    if given < max(size, 1) or longer:
        raise CorruptFile(f"{where} has {given} numbers in place of {size or 'some'}; give the whole file, or mend it")
    try:
        with np.errstate(over="ignore"):  # which is refused below
            vector = np.array(fields[1 + given - size :], np.float64).astype(np.float32)
    except ValueError as error:
        reason = str(error).removeprefix("could not convert string to float: ")
        raise CorruptFile(f"{where} has {reason} in place of a number; mend that line, or take it out") from error
    if not np.isfinite(vector).all():
        raise CorruptFile(f"{where} has a number that is not finite; mend that line, or take it out")
    return " ".join(fields[: 1 + given - size]), vector


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

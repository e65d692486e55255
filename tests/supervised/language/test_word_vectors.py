"""Vectors of words: neighbours and analogies by hand, and GloVe's files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from supervised import words
from supervised.language.word_vectors import WordVectors, read_glove
from supervised.training.errors import UserError

WORDS = ("man", "woman", "king", "queen", "apple")
MATRIX = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 2], [1, 1, 2], [-3, 0, 0]], np.float32)


def test_neighbours_and_analogies_by_hand() -> None:
    known = WordVectors(WORDS, MATRIX)
    assert [word for word, _ in known.neighbours("man")] == ["woman", "king", "queen", "apple"][:1] + [
        *("king", "queen", "apple")
    ]
    cosines = dict(known.neighbours("man"))
    assert cosines["woman"] == pytest.approx(1 / np.sqrt(2)) and cosines["apple"] == pytest.approx(-1)
    assert known.analogy("man", "woman", "king", 1)[0][0] == "queen"
    assert len(known.neighbours("man", 2)) == 2 and len(known.analogy("man", "woman", "king")) == 2


def test_a_word_that_is_there_twice_is_the_first_and_no_vector_is_no_trouble() -> None:
    known = WordVectors(("a", "b", "a", "none"), np.array([[1, 0], [0, 1], [-1, 0], [0, 0]], np.float32))
    np.testing.assert_array_equal(known.direction("a"), [1, 0])
    assert dict(known.neighbours("b"))["none"] == 0
    assert "a" not in dict(known.neighbours("a")), "neither of them"


def test_unknown_words_are_refused_unless_they_have_parts() -> None:
    with pytest.raises(UserError, match="unknown word 'quen'; did you mean queen"):
        WordVectors(WORDS, MATRIX).neighbours("quen")
    known = WordVectors(WORDS, MATRIX, lambda word: np.array([0, 0, 5.0]))
    np.testing.assert_array_equal(known.direction("quen"), [0, 0, 1])
    assert known.neighbours("quen", 1)[0][0] == "king"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    WordVectors(("nat\u00e1sha", ",", ". . ."), matrix).write(tmp_path / "new" / "vectors.txt")
    found = read_glove(tmp_path / "new" / "vectors.txt")
    assert found.words == ("nat\u00e1sha", ",", ". . .")
    np.testing.assert_array_equal(found.matrix, matrix)
    assert found.matrix.dtype == np.float32


def test_files_of_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "glove.txt").write_text("the 0.5 -1\nof 2e-1 3")  # GloVe's, cut after the last number
    found = read_glove(tmp_path / "glove.txt")
    assert found.words == ("the", "of") and found.matrix.tolist() == [[0.5, -1], [np.float32(0.2), 3]]
    (tmp_path / "fast.vec").write_bytes(b"2 2\r\nthe 0.5 -1 \r\nof 0.2 3 \r\n")  # fastText's
    assert read_glove(tmp_path / "fast.vec").words == ("the", "of")
    (tmp_path / "marked.txt").write_bytes(b"\xef\xbb\xbfthe 0.5 -1\nof 2e-1 3\n")  # as some editors begin files
    assert read_glove(tmp_path / "marked.txt").words == ("the", "of")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 1 2 3\nof 1 2\n", "line 2 has 2 numbers in place of 3"),
        (b"the 1 2\nof 1 2 3\n", "line 2 has 3 numbers in place of 2"),
        (b"the 1 2\nof\n", "line 2 has 0 numbers in place of 2"),
        (b"the 1 2\n\nof 1 2\n", "line 2 has 0 numbers in place of 2"),
        (b"the\n", "line 1 has 0 numbers in place of some"),
        (b"the 1 2\nof 1 two\n", "line 2 has 'two' in place of a number"),
        (b"the 1 2\nof 1 nan\n", "line 2 has a number that is not finite"),
        (b"the 1 2\nof 1 1e300\n", "line 2 has a number that is not finite"),
        (b"the 1 2\ncaf\xe9 1 2\n", "line 2 is not UTF-8"),
        (b"3 2\nthe 1 2\nof 1 2\n", "holds 2 vectors where line 1 tells of 3"),
        (b"", "holds no vectors"),
    ],
)
def test_damaged_files_are_refused(content: bytes, message: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    assert message in refused(words.main, f"glove:{tmp_path / 'bad.txt'}", "neighbours", "the")


def test_a_missing_file_and_a_place_that_cannot_be_written(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "cannot read" in refused(words.main, f"glove:{tmp_path / 'none.txt'}", "neighbours", "the")
    (tmp_path / "good.txt").write_text("the 1 2\n")
    source = f"glove:{tmp_path / 'good.txt'}"
    assert "cannot write" in refused(words.main, source, "write", tmp_path / "good.txt" / "below.txt")

"""Pickles of data are read as Python reads them; whatever else a pickle asks for is refused, and nothing is run."""

import contextlib
import gzip
import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervised.training.errors import CorruptFile, UserError
from supervised.training.restricted_pickle import read_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
SAMPLES: list[Any] = [
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12, dtype=np.float32)[::2],
    np.array([1, -2], ">i4"),
    np.array([True, False]),
    np.array(3.5),
    np.zeros((0, 3)),
    np.array(["ab", "c"]),
]


def read(data: bytes, **keywords: Any) -> Any:
    return read_plain(io.BytesIO(data), "sample", **keywords)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", SAMPLES, ids=lambda array: f"{array.dtype.str}{array.shape}")
def test_arrays(array: np.ndarray, protocol: int) -> None:
    found = read(pickle.dumps(array, protocol))
    assert found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_layout_of_the_books_recordings(protocol: int) -> None:
    first, second = np.zeros((96, 96, 3), np.uint8), np.ones((96, 96, 3), np.uint8)
    rows = [(first, np.array([0.0, 1, 0]), second, np.float64(-0.1), False), (second, [-1, 0, 0.5], first, 3.2, True)]
    found = read(pickle.dumps(rows, protocol))
    assert found[0][2] is found[1][0], "what was one object is one object"
    assert found[0][0] is found[1][2]
    assert np.array_equal(found[0][2], second) and found[0][3] == -0.1
    assert found[1][1] == [-1, 0, 0.5] and found[1][3:] == (3.2, True)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers())
    ),
)


@settings(max_examples=100, deadline=None)
@given(plain, st.sampled_from(PROTOCOLS[1:]))
def test_plain_values_come_back(value: Any, protocol: int) -> None:
    if protocol >= 4 or not any(op.name == "GLOBAL" for op, *_ in pickletools.genops(pickle.dumps(value, protocol))):
        assert read(pickle.dumps(value, protocol)) == value


def test_strings_of_python_2_are_text() -> None:
    assert read(b"(dp0\nS'data'\np1\n(lp2\nI1\naL2L\nas.") == {"data": [1, 2]}
    assert read(b"\x80\x02U\x02\xe9b.") == "\xe9b"


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps([np.zeros(2), Hostile(tmp_path / "made")], protocol)
    with pytest.raises(UserError, match=r"sample is not data alone: it wants 'posix.mkdir'; nothing was run"):
        read(data)
    assert not (tmp_path / "made").exists()
    pickle.loads(data)  # noqa: S301 - the attack is real
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"cbuiltins\neval\n(S'1'\ntR.", "wants 'builtins.eval'"),
        (b"(S'ls'\nios\nsystem\n.", "the instruction INST"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "the instruction NEWOBJ"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "calls what is no constructor"),
        (b"\x80\x02K\x01)R.", "calls what is no constructor"),
        (b"\x80\x02]}b.", "sets the state of a list"),
        (b"\x80\x02Q.", "the instruction BINPERSID"),
        (b"\x80\x02\x82\x01.", "the instruction EXT1"),
        (b"\x80\x02}K\x01a.", "appends to a dict"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "wants 'os.system'"),
    ],
)
def test_what_is_not_data_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x02.",
        b"\x80\x02a.",
        b"\x80\x02h\x05.",
        b"\x80\x02t.",
        b"\x80\x02cnumpy\ndtype\nU\x01O\x85R.",
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"\x80\x02}(K\x01e.",
        b"\x80\x02})K\x01s.",
        pickle.dumps(np.array([{}], object)),
        pickle.dumps(np.zeros(2, [("a", int)])),
    ],
)
def test_damage_is_one_line(data: bytes) -> None:
    with pytest.raises(UserError, match="sample") as caught:
        read(data)
    assert "\n" not in str(caught.value)


instructions = st.sampled_from([opcode.code.encode("latin1") for opcode in pickletools.opcodes])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.lists(instructions, max_size=20).map(b"".join))
def test_noise_never_raises_anything_else(data: bytes) -> None:
    with contextlib.suppress(UserError):
        read(data)


def test_truncated_at_every_byte(tmp_path: Path) -> None:
    data = pickle.dumps([(np.arange(3, dtype=np.uint8), [1.0], {"a": 1})], 4)
    for end in range(len(data)):
        with pytest.raises(CorruptFile, match="truncated or damaged"):
            read(data[:end])
    packed = gzip.compress(data * 50)
    with gzip.open(io.BytesIO(packed[:20])) as file, pytest.raises(CorruptFile):
        read_plain(file, "sample")


def test_a_bomb_does_not_fill_the_memory() -> None:
    bomb = gzip.compress(pickle.dumps(bytes(50_000_000), 4))
    assert len(bomb) < 100_000
    with gzip.open(io.BytesIO(bomb)) as file, pytest.raises(CorruptFile, match="larger than is allowed"):
        read_plain(file, "sample", most_bytes=1_000_000)
    nested = b"\x80\x02)" + b"2\x86" * 200 + b"}q\x00(h\x00K\x01u."
    with pytest.raises(UserError):
        read(nested)

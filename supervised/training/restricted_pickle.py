"""Foreign pickles of arrays and plain containers, read without running anything that they name.

A pickle is a program. This is an interpreter for the few instructions that data needs: containers, numbers, text,
bytes, and NumPy's arrays, scalars and dtypes, which are built here from their parts. It never imports a name, and
it calls nothing but the constructors in `CONSTRUCTORS`. Everything else is refused by name, before anything
is built from it.
"""

import pickletools
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from supervised.training.errors import CorruptFile, UserError

MOST_BYTES = 4 << 30  # of a pickle, decompressed
MOST_INSTRUCTIONS = 200_000_000
SIMPLE = "?bhilqBHILQefdFDSU"  # kinds of numbers and text, as `numpy.dtype.char` gives them; no objects


class _Array:
    """An array under construction: NumPy's pickles make an empty one, remember it, then set its state."""

    def __init__(self) -> None:
        self.memos: list[int] = []  # where it is remembered


class _Dtype:
    """A dtype under construction."""

    def __init__(self, name: Any) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z]\d{0,6}", name):
            raise ValueError(f"the dtype {name!r:.80} is unknown")
        self.value = np.dtype(name)
        if self.value.char not in SIMPLE:
            raise ValueError(f"arrays of {name!r} are neither numbers nor text")


class _Name:
    """A global that is allowed, as it lies on the stack before it is called."""

    def __init__(self, name: str) -> None:
        self.name = name


def _frombuffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(_bytes(data), dtype.value).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: _Dtype, data: Any) -> Any:
    return np.frombuffer(_bytes(data), dtype.value, 1)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


#: what a pickle may name, and what it means here
CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    f"{package}.{name}": build
    for package in ("numpy.core", "numpy._core")
    for name, build in (
        ("multiarray._reconstruct", lambda kind, shape, code: _Array()),
        ("multiarray.scalar", _scalar),
        ("numeric._frombuffer", _frombuffer),
    )
}
CONSTRUCTORS |= {
    "numpy.dtype": lambda name, align=False, copy=False: _Dtype(name),
    "_codecs.encode": _encode,
    "builtins.bytearray": lambda data=b"": _bytes(data),
    "__builtin__.bytes": lambda: b"",  # how old protocols write no bytes at all
}
NAMES = {*CONSTRUCTORS, "numpy.ndarray"}
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
VALUES = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
VALUES |= {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
VALUES |= {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
IGNORED = {"PROTO", "FRAME"}
MARK = object()


class _Refused(Exception):
    """The pickle asks for more than data."""


class _Limited:
    """A file that ends with an error after so many bytes: a few compressed bytes can hold a full memory."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int) -> bytes:
        self._take(size)
        return self._file.read(size)

    def readline(self) -> bytes:
        line = self._file.readline(self._left + 1)
        self._take(len(line))
        return line

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError("it is larger than is allowed")


def read_plain(file: IO[bytes], name: str | Path, most_bytes: int = MOST_BYTES) -> Any:
    """What a pickle of plain containers and arrays holds; arrays are read-only, Python 2's strings come as text.

    Args:
        file: open for reading, and decompressing if need be.
        name: for messages.
        most_bytes: refuse a pickle beyond this size (decompressed).

    Raises:
        CorruptFile: truncated, too large, or no pickle at all.
        UserError: it names something that is not data; nothing has been run.
    """
    try:
        return _run(_Limited(file, most_bytes))
    except _Refused as error:
        raise UserError(f"{name} is not data alone: {error}; nothing was run, do not use it") from error
    except (ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, zlib.error, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorruptFile(
            f"cannot read {name}: {reason or type(error).__name__}; it is truncated or damaged"
        ) from error


def _run(source: Any) -> Any:
    """Interpret a pickle's instructions on a stack of values."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
        if count > MOST_INSTRUCTIONS:
            raise ValueError("it has too many instructions")
        code = opcode.name
        if code in VALUES:
            stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            stack.append({"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}[code]())
        elif code == "MARK":
            stack.append(MARK)
        elif code == "POP":
            stack.pop()
        elif code in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif code in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = _remembered(stack[-1], argument)
        elif code == "MEMOIZE":
            memo[len(memo)] = _remembered(stack[-1], len(memo))
        elif code == "BUILD":
            target, state = _take(stack, 2)
            stack.append(_build(target, state, memo))
        elif code == "STOP":
            return stack.pop()
        elif code in BUILDERS:
            BUILDERS[code](stack)
        elif code in ("GLOBAL", "STACK_GLOBAL"):
            path = argument.replace(" ", ".") if code == "GLOBAL" else ".".join(reversed([stack.pop(), stack.pop()]))
            if path not in NAMES:
                raise _Refused(f"it wants {path[:80]!r}")
            stack.append(_Name(path))
        elif code not in IGNORED:
            raise _Refused(f"it holds the instruction {code}")
    raise ValueError("it ends early")


def _marked(stack: list[Any]) -> list[Any]:
    """Take what lies above the topmost mark, and the mark."""
    for start in range(len(stack) - 1, -1, -1):
        if stack[start] is MARK:
            items = stack[start + 1 :]
            del stack[start:]
            return items
    raise ValueError("a mark is missing")


def _take(stack: list[Any], count: int) -> list[Any]:
    if len(stack) < count:
        raise ValueError("the stack is empty")
    items = stack[-count:]
    del stack[-count:]
    return items


def _fill_list(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not list:
        raise _Refused(f"it appends to a {type(stack[-1]).__name__}")
    stack[-1].extend(items)


def _fill_dict(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not dict:
        raise _Refused(f"it sets items of a {type(stack[-1]).__name__}")
    stack[-1].update(_dict(items))


def _fill_set(stack: list[Any], items: list[Any]) -> None:
    if type(stack[-1]) is not set:
        raise _Refused(f"it adds to a {type(stack[-1]).__name__}")
    stack[-1].update(_keys(items))


def _dict(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(_keys(items[::2]), items[1::2], strict=True))


def _keys(items: list[Any]) -> list[Any]:
    """Keys are plain: the hash of a tuple of tuples of ... can take for ever."""
    for item in items:
        if not isinstance(item, (str, bytes, int, float, type(None))):
            raise ValueError(f"a {type(item).__name__} as key")
    return items


def _reduce(stack: list[Any]) -> None:
    """Call an allowed constructor with a tuple of arguments."""
    name, arguments = _take(stack, 2)
    if not isinstance(name, _Name) or name.name not in CONSTRUCTORS or not isinstance(arguments, tuple):
        raise _Refused("it calls what is no constructor")
    stack.append(CONSTRUCTORS[name.name](*arguments))


def _remembered(value: Any, index: int) -> Any:
    if isinstance(value, _Array):
        value.memos.append(index)
    return value


def _build(target: Any, state: Any, memo: dict[int, Any]) -> Any:
    """What a state makes of an array or a dtype; nothing else has one."""
    if isinstance(target, _Dtype):
        if state[1] in ("<", ">"):
            target.value = target.value.newbyteorder(state[1])
        return target
    if not isinstance(target, _Array):
        raise _Refused(f"it sets the state of a {type(target).__name__}")
    _, shape, dtype, fortran, data = state
    array = _frombuffer(data, dtype, shape, "F" if fortran else "C")
    for index in target.memos:
        memo[index] = array
    return array


BUILDERS: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_marked(stack))),
    "TUPLE1": lambda stack: stack.append(tuple(_take(stack, 1))),
    "TUPLE2": lambda stack: stack.append(tuple(_take(stack, 2))),
    "TUPLE3": lambda stack: stack.append(tuple(_take(stack, 3))),
    "LIST": lambda stack: stack.append(_marked(stack)),
    "DICT": lambda stack: stack.append(_dict(_marked(stack))),
    "APPEND": lambda stack: _fill_list(stack, _take(stack, 1)),
    "APPENDS": lambda stack: _fill_list(stack, _marked(stack)),
    "SETITEM": lambda stack: _fill_dict(stack, _take(stack, 2)),
    "SETITEMS": lambda stack: _fill_dict(stack, _marked(stack)),
    "ADDITEMS": lambda stack: _fill_set(stack, _marked(stack)),
    "FROZENSET": lambda stack: stack.append(frozenset(_keys(_marked(stack)))),
    "REDUCE": _reduce,
}


def _bytes(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes):  # bytes(number) would allocate as many
        raise ValueError(f"{type(data).__name__} instead of bytes")
    return data

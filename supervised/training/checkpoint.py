"""Checkpoints that survive a kill between any two system calls.

A checkpoint is the folder `step-000000012345/`: `state.json` (structure and scalars), `arrays.safetensors`
(arrays and tensors) and `manifest.json` (size and SHA-256 of both). It is written beside its place, synced
and renamed, so a folder of that name is whole; the hashes find what a disk spoils later. Nothing read can run
code.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from supervised.training.errors import CorruptFile, UserError, writing

FORMAT = 1
DTYPES = {f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
DTYPES |= {"bool", "float16", "float32", "float64", "complex64"}
LONG_INTEGER = 4096  # bits; Python refuses to read decimal numbers much longer than that
CHUNK = re.compile(r"\d{12}-\d{12}-[0-9a-f]{16}\.safetensors")


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a file so that `path` holds either the old or the new content, whatever happens.

    Raises `UserError` when the disk is full or `path` cannot be written; the old file then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            _write_synced(temporary, data.encode() if isinstance(data, str) else data)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def save_checkpoint(folder: Path, step: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Save `state` as `folder/step-<step>/`, then remove all but the newest `keep` checkpoints up to `step`.

    `state` is a nested dict or list of str, int, float, bool, None, NumPy arrays and scalars, and torch
    tensors; dict keys are strings. An existing checkpoint of the same step is replaced; later ones belong to
    a future that training has left (they did not verify) and are removed.

    Raises `TypeError` for anything else in `state`, `UserError` when the disk is full or refuses.
    """
    if keep < 1:
        raise ValueError(f"keep={keep}: at least the checkpoint just written is kept")
    arrays: dict[str, np.ndarray] = {}
    placed: list[dict[str, Any]] = []
    document = {"state": _split(state, [], arrays, placed), "placed": placed}
    files = {"state.json": json.dumps(document).encode(), "arrays.safetensors": save(arrays)}
    digests = {name: {"size": len(data), "sha256": _sha256(data)} for name, data in files.items()}
    manifest = {"format": FORMAT, "step": int(step), "files": digests}
    files["manifest.json"] = json.dumps(manifest, indent=2).encode()

    target = folder / f"step-{step:012d}"
    temporary = target.with_name(target.name + ".tmp")
    with writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.tmp"):
            shutil.rmtree(leftover)
        try:
            temporary.mkdir()
            for name, data in files.items():
                _write_synced(temporary / name, data)
            sync(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        if target.exists():  # no call replaces a folder: between the two renames ".old" is what loads
            replaced = target.with_name(target.name + ".old")
            if replaced.exists():
                shutil.rmtree(replaced)
            os.rename(target, replaced)
        os.rename(temporary, target)
        sync(folder)
        older = [path for other, path in _entries(folder) if other < step]
        for _, path in _entries(folder):
            if path != target and path not in older[: keep - 1]:
                shutil.rmtree(path)
    return target


def load_checkpoint(
    folder: Path, check: Callable[[dict[str, Any]], None] | None = None
) -> tuple[int, dict[str, Any]] | None:
    """Return `(step, state)` of the newest checkpoint that verifies, or None when there is no checkpoint.

    One that does not verify, or for which `check(state)` raises `CorruptFile`, is skipped with a warning.
    Tensors come back on the CPU, tuples as lists. Nothing changes on disk. Raises `UserError` when none
    verifies.
    """
    entries = _entries(folder)
    for step, path in entries:
        try:
            state = _read(path, step)
            if check is not None:
                check(state)
            return step, state
        except CorruptFile as error:
            warnings.warn(f"skipping the checkpoint {path}: {error}", stacklevel=2)
    if entries:
        raise UserError(f"every checkpoint in {folder} is corrupt: delete it to train from the start")
    return None


class ChunkLog:
    """An append-only log of array rows in hashed chunk files, for replay memories too large to save whole.

    A checkpoint's state holds `entries(first)`, the list of the chunks it needs, and `restore` reads them.
    Before each checkpoint `append` the new rows, take the `entries`, and `prune` with the lists of all
    checkpoints that may still be loaded: those on disk and the one to be saved. A state that also holds the
    list of the checkpoint before knows them after any restore. With `folder` None (a run that writes nothing)
    the log stays empty.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._entries: list[dict[str, Any]] = []

    def append(self, first: int, arrays: dict[str, np.ndarray]) -> None:
        """Write rows `[first, first + n)`: arrays `(n, ...)`, names and dtypes the same in every call.

        Skipping rows forgets those before the gap. Raises `ValueError` when row `first` was written before or
        the arrays differ in length, `UserError` when the disk is full.
        """
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"arrays of unequal length: {lengths}")
        rows = next(iter(lengths.values()))
        if self.folder is None or rows == 0:
            return
        end = self._entries[-1]["first"] + self._entries[-1]["rows"] if self._entries else first
        if first < end:
            raise ValueError(f"first={first}: the log ends at row {end}")
        data = save({name: _storable(array, name) for name, array in arrays.items()})
        digest = _sha256(data)
        file = f"{first:012d}-{first + rows:012d}-{digest[:16]}.safetensors"
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        atomic_write(self.folder / file, data)
        if first > end:
            self._entries.clear()
        self._entries.append({"file": file, "first": int(first), "rows": rows, "sha256": digest})

    def entries(self, first: int) -> list[dict[str, Any]]:
        """Return the chunks with the rows from `first` on, oldest first: `{file, first, rows, sha256}`."""
        return [dict(entry) for entry in self._entries if entry["first"] + entry["rows"] > first]

    def read(self, entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, np.ndarray]]:
        """Continue after `entries`; yield the rows `(n, ...)` by name of one after the other.

        Raises `CorruptFile` for a chunk that is missing or does not match its hash.
        """
        self._entries = [dict(entry) for entry in entries]
        for entry in entries:
            yield self._read(entry)

    def restore(self, entries: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`read`, put together: all rows `(rows, ...)` by name, from `entries[0]["first"]` on."""
        result: dict[str, np.ndarray] = {}
        total = sum(entry["rows"] for entry in entries)
        start = 0
        for chunk in self.read(entries):  # one at a time: memory for the result and one chunk, not for the result twice
            for name, array in chunk.items():
                if name not in result:
                    result[name] = np.empty((total, *array.shape[1:]), array.dtype)
                result[name][start : start + len(array)] = array
            start += len(array)
        return result

    def prune(self, keep_entries: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Delete the chunks that none of the lists of entries needs, and temporaries of killed writes."""
        kept = {entry["file"] for entries in keep_entries for entry in entries}
        self._entries = [entry for entry in self._entries if entry["file"] in kept]
        if self.folder is None or not self.folder.exists():
            return
        with writing(self.folder):
            for path in self.folder.iterdir():
                if path.suffix == ".tmp" or (CHUNK.fullmatch(path.name) and path.name not in kept):
                    path.unlink()

    def _read(self, entry: Mapping[str, Any]) -> dict[str, np.ndarray]:
        if self.folder is None or not CHUNK.fullmatch(entry["file"]):
            raise CorruptFile(f"{entry['file']} is not the name of a chunk of this log")
        path = self.folder / entry["file"]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CorruptFile(f"cannot read {path}: {error.strerror or error}") from error
        if _sha256(data) != entry["sha256"]:
            raise CorruptFile(f"{path} does not match its hash")
        return load(data)


def _entries(folder: Path) -> list[tuple[int, Path]]:
    """Return `(step, path)` of each checkpoint, newest first, a replaced one after what replaced it."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := re.fullmatch(r"step-(\d+)(\.old)?", path.name):
            found.append((int(match[1]), match[2] is None, path))
    return [(step, path) for step, _, path in sorted(found, reverse=True)]


def _read(path: Path, step: int) -> dict[str, Any]:
    """Return the state in the checkpoint folder `path`; raises `CorruptFile`."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        if manifest["format"] != FORMAT or manifest["step"] != step:
            raise CorruptFile(f"manifest.json is not that of step {step} in format {FORMAT}")
        files = {name: (path / name).read_bytes() for name in ("state.json", "arrays.safetensors")}
        for name, data in files.items():
            if _sha256(data) != manifest["files"][name]["sha256"]:
                raise CorruptFile(f"{name} has {len(data)} bytes that do not match its hash")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CorruptFile(f"{type(error).__name__}: {error}") from error
    document = json.loads(files["state.json"])
    arrays = load(files["arrays.safetensors"])
    for place in document["placed"]:
        *parents, last = place["path"]
        reduce(getitem, parents, document["state"])[last] = _placed_value(place, arrays)
    return document["state"]


def _split(value: Any, path: list[str | int], arrays: dict[str, np.ndarray], placed: list[dict]) -> Any:
    """Return `value` as JSON, null for an array or a long integer; `placed` gets what belongs there."""
    where = "/".join(map(str, path))
    if isinstance(value, Mapping):
        for key in value:
            if type(key) is not str:
                raise TypeError(f"state: the key {key!r} in {where or 'the root'} is not a string")
        return {key: _split(item, [*path, key], arrays, placed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_split(item, [*path, index], arrays, placed) for index, item in enumerate(value)]
    if isinstance(value, np.ndarray | np.generic) or _is_tensor(value):
        name = f"{len(arrays)}:{where}"  # unique although keys may hold slashes
        place = {"path": path, "name": name, "kind": "array"}
        if isinstance(value, np.generic):
            place["kind"] = "scalar"
        elif _is_tensor(value):
            place |= {"kind": "tensor", "dtype": str(value.dtype).removeprefix("torch.")}
            value = value.detach().cpu()
            if place["dtype"] == "bfloat16":  # NumPy has no such type: keep its bits
                value = value.view(sys.modules["torch"].int16)
            value = value.numpy()
        arrays[name] = _storable(value, where)
        placed.append(place)
        return None
    if type(value) is int and value.bit_length() > LONG_INTEGER:
        placed.append({"path": path, "kind": "integer", "hex": hex(value)})
        return None
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"state: {where} is a {type(value).__name__}, which a checkpoint cannot hold")


def _placed_value(place: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    if place["kind"] == "integer":
        return int(place["hex"], 16)
    array = arrays[place["name"]]
    if place["kind"] == "tensor":
        import torch  # only for states that hold tensors: it is slow to import

        return torch.from_numpy(array).view(getattr(torch, place["dtype"]))
    return array[()] if place["kind"] == "scalar" else array


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")  # who has a tensor has imported torch
    return torch is not None and isinstance(value, torch.Tensor)


def _storable(value: Any, where: str) -> np.ndarray:
    """Return the array in C order, as safetensors needs it."""
    array = np.asarray(value, order="C")
    if array.dtype.name not in DTYPES or not array.dtype.isnative:
        raise TypeError(f"state: {where} is an array of {array.dtype!r}, which a checkpoint cannot hold")
    return array


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Make a file, or the renames in a folder, last through a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

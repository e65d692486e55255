"""Recordings of others: taken over whole, or refused in one line with nothing run and nothing written."""

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.imitation.demonstrations import book_classes, load
from tools import record


def recording(steps: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "frames": rng.integers(0, 256, (steps, 96, 96, 3), np.uint8),
        "actions": rng.choice([[-1, 0, 0], [0, 1, 0], [0, 0, 0.4]], steps).astype(np.float32),
        "rewards": rng.normal(size=steps).astype(np.float32),
        "terminal": np.isin(np.arange(steps), [3]),
    }


def take_over(file: Path, out: Path, *more: str) -> None:
    record.main(imports(file, out, *more))


def imports(file: Path, out: Path, *more: str) -> list[str]:
    return ["import", str(file), "--out", str(out), *more]


def test_an_npz_is_imported(tmp_path: Path) -> None:
    arrays = recording(9)
    np.savez(tmp_path / "drive.npz", **arrays)
    take_over(tmp_path / "drive.npz", tmp_path / "d", "--max-episode-steps", "3")
    found = load(tmp_path / "d")
    assert found.lengths.tolist() == [3, 1, 3, 2] and found.seeds == [None] * 4 and found.env is None
    for name, stored in (("frames", "frames"), ("actions", "actions"), ("rewards", "rewards")):
        assert np.array_equal(np.concatenate([getattr(one, stored) for one in found]), arrays[name])
    assert [bool(one.terminations[-1]) for one in found] == [False, True, False, False]
    assert [bool(one.truncations[-1]) for one in found] == [True, False, True, True]
    assert found[0].details["source"] == "drive.npz"
    assert set(book_classes(found[0].actions)) <= {1, 5, 6}


def books(arrays: dict[str, np.ndarray]) -> list[tuple[Any, ...]]:
    """Steps as the book's recorder pickles them."""
    following = [*arrays["frames"][1:], arrays["frames"][0]]
    rows = [arrays[name].astype(float) if name == "actions" else arrays[name] for name in ("actions", "rewards")]
    return list(
        zip(list(arrays["frames"]), rows[0], following, rows[1].tolist(), arrays["terminal"].tolist(), strict=True)
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_books_recording_is_imported(tmp_path: Path, protocol: int) -> None:
    first, second = recording(6), recording(5, seed=1)
    rows = books(first) + books(second)
    with gzip.open(tmp_path / "data.gzip", "wb") as file:
        pickle.dump(rows, file, protocol)
    take_over(tmp_path / "data.gzip", tmp_path / "d")
    found = load(tmp_path / "d")
    assert found.lengths.tolist() == [4, 2, 4, 1], "at the end of an episode, and where the frames do not go on"
    assert np.array_equal(found[0].observations[-1], rows[3][2])
    assert np.array_equal(np.concatenate([one.actions for one in found[:2]]), first["actions"])


def test_the_environment_is_checked(tmp_path: Path, refused: Callable[..., str]) -> None:
    np.savez(tmp_path / "drive.npz", **recording(4))
    line = refused(record.main, *imports(tmp_path / "drive.npz", tmp_path / "d", "--env", "skidpad/CartPole-v1"))
    assert "observations of shape" in line


def test_the_environment_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("Box2D")
    np.savez(tmp_path / "drive.npz", **recording(4))
    take_over(tmp_path / "drive.npz", tmp_path / "d", "--env", "CarRacing-v3")
    assert load(tmp_path / "d").env == "CarRacing-v3"


def spoiled(name: str, value: Any) -> dict[str, np.ndarray]:
    arrays = recording(9)
    if value is None:
        del arrays[name]
    else:
        arrays[name] = value(arrays[name])
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (spoiled("frames", lambda a: a[:, :90]), "observations of shape (5, 90, 96, 3)"),
        (spoiled("frames", lambda a: a / 255), "frames are float64, need uint8"),
        (spoiled("frames", lambda a: a[:5]), "arrays of the lengths"),
        (spoiled("actions", lambda a: a * 3), "is not in Box"),
        (spoiled("actions", lambda a: a[:, :2]), "actions of shape (4, 2)"),
        (spoiled("actions", lambda a: np.where(np.arange(9)[:, None] == 8, np.nan, a)), "episode 1: action [nan"),
        (spoiled("rewards", lambda a: a * np.inf), "reward"),
        (spoiled("rewards", lambda a: a.astype(str)[:, None]), "need numbers"),
        (spoiled("terminal", lambda a: a * 2), "terminal must be one True or False"),
        (spoiled("terminal", None), "no array 'terminal'"),
        (spoiled("actions", lambda a: a.astype(object)), "Object arrays cannot be loaded"),
    ],
)
def test_bad_npz_files(tmp_path: Path, refused: Callable[..., str], arrays: Any, message: str) -> None:
    np.savez(tmp_path / "drive.npz", **arrays)
    assert message in refused(record.main, *imports(tmp_path / "drive.npz", tmp_path / "d"))
    assert not (tmp_path / "d").exists(), "nothing half-written"


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("it ran",)


frame = np.zeros((96, 96, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([(frame, [0, 0, 0], frame, 0.0, Hostile())], "'builtins.print'; nothing was run"),
        ([], "holds a list"),
        ({"a": 1}, "holds a dict"),
        ([(frame, [0, 0, 0])], "step 0: need (state, action"),
        ([(frame[:90], [0, 0, 0], frame, 0.0, False)], "the state is (90, 96, 3) uint8"),
        ([(frame, [0, 0, 0], None, 0.0, False)], "the next_state is NoneType"),
        ([(frame, [0, 0, 0], frame, 0.0, False), (frame, [0, 0], frame, 0.0, False)], "need numbers of one shape"),
        ([(frame, [0, float("nan"), 0], frame, 0.0, False)], "episode 0: action [0.0, nan, 0.0] of step 0"),
        ([(frame, [0, 0, 0], frame, "much", False)], "need numbers"),
    ],
)
def test_bad_pickles(tmp_path: Path, refused: Callable[..., str], content: Any, message: str) -> None:
    (tmp_path / "data.gzip").write_bytes(gzip.compress(pickle.dumps(content)))
    assert message in refused(record.main, *imports(tmp_path / "data.gzip", tmp_path / "d"))
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("kind", ["npz", "gzip"])
def test_truncated_files(tmp_path: Path, refused: Callable[..., str], kind: str) -> None:
    file = tmp_path / f"data.{kind}"
    if kind == "npz":
        np.savez_compressed(file, **recording(4))
    else:
        file.write_bytes(gzip.compress(pickle.dumps(books(recording(4)))))
    whole = file.read_bytes()
    for end in (3, 100, len(whole) // 2, len(whole) - 9):
        file.write_bytes(whole[:end])
        assert "cannot read" in refused(record.main, *imports(file, tmp_path / "d"))
    for other in (b"", b"hello", whole[2:]):
        file.write_bytes(other)
        assert "is neither a gzip file" in refused(record.main, *imports(file, tmp_path / "d"))
    assert "name a data.gzip or .npz file" in refused(record.main, *imports(tmp_path / "nowhere", tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def test_the_human_recording(tmp_path: Path) -> None:
    file = Path(os.environ.get("SKIDPAD_DATA", "")) / "car-racing-human" / "markub3327-7011.npz"
    if not file.is_file():
        pytest.skip("needs car-racing-human in $SKIDPAD_DATA")
    take_over(file, tmp_path / "d")
    found = load(tmp_path / "d")
    assert found.lengths.tolist() == [1000, 995, *[1000] * 5, 16]
    counts = sum(np.bincount(book_classes(one.actions), minlength=7) for one in found)
    assert counts.tolist() == [4893, 953, 10, 552, 0, 601, 2]

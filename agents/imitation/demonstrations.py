"""Demonstrations on disk: Minari data sets, one folder an episode, lossless, whole at every moment.

`load` reads them, `DemonstrationWriter` appends to them, and `minari.load_dataset` reads them without this package:

    from agents.imitation.demonstrations import book_classes, load

    demonstrations = load("demos/mine")              # a folder, or the id of a Minari data set
    for episode in demonstrations:                   # decoded one by one, when asked for
        episode.frames                               # (steps, 96, 96, 3) uint8: what the driver saw before each action
        book_classes(episode.actions)                # (steps,) int64: the book's seven classes

Layout (Minari's "arrow" format, images not encoded as JPEG, buffers compressed with zstd):

    demos/mine/data/metadata.json        spaces, environment, number of episodes and steps
    demos/mine/data/<episode>/part-0.arrow, metadata.json      steps; seed, driver and version

An episode is written beside its place, synced and renamed, so a folder of that name is whole.
"""

import contextlib
import copy
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.imitation.episodes import Episode, check, typed
from agents.rollout import making
from supervised.training.checkpoint import sync
from supervised.training.errors import CorruptFile, UserError

Array = NDArray[Any]

#: the classes of *Python Deep Learning* (2nd ed.), chapter 10, in the order of CarRacing's ``actions="book"``
BOOK_CLASSES = ("nothing", "left", "left+brake", "right", "right+brake", "gas", "brake")
DATASET_ID = re.compile(r"(?:[-\w]+/)*[-\w]+-v\d+")


def book_classes(actions: Array) -> NDArray[np.int64]:
    """The book's class of every action: an index into `BOOK_CLASSES`.

    Key states and continuous values alike, whatever the strength of the brake: steering beyond half of the way
    (-1 left, 1 right) decides first, and no gas is seen while steering; braking is any brake above 0.05, gas any
    gas above 0.05 without brake.

    Args:
        actions: ``(steps, 3)`` steering, gas and brake, or ``(steps,)`` integers that are classes already.

    Returns:
        ``(steps,)`` int64.

    Raises:
        UserError: another shape, NaN, or an integer that is no class.
    """
    actions = np.asarray(actions)
    if actions.ndim == 1 and np.issubdtype(actions.dtype, np.integer):
        unknown = (actions < 0) | (actions >= len(BOOK_CLASSES))
        if unknown.any():
            raise UserError(f"action {actions[unknown][0]} of step {np.argmax(unknown)}: the book's classes are 0 to 6")
        return actions.astype(np.int64)
    if actions.ndim != 2 or actions.shape[1] != 3:
        remedy = "give (steps, 3) steering, gas and brake, or (steps,) integer classes"
        raise UserError(f"actions of shape {actions.shape}, {actions.dtype}: {remedy}")
    if not np.isfinite(actions).all():
        raise UserError(f"actions hold NaN or infinity at step {np.argmax(~np.isfinite(actions).all(axis=1))}")
    steering, gas, brake = actions[:, 0], actions[:, 1] > 0.05, actions[:, 2] > 0.05
    straight = np.where(brake, 6, np.where(gas, 5, 0))
    classes = np.where(steering < -0.5, 1 + brake, np.where(steering > 0.5, 3 + brake, straight))
    return classes.astype(np.int64)


class Demonstrations(Sequence[Episode]):
    """A data set of demonstrations: a lazy sequence of episodes, each decoded from disk when asked for.

    Attributes:
        path: the data set's folder.
        env, env_kwargs: the environment's id and keywords; ``env`` is None where nobody knows it.
        observation_space, action_space: of the single environment.
        lengths: ``(episodes,)`` int64, steps of every episode.
        details: the data set's own metadata.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.details = _read_json(path / "data" / "metadata.json")
        spec = json.loads(self.details.get("env_spec") or "{}")  # data sets recorded by others have only this
        self.env: str | None = self.details.get("env", spec.get("id"))
        self.env_kwargs: dict[str, Any] = self.details.get("env_kwargs", spec.get("kwargs", {}))
        with _decoding(path):
            from minari.dataset.minari_storage import MinariStorage

            self._storage = MinariStorage.read(path / "data")
            episodes = range(_count(path, self.details))
            self._episodes = list(self._storage.get_episode_metadata(episodes))
            steps = [one["total_steps"] for one in self._episodes]
        self.observation_space: gym.Space[Any] = self._storage.observation_space
        self.action_space: gym.Space[Any] = self._storage.action_space
        self.lengths = np.array(steps, np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: Any) -> Any:
        """Episode ``number``, or a list of the episodes of a slice.

        Raises:
            CorruptFile: what is on disk is not what was written.
            IndexError: no such episode.
        """
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        number = range(len(self))[number]
        with _decoding(self.path / "data" / str(number)):
            stored = next(iter(self._storage.get_episodes([number])))
            details, infos = dict(self._episodes[number]), stored["infos"] or {}
            episode = Episode(
                observations=stored["observations"],
                actions=stored["actions"],
                rewards=stored["rewards"],
                terminations=stored["terminations"],
                truncations=stored["truncations"],
                seed=details.pop("seed", None),
                keys=infos.get("keys"),
                meant=np.asarray(infos["meant"][:-1], self._storage.action_space.dtype) if "meant" in infos else None,
                details=details,
                number=number,
            )
            check(episode, self.observation_space, self.action_space)
        return episode

    def __iter__(self) -> Iterator[Episode]:
        return (self[number] for number in range(len(self)))

    @property
    def seeds(self) -> list[int | None]:
        """Seed of every episode's reset, None where nobody knows it."""
        return [one.get("seed") for one in self._episodes]

    @property
    def total_steps(self) -> int:
        """Steps of all episodes."""
        return int(self.lengths.sum())


def load(path_or_id: str | Path) -> Demonstrations:
    """The demonstrations in a folder, or of a Minari data set by its id (`$MINARI_DATASETS_PATH`).

    Raises:
        UserError: there is no data set, or it holds no episode.
        CorruptFile: it cannot be read.
    """
    path, _ = locate(path_or_id)
    if not (path / "data" / "metadata.json").exists():
        raise UserError(f"{path} holds no demonstrations: record some with python -m tools.record --out {path_or_id}")
    demonstrations = Demonstrations(path)
    if not len(demonstrations):
        raise UserError(f"{path} holds no episode yet: record one with python -m tools.record --out {path_or_id}")
    return demonstrations


def locate(path_or_id: str | Path) -> tuple[Path, str]:
    """The folder of a data set, and its Minari id.

    ``name-v0`` and ``group/name-v0`` are ids unless such a folder exists; ``./name-v0`` is always a folder.
    """
    text = str(path_or_id)
    path = Path(text).expanduser()
    if isinstance(path_or_id, str) and DATASET_ID.fullmatch(text) and not path.exists():
        from minari.storage import get_dataset_path

        return get_dataset_path(text), text
    name = re.sub(r"[^-\w]+", "-", path.resolve().name).strip("-") or "demonstrations"
    return path, name if DATASET_ID.fullmatch(name) else f"{name}-v0"


class DemonstrationWriter:
    """Appends episodes to a data set, new or begun before.

    Nothing is written before the first `append`; what `append` has returned from is on disk. ``len`` is the number
    of episodes in the data set.

    Args:
        path_or_id: see `locate`.
        env, env_kwargs: how to make the environment again, or None where nobody knows.

    Raises:
        UserError: the data set there is of another environment or other spaces.
    """

    def __init__(
        self,
        path_or_id: str | Path,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        env: str | None = None,
        env_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.id = locate(path_or_id)
        self.observation_space, self.action_space = observation_space, action_space
        self.env, self.env_kwargs = env, dict(env_kwargs or {})
        self._episodes = self._steps = 0
        if (self.path / "data").exists():
            there = Demonstrations(self.path)
            if there.details.get("data_format") != "arrow" or there.details.get("jpeg_encoding", True):
                raise UserError(f"{self.path} is in another of Minari's formats: choose another --out")
            for name in ("env", "env_kwargs", "observation_space", "action_space"):
                old, new = getattr(there, name), getattr(self, name)
                if old != new:
                    raise UserError(f"{self.path} was recorded with {name} {old}, not {new}: choose another --out")
            self._episodes, self._steps = len(there), there.total_steps

    def __len__(self) -> int:
        return self._episodes

    def append(self, episode: Episode) -> int:
        """Write one episode; returns its number.

        Raises:
            UserError: wrong shapes, actions outside the space, NaN, an empty episode; or the disk is full or refuses
                (the episodes before are kept).
        """
        check(episode, self.observation_space, self.action_space)
        temporary = self.path.absolute() / f".episode.{os.getpid()}.tmp"  # Minari does not take relative paths
        is_new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(".episode.*.tmp"):
                shutil.rmtree(leftover)
            self._write(episode, temporary)
            data = self.path / "data"
            if self._episodes == 0:
                os.rename(temporary, data)
            else:
                os.rename(temporary / str(self._episodes), data / str(self._episodes))
                os.replace(temporary / "metadata.json", data / "metadata.json")
                sync(data)
            sync(self.path)
        except OSError as error:
            reason = f"{error.strerror or error}; the {self._episodes} episodes before are kept"
            remedy = "free some space, or choose another --out"
            raise UserError(f"cannot write {self.path}: {' '.join(reason.split())}: {remedy}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if is_new:
                with contextlib.suppress(OSError):  # it holds an episode now, or is not there
                    self.path.rmdir()
        self._episodes += 1
        self._steps += len(episode)
        return self._episodes - 1

    def _write(self, episode: Episode, folder: Path) -> None:
        """Write a data set of this episode alone to ``folder``, with the metadata of the whole data set."""
        from minari import __version__ as minari_version
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage

        spaces = self.observation_space, self.action_space
        storage = MinariStorage.new(folder, *spaces, self._spec(), "arrow", jpeg_encoding=False)
        number = self._episodes
        keys = np.zeros(len(episode) + 1, np.int64) if episode.keys is None else episode.keys
        infos: dict[str, Any] = {"keys": keys.tolist()}  # arrays of one dimension do not come back
        if episode.meant is not None:  # a row for every observation
            infos["meant"] = typed(self.action_space, np.concatenate([episode.meant, episode.meant[-1:]]))
            infos["meant"] = infos["meant"] if infos["meant"].ndim > 1 else infos["meant"].tolist()
        buffer = EpisodeBuffer(
            number,
            episode.seed,
            None,
            typed(self.observation_space, episode.observations),
            typed(self.action_space, episode.actions),
            list(episode.rewards),
            list(episode.terminations),
            list(episode.truncations),
            infos,
        )
        storage.update_episodes([buffer])
        details = {"skidpad_version": _version(), **episode.details, "id": number, "total_steps": len(episode)}
        storage.update_episode_metadata([details], [number])
        _compress(folder / str(number) / "part-0.arrow")

        document = _read_json(folder / "metadata.json")
        size = sum(file.stat().st_size for file in (folder / str(number)).iterdir()) / 1e6
        if number:
            document = _read_json(self.path / "data" / "metadata.json")
            size += document.get("dataset_size", 0)
        document |= {"dataset_id": self.id, "minari_version": minari_version}
        document |= {"env": self.env, "env_kwargs": self.env_kwargs}
        document |= {
            "total_episodes": number + 1,
            "total_steps": self._steps + len(episode),
            "dataset_size": round(size, 6),
        }
        (folder / "metadata.json").write_text(json.dumps(document, indent=1))
        for file in [*folder.rglob("*"), folder]:
            sync(file)

    def _spec(self) -> Any:
        """What `minari` makes the environment from: an `EnvSpec` with our keywords."""
        if self.env is None:
            return None
        with making(self.env):
            spec = copy.deepcopy(gym.spec(self.env.rpartition(":")[2]))
        keywords = dict(self.env_kwargs)
        if "max_episode_steps" in keywords and "max_episode_steps" not in spec.kwargs:
            spec.max_episode_steps = keywords.pop("max_episode_steps")  # Gymnasium's own: counted by a wrapper
        spec.kwargs |= keywords
        return spec


def _compress(path: Path) -> None:
    """Write an Arrow file again as one batch with compressed buffers; readers need not know."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)


def _count(path: Path, details: Mapping[str, Any]) -> int:
    """Whole episodes; those that a crash kept from being counted in the metadata included."""
    number = 0 if details.get("data_format") == "arrow" else int(details["total_episodes"])
    while (path / "data" / str(number) / "metadata.json").exists():
        number += 1
    return number


@contextlib.contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Raise whatever goes wrong in reading what others may have written as one `CorruptFile` that names it."""
    try:
        yield
    except ImportError as error:
        raise UserError(f"cannot read {path}: {error}; pip install 'minari[arrow,hdf5]'") from error
    except Exception as error:  # Minari and Arrow raise nearly anything
        raise CorruptFile(f"cannot read {path}: {' '.join(str(error).split())[:200]}; record it again") from error


def _read_json(path: Path) -> dict[str, Any]:
    with _decoding(path):
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
    return document


def _version() -> str:
    try:
        return packages.version("skidpad")
    except packages.PackageNotFoundError:
        return "unknown"

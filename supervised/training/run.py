"""A training run's folder: configuration, metrics, progress and checkpoints, exact under kills.

    config.json     algorithm, preset, configuration, budget, versions; written once
    metrics.jsonl   a line a log; the same bytes for the same seed, however often the run was killed
    timing.jsonl    wall clock: seconds of training so far and steps per second
    notes.txt       what a reader should know of the run, a line a note; there from the first one on
    tensorboard/    event files
    checkpoints/    see `checkpoint.py`; each records how long the two .jsonl files were
    finished.json   when training ended

The metrics are exact because resuming cuts both logs to the lengths that the checkpoint recorded: what was
logged after it is logged again, from the same state.
"""

import contextlib
import errno
import fcntl
import json
import math
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from numbers import Integral
from pathlib import Path
from types import FrameType
from typing import Any, Self, SupportsFloat

from tqdm import tqdm

from supervised.training.checkpoint import atomic_write, load_checkpoint, save_checkpoint
from supervised.training.errors import CorruptFile, UserError, writing

LOGS = ("metrics.jsonl", "timing.jsonl")
KEYS = ("algorithm", "preset", "config", "total", "unit", "versions")


class Interrupted(Exception):
    """Training stopped at `step` because of `signal`, with a checkpoint of that step saved in `folder`."""

    def __init__(self, signum: int, step: int, folder: Path) -> None:
        self.signal, self.step, self.folder = signum, step, folder
        reason = f"stopped by {signal.Signals(signum).name} at step {step}"
        super().__init__(f"{reason}; continue with --resume {shlex.quote(str(folder))}")


class Run:
    """Where one training goes: made by `create`, `resume` or `off`, used as

        with run:
            state = run.restore()
            while step < total:
                ...
                run.log(step, metrics)
                run.progress(step)
                run.checkpoint(step, state_of_everything, every=10_000)
            run.finish(step, state_of_everything)

    `folder` is None when off, and `last_metrics` what was logged last.
    """

    def __init__(self, folder: Path | None, record: Mapping[str, Any], progress: bool) -> None:
        self.folder = folder
        self.algorithm: str = record["algorithm"]
        self.preset: str = record["preset"]
        self.config: dict[str, Any] = record["config"]
        self.total: int = record["total"]
        self.unit: str = record["unit"]
        self.last_metrics: dict[str, float] = {}
        self._files = {} if folder is None else _open_logs(folder)
        self._made: list[Path] = []  # folders that were not there before
        self._events: _EventFile | None = None
        self._purge_step: int | None = None
        self._clock = time.perf_counter()  # minus the seconds of earlier processes, once restored
        self._saved_step = 0
        self._last_log = (0, 0.0)  # step, seconds
        self._signal = 0
        self._restartable = False
        self._handlers: dict[int, Any] = {}
        self._bar: tqdm | None = None
        self._progress = progress
        self._terminal = progress and sys.stderr.isatty()
        self._first_step = 0
        self._started = time.monotonic()
        self._next_report = math.inf if not progress else self._started + (0 if self._terminal else 10)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        algorithm: str,
        preset: str,
        config: dict[str, Any],
        total: int,
        unit: str = "steps",
        progress: bool = True,
    ) -> "Run":
        """Start a run in a new or empty folder; `config` is JSON, `total` the budget in `unit`.

        Raises `UserError` when the folder holds a run already or cannot be written.
        """
        versions = {name: _version(name) for name in ("skidpad", "numpy", "torch")}
        versions["python"] = platform.python_version()
        record = dict(zip(KEYS, (algorithm, preset, config, total, unit, versions), strict=True))
        text = json.dumps(record, indent=2) + "\n"
        cls.refuse_used(folder)
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / "config.json", text)
        run = cls(folder, json.loads(text), progress)
        run._made = made
        return run

    @staticmethod
    def refuse_used(folder: Path) -> None:
        """Raise `UserError` when the folder holds a run already."""
        with writing(folder):
            present = [name for name in ("config.json", "checkpoints", *LOGS) if (folder / name).exists()]
        if present:
            remedy = f"continue it with --resume {shlex.quote(str(folder))}, or choose another --run-dir"
            raise UserError(f"{folder} already holds a run ({', '.join(present)}): {remedy}")

    @classmethod
    def resume(cls, folder: Path, *, progress: bool = True) -> "Run":
        """Open the run in `folder` to continue it; raises `UserError` when there is none or it is in use."""
        return cls(folder, read_config(folder), progress)

    @classmethod
    def off(cls) -> "Run":
        """Return a run that writes and shows nothing, for training from Python."""
        return cls(None, {"algorithm": "", "preset": "", "config": {}, "total": 0, "unit": "steps"}, False)

    @property
    def seconds(self) -> float:
        """Seconds of training, those of earlier processes included."""
        return time.perf_counter() - self._clock

    @property
    def finished(self) -> bool:
        """Whether training has ended."""
        return self.folder is not None and (self.folder / "finished.json").exists()

    def restore(self, check: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any] | None:
        """Return the state of the newest good checkpoint (None without one) and cut the logs to match it.

        Call it once, before the first `log`. `check(state)` may raise `CorruptFile`, for a replay memory with
        a damaged chunk, to have the checkpoint before tried.
        """
        if self.folder is None:
            return None

        def verify(record: dict[str, Any]) -> None:
            for name, file in self._files.items():
                if os.fstat(file).st_size < record["bytes"][name]:
                    raise CorruptFile(f"{name} is shorter than when it was saved")
            if check is not None:
                check(record["state"])

        nothing: dict[str, Any] = {"bytes": dict.fromkeys(LOGS, 0), "seconds": 0.0, "state": None}
        found = load_checkpoint(self.folder / "checkpoints", verify)
        step, record = found or (0, nothing)
        _check_algorithm(self.folder, self.algorithm, record)
        with writing(self.folder):
            (self.folder / "finished.json").unlink(missing_ok=True)
            for name, file in self._files.items():
                os.ftruncate(file, record["bytes"][name])
        self._purge_step = step + 1 if found else 0  # TensorBoard drops the events from this step on
        self._saved_step = self._first_step = step
        self._clock = time.perf_counter() - record["seconds"]
        self._last_log = (step, record["seconds"])
        return record["state"]

    def log(self, step: int, metrics: Mapping[str, SupportsFloat], counts: Mapping[str, int] | None = None) -> None:
        """Write a line of metrics, NaN and infinities as null, and one of timing.

        Args:
            counts: what the run has done so far, ``{"games": 20}``; timing tells how much of it in a second of all.

        Raises `UserError` when the disk is full; what was logged before stays whole.
        """
        numbers = {k: int(v) if isinstance(v, Integral) else float(v) for k, v in metrics.items()}
        self.last_metrics = numbers
        if self.folder is None:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self._append("metrics.jsonl", {"step": step, **finite})
        last_step, last_seconds = self._last_log
        seconds = self.seconds
        rate = (step - last_step) / max(seconds - last_seconds, 1e-9)
        timing = {"step": step, "seconds": round(seconds, 6), "steps_per_second": round(rate, 3)}
        timing |= {f"{name}_per_second": round(count / max(seconds, 1e-9), 3) for name, count in (counts or {}).items()}
        self._append("timing.jsonl", timing)
        self._last_log = (step, seconds)
        with writing(self.folder / "tensorboard"):
            if self._events is None:
                self._events = _EventFile(self.folder / "tensorboard", self._purge_step)
            self._events.add(step, numbers)

    def note(self, text: str) -> None:
        """Print a line about the run, unless it is quiet, and keep it; a resumed run notes the same again, once."""
        if self._progress:
            print(text, file=sys.stderr, flush=True)
        if self.folder is None:
            return
        path = self.folder / "notes.txt"
        notes = path.read_text().splitlines() if path.exists() else []
        if text not in notes:
            atomic_write(path, "".join(f"{note}\n" for note in [*notes, text]))

    def progress(self, step: int) -> None:
        """Show how far training is; cheap enough for every iteration of a loop."""
        now = time.monotonic()
        if now >= self._next_report:
            self._report(step, now)

    def checkpoint(self, step: int, state: Callable[[], Mapping[str, Any]], every: int) -> None:
        """Save `state()` when due; call it at the end of every iteration.

        Due means that `step` passed a multiple of `every` (0: never) since the last checkpoint, or that
        SIGINT or SIGTERM arrived, which raises `Interrupted` once saved.
        """
        if self.folder is None or not (self._signal or every and step // every > self._saved_step // every):
            return
        self._save(step, state)
        if self._signal:
            raise Interrupted(self._signal, step, self.folder)

    @contextlib.contextmanager
    def restartable(self) -> Iterator[None]:
        """Work that a resumed run does again from its start: a signal ends it at once, with nothing to save."""
        if self.folder is not None and self._signal:  # it came before
            raise Interrupted(self._signal, self._saved_step, self.folder)
        self._restartable = self.folder is not None
        try:
            yield
        finally:
            self._restartable = False

    def finish(self, step: int, state: Callable[[], Mapping[str, Any]]) -> None:
        """Save the last checkpoint and mark the run as finished."""
        if self.folder is None:
            return
        self._save(step, state)
        mark = json.dumps({"step": step, "seconds": round(self.seconds, 3)}) + "\n"
        atomic_write(self.folder / "finished.json", mark)
        if self._terminal:
            self._report(step, time.monotonic())

    def discard_unused(self) -> None:
        """Remove what `create` made, if training logged and saved nothing: a mistaken start leaves no folder."""
        folder = self.folder
        if folder is None or (folder / "checkpoints").exists() or (folder / "metrics.jsonl").stat().st_size:
            return
        for name in ("config.json", "notes.txt", *LOGS):
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # one holds something else by now
            for made in self._made or [folder]:
                made.rmdir()

    def close(self) -> None:
        """Close bar and files; the end of `with run` does it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._events is not None:
            self._events.close()
            self._events = None
        while self._files:
            os.close(self._files.popitem()[1])

    def __enter__(self) -> Self:
        if self.folder is not None and threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._handlers[signum] = signal.signal(signum, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
        self.close()

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self._signal and signum == signal.SIGINT:
            raise KeyboardInterrupt
        if self._restartable:
            assert self.folder is not None
            raise Interrupted(signum, self._saved_step, self.folder)
        self._signal = signum
        if self._progress:  # not print: the signal may have come in the middle of one
            os.write(2, b"\nstopping after this iteration with a checkpoint; Ctrl-C again stops without\n")

    def _save(self, step: int, state: Callable[[], Mapping[str, Any]]) -> None:
        assert self.folder is not None
        with writing(self.folder):
            for file in self._files.values():
                os.fsync(file)  # a power failure must not leave a log shorter than the checkpoint says
        lengths = {name: os.fstat(file).st_size for name, file in self._files.items()}
        record = {"algorithm": self.algorithm, "bytes": lengths, "seconds": self.seconds, "state": state()}
        save_checkpoint(self.folder / "checkpoints", step, record)
        self._saved_step = step

    def _append(self, name: str, record: dict[str, Any]) -> None:
        assert self.folder is not None
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        file = self._files[name]
        with writing(self.folder / name):
            length = os.fstat(file).st_size
            if os.write(file, line) < len(line):
                os.ftruncate(file, length)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _report(self, step: int, now: float) -> None:
        episode_return = self.last_metrics.get("episode_return")
        if self._terminal:
            if self._bar is None:
                self._bar = tqdm(total=self.total, initial=step, unit=f" {self.unit}", mininterval=0)
            if episode_return is not None:
                self._bar.set_postfix({"return": f"{episode_return:.1f}"}, refresh=False)
            self._bar.update(step - self._bar.n)
            self._next_report = now + 0.1
            return
        rate = (step - self._first_step) / (now - self._started)
        parts = [f"{step:,}/{self.total:,} {self.unit}"]
        if rate > 0:
            slow = f"{1 / rate:,.0f} s/{self.unit.removesuffix('s')}"
            parts.append(f"{rate:,.0f} {self.unit}/s" if rate >= 1 else slow)
            parts.append(f"{tqdm.format_interval((self.total - step) / rate)} left")
        if episode_return is not None:
            parts.append(f"return {episode_return:.1f}")
        print(", ".join(parts), file=sys.stderr, flush=True)
        self._next_report = now + 10


class _EventFile:
    """A TensorBoard event file, written at once.

    torch's `SummaryWriter` imports torch, and writes in a thread that prints a traceback when the disk is full.
    """

    def __init__(self, folder: Path, purge_step: int | None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # slow: here, for runs that log
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(exist_ok=True)
        path = folder / f"events.out.tfevents.{time.time():.6f}"  # TensorBoard reads the files by name
        self._records = RecordWriter(open(path, "ab", buffering=0))
        self._write(file_version="brain.Event:2")
        if purge_step is not None:
            self._write(step=purge_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        scalars = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=self._summary(value=scalars))

    def close(self) -> None:
        self._records.close()

    def _write(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())


def read_config(folder: Path) -> dict[str, Any]:
    """Return a run's `config.json`; raises `UserError` when `folder` holds no run."""
    path = folder / "config.json"
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; give the folder of a run") from error
    if not isinstance(record, dict) or not record.keys() >= set(KEYS):
        raise UserError(f"{path} is not a run's configuration: it needs {', '.join(KEYS)}")
    return record


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Return `{"step", "seconds"}` of a run that has ended, None of one that has not."""
    path = folder / "finished.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def read_state(folder: Path) -> dict[str, Any]:
    """Return the training state in a run's newest good checkpoint; the run may be training meanwhile.

    Raises `UserError` when there is no checkpoint, or it is another algorithm's.
    """
    found = load_checkpoint(folder / "checkpoints")
    if found is None:
        raise UserError(f"{folder} holds no checkpoint yet: train it, or give the folder of another run")
    _check_algorithm(folder, read_config(folder)["algorithm"], found[1])
    return found[1]["state"]


def _check_algorithm(folder: Path, algorithm: str, record: Mapping[str, Any]) -> None:
    saved = record.get("algorithm", algorithm)  # checkpoints did not always say
    if saved != algorithm:
        remedy = "put back the run's own checkpoints"
        raise UserError(f"{folder} is a run of {algorithm}, and its newest checkpoint one of {saved}: {remedy}")


def _open_logs(folder: Path) -> dict[str, int]:
    """Return the logs' descriptors, held by this process alone (a lock that a kill releases)."""
    with writing(folder):
        files = {name: os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) for name in LOGS}
        try:
            fcntl.lockf(files[LOGS[0]], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{folder} is being trained by another process: stop that one first") from error
    return files


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"

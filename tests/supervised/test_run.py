"""Runs: files, progress, signals, and metrics that kills, corruption and a full disk leave exact."""

import io
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervised.training.checkpoint import load_checkpoint, save_checkpoint
from supervised.training.errors import CorruptFile, UserError
from supervised.training.run import Interrupted, Run, read_config, read_state

REPOSITORY = Path(__file__).parents[2]

# A stand-in for an algorithm: every line of metrics depends on every random number before it.
TRAIN = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from supervised.training.seeding import generator_state, generators, set_generator_state

def train(run, total, every=20):
    rng = generators(0, "all")["all"]
    step, weights, rows, lists = 0, np.zeros(500), np.zeros((0, 2)), []
    log = ChunkLog(run.folder / "replay")
    with run:
        if saved := run.restore(check=lambda state: log.restore(state["lists"][-1]) and None):
            step, weights, lists = saved["step"], saved["weights"], saved["lists"]
            rows = log.restore(lists[-1])["rows"][-20:]
            set_generator_state(rng, saved["rng"])
        logged = step

        def state():
            nonlocal logged, lists
            log.append(logged, {"rows": rows[len(rows) - (step - logged):]})
            logged, chunks = step, log.entries(step - 20)
            log.prune([*lists, chunks])
            if chunks not in lists:
                lists = [*lists[-1:], chunks]
            return {"step": step, "weights": weights, "rng": generator_state(rng), "lists": lists}

        while step < total:
            weights = np.tanh(weights + rng.normal(size=500))
            rows = np.concatenate([rows, weights[None, :2]])[-20:]
            step += 1
            if step % 3 == 0:
                loss = float("nan") if step % 30 == 0 else rows.mean()
                run.log(step, {"episode_return": weights.sum(), "loss": loss})
            run.progress(step)
            run.checkpoint(step, state, every)
        run.finish(step, state)

def start(folder, total):
    if (folder / "config.json").exists():
        return Run.resume(folder, progress=False)
    return Run.create(folder, algorithm="fake", preset="p", config={}, total=total, progress=False)
"""

KILLS = (
    TRAIN
    + """
import random
import tensorboard.compat.proto.event_pb2, tensorboard.summary.writer.record_writer  # once, not in each child

def die_at(operation):
    "SIGKILL this process before its file operation of that number"
    def count(*_):
        nonlocal operation
        operation -= 1
        if operation == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def counted(call):
        return lambda *arguments: (count(), call(*arguments))[1]
    audited = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
    sys.addaudithook(lambda event, _: event in audited and count())
    for name in ("write", "fsync", "ftruncate"):
        setattr(os, name, counted(getattr(os, name)))

def spoil(folder):
    *older, newest = sorted((folder / "checkpoints").glob("step-????????????"))
    name = random.choice(["state.json", "arrays.safetensors", "manifest.json"])
    if older:
        (newest / name).write_bytes((newest / name).read_bytes()[:-5])

root, total, codes = Path(sys.argv[1]), 400, []
random.seed(int(sys.argv[2]))
train(start(root / "whole", total), total, every=7)
while 0 not in codes:
    operation = random.randint(1, 100)
    child = os.fork()
    if child == 0:
        if len(codes) < 20:
            die_at(operation)
        train(start(root / "killed", total), total, every=7)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert codes[-1] in (0, -signal.SIGKILL)
    if len(codes) % 4 == 0 and codes[-1] != 0:
        spoil(root / "killed")
assert len(codes) > 12, codes
"""
)


def python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)


def assert_equal_runs(one: Path, other: Path) -> None:
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    a, b = read_state(one), read_state(other)
    assert a["step"] == b["step"] and a["rng"] == b["rng"]
    assert a["weights"].tobytes() == b["weights"].tobytes()
    for folder in (one, other):
        logs = [(folder / name).read_text().splitlines() for name in ("metrics.jsonl", "timing.jsonl")]
        metric_steps, timing_steps = ([json.loads(line)["step"] for line in log] for log in logs)
        assert metric_steps == timing_steps
        assert json.loads((folder / "finished.json").read_text())["step"] == a["step"]


def test_killed_and_corrupted_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    result = python(KILLS, tmp_path, 1)
    assert result.returncode == 0, result.stderr
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")
    metrics = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    assert len(metrics) == 133
    assert list(json.loads(metrics[9])) == ["step", "episode_return", "loss"]
    assert json.loads(metrics[9])["step"] == 30 and json.loads(metrics[9])["loss"] is None


def test_tensorboard_shows_a_killed_run_as_if_whole(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def values(folder: Path) -> list[tuple[int, float]]:
        events = EventAccumulator(str(folder / "tensorboard")).Reload()
        return [(event.step, event.value) for event in events.Scalars("x")]

    for kill_at in (None, 7):  # steps 5 to 7 are logged, then lost, then logged again
        folder = tmp_path / str(kill_at)
        run = create(folder, total=10)
        for step in range(1, 11):
            run.log(step, {"x": step / 4})
            run.checkpoint(step, dict, every=4)
            if step == kill_at:
                run.close()
                run = Run.resume(folder, progress=False)
                run.restore()
                for again in range(5, 8):
                    run.log(again, {"x": again / 4})
        run.close()
    assert values(tmp_path / "7") == values(tmp_path / "None") == [(step, step / 4) for step in range(1, 11)]


TERMINATED = (
    TRAIN
    + """
folder, total = Path(sys.argv[1]), 120
def bomb(run, at, signum):
    log = run.log
    def logging(step, metrics):
        log(step, metrics)
        if step == at:
            os.kill(os.getpid(), signum)
    run.log = logging
    return run

train(start(folder / "whole", total), total)
for at, signum in ((30, signal.SIGTERM), (36, signal.SIGINT), (33 * 3, signal.SIGTERM)):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    try:
        train(bomb(start(folder / "stopped", total), at, signum), total)
    except Interrupted as stop:
        assert (stop.signal, stop.step, stop.folder) == (signum, at, folder / "stopped")
        print(stop)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before
    assert not start(folder / "stopped", total).finished
train(start(folder / "stopped", total), total)
assert start(folder / "stopped", total).finished
assert "torch" not in sys.modules  # slow to import, and tabular methods do without
"""
)


def test_signals_save_and_say_how_to_resume(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    result = python(TERMINATED, folder)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"stopped by SIGTERM at step 30; continue with --resume '{folder}/stopped'"
    assert lines[1].startswith("stopped by SIGINT at step 36;") and len(lines) == 3
    assert_equal_runs(folder / "whole", folder / "stopped")


FULL_DISK = (
    TRAIN
    + """
folder, total = Path(sys.argv[1]), 300
train(start(folder / "whole", total), total)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for limit in sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
    for _ in range(2):
        try:
            train(start(folder / limit, total), total)
        except UserError as error:
            print(error)
            assert (folder / limit / "metrics.jsonl").read_bytes().endswith(b"}\\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    train(start(folder / limit, total), total)
"""
)


def test_full_disk_is_one_line_and_nothing_is_lost(tmp_path: Path) -> None:
    full = {"3000": "checkpoints/", "5000": "metrics.jsonl"}  # bytes that a file may have, and what meets it
    result = python(FULL_DISK, tmp_path, *full)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert all(line.endswith("; free some space and continue with --resume") for line in lines)
    for limit, where in full.items():
        assert any(line.startswith(f"cannot write {tmp_path}/{limit}/{where}") for line in lines), lines
        assert_equal_runs(tmp_path / "whole", tmp_path / limit)
        assert not list((tmp_path / limit).rglob("*.tmp"))


def test_events_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    (tmp_path / "run" / "tensorboard").write_text("")
    with pytest.raises(UserError, match="^cannot write .*run/tensorboard: "):
        run.log(1, {"x": 1})
    run.close()


def create(folder: Path, **changes: Any) -> Run:
    settings: dict[str, Any] = {"algorithm": "fake", "preset": "p", "config": {}, "total": 100}
    return Run.create(folder, **(settings | {"progress": False} | changes))


def test_config_is_written_and_read(tmp_path: Path) -> None:
    config = {"env": "skidpad/X-v0", "layers": (64, 64), "clip": math.inf}
    run = create(tmp_path / "a" / "b", config=config, unit="games")
    record = read_config(tmp_path / "a" / "b")
    assert list(record) == ["algorithm", "preset", "config", "total", "unit", "versions"]
    assert set(record["versions"]) == {"skidpad", "python", "numpy", "torch"}
    assert record["versions"]["numpy"] == np.__version__
    run.close()
    again = Run.resume(tmp_path / "a" / "b", progress=False)
    for name in ("algorithm", "preset", "config", "total", "unit", "folder"):
        assert getattr(run, name) == getattr(again, name)
    assert again.config == config | {"layers": [64, 64]} and again.restore() is None


def test_refuses_a_folder_that_holds_a_run(tmp_path: Path) -> None:
    create(tmp_path / "my run").close()
    with pytest.raises(UserError, match=r"--resume '.*my run', or choose another --run-dir"):
        create(tmp_path / "my run")
    (tmp_path / "my run" / "config.json").unlink()
    with pytest.raises(UserError, match=r"already holds a run \(metrics.jsonl"):
        create(tmp_path / "my run")


def test_notes_are_kept_once_and_leave_with_an_unused_run(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = create(tmp_path / "run", progress=True)
    run.note("one")
    run.note("two")
    run.close()
    assert capsys.readouterr().err == "one\ntwo\n"
    with Run.resume(tmp_path / "run", progress=False) as again:
        again.note("two")
        again.note("three")
        assert (tmp_path / "run" / "notes.txt").read_text() == "one\ntwo\nthree\n"
        again.discard_unused()
    assert capsys.readouterr().err == "" and not (tmp_path / "run").exists()
    Run.off().note("nothing")


def test_an_unused_run_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    run = create(tmp_path / "runs" / "data" / "run")
    run.close()
    other = create(tmp_path / "runs" / "other")
    run.discard_unused()
    assert not (tmp_path / "runs" / "data").exists() and (tmp_path / "runs" / "other").exists()
    other.close()


def test_a_config_that_is_not_json_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        create(tmp_path / "run", config={"env": object()})
    assert not (tmp_path / "run").exists()


def test_refuses_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="^cannot write .*file/run: Not a directory; choose a folder"):
        create(tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_refuses_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied; choose a folder"):
        create(tmp_path / "run")


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"algorithm": "dqn"}', b"\xff"])
def test_resume_refuses_what_is_not_a_run(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match="config.json") as caught:
        Run.resume(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_run_in_use_is_refused(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    script = TRAIN + "start(Path(sys.argv[1]), 100)"
    assert "is being trained by another process" in python(script, tmp_path / "run").stderr
    run.close()
    assert python(script, tmp_path / "run").returncode == 0


def test_reading_the_state_changes_nothing(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        read_state(tmp_path / "run")
    run.checkpoint(5, lambda: {"w": np.arange(3)}, every=5)
    run.log(6, {"x": 1})
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert read_state(tmp_path / "run")["w"].tolist() == [0, 1, 2]
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before != b""
    run.close()


def test_checkpoints_are_due_once_per_multiple(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    saved = []
    for step in range(3, 60, 3):

        def state(step: int = step) -> dict[str, int]:
            saved.append(step)
            return {"step": step}

        run.checkpoint(step, state, every=10)
        run.checkpoint(step, lambda: pytest.fail("not due"), every=0)
    assert saved == [12, 21, 30, 42, 51]
    run.close()
    again = Run.resume(tmp_path / "run", progress=False)
    assert again.restore() == {"step": 51}
    again.checkpoint(54, lambda: pytest.fail("51 passed that multiple"), every=10)
    again.checkpoint(60, lambda: {"new": 1}, every=10)
    assert read_state(tmp_path / "run") == {"new": 1}
    again.close()


def test_restore_falls_back_when_logs_or_chunks_are_damaged(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    for step in (1, 2, 3):
        run.log(step, {"x": step})
        run.checkpoint(step, lambda: {"step": step}, every=1)  # noqa: B023
    run.close()
    metrics = tmp_path / "run" / "metrics.jsonl"
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines[:2]) + lines[2][:5])
    run = Run.resume(tmp_path / "run", progress=False)
    with pytest.warns(UserWarning, match="metrics.jsonl is shorter than when it was saved"):
        assert run.restore() == {"step": 2}
    assert metrics.read_text() == "".join(lines[:2])
    run.close()

    def refuse(state: dict[str, Any]) -> None:
        raise CorruptFile(f"chunk of step {state['step']}")

    run = Run.resume(tmp_path / "run", progress=False)
    with pytest.warns(UserWarning, match="skipping"), pytest.raises(UserError, match="is corrupt"):
        run.restore(check=refuse)
    assert metrics.read_text() == "".join(lines[:2])
    run.close()


def test_killed_before_the_first_checkpoint_starts_afresh(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.log(1, {"x": 1})
    run.close()
    run = Run.resume(tmp_path / "run", progress=False)
    assert run.restore() is None
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == b""
    run.close()


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.finish(1, lambda: {"w": 2})
    run.close()
    step, record = load_checkpoint(tmp_path / "run" / "checkpoints") or (0, {})
    save_checkpoint(tmp_path / "run" / "checkpoints", 2, record | {"algorithm": "sarsa"})
    told = rf"is a run of {record['algorithm']}, and its newest checkpoint one of sarsa: put back"
    with pytest.raises(UserError, match=told):
        read_state(tmp_path / "run")
    run = Run.resume(tmp_path / "run", progress=False)
    with pytest.raises(UserError, match=told):
        run.restore()
    run.close()


def test_seconds_accumulate_over_resumes(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run._clock -= 1000.0  # as if training had taken that long
    run.log(500, {"x": 1})
    run.checkpoint(500, dict, every=1)
    run.close()
    run = Run.resume(tmp_path / "run", progress=False)
    run.restore()
    run._clock -= 10.0
    run.log(600, {"x": 1})
    run.finish(600, dict)
    run.close()
    first, second = map(json.loads, (tmp_path / "run" / "timing.jsonl").read_text().splitlines())
    assert list(first) == ["step", "seconds", "steps_per_second"]
    assert first["seconds"] == pytest.approx(1000, abs=10)
    assert first["steps_per_second"] == pytest.approx(0.5, rel=0.02)
    assert 1010 <= second["seconds"] < 1030 and 100 / 20 < second["steps_per_second"] <= 10
    finished = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert finished["step"] == 600 and finished["seconds"] >= second["seconds"] - 0.001


def test_finished_until_restored(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    assert not run.finished
    run.finish(100, lambda: {"done": True})
    run.close()
    run = Run.resume(tmp_path / "run", progress=False)
    assert run.finished
    assert run.restore() == {"done": True} and not run.finished
    run.close()


def test_metrics_take_numpy_numbers_and_keep_order(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.log(3, {"b": np.float32(0.5), "a": np.int64(4), "inf": -math.inf, "nan": np.float64("nan"), "one": 1})
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (
        '{"step": 3, "b": 0.5, "a": 4, "inf": null, "nan": null, "one": 1}\n'
    )
    run.close()


def test_off_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    with Run.off() as run:
        assert signal.getsignal(signal.SIGINT) is before  # Ctrl-C stays what it was
        assert run.restore() is None and run.folder is None and not run.finished
        run.log(1, {"episode_return": np.float32(2.5)})
        run.progress(1)
        run.checkpoint(1, lambda: pytest.fail("off"), every=1)
        run.finish(1, lambda: pytest.fail("off"))
    assert run.last_metrics == {"episode_return": 2.5}
    assert os.listdir(tmp_path) == [] and capfd.readouterr() == ("", "")


def test_global_generators_are_left_alone(tmp_path: Path) -> None:
    import torch

    def states() -> tuple[Any, ...]:
        legacy = np.random.get_state()
        return random.getstate(), legacy[1].tolist(), legacy[2:], torch.get_rng_state().tolist()  # type: ignore

    before = states()
    with create(tmp_path / "run") as run:
        run.restore()
        run.log(1, {"x": 1})
        run.progress(1)
        run.checkpoint(1, dict, every=1)
        run.finish(1, dict)
    assert states() == before


def test_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        with create(tmp_path / "run"):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("not reached")
    assert signal.getsignal(signal.SIGINT) is before


def test_signal_during_a_save_is_not_lost(tmp_path: Path) -> None:
    def state() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {"saved": True}

    with pytest.raises(Interrupted, match="SIGTERM at step 10"), create(tmp_path / "run") as run:
        run.checkpoint(10, state, every=10)
    assert read_state(tmp_path / "run") == {"saved": True}


def test_works_outside_the_main_thread(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with create(tmp_path / "run") as run:
                run.finish(1, dict)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with create(tmp_path / "run", progress=True, total=5_000) as run:
        run.log(1, {"episode_return": 12.345})
        for step in range(1, 5_001):
            run.progress(step)
        run.finish(5_000, dict)
    text = terminal.getvalue()
    assert "5000/5000" in text and "return=12.3" in text and "steps/s" in text and "100%" in text
    assert text.count("\r") < 100  # drawn at most every tenth of a second


def test_plain_lines_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with create(tmp_path / "run", progress=True, total=4_000) as run:
        for step in range(1, 31):
            now += 1.0
            if step == 15:
                run.log(step, {"episode_return": 7.0})
            run.progress(step * 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "1,000/4,000 steps, 100 steps/s, 00:30 left",
        "2,000/4,000 steps, 100 steps/s, 00:20 left, return 7.0",
        "3,000/4,000 steps, 100 steps/s, 00:10 left, return 7.0",
    ]
    with create(tmp_path / "slow", progress=True, total=4) as run:
        now += 25.0
        run.progress(1)
    assert capsys.readouterr().err.splitlines() == ["1/4 steps, 25 s/step, 01:15 left"]


def test_calls_in_the_loop_are_cheap(tmp_path: Path) -> None:
    with create(tmp_path / "run", progress=True) as run:
        start = time.perf_counter()
        for step in range(100_000):
            run.progress(step)
            run.checkpoint(step, dict, every=1_000_000)
        assert time.perf_counter() - start < 1.0  # 10 microseconds an iteration; a tenth of that is usual


def test_outer_record_of_a_checkpoint(tmp_path: Path) -> None:
    """What other tools find in `checkpoints/`, pinned."""
    run = create(tmp_path / "run")
    run.log(1, {"x": 1})
    run.finish(1, lambda: {"w": 2})
    run.close()
    step, record = load_checkpoint(tmp_path / "run" / "checkpoints") or (0, {})
    assert step == 1 and list(record) == ["algorithm", "bytes", "seconds", "state"] and record["state"] == {"w": 2}
    assert record["bytes"]["metrics.jsonl"] == (tmp_path / "run" / "metrics.jsonl").stat().st_size
    save_checkpoint(tmp_path / "run" / "checkpoints", 2, record | {"state": {"w": 3}})
    assert read_state(tmp_path / "run") == {"w": 3}

"""The command lines as a user meets them: training, resuming, evaluating, and every mistake in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents import evaluate, train
from agents.registry import CATALOGUE, find
from supervised.training.checkpoint import load_checkpoint
from supervised.training.run import Run, read_state

QUICK = (
    "--lanes 8 --train-every 8 --updates 1 --total-steps 1200 --learning-starts 200 --hidden 8 --batch-size 8 "
    "--log-every 100 --checkpoint-every 200"
).split()
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a run"
    train.main(["dqn", *QUICK, "--run-dir", str(folder), "--quiet"])
    return folder


def test_a_run_leaves_its_files(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {
        "config.json",
        "metrics.jsonl",
        "timing.jsonl",
        "tensorboard",
        "checkpoints",
        "curve.png",
    } <= names
    assert json.loads((trained / "config.json").read_text())["config"]["hidden"] == [8]
    steps = [json.loads(line)["step"] for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert steps == [104, 200, 304, 400, 504, 600, 704, 800, 904, 1000, 1104, 1200]


def test_evaluate_reports_and_judges(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target = tmp_path / "out.json"
    evaluate.main([str(trained), "--episodes", "5", "--json", str(target), "--require", "mean>=5", "--video", "1"])
    result = json.loads(target.read_text())
    assert len(result["lengths"]) == 5 and result["seeds"] == [10_000, 10_004]
    assert {"mean", "std", "iqm", "ci95", "protocol"} <= result.keys()
    assert "met: mean>=5" in capsys.readouterr().out
    assert (trained / "videos" / "episode-10000.mp4").stat().st_size > 1000
    with pytest.raises(SystemExit) as stop:
        evaluate.main([str(trained), "--episodes", "2", "--require", "mean>=499", "length<=1"])
    assert stop.value.code == 1
    assert "missed: mean>=499" in capsys.readouterr().out


def test_evaluate_on_third_party_environments(trained: Path, refused: Callable[..., str]) -> None:
    results = []
    for env in ("skidpad/CartPole-v1", "CartPole-v1"):
        evaluate.main([str(trained), "--env", env, "--episodes", "5"])
        results.append(json.loads((trained / "evaluation.json").read_text())["lengths"])
    assert results[0] == results[1]
    message = refused(evaluate.main, trained, "--env", "MountainCar-v0")
    assert "MountainCar-v0 does not fit" in message


def test_pixels_of_car_racing(tmp_path: Path) -> None:
    pytest.importorskip("Box2D", reason="CarRacing-v3 needs gymnasium[box2d]")
    kwargs = ["--env", "CarRacing-v3", "--env-kwargs", '{"continuous": false, "max_episode_steps": 20}']
    small = [
        "--total-steps",
        "60",
        "--learning-starts",
        "40",
        "--lanes",
        "1",
        "--replay-size",
        "60",
        "--hidden",
        "4",
    ]
    train.main(["dqn", *kwargs, *small, "--batch-size", "4", "--run-dir", str(tmp_path / "run"), "--quiet"])
    evaluate.main([str(tmp_path / "run"), "--episodes", "1"])
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["lengths"] == [20]


PACKAGE = """
import gymnasium as gym, numpy as np

class Reach(gym.Env):
    observation_space = gym.spaces.Dict(here=gym.spaces.Discrete(4), goal=gym.spaces.Box(0, 1, (2,), np.float32))
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.here, self.goal = 0, self.np_random.random(2).astype(np.float32)
        return {"here": self.here, "goal": self.goal}, {}
    def step(self, action):
        self.here = min(self.here + action, 3)
        return {"here": self.here, "goal": self.goal}, float(action), self.here == 3, False, {}

gym.register("Reach-v0", entry_point=Reach, max_episode_steps=30)
"""


def test_a_users_environment_is_one_flag_away(tmp_path: Path, run_module: Callable) -> None:
    (tmp_path / "my_package.py").write_text(PACKAGE)
    folder = tmp_path / "run"
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = run_module(
        "agents.train", "dqn", "--env", "my_package:Reach-v0", *QUICK, "--run-dir", folder, PYTHONPATH=path
    )
    assert done.returncode == 0, done.stderr
    done = run_module("agents.evaluate", folder, "--episodes", 3, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert "mean" in done.stdout


def final(folder: Path) -> tuple[bytes, bytes]:
    """The metrics and the weights of the newest checkpoint, as bytes."""
    newest = max((folder / "checkpoints").glob("step-*"))
    return (folder / "metrics.jsonl").read_bytes(), (newest / "arrays.safetensors").read_bytes()


@pytest.mark.parametrize("env", ["skidpad/CartPole-v1", "CartPole-v1"])
def test_killed_and_resumed_to_the_same_bits(env: str, tmp_path: Path) -> None:
    arguments = ["dqn", "--env", env, *QUICK, "--total-steps", "4000", "--quiet"]
    train.main([*arguments, "--run-dir", str(tmp_path / "whole")])
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "agents.train", *arguments, "--run-dir", str(folder)]
    kills = 0
    for attempt in range(20):
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        # wait until it has saved something new, then kill it at an arbitrary moment
        seen = len(list((folder / "checkpoints").glob("step-*"))) and max((folder / "checkpoints").glob("step-*"))
        while process.poll() is None:
            newest = max((folder / "checkpoints").glob("step-*"), default=0)
            if newest != seen and attempt < 4:
                time.sleep(0.007 * attempt)
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        code = process.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
        command = [sys.executable, "-m", "agents.train", "--resume", str(folder), "--quiet"]
    assert kills >= 2
    assert final(folder) == final(tmp_path / "whole")
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".")]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stopped_politely_it_says_how_to_resume(signum: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    arguments = ["dqn", *QUICK, "--total-steps", "300000", "--run-dir", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.train", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not list((folder / "checkpoints").glob("step-*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert f"continue with --resume {folder}" in errors
    assert "Traceback" not in errors
    found = load_checkpoint(folder / "checkpoints")
    assert found is not None and str(found[0]) in errors


def test_sweeps_stop_at_once_and_start_again(tmp_path: Path) -> None:
    """Dynamic programming has nothing to save in between, and is as easy to stop and resume."""
    folder = tmp_path / "run"
    settings = ["--env", "skidpad/Maze-v0", "--env-kwargs", '{"size": [801, 801]}', "--discount", "0.9999"]
    command = [sys.executable, "-m", "agents.train", "value-iteration", *settings, "--run-dir", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not (folder / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(2)  # building the model and the first sweeps; it takes much longer than that to the end
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.strip().splitlines()[-1].endswith(f"continue with --resume {folder}")
    run = Run.resume(folder, progress=False)
    assert run.restore() is None and not run.finished
    run.close()


def test_a_corrupt_newest_checkpoint_falls_back(trained: Path, tmp_path: Path, run_module: Callable) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    newest = max((copy / "checkpoints").glob("step-*"))
    data = bytearray((newest / "arrays.safetensors").read_bytes())
    data[-5] ^= 1
    (newest / "arrays.safetensors").write_bytes(data)
    (copy / "finished.json").unlink()
    done = run_module("agents.train", "--resume", copy, "--quiet")
    assert done.returncode == 0, done.stderr
    assert newest.name in done.stderr
    assert final(copy) == final(trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dqm"], "unknown algorithm 'dqm'; did you mean dqn"),
        (["dqn", "--preset", "book-ch9"], "unknown preset 'book-ch9' of dqn; did you mean book-ch8"),
        (["dqn", "--larning-rate", "1"], "did you mean --learning-rate?"),
        (["dqn", "--seed", "x"], "--seed"),
        (["dqn", "--discount", "2"], "discount=2.0: use a number from 0 to 1"),
        (["dqn", "--env", "skidpad/CartPool-v1"], "did you mean skidpad/CartPole-v1"),
        (["dqn", "--env", "Pendulum-v1"], "discrete actions"),
        (["dqn", "--env-kwargs", "{gravity}"], "is not JSON"),
        (["dqn", "--env-kwargs", '{"gravity": 3}'], "gravity"),
        (["dqn", "--seeds", "0"], "seeds=0"),
        (["--resume", "/no/such/run"], "/no/such/run/config.json"),
        ([], "name an algorithm"),
    ],
    ids=str,
)
def test_training_mistakes_are_one_line_and_leave_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(train.main, *arguments)
    assert line.startswith("error: ") and message in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_used_folder_and_changed_settings_are_refused(trained: Path, refused: Callable[..., str]) -> None:
    assert "--resume" in refused(train.main, "dqn", "--run-dir", trained)
    changed = refused(train.main, "--resume", trained, "--discount", "0.5", "--batch-size", "9")
    assert "discount 0.99 -> 0.5" in changed and "batch_size 8 -> 9" in changed
    assert "is a run of dqn, not of sarsa" in refused(train.main, "sarsa", "--resume", trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/no/such/run"], "/no/such/run"),
        (["RUN", "--require", "men>=3"], "mean"),
        (["RUN", "--require", "mean=3"], "mean=3"),
        (["RUN", "--episodes", "0"], "episodes=0"),
        (["RUN", "--env", "skidpad/NoSuch-v0"], "skidpad/NoSuch-v0"),
        (["RUN", "--json", "/no/such/folder/x.json"], "/no/such/folder"),
    ],
    ids=str,
)
def test_evaluation_mistakes(arguments: list[str], message: str, trained: Path, refused: Callable[..., str]) -> None:
    assert message in refused(evaluate.main, *[str(trained) if one == "RUN" else one for one in arguments])


def test_a_full_disk_keeps_what_was_saved(tmp_path: Path) -> None:
    """Files may not grow beyond a few kilobytes: training stops with one line, and an earlier checkpoint stays."""
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
        "from agents import train; train.main(sys.argv[1:])"
    )
    folder = tmp_path / "run"
    arguments = [
        *QUICK,
        "--total-steps",
        "60000",
        "--checkpoint-every",
        "100",
        "--run-dir",
        str(folder),
        "--quiet",
    ]
    done = subprocess.run([sys.executable, "-c", script, "dqn", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: cannot write")
    assert read_state(folder)["step"] >= 100


def test_an_unwritable_folder_is_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in refused(train.main, "dqn", "--run-dir", tmp_path / "file" / "run")


def test_several_seeds_and_the_list(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    train.main(["dqn", *QUICK, "--seeds", "2", "--run-dir", str(tmp_path), "--quiet"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s0", "s1"]
    assert final(tmp_path / "s0") != final(tmp_path / "s1")
    capsys.readouterr()
    train.main(["--list"])
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(CATALOGUE)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_help_tells_every_setting(name: str, capsys: pytest.CaptureFixture) -> None:
    import dataclasses

    with pytest.raises(SystemExit) as stop:
        train.main([name, "--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for entry in dataclasses.fields(find(name).config):
        assert f"--{entry.name.replace('_', '-')}" in text

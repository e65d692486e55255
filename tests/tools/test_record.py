"""The recorder: a person at the keyboard (posted events, and real keys under Xvfb), and drivers."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from key_events import press, release

from agents import train
from agents.heads import steering_and_acceleration
from agents.imitation.demonstrations import book_classes, load
from tools import play, record
from tools.window import Window

pygame = pytest.importorskip("pygame")

ROOT = Path(__file__).parents[2]
CONTROLS = spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))


# A person at the keyboard, whose keys are posted to SDL's event queue.


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """A function that records with a script: tick -> events, or a callable; returns what the window showed."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def run(script: dict[int, list[Any]], *arguments: object) -> list[tuple[Any, ...]]:
        shown: list[tuple[Any, ...]] = []
        draw = Window.show

        def show(self: Window, *values: Any) -> None:
            shown.append(values)
            draw(self, *values)

        def wait(self: Window, frames_per_second: float) -> None:
            assert len(shown) < 2000, "the script never ends"
            for one in script.get(len(shown), []):
                one() if callable(one) else pygame.event.post(one)

        monkeypatch.setattr(Window, "show", show)
        monkeypatch.setattr(Window, "wait", wait)
        record.main([str(argument) for argument in arguments])
        return shown

    yield run
    pygame.quit()


def test_driving_with_keys(keyboard: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "pole"
    seen: list[int] = []

    def count_on_disk() -> None:
        seen.append(len(list((out / "data").glob("*/part-0.arrow"))))

    shown = keyboard(
        {
            3: [press("RIGHT")],
            5: [release("RIGHT")],  # two steps to the right, then the pole waits
            8: [press("a")],
            60: [count_on_disk, release("a"), press("RETURN")],  # at least one fall by then; discard what is under way
            63: [press("LEFT")],
            65: [press("SPACE")],
            75: [press("SPACE")],
            77: [release("LEFT"), press("ESCAPE")],
        },
        *("--env", "skidpad/CartPole-v1", "--out", out),
    )
    found = load(out)
    kept = len(found)
    assert seen == [kept - 1] and kept >= 3, "every episode is on disk the moment it ends"
    assert f"{kept} episodes recorded, {kept} in" in capsys.readouterr().out
    first, *_, last = found
    assert first.actions.tolist()[:2] == [1, 1] and set(first.actions[2:].tolist()) == {0}
    assert first.terminations[-1] and first.details["driver"] == "human"
    assert first.details["keys"] == ["left", "right"] and first.keys[:3].tolist() == [2, 2, 1]
    assert found.seeds == [*range(kept - 1), kept], "the discarded episode left no trace but its seed"
    assert last.actions.tolist() == [0] * 4, "paused for ten ticks"
    assert last.truncations[-1] and last.details["stopped"]
    lines = [values[1][0] for values in shown]
    assert "score 0.0" in lines[0] and "episodes kept 0" in lines[0] and "score 2.0" in lines[7]
    assert shown[0][3] == "press a key to start" and "paused" in shown[70][3]
    assert shown[-1][2] == [("left", sum(int((one.actions == 0).sum()) for one in found)), ("right", 2)]
    play.verify(found, None)


def test_recording_goes_on_where_it_ended(keyboard: Any, tmp_path: Path) -> None:
    arguments = ("--env", "skidpad/CartPole-v1", "--out", tmp_path / "pole", "--episodes", "1")
    keyboard({1: [press("LEFT")]}, *arguments)
    keyboard({1: [press("LEFT")]}, *arguments)
    assert load(tmp_path / "pole").seeds == [0, 1]


def test_the_key_state_is_stored_and_never_mutated(keyboard: Any, tmp_path: Path) -> None:
    """The book's recorder scaled the brake in the array that it had stored, from the second frame on."""
    pytest.importorskip("Box2D")
    table = {"none": [0, 0, 0], "left": [-1, 0, 0], "up": [0, 1, 0], "down": [0, 0, 0.3]}
    (tmp_path / "keys.json").write_text(json.dumps(table))
    shown = keyboard(
        {1: [press("UP")], 9: [release("UP"), press("DOWN"), press("LEFT")], 15: [press("ESCAPE")]},
        *("--env", "CarRacing-v3", "--out", tmp_path / "car", "--keys", tmp_path / "keys.json"),
    )
    episode = load(tmp_path / "car")[0]
    assert episode.frames.shape == (14, 96, 96, 3)
    assert episode.actions.tolist() == [[0, 1, 0]] * 8 + [[-1, 0, np.float32(0.3)]] * 6
    assert episode.keys.tolist() == [2] * 8 + [5] * 6 + [0]
    assert book_classes(episode.actions).tolist() == [5] * 8 + [2] * 6
    assert "lap 1%" in shown[2][1][0]
    names = ("nothing", "left", "left+brake", "right", "right+brake", "gas", "brake")
    assert shown[13][2] == list(zip(names, [0, 0, 5, 0, 0, 8, 0], strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="needs X")
def test_no_display(tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    arguments = ("--env", "skidpad/CartPole-v1", "--out", tmp_path / "d")
    line = refused(record.main, *arguments)
    assert "no display to open a window on" in line and "--driver" in line
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert "no display to open a window on" in refused(record.main, *arguments)
    assert not (tmp_path / "d").exists()


@pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool")
def test_real_keys(tmp_path: Path) -> None:
    """A screen without a monitor, and keys pressed as the X server delivers them."""
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "800x700x24"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(writer)
            display = f":{os.read(reader, 16).decode().strip()}"
            environment = {**os.environ, "DISPLAY": display, "XDG_RUNTIME_DIR": str(tmp_path)}
            environment.pop("SDL_VIDEODRIVER", None)

            def xdotool(*arguments: str) -> str:
                return subprocess.run(
                    ["xdotool", *arguments], env=environment, capture_output=True, text=True, timeout=20
                ).stdout

            arguments = ["--env", "skidpad/CartPole-v1", "--out", str(tmp_path / "d")]
            recorder = subprocess.Popen([sys.executable, "-m", "tools.record", *arguments], cwd=ROOT, env=environment)
            try:
                deadline = time.monotonic() + 60
                while not xdotool("search", "--pid", str(recorder.pid)):
                    assert recorder.poll() is None and time.monotonic() < deadline
                    time.sleep(0.2)
                time.sleep(0.5)
                xdotool("key", "d", "sleep", "0.3", "keydown", "Left", "sleep", "1", "keyup", "Left", "key", "Escape")
                assert recorder.wait(timeout=30) == 0
            finally:
                recorder.kill()
        finally:
            os.close(reader)
            server.kill()
    found = load(tmp_path / "d")
    assert found[0].actions[0] == 1 and found[0].actions[-1] == 0 and found[0].keys[-2] == 1
    play.verify(found, None)


# Drivers.


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    quick = "--lanes 8 --train-every 8 --updates 1 --total-steps 400 --learning-starts 200 --hidden 8 --batch-size 8"
    kwargs = '{"max_episode_steps": 30}'
    train.main(["dqn", *quick.split(), "--env-kwargs", kwargs, "--run-dir", str(folder), "--quiet"])
    return folder


def test_a_run_drives(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["--env", "skidpad/CartPole-v1", "--driver", str(trained)]
    record.main([*arguments, "--out", str(tmp_path / "all"), "--episodes", "11"])
    assert "11 episodes recorded" in capsys.readouterr().out
    found = load(tmp_path / "all")
    assert found.seeds == list(range(11)) and found.env_kwargs == {"max_episode_steps": 30}
    play.verify(found, None)
    record.main([*arguments, "--out", str(tmp_path / "one"), "--episodes", "1", "--seed", "9"])
    alone, among = load(tmp_path / "one")[0], found[9]
    assert np.array_equal(alone.observations, among.observations), "the same whatever the number of lanes"
    assert np.array_equal(alone.actions, among.actions)
    record.main([*arguments, "--out", str(tmp_path / "one")])
    assert load(tmp_path / "one").seeds == [9, 10]


def test_a_killed_recorder_keeps_what_it_has_told_of(trained: Path, tmp_path: Path) -> None:
    arguments = ["--env", "skidpad/CartPole-v1", "--driver", str(trained), "--out", str(tmp_path / "d")]
    command = [sys.executable, "-u", "-m", "tools.record", *arguments, "--episodes", "9000"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdout is not None
        told = [line for line, _ in zip(recorder.stdout, range(20), strict=False)]
        recorder.kill()
    assert told[-1].startswith("episode 19  seed 19")
    found = load(tmp_path / "d")
    assert 20 <= len(found) < 9000 and found.seeds == list(range(len(found)))
    play.verify(found, len(found) - 1)
    record.main(arguments)
    assert load(tmp_path / "d").seeds == list(range(len(found) + 1))


def test_the_expert_drives(tmp_path: Path) -> None:
    pytest.importorskip("Box2D")
    kwargs = '{"max_episode_steps": 20}'
    record.main(
        ["--env", "CarRacing-v3", "--env-kwargs", kwargs, "--driver", "expert", "--out", str(tmp_path), "--episodes=2"]
    )
    found = load(tmp_path)
    assert found.lengths.tolist() == [20, 20] and found[1].truncations[-1] and found.seeds == [0, 1]
    assert found[0].actions[:, 1].max() > 0.3 and not np.array_equal(found[0].frames, found[1].frames)
    play.verify(found, 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "skidpad/CartPole-v1", "--driver", "expert"], "the expert drives CarRacing"),
        (["--env", "skidpad/CartPole-v1", "--driver", "nowhere"], "give the folder of a run"),
        (["--env", "skidpad/CartPole-v1", "--driver", "expert", "--episodes", "0"], "episodes=0"),
        (["--env", "skidpad/CartPole-v1", "--driver", "expert", "--seed", "10000"], "seed=10000: training seeds"),
        (["--env", "skidpad/CarRacing-v0", "--noise", "0.1"], "noise=0.1: it needs a --driver"),
        (["--env", "skidpad/CarRacing-v0", "--driver", "calm", "--noise", "-1"], "noise=-1.0"),
        (
            ["--env", "skidpad/CarRacing-v0", "--env-kwargs", '{"actions": "book"}', "--driver", "calm", "--noise=1"],
            "noise=1.0: it disturbs",
        ),
        (["--env", "skidpad/CartPole-v9"], "unknown environment 'skidpad/CartPole-v9'"),
        (["--env", "skidpad/RandomWalk-v0"], "no keys are known for skidpad/RandomWalk-v0"),
        ([], "--env"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, refused: Callable[..., str], arguments: Any, message: str) -> None:
    assert message in refused(record.main, *arguments, "--out", tmp_path / "d")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("actions", ["book", "continuous"])
def test_the_expert_drives_our_cars(tmp_path: Path, actions: str) -> None:
    kwargs = json.dumps({"actions": actions, "max_episode_steps": 60})
    arguments = ["--env", "skidpad/CarRacing-v0", "--env-kwargs", kwargs, "--driver", "expert", "--out", str(tmp_path)]
    record.main([*arguments, "--episodes", "2"])
    found = load(tmp_path)
    assert found.lengths.tolist() == [60, 60] and found[0].frames.shape == (60, 96, 96, 3)
    assert np.bincount(book_classes(found[1].actions), minlength=7)[5] > 10, "it accelerates"
    play.verify(found, None)


def test_a_maze_has_an_expert_of_its_own_whose_episodes_can_be_cloned(tmp_path: Path) -> None:
    env, demos = "skidpad/InstructionMaze-v0", str(tmp_path / "demos")
    record.main(["--env", env, "--driver", "expert", "--episodes", "4", "--out", demos])
    found = load(tmp_path / "demos")
    assert all(episode.terminations[-1] and episode.rewards.sum() > 0.5 for episode in found), "none is mistaken"
    frames = found[0].frames
    assert frames["planes"].shape == (len(found[0]), 10, 11, 11) and frames["tokens"].shape == (len(found[0]), 13)
    cloning = ["--env", env, "--demonstrations", demos, "--backbone", "language", "--epochs", "2", "--quiet"]
    train.main(["decision-transformer", *cloning, "--run-dir", str(tmp_path / "asked")])
    plain = ["--env-kwargs", "{}", "--transforms", "--mirror", "False"]
    train.main(["bc", *cloning, *plain, "--run-dir", str(tmp_path / "clone")])
    assert (tmp_path / "asked" / "finished.json").exists() and (tmp_path / "clone" / "finished.json").exists()


def test_a_trembling_hand_is_recorded_with_what_the_driver_meant(tmp_path: Path) -> None:
    kwargs = '{"max_episode_steps": 150, "renderer": "fast"}'
    arguments = ["--env", "skidpad/CarRacing-v0", "--env-kwargs", kwargs, "--driver", "calm", "--out", str(tmp_path)]
    record.main([*arguments, "--episodes", "2", "--noise", "0.2"])
    for episode in load(tmp_path):
        assert episode.meant is not None and episode.lessons is episode.meant
        slips = (episode.meant != episode.actions).any(1)
        assert 5 <= slips.sum() < 100, "in bursts"
        assert (episode.actions[slips].min(0) >= [-1, 0, 0]).all() and (episode.actions[slips].max(0) <= 1).all()
    play.verify(load(tmp_path), None)
    record.main([*arguments, "--episodes", "1"])  # the same data set takes episodes without noise
    assert load(tmp_path)[2].meant is None


def test_a_tremor_comes_in_bursts_of_the_given_size() -> None:
    tremor = record.Tremor(0.1, CONTROLS, seed=3)
    noise = steering_and_acceleration(np.array([tremor(np.zeros(3, np.float32)) for _ in range(50_000)]))
    on = noise[:, 0] != 0
    assert (on == (noise[:, 1] != 0)).all()
    starts, ends = np.flatnonzero(np.diff(on.astype(int)) == 1), np.flatnonzero(np.diff(on.astype(int)) == -1)
    lengths = ends[:500] - starts[:500]
    assert (lengths.min(), lengths.max()) == (5, 24)
    assert noise[on].std(0) == pytest.approx([0.1, 0.5], rel=0.15)
    assert (starts[1:500] - ends[:499]).min() >= 20

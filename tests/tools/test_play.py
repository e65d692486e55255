"""The player: verification finds every difference, videos hold every frame, and the window closes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image, ImageSequence

from agents import train
from agents.imitation.demonstrations import Demonstrations, DemonstrationWriter, load
from agents.imitation.episodes import Episode
from tools import play, record
from tools.importers import CONTROLS, FRAMES
from tools.window import Window


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    quick = "--lanes 8 --train-every 8 --updates 1 --total-steps 400 --learning-starts 200 --hidden 8 --batch-size 8"
    train.main(["dqn", *quick.split(), "--env-kwargs", '{"max_episode_steps": 8}', "--run-dir", str(folder), "--quiet"])
    return folder


@pytest.fixture(scope="module")
def demonstrations(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Demonstrations:
    out = tmp_path_factory.mktemp("demos") / "pole"
    record.main(["--env", "skidpad/CartPole-v1", "--driver", str(run), "--out", str(out), "--episodes", "3"])
    return load(out)


def test_a_replay_is_the_same(demonstrations: Demonstrations, capsys: pytest.CaptureFixture) -> None:
    play.main([str(demonstrations.path), "--verify"])
    assert "3 episodes of 24 steps are the same, bit for bit" in capsys.readouterr().out
    play.main([str(demonstrations.path), "--verify", "--episode", "1"])
    assert "1 episodes of 8 steps" in capsys.readouterr().out


def changed(array: Any, index: Any, value: Any) -> Any:
    result = np.array(array)
    result[index] = value
    return result


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("rewards", lambda a: changed(a, 5, 0.5), "step 6: rewards has 1.0, stored 0.5"),
        ("observations", lambda a: changed(a, (4, 2), np.nextafter(a[4, 2], np.float32(9))), "step 4: the observation"),
        ("actions", lambda a: changed(a, 2, 1 - a[2]), "step 3: the observation is another"),
        ("seed", lambda seed: seed + 1, "step 0: the observation is another"),
        ("truncations", lambda a: changed(a, -1, False), "step 8: truncations has True, stored False"),
    ],
)
def test_every_difference_is_found(
    demonstrations: Demonstrations, tmp_path: Path, refused: Callable[..., str], field: str, change: Any, message: str
) -> None:
    there = demonstrations
    spaces = there.observation_space, there.action_space
    writer = DemonstrationWriter(tmp_path / "d", *spaces, there.env, there.env_kwargs)
    for episode in there:
        changes = {field: change(getattr(episode, field))} if episode.number == 1 else {}
        writer.append(dataclasses.replace(episode, **changes))
    assert f"episode 1 of {tmp_path / 'd'} differs at {message}" in refused(play.main, tmp_path / "d", "--verify")


def test_an_episode_that_ends_otherwise(
    demonstrations: Demonstrations, tmp_path: Path, refused: Callable[..., str]
) -> None:
    there = demonstrations
    spaces = there.observation_space, there.action_space
    writer = DemonstrationWriter(tmp_path / "d", *spaces, there.env, {"max_episode_steps": 5})
    writer.append(there[0])
    assert "step 5: " in refused(play.main, tmp_path / "d", "--verify")


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_videos(demonstrations: Demonstrations, run: Path, tmp_path: Path, kind: str) -> None:
    play.main([str(demonstrations.path), "--episode", "2", "--video", str(tmp_path / f"one.{kind}")])
    play.main([str(run), "--video", str(tmp_path / "new" / f"run.{kind}")])
    for file in (tmp_path / f"one.{kind}", tmp_path / "new" / f"run.{kind}"):
        frames = imageio.imread(file)
        assert frames.shape[-1] == 3 and frames.std() > 1
        if kind == "mp4":
            assert len(frames) == 9
        else:  # equal pictures in a row become one that is shown for longer
            with Image.open(file) as image:
                assert sum(one.info["duration"] for one in ImageSequence.Iterator(image)) == 9 * 20
    assert not list(tmp_path.rglob("*part*"))


def imported(path: Path, env: str | None = None) -> None:
    steps = 4
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (steps + 1, 96, 96, 3), np.uint8)
    ends = np.arange(steps) == steps - 1
    zeros = np.zeros(steps)
    episode = Episode(frames, np.zeros((steps, 3)), zeros, ends, np.zeros(steps, bool))
    DemonstrationWriter(path, FRAMES, CONTROLS, env).append(episode)


def test_stored_frames_need_no_environment(tmp_path: Path) -> None:
    imported(tmp_path / "d")
    play.main([str(tmp_path / "d"), "--video", str(tmp_path / "d.gif")])
    assert imageio.imread(tmp_path / "d.gif").shape == (5, 384, 384, 3)


def test_mistakes_are_one_line(
    demonstrations: Demonstrations, run: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    there = demonstrations.path
    assert "episode=3: the data set has the episodes 0 to 2" in refused(play.main, there, "--verify", "--episode", 3)
    assert "use a name that ends in .mp4 or .gif" in refused(play.main, there, "--video", tmp_path / "d.avi")
    assert "it is a run" in refused(play.main, run, "--verify")
    assert "holds no demonstrations" in refused(play.main, tmp_path)
    imported(tmp_path / "d")
    assert "does not say which environment" in refused(play.main, tmp_path / "d", "--verify")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "cannot write" in refused(play.main, there, "--video", blocked / "d.mp4")


def test_the_window(demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown: list[str] = []

    def wait(self: Window, frames_per_second: float) -> None:
        script = {3: pygame.K_SPACE, 8: pygame.K_SPACE, 20: pygame.K_ESCAPE}
        if len(shown) in script:
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=script[len(shown)]))

    draw = Window.show
    monkeypatch.setattr(Window, "show", lambda self, *a, **k: (shown.append(a[1][0]), draw(self, *a, **k)))
    monkeypatch.setattr(Window, "wait", wait)
    play.main([str(demonstrations.path)])
    assert len(shown) == 21 and shown[0].startswith("episode 0    step 0 of 8    score 0.0")
    assert shown[3:8] == [shown[3]] * 5, "paused"
    assert shown[-1].startswith("episode 1")


def test_no_display(
    demonstrations: Demonstrations, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert "write a file with --video FILE.mp4" in refused(play.main, demonstrations.path)

"""Figures of runs and their door, on runs written by hand whose curves are known."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from envs.grid.grid_world import GridWorld
from envs.mdp import MDP
from supervised.training import plots
from supervised.training.errors import UserError
from supervised.training.run import Run
from tools import plot


def write_run(folder: Path, lines: list[dict[str, Any]], *, unit: str = "steps", **settings: Any) -> Path:
    """A run's folder with these metrics; settings are the configuration's, or algorithm and preset."""
    record = {
        "algorithm": settings.pop("algorithm", "dqn"),
        "preset": settings.pop("preset", "default"),
        "config": {"env": "skidpad/CartPole-v1", "env_kwargs": {}, "seed": 0, **settings},
        "total": 100,
        "unit": unit,
        "versions": {},
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def returns(*pairs: tuple[int, float | None]) -> list[dict[str, Any]]:
    return [{"step": step, "episode_return": value} for step, value in pairs]


class Drawn:
    """What the last figure shows, caught on its way to the file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make = plots.Figure

        def caught(**keywords: Any) -> Any:
            self.figure = make(**keywords)
            return self.figure

        monkeypatch.setattr(plots, "Figure", caught)

    def lines(self, axes: int = 0) -> dict[str, tuple[list[float], list[float]]]:
        found = self.figure.axes[axes].get_lines()
        return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in found}

    def texts(self) -> str:
        return "\n".join(text.get_text() for text in self.figure.findobj(Text))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    return Drawn(monkeypatch)


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which the door refuses these arguments."""
    with pytest.raises(SystemExit) as stop:
        plot.main([str(argument) for argument in arguments])
    assert stop.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1
    return complaint


def test_metrics_are_columns_with_their_steps(tmp_path: Path) -> None:
    lines = [{"step": 1, "loss": None}, {"step": 2, "loss": 0.5, "updates": 7}]
    lines.append({"step": 3, "evaluation_return": 9.0})
    columns = plots.read_metrics(write_run(tmp_path / "run", lines))
    nan = np.nan
    expected = {
        "step": [1, 2, 3],
        "loss": [nan, 0.5, nan],
        "updates": [nan, 7, nan],
        "evaluation_return": [nan, nan, 9],
    }
    assert columns.keys() == expected.keys()
    for name, column in expected.items():
        np.testing.assert_array_equal(columns[name], column)


def test_line_being_written_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", returns((1, 2.0), (2, 3.0)))
    log = run / "metrics.jsonl"
    whole = log.read_bytes()
    for cut in range(len(whole)):
        log.write_bytes(whole[:cut])
        columns = plots.read_metrics(run)
        assert columns.get("step", np.empty(0)).tolist() == [1.0, 2.0][: whole[:cut].count(b"\n")]
    for damage in (b"\0\0\0\n", b"3\n", b'{"step": "one"}\n', b'{"step": [1]}\n'):
        log.write_bytes(whole + damage)
        with pytest.raises(UserError, match="line 3 is damaged"):
            plots.read_metrics(run)


def test_own_curve_shows_returns_and_evaluations(tmp_path: Path, drawn: Drawn) -> None:
    lines = returns((10, None), (20, 5.0), (30, 7.0)) + [{"step": 30, "evaluation_return": 8.0}]
    run = write_run(tmp_path / "run", lines, seed=3)
    assert plots.draw_curve(run) == run / "curve.png"
    assert list(drawn.lines().values()) == [([20, 30], [5, 7]), ([30], [8])]
    words = [
        "dqn on skidpad/CartPole-v1",
        "preset default, seed 3",
        "environment steps",
        "latest episodes",
        "circles: greedy evaluation",
    ]
    assert [text for text in words if text not in drawn.texts()] == []
    left, right = drawn.figure.axes[0].get_xlim()
    assert left == 0 and 30 < right < 40
    with Image.open(run / "curve.png") as picture:
        assert picture.size == (800, 450)
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "curve.png", "metrics.jsonl"]


def test_own_curve_of_dynamic_programming_is_logarithmic(tmp_path: Path, drawn: Drawn) -> None:
    lines = [{"step": sweep, "delta": delta} for sweep, delta in enumerate((1.0, 0.1, 0.0), 1)]
    run = write_run(tmp_path / "run", lines, algorithm="value-iteration", unit="sweeps")
    assert plots.draw_curve(run) == run / "curve.png"
    assert drawn.figure.axes[0].get_yscale() == "log"
    assert list(drawn.lines().values()) == [([1, 2], [1, 0.1])]
    assert drawn.figure.axes[0].get_xlabel() == "sweeps"


@pytest.mark.parametrize("lines", [[], returns((1, None)), [{"step": 1, "q_value": 0.5}], [{"step": 1, "delta": 0.0}]])
def test_nothing_to_draw_is_no_file(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    run = write_run(tmp_path / "run", lines)
    assert plots.draw_curve(run) is None
    assert not (run / "curve.png").exists()


def test_seeds_are_one_line_with_a_band(tmp_path: Path, drawn: Drawn) -> None:
    # five seeds at step 20: the interquartile mean leaves out 0 and 100, and so differs from mean and median
    finals = (0.0, 10.0, 11.0, 15.0, 100.0)
    for seed, final in enumerate(finals):
        write_run(tmp_path / f"s{seed}", returns((0, 5.0), (20, final)), seed=seed)
    ((name, runs),) = plots.group_runs([tmp_path / f"s{seed}" for seed in range(5)]).items()
    assert (name, len(runs)) == ("dqn", 5)
    plots.draw_curves({name: runs}, tmp_path / "a.png")
    assert drawn.lines() == {"training, 5 seeds": ([0, 20], [5, 12])}
    (band,) = drawn.figure.axes[0].collections
    corners = band.get_paths()[0].vertices
    assert set(map(tuple, corners.tolist())) == {(0, 5), (20, 0), (20, 100)}
    note = drawn.figure.axes[0].get_legend().get_title().get_text()
    assert "interquartile mean" in note and "lowest to the highest" in note


def test_runs_are_interpolated_where_they_overlap(tmp_path: Path, drawn: Drawn) -> None:
    first = write_run(tmp_path / "s0", returns((0, 0.0), (10, 10.0), (20, 20.0)), seed=0)
    second = write_run(tmp_path / "s1", returns((5, 15.0), (15, 35.0), (30, 65.0)), seed=1)  # 2 step + 5
    plots.draw_curves(plots.group_runs([first, second]), tmp_path / "a.png")
    assert drawn.lines() == {"training, 2 seeds": ([5, 10, 15, 20], [10, 17.5, 25, 32.5])}  # 1.5 step + 2.5


def test_only_seeds_share_a_line(tmp_path: Path) -> None:
    def name(folder: str, **settings: Any) -> Path:
        return write_run(tmp_path / folder, returns((1, 1.0)), **settings)

    default = [name("a", seed=0, learning_rate=0.1), name("b", seed=1, learning_rate=0.1)]
    smaller = name("c", seed=0, learning_rate=0.01)
    book = name("d", preset="book-ch8", learning_rate=0.1)
    sarsa = name("e", algorithm="sarsa")
    maze = name("f", algorithm="sarsa", env="skidpad/Maze-v0")
    assert plots.group_runs([*default, smaller]) == {
        "dqn, learning_rate=0.1": default,
        "dqn, learning_rate=0.01": [smaller],
    }
    assert list(plots.group_runs([default[0], book])) == ["dqn, default", "dqn, book-ch8"]
    assert list(plots.group_runs([default[0], sarsa])) == ["dqn", "sarsa"]
    assert list(plots.group_runs([sarsa, maze])) == ["sarsa, skidpad/CartPole-v1", "sarsa, skidpad/Maze-v0"]
    again = name("g", seed=0, learning_rate=0.1)
    with pytest.raises(UserError, match=r"a and .*g have the same settings and the same seed 0"):
        plots.group_runs([default[0], again])


def test_groups_that_cannot_share_axes_are_refused(tmp_path: Path) -> None:
    steps = write_run(tmp_path / "a", returns((1, 1.0)))
    episodes = write_run(tmp_path / "b", returns((1, 1.0)), algorithm="sarsa", unit="episodes")
    with pytest.raises(UserError, match="in steps and .* in episodes have no axis in common"):
        plots.draw_curves(plots.group_runs([steps, episodes]), tmp_path / "x.png")
    late = write_run(tmp_path / "c", returns((5, 1.0), (6, 1.0)), seed=1)
    with pytest.raises(UserError, match="no step has 'episode_return' in all of"):
        plots.draw_curves(plots.group_runs([steps, late]), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_progress_shows_sweeps_and_improvements(tmp_path: Path, drawn: Drawn) -> None:
    lines: list[dict[str, Any]] = [{"step": sweep, "delta": 10.0**-sweep} for sweep in range(1, 6)]
    lines[2]["policy_changes"], lines[4]["policy_changes"] = 14, 0
    run = write_run(tmp_path / "run", lines, algorithm="policy-iteration", unit="sweeps")
    plots.draw_progress(run, tmp_path / "a.png")
    assert [axes.get_yscale() for axes in drawn.figure.axes] == ["log", "linear"]
    rounds = [([1, 2, 3], [0.1, 0.01, 0.001]), ([4, 5], [0.0001, 1e-05])]
    assert list(drawn.lines().values())[:2] == rounds
    assert list(drawn.lines(axes=1).values()) == [([3, 5], [14, 0])]
    assert all(axes.get_xlim()[0] == 0 and 5 < axes.get_xlim()[1] < 6 for axes in drawn.figure.axes)
    assert "policy-iteration on" in drawn.texts()
    for line in lines[:4]:
        line.pop("policy_changes", None)
    plots.draw_progress(write_run(tmp_path / "value", lines, algorithm="value-iteration"), tmp_path / "b.png")
    assert list(drawn.lines().values()) == [([1, 2, 3, 4, 5], [10.0**-sweep for sweep in range(1, 6)])]
    with pytest.raises(UserError, match="a run of dqn, logged no delta"):
        plots.draw_progress(write_run(tmp_path / "dqn", returns((1, 1.0))), tmp_path / "b.png")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_same_data_same_bytes_whatever_the_users_style(tmp_path: Path, ending: str) -> None:
    run = write_run(tmp_path / "run", returns((1, 1.0), (2, 3.0)))
    files = [tmp_path / f"{name}.{ending}" for name in ("a", "b")]
    plots.draw_curves(plots.group_runs([run]), files[0])
    with matplotlib.style.context("dark_background"):
        before = dict(matplotlib.rcParams)
        plots.draw_curves(plots.group_runs([run]), files[1])
        assert dict(matplotlib.rcParams) == before
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert not re.search(rb"dc:date|tIME|Matplotlib v", first)


def test_picture_keeps_its_pixels(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 700, 3), np.uint8)
    plots.draw_picture(picture, tmp_path / "a.png", "title", "subtitle")
    with Image.open(tmp_path / "a.png") as drawn:
        pixels = np.asarray(drawn.convert("RGB"))
    assert pixels.shape == (112, 724, 3)
    np.testing.assert_array_equal(pixels[60:-12, 12:-12], picture)


def test_greedy_path_takes_likely_outcomes_and_stops_at_a_loop() -> None:
    # action 0 goes right (with 0.2 stays), action 1 goes left; state 3 is the end
    transitions = np.zeros((2, 4, 4))
    for state in range(3):
        transitions[0, state, state + 1], transitions[0, state, state] = 0.8, 0.2
        transitions[1, state, max(state - 1, 0)] = 1
    transitions[:, 3, 3] = 1
    mdp = MDP(transitions, np.zeros((4, 2)), terminal=[False, False, False, True])
    right, back = np.eye(2)[[0, 0, 0, 0]], np.eye(2)[[0, 0, 1, 0]]
    assert plot.greedy_path(mdp, right, 1) == [1, 2, 3]
    assert plot.greedy_path(mdp, back, 1) == [1, 2]


DISTANCES = np.array([0, 1, 2, 3, 1, 2, 3, 2, 2, 3, 2, 1, 3, 2, 1, 0.0])  # 4x4 cells to the nearer corner


def tabular_run(folder: Path, env: str = "skidpad/GridWorld-v0", **agent: Any) -> Path:
    """A finished run whose agent has these arrays."""
    config = {"env": env, "env_kwargs": {}, "seed": 0}
    with Run.create(folder, algorithm="q-learning", preset="default", config=config, total=1, progress=False) as run:
        run.finish(1, lambda: {"agent": agent})
    return folder


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the grid world was asked to draw."""
    asked: dict[str, Any] = {}
    draw = GridWorld.draw

    def caught(self: GridWorld, **layers: Any) -> Any:
        asked.update(layers)
        return draw(self, **layers)

    monkeypatch.setattr(GridWorld, "draw", caught)
    return asked


def test_values_of_a_table_of_actions(tmp_path: Path, layers: dict[str, Any], drawn: Drawn) -> None:
    mdp = GridWorld().mdp
    values = -DISTANCES
    q_values = mdp.rewards + (mdp.transition_matrix() @ values).reshape(16, 4)  # undiscounted
    run = tabular_run(tmp_path / "run", q_values=np.where(mdp.terminal[:, None], 0.0, q_values))
    plot.main([str(run), "--what", "values"])
    np.testing.assert_array_equal(layers["values"], values)
    np.testing.assert_array_equal(layers["policy"][5], [0.5, 0, 0, 0.5])  # up or left, equally good
    steps = len(layers["path"]) - 1
    assert steps == DISTANCES[layers["path"][0]] > 0 and DISTANCES[layers["path"][-1]] == 0
    assert f"values -3 to -1; greedy path of {steps} steps" in drawn.texts()
    with Image.open(run / "values.png") as picture:
        assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 10  # colours


def test_values_without_an_improved_policy_have_no_path(tmp_path: Path, layers: dict[str, Any], drawn: Drawn) -> None:
    plot.draw_values(tabular_run(tmp_path / "a", values=-DISTANCES), tmp_path / "a.png")
    assert layers.keys() == {"values"}
    uniform = tabular_run(tmp_path / "b", values=-DISTANCES, policy=np.full((16, 4), 0.25))
    plot.draw_values(uniform, tmp_path / "b.png")
    assert layers.keys() == {"values", "policy"} and "greedy" not in drawn.texts()
    right, left = 1, 3
    actions = np.full((4, 4), right)
    actions[:, 3] = actions[3, 1:] = left  # to and fro, never into a corner that ends the episode
    endless = tabular_run(tmp_path / "c", values=-DISTANCES, policy=np.eye(4)[actions.ravel()])
    plot.draw_values(endless, tmp_path / "c.png")
    assert "the greedy path never ends" in drawn.texts()


def test_values_need_a_table_and_a_map(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a run of q-learning, holds no values to draw"):
        plot.draw_values(tabular_run(tmp_path / "a", network=np.zeros(3)), tmp_path / "x.png")
    with pytest.raises(UserError, match="was trained on skidpad/CartPole-v1, which has no map"):
        plot.draw_values(tabular_run(tmp_path / "b", "skidpad/CartPole-v1", values=np.zeros(3)), tmp_path / "x.png")


def test_door_says_where_the_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dqn = tmp_path / "dqn"
    seeds = [write_run(dqn / f"s{seed}", returns((1, 1.0), (2, 2.0)), seed=seed) for seed in range(2)]
    assert plot.find_runs([tmp_path, seeds[0]]) == seeds
    monkeypatch.chdir(tmp_path)
    for arguments, file in {
        (dqn,): dqn / "curve.png",
        (seeds[1], "--metric", "episode_return"): seeds[1] / "episode_return.png",
        (dqn, "--out", tmp_path / "new" / "x.svg"): tmp_path / "new" / "x.svg",
        (*seeds,): Path("curve.png"),
    }.items():
        plot.main([str(argument) for argument in arguments])
        assert capsys.readouterr().out == f"{file}\n"
        assert file.stat().st_size > 1000


def test_door_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", [{"step": 1, "critic_loss": 0.5, "q_value": 1.0, "null": None}])
    other = write_run(tmp_path / "other", returns((1, 1.0)))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} is not a run and holds none" in failure(capsys, empty)
    assert "is not a run and holds none" in failure(capsys, tmp_path / "absent")
    assert "RUN" in failure(capsys) or "run" in failure(capsys)
    assert "logged no 'critic_lost'; did you mean critic_loss?" in failure(capsys, run, "--metric", "critic_lost")
    assert "logged no 'reward'; known: critic_loss, q_value" in failure(capsys, run, "--metric", "reward")
    assert "choose a --metric" in failure(capsys, run)
    assert "end its name in .png or .svg" in failure(capsys, other, "--out", tmp_path / "a.pdf")
    assert "cannot write" in failure(capsys, other, "--out", run / "config.json" / "a.png")
    assert "leave it out with --what values" in failure(capsys, run, "--what", "values", "--metric", "critic_loss")
    assert "give one run, not 2" in failure(capsys, run, other, "--what", "progress")
    assert "holds no checkpoint yet" in failure(capsys, run, "--what", "values")
    assert "--what" in failure(capsys, run, "--what", "everything")
    (other / "config.json").write_text("{}")
    assert "is not a run's configuration" in failure(capsys, other)
    assert [path.name for path in tmp_path.rglob("*.p*")] == []

"""The driving test: a good driver passes, a bad one is found out, requirements decide the exit code."""

import json

import numpy as np
import pytest

from tools.bench import __main__ as bench
from tools.bench import driving_test


class Straight:
    """Full gas, whatever comes."""

    transform = staticmethod(np.asarray)

    def act(self, observations: np.ndarray, deterministic: bool = False) -> np.ndarray:
        return np.tile(np.array([0, 1, 0], np.float32), (len(observations), 1))


KWARGS = {"observation": "none"}


def test_the_expert_passes(tmp_path, capsys):
    target, video = tmp_path / "result.json", tmp_path / "worst.gif"
    rules = ["off_road<=0.02", "laps>=1", "autonomy>=1", "mean>=850"]
    options = ["--episodes", "2", "--json", str(target), "--require", *rules]
    bench.main(["driving-test", "expert", *options])
    result = json.loads(target.read_text())
    assert result["off_road"] == 0 and result["episodes"]["lap"] == [True, True] and result["visited"] == 1
    assert result["seeds"] == [20_000, 20_001]
    # a lap of 0.1 a step less than 1000, in steps of 0.02 s
    steps = np.array(result["episodes"]["steps"])
    np.testing.assert_allclose(result["episodes"]["returns"], 1000 - 0.1 * steps, atol=1e-6)
    assert result["lap_time"] == pytest.approx(steps.mean() * 0.02)
    assert 0 < result["latency_p50"] <= result["latency_p95"] <= result["latency_p99"]
    assert "met: off_road<=0.02" in capsys.readouterr().out
    assert not video.exists()


def test_a_missed_requirement_exits_with_one_and_names_it(capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["driving-test", "expert", "--episodes", "1", "--require", "lap_time<=1", "--require", "laps>=1"])
    assert stop.value.code == 1
    out = capsys.readouterr().out
    assert "missed: lap_time<=1" in out and "met: laps>=1" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["expert", "--require", "offroad<=1"], "off_road"),
        (["expert", "--episodes", "0"], "episodes"),
        (["no-such-run"], "no-such-run"),
        ([], "RUN|expert|random"),
    ],
)
def test_bad_input_is_one_line_and_exits_with_two(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["driving-test", *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


def test_who_leaves_the_road_is_measured_so_and_saved_by_the_expert():
    seeds = [20_000, 20_001, 20_002]
    alone = driving_test.drive(Straight(), KWARGS, seeds, takeover=False)
    assert not alone["lap"].any() and (alone["off_road"] > 0.2 * alone["steps"]).all()
    assert (alone["interventions"] == 0).all()
    saved = driving_test.drive(Straight(), KWARGS, seeds, takeover=True)
    assert (saved["interventions"] > 0).all()
    assert (saved["returns"] > alone["returns"] + 100).all()
    # no intervention begins while the one before lasts
    assert (driving_test.TAKEOVER * saved["interventions"] <= saved["steps"] * 0.02 + driving_test.TAKEOVER).all()


def test_a_random_driver_gets_nowhere(capsys):
    bench.main(["driving-test", "random", "--episodes", "2", "--require", "visited<=0.2", "--require", "laps<=0"])
    assert "met: visited<=0.2" in capsys.readouterr().out


def test_the_worst_episode_is_filmed(tmp_path):
    video = tmp_path / "worst.gif"
    driving_test.film(Straight(), {**KWARGS, "max_episode_steps": 5}, 20_000, video)
    assert video.stat().st_size > 1000

"""Generated tables: what they say of the code and of stored measurements, and how stale ones are found."""

import dataclasses
import json
from pathlib import Path

import gymnasium as gym
import pytest

from agents.policy import sac, td3
from agents.registry import CATALOGUE, TABULAR
from agents.value import dqn
from supervised.training.errors import UserError
from tools import report, results


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one page, which asks for the results of benchmarks."""
    (tmp_path / "docs" / "measurements").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Title\n\n<!-- generated: bench-results -->\nold\n<!-- end -->\n\ntail\n")
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "docs" / "measurements")
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "docs" / "measurements" / "published.json")
    return tmp_path


def store(root: Path, name: str, content: object) -> None:
    (root / "docs" / "measurements" / f"{name}.json").write_text(json.dumps(content))


def measurement(ratio: float, goal: float) -> dict[str, object]:
    settings = {"lanes": 65536, "sweeps": {"ours": 7}, "steps": [1, 2]}
    return {"name": "a | b", "ratio": ratio, "goal": goal, "met": ratio >= goal, "settings": settings}


def evaluation(*returns: float) -> dict[str, object]:
    mean = sum(returns) / len(returns)
    spread = {"std": 1.5, "iqm": mean, "ci95": [mean - 1, mean + 1]}
    protocol = f"skidpad/CartPole-v1, {len(returns)} episodes, greedy"
    training = {"step": 12_000, "seconds": 34.6}
    episodes = {"returns": returns, "lengths": [1] * len(returns)}
    return {"mean": mean, **spread, **episodes, "protocol": protocol, "training": training}


def test_check_names_stale_pages_and_writing_mends_them(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        report.main(["--check"])
    assert stop.value.code == 1
    assert capsys.readouterr().out == "stale: README.md\n"
    assert "old" in (root / "README.md").read_text()
    report.main([])
    text = (root / "README.md").read_text()
    opening, end = "<!-- generated: bench-results -->", "<!-- end -->"
    assert text == f"# Title\n\n{opening}\n*No measurements are stored yet.*\n{end}\n\ntail\n"
    report.main(["--check"])
    assert capsys.readouterr().out == "written: README.md\n"


def test_benchmarks_show_ratios_goals_and_settings(root: Path) -> None:
    store(root, "bench-x", [measurement(4.5678, 3), measurement(123.456, 0), measurement(0.01234, 2)])
    lines = report.bench_results().splitlines()
    detail = "lanes: 65,536; sweeps: ours: 7; steps: 1, 2"
    assert lines[2:] == [
        f"| a \\| b | 4.57 | 3 | yes | {detail} |",
        f"| a \\| b | 123 |  |  | {detail} |",
        f"| a \\| b | 0.0123 | 2 | no | {detail} |",
    ]


def test_results_of_an_algorithm_are_a_line_a_seed_and_one_for_all(root: Path) -> None:
    store(root, "dqn-default-s10", evaluation(400.0, 500.0))
    store(root, "dqn-default-s9", evaluation(480.0, 500.0))
    store(root, "dqn-book-ch8-s0", evaluation(500.0, 500.0))
    store(root, "bench-x", [])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results.results("dqn")().splitlines()[2:]]
    assert [row[:7] for row in rows] == [
        ["`book-ch8`", "`skidpad/CartPole-v1`", "0", "12,000", "35", "2", "500.0"],
        ["`default`", "`skidpad/CartPole-v1`", "9", "12,000", "35", "2", "490.0"],
        ["`default`", "`skidpad/CartPole-v1`", "10", "12,000", "35", "2", "450.0"],
        ["**`default`**", "`skidpad/CartPole-v1`", "all 2", "", "", "4", "470.0"],
    ]
    # of all seeds: an interval over the means 450 and 490, the middle half of the episodes, the spread of the means
    assert rows[3][7:] == ["450.0", "490.0", "490.0", "28.3", "1 of 2"]
    assert [row[-1] for row in rows[:3]] == ["yes", "yes", "no"]


def test_results_of_policies_name_the_algorithm(root: Path) -> None:
    store(root, "a2c-default-s0", evaluation(480.0, 500.0))
    store(root, "actor-critic-action-value-s0", evaluation(100.0, 100.0))
    labels = [line.split("|")[1].strip() for line in results.results("actor-critic", "a2c", "ppo")().splitlines()[2:]]
    assert labels == ["`a2c` `default`", "`actor-critic` `action-value`"]


def test_the_overview_says_what_it_took_and_how_to_do_it_again(root: Path) -> None:
    store(root, "published", {"returns": {"CartPole-v1": {"ppo": 499.5}}})
    store(root, "ppo-default-s0", evaluation(900.0))
    store(root, "ppo-memory-s0", evaluation(400.0, 500.0))
    store(root, "ppo-memory-s1", evaluation(480.0, 500.0))
    store(root, "ppo-car-racing-s3-gymnasium", {**evaluation(900.0), "protocol": "CarRacing-v3, 1 episodes, greedy"})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in results.overview().splitlines()[2:]]
    train = "`python -m agents.train ppo --preset"
    assert rows == [
        ["`CarRacing-v3`", "`ppo`", "12,000", "72,000", "0.6", "900.0", "900.0", "899.0", "901.0"]
        + ["", "1 episodes, greedy", f"{train} car-racing --seed 3`"],
        ["`skidpad/CartPole-v1`", "`ppo`", "12,000", "12,000", "0.6", "900.0", "900.0", "899.0", "901.0"]
        + ["499.5", "1 episodes, greedy", f"{train} default`"],
        ["`skidpad/CartPole-v1`, velocities False", "`ppo`", "12,000", "12,000", "0.6", "470.0", "490.0", "450.0"]
        + ["490.0", "", "2 episodes, greedy", f"{train} memory --seeds 2`"],
    ]


def test_variances_are_told_with_and_without(root: Path) -> None:
    settings = {"trained_steps": 5_000, "episodes": 256, "mean_length": 41.5}
    one = {**measurement(8.0, 2), "ours": 1_000.0, "peer": 8_000.4, "settings": settings}
    store(root, "bench-gradient-variance", [one])
    assert report.gradient_variance().splitlines()[2:] == ["| 5,000 | 41.5 | 8000 | 1000 | 8.0 |"]


def test_clones_are_a_line_a_seed_with_gymnasiums_beside_them(root: Path) -> None:
    for seed, returns in enumerate([(900.0, 700.0), (600.0, 640.0)]):
        store(root, f"clone-bc-frame-s{seed}", {**evaluation(*returns), "laps": 1})
    store(root, "clone-bc-frame-s0-gymnasium", {**evaluation(900.0, 690.0), "laps": 1})
    lines = report.clone_results().splitlines()[2:]
    assert lines == [
        "| `bc` | `frame` | 0 | 0.6 | 800.0 | 799.0 | 801.0 | 800.0 | 1 / 2 | 795.0 | 10.0 | 650 | yes |",
        "| `bc` | `frame` | 1 | 0.6 | 620.0 | 619.0 | 621.0 | 620.0 | 1 / 2 |  |  | 650 | no |",
        "| **`bc`** | **`frame`** | all 2 |  | 710.0 | 620.0 | 800.0 | 670.0 | 2 / 4 |  |  | 650 | 1 of 2 |",
    ]


def test_rounds_and_driving_tests_are_told(root: Path) -> None:
    rounds = [
        {"step": 1, "learner_states": 0, "examples": 100},
        {"step": 2, "learner_states": 50, "examples": 150, "episode_return": 12.34, "visited_steering_error": 0.1234},
    ]
    target = root / "docs" / "measurements" / "dagger-frame-s0.jsonl"
    target.write_text("".join(json.dumps(one) + "\n" for one in rounds))
    assert report.dagger_rounds().splitlines()[2:] == [
        "| `frame` | 1 | 0 | 100 |  |  |",
        "| `frame` | 2 | 50 | 150 | 12.3 | 0.123 |",
    ]
    result = {"off_road": 0.01234, "laps": 0.5, "visited": 0.9, "lap_time": None, "steering": 1.0, "autonomy": 0.5}
    store(root, "driving-human", {**result, "latency_p50": 2.0, "mean": 812.3, "seeds": [1, 2]})
    line = "| `human` | 2 | 0.0123 | 0.5 | 0.9 |  | 1.0 | 0.5 | 2.0 | 812.0 |"
    assert report.driving_tests().splitlines()[2:] == [line]


def test_nothing_stored_is_said(root: Path) -> None:
    assert results.results("dqn")() == report.bench_results() == "*No measurements are stored yet.*\n"


def test_every_environment_and_algorithm_is_listed() -> None:
    environments, algorithms = report.environments(), report.algorithms()
    for env_id in gym.registry:
        other_game = env_id.startswith("skidpad/Atari-") and "Breakout" not in env_id
        assert (f"| `{env_id}` |" in environments) == (env_id.startswith("skidpad/") and not other_game)
    for name, (module, summary) in CATALOGUE.items():
        assert (f"| `{name}` | {summary} |" in algorithms) == (module == TABULAR)
    assert "| `skidpad/CartPole-v1` | `Discrete(2)` | `Box((4,), float32)` | 500 | 475.0 |" in environments


def test_every_setting_has_its_meaning() -> None:
    for module in (sac, td3, dqn):
        meanings = report.field_docs(module.Config)
        for field in dataclasses.fields(module.Config):
            assert meanings[field.name].endswith(".")
    table = report.settings_table(report.presets(dqn))()
    assert f"| `--discount` | `0.99` |  |  |  |  |  |  | `0.9` | {meanings['discount']} |" in table
    assert f"| `--seed` | `0` |  |  |  |  |  |  |  | {meanings['seed']} |" in table
    one_algorithms = '| `--baseline` | - |  |  |  | `"value"` |'
    assert one_algorithms in report.policy_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: bench-result -->\n<!-- end -->", "unknown table 'bench-result'; did you mean bench-results"),
        ("<!-- generated: bench-results -->\n", "not closed"),
    ],
)
def test_mistakes_in_a_page_are_named(text: str, message: str, root: Path) -> None:
    (root / "README.md").write_text(text)
    with pytest.raises(UserError, match=message):
        list(report.rendered())


def test_outside_of_a_checkout_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(results, "FOLDER", tmp_path / "docs" / "measurements")
    monkeypatch.setattr(results, "PUBLISHED", tmp_path / "docs" / "measurements" / "published.json")
    with pytest.raises(UserError, match="holds no README.md"):
        list(report.rendered())

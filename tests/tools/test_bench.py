"""Benchmarks run, and write what they measured; their figures are judged by nobody here."""

import json
from pathlib import Path

import pytest

from tools.bench import __main__ as bench
from tools.bench.measurement import Measurement, rates


@pytest.mark.parametrize("name", list(bench.BENCHES))
def test_a_benchmark_with_its_budget_cut(name: str, tmp_path: Path, run_module: object) -> None:
    if name in ("atari", "cart-pole", "car-racing"):
        pytest.importorskip("envpool", reason="a peer of the bench extra")
    if name in ("dqn-cart-pole", "policy-cart-pole", "sac-pendulum", "throughput", "car-racing-return"):
        pytest.importorskip("stable_baselines3", reason="a peer of the bench extra")
    if name == "language":
        pytest.importorskip("gensim", reason="a peer of the bench extra")
    if name == "mcts":
        pytest.importorskip("pyspiel", reason="a peer of the bench extra")
    if name == "throughput":
        pytest.importorskip("cv2", reason="a peer of the bench extra")
    if name in ("car-racing-parity", "car-racing-return", "throughput"):
        pytest.importorskip("Box2D", reason="the original needs it")
    target = tmp_path / "out.json"
    done = run_module("tools.bench", name, "--json", target, SKIDPAD_SMOKE="1")  # type: ignore[operator]
    assert done.returncode == 0, done.stderr
    assert "figures mean nothing" in done.stdout
    records = json.loads(target.read_text())
    assert records
    for record in records:
        assert record.keys() == {"name", "ours", "peer", "unit", "ratio", "goal", "met", "settings"}
        assert record["met"] == (record["ratio"] >= record["goal"])


def test_unknown_benchmarks_are_named(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.main(["cartpole"])
    assert stop.value.code == 2
    assert "unknown benchmark 'cartpole'; did you mean cart-pole" in capsys.readouterr().err


def test_threads_recommends_what_was_fastest(run_module: object) -> None:
    options = "ppo --lanes 4 --round-steps 8 --hidden 8 --epochs 1 --minibatches 2".split()
    done = run_module("tools.bench", "threads", *options, SKIDPAD_SMOKE="1")  # type: ignore[operator]
    assert done.returncode == 0, done.stderr
    _, *rows, verdict = [line.split() for line in done.stdout.splitlines()]
    threads, dtype, _ = max(rows, key=lambda row: float(row[2]))
    assert verdict == ["fastest:", "--threads", threads, "--dtype", dtype]
    assert {tuple(row[:2]) for row in rows} >= {("1", "float32"), ("1", "bfloat16")}


@pytest.mark.parametrize(("arguments", "message"), [([], "name an algorithm"), (["sarsa"], "trains no network")])
def test_threads_needs_an_algorithm_with_a_network(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.main(["threads", *arguments])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_rates_alternate_and_take_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(k) for k in range(1000))
    monkeypatch.setattr("tools.bench.measurement.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("tools.bench.measurement.SMOKE", False)
    calls: list[str] = []

    def worker(name: str, amount: int) -> object:
        def work() -> int:
            calls.append(name)
            return amount

        return work

    found = rates({"a": worker("a", 6), "b": worker("b", 3)}, seconds=2.0, rounds=3)  # type: ignore[dict-item]
    assert found["a"] == 2 * found["b"]
    assert calls[:2] == ["a", "b"] and calls.count("a") == calls.count("b")


@pytest.mark.parametrize(("ratio", "met"), [(2.99, False), (3.0, True)])
def test_a_goal_is_met_at_its_ratio(ratio: float, met: bool) -> None:
    assert Measurement("x", 1.0, ratio, "s", ratio, 3.0).met is met

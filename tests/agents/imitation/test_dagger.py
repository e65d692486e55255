"""DAgger: who drives in which round, whose actions are learnt, and that it resumes to the same bits."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driving_school import Master, School, picture, record
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.evaluation import evaluate
from agents.imitation import dagger
from agents.imitation.examples import Examples
from agents.imitation.networks import make_agent
from supervised.training.checkpoint import ChunkLog
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run

SMALL = dagger.Config(
    env=School, env_kwargs={}, transforms=("gray",), rounds=3, lanes=3, epochs=2, batch_size=16, mirror=False, threads=1
)


def train(config: dagger.Config, run: Run | None = None) -> tuple[Any, list[dict]]:
    metrics: list[dict] = []
    run = run or Run.off()
    log = run.log

    def kept(step: int, values: Any) -> None:
        metrics.append(values)
        log(step, values)

    run.log = kept  # type: ignore[method-assign]
    return dagger.train(config, run, teacher=Master), metrics


def lanes(count: int = 3) -> Any:
    return SyncVectorEnv([School] * count, autoreset_mode=AutoresetMode.DISABLED)


def test_the_teacher_drives_first_and_the_learner_from_then_on() -> None:
    _, metrics = train(SMALL)
    assert [one["learner_states"] for one in metrics] == [0, 60, 60]
    assert [one["examples"] for one in metrics] == [60, 120, 180]
    assert metrics[0]["episode_return"] == 20.0, "the teacher makes no mistake"
    assert metrics[1]["episode_return"] < 20.0
    assert "visited_accuracy" in metrics[1] and "visited_accuracy" not in metrics[0]


def test_learns_what_cloning_never_saw() -> None:
    """After a mistake the world is gray, and the teacher alone never gets there."""
    agent, metrics = train(dataclasses.replace(SMALL, rounds=6, epochs=4))
    assert evaluate(agent, School, episodes=10)["mean"] >= 19
    gray = agent.transform(np.array([picture(kind, 120) for kind in range(7)]))
    assert agent.act(gray, deterministic=True).tolist() == list(range(7))
    assert metrics[-1]["visited_accuracy"] >= 0.95


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 0, 0), (0.5, 60, 100), (0.0, 160, 160)])
def test_the_teachers_share_of_the_driving(share: float, least: int, most: int) -> None:
    """And whoever drives, the labels are the teacher's: they say where the bar is."""
    agent = make_agent(SMALL)
    env = lanes(8)
    data, metrics = dagger.drive(agent, env, Master(env), share, np.random.default_rng(0))
    assert least <= metrics["learner_states"] <= most
    assert np.bincount(data.firsts).nonzero()[0].tolist() == list(range(0, 160, 20))
    for frame, target in zip(data.frames, data.targets, strict=True):
        world = 120 if frame.min() else 0
        assert np.array_equal(frame, agent.transform(picture(target, world)[None])[0])


def test_rounds_may_be_cut() -> None:
    _, metrics = train(dataclasses.replace(SMALL, round_steps=7, epochs=1, rounds=2))
    assert [one["examples"] for one in metrics] == [21, 42] and metrics[0]["episode_length"] == 7


def test_beta_falls_with_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    drive = dagger.drive
    monkeypatch.setattr(dagger, "drive", lambda *args: shares.append(args[3]) or drive(*args))
    train(dataclasses.replace(SMALL, beta=0.5, rounds=4, epochs=1))
    assert shares == [1, 0.5, 0.25, 0.125]


def test_starts_from_demonstrations(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, demonstrations=record(tmp_path / "school", episodes=2), rounds=2)
    _, metrics = train(config)
    assert [one["learner_states"] for one in metrics] == [0, 60], "it learns from them before it drives"
    assert [one["examples"] for one in metrics] == [80, 140]


def started(folder: Path) -> Run:
    return Run.create(folder, algorithm="dagger", preset="x", config=to_json(SMALL), total=SMALL.rounds, progress=False)


def test_resuming_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(tmp_path / "whole") as run:
        whole, _ = train(SMALL, run)

    class Killed(Exception):
        pass

    epoch = dagger.Learner.epoch

    def dying(self: Any, training: Examples, number: int, left: float, dropout: bool) -> dict[str, float]:
        if number == 5:  # the last of three rounds of two
            raise Killed
        return epoch(self, training, number, left, dropout)

    with monkeypatch.context() as patch, pytest.raises(Killed), started(tmp_path / "cut") as run:
        patch.setattr(dagger.Learner, "epoch", dying)
        train(SMALL, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed, metrics = train(SMALL, run)
    assert len(metrics) == 1, "two rounds were kept"
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_checkpoint_writes_new_examples_only(tmp_path: Path) -> None:
    def some(rows: int) -> Examples:
        frames = np.arange(rows, dtype=np.uint8).reshape(rows, 1)
        return Examples(frames, np.arange(rows), np.zeros(rows, np.int64))

    data = dagger.Aggregate(ChunkLog(tmp_path))
    states = []
    for rows in (3, 5):
        data.examples = data.joined(some(rows))
        states.append(data.state_dict())
    assert data.state_dict() == states[1] and len(list(tmp_path.iterdir())) == 2
    for state, rows in zip(states, (3, 8), strict=True):
        restored = dagger.Aggregate(ChunkLog(tmp_path))
        restored.load_state_dict(state)
        assert restored.examples is not None and len(restored.examples) == rows
    assert restored.examples.firsts.tolist() == [0] * 3 + [3] * 5
    assert restored.examples.targets.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]


def test_the_scripted_driver_teaches_cars_only() -> None:
    with pytest.raises(UserError, match="the expert drives CarRacing only"):
        dagger.train(SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rounds": 0}, "rounds=0: use at least 1"),
        ({"lanes": 0}, "lanes=0"),
        ({"beta": 1.5}, "beta=1.5: use a share from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **change)

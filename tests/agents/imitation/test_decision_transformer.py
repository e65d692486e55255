"""Decision Transformer: its windows, that acting sees what training saw, that who asks for less gets less, resuming."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from driving_school import record

from agents import evaluate as evaluate_door
from agents.evaluation import evaluate
from agents.imitation import decision_transformer as dt
from agents.imitation import demonstrations
from agents.imitation.demonstrations import DemonstrationWriter
from agents.imitation.episodes import Episode
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run

STEPS = 10


class Wages(gym.Env):
    """Work (1) pays 1, rest (0) nothing; ten steps are an episode. What is seen says nothing."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    step_number = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.step_number = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.step_number += 1
        return np.zeros(1, np.float32), float(action), False, self.step_number == STEPS, {}


SMALL = dt.Config(
    env=Wages,
    context=4,
    units=16,
    layers=1,
    heads=2,
    epochs=30,
    batch_size=16,
    learning_rate=1e-2,
    dropout=0.0,
    threads=1,
)


@pytest.fixture(scope="module")
def wages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Who works works at first; four episodes each of workers from lazy to eager."""
    folder = tmp_path_factory.mktemp("recorded") / "wages"
    writer = DemonstrationWriter(folder, Wages.observation_space, Wages.action_space)
    for number in range(44):
        actions = (np.arange(STEPS) < number % 11).astype(np.int64)
        ends = np.arange(STEPS) == STEPS - 1
        observations = np.zeros((STEPS + 1, 1), np.float32)
        writer.append(Episode(observations, actions, actions.astype(float), np.zeros(STEPS, bool), ends))
    return str(folder)


def test_windows_end_where_they_should_and_stay_in_their_episode() -> None:
    firsts = np.array([0, 0, 0, 0, 0, 5, 5, 5])
    rows, known = dt.windows(firsts, np.array([4, 1, 5, 7]), context=3, stride=1)
    assert rows.tolist() == [[2, 3, 4], [0, 1, 1], [5, 5, 5], [5, 6, 7]]
    assert known.sum(1).tolist() == [3, 2, 1, 3] and known[:, 0].all()
    rows, known = dt.windows(firsts, np.array([4, 3]), context=3, stride=2)
    assert rows.tolist() == [[0, 2, 4], [1, 3, 3]] and known.sum(1).tolist() == [3, 2]


def test_acting_sees_what_training_saw() -> None:
    """Step by step, in an episode longer than the window and in the next: outputs are those of whole windows."""
    space, actions = gym.spaces.Box(-1, 1, (3,), np.float32), gym.spaces.Box(-9, 9, (2,), np.float32)
    agent = dt.Agent(dataclasses.replace(SMALL, head="gaussian", target_return=7.0), space, actions)
    agent.network.scale.fill_(10.0)
    rng = np.random.default_rng(0)
    seen, rewards = rng.uniform(-1, 1, (9, 2, 3)).astype(np.float32), rng.uniform(0, 1, (9, 2)).astype(np.float32)
    starts = np.zeros((9, 2), np.bool_)
    starts[0] = starts[6, 1] = True
    state, acted = agent.initial_state(2), []
    for t in range(9):
        chosen, state = agent.act_with_state(seen[t], state, starts[t], deterministic=True)
        acted.append(chosen)
        state = agent.rewarded(state, rewards[t])
    network = agent.network
    for lane in range(2):
        for t in range(9):
            begun = 6 if lane and t >= 6 else 0
            rows = np.arange(max(begun, t - 3), t + 1)
            asked = 7 - np.array([rewards[begun:row, lane].sum() for row in rows], np.float32)
            with torch.inference_mode():
                features = network.backbone(torch.from_numpy(seen[rows, lane]))[None]
                done = torch.from_numpy(np.array(acted)[rows, lane])[None]
                outputs = network(torch.from_numpy(asked)[None], features, done)
            np.testing.assert_allclose(network.head.decode(outputs[0, -1:])[0], acted[t][lane], atol=1e-5)


def test_what_is_done_at_a_step_is_not_seen_before_it() -> None:
    agent = dt.Agent(SMALL, Wages.observation_space, Wages.action_space)
    agent.network.eval()
    asked, features = torch.ones(1, 4), torch.randn(1, 4, agent.network.backbone.feature_dim)
    done = torch.eye(2)[torch.tensor([[0, 1, 0, 0]])]
    other = torch.eye(2)[torch.tensor([[0, 1, 1, 1]])]
    before, after = agent.network(asked, features, done), agent.network(asked, features, other)
    assert torch.equal(before[:, :3], after[:, :3]) and not torch.equal(before[:, 3], after[:, 3])


def test_who_asks_for_less_gets_less(wages: str) -> None:
    agent = dt.train(dataclasses.replace(SMALL, demonstrations=wages))
    means = {}
    assert agent.target_return == STEPS, "the best that was demonstrated"
    for asked in (10.0, 6.0, 2.0, 0.0):
        agent.target_return = asked
        means[asked] = evaluate(agent, Wages, episodes=2)["mean"]
    assert all(mean == asked for asked, mean in means.items())


def test_pictures_repeats_and_stacks_are_learnt_from(tmp_path: Path) -> None:
    from driving_school import School

    path = record(tmp_path / "school", episodes=3, steps=20)
    config = dataclasses.replace(
        SMALL, env=School, demonstrations=path, transforms=("gray", "stack:2", "repeat:2"), backbone="nature_cnn"
    )
    agent = dt.train(dataclasses.replace(config, epochs=2, learning_rate=1e-3))
    assert evaluate(agent, School, episodes=2)["lengths"] == [10, 10]


class Killed(Exception):
    """Stands for a kill."""


def test_resuming_gives_the_same_bits(wages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, demonstrations=wages, epochs=4, dropout=0.2)

    def started(name: str) -> Run:
        return Run.create(tmp_path / name, algorithm="x", preset="x", config=to_json(SMALL), total=4, progress=False)

    with started("whole") as run:
        whole = dt.train(config, run)
    epoch = dt.Learner.epoch

    def dying(self: dt.Learner, training: dt.Demonstrated, number: int) -> dict[str, float]:
        if number == 2:
            raise Killed
        return epoch(self, training, number)

    with monkeypatch.context() as patch, pytest.raises(Killed), started("cut") as run:
        patch.setattr(dt.Learner, "epoch", dying)
        dt.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = dt.train(config, run)
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "cut" / "metrics.jsonl").read_bytes()
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_return_asked_for_is_an_option_of_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    writer = DemonstrationWriter(tmp_path / "pole", *(spaces := pole()), env="skidpad/CartPole-v1")
    observations = np.zeros((9, 4), np.float32)
    ends = np.arange(8) == 7
    for _ in range(2):
        writer.append(Episode(observations, np.ones(8, np.int64), np.ones(8), ends, np.zeros(8, bool)))
    assert demonstrations.load(tmp_path / "pole").action_space == spaces[1]
    config = dataclasses.replace(SMALL, env="skidpad/CartPole-v1", demonstrations=str(tmp_path / "pole"), epochs=1)
    settings: dict[str, Any] = {"algorithm": "decision-transformer", "preset": "x", "config": to_json(config)}
    with Run.create(tmp_path / "run", **settings, total=1, progress=False) as run:
        dt.train(config, run)
    evaluate_door.main([str(tmp_path / "run"), "--episodes", "1"])
    assert "asked for a return of 8\n" in capsys.readouterr().out
    evaluate_door.main([str(tmp_path / "run"), "--episodes", "1", "--target-return", "3"])
    assert "asked for a return of 3\n" in capsys.readouterr().out
    line = refused(evaluate_door.main, "zoo:cart-pole-ppo", "--target-return", "3")
    assert "target_return=3.0: zoo:cart-pole-ppo has no such setting" in line


def pole() -> tuple[gym.Space[Any], gym.Space[Any]]:
    env = gym.make("CartPole-v1")
    return env.observation_space, env.action_space


def test_what_does_not_fit_is_named(wages: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="demonstrations='': name a folder that tools.record made"):
        dt.train(SMALL)
    with pytest.raises(UserError, match="the demonstrations show Box"):
        dt.train(dataclasses.replace(SMALL, demonstrations=wages, env="skidpad/CartPole-v1"))
    with pytest.raises(UserError, match="context=0: use at least 1"):
        dataclasses.replace(SMALL, context=0)
    with pytest.raises(UserError, match="dropout=1.0: use a share from 0 to below 1"):
        dataclasses.replace(SMALL, dropout=1.0)
    with pytest.raises(UserError, match="heads=3: 16 units must be a multiple of it"):
        dt.train(dataclasses.replace(SMALL, heads=3, demonstrations=wages))
    writer = DemonstrationWriter(tmp_path / "other", Wages.observation_space, gym.spaces.Box(0, 1, (1,), np.float32))
    zeros = np.zeros((3, 1), np.float32)
    writer.append(Episode(zeros, zeros[1:], np.zeros(2), np.zeros(2, bool), np.zeros(2, bool)))
    with pytest.raises(UserError, match="the demonstrations' actions are Box.*, not Discrete"):
        dt.train(dataclasses.replace(SMALL, demonstrations=str(tmp_path / "other")))

"""Cloning by classic learners: a pole is kept up, pictures are told apart, runs come back, bad input is named."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from driving_school import School
from driving_school import record as record_school

from agents import evaluate as evaluation_door
from agents import train as door
from agents.evaluation import evaluate
from agents.imitation import classic_cloning as cloning
from agents.imitation.classic_cloning import Agent, BoostingConfig, Config, ForestConfig, SVMConfig, TreeConfig
from supervised.training.errors import UserError
from tools import record

pytest.importorskip("sklearn", reason="needs the learn extra")

POLE = "skidpad/CartPole-v1"
CONFIGS: list[Config] = [SVMConfig(), TreeConfig(), ForestConfig(trees=15), BoostingConfig(trees=20)]


@pytest.fixture(scope="module")
def pole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six episodes of the zoo's agent, which keeps the pole up to the end."""
    folder = str(tmp_path_factory.mktemp("demonstrations") / "pole")
    record.main(["--env", POLE, "--driver", "zoo:cart-pole-ppo", "--episodes", "6", "--out", folder])
    return folder


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_clones_keep_the_pole_up(config: Config, pole: str) -> None:
    agent = cloning.train(dataclasses.replace(config, demonstrations=pole, validation=0.0))
    assert evaluate(agent, POLE, episodes=16)["mean"] >= 195


@pytest.mark.parametrize("stack", [1, 3])
def test_pictures_are_told_apart(stack: int, tmp_path: Path) -> None:
    """The newest picture of a stack says what is right."""
    transforms = ("gray", "resize:10:10") + (("stack:3",) if stack > 1 else ())
    demonstrations = record_school(tmp_path / "school")
    config = ForestConfig(env=School, demonstrations=demonstrations, transforms=transforms, trees=30)
    agent = cloning.train(config)
    assert agent.space.shape == ((10, 10) if stack == 1 else (3, 10, 10))
    assert evaluate(agent, School, episodes=4, lanes=2)["mean"] >= 19, "twenty steps, a point each"


def test_a_run_by_command(pole: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained, evaluated and recorded from; the loaded agent is the trained one."""
    run = tmp_path / "run"
    door.main(["clone-decision-tree", "--demonstrations", pole, "--run-dir", str(run), "--quiet"])
    (line,) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    assert line["training_accuracy"] == 1 and 0.8 < line["held_out_accuracy"] < 1
    evaluation_door.main([str(run), "--episodes", "3", "--require", "mean>=195"])
    assert "clone-decision-tree on skidpad/CartPole-v1, 3 episodes" in capsys.readouterr().out
    record.main(["--env", POLE, "--driver", str(run), "--out", str(tmp_path / "again")])
    assert "1 episodes recorded" in capsys.readouterr().out
    loaded, env, _ = evaluation_door.load(run)
    trained = cloning.train(TreeConfig(demonstrations=pole))
    seen = np.random.default_rng(0).normal(size=(500, 4))
    assert env == POLE and isinstance(loaded, Agent)
    np.testing.assert_array_equal(loaded.act(seen), trained.act(seen))


def test_actions_need_not_begin_at_0() -> None:
    space = gym.spaces.Discrete(3, start=5)
    agent = Agent(TreeConfig(), gym.spaces.Box(-1, 1, (1,)), space)
    inputs, actions = np.array([[-0.5], [0.0], [0.5]]), np.array([7, 5, 6])
    agent.predictor = TreeConfig().fit(inputs, agent.targets(actions), 0)
    np.testing.assert_array_equal(agent.act(inputs), actions)
    with pytest.raises(UserError, match="action 4 was recorded"):
        agent.targets(np.array([5, 4]))
    with pytest.raises(UserError, match="actions=3: use it with the book's seven classes"):
        agent.targets(np.zeros((2, 3)))
    with pytest.raises(UserError, match="has the actions Box.*: use discrete ones, or the algorithm bc"):
        Agent(TreeConfig(), gym.spaces.Box(-1, 1, (1,)), gym.spaces.Box(-1, 1, (2,)))
    car = Agent(TreeConfig(), gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(7))
    np.testing.assert_array_equal(car.targets(np.array([[-1.0, 0, 0], [0, 1, 0]])), [1, 5])


def test_what_does_not_fit_is_named(pole: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    run = tmp_path / "run"
    arguments = ["clone-svm", "--run-dir", run]
    assert "demonstrations='': name a folder" in refused(door.main, *arguments)
    arguments += ["--demonstrations", pole]
    assert "the demonstrations show Box" in refused(door.main, *arguments, "--env", "MountainCar-v0")
    assert "validation=1.0: use a share" in refused(door.main, *arguments, "--validation", "1.0")
    assert "unknown kernel 'rbff'" in refused(door.main, *arguments, "--kernel", "rbff")
    assert not run.exists()
    door.main(["clone-decision-tree", "--demonstrations", pole, "--run-dir", str(run), "--quiet"])
    line = refused(evaluation_door.main, run, "--env", "MountainCar-v0")
    assert "4 numbers were learnt from, and 2 are seen" in line

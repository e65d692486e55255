"""Scripts written for Gymnasium run on our environments, and our doors train on anybody's."""

import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs  # noqa: F401 - registers skidpad/*
from agents import evaluate, train
from tests.agents.interoperation import single_file_ppo


@pytest.mark.parametrize(
    ("keywords", "next_step_only"), [({}, False), ({"autoreset_mode": AutoresetMode.NEXT_STEP}, True)]
)
def test_a_script_learns_in_both_modes(keywords: dict[str, Any], next_step_only: bool) -> None:
    lanes = gym.make_vec("skidpad/CartPole-v1", num_envs=8, **keywords)
    assert (lanes.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP) == next_step_only
    returns = single_file_ppo.train(lanes, 10_000, next_step_only)
    assert len(returns) > 50
    assert np.mean(returns[-10:]) > 3 * np.mean(returns[:50])


def test_a_script_that_takes_the_wrong_mode_for_granted_can_tell() -> None:
    """What it reads is the mode in use, not the class's default."""
    modes = [gym.make_vec("skidpad/CartPole-v1", num_envs=2, autoreset_mode=mode).metadata for mode in AutoresetMode]
    assert [one["autoreset_mode"] for one in modes] == list(AutoresetMode)


SMALL = {
    "ppo": ["--lanes", "2", "--round-steps", "16", "--epochs", "1", "--minibatches", "2"],
    "dqn": ["--lanes", "2", "--learning-starts", "20", "--train-every", "8", "--updates", "1", "--batch-size", "8"],
    "sac": ["--lanes", "2", "--learning-starts", "20", "--batch-size", "8", "--hidden", "8"],
}


@pytest.mark.parametrize(
    ("algorithm", "env", "package"),
    [
        ("ppo", "CartPole-v1", None),
        ("dqn", "MountainCar-v0", None),
        ("sac", "Pendulum-v1", None),
        ("ppo", "LunarLander-v3", "Box2D"),
        ("sac", "LunarLanderContinuous-v3", "Box2D"),
        ("ppo", "highway_env:highway-fast-v0", "highway_env"),
    ],
)
def test_any_environment_of_gymnasium_trains(algorithm: str, env: str, package: str | None, tmp_path: Path) -> None:
    if package is not None:
        pytest.importorskip(package, reason="an environment of the dev extra")
    few = ["--total-steps", "64", "--log-every", "16", "--evaluate-every", "0", "--quiet"]
    train.main([algorithm, "--env", env, *SMALL[algorithm], *few, "--run-dir", str(tmp_path / "run")])
    evaluate.main([str(tmp_path / "run"), "--episodes", "1"])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert re.match(re.escape(env), result["protocol"]) and np.isfinite(result["mean"])
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 64

"""PQN: its returns against numbers computed by hand, its learning, and its exactness."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.evaluation import evaluate
from agents.value import pqn
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from tests.agents.test_dqn import Corridor

SMALL = pqn.Config(env=Corridor, total_steps=3_000, lanes=4, round_steps=8, minibatches=2, epochs=2, hidden=(32,))
SMALL = dataclasses.replace(SMALL, epsilon_steps=1_500, activation="relu", log_every=500)


def test_returns_by_hand() -> None:
    """Three steps of two lanes with gamma 1/2 and lambda 1/4; the first lane terminates at t = 1, the other is cut."""
    rewards = np.array([[1, 4], [2, 5], [3, 6]], np.float32)
    next_values = np.array([[8, 4], [0, 16], [12, 2]], np.float32)
    done = np.array([[False, False], [True, True], [False, False]])
    played = pqn.Round(rewards, rewards, rewards, next_values, done, ~done)
    last = (3 + 12 / 2, 6 + 2 / 2)
    middle = (2 + 0.0, 5 + 16 / 2)  # terminal; a time limit, whose value counts
    first = (1 + (0.25 * middle[0] + 0.75 * 8) / 2, 4 + (0.25 * middle[1] + 0.75 * 4) / 2)
    np.testing.assert_allclose(pqn.lambda_returns(played, 0.5, 0.25), [first, middle, last])


def test_lambda_1_adds_up_rewards() -> None:
    rewards, nothing = np.ones((4, 1), np.float32), np.zeros((4, 1), np.float32)
    played = pqn.Round(rewards, rewards, rewards, nothing, nothing > 0, nothing == 0)
    assert pqn.lambda_returns(played, 1.0, 1.0)[:, 0].tolist() == [4, 3, 2, 1]


def test_learns_on_a_users_environment() -> None:
    result = evaluate(pqn.train(SMALL), Corridor, episodes=5)
    assert result["mean"] == pytest.approx(0.99)


def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, env="skidpad/CartPole-v1", checkpoint_every=500)

    def create(folder: Path) -> Run:
        return Run.create(folder, algorithm="pqn", preset="", config={}, total=config.total_steps, progress=False)

    with create(tmp_path / "whole") as run:
        whole = pqn.train(config, run)
    with create(tmp_path / "cut") as run, pytest.raises(Interrupted):
        log = run.log

        def stop(step: int, metrics: Any) -> None:
            log(step, metrics)
            if step > 1_500:
                run._receive(15, None)

        run.log = stop  # type: ignore[method-assign]
        pqn.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = pqn.train(config, run)
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["head.weight"], pqn.train(dataclasses.replace(config, seed=1)).network.head.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_lambda": 1.5}, "q_lambda=1.5: use a number from 0 to 1"),
        ({"distribution": "quantile"}, "distribution='quantile': pqn learns expected values"),
        ({"total_steps": 16}, "total_steps=16: use at least one round"),
        ({"minibatches": 100}, "round_steps=8: a round must have a step for every minibatch"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **change)

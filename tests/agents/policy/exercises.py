"""What tests of several learners of policies share: trajectories by hand, small environments, kill and resume."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.policy.trajectories import Trajectories
from supervised.training.configuration import to_json
from supervised.training.run import Run


def steps(**columns: Any) -> Trajectories:
    """One lane's trajectories ``(3, 1)``, zeros where nothing is said."""
    arrays = dict.fromkeys(Trajectories._fields, np.zeros((3, 1), np.float32))
    given = {name: np.array(values, np.float32)[:, None] for name, values in columns.items()}
    trajectories = Trajectories(**{**arrays, **given})
    return trajectories._replace(done=trajectories.done.astype(np.bool_))


class Corridor(gym.Env):
    """Three steps, then an end or a time limit; the observation tells nothing but the step."""

    observation_space = gym.spaces.Box(0, 3, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, terminal: bool) -> None:
        self.terminal, self.step_number = terminal, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.step_number = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        over = self.step_number == 3
        return np.array([self.step_number], np.float32), 1.0, over and self.terminal, over and not self.terminal, {}


class Endless(Corridor):
    """No episode ever ends."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 1.0, False, False, {}


class Echo(gym.Env):
    """Shows 0 or 1 at first, then nothing for two steps; pays 1 if the last action names what was shown."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.secret, self.step_number = int(self.np_random.integers(2)), 0
        return np.array([2 * self.secret - 1, 0], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        over = self.step_number == 3
        return np.array([0, self.step_number == 2], np.float32), float(over and action == self.secret), over, False, {}


class Killed(Exception):
    """Stands for a kill."""


def check_resuming(algorithm: Any, config: Any, calls: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed at the learner's call of that number ends like one that never was, bit for bit.

    Args:
        algorithm: the module, whose ``Learner.learn`` learns from a round.
        config: settings under which the kill comes after a checkpoint.
    """

    def started(name: str) -> Run:
        settings: dict[str, Any] = {"preset": "x", "config": to_json(config), "total": config.total_steps}
        return Run.create(folder / name, algorithm="x", **settings, progress=False)

    with started("whole") as run:
        whole = algorithm.train(config, run)
    learn, made = algorithm.Learner.learn, []

    def dying(self: Any, *arguments: Any) -> Any:
        made.append(1)
        if len(made) == calls:
            raise Killed
        return learn(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed), started("cut") as run:
        patch.setattr(algorithm.Learner, "learn", dying)
        algorithm.train(config, run)
    assert list((folder / "cut" / "checkpoints").glob("step-*")), "killed before it had saved anything"
    with Run.resume(folder / "cut", progress=False) as run:
        resumed = algorithm.train(config, run)
    texts = [(folder / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def linear(agent: Any, policy: list[list[float]], value: list[list[float]] | None = None) -> None:
    """Give a network without hidden layers these weights, and no biases."""
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter.zero_()
        agent.network.policy.weight.copy_(torch.tensor(policy))
        if value is not None:
            agent.network.value.weight.copy_(torch.tensor(value))


def plain_steps(learner: Any) -> None:
    """Make a learner's step gradient descent with step size 1, so that weights move by minus the gradient."""
    one = {"learning_rate": 1.0, "learning_rate_end": 1.0, "max_gradient_norm": 0.0}
    learner.config = dataclasses.replace(learner.config, **one)
    learner.optimizer = torch.optim.SGD(learner.network.parameters(), lr=1.0)

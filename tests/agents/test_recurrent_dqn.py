"""DQN with a memory: its loss by hand, what only a memory can learn, and resuming."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.evaluation import evaluate
from agents.replay import Replay
from agents.rollout import Transitions
from agents.value import dqn, pqn
from supervised.training.checkpoint import ChunkLog
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run


class TMaze(gym.Env):
    """A corridor of two steps: a sign at its beginning says which way is right at its end (after Bakker 2001)."""

    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    sign = place = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.sign, self.place = int(self.np_random.integers(2)), 0
        return np.array([2 * self.sign - 1, 0], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        at_end, self.place = self.place == 2, self.place + 1
        return np.array([0, self.place == 2], np.float32), float(at_end and action == self.sign), at_end, False, {}


SMALL = dqn.Config(
    env=TMaze,
    total_steps=2_400,
    lanes=4,
    backbone="gru",
    hidden=(16, 16),
    learning_starts=200,
    learning_rate=1e-2,
    train_every=8,
    updates=1,
    batch_size=64,
    sequence_length=4,
    burn_in=2,
    epsilon_steps=1_000,
    evaluate_every=0,
    log_every=400,
)


def test_only_a_memory_knows_the_sign() -> None:
    means = {
        name: evaluate(dqn.train(dataclasses.replace(SMALL, backbone=name)), TMaze, episodes=60)["mean"]
        for name in ("gru", "attention", "mlp")
    }
    assert means["gru"] >= 0.95 and means["attention"] >= 0.95 and means["mlp"] <= 0.75


@pytest.mark.parametrize("double", [False, True])
def test_loss_by_hand(double: bool) -> None:
    """Each of three steps, with all that was before it: y_t = r_t + gamma max q(h_(t+1)), and r_t at the end."""
    changes = {"sequence_length": 1, "burn_in": 5, "batch_size": 1, "loss": "squared", "discount": 0.9}
    config = dataclasses.replace(SMALL, **changes, double=double, bound_targets=False)
    agent = dqn.Agent(config, TMaze.observation_space, TMaze.action_space)
    replay = Replay(20, TMaze.observation_space, TMaze.action_space, ChunkLog(None), discount=0.9)
    seen = np.random.default_rng(0).uniform(-1, 1, (4, 1, 2)).astype(np.float32)
    actions, rewards = [1, 0, 1], [0.5, 1.0, 2.0]
    for t in range(3):
        ends, starts, whole = np.array([t == 2]), np.array([t == 0]), np.array([True])
        played = np.array([actions[t]]), np.array([rewards[t]]), seen[t + 1], ends, ~whole, whole, starts, ends
        replay.add(Transitions(seen[t], *played))
    learner = dqn.Learner(config, agent)
    with torch.no_grad():
        for parameter in learner.target.parameters():  # a copy of the network at first
            parameter.mul_(0.7)
        sequence = torch.from_numpy(seen[:3]), torch.zeros(1, agent.network.state_dim), torch.zeros(3, 1).bool()
        online, target = (agent.unrolled(one, *sequence)[0][..., 0] for one in (agent.network, learner.target))
    rows = set()
    for seed in range(12):
        row = int(replay.sample_sequences(1, 1, 5, np.random.default_rng(seed)).rows[0])
        following = 0.0
        if row < 2:
            best = (online if double else target)[row + 1].argmax()
            following = 0.9 * target[row + 1, best].item()
        copy = dqn.Learner(config, agent)
        copy.target.load_state_dict(learner.target.state_dict())
        copy.optimizer.param_groups[0]["lr"] = 0.0
        before = {name: value.clone() for name, value in agent.network.state_dict().items()}
        copy.update(replay, 0.0, np.random.default_rng(seed))
        agent.network.load_state_dict(before)
        expected = (online[row, actions[row]].item() - rewards[row] - following) ** 2
        assert copy.metrics["loss"] == pytest.approx(expected, rel=1e-4)
        rows.add(row)
    assert rows == {0, 1, 2}


def test_acting_remembers_and_begins_anew() -> None:
    agent = dqn.Agent(SMALL, TMaze.observation_space, TMaze.action_space)
    seen = np.zeros((2, 2), np.float32)
    _, state = agent.act_with_state(seen, agent.initial_state(2), np.ones(2, np.bool_), deterministic=True)
    _, after = agent.act_with_state(seen, state, np.array([False, True]), deterministic=True)
    np.testing.assert_allclose(after[1], state[1], atol=1e-6)
    assert np.abs(after[0] - state[0]).max() > 1e-3


def test_observations_are_brought_to_one_scale() -> None:
    """Those of large numbers far from 0 as others of mean 0 and variance 1, and so where the agent is loaded."""
    plain = dqn.Agent(SMALL, TMaze.observation_space, TMaze.action_space)
    agent, other = (
        dqn.Agent(dataclasses.replace(SMALL, normalize_observations=True), TMaze.observation_space, TMaze.action_space)
        for _ in range(2)
    )
    standard = np.array([[1, -1], [-1, 1], [1, 1], [-1, -1]], np.float32)
    agent.see(3 + 0.01 * standard)
    other.load_state_dict(agent.state_dict())
    begun = plain.initial_state(4), np.ones(4, np.bool_)
    _, expected = plain.act_with_state(standard, *begun, deterministic=True)
    for one in (agent, other):
        _, state = one.act_with_state((3 + 0.01 * standard).astype(np.float32), *begun, deterministic=True)
        np.testing.assert_allclose(state, expected, atol=1e-3)


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("backbone", ["lstm", "transformer"])
def test_resuming_gives_the_same_bits(backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(
        SMALL,
        backbone=backbone,
        total_steps=600,
        priority_exponent=0.5,
        normalize_observations=True,
        checkpoint_every=100,
    )

    def started(name: str) -> Run:
        settings: dict[str, Any] = {"preset": "x", "config": to_json(SMALL), "total": config.total_steps}
        return Run.create(tmp_path / name, algorithm="x", **settings, progress=False)

    with started("whole") as run:
        whole = dqn.train(config, run)
    update, made = dqn.Learner.update, []

    def dying(self: dqn.Learner, *arguments: Any) -> None:
        made.append(1)
        if len(made) == 30:
            raise Killed
        update(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed), started("cut") as run:
        patch.setattr(dqn.Learner, "update", dying)
        dqn.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = dqn.train(config, run)
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1]
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UserError, match="sequence_length=0: use at least 1"):
        dataclasses.replace(SMALL, sequence_length=0)
    with pytest.raises(UserError, match="burn_in=-1: use 0 or more"):
        dataclasses.replace(SMALL, burn_in=-1)
    with pytest.raises(UserError, match="backbone='gru': pqn keeps no memory: use another backbone, or dqn"):
        pqn.Config(backbone="gru")
    with pytest.raises(UserError, match="layer_norm=True: only the backbones mlp, nature_cnn, nips_cnn have it"):
        dqn.train(dataclasses.replace(SMALL, layer_norm=True))

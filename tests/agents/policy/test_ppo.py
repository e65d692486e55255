"""PPO: advantages and its objective against numbers computed by hand, its learning, and its exactness."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from exercises import Corridor, Echo, check_resuming, steps

from agents.evaluation import evaluate
from agents.policy import ppo
from agents.policy.trajectories import Minibatch, advantages
from agents.rollout import Rollout, make_lanes
from supervised.backbones import RECURRENT
from supervised.training.errors import UserError

ENV = "skidpad/CartPole-v1"
SMALL = ppo.Config(env=ENV, total_steps=1024, lanes=4, round_steps=32, epochs=2, hidden=(16,), log_every=256)


def test_advantages_by_hand() -> None:
    """gamma 0.5, lambda 0.5: delta = r + 0.5 v' - v = (2, 0.5, 3), and an episode ends after the second step."""
    trajectories = steps(rewards=[1, 1, 2], values=[0, 1, 1], next_values=[2, 1, 4], done=[0, 1, 0])
    found = advantages(trajectories, 0.5, 0.5)
    np.testing.assert_allclose(found[:, 0], [2 + 0.25 * 0.5, 0.5, 3])


def learner(**changes: Any) -> ppo.Learner:
    config = dataclasses.replace(SMALL, **changes)
    lanes = make_lanes(ENV, 1, {})
    return ppo.Learner(config, ppo.Agent(config, lanes.single_observation_space, lanes.single_action_space))


def minibatch(ratios: list[float], advantage: list[float]) -> Minibatch:
    """Two rows whose new chances are ``ratios`` times the old ones; values are 1, returns 3, old values 0."""
    parameters = torch.zeros(2, 2)  # log 0.5 for either action
    old = np.log(0.5) - torch.tensor(ratios).log()
    ones = torch.ones(2)
    actions = torch.zeros(2, dtype=torch.int64)
    return Minibatch(parameters, ones, actions, old, 0 * ones, torch.tensor(advantage, dtype=torch.float32), 3 * ones)


def test_the_objective_by_hand() -> None:
    """Advantages -1 and 1 scaled to unit variance are -+1/sqrt(2); only ratios that go too far are clipped."""
    _, metrics = learner().loss(minibatch([0.5, 1.5], [-1, 1]))
    # min(r A, clip(r) A): -0.8 / sqrt(2) for the first, 1.2 / sqrt(2) for the second
    assert metrics["policy_loss"] == pytest.approx(-(-0.8 + 1.2) / 2 / np.sqrt(2), rel=1e-5)
    assert metrics["value_loss"] == pytest.approx(0.5 * 4)
    assert metrics["entropy"] == pytest.approx(np.log(2))
    assert metrics["kl"] == pytest.approx(np.mean([0.5 - 1 - np.log(0.5), 1.5 - 1 - np.log(1.5)]), rel=1e-5)
    _, clipped = learner(clip_values=True).loss(minibatch([1, 1], [-1, 1]))
    assert clipped["value_loss"] == pytest.approx(0.5 * (3 - 0.2) ** 2), "no farther than 0.2 from the old value"


def test_a_round_ends_early_when_the_policy_has_moved_too_far() -> None:
    def passes(kl_stop: float) -> int:
        mine, count = learner(kl_stop=kl_stop, epochs=5, minibatches=1, learning_rate=0.05), 0
        lanes = make_lanes(ENV, 4, {})
        rollout = Rollout(lanes, 0, ())
        agent = ppo.Agent(mine.config, lanes.single_observation_space, lanes.single_action_space)
        mine.network = agent.network
        mine.optimizer = torch.optim.SGD(agent.network.parameters(), lr=1.0)
        step = mine.optimizer.step

        def counted() -> None:
            nonlocal count
            count += 1
            step()

        mine.optimizer.step = counted  # type: ignore[method-assign]
        mine.learn(ppo.Collector(mine.config, agent, rollout).collect(16), 1.0)
        return count

    assert passes(0.0) == 5 and 1 <= passes(1e-6) < 5


def test_it_learns_to_balance() -> None:
    config = dataclasses.replace(ppo.PRESETS["default"], env=ENV, total_steps=60_000, lanes=8, seed=1)
    result = evaluate(ppo.train(config), ENV, episodes=20)
    assert result["mean"] >= 400


@pytest.mark.parametrize("terminal", [True, False])
def test_what_follows_counts_after_a_time_limit_only(terminal: bool) -> None:
    config = dataclasses.replace(SMALL, env=lambda: Corridor(terminal), lanes=1)
    lanes = make_lanes(config.env, 1, {})
    agent = ppo.Agent(config, lanes.single_observation_space, lanes.single_action_space)
    found = ppo.Collector(config, agent, Rollout(lanes, 0, ())).collect(7)
    ends = np.flatnonzero(found.done & found.valid)
    value = agent.outputs(np.array([[3.0]], np.float32), agent.initial_state(1), np.zeros(1, np.bool_))[1]
    np.testing.assert_allclose(found.next_values[ends], 0 if terminal else np.broadcast_to(value, (len(ends), 1)))
    within = np.flatnonzero(~found.done[:-1, 0])
    np.testing.assert_array_equal(found.next_values[within], found.values[within + 1])


@pytest.mark.parametrize(("backbone", "knows"), [("gru", True), ("transformer", True), ("mlp", False)])
def test_only_a_memory_knows_what_was_shown_before(backbone: str, knows: bool) -> None:
    config = ppo.Config(
        env=Echo, total_steps=9_216, lanes=16, round_steps=24, hidden=(16, 16), learning_rate=1e-2, evaluate_every=0
    )
    mean = evaluate(ppo.train(dataclasses.replace(config, backbone=backbone)), Echo, episodes=60)["mean"]
    assert mean >= 0.95 if knows else mean <= 0.75


def test_a_backbone_with_dropout_acts_as_it_learns() -> None:
    """The first ratios of new and old chances are 1, and nothing random but the actions is drawn."""
    pictures, actions = gym.spaces.Box(0, 255, (84, 84), np.uint8), gym.spaces.Discrete(3)
    agent = ppo.Agent(dataclasses.replace(SMALL, backbone="book_bc"), pictures, actions)
    seen = np.random.default_rng(0).integers(0, 256, (2, 84, 84), dtype=np.uint8)
    outputs = [agent.outputs(seen, agent.initial_state(2), np.ones(2, np.bool_))[0] for _ in range(2)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("backbone", RECURRENT)
def test_half_precision_keeps_its_state_in_single(backbone: str) -> None:
    config = dataclasses.replace(SMALL, backbone=backbone, dtype="bfloat16")
    agent = ppo.Agent(config, Echo.observation_space, Echo.action_space)
    state = agent.initial_state(2)
    parameters, values, after = agent.outputs(np.zeros((2, 2), np.float32), state, np.ones(2, np.bool_))
    assert parameters.dtype == values.dtype == after.dtype == np.float32 and after.shape == state.shape


@pytest.mark.parametrize(
    "changes",
    [{}, {"backbone": "lstm"}, {"normalize_observations": True, "normalize_rewards": True}],
    ids=["plain", "lstm", "normalized"],
)
def test_resuming_gives_the_same_bits(changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, **changes, checkpoint_every=256)
    check_resuming(ppo, config, 6, tmp_path, monkeypatch)  # of eight; a checkpoint is written after every second one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip": 0.0}, "clip=0.0: use a positive number"),
        ({"total_steps": 100}, "total_steps=100: use at least one round (32 steps in each of 4 lanes)"),
        ({"gae_lambda": 1.5}, "gae_lambda=1.5: use a number from 0 to 1"),
        ({"minibatches": 100}, "round_steps=32: a round must have two steps for every minibatch"),
        ({"kl_stop": -1.0}, "kl_stop=-1.0: use 0 or more"),
        ({"dtype": "float16"}, "dtype='float16'"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        dataclasses.replace(SMALL, **changes)
    assert message in str(refusal.value)

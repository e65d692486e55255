"""A2C: its losses against numbers computed by hand, the order of the book's listing, its learning, its exactness."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exercises import Corridor, Echo, Endless, check_resuming, linear

from agents.evaluate import load
from agents.evaluation import evaluate
from agents.policy import a2c
from agents.policy.trajectories import Collector, Minibatch
from agents.rollout import Rollout, make_lanes
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run

ENV = "skidpad/CartPole-v1"
SMALL = a2c.Config(
    env=ENV,
    total_steps=800,
    lanes=4,
    round_steps=5,
    standardize_advantages=False,
    hidden=(16,),
    log_every=100,
    evaluate_every=0,
)
BOOK = dataclasses.replace(SMALL, whole_episodes=True, standardize_advantages=True, optimizer="adam", lanes=3)


def learner(**changes: Any) -> a2c.Learner:
    config = dataclasses.replace(SMALL, **changes)
    return a2c.Learner(config, a2c.Agent(config, Corridor.observation_space, Corridor.action_space))


def test_the_losses_by_hand() -> None:
    """log pi is that of the action taken, no mean over actions: with two of them that would be half as much."""
    zeros, advantage = torch.zeros(2), torch.tensor([2.0, -1.0])
    chances = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    actions, values, returns = torch.tensor([1, 0]), torch.tensor([1.0, 3.0]), torch.tensor([2.0, 7.0])
    batch = Minibatch(chances.log(), values, actions, zeros, zeros, advantage, returns)
    losses = learner().losses(batch)
    assert losses["policy_loss"].item() == pytest.approx(-(2 * np.log(0.25) - np.log(0.5)) / 2)
    assert losses["value_loss"].item() == pytest.approx(0.5 * (1 + 16) / 2)
    entropies = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), np.log(2)
    assert losses["entropy"].item() == pytest.approx(np.mean(entropies))


def played(mine: a2c.Learner, terminal: bool, steps: int) -> Any:
    """A round of three-step episodes that pay 1 a step."""
    lanes = make_lanes(lambda: Corridor(terminal), mine.config.lanes, {})
    agent = a2c.Agent(mine.config, lanes.single_observation_space, lanes.single_action_space)
    agent.network = mine.network
    return Collector(mine.config, agent, Rollout(lanes, 0)).collect(steps)


def test_no_gradient_flows_through_the_advantage() -> None:
    mine = learner(value_coefficient=0.0)
    before = {name: one.clone() for name, one in mine.network.state_dict().items()}
    mine.learn(played(mine, True, 5), 1.0)
    after = mine.network.state_dict()
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"actor", "policy"}, "the critic stays: it only learns from its own error"


def test_the_future_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With values 0, gamma 0.5 and lambda 1 the advantages of a whole episode are its returns, and 1 each with 0."""
    found: dict[float, Any] = {}
    for gae_lambda in (0.0, 1.0):
        mine = learner(lanes=1, discount=0.5, gae_lambda=gae_lambda, hidden=())
        linear(mine, [[0.0], [0.0]], [[0.0]])
        losses = a2c.Learner.losses

        def noting(self: a2c.Learner, batch: Minibatch, key: float = gae_lambda, losses: Any = losses) -> Any:
            found[key] = batch.advantages.tolist(), batch.returns.tolist()
            return losses(self, batch)

        with monkeypatch.context() as patch:
            patch.setattr(a2c.Learner, "losses", noting)
            mine.learn(played(mine, True, 3), 1.0)
    returns = [1.75, 1.5, 1.0]
    assert found == {0.0: ([1.0, 1.0, 1.0], returns), 1.0: (returns, returns)}


def test_equal_advantages_are_no_reason_to_stop() -> None:
    mine = learner(standardize_advantages=True, gae_lambda=0.0, hidden=())
    linear(mine, [[0.0], [0.0]], [[0.0]])
    metrics = mine.learn(played(mine, True, 3), 1.0)
    assert float(metrics["policy_loss"]) == 0.0


def test_the_book_steps_the_critic_on_every_episode_and_the_actor_on_all() -> None:
    mine, stepped = a2c.Learner(BOOK, agent := a2c.Agent(BOOK, Corridor.observation_space, Corridor.action_space)), []
    step = mine.optimizer.step

    def noting() -> None:
        parts = agent.network.named_parameters()
        stepped.append({name.partition(".")[0] for name, one in parts if one.grad is not None})
        step()

    mine.optimizer.step = noting
    lanes = make_lanes(lambda: Corridor(True), 3, {})
    mine.learn(Collector(BOOK, agent, Rollout(lanes, 0)).collect_episodes(3), 1.0)
    assert stepped == [{"critic", "value"}] * 3 + [{"actor", "policy"}]


@pytest.mark.parametrize(("terminal", "rounds"), [(False, 4), (True, 800 // 9)])
def test_ten_full_episodes_in_a_row_end_training(terminal: bool, rounds: int) -> None:
    """Three a round: after the fourth there are twelve. A terminal state is no full episode."""
    run = Run.off()
    config = dataclasses.replace(BOOK, env=lambda: Corridor(terminal), stop_full_episodes=10, log_every=1)
    a2c.train(config, run)
    assert run.last_metrics["episodes"] == 3 * rounds


def test_it_learns_to_balance() -> None:
    config = dataclasses.replace(a2c.PRESETS["default"], total_steps=30_000, evaluate_every=0)
    assert evaluate(a2c.train(config), ENV, episodes=10)["mean"] >= 400


def test_the_book_reaches_ten_full_episodes() -> None:
    run = Run.off()
    a2c.train(dataclasses.replace(a2c.PRESETS["book"], seed=2), run)
    assert run.last_metrics["episodes"] < 300


def test_a_memory_knows_what_was_shown_before() -> None:
    config = dataclasses.replace(
        SMALL, env=Echo, total_steps=9_600, lanes=16, round_steps=6, backbone="gru", hidden=(16, 16), learning_rate=1e-2
    )
    assert evaluate(a2c.train(config), Echo, episodes=60)["mean"] >= 0.95


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        dataclasses.replace(SMALL, backbone="lstm"),
        dataclasses.replace(SMALL, normalize_observations=True, normalize_rewards=True),
        dataclasses.replace(BOOK, total_steps=3_000, stop_full_episodes=10),
    ],
    ids=["plain", "lstm", "normalized", "book"],
)
def test_resuming_gives_the_same_bits(config: a2c.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_resuming(a2c, dataclasses.replace(config, checkpoint_every=100), 8, tmp_path, monkeypatch)


def test_moments_are_saved_with_the_run_and_used_to_act(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, normalize_observations=True)
    settings: dict[str, Any] = {"config": to_json(config), "total": config.total_steps}
    with Run.create(tmp_path / "run", algorithm="a2c", preset="x", **settings, progress=False) as run:
        trained = a2c.train(config, run)
    loaded: Any = load(tmp_path / "run")[0]
    moments = loaded.network.moments
    assert moments.count == config.total_steps and (moments.variance != 1).all()
    seen = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    state, starts = trained.initial_state(4), np.ones(4, np.bool_)
    outputs = [agent.outputs(seen, state, starts)[0] for agent in (trained, loaded)]
    np.testing.assert_array_equal(*outputs)
    moments.mean += 1
    assert not np.array_equal(loaded.outputs(seen, state, starts)[0], outputs[0])


def test_a_loss_that_is_not_finite_stops_training() -> None:
    class Broken(Endless):
        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.zeros(1, np.float32), float("nan"), False, False, {}

    with pytest.raises(UserError, match="loss=nan: training stopped"):
        a2c.train(dataclasses.replace(SMALL, env=lambda: Broken(True)))


def test_a_budget_without_a_whole_episode_is_refused() -> None:
    with pytest.raises(UserError, match="total_steps=20: not every lane ended an episode in so many"):
        a2c.train(dataclasses.replace(a2c.PRESETS["book"], total_steps=20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate_end": 1.0}, "learning_rate_end=1.0: use at most learning_rate, 0.003"),
        ({"round_steps": 0}, "round_steps=0: use at least 1"),
        ({"total_steps": 19}, "total_steps=19: use at least one round .5 steps in each of 4 lanes."),
        ({"optimizer": "sgd"}, "optimizer='sgd': use one of rmsprop, adam"),
        ({"gae_lambda": -0.1}, "gae_lambda=-0.1: use a number from 0 to 1"),
        ({"stop_full_episodes": 10}, "stop_full_episodes=10: only whole episodes are counted"),
        ({"value_coefficient": -1.0}, "value_coefficient=-1.0: use 0 or more"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **changes)

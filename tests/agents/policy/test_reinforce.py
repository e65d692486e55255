"""REINFORCE: its gradient against one computed by hand, what a baseline does to it, its learning and exactness."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from exercises import Corridor, Endless, check_resuming, linear, plain_steps

from agents.evaluation import evaluate
from agents.policy import reinforce
from agents.policy.trajectories import Trajectories
from supervised.training.errors import UserError
from supervised.training.run import Run

ENV = "skidpad/CartPole-v1"
SMALL = reinforce.Config(env=ENV, total_steps=3_000, lanes=4, hidden=(16,), log_every=100, discount=0.5)
SPACES = gym.spaces.Box(-10, 10, (1,), np.float32), gym.spaces.Discrete(2)


def learner(**changes: Any) -> reinforce.Learner:
    """Its policy is uniform and its values are 0; steps are plain gradient steps of size 1."""
    agent = reinforce.Agent(config := dataclasses.replace(SMALL, hidden=(), **changes), *SPACES)
    linear(agent, [[0.0], [0.0]])
    mine = reinforce.Learner(config, agent)
    plain_steps(mine)
    return mine


def moves(mine: reinforce.Learner, episodes: Trajectories) -> list[float]:
    """By how much the logits' weights move."""
    mine.learn(episodes, 1.0, False)
    return mine.network.policy.weight.detach()[:, 0].tolist()


def episodes(rewards: list[list[float]], values: list[list[float]], actions: list[list[int]]) -> Trajectories:
    """Episodes of one length, a list each; the state at step t is 1 + 2 t."""
    arrays = [np.array(one, np.float32).T for one in (rewards, values)]
    shape = arrays[0].shape
    seen = np.broadcast_to(1 + 2 * np.arange(shape[0], dtype=np.float32)[:, None, None], (*shape, 1)).copy()
    done = np.zeros(shape, np.bool_)
    done[-1] = True
    following = np.concatenate([arrays[1][1:], np.zeros((1, shape[1]), np.float32)])
    others = {"rewards": arrays[0], "values": arrays[1], "next_values": following, "done": done, "terminated": done}
    taken = {"actions": np.array(actions).T, "log_probs": np.zeros(shape, np.float32), "starts": done[::-1]}
    memory = np.zeros((shape[1], 0), np.float32)
    return Trajectories(observations=seen, **others, **taken, valid=np.ones(shape, np.bool_), state=memory)


@pytest.mark.parametrize(("discounted", "expected"), [(False, -2.0), (True, -0.5)])
def test_the_gradient_by_hand(discounted: bool, expected: float) -> None:
    """Rewards 1 and 3, gamma 0.5: G = (2.5, 3), and with values (0.5, 1) G - b = (2, 2).

    Of the uniform policy grad log pi is 0.5 s for the action taken and -0.5 s for the other. Action 0 at s = 1, then
    action 1 at s = 3: the first logit's weight moves by 2 * 0.5 - gamma^t 2 * 0.5 * 3. A second episode of the same
    kind leaves the mean as it is.
    """
    twice = episodes([[1, 3]] * 2, [[0.5, 1]] * 2, [[0, 1]] * 2)
    assert moves(learner(discounted_objective=discounted), twice) == pytest.approx([expected, -expected])


def test_without_a_baseline_returns_count_as_they_are() -> None:
    mine = learner(baseline="none")
    found = moves(mine, episodes([[1, 3]], [[0, 0]], [[0, 1]]))
    assert found == pytest.approx([2.5 * 0.5 - 3 * 0.5 * 3, -2.5 * 0.5 + 3 * 0.5 * 3])
    assert mine.network.value is None and mine.network.critic is None


def test_the_baseline_learns_returns() -> None:
    """From 0, one step of size 1 along the mean of (G - v(s)) s."""
    mine = learner(baseline_steps=1)
    moves(mine, episodes([[1, 3]], [[0, 0]], [[0, 1]]))
    assert mine.network.value.weight.item() == pytest.approx((2.5 * 1 + 3 * 3) / 2)


def test_a_baseline_leaves_the_mean_and_lowers_the_variance() -> None:
    """The book's returns 200 and 190, here of the two actions of a uniform policy, with and without 180 subtracted.

    The two gradients of the logits' weights and biases are +-0.5 times their weights: they differ by 0.5 (200 + 190)
    in each of the four numbers without, by 0.5 (20 + 10) with the baseline.
    """
    returns = [[200], [190]]
    found = {b: moves(learner(), episodes(returns, [[b]] * 2, [[0], [1]])) for b in (0, 180)}
    assert all(one == pytest.approx([0.25 * 10, -0.25 * 10]) for one in found.values())
    batch, network = episodes(returns, [[0]] * 2, [[0], [1]]), learner().network
    variances = [reinforce.gradient_variance(network, batch, batch.rewards - b) for b in (0, 180)]
    assert variances == pytest.approx([4 * (0.5 * 390) ** 2 / 2, 4 * (0.5 * 30) ** 2 / 2])


def test_a_learnt_baseline_lowers_the_variance() -> None:
    run = Run.off()
    reinforce.train(reinforce.Config(env=ENV, total_steps=8_000, evaluate_every=0), run)
    with_baseline, without = (run.last_metrics[f"gradient_variance{end}"] for end in ("", "_without"))
    assert 0 < with_baseline < 0.5 * without


def test_it_learns_to_balance() -> None:
    config = dataclasses.replace(reinforce.PRESETS["default"], total_steps=25_000, evaluate_every=0)
    assert evaluate(reinforce.train(config), ENV, episodes=10)["mean"] >= 150


@pytest.mark.parametrize("changes", [{}, {"backbone": "gru", "baseline": "none"}], ids=["plain", "gru"])
def test_resuming_gives_the_same_bits(changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, **changes, checkpoint_every=300, normalize_rewards=True)
    check_resuming(reinforce, config, 6, tmp_path, monkeypatch)


def test_the_budget_holds_and_must_do_for_a_round() -> None:
    run = Run.off()
    reinforce.train(dataclasses.replace(SMALL, env=lambda: Corridor(True), total_steps=100, log_every=1), run)
    assert run.last_metrics["episodes"] == 4 * (100 // 12)
    with pytest.raises(UserError, match="total_steps=100: not every lane ended an episode"):
        reinforce.train(dataclasses.replace(SMALL, env=lambda: Endless(True), total_steps=100))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "mean"}, "baseline='mean': use one of value, none"),
        ({"baseline_steps": 0}, "baseline_steps=0: use at least 1"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **changes)

"""One-step actor-critic: its steps against numbers computed by hand, its learning, and its exactness."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from exercises import check_resuming, linear, plain_steps

from agents.evaluation import evaluate
from agents.policy import actor_critic
from agents.rollout import Transitions
from supervised.training.errors import UserError

ENV = "skidpad/CartPole-v1"
SMALL = actor_critic.Config(env=ENV, total_steps=1_000, lanes=4, hidden=(16,), log_every=100)
SPACES = gym.spaces.Box(-10, 10, (1,), np.float32), gym.spaces.Discrete(2)


def stepped(critic: str, terminated: bool, truncated: bool = False, seed: int = 0) -> tuple[list[float], list[float]]:
    """By how much the weights of logits and values move: s = 1, action 0, r = 3, s' = 2, gamma 0.5.

    The policy's logits are 0, v(s) = 4 s; q(s, .) = (4 s, 6 s).
    """
    config = dataclasses.replace(SMALL, seed=seed, hidden=(), discount=0.5, critic=critic)
    agent = actor_critic.Agent(config, *SPACES)
    values = [[4.0], [6.0]] if critic == "action" else [[4.0]]
    linear(agent, [[0.0], [0.0]], values)
    learner = actor_critic.Learner(config, agent)
    plain_steps(learner)
    seen, following = np.array([[1.0]], np.float32), np.array([[2.0]], np.float32)
    ends = np.array([terminated]), np.array([truncated]), np.array([True]), np.array([True]), np.array([True])
    actions, rewards = np.zeros(1, np.int64), np.array([3], np.float32)
    learner.learn(Transitions(seen, actions, rewards, following, *ends), actions, rewards, 1.0)
    network = agent.network
    moved = network.value.weight.detach() - torch.tensor(values)
    return network.policy.weight.detach()[:, 0].tolist(), moved[:, 0].tolist()


@pytest.mark.parametrize(("terminated", "truncated"), [(False, False), (False, True), (True, False)])
def test_steps_with_a_critic_of_states(terminated: bool, truncated: bool) -> None:
    """delta = 3 + 0.5 * 8 - 4 = 3, through a time limit, too; 3 - 4 = -1 at a terminal state.

    The actor follows delta (0.5 s for the action taken, -0.5 s for the other), the critic steps by + delta s.
    """
    delta = -1.0 if terminated else 3.0
    policy, value = stepped("state", terminated, truncated)
    assert policy == pytest.approx([0.5 * delta, -0.5 * delta])
    assert value == pytest.approx([delta]), "up where the target is above the value, and none through the target"


@pytest.mark.parametrize("terminated", [False, True])
def test_steps_with_a_critic_of_actions(terminated: bool) -> None:
    """q(s, 0) = 4, and the policy's mean is 5: the actor follows -1. delta = 3 - 4, plus 0.5 q(2, a') = 4 or 6."""
    policy, value = stepped("action", terminated)
    assert policy == pytest.approx([-0.5, 0.5])
    assert value[0] in ([-1.0] if terminated else [3.0, 5.0]) and value[1] == 0.0, "only the action taken is valued"


def test_the_next_action_is_drawn_from_the_policy() -> None:
    assert {stepped("action", False, seed=seed)[1][0] for seed in range(8)} == {3.0, 5.0}


def test_the_critic_may_take_larger_steps() -> None:
    """Adam's first step is its step size."""
    config = dataclasses.replace(SMALL, hidden=(), critic_rate=3.0, learning_rate=1e-3, max_gradient_norm=0.0)
    agent = actor_critic.Agent(config, *SPACES)
    linear(agent, [[0.0], [0.0]], [[0.0]])
    ones, action = np.ones((1, 1), np.float32), np.zeros(1, np.int64)
    flags = np.array([True]), np.array([False]), np.array([True]), np.array([True]), np.array([True])
    rewards = np.ones(1, np.float32)
    actor_critic.Learner(config, agent).learn(Transitions(ones, action, rewards, ones, *flags), action, rewards, 1.0)
    moved = [one.weight.detach().abs().max().item() for one in (agent.network.policy, agent.network.value)]
    assert moved == pytest.approx([1e-3, 3e-3], rel=1e-3)


def test_it_learns_to_balance() -> None:
    config = dataclasses.replace(actor_critic.PRESETS["default"], total_steps=40_000, evaluate_every=0)
    assert evaluate(actor_critic.train(config), ENV, episodes=10)["mean"] >= 150


def test_continuous_actions_are_learnt_with_a_critic_of_states() -> None:
    class Target(gym.Env):
        """One step; the nearer the action to 0.5, the better."""

        observation_space, action_space = SPACES[0], gym.spaces.Box(-1, 1, (1,), np.float32)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            return np.ones(1, np.float32), {}

        def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
            return np.ones(1, np.float32), -float((action[0] - 0.5) ** 2), True, False, {}

    config = dataclasses.replace(SMALL, env=Target, total_steps=8_000, lanes=16, learning_rate=1e-2)
    agent = actor_critic.train(config)
    assert agent.act(np.ones((1, 1), np.float32), deterministic=True)[0, 0] == pytest.approx(0.5, abs=0.15)
    with pytest.raises(UserError, match="a critic of actions needs discrete ones"):
        actor_critic.train(dataclasses.replace(config, critic="action"))


@pytest.mark.parametrize("critic", actor_critic.CRITICS)
def test_resuming_gives_the_same_bits(critic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(
        SMALL, critic=critic, checkpoint_every=200, normalize_observations=True, normalize_rewards=True
    )
    check_resuming(actor_critic, config, 130, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critic": "q"}, "critic='q': use one of state, action"),
        ({"critic_rate": 0.0}, "critic_rate=0.0: use a positive number"),
        ({"backbone": "lstm"}, "backbone='lstm': single steps leave nothing to learn a memory from"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **changes)

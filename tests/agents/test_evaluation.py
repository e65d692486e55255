"""Evaluation: one result for any number of lanes, and the same on our environments and Gymnasium's."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from agents.evaluation import BLOCK, evaluate
from agents.value import dqn


class Upright:
    """Pushes towards where the pole leans."""

    transform = staticmethod(np.asarray)

    def act(self, observations: np.ndarray, deterministic: bool = False) -> np.ndarray:
        assert len(observations) == BLOCK and deterministic
        return (observations[:, 2] + 0.5 * observations[:, 3] > 0).astype(np.int64)


@pytest.mark.parametrize("lanes", [1, 3, 16, 40])
def test_the_same_for_any_number_of_lanes(lanes: int) -> None:
    result = evaluate(Upright(), "skidpad/CartPole-v1", episodes=23, seed=10_000, lanes=lanes)
    expected = []
    for episode in range(23):
        env = gym.make("CartPole-v1")
        observation, _ = env.reset(seed=10_000 + episode)
        length, over = 0, False
        while not over:
            action = int(observation[2] + np.float32(0.5) * observation[3] > 0)
            observation, _, terminated, truncated, _ = env.step(action)
            length, over = length + 1, terminated or truncated
        expected.append(length)
    assert result["lengths"] == expected
    assert result["returns"] == expected
    assert result["mean"] == np.mean(expected)
    assert result["seeds"] == [10_000, 10_022]


@pytest.mark.parametrize("env", ["CartPole-v1", "skidpad/CartPole-v1"])
def test_networks_give_the_same_for_any_number_of_lanes(env: str) -> None:
    agent = dqn.train(dqn.Config(total_steps=3000, learning_starts=500, hidden=(33, 17)))
    results = [evaluate(agent, env, episodes=9, lanes=lanes) for lanes in (1, 4, 9)]
    assert results[0] == results[1] == results[2]


def test_training_evaluations_do_not_disturb_training() -> None:
    config = dqn.Config(total_steps=2000, learning_starts=500, hidden=(8,))
    quiet = dqn.train(config)
    watched = dqn.train(dataclasses.replace(config, evaluate_every=400, evaluate_episodes=3))
    assert all((a == b).all() for a, b in zip(quiet.network.parameters(), watched.network.parameters(), strict=True))


class Counter:
    """Remembers how many steps of the episode it has seen, and goes right on every third."""

    transform = staticmethod(np.asarray)

    def initial_state(self, lanes: int) -> np.ndarray:
        return np.full((lanes, 1), -1.0)

    def act_with_state(
        self, observations: np.ndarray, state: np.ndarray, starts: np.ndarray, deterministic: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        assert len(observations) == BLOCK and deterministic
        state = np.where(starts[:, None], 0, state + 1)
        return (state[:, 0] % 3 == 2).astype(np.int64), state


@pytest.mark.parametrize("lanes", [1, 5, 17])
def test_a_policy_with_memory_begins_anew_with_every_episode(lanes: int) -> None:
    result = evaluate(Counter(), "skidpad/CartPole-v1", episodes=20, seed=10_000, lanes=lanes)
    expected = []
    for episode in range(20):
        env = gym.make("CartPole-v1")
        env.reset(seed=10_000 + episode)
        length, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = env.step(int(length % 3 == 2))
            length, over = length + 1, terminated or truncated
        expected.append(length)
    assert result["lengths"] == expected


class Coast:
    """Waits until time runs out."""

    transform = staticmethod(np.asarray)

    def act(self, observations: np.ndarray, deterministic: bool = False) -> np.ndarray:
        return np.zeros((len(observations), 3), np.float32)


def test_laps_are_counted_where_the_environment_tells_of_them() -> None:
    kwargs = {"observation": "none", "max_episode_steps": 30}
    assert evaluate(Coast(), "skidpad/CarRacing-v0", kwargs, episodes=3)["laps"] == 0
    assert "laps" not in evaluate(Upright(), "skidpad/CartPole-v1", episodes=1)


class East:
    """Goes right, whatever it sees."""

    def transform(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        return observations["tokens"]

    def act(self, observations: np.ndarray, deterministic: bool = False) -> np.ndarray:
        return np.ones(len(observations), np.int64)


@pytest.mark.parametrize("lanes", [1, 7])
def test_success_is_counted_where_the_environment_tells_of_it(lanes: int) -> None:
    """Against a count by hand, of episodes that begin left of the east exit."""
    kwargs = {"loops": 1.0, "max_episode_steps": 12}
    succeeded = 0
    for seed in range(60):
        env = gym.make_vec("skidpad/InstructionMaze-v0", 1, vectorization_mode="vector_entry_point", **kwargs)
        env.reset(seed=[10_000 + seed])
        done = False
        while not done:
            *_, terminated, truncated, infos = env.step(np.ones(1, np.int64))
            done = bool(terminated[0] or truncated[0])
        succeeded += int(infos["final_info"]["success"][0])
    assert succeeded > 0
    result = evaluate(East(), "skidpad/InstructionMaze-v0", kwargs, episodes=60, lanes=lanes)
    assert result["success"] == succeeded / 60
    assert "success" not in evaluate(Upright(), "skidpad/CartPole-v1", episodes=1)

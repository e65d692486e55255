"""Whole episodes of all lanes, and rewards as learners see them."""

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from exercises import Corridor, steps
from gymnasium.vector import AutoresetMode

from agents.policy.networks import Agent, PolicySettings
from agents.policy.trajectories import Collector, advantages
from agents.rollout import Rollout, make_lanes

CONFIG = PolicySettings(lanes=3, hidden=(8,))


def vector(mode: AutoresetMode) -> Any:
    """A maker of Gymnasium's own lanes in that mode."""
    return lambda: gym.make_vec("CartPole-v1", 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode})


def collector(env: Any, config: PolicySettings = CONFIG) -> Collector:
    lanes = make_lanes(env, config.lanes, config.env_kwargs)
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    return Collector(config, agent, Rollout(lanes, config.seed))


@pytest.mark.parametrize(
    "env", ["skidpad/CartPole-v1", "CartPole-v1", *map(vector, AutoresetMode)], ids=["ours", "theirs", *AutoresetMode]
)
def test_every_lane_plays_one_whole_episode(env: Any) -> None:
    mine = collector(env)
    for round_number in (1, 2):
        found = mine.collect_episodes(600)
        assert found is not None and found.starts[0].all()
        for lane in range(3):
            length = int(found.valid[:, lane].sum())
            assert found.valid[:length, lane].all(), "its steps come first, and then it rests"
            assert found.done[length - 1, lane] and not found.done[: length - 1, lane].any()
            assert found.terminated[:, lane].sum() == 1
            returns = advantages(found, 1.0, 1.0) + found.values
            np.testing.assert_allclose(returns[:length, lane], np.arange(length, 0, -1), rtol=1e-5)
        assert mine.episodes.count == 3 * round_number, "what a resting lane plays is not counted"
        lengths = [length for _, length in mine.episodes.state_dict()["recent"][-3:]]
        assert sorted(lengths) == sorted(found.valid.sum(0))


def test_an_episode_that_does_not_fit_is_none() -> None:
    mine = collector(lambda: Corridor(True))
    assert mine.collect_episodes(0) is None and mine.collect_episodes(2) is None
    found = mine.collect_episodes(3)
    assert found is not None and found.valid.all() and found.valid.shape == (3, 3)


def test_rewards_of_an_episode_given_up_are_forgotten() -> None:
    config = dataclasses.replace(CONFIG, normalize_rewards=True)
    mine = collector(lambda: Corridor(True), config)
    mine.collect_episodes(2)
    mine.collect_episodes(3)
    np.testing.assert_array_equal(mine.state_dict()["rewards"]["discounted"], 0)


def test_returns_reach_to_the_end_of_a_round() -> None:
    """gamma 0.5, lambda 1: 1 + 0.5 (1 + 0.5 (2 + 0.5 * 4)); the episode is cut by the round, not ended."""
    found = steps(rewards=[1, 1, 2], values=[0, 1, 1], next_values=[1, 1, 4])
    np.testing.assert_allclose((advantages(found, 0.5, 1.0) + found.values)[:, 0], [2.5, 3, 4])

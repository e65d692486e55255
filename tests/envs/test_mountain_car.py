"""Mountain car against Gymnasium's, bit for bit."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401  (registers the ids)
from envs.control.mountain_car import MountainCar

Policy = Callable[[int, np.ndarray], np.ndarray]
EPISODES = 100


@pytest.fixture(scope="module")
def theirs() -> Any:
    return gym.make("MountainCar-v0").unwrapped


def at_random(t: int, velocities: np.ndarray) -> np.ndarray:
    return np.random.default_rng(t).integers(3, size=len(velocities))


def with_the_motion(t: int, velocities: np.ndarray) -> np.ndarray:
    """Accelerate the way the car rolls, which reaches the goal."""
    return np.where(velocities < 0, 0, 2)


@pytest.mark.parametrize(("policy", "reaches_the_goal"), [(at_random, False), (with_the_motion, True)])
def test_trajectories_are_bit_equal(policy: Policy, reaches_the_goal: bool, theirs: Any) -> None:
    env = MountainCar(EPISODES, autoreset_mode="Disabled")
    first, _ = env.reset(seed=300)
    history = [(first, env.fields["position"].copy(), env.fields["velocity"].copy())]
    plan, ended = [], []
    for t in range(200):
        plan.append(policy(t, env.fields["velocity"]))
        observations, rewards, terminated, truncated, _ = env.step(plan[-1])
        history.append((observations, env.fields["position"].copy(), env.fields["velocity"].copy()))
        ended.append(terminated)
    np.testing.assert_array_equal(truncated, ~terminated)
    assert terminated.all() == reaches_the_goal
    for lane in range(EPISODES):
        expected, _ = theirs.reset(seed=300 + lane)
        for t in range(200):
            observations, positions, velocities = history[t]
            np.testing.assert_array_equal(observations[lane], expected)
            assert (positions[lane], velocities[lane]) == tuple(theirs.state)
            expected, reward, ends, _, _ = theirs.step(int(plan[t][lane]))
            assert ended[t][lane] == ends
            assert reward == -1
            if ends:
                break
        assert (history[t + 1][1][lane], history[t + 1][2][lane]) == tuple(theirs.state)


def test_spaces_are_gymnasiums() -> None:
    ours, theirs = gym.make("skidpad/MountainCar-v0"), gym.make("MountainCar-v0")
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space


def test_every_step_costs_one_and_the_left_wall_stops() -> None:
    env = MountainCar(1, max_episode_steps=None)
    env.reset(options={"state": [-1.19, -0.07]})
    observations, rewards, *_ = env.step(np.array([0]))
    np.testing.assert_array_equal(observations, np.float32([[-1.2, 0.0]]))
    assert rewards[0] == -1
    env.reset(options={"state": [0.49, 0.07]})
    _, rewards, terminated, _, _ = env.step(np.array([2]))
    assert terminated[0] and rewards[0] == -1


def test_starts_that_are_given() -> None:
    env = MountainCar(2)
    env.reset(seed=0, options={"state": [[-0.5, 0.01], [0.3, -0.07]]})
    np.testing.assert_array_equal(env.fields["position"], [-0.5, 0.3])
    np.testing.assert_array_equal(env.fields["velocity"], [0.01, -0.07])
    for wrong in ([0.5, 0.0], [-1.3, 0.0], [0.0, 0.08], [np.nan, 0.0], [0.0, np.nan]):
        with pytest.raises(ValueError, match="state: a start has -1.2 <= position < 0.5"):
            env.reset(options={"state": wrong})
    for wrong in ([0.0], np.zeros((3, 2))):
        with pytest.raises(ValueError, match=r"state has shape .*: give \(2,\) or \(2, 2\)"):
            env.reset(options={"state": wrong})
    np.testing.assert_array_equal(env.fields["position"], [-0.5, 0.3])

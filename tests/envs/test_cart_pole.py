"""Cart-pole against Gymnasium's."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401  (registers the ids)
from envs.control import dynamics
from envs.control.cart_pole import CartPole, CartPoleEnv

FIELDS = ("x", "x_dot", "theta", "theta_dot")


@pytest.fixture(scope="module")
def theirs() -> Any:
    return gym.make("CartPole-v1").unwrapped


def states_of(env: CartPole) -> np.ndarray:
    return np.stack([env.fields[name] for name in FIELDS], axis=1)


def test_the_same_seed_starts_alike(theirs: Any) -> None:
    batch = CartPole(100)
    ours, _ = batch.reset(seed=1000)
    states = states_of(batch)
    for lane in range(100):
        expected, _ = theirs.reset(seed=1000 + lane)
        np.testing.assert_array_equal(ours[lane], expected)
        np.testing.assert_array_equal(states[lane], theirs.state)
    again, _ = batch.reset()  # the draws go on alike, too
    np.testing.assert_array_equal(again[-1], theirs.reset()[0])


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_spaces_are_gymnasiums() -> None:
    for version in ("v0", "v1"):
        ours, theirs = gym.make(f"skidpad/CartPole-{version}"), gym.make("CartPole-v1")
        assert ours.action_space == theirs.action_space
        np.testing.assert_allclose(ours.observation_space.high, theirs.observation_space.high, rtol=1e-7)
        np.testing.assert_allclose(ours.observation_space.low, theirs.observation_space.low, rtol=1e-7)
        assert ours.observation_space.dtype == theirs.observation_space.dtype


def test_single_steps_from_random_states(theirs: Any) -> None:
    random = np.random.default_rng(5)
    lanes = 3000
    # a seventh of them leaves the permitted range with this step
    limits = np.array([dynamics.POSITION_LIMIT, 4.0, dynamics.ANGLE_LIMIT, 4.0])
    starts = random.uniform(-limits, limits, (lanes, 4))
    starts[:200, 0] = random.choice([-2.4, 2.4], 200)
    actions = random.integers(2, size=lanes)
    env = CartPole(lanes, autoreset_mode="Disabled")
    env.reset(seed=0, options={"state": starts})
    np.testing.assert_array_equal(states_of(env), starts)
    observations, rewards, terminated, truncated, _ = env.step(actions)
    reached = states_of(env)
    for lane in range(lanes):
        theirs.reset(seed=0)
        theirs.state = starts[lane]
        expected, reward, ends, _, _ = theirs.step(int(actions[lane]))
        np.testing.assert_allclose(reached[lane], theirs.state, rtol=0, atol=1e-12)
        np.testing.assert_allclose(observations[lane], expected, rtol=1e-6, atol=1e-12)
        assert (rewards[lane], terminated[lane]) == (reward, ends)
    assert 0.05 < terminated.mean() < 0.5 and not truncated.any()


def test_sine_and_cosine_where_a_pole_lives() -> None:
    for angle in np.linspace(-0.3, 0.3, 601):
        sine, cosine = dynamics._sin_cos.py_func(angle)
        assert abs(sine - np.sin(angle)) <= 2**-53 and abs(cosine - np.cos(angle)) <= 2**-52


def test_a_thousand_random_episodes_end_alike(theirs: Any) -> None:
    lanes = 1000
    actions = np.random.default_rng(6).integers(2, size=(200, lanes))
    env = CartPole(lanes, autoreset_mode="Disabled")
    env.reset(seed=0)
    lengths = np.zeros(lanes, np.int64)
    for row in actions:
        _, _, terminated, _, _ = env.step(row)
        lengths += env.elapsed > lengths
    assert terminated.all(), "an episode outlived the plan"
    finals = states_of(env)
    for lane in range(lanes):
        theirs.reset(seed=lane)
        length, ends = 0, False
        while not ends:
            _, _, ends, _, _ = theirs.step(int(actions[length, lane]))
            length += 1
        assert lengths[lane] == length
        np.testing.assert_allclose(finals[lane], theirs.state, rtol=0, atol=1e-9)
    assert 20 < lengths.mean() < 25  # a random policy's known 22 steps


def balance(observations: np.ndarray) -> np.ndarray:
    """Push to the side to which pole and cart are moving: this stays up for 500 steps."""
    weights = np.array([0.1, 0.2, 1.0, 1.0])
    return (observations @ weights > 0).astype(np.int64)


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
@pytest.mark.parametrize(("env_id", "limit"), [("skidpad/CartPole-v0", 200), ("skidpad/CartPole-v1", 500)])
def test_a_balancing_policy_meets_the_time_limit(env_id: str, limit: int, theirs: Any) -> None:
    env = gym.make_vec(env_id, num_envs=20, vectorization_mode="vector_entry_point")
    observation, _ = env.reset(seed=0)
    theirs.reset(seed=0)
    for t in range(1, limit + 1):
        actions = balance(observation)
        observation, rewards, terminated, truncated, _ = env.step(actions)
        *_, ends, _, _ = theirs.step(int(actions[0]))
        assert not terminated.any() and not ends
        assert truncated.all() == truncated.any() == (t == limit)
        np.testing.assert_array_equal(rewards, 1)


def test_hidden_velocities() -> None:
    full, hidden = CartPole(3), CartPole(3, velocities=False)
    assert hidden.single_observation_space.shape == (2,)
    np.testing.assert_array_equal(hidden.single_observation_space.high, full.single_observation_space.high[::2])
    seen, partly = full.reset(seed=0)[0], hidden.reset(seed=0)[0]
    for action in np.random.default_rng(0).integers(2, size=(60, 3)):
        np.testing.assert_array_equal(partly, seen[:, ::2])
        assert partly in hidden.observation_space
        seen, partly = full.step(action)[0], hidden.step(action)[0]
    assert gym.make("skidpad/CartPole-v1", velocities=False).reset(seed=0)[0].shape == (2,)


def test_starts_that_are_given() -> None:
    env = CartPole(2)
    env.reset(seed=0, options={"state": [1.0, 2.0, 0.1, -3.0]})
    np.testing.assert_array_equal(states_of(env), [[1.0, 2.0, 0.1, -3.0]] * 2)
    before = states_of(env)
    outside = ([2.5, 0, 0, 0], [0, 0, -0.21, 0], [0, np.nan, 0, 0], [np.nan, 0, 0, 0], [0, 0, 0, np.inf])
    for wrong in outside:
        with pytest.raises(ValueError, match="state: a start is finite, and lies within"):
            env.reset(options={"state": wrong})
    for wrong in ([0, 0, 0], np.zeros((3, 4)), 0.0):
        with pytest.raises(ValueError, match=r"state has shape .*: give \(4,\) or \(2, 4\)"):
            env.reset(options={"state": wrong})
    np.testing.assert_array_equal(states_of(env), before)
    single = CartPoleEnv()
    observation, _ = single.reset(options={"state": [0.5, 0, 0, 0]})
    np.testing.assert_array_equal(observation, np.float32([0.5, 0, 0, 0]))


def test_the_picture_shows_the_state() -> None:
    env = CartPole(3, render_mode="rgb_array")
    env.reset(options={"state": [[-1.2, 0, 0, 0], [1.2, 0, 0, 0], [1.2, 0, 0.2, 0]]})
    frames = env.render()
    assert frames is not None and frames[0].shape == (400, 600, 3)

    def middle(frame: np.ndarray, rows: slice) -> float:
        return float(np.nonzero((frame[rows] != 255).any(axis=2))[1].mean())

    pole = slice(160, 280)  # rows above the cart
    left, right, leaning = (middle(frame, pole) for frame in frames)
    assert left == pytest.approx(150, abs=2) and right == pytest.approx(450, abs=2)  # 125 pixels a metre
    assert leaning > right + 5

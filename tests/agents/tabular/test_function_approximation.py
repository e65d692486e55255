"""Tile coding and semi-gradient methods: known answers, both kinds of function, the book's printed sign."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from agents.tabular.dynamic_programming import evaluate_policy
from agents.tabular.function_approximation import (
    LinearFunction,
    NetworkFunction,
    semi_gradient_q_learning,
    semi_gradient_sarsa,
    semi_gradient_td,
)
from agents.tabular.learner import Session
from agents.tabular.tile_coding import TileCoder
from envs.control.mountain_car import MountainCarEnv
from envs.finite import FiniteSingle
from envs.mdp import MDP
from envs.toy.random_walk import RandomWalkEnv
from supervised.training.errors import UserError
from supervised.training.run import Run


def network(inputs: int, outputs: int, hidden: int = 8) -> nn.Sequential:
    generator = torch.Generator().manual_seed(0)
    layers = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return layers


class OneHot(gym.ObservationWrapper[Any, Any, Any]):
    """A state's number as a vector."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, gym.spaces.Discrete)
        self.observation_space = gym.spaces.Box(0, 1, (int(env.observation_space.n),), np.float32)

    def observation(self, observation: int) -> np.ndarray:
        return np.eye(self.observation_space.shape[0], dtype=np.float32)[observation]  # type: ignore[index]


def test_tiles() -> None:
    coder = TileCoder([0, -1], [1, 1], tiles=(4, 2), tilings=4)
    assert coder.n_features == 4 * 5 * 3
    points = np.random.default_rng(0).uniform([0, -1], [1, 1], (500, 2))
    active = coder(points)
    assert active.shape == (500, 4)
    assert np.array_equal(active // 15, np.tile(np.arange(4), (500, 1)))  # one feature of each tiling
    # the first tiling is not displaced
    cells = np.floor((points - [0, -1]) * [4, 1]).astype(int)
    assert np.array_equal(active[:, 0], cells[:, 0] * 3 + cells[:, 1])
    # tiling k is displaced by k / 4 of a tile in the first dimension, by 3 k / 4 modulo 1 in the second
    shifted = np.floor((points - [0, -1]) * [4, 1] + [2 / 4, 6 / 4 % 1]).astype(int)
    assert np.array_equal(active[:, 2], 2 * 15 + shifted[:, 0] * 3 + shifted[:, 1])
    # neighbours share features, more of them the nearer they are
    line = coder([[x, 0.0] for x in np.linspace(0, 1, 65)])
    shared = [(line[0] == line[k]).sum() for k in range(65)]
    assert shared[0] == 4 and shared[16] == 0 and np.all(np.diff(shared[:17]) <= 0)
    assert set(shared[:17]) == set(range(5))
    outside = coder([[-5.0, 7.0], [0.0, 1.0]])
    assert np.array_equal(outside[0], outside[1]) and coder([1.0, 1.0]).max() < coder.n_features


def test_gradients_of_both_functions() -> None:
    """Moving by amount changes an output by amount * |grad|^2, to first order, and the others by their overlap."""
    coder = TileCoder(0, 1, 4, tilings=5)
    linear = LinearFunction(coder, 3)
    linear.move(0.3, 1, 0.1)
    np.testing.assert_allclose(linear(0.3), [0, 0.1 * 5, 0])
    assert linear.weights["weights"].sum() == pytest.approx(0.5)

    layers = network(2, 3)
    function, observation = NetworkFunction(layers), np.array([0.2, -0.4], np.float32)
    before = function(observation)
    output = layers(torch.from_numpy(observation)[None])[0, 2]
    norm = sum(float((g**2).sum()) for g in torch.autograd.grad(output, list(layers.parameters())))
    function.move(observation, 2, 1e-4)
    assert function(observation)[2] - before[2] == pytest.approx(1e-4 * norm, rel=0.01)
    assert function.weights["0.weight"].ctypes.data == layers.get_parameter("0.weight").data_ptr()


@pytest.mark.parametrize("kind", ["tiles", "network"])
def test_prediction_finds_the_values(kind: str) -> None:
    """Features that tell all states apart make semi-gradient TD(0) tabular TD(0)."""
    walk = RandomWalkEnv()
    truth = np.arange(1, 6) / 6
    if kind == "tiles":
        features: Any = TileCoder(0, 7, 7, tilings=1)
        result = semi_gradient_td(walk, features, 600, lambda k: 0.2 / (1 + k / 50))
        found = [result.function(state)[0] for state in range(1, 6)]
    else:
        features = nn.Linear(7, 1, bias=False)
        nn.init.zeros_(features.weight)
        result = semi_gradient_td(OneHot(walk), features, 600, lambda k: 0.2 / (1 + k / 50))
        found = [result.function(row)[0] for row in np.eye(7)[1:6]]
    np.testing.assert_allclose(found, truth, atol=0.08)
    left = semi_gradient_td(walk, TileCoder(0, 7, 7, 1), 30, policy=lambda observation: np.array([1.0, 0.0]))
    assert not left.episode_returns.any() and set(left.episode_lengths) == {3}


def test_both_kinds_of_function_are_the_same_method() -> None:
    walk = RandomWalkEnv()
    tiles = semi_gradient_td(walk, TileCoder(0, 7, 7, 1), 50, 0.1)
    layer = nn.Linear(7, 1, bias=False)
    nn.init.zeros_(layer.weight)
    linear = semi_gradient_td(OneHot(walk), layer, 50, 0.1)
    assert np.array_equal(tiles.episode_lengths, linear.episode_lengths)
    np.testing.assert_allclose(
        [tiles.function(state)[0] for state in range(7)], [linear.function(row)[0] for row in np.eye(7)], atol=1e-5
    )


def test_weights_move_up_the_gradient() -> None:
    """Erratum D-16: as printed, w <- w - step_size * error * grad, and the estimate runs away from its target."""
    reward, step_size, printed = 1.0, 0.1, 0.0
    for _ in range(50):
        printed = printed - step_size * (reward - printed)
    assert printed < -100
    mdp = MDP([[[0, 1], [0, 1]]], [[reward], [0.0]], terminal=[False, True])
    env = FiniteSingle(mdp=mdp)
    coder = TileCoder(0, 2, 2, tilings=1)
    for method in (semi_gradient_td, semi_gradient_sarsa, semi_gradient_q_learning):
        result = method(env, coder, 50, step_size)
        assert result.function(0)[0] == pytest.approx(reward * (1 - 0.9**50))  # a terminal target is the reward
    cut = FiniteSingle(mdp=MDP([np.eye(1)], [[1.0]]), max_episode_steps=4)
    for method in (semi_gradient_td, semi_gradient_sarsa, semi_gradient_q_learning):
        result = method(cut, TileCoder(0, 1, 1, 1), 300, 0.1, discount=0.9)
        assert result.function(0)[0] == pytest.approx(10, rel=0.01)  # beyond a cut it goes on


def test_figure_10_1_mountain_car() -> None:
    env = MountainCarEnv(max_episode_steps=None)
    coder = TileCoder(env.observation_space.low, env.observation_space.high, 8, 8)  # type: ignore[attr-defined]
    for method in (semi_gradient_sarsa, semi_gradient_q_learning):
        lengths = method(env, coder, 150, 0.5 / 8, 0.0).episode_lengths
        assert 500 < lengths[:3].mean() < 3000  # nothing is known, optimistic values explore
        assert 110 < lengths[50:100].mean() < 200 and 110 < lengths[100:].mean() < 175
    assert 110 < semi_gradient_sarsa(env, coder, 100, 0.5 / 8, 0.0, seed=1).episode_lengths[-50:].mean() < 200


def test_control_with_a_network() -> None:
    """From the middle of a walk right pays 1 and left nothing."""
    env = OneHot(RandomWalkEnv(max_episode_steps=50))
    for method in (semi_gradient_sarsa, semi_gradient_q_learning):
        result = method(env, network(7, 2), 150, 0.1, 0.1, 0.9)
        assert all(result.function(row).argmax() == 1 for row in np.eye(7)[1:6])
        exact = evaluate_policy(env.unwrapped.mdp, np.ones(7, int), 0.9).values  # type: ignore[attr-defined]
        assert result.function(np.eye(7)[5])[1] == pytest.approx(exact[5], abs=0.1)


@pytest.mark.parametrize("kind", ["tiles", "network"])
def test_a_killed_run_continues_to_the_same_bits(kind: str, tmp_path: Any) -> None:
    def train(folder: Any, resume: bool, stop: int | None = None) -> Any:
        env = MountainCarEnv(max_episode_steps=30)
        low, high = env.observation_space.low, env.observation_space.high  # type: ignore[attr-defined]
        features = TileCoder(low, high, 4, 4) if kind == "tiles" else network(2, 3)
        settings: dict[str, Any] = dict(algorithm="x", preset="default", config={}, total=20, progress=False)
        run = Run.resume(folder, progress=False) if resume else Run.create(folder, **settings)
        log = run.log

        def dying_log(step: int, metrics: Any) -> None:
            if step == stop:
                raise KeyboardInterrupt
            log(step, metrics)

        run.log = dying_log  # type: ignore[method-assign]
        with run:
            return semi_gradient_sarsa(env, features, 20, 0.05, 0.1, seed=2, session=Session(run, 4))

    expected = train(tmp_path / "whole", False)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", False, stop=11)
    continued = train(tmp_path / "killed", True)
    for name, weights in expected.function.weights.items():
        assert np.array_equal(weights, continued.function.weights[name])
    assert np.array_equal(expected.episode_returns, continued.episode_returns)
    assert (tmp_path / "whole" / "metrics.jsonl").read_bytes() == (tmp_path / "killed" / "metrics.jsonl").read_bytes()


def test_bad_input() -> None:
    with pytest.raises(UserError, match="give finite bounds"):
        TileCoder([0, -np.inf], [1, 1])
    with pytest.raises(UserError, match="tiles=0"):
        TileCoder(0, 1, 0)
    with pytest.raises(UserError, match="tilings=0"):
        TileCoder(0, 1, 2, 0)
    with pytest.raises(UserError, match="actions numbered from 0"):
        semi_gradient_sarsa("Pendulum-v1", TileCoder(0, 1), 5)
    with pytest.raises(UserError, match="env=3: give an id"):
        semi_gradient_td(3, TileCoder(0, 1), 5)

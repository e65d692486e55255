"""What all tabular methods share: compiled equals interpreted, resuming, schedules, spaces, limits, bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agents.tabular.environment import EPISODE_STEPS, Environment, Indexing
from agents.tabular.learner import Control, Prediction, Session, linear
from agents.tabular.monte_carlo import (
    mc_control,
    mc_exploring_starts,
    mc_off_policy_control,
    mc_off_policy_prediction,
    mc_prediction,
)
from agents.tabular.multi_step import n_step_sarsa, n_step_td_prediction, sarsa_lambda, td_lambda_prediction
from agents.tabular.temporal_difference import (
    double_q_learning,
    expected_sarsa,
    q_learning,
    sarsa,
    td_prediction,
)
from envs.finite import FiniteEnv, FiniteSingle
from envs.mdp import MDP
from supervised.training.errors import UserError
from supervised.training.run import Run

Method = Callable[..., Prediction | Control]

CONTROL: list[Method] = [
    mc_control,
    mc_off_policy_control,
    sarsa,
    expected_sarsa,
    q_learning,
    double_q_learning,
    n_step_sarsa,
    sarsa_lambda,
]
PREDICTION: list[Method] = [mc_prediction, td_prediction, n_step_td_prediction, td_lambda_prediction]
SEVEN = np.full((7, 3), 1 / 3)
SKEWED = np.tile([0.2, 0.5, 0.3], (7, 1))


def seven_states() -> MDP:
    """Random outcomes and noisy rewards, so that every kind of draw is made."""
    rng = np.random.default_rng(0)
    states, actions = np.divmod(np.arange(7 * 3).repeat(3), 3)
    probabilities = rng.dirichlet(np.ones(3), 21).ravel()
    return MDP.from_outcomes(
        (7, 3), states, actions, rng.integers(7, size=63), probabilities, rng.normal(size=63),
        terminal=np.arange(7) == 6, noise=(rng.random(63) < 0.5) * 0.3,
    )  # fmt: skip


def arguments(method: Method) -> tuple[Any, ...]:
    if method is mc_off_policy_prediction:
        return SKEWED, SEVEN
    return (SKEWED,) if method in PREDICTION else ()


@pytest.mark.parametrize("method", [*CONTROL, *PREDICTION, mc_off_policy_prediction], ids=lambda f: f.__name__)
def test_stepping_an_environment_gives_the_numbers_of_the_compiled_loop(method: Method) -> None:
    env = FiniteSingle(mdp=seven_states(), max_episode_steps=12)
    compiled = method(env, *arguments(method), 60, seed=3, discount=0.9)
    stepped = method(gym.Wrapper(env), *arguments(method), 60, seed=3, discount=0.9)  # a wrapper hides the model
    assert Environment(gym.Wrapper(env)).mdp is None and Environment(env).mdp is not None
    for one, other in zip(compiled, stepped, strict=True):
        assert np.array_equal(one, other)
    lengths = compiled.episode_lengths
    assert lengths.max() == 12 and lengths.min() < 12  # some were truncated, some terminated


@pytest.mark.parametrize("method", [*CONTROL, *PREDICTION, mc_exploring_starts], ids=lambda f: f.__name__)
def test_a_killed_run_continues_to_the_same_bits(method: Method, tmp_path: Path) -> None:
    def train(folder: Path, resume: bool, env: Any, stop: int | None = None) -> Any:
        settings: dict[str, Any] = dict(algorithm="x", preset="default", config={}, total=300, progress=False)
        run = Run.resume(folder, progress=False) if resume else Run.create(folder, **settings)
        log, seen = run.log, 0

        def dying_log(step: int, metrics: Any) -> None:
            nonlocal seen
            seen += 1
            if stop is not None and seen > stop:
                raise KeyboardInterrupt
            log(step, metrics)

        run.log = dying_log  # type: ignore[method-assign]
        with run:
            session = Session(run, checkpoint_every=70)
            return method(env, *arguments(method), 300, seed=1, discount=0.9, session=session)

    env = FiniteSingle(mdp=seven_states(), max_episode_steps=12)
    expected = train(tmp_path / "whole", False, env)
    for name, world in {"compiled": env, "stepped": gym.Wrapper(env)}.items():
        if name == "stepped" and method is not q_learning:
            continue
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / name, False, world, stop=20)  # after episode 60, before any checkpoint
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / name, True, world, stop=60)  # past the checkpoint of episode 140
        continued = train(tmp_path / name, True, world)
        for one, other in zip(expected, continued, strict=True):
            assert np.array_equal(one, other)
        metrics = (tmp_path / name / "metrics.jsonl").read_bytes()
        assert metrics == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
        assert len(metrics.splitlines()) == 100
    last = json.loads(metrics.splitlines()[-1])
    assert last["step"] == 300 and last["steps"] == expected.episode_lengths.sum()
    assert last["episode_return"] == pytest.approx(expected.episode_returns[-100:].mean())


def test_schedules() -> None:
    ramp = linear(1.0, 0.2, 5)
    assert [ramp(k) for k in (0, 2, 4, 9)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert linear(1.0, 0.2, 1)(0) == 1.0
    env = FiniteSingle(mdp=seven_states(), max_episode_steps=12)
    constant = q_learning(env, 50, 0.3, 0.2)
    scheduled = q_learning(env, 50, lambda episode: 0.3, lambda episode: 0.2)
    assert np.array_equal(constant.q_values, scheduled.q_values)
    halves = q_learning(env, 50, lambda episode: 0.3 if episode < 25 else 1e-300, 0.2)
    first = q_learning(env, 25, 0.3, 0.2)
    np.testing.assert_allclose(first.q_values, halves.q_values, atol=1e-200)  # it sees the number of the episode


def test_total_steps_stops_after_the_episode_that_reaches_it() -> None:
    env = FiniteSingle(mdp=seven_states(), max_episode_steps=12)
    whole = q_learning(env, 200)
    cut = q_learning(env, 200, session=Session(Run.off(), total_steps=100))
    played = len(cut.episode_lengths)
    assert cut.episode_lengths.sum() >= 100 > cut.episode_lengths[:-1].sum()
    assert np.array_equal(cut.episode_returns, whole.episode_returns[:played])


def test_masks_and_initial_values() -> None:
    allowed = np.array([[True, False], [True, True], [False, False]])
    transitions = np.zeros((2, 3, 3))
    transitions[0] = [[0, 1, 0], [0, 0, 1], [0, 0, 1]]
    transitions[1] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    rewards = [[0.0, 100.0], [1.0, 0.0], [0.0, 0.0]]
    mdp = MDP(transitions, rewards, terminal=[False, False, True], allowed=allowed, start=[1, 0, 0])
    for method in (*CONTROL, mc_exploring_starts):
        result: Any = method(mdp, 200, discount=0.9, initial_value=5.0)
        assert result.q_values[0, 1] == -np.inf and np.isfinite(result.q_values[1]).all()
        assert not result.q_values[2].any()
        assert result.policy.tolist() == [[1, 0], [1, 0], [0, 0]] or method is mc_off_policy_control
        assert (result.episode_returns <= 1).all()  # the reward of 100 is never collected


def test_ties_are_broken_at_random_and_split_in_the_result() -> None:
    mdp = MDP(np.ones((4, 2, 2)) * [[0, 1]], np.zeros((2, 4)), terminal=[False, True])
    result = q_learning(mdp, 4000, epsilon=0.0)
    assert result.policy[0].tolist() == [0.25] * 4
    choice = MDP.from_outcomes(
        (5, 4), np.zeros(4, int), np.arange(4), 1 + np.arange(4), np.ones(4), 1.0 + np.arange(4),
        terminal=np.arange(5) > 0,
    )  # fmt: skip
    rewards = [q_learning(choice, 1, epsilon=0.0, seed=seed).episode_returns[0] for seed in range(30)]
    assert set(rewards) == {1, 2, 3, 4}


def test_foreign_environments() -> None:
    lake = q_learning("FrozenLake-v1", 300, 0.5, 0.2, 0.95)
    assert lake.q_values.shape == (16, 4)
    blackjack = mc_control("Blackjack-v1", 2000, epsilon=0.3)  # a tuple of three numbers
    assert blackjack.q_values.shape == (32 * 11 * 2, 2) and len(blackjack.episode_returns) == 2000
    hand = Indexing(gym.spaces.Tuple([gym.spaces.Discrete(n) for n in (32, 11, 2)]))((20, 10, 0))
    assert blackjack.policy[hand].tolist() == [1, 0]  # stick on 20
    limited = gym.make("Taxi-v3" if "Taxi-v3" in gym.registry else "Taxi-v4", max_episode_steps=7)
    assert q_learning(limited, 3).episode_lengths.tolist() == [7, 7, 7]


def test_which_limit_holds() -> None:
    assert Environment(seven_states()).limit == EPISODE_STEPS
    assert Environment(FiniteEnv(3, mdp=seven_states(), max_episode_steps=9)).limit == 9
    assert Environment("skidpad/RandomWalk-v0").limit == 10_000
    assert Environment("skidpad/RandomWalk-v0", {"max_episode_steps": 5}).limit == 5
    assert Environment(lambda: gym.make("skidpad/RandomWalk-v0", max_episode_steps=6)).limit == 6
    assert Environment(gym.make("FrozenLake-v1")).limit == 100
    endless = MDP([np.eye(1)], [[1.0]])
    assert q_learning(endless, 1, discount=0.9).episode_lengths.tolist() == [EPISODE_STEPS]


def test_a_time_limit_is_not_an_end() -> None:
    """One state that pays 1 for ever, cut after 3 steps: v = 1 / (1 - discount) = 10 all the same."""
    env = FiniteSingle(mdp=MDP([np.eye(1)], [[1.0]]), max_episode_steps=3)
    controls: list[Method] = [sarsa, expected_sarsa, q_learning, double_q_learning, n_step_sarsa, sarsa_lambda]
    for method in controls:
        result: Any = method(env, 2000, discount=0.9)
        assert result.q_values[0, 0] == pytest.approx(10, rel=0.01), method.__name__
    predictions: list[Method] = [td_prediction, n_step_td_prediction, td_lambda_prediction]
    for method in predictions:
        result = method(env, np.ones((1, 1)), 2000, discount=0.9)
        assert result.values[0] == pytest.approx(10, rel=0.01), method.__name__
    # Monte Carlo cannot see beyond the cut: 1 + 0.9 + 0.81
    assert mc_prediction(env, np.ones((1, 1)), 5, 0.9).values[0] == pytest.approx(2.71)


def test_indexing() -> None:
    multi = gym.spaces.MultiDiscrete([3, 4], start=[1, -1])
    index = Indexing(multi)
    points = [index(np.array([a, b])) for a in range(1, 4) for b in range(-1, 3)]
    assert points == list(range(12)) and index.n == 12
    assert Indexing(gym.spaces.Discrete(5, start=3))(7) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: q_learning("CartPole-v1", 5), "discrete observations.*semi-gradient-sarsa.*dqn"),
        (lambda: q_learning("skidpad/Maze-v0x", 5), "did you mean skidpad/Maze-v0"),
        (lambda: q_learning(seven_states(), 0), "episodes=0: choose a positive number"),
        (lambda: q_learning(seven_states(), 5, discount=1.1), "discount=1.1: choose 0 to 1"),
        (lambda: q_learning(seven_states(), 5, step_size=0.0), "step_size=0 in episode 0: choose above 0"),
        (lambda: q_learning(seven_states(), 5, epsilon=lambda k: 2.0 * k), "epsilon=2 in episode 1: choose 0 to 1"),
        (lambda: q_learning(seven_states(), 5, seed=-1), "seed=-1"),
        (lambda: n_step_sarsa(seven_states(), 5, n=0), "n=0: choose a positive number of steps"),
        (lambda: sarsa_lambda(seven_states(), 5, trace_decay=1.5), "trace_decay=1.5"),
        (lambda: sarsa_lambda(seven_states(), 5, traces="replace"), "did you mean replacing"),  # type: ignore[arg-type]
        (lambda: td_prediction(seven_states(), SEVEN[:, :2], 5), r"give \(7, 3\) probabilities"),
        (
            lambda: mc_off_policy_prediction(seven_states(), SEVEN, np.tile([1, 0, 0], (7, 1)), 5),
            "behavior never chooses action 1 in state 0",
        ),
        (lambda: q_learning(3, 5), "env=3: give an id"),
    ],
)
def test_bad_input(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

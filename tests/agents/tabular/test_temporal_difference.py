"""Temporal-difference methods against exact values and Sutton & Barto's examples."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.tabular.dynamic_programming import evaluate_policy, value_iteration
from agents.tabular.monte_carlo import mc_prediction
from agents.tabular.multi_step import n_step_sarsa, n_step_td_prediction, sarsa_lambda, td_lambda_prediction
from agents.tabular.temporal_difference import double_q_learning, expected_sarsa, q_learning, sarsa, td_prediction
from envs.finite import FiniteSingle
from envs.grid.cliff_walking import CliffWalking
from envs.grid.windy_grid_world import WindyGridWorld
from envs.mdp import MDP
from envs.toy.maximization_bias import MaximizationBias
from envs.toy.random_walk import RandomWalk

UNIFORM = np.full((7, 2), 0.5)


def error(values: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Root mean square over the states between both ends."""
    return float(np.sqrt(np.mean((values[1:-1] - truth) ** 2)))


def greedy_path(env: Any, q_values: NDArray[np.float64]) -> int:
    """Steps of the greedy path from the start in a deterministic model; 100 if it does not end."""
    mdp, state, steps = env.mdp, int(env.mdp.start.argmax()), 0
    while not mdp.terminal[state] and steps < 100:
        state = int(mdp.next_states[mdp.offsets[state * mdp.n_actions + q_values[state].argmax()]])
        steps += 1
    return steps


def slippery() -> MDP:
    """Six states, a terminal one, every pair with three outcomes."""
    rng = np.random.default_rng(7)
    transitions = np.zeros((2, 7, 7))
    for action in range(2):
        for state in range(7):
            transitions[action, state, rng.choice(7, 3, replace=False)] = rng.dirichlet(np.ones(3))
    return MDP(transitions, rng.normal(size=(7, 2)), terminal=np.arange(7) == 6)


def test_example_6_2_random_walk() -> None:
    walk, truth = RandomWalk(), np.arange(1, 6) / 6
    np.testing.assert_allclose(evaluate_policy(walk.mdp, UNIFORM, tolerance=1e-10).values[1:6], truth, atol=1e-8)
    seeds = range(60)
    td = [error(td_prediction(walk, UNIFORM, 100, 0.05, seed=s, initial_value=0.5).values, truth) for s in seeds]
    mc = [
        error(mc_prediction(walk, UNIFORM, 100, first_visit=False, step_size=0.03, seed=s).values, truth) for s in seeds
    ]
    # the figure shows about 0.04 and 0.09; the mean of 60 runs is known within 0.004
    assert 0.03 < np.mean(td) < 0.045 and 0.08 < np.mean(mc) < 0.115


@pytest.mark.parametrize("trace_decay", [None, 0.0, 0.8])
@pytest.mark.parametrize("n", [1, 5])
def test_predictions_converge_to_the_solution(trace_decay: float | None, n: int) -> None:
    mdp = slippery()
    truth = evaluate_policy(mdp, UNIFORM, 0.9, 1e-10).values
    step_size = lambda episode: 0.5 / (1 + episode / 100)  # noqa: E731
    if trace_decay is not None:
        traces: Any = "accumulating" if n == 1 else "replacing"
        options = dict(trace_decay=trace_decay, traces=traces)
        result = td_lambda_prediction(mdp, UNIFORM, 200_000, step_size, 0.9, **options)
    elif n == 1:
        result = td_prediction(mdp, UNIFORM, 200_000, step_size, 0.9)
    else:
        result = n_step_td_prediction(mdp, UNIFORM, 200_000, step_size, 0.9, n=n)
    np.testing.assert_allclose(result.values, truth, atol=0.06)
    assert result.values[6] == 0


@pytest.mark.parametrize("method", [sarsa, expected_sarsa, q_learning, double_q_learning, n_step_sarsa, sarsa_lambda])
def test_controls_converge_to_the_optimum(method: Any) -> None:
    mdp = slippery()
    best = value_iteration(mdp, 0.8, 1e-10)
    step_size = lambda episode: 0.5 / (1 + episode / 500)  # noqa: E731
    epsilon = lambda episode: 1 / (1 + episode / 300)  # noqa: E731
    result = method(mdp, 60_000, step_size, epsilon, 0.8)
    np.testing.assert_allclose(result.q_values.max(axis=1), best.values, atol=0.15)
    assert np.array_equal(result.policy[:6], best.policy[:6])


def test_sarsa_learns_the_value_of_the_policy_it_follows() -> None:
    """With a fixed epsilon Sarsa and expected Sarsa settle on q of the epsilon-greedy policy, Q-learning on q*."""
    mdp, epsilon = slippery(), 0.5
    step_size = lambda episode: 0.5 / (1 + episode / 500)  # noqa: E731
    for method in (sarsa, expected_sarsa):
        result = method(mdp, 60_000, step_size, epsilon, 0.8)
        followed = (1 - epsilon) * result.policy + epsilon / 2
        np.testing.assert_allclose(
            (followed * result.q_values).sum(axis=1), evaluate_policy(mdp, followed, 0.8).values, atol=0.1
        )
    best = value_iteration(mdp, 0.8, 1e-10).values
    result = q_learning(mdp, 60_000, step_size, epsilon, 0.8)
    np.testing.assert_allclose(result.q_values.max(axis=1), best, atol=0.1)


def test_example_6_5_windy_grid_world() -> None:
    wind = WindyGridWorld()
    for seed in range(3):
        run = sarsa(wind, 170, 0.5, 0.1, seed=seed)
        assert 6_500 < run.episode_lengths.sum() < 10_000  # the figure: 170 episodes in 8,000 steps
        decaying = sarsa(wind, 2000, lambda k: 0.5 / (1 + k / 200), lambda k: 1 / (1 + k), seed=seed)
        assert greedy_path(wind, decaying.q_values) == 15


def test_example_6_6_cliff_walking() -> None:
    cliff = CliffWalking()
    online = {method: [] for method in (sarsa, q_learning)}  # type: ignore[var-annotated]
    for seed in range(10):
        for method, returns in online.items():
            result = method(cliff, 500, 0.5, 0.1, seed=seed)
            returns.append(result.episode_returns[-300:].mean())
            if method is q_learning:
                assert greedy_path(cliff, result.q_values) == 13  # along the edge, and optimal
    assert -35 < np.mean(online[sarsa]) < -20  # the figure: about -25 and -50
    assert -62 < np.mean(online[q_learning]) < -40
    assert (np.array(online[sarsa]) > np.array(online[q_learning])).all()
    safe = expected_sarsa(cliff, 500, 0.5, 0.1)
    assert greedy_path(cliff, safe.q_values) > 13


def test_example_6_7_maximization_bias() -> None:
    env = MaximizationBias()
    chosen = {}
    for method in (q_learning, double_q_learning):
        lengths = np.array([method(env, 300, 0.1, 0.1, seed=seed).episode_lengths for seed in range(1500)])
        chosen[method] = (lengths == 2).mean(axis=0)  # share of runs that went left, where B waits
    assert chosen[q_learning].max() > 0.85 and chosen[double_q_learning].max() < 0.62
    assert chosen[q_learning][10:40].mean() > chosen[double_q_learning][10:40].mean() + 0.3
    late = {method: shares[-20:].mean() for method, shares in chosen.items()}
    assert 0.05 < late[double_q_learning] < 0.09 < late[q_learning] < 0.16  # 5 % would be optimal


def test_example_7_1_n_step_returns() -> None:
    walk = RandomWalk(states=19, left_reward=-1.0)
    truth, policy = np.arange(-9, 10) / 10, np.full((21, 2), 0.5)

    def average(n: int, step_size: float) -> float:
        """RMS error over the first ten episodes, as in figure 7.2."""
        runs = [
            error(n_step_td_prediction(walk, policy, k, step_size, seed=s, n=n).values, truth)
            for s in range(20)
            for k in range(1, 11)
        ]
        return float(np.mean(runs))

    errors = {n: average(n, step_size) for n, step_size in ((1, 0.8), (4, 0.4), (64, 0.1), (512, 0.1))}
    assert 0.25 < errors[4] < 0.30  # the figure's best
    assert errors[1] > errors[4] + 0.04 and errors[64] > errors[4] + 0.1 and errors[512] > 0.5


def test_special_cases_agree() -> None:
    mdp, walk = slippery(), RandomWalk()
    one = td_prediction(mdp, UNIFORM, 200, 0.1, 0.9)
    assert np.array_equal(one.values, n_step_td_prediction(mdp, UNIFORM, 200, 0.1, 0.9, n=1).values)
    np.testing.assert_allclose(
        one.values, td_lambda_prediction(mdp, UNIFORM, 200, 0.1, 0.9, trace_decay=0.0).values, rtol=1e-9
    )
    taken = sarsa(mdp, 200, 0.1, 0.1, 0.9)
    assert np.array_equal(taken.q_values, n_step_sarsa(mdp, 200, 0.1, 0.1, 0.9, n=1).q_values)
    np.testing.assert_allclose(
        taken.q_values, sarsa_lambda(mdp, 200, 0.1, 0.1, 0.9, trace_decay=0.0).q_values, rtol=1e-9
    )
    # with n beyond the end and one episode, n-step TD is constant-step Monte Carlo; so is lambda = 1 offline
    long = n_step_td_prediction(walk, UNIFORM, 1, 1.0, n=1000, initial_value=0.3)
    visited = long.values[1:6] != 0.3
    assert set(np.round(long.values[1:6][visited], 9)) <= {0.0, 1.0}


@pytest.mark.parametrize("traces", ["accumulating", "replacing", "dutch"])
def test_traces(traces: Any) -> None:
    """State 0 returns to itself with reward 0, 1, 2, ... in turn: its trace can be worked out by hand."""
    discount, trace_decay, step_size = 0.9, 0.5, 0.1
    transitions = np.zeros((1, 4, 4))
    transitions[0, [0, 1, 2, 3], [1, 0, 3, 3]] = 1  # 0 -> 1 -> 0 -> ...
    env = FiniteSingle(
        mdp=MDP(transitions, [[1.0], [2.0], [0.0], [0.0]], terminal=np.arange(4) == 3, start=[1, 0, 0, 0]),
        max_episode_steps=5,
    )
    values, trace = np.zeros(4), np.zeros(4)
    for step in range(5):
        state, following = step % 2, (step + 1) % 2
        trace *= discount * trace_decay
        old = trace[state]
        trace[state] = {"accumulating": old + 1, "replacing": 1, "dutch": (1 - step_size) * old + 1}[traces]
        values += step_size * (1.0 + state + discount * values[following] - values[state]) * trace
    result = td_lambda_prediction(env, np.ones((4, 1)), 1, step_size, discount, trace_decay=trace_decay, traces=traces)
    np.testing.assert_allclose(result.values, values, rtol=1e-12)


def test_q_learning_chooses_after_the_update() -> None:
    """Erratum D-13: action 0 stays and costs 1, so after one try of it the other action, still at 0, is better."""
    mdp = MDP([np.eye(2), [[0, 1], [0, 1]]], [[-1.0, 0.0], [0.0, 0.0]], terminal=[False, True])

    def printed(rng: np.random.Generator) -> int:
        """The book's order: the next action is chosen before the update and carried over."""
        q, steps = np.zeros(2), 0
        action = rng.choice(np.flatnonzero(q == q.max()))
        while action == 0:
            steps += 1
            following = rng.choice(np.flatnonzero(q == q.max()))
            q[0] += 1.0 * (-1 + q.max() - q[0])
            action = following
        return steps + 1

    ours = [q_learning(mdp, 1, 1.0, 0.0, seed=seed).episode_lengths[0] for seed in range(60)]
    assert set(ours) == {1, 2}
    assert max(printed(np.random.default_rng(seed)) for seed in range(60)) > 2

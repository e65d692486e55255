"""Monte Carlo methods against exact values, Sutton & Barto's examples, and the book's printed forms."""

import numpy as np
import pytest

from agents.tabular.actions import epsilon_greedy
from agents.tabular.dynamic_programming import evaluate_policy, value_iteration
from agents.tabular.monte_carlo import (
    mc_control,
    mc_exploring_starts,
    mc_off_policy_control,
    mc_off_policy_prediction,
    mc_prediction,
)
from envs import rng as lane_rng
from envs.finite import FiniteSingle
from envs.mdp import MDP
from envs.toy.blackjack import OVER, Blackjack, decode, encode

STICK, HIT = 0, 1
PLAYER, DEALER, ACE = decode(np.arange(OVER))
BLACKJACK = Blackjack()
STICK_ON_20 = np.append(np.where(PLAYER >= 20, STICK, HIT), STICK)


def start_value(policy: np.ndarray) -> float:
    """Expected return of a hand."""
    return float(evaluate_policy(BLACKJACK.mdp, policy).values @ BLACKJACK.mdp.start)


def corridor(*rewards: float) -> MDP:
    """States in a row, one action, the last one terminal."""
    n = len(rewards) + 1
    transition = np.eye(n, k=1)
    transition[-1, -1] = 1
    return MDP([transition], [[reward] for reward in (*rewards, 0.0)], np.arange(n) == n - 1, start=np.eye(n)[0])


def two_arms() -> MDP:
    """One decision: arm 0 pays nothing, arm 1 pays 1."""
    to_the_end = [[0.0, 1.0], [0.0, 1.0]]
    return MDP([to_the_end, to_the_end], [[0.0, 1.0], [0.0, 0.0]], terminal=[False, True])


@pytest.mark.parametrize("first_visit", [True, False])
def test_example_5_1_blackjack(first_visit: bool) -> None:
    exact = evaluate_policy(BLACKJACK.mdp, STICK_ON_20).values
    assert exact[encode(13, 2, 1)] == pytest.approx(-0.27726, abs=3e-4)  # example 5.4, itself sampled
    result = mc_prediction(BLACKJACK, STICK_ON_20, 400_000, first_visit=first_visit)
    visits = PLAYER >= 12  # below, a hand rarely starts
    off = np.abs(result.values - exact)[:OVER]
    assert off[visits & (ACE == 0)].max() < 0.06 and off[visits].mean() < 0.03
    assert result.values[encode(21, 10, 1)] == pytest.approx(exact[encode(21, 10, 1)], abs=0.02)


def test_example_5_3_exploring_starts() -> None:
    best = value_iteration(BLACKJACK.mdp)
    result = mc_exploring_starts(BLACKJACK, 400_000)
    assert start_value(result.policy) > best.values @ BLACKJACK.mdp.start - 0.002
    shown = (PLAYER >= 12) & (PLAYER <= 20)
    different = (result.policy[:OVER].argmax(axis=1) != best.policy[:OVER].argmax(axis=1)) & shown
    gap = np.abs(np.diff(result.q_values[:OVER], axis=1))[:, 0]
    assert different.sum() <= 8 and (gap[different] < 0.06).all()  # only where both actions are about as good


def test_epsilon_soft_and_off_policy_control() -> None:
    best = float(value_iteration(BLACKJACK.mdp).values @ BLACKJACK.mdp.start)
    assert best == pytest.approx(-0.0466, abs=0.0005)
    for result in (mc_control(BLACKJACK, 300_000), mc_off_policy_control(BLACKJACK, 300_000, 0.3)):
        assert start_value(result.policy) > best - 0.006


def test_off_policy_prediction() -> None:
    exact = evaluate_policy(BLACKJACK.mdp, STICK_ON_20).values
    random = np.full((OVER + 1, 2), 0.5)
    result = mc_off_policy_prediction(BLACKJACK, STICK_ON_20, random, 300_000)
    states = encode([20, 19, 13, 21], [10, 10, 2, 1], [0, 0, 0, 1])
    np.testing.assert_allclose(result.values[states], exact[states], atol=0.07)
    assert np.abs(mc_prediction(BLACKJACK, random, 300_000).values - exact)[states].max() > 0.3  # the behavior's own


def test_example_5_5_weighted_sampling_where_ordinary_sampling_fails() -> None:
    back = [[0.9, 0.1], [0.0, 1.0]]
    away = [[0.0, 1.0], [0.0, 1.0]]
    rewards = np.zeros((2, 2, 2))
    rewards[0, 0, 1] = 1
    mdp = MDP([back, away], rewards, terminal=[False, True])
    result = mc_off_policy_prediction(mdp, np.array([0, 0]), np.full((2, 2), 0.5), 3000)
    assert result.values[0] == pytest.approx(1.0, abs=1e-12)


def test_first_and_every_visit() -> None:
    """Exercise 5.5: one state that pays 1 and repeats itself; after T steps the estimates are T and (T + 1) / 2."""
    mdp = MDP([[[0.9, 0.1], [0, 1]]], [[1.0], [0.0]], terminal=[False, True])
    for seed in range(5):
        first = mc_prediction(mdp, np.ones((2, 1)), 1, seed=seed)
        every = mc_prediction(mdp, np.ones((2, 1)), 1, first_visit=False, seed=seed)
        length = first.episode_lengths[0]
        assert (first.values[0], every.values[0]) == (length, pytest.approx((length + 1) / 2))
        assert first.episode_returns[0] == length
    long = mc_prediction(mdp, np.ones((2, 1)), 20_000)
    assert long.episode_lengths.max() > 64 and long.values[0] == pytest.approx(10, abs=0.3)


def test_step_sizes() -> None:
    """Returns of 1 and no average: after k episodes a constant step size leaves (1 - step_size)^k of the start."""
    mdp = corridor(1.0)
    assert mc_prediction(mdp, np.ones((2, 1)), 3, step_size=0.5).values[0] == 1 - 0.5**3
    assert mc_prediction(mdp, np.ones((2, 1)), 3).values[0] == 1
    assert mc_control(mdp, 2, 0.25, initial_value=5.0).q_values[0, 0] == 1 + 4 * 0.75**2


def test_the_return_is_discounted_backwards() -> None:
    """Erratum D-7: as printed, G <- G + discount r, which weighs every reward alike."""
    rewards, discount = [1.0, 2.0, 4.0], 0.5
    printed: list[float] = []
    g = 0.0
    for reward in reversed(rewards):
        g = g + discount * reward
        printed.insert(0, g)
    exact = evaluate_policy(corridor(*rewards), np.ones((4, 1)), discount).values
    assert exact.tolist() == [3.0, 4.0, 4.0, 0.0] and printed == [3.5, 3.0, 2.0]
    assert mc_prediction(corridor(*rewards), np.ones((4, 1)), 1, discount).values.tolist() == exact.tolist()
    assert mc_control(corridor(*rewards), 1, discount=discount).q_values[:, 0].tolist() == exact.tolist()


def test_exploring_starts_explore() -> None:
    """Erratum D-8: as printed, episodes follow the greedy policy from their first action on."""
    q, counts, policy = np.zeros(2), np.zeros(2), 0
    for _ in range(100):
        action = policy  # "generate an episode, following the policy"
        counts[action] += 1
        q[action] += ((1.0 if action == 1 else 0.0) - q[action]) / counts[action]
        policy = int(q.argmax())
    assert policy == 0 and counts[1] == 0
    result = mc_exploring_starts(two_arms(), 100)
    assert result.policy[0].tolist() == [0, 1]
    # two states that nothing leads to, in the second of which no episode begins by itself
    apart = MDP([np.eye(3)], np.zeros((3, 1)), terminal=[False, False, True], start=[1, 0, 0])
    env = FiniteSingle(mdp=apart, max_episode_steps=2)
    assert 9.0 in mc_exploring_starts(env, 1, initial_value=9.0).q_values
    assert not mc_exploring_starts(env, 60, initial_value=9.0).q_values.any()


def test_probability_of_the_greedy_action() -> None:
    """Erratum D-9: as printed in the text it is 1 - epsilon - epsilon / actions."""
    row = np.zeros((1, lane_rng.STATE_WORDS), np.uint64)
    lane_rng.seed_rows(row, [0])
    q_values, allowed, epsilon = np.array([[0.0, 1.0, 0.0, 0.0]]), np.ones((1, 4), np.bool_), 0.4
    drawn = [epsilon_greedy(q_values, allowed, 0, epsilon, row[0]) for _ in range(20_000)]
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, [0.1, 0.7, 0.1, 0.1], atol=0.015)
    assert abs(shares[1] - (1 - epsilon - epsilon / 4)) > 0.15


def test_control_learns_action_values() -> None:
    """Erratum D-10: as printed, the returns are stored, but q is never set to their average."""
    rng, q = np.random.default_rng(0), np.zeros(2)
    returns: list[list[float]] = [[], []]
    for _ in range(100):
        action = int(q.argmax()) if rng.random() > 0.1 else int(rng.integers(2))
        returns[action].append(float(action == 1))
    assert np.mean(returns[1]) == 1 and q.argmax() == 0  # the better arm was seen, and is not chosen
    assert mc_control(two_arms(), 100).policy[0].tolist() == [0, 1]

"""Finite models: what is refused, the three ways to build one, Gymnasium's tables, sampling."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.finite import FiniteEnv
from envs.mdp import MDP

STATES, ACTIONS = 4, 2
Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]


def random_transitions(seed: int, states: int = STATES, actions: int = ACTIONS) -> np.ndarray:
    """``(actions, states, states)`` with about half of the entries 0."""
    generator = np.random.default_rng(seed)
    weights = generator.random((actions, states, states)) * (generator.random((actions, states, states)) < 0.5)
    weights[:, np.arange(states), generator.integers(states, size=states)] += 0.1
    return weights / weights.sum(axis=2, keepdims=True)


def optimal_values(mdp: MDP, discount: float, sweeps: int = 2000) -> np.ndarray:
    """v(s) = max over a of r(s, a) + discount * sum over s' of P(s' | s, a) v(s')."""
    values = np.zeros(mdp.n_states)
    matrix = mdp.transition_matrix()
    for _ in range(sweeps):
        q_values = mdp.rewards + discount * (matrix @ values).reshape(mdp.rewards.shape)
        values = np.where(mdp.terminal, 0, np.where(mdp.allowed, q_values, -np.inf).max(axis=1))
    return values


def optimal_values_of_table(table: Table, discount: float, sweeps: int = 2000) -> np.ndarray:
    """The same straight from a table of Gymnasium's: what follows a transition that ends is worth nothing."""
    columns = zip(*((s, a, *outcome) for s in table for a in table[s] for outcome in table[s][a]), strict=True)
    states, actions, probabilities, next_states, rewards, ends = map(np.array, columns)
    values = np.zeros(len(table))
    for _ in range(sweeps):
        q_values = np.zeros((len(table), len(table[0])))
        targets = probabilities * (rewards + discount * values[next_states] * ~ends)
        np.add.at(q_values, (states, actions), targets)
        values = q_values.max(axis=1)
    return values


def assert_same_model(one: MDP, other: MDP) -> None:
    for name in ("offsets", "next_states", "probabilities", "outcome_rewards", "terminal", "allowed", "start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.rewards, other.rewards, rtol=1e-15)


# What is refused.


def test_rows_that_do_not_sum_to_one_are_named() -> None:
    transitions = random_transitions(0)
    transitions[1, 2] *= 0.5
    with pytest.raises(ValueError, match=r"must sum to 1, but do not for \(state 2, action 1\): 0.5$"):
        MDP(transitions, np.zeros((STATES, ACTIONS)))
    MDP(transitions, np.zeros((STATES, ACTIONS)), terminal=np.arange(STATES) == 2)  # rows of ends are not read
    with pytest.raises(ValueError, match=r"\(state 0, action 0\): 0.*\(state 2, action 0\): 0 and 3 more"):
        MDP(0 * transitions, np.zeros((STATES, ACTIONS)))


def test_rows_of_actions_that_are_not_allowed_may_be_empty() -> None:
    transitions = random_transitions(0)
    transitions[1, 2] = 0
    allowed = np.ones((STATES, ACTIONS), np.bool_)
    allowed[2, 1] = False
    mdp = MDP(transitions, np.ones((STATES, ACTIONS)), allowed=allowed)
    assert mdp.rewards[2, 1] == 0
    env = FiniteEnv(1, mdp=mdp)
    env.reset(seed=0, options={"state": 2})
    observations, rewards, terminated, _, _ = env.step(np.array([1]))
    assert (observations[0], rewards[0], terminated[0]) == (2, 0, False)
    transitions[1, 2, 0] = 0.25
    with pytest.raises(ValueError, match=r"\(state 2, action 1\): 0.25"):
        MDP(transitions, np.ones((STATES, ACTIONS)), allowed=allowed)


GOOD = random_transitions(0)
FREE = np.zeros((STATES, ACTIONS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD[0], FREE), r"transitions have shape \(4, 4\): give \(actions, states, states\)"),
        ((GOOD[:, :3], FREE), r"transitions of action 0 have shape \(3, 4\): give \(3, 3\)"),
        (
            ([scipy.sparse.csr_array(GOOD[0]), scipy.sparse.csr_array(GOOD[1][:3, :3])], FREE),
            r"transitions of action 1 have shape \(3, 3\): give \(4, 4\)",
        ),
        ((GOOD, FREE.T), r"rewards have shape \(2, 4\): give \(4, 2\) or \(2, 4, 4\)"),
        ((GOOD, np.full((STATES, ACTIONS), np.nan)), "must be finite"),
        ((GOOD, np.full((STATES, ACTIONS), np.inf)), "must be finite"),
        ((np.where(GOOD > 0, np.nan, 0), FREE), "must be finite"),
        ((np.array([[[1.5, -0.5], [0, 1]]]), np.zeros((2, 1))), "probability -0.5: give numbers from 0 to 1"),
        ((GOOD, FREE, np.zeros(3, np.bool_)), r"terminal has shape \(3,\) and type bool: give \(4,\) bool"),
        ((GOOD, FREE, np.zeros(STATES)), "terminal has shape .* type float64"),
        ((GOOD, FREE, None, np.ones(STATES, np.bool_)), r"allowed has shape \(4,\) .*: give \(4, 2\) bool"),
        ((GOOD, FREE, None, FREE == np.array([[0], [0], [1], [0]])), "state 2 allows no action"),
        ((GOOD, FREE, np.ones(STATES, np.bool_)), "every state is terminal"),
        ((GOOD, FREE, None, None, [0.5, 0.4, 0, 0]), r"start of shape \(4,\) sums to 0.9"),
        ((GOOD, FREE, None, None, [1.0]), r"give \(4,\) summing to 1"),
        ((GOOD, FREE, None, None, [1.5, -0.5, 0, 0]), "start of shape"),
        ((GOOD, FREE, None, None, [np.nan, 0, 0, 0]), "start of shape"),
        ((GOOD, FREE, np.arange(STATES) == 1, None, [0.5, 0.5, 0, 0]), "start has state 1, which is terminal"),
    ],
)
def test_models_that_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        MDP(*arguments)
    assert "\n" not in str(caught.value)


# Three ways to the same model.


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_dense_sparse_and_outcomes_are_one(seed: int, states: int, actions: int) -> None:
    generator = np.random.default_rng(seed)
    transitions = random_transitions(seed, states, actions)
    rewards = generator.normal(size=transitions.shape)
    terminal = np.arange(states) == generator.integers(states)
    dense = MDP(transitions, rewards, terminal)
    assert_same_model(MDP([scipy.sparse.csr_matrix(matrix) for matrix in transitions], rewards, terminal), dense)
    assert_same_model(MDP([scipy.sparse.coo_array(matrix) for matrix in transitions], rewards, terminal), dense)
    triples = np.argwhere(transitions)
    action, state, next_state = triples.T
    listed = MDP.from_outcomes(
        (states, actions),
        state,
        action,
        next_state,
        transitions[action, state, next_state],
        rewards[action, state, next_state],
        terminal=terminal,
    )
    assert_same_model(listed, dense)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_expected_rewards(seed: int) -> None:
    transitions = random_transitions(seed)
    rewards = np.random.default_rng(seed).normal(size=transitions.shape)
    by_transition = MDP(transitions, rewards)
    expected = np.einsum("aij,aij->ia", transitions, rewards)
    np.testing.assert_allclose(by_transition.rewards, expected, atol=1e-14)
    by_pair = MDP(transitions, expected)
    np.testing.assert_allclose(by_pair.rewards, expected, atol=1e-14)
    np.testing.assert_allclose(optimal_values(by_pair, 0.9, 300), optimal_values(by_transition, 0.9, 300), atol=1e-10)


def test_outcomes_in_any_order_and_more_than_one_reward() -> None:
    # state 0: 1/4 to 1 for 8, 1/2 to 1 for 0, 1/4 back for -4; given backwards
    rows = [(1, 0, 1, 1.0, 1.0), (0, 0, 1, 0.5, 0.0), (0, 0, 0, 0.25, -4.0), (0, 0, 1, 0.25, 8.0)]
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    mdp = MDP.from_outcomes((2, 1), *columns)
    np.testing.assert_array_equal(mdp.offsets, [0, 3, 4])
    np.testing.assert_allclose(mdp.rewards, [[1.0], [1.0]])
    np.testing.assert_allclose(mdp.transition_matrix().toarray(), [[0.25, 0.75], [0, 1]])


def test_masks_are_copied() -> None:
    terminal, allowed = np.zeros(STATES, np.bool_), np.ones((STATES, ACTIONS), np.bool_)
    mdp = MDP(GOOD, FREE, terminal, allowed)
    terminal[:], allowed[:] = True, False
    assert not mdp.terminal.any() and mdp.allowed.all()


# Gymnasium's tables.


@pytest.mark.parametrize(
    ("env_id", "keywords", "discount"),
    [
        ("FrozenLake-v1", {"is_slippery": True}, 0.99),
        ("FrozenLake-v1", {"is_slippery": False}, 0.99),
        ("FrozenLake8x8-v1", {"is_slippery": True}, 0.99),
        ("Taxi-v4", {}, 0.95),
        ("CliffWalking-v1", {}, 0.99),
        ("CliffWalking-v1", {"is_slippery": True}, 0.99),
    ],
)
def test_optimal_values_of_gymnasiums_tables(env_id: str, keywords: dict[str, Any], discount: float) -> None:
    table = gym.make(env_id, **keywords).unwrapped.P
    mdp = MDP.from_toy_text(table)
    going_on = ~mdp.terminal[: len(table)]
    assert 0 < going_on.sum()
    expected = optimal_values_of_table(table, discount)
    np.testing.assert_allclose(optimal_values(mdp, discount)[: len(table)][going_on], expected[going_on], atol=1e-6)


def test_known_values_of_gymnasiums_tables() -> None:
    lake = MDP.from_toy_text(gym.make("FrozenLake-v1", is_slippery=True).unwrapped.P)
    assert lake.n_states == 16 and np.flatnonzero(lake.terminal).tolist() == [5, 7, 11, 12, 15]
    assert optimal_values(lake, 1.0, 5000)[0] == pytest.approx(14 / 17, abs=1e-9)  # the best chance to arrive
    dry = MDP.from_toy_text(gym.make("FrozenLake-v1", is_slippery=False).unwrapped.P)
    assert optimal_values(dry, 0.9, 100)[0] == pytest.approx(0.9**5)  # six steps, the last one pays
    cliff = MDP.from_toy_text(gym.make("CliffWalking-v1").unwrapped.P)
    assert np.flatnonzero(cliff.terminal).tolist() == [47]
    assert optimal_values(cliff, 1.0, 100)[36] == -13  # up, eleven to the right, down


def test_a_state_that_ends_only_sometimes_is_kept() -> None:
    # 0 --end--> 1, 2 --> 1 without an end, and 1 --> 3 for 10: from 2 this is worth 10, from 0 it is not
    table: Table = {
        0: {0: [(1.0, 1, 1.0, True)]},
        1: {0: [(1.0, 3, 10.0, True)]},
        2: {0: [(0.5, 1, 0.0, False), (0.5, 2, 0.0, False)]},
        3: {0: [(1.0, 3, 0.0, True)]},
    }
    mdp = MDP.from_toy_text(table)
    assert mdp.n_states == 5
    np.testing.assert_array_equal(mdp.terminal, [False, False, False, True, True])
    np.testing.assert_allclose(optimal_values(mdp, 1.0), [1, 10, 10, 0, 0])


def test_a_state_entered_from_one_that_ends_only_sometimes() -> None:
    # as above, but 1 goes on to 3, which 4 reaches with an end: the steps of 1 and of 3 count, too
    table: Table = {
        0: {0: [(1.0, 1, 1.0, True)]},
        1: {0: [(1.0, 3, 10.0, False)]},
        2: {0: [(1.0, 1, 0.0, False)]},
        3: {0: [(1.0, 5, 100.0, True)]},
        4: {0: [(1.0, 3, 5.0, True)]},
        5: {0: [(1.0, 5, 0.0, False)]},  # an end whose own step back to itself carries no flag
    }
    mdp = MDP.from_toy_text(table)
    np.testing.assert_array_equal(mdp.terminal, [False, False, False, False, False, True, True])
    np.testing.assert_allclose(optimal_values(mdp, 1.0)[:5], [1, 110, 110, 100, 5])


def test_a_table_without_an_end() -> None:
    mdp = MDP.from_toy_text({0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: [(0.0, 1, 9.0, True), (1.0, 0, 0.0, False)]}})
    assert mdp.n_states == 2 and not mdp.terminal.any()
    np.testing.assert_allclose(optimal_values(mdp, 0.5), [4 / 3, 2 / 3])


# Sampling.


LANES = 20_000


def next_states_of(mdp: MDP, state: int, action: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    env = FiniteEnv(LANES, mdp=mdp, autoreset_mode="Disabled")
    env.reset(seed=0, options={"state": state})
    observations, rewards, terminated, _, _ = env.step(np.full(LANES, action))
    return observations, rewards, terminated


@pytest.mark.parametrize(("seed", "states"), [(0, 4), (1, 7), (2, 17), (3, 18), (4, 60)])
def test_steps_follow_the_model(seed: int, states: int) -> None:
    transitions = random_transitions(seed, states)
    rewards = np.random.default_rng(seed).normal(size=transitions.shape)
    terminal = np.arange(states) == states - 1
    mdp = MDP(transitions, rewards, terminal)
    for state in range(3):
        for action in range(ACTIONS):
            reached, received, terminated = next_states_of(mdp, state, action)
            probabilities = transitions[action, state]
            counts = np.bincount(reached, minlength=states)
            possible = probabilities > 0
            assert counts[~possible].sum() == 0
            test = scipy.stats.chisquare(counts[possible], LANES * probabilities[possible])
            assert test.pvalue > 1e-4 or possible.sum() == 1
            np.testing.assert_array_equal(received, rewards[action, state, reached])
            np.testing.assert_array_equal(terminated, terminal[reached])


def test_outcomes_without_probability_never_happen() -> None:
    chances = (0.0, 0.5, 0.0, 0.5)
    rows = [(state, 0, reached, chances[reached], 0.0) for state in range(4) for reached in range(4)]
    mdp = MDP.from_outcomes((4, 1), *(np.array(column) for column in zip(*rows, strict=True)))
    counts = np.bincount(next_states_of(mdp, 0, 0)[0], minlength=4)
    assert counts[0] == counts[2] == 0
    assert abs(counts[1] - LANES / 2) < 5 * np.sqrt(LANES / 4)


def test_noise_is_added_to_the_reward() -> None:
    columns = (np.array([0, 0]), np.array([0, 1]), np.array([1, 1]), np.ones(2), np.array([3.0, 5.0]))
    terminal = np.array([False, True])
    mdp = MDP.from_outcomes((2, 2), *columns, terminal=terminal, noise=np.array([2.0, 0.0]))
    np.testing.assert_array_equal(mdp.rewards[0], [3, 5])
    noisy, exact = next_states_of(mdp, 0, 0)[1], next_states_of(mdp, 0, 1)[1]
    np.testing.assert_array_equal(exact, 5)
    # five standard errors of mean and variance: 2 / sqrt(n) and 4 * sqrt(2 / n)
    assert abs(noisy.mean() - 3) < 5 * 2 / np.sqrt(LANES)
    assert abs(noisy.var() - 4) < 5 * 4 * np.sqrt(2 / LANES)
    assert scipy.stats.kstest((noisy - 3) / 2, "norm").pvalue > 1e-4


def test_episodes_start_as_the_model_says() -> None:
    start = np.array([0.1, 0.0, 0.6, 0.3])
    observations, _ = FiniteEnv(LANES, mdp=MDP(GOOD, FREE, start=start)).reset(seed=1)
    counts = np.bincount(observations, minlength=STATES)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[start > 0], LANES * start[start > 0]).pvalue > 1e-4

    mdp = MDP(GOOD, FREE, terminal=np.arange(STATES) == 0)
    np.testing.assert_allclose(mdp.start, [0, 1 / 3, 1 / 3, 1 / 3])
    counts = np.bincount(FiniteEnv(LANES, mdp=mdp).reset(seed=2)[0], minlength=STATES)
    assert counts[0] == 0
    assert scipy.stats.chisquare(counts[1:]).pvalue > 1e-4


# Matrices of policies.


def test_transition_matrices() -> None:
    terminal = np.arange(STATES) == 3
    mdp = MDP(GOOD, FREE, terminal)
    expected = GOOD.transpose(1, 0, 2) * ~terminal[:, None, None]
    np.testing.assert_allclose(mdp.transition_matrix().toarray(), expected.reshape(STATES * ACTIONS, STATES))
    policy = np.random.default_rng(0).dirichlet(np.ones(ACTIONS), STATES)
    matrix = mdp.transition_matrix(policy).toarray()
    np.testing.assert_allclose(matrix, np.einsum("sa,sat->st", policy, expected), atol=1e-15)
    np.testing.assert_allclose(matrix.sum(axis=1), ~terminal)  # rows sum to 1; an end has no way on


def test_the_uniform_policy_keeps_to_what_is_allowed() -> None:
    allowed = np.array([[True, True], [True, False], [False, True], [False, False]])
    mdp = MDP(GOOD, FREE, np.arange(STATES) == 3, allowed)
    np.testing.assert_array_equal(mdp.uniform_policy(), [[0.5, 0.5], [1, 0], [0, 1], [0, 0]])

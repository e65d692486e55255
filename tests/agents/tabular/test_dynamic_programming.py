"""Dynamic programming against linear solves, published values and a plain NumPy implementation."""

import numba
import numpy as np
import pytest
import scipy.optimize
from numpy.typing import NDArray

from agents.tabular import dynamic_programming, sweeps
from agents.tabular.dynamic_programming import (
    evaluate_policy,
    improve_policy,
    policy_iteration,
    value_iteration,
)
from agents.tabular.policies import checked_policy
from envs.grid.grid_world import SUTTON_BARTO_3_5, GridWorld
from envs.mdp import MDP
from envs.toy.gamblers_problem import GamblersProblem
from envs.toy.jacks_car_rental import JacksCarRental
from supervised.training.errors import UserError

ORDERS: tuple[dynamic_programming.Order, ...] = ("synchronous", "gauss-seidel", "prioritized")


def random_mdp(seed: int, n_states: int = 30, n_actions: int = 4, certain: bool = False) -> MDP:
    """Sparse transitions, masked actions, two terminal states."""
    rng = np.random.default_rng(seed)
    transitions = rng.random((n_actions, n_states, n_states)) * (rng.random((n_actions, n_states, n_states)) < 0.15)
    transitions[np.arange(n_actions)[:, None], np.arange(n_states), rng.integers(n_states, size=n_states)] += 0.5
    if certain:
        transitions = np.eye(n_states)[rng.integers(n_states, size=(n_actions, n_states))]
    transitions /= transitions.sum(axis=2, keepdims=True)
    allowed = rng.random((n_states, n_actions)) < 0.7
    allowed[:, 0] = True
    rewards = rng.normal(size=(n_states, n_actions)) if seed % 2 else rng.integers(-3, 3, (n_states, n_actions))
    return MDP(transitions, rewards, terminal=np.arange(n_states) >= n_states - 2, allowed=allowed)


def solved(mdp: MDP, policy: NDArray[np.float64], discount: float) -> NDArray[np.float64]:
    """v_pi from v = r_pi + discount P_pi v."""
    transitions = mdp.transition_matrix(policy).toarray()
    transitions[mdp.terminal] = 0
    rewards = np.where(mdp.terminal, 0, (policy * mdp.rewards).sum(axis=1))
    return np.linalg.solve(np.eye(mdp.n_states) - discount * transitions, rewards)


def optimal(mdp: MDP, discount: float) -> NDArray[np.float64]:
    """v* as the least v with v >= r(s, a) + discount P v for every allowed pair: a linear program."""
    transitions = mdp.transition_matrix().toarray().reshape(mdp.n_states, mdp.n_actions, mdp.n_states)
    wanted = mdp.allowed & ~mdp.terminal[:, None]
    states, actions = np.nonzero(wanted)
    constraints = discount * transitions[states, actions] - np.eye(mdp.n_states)[states]
    limits = [(0, 0) if ends else (None, None) for ends in mdp.terminal]
    program = scipy.optimize.linprog(
        np.ones(mdp.n_states), A_ub=constraints, b_ub=-mdp.rewards[states, actions], bounds=limits
    )
    return program.x


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("in_place", [True, False])
def test_evaluation_solves_the_linear_system(seed: int, in_place: bool) -> None:
    mdp = random_mdp(seed, certain=seed % 3 == 0)
    policy = mdp.allowed * np.random.default_rng(seed).random(mdp.allowed.shape)
    policy /= policy.sum(axis=1, keepdims=True)
    solution = evaluate_policy(mdp, policy, 0.95, 1e-10, in_place)
    np.testing.assert_allclose(solution.values, solved(mdp, policy, 0.95), atol=1e-8)
    assert (solution.values[mdp.terminal] == 0).all()
    assert solution.delta <= 1e-10 and solution.sweeps == len(solution.history[0].deltas)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(6))
def test_value_iteration_solves_the_linear_program(seed: int, order: dynamic_programming.Order) -> None:
    mdp = random_mdp(seed, certain=seed % 3 == 0)
    solution = value_iteration(mdp, 0.9, 1e-9, order)
    np.testing.assert_allclose(solution.values, optimal(mdp, 0.9), atol=1e-6)
    q = mdp.rewards + 0.9 * (mdp.transition_matrix() @ solution.values).reshape(mdp.rewards.shape)
    best = np.where(mdp.allowed, q, -np.inf).max(axis=1)
    assert np.abs(best - solution.values)[~mdp.terminal].max() <= 1e-9 + 1e-12  # the Bellman residual itself
    assert not solution.policy[~mdp.allowed].any()
    np.testing.assert_allclose(solution.policy[~mdp.terminal].sum(axis=1), 1)
    iterated = policy_iteration(mdp, 0.9, 1e-9)
    np.testing.assert_allclose(iterated.values, solution.values, atol=1e-7)
    assert iterated.sweeps == sum(len(part.deltas) for part in iterated.history)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mdp = random_mdp(1, n_states=101)
    alone = value_iteration(mdp, 0.95, 1e-9)
    monkeypatch.setattr(dynamic_programming, "STATES_PER_THREAD", 10)
    before = numba.get_num_threads()
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    try:
        shared = value_iteration(mdp, 0.95, 1e-9)
    finally:
        numba.set_num_threads(before)
    assert np.array_equal(alone.values, shared.values) and alone.sweeps == shared.sweeps


def test_packed_model_holds_the_same_numbers() -> None:
    mdp = random_mdp(3)
    assert len(np.unique(mdp.rewards)) < 256
    distinct = np.random.default_rng(0).normal(size=(100, 4))
    for model in (mdp, MDP(np.tile(np.eye(100), (4, 1, 1)), distinct), random_mdp(0, certain=True)):
        outcomes = sweeps.pack(model)
        table = np.empty(model.rewards.shape)
        values = np.random.default_rng(1).random(model.n_states) * ~model.terminal
        sweeps.q_table(outcomes, values, 0.5, table)
        expected = model.rewards + 0.5 * (model.transition_matrix() @ values).reshape(table.shape)
        known = model.allowed & ~model.terminal[:, None]
        np.testing.assert_allclose(table[known], expected[known], rtol=1e-12)
        assert (table[~model.allowed & ~model.terminal[:, None]] == -np.inf).all() and not table[model.terminal].any()
    assert sweeps.pack(MDP(np.tile(np.eye(100), (4, 1, 1)), distinct)).codes.dtype == np.uint16


def test_predecessors_are_the_transposed_model() -> None:
    for mdp in (random_mdp(1), random_mdp(0, certain=True)):
        sources = sweeps.predecessors(sweeps.pack(mdp))
        likeliest = mdp.transition_matrix().toarray().reshape(mdp.n_states, mdp.n_actions, -1).max(axis=1)
        for state in range(mdp.n_states):
            part = slice(sources.offsets[state], sources.offsets[state + 1])
            found = np.zeros(mdp.n_states)
            found[sources.states[part]] = sources.probabilities[part] if len(sources.probabilities) else 1
            own = np.arange(mdp.n_states) == state  # rows without an outcome lead back to their state
            np.testing.assert_allclose(found[~own], likeliest[~own, state])
            assert len(set(sources.states[part].tolist())) == len(sources.states[part])


def test_sutton_barto_example_3_5() -> None:
    mdp = GridWorld(**SUTTON_BARTO_3_5).mdp
    uniform = evaluate_policy(mdp, mdp.uniform_policy(), 0.9).values.reshape(5, 5)
    np.testing.assert_allclose(uniform[0], [3.3, 8.8, 4.4, 5.3, 1.5], atol=0.05)
    np.testing.assert_allclose(uniform[4], [-1.9, -1.3, -1.2, -1.4, -2.0], atol=0.05)
    for order in ORDERS:
        solution = value_iteration(mdp, 0.9, 1e-9, order)
        values, policy = solution.values.reshape(5, 5), solution.policy.reshape(5, 5, 4)
        np.testing.assert_allclose(values[0], [22.0, 24.4, 22.0, 19.4, 17.5], atol=0.05)
        np.testing.assert_allclose(values[:, 0], [22.0, 19.8, 17.8, 16.0, 14.4], atol=0.05)
        assert policy[0, 0].tolist() == [0, 1, 0, 0] and policy[0, 2].tolist() == [0, 0, 0, 1]
        assert policy[0, 1].tolist() == [0.25] * 4  # every action leaves A alike
        assert policy[4, 0].tolist() == [0.5, 0.5, 0, 0]


BOOK = [0, -14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14, 0]


def test_the_books_grid() -> None:
    mdp = GridWorld().mdp
    uniform = mdp.uniform_policy()
    solution = evaluate_policy(mdp, uniform, 1.0, 1e-9)
    np.testing.assert_allclose(solution.values, BOOK, atol=1e-6)
    with pytest.raises(UserError, match="after 1 sweeps"):
        evaluate_policy(mdp, uniform, 1.0, 1e-9, max_sweeps=1)
    first = np.zeros(16)
    sweeps.sweep_policy(sweeps.pack(mdp), uniform, first, first, 1.0, 0, 16, False)
    assert first[1:3].tolist() == [-1, -1.25]  # the two updates that the book works out
    assert improve_policy(mdp, solution.values)[5].tolist() == [0.5, 0, 0, 0.5]  # cell 6: up and left
    best = [0, -1, -2, -3, -1, -2, -3, -2, -2, -3, -2, -1, -3, -2, -1, 0]
    for solved_by in (policy_iteration(mdp), *(value_iteration(mdp, order=order) for order in ORDERS)):
        np.testing.assert_allclose(solved_by.values, best, atol=1e-6)


def test_values_stay_with_an_evaluation_that_tests_before_it_sweeps() -> None:
    """Erratum D-5: as printed, delta starts at 0, so "repeat until delta < theta" may stop before any sweep."""
    mdp, values, delta = GridWorld().mdp, np.zeros(16), 0.0
    while delta >= 1e-6:
        delta = sweeps.sweep_policy(sweeps.pack(mdp), mdp.uniform_policy(), values, values, 1.0, 0, 16, False)
    assert not values.any()
    assert evaluate_policy(mdp, mdp.uniform_policy()).sweeps > 1


def test_one_improvement_of_one_evaluation_is_not_enough() -> None:
    """Erratum D-6: improving on the same values again changes nothing, though the policy is not optimal yet."""
    mdp = GridWorld(**SUTTON_BARTO_3_5).mdp
    values = evaluate_policy(mdp, mdp.uniform_policy(), 0.9).values
    policy = improve_policy(mdp, values, 0.9)
    assert np.array_equal(policy, improve_policy(mdp, values, 0.9))
    best = policy_iteration(mdp, 0.9, 1e-9)
    assert evaluate_policy(mdp, policy, 0.9).values.sum() < best.values.sum() - 1
    assert [part.policy_changes > 0 for part in best.history[:2]] == [True, True]


def test_jacks_car_rental() -> None:
    mdp = JacksCarRental().mdp
    solution = policy_iteration(mdp, 0.9, 1e-4)
    moves = (solution.policy.argmax(axis=1) - 5).reshape(21, 21)  # cars moved from the first place to the second
    corners = {(0, 0): 0, (20, 0): 5, (0, 20): -4, (20, 20): 0, (10, 0): 4, (0, 7): 0, (0, 8): -1, (8, 0): 3}
    assert {cars: int(moves[cars]) for cars in corners} == corners
    values = solution.values.reshape(21, 21)
    np.testing.assert_allclose(values[0, 0], 421.4, atol=1)  # 420 and 612 bound the published figure's axis
    assert 4 <= len(solution.history) <= 6
    np.testing.assert_allclose(value_iteration(mdp, 0.9, 1e-4, "gauss-seidel").values, solution.values, atol=0.01)


@pytest.mark.parametrize("order", ORDERS)
def test_gamblers_problem(order: dynamic_programming.Order) -> None:
    solution = value_iteration(GamblersProblem().mdp, 1.0, 1e-12, order)
    # bold play: v(50) = p, v(25) = p v(50), v(75) = p + (1 - p) v(50), v(12.5) = p v(25)
    np.testing.assert_allclose(solution.values[[25, 50, 75]], [0.16, 0.4, 0.64], atol=1e-9)
    stakes = [(np.flatnonzero(row) + 1).tolist() for row in solution.policy]
    assert stakes[50] == [50] and stakes[51] == [1, 49] and stakes[99] == [1]


def test_prioritized_order_needs_fewer_backups_in_a_corridor() -> None:
    n = 500
    forward, backward = np.eye(n, k=1), np.eye(n, k=-1)
    forward[-1, -1] = backward[0, 0] = 1
    rewards = np.zeros((n, 2))
    rewards[n - 2, 0] = 1
    mdp = MDP([forward, backward], rewards, terminal=np.arange(n) == n - 1)
    by_order = {order: value_iteration(mdp, 0.99, 1e-9, order) for order in ORDERS}
    assert by_order["synchronous"].sweeps == n and by_order["prioritized"].sweeps <= 5
    np.testing.assert_allclose(by_order["prioritized"].values[:-1], 0.99 ** np.arange(n - 2, -1, -1), rtol=1e-9)
    assert np.array_equal(by_order["prioritized"].values, by_order["synchronous"].values)


def test_bad_input() -> None:
    mdp = GridWorld().mdp
    right = np.full(16, 1)
    with pytest.raises(UserError, match=r"never reaches a terminal state from state 1.*discount below 1"):
        evaluate_policy(mdp, right, 1.0)  # runs into the right wall for ever, from the upper rows
    assert evaluate_policy(mdp, right, 0.5).values[3] == pytest.approx(-2, abs=1e-5)
    loop = MDP([np.eye(1)], [[1.0]])
    for order in ORDERS:
        with pytest.raises(UserError, match=r"still change by 1 after 50 sweeps: use a discount below 1"):
            value_iteration(loop, 1.0, order=order, max_sweeps=50)
    assert policy_iteration(loop, 0.5).values == pytest.approx(2, abs=1e-5)
    with pytest.raises(UserError, match="discount=1.5: choose 0 to 1"):
        value_iteration(mdp, 1.5)
    with pytest.raises(UserError, match="tolerance=0"):
        policy_iteration(mdp, 0.9, 0)
    with pytest.raises(UserError, match="order='random'"):
        value_iteration(mdp, 0.9, order="random")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"values=\(3,\): give one value a state"):
        improve_policy(mdp, np.zeros(3))


def test_bad_policies() -> None:
    allowed, terminal = np.array([[True, False], [True, True], [True, True]]), np.array([False, False, True])
    good = checked_policy([0, 1, 0], allowed, terminal)
    assert good.tolist() == [[1, 0], [0, 1], [1, 0]]
    for policy, message in (
        ([[1, 0], [1, 0]], "give .3, 2. probabilities"),
        ([0, 2, 0], "actions from 0 to 1"),
        ([[0, 1], [1, 0], [0, 0]], "action 1 in state 0, which does not allow it"),
        ([[1, 0], [0.4, 0.4], [0, 0]], r"state 1 is \[0.4, 0.4\]: give probabilities that sum to 1"),
        ([[1, 0], [1.5, -0.5], [0, 0]], "sum to 1"),
    ):
        with pytest.raises(UserError, match=message):
            checked_policy(policy, allowed, terminal)

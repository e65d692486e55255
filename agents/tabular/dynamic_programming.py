"""Dynamic programming: values and policies of a finite model by repeated Bellman backups (book, chapter 8).

All sweeps are do-while: at least one is made, and values are returned once none changed by more than the tolerance.
Terminal states are worth 0 throughout.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numba
import numpy as np
import scipy.sparse

from agents.tabular.policies import checked_policy, split_ties
from agents.tabular.sweeps import (
    Array,
    Outcomes,
    drain,
    empty_queue,
    fill,
    pack,
    predecessors,
    q_table,
    sweep_optimal,
    sweep_policy,
)
from envs.batched import thread_pool
from envs.mdp import MDP
from supervised.training.errors import UserError, require

MAX_SWEEPS = 100_000
STATES_PER_THREAD = 1 << 15

Order = Literal["synchronous", "gauss-seidel", "prioritized"]


class Round(NamedTuple):
    """One evaluation and the improvement after it."""

    deltas: Array  # (sweeps,) largest change of a value in each sweep
    policy_changes: int  # states whose policy the improvement changed


class Solution(NamedTuple):
    """What dynamic programming returns."""

    values: Array  # (states,)
    policy: Array  # (states, actions) probabilities; 0 in terminal states where no action is allowed
    sweeps: int  # sweeps over all states; of prioritized order, backups divided by states, rounded up
    delta: float  # largest change of a value in the last sweep
    history: tuple[Round, ...]


def evaluate_policy(
    mdp: MDP,
    policy: Array,
    discount: float = 1.0,
    tolerance: float = 1e-6,
    in_place: bool = True,
    max_sweeps: int | None = None,
) -> Solution:
    """v_pi by iterative policy evaluation (Sutton & Barto 4.1).

    Args:
        mdp: the model.
        policy: ``(states, actions)`` probabilities, or ``(states,)`` actions.
        discount: 0 ... 1; with 1 the policy must reach a terminal state from everywhere.
        tolerance: stop when no value changed by more.
        in_place: whether a sweep uses the values it has just computed; otherwise those of the sweep before.
        max_sweeps: give up after this many; 100,000 by default.

    Raises:
        UserError: a value out of range, a policy that is none, values that do not converge.
    """
    discount, tolerance = _checked(discount, tolerance)
    policy = checked_policy(policy, mdp.allowed, mdp.terminal)
    values = np.zeros(mdp.n_states)
    deltas = _evaluate(mdp, pack(mdp), policy, values, discount, tolerance, in_place, max_sweeps)
    return Solution(values, policy, len(deltas), deltas[-1], (Round(np.array(deltas), 0),))


def improve_policy(mdp: MDP, values: Array, discount: float = 1.0) -> Array:
    """The policy ``(states, actions)`` that is greedy towards ``values`` ``(states,)``; ties share a state equally."""
    values = np.ascontiguousarray(values, np.float64)
    require(values.shape == (mdp.n_states,), "values", values.shape, f"give one value a state, {(mdp.n_states,)}")
    policy = mdp.uniform_policy()
    _improve(mdp, pack(mdp), values, discount, policy)
    return policy


def policy_iteration(
    mdp: MDP, discount: float = 1.0, tolerance: float = 1e-6, max_sweeps: int | None = None
) -> Solution:
    """The optimal policy by evaluation and improvement in turn, from the uniform policy (Sutton & Barto 4.3).

    Every improvement is followed by an evaluation, which starts from the values of the one before. Ends when an
    improvement changes nothing or gains no state more than the tolerance, which ends the exchange of policies that
    are equal but for rounding. Arguments and errors as `evaluate_policy`; ``max_sweeps`` is of one evaluation.
    """
    discount, tolerance = _checked(discount, tolerance)
    outcomes = pack(mdp)
    policy = mdp.uniform_policy()
    values = np.zeros(mdp.n_states)
    history: list[Round] = []
    gain = np.inf
    while gain > tolerance:
        deltas = _evaluate(mdp, outcomes, policy, values, discount, tolerance, True, max_sweeps)
        changes, gain = _improve(mdp, outcomes, values, discount, policy)
        history.append(Round(np.array(deltas), changes))
        if changes == 0:
            break
    return Solution(values, policy, sum(len(r.deltas) for r in history), deltas[-1], tuple(history))


def value_iteration(
    mdp: MDP,
    discount: float = 1.0,
    tolerance: float = 1e-6,
    order: Order = "synchronous",
    max_sweeps: int | None = None,
) -> Solution:
    """The optimal values, and the policy that is greedy towards them (Sutton & Barto 4.4).

    Args:
        mdp: the model.
        discount: 0 ... 1.
        tolerance: stop when no value changes by more in a whole sweep.
        order: "synchronous": every sweep computes new values from those of the sweep before, shared out over the
            threads of `numba.set_num_threads`. "gauss-seidel": in place, in alternating directions. "prioritized":
            the state of the largest Bellman residual first (Moore & Atkeson 1993), from values that are too low
            where the discount allows a bound, so that good news travels outwards once; a full sweep verifies.
        max_sweeps: give up after this many; 100,000 by default.

    Raises:
        UserError: a value out of range, or values that do not converge (discount 1 and no way to an end).
    """
    discount, tolerance = _checked(discount, tolerance)
    outcomes = pack(mdp)
    if order == "prioritized":
        values, sweeps, deltas = _prioritized(mdp, outcomes, discount, tolerance, max_sweeps or MAX_SWEEPS)
    else:
        known = order in ("synchronous", "gauss-seidel")
        require(known, "order", order, "use synchronous, gauss-seidel or prioritized")
        values = np.zeros(mdp.n_states)
        sweep = partial(sweep_optimal, outcomes)
        deltas = _converge(sweep, values, discount, tolerance, order == "gauss-seidel", max_sweeps)
        sweeps = len(deltas)
    policy = mdp.uniform_policy()
    changes, _ = _improve(mdp, outcomes, values, discount, policy)
    return Solution(values, policy, sweeps, deltas[-1], (Round(np.array(deltas), changes),))


def _improve(mdp: MDP, outcomes: Outcomes, values: Array, discount: float, policy: Array) -> tuple[int, float]:
    """Make ``policy`` greedy towards ``values``; the number of states changed, and the largest gain over a value."""
    q_values = np.empty(policy.shape)
    q_table(outcomes, values, float(discount), q_values)
    gain = float((q_values.max(axis=1) - values).max())
    return split_ties(q_values, mdp.allowed, policy), gain


def _prioritized(
    mdp: MDP, outcomes: Outcomes, discount: float, tolerance: float, max_sweeps: int
) -> tuple[Array, int, list[float]]:
    """Optimal values, the number of sweeps that the backups amount to, and the residual at every full sweep."""
    # some action earns at least the worst state's best reward in every state: v(s) >= reward / (1 - discount)
    reward = outcomes.rewards[outcomes.codes].max(axis=1)[~mdp.terminal].min()
    bound = min(reward, 0.0) / (1 - discount) if discount < 1 else 0.0
    values = np.where(mdp.terminal, 0.0, bound)
    queue, sources = empty_queue(mdp.n_states), predecessors(outcomes)
    portion = 8 * mdp.n_states  # then the bounds are made exact again, and Ctrl-C is heard
    backups, deltas = 0, [fill(outcomes, queue, values, discount, tolerance)]
    while deltas[-1] > tolerance:
        if backups > max_sweeps * mdp.n_states:
            raise _unconverged(max_sweeps, deltas[-1], discount)
        backups += drain(outcomes, queue, sources, values, discount, tolerance, portion)
        deltas.append(fill(outcomes, queue, values, discount, tolerance))
    return values, -(-backups // mdp.n_states) + len(deltas), deltas


def _checked(discount: float, tolerance: float) -> tuple[float, float]:
    require(0 <= discount <= 1, "discount", discount, "choose 0 to 1")
    require(tolerance > 0, "tolerance", tolerance, "choose a positive number")
    return float(discount), float(tolerance)


def _evaluate(
    mdp: MDP,
    outcomes: Outcomes,
    policy: Array,
    values: Array,
    discount: float,
    tolerance: float,
    in_place: bool,
    max_sweeps: int | None,
) -> list[float]:
    if discount == 1:
        _require_proper(mdp, policy)
    return _converge(partial(sweep_policy, outcomes, policy), values, discount, tolerance, in_place, max_sweeps)


def _require_proper(mdp: MDP, policy: Array) -> None:
    """Refuse a policy that collects rewards for ever."""
    steps = mdp.transition_matrix(policy)
    source = scipy.sparse.csr_array(mdp.terminal[None].astype(np.float64))
    # walk backwards from an extra node that stands for all terminal states
    nothing = scipy.sparse.csr_array((mdp.n_states, 1))
    graph = scipy.sparse.block_array([[None, source], [nothing, steps.T]], format="csr")
    ends = np.zeros(mdp.n_states + 1, np.bool_)
    ends[scipy.sparse.csgraph.breadth_first_order(graph, 0, return_predecessors=False)] = True
    endless = np.flatnonzero(~ends[1:] & ((policy > 0) & (mdp.rewards != 0)).any(1))
    if len(endless):
        raise UserError(
            f"discount=1: the policy never reaches a terminal state from state {endless[0]}, so its return is "
            "infinite; use a discount below 1 or another policy"
        )


def _converge(
    sweep: Callable[..., float],
    values: Array,
    discount: float,
    tolerance: float,
    in_place: bool,
    max_sweeps: int | None,
) -> list[float]:
    """Sweep until no entry of ``values`` changes by more than ``tolerance``; the largest change of every sweep."""
    n_states = len(values)
    slices = 1 if in_place else max(1, min(numba.get_num_threads(), n_states // STATES_PER_THREAD))
    edges = [n_states * i // slices for i in range(slices + 1)]
    old, new = values, values if in_place else np.zeros_like(values)
    deltas: list[float] = []
    while not deltas or deltas[-1] > tolerance:
        if len(deltas) == (max_sweeps or MAX_SWEEPS):
            raise _unconverged(len(deltas), deltas[-1], discount)
        if slices == 1:
            backwards = in_place and len(deltas) % 2 == 1
            deltas.append(sweep(old, new, discount, 0, n_states, backwards))
        else:
            part = partial(sweep, old, new, discount)
            deltas.append(max(thread_pool().map(part, edges, edges[1:], [False] * slices)))
        old, new = new, old
    values[:] = old
    return deltas


def _unconverged(sweeps: int, delta: float, discount: float) -> UserError:
    remedy = "use a discount below 1, or check that a terminal state can be reached" if discount == 1 else ""
    return UserError(
        f"values still change by {delta:.3g} after {sweeps} sweeps: {remedy or 'raise max_sweeps or the tolerance'}"
    )

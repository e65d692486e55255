"""Policies as tables ``(states, actions)`` of probabilities."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervised.training.errors import UserError, require

Array = NDArray[Any]

TIE = 1e-9  # actions whose values differ by less, absolutely or relatively, are equally good


@njit(cache=True, nogil=True)
def split_row(q_values: Array, allowed: Array, state: int, policy: Array) -> bool:
    """Share row ``state`` of ``policy`` equally among the best allowed actions; whether that changed it."""
    best = -np.inf
    for action in range(q_values.shape[1]):
        if allowed[state, action]:
            best = max(best, q_values[state, action])
    least = best - TIE * max(1.0, abs(best))
    ties = 0
    for action in range(q_values.shape[1]):
        ties += allowed[state, action] and q_values[state, action] >= least
    changed = False
    for action in range(q_values.shape[1]):
        chosen = allowed[state, action] and q_values[state, action] >= least
        probability = 1.0 / ties if chosen else 0.0
        changed |= policy[state, action] != probability
        policy[state, action] = probability
    return changed


@njit(cache=True, nogil=True)
def split_ties(q_values: Array, allowed: Array, policy: Array) -> int:
    """`split_row` for every state; the number of rows changed."""
    changed = 0
    for state in range(q_values.shape[0]):
        changed += split_row(q_values, allowed, state, policy)
    return changed


def greedy_policy(q_values: Array, allowed: Array) -> Array:
    """The policy ``(states, actions)`` that is greedy towards ``q_values``; ties share a state equally."""
    policy = np.zeros(q_values.shape)
    split_ties(q_values, allowed, policy)
    return policy


def checked_policy(policy: Any, allowed: Array, terminal: Array) -> Array:
    """A user's policy as ``(states, actions)`` probabilities, from that or from ``(states,)`` actions.

    Raises:
        UserError: another shape, an action that is not allowed, probabilities that do not sum to 1.
    """
    policy = np.asarray(policy)
    n_states, n_actions = allowed.shape
    if policy.shape == (n_states,) and np.issubdtype(policy.dtype, np.integer):
        ends = (policy.min(), policy.max())
        require(ends[0] >= 0 and ends[1] < n_actions, "policy", ends, f"give actions from 0 to {n_actions - 1}")
        policy = np.eye(n_actions)[policy]
    remedy = f"give {allowed.shape} probabilities or {(n_states,)} actions"
    require(policy.shape == allowed.shape, "policy shape", policy.shape, remedy)
    policy = np.ascontiguousarray(policy, np.float64)
    forbidden = np.argwhere(~terminal[:, None] & ~allowed & (policy > 0))
    if len(forbidden):
        state, action = forbidden[0]
        raise UserError(f"the policy chooses action {action} in state {state}, which does not allow it")
    wrong = np.flatnonzero(~terminal & ((np.abs(policy.sum(axis=1) - 1) > 1e-8) | (policy < 0).any(axis=1)))
    if len(wrong):
        row = policy[wrong[0]].tolist()
        raise UserError(f"the policy of state {wrong[0]} is {row}: give probabilities that sum to 1")
    return policy

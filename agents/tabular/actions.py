"""Compiled choice of actions from tables.

In ``q_values`` (states, actions) an action that is not allowed is worth -inf, so that no maximum ever sees it.
``rng`` is one row of lane randomness (`envs.rng`). Everything is inlined where it is called: passing an array to a
compiled function counts references, which costs as much as the choice.
"""

from typing import Any

from numba import njit
from numpy.typing import NDArray

from envs.rng import integers, random

Array = NDArray[Any]


@njit(cache=True, nogil=True, inline="always")
def best_value(q_values: Array, state: int) -> float:
    """max over a of q(s, a)."""
    best = q_values[state, 0]
    for action in range(1, q_values.shape[1]):
        best = max(best, q_values[state, action])
    return best


@njit(cache=True, nogil=True, inline="always")
def expected_value(q_values: Array, allowed: Array, state: int, epsilon: float) -> float:
    """sum over a of pi(a | s) q(s, a) for the epsilon-greedy policy pi."""
    total, count = 0.0, 0
    for action in range(q_values.shape[1]):
        if allowed[state, action]:
            total += q_values[state, action]
            count += 1
    return (1 - epsilon) * best_value(q_values, state) + epsilon * total / count


@njit(cache=True, nogil=True, inline="always")
def greedy(q_values: Array, state: int, rng: Array) -> int:
    """An action of the highest value; ties are broken at random."""
    best, ties, choice = q_values[state, 0], 1, 0
    for action in range(1, q_values.shape[1]):  # by selection, not branches: which action is best is hard to predict
        value = q_values[state, action]
        ties = 1 if value > best else ties + (value == best)
        choice = action if value > best else choice
        best = max(best, value)
    if ties > 1:
        skip = integers(rng, ties)
        for action in range(choice, q_values.shape[1]):
            if q_values[state, action] == best:
                if skip == 0:
                    choice = action
                skip -= 1
    return choice


@njit(cache=True, nogil=True, inline="always")
def any_action(allowed: Array, state: int, rng: Array) -> int:
    """An action drawn uniformly."""
    count = 0
    for action in range(allowed.shape[1]):
        count += allowed[state, action]
    skip = integers(rng, count)
    choice = 0
    for action in range(allowed.shape[1]):
        if allowed[state, action]:
            if skip == 0:
                choice = action
            skip -= 1
    return choice


@njit(cache=True, nogil=True, inline="always")
def epsilon_greedy(q_values: Array, allowed: Array, state: int, epsilon: float, rng: Array) -> int:
    """With probability ``epsilon`` any action, else a greedy one: the best has 1 - epsilon + epsilon / actions."""
    if random(rng) < epsilon:
        action = any_action(allowed, state, rng)
    else:
        action = greedy(q_values, state, rng)
    return action


@njit(cache=True, nogil=True, inline="always")
def sample_policy(policy: Array, state: int, rng: Array) -> int:
    """An action drawn from row ``state`` of ``policy`` (states, actions)."""
    left = random(rng)
    choice = 0
    for action in range(policy.shape[1]):
        if policy[state, action] > 0 and left >= 0:
            choice = action
            left -= policy[state, action]
    return choice

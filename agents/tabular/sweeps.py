"""Compiled sweeps over a finite model: what `dynamic_programming` repeats until the values stand still.

The speed of a sweep is the speed of memory, so the model is packed first: unsigned 32-bit states, rewards as
8- or 16-bit codes into a table of the distinct ones, and neither offsets nor probabilities where every pair of
state and action has one outcome. Kernels unpack the tuple once: a field read in the inner loop counts references.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numba import njit, uint64
from numpy.typing import NDArray

from envs.mdp import MDP

Array = NDArray[Any]

LOWEST_EXPONENT = -128  # of two, of the smallest priority that is told apart
BUCKETS = 8 * -LOWEST_EXPONENT


class Outcomes(NamedTuple):
    """A packed model; ``row = state * actions + action``."""

    next_states: Array  # (outcomes,) uint32
    probabilities: Array  # (outcomes,) float64; (0,) where every row has one outcome
    offsets: Array  # (rows + 1,) uint64: outcomes offsets[row] ... offsets[row + 1]; (0,) likewise
    codes: Array  # (states, actions) uint8, uint16 or uint32 into rewards
    rewards: Array  # (distinct,) float64 expected rewards; -inf of actions that are not allowed


@njit(cache=True, nogil=True)
def _encode(rewards: Array, table: Array, codes: Array) -> int:
    """Fill ``codes`` with indices into the first entries of ``table``; their number, or -1 if it is too short."""
    count = 0
    code = 0
    for row in range(rewards.shape[0]):
        if code >= count or table[code] != rewards[row]:  # neighbours are often equal
            code = 0
            while code < count and table[code] != rewards[row]:
                code += 1
            if code == count:
                if count == table.shape[0]:
                    return -1
                table[count] = rewards[row]
                count += 1
        codes[row] = code
    return count


def pack(mdp: MDP) -> Outcomes:
    """The packed form of a model, in which a terminal state is worth 0 by every action."""
    rows = mdp.n_states * mdp.n_actions
    rewards = np.where(mdp.allowed | mdp.terminal[:, None], mdp.rewards, -np.inf).ravel()
    codes: Array = np.empty(rows, np.uint8)
    table = np.empty(256)
    count = _encode(rewards, table, codes)
    if count < 0:
        table, inverse = np.unique(rewards, return_inverse=True)
        count, codes = len(table), inverse.astype(np.uint16 if len(table) <= 1 << 16 else np.uint32)
    counts = np.diff(mdp.offsets)
    if counts.max() > 1 or not (mdp.probabilities == 1).all():
        probabilities, offsets, next_states = mdp.probabilities, mdp.offsets.astype(np.uint64), mdp.next_states
    else:
        probabilities, offsets = np.empty(0), np.empty(0, np.uint64)
        # a row without an outcome (terminal or not allowed) leads back to its own state
        next_states = np.repeat(np.arange(mdp.n_states, dtype=np.int32), mdp.n_actions)
        next_states[counts == 1] = mdp.next_states
    codes = codes.reshape(mdp.n_states, mdp.n_actions)
    return Outcomes(next_states.view(np.uint32), probabilities, offsets, codes, table[:count].copy())


@njit(cache=True, nogil=True, inline="always")
def _q_value(
    next_states: Array,
    probabilities: Array,
    offsets: Array,
    codes: Array,
    rewards: Array,
    state: int,
    action: int,
    values: Array,
    discount: float,
) -> float:
    """q(s, a) = r(s, a) + discount * sum over s' of P(s' | s, a) v(s')."""
    row = uint64(state) * uint64(codes.shape[1]) + uint64(action)
    if offsets.shape[0] == 0:
        expected = values[next_states[row]]
    else:
        expected = 0.0
        for outcome in range(offsets[row], offsets[row + uint64(1)]):
            expected += probabilities[outcome] * values[next_states[outcome]]
    return rewards[codes[state, action]] + discount * expected


@njit(cache=True, nogil=True, inline="always")
def _best_value(
    next_states: Array,
    probabilities: Array,
    offsets: Array,
    codes: Array,
    rewards: Array,
    state: int,
    values: Array,
    discount: float,
) -> float:
    """max over a of q(s, a)."""
    best = -np.inf
    for action in range(codes.shape[1]):
        q = _q_value(next_states, probabilities, offsets, codes, rewards, state, action, values, discount)
        best = max(best, q)
    return best


@njit(cache=True, nogil=True)
def sweep_optimal(
    outcomes: Outcomes, values: Array, out: Array, discount: float, first: int, end: int, backwards: bool
) -> float:
    """v(s) <- max over a of q(s, a) for the states first ... end, written to ``out``, which may be ``values``.

    Returns the largest change.
    """
    next_states, probabilities, offsets, codes, rewards = outcomes
    delta = 0.0
    for i in range(end - first):
        state = uint64(end - 1 - i if backwards else first + i)
        value = _best_value(next_states, probabilities, offsets, codes, rewards, state, values, discount)
        delta = max(delta, abs(value - values[state]))
        out[state] = value
    return delta


@njit(cache=True, nogil=True)
def sweep_policy(
    outcomes: Outcomes, policy: Array, values: Array, out: Array, discount: float, first: int, end: int, backwards: bool
) -> float:
    """v(s) <- sum over a of pi(a | s) q(s, a), as `sweep_optimal`, for a policy ``(states, actions)``."""
    next_states, probabilities, offsets, codes, rewards = outcomes
    delta = 0.0
    for i in range(end - first):
        state = uint64(end - 1 - i if backwards else first + i)
        value = 0.0
        for action in range(codes.shape[1]):
            if policy[state, action] > 0:
                q = _q_value(next_states, probabilities, offsets, codes, rewards, state, action, values, discount)
                value += policy[state, action] * q
        delta = max(delta, abs(value - values[state]))
        out[state] = value
    return delta


@njit(cache=True, nogil=True)
def q_table(outcomes: Outcomes, values: Array, discount: float, out: Array) -> None:
    """Fill ``out`` (states, actions) with q(s, a); -inf for actions that are not allowed."""
    next_states, probabilities, offsets, codes, rewards = outcomes
    for state in range(codes.shape[0]):
        for action in range(codes.shape[1]):
            out[state, action] = _q_value(
                next_states, probabilities, offsets, codes, rewards, state, action, values, discount
            )


class Queue(NamedTuple):
    """States by the size of their Bellman residual, in buckets a quarter of an octave wide.

    A bucket is a ring through the arrays ``after`` and ``before``, in which node ``states + b`` closes ring b; so a
    state moves in constant time. Within a bucket the first in is the first out, which carries values outwards in
    the order of distance; a heap's exact order costs more than it saves.
    """

    residuals: Array  # (states,) float64 upper bounds of |max over a of q(s, a) - v(s)|
    after: Array  # (states + buckets,) int32
    before: Array  # (states + buckets,) int32
    bucket: Array  # (states,) int16, -1 outside of the queue
    top: Array  # (1,) int64, no bucket above this one is in use


def empty_queue(n_states: int) -> Queue:
    """A queue that can hold every state."""
    ring = np.arange(n_states + BUCKETS, dtype=np.int32)
    return Queue(np.zeros(n_states), ring, ring.copy(), np.full(n_states, -1, np.int16), np.full(1, -1))


class Predecessors(NamedTuple):
    """Who can move where: states[offsets[s]] ... states[offsets[s + 1]] can move to s, each listed once."""

    offsets: Array  # (states + 1,)
    states: Array  # (pairs,) int32
    probabilities: Array  # (pairs,) float64, of the likeliest action; (0,) where every row has one outcome


def predecessors(outcomes: Outcomes) -> Predecessors:
    """The model, read backwards."""
    n_states, n_actions = outcomes.codes.shape
    n_rows = n_states * n_actions
    certain = len(outcomes.offsets) == 0
    offsets = np.arange(n_rows + 1) if certain else outcomes.offsets.astype(np.int64)
    data = np.ones(n_rows, np.int8) if certain else outcomes.probabilities.copy()
    next_states = outcomes.next_states.view(np.int32)
    matrix = scipy.sparse.csr_array((data, next_states if certain else next_states.copy(), offsets), (n_rows, n_states))
    if not certain:
        matrix.sum_duplicates()
    matrix = matrix.tocsc()
    states = matrix.indices // np.int32(n_actions)  # in ascending order for each next state
    kept = np.ones(len(states), np.bool_)
    kept[1:] = states[1:] != states[:-1]
    kept[matrix.indptr[:-1][np.diff(matrix.indptr) > 0]] = True
    likeliest = np.empty(0) if certain else np.maximum.reduceat(matrix.data, np.flatnonzero(kept))
    return Predecessors(np.concatenate([[0], np.cumsum(kept)])[matrix.indptr], states[kept], likeliest)


@njit(cache=True, nogil=True, inline="always")
def _place(
    after: Array, before: Array, bucket: Array, top: Array, state: int, residual: float, tolerance: float
) -> None:
    """Move a state to the end of the bucket of its residual, or out of the queue if that is within tolerance."""
    wanted = -1
    if residual > tolerance:
        fraction, exponent = math.frexp(residual)  # residual = fraction * 2^exponent, 0.5 <= fraction < 1
        wanted = min(max(4 * (exponent - LOWEST_EXPONENT) + int(8 * fraction - 4), 0), BUCKETS - 1)
    if wanted != bucket[state]:
        if bucket[state] >= 0:
            after[before[state]] = after[state]
            before[after[state]] = before[state]
        if wanted >= 0:
            end = bucket.shape[0] + wanted
            after[state], before[state] = end, before[end]
            after[before[end]] = state
            before[end] = state
            top[0] = max(top[0], wanted)
        bucket[state] = wanted


@njit(cache=True, nogil=True)
def fill(outcomes: Outcomes, queue: Queue, values: Array, discount: float, tolerance: float) -> float:
    """Compute every residual anew and queue the states where it exceeds ``tolerance``; the largest residual."""
    next_states, probabilities, offsets, codes, rewards = outcomes
    residuals, after, before, bucket, top = queue
    delta = 0.0
    for state in range(codes.shape[0]):
        value = _best_value(next_states, probabilities, offsets, codes, rewards, state, values, discount)
        residuals[state] = abs(value - values[state])
        delta = max(delta, residuals[state])
        _place(after, before, bucket, top, state, residuals[state], tolerance)
    return delta


@njit(cache=True, nogil=True)
def drain(
    outcomes: Outcomes,
    queue: Queue,
    sources: Predecessors,
    values: Array,
    discount: float,
    tolerance: float,
    most: int,
) -> int:
    """Back up the queued states, largest residual first, and queue what that disturbs; the number of backups.

    A change of v(s) by d moves the residual of a predecessor p by at most discount * max over a of P(s | p, a) * d,
    so the bounds stay bounds without a backup of every predecessor. Ends when no bound exceeds ``tolerance``, or
    after ``most`` backups.
    """
    next_states, probabilities, offsets, codes, rewards = outcomes
    residuals, after, before, bucket, top = queue
    first, states, likeliest = sources
    backups = 0
    while top[0] >= 0 and backups < most:
        state = after[bucket.shape[0] + top[0]]
        if state >= bucket.shape[0]:  # an empty ring
            top[0] -= 1
            continue
        value = _best_value(next_states, probabilities, offsets, codes, rewards, state, values, discount)
        change = discount * abs(value - values[state])
        values[state] = value
        backups += 1
        residuals[state] = 0.0
        _place(after, before, bucket, top, state, 0.0, tolerance)
        if change > 0:
            for i in range(first[state], first[state + 1]):
                source = states[i]
                residuals[source] += change * (likeliest[i] if likeliest.shape[0] > 0 else 1.0)
                _place(after, before, bucket, top, source, residuals[source], tolerance)
    return backups

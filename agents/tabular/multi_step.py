"""Between one step and a whole episode: n-step returns and eligibility traces (Sutton & Barto, chapters 7 and 12).

Terminal states and time limits as in `agents.tabular.temporal_difference`. Every kernel is called as
`agents.tabular.learner.Learner` says.
"""

from typing import Any, Literal

import numpy as np
from numba import njit

from agents.tabular.actions import epsilon_greedy, sample_policy
from agents.tabular.environment import Array, sample_start, take_step
from agents.tabular.learner import Control, Learner, Prediction, Schedule, Session, Task, finish
from supervised.training.errors import UserError, require, suggest

NEGLIGIBLE = 1e-12  # a trace below this is dropped
TRACES = {"accumulating": 0, "replacing": 1, "dutch": 2}

Traces = Literal["accumulating", "replacing", "dutch"]


@njit(cache=True, nogil=True)
def _n_step_td(task: Task, values: Array, policy: Array, n: int) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    states, rewards = np.empty(n + 1, np.int64), np.empty(n + 1)  # those of time t at t modulo n + 1
    for episode in range(step_sizes.shape[0]):
        total, length, ended, terminated = 0.0, 0, False, False
        states[0] = sample_start(model, env_rng)
        updated = 0  # states whose value was updated in this episode
        while updated < length or not ended:
            if not ended:
                state = states[length % (n + 1)]
                action = sample_policy(policy, state, rng)
                next_state, reward, terminated, truncated = take_step(
                    offsets, outcomes, allowed, state, action, env_rng
                )
                total, length = total + reward, length + 1
                states[length % (n + 1)], rewards[length % (n + 1)] = next_state, reward
                ended = terminated or truncated or length == limit
            if ended or length >= n:
                # G <- r_{t+1} + discount r_{t+2} + ... + discount^n v(s_{t+n}), from its end backwards
                g = 0.0 if terminated else values[states[length % (n + 1)]]
                for t in range(length, updated, -1):
                    g = rewards[t % (n + 1)] + discount * g
                state = states[updated % (n + 1)]
                values[state] += step_sizes[episode] * (g - values[state])
                updated += 1
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _n_step_sarsa(task: Task, q_values: Array, n: int) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    states, actions, rewards = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64), np.empty(n + 1)
    for episode in range(step_sizes.shape[0]):
        total, length, ended, terminated = 0.0, 0, False, False
        states[0] = sample_start(model, env_rng)
        actions[0] = epsilon_greedy(q_values, allowed, states[0], epsilons[episode], rng)
        updated = 0  # pairs whose value was updated in this episode
        while updated < length or not ended:
            if not ended:
                now = length % (n + 1)
                next_state, reward, terminated, truncated = take_step(
                    offsets, outcomes, allowed, states[now], actions[now], env_rng
                )
                total, length = total + reward, length + 1
                states[length % (n + 1)], rewards[length % (n + 1)] = next_state, reward
                if not terminated:
                    action = epsilon_greedy(q_values, allowed, next_state, epsilons[episode], rng)
                    actions[length % (n + 1)] = action
                ended = terminated or truncated or length == limit
            if ended or length >= n:
                # G <- r_{t+1} + discount r_{t+2} + ... + discount^n q(s_{t+n}, a_{t+n}), from its end backwards
                last = length % (n + 1)
                g = 0.0 if terminated else q_values[states[last], actions[last]]
                for t in range(length, updated, -1):
                    g = rewards[t % (n + 1)] + discount * g
                state, action = states[updated % (n + 1)], actions[updated % (n + 1)]
                q_values[state, action] += step_sizes[episode] * (g - q_values[state, action])
                updated += 1
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _follow_traces(
    table: Array,
    traces: Array,
    active: Array,
    count: int,
    visited: int,
    td_error: float,
    step_size: float,
    decay: float,
    kind: int,
) -> int:
    """One backward step on a flat ``table``: mark ``visited``, move every entry by its trace, let traces decay.

    ``active[:count]`` are the entries whose trace is not 0; returns the new count.
    """
    if traces[visited] == 0:
        active[count] = visited
        count += 1
    # e <- (1 - kept) e + 1: accumulating keeps all of the old trace, replacing none, dutch 1 - step_size
    lost = 0.0 if kind == 0 else (1.0 if kind == 1 else step_size)
    traces[visited] = (1 - lost) * traces[visited] + 1
    i = 0
    while i < count:
        entry = active[i]
        # w <- w + step_size delta e; e <- discount lambda e
        table[entry] += step_size * td_error * traces[entry]
        traces[entry] *= decay
        if traces[entry] < NEGLIGIBLE:
            traces[entry] = 0.0
            count -= 1
            active[i] = active[count]
        else:
            i += 1
    return count


@njit(cache=True, nogil=True)
def _td_lambda(task: Task, values: Array, policy: Array, trace_decay: float, kind: int) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    traces, active = np.zeros(values.shape[0]), np.empty(values.shape[0], np.int64)
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        count = 0
        while not ended:
            action = sample_policy(policy, state, rng)
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            td_error = reward - values[state]
            if not terminated:
                td_error += discount * values[next_state]
            count = _follow_traces(
                values, traces, active, count, state, td_error, step_sizes[episode], discount * trace_decay, kind
            )
            state = next_state
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        traces[active[:count]] = 0.0
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _sarsa_lambda(task: Task, q_values: Array, trace_decay: float, kind: int) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    n_actions = q_values.shape[1]
    traces, active = np.zeros(q_values.size), np.empty(q_values.size, np.int64)
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        action = epsilon_greedy(q_values, allowed, state, epsilons[episode], rng)
        count = 0
        while not ended:
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            td_error, next_action = reward - q_values[state, action], 0
            if not terminated:
                next_action = epsilon_greedy(q_values, allowed, next_state, epsilons[episode], rng)
                td_error += discount * q_values[next_state, next_action]
            visited = state * n_actions + action
            count = _follow_traces(
                q_values.reshape(-1), traces, active, count, visited,
                td_error, step_sizes[episode], discount * trace_decay, kind,
            )  # fmt: skip
            state, action = next_state, next_action
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        traces[active[:count]] = 0.0
        if not finish(log, episode, total, length):
            break


def n_step_td_prediction(
    env: Any,
    policy: Array,
    episodes: int,
    step_size: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    n: int = 4,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Prediction:
    """v_pi from returns of ``n`` steps, then the value of the state reached (Sutton & Barto 7.1).

    ``n=1`` is TD(0). The other arguments as `agents.tabular.temporal_difference.td_prediction`.
    """
    require(n > 0, "n", n, "choose a positive number of steps")
    learner = Learner(env, episodes, step_size, 0.0, discount, seed, session)
    values = learner.value_table(initial_value)
    learner.run(_n_step_td, {"values": values, "policy": learner.policy_table(policy)}, (n,))
    return learner.prediction(values)


def n_step_sarsa(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    n: int = 4,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Sarsa with returns of ``n`` steps (Sutton & Barto 7.2).

    The other arguments as `agents.tabular.temporal_difference.sarsa`.
    """
    require(n > 0, "n", n, "choose a positive number of steps")
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    learner.run(_n_step_sarsa, {"q_values": q_values}, (n,))
    return learner.control(q_values)


def td_lambda_prediction(
    env: Any,
    policy: Array,
    episodes: int,
    step_size: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    trace_decay: float = 0.9,
    traces: Traces = "accumulating",
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Prediction:
    """v_pi by TD(lambda), online and from behind (Sutton & Barto 12.2).

    Args:
        trace_decay: lambda in [0, 1]; 0 is TD(0), 1 close to Monte Carlo.
        traces: what a visit does to a state's trace e, which decays by discount * lambda a step: "accumulating"
            e + 1, "replacing" 1, "dutch" (1 - step_size) e + 1.

    The others as `agents.tabular.temporal_difference.td_prediction`.
    """
    options = _trace_options(trace_decay, traces)
    learner = Learner(env, episodes, step_size, 0.0, discount, seed, session)
    values = learner.value_table(initial_value)
    learner.run(_td_lambda, {"values": values, "policy": learner.policy_table(policy)}, options)
    return learner.prediction(values)


def sarsa_lambda(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    trace_decay: float = 0.9,
    traces: Traces = "replacing",
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Sarsa(lambda) (Sutton & Barto 12.7).

    ``trace_decay`` and ``traces`` as `td_lambda_prediction`, a trace for each pair; the other arguments as
    `agents.tabular.temporal_difference.sarsa`.
    """
    options = _trace_options(trace_decay, traces)
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    learner.run(_sarsa_lambda, {"q_values": q_values}, options)
    return learner.control(q_values)


def _trace_options(trace_decay: float, traces: str) -> tuple[float, int]:
    require(0 <= trace_decay <= 1, "trace_decay", trace_decay, "choose 0 to 1")
    if traces not in TRACES:
        raise UserError(f"traces={traces!r}{suggest(traces, TRACES)}")
    return float(trace_decay), TRACES[traces]

"""One-step temporal-difference methods (book, chapter 8; Sutton & Barto, chapter 6).

A terminal state is worth 0, so the target of a step that ends there is the reward alone. A time limit is no end of
the task: an episode that is cut still bootstraps from the state it reached.

Every kernel is called as `agents.tabular.learner.Learner` says. The Q-learning family chooses an action after the
update that precedes it; only Sarsa carries the action over, since its update is about that very action.
"""

from typing import Any

from numba import njit

from agents.tabular.actions import best_value, epsilon_greedy, expected_value, greedy, sample_policy
from agents.tabular.environment import Array, sample_start, take_step
from agents.tabular.learner import Control, Learner, Prediction, Schedule, Session, Task, finish
from envs.rng import random


@njit(cache=True, nogil=True)
def _td(task: Task, values: Array, policy: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        while not ended:
            action = sample_policy(policy, state, rng)
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            # v(s) <- v(s) + step_size [r + discount v(s') - v(s)]
            target = reward if terminated else reward + discount * values[next_state]
            values[state] += step_sizes[episode] * (target - values[state])
            state = next_state
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _sarsa(task: Task, q_values: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        action = epsilon_greedy(q_values, allowed, state, epsilons[episode], rng)
        while not ended:
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            target, next_action = reward, 0
            if not terminated:
                next_action = epsilon_greedy(q_values, allowed, next_state, epsilons[episode], rng)
                target += discount * q_values[next_state, next_action]
            # q(s, a) <- q(s, a) + step_size [r + discount q(s', a') - q(s, a)]
            q_values[state, action] += step_sizes[episode] * (target - q_values[state, action])
            state, action = next_state, next_action
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _expected_sarsa(task: Task, q_values: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        while not ended:
            action = epsilon_greedy(q_values, allowed, state, epsilons[episode], rng)
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            # q(s, a) <- q(s, a) + step_size [r + discount sum over a' of pi(a' | s') q(s', a') - q(s, a)]
            target = reward
            if not terminated:
                target += discount * expected_value(q_values, allowed, next_state, epsilons[episode])
            q_values[state, action] += step_sizes[episode] * (target - q_values[state, action])
            state = next_state
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _q_learning(task: Task, q_values: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        while not ended:
            action = epsilon_greedy(q_values, allowed, state, epsilons[episode], rng)
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            # q(s, a) <- q(s, a) + step_size [r + discount max over a' of q(s', a') - q(s, a)]
            target = reward
            if not terminated:
                target += discount * best_value(q_values, next_state)
            q_values[state, action] += step_sizes[episode] * (target - q_values[state, action])
            state = next_state
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _double_q_learning(task: Task, first: Array, second: Array, both: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    for episode in range(step_sizes.shape[0]):
        state, total, length, ended = sample_start(model, env_rng), 0.0, 0, False
        while not ended:
            action = epsilon_greedy(both, allowed, state, epsilons[episode], rng)
            next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
            # q1(s, a) <- q1(s, a) + step_size [r + discount q2(s', arg max over a' of q1(s', a')) - q1(s, a)],
            # or the same with q1 and q2 exchanged
            chooser, judge = (first, second) if random(rng) < 0.5 else (second, first)
            target = reward
            if not terminated:
                target += discount * judge[next_state, greedy(chooser, next_state, rng)]
            chooser[state, action] += step_sizes[episode] * (target - chooser[state, action])
            both[state, action] = (first[state, action] + second[state, action]) / 2
            state = next_state
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(log, episode, total, length):
            break


def td_prediction(
    env: Any,
    policy: Array,
    episodes: int,
    step_size: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Prediction:
    """v_pi by TD(0) (Sutton & Barto 6.1).

    Args:
        env: an environment's id, an environment, or an `envs.mdp.MDP`; see `agents.tabular.environment`.
        policy: ``(states, actions)`` probabilities, or ``(states,)`` actions.
        episodes: how many to play.
        step_size: in (0, 1]; a number, or a function of the episode's number.
        discount: in [0, 1].
        seed: of the environment's and the policy's randomness.
        initial_value: of every state that is not terminal.
        session: where to report to, for runs.

    Raises:
        UserError: a value out of range, or an environment that is not discrete.
    """
    learner = Learner(env, episodes, step_size, 0.0, discount, seed, session)
    values = learner.value_table(initial_value)
    learner.run(_td, {"values": values, "policy": learner.policy_table(policy)})
    return learner.prediction(values)


def sarsa(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """On-policy control (Sutton & Barto 6.4).

    Args:
        env: an environment's id, an environment, or an `envs.mdp.MDP`; see `agents.tabular.environment`.
        episodes: how many to play.
        step_size: in (0, 1]; a number, or a function of the episode's number.
        epsilon: probability of a random action, in [0, 1]; a number, or a function of the episode's number.
        discount: in [0, 1].
        seed: of the environment's and the agent's randomness.
        initial_value: of every pair whose state is not terminal; above the true values it makes the agent explore.
        session: where to report to, for runs.

    Raises:
        UserError: a value out of range, or an environment that is not discrete.
    """
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    learner.run(_sarsa, {"q_values": q_values})
    return learner.control(q_values)


def expected_sarsa(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Sarsa whose target is the expectation over the next action (Sutton & Barto 6.6); arguments as `sarsa`."""
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    learner.run(_expected_sarsa, {"q_values": q_values})
    return learner.control(q_values)


def q_learning(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Off-policy control towards the greedy policy (Watkins 1989; Sutton & Barto 6.5); arguments as `sarsa`."""
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    learner.run(_q_learning, {"q_values": q_values})
    return learner.control(q_values)


def double_q_learning(
    env: Any,
    episodes: int,
    step_size: Schedule = 0.1,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Q-learning without its maximization bias (van Hasselt 2010; Sutton & Barto 6.7); arguments as `sarsa`.

    One table chooses the best next action and the other one values it. The agent acts on their mean, which is what
    is returned.
    """
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    first, second, both = (learner.q_table(initial_value) for _ in range(3))
    learner.run(_double_q_learning, {"first": first, "second": second, "q_values": both})
    return learner.control(both)

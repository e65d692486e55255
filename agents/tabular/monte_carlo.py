"""Monte Carlo methods (book, chapter 8; Sutton & Barto, chapter 5): play an episode, then learn from its returns.

The return is computed backwards, G <- discount G + r. An episode that a time limit cuts contributes the return up to
the cut, since nothing here bootstraps: leave the limit well beyond the length of an episode that matters.

Every kernel is called as `agents.tabular.learner.Learner` says.
"""

from typing import Any

import numpy as np
from numba import njit

from agents.tabular.actions import any_action, sample_policy
from agents.tabular.environment import Array, Model, sample_any, sample_start, take_step
from agents.tabular.learner import Control, Learner, Prediction, Schedule, Session, Task, finish
from agents.tabular.policies import split_row
from envs.rng import random
from supervised.training.errors import UserError

HUGE = 1e100  # an importance weight beyond this ends the episode's use, before sums of weights overflow


@njit(cache=True, nogil=True)
def _doubled(buffer: Array) -> Array:
    longer = np.empty(2 * buffer.shape[0], buffer.dtype)
    longer[: buffer.shape[0]] = buffer
    return longer


@njit(cache=True, nogil=True)
def _play(
    model: Model,
    limit: int,
    policy: Array,
    epsilon: float,
    state: int,
    action: int,
    rngs: Array,
    pairs: Array,
    rewards: Array,
) -> tuple[Array, Array, int, float]:
    """An episode from ``state`` whose first action is ``action``, or drawn like the others where that is negative.

    Actions are uniform with probability ``epsilon``, else drawn from ``policy``. Returns the buffers, longer where
    needed: ``pairs[t]`` is state * actions + action; the length; and the sum of rewards.
    """
    offsets, outcomes, _, allowed, _, _ = model
    env_rng, rng = rngs
    length, total, ended = 0, 0.0, False
    while not ended:
        if action < 0:
            if epsilon > 0 and random(rng) < epsilon:
                action = any_action(allowed, state, rng)
            else:
                action = sample_policy(policy, state, rng)
        if length == pairs.shape[0]:
            pairs, rewards = _doubled(pairs), _doubled(rewards)
        next_state, reward, terminated, truncated = take_step(offsets, outcomes, allowed, state, action, env_rng)
        pairs[length], rewards[length] = state * policy.shape[1] + action, reward
        state, action = next_state, -1
        total, length = total + reward, length + 1
        ended = terminated or truncated or length == limit
    return pairs, rewards, length, total


@njit(cache=True, nogil=True)
def _mc_prediction(task: Task, values: Array, counts: Array, policy: Array, first_visit: bool) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    pairs, rewards = np.empty(64, np.int64), np.empty(64)
    first = np.empty(values.shape[0], np.int64)  # time of a state's first visit in this episode
    for episode in range(step_sizes.shape[0]):
        start = sample_start(model, rngs[0])
        pairs, rewards, length, total = _play(model, limit, policy, 0.0, start, -1, rngs, pairs, rewards)
        for t in range(length - 1, -1, -1):
            first[pairs[t] // policy.shape[1]] = t
        g = 0.0
        for t in range(length - 1, -1, -1):
            g = discount * g + rewards[t]
            state = pairs[t] // policy.shape[1]
            if first_visit and first[state] != t:
                continue
            counts[state] += 1
            step_size = step_sizes[episode] if step_sizes[episode] > 0 else 1 / counts[state]
            values[state] += step_size * (g - values[state])
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _mc_control(
    task: Task, q_values: Array, counts: Array, policy: Array, exploring_starts: bool, first_visit: bool
) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    _, _, _, allowed, _, _ = model
    n_actions = q_values.shape[1]
    pairs, rewards = np.empty(64, np.int64), np.empty(64)
    first = np.empty(q_values.size, np.int64)  # time of a pair's first visit in this episode
    for episode in range(step_sizes.shape[0]):
        action = -1
        if exploring_starts:
            start = sample_any(model, rngs[0])
            action = any_action(allowed, start, rngs[1])
        else:
            start = sample_start(model, rngs[0])
        pairs, rewards, length, total = _play(
            model, limit, policy, epsilons[episode], start, action, rngs, pairs, rewards
        )
        for t in range(length - 1, -1, -1):
            first[pairs[t]] = t
        g = 0.0
        for t in range(length - 1, -1, -1):
            g = discount * g + rewards[t]
            if first_visit and first[pairs[t]] != t:
                continue
            state, action = pairs[t] // n_actions, pairs[t] % n_actions
            counts[state, action] += 1
            step_size = step_sizes[episode] if step_sizes[episode] > 0 else 1 / counts[state, action]
            q_values[state, action] += step_size * (g - q_values[state, action])
            split_row(q_values, allowed, state, policy)
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _mc_off_policy_prediction(task: Task, values: Array, weights: Array, policy: Array, behavior: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    pairs, rewards = np.empty(64, np.int64), np.empty(64)
    for episode in range(step_sizes.shape[0]):
        start = sample_start(model, rngs[0])
        pairs, rewards, length, total = _play(model, limit, behavior, 0.0, start, -1, rngs, pairs, rewards)
        g, weight = 0.0, 1.0
        for t in range(length - 1, -1, -1):
            g = discount * g + rewards[t]
            state, action = pairs[t] // policy.shape[1], pairs[t] % policy.shape[1]
            # the return from s holds for pi with the weight prod pi(a | s) / b(a | s) over t ... T - 1
            weight *= policy[state, action] / behavior[state, action]
            if weight == 0 or weight > HUGE:
                break
            weights[state] += weight
            values[state] += weight / weights[state] * (g - values[state])
        if not finish(log, episode, total, length):
            break


@njit(cache=True, nogil=True)
def _mc_off_policy_control(task: Task, q_values: Array, weights: Array, policy: Array) -> None:
    model, limit, discount, step_sizes, epsilons, rngs, log = task
    _, _, _, allowed, _, _ = model
    n_actions = q_values.shape[1]
    pairs, rewards, behavior = np.empty(64, np.int64), np.empty(64), np.empty(64)
    for episode in range(step_sizes.shape[0]):
        start = sample_start(model, rngs[0])
        pairs, rewards, length, total = _play(model, limit, policy, epsilons[episode], start, -1, rngs, pairs, rewards)
        if behavior.shape[0] < length:
            behavior = np.empty(pairs.shape[0])
        for t in range(length):  # before learning changes the policy that was played
            state, action = pairs[t] // n_actions, pairs[t] % n_actions
            random_share = epsilons[episode] / np.sum(allowed[state])
            behavior[t] = (1 - epsilons[episode]) * policy[state, action] + random_share
        g, weight = 0.0, 1.0
        for t in range(length - 1, -1, -1):
            g = discount * g + rewards[t]
            state, action = pairs[t] // n_actions, pairs[t] % n_actions
            # the return from (s, a) holds for pi with the weight prod pi(a | s) / b(a | s) over t + 1 ... T - 1
            weights[state, action] += weight
            q_values[state, action] += weight / weights[state, action] * (g - q_values[state, action])
            split_row(q_values, allowed, state, policy)
            weight *= policy[state, action] / behavior[t]
            if weight == 0 or weight > HUGE:
                break
        if not finish(log, episode, total, length):
            break


def mc_prediction(
    env: Any,
    policy: Array,
    episodes: int,
    discount: float = 1.0,
    *,
    first_visit: bool = True,
    step_size: Schedule | None = None,
    initial_value: float = 0.0,
    seed: int = 0,
    session: Session | None = None,
) -> Prediction:
    """v_pi as the average return after a visit (Sutton & Barto 5.1).

    Args:
        env: an environment's id, an environment, or an `envs.mdp.MDP`; see `agents.tabular.environment`.
        policy: ``(states, actions)`` probabilities, or ``(states,)`` actions.
        episodes: how many to play.
        discount: in [0, 1].
        first_visit: whether only the first visit to a state in an episode counts, or every visit.
        step_size: in (0, 1], a number or a function of the episode's number; None averages over all samples.
        initial_value: of every state before its first visit; with a ``step_size`` it lasts longer.
        seed: of the environment's and the policy's randomness.
        session: where to report to, for runs.

    Raises:
        UserError: a value out of range, or an environment that is not discrete.
    """
    learner = Learner(env, episodes, step_size, 0.0, discount, seed, session)
    values = learner.value_table(initial_value)
    counts = np.zeros(values.shape, np.int64)
    tables = {"values": values, "counts": counts, "policy": learner.policy_table(policy)}
    learner.run(_mc_prediction, tables, (first_visit,))
    return learner.prediction(values)


def mc_off_policy_prediction(
    env: Any,
    policy: Array,
    behavior: Array,
    episodes: int,
    discount: float = 1.0,
    seed: int = 0,
    *,
    session: Session | None = None,
) -> Prediction:
    """v_pi from episodes of another policy, by weighted importance sampling (Sutton & Barto 5.5, 5.6), every visit.

    Args:
        policy: the policy pi to evaluate, as of `mc_prediction`.
        behavior: the policy that plays, as of `mc_prediction`; it must choose whatever ``policy`` may choose.

    The others as `mc_prediction`.
    """
    learner = Learner(env, episodes, None, 0.0, discount, seed, session)
    target, played = learner.policy_table(policy), learner.policy_table(behavior)
    uncovered = np.argwhere(~learner.environment.model.terminal[:, None] & (target > 0) & (played == 0))
    if len(uncovered):
        state, action = uncovered[0]
        raise UserError(f"behavior never chooses action {action} in state {state}, which the policy does: cover it")
    values = learner.value_table(0.0)
    tables = {"values": values, "weights": np.zeros(values.shape), "policy": target}
    learner.run(_mc_off_policy_prediction, tables, (played,))
    return learner.prediction(values)


def mc_control(
    env: Any,
    episodes: int,
    step_size: Schedule | None = None,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    first_visit: bool = True,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """On-policy control by an epsilon-greedy policy (Sutton & Barto 5.4).

    Args:
        env: an environment's id, an environment, or an `envs.mdp.MDP`; see `agents.tabular.environment`.
        episodes: how many to play.
        step_size: in (0, 1], a number or a function of the episode's number; None averages over all samples.
        epsilon: probability of a random action, in [0, 1]; a number, or a function of the episode's number.
        discount: in [0, 1].
        seed: of the environment's and the agent's randomness.
        first_visit: whether only the first visit to a pair in an episode counts, or every visit.
        initial_value: of every pair before its first visit; with a ``step_size`` it lasts longer.
        session: where to report to, for runs.

    Raises:
        UserError: a value out of range, or an environment that is not discrete.
    """
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    return _control(learner, initial_value, False, first_visit)


def mc_exploring_starts(
    env: Any,
    episodes: int,
    step_size: Schedule | None = None,
    discount: float = 1.0,
    seed: int = 0,
    *,
    first_visit: bool = True,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Control by a greedy policy whose episodes begin with any state and action (Sutton & Barto 5.3).

    The first pair is drawn uniformly from all states that are not terminal and their allowed actions. An environment
    without a model chooses the first state itself. Arguments as `mc_control`.
    """
    learner = Learner(env, episodes, step_size, 0.0, discount, seed, session)
    return _control(learner, initial_value, True, first_visit)


def _control(learner: Learner, initial_value: float, exploring_starts: bool, first_visit: bool) -> Control:
    q_values = learner.q_table(initial_value)
    counts, policy = np.zeros(q_values.shape, np.int64), learner.greedy(q_values)
    tables = {"q_values": q_values, "counts": counts, "policy": policy}
    learner.run(_mc_control, tables, (exploring_starts, first_visit))
    return learner.control(q_values)


def mc_off_policy_control(
    env: Any,
    episodes: int,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    initial_value: float = 0.0,
    session: Session | None = None,
) -> Control:
    """Control of the greedy policy from epsilon-greedy episodes, by weighted importance sampling.

    Sutton & Barto 5.7. An episode is used backwards up to its last action that the greedy policy would not have
    chosen. Arguments as `mc_control`.
    """
    learner = Learner(env, episodes, None, epsilon, discount, seed, session)
    q_values = learner.q_table(initial_value)
    weights, policy = np.zeros(q_values.shape), learner.greedy(q_values)
    learner.run(_mc_off_policy_control, {"q_values": q_values, "weights": weights, "policy": policy})
    return learner.control(q_values)

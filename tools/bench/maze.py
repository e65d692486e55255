"""Dynamic programming on a maze of 10^6 states against scipy.sparse, and tabular Q-learning against a plain loop.

The maze has 5 % loops; discount 0.99, tolerance 1e-6. The peer does synchronous value iteration with a sparse matrix
product for each action, v <- max_a (R_a + gamma P_a v), on the same model, to the same tolerance. The Q-learning peer
is the same algorithm written as a loop over ``step`` of Gymnasium's FrozenLake-v1.
"""

import time
from collections.abc import Iterator

import gymnasium as gym
import numba
import numpy as np

from agents.tabular.dynamic_programming import value_iteration
from agents.tabular.temporal_difference import q_learning
from envs.grid.maze import Maze
from envs.mdp import MDP
from tools.bench.measurement import SMOKE, Measurement, peak_memory, rates

SIZE = (61, 61) if SMOKE else (1415, 1415)  # 1415 x 1415 cells hold a little over 10^6 open ones
DISCOUNT, TOLERANCE = 0.99, 1e-6


def scipy_value_iteration(mdp: MDP) -> tuple[np.ndarray, int, float]:
    """Values ``(states,)``, sweeps, and seconds without the preparation of the matrix."""
    # one matrix an action, and maxima of whole arrays: the fastest of the ways tried; rows of terminal states are empty
    matrix, actions = mdp.transition_matrix(), range(mdp.n_actions)
    transitions = [matrix[action :: mdp.n_actions].tocsr() for action in actions]  # (states, states)
    rewards = [np.ascontiguousarray(mdp.rewards[:, action]) for action in actions]
    values = np.zeros(mdp.n_states)
    start, sweeps, delta = time.perf_counter(), 0, np.inf
    while delta > TOLERANCE:
        following = rewards[0] + DISCOUNT * (transitions[0] @ values)
        for action in actions[1:]:
            np.maximum(following, rewards[action] + DISCOUNT * (transitions[action] @ values), out=following)
        delta = np.abs(following - values).max()
        values, sweeps = following, sweeps + 1
    return values, sweeps, time.perf_counter() - start


def gymnasium_q_learning(episodes: int) -> int:
    """Q-learning as a loop over Gymnasium's FrozenLake; returns the steps it took."""
    env = gym.make("FrozenLake-v1")
    rng = np.random.default_rng(0)
    q_values = np.zeros((16, 4))
    steps = 0
    for episode in range(episodes):
        state, _ = env.reset(seed=0 if episode == 0 else None)
        over = False
        while not over:
            row = q_values[state]
            action = int(rng.integers(4) if rng.random() < 0.1 else rng.choice(np.flatnonzero(row == row.max())))
            following, reward, terminated, truncated, _ = env.step(action)
            target = float(reward) + (0.0 if terminated else DISCOUNT * q_values[following].max())
            row[action] += 0.1 * (target - row[action])
            state, over, steps = following, terminated or truncated, steps + 1
    return steps


def run() -> Iterator[Measurement]:
    """Sweeps, totals and memory of dynamic programming; steps of Q-learning."""
    value_iteration(Maze(size=(5, 5)).mdp, DISCOUNT, TOLERANCE)  # warm caches
    value_iteration(Maze(size=(5, 5)).mdp, DISCOUNT, TOLERANCE, order="prioritized")
    mdp = Maze(size=SIZE, loops=0.05, maze_seed=0, max_episode_steps=None).mdp
    threads = numba.get_num_threads()
    settings = {"states": mdp.n_states, "threads": threads, "discount": DISCOUNT, "tolerance": TOLERANCE}
    start = time.perf_counter()
    swept = value_iteration(mdp, DISCOUNT, TOLERANCE)
    synchronous = time.perf_counter() - start
    start = time.perf_counter()
    solved = value_iteration(mdp, DISCOUNT, TOLERANCE, order="prioritized")
    prioritized = time.perf_counter() - start
    memory = peak_memory()
    values, sweeps, seconds = scipy_value_iteration(mdp)
    for found in (swept.values, solved.values):
        assert np.abs(found - values).max() < 2 * TOLERANCE / (1 - DISCOUNT), "the solutions differ"
    mine, peer = synchronous / swept.sweeps * 1e3, seconds / sweeps * 1e3
    detail = {**settings, "sweeps": {"ours": swept.sweeps, "peer": sweeps}}
    yield Measurement("maze, one synchronous sweep, against scipy", mine, peer, "ms", peer / mine, 5.0, detail)
    yield Measurement(
        "maze, total, prioritized, against scipy", prioritized, seconds, "s", seconds / prioritized, 5.0, settings
    )
    limit = 1.0  # GiB
    used = memory / 2**30
    yield Measurement("maze, peak memory (limit)", used, limit, "GiB", limit / used, 1.0, settings)

    episodes = 200 if SMOKE else 20_000
    lake = MDP.from_toy_text(gym.make("FrozenLake-v1").unwrapped.P)  # type: ignore[attr-defined]
    measured = rates(
        {
            "ours": lambda: int(q_learning(lake, episodes, 0.1, 0.1, DISCOUNT, seed=0).episode_lengths.sum()),
            "peer": lambda: gymnasium_q_learning(episodes // 100),
        }
    )
    ratio = measured["ours"] / measured["peer"]
    name = "Q-learning, FrozenLake, against a loop"
    yield Measurement(name, measured["ours"], measured["peer"], "steps/s", ratio, 200.0, {"episodes": episodes})

"""Wall time until DQN solves CartPole-v1, against Stable-Baselines3 with RL Zoo's settings for it.

The rule and the clock are those of `tools.bench.until_solved`. RL Zoo's settings (rl-baselines3-zoo,
hyperparams/dqn.yml, CartPole-v1): 50,000 steps, learning rate 2.3e-3, batch 64, buffer 100,000, 1,000 steps before
learning, discount 0.99, target copied every 10 steps, 128 gradient steps every 256 steps, exploration from 1 to 0.04
over 16 % of the steps, two layers of 256 units. Here it may take 200,000 steps, of which it explores in the same ones.
"""

from collections.abc import Iterator

import gymnasium as gym
import stable_baselines3

from tools.bench.measurement import Measurement
from tools.bench.until_solved import budget, compare, ours, theirs

BUDGET = budget(200_000)


def zoo(seed: int) -> tuple[float, int]:
    """Seconds and steps of Stable-Baselines3."""
    model = stable_baselines3.DQN(
        "MlpPolicy",
        gym.make("CartPole-v1"),
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16 * 50_000 / BUDGET,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )
    return theirs(model, BUDGET)


def run() -> Iterator[Measurement]:
    """One comparison."""
    yield compare("DQN", lambda seed: ours("dqn", seed), zoo)

"""Wall time until DQN solves CartPole-v1, against Stable-Baselines3 with RL Zoo's settings for it.

The rule and the clock are those of `tools.bench.until_solved`. RL Zoo's settings (rl-baselines3-zoo,
hyperparams/dqn.yml, CartPole-v1) are the defaults of `agents.sb3`: 50,000 steps, learning rate 2.3e-3, batch 64, buffer
100,000, 1,000 steps before learning, discount 0.99, target copied every 10 steps, 128 gradient steps every 256 steps,
exploration from 1 to 0.04 over 16 % of the steps, two layers of 256 units. Here it may take 200,000 steps, of which it
explores in the same ones.
"""

from collections.abc import Iterator

from stable_baselines3.common.env_util import make_vec_env

from agents.sb3.algorithms import DQN
from agents.sb3.training import make_model
from tools.bench.measurement import Measurement
from tools.bench.until_solved import budget, compare, ours, theirs

BUDGET = budget(200_000)


def zoo(seed: int) -> tuple[float, int]:
    """Seconds and steps of Stable-Baselines3, in an environment of Gymnasium."""
    explores = DQN.exploration_fraction * DQN.total_steps / BUDGET
    config = DQN(total_steps=BUDGET, exploration_fraction=min(explores, 1.0), seed=seed)
    return theirs(make_model(config, make_vec_env("CartPole-v1", seed=seed)), BUDGET)


def run() -> Iterator[Measurement]:
    """One comparison."""
    yield compare("DQN", lambda seed: ours("dqn", seed), zoo)

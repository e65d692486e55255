"""Wall time until PPO and A2C solve CartPole-v1, against Stable-Baselines3 with RL Zoo's settings for it.

The rule and the clock are those of `tools.bench.until_solved`. RL Zoo's settings (rl-baselines3-zoo, hyperparams/,
CartPole-v1) are the defaults of `agents.sb3`, both with 8 environments, two layers of 64 units for each of actor and
critic, no entropy bonus:

    ppo.yml   100,000 steps, rounds of 32 steps, batch 256, 20 epochs, discount 0.98, lambda 0.8; learning rate from
              1e-3 and clip range from 0.2 fall linearly to 0
    a2c.yml   500,000 steps; the rest is Stable-Baselines3's default: rounds of 5 steps, RMSprop, learning rate 7e-4
"""

from collections.abc import Iterator

from stable_baselines3.common.env_util import make_vec_env

from agents.sb3.algorithms import A2C, PPO, OnPolicy
from agents.sb3.training import make_model
from tools.bench.measurement import Measurement
from tools.bench.until_solved import budget, compare, ours, theirs


def zoo(config: OnPolicy) -> tuple[float, int]:
    """Seconds and steps of Stable-Baselines3, in environments of Gymnasium."""
    lanes = make_vec_env("CartPole-v1", n_envs=config.lanes, seed=config.seed)
    return theirs(make_model(config, lanes), budget(config.total_steps))


def run() -> Iterator[Measurement]:
    """One comparison an algorithm."""
    yield compare("PPO", lambda seed: ours("ppo", seed), lambda seed: zoo(PPO(seed=seed)))
    yield compare("A2C", lambda seed: ours("a2c", seed), lambda seed: zoo(A2C(seed=seed)))

"""Wall time until PPO and A2C solve CartPole-v1, against Stable-Baselines3 with RL Zoo's settings for it.

The rule and the clock are those of `tools.bench.until_solved`. RL Zoo's settings (rl-baselines3-zoo, hyperparams/,
CartPole-v1), both with 8 environments, two layers of 64 units for each of actor and critic, no entropy bonus:

    ppo.yml   100,000 steps, rounds of 32 steps, batch 256, 20 epochs, discount 0.98, lambda 0.8; learning rate from
              1e-3 and clip range from 0.2 fall linearly to 0
    a2c.yml   500,000 steps; the rest is Stable-Baselines3's default: rounds of 5 steps, RMSprop, learning rate 7e-4
"""

from collections.abc import Iterator

import stable_baselines3
from stable_baselines3.common.env_util import make_vec_env

from tools.bench.measurement import Measurement
from tools.bench.until_solved import budget, compare, ours, theirs


def zoo_ppo(seed: int) -> tuple[float, int]:
    """Seconds and steps of Stable-Baselines3's PPO."""
    model = stable_baselines3.PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8, seed=seed),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )
    return theirs(model, budget(100_000))


def zoo_a2c(seed: int) -> tuple[float, int]:
    """Seconds and steps of Stable-Baselines3's A2C."""
    lanes = make_vec_env("CartPole-v1", n_envs=8, seed=seed)
    model = stable_baselines3.A2C("MlpPolicy", lanes, ent_coef=0.0, seed=seed, device="cpu")
    return theirs(model, budget(500_000))


def run() -> Iterator[Measurement]:
    """One comparison an algorithm."""
    yield compare("PPO", lambda seed: ours("ppo", seed), zoo_ppo)
    yield compare("A2C", lambda seed: ours("a2c", seed), zoo_a2c)

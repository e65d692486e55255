"""Variance of REINFORCE's gradient with and without a baseline, on the same episodes, in the course of training.

The trace of the covariance of the gradient that one episode gives, at policies trained with the default preset for
some steps; the peer is the same estimate without the baseline.
"""

import dataclasses
from collections.abc import Iterator

from agents.policy import reinforce
from agents.policy.trajectories import Collector, advantages
from agents.rollout import Rollout, make_lanes
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement

STAGES = (2_000,) if SMOKE else (5_000, 20_000, 50_000)  # environment steps of training
EPISODES = 16 if SMOKE else 256
SEED = 1_000  # of the measured episodes; training has seed 0


def run() -> Iterator[Measurement]:
    """One measurement a stage."""
    set_threads(1)
    for steps in STAGES:
        config = dataclasses.replace(
            reinforce.PRESETS["default"], total_steps=steps, learning_rate_end=1e-2, evaluate_every=0
        )
        agent = reinforce.train(config)
        lanes = make_lanes(config.env, EPISODES, config.env_kwargs)
        collector = Collector(config, agent, Rollout(lanes, SEED))
        episodes = collector.collect_episodes(10_000)
        assert episodes is not None  # CartPole has a time limit
        advantage = advantages(episodes, config.discount, 1.0)
        returns = advantage + episodes.values
        with_baseline = reinforce.gradient_variance(agent.network, episodes, advantage)
        without = reinforce.gradient_variance(agent.network, episodes, returns)
        length = round(float(episodes.valid.sum() / EPISODES), 1)
        settings = {"trained_steps": steps, "episodes": EPISODES, "mean_length": length}
        name = f"REINFORCE, gradient's variance after {steps:,} steps"
        yield Measurement(name, with_baseline, without, "trace", without / with_baseline, 2.0, settings)

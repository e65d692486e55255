"""Soft actor-critic on Pendulum-v1 against Stable-Baselines3: gradient steps alone, and whole training.

Both sides have four environments, a gradient step for every environment step, batches of 256, policy and critics
with two hidden layers of 256 units, float32, and one torch thread. In training the clock runs from the making of
the environments to the last step; neither side evaluates or saves.

``matmul_precision`` is a setting of ours, and of torch for the whole process: it is measured with Stable-Baselines3
under the same setting, and for training also against what its users get, torch's default "highest".
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.policy import sac
from agents.replay import Replay
from agents.rollout import Rollout, make_lanes
from supervised.training.checkpoint import ChunkLog
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement, rates

LANES = 4
STEPS = 120 if SMOKE else 600
REMEMBERED = 1_000  # transitions to draw from where only gradient steps are measured
CONFIG = sac.Config(
    env="Pendulum-v1",
    total_steps=STEPS,
    lanes=LANES,
    train_every=LANES,
    updates=LANES,
    hidden=(256, 256),
    batch_size=256,
    learning_rate=1e-3,
    learning_rate_end=1e-3,
    learning_starts=100,
    evaluate_every=0,
    threads=1,
)
PRECISIONS = ("highest", "medium")


def peer(learning_starts: int = CONFIG.learning_starts) -> Any:
    """Stable-Baselines3's SAC with the same settings."""
    return stable_baselines3.SAC(
        "MlpPolicy",
        DummyVecEnv([lambda: gym.make("Pendulum-v1")] * LANES),
        learning_rate=CONFIG.learning_rate,
        buffer_size=CONFIG.replay_size,
        learning_starts=learning_starts,
        batch_size=CONFIG.batch_size,
        tau=CONFIG.tau,
        gamma=CONFIG.discount,
        train_freq=1,  # of all environments together
        gradient_steps=LANES,
        policy_kwargs={"net_arch": list(CONFIG.hidden)},
        seed=CONFIG.seed,
        device="cpu",
    )


def gradient_steps() -> dict[str, Callable[[], int]]:
    """Functions that take some gradient steps, and return how many."""
    lanes = make_lanes(CONFIG.env, LANES, {})
    rollout = Rollout(lanes, CONFIG.seed)
    agent = sac.Agent(CONFIG, lanes.single_observation_space, lanes.single_action_space)
    learner = sac.Learner(CONFIG, agent)
    replay = Replay(REMEMBERED, rollout.space, lanes.single_action_space, ChunkLog(None), lanes=LANES)
    for _ in range(REMEMBERED // LANES):
        replay.add(rollout.step(agent.random_actions(LANES)))
    model = peer(learning_starts=REMEMBERED)
    model.learn(REMEMBERED)

    def ours() -> int:
        for _ in range(LANES):
            learner.update(replay, CONFIG.learning_rate)
        return LANES

    def theirs() -> int:
        model.train(LANES, CONFIG.batch_size)
        return LANES

    return {"ours": ours, "peer": theirs}


def training() -> dict[str, Callable[[], int]]:
    """Functions that train from the start, and return the environment steps."""

    def ours() -> int:
        sac.train(dataclasses.replace(CONFIG, matmul_precision=torch.get_float32_matmul_precision()))
        return STEPS

    def theirs() -> int:
        peer().learn(STEPS)
        return STEPS

    return {"ours": ours, "peer": theirs}


def measured(work: dict[str, Callable[[], int]], **turns: Any) -> dict[str, float]:
    """Rates of each side under each precision, by names like "ours medium"."""
    both = [(side, precision) for side in work for precision in PRECISIONS]
    return rates(
        {f"{side} {precision}": work[side] for side, precision in both},
        prepare={f"{side} {precision}": functools.partial(set_threads, 1, precision) for side, precision in both},
        **turns,
    )


def run() -> Iterator[Measurement]:
    """Gradient steps, then training."""
    settings = {"lanes": LANES, "hidden": CONFIG.hidden, "batch_size": 256, "torch_threads": 1, "dtype": "float32"}
    alone = measured(gradient_steps())
    whole = measured(training(), seconds=0.0, rounds=3)
    comparisons = [
        ("gradient steps", "gradient steps/s", alone, "highest", "highest", 1.0),
        ("gradient steps", "gradient steps/s", alone, "medium", "medium", 1.0),
        ("training", "steps/s", whole, "highest", "highest", 1.0),
        ("training", "steps/s", whole, "medium", "medium", 1.0),
        ("training", "steps/s", whole, "medium", "highest", 1.5),
    ]
    for what, unit, found, mine, others, goal in comparisons:
        ours, theirs = found[f"ours {mine}"], found[f"peer {others}"]
        precision = mine if mine == others else f"{mine}, SB3 {others}"
        name = f"SAC {what}, {precision}"
        yield Measurement(name, ours, theirs, unit, ours / theirs, goal, {"matmul_precision": precision, **settings})

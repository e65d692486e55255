"""Wall time until DQN solves CartPole-v1, against Stable-Baselines3 with RL Zoo's settings for it.

The clock runs from the call of ``train`` (``learn``), with warm caches, to the first time that 10 greedy episodes
average at least 475; 100 other episodes must then confirm it, or training goes on to the next evaluation. A run that
does not get there counts as infinite. Both are evaluated by `agents.evaluation.evaluate` every 2,048 environment
steps, on the same seeds.

RL Zoo's settings (rl-baselines3-zoo, hyperparams/dqn.yml, CartPole-v1): 50,000 steps, learning rate 2.3e-3,
batch 64, buffer 100,000, 1,000 steps before learning, discount 0.99, target copied every 10 steps, 128 gradient
steps every 256 steps, exploration from 1 to 0.04 over 16 % of the steps, two layers of 256 units.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from agents.evaluation import Policy, evaluate
from agents.settings import CONFIRMATION_SEED, VALIDATION_SEED
from agents.value import dqn
from supervised.training.run import Run
from tools.bench.measurement import SMOKE, Measurement

EVERY = 2048  # environment steps between evaluations
ENV = "skidpad/CartPole-v1"
BUDGET = 3000 if SMOKE else 200_000
THRESHOLD = 5.0 if SMOKE else 475.0


def ours(seed: int) -> tuple[float, int]:
    """Seconds and steps until solved."""
    config = dataclasses.replace(
        dqn.PRESETS["default"], seed=seed, evaluate_every=EVERY, evaluate_episodes=10, stop_return=THRESHOLD
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(
            Path(folder),
            algorithm="dqn",
            preset="default",
            config={},
            total=config.total_steps,
            progress=False,
        )
        start = time.perf_counter()
        with run:
            agent = dqn.train(config, run)
        seconds = time.perf_counter() - start
        steps = json.loads((Path(folder) / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return (seconds if solved(agent) else float("inf")), steps


def solved(policy: Policy) -> bool:
    """Whether 10 episodes average at least the threshold, and 100 fresh ones confirm it."""
    first = evaluate(policy, ENV, episodes=10, seed=VALIDATION_SEED)["mean"] >= THRESHOLD
    return first and evaluate(policy, ENV, episodes=100, seed=CONFIRMATION_SEED)["mean"] >= THRESHOLD


class Stop(BaseCallback):
    """Ends ``learn`` when the model has solved the task."""

    def _on_step(self) -> bool:
        return self.num_timesteps % EVERY != 0 or not solved(Predictor(self.model))


class Predictor:
    """A Stable-Baselines3 model as a policy."""

    transform = staticmethod(np.asarray)

    def __init__(self, model: Any) -> None:
        self.model = model

    def act(self, observations: NDArray[Any], deterministic: bool = False) -> NDArray[Any]:
        """Actions ``(batch,)``."""
        return self.model.predict(observations, deterministic=deterministic)[0]


def theirs(seed: int) -> tuple[float, int]:
    """Seconds and steps until solved."""
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
    start = time.perf_counter()
    model.learn(BUDGET, callback=Stop())
    seconds = time.perf_counter() - start
    return (seconds if solved(Predictor(model)) else float("inf")), model.num_timesteps


def run() -> Iterator[Measurement]:
    """The medians of five seeds, taken in turns."""
    torch.set_num_threads(1)
    ours(99)
    results: dict[str, list[tuple[float, int]]] = {"ours": [], "peer": []}
    for seed in range(1 if SMOKE else 5):
        results["ours"].append(ours(seed))
        results["peer"].append(theirs(seed))
    seconds = {name: float(np.median([one for one, _ in values])) for name, values in results.items()}
    settings = {
        "seeds": len(results["ours"]),
        "torch_threads": 1,
        "steps": {name: [steps for _, steps in values] for name, values in results.items()},
        "seconds": {name: [round(one, 2) for one, _ in values] for name, values in results.items()},
    }
    ratio = seconds["peer"] / seconds["ours"]
    name = "DQN solves CartPole-v1, against SB3"
    yield Measurement(name, seconds["ours"], seconds["peer"], "s", ratio, 3.0, settings)

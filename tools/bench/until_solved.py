"""Wall time until an algorithm solves CartPole-v1, for ours and for models of Stable-Baselines3, by one rule.

The clock runs from the call of ``train`` (``learn``), with warm caches, to the first time that 10 greedy episodes
average at least 475; 100 other episodes must then confirm it, or training goes on to the next evaluation. A run that
does not get there counts as infinite. Both are evaluated by `agents.evaluation.evaluate` every 2,048 environment
steps, on the same seeds.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback

from agents.evaluation import Policy, evaluate
from agents.registry import find
from agents.settings import CONFIRMATION_SEED, VALIDATION_SEED
from supervised.training.run import Run
from tools.bench.measurement import SMOKE, Measurement

EVERY = 2048  # environment steps between evaluations
ENV = "skidpad/CartPole-v1"
THRESHOLD = 5.0 if SMOKE else 475.0
MOST = 3000  # steps of a run under SMOKE


def budget(steps: int) -> int:
    """The steps that a run may take."""
    return min(steps, MOST) if SMOKE else steps


def ours(algorithm: str, seed: int, **changes: Any) -> tuple[float, int]:
    """Seconds and steps until the default preset of an algorithm, with changes, has solved the task."""
    found = find(algorithm)
    rule = {"evaluate_every": EVERY, "evaluate_episodes": 10, "stop_return": THRESHOLD}
    config = dataclasses.replace(found.presets["default"], seed=seed, **rule, **changes)
    agent, seconds, steps = timed(algorithm, config)
    return (seconds if solved(agent) else float("inf")), steps


def timed(algorithm: str, config: Any) -> tuple[Policy, float, int]:
    """An agent of ours that has trained to its end, the seconds that took, and the steps of its last evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        record: dict[str, Any] = {"algorithm": algorithm, "preset": "", "config": {}}
        run = Run.create(Path(folder), **record, total=config.total_steps, progress=False)
        start = time.perf_counter()
        with run:
            agent = find(algorithm).train(config, run)
        seconds = time.perf_counter() - start
        steps = json.loads((Path(folder) / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    return agent, seconds, steps


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


def theirs(model: Any, steps: int) -> tuple[float, int]:
    """Seconds and steps until a model has solved the task, at most ``steps``."""
    start = time.perf_counter()
    model.learn(steps, callback=Stop())
    seconds = time.perf_counter() - start
    return (seconds if solved(Predictor(model)) else float("inf")), model.num_timesteps


def compare(name: str, us: Callable[[int], tuple[float, int]], them: Callable[[int], tuple[float, int]]) -> Measurement:
    """The medians of five seeds, taken in turns, of functions that return seconds and steps for a seed."""
    torch.set_num_threads(1)
    us(99)
    results: dict[str, list[tuple[float, int]]] = {"ours": [], "peer": []}
    for seed in range(1 if SMOKE else 5):
        results["ours"].append(us(seed))
        results["peer"].append(them(seed))
    seconds = {side: float(np.median([one for one, _ in values])) for side, values in results.items()}
    settings = {
        "seeds": len(results["ours"]),
        "torch_threads": 1,
        "steps": {side: [steps for _, steps in values] for side, values in results.items()},
        "seconds": {side: [round(one, 2) for one, _ in values] for side, values in results.items()},
    }
    title = f"{name} solves CartPole-v1, against SB3"
    return Measurement(title, seconds["ours"], seconds["peer"], "s", seconds["peer"] / seconds["ours"], 3.0, settings)

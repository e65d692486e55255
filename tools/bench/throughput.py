"""Training steps/s from pixels, against Stable-Baselines3 with the same settings.

Both sides have the same number of environments, the network of Mnih et al. 2015 with one head a task, batches and
passes of one size, and two torch threads. A rate is the difference in steps of a longer and a shorter training, over
that in seconds, so that making environments and networks is not counted; neither side evaluates or saves. Ours is
measured in float32 and in bfloat16, Stable-Baselines3 in float32, which is all it has, and both in turns.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_vec_env

from agents.policy import ppo
from agents.registry import find
from tools.bench.measurement import SMOKE, Measurement, median

THREADS = 2


@dataclass(frozen=True)
class Case:
    """One comparison."""

    name: str
    algorithm: str
    config: Any
    peer: Callable[[Any], Any]  # makes Stable-Baselines3's model of the same settings
    steps: tuple[int, int]  # of the shorter and the longer training of the peer; ours are three times as long
    goals: dict[str, float]  # dtype -> ratio


PPO_STEPS = (64, 128) if SMOKE else (1024, 2048)
CAR_RACING = ppo.Config(
    env="skidpad/CarRacing-v0",
    lanes=8,
    round_steps=8 if SMOKE else 128,
    epochs=4,
    minibatches=4,
    backbone="nature_cnn",
    policy="gaussian",
    threads=THREADS,
    evaluate_every=0,
)


def peer_ppo(config: ppo.Config) -> Any:
    """PPO on Gymnasium's CarRacing."""
    return stable_baselines3.PPO(
        "CnnPolicy",
        make_vec_env("CarRacing-v3", n_envs=config.lanes, seed=config.seed),
        n_steps=config.round_steps,
        batch_size=config.round_steps * config.lanes // config.minibatches,
        n_epochs=config.epochs,
        device="cpu",
    )


CASES = [
    Case("PPO CarRacing", "ppo", CAR_RACING, peer_ppo, PPO_STEPS, {"float32": 2.7, "bfloat16": 5.0}),
]


def run() -> Iterator[Measurement]:
    """One comparison a task and type of numbers."""
    for case in CASES:
        short, long = case.steps
        rates: dict[str, list[float]] = {}
        for _ in range(1 if SMOKE else 3):
            for dtype in case.goals:
                rates.setdefault(dtype, []).append(rate(partial(ours, case, dtype), 3 * short, 3 * long))
            rates.setdefault("peer", []).append(rate(partial(theirs, case), short, long))
        peer = median(rates.pop("peer"))
        for dtype, found in rates.items():
            settings = {"lanes": case.config.lanes, "torch_threads": THREADS, "dtype": f"{dtype}, SB3 float32"}
            mine, goal = median(found), case.goals[dtype]
            yield Measurement(f"{case.name}, {dtype}", mine, peer, "steps/s", mine / peer, goal, settings)


def rate(train: Callable[[int], None], short: int, long: int) -> float:
    """Steps per second, by two trainings of different lengths."""
    seconds = []
    for steps in (short, long):
        start = time.perf_counter()
        train(steps)
        seconds.append(time.perf_counter() - start)
    return (long - short) / (seconds[1] - seconds[0])


def ours(case: Case, dtype: str, steps: int) -> None:
    """A training of ours."""
    config = dataclasses.replace(case.config, dtype=dtype, total_steps=steps)
    find(case.algorithm).train(config)


def theirs(case: Case, steps: int) -> None:
    """A training of the peer."""
    torch.set_num_threads(THREADS)
    case.peer(case.config).learn(steps)

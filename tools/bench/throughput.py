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

import cv2  # noqa: F401 - Stable-Baselines3 shrinks Atari's pictures with it
import torch
from stable_baselines3.common.env_util import make_vec_env

from agents.policy import a2c, ppo
from agents.registry import find
from agents.sb3 import algorithms as sb3
from agents.sb3.training import make_model
from agents.value import dqn
from tools.bench.measurement import SMOKE, Measurement, median
from tools.bench.peers import sb3_breakout

THREADS = 1 if SMOKE else 2  # two of a process wait for each other where other tests run


@dataclass(frozen=True)
class Case:
    """One comparison."""

    name: str
    algorithm: str
    config: Any
    peer: sb3.Settings  # the same, by the names of `agents.sb3`
    peer_lanes: Callable[[Any], Any]
    steps: tuple[int, int]  # of the shorter and the longer training of the peer; ours are three times as long
    goals: dict[str, float]  # dtype -> ratio


LANES = 2 if SMOKE else 8
COMMON: dict[str, Any] = {"lanes": LANES, "backbone": "nature_cnn", "threads": THREADS, "evaluate_every": 0}
ROUND = 8 if SMOKE else 128
STARTS = 80 if SMOKE else 1_000
PPO: dict[str, Any] = {**COMMON, "round_steps": ROUND, "epochs": 4, "minibatches": 4}
BREAKOUT: dict[str, Any] = {"env": "skidpad/Atari-Breakout-v0", "life_loss_ends": True, "clip_rewards": True}
WHOLE: dict[str, Any] = {"env_kwargs": {"repeat_action_probability": 0.0}}
SINGLE: dict[str, Any] = {
    "env_kwargs": {"repeat_action_probability": 0.0, "stack": 1},
    "transforms": ("stack:4",),
}
UPDATES: dict[str, Any] = {
    "batch_size": 32,
    "replay_size": 20_000,
    "learning_starts": STARTS,
    "train_every": 8,
    "updates": 2,
}


def cars(config: Any) -> Any:
    """Gymnasium's CarRacing."""
    return make_vec_env("CarRacing-v3", n_envs=config.lanes, seed=config.seed)


def breakout(config: Any) -> Any:
    """Breakout under Stable-Baselines3's own preprocessing."""
    return sb3_breakout(config.lanes, config.seed)


NATURE: dict[str, Any] = {"lanes": LANES, "backbone": "nature_cnn", "hidden": ()}
PEER_PPO = sb3.PPO(**NATURE, round_steps=ROUND, epochs=4, batch_size=LANES * ROUND // 4)
CASES = [
    Case(
        *("PPO CarRacing", "ppo", ppo.Config(env="skidpad/CarRacing-v0", **PPO), PEER_PPO, cars),
        steps=(LANES * ROUND, 2 * LANES * ROUND),
        goals={"float32": 2.7, "bfloat16": 5.0},
    ),
    Case(
        *("PPO Breakout", "ppo", ppo.Config(**PPO, **BREAKOUT, **WHOLE), PEER_PPO, breakout),
        steps=(LANES * ROUND, 2 * LANES * ROUND),
        goals={"float32": 2.7, "bfloat16": 5.0},
    ),
    Case(
        *(
            "A2C Breakout",
            "a2c",
            a2c.Config(**COMMON, **BREAKOUT, **WHOLE, round_steps=5, standardize_advantages=False),
            sb3.A2C(**NATURE),
            breakout,
        ),
        steps=(10 * ROUND, 30 * ROUND),
        goals={"float32": 2.0, "bfloat16": 3.0},
    ),
    Case(
        "DQN Breakout",
        "dqn",
        dqn.Config(**COMMON, **BREAKOUT, **SINGLE, **UPDATES),
        sb3.DQN(**NATURE, **UPDATES, target_update_interval=1_000),
        breakout,
        steps=(STARTS + 2 * ROUND, STARTS + 10 * ROUND),
        goals={"float32": 1.3, "bfloat16": 2.0},
    ),
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
    config = dataclasses.replace(case.peer, total_steps=steps)
    make_model(config, case.peer_lanes(config)).learn(steps)

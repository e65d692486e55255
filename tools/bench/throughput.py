"""Training steps/s from pixels, against Stable-Baselines3 with the same settings.

Both sides have the same number of environments, the network of Mnih et al. 2015 with one head a task, batches and
passes of one size, and two torch threads. A rate is the difference in steps of a longer and a shorter training, over
that in seconds, so that making environments and networks is not counted; neither side evaluates or saves. Ours is
measured in float32 and in bfloat16, Stable-Baselines3 in float32, which is all it has, and both in turns.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import ale_py
import cv2  # noqa: F401 - Stable-Baselines3 shrinks Atari's pictures with it
import gymnasium as gym
import stable_baselines3
import torch
from stable_baselines3.common.env_util import make_atari_env, make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack

from agents.policy import a2c, ppo
from agents.registry import find
from agents.value import dqn
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


COMMON: dict[str, Any] = {"lanes": 8, "backbone": "nature_cnn", "threads": THREADS, "evaluate_every": 0}
ROUND = 8 if SMOKE else 128
STARTS = 80 if SMOKE else 1_000
PPO: dict[str, Any] = {**COMMON, "round_steps": ROUND, "epochs": 4, "minibatches": 4}
BREAKOUT: dict[str, Any] = {"env": "skidpad/Atari-Breakout-v0", "life_loss_ends": True, "clip_rewards": True}
WHOLE: dict[str, Any] = {"env_kwargs": {"repeat_action_probability": 0.0}}
SINGLE: dict[str, Any] = {
    "env_kwargs": {"repeat_action_probability": 0.0, "stack": 1},
    "transforms": ("stack:4",),
    "replay_size": 20_000,
}


def cars(config: Any) -> Any:
    """Gymnasium's CarRacing."""
    return make_vec_env("CarRacing-v3", n_envs=config.lanes, seed=config.seed)


def breakout(config: Any) -> Any:
    """Breakout under Stable-Baselines3's own preprocessing."""
    gym.register_envs(ale_py)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is out of date")
        lanes = make_atari_env("BreakoutNoFrameskip-v4", n_envs=config.lanes, seed=config.seed)
    return VecFrameStack(lanes, 4)


def peer_ppo(lanes: Callable[[Any], Any], config: ppo.Config) -> Any:
    """PPO with the settings of ours."""
    return stable_baselines3.PPO(
        "CnnPolicy",
        lanes(config),
        n_steps=config.round_steps,
        batch_size=config.round_steps * config.lanes // config.minibatches,
        n_epochs=config.epochs,
        device="cpu",
    )


def peer_a2c(config: a2c.Config) -> Any:
    """A2C with the settings of ours."""
    return stable_baselines3.A2C("CnnPolicy", breakout(config), n_steps=config.round_steps, device="cpu")


def peer_dqn(config: dqn.Config) -> Any:
    """DQN with the settings of ours."""
    return stable_baselines3.DQN(
        "CnnPolicy",
        breakout(config),
        buffer_size=config.replay_size,
        learning_starts=config.learning_starts,
        batch_size=config.batch_size,
        train_freq=config.train_every // config.lanes,
        gradient_steps=config.updates,
        target_update_interval=1_000,
        device="cpu",
    )


CASES = [
    Case(
        *("PPO CarRacing", "ppo", ppo.Config(env="skidpad/CarRacing-v0", **PPO), partial(peer_ppo, cars)),
        steps=(8 * ROUND, 16 * ROUND),
        goals={"float32": 2.7, "bfloat16": 5.0},
    ),
    Case(
        *("PPO Breakout", "ppo", ppo.Config(**PPO, **BREAKOUT, **WHOLE), partial(peer_ppo, breakout)),
        steps=(8 * ROUND, 16 * ROUND),
        goals={"float32": 2.7, "bfloat16": 5.0},
    ),
    Case(
        *("A2C Breakout", "a2c", a2c.Config(**COMMON, **BREAKOUT, **WHOLE), peer_a2c),
        steps=(10 * ROUND, 30 * ROUND),
        goals={"float32": 2.0, "bfloat16": 3.0},
    ),
    Case(
        "DQN Breakout",
        "dqn",
        dqn.Config(
            **{**COMMON, **BREAKOUT, **SINGLE},
            batch_size=32,
            learning_starts=STARTS,
            train_every=8,
            updates=2,
        ),
        peer_dqn,
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
    case.peer(case.config).learn(steps)

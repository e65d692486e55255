"""Batched CartPole-v1: steps/s against Gymnasium's vectorised NumPy version and EnvPool, random actions."""

from collections.abc import Callable, Iterator
from typing import Any

import envpool
import gymnasium as gym
import numba
import numpy as np

import envs  # noqa: F401 - registers skidpad/*
from tools.bench.measurement import SMOKE, Measurement, rates

GOALS = {256: 4.0, 4096: 3.0}  # against Gymnasium
ENVPOOL_GOAL = 60.0


def run() -> Iterator[Measurement]:
    """One measurement a lane count and peer."""
    for lanes in (256,) if SMOKE else (256, 4096, 65_536):
        actions = [np.random.default_rng(k).integers(2, size=lanes) for k in range(16)]

        def stepper(env: Any, lanes: int = lanes, actions: list = actions) -> Callable[[], int]:
            env.reset(seed=0) if "envpool" not in type(env).__module__ else env.reset()

            def work() -> int:
                for one in actions:
                    env.step(one)
                return lanes * len(actions)

            return work

        mode = "vector_entry_point"
        measured = rates(
            {
                "ours": stepper(gym.make_vec("skidpad/CartPole-v1", lanes, vectorization_mode=mode)),
                "gymnasium": stepper(gym.make_vec("CartPole-v1", lanes, vectorization_mode=mode)),
                "envpool": stepper(envpool.make("CartPole-v1", env_type="gymnasium", num_envs=lanes, seed=0)),
            }
        )
        settings = {"lanes": lanes, "threads": numba.get_num_threads(), "actions": "random", "copy": True}
        for peer, goal in (("gymnasium", GOALS.get(lanes, 0.0)), ("envpool", ENVPOOL_GOAL)):
            ratio = measured["ours"] / measured[peer]
            name = f"cart-pole, {lanes} lanes, against {peer}"
            yield Measurement(name, measured["ours"], measured[peer], "steps/s", ratio, goal, settings)

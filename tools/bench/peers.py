"""Environments of others that several benchmarks compare with."""

import warnings
from typing import Any

import ale_py
import gymnasium as gym
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack


def sb3_breakout(lanes: int, seed: int, **wrapper: Any) -> VecEnv:
    """Breakout in lanes of Stable-Baselines3, in stacks of four; ``wrapper`` are keywords of its ``AtariWrapper``."""
    gym.register_envs(ale_py)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is out of date")
        return VecFrameStack(make_atari_env("BreakoutNoFrameskip-v4", lanes, seed=seed, wrapper_kwargs=wrapper), 4)

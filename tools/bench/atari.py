"""Atari: steps/s of 16 lanes of Breakout under random actions, against Stable-Baselines3 and EnvPool.

All three play whole games with frame skip 4, the lighter of two frames, 84 x 84 gray, stacks of 4, up to 30 frames
of waiting, fire at the start and no sticky actions. EnvPool has a thread a core, and once more a single one; we and
Stable-Baselines3's ``make_atari_env``, by default, step lanes one after the other.
"""

from collections.abc import Callable, Iterator
from typing import Any

import envpool
import numba
import numpy as np

from envs.atari.env import Atari
from tools.bench.measurement import SMOKE, Measurement, rates
from tools.bench.peers import sb3_breakout

LANES = 2 if SMOKE else 16
STEPS = 10 if SMOKE else 100  # of a call
PROTOCOL: dict[str, Any] = {"frame_skip": 4, "noop_max": 30}
WHOLE_GAMES = {"terminal_on_life_loss": False, "clip_reward": False}
#: peer -> the least ratio wanted
GOALS = {"stable-baselines3": 1.5, "envpool": 0.9, "envpool on one thread": 0.0}


def ours() -> Callable[[Any], Any]:
    """`step` of our lanes."""
    env = Atari(LANES, game="breakout", repeat_action_probability=0.0, **PROTOCOL)
    env.reset(seed=0)
    return env.step


def stable_baselines3() -> Callable[[Any], Any]:
    """`step` of Stable-Baselines3's."""
    env = sb3_breakout(LANES, seed=0, **PROTOCOL, **WHOLE_GAMES)
    env.reset()
    return env.step


def envpool_lanes(threads: int) -> Callable[[Any], Any]:
    """`step` of EnvPool's."""
    own = {"reward_clip": False, "episodic_life": False, "use_fire_reset": True, "repeat_action_probability": 0.0}
    env: Any = envpool.make_gymnasium("Breakout-v5", num_envs=LANES, num_threads=threads, seed=0, **own, **PROTOCOL)
    env.reset()
    return env.step


def run() -> Iterator[Measurement]:
    """Whole steps, resets included."""
    actions = np.random.default_rng(0).integers(4, size=(STEPS, LANES))

    def work(step: Callable[[Any], Any]) -> Callable[[], int]:
        def play() -> int:
            for one in actions:
                step(one)
            return actions.size

        return play

    cores = numba.get_num_threads()
    steps = {
        "ours": ours(),
        "stable-baselines3": stable_baselines3(),
        "envpool": envpool_lanes(cores),
        "envpool on one thread": envpool_lanes(1),
    }
    measured = rates({name: work(step) for name, step in steps.items()})
    settings = {"game": "Breakout", "lanes": LANES, "cores": cores, "actions": "random", **PROTOCOL}
    for peer, goal in GOALS.items():
        mine, other = measured["ours"], measured[peer]
        yield Measurement(f"atari, Breakout, against {peer}", mine, other, "steps/s", mine / other, goal, settings)

"""CarRacing: steps/s of 64 cars under the expert's actions, against Gymnasium and EnvPool on the same cores.

The expert's actions are recorded beforehand along each car's own track; time is taken from the end of the first
second on, when the picture has zoomed in. Gymnasium steps one environment, as it has no batched version; EnvPool steps
as many cars as we do, with a thread a core, under the same actions on its own tracks.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import envpool
import gymnasium as gym
import numba
import numpy as np
from numpy.typing import NDArray

from agents.imitation.experts import Expert
from envs.car_racing.env import CarRacing
from tools.bench.measurement import SMOKE, Measurement, rates

LANES = 8 if SMOKE else 64
GROWTH = (1, 16) if SMOKE else (1, 16, 256, 1024)
ZOOM, STEPS = (5, 10) if SMOKE else (50, 250)
Actions = NDArray[np.float32]

VARIANTS: dict[str, dict[str, Any]] = {
    "state": {"observation": "state"},
    "fast": {"renderer": "fast"},
    "exact": {"renderer": "exact"},
    "driver": {"camera": "driver"},
    "none": {"observation": "none"},
}
#: what is observed -> goals against Gymnasium and EnvPool
GOALS = {"state": (800.0, 0.0), "fast": (250.0, 12.0), "exact": (40.0, 2.5), "driver": (0.0, 0.0), "none": (0.0, 0.0)}


class Candidate(NamedTuple):
    """Something to time: ``prepare()`` comes before the clock starts, ``step(k)`` does the k-th part of the work."""

    prepare: Callable[[], Any]
    step: Callable[[int], Any]
    amount: int  # steps of single cars in one part
    steps: int  # parts

    def work(self) -> int:
        """All parts."""
        for k in range(ZOOM, ZOOM + self.steps):
            self.step(k)
        return self.amount * self.steps


def measure(candidates: dict[str, Candidate]) -> dict[str, float]:
    """Work per second of each candidate, whose turns begin where it was prepared."""
    prepare = {name: candidate.prepare for name, candidate in candidates.items()}
    return rates({name: candidate.work for name, candidate in candidates.items()}, seconds=0.0, prepare=prepare)


def plan(lanes: int, steps: int = STEPS) -> Actions:
    """The expert's actions ``(ZOOM + steps, lanes, 3)`` along the tracks of seeds 0, 1, ..."""
    env = CarRacing(lanes, observation="none")
    env.reset(seed=0)
    expert = Expert(env)
    actions = []
    for _ in range(ZOOM + steps):
        actions.append(np.asarray(expert.act(), np.float32))
        env.step(actions[-1])
    return np.array(actions)


def ours(actions: Actions, keywords: dict[str, Any]) -> Candidate:
    """Our cars on the tracks of the plan, put back to the end of the first second before every turn."""
    env = CarRacing(actions.shape[1], **keywords)
    env.reset(seed=0)
    for one in actions[:ZOOM]:
        env.step(one)
    start = env.state_dict()
    steps = len(actions) - ZOOM
    return Candidate(lambda: env.load_state_dict(start), lambda k: env.step(actions[k]), env.num_envs, steps)


def drawing(actions: Actions, keywords: dict[str, Any]) -> Candidate:
    """Only the pictures of cars under way."""
    env = CarRacing(actions.shape[1], **keywords)
    env.reset(seed=0)
    for one in actions[: ZOOM + STEPS // 2]:
        env.step(one)
    return Candidate(lambda: None, lambda k: env.observe(), env.num_envs, STEPS)


def gymnasium(actions: Actions, drawn: bool = True) -> Candidate:
    """Gymnasium's car on the first track of the plan; without ``drawn`` its pictures are left out."""
    env: Any = gym.make("CarRacing-v3").unwrapped
    if not drawn:
        env._render = lambda mode: np.zeros((96, 96, 3), np.uint8)

    def prepare() -> None:
        env.reset(seed=0)
        for one in actions[:ZOOM, 0]:
            env.step(one)

    return Candidate(prepare, lambda k: env.step(actions[k, 0]), 1, STEPS)


def envpool_cars(actions: Actions) -> Candidate:
    """EnvPool's cars."""
    lanes, threads = actions.shape[1], numba.get_num_threads()
    env: Any = envpool.make("CarRacing-v3", env_type="gymnasium", num_envs=lanes, num_threads=threads, seed=0)

    def prepare() -> None:
        env.reset()
        for one in actions[:ZOOM]:
            env.step(one)

    return Candidate(prepare, lambda k: env.step(actions[k]), lanes, STEPS)


def run() -> Iterator[Measurement]:
    """Whole steps against both peers; physics and drawing apart; growth with the number of cars."""
    actions = plan(LANES)
    settings = {"cars": LANES, "threads": numba.get_num_threads(), "actions": "expert", "dtype": "uint8"}
    candidates = {name: ours(actions, keywords) for name, keywords in VARIANTS.items()}
    candidates |= {"gymnasium": gymnasium(actions), "envpool": envpool_cars(actions)}
    candidates |= {"gymnasium, not drawn": gymnasium(actions, drawn=False)}
    candidates |= {f"drawing {name}": drawing(actions, VARIANTS[name]) for name in ("exact", "fast")}
    measured = measure(candidates)
    for name, goals in GOALS.items():
        for other, goal in zip(("gymnasium", "envpool"), goals, strict=True):
            ratio = measured[name] / measured[other]
            title = f"car-racing, {name}, against {other}"
            yield Measurement(title, measured[name], measured[other], "steps/s", ratio, goal, settings)
    undrawn = measured["gymnasium, not drawn"]
    yield Measurement(
        "car-racing, physics only, both",
        measured["none"],
        undrawn,
        "steps/s",
        measured["none"] / undrawn,
        0.0,
        settings,
    )
    # a step of Gymnasium's is its drawing and the rest
    frames = 1 / (1 / measured["gymnasium"] - 1 / undrawn)
    for name in ("exact", "fast"):
        rate = measured[f"drawing {name}"]
        yield Measurement(f"car-racing, {name} drawing only", rate, frames, "frames/s", rate / frames, 0.0, settings)
    for lanes in GROWTH:
        actions = plan(max(lanes, LANES), max(STEPS * LANES // max(lanes, LANES), 10))  # few steps of many cars
        names = ("none", "fast", "exact")
        grown = {(name, n): ours(actions[:, :n], VARIANTS[name]) for name in names for n in (lanes, LANES)}
        taken = measure({f"{name} {n}": candidate for (name, n), candidate in grown.items()})
        for name in names:
            mine, base = taken[f"{name} {lanes}"], taken[f"{name} {LANES}"]
            title = f"car-racing, {name}, {lanes} cars, against {LANES}"
            details = {**settings, "cars": lanes, "steps": len(actions) - ZOOM}
            yield Measurement(title, mine, base, "steps/s", mine / base, 0.0, details)

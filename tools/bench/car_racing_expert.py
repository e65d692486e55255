"""The scripted driver's mean return on CarRacing, ours and Gymnasium's own, against the goal of 900.

Both are seeded alike. Gymnasium's pictures, which the expert does not look at and which take 97 % of its time, are left
out; its physics, rewards and ends are as they are.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.envs.box2d import car_racing
from numpy.typing import NDArray

from agents.imitation.experts import Expert
from envs.car_racing.env import BOOK_ACTIONS, CarRacing
from tools.bench.measurement import SMOKE, Measurement

EPISODES = 2 if SMOKE else 100
FIRST_SEED = 20_000
STEPS = 50 if SMOKE else 1000
GOAL = 900.0


class Unseen(car_racing.CarRacing):
    """Gymnasium's environment without its pictures."""

    def _render(self, mode: str) -> NDArray[np.uint8]:
        return np.zeros((96, 96, 3), np.uint8)


def ours(actions: str) -> NDArray[np.floating]:
    """Returns ``(episodes,)``."""
    cars = CarRacing(EPISODES, actions=actions, observation="none", autoreset_mode="Disabled")
    cars.reset(seed=list(range(FIRST_SEED, FIRST_SEED + EPISODES)))
    expert, returns, going = Expert(cars, actions), np.zeros(EPISODES), np.ones(EPISODES, np.bool_)
    for _ in range(STEPS):
        _, rewards, terminated, truncated, _ = cars.step(expert.act())
        returns += rewards * going
        going &= ~(terminated | truncated)
    return returns


def theirs(actions: str) -> NDArray[np.floating]:
    """Returns ``(episodes,)``."""
    env: Any = Unseen()
    expert, returns = Expert(env, actions), np.zeros(EPISODES)
    for episode in range(EPISODES):
        env.reset(seed=FIRST_SEED + episode)
        for _ in range(STEPS):
            (action,) = expert.act()
            _, reward, terminated, _, _ = env.step(BOOK_ACTIONS[action] if actions == "book" else action)
            returns[episode] += reward
            if terminated:
                break
    return returns


def run() -> Iterator[Measurement]:
    """Means over the same tracks."""
    for actions in ("continuous", "book"):
        for place, measure in (("ours", ours), ("Gymnasium's", theirs)):
            mean = float(measure(actions).mean())
            seeds = [FIRST_SEED, FIRST_SEED + EPISODES - 1]
            name = f"expert, {actions}, on {place}"
            yield Measurement(name, mean, GOAL, "return", mean / GOAL, 1.0, {"episodes": EPISODES, "seeds": seeds})

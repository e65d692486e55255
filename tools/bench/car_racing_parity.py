"""CarRacing beside Gymnasium's: every observation, reward, pose and end of whole episodes, bit for bit.

Both environments get the same seed and the same actions; an episode is compared until it ends or until the first
difference. The goal is a share of 1: all steps equal.
"""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.imitation.experts import Expert
from envs.car_racing.env import DISCRETE_ACTIONS, CarRacing
from tools.bench.measurement import SMOKE, Measurement

EPISODES = 1 if SMOKE else 2  # of each driver and setting
STEPS = 60 if SMOKE else 1000
FAST_LIMIT = 0.7  # grey levels, on average over pixels and frames

Driver = Callable[[CarRacing, int], NDArray[np.floating]]  # (environment, step) -> steering, gas, brake


def drivers(env: CarRacing, seed: int) -> dict[str, Driver]:
    """The ways of driving that are compared; all but the expert are blind."""
    expert = Expert(env)
    generator = np.random.default_rng(seed)
    held = generator.uniform([-1, 0, 0], [1, 1, 0.5], (STEPS // 10 + 1, 3))
    return {
        "expert": lambda env, step: expert.act()[0],
        "random": lambda env, step: generator.uniform([-1, 0, 0], 1),
        "held": lambda env, step: held[step // 10],
        "full gas": lambda env, step: np.array([0.05 * (-1) ** (step // 40), 1, 0]),
        "braking": lambda env, step: np.array([0.3 * np.sin(step / 15), step % 60 < 30, step % 60 >= 45]),
        "off-road": lambda env, step: np.array([0.2 if 40 < step < 60 else 0.0, 1, 0]),
    }


def choose(drive: Driver, env: CarRacing, step: int, continuous: bool) -> Any:
    """The driver's action: (3,) float32, or the nearest of Gymnasium's five."""
    action = np.asarray(drive(env, step), np.float32)
    return action if continuous else int(np.abs(DISCRETE_ACTIONS - action).sum(axis=1).argmin())


def compare(driver: str, continuous: bool, randomize: bool, seed: int, differences: list[float]) -> tuple[int, int]:
    """Steps of an episode, and how many of them were equal; appends the differences of fast pictures."""
    settings: dict[str, Any] = {"continuous": continuous, "domain_randomize": randomize}
    ours, fast = CarRacing(**settings), CarRacing(**settings, renderer="fast")
    theirs: Any = gym.make("CarRacing-v3", **settings)
    mine, picture = ours.reset(seed=[seed])[0][0], theirs.reset(seed=seed)[0]
    fast.reset(seed=[seed])
    drive = drivers(ours, seed)[driver]
    equal = int(np.array_equal(mine, picture))
    for step in range(STEPS):
        action = choose(drive, ours, step, continuous)
        picture, reward, terminated, truncated, _ = theirs.step(action)
        observations, rewards, ended, cut, infos = ours.step(np.array([action]))
        hull = theirs.unwrapped.car.hull
        over = terminated or truncated
        if not over:
            pose = (*ours.fields["position"][0, 0], ours.fields["angle"][0, 0])
            same_pose = pose == (*hull.position, hull.angle)
            fast.load_state_dict(ours.state_dict())
            if step >= 50:
                differences.append(float(np.abs(fast.observe()[0].astype(int) - picture).mean()))
        seen = (infos["final_obs"] if over else observations)[0]
        same = (rewards[0], ended[0], cut[0]) == (reward, terminated, truncated) and np.array_equal(seen, picture)
        if not (same and (over or same_pose)):
            return step + 2, equal
        equal += 1
        if over:
            break
    return step + 2, equal


def run() -> Iterator[Measurement]:
    """Shares of equal steps by driver, over actions and colours; and how far the fast picture is from the exact one."""
    differences: list[float] = []
    names = tuple(drivers(CarRacing(observation="none"), 0))
    for driver in names[:2] if SMOKE else names:
        steps = equal = 0
        for continuous in (True, False):
            for randomize in (False, True):
                for episode in range(EPISODES):
                    counted = compare(driver, continuous, randomize, 100 + episode, differences)
                    steps, equal = steps + counted[0], equal + counted[1]
        settings = {"seeds": EPISODES, "actions": "continuous and discrete", "colours": "fixed and random"}
        yield Measurement(f"equal to Gymnasium, {driver}", equal, steps, "steps", equal / steps, 1.0, settings)
    mean = float(np.mean(differences)) if differences else 0.0
    settings = {"frames": len(differences), "after step": 50}
    name = "fast picture, mean difference (limit)"
    yield Measurement(name, mean, FAST_LIMIT, "levels", FAST_LIMIT / max(mean, 1e-9), 1.0, settings)

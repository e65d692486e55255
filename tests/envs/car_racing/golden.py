"""Golden traces of CarRacing: what Gymnasium's own environment did, small enough to keep.

``python tests/envs/car_racing/golden.py`` records them anew from the original (it needs Box2D and pygame-ce); the
tests that read them need neither.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "golden"
STEPS = 400
#: name -> (driver, keywords, seed)
TRACES: dict[str, tuple[str, dict[str, Any], int]] = {
    "expert": ("expert", {}, 1),
    "expert-discrete-colours": ("expert", {"continuous": False, "domain_randomize": True}, 2),
    "random": ("random", {}, 3),
    "held": ("held", {}, 4),
    "held-discrete": ("held", {"continuous": False}, 5),
    "full-gas-colours": ("full gas", {"domain_randomize": True}, 6),
    "braking": ("braking", {}, 7),
    "off-road": ("off-road", {}, 8),
}


def digest(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Eight bytes that stand for a picture."""
    return np.frombuffer(hashlib.blake2b(np.ascontiguousarray(frame), digest_size=8).digest(), np.uint8)


def record(driver: str, keywords: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Drive the original: actions, rewards, ends, poses (x, y, angle), digests of all pictures."""
    import gymnasium as gym

    from envs.car_racing.env import CarRacing
    from tools.bench.car_racing_parity import choose, drivers

    theirs: Any = gym.make("CarRacing-v3", **keywords).unwrapped
    ours = CarRacing(**keywords)  # only to ask the drivers
    ours.reset(seed=[seed])
    drive = drivers(ours, seed)[driver]
    picture, _ = theirs.reset(seed=seed)
    columns: dict[str, list[Any]] = {name: [] for name in ("actions", "rewards", "terminated", "poses")}
    digests = [digest(picture)]
    for step in range(STEPS):
        action = choose(drive, ours, step, keywords.get("continuous", True))
        picture, reward, terminated, _, _ = theirs.step(action)
        ours.step(np.array([action]))
        hull = theirs.car.hull
        values = (action, reward, terminated, (*hull.position, hull.angle))
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        digests.append(digest(picture))
        if terminated:
            break
    arrays = {name: np.array(column) for name, column in columns.items()}
    return {**arrays, "poses": arrays["poses"].astype(np.float32), "digests": np.array(digests)}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, trace in TRACES.items():
        np.savez_compressed(FOLDER / f"{name}.npz", **record(*trace))
        print(name, (FOLDER / f"{name}.npz").stat().st_size, "bytes")

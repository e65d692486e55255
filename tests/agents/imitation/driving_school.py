"""A small world for tests of imitation: a bar in the picture says which of the book's classes is right."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from agents.imitation.demonstrations import DemonstrationWriter
from agents.imitation.episodes import Episode

SIDE = 40  # pixels
#: a mirror exchanges the columns of left and right
COLUMNS = (18, 2, 10, 34, 26, 18, 18)  # of the bar, by class
ROWS = (2, 2, 2, 2, 2, 16, 28)


def picture(kind: int, noise: int = 0) -> np.ndarray:
    frame = np.full((SIDE, SIDE, 3), noise, np.uint8)
    frame[ROWS[kind] : ROWS[kind] + 10, COLUMNS[kind] : COLUMNS[kind] + 4] = 255
    return frame


class School(gym.Env):
    """Shows bars in turn; the right class pays 1, and twenty steps are an episode. A mistake shows a gray world."""

    observation_space = gym.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
    action_space = gym.spaces.Discrete(7)
    steps = right = 0
    lost = False

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.steps, self.lost = 0, False
        return self._show(), {}

    def _show(self) -> np.ndarray:
        self.right = int(self.np_random.integers(7))
        return picture(self.right, 120 if self.lost else 0)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = float(action == self.right)
        self.lost |= not reward
        self.steps += 1
        return self._show(), reward, False, self.steps >= 20, {}


class Master:
    """Knows what is right in every lane of a vector environment of schools."""

    def __init__(self, lanes: Any) -> None:
        self.lanes = lanes

    def act(self) -> np.ndarray:
        return np.array([school.unwrapped.right for school in self.lanes.envs])


def record(folder: Path, episodes: int = 6, steps: int = 40, seed: int = 0) -> str:
    """A data set of the master's episodes."""
    rng = np.random.default_rng(seed)
    writer = DemonstrationWriter(folder, School.observation_space, School.action_space)
    for _ in range(episodes):
        classes = rng.integers(7, size=steps)
        frames = np.array([picture(kind) for kind in [*classes, 0]])
        ends = np.arange(steps) == steps - 1
        writer.append(Episode(frames, classes, np.ones(steps), np.zeros(steps, bool), ends))
    return str(folder)

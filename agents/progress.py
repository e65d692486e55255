"""What every training loop keeps count of: what is due, the latest episodes, and whether the task is solved."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.evaluation import Policy, evaluate
from agents.rollout import Rollout
from agents.settings import CONFIRMATION_SEED, VALIDATION_SEED, Acting
from supervised.training.run import Run

Array = NDArray[Any]


def crossed(before: int, after: int, every: int) -> int:
    """How many multiples of ``every`` lie in (before, after]; none where ``every`` is 0."""
    return after // every - before // every if every else 0


class Episodes:
    """The latest 100 episodes that training has finished, and how many there were in all."""

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[tuple[float, int]] = deque(maxlen=100)

    def add(self, rollout: Rollout) -> None:
        """Count the episodes that ended at the rollout's last step."""
        for episode_return, length in zip(rollout.finished_returns, rollout.finished_lengths, strict=True):
            self._recent.append((float(episode_return), int(length)))
            self.count += 1

    def metrics(self) -> dict[str, float]:
        """``episode_return`` and ``episode_length`` (means, NaN before the first episode) and ``episodes``."""
        means = np.mean(self._recent, axis=0) if self._recent else (float("nan"), float("nan"))
        return {"episode_return": float(means[0]), "episode_length": float(means[1]), "episodes": self.count}

    def state_dict(self) -> dict[str, Any]:
        """Count and latest episodes."""
        return {"count": self.count, "recent": list(self._recent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.count = state["count"]
        self._recent.extend((episode_return, length) for episode_return, length in state["recent"])


class Examiner:
    """Greedy evaluations in the course of training, on seeds of their own, which may end it."""

    def __init__(self, config: Acting) -> None:
        self._config = config
        env = config.env
        known = gym.spec(env.rpartition(":")[2]).reward_threshold if isinstance(env, str) else None
        self._threshold = next((one for one in (config.stop_return, known) if one is not None), float("inf"))

    def solved(self, agent: Policy, run: Run, step: int) -> bool:
        """Log the mean return of some episodes; whether it reaches the threshold, and 100 others confirm it."""
        measured = self._mean(agent, self._config.evaluate_episodes, VALIDATION_SEED)
        run.log(step, {"evaluation_return": measured})
        return measured >= self._threshold and self._mean(agent, 100, CONFIRMATION_SEED) >= self._threshold

    def _mean(self, agent: Policy, episodes: int, seed: int) -> float:
        return evaluate(agent, self._config.env, self._config.env_kwargs, episodes=episodes, seed=seed)["mean"]

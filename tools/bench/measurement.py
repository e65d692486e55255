"""What a benchmark returns, and how rates are taken: ours and the peer in turns, in one process."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from supervised.training.doors import SMOKE


@dataclass(frozen=True)
class Measurement:
    """One comparison: ``ratio`` is how many times better ours is, ``goal`` the least ratio wanted."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    goal: float
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio >= self.goal

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "unit": self.unit,
            "ratio": self.ratio,
            "goal": self.goal,
            "met": self.met,
            "settings": self.settings,
        }


def rates(
    candidates: dict[str, Callable[[], int]],
    seconds: float = 1.0,
    rounds: int = 5,
    prepare: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, float]:
    """Work per second of each candidate, the median of several turns that alternate between them.

    Args:
        candidates: name -> a function that does some work and returns how much.
        seconds: of a turn; 0 for one call of the function.
        prepare: what to do before a candidate's turn, while the clock stands still.
    """
    if SMOKE:
        seconds, rounds = 0.01, 1
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    before = {name: (prepare or {}).get(name, lambda: None) for name in candidates}
    for name, work in candidates.items():
        before[name]()
        work()  # warm caches, compiled kernels, lazy imports
    for _ in range(rounds):
        for name, work in candidates.items():
            before[name]()
            done, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds or not done:
                done += work()
            taken[name].append(done / elapsed)
    return {name: median(values) for name, values in taken.items()}


def median(values: Sequence[float]) -> float:
    """The middle one; of an even number the upper."""
    return sorted(values)[len(values) // 2]


def peak_memory() -> int:
    """The most memory this process has held, in bytes (Linux)."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

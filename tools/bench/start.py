"""What starting costs: ``import envs`` beyond Gymnasium and numba, and the first step of a cached kernel."""

import json
import subprocess
import sys
from collections.abc import Iterator

from tools.bench.measurement import SMOKE, Measurement

SCRIPT = """
import time, json, sys
import gymnasium, numba, numpy
a = time.perf_counter()
import envs
b = time.perf_counter()
env = gymnasium.make_vec("skidpad/CartPole-v1", 8, vectorization_mode="vector_entry_point")
env.reset(seed=0)
c = time.perf_counter()
env.step(numpy.zeros(8, numpy.int64))
d = time.perf_counter()
print(json.dumps({"import": b - a, "step": d - c}))
"""


def run() -> Iterator[Measurement]:
    """Medians over fresh processes, against the limits as peers."""
    runs = []
    for _ in range(2 if SMOKE else 11):
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    for name, key, limit in (
        ("import envs, beyond gymnasium and numba (limit)", "import", 0.050),
        ("first step of a cached kernel (limit)", "step", 0.100),
    ):
        seconds = sorted(one[key] for one in runs[1:])[(len(runs) - 1) // 2]  # the first run fills the cache
        yield Measurement(name, seconds, limit, "s", limit / seconds, 1.0, {"processes": len(runs) - 1})

"""How many threads, and which type of numbers, train fastest here: ``python -m tools.bench threads ALGORITHM``.

It takes the options of ``agents.train`` and trains for some seconds with each number of threads and each type, from the
start and without evaluations. A training run never measures: it keeps the values it is given, and these are what to
give it. Two threads are often slower than one, as networks are small; bfloat16 helps convolutions on processors that
multiply it (AMX).
"""

import dataclasses
import os
import time
from typing import Any

from agents.registry import find
from agents.settings import Online
from agents.train import configuration
from supervised.training.errors import UserError
from supervised.training.precision import DTYPES
from supervised.training.registry import Algorithm
from tools.bench.measurement import SMOKE

SUMMARY = "which --threads and --dtype train an algorithm fastest here; takes the options of agents.train"
LEAST = 0.1 if SMOKE else 3.0  # seconds between a shorter and a longer training


def main(arguments: list[str]) -> None:
    """The command line; raises `UserError`."""
    if not arguments or arguments[0].startswith("-"):
        raise UserError("name an algorithm: python -m tools.bench threads ppo --preset default")
    name, *rest = arguments
    algorithm = find(name)
    _, config = configuration(name, rest)
    if not isinstance(config, Online):
        raise UserError(f"{name} trains no network: it has neither threads nor dtype")
    print(f"{'threads':>7}  {'dtype':8} {'steps/s':>10}")
    found: dict[tuple[int, str], float] = {}
    cores = os.cpu_count() or 1
    for threads in sorted({1, min(2, cores), cores}):
        for dtype in DTYPES:
            try:
                tried = dataclasses.replace(config, threads=threads, dtype=dtype)
            except UserError:  # an algorithm that computes in float32 alone
                continue
            found[threads, dtype] = rate(algorithm, tried)
            print(f"{threads:7}  {dtype:8} {found[threads, dtype]:10.4g}", flush=True)
    threads, dtype = max(found, key=lambda one: found[one])
    print(f"fastest: --threads {threads} --dtype {dtype}")


def rate(algorithm: Algorithm, config: Any) -> float:
    """Environment steps per second once learning is under way: those by which one training is longer than another."""
    rounds = 2 * config.lanes * getattr(config, "round_steps", 1) + 2 * getattr(config, "train_every", 1)
    steps = min(config.total_steps, getattr(config, "learning_starts", 0) + rounds)

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        algorithm.train(dataclasses.replace(config, total_steps=steps, evaluate_every=0))
        return time.perf_counter() - start

    seconds(steps)  # compiled kernels, lazy imports
    short = seconds(steps)
    while (long := seconds(2 * steps)) - short < LEAST:
        steps, short = 2 * steps, long
    return steps / (long - short)

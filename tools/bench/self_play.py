"""AlphaZero's self-play: positions per second of many games in one batch, against one game and one leaf a call.

Both sides have the same network and the same search; the peer is the loop that most programs for learning have: a game
at a time, and a call of the network for every leaf, in one thread, as its calls are too small for two, and in the type
of numbers in which it is faster.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from agents.search import alpha_zero
from agents.search.alpha_zero import play, self_play
from supervised.training.precision import DTYPES
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement, rates

PRESET, GOAL = "connect-four", 10.0


def run() -> Iterator[Measurement]:
    """One measurement: the preset's self-play with a new network."""
    config = alpha_zero.PRESETS[PRESET]
    if SMOKE:
        config = dataclasses.replace(config, lanes=4, simulations=4, blocks=1, filters=8)
    set_threads(config.threads)
    game = alpha_zero.game_of(config)

    def playing(config: alpha_zero.Config, pool: ThreadPoolExecutor) -> Callable[[], int]:
        groups, evaluate = self_play(config, game), alpha_zero.Agent.of(config, game).evaluator()

        def step() -> int:
            list(pool.map(play, groups, repeat(evaluate), repeat(1)))
            return config.lanes

        return step

    with ThreadPoolExecutor(config.threads) as pool:
        sides = {"ours": playing(config, pool)}
        for dtype in DTYPES:
            sides[dtype] = playing(dataclasses.replace(config, lanes=1, threads=1, dtype=dtype), pool)
        rate = rates(sides, seconds=4.0)
    peer = max(DTYPES, key=lambda dtype: rate[dtype])
    settings = {
        "lanes": config.lanes,
        "threads": config.threads,
        "simulations": config.simulations,
        "blocks": config.blocks,
        "filters": config.filters,
        "dtype": config.dtype,
        "peer's dtype": peer,
    }
    ratio = rate["ours"] / rate[peer]
    yield Measurement("self-play, Connect Four", rate["ours"], rate[peer], "positions/s", ratio, GOAL, settings)

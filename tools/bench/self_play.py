"""AlphaZero's self-play: positions per second of many games in one batch, against one game and one leaf a call.

Both sides have the same network, the same numbers and the same search; the peer is the loop that most programs for
learning have: a game at a time, and a call of the network for every leaf. It runs in one thread, as its network's calls
are too small for two.
"""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from agents.search import alpha_zero
from agents.search.alpha_zero import play, self_play
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement, rates

PRESET, GOAL = "connect-four", 10.0


def run() -> Iterator[Measurement]:
    """One measurement: the preset's self-play with a new network."""
    config = alpha_zero.PRESETS[PRESET]
    if SMOKE:
        config = dataclasses.replace(config, lanes=4, simulations=4, blocks=1, filters=8)
    one_by_one = dataclasses.replace(config, lanes=1, threads=1)
    set_threads(config.threads)
    game = alpha_zero.game_of(config)
    evaluate = alpha_zero.Agent.of(config, game).evaluator()

    def playing(config: alpha_zero.Config, pool: ThreadPoolExecutor) -> Callable[[], int]:
        groups = self_play(config, game)

        def step() -> int:
            list(pool.map(play, groups, repeat(evaluate), repeat(1)))
            return config.lanes

        return step

    with ThreadPoolExecutor(config.threads) as pool:
        rate = rates({"ours": playing(config, pool), "peer": playing(one_by_one, pool)}, seconds=4.0)
    settings = {
        "lanes": config.lanes,
        "threads": config.threads,
        "simulations": config.simulations,
        "blocks": config.blocks,
        "filters": config.filters,
        "dtype": config.dtype,
    }
    ratio = rate["ours"] / rate["peer"]
    yield Measurement("self-play, Connect Four", rate["ours"], rate["peer"], "positions/s", ratio, GOAL, settings)

"""Tree search: simulations/s from the opening against OpenSpiel's MCTSBot in C++, and of two threads against one.

Both search by UCT with one random rollout a simulation, the same exploration constant and outcomes proven where they
can be, on one core, and start every search anew. Rollouts of Go differ: ours leave the mover's eyes alone, OpenSpiel's
take any legal move. From the opening of 9 x 9 theirs take 120 plies on average, and one in six goes on to the limit
of 162; ours take 111, and one in a thousand does.

A search is the slower the larger its tree is, which the processor's caches do not hold. Two threads grow a tree each:
both trees have as many simulations as that of the one thread.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyspiel

from agents.search.mcts import MCTS
from envs.board import game
from tools.bench.measurement import SMOKE, Measurement, rates

EXPLORATION = 2.0
MEMORY = 1000  # MB that OpenSpiel's tree may take
#: game -> (options, simulations of a search, the least ratio wanted)
GAMES: dict[str, tuple[dict[str, Any], int, float]] = {
    "connect_four": ({}, 20_000, 5.0),
    "othello": ({}, 1_000, 20.0),
    "go": ({"size": 9}, 1_000, 2.0),
}
PEER_OPTIONS = {"go": {"board_size": 9, "komi": 7.5}}
THREADS, THREADS_SIMULATIONS, THREADS_GOAL = 2, 200_000, 1.6


def ours(name: str, options: dict[str, Any], simulations: int, threads: int = 1) -> Callable[[], int]:
    """A search with our player."""
    player = MCTS(game(name, **options), simulations=simulations, exploration=EXPLORATION, threads=threads)

    def search() -> int:
        player.forget()
        return player.search(player.game.start).simulations

    return search


def openspiel(name: str, simulations: int) -> Callable[[], int]:
    """A search with OpenSpiel's."""
    rules = pyspiel.load_game(name, PEER_OPTIONS.get(name, {}))
    evaluator, start = pyspiel.RandomRolloutEvaluator(1, 0), rules.new_initial_state()
    bot = pyspiel.MCTSBot(rules, evaluator, EXPLORATION, simulations, MEMORY, True, 0, False)
    return lambda: bot.mcts_search(start).explore_count


def run() -> Iterator[Measurement]:
    """A measurement a game, and one of threads."""
    for name, (options, simulations, goal) in GAMES.items():
        simulations = 50 if SMOKE else simulations
        measured = rates({"ours": ours(name, options, simulations), "peer": openspiel(name, simulations)})
        mine, other = measured["ours"], measured["peer"]
        settings = {**options, "simulations": simulations, "exploration": EXPLORATION, "threads": 1}
        title = f"mcts, {name}, against OpenSpiel"
        yield Measurement(title, mine, other, "simulations/s", mine / other, goal, settings)

    simulations = 500 if SMOKE else THREADS_SIMULATIONS
    searches = {str(threads): ours("connect_four", {}, threads * simulations, threads) for threads in (THREADS, 1)}
    mine, other = rates(searches).values()
    settings = {"simulations of a thread": simulations, "exploration": EXPLORATION, "threads": THREADS}
    title = f"mcts, connect_four, {THREADS} threads, against 1"
    yield Measurement(title, mine, other, "simulations/s", mine / other, THREADS_GOAL, settings)

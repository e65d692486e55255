"""AlphaZero: a network that learns from games against itself, planned by search (book, chapter 9; Silver et al. 2018).

In turn, for as long as the budget of positions lasts:

    self-play   games, many at once, in which every action comes from a search guided by the network
    learning    the network learns what the search made of each position, and how its game ended:

        J = mean over positions of  (z - v)^2 - pi . ln p,   and weight decay

pi is the policy found by the search, z the result for the mover: 1, 0 or -1 (D-37). It is what is left of AlphaGo
(2016), which learnt its policy from people's games first and its values from a second network, and judged leaves by
rollouts too; AlphaGo Zero (2017) began from nothing, with one network and without rollouts, but admitted a new network
only after it had won a match against the old one; AlphaZero plays with the newest, and knows no game but by its rules.

With ``considered`` the search is Gumbel AlphaZero's (Danihelka et al. 2022), which improves on a policy with a few
simulations already; ``considered=0`` is AlphaZero's own PUCT with Dirichlet's noise, which needs some hundred.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, ClassVar

import torch

from agents.progress import crossed
from agents.rollout import make_lanes
from agents.search.agent import Agent, game_of
from agents.search.learning import Learner, Window
from agents.search.pictures import draw_game
from agents.search.self_play import COUNTS, MOST_SIMULATIONS, Playing, Positions, Searching, SelfPlay
from agents.settings import Common
from envs.board.game import Game
from supervised.training.errors import require
from supervised.training.precision import DTYPES, require_device
from supervised.training.run import Run
from supervised.training.seeding import generators, set_threads


@dataclass(frozen=True)
class Config(Common):
    """AlphaZero: a network that learns from games against itself, planned by search."""

    env: str = "skidpad/ConnectFour-v0"
    """Board game: the id of its environment; keywords such as size go into env_kwargs."""
    total_steps: int = 1_200_000
    """Positions of self-play, of all games together; never exceeded."""
    lanes: int = 256
    """Games played at once; every call of the network evaluates a leaf of each."""
    simulations: int = 32
    """Simulations of a move in self-play."""
    considered: int = 16
    """Actions that Gumbel AlphaZero considers at the root; 0: PUCT with Dirichlet's noise, as AlphaZero."""
    value_scale: float = 1.0
    """Gumbel AlphaZero's c_scale: how much values count against the network's policy."""
    exploration: float = 1.5
    """PUCT's c: how much the policy counts against values."""
    noise_alpha: float = 1.0
    """Alpha of Dirichlet's noise at the root, for PUCT: about 10 by the number of legal actions."""
    noise_fraction: float = 0.25
    """Its share in the root's priors."""
    random_plies: int = 0
    """Games begin with up to so many random actions, which nothing is learnt from: they show positions that good play
    never reaches."""
    temperature_plies: int = 8
    """So many first actions of a game are drawn from the policy found, at temperature 1; the others are the best."""
    resign_below: float = -1.0
    """A game is given up where the search finds less than this; -1: never."""
    resign_checked: float = 0.1
    """Share of games that are played on all the same, to see how many were given up wrongly."""
    round_steps: int = 16
    """Actions of every game between times of learning."""
    window: int = 300_000
    """Positions that are learnt from: the latest of finished games."""
    learnt_times: float = 4.0
    """How often a position is learnt from, on average."""
    batch_size: int = 256
    """Positions of one gradient step."""
    learning_rate: float = 2e-3
    """Adam's step size at the start; it falls to a tenth."""
    weight_decay: float = 1e-4
    """Decay of weights (AdamW's), in the place of the paper's c |theta|^2."""
    symmetries: bool | None = None
    """Learn from every position in one of the ways to see its board, drawn each time; None: where the game has any."""
    blocks: int = 4
    """Residual blocks of the network."""
    filters: int = 32
    """Filters of its convolutions."""
    play_simulations: int = 200
    """Simulations of a move of the trained agent (by PUCT, without noise); 0: the policy alone."""
    evaluate_every: int = 100_000
    """Positions between matches against the network of the match before, whose results add up to an Elo; 0: none."""
    evaluate_episodes: int = 64
    """Games of such a match."""
    log_every: int = 10_000
    """Positions between lines of metrics."""
    threads: int = 1
    """Groups of games that are played side by side, and torch's threads in learning."""
    dtype: str = "float32"
    """Arithmetic of the network in self-play and play: float32, or bfloat16."""
    device: str = "cpu"
    """Where the network learns: "cpu" or "cuda"."""

    #: how the agent sees its environment: whole positions, which it searches
    own_kwargs: ClassVar[dict[str, Any]] = {"observation": "state"}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("simulations", "round_steps", "window", "batch_size", "evaluate_episodes", "blocks", "filters"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("considered", "random_plies", "temperature_plies", "play_simulations"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        for name in ("evaluate_every", "log_every"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        for name in ("exploration", "noise_alpha", "value_scale", "learnt_times", "learning_rate"):
            require(getattr(self, name) > 0, name, getattr(self, name), "use a positive number")
        for name in ("noise_fraction", "resign_checked"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        require(-1 <= self.resign_below < 1, "resign_below", self.resign_below, "use a number from -1 to below 1")
        require_device(self.device)
        require(self.dtype in DTYPES, "dtype", self.dtype, f"use one of {', '.join(DTYPES)}")
        for name in ("simulations", "play_simulations"):
            most = f"use at most {MOST_SIMULATIONS:,}"
            require(getattr(self, name) <= MOST_SIMULATIONS, name, getattr(self, name), most)
        room = f"use at least a batch ({self.batch_size})"
        require(self.window >= self.batch_size, "window", self.window, room)
        groups = f"use a multiple of threads ({self.threads})"
        require(self.lanes >= 1 and self.lanes % max(self.threads, 1) == 0, "lanes", self.lanes, groups)
        room = f"use at least one position of every game ({self.lanes})"
        require(self.total_steps >= self.lanes, "total_steps", self.total_steps, room)


_BOARD = Config(random_plies=8, dtype="bfloat16", checkpoint_every=25_000)

PRESETS = {
    "default": Config(),
    "tic-tac-toe": Config(
        env="skidpad/TicTacToe-v0",
        total_steps=60_000,
        lanes=128,
        random_plies=6,
        temperature_plies=9,
        window=50_000,
        blocks=2,
        evaluate_every=20_000,
    ),
    "connect-four": _BOARD,
    "othello": replace(_BOARD, env="skidpad/Othello-v0", env_kwargs={"size": 6}, total_steps=400_000),
    "go": replace(_BOARD, env="skidpad/Go-v0", env_kwargs={"size": 5}, total_steps=400_000),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, continue from the newest one, and draw a game.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    game = game_of(config)
    make_lanes(config.env, 1, config.env_kwargs).close()  # refuses keywords that the game alone would not miss
    agent = Agent.of(config, game)
    learner, window = Learner(config, agent), Window(config, game)
    groups = self_play(config, game)
    rival, rating, step = agent.weights(), 0.0, 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "window": window.state_dict(),
            "groups": [group.state_dict() for group in groups],
            "rival": rival,
            "rating": rating,
        }

    if saved := run.restore():
        step, rival, rating = saved["step"], saved["rival"], saved["rating"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        window.load_state_dict(saved["window"])
        for group, one in zip(groups, saved["groups"], strict=True):
            group.load_state_dict(one)

    with ThreadPoolExecutor(config.threads) as pool:
        while rounds := min(config.round_steps, (config.total_steps - step) // config.lanes):
            evaluate = agent.evaluator()
            for finished in pool.map(play, groups, repeat(evaluate), repeat(rounds)):
                window.add(finished)
            before, step = step, step + rounds * config.lanes
            metrics = learner.learn(window, step - before, 1 - step / config.total_steps)
            last = step + config.lanes > config.total_steps
            if crossed(before, step, config.evaluate_every) or (config.evaluate_every and last):
                rating += agent.match(rival, step).elo()
                rival = agent.weights()
                metrics["elo"] = rating
            if crossed(before, step, config.log_every) or "elo" in metrics:
                counts = totals(groups)
                run.log(step, {**counts, **metrics}, {"games": int(counts["games"])})
            run.progress(step)
            run.checkpoint(step, state, config.checkpoint_every)
    run.finish(step, state)
    if run.folder is not None:
        draw_game(agent, run.folder / "game.png")
    return agent


def self_play(config: Config, game: Game) -> list[SelfPlay]:
    """The groups of games, one a thread, each with its own random numbers."""
    how = Searching(config.simulations, config.exploration, config.considered, config.value_scale)
    playing = Playing(
        config.noise_alpha,
        config.noise_fraction,
        config.random_plies,
        config.temperature_plies,
        config.resign_below,
        config.resign_checked,
    )
    names = [f"self-play {group}" for group in range(config.threads)]
    streams = generators(config.seed, *names)
    return [SelfPlay(game, config.lanes // config.threads, how, playing, streams[name]) for name in names]


def play(group: SelfPlay, evaluate: Any, rounds: int) -> list[Positions]:
    """So many actions in every game of a group, by one thread; returns the games that ended."""
    torch.set_num_threads(1)
    return [positions for _ in range(rounds) for positions in group.step(evaluate)]


def totals(groups: list[SelfPlay]) -> dict[str, float]:
    """What all games since the start add up to."""
    counts = {name: sum(group.counts[name] for group in groups) for name in COUNTS}
    return {
        "games": counts["games"],
        "episode_length": counts["plies"] / counts["games"] if counts["games"] else math.nan,
        "given_up": counts["given_up"],
        "given_up_wrongly": counts["wrongly"] / counts["checked"] if counts["checked"] else math.nan,
    }

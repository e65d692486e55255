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

import copy
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from agents.opponents import board_game
from agents.progress import crossed
from agents.rollout import making
from agents.search.matches import Player, Tally, play_match
from agents.search.network import PolicyValueNetwork, evaluator
from agents.search.self_play import COUNTS, Evaluate, Plan, Playing, Positions, Search, Searching, SelfPlay
from agents.settings import Common
from envs.board.game import Array, Game
from envs.board.kernels import observe_all
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.precision import DTYPES
from supervised.training.run import Run
from supervised.training.seeding import (
    generator_state,
    generators,
    seeded_modules,
    set_generator_state,
    set_threads,
)

OPENING = 4  # random actions that begin the games of a match


@dataclass(frozen=True)
class Config(Common):
    """AlphaZero: a network that learns from games against itself, planned by search."""

    env: str = "skidpad/ConnectFour-v0"
    """Board game: the id of its environment; keywords such as size go into env_kwargs."""
    total_steps: int = 2_000_000
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
    """Decay of weights, c of the paper's loss."""
    symmetries: tyro.conf.FlagConversionOff[bool] = True
    """Learn from every position in one of the ways to see its board, drawn each time."""
    blocks: int = 5
    """Residual blocks of the network."""
    filters: int = 64
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
        require(self.dtype in DTYPES, "dtype", self.dtype, f"use one of {', '.join(DTYPES)}")
        groups = f"use a multiple of threads ({self.threads})"
        require(self.lanes >= 1 and self.lanes % max(self.threads, 1) == 0, "lanes", self.lanes, groups)
        room = f"use at least one position of every game ({self.lanes})"
        require(self.total_steps >= self.lanes, "total_steps", self.total_steps, room)


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
        filters=32,
        evaluate_every=20_000,
    ),
    "connect-four": Config(
        total_steps=4_000_000,
        random_plies=8,
        dtype="bfloat16",
        threads=2,
    ),
}


def train(config: Config, run: Run | None = None) -> "Agent":
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    game = game_of(config)
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
            if crossed(before, step, config.evaluate_every):
                rating += agent.match(rival, step).elo()
                rival = agent.weights()
                metrics["elo"] = rating
            if crossed(before, step, config.log_every) or "elo" in metrics:
                run.log(step, {**totals(groups), **metrics})
            run.progress(step)
            run.checkpoint(step, state, config.checkpoint_every)
    run.finish(step, state)
    return agent


def game_of(config: Config) -> Game:
    """The game of a configuration's environment.

    Raises:
        UserError: it is no board game.
    """
    with making(config.env):
        game = board_game(config.env, config.env_kwargs)
    if game is None:
        games = [name for name, spec in gym.registry.items() if "BoardGame" in str(spec.entry_point)]
        raise UserError(f"alpha-zero plays board games, and {config.env} is none: use one of {', '.join(games)}")
    return game


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


class Window:
    """The latest positions of finished games."""

    def __init__(self, config: Config, game: Game) -> None:
        self._states = np.zeros((config.window, len(game.start)), np.int64)
        self._policies = np.zeros((config.window, game.n_actions), np.float32)
        self._results = np.zeros(config.window, np.float32)
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._results))

    def add(self, games: list[Positions]) -> None:
        """Take the positions of finished games in the places of the oldest."""
        for game in games:
            rows = (self._added + np.arange(len(game.results))) % len(self._results)
            self._states[rows], self._policies[rows], self._results[rows] = game.states, game.policies, game.results
            self._added += len(game.results)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """States ``(count, words)``, policies ``(count, n_actions)`` and results ``(count,)`` of random positions."""
        rows = rng.integers(len(self), size=count)
        return self._states[rows], self._policies[rows], self._results[rows]

    def state_dict(self) -> dict[str, Any]:
        """The positions, in the order of their places."""
        length = len(self)
        arrays = (self._states, self._policies, self._results)
        return {"added": self._added, "arrays": [array[:length].copy() for array in arrays]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._added = state["added"]
        arrays: list[Array] = [self._states, self._policies, self._results]
        for array, saved in zip(arrays, state["arrays"], strict=True):
            array[: len(saved)] = saved


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: "Agent") -> None:
        self.config, self.agent, self.game = config, agent, agent.game
        rate, decay = config.learning_rate, config.weight_decay
        self.optimizer = torch.optim.AdamW(agent.network.parameters(), rate, weight_decay=decay)
        self._rng = generators(config.seed, "learning")["learning"]
        self._owed = 0.0  # gradient steps

    def learn(self, window: Window, positions: int, left: float) -> dict[str, Any]:
        """Learn after so many new positions; ``left`` is the share of the run that is to come. Returns metrics.

        Raises:
            UserError: the loss is not finite.
        """
        config, losses = self.config, []
        self._owed += positions * config.learnt_times / config.batch_size
        if len(window) < config.batch_size:  # the first games are under way
            self._owed = 0.0
            return {}
        torch.set_num_threads(config.threads)
        rate = config.learning_rate * (0.1 + 0.9 * left)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.agent.network.train()
        while self._owed >= 1:
            self._owed -= 1
            policy_loss, value_loss = self._losses(*self._batch(window))
            loss = policy_loss + value_loss
            if not torch.isfinite(loss):
                raise UserError(f"the loss is {loss.item()}: use a lower --learning-rate (it is {rate:g})")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append((policy_loss.item(), value_loss.item()))
        if not losses:
            return {}
        policy_mean, value_mean = np.mean(losses, axis=0)
        return {"policy_loss": policy_mean, "value_loss": value_mean, "learning_rate": rate}

    def _batch(self, window: Window) -> tuple[Tensor, Tensor, Tensor]:
        """Planes, policies and results of random positions, each seen in one of the ways to see its board."""
        game = self.game
        states, policies, results = window.draw(self.config.batch_size, self._rng)
        planes = observed(game, states)
        if self.config.symmetries and len(game.cells) > 1:
            views = self._rng.integers(len(game.cells), size=len(states))
            flat = planes.reshape(len(states), len(game.planes), -1)
            planes = np.take_along_axis(flat, game.cells[views][:, None], 2).reshape(planes.shape)
            policies = np.take_along_axis(policies, game.actions[views], 1)
        device = self.config.device
        return tuple(torch.from_numpy(array).to(device) for array in (planes, policies, results))  # type: ignore

    def _losses(self, planes: Tensor, policies: Tensor, results: Tensor) -> tuple[Tensor, Tensor]:
        logits, values = self.agent.network(planes)
        # - pi . ln p over all actions, whose pi is 0 where they are not legal; (z - v)^2
        return -(policies * F.log_softmax(logits, 1)).sum(1).mean(), (results - values).square().mean()

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and random numbers."""
        optimizer = optimizer_state(self.optimizer)
        return {"optimizer": optimizer, "rng": generator_state(self._rng), "owed": self._owed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])
        set_generator_state(self._rng, state["rng"])
        self._owed = state["owed"]


def observed(game: Game, states: NDArray[np.int64]) -> NDArray[np.int8]:
    """Observations ``(batch, planes, rows, columns)`` of positions ``(batch, words)``."""
    planes = np.empty((len(states), len(game.planes), game.rows, game.columns), np.int8)
    (observe_all if game.compiled else observe_all.py_func)(game.rules.observe, states, planes)
    return planes


class Agent:
    """Plays by search, or by the network's policy alone.

    Attributes:
        game: its rules.
        network: policy and value.
        simulations: of a move; 0: the policy alone. A new agent has the configuration's ``play_simulations``.
    """

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.config, self.game = config, game_of(config)
        fits = isinstance(action_space, gym.spaces.Discrete) and action_space.n == self.game.n_actions
        if not fits or observation_space.shape != self.game.start.shape:
            raise UserError(
                f"this agent plays {self.game.name} with positions of {len(self.game.start)} numbers and "
                f"{self.game.n_actions} actions, and the environment has {observation_space.shape} and {action_space}"
            )
        self.simulations = config.play_simulations
        with seeded_modules(config.seed, "network"):
            self.network = PolicyValueNetwork(self.game, config.blocks, config.filters).to(config.device)
        self._rng = generators(config.seed, "play")["play"]
        self._search: Search | None = None
        self._evaluate: Any = None

    @classmethod
    def of(cls, config: Config, game: Game) -> "Agent":
        """The agent of a game."""
        space = gym.spaces.Box(-(2.0**63), 2.0**63, game.start.shape, np.float64)
        return cls(config, space, gym.spaces.Discrete(game.n_actions))

    def transform(self, observations: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions are searched as they are."""
        return observations

    def act(self, observations: NDArray[np.int64], deterministic: bool = False) -> NDArray[np.int64]:
        """Actions ``(batch,)`` in positions ``(batch, words)``: the best found, or drawn from the policy."""
        policies = self.policies(observations)
        if deterministic:
            return policies.argmax(1)
        return (policies.cumsum(1) > self._rng.random((len(policies), 1))).argmax(1)

    def policies(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the agent thinks of every action ``(batch, n_actions)``: shares of visits, or the network's policy."""
        if self._evaluate is None:
            self._evaluate = self.evaluator()
        if self.simulations == 0:
            return masked_policy(self.game, states, self._evaluate)
        return self.plan(states).policies

    def plan(self, states: NDArray[np.int64]) -> Plan:
        """A search of every position ``(batch, words)``."""
        if self._evaluate is None:
            self._evaluate = self.evaluator()
        how = Searching(self.simulations, self.config.exploration)
        if self._search is None or self._search.how != how or self._search.lanes != len(states):
            self._search = Search(self.game, len(states), how)
        return self._search.plan(np.ascontiguousarray(states), self._evaluate)

    def evaluator(self) -> Evaluate:
        """The network as it is now, as self-play and play ask it."""
        return evaluator(self.network.fused(getattr(torch, self.config.dtype)))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the network's weights."""
        return {name: weight.detach().cpu().clone() for name, weight in self.network.state_dict().items()}

    def match(self, rival: Mapping[str, Tensor], step: int) -> Tally:
        """Games against other weights of this network, with self-play's simulations and random openings.

        Args:
            step: of the run, with whose seed it decides the openings.
        """
        config, other = self.config, copy.deepcopy(self.network)
        other.load_state_dict(rival)
        how = Searching(config.simulations, config.exploration)
        lanes = -(-config.evaluate_episodes // 2)
        mine, its = (
            searching(self.game, how, lanes, evaluator(network.fused(getattr(torch, config.dtype))))
            for network in (self.network, other)
        )
        rng = generators(config.seed, f"match {step}")[f"match {step}"]
        return play_match(self.game, mine, its, config.evaluate_episodes, OPENING, rng)

    def state_dict(self) -> dict[str, Any]:
        """Weights and random numbers."""
        return {"network": self.network.state_dict(), "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        set_generator_state(self._rng, state["rng"])
        self._evaluate = None


def masked_policy(game: Game, states: NDArray[np.int64], evaluate: Evaluate) -> NDArray[np.float32]:
    """The network's policy over legal actions ``(batch, n_actions)``."""
    logits, _ = evaluate(observed(game, states))
    logits[~np.array([game.legal(state) for state in states])] = -np.inf
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def searching(game: Game, how: Searching, lanes: int, evaluate: Evaluate) -> Player:
    """A player that searches up to ``lanes`` positions at once."""
    search = Search(game, lanes, how)

    def choose(states: NDArray[np.int64]) -> NDArray[np.int64]:
        rest = np.tile(game.start, (lanes - len(states), 1))  # the network is always asked about as many
        return search.plan(np.concatenate([states, rest]), evaluate).best[: len(states)]

    return choose

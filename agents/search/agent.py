"""The player that AlphaZero trains: a network, and search guided by it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.opponents import board_game
from agents.rollout import making
from agents.search.matches import Player, Tally, play_match
from agents.search.network import PolicyValueNetwork, evaluator
from agents.search.self_play import MOST_SIMULATIONS, Evaluate, Plan, Search, Searching, draw
from envs.board.game import Game
from envs.board.kernels import legal_all, observe_all
from supervised.training.errors import UserError
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state

if TYPE_CHECKING:
    from agents.search.alpha_zero import Config

OPENING = 4  # random actions that begin the games of a match


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


class Agent:
    """Plays by search, or by the network's policy alone.

    Attributes:
        game: its rules.
        network: policy and value.
        simulations: of a move; 0: the policy alone. A new agent has the configuration's ``play_simulations``.
    """

    most_simulations = MOST_SIMULATIONS

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
        self._evaluate: Evaluate | None = None

    @classmethod
    def of(cls, config: Config, game: Game) -> Agent:
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
        return draw(policies, self._rng)

    def policies(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the agent thinks of every action ``(batch, n_actions)``: shares of visits, or the network's policy.

        Raises:
            ValueError: positions of another game or board.
        """
        if self.simulations == 0:
            return masked_policy(self.game, states, self._ready())
        return self.plan(states).policies

    def plan(self, states: NDArray[np.int64]) -> Plan:
        """A search of every position ``(batch, words)``; ValueError as of `policies`."""
        self.game.check(states)
        how = Searching(self.simulations, self.config.exploration)
        if self._search is None or self._search.how != how or self._search.lanes != len(states):
            self._search = Search(self.game, len(states), how)
        return self._search.plan(np.ascontiguousarray(states), self._ready())

    def _ready(self) -> Evaluate:
        """The network as it was when weights were loaded last, made once."""
        if self._evaluate is None:
            self._evaluate = self.evaluator()
        return self._evaluate

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
        """Continue from `state_dict`.

        Raises:
            UserError: it is of another network, or of one for another game or board.
        """
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError as error:
            size = f"{self.config.blocks} blocks of {self.config.filters} filters"
            remedy = "give weights that were trained for it"
            raise UserError(f"the weights do not fit {self.game.title} with {size}: {remedy}") from error
        set_generator_state(self._rng, state["rng"])
        self._evaluate = None


def masked_policy(game: Game, states: NDArray[np.int64], evaluate: Evaluate) -> NDArray[np.float32]:
    """The network's policy over legal actions ``(batch, n_actions)``."""
    game.check(states)
    logits, _ = evaluate(observed(game, states))
    legal = np.empty((len(states), game.n_actions), np.bool_)
    game.runnable(legal_all)(game.rules.legal, np.ascontiguousarray(states), legal)
    logits[~legal] = -np.inf
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def searching(game: Game, how: Searching, lanes: int, evaluate: Evaluate) -> Player:
    """A player that searches up to ``lanes`` positions at once."""
    search = Search(game, lanes, how)

    def choose(states: NDArray[np.int64]) -> NDArray[np.int64]:
        rest = np.tile(game.start, (lanes - len(states), 1))  # the network is always asked about as many
        return search.plan(np.concatenate([states, rest]), evaluate).best[: len(states)]

    return choose


def observed(game: Game, states: NDArray[np.int64]) -> NDArray[np.int8]:
    """Observations ``(batch, planes, rows, columns)`` of positions ``(batch, words)``."""
    planes = np.empty((len(states), len(game.planes), game.rows, game.columns), np.int8)
    game.runnable(observe_all)(game.rules.observe, states, planes)
    return planes

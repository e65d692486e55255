"""What AlphaZero learns from: positions of its own games, and the gradient steps on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from agents.search.agent import Agent, observed
from agents.search.self_play import Positions
from envs.board.game import Array, Game
from supervised.training.errors import UserError
from supervised.training.memory import require_memory
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.seeding import generator_state, generators, set_generator_state

if TYPE_CHECKING:
    from agents.search.alpha_zero import Config


class Window:
    """The latest positions of finished games, as the network sees them.

    Raises:
        UserError: so many do not fit into the memory that is free.
    """

    def __init__(self, config: Config, game: Game) -> None:
        self._game, rows = game, min(config.window, config.total_steps)
        planes = (len(game.planes), game.rows, game.columns)
        require_memory("window", rows, math.prod(planes) + 4 * game.n_actions + 4, "positions")
        self._planes = np.zeros((rows, *planes), np.int8)
        self._policies = np.zeros((rows, game.n_actions), np.float32)
        self._results = np.zeros(rows, np.float32)
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._results))

    def add(self, games: list[Positions]) -> None:
        """Take the positions of finished games in the places of the oldest."""
        for game in games:
            rows = (self._added + np.arange(len(game.results))) % len(self._results)
            self._planes[rows] = observed(self._game, game.states)
            self._policies[rows], self._results[rows] = game.policies, game.results
            self._added += len(game.results)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Planes ``(count, planes, rows, columns)``, policies ``(count, n_actions)`` and results ``(count,)``."""
        rows = rng.integers(len(self), size=count)
        return self._planes[rows], self._policies[rows], self._results[rows]

    def state_dict(self) -> dict[str, Any]:
        """The positions, in the order of their places."""
        length = len(self)
        arrays = (self._planes, self._policies, self._results)
        return {"added": self._added, "arrays": [array[:length].copy() for array in arrays]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self._added = state["added"]
        arrays: list[Array] = [self._planes, self._policies, self._results]
        for array, saved in zip(arrays, state["arrays"], strict=True):
            array[: len(saved)] = saved


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.game = config, agent, agent.game
        self._turned = len(agent.game.cells) > 1 if config.symmetries is None else config.symmetries
        if self._turned and len(agent.game.cells) == 1:
            raise UserError(f"symmetries=True: {agent.game.name} has none, leave it out")
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
        planes, policies, results = window.draw(self.config.batch_size, self._rng)
        if self._turned:
            views = self._rng.integers(len(game.cells), size=len(planes))
            flat = planes.reshape(len(planes), len(game.planes), -1)
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

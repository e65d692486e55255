"""Environments where agents live; importing this package registers every ``skidpad/*`` id with Gymnasium.

Entry points are strings, so the import is cheap, and a spawned worker that imports ``envs`` finds them all.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym

from envs.atari.games import GAMES, title
from envs.caches import drop_stale

drop_stale(Path(__file__).parent)


def _register(name: str, place: str, reward_threshold: float | None = None, **kwargs: Any) -> None:
    """Register ``skidpad/name``: the batch as the vector entry point, its ``...Env`` twin as the single one."""
    gym.register(
        f"skidpad/{name}",
        entry_point=f"envs.{place}Env",
        vector_entry_point=f"envs.{place}",
        reward_threshold=reward_threshold,
        kwargs=kwargs,
    )


_register("CartPole-v0", "control.cart_pole:CartPole", 195.0, max_episode_steps=200)
_register("CartPole-v1", "control.cart_pole:CartPole", 475.0, max_episode_steps=500)
_register("MountainCar-v0", "control.mountain_car:MountainCar", -110.0)
_register("CarRacing-v0", "car_racing.env:CarRacing", 900.0)
_register("GridWorld-v0", "grid.grid_world:GridWorld")
_register("CliffWalking-v0", "grid.cliff_walking:CliffWalking")
_register("WindyGridWorld-v0", "grid.windy_grid_world:WindyGridWorld")
_register("Maze-v0", "grid.maze:Maze")
_register("InstructionMaze-v0", "grid.instruction_maze:InstructionMaze")
_register("RandomWalk-v0", "toy.random_walk:RandomWalk")
_register("MaximizationBias-v0", "toy.maximization_bias:MaximizationBias")
_register("Blackjack-v0", "toy.blackjack:Blackjack")
_register("JacksCarRental-v0", "toy.jacks_car_rental:JacksCarRental")
_register("GamblersProblem-v0", "toy.gamblers_problem:GamblersProblem")
_register("FourState-v0", "toy.four_state:FourState")
_register("TicTacToe-v0", "board.env:BoardGame", game="tic_tac_toe")
_register("ConnectFour-v0", "board.env:BoardGame", game="connect_four")
_register("Othello-v0", "board.env:BoardGame", game="othello")
_register("Gomoku-v0", "board.env:BoardGame", game="gomoku")
_register("Go-v0", "board.env:BoardGame", game="go")
_register("Chess-v0", "board.env:BoardGame", game="chess")
_register("Shogi-v0", "board.env:BoardGame", game="shogi")
for game in GAMES:
    _register(f"Atari-{title(game)}-v0", "atari.env:Atari", game=game)

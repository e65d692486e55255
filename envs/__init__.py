"""Environments where agents live; importing this package registers every ``skidpad/*`` id with Gymnasium.

Entry points are strings, so the import is cheap, and a spawned worker that imports ``envs`` finds them all.
"""

from typing import Any

import gymnasium as gym


def _register(name: str, place: str, **kwargs: Any) -> None:
    """Register ``skidpad/name``: the batch as the vector entry point, its ``...Env`` twin as the single one."""
    gym.register(
        f"skidpad/{name}",
        entry_point=f"envs.{place}Env",
        vector_entry_point=f"envs.{place}",
        kwargs=kwargs,
    )


_register("CartPole-v0", "control.cart_pole:CartPole", max_episode_steps=200)
_register("CartPole-v1", "control.cart_pole:CartPole", max_episode_steps=500)
_register("MountainCar-v0", "control.mountain_car:MountainCar")

"""Names of what can be trained, and the modules that hold it; a module is imported when its name is asked for."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from supervised.training.errors import UserError, suggest


@dataclass(frozen=True)
class Algorithm:
    """What the doors need of an algorithm."""

    config: type
    presets: Mapping[str, Any]
    train: Callable[..., Any]
    agent: Callable[..., Any]  # what training returns, untrained: agent(config, what it sees, what it answers)
    unit: str  # what total(config) counts
    total: Callable[[Any], int]


class Registry:
    """Algorithms by name.

    A module named here has ``Config``, ``PRESETS``, ``train`` and ``Agent``, and counts in ``total_steps``; or it has
    ``ALGORITHMS``, a dictionary of `Algorithm` by name.

    Attributes:
        catalogue: name -> (module, what it is in one line).
        noun: what messages call one.
    """

    def __init__(self, catalogue: Mapping[str, tuple[str, str]], noun: str = "algorithm") -> None:
        self.catalogue, self.noun = catalogue, noun

    def find(self, name: str) -> Algorithm:
        """The algorithm of that name.

        Raises:
            UserError: there is none; the message names the nearest.
        """
        if name not in self.catalogue:
            raise UserError(f"unknown {self.noun} {name!r}{suggest(name, self.catalogue)}")
        module: Any = importlib.import_module(self.catalogue[name][0])
        if hasattr(module, "ALGORITHMS"):
            return module.ALGORITHMS[name]
        return Algorithm(
            module.Config, module.PRESETS, module.train, module.Agent, "steps", lambda config: config.total_steps
        )

    def preset(self, name: str, algorithm: str) -> Any:
        """The named preset of an algorithm; raises `UserError` naming the nearest."""
        presets = self.find(algorithm).presets
        if name not in presets:
            raise UserError(f"unknown preset {name!r} of {algorithm}{suggest(name, presets)}")
        return presets[name]

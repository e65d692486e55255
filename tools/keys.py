"""Which keys mean which action: the built-in maps, maps from JSON files, and what is held down at the moment."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from supervised.training.errors import UserError
from tools.window import load_pygame

RESERVED = {"space", "return", "escape"}
#: keys that stand for another one, unless the map names them itself
ALIASES = {"w": "up", "a": "left", "s": "down", "d": "right"}
HALF = 0.5  # a stick pushed this far counts as a key held down
EXAMPLE = """'{"none": 0, "left": 1, "left+down": 2}', or vectors of a Box: '{"none": [0, 0], "left": [-1, 0]}'"""

GRID = {"up": 0, "right": 1, "down": 2, "left": 3}


@dataclass(frozen=True)
class KeyMap:
    """Actions of keys and chords of keys.

    Of the bindings whose keys are all held down the one with the most keys wins (the first in the map among
    equals) and uses up its keys, and so on. The action of a Discrete space is the first winner's; that of a Box is
    the sum of all winners' vectors, each times how far its stick is pushed (1 for a key), clipped to the space.
    ``none`` is the action without any; where the map has none, the world waits for a key.
    """

    space: gym.Space[Any]
    bindings: Mapping[tuple[str, ...], Any]
    none: Any = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, in the order of the map: bit i of a recorded key state is key i."""
        return tuple(dict.fromkeys(key for chord in self.bindings for key in chord))

    @property
    def labels(self) -> list[str]:
        """What the actions of a Discrete space are called: their first chord, or their number; none for a Box."""
        if not isinstance(self.space, spaces.Discrete):
            return []
        chords = {self.bindings[chord]: "+".join(chord) for chord in reversed(list(self.bindings))}
        names = {self.none: "none", **chords}
        first = int(self.space.start)
        return [names.get(action, str(action)) for action in range(first, first + int(self.space.n))]

    def bits(self, held: Mapping[str, float]) -> int:
        """The key state: bit i is set while key i is held down."""
        return sum(1 << bit for bit, key in enumerate(self.keys) if held.get(key, 0) >= HALF)

    def action(self, held: Mapping[str, float]) -> Any:
        """The action for keys and sticks ``held`` (name -> how far, 0 to 1), or None where the world waits."""
        discrete = isinstance(self.space, spaces.Discrete)
        down = {key for key, strength in held.items() if strength >= HALF or (strength > 0 and not discrete)}
        winners = []
        for chord in sorted(self.bindings, key=len, reverse=True):  # a stable sort: the first among equals
            if down.issuperset(chord):
                winners.append(chord)
                down -= set(chord)
        if discrete:
            return self.bindings[winners[0]] if winners else self.none
        if self.none is None and not winners:
            return None
        assert isinstance(self.space, spaces.Box)
        vector = np.zeros(self.space.shape) if self.none is None else np.array(self.none)
        for chord in winners:
            vector = vector + np.asarray(self.bindings[chord]) * min(held[key] for key in chord)
        return vector.clip(self.space.low, self.space.high).astype(self.space.dtype)


def key_map(env: str, space: gym.Space[Any], file: Path | None = None) -> KeyMap:
    """The key map for an environment: the one in ``file``, or the built-in one for its id.

    Raises:
        UserError: no map is known for it, or the file's is malformed or does not fit the action space.
    """
    if not isinstance(space, spaces.Discrete | spaces.Box):
        raise UserError(f"{env} has the actions {space}: keys drive Discrete and Box actions only; use --driver RUN")
    if file is None:
        table = _built_in(env, space)
        if table is None:
            raise UserError(f"no keys are known for {env}: write a map of {space} to a file, such as {EXAMPLE}, and "
                            "name it with --keys FILE")  # fmt: skip
        return _parse(table, space, f"the key map of {env}")
    try:
        table = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the key map {file}: {error}; write JSON such as {EXAMPLE}") from error
    if not isinstance(table, dict):
        raise UserError(f"the key map {file} is a {type(table).__name__}: write a JSON object such as {EXAMPLE}")
    return _parse(table, space, f"the key map {file}")


def _built_in(env: str, space: gym.Space[Any]) -> dict[str, Any] | None:
    name = re.sub(r"-v\d+$", "", env.rpartition("/")[2].rpartition(":")[2])
    if name == "CarRacing":
        return _car_keys(space)
    tables: dict[str, dict[str, Any]] = {
        "CartPole": {"left": 0, "right": 1},
        "MountainCar": {"none": 1, "left": 0, "right": 2},
        "MountainCarContinuous": {"none": [0.0], "left": [-1.0], "right": [1.0]},
        "Maze": GRID,
        "GridWorld": GRID,
        "CliffWalking": GRID,
        "WindyGridWorld": GRID,
    }
    return tables.get(name)


def _car_keys(space: gym.Space[Any]) -> dict[str, Any]:
    """Steering suppresses the gas, as in the book: the car spins otherwise; gas and steering mix on a gamepad."""
    if isinstance(space, spaces.Discrete):
        if space.n == 5:
            return {"none": 0, "right": 1, "left": 2, "up": 3, "down": 4}
        return {"none": 0, "left": 1, "left+down": 2, "right": 3, "right+down": 4, "up": 5, "down": 6}
    from envs.car_racing.env import BOOK_BRAKE

    left, right, gas, brake = [-1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, BOOK_BRAKE]
    chords = {"left+up": left, "right+up": right}
    return {"none": [0.0, 0, 0], **chords, "left": left, "right": right, "up": gas, "down": brake}


def _parse(table: Mapping[str, Any], space: gym.Space[Any], source: str) -> KeyMap:
    """Check a map against the keyboard and the action space."""
    pygame = load_pygame()
    bindings: dict[tuple[str, ...], Any] = {}
    none = None
    for name, action in table.items():
        value = _action(action, space)
        if value is None:
            raise UserError(f"{source}: the action {action!r} of {name!r} is not in {space}")
        chord = tuple(part.strip().lower() for part in name.split("+"))
        if chord == ("none",):
            none = value
            continue
        for key in chord:
            if key in RESERVED:
                raise UserError(f"{source}: the key {key!r} pauses, discards or quits; choose another")
            if key_code(pygame, key) is None:
                raise UserError(f"{source}: unknown key {key!r}; use a to z, 0 to 9, left, right, up, down, tab, ...")
        bindings[chord] = value
    if not bindings:
        raise UserError(f"{source} binds no key: write one such as {EXAMPLE}")
    return KeyMap(space, bindings, none)


def _action(action: Any, space: gym.Space[Any]) -> Any:
    """The action as the map holds it, or None where it is not in the space."""
    if isinstance(space, spaces.Discrete):
        fits = isinstance(action, int) and not isinstance(action, bool) and space.contains(np.int64(action))
        return action if fits else None
    try:
        vector: NDArray[np.float64] = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        return None
    return vector if space.contains(vector.astype(space.dtype)) else None


def key_code(pygame: Any, key: str) -> int | None:
    """pygame's number of a key by its name, in either of the spellings it uses (``K_a``, ``K_LEFT``)."""
    return getattr(pygame, f"K_{key}", getattr(pygame, f"K_{key.upper()}", None))


class Held:
    """What is held down, from the window's events; a key tapped between two looks counts for the next one."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._pygame = pygame = load_pygame()
        self._names = {key_code(pygame, key): key for key in keys}
        for alias, key in ALIASES.items():
            if key in keys:
                self._names.setdefault(key_code(pygame, alias), key)
        self._down: set[int] = set()
        self._tapped: set[int] = set()
        self._sticks: dict[str, float] = {}
        self._pads: list[Any] = []  # an open gamepad sends events only while somebody holds it

    def see(self, event: Any) -> None:
        """Take notice of one event."""
        pygame = self._pygame
        if event.type == pygame.KEYDOWN and event.key in self._names:
            self._down.add(event.key)
            self._tapped.add(event.key)
        elif event.type == pygame.KEYUP:
            self._down.discard(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:  # the keys are released somewhere else
            self._down.clear()
        elif event.type == pygame.JOYDEVICEADDED:
            self._pads.append(pygame.joystick.Joystick(event.device_index))
        elif event.type == pygame.JOYAXISMOTION and event.axis < 2:
            self._push(("left", "right") if event.axis == 0 else ("up", "down"), event.value)
        elif event.type == pygame.JOYHATMOTION:
            self._push(("left", "right"), event.value[0])
            self._push(("down", "up"), event.value[1])

    def _push(self, keys: tuple[str, str], value: float) -> None:
        low, high = keys
        far = abs(value) if abs(value) > 0.1 else 0.0  # a stick at rest is never quite at 0
        self._sticks |= {low: far if value < 0 else 0.0, high: far if value > 0 else 0.0}

    def look(self) -> dict[str, float]:
        """How far (0 to 1) every key or stick is held down now, or has been since the last look."""
        held = dict(self._sticks)
        held |= {self._names[code]: 1.0 for code in self._down | self._tapped}
        self._tapped.clear()
        return held

"""Emulators of the Atari 2600: one for every lane, loaded once and handed on when a batch is gone.

Loading a game takes a seventh of a second, playing a frame a seventh of a millisecond. So an emulator is not thrown
away, and an episode does not load: it begins from one `Start` of the game, kept in the process.
"""

import os
import threading
from functools import cache
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

#: frames between the game's own start and ours: what emulators do not keep of a state has left the picture by then
SETTLING_FRAMES = 4
NOOP, FIRE = 0, 1  # codes of ALE
CODES = 18  # of all actions, from 0

_idle: dict[str, list[Any]] = {}
_lock = threading.Lock()


class Start(NamedTuple):
    """Where all episodes of a game begin."""

    state: Any  # ALE's, for ``restoreSystemState``
    lives: int
    screen: tuple[int, int]  # rows and columns
    actions: tuple[int, ...]  # codes of the actions that do something in this game


def load_ale() -> Any:
    """The module ale_py, told to be quiet; raises `gymnasium.error.DependencyNotInstalled` without it."""
    try:
        import ale_py
    except ModuleNotFoundError as error:
        raise gym.error.DependencyNotInstalled("ale-py is not installed: pip install 'skidpad[atari]'") from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    return ale_py


def take(game: str) -> Any:
    """An emulator with ``game`` loaded, in whatever state; `give` it back.

    It has no randomness of its own: actions are not repeated, and memory starts with the same bytes.

    Raises:
        gymnasium.error.DependencyNotInstalled: no ale-py, or it has no such game.
    """
    ale = load_ale()
    with _lock:
        if _idle.get(game):
            return _idle[game].pop()
    from ale_py import roms

    emulator = ale.ALEInterface()
    emulator.setInt("random_seed", 1)
    emulator.setFloat("repeat_action_probability", 0.0)
    try:
        path = roms.get_rom_path(game)
    except OSError:
        path = None
    if path is None:
        folder = os.environ.get("ALE_ROMS_DIR")
        looked = f"in ALE_ROMS_DIR={folder}: unset it" if folder else "in ale-py: pip install 'skidpad[atari]'"
        raise gym.error.DependencyNotInstalled(f"there is no {game} {looked}")
    emulator.loadROM(path)
    return emulator


def give(game: str, emulators: list[Any]) -> None:
    """Hand emulators on to whoever asks next."""
    with _lock:
        _idle.setdefault(game, []).extend(emulators)


@cache
def start(game: str) -> Start:
    """The start of a game."""
    emulator = take(game)
    emulator.reset_game()
    for _ in range(SETTLING_FRAMES):
        emulator.act(NOOP)
    actions = tuple(int(action.value) for action in emulator.getMinimalActionSet())
    found = Start(emulator.cloneSystemState(), emulator.lives(), emulator.getScreenDims(), actions)
    give(game, [emulator])
    return found


@cache
def palette(game: str) -> NDArray[np.int16]:
    """The gray of each colour of a game ``(256,)``, -1 where none has asked the emulator yet; it never changes."""
    return np.full(256, -1, np.int16)

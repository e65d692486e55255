"""A window on the desktop that shows pictures, for ``render_mode="human"``."""

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class Window:
    """Shows one picture after the other, at most ``frames_per_second``; opens with the first.

    Raises (when it opens):
        DependencyNotInstalled: pygame-ce is missing.
        gym.error.Error: there is no display.
    """

    def __init__(self, title: str, frames_per_second: int) -> None:
        self.title, self.frames_per_second = title, frames_per_second
        self._screen: Any = None

    def show(self, frame: NDArray[np.uint8]) -> None:
        """Show ``frame`` (height, width, 3)."""
        try:
            import pygame
        except ModuleNotFoundError as error:
            raise gym.error.DependencyNotInstalled("a window needs pygame-ce: pip install pygame-ce") from error

        if self._screen is None:
            try:
                pygame.display.init()
                self._screen = pygame.display.set_mode(frame.shape[1::-1])
            except pygame.error as error:
                raise gym.error.Error(f'no window ({error}): use render_mode="rgb_array" without a display') from error
            pygame.display.set_caption(self.title)
            self._clock = pygame.time.Clock()
        pygame.event.pump()  # lets the desktop know that the window is alive
        self._screen.blit(pygame.surfarray.make_surface(frame.swapaxes(0, 1)), (0, 0))
        pygame.display.flip()
        self._clock.tick(self.frames_per_second)

    def close(self) -> None:
        """Close the window; the next picture would open a new one."""
        if self._screen is not None:
            import pygame

            pygame.display.quit()
            self._screen = None

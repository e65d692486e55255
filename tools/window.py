"""A window with a picture and lines of text below it, for the recorder and the player."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.training.errors import UserError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

WIDTH, LEAST_HEIGHT = 720, 320  # of the picture; small pictures are shown as several pixels a pixel
LINE, MARGIN, GAP = 22, 10, 4  # pixels
BACK, TEXT, DIM, BAR = (24, 26, 30), (235, 235, 235), (150, 155, 165), (70, 130, 200)

Bars = Sequence[tuple[str, int]]


def load_pygame() -> Any:
    """The module; raises `UserError` where it is missing."""
    try:
        import pygame
    except ModuleNotFoundError as error:
        raise UserError("a window needs pygame-ce: pip install pygame-ce") from error
    return pygame


class Window:
    """Opens with the first picture.

    Args:
        title: of the window.
        without: what to do without a display, for the error message.

    Raises:
        UserError: pygame-ce is missing, or there is no display.
    """

    def __init__(self, title: str, without: str) -> None:
        self.pygame = pygame = load_pygame()
        wanted = os.environ.get("SDL_VIDEODRIVER")
        try:
            if sys.platform == "linux" and not wanted and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
                raise pygame.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
            pygame.display.init()
            driver = pygame.display.get_driver()
            if driver in ("offscreen", "dummy") and driver != wanted:  # SDL's last resort: nobody would see it
                pygame.display.quit()
                raise pygame.error("no screen answers")
        except pygame.error as error:
            raise UserError(f"no display to open a window on ({error}): {without}") from error
        pygame.font.init()
        pygame.joystick.init()
        self._title, self._clock = title, pygame.time.Clock()
        self._screen: Any = None
        self._font = pygame.font.Font(None, 20)

    def show(self, picture: NDArray[np.uint8], lines: Sequence[str], bars: Bars = (), notice: str = "") -> None:
        """Show a picture (height, width, 3), lines of text, a bar for every (name, count), and a notice over it all."""
        pygame = self.pygame
        image = pygame.surfarray.make_surface(picture.swapaxes(0, 1))
        factor = max(1, -(-LEAST_HEIGHT // image.get_height())) if image.get_width() <= WIDTH // 2 else 1
        image = pygame.transform.scale_by(image, factor)
        bars_height = LINE * 2 + GAP if bars else 0
        size = (max(image.get_width(), WIDTH), image.get_height() + 2 * MARGIN + len(lines) * LINE + bars_height)
        if self._screen is None or self._screen.get_size() != size:
            self._screen = pygame.display.set_mode(size)
            pygame.display.set_caption(self._title)
        screen = self._screen
        screen.fill(BACK)
        screen.blit(image, ((size[0] - image.get_width()) // 2, 0))
        top = image.get_height() + MARGIN
        for number, line in enumerate(lines):
            self._write(line, (MARGIN, top), DIM if number else TEXT)
            top += LINE
        if bars:
            self._bars(bars, top, size[0])
        if notice:
            text = self._font.render(notice, True, TEXT)
            box = text.get_rect(center=(size[0] // 2, image.get_height() // 2))
            pygame.draw.rect(screen, BACK, box.inflate(24, 16), border_radius=6)
            screen.blit(text, box)
        pygame.display.flip()

    def _bars(self, bars: Bars, top: int, width: int) -> None:
        """Names, and under each a bar as long as its share and the count."""
        column = (width - 2 * MARGIN) // len(bars)
        most = max(max(count for _, count in bars), 1)
        for number, (name, count) in enumerate(bars):
            left = MARGIN + number * column
            self._write(name, (left, top), DIM)
            length = max(1, count * (column - 2 * GAP) // most)
            self.pygame.draw.rect(self._screen, BAR, (left, top + LINE, length, LINE - GAP))
            self._write(str(count), (left + GAP, top + LINE + 1), TEXT)

    def _write(self, text: str, place: tuple[int, int], color: tuple[int, int, int]) -> None:
        self._screen.blit(self._font.render(text, True, color), place)

    def events(self) -> list[Any]:
        """What has happened since the last call."""
        return self.pygame.event.get()

    def wait(self, frames_per_second: float) -> None:
        """Wait until the next frame is due."""
        self._clock.tick(frames_per_second)

    def close(self) -> None:
        """Close the window."""
        self.pygame.quit()

"""The score's text and the panel's bars. Run as a program, it writes envs/car_racing/digits.npz anew."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envs.batched import Array
from envs.car_racing import hud
from envs.car_racing.state import State, allocate

TABLES = Path(__file__).parents[3] / "envs" / "car_racing" / "digits.npz"
CHARACTERS = "0123456789-"
INK = slice(3, 35)  # the rows of 46 that any of them blackens


def window_font() -> Any:
    """The original's font; skips where pygame is missing."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    pygame = pytest.importorskip("pygame")
    pygame.font.init()
    return pygame.font.Font(pygame.font.get_default_font(), 42)


def render(font: Any, text: str) -> Array:
    """(columns, rows) uint8: grey levels of the text."""
    import pygame

    return pygame.surfarray.array3d(font.render(text, True, (255, 255, 255), (0, 0, 0)))[..., 0]


def font_tables() -> dict[str, Array]:
    """Glyphs, and distances between them in 1/64 pixel, measured on pygame's default font.

    A glyph stands at the whole part of the sum of the distances before it. Behind n fives, n = 1 ... 64, that sum
    runs through every fraction, so that the largest lower bound is the distance itself.
    """
    font = window_font()
    glyphs = np.zeros((11, 23, 32), np.uint8)
    for glyph, character in zip(glyphs, CHARACTERS, strict=True):
        glyph[: font.size(character)[0]] = render(font, character)[:, INK]

    def distance(text: str, known: int) -> int:
        """From the last glyph but one of ``text`` to the last; ``known`` lies between the fives and the former."""
        width = font.size(text[-1])[0]
        return max(64 * (font.size("5" * n + text)[0] - width) - (n - 1) * fives - known for n in range(1, 65))

    fives = font.size("5" * 65)[0] - font.size("5")[0]
    after_five = {a: distance(a, 0) for a in CHARACTERS}
    advances = [[distance(a + b, after_five[a]) for b in CHARACTERS] for a in CHARACTERS]
    return {"glyphs": glyphs, "advances": np.array(advances, np.int32)}


def test_tables_are_the_font_s() -> None:
    with np.load(TABLES, allow_pickle=False) as shipped:
        for name, table in font_tables().items():
            np.testing.assert_array_equal(shipped[name], table, err_msg=name)


def bitmap(reward: float) -> Array:
    out = np.full((hud.TEXT_COLUMNS, hud.TEXT_ROWS), 7, np.uint8)
    hud.text_bitmap(reward, out)
    return out


def window_text(font: Any, reward: float) -> Array:
    """What the original puts into the window's columns and rows that `text_bitmap` covers."""
    text = render(font, f"{reward:04.0f}")
    column = np.zeros((hud.TEXT_COLUMNS + 50, 800), np.uint8)
    left = 60 - text.shape[0] // 2
    column[left : left + text.shape[0], 750 - 23 : 750 + 23] = text
    assert not column[hud.TEXT_COLUMNS :].any()
    assert not column[:, : hud.TEXT_TOP].any() and not column[:, hud.TEXT_TOP + hud.TEXT_ROWS :].any()
    return column[: hud.TEXT_COLUMNS, hud.TEXT_TOP : hud.TEXT_TOP + hud.TEXT_ROWS]


def test_text_equals_pygame_s() -> None:
    font = window_font()
    rewards = [0.5, 1.5, 2.5, -0.0, -0.1, -0.5, -0.51, -1.5, 999.5, -999.5, 9999.4, -9999.0]
    rewards += list(np.random.default_rng(0).integers(-9999, 10000, 300)) + list(range(-120, 1100, 9))
    for reward in map(float, rewards):
        np.testing.assert_array_equal(bitmap(reward), window_text(font, reward), err_msg=str(reward))


def test_scores_beyond_four_digits_are_clamped() -> None:
    np.testing.assert_array_equal(bitmap(1e9), bitmap(9999.0))
    np.testing.assert_array_equal(bitmap(-np.inf), bitmap(-9999.0))
    assert (bitmap(-0.1) != bitmap(0.0)).any()


def test_text_has_not_changed() -> None:
    texts = np.stack([bitmap(float(reward)) for reward in range(-1100, 1100, 7)])
    assert hashlib.sha256(texts.tobytes()).hexdigest()[:16] == "d6d8dff9928cf6b2"


def random_state(rng: np.random.Generator) -> State:
    state = allocate(2)
    state.velocity[1, 0] = rng.normal(0, 40, 2)
    state.omega[1] = rng.choice([0.0, 1e-4, rng.normal(0, 100), rng.normal(0, 2)], 4)
    state.angle[1, :2] = rng.normal(0, 0.3, 2)
    state.spin[1, 0] = rng.choice([rng.normal(0, 1), rng.normal(0, 10), 1e-5])
    return state


def window_panel(state: State, lane: int, reward: float) -> Array:
    """The original's panel, drawn and shrunk by pygame itself: (12, 96, 3)."""
    font = window_font()
    import pygame

    window = pygame.Surface((1000, 800))

    def bar(quantity: float, color: tuple[int, int, int], left: float, right: float, top: float, bottom: float) -> None:
        if abs(quantity) > 1e-4:
            pygame.draw.polygon(window, color, [(left, top), (right, top), (right, bottom), (left, bottom)])

    def upright(place: int, quantity: float, value: float, color: tuple[int, int, int]) -> None:
        bar(quantity, color, 25.0 * place, 25.0 * (place + 1), 800 - (20 + 20 * value), 780)

    speed = float(np.sqrt(np.sum(np.square(state.velocity[lane, 0].astype(float)))))
    upright(5, speed, 0.02 * speed, (255, 255, 255))
    for i, omega in enumerate(state.omega[lane]):
        upright(7 + i, omega, 0.01 * omega, (0, 0, 255) if i < 2 else (51, 0, 255))
    joint, spin = float(state.angle[lane, 1] - state.angle[lane, 0]), float(state.spin[lane, 0])
    bar(joint, (0, 255, 0), 500.0, (20 + -10.0 * joint) * 25, 720, 760)
    bar(spin, (255, 0, 0), 750.0, (30 + -0.8 * spin) * 25, 720, 760)
    text = font.render(f"{reward:04.0f}", True, (255, 255, 255), (0, 0, 0))
    window.blit(text, text.get_rect(center=(60, 750)))
    return pygame.surfarray.array3d(pygame.transform.smoothscale(window, (96, 96))).swapaxes(0, 1)[84:]


def test_panel_equals_pygame_s() -> None:
    rng = np.random.default_rng(1)
    for _ in range(150):
        state, reward = random_state(rng), float(rng.normal(300, 400))
        out = np.full((12, 288), 9, np.uint8)
        hud.draw_panel(state, 1, reward, out)
        np.testing.assert_array_equal(out.reshape(12, 96, 3), window_panel(state, 1, reward), err_msg=str(reward))


def test_bars_grow_with_what_they_show() -> None:
    out = np.zeros((12, 288), np.uint8)
    heights = []
    for speed in (0.0, 10.0, 30.0, 60.0, 100.0):
        state = allocate(1)
        state.velocity[0, 0, 1] = speed
        hud.draw_panel(state, 0, 0.0, out)
        heights.append(int((out.reshape(12, 96, 3)[:, 13] > 126).all(axis=1).sum()))
    assert heights[0] == 0 and heights[-1] == 5 and heights == sorted(heights)


if __name__ == "__main__":
    np.savez_compressed(TABLES, **font_tables())  # type: ignore[arg-type]

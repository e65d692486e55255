"""Keys pressed and released, as pygame tells of them."""

from typing import Any

import pytest

pygame = pytest.importorskip("pygame")


def event(kind: str, **values: Any) -> Any:
    return pygame.event.Event(getattr(pygame, kind), values)


def press(key: str) -> Any:
    return event("KEYDOWN", key=getattr(pygame, f"K_{key}"))


def release(key: str) -> Any:
    return event("KEYUP", key=getattr(pygame, f"K_{key}"))

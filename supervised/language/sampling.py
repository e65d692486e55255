"""Text made up by a language model, token by token."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.data.text import encode, join, tokens
from supervised.training.errors import require
from supervised.training.seeding import generators


@dataclass(frozen=True)
class Prompt:
    """What is asked of a language model."""

    prime: str = "She was born in the year"
    """What the text begins with."""
    length: int = 300
    """Tokens to be made up: characters, or words and marks."""
    temperature: float = 1.0
    """Above 1: more daring; below: less; 0: always the most likely."""
    top_k: int = 0
    """Only the most likely so many are drawn from; 0: all."""
    seed: int = 0
    """Seed of what is drawn."""

    def __post_init__(self) -> None:
        require(self.length >= 1, "length", self.length, "use at least 1")
        for name in ("temperature", "top_k", "seed"):
            require(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "use 0 or more, and finite")

    def draw(self, chances: NDArray[Any], rng: np.random.Generator) -> int:
        """A token by chances ``(tokens,)``, which need not sum to 1: P(token) ~ chance^(1 / temperature)."""
        if self.temperature == 0:
            return int(chances.argmax())
        with np.errstate(divide="ignore", over="ignore"):
            logs = np.log(chances.astype(np.float64))
            logits = (logs - logs.max()) / self.temperature
        if 0 < self.top_k < len(logits):
            logits[np.argsort(-logits, kind="stable")[self.top_k :]] = -np.inf
        exponentials = np.exp(logits)  # of which the greatest is 1
        return int(rng.choice(len(logits), p=exponentials / exponentials.sum()))

    def write(
        self, level: str, vocabulary: tuple[str, ...], before: int, chances: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> str:
        """The text that is made up, its beginning included; never number 0, the unknown token.

        Args:
            before: tokens of a context.
            chances: of every token ``(tokens,)`` after a context ``(before,)``.
        """
        rng = generators(self.seed, "sample")["sample"]
        begun = tokens(self.prime, level)
        text = [0] * before + encode(begun, vocabulary).tolist()
        for _ in range(self.length):
            found = chances(np.array(text[len(text) - before :], np.int64)).copy()
            found[0] = 0
            if not found.any():  # a history that is nowhere in the text may be followed by anything
                found[1:] = 1
            text.append(self.draw(found, rng))
        made = [vocabulary[number] for number in text[len(text) - self.length :]]
        return join([*begun, *made], level)

"""Words as what they are made of: n-grams of their characters, hashed (Bojanowski et al. 2017).

A word's vector is the sum of its own and of those of its n-grams, so that words which look alike share some of theirs,
and words that were never seen have vectors, too. The word stands between < and >, which tell beginnings and ends.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from supervised.language.negative_sampling import Rows

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619  # of the hash FNV-1a in 32 bits


class Subwords(NamedTuple):
    """Which n-grams count, and how many rows they share; without rows there are none."""

    buckets: int
    shortest: int
    longest: int

    def numbers(self, word: str) -> list[int]:
        """The buckets of a word's n-grams, those that it has twice twice."""
        return [fnv1a(one) % self.buckets for one in self.ngrams(word)] if self.buckets else []

    def ngrams(self, word: str) -> list[str]:
        """Those of the word between < and >, but for all of it."""
        marked = f"<{word}>"
        return [
            marked[first : first + n]
            for n in range(self.shortest, min(self.longest, len(marked) - 1) + 1)
            for first in range(len(marked) - n + 1)
        ]

    def rows(self, words: Sequence[str]) -> Rows:
        """The rows of words: first one for each of them, then the buckets."""
        found = [[number, *(len(words) + one for one in self.numbers(word))] for number, word in enumerate(words)]
        starts = np.cumsum([0, *map(len, found)], dtype=np.int32)
        return Rows(np.array([row for rows in found for row in rows], np.int32), starts)


def fnv1a(text: str) -> int:
    """A hash of 32 bits (Fowler, Noll and Vo), by which fastText tells n-grams, too."""
    found = FNV_OFFSET
    for byte in text.encode():
        found = ((found ^ byte) * FNV_PRIME) & 0xFFFFFFFF
    return found

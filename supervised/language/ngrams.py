"""N-grams: the chance of a word after the n - 1 before it, by counting (book, chapter 7).

P(w_1 ... w_m) is about the product of P(w_i | w_{i-n+1} ... w_{i-1}), and that is

    maximum likelihood   c(h w) / c(h)
    add-k                (c(h w) + k) / (c(h) + k V)
    Kneser-Ney           max(c(h w) - d, 0) / c(h) + d N(h .) / c(h) P(w | h')

of a history h, its end h', c as counts and V words. N(h .) is how many different words follow h. Below the longest
n-grams Kneser-Ney counts how many different words come before, N(. h w), in place of c(h w) (Kneser and Ney 1995; as
interpolated by Chen and Goodman 1999, d = n_1 / (n_1 + 2 n_2) of each order, n_k being how many are counted k times).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.data.text import LEVELS, Corpus, corpus, encode, packed, unpacked
from supervised.judgement import Judgement, Model
from supervised.language.sampling import Prompt
from supervised.training.errors import UserError, require, suggest
from supervised.training.once import learn_once
from supervised.training.run import Run

Array = NDArray[Any]

SMOOTHINGS = ("kneser-ney", "add-k", "maximum-likelihood")
SAMPLE = 200  # tokens of the text that is made up to be read


@dataclass(frozen=True)
class Config:
    """A counting of n-grams."""

    data: str = "war-and-peace"
    """The text: war-and-peace, or text:PATH."""
    seed: int = 0
    """Seed of the text that is made up."""
    level: str = "words"
    """What is counted: words or characters."""
    order: int = 3
    """The longest n-grams, n."""
    smoothing: str = "kneser-ney"
    """How unseen ones get a chance: kneser-ney, add-k or maximum-likelihood (they get none)."""
    k: float = 0.01
    """What add-k adds to every count."""
    rare: int = 2
    """Tokens that the training part has fewer times are unknown ones."""

    def __post_init__(self) -> None:
        for name, known in (("level", LEVELS), ("smoothing", SMOOTHINGS)):
            if getattr(self, name) not in known:
                raise UserError(f"unknown {name} {getattr(self, name)!r}{suggest(getattr(self, name), known)}")
        require(self.seed >= 0, "seed", self.seed, "use 0 or more")
        for name in ("order", "rare"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use 1 or more")
        require(0 < self.k < np.inf, "k", self.k, "use a positive, finite number")


class Order(NamedTuple):
    """N-grams of one length, by number, and what is known of their histories."""

    keys: Array
    counts: Array
    of: Array  # counts of all with that history
    different: Array  # tokens that follow it
    discount: float


class NGrams:
    """Counts of n-grams.

    An n-gram's number is its place among those of its length in order; it is told by the number of the n - 1 tokens
    before its last one, and that one.

    Args:
        arrays: ``vocabulary`` (its words as bytes, zeros between) and of each order ``keys_N`` (in order: number of the
            history times V, plus the last token) and ``ends_N``, the number of the n-gram without its first token; and
            ``counts`` of the longest.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)
        self.vocabulary = unpacked(arrays["vocabulary"])
        self.order = sum(name.startswith("keys_") for name in arrays)
        self.size = len(self.vocabulary)
        self._orders = [self._order(n) for n in range(1, self.order + 1)]

    def _order(self, n: int) -> Order:
        keys, counts = self.arrays[f"keys_{n}"], self.arrays["counts"]
        if n < self.order:  # N(. h w): how many different tokens come before; the longest are counted themselves
            counts = np.bincount(self.arrays[f"ends_{n + 1}"], minlength=len(keys))
        histories, known = keys // self.size, len(self.arrays[f"keys_{n - 1}"]) if n > 1 else 1
        once, twice = np.bincount(counts, minlength=3)[1:3]
        return Order(
            *(keys, counts, np.bincount(histories, counts, minlength=known), np.bincount(histories, minlength=known)),
            discount=once / (once + 2 * twice) if once else 0.5,
        )

    @classmethod
    def counted(cls, numbers: Array, vocabulary: tuple[str, ...], order: int) -> "NGrams":
        """Those of a text ``(n,)``."""
        arrays: dict[str, Array] = {"vocabulary": packed(vocabulary)}
        shorter: Array = np.zeros(len(numbers), np.int64)  # of each place, the number of the history before it
        ends = np.zeros(len(numbers), np.int64)
        for n in range(1, order + 1):
            keys, first, found, counts = np.unique(
                shorter * len(vocabulary) + numbers[n - 1 :],
                return_index=True, return_inverse=True, return_counts=True,
            )  # fmt: skip
            arrays |= {f"keys_{n}": keys, f"ends_{n}": ends[first], "counts": counts}
            # a longer n-gram at a place has this one before it, and ends in the one that is at its place
            shorter, ends = found[:-1], found[1:]
        return cls(arrays)

    def probabilities(self, contexts: Array, words: Array, smoothing: str, k: float = 0.01) -> Array:
        """P(word | context) ``(n,)`` of contexts ``(n, order - 1)`` and words ``(n,)``, by one of `SMOOTHINGS`."""
        if smoothing != "kneser-ney":
            added = k if smoothing == "add-k" else 0.0
            times, of, _ = self._looked_up(self.order, contexts, words)
            total = of + added * self.size
            return np.divide(times + added, total, out=np.zeros(len(words)), where=total > 0)
        found = np.full(len(words), 1 / self.size)
        for n in range(1, self.order + 1):
            times, of, different = self._looked_up(n, contexts, words)
            d = self._orders[n - 1].discount
            mixed = (np.maximum(times - d, 0) + d * different * found) / np.maximum(of, 1)
            found = np.where(of > 0, mixed, found)
        return found

    def _looked_up(self, n: int, contexts: Array, words: Array) -> tuple[Array, Array, Array]:
        """Of n-grams: their counts, those of their histories together, and how many different words follow those."""
        history = np.zeros(len(words), np.int64)
        for length in range(1, n):  # the history's first token, its first two, and so on
            history = self._find(length, history, contexts[:, contexts.shape[1] - n + length])
        order, place = self._orders[n - 1], self._find(n, history, words)
        times = np.where(place >= 0, order.counts[place], 0)
        return times, np.where(history >= 0, order.of[history], 0), np.where(history >= 0, order.different[history], 0)

    def _find(self, n: int, history: Array, token: Array) -> Array:
        """Numbers of n-grams of a history and a last token, -1 where there are none."""
        keys = self._orders[n - 1].keys
        wanted = np.where(history >= 0, history * self.size + token, -1)
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[places] == wanted, places, -1)

    def write(self, prompt: Prompt, level: str, smoothing: str, k: float = 0.01) -> str:
        """The text that is made up, its beginning included."""
        words = np.arange(self.size)

        def chances(context: Array) -> Array:
            return self.probabilities(np.tile(context, (self.size, 1)), words, smoothing, k)

        return prompt.write(level, self.vocabulary, self.order - 1, chances)


def train(config: Config, run: Run | None = None) -> NGrams:
    """Count; with a `Run` also log, and save a checkpoint.

    Raises:
        UserError: a text that cannot be read or is too short.
        supervised.training.run.Interrupted: after a signal; a resumed run begins anew.
    """

    def learn() -> tuple[NGrams, dict[str, float]]:
        text = corpus(config.data, config.level, config.rare)
        known = len(text.vocabulary) > 1
        require(known, "rare", config.rare, f"{config.data} has nothing that often; use less")
        require(len(text.train) >= config.order, "order", config.order, f"{config.data} is shorter than that")
        found = NGrams.counted(text.train, text.vocabulary, config.order)
        return found, {
            "tokens": len(text.train),
            "vocabulary": found.size,
            "ngrams": len(found.arrays[f"keys_{config.order}"]),
        }

    return learn_once(run or Run.off(), "ngrams", NGrams, learn)


def held_out(text: Corpus, vocabulary: tuple[str, ...], before: int) -> tuple[Array, Array]:
    """What a model of that vocabulary is judged by: contexts ``(n, before)``, and the tokens ``(n,)`` after them."""
    # tokens of the training part, so that the first ones have histories, too
    numbers = (*text.train[len(text.train) - before :], *text.test)
    found = encode([text.vocabulary[number] for number in numbers], vocabulary)
    return np.lib.stride_tricks.sliding_window_view(found, before + 1)[:, :before], found[before:]


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well the last tenth of a text is foretold, and some text that was made up; see `Model`."""
    found = NGrams(state["ngrams"])
    contexts, numbers = held_out(corpus(name, config.level, config.rare), found.vocabulary, found.order - 1)
    chances = found.probabilities(contexts, numbers, config.smoothing, config.k)
    with np.errstate(divide="ignore"):
        nats = float(-np.log(chances).mean())
    measures = {
        "perplexity": float(np.exp(nats)),
        "bits": nats / float(np.log(2)),
        "unseen": float((chances == 0).mean()),
    }
    sample = write(config, state, Prompt(length=SAMPLE, seed=config.seed))
    details = {"tokens": len(numbers), "sample": sample}
    return Judgement(f"{name}, {len(numbers):,} {config.level} of its last tenth", measures, details)


def write(config: Config, state: Mapping[str, Any], prompt: Prompt) -> str:
    """Text that is made up; see `Model`."""
    return NGrams(state["ngrams"]).write(prompt, config.level, config.smoothing, config.k)


PRESETS = {
    "default": Config(),
    "add-k": Config(smoothing="add-k"),
    "characters": Config(level="characters", order=8, rare=1),
}
ALGORITHMS = {
    "ngrams": Model(
        *(Config, PRESETS, train, NGrams, "fits", lambda config: 1),
        measures={"perplexity": ".2f", "bits": ".3f", "unseen": ".2%"},
        judge=judge,
        write=write,
    )
}

"""From chances of labels to words: a beam of prefixes, a lexicon, a language model, and lattices (book, "Decoding").

    transcription = argmax over words of P(words | sound)
    P(words | sound) is proportional to P(sound | words) P(words), by Bayes; the book has them equal (E-11)
    P(sound | words) P(words) = P(sound | labels) P(labels | words) P(words)

Labels stand for the book's phonemes. The lexicon says by which labels a word is written, so P(labels | words) is 1 or
0; P(words) may be given a weight, which its logarithm is multiplied by.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.language.ngrams import NGrams
from supervised.speech.ctc import BLANK, aligned
from supervised.training.errors import require

Array = NDArray[Any]
Words = tuple[int, ...]

SMOOTHING = "kneser-ney"
ORDER = 3  # of n-grams
END = 1  # token between strings; 0 is the unknown one, 2 the first word


class Node(NamedTuple):
    """A place in the lexicon: the labels written so far of a word."""

    written: tuple[int, ...]
    children: dict[int, "Node"]
    words: list[int]
    """Those that are complete here."""


def lexicon_tree(spellings: Sequence[Sequence[int]]) -> Node:
    """The tree of the labels of all words; raises `UserError` for a word without any."""
    root = Node((), {}, [])
    for word, labels in enumerate(spellings):
        require(len(labels) > 0, "lexicon", word, "a word needs labels")
        node = root
        for label in labels:
            node = node.children.setdefault(label, Node((*node.written, label), {}, []))
        node.words.append(word)
    return root


class LanguageModel:
    """Chances of words in strings, by counting n-grams of examples.

    Args:
        examples: strings of words, numbers from 0 on.
        words: how many there are.
    """

    def __init__(self, examples: Iterable[Words], words: int) -> None:
        text = [END]
        for one in examples:
            text += [*(word + END + 1 for word in one), END]
        vocabulary = ("<unk>", "</s>", *map(str, range(words)))
        self.counts = NGrams.counted(np.array(text), vocabulary, ORDER)
        self._known: dict[Words, list[float]] = {}

    def following(self, before: Words) -> list[float]:
        """Logarithms of the chances of what comes after words: that the string ends, then each word."""
        context = ((END,) * (ORDER - 1) + tuple(word + END + 1 for word in before))[-(ORDER - 1) :]
        if context not in self._known:
            tokens = np.arange(END, self.counts.size)
            chances = self.counts.probabilities(np.tile(context, (len(tokens), 1)), tokens, SMOOTHING)
            self._known[context] = np.log(chances / chances.sum()).tolist()  # the unknown token comes nowhere
        return self._known[context]


class Hypothesis(NamedTuple):
    """Words that may have been said, and the logarithm of the chance of sound and words together."""

    words: Words
    score: float


@dataclass
class Prefix:
    """What may have been said up to a step: whole words, and labels of one that is under way."""

    words: Words
    node: Node
    last: int  # label, whatever word it is of
    told: float  # what the language model says of the words, times its weight
    blank: float = -math.inf  # log P of all paths that end in a blank
    label: float = -math.inf  # and in the last label: only across a blank that label counts anew

    @property
    def both(self) -> float:
        """log P of all its paths."""
        return added(self.blank, self.label)


def added(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    a, b = max(a, b), min(a, b)
    return a + math.log1p(math.exp(b - a)) if b > -math.inf else a


def beam_search(
    log_y: Array, root: Node, model: LanguageModel | None = None, weight: float = 1.0, width: int = 8
) -> list[Hypothesis]:
    """The likeliest strings of words, best first, by prefix beam search (Hannun et al. 2014).

    Args:
        log_y: logarithms of chances of labels, of the blank first ``(time, classes)``.
        root: the lexicon.
        model: of language; None takes all strings as equally likely.
        width: prefixes that are kept at a step.

    Raises:
        UserError: a width below 1.
    """
    require(width >= 1, "width", width, "keep at least 1 prefix")
    beam = [Prefix((), root, BLANK, 0.0, blank=0.0)]
    for y in log_y.tolist():
        found: dict[tuple[Words, tuple[int, ...]], Prefix] = {}

        def of(words: Words, node: Node, last: int, before: Prefix) -> Prefix:
            key = words, node.written
            if key not in found:  # noqa: B023
                told = before.told
                if model is not None and len(words) > len(before.words):
                    told += weight * model.following(before.words)[1 + words[-1]]
                found[key] = Prefix(words, node, last, told)  # noqa: B023
            return found[key]  # noqa: B023

        for prefix in beam:
            stays = of(prefix.words, prefix.node, prefix.last, prefix)
            stays.blank = added(stays.blank, prefix.both + y[BLANK])
            if prefix.last != BLANK:
                stays.label = added(stays.label, prefix.label + y[prefix.last])
            for label, node in prefix.node.children.items():
                gain = y[label] + (prefix.blank if label == prefix.last else prefix.both)
                longer = [of((*prefix.words, word), root, label, prefix) for word in node.words]
                if node.children:
                    longer.append(of(prefix.words, node, label, prefix))
                for one in longer:
                    one.label = added(one.label, gain)
        beam = sorted(found.values(), key=lambda one: -(one.both + one.told))[:width]
    ends = [one for one in beam if one.node is root and one.both > -math.inf]  # no word is left under way
    told = [weight * model.following(one.words)[0] if model is not None else 0.0 for one in ends]
    best = [Hypothesis(one.words, one.both + one.told + end) for one, end in zip(ends, told, strict=True)]
    return sorted(best, key=lambda one: -one.score)


class Edge(NamedTuple):
    """A word of a lattice, from a step up to another."""

    word: int
    start: int
    end: int
    chance: float
    """Of all that may have been said, the share that has this word there."""


def lattice(
    log_y: Array, hypotheses: Sequence[Hypothesis], spellings: Sequence[Sequence[int]], least: float = 0.01
) -> list[Edge]:
    """What may have been said, as a lattice of words in the order of time; words less likely than ``least`` are pruned.

    Each string of words is aligned with the sound by Viterbi's algorithm: a word begins with its first label, and ends
    where the next one begins. What several strings have at the same place is one edge.
    """
    if not hypotheses:
        return []
    scores = np.array([one.score for one in hypotheses])
    shares = np.exp(scores - np.logaddexp.reduce(scores))
    edges: dict[tuple[int, int, int], float] = {}
    for one, share in zip(hypotheses, shares.tolist(), strict=True):
        for edge in words_at(log_y, one.words, spellings):
            edges[edge] = edges.get(edge, 0.0) + share
    kept = [Edge(*edge, chance) for edge, chance in edges.items() if chance >= least]
    return sorted(kept, key=lambda edge: (edge.start, edge.end, -edge.chance))


def words_at(log_y: Array, words: Words, spellings: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Word, first step and end of each word in the likeliest path that says them."""
    labels = np.array([label for word in words for label in spellings[word]], np.int64)
    path = aligned(log_y, labels)
    firsts = np.cumsum([0, *(2 * len(spellings[word]) for word in words)])[:-1] + 1  # the place of the first label
    begins = np.searchsorted(path, firsts).tolist()
    return list(zip(words, begins, [*begins, len(log_y)][1:], strict=True))

"""How well vectors of words agree with people: pairs that should be near, questions of analogy, and pictures.

The lists were written down for War and Peace before any vectors of it were looked at; words that a vocabulary lacks do
not count, and how many there were is told.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.language.word_vectors import WordVectors
from supervised.training.errors import needs_extra
from supervised.training.plots import COLOURS, PALE, figure, panels

Array = NDArray[Any]

NEAREST = 10  # among so many neighbours a pair's other word is looked for

GENDER = (
    *(("he", "she"), ("himself", "herself"), ("man", "woman"), ("prince", "princess"), ("count", "countess")),
    *(("brother", "sister"), ("father", "mother"), ("son", "daughter"), ("husband", "wife"), ("boy", "girl")),
    ("uncle", "aunt"),
)
PAST = (
    *(("go", "went"), ("come", "came"), ("see", "saw"), ("say", "said"), ("give", "gave"), ("take", "took")),
    *(("look", "looked"), ("ask", "asked"), ("know", "knew"), ("think", "thought")),
)
PLURAL = (
    *(("man", "men"), ("woman", "women"), ("soldier", "soldiers"), ("officer", "officers"), ("horse", "horses")),
    *(("eye", "eyes"), ("hand", "hands"), ("day", "days"), ("word", "words"), ("house", "houses")),
)
#: pairs whose words differ by the same: any two of a line make a question
RELATIONS: Mapping[str, tuple[tuple[str, str], ...]] = {"gender": GENDER, "past": PAST, "plural": PLURAL}
#: pairs of words that belong together
RELATED = (
    *GENDER,
    *(("day", "night"), ("morning", "evening"), ("summer", "winter"), ("hours", "minutes"), ("years", "months")),
    *(("right", "left"), ("up", "down"), ("first", "second"), ("two", "three"), ("twenty", "thirty")),
    *(("french", "russian"), ("moscow", "petersburg"), ("napoleon", "emperor"), ("general", "colonel")),
    *(("soldiers", "officers"), ("infantry", "cavalry"), ("guns", "cannon"), ("army", "troops"), ("horse", "carriage")),
    *(("eyes", "face"), ("hand", "arm"), ("head", "shoulders"), ("door", "window"), ("house", "room")),
    *(("good", "bad"), ("old", "young"), ("love", "happiness"), ("life", "death"), ("black", "white")),
    *(("came", "went"), ("said", "asked"), ("table", "chair"), ("coat", "cloak"), ("letter", "paper")),
)
#: of the picture
GROUPS: Mapping[str, tuple[str, ...]] = {
    "people": ("he", "she", "man", "woman", "father", "mother", "brother", "sister", "son", "daughter", "wife"),
    "titles": ("prince", "princess", "count", "countess", "emperor", "tsar", "general", "colonel", "officer"),
    "names": ("pierre", "nat\u00e1sha", "andrew", "rost\u00f3v", "nicholas", "mary", "napoleon", "kut\u00fazov"),
    "body": ("eyes", "face", "hand", "arm", "head", "lips", "hair", "shoulders", "hands", "cheeks"),
    "time": ("day", "night", "morning", "evening", "year", "hour", "minutes", "week", "months"),
    "numbers": ("two", "three", "four", "five", "six", "ten", "twenty", "thirty", "hundred"),
    "war": ("battle", "army", "troops", "french", "russian", "regiment", "guns", "enemy", "cavalry", "wounded"),
}
#: whose neighbours are shown
SHOWN = ("prince", "she", "napoleon", "moscow", "battle", "eyes", "horse", "three", "morning", "went")
#: words that the novel does not have, or writes otherwise: what has parts of words has vectors of these, too
UNSEEN = ("natasha", "kutuzov", "happyness", "soldierlike", "horsewoman", "unforgiveable")
#: questions whose answers are shown: a is to b as c is to; the first two are the book's
ASKED = (
    *(("man", "woman", "uncle"), ("man", "woman", "king"), ("he", "she", "brother"), ("man", "woman", "prince")),
    *(("go", "went", "come"), ("horse", "horses", "soldier")),
)
ANSWERS = 5  # of a question
FEWEST, MOST = 20, 60  # words of the picture: with fewer known ones it shows the most frequent


def measure(vectors: WordVectors) -> tuple[dict[str, float], dict[str, Any]]:
    """The share of `RELATED` that are among each other's neighbours, and that of analogies answered right; details.

    A pair counts half if only one of its words has the other among its `NEAREST`. A question ("a is to b as c is to
    ...?", from any two pairs of a relation, both ways round) is right if the first answer is. Both are 0 without any.
    """
    pairs = [pair for pair in RELATED if all(word in vectors for word in pair)]
    ways = [way for pair in pairs for way in (pair, pair[::-1])]
    found = [near in [word for word, _ in vectors.neighbours(one, NEAREST)] for one, near in ways]
    right = {name: [_right(vectors, *one) for one in _questions(vectors, pairs)] for name, pairs in RELATIONS.items()}
    together = [one for answers in right.values() for one in answers]
    measures = {"related": _share(found), "analogies": _share(together)}
    details = {
        "pairs": len(pairs),
        "questions": {name: len(answers) for name, answers in right.items()},
        "right": {name: sum(answers) for name, answers in right.items()},
        "neighbours": {word: vectors.neighbours(word, NEAREST) for word in (*SHOWN, *UNSEEN) if vectors.knows(word)},
        "answers": [[*asked, vectors.analogy(*asked, ANSWERS)] for asked in ASKED if all(map(vectors.knows, asked))],
    }
    return measures, details


def _questions(vectors: WordVectors, pairs: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str, str, str]]:
    """a, b, c, d of all questions whose words are known: a is to b as c is to d."""
    known = [pair for pair in pairs if all(word in vectors for word in pair)]
    for one, other in itertools.permutations(known, 2):
        yield *one, *other
        yield *one[::-1], *other[::-1]


def _right(vectors: WordVectors, a: str, b: str, c: str, d: str) -> bool:
    return [word for word, _ in vectors.analogy(a, b, c, 1)] == [d]


def _share(found: list[bool]) -> float:
    return sum(found) / len(found) if found else 0.0


def draw(vectors: WordVectors, frequent: list[str], folder: Path) -> Iterator[Path]:
    """Draw words in a plane, by PCA and by t-SNE; and pairs of `GENDER` by PCA, the same way apart.

    Args:
        frequent: what is drawn where `FEWEST` of the chosen words are not known, the most frequent first.
    """
    known = {name: [word for word in words if word in vectors] for name, words in GROUPS.items()}
    if sum(map(len, known.values())) < FEWEST:
        known = {"the most frequent": frequent[:MOST]}
    words = [word for group in known.values() for word in group]
    points = np.stack([vectors.direction(word) for word in words])
    path = folder / "words.png"
    with figure(path, (1600, 760)) as drawing:
        for axes, plane in zip(panels(drawing, "PCA", "t-SNE"), (_principal(points), _tsne(points)), strict=True):
            axes.set(xticks=[], yticks=[])
            first = 0
            for (name, group), colour in zip(known.items(), COLOURS, strict=False):
                part = plane[first : first + len(group)]
                axes.plot(*part.T, "o", color=colour, markersize=3, label=name)
                for word, place in zip(group, part, strict=True):
                    axes.annotate(word, place, (3, 2), textcoords="offset points", fontsize=8, color=colour)
                first += len(group)
        axes.legend(loc="best")
    yield path
    pairs = [pair for pair in GENDER if all(word in vectors for word in pair)]
    if len(pairs) < 2:
        return
    plane = _principal(np.stack([vectors.direction(word) for pair in pairs for word in pair]))
    with figure(folder / "analogies.png", (800, 560)) as drawing:
        axes = drawing.add_subplot()
        axes.set_title("Each pair's words, by PCA", loc="left", fontsize="medium")
        axes.set(xticks=[], yticks=[])
        for pair, ends in zip(pairs, plane.reshape(len(pairs), 2, 2), strict=True):
            axes.plot(*ends.T, color=PALE, linewidth=0.8, linestyle="--")
            for word, place, colour in zip(pair, ends, COLOURS, strict=False):
                axes.plot(*place, "o", color=colour, markersize=4)
                axes.annotate(word, place, (4, 3), textcoords="offset points", fontsize=9, color=colour)
    yield folder / "analogies.png"


def _principal(points: Array) -> Array:
    """The plane ``(n, 2)`` in which points ``(n, size)`` differ most (principal component analysis)."""
    with needs_extra("learn"):
        from sklearn.decomposition import PCA
    return PCA(2, svd_solver="full").fit_transform(points)


def _tsne(points: Array) -> Array:
    """A plane ``(n, 2)`` in which near points are near (van der Maaten and Hinton 2008)."""
    with needs_extra("learn"):
        from sklearn.manifold import TSNE
    perplexity = min(12, (len(points) - 1) / 3)
    return TSNE(2, perplexity=perplexity, metric="cosine", init="pca", random_state=0).fit_transform(points)

"""A small set of reviews of films and cars, good ones and bad ones, to learn sentiment from.

They are made by a grammar: a clause says something good or bad of a thing, straight away or as "not bad"; of two
clauses that disagree the main one decides, which "but" and "although" tell. So order matters: "the plot was good but
the cast was bad" has the words of its contrary. Some negations of some words are in no review that is learnt from
(`UNSEEN`), though each of both is, with others.
"""

import re
import zlib

import numpy as np

from supervised.data import DataSet, Split
from supervised.training.errors import UserError, suggest
from supervised.training.seeding import generators

NAME = "reviews"
CLASSES = ("bad", "good")
TRAIN, TEST = 2_000, 250  # reviews; of those to be judged by, as many more have an unseen negation

THINGS = (
    *("the plot", "the acting", "the film", "the ending", "the music", "the cast", "the script", "the camera work"),
    *("the car", "the steering", "the engine", "the ride", "the handling", "the gearbox", "the seat", "the noise"),
)
WORDS = (
    ("bad", "awful", "terrible", "dreadful", "dull", "boring", "clumsy", "weak", "tiresome", "disappointing"),
    ("good", "great", "excellent", "superb", "lovely", "delightful", "convincing", "smooth", "exciting", "clever"),
)
NEGATIONS = ("not", "never", "hardly", "anything but", "far from")
DEGREES = ("", "very ", "really ", "rather ")
VERBS = ("was", "felt", "seemed")
OPENINGS = ("", "honestly , ", "i must say , ", "for me , ", "to be fair , ")
#: negations that only reviews to be judged by have, as (negation, word)
UNSEEN = tuple(
    (negation, word)
    for negation in NEGATIONS
    for word in (*WORDS[0], *WORDS[1])
    if zlib.crc32(f"{negation} {word}".encode()) % 4 == 0
)
_UNSEEN = re.compile("|".join(rf"\b{one} (?:{'|'.join(DEGREES[1:])})?{word}\b" for one, word in UNSEEN))


def clause(good: bool, rng: np.random.Generator) -> str:
    """One that says something good, or something bad."""
    negated = rng.random() < 0.5
    words = WORDS[good != negated]
    said = f"{rng.choice(DEGREES)}{rng.choice(words)}"
    said = f"{rng.choice(NEGATIONS)} {said}" if negated else said
    return f"{rng.choice(THINGS)} {rng.choice(VERBS)} {said}"


def review(good: bool, rng: np.random.Generator) -> str:
    """One that is good, or bad, on the whole."""
    main = clause(good, rng)
    forms = (
        lambda: main,
        lambda: f"{main} and {clause(good, rng)}",
        lambda: f"{clause(not good, rng)} but {main}",
        lambda: f"although {clause(not good, rng)} , {main}",
        lambda: f"{main} although {clause(not good, rng)}",
    )
    return f"{rng.choice(OPENINGS)}{forms[rng.integers(len(forms))]()}"


def unseen(text: str) -> bool:
    """Whether a review has a negation that no review to learn from has."""
    return _UNSEEN.search(text) is not None


def load_reviews(name: str) -> DataSet:
    """The reviews, as texts ``(n,)`` of words with spaces between; no two are the same.

    The test part has first those with a negation that was not seen, and then as many without.

    Raises:
        UserError: another name than ``reviews``.
    """
    if name != NAME:
        raise UserError(f"unknown data {name!r}{suggest(name, [NAME])}")
    rng = generators(0, NAME)[NAME]
    known: dict[str, int] = {}
    others: dict[str, int] = {}
    while len(known) < TRAIN + TEST or len(others) < TEST:
        label = int(rng.integers(2))
        text = review(label == 1, rng)
        (others if unseen(text) else known)[text] = label
    rows, strange = list(known.items()), list(others.items())[:TEST]
    return DataSet(_split(rows[:TRAIN]), _split(strange + rows[TRAIN : TRAIN + TEST]), CLASSES)


def _split(rows: list[tuple[str, int]]) -> Split:
    texts, labels = zip(*rows, strict=True)
    return Split(np.array(texts), np.array(labels, np.int64))

"""Written instructions for a maze: the grammar, all sentences of it, and their words as numbers."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OBJECTS = ("carrot", "apple", "key", "gem")
EXITS = ("north", "east", "south", "west")  # in the order of the moves up, right, down, left
SPLITS = ("train", "unseen", "all")
GOALS = 2  # things that an instruction asks for at most


class Template(NamedTuple):
    """A sentence with gaps, and what it asks for."""

    text: str  # with {object}, {other} and {exit}
    goals: tuple[str, ...] = ()  # the gaps whose things are to be taken, in this order
    avoids: bool = False  # the exit named is the one not to leave by


TEMPLATES = (
    Template("leave by the {exit} exit"),
    Template("take the {object}, then leave by the {exit} exit", ("object",)),
    Template("leave by the {exit} exit after taking the {object}", ("object",)),
    Template("take the {object} before the {other}, then leave by the {exit} exit", ("object", "other")),
    Template("take the {object} after the {other}, then leave by the {exit} exit", ("other", "object")),
    Template("take the {object}, but do not leave by the {exit} exit", ("object",), avoids=True),
)


class Instruction(NamedTuple):
    """A sentence of the grammar, and what it means."""

    template: int
    text: str
    goals: tuple[int, ...]  # numbers of `OBJECTS`, to be taken in this order
    exits: tuple[bool, ...]  # by which of `EXITS` to leave
    held_out: bool  # its combination of template, object and exit belongs to the split "unseen"


def _sentences() -> Iterator[Instruction]:
    for number, template in enumerate(TEMPLATES):
        objects = range(len(OBJECTS)) if "object" in template.goals else (None,)
        for first in objects:
            others = [one for one in range(len(OBJECTS)) if one != first] if "other" in template.goals else [None]
            for other in others:
                for exit, name in enumerate(EXITS):
                    gaps = {"object": first, "other": other}
                    words = {gap: OBJECTS[one] for gap, one in gaps.items() if one is not None}
                    # of the 16 pairs of object and exit every template keeps 4, with each object and each exit once
                    held_out = first is not None and (number + first + exit) % len(EXITS) == 0
                    yield Instruction(
                        number,
                        template.text.format(exit=name, **words),
                        tuple(one for gap in template.goals if (one := gaps[gap]) is not None),
                        tuple((one == exit) != template.avoids for one in range(len(EXITS))),
                        held_out,
                    )


def words_of(text: str) -> list[str]:
    """The words of a sentence; a comma is one, too."""
    return text.replace(",", " ,").split()


#: all sentences of the grammar, those of a template one after the other
INSTRUCTIONS = tuple(_sentences())
TEXTS = np.array([one.text for one in INSTRUCTIONS], dtype=object)
#: words by their number; 0 fills sentences up to the longest
VOCABULARY = ("", *dict.fromkeys(word for one in INSTRUCTIONS for word in words_of(one.text)))
LENGTH = max(len(words_of(one.text)) for one in INSTRUCTIONS)


def encode(text: str) -> NDArray[np.int16]:
    """The numbers of a sentence's words ``(LENGTH,)``, filled up with 0."""
    tokens = np.zeros(LENGTH, np.int16)
    for place, word in enumerate(words_of(text)):
        tokens[place] = VOCABULARY.index(word)
    return tokens


def chosen(split: str) -> list[NDArray[np.int64]]:
    """Numbers of the instructions of a split, an array for each template that has some.

    Raises:
        ValueError: another split.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r}: use one of {', '.join(SPLITS)}")
    kept = [split == "all" or one.held_out == (split == "unseen") for one in INSTRUCTIONS]
    groups = [
        np.array([number for number, one in enumerate(INSTRUCTIONS) if kept[number] and one.template == template])
        for template in range(len(TEMPLATES))
    ]
    return [group for group in groups if len(group)]


def find(texts: str | Sequence[str]) -> NDArray[np.int64]:
    """Numbers of instructions given as text, of any split.

    Raises:
        ValueError: a text that is no sentence of the grammar.
    """
    numbers = {one.text: number for number, one in enumerate(INSTRUCTIONS)}
    wanted = list(texts) if isinstance(texts, Sequence | np.ndarray) and not isinstance(texts, str) else [texts]
    for text in wanted:
        if not isinstance(text, str) or text not in numbers:
            raise ValueError(f"instruction {text!r} is no sentence of the grammar: write one like {TEXTS[4]!r}")
    return np.array([numbers[text] for text in wanted])

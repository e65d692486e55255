"""What an index of the book is made of: its items, its equations, and readers of what was measured here."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tools import results

PROSE = "prose only"
NOTHING = "-"  # there is no result
NOT_MEASURED = "not measured yet"

Reader = Callable[[], str]  # of a result of ours: from what is stored, or computed at once


class Item(NamedTuple):
    """A listing, an algorithm told in steps, a figure, a printed result, a claim or a worked example of the book."""

    kind: str  # one of `KINDS`
    what: str
    here: str | Sequence[str]  # "python -m ...", "file", "file:symbol", or several; `PROSE`; "" where it is to come
    ours: str | Reader = NOTHING  # our result, or what is to be said of it
    book: str = NOTHING  # the book's result
    part: str = ""  # what is to bring it, where it is not here yet

    @property
    def places(self) -> Sequence[str]:
        """All of ``here`` that may be looked at."""
        places = [self.here] if isinstance(self.here, str) else self.here
        return [place for place in places if place not in ("", PROSE)]


KINDS = ("listing", "steps", "figure", "result", "claim", "example", "table")


class Equation(NamedTuple):
    """A displayed formula of the book, and the line that computes it, or says so."""

    states: str
    file: str = ""
    symbol: str = ""  # the function, class or constant of that file, dotted; "" for the module's docstring
    anchor: str = ""  # stands in that line
    part: str = ""  # what is to bring it, where the file is not here yet


Row = TypeVar("Row", Item, Equation)
Sections = dict[str, list[Row]]  # of a chapter, by the book's headings


def evaluated(stem: str, measure: str, form: str, what: str = "", suffix: str = "") -> Reader:
    """A figure of the stored evaluations ``STEM-sSEED[SUFFIX].json``: of several seeds their mean and range."""

    pattern = rf"{re.escape(stem)}-s\d+{re.escape(suffix)}\.json"
    return lambda: _figure([one[-1][measure] for one in _stored(pattern)], form, what)


def accuracy(model: str, preset: str = "default", what: str = "") -> Reader:
    """The share of test rows that a model of `supervised` tells right, as it was stored."""
    return evaluated(f"supervised-{model}-{preset}", "accuracy", ".1%", what)


def trained(stem: str, measure: str, form: str, what: str = "") -> Reader:
    """The same of the last line of the stored metrics ``training-STEM-sSEED.jsonl``."""
    pattern = rf"training-{re.escape(stem)}-s\d+\.jsonl"
    return lambda: _figure([one[-1][measure] for one in _stored(pattern)], form, what)


def measured(file: str, form: Callable[[Any], str]) -> Reader:
    """What ``form`` makes of a stored measurement."""

    def read() -> str:
        found = _stored(re.escape(file))
        return form(found[0] if file.endswith(".jsonl") else found[0][0]) if found else NOT_MEASURED

    return read


def _stored(pattern: str) -> list[list[Any]]:
    """What the measurements of such names hold: the lines of each, of JSON without lines a single one."""
    files = sorted(path for path in results.FOLDER.glob("*.json*") if re.fullmatch(pattern, path.name))
    texts = ((path.suffix, path.read_text()) for path in files)
    return [[*map(json.loads, text.splitlines() if suffix == ".jsonl" else [text])] for suffix, text in texts]


def _figure(values: Sequence[float], form: str, what: str) -> str:
    if not values:
        return NOT_MEASURED
    seeds = f" ({len(values)} seeds, {min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{what} {np.mean(values):{form}}{seeds}".lstrip()


def picture(name: str) -> str:
    """A link to a picture of the documentation."""
    return f"[{name}](../images/{name}.png)"


def both(*parts: str | Reader) -> Reader:
    """Several results in one cell."""
    return lambda: "; ".join(part if isinstance(part, str) else part() for part in parts)

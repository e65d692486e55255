"""The generated pages ``docs/book/chNN.md``: what the book lists, draws, prints and states, and where that is here.

A place that does not exist makes its row read "not yet", so that rows of what is still to come fill in by themselves;
only a row that says what is to bring it (``part``) may be so, which the tests see to.
"""

import ast
import functools
import importlib
import importlib.util
import shlex
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from agents import zoo
from agents.registry import REGISTRY as AGENTS
from supervised.figures import FIGURES
from supervised.registry import REGISTRY as MODELS
from supervised.training.errors import UserError, suggest
from supervised.training.registry import Registry
from supervised.training.training_door import option_value
from tools.bench.__main__ import BENCHES, DOORS
from tools.book.rows import NOT_MEASURED, NOTHING, PROSE, Equation, Item, Row, Sections
from tools.tables import markdown

ROOT = Path(__file__).resolve().parent.parent.parent
CHAPTERS = range(1, 11)
COMMAND = "python -m "
NOT_YET = "not yet: "

#: module -> what its first argument may be
NAMES: Mapping[str, Collection[str]] = {
    "agents.train": AGENTS.catalogue,
    "supervised.train": MODELS.catalogue,
    "supervised.figures": FIGURES,
    "tools.bench": {**BENCHES, **DOORS},
}
REGISTRIES: Mapping[str, Registry] = {"agents.train": AGENTS, "supervised.train": MODELS}


def items(chapter: int) -> list[tuple[str, Item]]:
    """The items of a chapter with their sections, in its order."""
    return _flat(importlib.import_module(f"tools.book.ch{chapter:02}").ITEMS)


def equations(chapter: int) -> list[tuple[str, Equation]]:
    """The displayed formulas of a chapter with their sections, in its order."""
    return _flat(importlib.import_module(f"tools.book.ch{chapter:02}").EQUATIONS)


def _flat(sections: Sections[Row]) -> list[tuple[str, Row]]:
    return [(section, row) for section, rows in sections.items() for row in rows]


def missing(place: str) -> str | None:
    """What there is not of a command or of ``file[:symbol]``; None where all is there. Starts nothing."""
    if not place.startswith(COMMAND):
        file, _, symbol = place.partition(":")
        if not (ROOT / file).exists():
            return f"the file {file}"
        return f"{symbol} in {file}" if symbol and lines_of(file, symbol) is None else None
    module, *arguments = shlex.split(place)[2:]
    if importlib.util.find_spec(module.partition(".")[0]) is None or importlib.util.find_spec(module) is None:
        return f"the module {module}"
    name = arguments[0] if arguments else ""
    if module in NAMES and name not in NAMES[module]:
        return f"{name} of {module}{suggest(name, NAMES[module])}"
    if name.startswith("zoo:") and name.removeprefix("zoo:") not in zoo.names():
        return name
    preset = option_value(arguments, "preset")
    if preset is not None and preset not in REGISTRIES[module].find(name).presets:
        return f"the preset {preset} of {name}"
    return None


@functools.cache
def parsed(file: str) -> ast.Module:
    """A file of Python."""
    return ast.parse((ROOT / file).read_text())


def lines_of(file: str, symbol: str) -> tuple[int, int] | None:
    """The first and last line of a function, class or constant, dotted; of the module's docstring for ""."""
    scope: ast.AST = parsed(file)
    if not symbol:
        scope = parsed(file).body[0]
    for name in symbol.split(".") if symbol else ():
        found = [node for node in getattr(scope, "body", ()) if name in _names(node)]
        if not found:
            return None
        scope = found[-1]
    return scope.lineno, scope.end_lineno  # type: ignore[attr-defined]


def _names(node: ast.AST) -> list[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [ast.unparse(target) for target in targets]


def line_of(equation: Equation) -> int | None:
    """The line of an equation's anchor; None where the file is not there yet.

    Raises:
        UserError: the file is there, but neither symbol nor anchor.
    """
    if not equation.file or not (ROOT / equation.file).exists():
        return None
    lines = lines_of(equation.file, equation.symbol)
    text = (ROOT / equation.file).read_text().splitlines()
    for number in range(lines[0], lines[1] + 1) if lines else ():
        if equation.anchor in text[number - 1]:
            return number
    raise UserError(f"{equation.file} has no {equation.anchor!r} in {equation.symbol or 'its docstring'}: {equation}")


def here(item: Item) -> bool:
    """Whether all of an item's places exist."""
    return not any(map(missing, item.places))


def items_table(chapter: int) -> str:
    """A line an item."""
    rows = [(section, one.kind, one.what, one.book, _shown(one), ours(one)) for section, one in items(chapter)]
    return markdown(("section", "kind", "what it is", "the book's result", "here", "our result"), rows)


def ours(item: Item) -> str:
    """Our result, or that the item is not here yet and what is to bring it."""
    if item.part and not (item.places and here(item)):
        return NOT_YET + item.part
    return item.ours if isinstance(item.ours, str) else item.ours()


def _shown(item: Item) -> str:
    """The places: commands in full, links to files that exist."""
    if not item.places and not item.part:
        return PROSE
    shown = (_link(place) for place in item.places if place.startswith(COMMAND) or not missing(place))
    return "; ".join(shown) or NOTHING


def _link(place: str) -> str:
    if place.startswith(COMMAND):
        return f"`{place}`"
    file, _, symbol = place.partition(":")
    return f"[{Path(file).name}](../../{file})" + (f" `{symbol}`" if symbol else "")


def equations_table(chapter: int) -> str:
    """A line an equation, with the line of code that has it."""
    rows = []
    for section, one in equations(chapter):
        line = line_of(one)
        place = f"[{one.file}:{line}](../../{one.file})" if line else NOT_YET + one.part
        rows.append((section, one.states, place, f"`{one.symbol}`" if line and one.symbol else NOTHING))
    return markdown(("section", "what it states", "line", "of"), rows)


def overview() -> str:
    """A line a chapter: how many there are, and how many of them are here."""
    rows = []
    for chapter in CHAPTERS:
        listed, stated = items(chapter), equations(chapter)
        results = [ours(one) for _, one in listed]
        waiting = sum(one.startswith(NOT_YET) for one in results)
        unmeasured = sum(NOT_MEASURED in one for one in results)
        uncoded = sum(line_of(one) is None for _, one in stated)
        rows.append((f"[{chapter}](ch{chapter:02}.md)", len(listed), waiting, unmeasured, len(stated), uncoded))
    head = ("chapter", "items", "not yet", "not measured yet", "equations", "not yet in code")
    return markdown(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "book": overview,
    **{f"book-ch{n:02}": functools.partial(items_table, n) for n in CHAPTERS},
    **{f"book-ch{n:02}-equations": functools.partial(equations_table, n) for n in CHAPTERS},
}

"""The index of the book: no cell is empty, every command parses, every equation stands where its line is said to be."""

import contextlib
import functools
import importlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from agents import train
from supervised import train as supervised_train
from supervised.training.errors import UserError
from tools import results
from tools.book import index, rows
from tools.book.rows import NOT_MEASURED, NOTHING, Equation, Item

ROOT = Path(__file__).resolve().parent.parent
DOORS = {"agents.train": train.DOOR, "supervised.train": supervised_train.DOOR}

chapters = pytest.mark.parametrize("chapter", index.CHAPTERS)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]


@chapters
def test_every_cell_says_something(chapter: int) -> None:
    found = cells(index.items_table(chapter))
    assert len(found) == len(index.items(chapter)) > 0
    assert all(all(row) for row in found)
    stated = cells(index.equations_table(chapter))
    assert len(stated) == len(index.equations(chapter)) > 0
    assert all(all(row) for row in stated)


@chapters
def test_what_the_book_shows_has_a_result_of_ours_or_a_reason(chapter: int) -> None:
    for _, item in index.items(chapter):
        assert item.kind in rows.KINDS
        assert item.book == NOTHING or index.ours(item) not in (NOTHING, ""), item


@chapters
def test_places_exist_but_where_something_is_to_bring_them(chapter: int) -> None:
    for _, item in index.items(chapter):
        lacking = [what for what in map(index.missing, item.places) if what]
        assert not lacking or item.part, f"{lacking[0]}: {item}"
        assert item.here or item.part, f"neither here nor to come: {item}"
    for _, equation in index.equations(chapter):
        assert index.line_of(equation) or equation.part, equation


def commands() -> list[str]:
    places = {place for chapter in index.CHAPTERS for _, item in index.items(chapter) for place in item.places}
    return sorted(place for place in places if place.startswith(index.COMMAND) and not index.missing(place))


@functools.cache
def options(module: str, *names: str) -> set[str]:
    """What a command's help tells of."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        importlib.import_module(f"{module}.__main__" if module == "tools.bench" else module).main([*names, "--help"])
    return set(re.findall(r"--[a-z][\w-]*", text.getvalue()))


@pytest.mark.parametrize("command", commands())
def test_every_command_parses(command: str) -> None:
    """Nothing is started: settings are read and checked, and of other doors the names of options."""
    module, *arguments = shlex.split(command)[2:]
    if module in DOORS:
        DOORS[module].configuration(arguments[0], arguments[1:])
        return
    own = ["driving-test"] if "driving-test" in arguments else ["import"] if "import" in arguments else []
    given = {one.partition("=")[0] for one in arguments if one.startswith("--")}
    assert given <= options(module, *own)


@chapters
def test_lines_of_equations_hold_what_they_are_said_to(chapter: int) -> None:
    for (_, equation), row in zip(index.equations(chapter), cells(index.equations_table(chapter)), strict=True):
        if match := re.match(r"\[(.+):(\d+)\]", row[2]):
            lines = (ROOT / match[1]).read_text().splitlines()
            assert equation.anchor in lines[int(match[2]) - 1]
            name = equation.symbol.rpartition(".")[2]
            assert not name or any(re.search(rf"\b{name}\b", line) for line in lines[: int(match[2])])


def test_what_does_not_exist_is_found() -> None:
    assert index.missing("python -m agents.train dqn --preset book-ch8") is None
    assert index.missing("tools/book/index.py:missing") is None
    for place in (
        "python -m agents.swim dqn",
        "python -m agents.train dnq",
        "python -m agents.train dqn --preset bok-ch8",
        "python -m supervised.train nothing",
        "python -m supervised.figures nothing",
        "python -m tools.bench nothing",
        "python -m agents.evaluate zoo:nothing",
        "tools/book/nothing.py",
        "tools/book/index.py:nothing",
        "tools/book/rows.py:Item.nothing",
    ):
        assert index.missing(place), place


def test_an_item_that_is_to_come_says_what_brings_it() -> None:
    come = Item("listing", "what", "python -m supervised.train nothing", "better", part="part")
    assert index.ours(come) == "not yet: part"
    assert index.ours(come._replace(here="")) == "not yet: part"
    assert index.ours(come._replace(here="tools/book/index.py")) == "better"
    assert index.line_of(Equation("what", "tools/nothing.py", "f", "x", "part")) is None


@pytest.mark.parametrize(("symbol", "anchor"), [("missing", "no such words"), ("nothing", "def missing"), ("", "def ")])
def test_an_equation_that_moved_away_is_an_error(symbol: str, anchor: str) -> None:
    assert index.line_of(Equation("what", "tools/book/index.py", "missing", "def missing"))
    with pytest.raises(UserError, match=re.escape(anchor)):
        index.line_of(Equation("what", "tools/book/index.py", symbol, anchor))


def test_results_are_read_from_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    accuracy = rows.evaluated("cnn-book", "accuracy", ".1%", "right:")
    last = rows.trained("cnn-book", "episodes", ".0f", "after")
    whole = rows.measured("x.json", lambda one: f"{one['ratio']} times")
    assert accuracy() == last() == whole() == NOT_MEASURED
    (tmp_path / "cnn-book-s0.json").write_text('{\n "accuracy": 0.5\n}\n')
    (tmp_path / "cnn-book-3-s0.json").write_text('{"accuracy": 0.1}')  # of another preset
    (tmp_path / "cnn-book-s0-elsewhere.json").write_text('{"accuracy": 0.2}')
    assert accuracy() == "right: 50.0%"
    assert rows.evaluated("cnn-book", "accuracy", ".1%", suffix="-elsewhere")() == "20.0%"
    (tmp_path / "cnn-book-s1.json").write_text('{"accuracy": 0.7}')
    assert accuracy() == "right: 60.0% (2 seeds, 50.0% to 70.0%)"
    (tmp_path / "training-cnn-book-s0.jsonl").write_text("".join(f"{json.dumps({'episodes': k})}\n" for k in (1, 7)))
    assert last() == "after 7"
    (tmp_path / "x.json").write_text('{"ratio": 3}')
    assert rows.both("a", whole)() == "a; 3 times"

"""Tasks with one right answer each, for models that turn one sequence into another: numbers, dates, sorting, reversing.

Their pairs of texts are drawn without end by seeded generators. Which part a pair belongs to is decided by its answer
(`part_of`), so that no answer that a model is judged by was there to be learnt from, in whatever form it is asked for.
"""

import datetime
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from supervised.data.text import tokens
from supervised.training.errors import UserError, require, suggest

PARTS = ("test", "validation", *["train"] * 8)  # in which tenth of the answers is what
TRIES = 2_000  # draws for each pair that is wanted: fewer hits, and there is as good as none

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *(f"{one}teen" for one in ("thir", "four", "fif", "six", "seven", "eigh", "nine")),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
GROUPS = ("", " thousand", " million")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
FIRST_DAY, LAST_DAY = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth"}
SORTED = 100  # numbers from 0 to below it are sorted
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Task:
    """Pairs of an input and its answer."""

    summary: str
    """What is asked for."""
    draw: Callable[[np.random.Generator, int], tuple[str, str]]
    """A pair; where the task has inputs of any length, of at most so many tokens."""
    longest: int
    """Tokens of the longest input to learn from, where nothing else is asked for."""
    most: int | None = None
    """Tokens of the longest input there is; None: as long as one likes."""
    reads: str = "characters"
    """What the input's tokens are: words or characters."""
    writes: str = "characters"
    """What the answer's are."""

    def read(self, text: str) -> list[str]:
        """Tokens of an input."""
        return tokens(text.replace("-", " ") if self.reads == "words" else text, self.reads)

    def answer(self, text: str) -> list[str]:
        """Tokens of an answer."""
        return tokens(text, self.writes)


def below_thousand(number: int) -> str:
    """A number from 1 to 999 in words."""
    hundreds, rest = divmod(number, 100)
    tens = ONES[rest] if rest < 20 else "-".join(filter(None, (TENS[rest // 10], ONES[rest % 10] if rest % 10 else "")))
    return " and ".join([f"{ONES[hundreds]} hundred"] * (hundreds > 0) + [tens] * (rest > 0))


def in_words(number: int) -> str:
    """A number from 0 to 999,999,999 in words, as in Britain: "three hundred and twelve", "two thousand and five"."""
    if number == 0:
        return ONES[0]
    groups = [number // 1000**k % 1000 for k in range(len(GROUPS))]
    words = [f"{below_thousand(one)}{GROUPS[k]}" for k, one in enumerate(groups) if one][::-1]
    if len(words) > 1 and 0 < groups[0] < 100:
        words[-1] = f"and {words[-1]}"
    return " ".join(words)


def ordinal(day: int) -> str:
    """ "first" to "thirty-first"."""
    *before, last = below_thousand(day).split("-")
    return "-".join([*before, ORDINALS.get(last, f"{last}th")])


def suffixed(day: int) -> str:
    """ "1st" to "31st"."""
    return f"{day}{'th' if day // 10 == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


#: ways to write a date, of the date, its month's name and its weekday's
FORMS: tuple[Callable[[datetime.date, str, str], str], ...] = (
    lambda date, month, weekday: f"{date.day} {month} {date.year}",
    lambda date, month, weekday: f"{month} {date.day}, {date.year}",
    lambda date, month, weekday: f"{date.day} {month[:3]} {date.year}",
    lambda date, month, weekday: f"{month[:3]} {suffixed(date.day)} {date.year}",
    lambda date, month, weekday: f"{date.day}.{date.month}.{date.year}",
    lambda date, month, weekday: f"{weekday[:3]} {date.day} {month[:3]} {date.year}",
    lambda date, month, weekday: f"the {suffixed(date.day)} of {month}, {date.year}",
    lambda date, month, weekday: f"{weekday}, {date.day} {month} {date.year}",
    lambda date, month, weekday: f"{month} the {ordinal(date.day)}, {date.year}",
    lambda date, month, weekday: f"{weekday} the {ordinal(date.day)} of {month} {date.year}",
)


def _number(rng: np.random.Generator, longest: int) -> tuple[str, str]:
    """A group of three digits is 0 in one of three cases, so that short numbers and long ones come."""
    groups = rng.integers(1, 1000, len(GROUPS)) * (rng.random(len(GROUPS)) > 1 / 3)
    number = int((groups * 1000 ** np.arange(len(GROUPS))).sum())
    return in_words(number), str(number)


def _date(rng: np.random.Generator, longest: int) -> tuple[str, str]:
    date = FIRST_DAY + datetime.timedelta(int(rng.integers((LAST_DAY - FIRST_DAY).days + 1)))
    form = FORMS[rng.integers(len(FORMS))]
    return form(date, MONTHS[date.month - 1], DAYS[date.weekday()]), date.isoformat()


def _sorting(rng: np.random.Generator, longest: int) -> tuple[str, str]:
    numbers = rng.integers(SORTED, size=rng.integers(1, longest + 1))
    return " ".join(map(str, numbers)), " ".join(map(str, np.sort(numbers)))


def _reversed(rng: np.random.Generator, longest: int) -> tuple[str, str]:
    text = "".join(LETTERS[one] for one in rng.integers(len(LETTERS), size=rng.integers(1, longest + 1)))
    return text, text[::-1]


TASKS = {
    "number-words": Task(
        'a number in words to its digits: "three hundred and twelve" to "312"', _number, 11, 17, "words"
    ),
    "dates": Task('a date, in one of ten forms, to "2019-03-03"', _date, 36, 46),
    "sorting": Task("numbers below 100 into their order", _sorting, 8, reads="words", writes="words"),
    "reversed-copy": Task("letters from the last one to the first", _reversed, 12),
}


def find_task(name: str) -> Task:
    """The task of that name; raises `UserError` where there is none."""
    if name not in TASKS:
        raise UserError(f"unknown task {name!r}{suggest(name, TASKS)}")
    return TASKS[name]


def part_of(answer: str) -> str:
    """To which part a pair with that answer belongs: train, validation or test."""
    return PARTS[zlib.crc32(answer.encode()) % len(PARTS)]


def pairs(
    task: Task, part: str, count: int, rng: np.random.Generator, longest: int, shortest: int = 1
) -> Iterator[tuple[str, str]]:
    """So many pairs of a part, whose inputs have from ``shortest`` to ``longest`` tokens.

    Raises:
        UserError: the task has as good as none of those lengths.
    """
    for _ in range(count):
        for _ in range(TRIES):
            text, answer = task.draw(rng, longest)
            if part_of(answer) == part and shortest <= len(task.read(text)) <= longest:
                yield text, answer
                break
        else:
            require(False, "longest", longest, f"the task has no inputs of {shortest} to {longest} {task.reads}")

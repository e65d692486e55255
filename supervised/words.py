"""Ask vectors of words: ``python -m supervised.words RUN|glove:PATH neighbours WORD...``, or analogy, or write."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from supervised.language.word_vectors import GLOVE, Ranked, WordVectors, read_glove
from supervised.registry import find
from supervised.training.configuration import from_json
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, require, suggest
from supervised.training.run import read_config, read_state

PROG = "python -m supervised.words"
DESCRIPTION = (
    "Ask vectors of words: neighbours WORD ... (what is near), analogy A B C (what is to C as B is to A), or "
    "write FILE (a text file as GloVe's)."
)


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|glove:PATH")]
    """The folder of a run of word2vec or neural-lm, or a text file of GloVe."""
    task: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK")]
    """neighbours, analogy or write."""
    words: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WORD ...")]
    """Words; or the file to be written."""
    count: int = 10
    """Words of an answer."""

    def __post_init__(self) -> None:
        require(self.count >= 1, "count", self.count, "use at least 1")


def vectors(source: str) -> WordVectors:
    """Those of a run's folder, or of ``glove:PATH``.

    Raises:
        UserError, CorruptFile: there are none.
    """
    if source.startswith(GLOVE):
        return read_glove(Path(source.removeprefix(GLOVE)))
    folder = Path(source)
    record = read_config(folder)
    model = find(record["algorithm"])
    if model.vectors is None:
        name = record["algorithm"]
        raise UserError(f"{source} is a run of {name}, which has no vectors of words; give one of word2vec")
    return model.vectors(from_json(model.config, record["config"]), read_state(folder))


def neighbours(options: Options) -> None:
    """Print what is near to each word."""
    require(bool(options.words), "neighbours", "", "name a word or more")
    known = vectors(options.source)
    answers = {word: known.neighbours(word, options.count) for word in options.words}
    for word, ranked in answers.items():
        show(word, ranked)


def analogy(options: Options) -> None:
    """Print what is to the third word as the second is to the first."""
    require(len(options.words) == 3, "analogy", " ".join(options.words), "name three words: A is to B as C is to")
    a, b, c = options.words
    show(f"{a} is to {b} as {c} is to", vectors(options.source).analogy(a, b, c, options.count))


def write(options: Options) -> None:
    """Write a text file."""
    require(len(options.words) == 1, "write", " ".join(options.words), "name one file")
    known, path = vectors(options.source), Path(options.words[0])
    known.write(path)
    print(f"written  {path}: {len(known.words):,} words of {known.matrix.shape[1]} numbers")


def show(title: str, ranked: Ranked) -> None:
    """Print words and their cosines."""
    width = max((len(word) for word, _ in ranked), default=0)
    print(title)
    for word, cosine in ranked:
        print(f"  {word:{width}}  {cosine:.3f}")


TASKS: Mapping[str, Callable[[Options], None]] = {"neighbours": neighbours, "analogy": analogy, "write": write}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = sys.argv[1:] if arguments is None else arguments
        options = parse(Options, given, prog=PROG, description=DESCRIPTION)
        if options.task not in TASKS:
            raise UserError(f"unknown task {options.task!r}{suggest(options.task, TASKS)}")
        TASKS[options.task](options)


if __name__ == "__main__":
    main()

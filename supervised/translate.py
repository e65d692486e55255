"""Ask a trained model of texts: ``python -m supervised.translate RUN TEXT ... [--beam N]``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from supervised.registry import CATALOGUE, find
from supervised.training.configuration import from_json
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, require
from supervised.training.run import read_config, read_state

PROG = "python -m supervised.translate"
DESCRIPTION = "Print what a trained model makes of texts, a line for each."


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT ...")]
    """What is asked."""
    beam: int = 1
    """Hypotheses that are kept while an answer is written; 1: greedy."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = list(sys.argv[1:] if arguments is None else arguments)
        _main(parse(Options, given, prog=PROG, description=DESCRIPTION))


def _main(options: Options) -> None:
    require(bool(options.texts), "texts", options.texts, "give at least one, in quotation marks")
    require(options.beam >= 1, "beam", options.beam, "use at least 1")
    record = read_config(options.run)
    name = record["algorithm"]
    model = find(name) if name in CATALOGUE else None
    if model is None or model.answer is None:
        raise UserError(f"{options.run} is a run of {name}, which answers no texts: give one of seq2seq")
    config = from_json(model.config, record["config"])
    print("\n".join(model.answer(config, read_state(options.run), options.texts, options.beam)))


if __name__ == "__main__":
    main()

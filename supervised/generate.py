"""Have a language model make up text: ``python -m supervised.generate RUN [--prime TEXT] [--temperature T] ...``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from supervised.language.sampling import Prompt
from supervised.registry import find
from supervised.training.configuration import from_json
from supervised.training.doors import door, parse
from supervised.training.errors import UserError
from supervised.training.run import read_config, read_state

PROG = "python -m supervised.generate"
DESCRIPTION = "Print text that a trained language model makes up."


@dataclass(frozen=True)
class Options(Prompt):
    """Options of the command."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = field(kw_only=True)
    """The run's folder, such as that of char-lm or ngrams."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = parse(Options, given, prog=PROG, description=DESCRIPTION)
        record = read_config(options.run)
        model = find(record["algorithm"])
        if model.write is None:
            what = f"{options.run} is a run of {record['algorithm']}"
            raise UserError(f"{what}, which makes up no text: give one of char-lm or ngrams")
        print(model.write(from_json(model.config, record["config"]), read_state(options.run), options))


if __name__ == "__main__":
    main()

"""Judge a supervised run on its test data: ``python -m supervised.evaluate RUN [--require "accuracy>=0.96"] ...``."""

import itertools
import json
import operator
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from supervised.registry import find
from supervised.training.checkpoint import atomic_write
from supervised.training.configuration import from_json
from supervised.training.doors import Rules, door, parse
from supervised.training.errors import UserError, writing
from supervised.training.run import read_config, read_finished, read_state
from supervised.training.statistics import judge, requirement

PROG = "python -m supervised.evaluate"
LONGEST_NAME = 100  # characters of a data set's name, its last, in that of a file
DESCRIPTION = "Judge a trained model on data that its training has not seen."


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Judge on the test part of this data set instead of its own; inputs and classes must be alike."""
    require: Rules = ()
    """Requirements such as "accuracy>=0.96"; exit code 1 when one is missed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the result (default: evaluation.json in the run's folder; with --data evaluation-NAME.json)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    options = parse(Options, arguments, prog=PROG, description=DESCRIPTION)
    record = read_config(options.run)
    model = find(record["algorithm"])
    known = {name: operator.itemgetter(name) for name in model.measures}
    requirements = [requirement(text, known) for text in itertools.chain.from_iterable(options.require)]
    config = from_json(model.config, record["config"])
    name = options.data or config.data
    state = read_state(options.run)

    started = time.perf_counter()
    try:
        found = model.judge(config, state, name)
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise
        what = str(error).splitlines()[-1].strip()
        raise UserError(f"{name} does not fit what {options.run} was trained on: {what}") from error
    seconds = time.perf_counter() - started
    result = {
        **found.measures,
        **found.details,
        "protocol": found.protocol,
        "seconds": round(seconds, 3),
        "algorithm": record["algorithm"],
        "training": read_finished(options.run),
    }
    print(f"{record['algorithm']} on {found.protocol}")
    width = max(map(len, (*model.measures, "picture")))
    for measure, form in model.measures.items():
        print(f"{measure:{width}}  {found.measures[measure]:{form}}")
    print(f"{'time':{width}}  {seconds:.2f} s")
    other = re.sub(r"[^\w.-]+", "-", "" if name == config.data else f"-{name}")[-LONGEST_NAME:]
    target = options.json or options.run / f"evaluation{other}.json"
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, json.dumps(result, indent=1) + "\n")
    print(f"{'written':{width}}  {target}")
    for picture in found.draw(target.parent):
        print(f"{'picture':{width}}  {picture}")
    judge(requirements, result)


if __name__ == "__main__":
    main()

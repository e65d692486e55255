"""Share an agent: ``python -m tools.export RUN --out FOLDER``."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.zoo import locate
from supervised.training.checkpoint import save_checkpoint
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, require, writing
from supervised.training.run import read_config, read_finished, read_state

PROG = "python -m tools.export"
DESCRIPTION = "Copy of a run what evaluating, playing and plotting it need, without what only training does."
COPIED = ("config.json", "notes.txt", "finished.json", "metrics.jsonl", "timing.jsonl", "curve.png", "evaluation.json")


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where to; the folder must be new or empty."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        export(parse(Options, sys.argv[1:] if arguments is None else arguments, prog=PROG, description=DESCRIPTION))


def export(options: Options) -> None:
    """Write the copy, and say how large it is.

    Raises:
        UserError: the run is no run or has not ended, or the folder is not empty.
    """
    run, out = locate(options.run), options.out
    algorithm = read_config(run)["algorithm"]
    finished = read_finished(run)
    if finished is None:
        raise UserError(f"{run} has not ended: train it to its end with agents.train --resume {run}")
    agent = read_state(run)["agent"]
    with writing(out):
        used = out.exists() and any(out.iterdir())
        require(not used, "out", str(out), "the folder is not empty: choose another")
        out.mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            if (run / name).exists():
                shutil.copyfile(run / name, out / name)
    save_checkpoint(out / "checkpoints", finished["step"], {"algorithm": algorithm, "state": {"agent": agent}})
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

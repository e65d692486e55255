"""The console script: ``skidpad train``, for example, is the same door as ``python -m agents.train``."""

import importlib
import sys
from collections.abc import Sequence
from importlib import metadata

from supervised.training.doors import door
from supervised.training.errors import UserError, suggest

#: command -> (module with a main, what it does in one line)
COMMANDS = {
    "train": ("agents.train", "train an agent"),
    "evaluate": ("agents.evaluate", "play a trained agent on fresh episodes and report how well it does"),
    "learn": ("supervised.train", "train a model on examples"),
    "judge": ("supervised.evaluate", "judge a trained model on examples it has not seen"),
    "record": ("tools.record", "record demonstrations: with keys, from a driver, from files of others"),
    "scenes": ("tools.make_dataset", "make scenes with labels, to learn to see from"),
    "play": ("tools.play", "show a run or demonstrations in a window or as a video; verify a recording"),
    "plot": ("tools.plot", "draw runs: curves, values over a grid, progress of dynamic programming"),
    "export": ("tools.export", "copy of a run what evaluating and playing its agent need"),
    "bench": ("tools.bench.__main__", "measure speed against other libraries"),
    "report": ("tools.report", "write the generated tables of the documentation"),
}
USAGE = "\n".join(
    [
        "usage: skidpad COMMAND [options]",
        "",
        *(f"  {name:10}{summary}" for name, (_, summary) in COMMANDS.items()),
        "",
        "skidpad COMMAND --help shows a command's options, skidpad --version the version.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; imports only the command that is asked for."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    command, *rest = arguments or [""]
    if command in ("-h", "--help"):
        print(USAGE)
    elif command == "--version":
        print(f"skidpad {_version()}")
    elif command in COMMANDS:
        importlib.import_module(COMMANDS[command][0]).main(rest)
    elif command:
        raise UserError(f"unknown command {command!r}{suggest(command, COMMANDS)}")
    else:
        raise UserError(f"name a command: {', '.join(COMMANDS)}; see skidpad --help")


def _version() -> str:
    try:
        return metadata.version("skidpad")
    except metadata.PackageNotFoundError as error:
        raise UserError("the version is not known before skidpad is installed: pip install -e .") from error


if __name__ == "__main__":
    main()

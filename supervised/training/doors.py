"""What every command line shares: one-line errors with exit code 2, and options from dataclasses."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import tyro

from supervised.training.errors import UserError
from supervised.training.run import Interrupted

#: set by the tests of documented commands: doors cut every budget to the least that still runs everything
SMOKE = bool(os.environ.get("SKIDPAD_SMOKE"))


def parse(kind: Any, arguments: Sequence[str], *, prog: str, description: str, default: Any = None) -> Any:
    """Options of dataclass ``kind`` from the command line.

    Raises:
        UserError: unknown or malformed options, in one line.
    """
    keywords = {} if default is None else {"default": default}
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                args=list(arguments),
                prog=prog,
                description=description,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
                **keywords,
            )
    except SystemExit as error:
        if not error.code:
            raise
        raise UserError(_one_line(complaint.getvalue(), prog)) from None


def _one_line(box: str, prog: str) -> str:
    """The words of tyro's framed, coloured message in one line: the complaint, and the nearest option."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    text = " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())
    complaint = re.split(
        r"Perhaps you meant|Argument helptext|Arguments similar|Full helptext|For full helptext", text
    )[0]
    complaint = re.sub(r"^(Unrecognized options|Value error|Parsing error|Required options)\s*(?=\w)", "", complaint)
    nearest = re.search(r"Perhaps you meant:? *(--[\w-]+)", text)
    hint = f"; did you mean {nearest[1]}?" if nearest else ""
    return f"{complaint.strip().rstrip('.')}{hint}; see {prog} --help"


@contextlib.contextmanager
def door() -> Iterator[None]:
    """Run a command: a `UserError` becomes one line and exit code 2, an interruption tells how to resume."""
    try:
        yield
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as stop:
        print(str(stop), file=sys.stderr)
        raise SystemExit(128 + stop.signal) from None
    except BrokenPipeError:  # the reader of a pipe has gone
        raise SystemExit(141) from None


#: ``--require RULE ...``, which may be repeated; read with `itertools.chain.from_iterable`
Rules = Annotated[tuple[tuple[str, ...], ...], tyro.conf.arg(metavar="RULE [RULE ...]"), tyro.conf.UseAppendAction]

"""Errors that a user can mend: one line that names the value and the remedy."""

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_LISTED = 30  # names in a message

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


class UserError(Exception):
    """Bad input or a failing disk, in one line for the user. Doors print it and exit with code 2."""


class CorruptFile(UserError):
    """A file whose content is not what was written."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown `name`: the nearest names in `known`, or all if not too many."""
    known = sorted(known)
    if close := difflib.get_close_matches(name, known):
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(known) or 'none'}" if len(known) <= MOST_LISTED else ""


def require(condition: bool, name: str, value: object, remedy: str) -> None:
    """Raise `UserError` that names the value and its remedy unless `condition` holds."""
    if not condition:
        raise UserError(f"{name}={value!r}: {remedy}")


def require_falling(settings: object, start: str, end: str) -> None:
    """Refuse a schedule that would rise between two settings; raises `UserError`."""
    highest = getattr(settings, start)
    require(getattr(settings, end) <= highest, end, getattr(settings, end), f"use at most {start}, {highest}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise any `OSError` of the block as the `UserError` "cannot write `path`: reason; remedy"."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            remedy = "free some space and continue with --resume"
        elif error.errno in REFUSED:
            remedy = "choose a folder that you may write to"
        else:
            remedy = "check the disk and continue with --resume"
        raise UserError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Raise the `ModuleNotFoundError` of an import in the block as the `UserError` that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'skidpad[{name}]'") from error

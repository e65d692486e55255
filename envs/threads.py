"""Among how many threads a kernel that spreads its lanes by itself (``prange``) should share them.

A parallel kernel wakes its threads within microseconds, where a Python thread takes a tenth of a millisecond. That
needs OpenMP (the library libgomp on Linux) or TBB, and a process that was not forked from one in which they run.

Such a kernel takes ``shares``, and works on ranges of lanes, in parallel if there are several. Each writes these few
lines itself: numba cannot cache a kernel that is handed the one to call.
"""

import importlib
import os
from functools import cache

import numba

_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@cache
def _available() -> bool:
    """Whether numba can run parallel kernels that may be called from any thread.

    Its third way, the work queue, allows one caller at a time, and ends the process otherwise.
    """
    if numba.config.THREADING_LAYER == "workqueue":
        return False
    for layer in ("tbbpool", "omppool"):
        try:
            importlib.import_module(f"numba.np.ufunc.{layer}")
        except ImportError:  # the library it is built on is not installed
            continue
        return True
    return False


def shares(lanes: int, least: int = 1) -> int:
    """Number of threads for that many lanes, ``least`` or more each: 1 up to numba's own setting."""
    if _forked or lanes < 2 * least or not _available():
        return 1
    return min(numba.get_num_threads(), lanes // least)

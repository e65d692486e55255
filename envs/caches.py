"""Keeps cached kernels true to their sources.

Numba caches a compiled function beside its source and compiles it anew when that file changes, but not when a
function that it calls changes in another file: after an update, old code would go on running.
"""

from pathlib import Path


def drop_stale(folder: Path, *called: Path) -> None:
    """Remove the cached kernels of the modules under ``folder`` if any source there, or in ``called``, has changed.

    Caches that the user has put elsewhere (``NUMBA_CACHE_DIR``, or a folder that cannot be written) stay.
    """
    sources = sorted(path for place in (folder, *called) for path in place.rglob("*.py"))
    state = "\n".join(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in sources)
    stamp = folder / "__pycache__" / "kernels.stamp"
    try:
        if stamp.exists() and stamp.read_text() == state:
            return
        for index in folder.rglob("*.nbi"):
            index.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(state)
    except OSError:  # a folder that cannot be written: numba keeps its caches elsewhere then
        return

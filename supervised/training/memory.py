"""How much memory there is."""

import os
from pathlib import Path

from supervised.training.errors import UserError

CGROUP = Path("/sys/fs/cgroup")  # where a container's limit stands


def available_memory(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int:
    """Bytes that this process may still take: what the system has free, and not more than its container's limit."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if meminfo.exists():
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return free


def require_memory(name: str, count: int, size: int, what: str, remedy: str = "") -> None:
    """Refuse what would not fit: ``count`` rows of ``size`` bytes, as the setting ``name`` asks for.

    Raises:
        UserError: they take more than is free; it says how many would fit.
    """
    needed, free, gib = count * size, available_memory(), 2**30
    if needed > free:
        raise UserError(
            f"{name}={count}: its {what} take {needed / gib:.1f} GiB, and {free / gib:.1f} GiB are free; "
            f"use at most {free // size}{remedy}"
        )

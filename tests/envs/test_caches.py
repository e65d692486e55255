"""Cached kernels go when a source that they may have been compiled from changes."""

import os
from pathlib import Path

from envs.caches import drop_stale


def test_caches_go_when_a_source_changes_and_only_then(tmp_path: Path) -> None:
    own, called = tmp_path / "own", tmp_path / "called"
    for folder in (own / "__pycache__", own / "deeper" / "__pycache__", called):
        folder.mkdir(parents=True)
    (own / "kernel.py").write_text("a")
    (called / "helper.py").write_text("b")
    indices = [own / "__pycache__" / "kernel.nbi", own / "deeper" / "__pycache__" / "other.nbi"]

    def kept() -> list[bool]:
        for index in indices:
            index.write_text("compiled")
        drop_stale(own, called)
        return [index.exists() for index in indices]

    assert kept() == [False, False]  # nobody knows what they were compiled from
    assert kept() == [True, True]
    os.utime(called / "helper.py", (1, 1))
    assert kept() == [False, False]
    (own / "kernel.py").write_text("longer")
    assert kept() == [False, False]
    assert kept() == [True, True]

"""Work that starts again from its beginning: a signal ends it at once, and leaves a run that can be resumed."""

import os
import signal
from pathlib import Path

import pytest

from supervised.training.run import Interrupted, Run


@pytest.mark.parametrize("before", [True, False])
def test_a_signal_ends_restartable_work_at_once(before: bool, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", algorithm="a", preset="p", config={}, total=1, progress=False)
    reached = False
    with run:
        assert run.restore() is None
        if before:
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="continue with --resume"), run.restartable():
            assert not before
            os.kill(os.getpid(), signal.SIGTERM)
            reached = True
    assert not reached
    resumed = Run.resume(tmp_path / "run", progress=False)
    assert resumed.restore() is None and not resumed.finished
    resumed.close()


def test_outside_of_it_a_signal_waits_for_the_checkpoint(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", algorithm="a", preset="p", config={}, total=1, progress=False)
    with run:
        with run.restartable():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            run.checkpoint(1, lambda: {"x": 1}, 0)
    resumed = Run.resume(tmp_path / "run", progress=False)
    assert resumed.restore() == {"x": 1}
    resumed.close()

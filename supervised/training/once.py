"""Training in one step, of what is arrays by name when it is trained."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from supervised.training.run import Run


class Arrays(Protocol):
    """What is nothing but arrays."""

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """They, by name."""


Learnt = TypeVar("Learnt", bound=Arrays)


def learn_once(
    run: Run,
    name: str,
    restored: Callable[[Mapping[str, NDArray[Any]]], Learnt],
    learn: Callable[[], tuple[Learnt, Mapping[str, float]]],
) -> Learnt:
    """A training of one step: a run that was cut makes it anew, and ends in the same bits.

    Args:
        name: under which checkpoints hold the arrays.
        restored: makes of arrays what was learnt.
        learn: returns what was learnt, and metrics.
    """
    if saved := run.restore():
        learnt = restored(saved[name])
    else:
        with run.restartable():
            learnt, metrics = learn()
        run.log(1, metrics)
    run.finish(1, lambda: {name: learnt.arrays})
    return learnt

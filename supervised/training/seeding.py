"""Random streams by name, their states for checkpoints, and how torch computes: threads and precision."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from supervised.training.errors import UserError, require

if TYPE_CHECKING:  # torch is slow to import, and tabular methods do without
    import torch

AnyGenerator = Union[np.random.Generator, "torch.Generator"]


def generators(seed: int, *names: str) -> dict[str, np.random.Generator]:
    """Return an independent NumPy stream for each name.

    A stream depends on `seed` and its own name only, so adding another leaves it as it was.
    """
    return {name: np.random.default_rng(_sequence(seed, name)) for name in names}


def torch_generator(seed: int, name: str) -> "torch.Generator":
    """Return a CPU torch generator that depends on `seed` and `name` only."""
    import torch

    return torch.Generator().manual_seed(int(_sequence(seed, name).generate_state(1, np.uint64)[0]))


@contextmanager
def seeded_modules(seed: int, name: str) -> Iterator[None]:
    """Draw the initial weights of modules made inside from `seed` and `name`; torch's own stream stays."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_generator(seed, name).initial_seed())
        yield


def generator_state(generator: AnyGenerator) -> Any:
    """Return what a checkpoint stores of a generator: a dict of integers (NumPy), a uint8 tensor (torch)."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def set_generator_state(generator: AnyGenerator, state: Any) -> None:
    """Put a generator where `generator_state` found one of the same kind."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def set_threads(threads: int, matmul_precision: str = "highest") -> None:
    """Give torch and numba `threads` threads each, and say how exactly torch multiplies float32 matrices.

    Both hold for the process: whoever asks for no precision does not inherit that of an earlier run.

    Raises:
        UserError: threads below 1, or above what numba has.
    """
    import numba
    import torch

    try:
        numba.set_num_threads(threads)
    except ValueError as error:  # its text names the range
        raise UserError(f"threads={threads!r}: {error}") from error
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(matmul_precision)


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    require(seed >= 0, "seed", seed, "choose 0 or more")
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),))

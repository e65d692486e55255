"""NumPy's PCG64 generator as rows of an array, stepped inside compiled kernels.

Every lane of a batch owns one row of a ``(lanes, 6)`` uint64 array:

====== ==================================================================
column meaning
====== ==================================================================
0, 1   high and low half of the 128-bit state
2, 3   high and low half of the 128-bit increment
4, 5   whether half of a 64-bit draw is left over, and that half (uint32)
====== ==================================================================

A row seeded with ``s`` draws, bit for bit, what ``numpy.random.default_rng(s)`` draws from ``random``,
``uniform`` and ``integers`` (``tests/envs/test_rng.py``). Generator: O'Neill 2014, "PCG: a family of
simple fast space-efficient statistically good algorithms for random number generation"; bounded integers:
Lemire 2019, "Fast random integer generation in an interval".
"""

from collections.abc import Sequence

import numpy as np
from numba import njit, uint32, uint64
from numpy.typing import NDArray

Row = NDArray[np.uint64]  # (6,)
STATE_WORDS = 6

_MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
_MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@njit(cache=True, nogil=True, inline="always")
def _multiply_64(a: int, b: int) -> tuple[int, int]:
    """High and low half of the 128-bit product of two uint64."""
    a_high, a_low = a >> uint64(32), a & _LOW_HALF
    b_high, b_low = b >> uint64(32), b & _LOW_HALF
    low = a_low * b_low
    middle = a_high * b_low + (low >> uint64(32))
    carry = a_low * b_high + (middle & _LOW_HALF)
    high = a_high * b_high + (middle >> uint64(32)) + (carry >> uint64(32))
    return high, a * b


@njit(cache=True, nogil=True, inline="always")
def _advance(rng: Row) -> None:
    # state <- state * multiplier + increment, modulo 2^128
    high, low = _multiply_64(rng[1], _MULTIPLIER_LOW)
    high += rng[0] * _MULTIPLIER_LOW + rng[1] * _MULTIPLIER_HIGH
    total = low + rng[3]
    rng[0] = high + rng[2] + (uint64(1) if total < low else uint64(0))
    rng[1] = total


@njit(cache=True, nogil=True)
def next_uint64(rng: Row) -> int:
    """The next 64 random bits of one row ``rng`` (6,)."""
    _advance(rng)
    # XSL-RR output: the xor of both halves, rotated by the top six bits
    rotation = rng[0] >> uint64(58)
    bits = rng[0] ^ rng[1]
    return (bits >> rotation) | (bits << ((uint64(64) - rotation) & uint64(63)))


@njit(cache=True, nogil=True)
def _next_uint32(rng: Row) -> int:
    if rng[4]:
        rng[4] = uint64(0)
        return uint32(rng[5])
    bits = next_uint64(rng)
    rng[4] = uint64(1)
    rng[5] = bits >> uint64(32)
    return uint32(bits & _LOW_HALF)


@njit(cache=True, nogil=True)
def random(rng: Row) -> float:
    """A float64 in [0, 1), as ``Generator.random()``."""
    return (next_uint64(rng) >> uint64(11)) * _TO_UNIT


@njit(cache=True, nogil=True)
def uniform(rng: Row, low: float, high: float) -> float:
    """A float64 in [low, high), as ``Generator.uniform(low, high)``."""
    return low + (high - low) * random(rng)


@njit(cache=True, nogil=True)
def integers(rng: Row, n: int) -> np.int64:
    """An int64 in [0, n) for 1 <= n < 2^32, as ``Generator.integers(n)``."""
    if n == 1:
        return np.int64(0)
    bound = uint64(n)
    product = uint64(_next_uint32(rng)) * bound
    if (product & _LOW_HALF) < bound:
        threshold = (uint64(1) << uint64(32)) % bound
        while (product & _LOW_HALF) < threshold:
            product = uint64(_next_uint32(rng)) * bound
    return np.int64(product >> uint64(32))


@njit(cache=True, nogil=True)
def normal(rng: Row) -> float:
    """A standard normal float64 by the Box-Muller transform (not NumPy's ziggurat; two uniforms a draw)."""
    radius = np.sqrt(-2.0 * np.log(1.0 - random(rng)))
    return radius * np.cos(2.0 * np.pi * random(rng))


@njit(cache=True, nogil=True)
def _seed_rows(rows: NDArray[np.uint64], seeds: NDArray[np.uint64]) -> None:
    """NumPy's ``SeedSequence(seed)`` and ``PCG64`` initialisation for every row."""
    pool = np.empty(4, np.uint32)
    words = np.empty(8, np.uint32)
    for lane in range(rows.shape[0]):
        constant = uint32(0x43B0D7E5)
        for i in range(4):
            value = uint32(seeds[lane] >> uint64(32 * i)) if i < 2 else uint32(0)
            value = uint32(value ^ constant)
            constant = uint32(constant * uint32(0x931E8875))
            value = uint32(value * constant)
            pool[i] = value ^ (value >> uint32(16))
        for source in range(4):
            for target in range(4):
                if source == target:
                    continue
                value = uint32(pool[source] ^ constant)
                constant = uint32(constant * uint32(0x931E8875))
                value = uint32(value * constant)
                value = uint32(value ^ (value >> uint32(16)))
                mixed = uint32(uint32(0xCA01F9DD) * pool[target] - uint32(0x4973F715) * value)
                pool[target] = mixed ^ (mixed >> uint32(16))
        constant = uint32(0x8B51F9DD)
        for i in range(8):
            value = uint32(pool[i % 4] ^ constant)
            constant = uint32(constant * uint32(0x58F38DED))
            value = uint32(value * constant)
            words[i] = value ^ (value >> uint32(16))
        start_high = uint64(words[0]) | (uint64(words[1]) << uint64(32))
        start_low = uint64(words[2]) | (uint64(words[3]) << uint64(32))
        stream_high = uint64(words[4]) | (uint64(words[5]) << uint64(32))
        stream_low = uint64(words[6]) | (uint64(words[7]) << uint64(32))
        row = rows[lane]
        row[:] = 0
        row[2] = (stream_high << uint64(1)) | (stream_low >> uint64(63))
        row[3] = (stream_low << uint64(1)) | uint64(1)
        _advance(row)
        low = row[1] + start_low
        row[0] += start_high + (uint64(1) if low < row[1] else uint64(0))
        row[1] = low
        _advance(row)


def seed_rows(rows: NDArray[np.uint64], seeds: Sequence[int] | NDArray[np.integer]) -> None:
    """Seed ``rows`` (lanes, 6) in place; row i then equals ``default_rng(seeds[i])``.

    Raises:
        ValueError: a seed is negative or does not fit into 64 bits.
    """
    for seed in (min(seeds), max(seeds)) if len(seeds) else ():
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed {seed} is out of range: use an integer from 0 to 2^64 - 1")
    _seed_rows(rows, np.asarray(seeds, dtype=np.uint64))


def from_generator(generator: np.random.Generator) -> NDArray[np.uint64]:
    """The row (6,) that continues a NumPy ``Generator`` over ``PCG64``."""
    state = generator.bit_generator.state
    if state["bit_generator"] != "PCG64":
        raise ValueError(f"a lane continues PCG64 only, got {state['bit_generator']}: use default_rng()")
    number, increment = state["state"]["state"], state["state"]["inc"]
    mask = 2**64 - 1
    words = (
        number >> 64,
        number & mask,
        increment >> 64,
        increment & mask,
        state["has_uint32"],
        state["uinteger"],
    )
    return np.array(words, dtype=np.uint64)


def to_generator(row: NDArray[np.uint64]) -> np.random.Generator:
    """A NumPy ``Generator`` that continues one row (6,)."""
    words = [int(word) for word in row]
    generator = np.random.Generator(np.random.PCG64())
    generator.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]},
        "has_uint32": words[4],
        "uinteger": words[5],
    }
    return generator

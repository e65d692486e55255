"""What recognizers hear: Mel spectra and cepstra of short frames (book, chapter 7, "Preprocessing").

    frame_t = wave[80 t : 80 t + 200] * hamming         25 ms, every 10 ms, at 8 kHz
    power_t = |DFT(frame_t)|^2
    mel_t   = log(filters @ power_t)                    triangles, evenly spaced in 2595 log10(1 + f / 700)
    mfcc_t  = DCT(mel_t)[:13], and how they change

The DCT takes apart what neighbouring filters have in common (Davis and Mermelstein 1980).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.data.spoken import RATE
from supervised.training.errors import require

Array = NDArray[Any]

FEATURES = ("mel", "mfcc", "learned")
SIZE, STEP, BINS = 200, 80, 256  # samples of a frame, between frames, and of the Fourier transform: 25 ms, 10 ms
FILTERS, CEPSTRA = 40, 13
LOWEST, HIGHEST = 60.0, 3_800.0  # Hz
FLOOR = 1e-6  # of power, so that silence has a logarithm: about what rounding to 16 bits leaves
RANGE = 11.0  # nat of power, 48 dB, between the loudest and what counts as silence
AROUND = 2  # frames on either side that a change is measured over


def frames(wave: Array) -> Array:
    """Frames ``(time, SIZE)`` of samples ``(n,)``; what is shorter than one is filled up with silence."""
    padded = np.pad(wave, (0, max(SIZE - len(wave), 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::STEP]


def spectrum(wave: Array) -> Array:
    """Power ``(time, BINS / 2 + 1)`` of every frame by frequency, from 0 Hz to half of the rate."""
    transformed = np.fft.rfft(frames(wave) * np.hamming(SIZE), BINS)
    return transformed.real**2 + transformed.imag**2


def to_mel(hertz: Array | float) -> Any:
    """Pitch as it is heard (mel; O'Shaughnessy 1987)."""
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)


def from_mel(mel: Array | float) -> Any:
    """Hz of a pitch."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


def centres(warp: float = 1.0) -> Array:
    """Where filters begin, peak and end (Hz), ``(FILTERS + 2,)``.

    Args:
        warp: what frequencies are multiplied by, as a shorter vocal tract (> 1) does; above 7/8 of the highest one a
            straight line leads back to it (vocal tract length perturbation; Jaitly and Hinton 2013).
    """
    even = from_mel(np.linspace(to_mel(LOWEST), to_mel(HIGHEST), FILTERS + 2))
    knee = HIGHEST * 0.875 / max(warp, 1.0)
    above = HIGHEST - (HIGHEST - warp * knee) * (HIGHEST - even) / (HIGHEST - knee)
    return np.where(even <= knee, warp * even, above)


def filter_bank(warp: float = 1.0) -> Array:
    """Triangular filters ``(FILTERS, BINS / 2 + 1)``: each from one centre up to the next and down to the one after."""
    places = centres(warp)
    left, peak, right = places[:-2, None], places[1:-1, None], places[2:, None]
    hertz = np.arange(BINS // 2 + 1) * RATE / BINS
    return np.maximum(0, np.minimum((hertz - left) / (peak - left), (right - hertz) / (right - peak)))


def mel(wave: Array, warp: float = 1.0) -> Array:
    """Logarithms of the filters' power ``(time, FILTERS)``."""
    return np.log(spectrum(wave) @ filter_bank(warp).T + FLOOR)


def dct(count: int, size: int) -> Array:
    """The first rows ``(count, size)`` of the orthogonal discrete cosine transform, type 2."""
    # sqrt(2 / n) cos(pi (j + 1/2) k / n), and the constant row by sqrt(1 / 2)
    rows = np.sqrt(2 / size) * np.cos(np.pi * np.arange(count)[:, None] * (np.arange(size) + 0.5) / size)
    rows[0] /= np.sqrt(2)
    return rows


def changes(features: Array) -> Array:
    """How features ``(time, n)`` change: the slope of a line through `AROUND` frames on either side."""
    padded = np.pad(features, ((AROUND, AROUND), (0, 0)), mode="edge")
    slope: Array = np.zeros_like(features)
    for k in range(1, AROUND + 1):  # sum_k k (x_{t+k} - x_{t-k}) / (2 sum_k k^2)
        slope += k * (padded[AROUND + k :][: len(features)] - padded[AROUND - k :][: len(features)])
    return slope / (2 * sum(k * k for k in range(1, AROUND + 1)))


def mfcc(logs: Array) -> Array:
    """Cepstra of `mel` ``(time, FILTERS)``, how they change, and how that changes: ``(time, 3 CEPSTRA)``."""
    first = logs @ dct(CEPSTRA, FILTERS).T
    second = changes(first)
    return np.concatenate([first, second, changes(second)], 1)


def heard(wave: Array, kind: str, warp: float = 1.0) -> Array:
    """What a model hears ``(time, n)`` float32 of samples: features, or samples for what learns its own.

    What is more than `RANGE` below the loudest is as if it were just that. Each number has mean 0 and standard
    deviation 1 over the frames that are louder, so that what speaker, microphone and pauses do to them is gone.
    """
    require(kind in FEATURES, "features", kind, f"use one of {', '.join(FEATURES)}")
    if kind == "learned":
        return (wave / max(float(wave.std()), 1e-6)).astype(np.float32)[:, None]
    logs = mel(wave, warp)
    floor = logs.max() - RANGE
    loud = logs.max(1) > floor
    logs = np.maximum(logs, floor)
    found = mfcc(logs) if kind == "mfcc" else logs
    mean, deviation = found[loud].mean(0), found[loud].std(0)
    return ((found - mean) / np.maximum(deviation, 1e-3)).astype(np.float32)

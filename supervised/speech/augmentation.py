"""More voices than were recorded: strings that are said otherwise, elsewhere and by others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve

from supervised.data.spoken import Recording

Array = NDArray[Any]

QUIETEST, LOUDEST = 10.0, 50.0  # dB, how far noise is below speech
REVERBERATION = 800  # samples of an echo, 0.1 s


def faster(recording: Recording, factor: float) -> Recording:
    """The recording at another speed, and pitch with it (Ko et al. 2015): 2 makes it half as long."""
    count = max(int(len(recording.wave) / factor), 1)
    wave = np.interp(np.arange(count) * factor, np.arange(len(recording.wave)), recording.wave).astype(np.float32)
    return recording._replace(wave=wave, pauses=np.minimum(recording.pauses / factor, count).astype(np.int64))


def elsewhere(recording: Recording, rng: np.random.Generator) -> Recording:
    """The recording in a room with an echo, or with noise of some colour, or with both, or neither."""
    wave = recording.wave
    if rng.random() < 0.3:
        echo = rng.normal(size=REVERBERATION) * np.exp(-np.arange(REVERBERATION) / rng.uniform(40, 200))
        echo *= rng.uniform(0.1, 0.5) / np.linalg.norm(echo)
        echo[0] = 1
        wave = fftconvolve(wave, echo)[: len(wave)]
    if rng.random() < 0.7:
        size = next_fast_len(len(wave), real=True)
        shape = np.maximum(np.fft.rfftfreq(size), 1 / size) ** -rng.uniform(0, 1)  # from white to 1 / f^2 of power
        noise = np.fft.irfft(shape * np.fft.rfft(rng.normal(size=size)), size)[: len(wave)]
        ratio = 10 ** (-rng.uniform(QUIETEST, LOUDEST) / 20)
        wave = wave + noise * ratio * np.linalg.norm(wave) / max(np.linalg.norm(noise), 1e-9)
    return recording._replace(wave=wave.astype(np.float32))


def masked(features: Array, rng: np.random.Generator, widest: int, longest: int) -> Array:
    """Features ``(time, n)`` without two bands of up to ``widest`` of them, and without two times (Park et al. 2019).

    Times are up to ``longest`` frames, and no more than an eighth of all. What is away has the mean, 0.
    """
    found = features.copy()
    for _ in range(2):
        width, first = int(rng.integers(0, widest + 1)), rng.random()
        begin = int(first * (found.shape[1] - width + 1))
        found[:, begin : begin + width] = 0
        length, first = int(rng.integers(0, min(longest, len(found) // 8) + 1)), rng.random()
        begin = int(first * (len(found) - length + 1))
        found[begin : begin + length] = 0
    return found

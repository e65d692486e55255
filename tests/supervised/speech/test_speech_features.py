"""What recognizers hear, against what SciPy makes of it."""

import numpy as np
import pytest
from scipy.fft import dct as scipy_dct
from scipy.signal import get_window, stft

from supervised.data.spoken import RATE
from supervised.speech import features
from supervised.training.errors import UserError


@pytest.fixture
def wave() -> np.ndarray:
    t = np.arange(4_321) / RATE
    chirp = np.sin(2 * np.pi * (300 + 900 * t) * t)
    return (0.5 * chirp + 0.01 * np.random.default_rng(0).normal(size=len(t))).astype(np.float32)


def scipy_mel(wave: np.ndarray) -> np.ndarray:
    """Logarithms of triangles over SciPy's short-time Fourier transform, one triangle and frame after another."""
    window = get_window("hamming", features.SIZE, fftbins=False)
    overlap = features.SIZE - features.STEP
    hertz, _, z = stft(
        wave.astype(np.float64), RATE, window, features.SIZE, overlap, features.BINS, boundary=None, padded=False
    )
    power = np.abs(z * window.sum()) ** 2  # SciPy divides by the window's sum
    low, high = (2595 * np.log10(1 + f / 700) for f in (features.LOWEST, features.HIGHEST))
    edges = [700 * (10 ** ((low + (high - low) * k / 41) / 2595) - 1) for k in range(42)]
    filters = [np.interp(hertz, edges[k : k + 3], [0, 1, 0]) for k in range(40)]
    return np.log(np.array(filters) @ power + features.FLOOR).T


def test_spectra_and_cepstra_are_those_of_scipy(wave: np.ndarray) -> None:
    wanted = scipy_mel(wave)
    logs = features.mel(wave)
    assert logs.shape == (1 + (4_321 - 200) // 80, 40)
    np.testing.assert_allclose(logs, wanted, rtol=1e-6, atol=1e-6)
    cepstra = scipy_dct(wanted, type=2, norm="ortho", axis=1)[:, :13]
    np.testing.assert_allclose(features.mfcc(logs)[:, :13], cepstra, rtol=1e-6, atol=1e-5)
    whole = features.dct(40, 40)
    np.testing.assert_allclose(whole @ whole.T, np.eye(40), atol=1e-12)


def test_changes_are_slopes() -> None:
    line = np.stack([np.arange(20.0), 3 - 0.5 * np.arange(20.0)], 1)
    np.testing.assert_allclose(features.changes(line)[2:-2], np.tile([1, -0.5], (16, 1)))


def test_a_tone_is_heard_by_the_filter_at_its_pitch() -> None:
    t = np.arange(RATE) / RATE
    for place in (5, 15, 30):
        tone = np.sin(2 * np.pi * features.centres()[1 + place] * t)
        assert abs(int(features.mel(tone).mean(0).argmax()) - place) <= 1
    # a vocal tract that multiplies frequencies is undone by filters that are moved as far
    low, high = (features.mel(np.sin(2 * np.pi * f * t), warp).mean(0) for f, warp in ((800, 1.0), (960, 1.2)))
    assert low.argmax() == high.argmax() != features.mel(np.sin(2 * np.pi * 960 * t)).mean(0).argmax()


@pytest.mark.parametrize("warp", [0.8, 1.0, 1.3])
def test_warped_filters_stay_in_order(warp: float) -> None:
    places = features.centres(warp)
    assert (np.diff(places) > 0).all() and places[-1] == pytest.approx(features.HIGHEST)


@pytest.mark.parametrize("kind", ["mel", "mfcc"])
def test_neither_loudness_nor_pauses_change_what_is_heard(wave: np.ndarray, kind: str) -> None:
    found = features.heard(wave, kind)
    np.testing.assert_allclose(features.heard(wave / 10, kind), found, atol=0.05)
    longer = features.heard(np.concatenate([np.zeros(1_600, np.float32), wave]), kind)
    # the frame that is half a pause counts as loud, and changes mean and deviation a little; cepstra's changes more
    assert np.abs(longer[-len(found) + 5 :] - found[5:]).mean() < (0.1 if kind == "mel" else 0.2)
    assert found.dtype == np.float32 and abs(found.mean()) < 1e-4


def test_short_and_unknown() -> None:
    assert features.frames(np.ones(50)).shape == (1, features.SIZE)
    with pytest.raises(UserError, match="features='mels': use one of mel, mfcc, learned"):
        features.heard(np.ones(500), "mels")

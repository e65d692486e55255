"""Hidden Markov models whose states emit mixtures of Gaussians (Rabiner 1989; book, chapter 7, "Acoustic model").

    p(x | state) = sum_m w_m N(x; mu_m, diag(sigma_m^2))

One model a digit is fitted by hmmlearn, by expectation maximization; their states together say strings of digits
(`supervised.speech.hmm`). Covariances are diagonal, so what is heard should not be correlated: cepstra.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.data.spoken import Recording, strings
from supervised.judgement import Judgement, Model
from supervised.speech.augmentation import faster
from supervised.speech.digits import EACH, MEASURES, Fold, Spoken, folds, judged
from supervised.speech.features import heard
from supervised.speech.hmm import DIGITS, Topology, digits_at
from supervised.training.errors import needs_extra, require
from supervised.training.once import learn_once
from supervised.training.run import Run
from supervised.training.seeding import generators, set_threads

Array = NDArray[Any]

LEAST_VARIANCE = 0.01  # of features whose own is about 1


@dataclass(frozen=True)
class Config(Spoken):
    """A fit of mixtures."""

    seed: int = 0
    """Seed of everything random in the run."""
    states: int = 6
    """States of a digit."""
    mixtures: int = 3
    """Gaussians of a state."""
    iterations: int = 8
    """Steps of expectation maximization."""
    voices: int = 3
    """Times that every recording is learnt from, with vocal tracts and speeds of others from the second on."""
    spread: float = 0.12
    """How far those differ: logarithm of the largest factor."""
    penalty: float = 150.0
    """What a digit costs in a string (nat): more makes for fewer digits."""
    threads: int = 1
    """Threads of torch and numba."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, "use 0 or more")
        require(self.states >= 2, "states", self.states, "use at least 2")
        for name in ("mixtures", "iterations", "voices"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("spread", "penalty"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")


class Mixtures:
    """States of all digits and of the pause.

    Args:
        arrays: of each fold, after its name and a stroke: ``means`` and ``variances`` (states, mixtures, features),
            ``weights`` (states, mixtures) and ``stay`` (states,), the chance to stay in a state.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = dict(arrays)

    def emissions(self, fold: str, features: Array) -> Array:
        """log p(x_t | state) ``(time, states)`` of features ``(time, n)``."""
        means, variances, weights = (self.arrays[f"{fold}/{one}"] for one in ("means", "variances", "weights"))
        found = np.empty((len(features), *weights.shape))
        for m in range(weights.shape[1]):
            apart = ((features[:, None] - means[:, m]) ** 2 / variances[:, m]).sum(-1)
            scale = np.log(2 * np.pi * variances[:, m]).sum(-1)
            found[:, :, m] = np.log(np.maximum(weights[:, m], 1e-30)) - (apart + scale) / 2
        return np.logaddexp.reduce(found, axis=2)

    def topology(self, fold: str) -> Topology:
        """The states' order."""
        stay = self.arrays[f"{fold}/stay"]
        return Topology((len(stay) - 1) // DIGITS, stay)


def segments(config: Config, recordings: list[Recording], seed: str) -> tuple[list[list[Array]], Array]:
    """Features of every time each digit is said, and of the frames of pauses ``(frames, n)``."""
    rng = generators(config.seed, seed)[seed]
    said: list[list[Array]] = [[] for _ in range(DIGITS)]
    pauses = []
    for voice in range(config.voices):
        for one in strings(recordings, rng):
            speed, warp = np.exp(rng.uniform(-config.spread, config.spread, 2) * (voice > 0))
            other = faster(one, speed)
            features = heard(other.wave, "mfcc", warp)
            silent = np.ones(len(features), np.bool_)
            for digit, (begin, end) in zip(one.digits, digits_at(other, len(features)), strict=True):
                said[digit].append(features[begin : max(end, begin + config.states)])
                silent[begin:end] = False
            pauses.append(features[silent])
    return said, np.concatenate(pauses)


def fitted(config: Config, fold: Fold, name: str) -> dict[str, Array]:
    """The arrays of a fold's model."""
    with needs_extra("speech"):
        from hmmlearn.hmm import GMMHMM
    said, pauses = segments(config, fold.train, name)
    means, variances, weights, stay = [], [], [], []
    chain = 0.5 * (np.eye(config.states) + np.eye(config.states, k=1))
    chain[-1, -1] = 1
    for digit, parts in enumerate(said):
        require(bool(parts), "data", config.data, f"nobody says {digit}")
        model = GMMHMM(
            *(config.states, config.mixtures),
            covariance_type="diag", n_iter=config.iterations, random_state=config.seed, tol=0.0,
            init_params="", params="tmcw", min_covar=LEAST_VARIANCE,
        )  # fmt: skip
        model.startprob_, model.transmat_ = np.eye(config.states)[0], chain
        model.means_, model.covars_, model.weights_ = evenly(parts, config)
        lengths = [len(one) for one in parts]
        model.fit(np.concatenate(parts), lengths)
        means.append(model.means_)
        variances.append(np.maximum(model.covars_, LEAST_VARIANCE))
        weights.append(model.weights_)
        # of a geometric distribution with the mean that is seen: 1 - 1 / (frames of a state)
        stay.append(np.full(config.states, max(1 - config.states * len(parts) / sum(lengths), 0.05)))
    shape = (1, config.mixtures, pauses.shape[1])
    means.append(np.broadcast_to(pauses.mean(0), shape))
    variances.append(np.broadcast_to(np.maximum(pauses.var(0), LEAST_VARIANCE), shape))
    weights.append(np.eye(config.mixtures)[:1])
    stay.append(np.full(1, 0.9))
    parameters = {"means": means, "variances": variances, "weights": weights, "stay": stay}
    return {f"{name}/{one}": np.concatenate(parts) for one, parts in parameters.items()}


def evenly(parts: list[Array], config: Config) -> tuple[Array, Array, Array]:
    """Where the fit starts: each segment shared out evenly to the states, whose Gaussians begin around their mean."""
    shares = [
        np.concatenate(share) for share in zip(*(np.array_split(one, config.states) for one in parts), strict=True)
    ]
    rng = generators(config.seed, "mixtures")["mixtures"]
    means = np.stack(
        [one.mean(0) + 0.5 * one.std(0) * rng.normal(size=(config.mixtures, one.shape[1])) for one in shares]
    )
    variances = np.stack([np.tile(np.maximum(one.var(0), LEAST_VARIANCE), (config.mixtures, 1)) for one in shares])
    return means, variances, np.full(means.shape[:2], 1 / config.mixtures)


def train(config: Config, run: Run | None = None) -> Mixtures:
    """Fit; with a `Run` also log, and save a checkpoint.

    Raises:
        UserError: recordings that cannot be read or do not suffice, or hmmlearn is not there.
        supervised.training.run.Interrupted: after a signal; a resumed run begins anew.
    """
    set_threads(config.threads)

    def learn() -> tuple[Mixtures, dict[str, float]]:
        parts = folds(config)
        arrays: dict[str, Array] = {}
        for name, fold in parts.items():
            arrays |= fitted(config, fold, name)
        return Mixtures(arrays), {"models": len(parts), "recordings": sum(len(fold.train) for fold in parts.values())}

    return learn_once(run or Run.off(), "mixtures", Mixtures, learn)


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How many digits are told wrong; see `supervised.judgement.Model`."""
    found = Mixtures(state["mixtures"])
    parts = {fold.partition("/")[0] for fold in found.arrays}
    graphs = {fold: (one := found.topology(fold), one.loop(config.penalty)) for fold in parts}

    def say(fold: str, recording: Recording) -> dict[str, list[int]]:
        topology, loop = graphs[fold]
        path = loop.search(found.emissions(fold, heard(recording.wave, "mfcc")))
        return {"viterbi": topology.said(loop.states[path])}

    return judged(config, name, graphs, say)


PRESETS = {"default": Config(), "unseen": Config(held_out=EACH)}
ALGORITHMS = {
    "gmm-hmm": Model(
        *(Config, PRESETS, train, Mixtures, "fits", lambda config: 1),
        measures=MEASURES,
        judge=judge,
    )
}

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

PAUSE_STAYS = 0.9  # chance that a pause goes on for another frame
LEAST_VARIANCE = 0.01  # of features whose own is about 1


@dataclass(frozen=True)
class Config(Spoken):
    """A fit of mixtures."""

    seed: int = 0
    """Seed of everything random in the run."""
    states: int = 10
    """States of a digit."""
    mixtures: int = 2
    """Gaussians of a state."""
    iterations: int = 8
    """Steps of expectation maximization."""
    voices: int = 2
    """Times that every recording is learnt from, with vocal tracts and speeds of others from the second on."""
    spread: float = 0.12
    """How far those differ: logarithm of the largest factor."""
    penalty: float = 100.0
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
    said, pauses = segments(config, fold.train, name)
    found: dict[str, list[Array]] = {"means": [], "variances": [], "weights": [], "stay": []}
    for digit, parts in enumerate([*said, [pauses]]):
        require(bool(parts), "data", config.data, f"nobody says {digit}")
        states = config.states if digit < DIGITS else 1
        model = fit(parts, states, config)
        found["means"].append(model.means_)
        found["variances"].append(np.maximum(model.covars_, LEAST_VARIANCE))
        found["weights"].append(model.weights_)
        # of a geometric distribution with the mean that is seen: 1 - 1 / (frames of a state)
        frames = sum(map(len, parts)) / (states * len(parts))
        found["stay"].append(np.full(states, max(1 - 1 / frames, 0.05) if digit < DIGITS else PAUSE_STAYS))
    return {f"{name}/{one}": np.concatenate(parts) for one, parts in found.items()}


def fit(parts: list[Array], states: int, config: Config) -> Any:
    """hmmlearn's model of segments ``(frames, n)``: a chain of so many states, each of which goes on to the next one.

    Each segment is first shared out evenly to the states, whose Gaussians begin around the mean of their share.
    """
    with needs_extra("speech"):
        from hmmlearn.hmm import GMMHMM
    model = GMMHMM(
        *(states, config.mixtures),
        covariance_type="diag", n_iter=config.iterations, random_state=config.seed, tol=0.0,
        init_params="", params="tmcw", min_covar=LEAST_VARIANCE,
    )  # fmt: skip
    shares = [np.concatenate(share) for share in zip(*(np.array_split(one, states) for one in parts), strict=True)]
    rng = generators(config.seed, "mixtures")["mixtures"]
    size = (config.mixtures, parts[0].shape[1])
    model.startprob_ = np.eye(states)[0]
    model.transmat_ = 0.5 * (np.eye(states) + np.eye(states, k=1))
    model.transmat_[-1, -1] = 1
    model.means_ = np.stack([one.mean(0) + 0.5 * one.std(0) * rng.normal(size=size) for one in shares])
    model.covars_ = np.stack([np.tile(np.maximum(one.var(0), LEAST_VARIANCE), (size[0], 1)) for one in shares])
    model.weights_ = np.full((states, config.mixtures), 1 / config.mixtures)
    return model.fit(np.concatenate(parts), [len(one) for one in parts])


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

"""Classic learners as models: trained on a data set in one step, judged on its test part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervised.classic.learners import SVM, DecisionTree, GradientBoosting, Learner, RandomForest
from supervised.classic.predictors import Predictor
from supervised.data import load, load_alike
from supervised.judgement import ACCURACY, Judgement, Model, told
from supervised.training.errors import require
from supervised.training.once import learn_once
from supervised.training.run import Run
from supervised.training.seeding import generators


@dataclass(frozen=True)
class Config(Learner):
    """A training in one step."""

    data: str = "mnist"
    """The data set: mnist, fashion-mnist, cifar10, cifar10-jpeg, digits, iris, or pictures:PATH."""
    seed: int = 0
    """Seed of everything random in the run."""
    rows: int = 10_000
    """Training rows learnt from, at most, drawn at random: times grow faster than they do; 0: all."""

    def __post_init__(self) -> None:
        for name in ("seed", "rows"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        self.check()


@dataclass(frozen=True)
class SVMConfig(SVM, Config):
    """A support vector machine's training."""


@dataclass(frozen=True)
class TreeConfig(DecisionTree, Config):
    """A decision tree's training."""


@dataclass(frozen=True)
class ForestConfig(RandomForest, Config):
    """A random forest's training."""


@dataclass(frozen=True)
class BoostingConfig(GradientBoosting, Config):
    """A training by gradient boosting."""


def train(config: Config, run: Run | None = None) -> Predictor:
    """Train a classifier; with a `Run` also log, and save a checkpoint.

    Raises:
        UserError: data or settings that do not fit, or scikit-learn is not installed.
        supervised.training.run.Interrupted: after a signal; a resumed run begins anew.
    """

    def learn() -> tuple[Predictor, dict[str, float]]:
        data = load(config.data).train
        order = generators(config.seed, "rows")["rows"].permutation(len(data.labels))
        training = data.take(np.sort(order[: config.rows or None]))
        predictor = config.fit(training.inputs, training.labels, config.seed)
        right = predictor.predict(training.inputs) == training.labels
        return predictor, {"training_accuracy": float(right.mean()), "rows": len(right)}

    return learn_once(run or Run.off(), "classifier", config.predictor, learn)


def judgement(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well a trained classifier tells the test part of a data set; see `Model`."""
    predictor, data = config.predictor(state["classifier"]), load_alike(name, config.data)
    return told(name, data, predictor.predict(data.test.inputs))


ALGORITHMS = {
    name: Model(
        *(kind, {"default": kind()}, train, kind.predictor, "fits", lambda config: 1),
        measures=ACCURACY,
        judge=judgement,
    )
    for name, kind in (
        ("svm", SVMConfig),
        ("decision-tree", TreeConfig),
        ("random-forest", ForestConfig),
        ("gradient-boosting", BoostingConfig),
    )
}

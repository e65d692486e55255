"""Classic learners: what is kept as arrays answers as scikit-learn does, and learns; runs, and bad input."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervised import evaluate
from supervised import train as door
from supervised.classic import models
from supervised.classic.learners import SVM, DecisionTree, GradientBoosting, Learner, RandomForest
from supervised.classic.models import BoostingConfig, Config, ForestConfig, SVMConfig, TreeConfig
from supervised.classic.predictors import Predictor, SupportVectors, kernel
from supervised.data import DataSet, Split, load, sets
from supervised.training.errors import UserError
from supervised.training.run import Run, read_state

pytest.importorskip("sklearn", reason="needs the learn extra")

from sklearn import svm as sk_svm  # noqa: E402
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier  # noqa: E402
from sklearn.tree import DecisionTreeClassifier  # noqa: E402

LEARNERS: list[Learner] = [
    SVM(),
    SVM(kernel="linear", penalty=0.1),
    SVM(kernel="poly", degree=2, gamma=0.5),
    DecisionTree(),
    DecisionTree(depth=3, least_rows=4),
    RandomForest(trees=20),
    GradientBoosting(trees=10),
]
SMALL: list[Config] = [SVMConfig(), TreeConfig(), ForestConfig(trees=20), BoostingConfig(trees=10)]


def points(classes: int, n: int = 150, images: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping heaps, labels 2, 4, ...: classes between them do not occur."""
    rng = np.random.default_rng(classes)
    labels = rng.integers(classes, size=n)
    inputs = rng.normal(size=(n, 4)) + 1.5 * rng.normal(size=(classes, 4))[labels]
    if images:
        inputs = np.clip(60 * inputs + 100, 0, 255).astype(np.uint8).reshape(n, 2, 2)
    return inputs, 2 * labels + 2


def fitted(learner: Learner, inputs: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our predictor, and scikit-learn's model that it was made of."""
    made: list[Any] = []
    for kind in (sk_svm.SVC, DecisionTreeClassifier, RandomForestClassifier, GradientBoostingClassifier):

        def fit(self: Any, *data: Any, original: Any = kind.fit, **more: Any) -> Any:
            original(self, *data, **more)
            made.append(self)  # a forest's own trees come before it
            return self

        monkeypatch.setattr(kind, "fit", fit)
    return learner.fit(inputs, labels, seed=0), made[-1]


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("learner", LEARNERS, ids=repr)
def test_answers_are_scikit_learns(learner: Learner, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, labels = points(classes)
    mine, theirs = fitted(learner, inputs, labels, monkeypatch)
    fresh = points(classes, 2_000)[0] + np.random.default_rng(0).normal(size=(2_000, 4))
    if isinstance(mine, SupportVectors):
        theirs.decision_function_shape = "ovo"
        seen = ((fresh - mine.arrays["mean"]) / mine.arrays["std"]).astype(np.float32).astype(np.float64)
        wanted = theirs.decision_function(seen)
        found = mine.decisions(fresh)
        if classes == 2:  # positive for the second class there, for the first of a pair here
            found, wanted = found[:, 0], -wanted
        np.testing.assert_allclose(found, wanted, atol=1e-9)
        np.testing.assert_array_equal(mine.predict(fresh), theirs.predict(seen))
    else:
        np.testing.assert_allclose(mine.scores(fresh), theirs.predict_proba(fresh), atol=1e-12)
        np.testing.assert_array_equal(mine.predict(fresh), theirs.predict(fresh))
    assert set(mine.predict(fresh)) == set(labels)


@pytest.mark.parametrize("config", SMALL, ids=lambda config: type(config).__name__)
def test_flowers_and_digits_are_told(config: Config) -> None:
    for name, least in (("iris", 28 / 30), ("digits", 0.74)):
        data = load(name)
        predictor = models.train(dataclasses.replace(config, data=name))
        assert np.mean(predictor.predict(data.test.inputs) == data.test.labels) >= least


def test_a_machine_by_hand() -> None:
    """Two points: the line lies half way, f is -1 and 1 on them; and both are support vectors."""
    found = SVM(kernel="linear", penalty=100).fit(np.array([[-1.0, 0], [3.0, 0]]), np.array([0, 1]), 0)
    assert isinstance(found, SupportVectors)
    np.testing.assert_allclose(found.decisions(np.array([[-1.0, 5], [1, 0], [3, -2]]))[:, 0], [1, 0, -1], atol=1e-6)
    assert len(found.arrays["vectors"]) == 2
    x, s = np.array([[1.0, 2]]), np.array([[3.0, 0]])
    assert kernel(x, s, 2, 0.5, 1) == pytest.approx((0.5 * 3 + 1) ** 2)
    assert kernel(x, s, 0, 0.5, 0) == pytest.approx(np.exp(-0.5 * 8))


def test_a_tree_by_hand() -> None:
    """One question parts 1, 2 from 5, 6: at 3.5."""
    found = DecisionTree().fit(np.array([[1.0], [2], [5], [6]]), np.array([0, 0, 1, 1]), 0)
    assert found.arrays["threshold"][0] == 3.5 and len(found.arrays["threshold"]) == 3
    np.testing.assert_array_equal(found.scores(np.array([[3.5], [3.6]])), [[1, 0], [0, 1]])


def test_wide_margins_have_more_support_vectors() -> None:
    inputs, labels = points(2)
    wide, narrow = (SVM(kernel="linear", penalty=c).fit(inputs, labels, 0).arrays["vectors"] for c in (0.01, 10))
    assert len(wide) > 1.5 * len(narrow)


def test_a_forest_is_better_than_its_trees() -> None:
    data = load("digits")
    scores = []
    for config in (TreeConfig(data="digits"), ForestConfig(data="digits", trees=40)):
        told = models.train(config).predict(data.test.inputs)
        scores.append(np.mean(told == data.test.labels))
    assert scores[1] > scores[0] + 0.1


@pytest.mark.parametrize("name", list(models.ALGORITHMS))
def test_the_doors(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training twice gives the same bytes, and what it gives needs no scikit-learn."""
    size = ["--trees", "5"] if name in ("random-forest", "gradient-boosting") else []
    states = []
    for k in range(2):
        folder = tmp_path / str(k)
        door.main([name, "--data", "iris", "--rows", "90", "--run-dir", str(folder), "--quiet", *size])
        states.append(read_state(folder)["classifier"])
        assert not (folder / "curve.png").exists()
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])
    evaluate.main([str(tmp_path / "0"), "--require", "accuracy>=0.9"])
    assert "iris, 30 test examples" in capsys.readouterr().out
    assert (tmp_path / "0/confusion.png").exists()
    door.main(["--resume", str(tmp_path / "0")])
    assert "finished: nothing to do" in capsys.readouterr().out
    data = load("iris").test
    for module in [one for one in sys.modules if one.split(".")[0] in ("sklearn", "joblib")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    predictor = models.ALGORITHMS[name].config.predictor(states[1])
    assert np.mean(predictor.predict(data.inputs) == data.labels) >= 0.9
    with pytest.raises(UserError, match="sklearn is not installed: pip install 'skidpad.learn.'"):
        models.ALGORITHMS[name].config().fit(data.inputs, data.labels, 0)


def test_a_run_that_was_cut_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before its checkpoint, and between the checkpoint and the mark that it is finished."""
    folder, config = tmp_path / "run", TreeConfig(data="iris")
    door.main(["decision-tree", "--data", "iris", "--run-dir", str(folder), "--quiet"])
    whole, logged = read_state(folder)["classifier"], (folder / "metrics.jsonl").read_bytes()
    (folder / "finished.json").unlink()
    with Run.resume(folder, progress=False) as run, monkeypatch.context() as patched:
        patched.setattr(DecisionTree, "_found", None)  # it is not learnt again
        models.train(config, run)
    assert (folder / "finished.json").exists() and (folder / "metrics.jsonl").read_bytes() == logged
    (folder / "finished.json").unlink()
    next((folder / "checkpoints").iterdir()).rename(tmp_path / "gone")
    with Run.resume(folder, progress=False) as run:
        models.train(config, run)
    again = read_state(folder)["classifier"]
    assert all(np.array_equal(whole[key], again[key]) for key in whole)
    assert (folder / "metrics.jsonl").read_bytes() == logged


def test_rows_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def fit(self: Learner, inputs: np.ndarray, labels: np.ndarray, seed: int) -> Predictor:
        seen.append(inputs[:, 0])
        return DecisionTree().fit(inputs, labels, 0)

    part = Split(np.arange(50)[:, None], np.arange(50) % 2)
    monkeypatch.setitem(sets.SETS, "numbers", lambda: DataSet(part, part, ("even", "odd")))
    monkeypatch.setattr(TreeConfig, "fit", fit)
    for seed, rows in ((0, 20), (0, 20), (1, 20), (0, 0)):
        models.train(TreeConfig(data="numbers", rows=rows, seed=seed))
    assert np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])
    assert len(set(seen[0])) == 20 and len(seen[3]) == 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["svm", "--kernel", "rbff"], "unknown kernel 'rbff'; did you mean rbf"),
        (["svm", "--penalty", "0"], "penalty=0.0: use a positive number"),
        (["svm", "--gamma", "-1"], "gamma=-1.0: use 0 or more"),
        (["svm", "--degree", "0"], "degree=0: use at least 1"),
        (["decision-tree", "--least-rows", "0"], "least_rows=0: use at least 1"),
        (["decision-tree", "--rows", "-5"], "rows=-5: use 0 or more"),
        (["random-forest", "--trees", "0"], "trees=0: use at least 1"),
        (["random-forest", "--features", "1.5"], "features=1.5: use a share"),
        (["gradient-boosting", "--learning-rate", "0"], "learning_rate=0.0: use a positive number"),
        (["gradient-boosting", "--data", "iri"], "unknown data 'iri'; did you mean iris"),
    ],
)
def test_what_cannot_be_is_named(
    arguments: list[str], message: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    assert message in refused(door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_inputs_that_do_not_fit(tmp_path: Path, refused: Callable[..., str]) -> None:
    with pytest.raises(UserError, match=r"labels=\[3\]: give examples of two classes"):
        SVM().fit(np.zeros((4, 2)), np.full(4, 3), 0)
    inputs, labels = points(3, images=True)
    found = DecisionTree().fit(inputs, labels, 0)
    assert found.predict(inputs[:0]).shape == (0,)
    with pytest.raises(UserError, match=r"inputs=\(3, 3\): 4 numbers were learnt from"):
        found.predict(np.zeros((2, 3, 3)))
    door.main(["decision-tree", "--data", "iris", "--run-dir", str(tmp_path / "run"), "--quiet"])
    line = refused(evaluate.main, tmp_path / "run", "--data", "digits")
    assert "data='digits': it has classes 0, 1, 2 ..., and what was learnt from, iris, has setosa" in line

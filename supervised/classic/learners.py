"""Classic learners: their settings, and the one step in which scikit-learn (extra ``learn``) fits them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from supervised.classic.predictors import Boosted, Forest, Predictor, SupportVectors, flatten
from supervised.data.sets import standards
from supervised.training.errors import UserError, needs_extra, require, suggest
from supervised.training.seeding import generators

Array = NDArray[Any]

KERNELS = ("linear", "poly", "rbf")


@dataclass(frozen=True)
class Learner:
    """What learns to tell classes in one step."""

    #: what it becomes
    predictor: ClassVar[type[Predictor]]

    def check(self) -> None:
        """Raise `UserError` where settings cannot be."""
        raise NotImplementedError

    def fit(self, inputs: Array, labels: Array, seed: int) -> Predictor:
        """Learn labels ``(n,)`` of inputs ``(n, *input)``.

        Raises:
            UserError: there are not two classes, or scikit-learn is not installed.
        """
        classes = np.unique(labels)
        require(len(classes) >= 2, "labels", classes.tolist(), "give examples of two classes at least")
        with needs_extra("learn"):
            import sklearn  # noqa: F401  (named here if it is missing, whichever learner asks)
        state = int(generators(seed, "fit")["fit"].integers(2**31))
        common = {"labels": classes, "features": np.array(inputs[0].size)}
        return self.predictor({**common, **self._found(inputs, labels, state)})

    def _found(self, inputs: Array, labels: Array, state: int) -> dict[str, Array]:
        """The arrays of `predictor`."""
        raise NotImplementedError


@dataclass(frozen=True)
class SVM(Learner):
    """A support vector machine (Cortes and Vapnik 1995)."""

    predictor: ClassVar[type[Predictor]] = SupportVectors

    penalty: float = 1.0
    """C: what an example on the wrong side of its margin costs; small: a wide, soft margin."""
    kernel: str = "rbf"
    """linear, poly ((gamma x . s + 1)^degree) or rbf (exp(-gamma |x - s|^2)), of standardized inputs."""
    gamma: float = 0.0
    """Of poly and rbf; 0: 1 / (features times their variance)."""
    degree: int = 3
    """Of poly."""

    def check(self) -> None:
        """See `Learner`."""
        require(self.penalty > 0, "penalty", self.penalty, "use a positive number")
        require(self.gamma >= 0, "gamma", self.gamma, "use 0 or more")
        require(self.degree >= 1, "degree", self.degree, "use at least 1")
        if self.kernel not in KERNELS:
            raise UserError(f"unknown kernel {self.kernel!r}{suggest(self.kernel, KERNELS)}")

    def _found(self, inputs: Array, labels: Array, state: int) -> dict[str, Array]:
        from sklearn.svm import SVC

        mean, std = (np.broadcast_to(one, inputs.shape[1:]).ravel() for one in standards(inputs))
        # in numbers of float32, as support vectors are kept
        scaled = ((flatten(inputs) - mean) / std).astype(np.float32).astype(np.float64)
        gamma = 1.0 if self.kernel == "linear" else self.gamma or 1 / (scaled.shape[1] * scaled.var())
        r = 0.0 if self.kernel == "linear" else 1.0
        model = SVC(C=self.penalty, kernel=self.kernel, degree=self.degree, gamma=gamma, coef0=r, cache_size=500)
        model.fit(scaled, labels)
        # of two classes scikit-learn's signs are those of the second one
        sign = -1 if len(model.classes_) == 2 else 1
        return {
            "mean": mean.copy(),
            "std": std.copy(),
            "vectors": model.support_vectors_.astype(np.float32),
            "counts": model.n_support_.astype(np.int64),
            "dual": sign * model.dual_coef_,
            "intercepts": sign * model.intercept_,
            "kernel": np.array([{"linear": 1, "poly": self.degree, "rbf": 0}[self.kernel], gamma, r]),
        }


@dataclass(frozen=True)
class DecisionTree(Learner):
    """A decision tree (Breiman et al. 1984)."""

    predictor: ClassVar[type[Predictor]] = Forest

    depth: int = 0
    """Most questions in a row; 0: until every leaf has one class."""
    least_rows: int = 1
    """Fewest training rows of a leaf."""

    def check(self) -> None:
        """See `Learner`."""
        require(self.depth >= 0, "depth", self.depth, "use 0 or more")
        require(self.least_rows >= 1, "least_rows", self.least_rows, "use at least 1")

    @property
    def _shape(self) -> dict[str, Any]:
        return {"max_depth": self.depth or None, "min_samples_leaf": self.least_rows}

    def _found(self, inputs: Array, labels: Array, state: int) -> dict[str, Array]:
        from sklearn.tree import DecisionTreeClassifier

        model = DecisionTreeClassifier(**self._shape, random_state=state).fit(flatten(inputs), labels)
        return nodes([(model.tree_, model.tree_.value[:, 0])])


@dataclass(frozen=True)
class Ensemble(DecisionTree):
    """Settings of many trees."""

    trees: int = 100
    """Trees; in boosting, of each class."""
    features: float = 0.0
    """Share of the features, drawn anew, that a question is chosen from; 0: the square root of their number."""

    def check(self) -> None:
        """See `Learner`."""
        super().check()
        require(self.trees >= 1, "trees", self.trees, "use at least 1")
        require(0 <= self.features <= 1, "features", self.features, "use a share from 0 to 1")

    @property
    def _shape(self) -> dict[str, Any]:
        return {**super()._shape, "n_estimators": self.trees, "max_features": self.features or "sqrt"}


@dataclass(frozen=True)
class RandomForest(Ensemble):
    """A random forest: trees on rows drawn with replacement, each question of a few features (Breiman 2001)."""

    def _found(self, inputs: Array, labels: Array, state: int) -> dict[str, Array]:
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(**self._shape, random_state=state).fit(flatten(inputs), labels)
        return nodes((one.tree_, one.tree_.value[:, 0]) for one in model.estimators_)


@dataclass(frozen=True)
class GradientBoosting(Ensemble):
    """Gradient boosting: each tree is fitted to the gradient of the loss of all before (Friedman 2001)."""

    predictor: ClassVar[type[Predictor]] = Boosted

    depth: int = 3
    """Most questions in a row; 0: until every leaf has one class."""
    learning_rate: float = 0.1
    """How much of a tree is added."""

    def check(self) -> None:
        """See `Learner`."""
        super().check()
        require(self.learning_rate > 0, "learning_rate", self.learning_rate, "use a positive number")

    def _found(self, inputs: Array, labels: Array, state: int) -> dict[str, Array]:
        from sklearn.ensemble import GradientBoostingClassifier

        flat = flatten(inputs)
        model = GradientBoostingClassifier(**self._shape, learning_rate=self.learning_rate, random_state=state)
        model.fit(flat, labels)
        classes = len(model.classes_)

        def values(tree: Any, of_class: int) -> Array:
            found = np.zeros((tree.node_count, classes))
            found[:, of_class] = self.learning_rate * tree.value[:, 0, 0]
            return found

        # of two classes there is one tree a round, which speaks for the second
        shift = 1 if classes == 2 else 0
        rounds = ((one.tree_, k + shift) for row in model.estimators_ for k, one in enumerate(row))
        arrays = nodes((tree, values(tree, of_class)) for tree, of_class in rounds)
        # what the trees do not tell of a row is where all of them began
        told = np.zeros((1, classes))
        told[:, shift:] = model.decision_function(flat[:1]).reshape(1, -1)
        start = Boosted({**arrays, "labels": model.classes_, "features": np.array(flat.shape[1])})
        return {**arrays, "baseline": (told - start._sums(flat[:1]))[0]}


def nodes(trees: Iterable[tuple[Any, Array]]) -> dict[str, Array]:
    """Arrays of `Trees` from scikit-learn's trees, each with what its nodes tell ``(nodes, classes)``."""
    parts: dict[str, list[Array]] = {name: [] for name in ("left", "right", "feature", "threshold", "values")}
    roots, depth, first = [], 0, 0
    for tree, values in trees:
        own, leaf = first + np.arange(tree.node_count), tree.children_left < 0
        parts["left"].append(np.where(leaf, own, first + tree.children_left))
        parts["right"].append(np.where(leaf, own, first + tree.children_right))
        parts["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int64))
        parts["threshold"].append(np.where(leaf, np.inf, tree.threshold))
        parts["values"].append(values)
        roots.append(first)
        first, depth = first + tree.node_count, max(depth, tree.max_depth)
    joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return {**joined, "roots": np.array(roots), "depth": np.array(depth)}

"""Chapter 1: what machine learning is, its classic algorithms, and a first network."""

import functools

import numpy as np

from supervised.classic import iris
from supervised.data import load
from supervised.scratch.bayes import posterior
from supervised.scratch.k_means import k_means
from supervised.scratch.regression import least_squares
from tools.book.rows import PROSE, Equation, Item, Sections, accuracy, both, picture

TRAIN = "python -m supervised.train"
DRAW = "python -m supervised.figures"
REGRESSION = "supervised/scratch/regression.py"
BAYES = "supervised/scratch/bayes.py"
IRIS = "supervised/classic/iris.py"

first_network = functools.cache(iris.learn)


def house() -> str:
    """What the shortest weights that fit the book's house make of it."""
    rooms = np.array([[100.0, 25, 3, 2, 7]])
    return f"{(rooms @ least_squares(rooms, np.array([100_000.0])))[0]:,.0f} (E-1)"


def clusters() -> str:
    """How well three clusters of the flowers are their three species."""
    data = load("iris").train
    found = k_means(data.inputs, 3, np.random.default_rng(0)).labels
    right = sum(np.bincount(data.labels[found == k]).max() for k in range(3))
    return f"{right / len(found):.0%} of flowers lie with most of their species"


def losses() -> str:
    """The losses of the first network that the book prints."""
    learnt = first_network().losses
    return " ".join(f"{learnt[epoch - 1]:.4f}" for epoch in iris.PRINTED)


ITEMS: Sections[Item] = {
    "Supervised learning": [
        Item("figure", "handwritten digits of MNIST", "supervised/data/sets.py:load", '`load("mnist")`'),
    ],
    "Linear and logistic regression": [
        Item("example", "a house of five features and its price", f"{REGRESSION}:least_squares", house, book="10,000"),
        Item(
            "steps",
            "linear regression by gradient descent",
            (f"{DRAW} descents", f"{REGRESSION}:descend"),
            "all samples a step, some, or one",
        ),
        Item("example", "over- and undervalued houses, told apart above 0.5", f"{REGRESSION}:cross_entropy"),
    ],
    "Support vector machines": [
        Item("figure", "classes that a line parts, and others", f"{DRAW} margin", "with hard and soft margin"),
        Item("figure", "the kernel trick: a third dimension parts a ring", f"{DRAW} kernel", "drawn anew"),
        Item("claim", "a classifier", f"{TRAIN} svm", accuracy("svm", what="MNIST, of 10,000 digits:")),
    ],
    "Decision Trees": [
        Item(
            "figure",
            "a tree of petal length and width that tells almost all irises",
            f"{DRAW} tree",
            picture("tree"),
            book="two questions",
        ),
        Item(
            "claim",
            "random forests and gradient boosting improve on trees",
            (f"{TRAIN} decision-tree", f"{TRAIN} random-forest", f"{TRAIN} gradient-boosting", f"{DRAW} ensembles"),
            both(
                accuracy("decision-tree", what="MNIST: a tree"),
                accuracy("random-forest", what="a forest"),
                accuracy("gradient-boosting", what="boosting"),
                picture("ensembles"),
            ),
        ),
    ],
    "Naive Bayes": [
        Item(
            "example",
            "how likely cancer is after a positive test",
            f"{BAYES}:posterior",
            lambda: f"{posterior(0.98, 0.02, 0.039):.2f}",
            book="0.50",
        ),
        Item("claim", "a classifier that takes features for independent", f"{BAYES}:NaiveBayes"),
    ],
    "Unsupervised learning": [
        Item("figure", "points in three clusters", f"{DRAW} pizza", "four clusters"),
        Item("figure", "pictures made of sentences", PROSE),
    ],
    "K-means": [
        Item("steps", "assign points to centers, and move these, in turn", "supervised/scratch/k_means.py:k_means"),
        Item(
            "claim",
            "on irises it may divide otherwise than the tree",
            "supervised/scratch/k_means.py:k_means",
            clusters,
        ),
        Item("figure", "orders of pizza, and four shops", f"{DRAW} pizza", "drawn anew"),
    ],
    "Q-learning": [
        Item("steps", "Q-learning with a table", "python -m agents.train q-learning", picture("cliff-curve")),
    ],
    "Components of an ML solution": [
        Item(
            "figure",
            "a thrown ball: a good fit, and noise that is fitted too",
            f"{DRAW} overfitting",
            "degrees 2 and 9",
        ),
        Item("figure", "underfitting", f"{DRAW} overfitting", "degree 1"),
    ],
    "Neural networks": [
        Item("figure", "a perceptron of three inputs", f"{REGRESSION}:perceptron"),
        Item("claim", "a perceptron cannot learn XOR", f"{DRAW} perceptron", "AND and OR end, XOR never does"),
        Item("figure", "a network with a hidden layer", "supervised/scratch/network.py:Network"),
    ],
    "Introduction to PyTorch": [
        Item("listing", "Fisher's irises, shuffled, 120 and 30", "supervised/data/sets.py:load", '`load("iris")`'),
        Item("listing", "a network of 4, 5 and 3 units", f"{IRIS}:learn", "the same first weights"),
        Item("listing", "cross-entropy and SGD with momentum", f"{IRIS}:learn", "the same"),
        Item("listing", "50 epochs", f"{IRIS}:learn", "the same"),
        Item(
            "result",
            "losses of epochs 1, 10, 20, 30, 40 and 50",
            f"{IRIS}:learn",
            losses,
            book="1.2181 0.6745 0.2447 0.1397 0.1001 0.0855",
        ),
        Item("figure", "the loss by epoch", f"{DRAW} iris", picture("iris"), book="falls to about 0.1"),
        Item("listing", "counting errors on the test flowers", f"{IRIS}:learn"),
        Item(
            "result",
            "accuracy on them",
            f"{IRIS}:learn",
            lambda: f"{30 - (right := first_network().right)} errors, {right / 30:.0%}",
            book="0 errors, 100%",
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Supervised learning": [
        Equation(
            "a function from features to classes",
            "supervised/classic/predictors.py",
            "Predictor.predict",
            "for which most",
        ),
    ],
    "Naive Bayes": [
        Equation("Bayes' theorem for a test of cancer", BAYES, "posterior", "p(X | Y) = p(Y | X) p(X) / p(Y)"),
        Equation("its value", BAYES, "posterior", "likelihood * prior / evidence"),
    ],
}

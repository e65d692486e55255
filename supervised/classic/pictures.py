"""Pictures of chapter 1: margins, a kernel's third dimension, a tree, what many trees part, the first network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from supervised.classic.learners import SVM, DecisionTree, GradientBoosting, RandomForest
from supervised.classic.predictors import Forest, Predictor, SupportVectors
from supervised.data import load
from supervised.training.plots import COLOURS, INK, PALE, REGIONS, panels

Array = NDArray[Any]

SIDE = 150  # points of a grid
CLASS_COLOURS = COLOURS[1], COLOURS[0], COLOURS[2]
PETAL = slice(2, 4)  # length and width of petals, among a flower's features
PETAL_NAMES = "petal length", "petal width"


def grid(low: Sequence[float], high: Sequence[float]) -> tuple[Array, Array, Array]:
    """Places along both axes, and all points between them ``(SIDE * SIDE, 2)``."""
    x, y = (np.linspace(a, b, SIDE) for a, b in zip(low, high, strict=True))
    return x, y, np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def scatter(axes: Axes, points: Array, labels: Array, size: float = 4) -> None:
    """Points ``(n, 2)``, a colour and a form for each class."""
    for label, (colour, marker) in enumerate(zip(CLASS_COLOURS, "o^s", strict=True)):
        axes.plot(*points[labels == label].T, marker, color=colour, markersize=size)
    axes.grid(False)


def margin(drawing: Figure, rng: np.random.Generator) -> None:
    """Classes that overlap a little, parted by a line with a hard and with a soft margin."""
    points = np.concatenate([rng.normal(centre, 0.9, (40, 2)) for centre in ((-1.6, -0.6), (1.6, 0.6))])
    labels = np.repeat([0, 1], 40)
    x, y, every = grid((-4.5, -3.2), (4.5, 3.2))
    row = panels(drawing, "C = 100: few mistakes", "C = 0.02: a wide margin")
    for axes, penalty in zip(row, (100, 0.02), strict=True):
        machine = SVM(penalty=penalty, kernel="linear").fit(points, labels, 0)
        assert isinstance(machine, SupportVectors)
        decisions = machine.decisions(every).reshape(SIDE, SIDE)
        axes.contourf(x, y, decisions < 0, levels=[-0.5, 0.5, 1.5], cmap=REGIONS)
        axes.contour(x, y, decisions, levels=[-1, 0, 1], colors=INK, linestyles=["--", "-", "--"], linewidths=1.2)
        scatter(axes, points, labels)
        vectors = machine.arrays["vectors"] * machine.arrays["std"] + machine.arrays["mean"]
        told = f"{len(vectors)} support vectors"
        axes.plot(*vectors.T, "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, label=told)
        axes.legend(loc="upper left")


def lift(drawing: Figure, rng: np.random.Generator) -> None:
    """No line parts a heap from the ring around it. In the space of (x, y, x² + y²) a plane does.

    That is what the kernel k(p, q) = p . q + |p|² |q|² computes without going there.
    """
    angles, labels = rng.uniform(0, 2 * np.pi, 160), np.repeat([0, 1], 80)
    radii = np.where(labels, rng.normal(2.2, 0.2, 160), np.abs(rng.normal(0, 0.6, 160)))
    points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def lifted(flat: Array) -> Array:
        return np.concatenate([flat, (flat**2).sum(1, keepdims=True)], axis=1)

    machine = SVM(kernel="linear", penalty=10).fit(lifted(points), labels, 0)
    assert isinstance(machine, SupportVectors)
    x, y, every = grid((-3, -3), (3, 3))
    flat = drawing.add_subplot(1, 2, 1)
    flat.set_title("what the plane parts, seen from above", loc="left", fontsize="medium")
    decisions = machine.decisions(lifted(every)).reshape(SIDE, SIDE)
    flat.contourf(x, y, decisions < 0, levels=[-0.5, 0.5, 1.5], cmap=REGIONS)
    scatter(flat, points, labels)
    flat.set_aspect("equal")
    deep: Any = drawing.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    deep.set_title("lifted by z = x² + y²", loc="left", fontsize="medium")
    # f is linear: where it is 0 follows from its values at four points
    origin, *ends = machine.decisions(np.concatenate([np.zeros((1, 3)), np.eye(3)]))[:, 0]
    a, b, c = (end - origin for end in ends)
    corners = np.meshgrid([-2.6, 2.6], [-2.6, 2.6])
    plane = -(origin + a * corners[0] + b * corners[1]) / c
    above = labels == 1
    for part, order in ((~above, 1), (above, 3)):
        colour, marker = (CLASS_COLOURS[1], "^") if order == 3 else (CLASS_COLOURS[0], "o")
        deep.plot(*lifted(points[part]).T, marker, color=colour, markersize=4, zorder=order)
    deep.plot_surface(*corners, plane, color=PALE, alpha=0.45, zorder=2)
    deep.view_init(elev=12, azim=-60)
    deep.set(xlabel="x", ylabel="y", zlabel="z")


def tree(drawing: Figure, rng: np.random.Generator) -> None:
    """Two questions about petals tell nearly all flowers."""
    data = load("iris")
    inputs = np.concatenate([data.train.inputs, data.test.inputs])[:, PETAL].astype(np.float64)
    labels = np.concatenate([data.train.labels, data.test.labels])
    found = DecisionTree(depth=2).fit(inputs, labels, 1)  # length or width first are equally good: a draw
    assert isinstance(found, Forest)
    right = int((found.predict(inputs) == labels).sum())
    questions, regions = panels(drawing, "the tree", f"what it parts: {right} of {len(labels)} flowers are right")
    questions.set_axis_off()
    questions.set(xlim=(-1.6, 1.6), ylim=(-2.5, 0.4))
    draw_node(questions, found, 0, (0, 0), 0.8, data.classes)
    x, y, every = grid((0.5, 0), (7.2, 2.7))
    pale = ListedColormap(["#f6cfb8", "#b8d4ea", "#b3e0d2"])
    regions.pcolormesh(x, y, found.predict(every).reshape(SIDE, SIDE), cmap=pale)
    scatter(regions, inputs + rng.uniform(-0.03, 0.03, inputs.shape), labels)  # many are alike
    regions.set(xlabel="petal length (cm)", ylabel="petal width (cm)")


def draw_node(
    axes: Axes, found: Forest, node: int, place: tuple[float, float], reach: float, names: Sequence[str]
) -> None:
    """A node of a tree and all below it; children lie ``reach`` to both sides."""
    arrays = found.arrays
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": PALE}
    children = [int(arrays[side][node]) for side in ("left", "right")]
    if node in children:
        told = int(arrays["values"][node].argmax())
        text, box["edgecolor"] = names[told], CLASS_COLOURS[told]
    else:
        text = f"{PETAL_NAMES[arrays['feature'][node]]}\n≤ {arrays['threshold'][node]:.2f} cm?"
        for child, side, answer in zip(children, (-1, 1), ("yes", "no"), strict=True):
            below = place[0] + side * reach, place[1] - 1
            axes.plot(*zip(place, below, strict=True), color=PALE, zorder=0)
            middle = (place[0] + below[0]) / 2, (place[1] + below[1]) / 2
            axes.annotate(answer, middle, ha="center", va="center", backgroundcolor="white", color=PALE)
            draw_node(axes, found, child, below, reach / 2, names)
    axes.annotate(text, place, ha="center", va="center", bbox=box)


def ensembles(drawing: Figure, rng: np.random.Generator) -> None:
    """Two half moons under noise, parted by a tree, and by many."""

    def moons(n: int) -> tuple[Array, Array]:
        labels, angles = rng.integers(2, size=n), rng.uniform(0, np.pi, n)
        x = np.where(labels, 1 - np.cos(angles), np.cos(angles))
        y = np.where(labels, 0.5 - np.sin(angles), np.sin(angles))
        return np.stack([x, y], axis=1) + rng.normal(0, 0.35, (n, 2)), labels

    (points, labels), (others, truth) = moons(400), moons(5_000)
    x, y, every = grid((-2, -1.6), (3, 2.1))
    learners = {
        "one tree": DecisionTree(),
        "random forest of 100": RandomForest(trees=100, least_rows=3),
        "boosting, 60 small trees": GradientBoosting(trees=60, depth=2, learning_rate=0.15),
    }
    row = drawing.subplots(1, 3, sharey=True)
    for axes, (name, learner) in zip(row, learners.items(), strict=True):
        found: Predictor = learner.fit(points, labels, 0)
        accuracy = np.mean(found.predict(others) == truth)
        axes.set_title(f"{name}: {accuracy:.1%} right", loc="left", fontsize="medium")
        axes.pcolormesh(x, y, found.predict(every).reshape(SIDE, SIDE), cmap=REGIONS)
        scatter(axes, points, labels, size=2)


def iris(drawing: Figure, rng: np.random.Generator) -> None:
    """How the book's first network learns flowers, beside what the book prints."""
    from supervised.classic import iris as first_network  # with torch, which is slow to import

    learnt = first_network.learn()
    axes = drawing.add_subplot()
    axes.set_title(f"4-5-3 on Fisher's flowers: {learnt.right} of 30 others right", loc="left", fontsize="medium")
    epochs = np.arange(1, len(learnt.losses) + 1)
    axes.plot(epochs, learnt.losses, label="loss")
    axes.plot(*zip(*first_network.PRINTED.items(), strict=True), "o", color=COLOURS[1], label="printed in the book")
    axes.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, 1.35))
    rows = [[epoch, f"{learnt.losses[epoch - 1]:.4f}", f"{loss:.4f}"] for epoch, loss in first_network.PRINTED.items()]
    head, place = ["epoch", "loss", "book"], Bbox.from_bounds(0.55, 0.4, 0.42, 0.5)
    table = axes.table(rows, colLabels=head, bbox=place, cellLoc="right", zorder=5)
    for cell in table.get_celld().values():
        cell.set_edgecolor("#d8dee4")
    axes.legend(loc="lower left")

"""The book's pictures, drawn anew by what is in `supervised.scratch`: ``python -m supervised.figures NAME``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supervised.classic import pictures as classic
from supervised.data import load
from supervised.data.spoken import load_spoken, put_together
from supervised.scratch import filters, pose, recurrent
from supervised.scratch.activations import ACTIVATIONS, approximate, boxcar
from supervised.scratch.boltzmann import DBN
from supervised.scratch.k_means import k_means
from supervised.scratch.network import Network
from supervised.scratch.optimizers import AdaDelta, Adam, Momentum, Nesterov, Optimizer, RMSProp
from supervised.scratch.regression import descend, least_squares, mean_squared_error, with_bias
from supervised.scratch.regression import perceptron as rosenblatt
from supervised.speech import pictures as speech
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, suggest
from supervised.training.plots import COLOURS, INK, PALE, REGIONS, figure, panels

Array = NDArray[Any]

PROG = "python -m supervised.figures"


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    name: Annotated[str, tyro.conf.Positional]
    """The picture."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to, PNG or SVG (default: NAME.png)."""
    seed: int = 0
    """Seed of what is drawn at random."""


def overfitting(drawing: Figure, rng: np.random.Generator) -> None:
    """Polynomials through measured places of a ball that was thrown, whose path is one of degree 2."""
    x = np.linspace(0.4, 9.6, 10)
    y = x - x**2 / 10 + rng.normal(0, 0.15, 10)
    fine = np.linspace(0, 10, 300)
    names = "degree 1: too little is learnt", "degree 2: a ball's path", "degree 9: noise is learnt, too"
    for axes, degree in zip(panels(drawing, *names), (1, 2, 9), strict=True):
        weights = least_squares(np.vander(x / 10, degree + 1), y)
        axes.plot(fine, fine - fine**2 / 10, color=PALE, label="truth")
        axes.plot(fine, np.vander(fine / 10, degree + 1) @ weights, label="learnt")
        axes.plot(x, y, "o", color=INK, markersize=4, label="measured")
        axes.set(xlim=(0, 10), ylim=(-0.5, 3.5), xlabel="distance (m)")
        axes.legend(loc="lower center")
    drawing.axes[0].set_ylabel("height (m)")


def pizza(drawing: Figure, rng: np.random.Generator) -> None:
    """Where pizza is ordered, and the four best places for a shop."""
    homes = [
        rng.normal(place, spread, (60, 2))
        for place, spread in (((2, 2), 0.9), ((8, 3), 1.1), ((3, 8), 1.0), ((8, 8), 0.8))
    ]
    orders = np.concatenate(homes)
    found = k_means(orders, 4, rng)
    before, after = panels(drawing, "orders", "shops, and whom each serves")
    before.plot(*orders.T, "o", color=INK, markersize=3)
    for k, centre in enumerate(found.centroids):
        after.plot(*orders[found.labels == k].T, "o", color=COLOURS[k], markersize=3)
        after.plot(*centre, "o", color=COLOURS[k], markersize=13, markeredgecolor=INK)


def perceptron(drawing: Figure, rng: np.random.Generator) -> None:
    """A line parts the classes of AND and of OR; none parts those of XOR, and the perceptron never ends."""
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])  # -1: false
    side = np.linspace(-2, 2, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    tables = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
    row = drawing.subplots(1, 3)
    for axes, (name, table) in zip(row, tables.items(), strict=True):
        targets = np.array(table)
        fit = rosenblatt(with_bias(corners), targets)
        found = f"{fit.losses[-1]} still wrong" if fit.losses[-1] else "all right"
        title = f"{name}: {found} after {len(fit.losses) - 1} passes"
        axes.set_title(title, loc="left", fontsize="medium")
        told = with_bias(grid) @ fit.weights > 0
        axes.pcolormesh(side, side, told.reshape(200, 200), cmap=REGIONS, vmin=0, vmax=1)
        mark(axes, corners, targets)
        axes.set(xticks=[-1, 1], yticks=[-1, 1])


def descents(drawing: Figure, rng: np.random.Generator) -> None:
    """Linear regression by gradient descent: all samples at once, some, or one."""
    x = rng.normal(0, 1, 60)
    inputs, targets = with_bias(x[:, None]), 2 * x + 1 + rng.normal(0, 0.8, 60)
    best = least_squares(inputs, targets)
    ways, losses = drawing.subplots(1, 2)
    ways.set_title("weights on the way, five passes", loc="left", fontsize="medium")
    losses.set_title("cost above the least, 40 passes", loc="left", fontsize="medium")
    w, b = np.meshgrid(np.linspace(-0.4, 2.6, 100), np.linspace(-0.4, 1.6, 100))
    costs = ((np.stack([w, b], axis=-1) @ inputs.T - targets) ** 2).mean(-1)
    levels = np.geomspace(costs.min() * 1.02, costs.max(), 12)
    ways.contour(w, b, costs, levels=levels, colors="#d0d7de", linewidths=0.8)
    least = mean_squared_error(best, inputs, targets)[0]
    sizes = {"batch": 60, "mini-batches of 10": 10, "stochastic": 1}
    for (name, size), colour in zip(sizes.items(), COLOURS, strict=False):
        path: list[Array] = []

        def cost(weights: Array, *batch: Array, path: list[Array] = path) -> tuple[float, Array]:
            path.append(weights)
            return mean_squared_error(weights, *batch)

        fit = descend(cost, inputs, targets, learning_rate=0.05, epochs=40, batch_size=size, rng=rng)
        steps = path[1 : 5 * (60 // size + 1) + 1]  # after each pass the cost of all is asked for once more
        ways.plot(*np.array(steps).T, ".-", color=colour, linewidth=1, markersize=4, label=name)
        losses.plot(np.maximum(fit.losses - least, 1e-7), color=colour, label=name)
    ways.plot(*best, "*", color=INK, markersize=12, zorder=5)
    ways.set(xlabel="weight", ylabel="bias")
    losses.set(yscale="log", ylim=(1e-5, 10), xlabel="passes")
    losses.legend()


def mark(axes: Axes, points: Array, labels: Array) -> None:
    """Points ``(n, 2)`` of classes 0 and 1 on the regions of a square."""
    for value, marker in ((0, "o"), (1, "^")):
        axes.plot(*points[labels == value].T, marker, color=COLOURS[1 - value], markeredgecolor=INK, markersize=9)
    axes.set_aspect("equal")
    axes.grid(False)


def activations(drawing: Figure, rng: np.random.Generator) -> None:
    """Activation functions, and their derivatives."""
    a = np.linspace(-4, 4, 400)
    for axes, (name, (function, derivative)) in zip(drawing.subplots(2, 3).ravel(), ACTIVATIONS.items(), strict=True):
        axes.plot(a, function(a), label="f")
        axes.plot(a, derivative(a), linestyle="--", label="f'")
        axes.set_title(name, loc="left", fontsize="medium")
        axes.set_ylim(-1.3, 2.3)
        axes.legend()


def box(drawing: Figure, rng: np.random.Generator) -> None:
    """A step up and a step down make a box, and boxes make any function."""
    first, second = panels(drawing, "two logistic units: from -5 to 5, 7 high", "a sum of 12 boxes, and a sine")
    x = np.arange(-10, 10, 0.01)
    first.plot(x, boxcar(x, -5, 5, 7))
    first.set_ylim(-1, 10)
    x = np.linspace(0.01, 6.27, 1_000)
    second.plot(x, approximate(np.sin, 0, 6.28, 12)(x))
    second.plot(x, np.sin(x), color=PALE)


def xor(drawing: Figure, rng: np.random.Generator) -> None:
    """How networks of several sizes part the classes of XOR."""
    inputs, targets = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    side = np.linspace(-1, 2, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    sizes = (2, 2, 1), (2, 4, 1), (2, 4, 3, 1)
    for axes, layers in zip(panels(drawing, *(str(list(one)) for one in sizes)), sizes, strict=True):
        network = learnt(layers, inputs, targets, rng)
        axes.pcolormesh(side, side, network.predict(grid).reshape(200, 200) >= 0.5, cmap=REGIONS)
        mark(axes, inputs, targets[:, 0])


def learnt(layers: Sequence[int], inputs: Array, targets: Array, rng: np.random.Generator) -> Network:
    """A network that has learnt it: a few beginnings of small ones get caught on the way."""
    while True:
        network = Network(layers, rng)
        network.fit(inputs, targets, Optimizer(0.1), epochs=2_500, batch_size=1, rng=rng)
        if np.abs(network.predict(inputs) - targets).max() < 0.3:
            return network


def optimizers(drawing: Figure, rng: np.random.Generator) -> None:
    """Ways down the same valley, from the same place: J = x^2 / 20 + y^2."""
    (axes,) = panels(drawing, "150 steps down J = x²/20 + y², from the left")
    x, y = np.meshgrid(np.linspace(-10, 3, 200), np.linspace(-3, 3, 200))
    axes.contour(x, y, x**2 / 20 + y**2, levels=np.geomspace(0.02, 12, 12), colors="#d0d7de", linewidths=0.8)
    ways = {
        "gradient descent": Optimizer(0.9),
        "momentum": Momentum(0.1, 0.9),
        "Nesterov": Nesterov(0.1, 0.9),
        "RMSProp": RMSProp(0.1),
        "AdaDelta": AdaDelta(8.0),
        "Adam": Adam(0.3),
    }
    for (name, way), colour in zip(ways.items(), COLOURS, strict=False):
        weights, path = [np.array([-9.0, 2.0])], []
        for _ in range(150):
            path.append(weights[0].copy())
            way.step(weights, [weights[0] * np.array([0.1, 2.0])])
        axes.plot(*np.array(path).T, ".-", color=colour, linewidth=1, markersize=3, label=name)
    axes.legend()


def rbm(drawing: Figure, rng: np.random.Generator) -> None:
    """What a Boltzmann machine looks for in handwritten digits, and makes of some; a deep network's dreams."""
    digits = load("mnist")
    inputs, shown = (part.reshape(-1, 784) / 255.0 for part in (digits.train.inputs[:4_000], digits.test.inputs[:24]))
    net = DBN((784, 64, 64), rng)
    net.fit(inputs, epochs=5, learning_rate=0.1)
    machine = net.machines[0]
    limit = np.quantile(np.abs(machine.weights), 0.995)
    signed, gray = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}, {"cmap": "gray_r"}
    rows: list[tuple[str, Array, dict[str, Any]]] = [
        ("what 48 of 64 hidden units look for: ink in red, none in blue", machine.weights.T[:48], signed),
        ("test digits", shown, gray),
        ("what 64 hidden units remember of them", machine.visible(machine.hidden(shown)), gray),
        ("what two machines on top of each other dream", net.dream(48), gray),
    ]
    for axes, (title, images, style) in zip(drawing.subplots(4, 1, height_ratios=(2, 1, 1, 2)), rows, strict=True):
        axes.imshow(tiles(images, 24), **style)
        axes.set_title(title, loc="left", fontsize="medium")
        axes.set_axis_off()


def tiles(images: Array, columns: int) -> Array:
    """Images ``(n, 784)`` in rows of so many."""
    parts = np.pad(images.reshape(-1, 28, 28), ((0, 0), (1, 1), (1, 1)))
    rows = [np.hstack(list(parts[first : first + columns])) for first in range(0, len(parts), columns)]
    return np.vstack(rows)


def astronaut(drawing: Figure, rng: np.random.Generator) -> None:
    """A portrait blurred, and its edges."""
    image = filters.astronaut()
    pictures = image, filters.apply(image, filters.gaussian(15, 4.0)), filters.edges(image)
    for axes, picture in zip(panels(drawing, "gray", "blur 15 x 15", "Sobel's edges"), pictures, strict=True):
        axes.imshow(picture, cmap="gray")
        axes.set_axis_off()


def picasso(drawing: Figure, rng: np.random.Generator) -> None:
    """Faces: what pooling says of their parts, and the parts' votes for where the face is."""
    middle, names = (pose.SIDE - 1) / 2, tuple(pose.PLACES)
    faces = {
        "a face": pose.face(pose.Pose(middle, middle, 0)),
        "moved": pose.face(pose.Pose(middle + 5, middle - 4, 0)),
        "turned": pose.face(pose.Pose(middle, middle, 60)),
        "parts exchanged": pose.face(pose.Pose(middle, middle, 0), (names[3], names[2], names[1], names[0])),
    }
    rows = drawing.subplots(2, len(faces), height_ratios=(2, 1))
    for (title, image), (above, below) in zip(faces.items(), rows.T, strict=True):
        found = {name: pose.look_for(name, image) for name in names}
        votes = [pose.vote(name, one) for name, (_, one) in found.items()]
        above.imshow(image, cmap="gray_r")
        for one, colour in zip(votes, COLOURS, strict=False):
            tip = pose.turned(np.array([0.0, -6.0]), one.angle)
            ends = (one.x + tip[0], one.y + tip[1]), (one.x, one.y)
            above.annotate("", *ends, arrowprops={"color": colour, "width": 1}, annotation_clip=False)
            above.plot(one.x, one.y, "o", color=colour, markersize=7, alpha=0.8)
        above.set_title(f"{title}\nvotes agree to {pose.agreement(votes):.2f}", loc="left", fontsize="medium")
        above.set_axis_off()
        below.barh(names, [fit for fit, _ in found.values()], color=COLOURS[: len(names)])
        below.set_xlim(0, 1)
        below.invert_yaxis()
        below.grid(False)
        below.set_title("pooled answer of each part", loc="left", fontsize="small")


def forgers(drawing: Figure, rng: np.random.Generator) -> None:
    """How strongly two losses push a generator, where the discriminator sees through its forgeries and where not."""
    d = np.linspace(0.005, 0.995, 400)  # D(G(z))
    by_chance, by_logit = panels(drawing, "slope by D(G(z))", "slope by the logit of D(G(z))")
    # log(1 - D) and -log D; D is the sigmoid of its logit, whose slope is D (1 - D)
    for name, slope in {"saturating, log(1 - D)": -1 / (1 - d), "non-saturating, -log D": -1 / d}.items():
        by_chance.plot(d, slope, label=name)
        by_logit.plot(d, slope * d * (1 - d), label=name)
    by_chance.set_ylim(-12, 0)
    for axes in (by_chance, by_logit):
        axes.set_xlabel("D(G(z)), what forgeries are taken for")
    by_logit.legend()


def counting(drawing: Figure, rng: np.random.Generator) -> None:
    """A recurrent network of two weights learns to count ones: in ten steps, and in 41, with and without clipping."""
    row = drawing.subplots(1, 4)
    longer = {"learning_rate": recurrent.EXPLODING}
    cases: dict[str, tuple[Array, dict[str, Any]]] = {
        "ten steps": (recurrent.SHORT, {}),
        "41 steps: explodes": (recurrent.LONG, longer),
        "41 steps, gradients up to 10": (recurrent.LONG, {**longer, "clip": 10.0, "epochs": 2_000}),
    }
    for axes, (name, (inputs, options)) in zip(row, cases.items(), strict=False):
        found = recurrent.count_ones(inputs, inputs.sum(1), **options)
        axes.set_title(name, loc="left", fontsize="medium")
        axes.plot(found.inputs_weights, color=COLOURS[0], label="U")
        axes.plot(found.state_weights, color=COLOURS[1], label="W")
        axes.set(xlabel="epochs", ylim=(-9, 3))
        losses = axes.twinx()
        losses.plot(found.losses, color=COLOURS[2], label="loss, right")
        losses.set(ylim=(-3, 1.05 * found.losses[0]))
        losses.grid(False)
    row[0].legend(handles=[*row[0].lines, *losses.lines], loc="lower left", fontsize="small")
    steps = np.arange(51)
    for power, colour in zip((1.5, 1.0, 0.6), COLOURS, strict=False):
        row[3].plot(steps, power**steps, color=colour, label=f"W = {power}")
    row[3].set_title("W to the power of m", loc="left", fontsize="medium")
    row[3].set(xlabel="m, steps between", yscale="log")
    row[3].legend(fontsize="small")


def hearing(drawing: Figure, rng: np.random.Generator) -> None:
    """Two spoken digits: samples, spectrum, Mel spectrum and cepstra."""
    ours = {one.digits: one for one in load_spoken("spoken-digits") if one.speaker == "jackson" and one.take == 0}
    speech.hearing(drawing, put_together([ours[7,], ours[2,]], rng))


#: name -> (chapter, how it is drawn, width and height in pixels)
FIGURES: dict[str, tuple[int, Callable[[Figure, np.random.Generator], None], tuple[int, int]]] = {
    "overfitting": (1, overfitting, (1100, 380)),
    "margin": (1, classic.margin, (1000, 400)),
    "kernel": (1, classic.lift, (1000, 430)),
    "tree": (1, classic.tree, (1000, 430)),
    "ensembles": (1, classic.ensembles, (1100, 400)),
    "iris": (1, classic.iris, (900, 400)),
    "pizza": (1, pizza, (900, 430)),
    "perceptron": (1, perceptron, (1000, 380)),
    "activations": (2, activations, (1000, 560)),
    "boxcar": (2, box, (900, 380)),
    "descents": (2, descents, (1000, 400)),
    "xor": (2, xor, (1000, 380)),
    "optimizers": (3, optimizers, (900, 450)),
    "rbm": (3, rbm, (1000, 440)),
    "astronaut": (4, astronaut, (1000, 380)),
    "picasso": (5, picasso, (1300, 480)),
    "forgers": (6, forgers, (1000, 400)),
    "counting": (7, counting, (1300, 380)),
    "hearing": (7, hearing, (1000, 760)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        told = "; ".join(f"{name} (chapter {chapter})" for name, (chapter, _, _) in FIGURES.items())
        description = f"Draw one of the book's pictures. {told}."
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = parse(Options, given, prog=PROG, description=description)
        if options.name not in FIGURES:
            raise UserError(f"unknown picture {options.name!r}{suggest(options.name, FIGURES)}")
        _, draw, size = FIGURES[options.name]
        path = options.out or Path(f"{options.name}.png")
        with figure(path, size) as drawing:
            draw(drawing, np.random.default_rng(options.seed))
        print(f"picture  {path}")


if __name__ == "__main__":
    main()

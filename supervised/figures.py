"""The book's pictures, drawn anew by what is in `supervised.scratch`: ``python -m supervised.figures NAME``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supervised.scratch import filters
from supervised.scratch.activations import ACTIVATIONS, approximate, boxcar
from supervised.scratch.k_means import k_means
from supervised.scratch.network import Network
from supervised.scratch.optimizers import AdaDelta, Adam, Momentum, Nesterov, Optimizer, RMSProp
from supervised.scratch.regression import least_squares
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, suggest
from supervised.training.plots import COLOURS, INK, figure

Array = NDArray[Any]

PROG = "python -m supervised.figures"
REGIONS = ListedColormap(["#f6cfb8", "#b8d4ea"])  # pale forms of two of `COLOURS`


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    name: Annotated[str, tyro.conf.Positional]
    """The picture."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to, PNG or SVG (default: NAME.png)."""
    seed: int = 0
    """Seed of what is drawn at random."""


def panels(drawing: Figure, *titles: str) -> list[Axes]:
    """Axes side by side."""
    row = list(drawing.subplots(1, len(titles), squeeze=False)[0])
    for axes, title in zip(row, titles, strict=True):
        axes.set_title(title, loc="left", fontsize="medium")
    return row


def overfitting(drawing: Figure, rng: np.random.Generator) -> None:
    """Polynomials through noisy points of a curve."""
    x = np.sort(rng.uniform(0, 1, 12))
    y = np.sin(2 * np.pi * x) + rng.normal(0, 0.2, 12)
    fine = np.linspace(0, 1, 300)
    names = "degree 1: too little is learnt", "degree 3", "degree 11: noise is learnt, too"
    for axes, degree in zip(panels(drawing, *names), (1, 3, 11), strict=True):
        weights = least_squares(np.vander(x, degree + 1), y)
        axes.plot(fine, np.sin(2 * np.pi * fine), color="#8c959f", label="truth")
        axes.plot(fine, np.vander(fine, degree + 1) @ weights, label="learnt")
        axes.plot(x, y, "o", color=INK, markersize=4)
        axes.set_ylim(-2, 2)
        axes.legend()


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
    second.plot(x, np.sin(x), color="#8c959f")


def xor(drawing: Figure, rng: np.random.Generator) -> None:
    """How networks of several sizes part the classes of XOR."""
    inputs, targets = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    side = np.linspace(-1, 2, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    sizes = (2, 2, 1), (2, 4, 1), (2, 4, 3, 1)
    for axes, layers in zip(panels(drawing, *(str(list(one)) for one in sizes)), sizes, strict=True):
        network = learnt(layers, inputs, targets, rng)
        axes.pcolormesh(side, side, network.predict(grid).reshape(200, 200) >= 0.5, cmap=REGIONS)
        for value, marker in ((0, "o"), (1, "^")):
            axes.plot(
                *inputs[targets[:, 0] == value].T, marker, color=COLOURS[1 - value], markeredgecolor=INK, markersize=9
            )
        axes.set_aspect("equal")
        axes.grid(False)


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


def astronaut(drawing: Figure, rng: np.random.Generator) -> None:
    """A portrait blurred, and its edges."""
    image = filters.astronaut()
    pictures = image, filters.apply(image, filters.gaussian(15, 4.0)), filters.edges(image)
    for axes, picture in zip(panels(drawing, "gray", "blur 15 x 15", "Sobel's edges"), pictures, strict=True):
        axes.imshow(picture, cmap="gray")
        axes.set_axis_off()


#: name -> (chapter, how it is drawn, width and height in pixels)
FIGURES: dict[str, tuple[int, Callable[[Figure, np.random.Generator], None], tuple[int, int]]] = {
    "overfitting": (1, overfitting, (1100, 380)),
    "pizza": (1, pizza, (900, 430)),
    "activations": (2, activations, (1000, 560)),
    "boxcar": (2, box, (900, 380)),
    "xor": (2, xor, (1000, 380)),
    "optimizers": (3, optimizers, (900, 450)),
    "astronaut": (4, astronaut, (1000, 380)),
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

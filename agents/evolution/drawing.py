"""Pictures of the networks that NEAT grows."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch

from agents.evolution.genomes import Genome
from supervised.training.plots import COLOURS, INK, PALE, figure, titles, write_head
from supervised.training.run import Run

POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
SEEN_THROUGH = (1.0, 1.0, 1.0, 0.8)  # a connection that passes behind a node shows


def draw_network(genome: Genome, inputs: int, outputs: int, run: Run) -> Path:
    """Draw a genome's network into the run's folder as ``network.png``, and return where.

    Inputs are on the left, outputs on the right, hidden nodes between them by depth, with their biases. Lines are as
    wide as their weights are large, and dashed where these are negative.
    """
    assert run.folder is not None
    wiring = genome.wiring(outputs)
    depths = dict.fromkeys(range(-1, -1 - inputs, -1), 0)
    for node, into in wiring.items():  # sources come first
        depths[node] = 1 + max((depths[source] for source, _ in into), default=0)
    last = max(depths.values())
    depths |= dict.fromkeys(range(outputs), last)
    depths = dict(sorted(depths.items(), key=lambda one: abs(one[0])))  # from top to bottom: -1, -2, ...; 0, 1, ...
    hidden = [node for node in wiring if node >= outputs]
    columns = {depth: [node for node in depths if depths[node] == depth] for depth in range(last + 1)}
    places = {
        node: (depth, (len(column) - 1) / 2 - row + (0.23 if 0 < depth < last else 0) * (-1) ** depth)
        for depth, column in columns.items()
        for row, node in enumerate(column)
    }
    biases = dict(zip(genome.nodes.tolist(), genome.biases.tolist(), strict=True))
    record: dict[str, Any] = {"algorithm": run.algorithm, "preset": run.preset, "config": run.config}
    heading, details = titles([record], "")
    links = sum(map(len, wiring.values()))
    tallest, path = max(map(len, columns.values())), run.folder / "network.png"
    with figure(path, (800, max(450, 90 * tallest))) as drawing:
        axes = drawing.add_subplot()
        for node, into in wiring.items():
            for source, weight in into:
                _draw_link(axes, places[source], places[node], weight)
        for node, place in places.items():
            _draw_node(axes, node, place, biases.get(node), outputs)
        axes.set_xlim(-0.6, last + 0.6)
        axes.set_ylim(-tallest / 2 - 0.4, tallest / 2 + 0.2)
        axes.set_axis_off()
        write_head(axes, heading, f"{details}; hidden nodes: {len(hidden)}, connections: {links}; dashed: negative")
    return path


def _draw_link(axes: Axes, start: tuple[float, float], end: tuple[float, float], weight: float) -> None:
    bend = 0.05 + 0.12 * (end[0] - start[0] - 1)  # around the nodes between
    arrow = FancyArrowPatch(
        start,
        end,
        arrowstyle="-|>",
        mutation_scale=11,
        shrinkA=15,
        shrinkB=15,
        connectionstyle=f"arc3,rad={bend}",
        linewidth=0.6 + min(abs(weight), 6) / 2,
        linestyle="-" if weight > 0 else (0, (4, 2)),
        color=POSITIVE if weight > 0 else NEGATIVE,
    )
    axes.add_patch(arrow)


def _draw_node(axes: Axes, node: int, place: tuple[float, float], bias: float | None, outputs: int) -> None:
    axes.plot(*place, "o", markersize=30, markerfacecolor=SEEN_THROUGH, markeredgecolor=INK, zorder=3)
    if bias is None:
        axes.annotate(str(-1 - node), place, ha="center", va="center", zorder=4)
        axes.annotate("input", place, (-22, 0), textcoords="offset points", ha="right", va="center", color=PALE)
        return
    axes.annotate(f"{bias:.1f}", place, ha="center", va="center", fontsize="small", zorder=4)
    if node < outputs:
        label = f"output {node}"
        axes.annotate(label, place, (22, 0), textcoords="offset points", ha="left", va="center", color=PALE)

"""Figures of runs: learning curves, several seeds as a band, and the progress of dynamic programming.

A figure is a PNG or SVG file, replaced as a whole; the same data give the same bytes.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray
from scipy.stats import trim_mean

from supervised.training.checkpoint import atomic_write
from supervised.training.errors import UserError, suggest, writing
from supervised.training.run import read_config

Array = NDArray[np.float64]

# A run's own curve shows the first of them that it logged.
CURVES = (
    *("episode_return", "delta", "elo", "policy_loss", "validation_accuracy", "validation_loss", "accuracy", "loss"),
    "discriminator_accuracy",
)
LOGARITHMIC = {"delta"}
EVALUATED = "circles: greedy evaluation"
LABELS = {
    "episode_return": "return (mean of the latest episodes)",
    "episode_length": "episode length in steps\n(mean of the latest episodes)",
    "evaluation_return": "return of greedy episodes",
    "elo": "Elo above the first network",
    "policy_loss": "loss of the policy",
    "value_loss": "loss of the value",
    "validation_accuracy": "accuracy on what\nwas held out",
    "validation_loss": "loss on what\nwas held out",
    "accuracy": "accuracy while learning",
    "loss": "loss while learning",
    "discriminator_accuracy": "share that the\ndiscriminator tells right",
    "delta": "largest change\nof a value",
    "policy_changes": "states whose\npolicy changed",
    "steps": "environment steps",
}
#: for each file ending, what keeps the time and the version out of the file
FORMATS: dict[str, dict[str, Any]] = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}

INK, PALE = "#24292f", "#6e7781"
# Okabe and Ito 2008: told apart by colour-blind readers too
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
REGIONS = ListedColormap(["#f6cfb8", "#b8d4ea"])  # pale forms of two of them, of classes 0 and 1
STYLE: dict[str, Any] = {
    "axes.edgecolor": PALE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.1,  # inches, as is the next
    "figure.constrained_layout.w_pad": 0.1,
    "grid.color": "#d8dee4",
    "grid.linewidth": 0.8,
    "legend.framealpha": 0.85,
    "legend.frameon": True,
    "legend.edgecolor": "none",
    "legend.fontsize": "small",
    "legend.title_fontsize": "small",
    "lines.linewidth": 1.8,
    "svg.hashsalt": "skidpad",
    "text.color": INK,
    "xtick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.color": PALE,
    "ytick.labelcolor": INK,
}


def read_metrics(folder: Path) -> dict[str, Array]:
    """Return the columns of a run's `metrics.jsonl`, each `(lines,)`, with "step" among them.

    NaN stands for null and for a metric that a line does not have. A last line without its end, as a run
    that is still training may have, is left out. Raises `UserError` when the file is missing or damaged.
    """
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give the folder of a run") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            numbers = {name: np.nan if value is None else float(value) for name, value in record.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: line {number} is damaged ({error}); train the run anew") from error
        records.append(numbers)
    names = dict.fromkeys(name for record in records for name in record)
    return {name: np.array([record.get(name, np.nan) for record in records]) for name in names}


def find_metric(folder: Path) -> str | None:
    """Return the metric that a run's own curve shows, None when it logged nothing to draw."""
    columns = read_metrics(folder)
    return next((name for name in CURVES if len(_points(columns, name)[0])), None)


def draw_curve(folder: Path) -> Path | None:
    """Draw a run's `curve.png`: its returns, those of evaluations in training among them, over its steps.

    For dynamic programming it is the largest change of a value over the sweeps. Returns None when there is
    nothing to draw.
    """
    metric = find_metric(folder)
    if metric is None:
        return None
    path = folder / "curve.png"
    draw_curves(group_runs([folder]), path, metric)
    return path


def group_runs(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Return runs by what they are, the seeds of one experiment together, under names that tell these apart.

    An experiment is an algorithm with one preset on one environment, all other settings but the seed equal.
    Raises `UserError` for what is no run and when two runs of an experiment have the same seed.
    """
    members: dict[str, dict[int, Path]] = {}
    experiments: dict[str, dict[str, Any]] = {}
    for folder in folders:
        record = read_config(folder)
        settings = {name: value for name, value in record["config"].items() if name != "seed"}
        experiment = {"algorithm": record["algorithm"], "preset": record["preset"], **settings}
        key = json.dumps(experiment, sort_keys=True)
        experiments[key] = experiment
        seeds = members.setdefault(key, {})
        seed = record["config"].get("seed", 0)
        if seed in seeds:
            both = f"{seeds[seed]} and {folder}"
            raise UserError(f"{both} have the same settings and the same seed {seed}: leave one out")
        seeds[seed] = folder
    names = _names(list(experiments.values()))
    return {name: list(seeds.values()) for name, seeds in zip(names, members.values(), strict=True)}


def draw_curves(
    groups: Mapping[str, Sequence[Path]], path: Path, metric: str = "episode_return", title: str = ""
) -> None:
    """Draw one metric of several runs, a line a group (as `group_runs` makes them).

    Where a group has several runs, the line is their interquartile mean (Agarwal et al. 2021) and the band
    reaches from the lowest to the highest. Runs are interpolated linearly on all steps that any run of the
    group logged, from where the last one begins to where the first one ends. Evaluations in training are
    points on the figure of returns.

    Raises `UserError` when a run lacks the metric (the message names those it has), the runs of a group have
    no step in common or count in different units, or `path` cannot be written or is neither .png nor .svg.
    """
    records = {folder: read_config(folder) for folders in groups.values() for folder in folders}
    notes: list[str] = []
    if any(len(folders) > 1 for folders in groups.values()):
        notes += ["line: interquartile mean of the seeds", "band: from the lowest to the highest"]
    with figure(path) as drawing:
        axes = drawing.add_subplot()
        for index, (name, folders) in enumerate(groups.items()):
            logs = {folder: read_metrics(folder) for folder in folders}
            colour = COLOURS[index % len(COLOURS)]
            dashes = ("-", "--", ":", "-.")[index // len(COLOURS) % 4]
            steps, values = _aligned(logs, metric)
            label = "training" if len(groups) == 1 else name
            if len(folders) > 1:
                label += f", {len(folders)} seeds"
                low, high = values.min(axis=0), values.max(axis=0)
                axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
            marker = "o" if len(steps) == 1 else ""
            axes.plot(steps, _iqm(values), color=colour, linestyle=dashes, marker=marker, label=label)
            if metric == "episode_return" and all(len(_points(log, "evaluation_return")[0]) for log in logs.values()):
                steps, values = _aligned(logs, "evaluation_return")
                axes.plot(steps, _iqm(values), "o", color=colour, markersize=5, markerfacecolor="white")
                notes += [] if EVALUATED in notes else [EVALUATED]
        _label(axes, metric, _unit(records))
        write_head(axes, *titles(list(records.values()), title))
        if len(groups) > 4:
            drawing.legend(title="\n".join(notes), loc="outside right upper", alignment="left")
        elif notes or len(groups) > 1:
            axes.legend(title="\n".join(notes), alignment="left")


def draw_progress(folder: Path, path: Path, title: str = "") -> None:
    """Draw how dynamic programming converged: change of the values by sweep, of the policy by improvement.

    Sweeps between two improvements are one line; of a single improvement, as in value iteration, only the
    sweeps are shown. Raises `UserError` when the run logged no "delta", and as `figure` does.
    """
    columns, record = read_metrics(folder), read_config(folder)
    sweeps, deltas = _points(columns, "delta")
    if not len(sweeps):
        remedy = "give a run of dynamic programming, such as policy-iteration"
        raise UserError(f"{folder}, a run of {record['algorithm']}, logged no delta: {remedy}")
    improvements, changes = _points(columns, "policy_changes")
    ends = np.searchsorted(sweeps, improvements, side="right")
    with figure(path) as drawing:
        heights = [3, 2] if len(improvements) > 1 else [1]
        panels = drawing.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
        upper, lower = panels[0, 0], panels[-1, 0]
        rounds = zip(np.split(sweeps, ends), np.split(deltas, ends), strict=True)
        for x, y in (one for one in rounds if len(one[0])):
            upper.plot(x, y, color=COLOURS[0], marker="o" if len(x) <= 60 else "", markersize=3.5)
        if len(improvements) > 1:
            for step in improvements:
                upper.axvline(step, color=PALE, linewidth=0.8, linestyle=":")
            lower.vlines(improvements, 0, changes, color=COLOURS[1], linewidth=2)
            lower.plot(improvements, changes, "o", color=COLOURS[1], markersize=5, clip_on=False)
            _label(lower, "policy_changes", record["unit"])
            lower.set_ylim(bottom=0)
        _label(upper, "delta", record["unit"] if lower is upper else "")
        heading, details = titles([record], title)
        write_head(upper, heading, details if lower is upper else f"{details}; dotted: the policy is improved")


def draw_picture(picture: NDArray[np.uint8], path: Path, title: str, subtitle: str) -> None:
    """Write a picture `(height, width, 3)` under its title, pixel by pixel; raises as `figure` does."""
    height, width = picture.shape[:2]
    head, border, narrowest = 60, 12, 640  # pixels; the title needs some room beside a small picture
    size = max(width + 2 * border, narrowest), height + head + border
    with figure(path, size) as drawing:
        drawing.set_layout_engine("none")
        place = (border / size[0], border / size[1], width / size[0], height / size[1])
        axes = drawing.add_axes(place)
        axes.imshow(picture, interpolation="none", aspect="auto")
        axes.set_axis_off()
        write_head(axes, title, subtitle)


@contextmanager
def figure(path: Path, size: tuple[int, int] = (800, 450)) -> Iterator[Figure]:
    """Give a figure in the project's style, `size` pixels wide and high, and write it when the block ends.

    Raises `UserError` when `path` cannot be written, or ends in neither .png nor .svg.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise UserError(f"cannot draw {path}: end its name in {' or '.join(FORMATS)}")
    with matplotlib.style.context(["default", STYLE]):
        drawing = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        content = io.BytesIO()
        drawing.savefig(content, format=ending[1:], metadata=FORMATS[ending])
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, content.getvalue())


def panels(drawing: Figure, *names: str) -> list[Axes]:
    """Axes side by side, each under its name."""
    row = list(drawing.subplots(1, len(names), squeeze=False)[0])
    for axes, name in zip(row, names, strict=True):
        axes.set_title(name, loc="left", fontsize="medium")
    return row


def _points(columns: Mapping[str, Array], metric: str) -> tuple[Array, Array]:
    """Return steps and values `(points,)` of what can be drawn of a metric."""
    if metric not in columns:
        return np.empty(0), np.empty(0)
    values = columns[metric]
    kept = np.isfinite(values) & ((values > 0) | (metric not in LOGARITHMIC))
    return columns["step"][kept], values[kept]


def _aligned(logs: Mapping[Path, Mapping[str, Array]], metric: str) -> tuple[Array, Array]:
    """Return common steps `(points,)` and the runs' values there `(runs, points)`."""
    series = []
    for folder, columns in logs.items():
        series.append(_points(columns, metric))
        if not len(series[-1][0]):
            known = {name for name in columns if name != "step" and len(_points(columns, name)[0])}
            raise UserError(f"{folder} logged no {metric!r}{suggest(metric, known)}")
    first, last = max(steps[0] for steps, _ in series), min(steps[-1] for steps, _ in series)
    if first > last:
        raise UserError(f"no step has {metric!r} in all of {', '.join(map(str, logs))}: draw them one by one")
    grid = np.unique(np.concatenate([steps for steps, _ in series]))
    grid = grid[(grid >= first) & (grid <= last)]
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in series])


def _iqm(values: Array) -> Array:
    """Return the interquartile means `(points,)` of `(runs, points)`."""
    return trim_mean(values, 0.25, axis=0)


def _unit(records: Mapping[Path, Mapping[str, Any]]) -> str:
    """Return what the runs' steps count; raises `UserError` when that differs."""
    folders = {record["unit"]: folder for folder, record in records.items()}
    if len(folders) > 1:
        counted = " and ".join(f"{folder} in {unit}" for unit, folder in folders.items())
        raise UserError(f"{counted} have no axis in common: draw them apart")
    return next(iter(folders))


def _names(experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each experiment: its algorithm, and what else tells it from the others."""
    heads = [tuple(one.get(key) for key in ("algorithm", "preset", "env")) for one in experiments]
    varies = [len(set(column)) > 1 for column in zip(*heads, strict=True)]
    names = []
    for head, one in zip(heads, experiments, strict=True):
        words = [str(head[0])]
        words += [str(word) for word, differs in zip(head[1:], varies[1:], strict=True) if differs]
        alike = [other for other, its_head in zip(experiments, heads, strict=True) if its_head == head]
        differing = [key for key in one if any(other.get(key) != one[key] for other in alike)]
        words += [f"{key}={json.dumps(one[key])}" for key in differing]
        names.append(", ".join(words))
    return names


def titles(records: Sequence[Mapping[str, Any]], title: str) -> tuple[str, str]:
    """Return title and subtitle of a figure of runs: what they have in common."""
    configs = [record["config"] for record in records]
    algorithms, presets = ({record[key] for record in records} for key in ("algorithm", "preset"))
    environments, seeds = ({config.get(key) for config in configs} for key in ("env", "seed"))
    shared = [str(*names) for names in (algorithms, environments) if len(names) == 1 and names != {None}]
    details = []
    if len(algorithms) == len(presets) == 1:
        details.append(f"preset {presets.pop()}")
    if len(records) == 1:
        details.append(f"seed {seeds.pop()}")
    return title or " on ".join(shared), ", ".join(details)


def write_head(axes: Axes, title: str, subtitle: str) -> None:
    """Write title and subtitle above the axes."""
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=24 if subtitle else 10)
    axes.annotate(subtitle, (0, 1), (0, 9), xycoords="axes fraction", textcoords="offset points", color=PALE)


def _label(axes: Axes, metric: str, unit: str) -> None:
    """Name both axes with their units, and scale them to what is drawn."""
    axes.set_xlabel(LABELS.get(unit, unit))
    axes.set_ylabel(LABELS.get(metric, metric.replace("_", " ")))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if metric in LOGARITHMIC:
        axes.set_yscale("log")
    elif metric == "policy_changes":
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))

"""Pictures of speech: what is heard, what is told of each step, and lattices of words."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from supervised.data.spoken import RATE, WORDS, Recording
from supervised.speech import features
from supervised.training.plots import COLOURS, INK, PALE, figure

if TYPE_CHECKING:  # torch is slow to import
    from supervised.speech.decoding import Edge

Array = NDArray[Any]


def show(axes: Axes, picture: Array, seconds: float, title: str, label: str) -> None:
    """A picture ``(time, n)`` over time, its first column below."""
    axes.imshow(picture.T, aspect="auto", origin="lower", extent=(0, seconds, 0, picture.shape[1]), cmap="magma")
    axes.set_title(title, loc="left", fontsize="medium")
    axes.set_ylabel(label)
    axes.grid(False)


def hearing(drawing: Figure, recording: Recording) -> None:
    """A recording as samples, spectrum, Mel spectrum and cepstra."""
    rows = drawing.subplots(4, 1, sharex=True)
    seconds = recording.seconds
    rows[0].plot(np.arange(len(recording.wave)) / RATE, recording.wave, linewidth=0.5)
    said = " ".join(WORDS[digit] for digit in recording.digits)
    rows[0].set_title(f'"{said}": {len(recording.wave):,} samples', loc="left", fontsize="medium")
    spectrum = np.log(features.spectrum(recording.wave) + features.FLOOR)
    mel = features.mel(recording.wave)
    shape = "{} x {}".format(*mel.shape)
    show(rows[1], spectrum, seconds, "spectrum", "bin of 31 Hz")
    show(rows[2], mel, seconds, f"Mel spectrum, {shape}", "filter")
    cepstra = features.heard(recording.wave, "mfcc")[:, : features.CEPSTRA]
    show(rows[3], cepstra, seconds, "Mel frequency cepstral coefficients, normalized", "coefficient")
    rows[3].set_xlabel("s")


def draw_steps(
    recording: Recording,
    shares: Array,
    names: Sequence[str],
    bounds: Sequence[tuple[int, int, int]],
    path: Path,
    title: str,
) -> None:
    """Draw what is heard, and shares ``(steps, names)`` of each step.

    Args:
        bounds: word, first step and end of each word that is marked.
    """
    with figure(path, (1100, 560)) as drawing:
        above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        seconds = recording.seconds
        show(above, features.mel(recording.wave), seconds, "what is heard: Mel spectrum", "filter")
        show(below, shares, seconds, title, "")
        below.set_yticks(np.arange(len(names)) + 0.5, names, fontsize="x-small")
        below.set_xlabel("s")
        step = seconds / len(shares)
        for word, begin, _ in bounds:
            for axes in (above, below):
                axes.axvline(begin * step, color="white", linewidth=1, linestyle="--")
            above.text(begin * step + 0.01, features.FILTERS - 1, WORDS[word], color="white", va="top")


def draw_lattice(edges: Sequence["Edge"], steps: int, seconds: float, path: Path) -> None:
    """Draw a lattice of words over time; the likelier a word, the thicker."""
    levels: list[int] = []
    for k, edge in enumerate(edges):
        taken = {levels[j] for j in range(k) if edges[j].end > edge.start and edges[j].start < edge.end}
        levels.append(next(level for level in range(len(edges) + 1) if level not in taken))
    height = max(levels, default=0) + 1
    with figure(path, (1100, 140 + 60 * height)) as drawing:
        axes = drawing.subplots()
        for edge, level in zip(edges, levels, strict=True):
            ends = np.array([edge.start, edge.end]) * seconds / steps
            axes.plot(ends, [level, level], "o-", color=COLOURS[0], linewidth=0.5 + 5 * edge.chance, markersize=4)
            text = f"{WORDS[edge.word]} {edge.chance:.0%}"
            axes.text(ends.mean(), level + 0.12, text, ha="center", color=INK, fontsize="small")
        axes.set(xlabel="s", ylim=(-0.5, height), xlim=(0, seconds))
        axes.set_yticks([])
        axes.set_title("What may have been said, and how likely each word is", loc="left", color=PALE)

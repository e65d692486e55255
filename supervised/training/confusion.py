"""The picture of a confusion matrix: what was predicted where something else was true."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervised.training.plots import INK, figure


def confusion_matrix(truth: NDArray[Any], predicted: NDArray[Any], n: int) -> NDArray[np.int64]:
    """``(n, n)`` counts of rows: true class down, predicted class across."""
    return np.bincount(truth * n + predicted, minlength=n * n).reshape(n, n)


def draw_confusion(matrix: NDArray[np.int64], names: Sequence[str], path: Path, title: str) -> None:
    """Draw counts ``(n, n)`` as shares of their true class, with the counts; raises as `plots.figure` does."""
    n = len(names)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)
    side = 240 + 70 * n
    with figure(path, (side, side)) as drawing:
        axes = drawing.add_subplot()
        axes.grid(False)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for true, predicted in np.argwhere(matrix):
            colour = "white" if shares[true, predicted] > 0.6 else INK
            text = f"{shares[true, predicted]:.0%}\n{matrix[true, predicted]:,}"
            axes.text(predicted, true, text, ha="center", va="center", color=colour, fontsize="small")
        axes.set_xticks(range(n), names, rotation=45, ha="right")
        axes.set_yticks(range(n), [f"{name} ({total:,})" for name, total in zip(names, totals[:, 0], strict=True)])
        axes.tick_params(length=0)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true (rows)")
        axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=12)

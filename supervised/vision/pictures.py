"""Pictures of what a classifier has learnt: its first weights, and what layers make of an image (chapters 3 and 4)."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.training.plots import figure

Array = NDArray[Any]

MOST = 100  # neurons shown of the first layer
MAPS = 8  # shown of each later one
LAYERS = 12  # shown at most: of deeper networks some, evenly spread


def draw(network: nn.Module, images: Tensor, folder: Path) -> Iterator[Path]:
    """Draw what a network and its maps of one image ``(1, colours, height, width)`` look like; names each picture."""
    if draw_weights(network, tuple(images.shape[1:]), folder / "weights.png"):
        yield folder / "weights.png"
    if draw_features(network, images, folder / "features.png"):
        yield folder / "features.png"


def draw_weights(network: nn.Module, shape: tuple[int, ...], path: Path) -> bool:
    """Draw what each neuron of the first layer looks for, light where it wants light, as the mean over colours.

    Args:
        shape: of an image as the network sees it (colours, height, width).

    Returns:
        Whether there was anything to draw: a first layer of neurons or filters.
    """
    first = next((one for one in network.modules() if isinstance(one, nn.Linear | nn.Conv2d)), None)
    if first is None:
        return False
    weights = first.weight.detach().float().cpu()[:MOST]
    pictures = (weights.reshape(len(weights), *shape) if isinstance(first, nn.Linear) else weights).mean(1).numpy()
    side = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / side)
    with figure(path, (60 * side + 20, 60 * rows + 80)) as drawing:
        kind = "neurons" if isinstance(first, nn.Linear) else "filters"
        grid(drawing, [list(pictures[side * k : side * (k + 1)]) for k in range(rows)])
        drawing.suptitle(f"Weights of the first {len(pictures)} {kind}", x=0.02, ha="left", fontsize="medium")
    return True


@torch.inference_mode()
def draw_features(network: nn.Module, images: Tensor, path: Path) -> bool:
    """Draw what layers with maps make of one image ``(1, colours, height, width)``, some maps of each.

    Returns:
        Whether any layer has maps.
    """
    made: list[tuple[str, Tensor]] = []

    def keep(module: nn.Module, _: Any, output: Tensor) -> None:
        if output.ndim == 4:
            made.append((type(module).__name__, output[0].detach().float().cpu()))

    kinds = nn.Conv2d, nn.MaxPool2d
    hooks = [one.register_forward_hook(keep) for one in network.modules() if isinstance(one, kinds)]
    try:
        network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not made:
        return False
    made = made[:: math.ceil(len(made) / LAYERS)]
    rows = [[images[0].float().cpu().mean(0).numpy()], *(list(maps[:MAPS].numpy()) for _, maps in made)]
    names = ["image", *(f"{name} {tuple(maps.shape)}" for name, maps in made)]
    with figure(path, (90 * MAPS + 180, 95 * len(rows) + 30)) as drawing:
        grid(drawing, rows, names)
    return True


def grid(drawing: Figure, rows: list[list[Array]], names: list[str] | None = None) -> None:
    """Gray pictures in rows, each with its own range from black to white."""
    axes = drawing.subplots(len(rows), max(map(len, rows)), squeeze=False)
    for k, line in enumerate(axes):
        for place in line:
            place.set_axis_off()
        for place, picture in zip(line, rows[k], strict=False):
            place.imshow(picture, cmap="gray", interpolation="nearest")
        if names is not None:
            line[0].set_title(names[k], loc="left", fontsize="x-small")

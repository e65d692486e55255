"""Paint a picture in the style of another: ``python -m supervised.style CONTENT STYLE [--network NAME] ...``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from supervised.data.photographs import PHOTOGRAPHS
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import require
from supervised.training.plots import figure
from supervised.training.seeding import set_threads, torch_generator
from supervised.vision.style_transfer import (
    Layers,
    Losses,
    Objective,
    bytes_of,
    default_layers,
    picture,
    pretrained,
    repaint,
)

PROG = "python -m supervised.style"
DESCRIPTION = f"Paint a picture in the style of another. Pictures are files, or {', '.join(PHOTOGRAPHS)}."


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    content: Annotated[str, tyro.conf.Positional]
    """What is painted."""
    style: Annotated[str, tyro.conf.Positional]
    """As what it is painted."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("style.png")
    """Where to: a PNG or SVG file of all three."""
    network: str = "mobilenet_v2"
    """The network that compares them, a name in `supervised.vision.networks`."""
    weights: str = "weights/mobilenet_v2-b0353104.pth"
    """Its weights: a .pth file, one of `supervised.data.sources`, or a run's folder."""
    content_layers: tuple[str, ...] = ()
    """Layers whose maps are to be the content's; none: those that suit the network."""
    style_layers: tuple[str, ...] = ()
    """Layers whose Gram matrices are to be the style's; none: those that suit the network."""
    side: int = 160
    """Pixels of the longer side."""
    steps: int = 100
    """Of the optimizer."""
    optimizer: str = "lbfgs"
    """lbfgs or adam."""
    content_weight: float = 1.0
    """Weight of the relative error of the content."""
    style_weight: float = 10.0
    """Weight of the relative error of the style."""
    smoothness: float = 1.0
    """Weight of the mean square difference of neighbouring pixels."""
    noise: bool = False
    """Begin with noise, as the book does, instead of the content."""
    seed: int = 0
    """Seed of the noise."""
    threads: int = 1
    """Threads of torch."""

    def __post_init__(self) -> None:
        require(self.steps >= 1, "steps", self.steps, "use at least 1")
        for name in ("content_weight", "style_weight", "smoothness"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = sys.argv[1:] if arguments is None else arguments
        _main(parse(Options, given, prog=PROG, description=DESCRIPTION))


def _main(options: Options) -> None:
    set_threads(options.threads)
    side, steps = (48, 2) if SMOKE else (options.side, options.steps)
    content, style = picture(options.content, side), picture(options.style, side)
    if not (options.content_layers and options.style_layers):
        default = default_layers(options.network)
    layers = Layers(options.content_layers or default.content, options.style_layers or default.style)
    weights = Losses(options.content_weight, options.style_weight, options.smoothness)
    objective = Objective(pretrained(options.network, options.weights), layers, weights, style)
    start = torch.rand(content.shape, generator=torch_generator(options.seed, "noise")) if options.noise else content
    with figure(options.out, (1000, 380)) as drawing:  # a bad name is refused before minutes of work
        painted, history = repaint(objective, content, start, steps, options.optimizer)
        titles = options.content, f"painted as {options.style}", options.style
        for axes, image, title in zip(drawing.subplots(1, 3), (content, painted, style), titles, strict=True):
            axes.imshow(bytes_of(image)[0])
            axes.set_title(title, loc="left", fontsize="medium")
            axes.set_axis_off()
    for name in history[0]:
        print(f"{name:12}  {history[0][name]:.4f} -> {history[-1][name]:.4f}")
    print(f"{'picture':12}  {options.out}")


if __name__ == "__main__":
    main()

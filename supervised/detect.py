"""Find objects in a picture: ``python -m supervised.detect PICTURE --cfg FILE --weights FILE``, or ``--run RUN``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor

from supervised.data.formats import resized
from supervised.data.photographs import PHOTOGRAPHS, photograph
from supervised.registry import find
from supervised.training.configuration import from_json
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, require
from supervised.training.plots import figure
from supervised.training.run import read_config, read_state
from supervised.training.seeding import set_threads
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.darknet import read_cfg
from supervised.vision.detection.darknet_weights import load_weights
from supervised.vision.detection.detector import best, load
from supervised.vision.detection.judging import draw_boxes
from supervised.vision.detection.yolo import candidates

Array = NDArray[Any]

PROG = "python -m supervised.detect"
DESCRIPTION = (
    f"Find objects in a picture, a file or {', '.join(PHOTOGRAPHS)}, with a network of Darknet's files or of a run."
)
SIDE = 800  # of the longer side of the picture that is drawn, px
HEAD = 40  # above it for the title, px


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    picture: Annotated[str, tyro.conf.Positional]
    """Where objects are looked for."""
    cfg: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """The network as Darknet describes it, such as yolov3.cfg."""
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Its weights as Darknet writes them, such as yolov3.weights."""
    names: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Names of its classes, a line each, such as coco.names; none: their numbers from 0 on."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Instead of these files the folder of a run of tiny-yolo or two-stage, whose data must be at hand."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")] = Path("boxes.png")
    """Where the picture is drawn to with the boxes: a PNG or SVG file."""
    least_score: float = 0.5
    """Boxes that are told with a lower score are none."""
    overlap: float = 0.5
    """Intersection over union from which the surer one of two boxes of a class stands for both."""
    threads: int = 1
    """Threads of torch."""

    def __post_init__(self) -> None:
        for name in ("least_score", "overlap"):
            require(0 < getattr(self, name) < 1, name, getattr(self, name), "use a number between 0 and 1")
        files = self.cfg is not None and self.weights is not None
        some = any(one is not None for one in (self.cfg, self.weights, self.names))
        if files == (self.run is not None) or (some and not files):
            raise UserError("give both --cfg and --weights, or --run alone")


class Finder(NamedTuple):
    """A trained network that says what may be in pictures."""

    size: tuple[int, int]
    """Height and width of the pictures that it sees, px."""
    classes: Sequence[str]
    candidates: Callable[[Array], list[Objects]]
    """Of pictures ``(batch, height, width, 3)`` uint8, before suppression."""


def of_files(cfg: Path, weights: Path, names: Path | None) -> Finder:
    """What Darknet's files describe.

    Raises:
        UserError, CorruptFile: files that are not there, damaged, or do not fit together.
    """
    network = read_cfg(cfg).eval()
    load_weights(network, weights)
    classes = [str(number) for number in range(network.classes)]
    if names is not None:
        classes = read_names(names)
        count = f"it names {len(classes)} classes, and {cfg} has {network.classes}"
        require(len(classes) == network.classes, "names", str(names), count)

    def seen(images: Array) -> Tensor:
        return torch.from_numpy(images).movedim(3, 1).float() / 255

    return Finder((network.height, network.width), classes, lambda images: candidates(network, seen(images)))


def read_names(path: Path) -> list[str]:
    """The names of classes in a text file, a line each; raises `UserError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"cannot read {path}: {reason}; give a text file with a class in each line") from error
    return [line.strip() for line in lines if line.strip()]


def of_run(folder: Path) -> Finder:
    """A run's detector, for pictures of the size of its scenes.

    Raises:
        UserError: no run of a detector, or its data are not at hand.
    """
    record = read_config(folder)
    model = find(record["algorithm"])
    if model.detector is None:
        raise UserError(f"{folder} is a run of {record['algorithm']}: give one of tiny-yolo or two-stage")
    config = from_json(model.config, record["config"])
    scenes = load(config.data)
    detector = model.detector(config, read_state(folder), scenes)
    height, width = scenes.test.images.shape[1:3]
    return Finder((height, width), detector.classes, lambda images: detector.candidates(detector.inputs(images)))


@torch.inference_mode()
def detect(finder: Finder, picture: Array, least_score: float, overlap: float) -> Objects:
    """What is in a picture ``(height, width, 3)`` uint8, the surest first, boxes in its own pixels.

    The network sees it brought to its own size, whatever the proportions, as the book's example does.
    """
    told = finder.candidates(resized(picture, finder.size)[None])[0]
    found = best(told, least_score, overlap)
    scale = [there / seen for there, seen in zip(picture.shape[1::-1], finder.size[::-1], strict=True)]
    return found._replace(boxes=found.boxes * torch.tensor(2 * scale))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = sys.argv[1:] if arguments is None else arguments
        _main(parse(Options, given, prog=PROG, description=DESCRIPTION))


def _main(options: Options) -> None:
    set_threads(options.threads)
    picture = photograph(options.picture)
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    with figure(options.out, (max(round(scale * width), 1), max(round(scale * height), 1) + HEAD)) as drawing:
        if options.cfg is not None and options.weights is not None:
            finder = of_files(options.cfg, options.weights, options.names)
        else:
            assert options.run is not None, "Options has seen to it"
            finder = of_run(options.run)
        found = detect(finder, picture, options.least_score, options.overlap)
        axes = drawing.add_subplot()
        axes.set_axis_off()
        axes.imshow(picture, extent=(0, width, height, 0))
        draw_boxes(axes, found, finder.classes, height, scale=2)
        axes.set(xlim=(0, width), ylim=(height, 0))  # whatever is told
        axes.set_title(options.picture, loc="left", fontsize="medium")
    names = [finder.classes[label] for label in found.labels.tolist()]
    longest = max(map(len, (*names, "class")))
    print(f"{'class':{longest}}  score  x_min  y_min  x_max  y_max")
    for name, score, box in zip(names, found.scores.tolist(), found.boxes.tolist(), strict=True):
        print(f"{name:{longest}}  {score:5.2f}  " + "  ".join(f"{one:5.0f}" for one in box))
    print(f"{len(names)} found, drawn in {options.out}")


if __name__ == "__main__":
    main()

"""How detectors are judged, and pictures of what they tell."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from supervised.data.scenes import Boxed, Scenes
from supervised.judgement import Judgement
from supervised.training.plots import COLOURS, figure
from supervised.vision.detection.average_precision import Objects, average_precisions, matches
from supervised.vision.detection.detector import Detector, objects

Array = NDArray[Any]

SURE = 0.5  # score from which a box is drawn, and counts for precision and recall
SHOWN = (2, 4)  # rows and columns of scenes in a picture
SIDE = 240  # of a scene there, px
MEASURES = {"map50": ".2%", "precision": ".2%", "recall": ".2%"}


def judgement(detector: Detector, scenes: Scenes[Boxed], name: str) -> Judgement:
    """How well a trained detector finds what is in the test scenes of data of that name; see `Model`."""
    told, there = detector.detect(scenes.test.images), objects(scenes.test)
    found = average_precisions(told, there, len(scenes.classes))
    sure = [one.take(one.scores >= SURE) for one in told]
    right = sum(
        int(matches(one.of(label), true.of(label)).sum())
        for one, true in zip(sure, there, strict=True)
        for label in range(len(scenes.classes))
    )
    count, said = len(scenes.test.boxes), sum(len(one.boxes) for one in sure)
    measures = {
        "map50": float(np.nanmean(found)) if np.isfinite(found).any() else 0.0,
        "precision": right / max(said, 1),
        "recall": right / max(count, 1),
    }
    each = {one: float(ap) for one, ap in zip(scenes.classes, found, strict=True) if np.isfinite(ap)}
    details = {"average_precision": each, "examples": len(told), "boxes": count}

    def draw(folder: Path) -> Iterator[Path]:
        draw_scenes(scenes.test.images, sure, there, scenes.classes, folder / "detections.png", name)
        yield folder / "detections.png"

    return Judgement(f"{name}, {len(told):,} test scenes with {count:,} boxes", measures, details, draw)


def draw_scenes(
    images: Array, told: Sequence[Objects], there: Sequence[Objects], classes: Sequence[str], path: Path, name: str
) -> None:
    """Draw the first scenes with what is there, white, and what was told, in the colours of the classes."""
    rows, columns = SHOWN
    with figure(path, (SIDE * columns, SIDE * rows + 40)) as drawing:
        places = drawing.subplots(rows, columns, squeeze=False).ravel()
        for place in places:
            place.set_axis_off()
        for place, image, said, true in zip(places, images, told, there, strict=False):
            place.imshow(image, extent=(0, image.shape[1], image.shape[0], 0), interpolation="nearest")
            for box in true.boxes.tolist():
                _outline(place, box, "white", linewidth=3)
            draw_boxes(place, said, classes, len(image), scale=1)
            place.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))  # whatever is told
        drawing.suptitle(f"{name}: white is there, coloured was told", x=0.02, ha="left", fontsize="medium")


def draw_boxes(axes: Axes, said: Objects, classes: Sequence[str], height: int, scale: float) -> None:
    """Draw boxes over an image of that height, px, with their classes' names and their scores.

    Args:
        scale: of lines and letters; 1 suits images drawn `SIDE` pixels wide.
    """
    for box, label, score in zip(said.boxes.tolist(), said.labels.tolist(), said.scores.tolist(), strict=True):
        colour = COLOURS[label % (len(COLOURS) - 1)]
        _outline(axes, box, colour, linewidth=1.2 * scale)
        frame = {"facecolor": colour, "linewidth": 0, "pad": 0.6}
        text = f"{classes[label]} {score:.2f}"
        above = box[1] > height / 20  # there is room for it
        where: dict[str, Any] = {"va": "bottom" if above else "top", "clip_on": True}
        axes.text(max(box[0], 0), max(box[1], 0), text, color="white", fontsize=6 * scale, bbox=frame, **where)


def _outline(axes: Axes, box: Sequence[float], colour: str, linewidth: float) -> None:
    x_min, y_min, x_max, y_max = box
    axes.plot(
        [x_min, x_max, x_max, x_min, x_min], [y_min, y_min, y_max, y_max, y_min], color=colour, linewidth=linewidth
    )

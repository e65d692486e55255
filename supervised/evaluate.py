"""Judge a supervised run on its test data: ``python -m supervised.evaluate RUN [--require "accuracy>=0.96"] ...``."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy.stats import binomtest

from supervised.data import DataSet, load
from supervised.registry import find
from supervised.training.checkpoint import atomic_write
from supervised.training.configuration import from_json
from supervised.training.confusion import confusion_matrix, draw_confusion
from supervised.training.doors import Rules, door, parse
from supervised.training.errors import UserError, writing
from supervised.training.run import read_config, read_finished, read_state
from supervised.training.statistics import judge, requirement
from supervised.vision.classification import Classifier, measures
from supervised.vision.pictures import draw_features, draw_weights

PROG = "python -m supervised.evaluate"
DESCRIPTION = "Judge a trained model on data that its training has not seen."
JUDGED: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "accuracy": lambda result: result["accuracy"],
    "ci95_low": lambda result: result["ci95"][0],
    "loss": lambda result: result["loss"],
}


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    data: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Judge on the test part of this data set instead of its own; inputs and classes must be alike."""
    require: Rules = ()
    """Requirements such as "accuracy>=0.96"; exit code 1 when one is missed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the result (default: evaluation.json in the run's folder)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    options = parse(Options, arguments, prog=PROG, description=DESCRIPTION)
    requirements = [requirement(text, JUDGED) for text in itertools.chain.from_iterable(options.require)]
    record = read_config(options.run)
    algorithm = find(record["algorithm"])
    config = from_json(algorithm.config, record["config"])
    name = options.data or config.data
    data = load(name)
    model = algorithm.agent(config, data.test.inputs, data.classes)
    saved = read_state(options.run)["classifier"]
    try:
        model.load_state_dict(saved)
    except RuntimeError as error:
        raise UserError(
            f"{name} does not fit what {options.run} was trained on: {str(error).splitlines()[-1].strip()}"
        ) from error

    started = time.perf_counter()
    probabilities = model.probabilities(data.test.inputs)
    seconds = time.perf_counter() - started
    labels, told = data.test.labels, probabilities.argmax(1)
    n = len(labels)
    interval = binomtest(int((told == labels).sum()), n).proportion_ci(0.95, "wilson")
    result = {
        **measures(probabilities, labels),
        "ci95": [float(interval.low), float(interval.high)],
        "examples": n,
        "protocol": f"{name}, {n:,} test examples",
        "seconds": round(seconds, 3),
        "algorithm": record["algorithm"],
        "training": read_finished(options.run),
    }
    print(f"{record['algorithm']} on {result['protocol']}")
    print(f"accuracy {result['accuracy']:.2%}   95 % interval {interval.low:.2%} to {interval.high:.2%}")
    print(f"loss     {result['loss']:.4f}")
    print(f"time     {seconds:.2f} s")
    target = options.json or options.run / "evaluation.json"
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, json.dumps(result, indent=1) + "\n")
    print(f"written  {target}")
    for picture in draw(model, data, told, target.parent, name):
        print(f"picture  {picture}")
    judge(requirements, result)


def draw(model: Classifier, data: DataSet, told: NDArray[np.int64], folder: Path, name: str) -> Iterator[Path]:
    """Draw what was told, and of images the first weights and what layers make of the first test image."""
    path = folder / "confusion.png"
    draw_confusion(
        confusion_matrix(data.test.labels, told, len(data.classes)), data.classes, path, f"{name}: what was told"
    )
    yield path
    if data.test.inputs.ndim > 2:
        image = data.test.inputs[0]
        shape = (*image.shape[2:], 1)[:1] + image.shape[:2]
        if draw_weights(model, shape, folder / "weights.png"):
            yield folder / "weights.png"
        if draw_features(model, image, folder / "features.png"):
            yield folder / "features.png"


if __name__ == "__main__":
    main()

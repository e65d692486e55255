"""Make scenes to learn from: ``python -m tools.make_dataset --task segmentation|detection --out FOLDER``.

The scripted expert drives CarRacing over one track a seed. At random moments a scene is taken: the car is moved a
little, so that scenes are not only what a good driver sees, and drawn. Labels are those of the polygons that the
picture is drawn from; random colours and noise are in the images alone.
"""

import dataclasses
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.imitation.experts import Expert
from agents.rollout import make_lanes
from agents.settings import FIRST_EVALUATION_SEED
from envs.car_racing import scenes
from envs.car_racing.fast import SEGMENTATION_CLASSES
from envs.car_racing.state import State
from supervised.data.scenes import DETECTION_CLASSES
from supervised.training.checkpoint import atomic_write
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import require, writing
from supervised.training.seeding import generators

PROG = "python -m tools.make_dataset"
DESCRIPTION = "Make scenes of CarRacing with exact labels, to learn segmentation or detection from."
ENV = "skidpad/CarRacing-v0"
LANES = 16  # tracks driven side by side
FIRST_STEP, LAST_STEP = 50, 400  # of a drive: the camera has come down; no lap has ended
SHIFT, TURN = 3.0, 0.3  # standard deviations of what moves the car, m and rad
SCALES = (0.8, 2.0)  # of other cars
CAR_PIXELS, KERB_PIXELS = 12, 4  # that show, at least, of what gets a box
TRIES = 10  # to find a place for another car
DETECTED_KERB, DETECTED_CAR = map(DETECTION_CLASSES.index, ("kerb", "car"))

Array = NDArray[Any]


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    task: Literal["segmentation", "detection"]
    """What the labels are: the class of every pixel, or boxes about kerbs and cars."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where to; the folder must be new or empty."""
    env: Annotated[str, tyro.conf.arg(metavar="ID")] = ENV
    """The environment: skidpad/CarRacing-v0."""
    scenes: int = 2000
    """Scenes to learn from."""
    test_scenes: int = 400
    """Scenes to be judged by, on other tracks."""
    scenes_per_track: int = 4
    """Scenes of a drive, at random moments."""
    seed: int = 0
    """Seed of the first track, the next one has SEED + 1; tracks of the test scenes have 10,000 more."""
    domain_randomize: bool = False
    """Random colours of road and grass for every track, and of other cars."""
    noise: float = 0.0
    """Standard deviation of the noise on every pixel's colours, levels."""
    cars: int | None = None
    """Other cars in a scene, at most (default: 3 for detection, none for segmentation)."""


class Scene(NamedTuple):
    """A picture and what is in it."""

    image: Array  # (96, 96, 3) uint8
    mask: Array  # (96, 96) uint8
    boxes: list[tuple[int, int, int, int]]
    labels: list[int]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        make(parse(Options, sys.argv[1:] if arguments is None else arguments, prog=PROG, description=DESCRIPTION))


def make(options: Options) -> None:
    """Make the data set; its folder appears when all of it is written."""
    for name, least in (("scenes", 1), ("test_scenes", 1), ("scenes_per_track", 1), ("noise", 0), ("seed", 0)):
        require(getattr(options, name) >= least, name, getattr(options, name), f"use {least} or more")
    require(options.cars is None or options.cars >= 0, "cars", options.cars, "use 0 or more")
    require(options.env == ENV, "env", options.env, f"labels are known of {ENV}")
    if SMOKE:
        least = {"scenes": min(options.scenes, 40), "test_scenes": min(options.test_scenes, 8)}
        options = dataclasses.replace(options, **least)
    tracks = -(-max(options.scenes, options.test_scenes) // options.scenes_per_track)
    remedy = f"tracks from {FIRST_EVALUATION_SEED} on are for tests, and {tracks} are asked for"
    require(options.seed + tracks <= FIRST_EVALUATION_SEED, "seed", options.seed, remedy)
    with writing(options.out):
        used = options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir()))
    require(not used, "out", str(options.out), "it is not empty: choose another folder")

    files: dict[str, bytes] = {}
    counts = {}
    parts = ("train", options.scenes, options.seed), ("test", options.test_scenes, FIRST_EVALUATION_SEED + options.seed)
    for part, count, seed in parts:
        taken = list(take(options, count, seed))
        arrays = segmentation(taken) if options.task == "segmentation" else detection(taken)
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        files[f"{part}.npz"] = content.getvalue()
        counts[part] = {name: len(array) for name, array in arrays.items() if name in ("images", "boxes")}
    classes = SEGMENTATION_CLASSES if options.task == "segmentation" else DETECTION_CLASSES
    settings = {key: value for key, value in dataclasses.asdict(options).items() if key not in ("task", "out", "env")}
    record = {"env": options.env, "task": options.task, "classes": classes, "settings": settings, "counts": counts}
    files["scenes.json"] = (json.dumps(record, indent=1) + "\n").encode()
    write_folder(options.out, files)
    told = "; ".join(
        ", ".join(f"{n:,} {name}" for name, n in one.items()) + f" to {part}" for part, one in counts.items()
    )
    print(f"{options.out}: {told}")


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    """Write the files of a folder so that it is there with all of them or not at all; raises `UserError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            temporary.mkdir(parents=True)
            for name, data in files.items():
                atomic_write(temporary / name, data)
            os.replace(temporary, path)  # an empty folder gives way
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def take(options: Options, count: int, seed: int) -> Iterator[Scene]:
    """So many scenes, track by track from the seed on."""
    seeds = range(seed, seed + -(-count // options.scenes_per_track))
    for first in seeds[::LANES]:
        for scene in drive(options, range(first, min(first + LANES, seeds.stop))):
            if count == 0:
                return
            count -= 1
            yield scene


def drive(options: Options, seeds: range) -> Iterator[Scene]:
    """The scenes of some tracks that are driven side by side, track by track."""
    keywords = {"observation": "none", "domain_randomize": options.domain_randomize, "max_episode_steps": None}
    batch = make_lanes(options.env, len(seeds), keywords, autoreset_mode=AutoresetMode.DISABLED)
    rngs = [generators(seed, "scenes")["scenes"] for seed in seeds]
    moments = [np.sort(rng.choice(LAST_STEP - FIRST_STEP, options.scenes_per_track)) + FIRST_STEP for rng in rngs]
    expert = Expert(batch)
    taken: list[list[Scene]] = [[] for _ in seeds]
    batch.reset(seed=list(seeds))  # type: ignore[arg-type]
    fields = batch.unwrapped.fields  # type: ignore[attr-defined]
    for step in range(1, LAST_STEP):
        batch.step(expert.act())
        for lane, rng in enumerate(rngs):
            for _ in range(np.count_nonzero(moments[lane] == step)):
                taken[lane].append(look(options, scenes.still(fields, lane), rng))
    batch.close()
    for track in taken:
        yield from track


def look(options: Options, state: State, rng: np.random.Generator) -> Scene:
    """One scene, from the state of a drive."""
    scenes.move_car(state, rng.normal(0, SHIFT), rng.normal(0, TURN))
    image, mask = scenes.draw(state)
    cars = [mask == scenes.CAR]
    most = options.cars if options.cars is not None else 3 * (options.task == "detection")
    for _ in range(rng.integers(most + 1)):
        other = place_car(options, state, rng, image, mask == scenes.CAR)
        if other is not None:
            cars.append(other)
            mask[other] = scenes.CAR
    kerbs = [scenes.kerb_pixels(state, run) & (mask == scenes.KERB) for run in scenes.kerb_runs(state)]
    found = [(DETECTED_KERB, pixels) for pixels in kerbs if pixels.sum() >= KERB_PIXELS]
    found += [(DETECTED_CAR, pixels) for pixels in cars if pixels.sum() >= CAR_PIXELS]
    if options.noise:
        noisy = image + rng.normal(0, options.noise, image.shape)
        image = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return Scene(image, mask, [scenes.bounding_box(pixels) for _, pixels in found], [label for label, _ in found])


def place_car(options: Options, state: State, rng: np.random.Generator, image: Array, others: Array) -> Array | None:
    """Draw a car where none is; its pixels (96, 96) bool, or None where no place was found."""
    color = rng.uniform(0, 255, 3) if options.domain_randomize else np.array(scenes.HULL_COLOR)
    for _ in range(TRIES):
        column, row = rng.uniform((0, 0), (scenes.COLUMNS, scenes.ROWS))
        place = scenes.Placement(column, row, rng.uniform(-np.pi, np.pi), rng.uniform(*SCALES))
        drawn = image.copy()
        covered = scenes.draw_car(state, place, color, drawn)
        if covered.sum() >= CAR_PIXELS and not (covered & others).any():
            image[:] = drawn
            return covered
    return None


def segmentation(taken: Sequence[Scene]) -> dict[str, Array]:
    """The arrays of a part of a data set for segmentation."""
    return {"images": np.stack([one.image for one in taken]), "masks": np.stack([one.mask for one in taken])}


def detection(taken: Sequence[Scene]) -> dict[str, Array]:
    """The arrays of a part of a data set for detection."""
    return {
        "images": np.stack([one.image for one in taken]),
        "boxes": np.array([box for one in taken for box in one.boxes], np.float32).reshape(-1, 4),
        "labels": np.array([label for one in taken for label in one.labels], np.int64),
        "scene": np.repeat(np.arange(len(taken)), [len(one.boxes) for one in taken]).astype(np.int64),
    }


if __name__ == "__main__":
    main()

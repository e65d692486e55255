"""Train an agent: ``python -m agents.train ALGORITHM [--preset NAME] [--env ID] ...``."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.registry import CATALOGUE, Algorithm, find, preset
from agents.settings import from_json, to_json
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import UserError, require
from supervised.training.run import Run, read_config

PROG = "python -m agents.train"
USAGE = f"""usage: {PROG} ALGORITHM [--preset NAME] [--env ID] [--seed N] [--run-dir DIR] [options]
       {PROG} ALGORITHM --help    every setting of an algorithm, with its meaning
       {PROG} --list              all algorithms
       {PROG} --resume DIR        continue a run to its end, as if it had never stopped"""


#: the most that SKIDPAD_SMOKE leaves of each setting
SMOKE_BUDGET = {
    "total_steps": 1_500,
    "learning_starts": 200,
    "replay_size": 100_000,
    "lanes": 16,
    "episodes": 50,
    "epochs": 1,
    "rounds": 2,
    "round_steps": 40,
    "updates": 1,
    "population": 8,
    "simulations": 8,
    "play_simulations": 8,
    "evaluate_every": 1_024,
    "evaluate_episodes": 2,
    "log_every": 100,
}


@dataclass(frozen=True)
class Door:
    """Options of the command itself."""

    preset: str = "default"
    """Named settings to start from; the other options override them."""
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run's folder; by default runs/ENV/ALGORITHM/PRESET-sSEED."""
    seeds: int = 1
    """Number of runs, one after the other, with seeds SEED, SEED + 1, ..."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Continue the run in this folder."""
    quiet: bool = False
    """No progress."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    if "--list" in arguments:
        width = max(map(len, CATALOGUE))
        print("\n".join(f"{name:{width}}  {summary}" for name, (_, summary) in CATALOGUE.items()))
        return
    name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
    if name is None and _value(arguments, "resume") is None:
        print(USAGE)
        if arguments[:1] in (["-h"], ["--help"]):
            return
        raise UserError(f"name an algorithm; {PROG} --list shows all")
    resumed = _value(arguments, "resume")
    record = read_config(Path(resumed)) if resumed is not None else None
    if record is not None:
        if name not in (None, record["algorithm"]):
            raise UserError(f"{resumed} is a run of {record['algorithm']}, not of {name}: leave the name out")
        name = record["algorithm"]
    assert name is not None
    algorithm = find(name)
    if record is not None:
        start = from_json(algorithm.config, record["config"])
        options, config = _options(name, algorithm, start, arguments)
        _resume(Path(str(resumed)), algorithm, start, config, options)
        return
    options, config = configuration(name, arguments)
    require(options.seeds >= 1, "seeds", options.seeds, "use at least 1")
    configs = [dataclasses.replace(config, seed=config.seed + k) for k in range(options.seeds)]
    for one in configs:
        Run.refuse_used(_folder(options, name, one))  # all of them, before the first has trained for hours
    for one in configs:
        run = Run.create(
            _folder(options, name, one),
            algorithm=name,
            preset=options.preset,
            config=to_json(one),
            total=algorithm.total(one),
            unit=algorithm.unit,
            progress=not options.quiet,
        )
        _train(algorithm, one, run, options)


def configuration(name: str, arguments: list[str]) -> tuple[Door, Any]:
    """The door's own options, and the configuration of a new training of the algorithm ``name``."""
    start = preset(_value(arguments, "preset") or "default", name)
    options, config = _options(name, find(name), start, arguments)
    return options, _cut(config) if SMOKE else config


def _value(arguments: list[str], option: str) -> str | None:
    """The value of an option that decides how the others are read."""
    for k, argument in enumerate(arguments):
        if argument == f"--{option}":
            return arguments[k + 1] if k + 1 < len(arguments) else None
        if argument.startswith(f"--{option}="):
            return argument.partition("=")[2]
    return None


def _options(name: str, algorithm: Algorithm, start: Any, arguments: list[str]) -> tuple[Door, Any]:
    """The door's own options and the algorithm's configuration."""
    combined = dataclasses.make_dataclass(
        "Combined",
        [
            ("door", Annotated[Door, tyro.conf.arg(name="")], dataclasses.field(default=Door())),
            ("config", Annotated[algorithm.config, tyro.conf.arg(name="")], dataclasses.field(default=start)),
        ],
    )
    presets = f"{', '.join(algorithm.presets)}"
    description = f"{name}: {CATALOGUE[name][1]}. Presets: {presets}."
    parsed = parse(combined, arguments, prog=f"{PROG} {name}", description=description)
    return parsed.door, parsed.config


def _cut(config: Any) -> Any:
    given = {name: getattr(config, name, None) for name in SMOKE_BUDGET}
    return dataclasses.replace(
        config, **{name: min(value, SMOKE_BUDGET[name]) for name, value in given.items() if value is not None}
    )


def _folder(options: Door, name: str, config: Any) -> Path:
    if options.run_dir is not None:
        return options.run_dir if options.seeds == 1 else options.run_dir / f"s{config.seed}"
    return Path("runs") / str(config.env).replace("/", "-") / name / f"{options.preset}-s{config.seed}"


def _resume(folder: Path, algorithm: Algorithm, saved: Any, config: Any, options: Door) -> None:
    changes = [
        f"{key} {json.dumps(old)} -> {json.dumps(to_json(config)[key])}"
        for key, old in to_json(saved).items()
        if old != to_json(config)[key]
    ]
    if changes:
        raise UserError(f"a resumed run keeps its settings, and these differ: {', '.join(changes)}; leave them out")
    run = Run.resume(folder, progress=not options.quiet)
    if run.finished:
        print(f"{folder} is finished: nothing to do")
        return
    _train(algorithm, config, run, options)


def _train(algorithm: Algorithm, config: Any, run: Run, options: Door) -> None:
    assert run.folder is not None
    try:
        with run:
            algorithm.train(config, run)
    except UserError:
        run.discard_unused()
        raise
    from supervised.training.plots import draw_curve  # slow to import: a signal should find its handler before

    curve = draw_curve(run.folder)
    if not options.quiet:
        print(f"trained in {run.seconds:.1f} s: {run.folder}")
        if curve is not None:
            print(f"curve:     {curve}")
        print(f"evaluate:  python -m agents.evaluate {run.folder}")


if __name__ == "__main__":
    main()

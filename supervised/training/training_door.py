"""The door of training: a command with algorithms by name, presets, settings as options, several seeds and resuming."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from supervised.training.configuration import from_json, to_json
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import UserError, require
from supervised.training.registry import Algorithm, Registry
from supervised.training.run import Run, read_config


@dataclass(frozen=True)
class Options:
    """Options of the command itself."""

    preset: str = "default"
    """Named settings to start from; the other options override them."""
    run_dir: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run's folder; by default runs/SUBJECT/ALGORITHM/PRESET-sSEED, of the environment or the data."""
    seeds: int = 1
    """Number of runs, one after the other, with seeds SEED, SEED + 1, ..."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Continue the run in this folder."""
    quiet: bool = False
    """No progress."""


@dataclass(frozen=True)
class TrainingDoor:
    """A command that trains what a registry knows."""

    prog: str
    """How it is started."""
    evaluate: str
    """How what it trained is judged: the command before the run's folder."""
    registry: Registry
    subject: str
    """The setting that says what is learnt from: "env" or "data"."""
    smoke_budget: Mapping[str, int]
    """The most that SKIDPAD_SMOKE leaves of each setting."""

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """The command line."""
        with door():
            self._main(list(sys.argv[1:] if arguments is None else arguments))

    def _usage(self) -> str:
        noun = self.registry.noun.upper()
        subject = {"env": "[--env ID]", "data": "[--data NAME]"}[self.subject]
        return "\n".join(
            (
                f"usage: {self.prog} {noun} [--preset NAME] {subject} [--seed N] [--run-dir DIR] [options]",
                f"       {self.prog} {noun} --help    every setting, with its meaning",
                f"       {self.prog} --list              all there are",
                f"       {self.prog} --resume DIR        continue a run to its end, as if it had never stopped",
            )
        )

    def _main(self, arguments: list[str]) -> None:
        if "--list" in arguments:
            catalogue = self.registry.catalogue
            width = max(map(len, catalogue))
            print("\n".join(f"{name:{width}}  {summary}" for name, (_, summary) in catalogue.items()))
            return
        name = arguments.pop(0) if arguments and not arguments[0].startswith("-") else None
        if name is None and option_value(arguments, "resume") is None:
            print(self._usage())
            if arguments[:1] in (["-h"], ["--help"]):
                return
            noun = self.registry.noun
            raise UserError(f"name {'an' if noun[0] in 'aeiou' else 'a'} {noun}; {self.prog} --list shows all")
        resumed = option_value(arguments, "resume")
        record = read_config(Path(resumed)) if resumed is not None else None
        if record is not None:
            if name not in (None, record["algorithm"]):
                raise UserError(f"{resumed} is a run of {record['algorithm']}, not of {name}: leave the name out")
            name = record["algorithm"]
        assert name is not None
        algorithm = self.registry.find(name)
        if record is not None:
            start = from_json(algorithm.config, record["config"])
            options, config = self._options(name, algorithm, start, arguments)
            self._resume(Path(str(resumed)), algorithm, start, config, options)
            return
        options, config = self.configuration(name, arguments)
        require(options.seeds >= 1, "seeds", options.seeds, "use at least 1")
        configs = [dataclasses.replace(config, seed=config.seed + k) for k in range(options.seeds)]
        for one in configs:
            Run.refuse_used(self._folder(options, name, one))  # all of them, before the first has trained for hours
        for one in configs:
            run = Run.create(
                self._folder(options, name, one),
                algorithm=name,
                preset=options.preset,
                config=to_json(one),
                total=algorithm.total(one),
                unit=algorithm.unit,
                progress=not options.quiet,
            )
            self._train(algorithm, one, run, options)

    def configuration(self, name: str, arguments: list[str]) -> tuple[Options, Any]:
        """The door's own options, and the configuration of a new training of the algorithm ``name``."""
        start = self.registry.preset(option_value(arguments, "preset") or "default", name)
        options, config = self._options(name, self.registry.find(name), start, arguments)
        return options, self._cut(config) if SMOKE else config

    def _options(self, name: str, algorithm: Algorithm, start: Any, arguments: list[str]) -> tuple[Options, Any]:
        """The door's own options and the algorithm's configuration."""
        combined = dataclasses.make_dataclass(
            "Combined",
            [
                ("door", Annotated[Options, tyro.conf.arg(name="")], dataclasses.field(default=Options())),
                ("config", Annotated[algorithm.config, tyro.conf.arg(name="")], dataclasses.field(default=start)),
            ],
        )
        presets = f"{', '.join(algorithm.presets)}"
        description = f"{name}: {self.registry.catalogue[name][1]}. Presets: {presets}."
        parsed = parse(combined, arguments, prog=f"{self.prog} {name}", description=description)
        return parsed.door, parsed.config

    def _cut(self, config: Any) -> Any:
        given = {name: getattr(config, name, None) for name in self.smoke_budget}
        return dataclasses.replace(
            config, **{name: min(value, self.smoke_budget[name]) for name, value in given.items() if value is not None}
        )

    def _folder(self, options: Options, name: str, config: Any) -> Path:
        if options.run_dir is not None:
            return options.run_dir if options.seeds == 1 else options.run_dir / f"s{config.seed}"
        subject = str(getattr(config, self.subject)).replace("/", "-")
        return Path("runs") / subject / name / f"{options.preset}-s{config.seed}"

    def _resume(self, folder: Path, algorithm: Algorithm, saved: Any, config: Any, options: Options) -> None:
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
        self._train(algorithm, config, run, options)

    def _train(self, algorithm: Algorithm, config: Any, run: Run, options: Options) -> None:
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
            print(f"evaluate:  {self.evaluate} {run.folder}")


def option_value(arguments: list[str], option: str) -> str | None:
    """The value of an option that decides how the others are read."""
    for k, argument in enumerate(arguments):
        if argument == f"--{option}":
            return arguments[k + 1] if k + 1 < len(arguments) else None
        if argument.startswith(f"--{option}="):
            return argument.partition("=")[2]
    return None

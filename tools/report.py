"""Write the generated tables of README.md and docs/: ``python -m tools.report [--check]``.

A table stands between the lines ``<!-- generated: NAME -->`` and ``<!-- end -->`` and is made from the code and from
the files of measurements in docs/measurements/, so that no figure in the documentation is typed by hand.
"""

import ast
import dataclasses
import inspect
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_type_hints

import gymnasium as gym
import numpy as np
import tyro

from agents import evaluate
from agents.evolution import cma_es, genetic, neat
from agents.imitation import classic_cloning, decision_transformer
from agents.policy import a2c, actor_critic, ppo, reinforce, sac, td3
from agents.registry import CATALOGUE, TABULAR
from agents.rollout import make_lanes
from agents.sb3 import algorithms as sb3
from agents.search import alpha_zero
from agents.value import dqn
from supervised import detect, generate, style, words
from supervised.classic import models as classic
from supervised.language import characters, neural_lm, ngrams, word2vec
from supervised.registry import REGISTRY as MODELS
from supervised.speech import attention, gaussian, hybrid, recognizer
from supervised.training import training_door
from supervised.training.checkpoint import atomic_write
from supervised.training.configuration import to_json
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, suggest
from supervised.training.statistics import bootstrap_ci, iqm
from supervised.vision import classification
from supervised.vision.detection import two_stage, yolo
from tools import plot
from tools.bench.__main__ import BENCHES
from tools.book import index
from tools.language_results import (
    spoken_results,
    spoken_years,
    word_answers,
    word_neighbours,
    word_results,
    written_texts,
)
from tools.networks import architectures
from tools.results import (
    asked_results,
    board_results,
    instruction_results,
    overview,
    perception_results,
    results,
    sequence_results,
    sequence_tasks,
    supervised_results,
    training_curves,
    transfer_results,
    zoo_agents,
)
from tools.tables import markdown, rounded

PROG = "python -m tools.report"
DESCRIPTION = "Write the generated tables of README.md and docs/ anew."
ROOT = Path(__file__).resolve().parent.parent
PLACES = ("docs", "docs/book")  # of pages, beside README.md
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    check: bool = False
    """Write nothing; exit with code 1, naming the files whose tables are stale."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        options = parse(Options, sys.argv[1:] if arguments is None else arguments, prog=PROG, description=DESCRIPTION)
        stale = {path: text for path, text in rendered() if text != path.read_text()}
        for path, text in stale.items():
            print(f"{'stale' if options.check else 'written'}: {path.relative_to(ROOT)}")
            if not options.check:
                atomic_write(path, text)
        if options.check and stale:
            raise SystemExit(1)


def rendered() -> Iterator[tuple[Path, str]]:
    """Every page, and its text with the tables as they should be.

    Raises:
        UserError: no pages beside this package, or a table that nothing generates.
    """
    pages = [ROOT / "README.md", *(page for place in PLACES for page in sorted((ROOT / place).glob("*.md")))]
    if not pages[0].exists():
        raise UserError(f"{ROOT} holds no README.md: run this in a checkout of the project")
    tables: dict[str, str] = {}

    def table(match: re.Match[str]) -> str:
        opening, name, _, end = match.groups()
        if name not in TABLES:
            raise UserError(f"unknown table {name!r}{suggest(name, TABLES)}")
        if name not in tables:
            tables[name] = TABLES[name]()
        return f"{opening}{tables[name]}{end}"

    for page in pages:
        text = page.read_text()
        if text.count("<!-- generated: ") != len(BLOCK.findall(text)):
            raise UserError(f"{page.name} opens a table that is not closed: end it with <!-- end -->")
        yield page, BLOCK.sub(table, text)


def environments() -> str:
    """The registered ids, in the order of registration."""
    rows = []
    for env_id, spec in list(gym.registry.items()):  # ale-py adds its own when it is needed
        another = "Atari-" in env_id and spec.kwargs["game"] != "breakout"  # one stands for all of Atari
        if not env_id.startswith("skidpad/") or another:
            continue
        env: Any = make_lanes(env_id, 1, {})
        spaces = (_space(space) for space in (env.single_action_space, env.single_observation_space))
        threshold = "" if spec.reward_threshold is None else spec.reward_threshold
        limit = "" if env.max_episode_steps is None else env.max_episode_steps
        rows.append((f"`{env_id}`", *spaces, limit, threshold, _first_line(type(env.unwrapped))))
    return markdown(("id", "actions", "observations", "steps", "solved at", "what it is"), rows)


def _space(space: gym.Space[Any]) -> str:
    if isinstance(space, gym.spaces.Box):
        return f"`Box({space.shape}, {space.dtype})`"
    return f"`{space}`"


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")


def algorithms() -> str:
    """The tabular algorithms of the registry."""
    return markdown(("algorithm", "what it does"), ((f"`{n}`", s) for n, (m, s) in CATALOGUE.items() if m == TABULAR))


def benchmarks() -> str:
    """What `tools.bench` knows."""
    return markdown(("benchmark", "what it compares"), ((f"`{name}`", what) for name, (_, what) in BENCHES.items()))


def field_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass and of those it derives from, on one line."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0].body  # type: ignore[attr-defined]
        for field, text in zip(body, body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def settings_table(columns: Mapping[str, Any]) -> Callable[[], str]:
    """Every setting of some configurations, a column each, and its meaning.

    A field is empty where it is as in the first column, and has a dash where there is no such setting.
    """

    def table() -> str:
        first, *others = (to_json(config) for config in columns.values())
        meanings: dict[str, str] = {}
        for config in columns.values():
            meanings = {**field_docs(type(config)), **meanings}
        rows = []
        for name, meaning in meanings.items():
            shown = [_value(first[name]) if name in first else "-"]
            for other in others:
                cell = _value(other[name]) if name in other else "-"
                shown.append("" if cell == shown[0] else cell)
            rows.append((_flag(name), *shown, meaning))
        return markdown(("setting", *columns, "meaning"), rows)

    return table


def presets(algorithm: ModuleType) -> dict[str, Any]:
    """Columns of `settings_table`: all presets of an algorithm."""
    return {"default" if name == "default" else f"`{name}`": one for name, one in algorithm.PRESETS.items()}


dqn_settings = settings_table(presets(dqn))
policy_settings = settings_table(
    {
        "`ppo`": ppo.PRESETS["default"],
        "`a2c`": a2c.PRESETS["default"],
        "`a2c`, `book`": a2c.PRESETS["book"],
        "`actor-critic`": actor_critic.PRESETS["default"],
        "`reinforce`": reinforce.PRESETS["default"],
    }
)

speech_settings = settings_table(
    {
        "`ctc`": recognizer.PRESETS["default"],
        "`listen-attend`": attention.PRESETS["default"],
        "`hybrid-hmm`": hybrid.PRESETS["default"],
        "`gmm-hmm`": gaussian.PRESETS["default"],
    }
)


def preset_flags(algorithm: ModuleType) -> Callable[[], str]:
    """A line a preset: the settings in which it differs from the default."""

    def table() -> str:
        default, *others = algorithm.PRESETS.items()
        plain = to_json(default[1])
        rows = []
        for name, config in others:
            values = to_json(config).items()
            changed = (f"{_flag(key)} {_value(value)}" for key, value in values if value != plain[key])
            rows.append((f"`{name}`", ", ".join(changed)))
        return markdown(("preset", "what it sets"), rows)

    return table


evolution_settings = settings_table(
    {f"`{name}`": one.PRESETS["default"] for name, one in (("genetic", genetic), ("cma-es", cma_es), ("neat", neat))}
)
classification_settings, network_settings = (
    settings_table({f"`{name}`": classification.ALGORITHMS[name].presets["default"] for name in names})
    for names in (("mlp", "cnn", "deep-cnn"), ("resnet18",))
)
capsule_settings, fast_style_settings = (
    settings_table({f"`{preset}`": MODELS.preset(preset, name) for preset in ("default", "paper")})
    for name in ("capsules", "fast-style")
)
variational_settings, adversarial_settings, autoencoder_settings, segmentation_settings, sequence_settings = (
    settings_table({f"`{name}`": MODELS.preset("default", name) for name in names})
    for names in (
        ("vae", "conv-vae"),
        ("gan", "conditional-gan", "dcgan"),
        ("autoencoder",),
        ("pixel-classifier", "sliding-window", "fcn", "unet"),
        ("seq2seq", "captioning", "sentiment"),
    )
)
classic_settings, cloning_settings = (
    settings_table({f"`{name}`": one.presets["default"] for name, one in algorithms.items()})
    for algorithms in (classic.ALGORITHMS, classic_cloning.ALGORITHMS)
)
detection_settings = settings_table(
    {
        "`tiny-yolo`": yolo.PRESETS["default"],
        "`tiny-yolo`, `car-racing`": yolo.PRESETS["car-racing"],
        "`two-stage`": two_stage.PRESETS["default"],
    }
)
sb3_settings = settings_table({f"`{name}`": one.presets["default"] for name, one in sb3.ALGORITHMS.items()})


def _value(value: object) -> str:
    return f"`{json.dumps(value)}`"


def _flag(name: str) -> str:
    return f"`--{name.replace('_', '-')}`"


def options(kind: type) -> Callable[[], str]:
    """The table of a door's options."""

    def table() -> str:
        meanings = field_docs(kind)
        hints = get_type_hints(kind, include_extras=True)
        positional = {name for name, one in hints.items() if tyro.conf.Positional in getattr(one, "__metadata__", ())}
        names = [field.name for field in dataclasses.fields(kind)]
        shown = (f"`{name.upper()}`" if name in positional else _flag(name) for name in names)
        return markdown(("option", "meaning"), ((one, meanings[name]) for one, name in zip(shown, names, strict=True)))

    return table


CLONE_GOALS = {("bc", "frame"): 650, ("dagger", "frame"): 780, ("bc", "stack4"): 850, ("dagger", "stack4"): 900}


class Clone(NamedTuple):
    """The evaluations of one run."""

    seed: int
    ours: dict[str, Any]
    gymnasium: dict[str, Any] | None  # on its own CarRacing-v3, where that has been done


def stored_clones() -> dict[tuple[str, str], list[Clone]]:
    """Stored evaluations ``clone-ALGORITHM-PRESET-sSEED[-gymnasium].json``, by algorithm and preset."""
    found: dict[tuple[str, str], list[Clone]] = {}
    for path in sorted((ROOT / "docs" / "measurements").glob("clone-*.json")):
        if match := re.fullmatch(r"clone-(\w+)-(\w+)-s(\d+)", path.stem):
            other = path.with_name(f"{path.stem}-gymnasium.json")
            gymnasium = json.loads(other.read_text()) if other.exists() else None
            clone = Clone(int(match[3]), json.loads(path.read_text()), gymnasium)
            found.setdefault((match[1], match[2]), []).append(clone)
    return found


def clone_results() -> str:
    """A line a clone, and one for all seeds: on our environment and on Gymnasium's."""
    rows: list[tuple[object, ...]] = []
    for (algorithm, preset), clones in stored_clones().items():
        goal = CLONE_GOALS[algorithm, preset]
        for seed, ours, gymnasium in clones:
            laps, minutes = f"{ours['laps']} / {len(ours['lengths'])}", round(ours["training"]["seconds"] / 60, 1)
            other: tuple[object, ...] = ("", "")
            if gymnasium:
                difference = np.abs(np.subtract(ours["returns"], gymnasium["returns"])).max()
                other = (rounded(gymnasium["mean"]), float(difference))
            numbers = map(rounded, (ours["mean"], *ours["ci95"], ours["iqm"]))
            reached = _yes(ours["mean"] >= goal)
            rows.append((f"`{algorithm}`", f"`{preset}`", seed, minutes, *numbers, laps, *other, goal, reached))
        means = np.array([clone.ours["mean"] for clone in clones])
        returns = np.concatenate([clone.ours["returns"] for clone in clones])
        numbers = map(rounded, (means.mean(), *bootstrap_ci(means), iqm(returns)))
        laps = f"{sum(clone.ours['laps'] for clone in clones)} / {len(returns)}"
        reached = f"{(means >= goal).sum()} of {len(clones)}"
        which = (f"**`{algorithm}`**", f"**`{preset}`**", f"all {len(clones)}", "")
        rows.append((*which, *numbers, laps, "", "", goal, reached))
    head = ("algorithm", "preset", "seed", "minutes", "mean", "95 % low", "high", "IQM", "laps")
    return markdown((*head, "on Gymnasium", "largest difference", "goal", "reached"), rows)


def classic_results() -> str:
    """What classic learners tell of MNIST, and how their clones of a policy do."""
    rows = []
    for name in classic.ALGORITHMS:
        model, clone = (
            json.loads((ROOT / "docs" / "measurements" / f"{file}-s0.json").read_text())
            for file in (f"supervised-{name}-default", f"cloned-{name}")
        )
        accuracy = (f"{model[key]:.2%}" for key in ("accuracy", "ci95_low", "ci95_high"))
        seconds = (round(one["training"]["seconds"]) for one in (model, clone))
        returns = map(rounded, (clone["mean"], *clone["ci95"]))
        rows.append((f"`{name}`", next(seconds), *accuracy, next(seconds), *returns))
    interval = "95 % low", "high"
    return markdown(("learner", "seconds", "accuracy", *interval, "seconds, clone", "mean return", *interval), rows)


def dagger_rounds() -> str:
    """Stored metrics ``dagger-PRESET-s0.jsonl``: what every round drove and learnt from."""
    rows = []
    for path in sorted((ROOT / "docs" / "measurements").glob("dagger-*.jsonl")):
        for one in map(json.loads, path.read_text().splitlines()):
            drive = rounded(one["episode_return"]) if "episode_return" in one else ""
            error = round(one["visited_steering_error"], 3) if "visited_steering_error" in one else ""
            preset = f"`{path.stem.split('-')[1]}`"
            rows.append((preset, one["step"], one["learner_states"], one["examples"], drive, error))
    head = ("preset", "round", "learner's states added", "examples", "return of its drive", "steering error there")
    return markdown(head, rows)


def driving_tests() -> str:
    """Stored results ``driving-NAME.json`` of the driving test."""
    found = {
        path.stem.removeprefix("driving-"): json.loads(path.read_text())
        for path in sorted((ROOT / "docs" / "measurements").glob("driving-*.json"))
    }
    units = {"lap_time": " (s)", "steering": " (rad/s)", "latency_p50": " (ms)"}
    shown = ("off_road", "laps", "visited", "lap_time", "steering", "autonomy", "latency_p50", "mean")
    rows = (
        (f"`{name}`", len(one["seeds"]), *("" if one[key] is None else float(f"{one[key]:.3g}") for key in shown))
        for name, one in found.items()
    )
    return markdown(("driver", "tracks", *(f"{key}{units.get(key, '')}" for key in shown)), rows)


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


def gradient_variance() -> str:
    """The stored measurement ``bench-gradient-variance.json``."""
    path = ROOT / "docs" / "measurements" / "bench-gradient-variance.json"
    rows = []
    for one in json.loads(path.read_text()) if path.exists() else []:
        numbers = (_ratio(one[name]) for name in ("peer", "ours", "ratio"))
        rows.append((f"{one['settings']['trained_steps']:,}", one["settings"]["mean_length"], *numbers))
    return markdown(("steps of training", "mean length", "without baseline", "with", "times lower"), rows)


def bench_results() -> str:
    """Stored measurements ``bench-NAME.json``: ratios, goals and settings."""
    rows = []
    for path in sorted((ROOT / "docs" / "measurements").glob("bench-*.json")):
        for one in json.loads(path.read_text()):
            goal = one["goal"] or ""
            met = ("yes" if one["met"] else "no") if goal else ""
            rows.append((one["name"], _ratio(one["ratio"]), goal, met, settings(one["settings"])))
    return markdown(("measurement", "times better", "goal", "met", "settings"), rows)


def _ratio(ratio: float) -> float:
    """At least three digits."""
    if not math.isfinite(ratio) or ratio == 0:
        return ratio
    decimals = 2 - math.floor(math.log10(ratio))
    return round(ratio, decimals) if decimals > 0 else round(ratio)


def settings(value: Any) -> str:
    """Settings on one line."""
    if isinstance(value, dict):
        return "; ".join(f"{key.replace('_', ' ')}: {settings(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(settings, value))
    return f"{value:,}" if type(value) is int else str(value)


TABLES: dict[str, Callable[[], str]] = {
    "environments": environments,
    "algorithms": algorithms,
    "benchmarks": benchmarks,
    "train-options": options(training_door.Options),
    "evaluate-options": options(evaluate.Options),
    "plot-options": options(plot.Options),
    "dqn-settings": dqn_settings,
    "dqn-results": results("dqn"),
    "policy-settings": policy_settings,
    "ppo-presets": preset_flags(ppo),
    "policy-results": results("reinforce", "actor-critic", "a2c", "ppo"),
    "gradient-variance": gradient_variance,
    "sac-settings": settings_table(presets(sac)),
    "sac-results": results("sac"),
    "td3-settings": settings_table(presets(td3)),
    "td3-results": results("td3"),
    "results": overview,
    "alpha-zero-settings": settings_table(presets(alpha_zero)),
    "board-results": board_results,
    "instruction-results": instruction_results,
    "zoo": zoo_agents,
    "evolution-settings": evolution_settings,
    "evolution-results": results("genetic", "cma-es", "neat"),
    "sb3-settings": sb3_settings,
    "classification-settings": classification_settings,
    "segmentation-settings": segmentation_settings,
    "network-settings": network_settings,
    "networks": architectures,
    "ngrams-settings": settings_table(presets(ngrams)),
    "characters-settings": settings_table(presets(characters)),
    "speech-settings": speech_settings,
    "generate-options": options(generate.Options),
    "written-texts": written_texts,
    "spoken-results": spoken_results,
    "spoken-years": spoken_years,
    "neural-lm-settings": settings_table(presets(neural_lm)),
    "word2vec-settings": settings_table(presets(word2vec)),
    "words-options": options(words.Options),
    "word-results": word_results,
    "word-neighbours": word_neighbours,
    "word-answers": word_answers,
    "sequence-settings": sequence_settings,
    "sequence-tasks": sequence_tasks,
    "sequence-results": sequence_results,
    "capsule-settings": capsule_settings,
    "fast-style-settings": fast_style_settings,
    "style-options": options(style.Options),
    "detect-options": options(detect.Options),
    "transfer-results": transfer_results,
    "perception-results": perception_results,
    "variational-settings": variational_settings,
    "adversarial-settings": adversarial_settings,
    "autoencoder-settings": autoencoder_settings,
    "detection-settings": detection_settings,
    "supervised-results": supervised_results,
    "classic-settings": classic_settings,
    "cloning-settings": cloning_settings,
    "classic-results": classic_results,
    "bench-results": bench_results,
    "clone-results": clone_results,
    "asked-results": asked_results,
    "decision-settings": settings_table(presets(decision_transformer)),
    "dagger-rounds": dagger_rounds,
    "training-curves": training_curves,
    "driving-tests": driving_tests,
    **index.TABLES,
}

if __name__ == "__main__":
    main()

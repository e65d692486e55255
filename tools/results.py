"""Tables of stored evaluations: ``docs/measurements/ALGORITHM-PRESET-sSEED[-ELSEWHERE].json``.

Such a file is what ``agents.evaluate RUN --json FILE`` writes for a run of a preset as it is, but for its seed; so its
name says which command trains it again. ELSEWHERE names another environment than the one trained on.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from agents import zoo
from agents.registry import CATALOGUE, find, preset
from agents.rollout import make_lanes
from agents.transforms import action_repeat
from supervised import registry as supervised_registry
from supervised.language.seq2seq import PRESETS as SEQUENCE_PRESETS
from supervised.language.tasks import TASKS, pairs
from supervised.training.statistics import bootstrap_ci, iqm, requirement
from tools.tables import markdown, rounded

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "measurements"
#: what RL Zoo publishes for its agents, on the same environments but for their version
PUBLISHED = FOLDER / "published.json"
#: keywords with which an environment is still the one that RL Zoo publishes returns of
SAME = {"repeat_action_probability", "stack"}
PASSING = 25  # points of Breakout in training, which the book's agent is to pass


class Stored(NamedTuple):
    """An evaluation of a run."""

    algorithm: str
    preset: str
    elsewhere: str
    seed: int
    result: dict[str, Any]

    @property
    def env(self) -> str:
        """Where it was evaluated."""
        return self.result["protocol"].partition(",")[0]


def stored(*algorithms: str) -> Iterator[Stored]:
    """The stored evaluations of some algorithms, seeds of a preset one after the other."""
    found = sorted(
        (algorithm, match[1], match[3] or "", int(match[2]), path)
        for algorithm in algorithms
        for path in FOLDER.glob(f"{algorithm}-*.json")
        if (match := re.fullmatch(rf"{algorithm}-(.+)-s(\d+)(?:-(\w+))?", path.stem))
    )
    for algorithm, name, elsewhere, seed, path in found:
        yield Stored(algorithm, name, elsewhere, seed, json.loads(path.read_text()))


def results(*algorithms: str) -> Callable[[], str]:
    """A line a run, and one for all seeds of a preset."""

    def table() -> str:
        rows: list[tuple[object, ...]] = []
        for (algorithm, name, _), group in groupby(stored(*algorithms), key=lambda one: one[:3]):
            title = f"`{name}`" if len(algorithms) == 1 else f"`{algorithm}` `{name}`"
            evaluations = list(group)
            rows += [_run_row(title, one) for one in evaluations]
            if len(evaluations) > 1:
                rows.append(_preset_row(title, evaluations))
        numbers = ("episodes", "mean", "95 % low", "high", "IQM", "std")
        return markdown(("preset", "environment", "seed", "steps", "seconds", *numbers, "solved"), rows)

    return table


def _run_row(title: str, one: Stored) -> tuple[object, ...]:
    result = one.result
    numbers = map(rounded, (result["mean"], *result["ci95"], result["iqm"], result["std"]))
    trained = result.get("training")
    budget = (f"{trained['step']:,}", f"{trained['seconds']:.0f}") if trained else ("", "")
    return (title, f"`{one.env}`", one.seed, *budget, len(result["lengths"]), *numbers, _solved([one]))


def _preset_row(title: str, evaluations: Sequence[Stored]) -> tuple[object, ...]:
    means, returns = _together(evaluations)
    numbers = map(rounded, (means.mean(), *bootstrap_ci(means), iqm(returns), means.std(ddof=1)))
    which = (f"**{title}**", f"`{evaluations[0].env}`", f"all {len(evaluations)}", "", "", len(returns))
    return (*which, *numbers, _solved(evaluations))


def _together(evaluations: Sequence[Stored]) -> tuple[Any, Any]:
    """Means ``(seeds,)`` and all returns."""
    means = np.array([one.result["mean"] for one in evaluations])
    return means, np.concatenate([one.result["returns"] for one in evaluations])


def _solved(evaluations: Sequence[Stored]) -> str:
    """How many runs reach the threshold of their environment."""
    threshold = gym.spec(evaluations[0].env).reward_threshold
    if threshold is None:
        return ""
    reached = sum(one.result["mean"] >= threshold for one in evaluations)
    return f"{reached} of {len(evaluations)}" if len(evaluations) > 1 else ("yes" if reached else "no")


def overview() -> str:
    """A line for all runs of a preset, in the order of environments: what they reached, and how to do it again."""
    published = json.loads(PUBLISHED.read_text())["returns"]
    rows = []
    for (algorithm, name, _), group in groupby(stored(*CATALOGUE), key=lambda one: one[:3]):
        evaluations = list(group)
        first = evaluations[0]
        means, returns = _together(evaluations)
        interval = bootstrap_ci(means) if len(means) > 1 else first.result["ci95"]
        trained = [one.result["training"] for one in evaluations]
        steps = int(np.median([one["step"] for one in trained]))
        minutes = rounded(np.median([one["seconds"] for one in trained]) / 60)
        numbers = map(rounded, (means.mean(), iqm(returns), *interval))
        config = preset(name, algorithm)
        kwargs = config.env_kwargs if first.env == config.env else {}
        env = f"`{first.env}`" + "".join(f", {key} {value}" for key, value in kwargs.items())
        other = "".join(f", {key} {value}" for key, value in kwargs.items() if key not in SAME)
        reference = published.get(first.env.removeprefix("skidpad/") + other, {}).get(algorithm, "")
        seeds = f" --seeds {len(means)}" if len(means) > 1 else f" --seed {first.seed}" if first.seed else ""
        command = f"`python -m agents.train {algorithm} --preset {name}{seeds}`"
        protocol = first.result["protocol"].partition(", ")[2]
        amounts = (f"{steps:,}", f"{steps * frames(config):,}", minutes)
        rows.append((env, f"`{algorithm}`", *amounts, *numbers, reference, protocol, command))
    rows.sort(key=lambda row: str(row[0]).removeprefix("`skidpad/").strip("`"))
    head = ("environment", "algorithm", "steps", "frames", "minutes", "mean", "IQM", "95 % low", "high", "RL Zoo")
    return markdown((*head, "protocol", "command"), rows)


#: preset -> what it should reach in `instruction_results`
INSTRUCTION_GOALS = {"instruction-maze": "success>=0.9", "instruction-maze-blind": "success<0.5"}


def instruction_results() -> str:
    """A line an evaluation in skidpad/InstructionMaze-v0; ELSEWHERE stands for keywords of the maze."""
    rows = []
    for one in (one for one in stored("ppo") if one.preset in INSTRUCTION_GOALS):
        trained, result = one.result["training"], one.result
        budget = (one.seed, f"{trained['step']:,}", rounded(trained["seconds"] / 60))
        episodes = len(result["lengths"])
        where = result["protocol"].partition(", ")[2].partition(f"{episodes} episodes")[0].rstrip(", ")
        goal = "" if one.elsewhere else INSTRUCTION_GOALS[one.preset]
        met = requirement(goal, {"success": itemgetter("success")}).check(result) if goal else None
        numbers = (episodes, f"{result['success']:.1%}", rounded(np.mean(result["lengths"])))
        rows.append((f"`{one.preset}`", *budget, where, *numbers, goal, {True: "yes", False: "no", None: ""}[met]))
    head = ("preset", "seed", "steps", "minutes", "other keywords", "episodes", "success", "mean length")
    return markdown((*head, "goal", "reached"), rows)


def board_results() -> str:
    """A line an evaluation of AlphaZero, and of players by name for comparison (``player-*.json``)."""
    rows = []
    for path in sorted(FOLDER.glob("player-*.json")):
        one = json.loads(path.read_text())
        rows.append((f"`{one['protocol'].partition(',')[0]}`", f"`{one['algorithm']}`", *[""] * 3, *_games(one)))
    for one in stored("alpha-zero"):
        trained = one.result["training"]
        budget = (f"{trained['step']:,}", rounded(trained["seconds"] / 60))
        rows.append((f"`{one.env}`", f"`{one.preset}`", one.seed, *budget, *_games(one.result)))
    rows.sort(key=lambda row: str(row[0]))
    head = ("environment", "player", "seed", "positions", "minutes", "simulations", "opponent", "won / drawn / lost")
    return markdown((*head, "Elo to it", "moves that keep the value", "won openings"), rows)


def _games(result: dict[str, Any]) -> tuple[object, ...]:
    """Simulations, opponent, games, Elo, and what the perfect player says."""
    low, high = result["elo_ci95"]
    games = f"{result['wins']} / {result['draws']} / {result['losses']}"
    elo = f"{result['elo']:+.0f} ({low:+.0f} to {high:+.0f})"
    kept = f"{result['kept']:.1%} of {result['positions']:,}" if "kept" in result else ""
    won = f"{result['converted']} of {result['won_openings']}" if "converted" in result else ""
    return result.get("simulations", ""), result["opponent"], games, elo, kept, won


#: model and preset -> what its figures should be: the book's, or our own
SUPERVISED_GOALS = {
    ("mlp", "book-mnist"): "accuracy>=0.96",
    ("mlp", "cifar"): "accuracy>=0.50",
    ("cnn", "default"): "accuracy>=0.985",
    ("deep-cnn", "book-3"): "accuracy>=0.44",
    ("deep-cnn", "book-5"): "accuracy>=0.56",
    ("deep-cnn", "book"): "accuracy>=0.77",
    ("mobilenet_v2", "extract"): "accuracy>=0.70",
    ("mobilenet_v2", "fine-tune"): "accuracy>=0.80",
    ("capsules", "default"): "accuracy>=0.99",
    ("unet", "default"): "mean_iou>=0.97",
    ("pixel-classifier", "default"): "mean_iou<0.85",  # the baseline, which sees no neighbours
    ("tiny-yolo", "default"): "map50>=0.9",
    ("tiny-yolo", "car-racing"): "map50>=0.9",
    ("vae", "book"): "negative_elbo<=153",
    **{("seq2seq", preset): "exact>=0.98" for preset in SEQUENCE_PRESETS if not preset.startswith("book")},
    ("gan", "default"): "modes>=9",
    ("conditional-gan", "default"): "recognised>=0.9",
    ("ctc", "default"): "digit_error_rate<=0.02",
    ("ctc", "unseen"): "digit_error_rate<=0.12",
    ("deep-cnn", "book-falling"): "accuracy>=0.77",
    ("deep-cnn", "book-sharp"): "accuracy>=0.77",
    ("char-lm", "book"): "bits<=1.80",
}


def supervised_results() -> str:
    """A line an evaluation of `supervised.evaluate` (``supervised-MODEL-PRESET-sSEED.json``)."""
    rows = []
    for path in sorted(FOLDER.glob("supervised-*.json")):
        result = json.loads(path.read_text())
        name = result["algorithm"]
        model = supervised_registry.find(name)
        match = re.fullmatch(rf"supervised-{re.escape(name)}-(.+)-s(\d+)", path.stem)
        assert match is not None, path
        preset, seed = match[1], int(match[2])
        figures = ", ".join(f"{one.replace('_', ' ')} {result[one]:{form}}" for one, form in model.measures.items())
        goal = SUPERVISED_GOALS.get((name, preset), "")
        met = requirement(goal, {one: itemgetter(one) for one in model.measures}).check(result) if goal else None
        command = f"`python -m supervised.train {name} --preset {preset}{f' --seed {seed}' if seed else ''}`"
        trained = result["training"]
        steps = f"{trained['step']} {model.unit if trained['step'] > 1 else model.unit.removesuffix('s')}"
        budget = (steps, rounded(trained["seconds"] / 60))
        reached = {True: "yes", False: "no", None: ""}[met]
        rows.append((f"`{name}`", f"`{preset}`", result["protocol"], *budget, figures, goal, reached, command))
    head = ("model", "preset", "judged on", "training", "minutes", "figures", "goal", "reached", "command")
    return markdown(head, rows)


def transfer_results() -> str:
    """What CIFAR-10 becomes of published weights and without: stored evaluations of three presets of MobileNet v2."""
    ways = {"fine-tune": "all layers learn on", "extract": "the last layer learns", "scratch": "all weights are new"}
    rows = []
    for name, way in ways.items():
        path = FOLDER / f"supervised-mobilenet_v2-{name}-s0.json"
        if path.exists():
            one = json.loads(path.read_text())
            interval = f"{one['ci95_low']:.2%} to {one['ci95_high']:.2%}"
            minutes = rounded(one["training"]["seconds"] / 60)
            rows.append((f"`{name}`", way, one["training"]["step"], minutes, f"{one['accuracy']:.2%}", interval))
    return markdown(("preset", "what it is", "epochs", "minutes", "accuracy", "95 %"), rows)


def sequence_tasks() -> str:
    """The tasks of sequence to sequence models, with the first pair of each that a generator draws."""
    rows = []
    for name, task in TASKS.items():
        text, answer = next(pairs(task, "train", 1, np.random.default_rng(0), task.longest))
        rows.append((f"`{name}`", task.summary, text, answer, f"{task.longest} {task.reads}"))
    return markdown(("task", "what is asked for", "an input", "its answer", "longest to learn from"), rows)


def sequence_results() -> str:
    """What presets of sequence to sequence models answer right: stored evaluations of seed 0."""
    rows = []
    for name, config in SEQUENCE_PRESETS.items():
        path = FOLDER / f"supervised-seq2seq-{name}-s0.json"
        if path.exists():
            one = json.loads(path.read_text())
            interval = f"{one['ci95_low']:.2%} to {one['ci95_high']:.2%}"
            exact, greedy, longer = (f"{one[key]:.2%}" for key in ("exact", "greedy", "longer"))
            read = "from the end" if config.reverse else "both ways" if config.both else "from the beginning"
            minutes = rounded(one["training"]["seconds"] / 60)
            rows.append((f"`{name}`", config.data, config.attention, read, minutes, exact, interval, greedy, longer))
    head = ("preset", "task", "attention", "inputs are read", "minutes", "exact", "95 %", "greedy", "longer")
    return markdown(head, rows)


def perception_results() -> str:
    """How drivers of CarRacing do who see it as pixels, as codes, or as maps of classes: stored evaluations, seed 0."""
    ways = {
        "gray pixels": ("clone-bc-stack4-s0", "ppo-car-racing-s0"),
        "codes of `conv-vae`": ("bc-vae-s0", "ppo-car-racing-vae-s0"),
        "class maps of `unet`": ("bc-maps-s0", "ppo-car-racing-maps-s0"),
    }
    rows = []
    for way, files in ways.items():
        for path in (FOLDER / f"{name}.json" for name in files):
            if path.exists():
                one = json.loads(path.read_text())
                trained, numbers = one["training"], map(rounded, (one["mean"], *one["ci95"], one["iqm"]))
                laps, of = one["laps"], len(one["returns"])
                name, amount = one["algorithm"], f"{trained['step']:,} {find(one['algorithm']).unit}"
                minutes = rounded(trained["seconds"] / 60)
                rows.append((way, f"`{name}`", amount, minutes, *numbers, f"{laps} / {of}"))
    return markdown(("sees", "learns by", "training", "minutes", "mean", "95 % low", "high", "IQM", "laps"), rows)


def asked_results() -> str:
    """What the Decision Transformer gets of the return it is asked for: its stored evaluations, ``asked-*`` too."""
    rows = []
    for path in sorted(FOLDER.glob("*decision-transformer-*-s0.json")):
        one = json.loads(path.read_text())
        numbers = map(rounded, (one["mean"], *one["ci95"], min(one["returns"]), max(one["returns"])))
        env, minutes = one["protocol"].partition(",")[0], rounded(one["training"]["seconds"] / 60)
        laps = f"{one['laps']} / {len(one['returns'])}" if "laps" in one else ""
        rows.append((f"`{env}`", minutes, rounded(one["target_return"]), *numbers, laps))
    rows.sort(key=lambda row: (row[0], row[2]))
    head = ("environment", "minutes", "asked for", "mean", "95 % low", "high", "lowest", "highest", "laps")
    return markdown(head, rows)


def zoo_agents() -> str:
    """The agents that come with Skidpad, and what each reached when it was exported."""
    rows = []
    for name in zoo.names():
        result = json.loads((zoo.FOLDER / name / "evaluation.json").read_text())
        env, _, protocol = result["protocol"].partition(", ")
        size = sum(path.stat().st_size for path in (zoo.FOLDER / name / "checkpoints").rglob("*") if path.is_file())
        rows.append((f"`zoo:{name}`", f"`{env}`", f"{size / 1e3:,.0f}", rounded(result["mean"]), protocol))
    return markdown(("agent", "environment", "kB", "mean", "protocol"), rows)


def training_curves() -> str:
    """Stored metrics ``curve-ALGORITHM-PRESET-sSEED.jsonl``: how well the latest 100 episodes of training went."""
    rows = []
    for path in sorted(FOLDER.glob("curve-*.jsonl")):
        lines = [one for one in map(json.loads, path.read_text().splitlines()) if one.get("episode_return") is not None]
        best = max(lines, key=lambda one: one["episode_return"])
        passed = next((f"{one['step']:,}" for one in lines if one["episode_return"] > PASSING), "")
        algorithm, _, name = path.stem.removeprefix("curve-").partition("-")
        of = [
            (one["step"], rounded(one["episode_return"]), rounded(one["episode_length"])) for one in (best, lines[-1])
        ]
        numbers = [value for step, *means in of for value in (f"{step:,}", *means)]
        rows.append((f"`{algorithm}` `{name}`", passed, *numbers))
    head = ("run", f"mean return passes {PASSING} at step", "best at step", "return", "length")
    return markdown((*head, "ends at step", "return then", "length then"), rows)


def frames(config: Any) -> int:
    """Frames of the simulator in one step of a preset: those that an action is held for, and that a step skips."""
    env: Any = make_lanes(config.env, 1, config.env_kwargs)
    skipped = getattr(env.unwrapped, "frame_skip", 1)
    env.close()
    return action_repeat(getattr(config, "transforms", ())) * skipped

"""Draw runs: ``python -m tools.plot RUN... [--what curve|values|progress] [--metric NAME] [--out FILE]``."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from supervised.training.doors import door, parse
from supervised.training.errors import UserError, require
from supervised.training.plots import (
    draw_curves,
    draw_picture,
    draw_progress,
    find_metric,
    group_runs,
    titles,
)
from supervised.training.run import read_config, read_state

PROG = "python -m tools.plot"
DESCRIPTION = "Draw runs; seeds of the same settings are one line, with a band from the lowest to the highest."


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Folders of runs, or folders with runs inside, such as all seeds of an algorithm."""
    what: Literal["curve", "values", "progress"] = "curve"
    """curve: a metric over the steps of training; values: what a tabular run on a grid world learnt, as a
    heat map with greedy actions and path; progress: how dynamic programming converged."""
    metric: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """What the curve shows, a name in metrics.jsonl; by default the return, or delta where there is none."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to draw, a .png or .svg; by default into RUN, or the current folder for several."""
    title: str = ""
    """Title instead of the algorithm's and environment's names."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    options = parse(Options, arguments, prog=PROG, description=DESCRIPTION)
    if not options.runs:
        raise UserError(f"name the folder of a run, such as runs/demo; see {PROG} --help")
    curve = options.what == "curve"
    remedy = f"leave it out with --what {options.what}"
    require(curve or options.metric is None, "metric", options.metric, remedy)
    folder = options.runs[0] if len(options.runs) == 1 else Path()
    path = options.out or folder / f"{(options.metric or options.what).replace('/', '-')}.png"
    runs = find_runs(options.runs)
    if curve:
        metric = options.metric or find_metric(runs[0])
        if metric is None:
            raise UserError(f"{runs[0]} logged neither returns nor changes of values: choose a --metric")
        draw_curves(group_runs(runs), path, metric, options.title)
    else:
        require(len(runs) == 1, "what", options.what, f"give one run, not {len(runs)}")
        draw = draw_values if options.what == "values" else draw_progress
        draw(runs[0], path, options.title)
    print(path)


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """The runs among ``folders`` and inside them, each once.

    Raises:
        UserError: a folder without a run.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        inside = [folder] if (folder / "config.json").exists() else _inside(folder)
        if not inside:
            raise UserError(f"{folder} is not a run and holds none: give a folder that agents.train wrote")
        for run in inside:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def _inside(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.rglob("config.json"))


def draw_values(run: Path, path: Path, title: str = "") -> None:
    """Draw a tabular run's values as a heat map over its grid world, with its policy and the greedy path.

    The world, and where the path starts, are those of the first evaluation episode.

    Raises:
        UserError: a run without a table of values, or on an environment that is no grid.
    """
    from agents.rollout import make_lanes
    from agents.settings import FIRST_EVALUATION_SEED
    from agents.tabular.policies import greedy_policy

    record, state = read_config(run), read_state(run)["agent"]
    trained_on = record["config"]["env"]
    if "values" not in state and "q_values" not in state:
        remedy = "give a run of a tabular method, such as q-learning or value-iteration"
        raise UserError(f"{run}, a run of {record['algorithm']}, holds no values to draw: {remedy}")
    env: Any = make_lanes(trained_on, 1, record["config"]["env_kwargs"])
    if not hasattr(env, "draw"):
        remedy = "give a run on a grid, such as skidpad/GridWorld-v0 or skidpad/Maze-v0"
        raise UserError(f"{run} was trained on {trained_on}, which has no map to draw on: {remedy}")
    env.reset(seed=FIRST_EVALUATION_SEED)
    layers: dict[str, Any] = {name: state[name] for name in ("values", "policy") if name in state}
    if "q_values" in state:
        layers["policy"] = greedy_policy(state["q_values"], env.mdp.allowed)
        layers["values"] = np.where(env.mdp.allowed, state["q_values"], -np.inf).max(axis=1)
    values = layers["values"][~env.mdp.terminal]
    heading, details = titles([record], title)
    details += f"; values {values.min():.4g} to {values.max():.4g}"
    if "policy" in layers and not np.array_equal(layers["policy"], env.mdp.uniform_policy()):
        layers["path"] = greedy_path(env.mdp, layers["policy"], int(env.fields["state"][0]))
        ends = env.mdp.terminal[layers["path"][-1]]
        details += f"; greedy path of {len(layers['path']) - 1} steps" if ends else "; the greedy path never ends"
    draw_picture(env.draw(**layers), path, heading, details)


def greedy_path(mdp: Any, policy: NDArray[np.float64], state: int) -> list[int]:
    """The states from ``state`` on, by the policy's likeliest action and that action's likeliest outcome.

    Ends at a terminal state, or where it would come back to a state.

    Args:
        mdp: an `envs.mdp.MDP`.
        policy: ``(states, actions)`` probabilities.
    """
    path = {state: None}  # a dictionary for its order, and because looking a state up is fast
    while not mdp.terminal[state]:
        row = state * mdp.n_actions + int(np.argmax(policy[state]))
        outcomes = slice(mdp.offsets[row], mdp.offsets[row + 1])
        state = int(mdp.next_states[outcomes][np.argmax(mdp.probabilities[outcomes])])
        if state in path:
            break
        path[state] = None
    return list(path)


if __name__ == "__main__":
    main()

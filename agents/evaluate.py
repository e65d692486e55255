"""Evaluate a run: ``python -m agents.evaluate RUN [--env ID] [--episodes 100] [--require "mean>=475"] ...``."""

import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from gymnasium.vector import VectorEnv

from agents.evaluation import Player, Policy, evaluate, playground
from agents.opponents import board_game, is_name
from agents.registry import find
from agents.rollout import make_lanes
from agents.settings import FIRST_EVALUATION_SEED, Keywords
from agents.zoo import locate, outputs
from supervised.training.checkpoint import atomic_write
from supervised.training.configuration import from_json
from supervised.training.doors import SMOKE, Rules, door, parse
from supervised.training.errors import UserError, require, writing
from supervised.training.run import read_config, read_finished, read_state
from supervised.training.statistics import METRICS, judge, requirement

PROG = "python -m agents.evaluate"
#: what ``--require`` knows: statistics of returns, and what evaluations of some environments tell besides
JUDGED: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
    **METRICS,
    **{
        name: methodcaller("get", name)
        for name in ("laps", "success", "wins", "draws", "losses", "score", "elo", "kept", "converted")
    },
}


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder, or "zoo:NAME", an agent that comes with Skidpad; in board games also random, mcts:200, ..."""
    env: Annotated[str | None, tyro.conf.arg(metavar="ID")] = None
    """Evaluate on this environment instead of the one trained on (any Gymnasium id with the same spaces)."""
    env_kwargs: Keywords = field(default_factory=dict)
    """Keywords of the environment, as JSON, beside those the run was trained with: '{"size": 6}'."""
    opponent: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Of board games, who plays against the agent: random, mcts:2000, perfect, or a run (default: the run's own)."""
    opening: int = 0
    """Of board games, so many random actions begin every game: with two players that draw nothing games differ so."""
    simulations: int | None = None
    """Of agents that search, simulations of a move; 0: the network's policy alone (default: the run's setting)."""
    target_return: float | None = None
    """Of agents that act for a return that is asked for, that return (default: the run's setting)."""
    positions: int = 0
    """Of board games with a perfect player: in so many positions of 12 to 24 plies in which at most half of the moves
    do, see how many of the agent's moves keep the game's value (of tic-tac-toe in all positions); 0: do not."""
    won_openings: int = 0
    """Of board games with a perfect player: in so many openings of 8 random plies that are won for the mover, see how
    many the agent wins against it; 0: do not."""
    episodes: int = 100
    """Number of episodes."""
    seed: int = FIRST_EVALUATION_SEED
    """Episode k is seeded SEED + k; training seeds are below 10,000."""
    require: Rules = ()
    """Requirements such as "mean>=475" or "ci95_low>450"; exit code 1 when one is missed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the result (default: evaluation.json in the run's folder; of the zoo's in runs/zoo/NAME)."""
    video: int = 0
    """Number of episodes to film, into the folder videos/ beside it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(arguments: list[str]) -> None:
    description = "Play a trained agent greedily on fresh episodes and report how well it does."
    options = parse(Options, arguments, prog=PROG, description=description)
    require(options.episodes >= 1, "episodes", options.episodes, "use at least 1")
    require(options.seed >= 0, "seed", options.seed, "use 0 or more")
    requirements = [requirement(text, JUDGED) for text in itertools.chain.from_iterable(options.require)]
    episodes = min(options.episodes, 1) if SMOKE else options.episodes
    agent, env, kwargs, origin = player(options)

    started = time.perf_counter()
    result = evaluate(agent, env, kwargs, episodes=episodes, seed=options.seed)
    wall = time.perf_counter() - started
    others = "".join(f", {key} {value}" for key, value in options.env_kwargs.items())
    parts = [f"{env}{others}, {episodes} episodes, greedy, seeds {options.seed} to {result['seeds'][1]}"]
    parts += [result["protocol"]] if "protocol" in result else []
    lines = []
    if hasattr(agent, "simulations"):
        parts.append(f"{agent.simulations} simulations a move")
        result["simulations"] = agent.simulations
    if hasattr(agent, "target_return"):
        parts.append(f"asked for a return of {agent.target_return:g}")
        result["target_return"] = agent.target_return
    if board_game(env, kwargs) is not None:
        from agents.search.evaluation import judged, told

        opponent = kwargs.get("opponent", "random")
        parts.append(f"against {opponent}" + (f", openings of {options.opening} plies" if options.opening else ""))
        for entries, more in (
            told(result, opponent),
            judged(agent, options.positions, options.won_openings, options.seed),
        ):
            result |= entries
            lines += more
    lines += [f"laps     {result['laps']} / {episodes}"] if "laps" in result else []
    lines += [f"success  {result['success']:.1%} of episodes"] if "success" in result else []
    protocol = "; ".join(parts)
    result |= {"protocol": protocol, "seconds": round(wall, 3), **origin}

    low, high = result["ci95"]
    lengths = result["lengths"]
    print(f"{origin['algorithm']} on {protocol}")
    print(f"return   mean {result['mean']:.2f}   95 % interval {low:.2f} to {high:.2f}")
    print(f"         std {result['std']:.2f}   interquartile mean {result['iqm']:.2f}")
    print(f"length   mean {np.mean(lengths):.1f}   shortest {min(lengths)}   longest {max(lengths)}")
    print("".join(f"{line}\n" for line in lines), end="")
    print(f"time     {wall:.2f} s")
    folder = outputs(options.run)
    target = options.json or folder / "evaluation.json"
    atomic_write(target, json.dumps(result, indent=1) + "\n")
    print(f"written  {target}")
    for path in film(agent, env, kwargs, folder / "videos", options.video, options.seed):
        print(f"video    {path}")
    judge(requirements, result)


def player(options: Options) -> tuple[Policy, Any, dict[str, Any], dict[str, Any]]:
    """Who is to be evaluated, the environment and its keywords, and which algorithm and training it comes from.

    Raises:
        UserError: as `load`; options that do not fit.
    """
    if by_name := is_name(options.run):
        from agents.search.evaluation import contestant

        agent, env, kwargs = contestant(options.run, options.env, options.env_kwargs)
    else:
        agent, env, kwargs = load(options.run, options.env, options.env_kwargs)
    if options.simulations is not None:
        require(hasattr(agent, "simulations"), "simulations", options.simulations, f"{options.run} has no such setting")
        most = getattr(agent, "most_simulations", 0)
        require(0 <= options.simulations <= most, "simulations", options.simulations, f"use 0 to {most:,}")
        agent.simulations = options.simulations
    if options.target_return is not None:
        asks = hasattr(agent, "target_return")
        require(asks, "target_return", options.target_return, f"{options.run} has no such setting")
        require(math.isfinite(options.target_return), "target_return", options.target_return, "use a finite number")
        agent.target_return = options.target_return
    if board_game(env, kwargs) is None and any(
        (options.opponent, options.opening, options.positions, options.won_openings)
    ):
        raise UserError(f"{env} is no board game: leave out --opponent, --opening, --positions and --won-openings")
    kwargs |= {"opponent": options.opponent} if options.opponent is not None else {}
    kwargs |= {"opening": options.opening} if options.opening else {}
    if options.positions or options.won_openings:
        from agents.search.evaluation import check_judged

        check_judged(agent, options.positions, options.won_openings)
    if by_name:
        return agent, env, kwargs, {"algorithm": options.run, "training": None}
    run = locate(options.run)
    return agent, env, kwargs, {"algorithm": read_config(run)["algorithm"], "training": read_finished(run)}


def load(
    run: str | Path, env: str | None = None, env_kwargs: Mapping[str, Any] | None = None
) -> tuple[Policy, Any, dict[str, Any]]:
    """The trained agent of a run's newest checkpoint, its environment (or ``env`` instead) and keywords.

    Args:
        run: a run's folder, or "zoo:NAME".
        env_kwargs: keywords beside those it was trained with.

    Raises:
        UserError: no run or checkpoint there, or an environment whose spaces the agent was not trained for.
    """
    name, run = run, locate(run)
    record = read_config(run)
    algorithm = find(record["algorithm"])
    config = from_json(algorithm.config, record["config"])
    trained_on, target = config.env, env or config.env
    kwargs = {**(config.env_kwargs if target == trained_on else {}), **(env_kwargs or {}), **config.own_kwargs}
    if config.own_kwargs and board_game(target, {}) is None:
        raise UserError(f"{name} plays board games, and {target} is none: leave --env out")
    batch = make_lanes(target, 1, kwargs)
    agent = algorithm.agent(config, batch.single_observation_space, batch.single_action_space)
    batch.close()
    try:
        agent.load_state_dict(read_state(run)["agent"])
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{target} does not fit what {run} was trained on ({trained_on}): {reason}") from error
    return agent, target, dict(kwargs)


def film(policy: Policy, env: str, kwargs: dict[str, Any], folder: Path, episodes: int, seed: int) -> list[Path]:
    """Write mp4 videos of the first episodes of an evaluation."""
    paths: list[Path] = []
    if not episodes:
        return paths
    batch = playground(policy, env, 1, {**kwargs, "render_mode": "rgb_array"})
    for episode in range(seed, seed + episodes):
        paths.append(folder / f"episode-{episode}.mp4")
        write_video(paths[-1], pictures(Player(policy).act, batch, episode), int(batch.metadata.get("render_fps", 30)))
    batch.close()
    return paths


def pictures(act: Callable[[Any, Any, Any], Any], batch: VectorEnv[Any, Any, Any], seed: int) -> Iterator[Any]:
    """The pictures ``(height, width, 3)`` of an episode in a `playground` of one lane, the last one included.

    Args:
        act: actions of observations, of where they begin an episode and of the rewards before, such as `Player.act`.
    """
    observations, _ = batch.reset(seed=[seed])  # type: ignore[arg-type]
    started, rewards, over = np.ones(1, np.bool_), np.zeros(1), False
    while not over:
        yield _picture(batch)
        observations, rewards, terminated, truncated, _ = batch.step(act(observations, started, rewards))
        started = terminated | truncated
        over = bool(started[0])
    yield _picture(batch)


def write_video(path: Path, frames: Iterable[Any], frames_per_second: int) -> None:
    """Write pictures ``(height, width, 3)`` uint8 as an .mp4 or .gif; `path` is whole or not there.

    Raises:
        UserError: another ending, or the disk is full or refuses.
    """
    import imageio.v2 as imageio

    kinds: dict[str, dict[str, Any]] = {
        ".mp4": {"fps": frames_per_second, "macro_block_size": 2},
        ".gif": {"duration": 1000 / frames_per_second, "loop": 0},  # ms; for ever
    }
    require(path.suffix in kinds, "video", str(path), f"use a name that ends in {' or '.join(kinds)}")
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer: Any = imageio.get_writer(partial, **kinds[path.suffix])
        try:
            with writer as video:
                for frame in frames:
                    video.append_data(frame)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def _picture(batch: VectorEnv[Any, Any, Any]) -> Any:
    frames = batch.render()
    assert frames is not None  # made with a render_mode
    return frames[0]


if __name__ == "__main__":
    main()

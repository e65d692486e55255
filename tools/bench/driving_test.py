"""The driving test: ``python -m tools.bench driving-test RUN [--require "off_road<=0.02"] ...``.

A driver takes the same tracks of CarRacing every time; what is measured is how it drives, not what it earns:

    off_road    share of the steps with all four wheels off the road
    laps        share of the episodes that end with a complete lap
    visited     share of the tracks' tiles that were visited
    lap_time    mean time to a complete lap (s); none without one
    steering    mean change of the front wheels' angle (rad/s): a smooth driver has little
    autonomy    Bojarski et al. 2016: 1 - (interventions * 6 s) / (time driven), at least 0. Whenever all four wheels
                are off the road, the scripted expert takes the wheel for six seconds
    latency_*   time of a decision about one observation (ms): median, 95th and 99th percentile
    mean        mean return

The scripted expert is the driver with the name ``expert``, and ``random`` one that steers and accelerates at random.
"""

import itertools
import json
import operator
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from agents import evaluate
from agents.evaluation import BLOCK, Player, Policy
from agents.rollout import make_lanes
from agents.zoo import outputs
from supervised.training.checkpoint import atomic_write
from supervised.training.doors import SMOKE, Rules, door, parse
from supervised.training.errors import UserError, require
from supervised.training.seeding import generators
from supervised.training.statistics import judge, requirement

PROG = "python -m tools.bench driving-test"
SUMMARY = "how a run drives CarRacing: off-road share, laps, smoothness, autonomy, latency; with requirements"
ENV = "skidpad/CarRacing-v0"
FIRST_SEED = 20_000  # beyond those of evaluations
STEP = 0.02  # s
TAKEOVER = 6.0  # s, as the paper counts an intervention
DECISIONS = 20 if SMOKE else 300  # timed
MEASURES = (
    *("off_road", "laps", "visited", "lap_time", "steering", "autonomy"),
    *("latency_p50", "latency_p95", "latency_p99", "mean"),
)
METRICS: dict[str, Callable[[Any], float | None]] = {name: operator.itemgetter(name) for name in MEASURES}

Array = NDArray[Any]
Act = Callable[[Any, Array, Array], Array]  # (observations, whether they begin episodes, rewards) -> actions


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    driver: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|expert|random")]
    """The run's folder or "zoo:NAME", or the scripted expert, or a driver that knows nothing."""
    episodes: int = 20
    """Number of tracks."""
    require: Rules = ()
    """Requirements such as "off_road<=0.02" or "laps>=0.9"; exit code 1 when one is missed."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the result (default: driving-test.json in the run's folder)."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the worst episode as .mp4 or .gif (default: videos/driving-test.mp4 in the run's folder)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        description = "Drive fixed tracks of CarRacing and report how well, for people and for CI."
        options = parse(Options, sys.argv[1:] if arguments is None else arguments, prog=PROG, description=description)
        require(options.episodes >= 1, "episodes", options.episodes, "use at least 1")
        run_test(options)


def run_test(options: Options) -> None:
    """Take the test, print and write what came out; exit code 1 if a requirement is missed."""
    requirements = [requirement(text, METRICS) for text in itertools.chain.from_iterable(options.require)]
    policy, kwargs = load(options.driver)
    seeds = list(range(FIRST_SEED, FIRST_SEED + (1 if SMOKE else options.episodes)))
    alone, saved = drive(policy, kwargs, seeds, takeover=False), drive(policy, kwargs, seeds, takeover=True)
    finished = alone["lap"]
    result: dict[str, Any] = {
        "off_road": float(alone["off_road"].sum() / alone["steps"].sum()),
        "laps": float(finished.mean()),
        "visited": float(alone["visited"].mean()),
        "lap_time": float(alone["steps"][finished].mean() * STEP) if finished.any() else None,
        "steering": float(alone["turned"].sum() / (alone["steps"].sum() * STEP)),
        "autonomy": max(0.0, 1 - TAKEOVER * saved["interventions"].sum() / (saved["steps"].sum() * STEP)),
        **latencies(policy, kwargs, seeds[0]),
        "mean": float(alone["returns"].mean()),
    }
    print(f"{options.driver} on {ENV}, {len(seeds)} tracks, seeds {seeds[0]} to {seeds[-1]}")
    units = {"lap_time": "s", "steering": "rad/s", "latency_p50": "ms", "latency_p95": "ms", "latency_p99": "ms"}
    for name in MEASURES:
        value = "none" if result[name] is None else f"{result[name]:.4g} {units.get(name, '')}"
        print(f"{name:12} {value.strip()}")
    worst = int(alone["returns"].argmin())
    details = {name: values.tolist() for name, values in alone.items()}
    details["interventions"] = saved["interventions"].tolist()
    result |= {"driver": options.driver, "env": ENV, "env_kwargs": kwargs, "seeds": seeds, "episodes": details}
    folder = None if options.driver in ("expert", "random") else outputs(options.driver)
    target = options.json or (folder and folder / "driving-test.json")
    if target is not None:
        atomic_write(target, json.dumps(result, indent=1) + "\n")
        print(f"written      {target}")
    video = options.video or (folder and folder / "videos" / "driving-test.mp4")
    if video is not None:
        print(f"worst seed   {seeds[worst]}, return {alone['returns'][worst]:.1f}: {video}")
        film(load(options.driver)[0], kwargs, seeds[worst], video)  # anew: a random driver has drawn on since
    judge(requirements, result)


def load(driver: str) -> tuple[Policy | None, dict[str, Any]]:
    """The policy (None: the expert) and the keywords of the environment it was trained in; raises `UserError`."""
    if driver in ("expert", "random"):
        return (Random() if driver == "random" else None), {"observation": "none"}
    policy, env, kwargs = evaluate.load(driver)
    if env != ENV:
        raise UserError(f"{driver} was trained on {env}: the driving test is for runs on {ENV}")
    if kwargs.get("actions") == "discrete" or kwargs.get("continuous") is False:
        raise UserError(f"{driver} drives with Gymnasium's five actions, which the expert that helps has not")
    return policy, kwargs


class Random:
    """A policy for cars that draws steering, gas and brake evenly from all there are."""

    transform = staticmethod(np.asarray)

    def __init__(self) -> None:
        self._rng = generators(0, "random")["random"]

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, 3)``."""
        return self._rng.uniform([-1, 0, 0], 1, (len(observations), 3)).astype(np.float32)


def make_actor(policy: Policy | None, cars: VectorEnv[Any, Any, Any], block: int = BLOCK) -> Act:
    """What decides in all lanes: the policy, or the scripted expert with the actions of the environment."""
    if policy is not None:
        return Player(policy, block).act
    from agents.imitation.experts import Expert

    expert = Expert(cars, "continuous" if cars.single_action_space.shape == (3,) else "book")
    return lambda observations, started, rewards: expert.act()


def make_cars(policy: Policy | None, kwargs: dict[str, Any], lanes: int) -> VectorEnv[Any, Any, Any]:
    """Lanes that wait for a reset once they have ended."""
    repeat = 1 if policy is None else getattr(policy.transform, "repeat", 1)
    return make_lanes(ENV, lanes, kwargs, repeat, autoreset_mode=AutoresetMode.DISABLED, copy=True)


def drive(policy: Policy | None, kwargs: dict[str, Any], seeds: list[int], takeover: bool) -> dict[str, Array]:
    """One episode a seed, all side by side; arrays ``(episodes,)``.

    Returns:
        ``returns``; ``steps`` of 0.02 s; ``off_road`` (such steps); ``turned`` (rad by which the front wheels have
        turned, both ways); ``visited`` (share of the tiles); ``lap`` (bool); ``interventions`` (0 without
        ``takeover``).
    """
    cars = make_cars(policy, kwargs, len(seeds))
    fields: dict[str, Array] = cars.unwrapped.fields  # type: ignore[attr-defined]
    act, rescue = make_actor(policy, cars), make_actor(None, cars) if takeover else None
    observations, _ = cars.reset(seed=seeds)  # type: ignore[arg-type]
    started, going = np.ones((2, len(seeds)), np.bool_)
    returns, turned, rewards = np.zeros((3, len(seeds)))
    steps, off_road, interventions = np.zeros((3, len(seeds)), np.int64)
    until = np.zeros(len(seeds))  # s: when the expert gives the wheel back
    front, clock = _front(fields), fields["time"].copy()
    lap = np.zeros(len(seeds), np.bool_)
    while going.any():
        actions = act(observations, started, rewards)
        lost = ~fields["grip"].any(axis=1)
        if rescue is not None:
            saved = rescue(observations, started, rewards)
            new = lost & going & (fields["time"] >= until)
            interventions += new
            until[new] = fields["time"][new] + TAKEOVER
            helped = fields["time"] < until
            actions = np.where(helped if actions.ndim == 1 else helped[:, None], saved, actions)
        observations, rewards, terminated, truncated, _ = cars.step(actions)
        passed = np.rint((fields["time"] - clock) / STEP).astype(np.int64)  # more than 1 where an action is held
        clock = fields["time"].copy()
        steps += passed * going
        off_road += passed * (going & ~fields["grip"].any(axis=1))
        turned += np.abs(_front(fields) - front) * going
        front = _front(fields)
        returns += rewards * going
        started[:] = False
        lap |= going & terminated & fields["lap_finished"]
        going &= ~(terminated | truncated)
    cars.close()
    return {
        "returns": returns,
        "steps": steps,
        "off_road": off_road,
        "turned": turned,
        "visited": fields["visits"] / fields["tiles"],
        "lap": lap,
        "interventions": interventions,
    }


def _front(fields: dict[str, Array]) -> Array:
    """Mean angle of the front wheels to the hull ``(lanes,)`` (rad)."""
    return fields["angle"][:, 1:3].mean(axis=1) - fields["angle"][:, 0]


def latencies(policy: Policy | None, kwargs: dict[str, Any], seed: int) -> dict[str, float]:
    """Percentiles of the time from an observation to its action (ms), one car."""
    cars = make_cars(policy, kwargs, 1)
    observations, _ = cars.reset(seed=[seed])  # type: ignore[arg-type]
    act, started, seconds = make_actor(policy, cars, block=1), np.ones(1, np.bool_), []
    rewards = np.zeros(1)
    for _ in range(DECISIONS):
        start = time.perf_counter()
        actions = act(observations, started, rewards)
        seconds.append(time.perf_counter() - start)
        observations, rewards, terminated, truncated, _ = cars.step(actions)
        started = terminated | truncated
        if started.any():
            observations, _ = cars.reset(options={"reset_mask": started})
    cars.close()
    percentiles = np.percentile(1e3 * np.array(seconds), (50, 95, 99))
    return {f"latency_p{p}": float(value) for p, value in zip((50, 95, 99), percentiles, strict=True)}


def film(policy: Policy | None, kwargs: dict[str, Any], seed: int, path: Path) -> None:
    """Write a video of an episode."""
    cars = make_cars(policy, {**kwargs, "render_mode": "rgb_array"}, 1)
    pictures = evaluate.pictures(make_actor(policy, cars), cars, seed)
    evaluate.write_video(path, pictures, int(cars.metadata["render_fps"]))
    cars.close()

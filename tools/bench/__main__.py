"""The door: ``python -m tools.bench NAME [--json FILE]``."""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from supervised.training.checkpoint import atomic_write
from supervised.training.doors import door, parse
from supervised.training.errors import UserError, needs_extra, suggest
from tools.bench import driving_test, threads
from tools.bench.measurement import SMOKE, Measurement

PROG = "python -m tools.bench"

#: name -> (module, what it compares)
BENCHES = {
    "cart-pole": ("tools.bench.cart_pole", "steps/s of batched CartPole against Gymnasium and EnvPool"),
    "maze": (
        "tools.bench.maze",
        "value iteration on 10^6 states against scipy.sparse; tabular Q-learning against a loop",
    ),
    "dqn-cart-pole": (
        "tools.bench.dqn_cart_pole",
        "time until DQN solves CartPole-v1 against Stable-Baselines3",
    ),
    "sac-pendulum": (
        "tools.bench.sac",
        "gradient steps and training steps/s of SAC on Pendulum-v1 against Stable-Baselines3",
    ),
    "policy-cart-pole": (
        "tools.bench.policy_cart_pole",
        "time until PPO and A2C solve CartPole-v1 against Stable-Baselines3",
    ),
    "gradient-variance": (
        "tools.bench.gradient_variance",
        "variance of REINFORCE's gradient with a learnt baseline, against none",
    ),
    "car-racing": ("tools.bench.car_racing", "steps/s of CarRacing under the expert against Gymnasium and EnvPool"),
    "car-racing-parity": (
        "tools.bench.car_racing_parity",
        "share of CarRacing's steps that equal Gymnasium's bit for bit; distance of the fast picture",
    ),
    "car-racing-expert": (
        "tools.bench.car_racing_expert",
        "mean return of the scripted driver on CarRacing, ours and Gymnasium's, against 900",
    ),
    "car-racing-return": (
        "tools.bench.car_racing_return",
        "time until PPO drives CarRacing from pixels to a return of 500, against Stable-Baselines3",
    ),
    "atari": ("tools.bench.atari", "steps/s of 16 lanes of Breakout against Stable-Baselines3 and EnvPool"),
    "imitation": (
        "tools.bench.imitation",
        "preparing frames for behavioral cloning, and an epoch, against the book's pipeline",
    ),
    "supervised": (
        "tools.bench.supervised",
        "epochs of the book's convolutional networks against a PyTorch loop; ResNet-18 folded, against as it is",
    ),
    "language": (
        "tools.bench.language",
        "pairs of words/s of word2vec against a PyTorch loop and gensim; characters/s of an LSTM",
    ),
    "throughput": ("tools.bench.throughput", "training steps/s from pixels against Stable-Baselines3"),
    "self-play": (
        "tools.bench.self_play",
        "positions/s of AlphaZero's self-play in one batch, against one game and one leaf at a time",
    ),
    "mcts": ("tools.bench.mcts", "simulations/s of tree search against OpenSpiel, and of two threads against one"),
    "start": ("tools.bench.start", "cost of importing envs, and of the first step of a cached kernel"),
}

#: name -> a module with a command line of its own
DOORS = {"driving-test": driving_test, "threads": threads}


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    name: Annotated[str, tyro.conf.Positional]
    """The benchmark."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where to write the measurements as JSON."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        given = list(sys.argv[1:] if arguments is None else arguments)
        if given and given[0] in DOORS:
            return DOORS[given[0]].main(given[1:])
        listing = "; ".join(f"{name}: {summary}" for name, (_, summary) in BENCHES.items())
        others = "; ".join(f"{name}: {module.SUMMARY}" for name, module in DOORS.items())
        description = f"Measure a speed ratio. {listing}. With options of their own: {others}."
        options = parse(Options, given, prog=PROG, description=description)
        if options.name not in BENCHES:
            raise UserError(f"unknown benchmark {options.name!r}{suggest(options.name, [*BENCHES, *DOORS])}")
        with needs_extra("bench"):
            module = importlib.import_module(BENCHES[options.name][0])
        measurements: list[Measurement] = []
        print(f"{'':44} {'ours':>12} {'peer':>12} {'ratio':>8} {'goal':>6}")
        for one in module.run():
            measurements.append(one)
            verdict = "met" if one.met else "missed"
            numbers = f"{one.ours:12.4g} {one.peer:12.4g} {one.ratio:8.2f} {one.goal:6g}"
            print(f"{one.name:44} {numbers} {verdict:7} {one.unit}", flush=True)
        if SMOKE:
            print("SKIDPAD_SMOKE is set: budgets are cut, and the figures mean nothing")
        if options.json is not None:
            atomic_write(options.json, json.dumps([one.as_dict() for one in measurements], indent=1) + "\n")


if __name__ == "__main__":
    main()

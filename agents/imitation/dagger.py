"""DAgger: the learner drives, the teacher says what it would have done (Ross, Gordon and Bagnell 2011).

A clone meets states that its teacher never showed, because its own mistakes lead there. Here every round drives one
episode in each lane, asks the teacher at every step, adds what it says to all examples so far, and trains on:

    D <- D + {(s, teacher(s)): s visited by pi_k},  pi_k = beta^k teacher + (1 - beta^k) learner
    learner <- trained on D

so the first round (k = 0) is the teacher's alone: its own drive, or demonstrations recorded before. Driving with the
teacher's hand at some steps (beta > 0) is the paper's; with beta 0, which its experiments found best, the learner
drives every round but the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from agents.evaluation import playground
from agents.imitation import demonstrations
from agents.imitation.behavioral_cloning import PILOTNET, STACKED, WHOLE, Learner
from agents.imitation.examples import Examples, require_book_classes
from agents.imitation.networks import Agent, Settings, driven, make_agent
from agents.transforms import FrameStack
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import require
from supervised.training.registry import Algorithm
from supervised.training.run import Run
from supervised.training.seeding import generators, set_threads

Array = NDArray[Any]


class Teacher(Protocol):
    """Who knows what to do in the present state of the lanes it was made for."""

    def act(self) -> Array:
        """Actions ``(lanes, *action)``."""
        ...


@dataclass(frozen=True)
class Config(Settings):
    """DAgger: behavioral cloning on the states that the clone itself gets into."""

    rounds: int = 10
    """Rounds of driving and training."""
    lanes: int = 4
    """Episodes of a round, driven side by side."""
    round_steps: int = 0
    """Steps after which an episode is cut, before a car that is stuck fills the examples; 0: never."""
    epochs: int = 4
    """Passes through all examples so far, in each round."""
    style: str = "calm"
    """How the scripted teacher drives: fast or calm."""
    beta: float = 0.0
    """Share of the steps that the teacher drives in round k = 0, 1, ...: beta^k."""
    demonstrations: str = ""
    """The first round's episodes, a folder or the id of a Minari data set; with none the teacher drives that round."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rounds", "lanes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.round_steps >= 0, "round_steps", self.round_steps, "use 0 or more")
        require(0 <= self.beta <= 1, "beta", self.beta, "use a share from 0 to 1")


PRESETS = {
    "default": Config(),
    "frame": Config(**WHOLE, rounds=3, lanes=6, epochs=6),
    "stack4": Config(**STACKED, rounds=3, lanes=6, epochs=6),
    "pilotnet": Config(**PILOTNET),
}


def train(config: Config, run: Run | None = None, teacher: Callable[[Any], Teacher] | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Args:
        teacher: makes the teacher of a batch of lanes; by default the scripted driver of `agents.imitation.experts`.

    Raises:
        UserError: settings or an environment that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal; a resumed run repeats the round under way.
    """
    run = run or Run.off()
    set_threads(config.threads)
    start = demonstrations.load(config.demonstrations) if config.demonstrations else None
    agent = make_agent(config, None if start is None else start.observation_space)
    learner = Learner(config, agent)
    lanes = playground(agent, config.env, config.lanes, config.env_kwargs)
    driver = teacher(lanes) if teacher else _expert(lanes, config.style)
    data = Aggregate(ChunkLog(run.folder / "checkpoints" / "examples" if run.folder else None))
    done = 0  # rounds

    def state() -> dict[str, Any]:
        return {
            "round": done,
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "data": data.state_dict(),
        }

    if saved := run.restore(check=lambda saved: data.load_state_dict(saved["data"])):
        done = saved["round"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])

    while done < config.rounds:
        with run.restartable():
            metrics: dict[str, float] = {}
            if done == 0 and start is not None:
                learned, metrics["learner_states"] = agent.examples(start, np.arange(len(start))), 0
            else:
                share, name = config.beta**done, f"round {done}"
                rng = generators(config.seed, name)[name]
                visited, metrics = drive(agent, lanes, driver, share, rng, config.round_steps)
                if share < 1:  # what the learner would do where it got to, before it learns from that
                    metrics |= {f"visited_{key}": value for key, value in learner.measure(visited).items()}
                learned = data.joined(visited)
            learner.prepare(learned)
            for k in range(config.epochs):
                epoch, dropout = done * config.epochs + k, k < config.early_dropout * config.epochs
                metrics |= learner.epoch(learned, epoch, 1 - k / config.epochs, dropout)
            metrics |= {"examples": len(learned), **driven(agent, config, done + 1)}
            data.examples = learned
        done += 1
        run.log(done, metrics)
        run.progress(done)
        run.checkpoint(done, state, config.checkpoint_every)
    lanes.close()
    run.finish(done, state)
    return agent


def drive(
    agent: Agent,
    lanes: VectorEnv[Any, Any, Any],
    teacher: Teacher,
    share: float,
    rng: np.random.Generator,
    most_steps: int = 0,
) -> tuple[Examples, dict[str, float]]:
    """One episode in each lane, the teacher doing its ``share`` of the steps and naming its action at all of them.

    Args:
        most_steps: where episodes are cut; 0: nowhere.

    Returns:
        the states visited with the teacher's actions, and metrics: ``learner_states`` (those where the learner drove),
        ``episode_return`` and ``episode_length``, means over the lanes.
    """
    seeds = [int(seed) for seed in rng.integers(2**32, 2**63, lanes.num_envs)]  # beyond those of evaluations
    observations, _ = lanes.reset(seed=seeds)  # type: ignore[arg-type]
    stack, started, going = FrameStack(agent.transform.stack), *np.ones((2, lanes.num_envs), np.bool_)
    frames: list[list[Array]] = [[] for _ in seeds]
    labels: list[list[Array]] = [[] for _ in seeds]
    returns, learner_states = np.zeros(lanes.num_envs), 0
    while going.any():
        frame = agent.transform(observations)
        seen, wanted = stack.see(frame, started), teacher.act()
        actions, mine = wanted.copy(), rng.random(lanes.num_envs) >= share
        if mine.any():
            actions[mine] = agent.act(seen, deterministic=True)[mine]
        for lane in np.flatnonzero(going):
            frames[lane].append(frame[lane])
            labels[lane].append(wanted[lane])
        learner_states += int((mine & going).sum())
        observations, rewards, terminated, truncated, _ = lanes.step(actions)
        returns[going] += rewards[going]
        started = terminated | truncated
        going &= ~started & (max(map(len, frames)) != most_steps)
        if started.any():  # lanes that are through play on uncounted
            observations, _ = lanes.reset(options={"reset_mask": started})
    lengths = [len(one) for one in frames]
    episodes = ((np.array(f), agent.targets(np.array(a))) for f, a in zip(frames, labels, strict=True))
    metrics = {
        "learner_states": learner_states,
        "episode_return": float(returns.mean()),
        "episode_length": float(np.mean(lengths)),
    }
    return Examples.collect(episodes, sum(lengths)), metrics


class Aggregate:
    """All examples so far; a checkpoint writes only the new ones to the log."""

    def __init__(self, log: ChunkLog) -> None:
        self.examples: Examples | None = None
        self._log, self._logged = log, 0

    def joined(self, new: Examples) -> Examples:
        """The examples so far and new ones."""
        return new if self.examples is None else Examples.join([self.examples, new])

    def state_dict(self) -> dict[str, Any]:
        """Writes what is new, and returns the list of chunks, of which that of any checkpoint before is the start."""
        assert self.examples is not None
        rows = slice(self._logged, len(self.examples))
        arrays = {name: getattr(self.examples, name)[rows] for name in ("frames", "targets", "firsts")}
        self._log.append(self._logged, arrays)
        self._logged = len(self.examples)
        entries = self._log.entries(0)
        self._log.prune([entries])
        return {"chunks": entries}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Read the examples back; raises `CorruptFile` for a chunk that is missing or damaged."""
        self.examples = Examples(**self._log.restore(state["chunks"]))
        self._logged = len(self.examples)


def _expert(lanes: VectorEnv[Any, Any, Any], style: str) -> Teacher:
    from agents.imitation.experts import Expert

    space = lanes.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        require_book_classes(int(space.n), "actions")
    return Expert(lanes, "book" if isinstance(space, gym.spaces.Discrete) else "continuous", style)


ALGORITHMS = {
    "dagger": Algorithm(Config, PRESETS, train, Agent, "rounds", lambda config: config.rounds),
}

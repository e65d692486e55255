"""What all evolution shares: settings, what a network sees and decides, and the arena where a population plays.

Every individual plays ``episodes_each`` lanes of one batch, and all individuals the same episodes, so that what tells
them apart is the policy and not the start. Each generation begins with new seeds: its lanes need not be saved.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.policy import distributions
from agents.rollout import Rollout, episode_seeds, make_lanes, require_actions
from agents.settings import Acting
from agents.transforms import Transforms, action_repeat
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, set_generator_state, set_threads

Array = NDArray[Any]


@dataclass(frozen=True)
class EvolutionSettings(Acting):
    """Settings of every algorithm that evolves a population."""

    total_steps: int = 2_000_000
    """Environment steps of the run, all individuals together; a generation that would exceed them is given up."""
    population: int = 64
    """Individuals of a generation."""
    episodes_each: int = 2
    """Episodes of every individual in a generation; its fitness is their mean return."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.population >= 2, "population", self.population, "use at least 2")
        require(self.episodes_each >= 1, "episodes_each", self.episodes_each, "use at least 1")


#: a preset of every algorithm: returns vary so much between starts that the threshold, -110, is only safe from some
#: distance
MOUNTAIN_CAR: dict[str, Any] = {
    "env": "skidpad/MountainCar-v0",
    "total_steps": 10_000_000,
    "episodes_each": 8,
    "evaluate_episodes": 100,
    "stop_return": -106.0,
}


class Interface:
    """What a network sees of observations, and what its outputs decide: the highest one, or a number a component.

    Attributes:
        transform: see `agents.evaluation.Policy`.
        inputs, outputs: how many numbers go in and out.
    """

    def __init__(self, config: Acting, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.transform = Transforms(observation_space, config.transforms)
        space = self.transform.space
        low, high = (bound.ravel().astype(np.float64) for bound in (space.low, space.high))
        bounded = np.isfinite(low) & np.isfinite(high) & (low < high)
        low, high = np.where(bounded, low, -1), np.where(bounded, high, 1)
        self._centre, self._scale = ((low + high) / 2).astype(np.float32), (2 / (high - low)).astype(np.float32)
        self._policy = distributions.build("auto", 1, action_space)
        self.inputs, self.outputs = low.size, self._policy.out_features
        self._discrete = isinstance(action_space, gym.spaces.Discrete)

    def see(self, observations: Array) -> Array:
        """Inputs ``(batch, inputs)`` float32: observations flattened, and -1..1 where they have bounds."""
        return (observations.reshape(len(observations), -1) - self._centre) * self._scale

    def decide(self, outputs: Array) -> Array:
        """Actions ``(batch, *action)`` of outputs ``(batch, outputs)``; -1 and 1 are the bounds of continuous ones."""
        return self._policy.to_env(self._policy.mode(outputs) if self._discrete else outputs)


class Arena:
    """Where every individual of a population plays the same episodes.

    Attributes:
        step, generation, episodes: environment steps, generations and episodes so far.
    """

    def __init__(self, config: EvolutionSettings) -> None:
        set_threads(config.threads)
        self.config = config
        lanes = config.population * config.episodes_each
        self._env = make_lanes(config.env, lanes, config.env_kwargs, action_repeat(config.transforms))
        wanted = (
            f"evolution needs {lanes}, one for each episode of a generation: give a callable that makes single ones"
        )
        require(self._env.num_envs == lanes, "lanes", self._env.num_envs, wanted)
        require_actions(config.env, self._env.single_action_space)
        self._rollout = Rollout(self._env, config.seed, config.transforms)
        self.spaces = self._env.single_observation_space, self._env.single_action_space
        self.step = self.generation = self.episodes = 0
        self._rng = generators(config.seed, "episodes")["episodes"]
        self._metrics: dict[str, float] = {}

    def play(self, act: Callable[[Array], Array]) -> Array | None:
        """The fitness ``(population,)`` of all individuals; None if their episodes do not fit into the budget.

        Args:
            act: actions of observations ``(lanes, *observation)``, of which each individual has ``episodes_each``.
        """
        config, rollout = self.config, self._rollout
        rollout.restart(episode_seeds(self._rng, config.episodes_each) * config.population)
        returns, step = np.zeros(rollout.lanes), self.step
        while not rollout.resting.all():
            if step + int((~rollout.resting).sum()) > config.total_steps:
                return None
            played = rollout.step(act(rollout.observations))
            returns[played.valid] += played.rewards[played.valid]
            step += int(played.valid.sum())
            rollout.resting |= (played.terminated | played.truncated) & played.valid
        length, self.step = step - self.step, step
        self.generation += 1
        self.episodes += rollout.lanes
        fitness = returns.reshape(config.population, config.episodes_each).mean(1)
        self._metrics = {
            "episode_return": returns.mean(),
            "episode_length": length / rollout.lanes,
            "episodes": self.episodes,
            "generation": self.generation,
            "best_fitness": fitness.max(),
        }
        return fitness

    def log(self, run: Run, **metrics: float) -> None:
        """A line of metrics of the generation that has played, with an algorithm's own."""
        run.log(self.step, {**self._metrics, **metrics})
        run.progress(self.step)

    def close(self) -> None:
        """Close the lanes.

        Raises:
            UserError: not a single generation fitted into the budget.
        """
        self._env.close()
        self.config.require_episodes(self.step)

    def state_dict(self) -> dict[str, Any]:
        """Counters, and the draws of seeds."""
        counters = {name: getattr(self, name) for name in ("step", "generation", "episodes")}
        return {**counters, "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.step, self.generation, self.episodes = (state[name] for name in ("step", "generation", "episodes"))
        set_generator_state(self._rng, state["rng"])

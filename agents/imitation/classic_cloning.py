"""Behavioral cloning by classic learners (book, chapter 1): a teacher's actions are the classes of what it saw.

The learners and their settings are those of `supervised.classic`, fitted in one step; acting needs NumPy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.imitation import demonstrations, examples
from agents.imitation.examples import Examples
from agents.imitation.networks import demonstrated, matching_spaces
from agents.settings import Common
from agents.transforms import Transforms
from supervised.classic.learners import SVM, DecisionTree, GradientBoosting, Learner, RandomForest
from supervised.classic.predictors import Predictor
from supervised.training.errors import UserError, require
from supervised.training.once import learn_once
from supervised.training.registry import Algorithm
from supervised.training.run import Run
from supervised.training.seeding import generators

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(Common, Learner):
    """Cloning in one step."""

    demonstrations: str = ""
    """The teacher's episodes: a folder, or the id of a Minari data set (tools.record makes them)."""
    transforms: tuple[str, ...] = ()
    """What is seen of an observation, in this order: gray, crop:A:B:C:D, resize:H:W,
    perceive:RUN, stack:K, repeat:K."""
    validation: float = 0.15
    """Share of the steps held out to validate, as whole episodes; 0: none."""
    checkpoint_every: int = 0
    """Of no effect: a training of one step is saved at its end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.validation < 1, "validation", self.validation, "use a share from 0 to below 1")
        self.check()


@dataclass(frozen=True)
class SVMConfig(SVM, Config):
    """Cloning by a support vector machine."""


@dataclass(frozen=True)
class TreeConfig(DecisionTree, Config):
    """Cloning by a decision tree."""


@dataclass(frozen=True)
class ForestConfig(RandomForest, Config):
    """Cloning by a random forest."""


@dataclass(frozen=True)
class BoostingConfig(GradientBoosting, Config):
    """Cloning by gradient boosting."""


class Agent:
    """Does what the teacher would most likely have done.

    Attributes:
        transform, space: what makes of observations what the learner sees, and its space.
        predictor: tells actions, counted from 0.

    Raises:
        UserError: actions that are not discrete.
    """

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        if not isinstance(action_space, spaces.Discrete):
            remedy = "use discrete ones, or the algorithm bc"
            raise UserError(f"env={config.env!r} has the actions {action_space}: {remedy}")
        self.config, self.actions = config, action_space
        self.transform = Transforms(observation_space, config.transforms)
        self.space = self.transform.space
        self.predictor: Predictor

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch,)``; nothing is drawn, deterministic or not."""
        return self.predictor.predict(observations) + self.actions.start

    def targets(self, actions: Array) -> Array:
        """Actions ``(steps,)`` counted from 0; a car's ``(steps, 3)`` as the book's classes.

        Raises:
            UserError: actions that this environment does not have.
        """
        if actions.ndim == 2:
            examples.require_book_classes(int(self.actions.n), "actions")
            return demonstrations.book_classes(actions)
        targets = actions.astype(np.int64) - self.actions.start
        wrong = (targets < 0) | (targets >= self.actions.n)
        if wrong.any():
            raise UserError(f"action {actions[wrong][0]} was recorded, and {self.config.env} has {self.actions}")
        return targets

    def state_dict(self) -> dict[str, Any]:
        """The arrays of the predictor."""
        return self.predictor.arrays

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what `state_dict` tells; raises ValueError where that saw or did something else."""
        predictor, seen = self.config.predictor(state), int(np.prod(self.space.shape))
        if predictor.features != seen:
            raise ValueError(f"{predictor.features} numbers were learnt from, and {seen} are seen")
        if predictor.labels[-1] >= self.actions.n:
            raise ValueError(f"action {predictor.labels[-1]} was learnt, and there are {self.actions.n}")
        self.predictor = predictor


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, and save a checkpoint.

    Raises:
        UserError: demonstrations or settings that do not fit, or scikit-learn is not installed.
        supervised.training.run.Interrupted: after a signal; a resumed run begins anew.
    """
    require(
        bool(config.demonstrations), "demonstrations", config.demonstrations, "name a folder that tools.record made"
    )
    episodes = demonstrations.load(config.demonstrations)
    agent = Agent(config, *matching_spaces(config, episodes.observation_space))

    def observations(part: Examples) -> Array:
        return part.observations(np.arange(len(part)), agent.transform.stack, agent.transform.repeat)

    def learn() -> tuple[Predictor, dict[str, float]]:
        rng = generators(config.seed, "split")["split"]
        training, held_out = (
            demonstrated(episodes, numbers, agent.transform, agent.targets)
            for numbers in examples.split(episodes.lengths, config.validation, rng)
        )
        predictor = config.fit(observations(training), training.targets, config.seed)
        parts = {"training_accuracy": training, "held_out_accuracy": held_out}
        told = {name: predictor.predict(observations(part)) for name, part in parts.items() if len(part)}
        return predictor, {name: float(np.mean(actions == parts[name].targets)) for name, actions in told.items()}

    agent.predictor = learn_once(run or Run.off(), "agent", config.predictor, learn)
    return agent


ALGORITHMS = {
    name: Algorithm(kind, {"default": kind()}, train, Agent, "fits", lambda config: 1)
    for name, kind in (
        ("clone-svm", SVMConfig),
        ("clone-decision-tree", TreeConfig),
        ("clone-random-forest", ForestConfig),
        ("clone-gradient-boosting", BoostingConfig),
    )
}

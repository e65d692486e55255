"""The tabular methods as algorithms of `agents.train`: settings, functions and agents in one table."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from agents.tabular import dynamic_programming, monte_carlo, multi_step, temporal_difference
from agents.tabular import function_approximation as approximation
from agents.tabular.environment import Array, Environment, Indexing, Stepped
from agents.tabular.learner import Session, linear
from agents.tabular.policies import greedy_policy
from agents.tabular.settings import (
    ApproximateControl,
    Approximation,
    Control,
    Episodic,
    MonteCarlo,
    MonteCarloControl,
    NStepControl,
    NStepPrediction,
    OffPolicyMonteCarlo,
    Planning,
    Prediction,
    Tabular,
    TraceControl,
    TracePrediction,
    ValueIteration,
)
from agents.tabular.tile_coding import TileCoder
from agents.transforms import flattener
from envs.mdp import MDP
from supervised.training.errors import UserError
from supervised.training.registry import Algorithm
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, seeded_modules, set_generator_state


class Agent:
    """Acts by a table.

    Attributes:
        policy: ``(states, actions)`` probabilities.
        values: ``(states,)``.
    """

    def __init__(self, config: Tabular, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.index = Indexing(observation_space)
        n_actions = _count(config, action_space)
        self.policy = np.full((self.index.n, n_actions), 1 / n_actions)
        self.values = np.zeros(self.index.n)
        self._tables: dict[str, Any] = {"policy": self.policy, "values": self.values}
        self._rng = generators(config.seed, "acting")["acting"]

    def transform(self, observations: Any) -> Array:
        """State numbers ``(batch,)`` of a batch of the environment's observations."""
        return self.index.batch(observations)

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch,)`` in states ``(batch,)``: the likeliest, the first of equals, or drawn by the policy."""
        chances = self.policy[observations]
        return chances.argmax(axis=1) if deterministic else _draw(chances, self._rng)

    def state_dict(self) -> dict[str, Any]:
        """The tables that were learnt."""
        return {**self._tables, "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the tables of a checkpoint.

        Raises:
            ValueError: they belong to another number of states or actions.
        """
        tables = {name: np.asarray(table) for name, table in state.items() if name != "rng"}
        if "q_values" in tables:
            q_values = tables["q_values"]
            tables |= {"policy": greedy_policy(q_values, np.isfinite(q_values)), "values": q_values.max(axis=1)}
        found = tables["policy"].shape
        if found != self.policy.shape:
            raise ValueError(f"its table has {found} states and actions, and this environment {self.policy.shape}")
        self._tables, self.policy, self.values = tables, tables["policy"], tables["values"]
        if "rng" in state:
            set_generator_state(self._rng, state["rng"])


class ApproximateAgent:
    """Acts by a function of the observation: its best action, or uniformly where the function has a single value.

    Attributes:
        function: the values of all actions, or of the uniform policy.
        flattens: whether it reads observations flattened into one vector.
    """

    def __init__(self, config: Approximation, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self._config, self._n_actions = config, _count(config, action_space)
        self._space, self.transform = flattener(observation_space)
        self.flattens = not isinstance(observation_space, gym.spaces.Box)
        if config.features == "tiles" and isinstance(observation_space, gym.spaces.Discrete):
            # as a number: neighbours share tiles, where one-hot vectors have nothing in common
            low, high = float(observation_space.start), float(observation_space.start + observation_space.n)
            self._space, self.transform, self.flattens = gym.spaces.Box(low, high, (1,)), np.asarray, False
        self._outputs = self._n_actions if isinstance(config, ApproximateControl) else 1
        self.function = approximation.make_function(self._features(), self._outputs)
        self._rng = generators(config.seed, "acting")["acting"]

    def _features(self) -> Any:
        config = self._config
        if config.features == "tiles":
            return TileCoder(self._space.low.ravel(), self._space.high.ravel(), config.tiles, config.tilings)
        from torch import nn

        from supervised import backbones

        with seeded_modules(config.seed, "network"):
            backbone = backbones.build("mlp", self._space, hidden=config.hidden, activation=config.activation)
            return nn.Sequential(backbone, nn.Linear(backbone.feature_dim, self._outputs))

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch,)`` for ``transform``-ed observations ``(batch, ...)``, epsilon-greedy or greedy."""
        chances = np.full((len(observations), self._n_actions), 1 / self._n_actions)
        if isinstance(self._config, ApproximateControl):
            values = np.array([self.function(observation) for observation in observations])
            greedy = np.eye(self._n_actions)[values.argmax(axis=1)]
            epsilon = self._config.epsilon if self._config.epsilon_end is None else self._config.epsilon_end
            chances = greedy if deterministic else (1 - epsilon) * greedy + epsilon * chances
        return _draw(chances, self._rng)

    def state_dict(self) -> dict[str, Any]:
        """The function's weights."""
        return {**self.function.weights, "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the weights of a checkpoint.

        Raises:
            ValueError: they are of another shape.
        """
        for name, weights in self.function.weights.items():
            if weights.shape != state[name].shape:
                raise ValueError(f"{name} has shape {state[name].shape}, and {weights.shape} is needed")
            np.copyto(weights, state[name])
        if "rng" in state:
            set_generator_state(self._rng, state["rng"])


def _count(config: Tabular, action_space: gym.Space[Any]) -> int:
    if isinstance(action_space, gym.spaces.Discrete):
        return int(action_space.n)
    raise UserError(f"numbered actions are needed, and {config.env} has {action_space}: use another algorithm")


def _draw(chances: Array, rng: np.random.Generator) -> Array:
    """Actions ``(batch,)`` with probabilities ``(batch, actions)``."""
    drawn = rng.random((len(chances), 1))
    return np.minimum((chances.cumsum(axis=1) <= drawn).sum(axis=1), chances.shape[1] - 1)


def _chosen(method: Callable[..., Any], config: Tabular) -> dict[str, Any]:
    """The settings that the function of this method takes, which has parameters of the same names."""
    wanted = inspect.signature(method).parameters
    chosen = {name: value for name, value in vars(config).items() if name in wanted and name != "env"}
    end = getattr(config, "epsilon_end", None)
    if end is not None:
        chosen["epsilon"] = linear(chosen["epsilon"], end, chosen["episodes"])
    return chosen


def _learn(method: Callable[..., Any], config: Episodic, run: Run | None = None) -> Agent:
    """Learn a table from episodes; raises `UserError` for an environment that does not fit."""
    environment = Environment(config.env, config.env_kwargs)
    chosen = _chosen(method, config)
    if "policy" in inspect.signature(method).parameters:
        allowed = environment.model.allowed
        chosen["policy"] = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
    session = Session(run or Run.off(), config.checkpoint_every, config.total_steps)
    result = method(environment, session=session, **chosen)
    agent = Agent(config, environment.observation_space, environment.action_space)
    learnt = {name: getattr(result, name) for name in ("q_values", "values") if hasattr(result, name)}
    agent.load_state_dict(learnt | {name: chosen[name] for name in ("policy",) if name in chosen})
    return agent


def _approximate(method: Callable[..., Any], config: Approximation, run: Run | None = None) -> ApproximateAgent:
    """Learn a function from episodes; raises `UserError` for an environment that does not fit."""
    stepped = Stepped(config.env, config.env_kwargs)
    agent = ApproximateAgent(config, stepped.env.observation_space, stepped.env.action_space)
    if agent.flattens:
        stepped.env = gym.wrappers.FlattenObservation(stepped.env)
    session = Session(run or Run.off(), config.checkpoint_every, config.total_steps)
    method(stepped, session=session, **(_chosen(method, config) | {"features": agent.function}))
    return agent


def _plan(method: Callable[..., Any], config: Planning, run: Run | None = None) -> Agent:
    """Solve the model; raises `UserError` for an environment without one."""
    run = run or Run.off()
    environment = Environment(config.env, config.env_kwargs)
    if environment.mdp is None:
        remedy = "use a method that learns from episodes, such as q-learning"
        raise UserError(f"{config.env} shows no model, which dynamic programming reads: {remedy}")
    run.restore()  # sweeps are made again from the start, to the same bits
    with run.restartable():
        solution = method(environment.mdp, **_chosen(method, config))
    sweep = 0
    for part in solution.history:
        for delta in part.deltas[:-1]:
            sweep += 1
            run.log(sweep, {"delta": delta})
        sweep += 1
        run.log(sweep, {"delta": part.deltas[-1], "policy_changes": part.policy_changes})
    agent = Agent(config, environment.observation_space, environment.action_space)
    agent.load_state_dict({"policy": solution.policy, "values": solution.values})
    run.finish(sweep, lambda: {"agent": agent.state_dict()})
    return agent


def _evaluate_uniform(mdp: MDP, discount: float, tolerance: float, max_sweeps: int) -> dynamic_programming.Solution:
    """The values of the uniform policy."""
    policy = mdp.uniform_policy()
    return dynamic_programming.evaluate_policy(mdp, policy, discount, tolerance, max_sweeps=max_sweeps)


def _algorithm(method: Callable[..., Any], default: Tabular) -> Algorithm:
    kind, presets = type(default), {"default": default}
    if isinstance(default, Planning):
        return Algorithm(kind, presets, partial(_plan, method), Agent, "sweeps", lambda config: config.max_sweeps)
    train, agent = (_approximate, ApproximateAgent) if isinstance(default, Approximation) else (_learn, Agent)
    return Algorithm(kind, presets, partial(train, method), agent, "episodes", lambda config: config.episodes)


GRID, CARS, GAMBLER = "skidpad/GridWorld-v0", "skidpad/JacksCarRental-v0", "skidpad/GamblersProblem-v0"
WINDY, BIAS, WALK = "skidpad/WindyGridWorld-v0", "skidpad/MaximizationBias-v0", "skidpad/RandomWalk-v0"

#: name -> algorithm; the default environments are those of the book's or Sutton & Barto's examples
ALGORITHMS: dict[str, Algorithm] = {
    "policy-evaluation": _algorithm(_evaluate_uniform, Planning(env=GRID)),
    "policy-iteration": _algorithm(dynamic_programming.policy_iteration, Planning(env=CARS, discount=0.9)),
    "value-iteration": _algorithm(dynamic_programming.value_iteration, ValueIteration(env=GAMBLER)),
    "mc-prediction": _algorithm(monte_carlo.mc_prediction, MonteCarlo()),
    "td-prediction": _algorithm(temporal_difference.td_prediction, Prediction()),
    "n-step-td-prediction": _algorithm(multi_step.n_step_td_prediction, NStepPrediction()),
    "td-lambda-prediction": _algorithm(multi_step.td_lambda_prediction, TracePrediction()),
    "mc-exploring-starts": _algorithm(monte_carlo.mc_exploring_starts, MonteCarlo()),
    "mc-control": _algorithm(monte_carlo.mc_control, MonteCarloControl()),
    "mc-off-policy": _algorithm(monte_carlo.mc_off_policy_control, OffPolicyMonteCarlo()),
    "sarsa": _algorithm(temporal_difference.sarsa, Control()),
    "expected-sarsa": _algorithm(temporal_difference.expected_sarsa, Control()),
    "n-step-sarsa": _algorithm(multi_step.n_step_sarsa, NStepControl(env=WINDY)),
    "sarsa-lambda": _algorithm(multi_step.sarsa_lambda, TraceControl(env=WINDY)),
    "q-learning": _algorithm(temporal_difference.q_learning, Control()),
    "double-q-learning": _algorithm(
        temporal_difference.double_q_learning, Control(env=BIAS, step_size=0.1, epsilon_end=None)
    ),
    "semi-gradient-td": _algorithm(
        approximation.semi_gradient_td,
        Approximation(env=WALK, env_kwargs={"states": 19, "left_reward": -1.0}, tiles=5, tilings=4),
    ),
    "semi-gradient-sarsa": _algorithm(approximation.semi_gradient_sarsa, ApproximateControl()),
    "semi-gradient-q-learning": _algorithm(approximation.semi_gradient_q_learning, ApproximateControl()),
}

"""Semi-gradient methods: v(s, w) or q(s, a, w) instead of a table (book, chapter 8; Sutton & Barto 9.3, 10.1).

The weights move **up** the gradient of the estimate, w <- w + step_size [target - estimate] grad estimate, where the
target is the reward alone at a terminal state, and bootstraps from the state reached where a time limit cuts.
"Semi", because the target depends on w as well, and that part of the gradient is left out.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numba import njit

from agents.tabular.actions import epsilon_greedy, sample_policy
from agents.tabular.environment import Array, Stepped
from agents.tabular.learner import Learner, Schedule, Session, Task, finish
from agents.tabular.tile_coding import TileCoder

if TYPE_CHECKING:  # torch is slow to import, and linear functions do without
    from torch import nn


class Function(Protocol):
    """A function of observations with weights: values ``(outputs,)``, one for each action, or a single one."""

    weights: dict[str, Array]

    def __call__(self, observation: Any) -> Array:
        """Values ``(outputs,)`` float64."""
        ...

    def move(self, observation: Any, output: int, amount: float) -> None:
        """w <- w + amount * gradient of that output."""
        ...


@njit(cache=True, nogil=True)
def _sum(weights: Array, active: Array) -> Array:
    total = np.zeros(weights.shape[1])
    for feature in active:
        for output in range(weights.shape[1]):
            total[output] += weights[feature, output]
    return total


@njit(cache=True, nogil=True)
def _add(weights: Array, active: Array, output: int, amount: float) -> None:
    for feature in active:
        weights[feature, output] += amount


class LinearFunction:
    """A weighted sum of tile-coded features; its gradient is 1 at the features that are on.

    Attributes:
        weights: ``{"weights": (features, outputs)}``.
    """

    def __init__(self, features: TileCoder, outputs: int) -> None:
        self.features = features
        self.weights = {"weights": np.zeros((features.n_features, outputs))}

    def __call__(self, observation: Any) -> Array:
        """Values ``(outputs,)``."""
        return _sum(self.weights["weights"], self.features(observation)[0])

    def move(self, observation: Any, output: int, amount: float) -> None:
        """w <- w + amount * gradient of that output."""
        _add(self.weights["weights"], self.features(observation)[0], output, amount)


class NetworkFunction:
    """A network ``(batch, *observation) float32 -> (batch, outputs)``.

    Attributes:
        weights: the network's own memory, by parameter's name.
    """

    def __init__(self, network: Any) -> None:
        import torch

        self._torch, self.network = torch, network
        self.weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    def _input(self, observation: Any) -> Any:
        return self._torch.as_tensor(np.asarray(observation, np.float32))[None]

    def __call__(self, observation: Any) -> Array:
        """Values ``(outputs,)``."""
        with self._torch.inference_mode():
            return self.network(self._input(observation))[0].numpy().astype(np.float64)

    def move(self, observation: Any, output: int, amount: float) -> None:
        """w <- w + amount * gradient of that output."""
        parameters = list(self.network.parameters())
        value = self.network(self._input(observation))[0, output]
        gradients = self._torch.autograd.grad(value, parameters)
        with self._torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.add_(gradient, alpha=amount)


class Approximation(NamedTuple):
    """What a semi-gradient method returns."""

    function: Function
    episode_returns: Array  # (episodes,) undiscounted sums of rewards
    episode_lengths: Array  # (episodes,) int64


def _td(policy: Callable[[Any], Array], env: Stepped, function: Function, task: Task, *_: Array) -> None:
    limit, discount, rng = task.limit, task.discount, task.rngs[1]
    for episode, step_size in enumerate(task.step_sizes):
        observation, total, length, ended = env.reset(), 0.0, 0, False
        while not ended:
            action = sample_policy(policy(observation)[None], 0, rng)
            following, reward, terminated, truncated = env.step(action)
            # w <- w + step_size [r + discount v(s', w) - v(s, w)] grad v(s, w)
            target = reward if terminated else reward + discount * function(following)[0]
            function.move(observation, 0, step_size * (target - function(observation)[0]))
            observation = following
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(task.log, episode, total, length):
            break


def _sarsa(env: Stepped, function: Function, task: Task, *_: Array) -> None:
    limit, discount, allowed, rng = task.limit, task.discount, task.model.allowed, task.rngs[1]
    for episode, (step_size, epsilon) in enumerate(zip(task.step_sizes, task.epsilons, strict=True)):
        observation, total, length, ended = env.reset(), 0.0, 0, False
        action = epsilon_greedy(function(observation)[None], allowed, 0, epsilon, rng)
        while not ended:
            following, reward, terminated, truncated = env.step(action)
            target, next_action = reward, 0
            if not terminated:
                q_values = function(following)
                next_action = epsilon_greedy(q_values[None], allowed, 0, epsilon, rng)
                target += discount * q_values[next_action]
            # w <- w + step_size [r + discount q(s', a', w) - q(s, a, w)] grad q(s, a, w)
            function.move(observation, action, step_size * (target - function(observation)[action]))
            observation, action = following, next_action
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(task.log, episode, total, length):
            break


def _q_learning(env: Stepped, function: Function, task: Task, *_: Array) -> None:
    limit, discount, allowed, rng = task.limit, task.discount, task.model.allowed, task.rngs[1]
    for episode, (step_size, epsilon) in enumerate(zip(task.step_sizes, task.epsilons, strict=True)):
        observation, total, length, ended = env.reset(), 0.0, 0, False
        while not ended:
            q_values = function(observation)
            action = epsilon_greedy(q_values[None], allowed, 0, epsilon, rng)
            following, reward, terminated, truncated = env.step(action)
            # w <- w + step_size [r + discount max over a' of q(s', a', w) - q(s, a, w)] grad q(s, a, w)
            target = reward if terminated else reward + discount * function(following).max()
            function.move(observation, action, step_size * (target - q_values[action]))
            observation = following
            total, length = total + reward, length + 1
            ended = terminated or truncated or length == limit
        if not finish(task.log, episode, total, length):
            break


def _learn(
    loop: Callable[..., None],
    env: Stepped,
    function: Function,
    episodes: int,
    step_size: Schedule,
    epsilon: Schedule,
    discount: float,
    seed: int,
    session: Session | None,
) -> Approximation:
    learner = Learner(env, episodes, step_size, epsilon, discount, seed, session)
    learner.run(partial(loop, env, function), function.weights)
    return Approximation(function, learner.returns[: learner.episodes], learner.lengths[: learner.episodes])


def make_function(features: "TileCoder | nn.Module | Function", outputs: int) -> Function:
    """A linear function of tiles, the function that a network is, or the one given."""
    if isinstance(features, TileCoder):
        return LinearFunction(features, outputs)
    return features if isinstance(features, (LinearFunction, NetworkFunction)) else NetworkFunction(features)


def semi_gradient_td(
    env: Any,
    features: "TileCoder | nn.Module | Function",
    episodes: int,
    step_size: Schedule = 0.01,
    discount: float = 1.0,
    seed: int = 0,
    *,
    policy: Callable[[Any], Array] | None = None,
    session: Session | None = None,
) -> Approximation:
    """v_pi by semi-gradient TD(0) (Sutton & Barto 9.3).

    Args:
        env: an environment's id, or an environment, with numbered actions.
        features: a `TileCoder` of the observations, a network from observations to ``(batch, 1)`` values, or a
            function to go on with.
        episodes: how many to play.
        step_size: in (0, 1]; a number, or a function of the episode's number. With tiles it is shared by all
            tilings: 0.5 / tilings moves an estimate half-way.
        discount: in [0, 1].
        seed: of the environment's and the policy's randomness.
        policy: the probabilities of the actions ``(actions,)`` for an observation; uniform by default.
        session: where to report to, for runs.

    Raises:
        UserError: a value out of range, or actions that are not numbered.
    """
    stepped = env if isinstance(env, Stepped) else Stepped(env)
    uniform = np.full(stepped.model.allowed.shape[1], 1 / stepped.model.allowed.shape[1])
    function = make_function(features, 1)
    loop = partial(_td, policy or (lambda observation: uniform))
    return _learn(loop, stepped, function, episodes, step_size, 0.0, discount, seed, session)


def semi_gradient_sarsa(
    env: Any,
    features: "TileCoder | nn.Module | Function",
    episodes: int,
    step_size: Schedule = 0.01,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    session: Session | None = None,
) -> Approximation:
    """On-policy control by episodic semi-gradient Sarsa (Sutton & Barto 10.1).

    Args:
        features: a `TileCoder` of the observations, a network from observations to ``(batch, actions)`` values, or
            a function to go on with.
        epsilon: probability of a random action, in [0, 1]; a number, or a function of the episode's number.

    The others as `semi_gradient_td`.
    """
    stepped = env if isinstance(env, Stepped) else Stepped(env)
    function = make_function(features, stepped.model.allowed.shape[1])
    return _learn(_sarsa, stepped, function, episodes, step_size, epsilon, discount, seed, session)


def semi_gradient_q_learning(
    env: Any,
    features: "TileCoder | nn.Module | Function",
    episodes: int,
    step_size: Schedule = 0.01,
    epsilon: Schedule = 0.1,
    discount: float = 1.0,
    seed: int = 0,
    *,
    session: Session | None = None,
) -> Approximation:
    """Off-policy control by semi-gradient Q-learning; arguments as `semi_gradient_sarsa`.

    Off-policy learning with a function and bootstrapping may diverge (Sutton & Barto 11.3); replay and a target
    network, as in dqn, make that rare.
    """
    stepped = env if isinstance(env, Stepped) else Stepped(env)
    function = make_function(features, stepped.model.allowed.shape[1])
    return _learn(_q_learning, stepped, function, episodes, step_size, epsilon, discount, seed, session)

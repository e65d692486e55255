"""Maximization bias: a small loss that looks like a gain to who takes the largest of noisy estimates."""

from typing import Any

import numpy as np

from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv

A, B, END = 0, 1, 2
LEFT, RIGHT = 0, 1


class MaximizationBias(ToyEnv):
    """From A, right ends with nothing; left leads to B, whose every action ends with a noisy small loss.

    Sutton & Barto (2018), example 6.7: right is optimal, yet Q-learning prefers left for long, because the
    largest of B's estimated values is above zero; double Q-learning does not. (Book, chapter 8, "Double
    Q-learning".)

    ## Actions: ``Discrete(actions)``
    | state | action | meaning |
    |---|---|---|
    | A | 0 | left, to B |
    | A | 1 | right, to the end |
    | A | 2 ... | not allowed (``infos["action_mask"]``); as right |
    | B | all | to the end |

    ## Observations: ``Discrete(3)``
    0: A, 1: B, 2: the end.

    ## Reward
    Normally distributed with ``mean`` (-0.1) and ``deviation`` (1) for every action in B; otherwise 0.

    ## Episode
    Starts in A. Terminates after one or two steps; ``max_episode_steps`` is None.

    ## Keywords
    ``actions=10`` (at least 2), ``mean=-0.1``, ``deviation=1.0``; and those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        actions: int = 10,
        mean: float = -0.1,
        deviation: float = 1.0,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        if actions < 2:
            raise ValueError(f"actions={actions}: give at least 2, for A has two")
        if deviation < 0:
            raise ValueError(f"deviation={deviation}: give a number from 0 on")
        mdp = build(actions, mean, deviation)
        super().__init__(num_envs, mdp=mdp, max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        return ("A", "B", "end")[state]


def build(n_actions: int, mean: float, deviation: float) -> MDP:
    """The model with ``n_actions`` actions in B."""
    states, actions = np.indices((2, n_actions)).reshape(2, -1)  # the end has no outcomes
    allowed = np.ones((3, n_actions), np.bool_)
    allowed[A, RIGHT + 1 :] = False
    return MDP.from_outcomes(
        (3, n_actions),
        states,
        actions,
        np.where((states == A) & (actions == LEFT), B, END),
        np.ones(states.size),
        np.where(states == B, mean, 0.0),
        terminal=np.array([False, False, True]),
        allowed=allowed,
        start=np.array([1.0, 0.0, 0.0]),
        noise=np.where(states == B, deviation, 0.0),
    )


class MaximizationBiasEnv(SingleEnv):
    batched = MaximizationBias

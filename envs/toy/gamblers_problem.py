"""The gambler's problem: stakes on a coin until the goal or ruin."""

from typing import Any

import numpy as np

from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv


class GamblersProblem(ToyEnv):
    """A gambler stakes whole dollars on a coin that shows heads with a known probability.

    Sutton & Barto (2018), example 4.3. Heads wins the stake, tails loses it.

    ## Actions: ``Discrete(goal // 2)``
    Action a stakes a + 1 dollars. Allowed (``infos["action_mask"]``) are stakes up to min(s, goal - s) with a
    capital of s; a larger one stakes just that.

    ## Observations: ``Discrete(goal + 1)``
    The capital, in dollars.

    ## Reward
    1 for reaching the goal, otherwise 0: the value of a state is the probability of reaching the goal.

    ## Episode
    Starts with a capital drawn uniformly from 1 to goal - 1. Terminates at 0 and at the goal; is truncated
    after ``max_episode_steps`` (10,000).

    ## Keywords
    ``heads_probability=0.4``, ``goal=100`` (2 to 2000); and those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        heads_probability: float = 0.4,
        goal: int = 100,
        max_episode_steps: int | None = 10_000,
        **kwargs: Any,
    ) -> None:
        if not 0 <= heads_probability <= 1:
            raise ValueError(f"heads_probability={heads_probability}: give a probability from 0 to 1")
        if not 2 <= goal <= 2000:
            raise ValueError(f"goal={goal}: give 2 to 2000 (the model has as many outcomes as its square)")
        mdp = build(heads_probability, goal)
        super().__init__(num_envs, mdp=mdp, max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        return f"{state} of {self.mdp.n_states - 1} dollars"


def build(heads_probability: float, goal: int) -> MDP:
    """The model for one coin and goal."""
    shape = (goal + 1, goal // 2)
    capital, action, heads = np.indices((*shape, 2)).reshape(3, -1)  # the last axis: tails, heads
    stake = np.minimum(action + 1, np.minimum(capital, goal - capital))
    next_capital = capital + stake * (2 * heads - 1)
    level = np.arange(goal + 1)
    return MDP.from_outcomes(
        shape,
        capital,
        action,
        next_capital,
        np.where(heads, heads_probability, 1 - heads_probability),
        (next_capital == goal).astype(float),
        terminal=(level == 0) | (level == goal),
        allowed=np.arange(1, shape[1] + 1) <= np.minimum(level, goal - level)[:, None],
    )


class GamblersProblemEnv(SingleEnv):
    batched = GamblersProblem

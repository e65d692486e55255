"""Random walk: a row of states with an end at either side."""

from typing import Any

import numpy as np

from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv


class RandomWalk(ToyEnv):
    """One step to the left or to the right at a time, until an end of the row is reached.

    Sutton & Barto (2018), example 6.2; example 7.1 is ``states=19, left_reward=-1``. The walk of these
    examples is the policy that takes both actions equally often: the value of state i is then linear in i
    between the two ends' rewards, i / (states + 1) by default.

    ## Actions: ``Discrete(2)``
    | action | meaning |
    |---|---|
    | 0 | left |
    | 1 | right |

    ## Observations: ``Discrete(states + 2)``
    | index | meaning |
    |---|---|
    | 0 | the left end |
    | 1 ... states | from left to right |
    | states + 1 | the right end |

    ## Reward
    ``left_reward`` and ``right_reward`` for the step that reaches an end; otherwise 0.

    ## Episode
    Starts in the middle, ``(states + 1) // 2``. Terminates at the ends; is truncated after
    ``max_episode_steps`` (10,000; the walk takes ((states + 1) / 2)^2 steps on average).

    ## Keywords
    ``states=5``, ``left_reward=0.0``, ``right_reward=1.0``; and those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        states: int = 5,
        left_reward: float = 0.0,
        right_reward: float = 1.0,
        max_episode_steps: int | None = 10_000,
        **kwargs: Any,
    ) -> None:
        if states < 1:
            raise ValueError(f"states={states}: give a positive number")
        mdp = build(states, left_reward, right_reward)
        super().__init__(num_envs, mdp=mdp, max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        row = ["|", *"." * (self.mdp.n_states - 2), "|"]
        row[state] = "@"
        return " ".join(row)


def build(n: int, left_reward: float, right_reward: float) -> MDP:
    """The model of n states between two ends."""
    states, actions = np.indices((n + 2, 2)).reshape(2, -1)
    next_states = np.clip(states + 2 * actions - 1, 0, n + 1)
    place = np.arange(n + 2)
    return MDP.from_outcomes(
        (n + 2, 2),
        states,
        actions,
        next_states,
        np.ones(states.size),
        left_reward * (next_states == 0) + right_reward * (next_states == n + 1),
        terminal=(place == 0) | (place == n + 1),
        start=(place == (n + 1) // 2).astype(float),
    )


class RandomWalkEnv(SingleEnv):
    batched = RandomWalk

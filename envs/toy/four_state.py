"""The four-state Markov decision process of the book's chapter 8."""

from typing import Any

import numpy as np

from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv

STATES = ("s_a", "s_b", "s_c", "s_e")
ACTIONS = ("a_x", "a_y", "a_z", "a_e")

# (state, action, next state, probability, reward)
OUTCOMES = [
    ("s_a", "a_x", "s_b", 0.8, 0.0),
    ("s_a", "a_x", "s_a", 0.2, 0.0),
    ("s_a", "a_y", "s_c", 0.5, 0.0),
    ("s_a", "a_y", "s_a", 0.5, 0.0),
    ("s_b", "a_x", "s_a", 1.0, -1.0),
    ("s_b", "a_z", "s_c", 0.5, 1.0),
    ("s_b", "a_z", "s_b", 0.5, 0.0),
    ("s_c", "a_y", "s_a", 1.0, -2.0),
    ("s_c", "a_e", "s_e", 0.5, 5.0),
    ("s_c", "a_e", "s_c", 0.5, 0.0),
]


class FourState(ToyEnv):
    """Three states, a terminal one, and four actions: the smallest model with everything in it.

    The book (chapter 8, "RL as a Markov decision process") draws such a model with states s_a, s_b, s_c and a
    terminal s_e, and says that every action has a transition probability but only some have rewards. The
    numbers are ours:

    | state | action | leads to (probability: reward) |
    |---|---|---|
    | s_a | a_x | s_b (0.8: 0), s_a (0.2: 0) |
    | s_a | a_y | s_c (0.5: 0), s_a (0.5: 0) |
    | s_b | a_x | s_a (1: -1) |
    | s_b | a_z | s_c (0.5: 1), s_b (0.5: 0) |
    | s_c | a_y | s_a (1: -2) |
    | s_c | a_e | s_e (0.5: 5), s_c (0.5: 0) |

    With discount 1, the best values are 6, 6, 5 by way of s_b; with discount 0.5 the short way through a_y is
    better.

    ## Actions: ``Discrete(4)``
    0: a_x, 1: a_y, 2: a_z, 3: a_e. Those that the table does not have are not allowed
    (``infos["action_mask"]``); they change nothing.

    ## Observations: ``Discrete(4)``
    0: s_a, 1: s_b, 2: s_c, 3: s_e.

    ## Reward
    As in the table.

    ## Episode
    Starts in s_a. Terminates in s_e; is truncated after ``max_episode_steps`` (100).

    ## Keywords
    Those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    def __init__(self, num_envs: int = 1, *, max_episode_steps: int | None = 100, **kwargs: Any) -> None:
        super().__init__(num_envs, mdp=build(), max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        return STATES[state]


def build() -> MDP:
    """The model of `OUTCOMES`."""
    columns = zip(*OUTCOMES, strict=True)
    states, actions, next_states, probabilities, rewards = (np.array(column) for column in columns)
    state_names, action_names = np.array(STATES), np.array(ACTIONS)
    states, next_states = (np.argmax(names[:, None] == state_names, axis=1) for names in (states, next_states))
    actions = np.argmax(actions[:, None] == action_names, axis=1)
    allowed = np.zeros((4, 4), np.bool_)
    allowed[states, actions] = True
    return MDP.from_outcomes(
        (4, 4),
        states,
        actions,
        next_states,
        probabilities,
        rewards,
        terminal=state_names == "s_e",
        allowed=allowed,
        start=(state_names == "s_a").astype(float),
    )


class FourStateEnv(SingleEnv):
    batched = FourState

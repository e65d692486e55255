"""Values of finite models by linear solves, for tests to compare with."""

from typing import Any

import numpy as np
import scipy.sparse.linalg
from numpy.typing import NDArray

from envs.mdp import MDP

Array = NDArray[Any]


def policy_values(mdp: MDP, policy: Array, discount: float) -> Array:
    """v = r_pi + discount * P_pi v, solved."""
    system = scipy.sparse.identity(mdp.n_states) - discount * mdp.transition_matrix(policy)
    return scipy.sparse.linalg.spsolve(system.tocsc(), (policy * mdp.rewards).sum(axis=1))


def optimal(mdp: MDP, discount: float) -> tuple[Array, Array]:
    """Values (states,) and action values (states, actions) of the best policy: policy iteration from the uniform."""
    policy = mdp.uniform_policy()
    while True:
        values = policy_values(mdp, policy, discount)
        q_values = mdp.rewards + discount * (mdp.transition_matrix() @ values).reshape(mdp.rewards.shape)
        q_values[~mdp.allowed] = -np.inf
        better = np.eye(mdp.n_actions)[q_values.round(9).argmax(axis=1)]
        if np.array_equal(better, policy):
            return values, q_values
        policy = better

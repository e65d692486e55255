"""Finite Markov decision processes: the model that dynamic programming reads and compiled episodes sample."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numba import njit
from numpy.typing import ArrayLike, NDArray

from envs.rng import normal, random

Array = NDArray[Any]


OUTCOME = np.dtype(
    [
        ("reward", np.float64),  # its mean, where there is noise
        ("cumulative", np.float64),  # probability of this outcome and those before it in its row
        ("noise", np.float64),  # standard deviation of the reward
        ("next_state", np.int32),
        ("terminated", np.bool_),
    ],
    align=True,
)


class Model(NamedTuple):
    """An MDP as arrays for compiled functions; row ``state * actions + action`` lists that pair's outcomes.

    A kernel that takes many steps unpacks it once and calls `sample_outcome`: reading a field counts
    references, which costs more than the step. One outcome fills half a cache line.
    """

    offsets: Array  # (states * actions + 1,) int64: outcomes offsets[row] ... offsets[row + 1]
    outcomes: Array  # (outcomes,) OUTCOME
    terminal: Array  # (states,) bool
    allowed: Array  # (states, actions) bool
    starts: Array  # (starts,) int64 states in which an episode may begin
    start_cumulative: Array  # (starts,) float64


@njit(cache=True, nogil=True)
def sample_start(model: Model, rng: Array) -> int:
    """The first state of an episode, drawn with one row ``rng`` of lane randomness."""
    if model.starts.shape[0] == 1:
        return model.starts[0]
    return model.starts[min(np.searchsorted(model.start_cumulative, random(rng), "right"), model.starts.shape[0] - 1)]


@njit(cache=True, nogil=True, inline="always")
def sample_outcome(
    offsets: Array, outcomes: Array, allowed: Array, state: int, action: int, rng: Array
) -> tuple[Any, float, bool]:
    """(next state, reward, terminated) of one step; a pair without outcomes stays where it is."""
    row = state * allowed.shape[1] + action
    place = offsets[row]
    count = offsets[row + 1] - place
    next_state, reward, terminated = np.int64(state), 0.0, False
    if count > 0:
        if count > 1:
            draw = random(rng)
            first = place
            if count <= 8:  # loads that do not wait for one another, and no branch to mispredict
                for other in range(first, first + count - 1):
                    place += draw >= outcomes[other].cumulative
            else:
                while count > 1:
                    half = count // 2
                    place += half if draw >= outcomes[place + half - 1].cumulative else 0
                    count -= half
        outcome = outcomes[place]
        next_state, reward, terminated = np.int64(outcome.next_state), outcome.reward, outcome.terminated
        if outcome.noise > 0:
            reward += outcome.noise * normal(rng)
    return next_state, reward, terminated


@njit(cache=True, nogil=True)
def sample_step(model: Model, state: int, action: int, rng: Array) -> tuple[int, float, bool]:
    """(next state, reward, terminated) of one step, as `sample_outcome`."""
    return sample_outcome(model.offsets, model.outcomes, model.allowed, state, action, rng)


@njit(cache=True, nogil=True)
def _accumulate(offsets: Array, probabilities: Array, outcomes: Array) -> None:
    for row in range(offsets.shape[0] - 1):
        total = 0.0
        for place in range(offsets[row], offsets[row + 1]):
            total += probabilities[place]
            outcomes[place].cumulative = total


class MDP:
    """A finite Markov decision process (book, chapter 8: "RL as a Markov decision process").

    Args:
        transitions: P(s' | s, a), dense ``(actions, states, states)`` or a sequence of one SciPy sparse matrix
            ``(states, states)`` an action.
        rewards: expected rewards ``(states, actions)``, or one for each transition ``(actions, states, states)``.
        terminal: ``(states,)`` bool; the value of a terminal state is 0 and its rows are not read.
        allowed: ``(states, actions)`` bool, the actions a policy may choose; all by default. At least one in every
            state that is not terminal.
        start: ``(states,)`` probabilities of the first state; uniform over the states that are not terminal by
            default.

    Raises:
        ValueError: shapes that do not agree, probabilities that are negative or do not sum to 1 (the message says
            for which state and action), rewards that are not finite.
    """

    def __init__(
        self,
        transitions: ArrayLike | Sequence[Any],
        rewards: ArrayLike,
        terminal: ArrayLike | None = None,
        allowed: ArrayLike | None = None,
        start: ArrayLike | None = None,
    ) -> None:
        if isinstance(transitions, Sequence) and any(scipy.sparse.issparse(matrix) for matrix in transitions):
            matrices = [scipy.sparse.coo_array(matrix) for matrix in transitions]
        else:
            dense = np.asarray(transitions, np.float64)
            if dense.ndim != 3:
                raise ValueError(f"transitions have shape {dense.shape}: give (actions, states, states)")
            matrices = [scipy.sparse.coo_array(matrix) for matrix in dense]
        n_actions, n_states = len(matrices), matrices[0].shape[0]
        for action, matrix in enumerate(matrices):
            if matrix.shape != (n_states, n_states):
                raise ValueError(
                    f"transitions of action {action} have shape {matrix.shape}: give {(n_states, n_states)}"
                )
        reward_array = np.asarray(rewards, np.float64)
        if reward_array.shape not in {(n_states, n_actions), (n_actions, n_states, n_states)}:
            raise ValueError(
                f"rewards have shape {reward_array.shape}: "
                f"give {(n_states, n_actions)} or {(n_actions, n_states, n_states)}"
            )
        states = np.concatenate([matrix.row for matrix in matrices])
        next_states = np.concatenate([matrix.col for matrix in matrices])
        actions = np.repeat(np.arange(n_actions), [matrix.nnz for matrix in matrices])
        if reward_array.ndim == 2:
            outcome_rewards = reward_array[states, actions]
        else:
            outcome_rewards = reward_array[actions, states, next_states]
        probabilities = np.concatenate([matrix.data for matrix in matrices]).astype(np.float64)
        self._build(
            (n_states, n_actions),
            states,
            actions,
            next_states,
            probabilities,
            outcome_rewards,
            terminal,
            allowed,
            start,
        )

    @classmethod
    def from_outcomes(
        cls,
        shape: tuple[int, int],
        states: Array,
        actions: Array,
        next_states: Array,
        probabilities: Array,
        rewards: Array,
        *,
        terminal: ArrayLike | None = None,
        allowed: ArrayLike | None = None,
        start: ArrayLike | None = None,
        noise: Array | None = None,
    ) -> "MDP":
        """A model from its list of outcomes, all ``(outcomes,)``: one next state may occur with several rewards.

        Args:
            shape: (states, actions).
            noise: standard deviations of normally distributed rewards, whose means are ``rewards``.
        """
        mdp = cls.__new__(cls)
        mdp._build(shape, states, actions, next_states, probabilities, rewards, terminal, allowed, start, noise)
        return mdp

    @classmethod
    def from_toy_text(cls, table: Mapping[int, Mapping[int, Sequence[tuple[float, int, float, bool]]]]) -> "MDP":
        """The model of Gymnasium's FrozenLake, Taxi or CliffWalking, from ``env.unwrapped.P``.

        A state that ends the episode in one transition but not in another is kept, and the ending transitions lead
        to one extra terminal state.
        """
        rows = [
            (state, action, next_state, probability, reward, ends)
            for state, actions in table.items()
            for action, outcomes in actions.items()
            for probability, next_state, reward, ends in outcomes
            if probability > 0
        ]
        states, actions, next_states, probabilities, rewards, ends = (
            np.array(column) for column in zip(*rows, strict=True)
        )
        n_states, n_actions = len(table), len(next(iter(table.values())))
        terminal = np.zeros(n_states + 1, np.bool_)
        terminal[next_states[ends]] = True
        # an ending state may be re-entered from itself without a flag; entered from elsewhere, it does not end; and
        # then its own steps count, which may enter others
        mixed = np.zeros_like(terminal)
        goes_on = (states != next_states) & ~ends
        while (entered := goes_on & ~terminal[states] & terminal[next_states]).any():
            mixed[next_states[entered]] = True
            terminal &= ~mixed
        next_states = np.where(ends & mixed[next_states], n_states, next_states)
        if mixed.any():
            terminal[n_states] = True
            n_states += 1
        shape = (n_states, n_actions)
        return cls.from_outcomes(
            shape, states, actions, next_states, probabilities, rewards, terminal=terminal[:n_states]
        )

    def _build(
        self,
        shape: tuple[int, int],
        states: Array,
        actions: Array,
        next_states: Array,
        probabilities: Array,
        rewards: Array,
        terminal: ArrayLike | None,
        allowed: ArrayLike | None,
        start: ArrayLike | None,
        noise: Array | None = None,
    ) -> None:
        self.n_states, self.n_actions = n_states, n_actions = shape
        self.terminal = _mask(terminal, (n_states,), "terminal", default=False)
        self.allowed = _mask(allowed, shape, "allowed", default=True)
        if not (np.isfinite(rewards).all() and np.isfinite(probabilities).all()):
            raise ValueError("rewards and probabilities must be finite")
        if (np.asarray(probabilities) < 0).any():
            raise ValueError(f"probability {np.min(probabilities)}: give numbers from 0 to 1")
        rows = np.asarray(states, np.int64) * n_actions + actions
        kept = np.flatnonzero(~self.terminal[states])
        rows = rows[kept]
        if (rows[1:] < rows[:-1]).any():
            order = np.argsort(rows, kind="stable")
            rows, kept = rows[order], kept[order]
        self.offsets = np.zeros(n_states * n_actions + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=n_states * n_actions), out=self.offsets[1:])
        self.next_states = np.asarray(next_states)[kept].astype(np.int32)
        self.probabilities = np.asarray(probabilities, np.float64)[kept]
        self.outcome_rewards = np.asarray(rewards, np.float64)[kept]
        self.noise = np.zeros(0) if noise is None else np.asarray(noise, np.float64)[kept]
        #: expected rewards (states, actions): r(s, a) = sum over s' of P(s' | s, a) r(s, a, s')
        weights = self.probabilities * self.outcome_rewards
        self.rewards = np.bincount(rows, weights, minlength=n_states * n_actions).reshape(shape)
        del weights, kept  # a maze of a million cells has 4 million outcomes: 32 MB an array
        self._check_sums(np.bincount(rows, self.probabilities, minlength=n_states * n_actions).reshape(shape))
        self.start = self._checked_start(start)

    def _check_sums(self, sums: Array) -> None:
        wanted = ~self.terminal[:, None] & (self.allowed | (sums != 0))
        wrong = np.argwhere(wanted & ((sums < 1 - 1e-8) | (sums > 1 + 1e-8)))
        if len(wrong):
            listed = ", ".join(f"(state {s}, action {a}): {sums[s, a]:.6g}" for s, a in wrong[:5])
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise ValueError(f"transition probabilities must sum to 1, but do not for {listed}{more}")
        stuck = np.flatnonzero(~self.terminal & ~self.allowed.any(axis=1))
        if len(stuck):
            raise ValueError(f"state {stuck[0]} allows no action: allow one, or make the state terminal")

    def _checked_start(self, start: ArrayLike | None) -> Array:
        if self.terminal.all():
            raise ValueError("every state is terminal: an episode needs a state to start in")
        if start is None:
            return ~self.terminal / (~self.terminal).sum()
        start = np.asarray(start, np.float64)
        if start.shape != (self.n_states,) or (start < 0).any() or not abs(start.sum() - 1) <= 1e-8:
            raise ValueError(
                f"start of shape {start.shape} sums to {start.sum():.6g}: give ({self.n_states},) summing to 1"
            )
        if start[self.terminal].any():
            first = np.flatnonzero((start > 0) & self.terminal)[0]
            raise ValueError(f"start has state {first}, which is terminal: start in states that are not")
        return start

    @property
    def model(self) -> Model:
        """The arrays that `sample_start` and `sample_step` read; made anew at each call."""
        outcomes = np.zeros(len(self.next_states), OUTCOME)
        outcomes["reward"] = self.outcome_rewards
        outcomes["noise"] = self.noise if len(self.noise) else 0.0
        outcomes["next_state"] = self.next_states
        outcomes["terminated"] = self.terminal[self.next_states]
        _accumulate(self.offsets, self.probabilities, outcomes)
        starts = np.flatnonzero(self.start)
        return Model(self.offsets, outcomes, self.terminal, self.allowed, starts, np.cumsum(self.start[starts]))

    def transition_matrix(self, policy: Array | None = None) -> scipy.sparse.csr_array:
        """P as ``(states * actions, states)``; or, for a policy ``(states, actions)``, P_pi ``(states, states)``."""
        shape = (self.n_states * self.n_actions, self.n_states)
        matrix = scipy.sparse.csr_array((self.probabilities, self.next_states, self.offsets), shape=shape)
        if policy is None:
            return matrix
        columns = np.arange(self.n_states * self.n_actions)
        pointers = np.arange(0, len(columns) + 1, self.n_actions)
        return scipy.sparse.csr_array((np.asarray(policy).ravel(), columns, pointers)) @ matrix

    def uniform_policy(self) -> Array:
        """The policy ``(states, actions)`` that chooses every allowed action equally often."""
        return self.allowed / np.maximum(self.allowed.sum(axis=1, keepdims=True), 1)


def _mask(value: ArrayLike | None, shape: tuple[int, ...], name: str, *, default: bool) -> Array:
    if value is None:
        return np.full(shape, default)
    mask = np.asarray(value)
    if mask.shape != shape or mask.dtype != np.bool_:
        raise ValueError(f"{name} has shape {mask.shape} and type {mask.dtype}: give {shape} bool")
    return mask.copy()

"""Runs a tabular method's kernel over episodes: schedules, chunks, logging, checkpoints, results."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from agents.tabular.environment import Array, Environment, Model, Stepped
from agents.tabular.policies import checked_policy, greedy_policy
from envs import rng as lane_rng
from supervised.training.errors import UserError, require
from supervised.training.run import Run
from supervised.training.seeding import generators

Schedule = float | Callable[[int], float]  # a number, or a function of the episode's number from 0

COMPILED_STEPS, INTERPRETED_STEPS = 10_000_000, 10_000  # of a call, about half a second: then Ctrl-C is heard


class Prediction(NamedTuple):
    """What a prediction method returns."""

    values: Array  # (states,) estimates of v_pi
    episode_returns: Array  # (episodes,) undiscounted sums of rewards
    episode_lengths: Array  # (episodes,) int64


class Control(NamedTuple):
    """What a control method returns."""

    q_values: Array  # (states, actions) estimates of q; -inf of actions that are not allowed
    policy: Array  # (states, actions) probabilities, greedy towards q_values, ties split equally
    episode_returns: Array  # (episodes,) undiscounted sums of rewards
    episode_lengths: Array  # (episodes,) int64


class Session(NamedTuple):
    """Where a method reports to, and when it stops early."""

    run: Run
    checkpoint_every: int = 0  # episodes; 0: never
    total_steps: int | None = None  # no episode starts once this many steps were taken


class Log(NamedTuple):
    """What a kernel reports."""

    returns: Array  # (episodes,) float64
    lengths: Array  # (episodes,) int64
    clock: Array  # (2,) int64: steps left in this call, episodes done


class Task(NamedTuple):
    """What every kernel is given besides its tables."""

    model: Model
    limit: int  # steps of an episode
    discount: float
    step_sizes: Array  # (episodes,) float64; 0 asks for the average over all samples
    epsilons: Array  # (episodes,) float64
    rngs: Array  # (2, 6) uint64, lane randomness of the environment and of the agent
    log: Log


@njit(cache=True, nogil=True)
def finish(log: Log, episode: int, total: float, length: int) -> bool:
    """Note the end of an episode; whether another may start in this call."""
    log.returns[episode] = total
    log.lengths[episode] = length
    log.clock[0] -= length
    log.clock[1] = episode + 1
    return log.clock[0] > 0


def linear(start: float, end: float, episodes: int) -> Callable[[int], float]:
    """A schedule from ``start`` in the first episode to ``end`` in the last of ``episodes``, and ``end`` after."""
    require(episodes > 0, "episodes", episodes, "choose a positive number")
    return lambda episode: start + (end - start) * min(episode / max(episodes - 1, 1), 1.0)


class Learner:
    """One tabular learning: an environment, schedules and randomness, advanced by `run`.

    Kernels are called as ``kernel(task, *tables, *options)``. The tables, ``rngs`` and what was logged are all that
    the future depends on, so that learning continues from a checkpoint to the same bits.

    Args:
        env: as `agents.tabular.environment.Environment` takes it, or one of these.
        episodes: how many to play.
        step_size: in (0, 1], or None for the average over all samples (Monte Carlo methods).
        epsilon: in [0, 1].
        discount: in [0, 1].
        seed: as of ``env.reset(seed=seed)``: a finite model draws the same episodes compiled and stepped.
        session: where to report to; nowhere by default.

    Raises:
        UserError: a value out of range.
    """

    def __init__(
        self,
        env: Any,
        episodes: int,
        step_size: Schedule | None,
        epsilon: Schedule,
        discount: float,
        seed: int,
        session: Session | None,
    ) -> None:
        require(episodes > 0, "episodes", episodes, "choose a positive number")
        require(0 <= discount <= 1, "discount", discount, "choose 0 to 1")
        self.environment: Stepped = env if isinstance(env, Stepped) else Environment(env)
        self.step_size, self.epsilon, self.discount, self.seed = step_size, epsilon, float(discount), seed
        self.session = session or Session(Run.off())
        self.rngs = np.zeros((2, lane_rng.STATE_WORDS), np.uint64)
        self.rngs[1] = lane_rng.from_generator(generators(seed, "actions")["actions"])
        lane_rng.seed_rows(self.rngs[:1], [seed])
        self.returns, self.lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        self.episodes = 0  # done so far

    def value_table(self, initial_value: float) -> Array:
        """A new table ``(states,)`` of ``initial_value``, and of 0 in terminal states."""
        return np.where(self.environment.model.terminal, 0.0, float(initial_value))

    def q_table(self, initial_value: float) -> Array:
        """A new table ``(states, actions)`` of ``initial_value``; 0 in terminal states, -inf where not allowed."""
        model = self.environment.model
        return np.where(model.terminal[:, None], 0.0, np.where(model.allowed, float(initial_value), -np.inf))

    def policy_table(self, policy: Array) -> Array:
        """A user's policy as ``(states, actions)`` probabilities."""
        return checked_policy(policy, self.environment.model.allowed, self.environment.model.terminal)

    def greedy(self, q_values: Array) -> Array:
        """The greedy policy ``(states, actions)``."""
        return greedy_policy(q_values, self.environment.model.allowed)

    def control(self, q_values: Array) -> Control:
        """The result of a control method."""
        done = slice(self.episodes)
        return Control(q_values, self.greedy(q_values), self.returns[done], self.lengths[done])

    def prediction(self, values: Array) -> Prediction:
        """The result of a prediction method."""
        return Prediction(values, self.returns[: self.episodes], self.lengths[: self.episodes])

    def run(self, kernel: Any, tables: Mapping[str, Array], options: tuple[Any, ...] = ()) -> None:
        """Play what is left of the episodes, changing ``tables`` in place; see the class for ``kernel``."""
        run, checkpoint_every, total_steps = self.session
        play = self.environment.kernel(kernel, self.seed)
        self._restore(run.restore(), tables)
        total, steps = len(self.returns), int(self.lengths.sum())
        most = total_steps or np.iinfo(np.int64).max
        portion = COMPILED_STEPS if self.environment.mdp is not None else INTERPRETED_STEPS
        log_every = max(1, total // 100) if run.folder is not None else total

        def state() -> dict[str, Any]:
            return {
                "agent": dict(tables),
                "rngs": self.rngs,
                "returns": self.returns[: self.episodes],
                "lengths": self.lengths[: self.episodes],
                "environment": self.environment.state_dict(),
            }

        while self.episodes < total and steps < most:
            stop = min([total, *((self.episodes // n + 1) * n for n in (log_every, checkpoint_every) if n)])
            log = self._chunk(play, stop, min(portion, most - steps), (*tables.values(), *options))
            self.episodes += int(log.clock[1])
            steps += int(log.lengths.sum())
            if self.episodes % log_every == 0 or self.episodes == total or steps >= most:
                run.log(self.episodes, self._metrics(steps))
            run.progress(self.episodes)
            run.checkpoint(self.episodes, state, checkpoint_every)
        run.finish(self.episodes, state)

    def _chunk(self, play: Callable[..., None], stop: int, budget: int, arguments: tuple[Any, ...]) -> Log:
        """Play up to episode ``stop``, starting none once ``budget`` steps are taken."""
        numbers = range(self.episodes, stop)
        step_sizes = np.zeros(len(numbers))
        if self.step_size is not None:
            step_sizes = _evaluate("step_size", self.step_size, numbers)
        epsilons = _evaluate("epsilon", self.epsilon, numbers)
        part = slice(self.episodes, stop)
        log = Log(self.returns[part], self.lengths[part], np.array([budget, 0]))
        environment = self.environment
        task = Task(environment.model, environment.limit, self.discount, step_sizes, epsilons, self.rngs, log)
        play(task, *arguments)
        return log

    def _metrics(self, steps: int) -> dict[str, float]:
        recent = slice(max(0, self.episodes - 100), self.episodes)
        metrics = {
            "episode_return": self.returns[recent].mean(),
            "episode_length": self.lengths[recent].mean(),
            "steps": steps,
        }
        for name, schedule in (("step_size", self.step_size), ("epsilon", self.epsilon)):
            if callable(schedule):
                metrics[name] = schedule(self.episodes - 1)
        return metrics

    def _restore(self, state: Mapping[str, Any] | None, tables: Mapping[str, Array]) -> None:
        if state is None:
            return
        for name, table in tables.items():
            np.copyto(table, state["agent"][name])
        np.copyto(self.rngs, state["rngs"])
        self.episodes = len(state["returns"])
        self.returns[: self.episodes], self.lengths[: self.episodes] = state["returns"], state["lengths"]
        self.environment.load_state_dict(state["environment"])


def _evaluate(name: str, schedule: Schedule, episodes: range) -> Array:
    values = np.array([schedule(episode) if callable(schedule) else schedule for episode in episodes], np.float64)
    zero_is_fine = name == "epsilon"
    wrong = ~((values >= 0) & (values <= 1)) | ((values == 0) & (not zero_is_fine))
    for k in np.flatnonzero(wrong)[:1]:
        remedy = "choose 0 to 1" if zero_is_fine else "choose above 0, up to 1"
        raise UserError(f"{name}={values[k]:g} in episode {episodes[k]}: {remedy}")
    return values

"""Training by Stable-Baselines3 in a run of ours.

Its state cannot be saved exactly: a checkpoint holds the weights alone. A resumed run goes on from them, for the
steps that are left, and says so; optimizers, replay memory, episodes under way and random numbers begin anew.
"""

import math
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from agents.progress import Examiner, crossed
from agents.sb3.algorithms import DQN, POLICIES, SAC, OffPolicy, Settings
from agents.sb3.lanes import Lanes, Layout
from agents.transforms import Transforms
from supervised.training.errors import UserError
from supervised.training.memory import require_memory
from supervised.training.run import Run
from supervised.training.seeding import set_threads

Array = NDArray[Any]


class Agent:
    """Acts by a policy of Stable-Baselines3.

    Attributes:
        policy: it.
        transform: see `agents.evaluation.Policy`.

    Raises:
        UserError: actions that the algorithm cannot give.
    """

    def __init__(self, config: Settings, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        for kind, needed, other in ((DQN, gym.spaces.Discrete, "sb3-sac"), (SAC, gym.spaces.Box, "sb3-dqn")):
            if isinstance(config, kind) and not isinstance(action_space, needed):
                wanted = f"{config.model} needs actions in a {needed.__name__}, and {config.env} has {action_space}"
                raise UserError(f"{wanted}: use {other} or sb3-ppo")
        self.transform = Transforms(observation_space, config.transforms)
        self._layout = Layout(self.transform.space, action_space)
        policies = getattr(stable_baselines3, config.model).policy_aliases
        spaces = self._layout.observation_space, self._layout.action_space
        keywords = config.policy_keywords()
        self.policy = policies[POLICIES[config.backbone]](*spaces, lambda left: config.learning_rate, **keywords)
        self.policy.to(config.device)

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)``, drawn, or the most likely; DQN's are always the greedy ones."""
        actions, _ = self.policy.predict(self._layout.see(observations), deterministic=deterministic)
        return self._layout.to_env(actions)

    def state_dict(self) -> dict[str, Any]:
        """Weights."""
        return {"policy": self.policy.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.policy.load_state_dict(state["policy"])


def make_model(config: Settings, lanes: VecEnv) -> Any:
    """The model of Stable-Baselines3 with these settings, in ``config.lanes`` environments of any ``VecEnv``.

    Raises:
        UserError: its replay memory, which keeps every observation twice, would not fit into what is free.
    """
    if isinstance(config, OffPolicy):
        seen, act = lanes.observation_space, lanes.action_space
        sizes = [math.prod(space.shape or ()) * np.dtype(space.dtype).itemsize for space in (seen, seen, act)]
        require_memory("replay_size", config.keywords()["buffer_size"], sum(sizes) + 3 * 4, "transitions")
    return getattr(stable_baselines3, config.model)(
        POLICIES[config.backbone],
        lanes,
        **config.keywords(),
        policy_kwargs=config.policy_keywords(),
        seed=config.seed,
        device=config.device,
    )


def train(config: Settings, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save its weights, and go on from the newest ones.

    Raises:
        UserError: an environment or setting that does not fit.
        supervised.training.run.Interrupted: after a signal, with the weights saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    lanes = Lanes(config.env, config.lanes, config.env_kwargs, config.transforms, config.seed)
    if text := lanes.protocol:
        run.note(text)
    agent = Agent(config, *lanes.spaces)
    model = make_model(config, lanes)
    agent.policy = model.policy
    report = Report(config, run, agent, lanes)
    if saved := run.restore():
        anew = "its optimizers, replay memory and random numbers begin anew"
        warnings.warn(f"{config.model} goes on from its weights at step {saved['step']:,}; {anew}", stacklevel=2)
        agent.load_state_dict(saved["agent"])
        lanes.episodes.load_state_dict(saved["episodes"])
        model.num_timesteps = saved["step"]
        if isinstance(config, OffPolicy):
            model.learning_starts += saved["step"]
    rounds = (config.total_steps - model.num_timesteps) // config.round  # it would begin a last one beyond the budget
    model.learn(rounds * config.round, callback=report, log_interval=None, reset_num_timesteps=saved is None)
    lanes.close()
    run.finish(model.num_timesteps, report.state)
    return agent


class Report(BaseCallback):
    """What our own loops do at every step: metrics, evaluations and checkpoints."""

    def __init__(self, config: Settings, run: Run, agent: Agent, lanes: Lanes) -> None:
        super().__init__()
        self._config, self._run, self._agent, self._lanes = config, run, agent, lanes
        self._examiner = Examiner(config)

    def state(self) -> dict[str, Any]:
        """What is saved."""
        episodes = self._lanes.episodes.state_dict()
        return {"step": self.num_timesteps, "agent": self._agent.state_dict(), "episodes": episodes}

    def _on_step(self) -> bool:
        config, run, step = self._config, self._run, self.num_timesteps
        before = step - self._lanes.num_envs
        if crossed(before, step, config.log_every):
            run.log(step, {**self._lanes.episodes.metrics(), **self._learning()})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and self._examiner.solved(self._agent, run, step):
            return False
        run.checkpoint(step, self.state, config.checkpoint_every)
        return True

    def _learning(self) -> dict[str, float]:
        """What the algorithm has recorded of its updates, by its own names."""
        recorded = self.logger.name_to_value.items()
        return {name.removeprefix("train/"): value for name, value in recorded if name.startswith("train/")}

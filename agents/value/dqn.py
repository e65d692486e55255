"""Q-learning with a network and experience replay (book, chapters 8 and 9; Mnih et al. 2015), and what refines it.

Each refinement is a setting, and any may be combined with any other:

    double               the online network chooses the next action, the target network values it (van Hasselt et al.
                         2016; the book's listing takes both from the target network, which is plain DQN: erratum D-25)
    dueling              a value and advantages add up to action values (Wang et al. 2016)
    n_step               rewards of n steps before a value is trusted
    priority_exponent    transitions of large error are replayed more often (Schaul et al. 2016)
    distribution         the return's distribution: categorical (C51) or quantile (QR-DQN)
    noisy                noise of learnt size on weights explores, epsilon may be 0 (Fortunato et al. 2018)

All of them, with the categorical distribution, are Rainbow (Hessel et al. 2018). Gradients are clipped by norm.

Differences from the book's listings, which ``book-ch8``, ``book-dqn`` and ``book-ddqn`` otherwise follow: a time limit
is not a failure (its transition keeps its reward and bootstraps, D-20), every step counts (D-21), exploration keeps a
small floor (D-22), and epsilon begins at its start (D-26).

The default preset adds three things that none of these has: the learning rate falls to 0 over the run, targets stay
within what rewards can add up to, and training ends when the environment's reward threshold is reached.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from agents.progress import Episodes, Examiner, crossed
from agents.replay import Batch, Replay, Sequences
from agents.rollout import begin
from agents.settings import BREAKOUT
from agents.value.agent import Agent, ValueSettings
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import generator_state, generators, set_generator_state, set_threads


@dataclass(frozen=True)
class Config(ValueSettings):
    """DQN: action values by a network, learnt from replayed transitions."""

    batch_size: int = 256
    """Transitions of one gradient step."""
    replay_size: int = 100_000
    """Transitions remembered; no more than `total_steps` are reserved."""
    learning_starts: int = 1_000
    """Environment steps before the first gradient step; actions are random until then."""
    train_every: int = 32
    """Environment steps between rounds of gradient steps, counted over all lanes."""
    updates: int = 8
    """Gradient steps of a round."""
    target_every: int = 20
    """Gradient steps between copies into the target network (Mnih et al. 2015); 0: no target network, as the book."""
    bound_targets: tyro.conf.FlagConversionOff[bool] = True
    """Keep targets within what the rewards seen so far can add up to, r / (1 - discount): values cannot run away."""
    double: tyro.conf.FlagConversionOff[bool] = False
    """Double Q-learning: the online network chooses the next action, the target network values it."""
    n_step: int = 1
    """Rewards that are added up before the next value."""
    priority_exponent: float = 0.0
    """Prioritized replay: transitions are drawn in proportion to |error|^this; 0: uniformly."""
    priority_weights: float = 0.4
    """Exponent of the importance weights that correct for that, at the start; it rises to 1 over `total_steps`."""
    sequence_length: int = 16
    """Steps of a replayed sequence that a recurrent backbone learns from; `batch_size` counts those of all."""
    burn_in: int = 8
    """Steps before those, which only fill its memory; a sequence that begins with its episode needs none."""
    compress_replay: tyro.conf.FlagConversionOff[bool] = False
    """Keep observations compressed (the book's COMPRESS_ER), for images."""
    evaluate_every: int = 2_048
    """Environment steps between greedy evaluations during training, on seeds of their own; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "replay_size", "train_every", "updates", "n_step", "sequence_length"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("learning_starts", "target_every", "burn_in"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        self.require_beginning(self.learning_starts)
        for name in ("priority_exponent", "priority_weights"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")


# What Mnih et al. 2015 chose for Atari games, for a twentieth of their steps: exploration ends earlier, the target
# network follows sooner, and Adam takes RMSprop's place.
_BREAKOUT = Config(
    **{**BREAKOUT, "env_kwargs": {**BREAKOUT["env_kwargs"], "stack": 1}},
    transforms=("stack:4",),
    total_steps=1_000_000,
    lanes=8,
    batch_size=32,
    replay_size=1_000_000,
    learning_starts=20_000,
    train_every=4,
    updates=1,
    target_every=500,
    epsilon_end=0.01,
    epsilon_steps=100_000,
    learning_rate=1e-4,
    learning_rate_end=1e-5,
    bound_targets=False,
    dtype="bfloat16",
)
# 500,000 steps after those that fill the memory. The book's pictures are not the lighter of two frames, and of every
# 160 rows and columns it keeps 84 as they are; its episodes all start alike.
_BOOK_BREAKOUT = replace(
    _BREAKOUT,
    env_kwargs={"repeat_action_probability": 0.0, "stack": 1, "crop": "book", "fire_reset": False},
    life_loss_ends=False,
    clip_rewards=False,
    total_steps=600_000,
    lanes=1,
    learning_starts=100_000,
    train_every=1,
    target_every=10_000,
    epsilon_end=0.1,
    epsilon_steps=1_000_000,
    learning_rate=2.5e-4,
    learning_rate_end=2.5e-4,
    max_gradient_norm=0.0,
    compress_replay=True,
)

# CartPole's lanes tell neither the cart's speed nor the pole's: what the network remembers must. A recurrent layer's
# outputs lie between -1 and 1, and values of 100 saturate them before they tell states apart; chances of returns do not
_MEMORY = Config(
    env_kwargs={"velocities": False},
    backbone="gru",
    hidden=(64, 64),
    normalize_observations=True,
    double=True,
    n_step=3,
    distribution="categorical",
    value_range=(0.0, 100.0),
    learning_rate=1e-3,
    learning_starts=2_000,
    updates=4,
    target_every=100,
    epsilon_steps=15_000,
)

PRESETS = {
    "default": Config(),
    "memory": _MEMORY,
    "no-memory": replace(_MEMORY, backbone="mlp"),
    "ddqn": replace(_BREAKOUT, double=True),
    "rainbow": replace(  # Hessel et al. 2018
        _BREAKOUT,
        double=True,
        dueling=True,
        n_step=3,
        priority_exponent=0.5,
        distribution="categorical",
        noisy=0.5,
        epsilon_end=0.0,
        epsilon_steps=1,
        target_every=2_000,
    ),
    "book-dqn": _BOOK_BREAKOUT,
    "book-ddqn": replace(_BOOK_BREAKOUT, double=True, epsilon_end=0.01),
    "book-ch8": Config(
        env="skidpad/CartPole-v0",
        total_steps=60_000,
        lanes=1,
        discount=0.9,
        batch_size=128,
        replay_size=200_000,
        learning_starts=5_000,
        train_every=1,
        updates=1,
        target_every=0,
        epsilon_end=0.01,
        epsilon_steps=15_000,
        learning_rate=1e-3,
        learning_rate_end=1e-3,
        loss="squared",
        max_gradient_norm=0.0,
        bound_targets=False,
        terminal_reward=-1.0,
        hidden=(20,),
        activation="tanh",
        evaluate_every=0,
    ),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner = Learner(config, agent)
    replay_log = ChunkLog(run.folder / "checkpoints" / "replay" if run.folder else None)
    replay = Replay(
        *(config.replay_size, rollout.space, lanes.single_action_space, replay_log),
        total_steps=config.total_steps,
        lanes=config.lanes,
        stack=rollout.stack,
        discount=config.discount,
        n_step=config.n_step,
        priority_exponent=config.priority_exponent,
        compress=config.compress_replay,
    )
    run.note(replay.describe())
    rng = generators(config.seed, "replay")["replay"]
    episodes, examiner, step = Episodes(), Examiner(config), 0
    memory = agent.initial_state(config.lanes)  # of a recurrent backbone

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "episodes": episodes.state_dict(),
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "rollout": rollout.state_dict(),
            "memory": memory,
            "replay": replay.state_dict(),
            "rng": generator_state(rng),
        }

    if saved := run.restore(check=lambda saved: replay.load_state_dict(saved["replay"])):
        step = saved["step"]
        episodes.load_state_dict(saved["episodes"])
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        rollout.load_state_dict(saved["rollout"])
        memory = np.array(saved["memory"])
        set_generator_state(rng, saved["rng"])

    while step + config.lanes <= config.total_steps:
        agent.epsilon = config.epsilon(step - config.learning_starts)
        actions, memory = agent.act_with_state(rollout.observations, memory, rollout.started)
        transitions = rollout.step(actions)
        if config.terminal_reward is not None:
            transitions.rewards[transitions.terminated] = config.terminal_reward
        replay.add(transitions)
        agent.see(transitions.observations[transitions.valid])
        episodes.add(rollout)
        before, step = step, step + config.lanes
        if step > max(config.learning_starts, config.lanes):  # the first steps are complete with the second ones
            for _ in range(crossed(before, step, config.train_every) * config.updates):
                learner.update(replay, step / config.total_steps, rng)
        if crossed(before, step, config.log_every):
            run.log(step, {**episodes.metrics(), "epsilon": agent.epsilon, **learner.metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    run.finish(step, state)
    return agent


class Learner:
    """The gradient step on the agent's network, with the target network and the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.network = config, agent, agent.network
        self.target = copy.deepcopy(agent.network).requires_grad_(False) if config.target_every else agent.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, fused=True)
        self.updates = 0
        self.metrics: dict[str, float] = {}

    def update(self, replay: Replay, done: float, rng: np.random.Generator) -> None:
        """One gradient step on a batch; ``done`` is the share of the run before it.

        Raises:
            UserError: the loss is not finite.
        """
        config, agent, distribution = self.config, self.agent, self.agent.distribution
        weight_exponent = config.priority_weights + done * (1 - config.priority_weights)
        replayed = self._sequences if self.network.state_dim else self._transitions
        batch, outputs, following, choosing = replayed(replay, rng, weight_exponent)
        actions, rewards, discounts, weights = (
            torch.from_numpy(array).to(agent.device)
            for array in (batch.actions, batch.rewards, batch.discounts, batch.weights)
        )
        rows = torch.arange(len(rewards), device=agent.device)
        with torch.no_grad():
            # a' = argmax_a q(s', a), of the online network where it is double
            following = following[rows, distribution.values(choosing).argmax(1)]
            targets = distribution.targets(following, rewards[:, None], discounts[:, None])
            if config.bound_targets and config.distribution == "expected" and config.discount < 1:
                targets.clamp_(*(reward / (1 - config.discount) for reward in replay.reward_range))
        losses, errors = distribution.losses(outputs[rows, actions - agent.first_action], targets)
        loss = (weights * losses).mean()
        value = loss.item()
        if not np.isfinite(value):
            raise UserError(
                f"loss={value} after {self.updates} gradient steps: training stopped, the last checkpoint is kept; "
                "try a smaller learning_rate or reward scale"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if config.max_gradient_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
        rate = config.learning_rate + done * (config.learning_rate_end - config.learning_rate)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        replay.set_priorities(batch.rows, errors.detach().cpu().numpy())
        self.updates += 1
        if config.target_every and self.updates % config.target_every == 0:
            self.target.load_state_dict(self.network.state_dict())
        q_value = distribution.values(outputs.detach()).mean().item()
        self.metrics = {"loss": value, "q_value": q_value, "updates": self.updates}

    def _transitions(
        self, replay: Replay, rng: np.random.Generator, weight_exponent: float
    ) -> tuple[Batch, Tensor, Tensor, Tensor]:
        """Transitions; outputs ``(batch, actions, size)`` for s, the target network's for s', those that choose a'."""
        config, agent = self.config, self.agent
        batch = replay.sample(config.batch_size, rng, weight_exponent)
        self._draw_noise(rng)
        observations, following = (
            torch.from_numpy(array).to(agent.device) for array in (batch.observations, batch.next_observations)
        )
        with torch.no_grad():
            targets = agent.outputs(self.target, following)
            choosing = agent.outputs(self.network, following) if config.double else targets
        return batch, agent.outputs(self.network, observations), targets, choosing

    def _sequences(
        self, replay: Replay, rng: np.random.Generator, weight_exponent: float
    ) -> tuple[Sequences, Tensor, Tensor, Tensor]:
        """As `_transitions`, of all steps of some sequences that are learnt from (Hausknecht and Stone 2015)."""
        config, agent = self.config, self.agent
        count = max(config.batch_size // config.sequence_length, 1)
        batch = replay.sample_sequences(count, config.sequence_length, config.burn_in, rng, weight_exponent)
        self._draw_noise(rng)
        observations, here, there = (torch.from_numpy(array).to(agent.device) for array in batch[:3])
        nothing = torch.from_numpy(agent.initial_state(count)).to(agent.device)
        sequence = observations, nothing, observations.new_zeros(observations.shape[:2], dtype=torch.bool)
        outputs, _ = agent.unrolled(self.network, *sequence)
        with torch.no_grad():
            targets = agent.unrolled(self.target, *sequence)[0][there]
        return batch, outputs[here], targets, outputs.detach()[there] if config.double else targets

    def _draw_noise(self, rng: np.random.Generator) -> None:
        self.network.draw_noise(rng)
        self.target.draw_noise(rng)

    def state_dict(self) -> dict[str, Any]:
        """Target network, optimizer and counters."""
        return {
            "target": self.target.state_dict(),
            "optimizer": optimizer_state(self.optimizer),
            "updates": self.updates,
            "metrics": self.metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.target.load_state_dict(state["target"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        self.updates, self.metrics = state["updates"], state["metrics"]

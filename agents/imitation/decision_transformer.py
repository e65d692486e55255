"""Decision Transformer: a sequence model of demonstrations acts for the return it is asked for (Chen et al. 2021).

It reads what the last K steps were to bring, what was seen and what was done,

    R_1, s_1, a_1, R_2, s_2, a_2, ..., R_t, s_t  ->  a_t,      R_t = r_t + r_(t+1) + ... + r_T,

and learns at every s what the demonstrator did there. No value is learnt: who asks for the return of a good
demonstration gets its actions, who asks for less those of a worse one. Acting begins with the return asked for, and
what is gained is taken off: R_(t+1) = R_t - r_t.

Differences from the paper: places are counted within the window by sinusoids, not from the episode's start by a
learnt table, so that an episode may be longer than any demonstrated; layers are normalized before they are entered; the
step size falls to 0; what a disturbed demonstrator meant is learnt, where what was done is read; and actions may be
left out of what is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from agents import heads
from agents.imitation import demonstrations
from agents.imitation.demonstrations import Demonstrations
from agents.imitation.examples import Examples, split
from agents.imitation.networks import Cloning, driven, matching_spaces, transformed
from agents.transforms import Transforms
from supervised import backbones
from supervised.memories import in_front
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.registry import Algorithm
from supervised.training.run import Run
from supervised.training.seeding import (
    generator_state,
    generators,
    seeded_modules,
    set_generator_state,
    set_threads,
)
from supervised.transformer import Transformer, sinusoids

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(Cloning):
    """Decision Transformer: a causal Transformer over returns, observations and actions."""

    demonstrations: str = ""
    """The episodes to learn from, good and bad: a folder, or the id of a Minari data set (tools.record makes them)."""
    target_return: float | None = None
    """The return that acting asks for; None: the highest demonstrated."""
    context: int = 20
    """Steps of its past that the Transformer sees, the present one among them: K."""
    read_actions: tyro.conf.FlagConversionOff[bool] = True
    """Read what was done before, too. Where actions hardly change from step to step, as a driver's, a model that reads
    them learns to repeat them, not to see (Wen et al. 2020, "Fighting Copycat Agents")."""
    units: int = 64
    """Units of every place in the Transformer."""
    layers: int = 3
    """Its layers."""
    heads: int = 4
    """Its heads of attention."""
    dropout: float = 0.1
    """Share of units dropped in its layers during training."""
    validation: float = 0.15
    """Share of the steps held out to validate, as whole episodes; 0: none."""
    batch_size: int = 16
    """Windows of `context` steps in a gradient step; an epoch draws as many as together have the steps demonstrated."""
    decay: tyro.conf.FlagConversionOff[bool] = True
    """Let the step size fall linearly to 0 over the run."""
    max_gradient_norm: float = 0.25
    """Gradients are scaled down to this norm; 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("context", "units", "layers"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        asked = self.target_return is None or np.isfinite(self.target_return)
        require(bool(asked), "target_return", self.target_return, "use a finite number")
        require(self.max_gradient_norm >= 0, "max_gradient_norm", self.max_gradient_norm, "use 0 or more")
        for name in ("dropout", "validation"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "use a share from 0 to below 1")


PRESETS = {
    "default": Config(),
    "car-racing": Config(
        env="skidpad/CarRacing-v0",
        transforms=("gray", "stack:4"),
        backbone="nature_cnn",
        head="continuous",
        context=8,
        read_actions=False,
        units=128,
        epochs=15,
        max_gradient_norm=1.0,
    ),
}


class Network(nn.Module):
    """Steps ``(rows, K, ...)`` to the head's outputs ``(rows, K, outputs)``, each from what was before its action.

    Attributes:
        backbone: what is seen to features ``(batch, features)``.
        width: numbers that tell what was done.
        scale, best: of the returns demonstrated the largest, without its sign, and the highest.
    """

    scale: Tensor
    best: Tensor
    places: Tensor

    def __init__(self, config: Config, space: gym.spaces.Box, actions: gym.Space[Any]) -> None:
        super().__init__()
        self.backbone = backbones.build_feedforward(config.backbone, space, **config.learnt_before)
        self.head = heads.build(config.head, config.units, actions)
        self.discrete, self.reads_actions = isinstance(self.head, heads.Categorical), config.read_actions
        example = self.head.encode(np.asarray(actions.sample())[None])
        self.width = self.head.out_features if self.discrete else example.shape[1]
        self.asked, self.seen, self.done = (
            nn.Linear(inputs, config.units) for inputs in (1, self.backbone.feature_dim, self.width)
        )
        self.normalized = nn.LayerNorm(config.units)
        self.transformer = Transformer(config.units, config.layers, config.heads, causal=True, dropout=config.dropout)
        self.register_buffer("places", sinusoids(config.context, config.units), persistent=False)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("best", torch.zeros(()))

    def numbers(self, targets: Tensor) -> Tensor:
        """What was done ``(..., width)``, of the head's targets ``(...)``: one-hot where actions are discrete."""
        return F.one_hot(targets, self.width).float() if self.discrete else targets

    def forward(self, asked: Tensor, features: Tensor, done: Tensor) -> Tensor:
        """Outputs for returns to come ``(rows, K)``, features ``(rows, K, features)`` and acts ``(rows, K, width)``."""
        done = done if self.reads_actions else torch.zeros_like(done)
        kinds = self.asked(asked[..., None] / self.scale), self.seen(features), self.done(done)
        # a step's three places share where they stand
        steps = torch.stack(kinds, 2) + self.places[: asked.shape[1], None]
        places = self.transformer(self.normalized(steps.flatten(1, 2)))
        outputs: Tensor = self.head(places[:, 1::3].flatten(0, 1))  # at what was seen; what was done comes after
        return outputs.unflatten(0, asked.shape)


class Agent:
    """Does what the network says a demonstrator did who still got the return that is asked for.

    Its state has the numbers of the steps before, the oldest first: features, action and return to come; then how many
    of them count, and the return to come.

    Attributes:
        transform, space: what makes of observations what the network sees, and its space.
        network: backbone, Transformer and head.
    """

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.transform = Transforms(observation_space, config.transforms)
        self.space, self.context = self.transform.space, config.context
        self.device = torch.device(config.device)
        with seeded_modules(config.seed, "network"):
            self.network = Network(config, self.space, action_space).to(self.device)
        self.row = self.network.backbone.feature_dim + self.network.width + 1
        self._target_return = config.target_return
        self._rng = generators(config.seed, "acting")["acting"]

    @property
    def target_return(self) -> float:
        """The return asked for at the start of an episode."""
        return self.network.best.item() if self._target_return is None else self._target_return

    @target_return.setter
    def target_return(self, value: float) -> None:
        self._target_return = value

    def initial_state(self, lanes: int) -> Array:
        """The state before an episode ``(lanes, numbers)``."""
        return np.zeros((lanes, (self.context - 1) * self.row + 2), np.float32)

    def rewarded(self, state: Array, rewards: Array) -> Array:
        """The state after rewards ``(lanes,)``, which are no longer to come."""
        state = state.copy()
        state[:, -1] -= rewards
        return state

    @torch.inference_mode()
    def act_with_state(
        self, observations: Array, state: Array, starts: Array, deterministic: bool = False
    ) -> tuple[Array, Array]:
        """Actions ``(lanes, *action)``, the most likely, or drawn where the head has chances; and the state after."""
        network, lanes = self.network.eval(), len(observations)
        state = state.copy()
        state[starts, -2:] = 0, self.target_return
        memory = torch.from_numpy(state).to(self.device)
        past, count, asked = memory[:, :-2].unflatten(1, (-1, self.row)), memory[:, -2].long(), memory[:, -1:]
        features = network.backbone(torch.from_numpy(observations).to(self.device))
        newest = torch.cat([features, features.new_zeros(lanes, network.width), asked], 1)
        steps = torch.cat([past, newest[:, None]], 1)
        seen, done, to_come = in_front(steps, count + 1).split((features.shape[1], network.width, 1), -1)
        outputs = network(to_come[..., 0], seen, done).take_along_dim(count[:, None, None], 1)[:, 0].cpu()
        actions = network.head.decode(outputs, None if deterministic else self._rng)
        targets = torch.from_numpy(network.head.encode(actions)).to(self.device)
        steps[:, -1, features.shape[1] : -1] = network.numbers(targets)
        after = torch.cat([steps[:, 1:].flatten(1), (count[:, None] + 1).clamp(max=self.context - 1), asked], 1)
        return actions, after.cpu().numpy()

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)`` without memory of earlier steps, as at the start of an episode."""
        state, starts = self.initial_state(len(observations)), np.ones(len(observations), np.bool_)
        return self.act_with_state(observations, state, starts, deterministic)[0]

    def state_dict(self) -> dict[str, Any]:
        """Weights and the state of drawn actions."""
        return {"network": self.network.state_dict(), "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.network.load_state_dict(state["network"])
        set_generator_state(self._rng, state["rng"])


class Demonstrated(NamedTuple):
    """Steps of episodes, one after the other."""

    examples: Examples  # what was seen, and what was meant
    done: Array  # (rows, ...): what was done, as the head encodes it
    to_come: Array  # (rows,) float32: the rewards from that step to the end of its episode

    @property
    def returns(self) -> Array:
        """Of whole episodes ``(episodes,)``."""
        return self.to_come[np.unique(self.examples.firsts)]


def read(episodes: Demonstrations, numbers: Array, agent: Agent) -> Demonstrated:
    """The episodes of those numbers; raises `UserError` for actions that the agent's head cannot give."""
    parts: list[tuple[Array, Array, Array, Array]] = []
    for number in numbers:
        episode = episodes[int(number)]
        meant, done = (agent.network.head.encode(actions) for actions in (episode.lessons, episode.actions))
        to_come = episode.rewards[::-1].cumsum()[::-1].astype(np.float32)
        parts.append((transformed(episode, agent.transform), meant, done, to_come))
    frames, meant, done, to_come = map(np.concatenate, zip(*parts, strict=True))
    lengths = [len(part[0]) for part in parts]
    firsts = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    return Demonstrated(Examples(frames, meant, firsts), done, to_come)


def windows(firsts: Array, ends: Array, context: int, stride: int) -> tuple[Array, Array]:
    """Rows ``(n, context)`` that end with ``ends (n,)`` and lie ``stride`` apart, and which of them are steps.

    Args:
        firsts: ``(rows,)``, where each row's episode begins. Where that is within a window, fewer steps come first, and
            what is no step follows.
    """
    count = np.minimum((ends - firsts[ends]) // stride + 1, context)[:, None]
    places = np.arange(context)
    return ends[:, None] - np.maximum(count - 1 - places, 0) * stride, places < count


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: demonstrations or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal; a resumed run repeats the epoch under way.
    """
    named = "name a folder that tools.record made"
    require(bool(config.demonstrations), "demonstrations", config.demonstrations, named)
    run = run or Run.off()
    set_threads(config.threads)
    episodes = demonstrations.load(config.demonstrations)
    observation_space, action_space = matching_spaces(config, episodes.observation_space)
    if (episodes.action_space.shape, episodes.action_space.dtype) != (action_space.shape, action_space.dtype):
        remedy = "record in this environment, or set env and env_kwargs to those of the recording"
        raise UserError(f"the demonstrations' actions are {episodes.action_space}, not {action_space}: {remedy}")
    agent = Agent(config, observation_space, action_space)
    learner, epoch = Learner(config, agent), 0

    def state() -> dict[str, Any]:
        return {"epoch": epoch, "agent": agent.state_dict(), "learner": learner.state_dict()}

    if saved := run.restore():
        epoch = saved["epoch"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])

    with run.restartable():
        rng = generators(config.seed, "split")["split"]
        parts = split(episodes.lengths, config.validation, rng)
        training, held_out = (read(episodes, numbers, agent) if len(numbers) else None for numbers in parts)
        assert training is not None
        learner.prepare(training)
    while epoch < config.epochs:
        with run.restartable():
            metrics = learner.epoch(training, epoch)
            if held_out is not None:
                metrics["validation_loss"] = learner.measure(held_out)
            metrics |= driven(agent, config, epoch + 1)
        epoch += 1
        run.log(epoch, metrics)
        run.progress(epoch)
        run.checkpoint(epoch, state, config.checkpoint_every)
    run.finish(epoch, state)
    return agent


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state.

    All that is random in an epoch depends on the run's seed and the epoch's number alone.
    """

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.agent, self.network = config, agent, agent.network
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def prepare(self, training: Demonstrated) -> None:
        """Take what is known of all demonstrations into the network."""
        self.network.head.fit(training.examples.targets)
        self.network.scale.fill_(float(np.abs(training.returns).max()) or 1.0)
        self.network.best.fill_(float(training.returns.max()))

    def epoch(self, training: Demonstrated, number: int) -> dict[str, float]:
        """Windows with as many steps as were demonstrated, each ending with a step drawn without replacement.

        Raises:
            UserError: the loss is not finite.
        """
        config, name = self.config, f"epoch {number}"
        left = 1 - number / config.epochs
        self.optimizer.param_groups[0]["lr"] = config.learning_rate * (left if config.decay else 1.0)
        rng = generators(config.seed, name)[name]
        count = -(-len(training.examples) // config.context)
        ends = rng.permutation(len(training.examples))[:count]
        total = 0.0
        self.network.train()
        with seeded_modules(config.seed, name):  # what dropout draws
            for part in np.array_split(ends, -(-count // config.batch_size)):
                loss = self._losses(training, part).mean()
                self.optimizer.zero_grad()
                loss.backward()
                if config.max_gradient_norm:
                    nn.utils.clip_grad_norm_(self.network.parameters(), config.max_gradient_norm)
                self.optimizer.step()
                total += loss.item() * len(part)
        if not np.isfinite(total):
            remedy = "training stopped, the last checkpoint is kept; try a smaller learning_rate"
            raise UserError(f"loss={total} in epoch {number + 1}: {remedy}")
        return {"loss": total / count}

    @torch.inference_mode()
    def measure(self, held_out: Demonstrated) -> float:
        """The mean loss of windows side by side, which together hold nearly every step."""
        self.network.eval()
        ends = np.arange(len(held_out.examples))[:: -self.config.context]
        parts = np.array_split(ends, -(-len(ends) // self.config.batch_size))
        return torch.cat([self._losses(held_out, part) for part in parts]).mean().item()

    def _losses(self, steps: Demonstrated, ends: Array) -> Tensor:
        """Of all steps ``(n,)`` in the windows that end there."""
        network, transform, device = self.network, self.agent.transform, self.agent.device
        rows, known = windows(steps.examples.firsts, ends, self.config.context, transform.repeat)
        flat = rows.ravel()
        seen, targets, done, to_come = (
            torch.from_numpy(array).to(device)
            for array in (
                steps.examples.observations(flat, transform.stack, transform.repeat),
                steps.examples.targets[rows[known]],
                steps.done[rows],
                steps.to_come[rows],
            )
        )
        features = network.backbone(seen).unflatten(0, rows.shape)
        outputs = network(to_come, features, network.numbers(done))
        return network.head.loss(outputs[torch.from_numpy(known).to(device)], targets)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])


ALGORITHMS = {
    "decision-transformer": Algorithm(Config, PRESETS, train, Agent, "epochs", lambda config: config.epochs),
}

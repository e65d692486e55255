"""Behavioral cloning: a network learns to do what a teacher did on the same picture (book, chapter 10).

The preset ``book`` follows the chapter's `train.py` (its network, pre-processing, ratios of classes, batches of 32,
Adam, 30 epochs) with one correction: whole episodes are held out *before* frames are repeated, so that no copy or
neighbour of a training frame is among those that validate (erratum D-40). The transform is one and the same in
training and in driving (D-42), and one table says how hard a braking class brakes (D-44).

Accuracy on held-out frames is not driving: judge a clone with ``agents.evaluate``.
"""

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents import heads
from agents.imitation import demonstrations, examples
from agents.imitation.examples import Examples
from agents.imitation.networks import Agent, Settings, driven, make_agent
from supervised import backbones
from supervised.training.confusion import confusion_matrix, draw_confusion
from supervised.training.errors import UserError, require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.registry import Algorithm
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]

BLOCK = 256  # rows measured at once
DROPOUTS = nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d


@dataclass(frozen=True)
class Config(Settings):
    """Behavioral cloning: supervised learning of a teacher's actions."""

    demonstrations: str = ""
    """The teacher's episodes: a folder, or the id of a Minari data set (tools.record makes them)."""
    validation: float = 0.15
    """Share of the steps held out to validate, as whole episodes; 0: none."""
    patience: int = 8
    """Epochs without a better validation loss before training stops, with the best weights; 0: train to the end."""
    weights: str = ""
    """Weights to start from: a file with the state dict of a plain `nn.Sequential`, such as the book's model.pt."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.validation < 1, "validation", self.validation, "use a share from 0 to below 1")
        require(self.patience >= 0, "patience", self.patience, "use 0 or more")
        watched = self.patience == 0 or self.validation > 0
        require(watched, "patience", self.patience, "stopping early needs validation: use 0, or hold episodes out")


#: steering and pedals as numbers, from the whole picture: its panel shows the speed, which the book's crop cuts off
WHOLE: dict[str, Any] = {
    "env_kwargs": {},
    "transforms": ("gray",),
    "head": "continuous",
    "balance": "none",
    "batch_size": 32,
    "decay": True,
    "early_dropout": 0.5,
}
STACKED = {**WHOLE, "transforms": ("gray", "stack:4")}
PILOTNET: dict[str, Any] = {
    "env_kwargs": {"camera": "driver"},
    "transforms": (),
    "backbone": "pilotnet",
    "head": "continuous",
    "balance": "none",
}

STACK4 = Config(**STACKED, epochs=10, patience=0, validation=0.0)
PRESETS = {
    "default": Config(),
    "book": Config(batch_size=32, balance="book", mirror=False, patience=0),
    "frame": Config(**WHOLE, epochs=10, patience=0, validation=0.0),
    "stack4": STACK4,
    # through the eyes of runs of supervised.train, as docs/perception.md makes them
    "vae": dataclasses.replace(
        STACK4, transforms=("perceive:runs/car-vae", "stack:4"), backbone="mlp", mirror=False, early_dropout=1.0
    ),
    "maps": dataclasses.replace(STACK4, transforms=("perceive:runs/car-maps", "stack:4")),
    "pilotnet": Config(**PILOTNET),
    "alvinn": Config(
        env_kwargs={"observation": "alvinn"},
        transforms=("stack:3",),
        backbone="alvinn",
        head="alvinn",
        balance="none",
        epochs=40,
        batch_size=16,
        patience=0,
    ),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: demonstrations or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal; a resumed run repeats the epoch under way.
    """
    require(
        bool(config.demonstrations), "demonstrations", config.demonstrations, "name a folder that tools.record made"
    )
    run = run or Run.off()
    set_threads(config.threads)
    episodes = demonstrations.load(config.demonstrations)
    agent = make_agent(config, episodes.observation_space)
    if config.weights:
        agent.network.load_sequential(config.weights)
    learner = Learner(config, agent)
    epoch, best_epoch, best_loss = 0, 0, float("inf")
    best: dict[str, Any] | None = None

    def state() -> dict[str, Any]:
        return {
            "epoch": epoch,
            "best": {"epoch": best_epoch, "loss": best_loss, "agent": best},
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
        }

    if saved := run.restore():
        epoch, best_epoch, best_loss = saved["epoch"], saved["best"]["epoch"], saved["best"]["loss"]
        best = saved["best"]["agent"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])

    with run.restartable():
        rng = generators(config.seed, "split")["split"]
        training, validation = (
            agent.examples(episodes, numbers) for numbers in examples.split(episodes.lengths, config.validation, rng)
        )
        learner.prepare(training)
    while epoch < config.epochs and not (config.patience and epoch - best_epoch >= config.patience):
        with run.restartable():
            dropout = epoch < config.early_dropout * config.epochs
            metrics = learner.epoch(training, epoch, 1 - epoch / config.epochs, dropout)
            if len(validation):
                metrics |= {f"validation_{name}": value for name, value in learner.measure(validation).items()}
            metrics |= driven(agent, config, epoch + 1)
        epoch += 1
        if config.patience and metrics["validation_loss"] < best_loss:
            best_epoch, best_loss, best = epoch, metrics["validation_loss"], copy.deepcopy(agent.state_dict())
        run.log(epoch, metrics)
        run.progress(epoch)
        run.checkpoint(epoch, state, config.checkpoint_every)
    if best is not None:
        agent.load_state_dict(best)
    run.finish(epoch, state)
    if run.folder is not None and len(validation) and validation.targets.ndim == 1:
        n = agent.network.head.out_features
        matrix = confusion_matrix(validation.targets, learner.outputs(validation).argmax(1), n)
        known = n == len(demonstrations.BOOK_CLASSES)
        names = demonstrations.BOOK_CLASSES if known else [str(one) for one in range(n)]
        draw_confusion(matrix, names, run.folder / "confusion.png", "Held-out episodes: what the clone would have done")
    return agent


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state.

    All that is random in an epoch depends on the run's seed and the epoch's number alone.
    """

    def __init__(self, config: Settings, agent: Agent) -> None:
        self.config, self.network, self.device = config, agent.network, agent.device
        self.stack, self.stride = agent.transform.stack, agent.transform.repeat
        self._coloured = agent.space.shape[-1] <= backbones.MOST_COLOURS
        head = agent.network.head
        classes = head.out_features if isinstance(head, heads.Categorical) else 0
        if config.mirror:
            fits = len(agent.space.shape) >= 2 and (classes or agent.is_car)
            require(bool(fits), "mirror", True, "it needs images and a car's actions: use --mirror False")
        for setting, used in (("mirror", config.mirror and classes), ("balance", config.balance == "book")):
            if used:
                examples.require_book_classes(classes, setting)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self._rows: Array = np.zeros(0, np.int64)
        self._chances: Array | None = None

    def prepare(self, training: Examples) -> None:
        """Decide which rows of the examples an epoch passes through."""
        require(len(training) >= 2, "examples", len(training), "record some demonstrations first")
        self.network.head.fit(training.targets)
        self._rows, self._chances = np.arange(len(training)), None
        if self.config.balance == "book":
            rng = generators(self.config.seed, "balance")["balance"]
            self._rows = examples.book_rows(training.targets, rng)
        elif self.config.balance == "weights":
            self._chances = examples.class_weights(training.targets, self.config.balance_power)

    def epoch(self, training: Examples, number: int, left: float, dropout: bool = True) -> dict[str, float]:
        """Pass once through the prepared rows; ``left`` is the share of the run before it.

        Raises:
            UserError: the loss is not finite.
        """
        self.optimizer.param_groups[0]["lr"] = self.config.learning_rate * (left if self.config.decay else 1.0)
        name = f"epoch {number}"
        rng = generators(self.config.seed, name)[name]
        if self._chances is None:
            rows = rng.permutation(self._rows)
        else:
            rows = rng.choice(self._rows, len(self._rows), p=self._chances)
        total = correct = 0.0
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, DROPOUTS):
                module.train(dropout)
        with seeded_modules(self.config.seed, name):  # what dropout draws
            for batch in np.array_split(rows, -(-len(rows) // self.config.batch_size)):
                outputs, loss, targets = self._update(training, batch, rng)
                total += loss * len(batch)
                correct += _correct(outputs, targets)
        if not np.isfinite(total):
            remedy = "training stopped, the last checkpoint is kept; try a smaller learning_rate"
            raise UserError(f"loss={total} in epoch {number + 1}: {remedy}")
        metrics = {"loss": total / len(rows)}
        return metrics if training.targets.ndim > 1 else {**metrics, "accuracy": correct / len(rows)}

    def _update(self, training: Examples, rows: Array, rng: np.random.Generator) -> tuple[Tensor, float, Tensor]:
        """One gradient step: outputs, mean loss and targets of the batch."""
        observations, targets = training.observations(rows, self.stack, self.stride), training.targets[rows]
        if self.config.mirror:
            flips = rng.random(len(rows)) < 0.5
            observations[flips], targets[flips] = examples.mirror(observations[flips], targets[flips], self._coloured)
        seen, wanted = (torch.from_numpy(array).to(self.device) for array in (observations, targets))
        outputs, losses = self.network.loss(seen, wanted)
        loss = losses.mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return outputs.detach(), loss.item(), wanted

    @torch.inference_mode()
    def measure(self, held_out: Examples) -> dict[str, float]:
        """Loss, and accuracy (classes) or mean error of the steering (-1..1), on examples as they are."""
        total = correct = error = 0.0
        for rows, seen in self._blocks(held_out):
            targets = torch.from_numpy(held_out.targets[rows])
            outputs, losses = self.network.loss(seen, targets.to(self.device))
            outputs = outputs.cpu()
            total += losses.sum().item()
            correct += _correct(outputs, targets)
            if targets.ndim > 1:
                steering = self.network.head.decode(outputs)[:, 0]
                error += float(np.abs(steering - targets[:, 0].numpy()).sum())
        kind = {"steering_error": error} if held_out.targets.ndim > 1 else {"accuracy": correct}
        return {name: value / len(held_out) for name, value in {"loss": total, **kind}.items()}

    @torch.inference_mode()
    def outputs(self, held_out: Examples) -> Array:
        """The head's outputs ``(rows, outputs)``."""
        return torch.cat([self.network(seen).cpu() for _, seen in self._blocks(held_out)]).numpy()

    def _blocks(self, held_out: Examples) -> Iterator[tuple[Array, Tensor]]:
        self.network.eval()
        for rows in np.array_split(np.arange(len(held_out)), -(-len(held_out) // BLOCK)):
            yield rows, torch.from_numpy(held_out.observations(rows, self.stack, self.stride)).to(self.device)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])


def _correct(outputs: Tensor, targets: Tensor) -> float:
    """How many rows are classified right; 0 where there are no classes."""
    return 0.0 if targets.ndim > 1 else float((outputs.argmax(1) == targets).sum())


ALGORITHMS = {
    "bc": Algorithm(Config, PRESETS, train, Agent, "epochs", lambda config: config.epochs),
}

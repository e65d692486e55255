"""Capsule networks (book, chapter 5; Sabour, Frosst and Hinton 2017, "Dynamic Routing Between Capsules").

A capsule gives a vector, its pose, instead of a number: what it stands for is there with the vector's length as
probability, and the elements say how. A convolution and a second one make the primary capsules; each of these votes,
by a matrix of its own, for the pose of each class's capsule; a router finds which votes agree. A decoder draws the
image anew from the pose of its class alone.

Two routers have the same interface, votes ``(batch, lower, higher, dimension)`` of the lower capsules, as if all were
there for certain, and their activations ``(batch, lower)``, to poses ``(batch, higher, dimension)`` and activations
``(batch, higher)`` of the higher ones: routing by agreement, and by expectation maximization (Hinton, Sabour and Frosst
2018, "Matrix capsules with EM routing"). That paper's poses are matrices, its layers convolutional, its loss another:
here its router stands in the older network.
Both let gradients through their last iteration alone.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data import Split, load
from supervised.data.augmentation import Augmentation, augment
from supervised.epochs import Settings, train_epochs
from supervised.judgement import ACCURACY, Judgement, Model, told
from supervised.training.errors import UserError, require, suggest
from supervised.training.plots import figure
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.vision.classifier import Inputs
from supervised.vision.pictures import grid

Array = NDArray[Any]

BLOCK = 200  # images judged at once
PRIMARY, POSE = 8, 16  # elements of a primary capsule's vector, and of a class's
SPREAD = 0.1  # standard deviation of new matrices' elements
SMALLEST = 17  # pixels a side that the two convolutions leave one place of


@dataclass(frozen=True)
class Config(Settings):
    """A capsule network's training."""

    epochs: int = 30
    """Passes through what is learnt from."""
    channels: int = 256
    """Filters of the first convolution."""
    capsules: int = 32
    """Primary capsules at each place."""
    routing: str = "dynamic"
    """How votes are weighed: dynamic (by agreement) or em (expectation maximization)."""
    iterations: int = 3
    """Of routing."""
    reconstruction: float = 0.0005
    """Weight of the squared error of drawing an image anew, summed over its pixels."""
    shift: int = 2
    """Pixels that images are moved by at most, either way, in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("channels", "capsules", "iterations"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        for name in ("reconstruction", "shift"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "use 0 or more")
        if self.routing not in ROUTERS:
            raise UserError(f"unknown routing {self.routing!r}{suggest(self.routing, ROUTERS)}")


def squash(vectors: Tensor) -> Tensor:
    """Vectors ``(..., dimension)`` of the same directions with lengths from 0 to below 1."""
    square = vectors.square().sum(-1, keepdim=True)
    # |s|^2 / (1 + |s|^2) s / |s|
    return square / (1 + square) * vectors / (square + 1e-12).sqrt()


class DynamicRouting(nn.Module):
    """Routing by agreement: a lower capsule sends to those higher ones whose pose is as it votes."""

    def __init__(self, higher: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def forward(self, votes: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
        """See the module."""
        votes = votes * activations[:, :, None, None]  # u_j|i = W_ij u_i, of u_i as long as it is active
        seen = votes.detach()
        b = seen.new_zeros(seen.shape[:3])
        for _ in range(self.iterations - 1):
            v = squash(_weighted(b.softmax(2), seen))
            b = b + torch.einsum("bijd,bjd->bij", seen, v)  # b_ij <- b_ij + u_j|i . v_j
        v = squash(_weighted(b.softmax(2), votes))  # c_i = softmax b_i; s_j = sum_i c_ij u_j|i; v_j = squash s_j
        return v, lengths(v)


class EMRouting(nn.Module):
    """Each higher capsule is a Gaussian that is fitted to the votes assigned to it; it is active where they are close.

    The paper leaves the schedule of lambda, the inverse temperature, open. Here it rises evenly to 1, and what is
    assigned to a capsule counts in shares of what each would have if all had the same, so that any number will do.

    Attributes:
        cost, benefit: beta_u and beta_a, learnt: of describing a vote by the capsule, and of the capsule's being there.
    """

    SMALLEST_VARIANCE = 1e-4

    def __init__(self, higher: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        # votes that spread as those of new weights cost nothing
        self.cost = nn.Parameter(torch.full((higher,), -math.log(SPREAD)))
        self.benefit = nn.Parameter(torch.zeros(higher))

    def forward(self, votes: Tensor, activations: Tensor) -> tuple[Tensor, Tensor]:
        """See the module."""
        seen, active = votes.detach(), activations.detach()
        assignments = seen.new_full(seen.shape[:3], 1 / seen.shape[2])
        for k in range(self.iterations - 1):
            assignments = self.expect(seen, *self.maximize(assignments, seen, active, k))
        mean, _, logits = self.maximize(assignments.detach(), votes, activations, self.iterations - 1)
        return mean, logits.sigmoid()

    def maximize(self, assignments: Tensor, votes: Tensor, activations: Tensor, k: int) -> tuple[Tensor, ...]:
        """The Gaussians of assignments ``(batch, lower, higher)`` in iteration k: means and variances
        ``(batch, higher, dimension)``, and logits of their activations ``(batch, higher)``."""
        r = assignments * activations[:, :, None]  # R_ij <- R_ij a_i
        total = r.sum(1)
        share = r / (total[:, None] + 1e-8)
        mean = _weighted(share, votes)  # mu_j = sum_i R_ij V_ij / sum_i R_ij
        variance = torch.einsum("bij,bijd->bjd", share, (votes - mean[:, None]).square()) + self.SMALLEST_VARIANCE
        # cost_j = sum_h (beta_u + log sigma_jh) sum_i R_ij; a_j = logistic(lambda (beta_a - cost_j))
        counted = total * total.shape[1] / (total.sum(1, keepdim=True) + 1e-8)
        cost = (self.cost[:, None] + 0.5 * variance.log()).sum(2) * counted
        return mean, variance, (k + 1) / self.iterations * (self.benefit - cost)

    def expect(self, votes: Tensor, mean: Tensor, variance: Tensor, logits: Tensor) -> Tensor:
        """Assignments ``(batch, lower, higher)`` of votes to Gaussians; those of a vote sum to 1."""
        distance = (votes - mean[:, None]).square() / (2 * variance[:, None])
        log_p = -(distance + 0.5 * (2 * math.pi * variance[:, None]).log()).sum(3)
        return (F.logsigmoid(logits)[:, None] + log_p).softmax(2)  # R_ij = a_j p_ij / sum_k a_k p_ik


ROUTERS: dict[str, Callable[[int, int], nn.Module]] = {"dynamic": DynamicRouting, "em": EMRouting}


def _weighted(weights: Tensor, votes: Tensor) -> Tensor:
    return torch.einsum("bij,bijd->bjd", weights, votes)


def lengths(poses: Tensor) -> Tensor:
    """Of vectors ``(..., dimension)``; its gradient at 0 is finite."""
    return (poses.square().sum(-1) + 1e-12).sqrt()


def margin_loss(activations: Tensor, labels: Tensor) -> Tensor:
    """The mean over images of a penalty for a class that is there below 0.9, and for others above 0.1.

    Args:
        activations: ``(batch, classes)`` from 0 to 1; any number of classes may be there.
    """
    there = F.one_hot(labels, activations.shape[1])
    # L_k = T_k max(0, 0.9 - a_k)^2 + 0.5 (1 - T_k) max(0, a_k - 0.1)^2
    missed, seen = F.relu(0.9 - activations).square(), F.relu(activations - 0.1).square()
    return (there * missed + 0.5 * (1 - there) * seen).sum(1).mean()


class CapsuleNetwork(nn.Module):
    """The network.

    Args:
        inputs: training images ``(n, height, width)`` or ``(n, height, width, colours)`` uint8, or some of them.
        classes: how many.
    """

    def __init__(self, config: Config, inputs: Array, classes: int) -> None:
        super().__init__()
        self.config, self.device = config, torch.device(config.device)
        require(inputs.ndim > 2, "data", config.data, "capsules see images alone")
        self.inputs = Inputs(inputs, "unit")
        self.image = tuple(self.inputs(torch.from_numpy(inputs[:1])).shape[1:])
        channels, *sides = self.image
        remedy = f"this network needs {SMALLEST} x {SMALLEST} pixels or more"
        require(min(sides) >= SMALLEST, "image", f"{sides[0]} x {sides[1]}", remedy)
        places = math.prod((side - SMALLEST) // 2 + 1 for side in sides)
        with seeded_modules(config.seed, "network"):
            self.convolution = nn.Conv2d(channels, config.channels, 9)
            self.primary = nn.Conv2d(config.channels, config.capsules * PRIMARY, 9, 2)
            # W_ij of every primary capsule and class
            self.votes = nn.Parameter(SPREAD * torch.randn(places * config.capsules, PRIMARY, classes * POSE))
            self.router = ROUTERS[config.routing](classes, config.iterations)
            self.decoder = nn.Sequential(
                *(nn.Linear(classes * POSE, 512), nn.ReLU(), nn.Linear(512, 1024), nn.ReLU()),
                *(nn.Linear(1024, math.prod(self.image)), nn.Sigmoid()),
            )
        self.to(self.device)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Poses ``(batch, classes, 16)`` and activations ``(batch, classes)`` of images as `Inputs` gives them."""
        maps = self.primary(F.relu(self.convolution(images)))
        vectors = maps.unflatten(1, (-1, PRIMARY)).flatten(3).transpose(2, 3).flatten(1, 2)
        directions = vectors / lengths(vectors)[:, :, None]  # (batch, lower, 8)
        votes = torch.bmm(directions.transpose(0, 1), self.votes).transpose(0, 1)
        return self.router(votes.unflatten(2, (-1, POSE)), lengths(squash(vectors)))

    def reconstruct(self, poses: Tensor, labels: Tensor) -> Tensor:
        """Images ``(batch, channels, height, width)`` from 0 to 1 of the poses of those classes alone."""
        kept = poses * F.one_hot(labels, poses.shape[1])[:, :, None]
        return self.decoder(kept.flatten(1)).unflatten(1, self.image)

    @torch.inference_mode()
    def tell(self, inputs: Array) -> tuple[Array, Array, Array]:
        """Of images as data sets have them: poses, activations, and reconstructions of the most active class."""
        self.eval()
        parts = []
        for first in range(0, len(inputs), BLOCK):
            images = self.inputs(torch.from_numpy(inputs[first : first + BLOCK]).to(self.device))
            poses, activations = self(images)
            parts.append((poses, activations, self.reconstruct(poses, activations.argmax(1))))
        poses, activations, drawn = (torch.cat(one).cpu().numpy() for one in zip(*parts, strict=True))
        return poses, activations, drawn


def train(config: Config, run: Run | None = None) -> CapsuleNetwork:
    """Train a capsule network; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    run = run or Run.off()
    set_threads(config.threads)
    data = load(config.data)
    count = len(data.train.labels)
    require(count >= config.batch_size, "batch_size", config.batch_size, f"{config.data} has fewer rows")
    network = CapsuleNetwork(config, data.train.inputs, len(data.classes))
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)

    def epoch(number: int) -> dict[str, float]:
        return learn(network, optimizer, data.train, number)

    train_epochs(config, run, {"network": network, "optimizer": optimizer}, epoch)
    return network


def learn(network: CapsuleNetwork, optimizer: torch.optim.Optimizer, data: Split, epoch: int) -> dict[str, float]:
    """Pass once through the data; returns means of the losses, and accuracy on the way."""
    config, name = network.config, f"epoch {epoch}"
    rng = generators(config.seed, name)[name]
    rows, sums = rng.permutation(len(data.labels)), np.zeros(3)
    moved = Augmentation(crop=config.shift, fill="black")
    network.train()
    for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
        images = network.inputs(torch.from_numpy(augment(data.inputs[batch], moved, rng)).to(network.device))
        labels = torch.from_numpy(data.labels[batch]).to(network.device)
        poses, activations = network(images)
        margin = margin_loss(activations, labels)
        # of the true class, whichever is the most active
        error = (network.reconstruct(poses, labels) - images).square().flatten(1).sum(1).mean()
        optimizer.zero_grad()
        (margin + config.reconstruction * error).backward()
        optimizer.step()
        right = (activations.argmax(1) == labels).float().mean()
        sums += len(batch) * np.array([margin.item(), error.item(), right.item()])
    margin_mean, error_mean, accuracy = sums / len(rows)
    loss = margin_mean + config.reconstruction * error_mean
    return {"loss": loss, "margin_loss": margin_mean, "reconstruction_error": error_mean, "accuracy": accuracy}


def judgement(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well a trained network tells the test part of a data set, and draws it anew; see `Model`."""
    data = load(name)
    images, labels = data.test
    network = CapsuleNetwork(config, images, len(data.classes))
    network.load_state_dict(state["network"])
    poses, activations, drawn = network.tell(images)
    seen = network.inputs(torch.from_numpy(images)).numpy()
    found = told(name, data, activations.argmax(1))
    more = {
        "margin_loss": float(margin_loss(torch.from_numpy(activations), torch.from_numpy(labels))),
        "reconstruction_error": float(np.square(drawn - seen).sum((1, 2, 3)).mean()),
    }

    def draw(folder: Path) -> Iterator[Path]:
        yield from found.draw(folder)
        yield draw_reconstructions(seen, drawn, labels, folder / "reconstructions.png")
        yield draw_dimensions(network, poses, labels, folder / "dimensions.png")

    return found._replace(measures={**found.measures, **more}, draw=draw)


def _examples(labels: Array) -> list[int]:
    """The first image of each class."""
    return [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)[:10]]


def draw_reconstructions(images: Array, drawn: Array, labels: Array, path: Path) -> Path:
    """Draw one image of each class above what the decoder made of its capsule's pose."""
    which = _examples(labels)
    with figure(path, (75 * len(which) + 20, 210)) as drawing:
        grid(drawing, [list(some[which].mean(1)) for some in (images, drawn)], ["images", "drawn from 16 numbers each"])
    return path


def draw_dimensions(network: CapsuleNetwork, poses: Array, labels: Array, path: Path) -> Path:
    """Draw what each element of a capsule's pose does: a row of values around its own, the others as they are."""
    which = _examples(labels)
    index = which[min(5, len(which) - 1)]
    changes = np.linspace(-0.25, 0.25, 11, dtype=np.float32)  # as in the paper's figure 4
    label = int(labels[index])
    changed = np.repeat(poses[index][None], POSE * len(changes), 0)
    for element in range(POSE):
        changed[element * len(changes) : (element + 1) * len(changes), label, element] += changes
    with torch.inference_mode():
        classes = torch.full((len(changed),), label, device=network.device)
        made = network.reconstruct(torch.from_numpy(changed).to(network.device), classes).cpu().numpy().mean(1)
    tiles = made.reshape(POSE, len(changes), *made.shape[1:])
    with figure(path, (42 * len(changes) + 20, 42 * POSE + 60)) as drawing:
        axes = drawing.subplots()  # a single one, as many take seconds
        axes.imshow(np.concatenate(np.concatenate(tiles, 1), 1), cmap="gray")
        axes.set_axis_off()
        drawing.suptitle("Each element of a pose from 0.25 less to 0.25 more", x=0.02, ha="left", fontsize="medium")
    return path


#: what an afternoon of one processor core affords
_NARROW: Mapping[str, Any] = {"channels": 64, "capsules": 8, "epochs": 3}
PRESETS = {
    "default": Config(**_NARROW),
    "paper": Config(),
    "em": Config(**_NARROW, routing="em"),
}
ALGORITHMS = {
    "capsules": Model(
        *(Config, PRESETS, train, CapsuleNetwork, "epochs", lambda config: config.epochs),
        measures={
            **ACCURACY,
            **dict.fromkeys(("margin_loss", "reconstruction_error"), ".4f"),
        },
        judge=judgement,
    )
}

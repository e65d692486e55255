"""Generative adversarial networks (book, chapter 6; Goodfellow et al. 2014): one network forges, another finds out.

    G(z)  image that the generator makes of noise z, pixels from -1 to 1
    D(x)  chance that the discriminator gives an image to be real, the sigmoid of its logit

The discriminator learns by J_D = -1/2 E[log D(x)] - 1/2 E[log(1 - D(G(z)))]. The generator learns by the negative of
that, which is "saturating": while the discriminator sees through every forgery, D(G(z)) is near 0 and next to no
gradient comes back through its sigmoid (erratum E-10); or by J_G = -E[log D(G(z))], whose gradient is largest then.
A conditional one (Mirza and Osindero 2014) is told the class on both sides. The convolutional one follows Radford et
al. 2015.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data import DataSet, load
from supervised.epochs import Settings, require_statistics, train_epochs
from supervised.generative.images import draw_grid, image_shape, unit
from supervised.generative.judges import COVERED, SAMPLES, Judge, frechet_distance
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads, torch_generator

Array = NDArray[Any]

LOSSES = ("non-saturating", "saturating")


@dataclass(frozen=True)
class Config(Settings):
    """Adversarial networks."""

    epochs: int = 32
    """Passes through what is learnt from; of MNIST 32 are the book's 15,000 steps."""
    batch_size: int = 128
    """Real images of a gradient step of the discriminator, and forged ones."""
    learning_rate: float = 2e-4
    """Step size at the start."""
    learning_rate_end: float = 2e-4
    """Step size in the end; it falls linearly over the epochs."""
    latent: int = 64
    """Numbers of noise that an image is made of."""
    loss: str = "non-saturating"
    """The generator's loss: non-saturating or saturating."""
    discriminator_steps: int = 1
    """Steps of the discriminator before each of the generator."""

    #: both networks are told the class
    conditional: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("latent", "discriminator_steps"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.loss in LOSSES, "loss", self.loss, f"use one of {', '.join(LOSSES)}")

    def networks(self, shape: tuple[int, int, int], told: int) -> tuple[nn.Module, nn.Module]:
        """Generator of images of that shape (colours, height, width) and discriminator, from flat numbers to flat ones.

        Args:
            told: numbers that both get besides.
        """
        pixels = shape[0] * shape[1] * shape[2]
        forge: list[nn.Module] = []
        inputs = self.latent + told
        for units in (128, 256, 512):
            forge += [nn.Linear(inputs, units), nn.LeakyReLU(0.2), nn.BatchNorm1d(units, momentum=0.2)]
            inputs = units
        generator = nn.Sequential(*forge, nn.Linear(inputs, pixels), nn.Tanh())
        discriminator = nn.Sequential(
            *(nn.Linear(pixels + told, 256), nn.LeakyReLU(0.2), nn.Linear(256, 128), nn.LeakyReLU(0.2)),
            nn.Linear(128, 1),
        )
        return generator, discriminator


@dataclass(frozen=True)
class ConditionalConfig(Config):
    """Adversarial networks that are told the class."""

    conditional: ClassVar[bool] = True


@dataclass(frozen=True)
class ConvolutionalConfig(Config):
    """Convolutional adversarial networks."""

    epochs: int = 5
    """Passes through what is learnt from."""
    width: int = 32
    """Filters at half the size of the images; at a quarter twice as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "width", self.width, "use at least 1")

    def networks(self, shape: tuple[int, int, int], told: int) -> tuple[nn.Module, nn.Module]:
        """See `Config`.

        Raises:
            UserError: sides that are no multiples of 4.
        """
        colours, height, width = shape
        even = height % 4 == 0 and width % 4 == 0
        require(even, "image", f"{height} x {width}", "this network doubles images twice: use multiples of 4")
        narrow, wide = self.width, 2 * self.width
        units = wide * (height // 4) * (width // 4)
        generator = nn.Sequential(
            *(nn.Linear(self.latent, units), nn.Unflatten(1, (wide, height // 4, width // 4))),
            *(nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1)),
            *(nn.BatchNorm2d(narrow), nn.ReLU(), nn.ConvTranspose2d(narrow, colours, 4, 2, 1), nn.Tanh(), nn.Flatten()),
        )
        discriminator = nn.Sequential(
            *(nn.Unflatten(1, shape), nn.Conv2d(colours, narrow, 4, 2, 1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(narrow, wide, 4, 2, 1), nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)),
            *(nn.Flatten(), nn.Linear(units, 1)),
        )
        return generator, discriminator


class Adversaries(nn.Module):
    """Generator and discriminator.

    Args:
        shape: (colours, height, width) of the images.
        classes: how many there are, of which conditional ones are told one.
    """

    shape: Tensor
    classes: Tensor

    def __init__(self, config: Config, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.config, self.device, self.size = config, torch.device(config.device), shape
        self.told = classes if config.conditional else 0
        with seeded_modules(config.seed, "network"):
            self.generator, self.discriminator = config.networks(shape, self.told)
        self.register_buffer("shape", torch.tensor(shape))
        self.register_buffer("classes", torch.tensor(classes))
        self.to(self.device)

    def forge(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Images ``(batch, colours, height, width)``, pixels from -1 to 1, of noise ``(batch, latent)``."""
        return self.generator(self._with(noise, labels)).unflatten(1, self.size)

    def logits(self, images: Tensor, labels: Tensor) -> Tensor:
        """Logits ``(batch,)`` of images to be real."""
        return self.discriminator(self._with(images.flatten(1), labels))[:, 0]

    def _with(self, numbers: Tensor, labels: Tensor) -> Tensor:
        numbers = numbers.to(self.device)
        if not self.told:
            return numbers
        return torch.cat([numbers, F.one_hot(labels.to(self.device), self.told).float()], dim=1)


def discriminator_loss(real: Tensor, forged: Tensor) -> Tensor:
    """J_D = -1/2 E[log D(x)] - 1/2 E[log(1 - D(G(z)))] of logits l; log D = -softplus(-l)."""
    return 0.5 * F.softplus(-real).mean() + 0.5 * F.softplus(forged).mean()


def generator_loss(forged: Tensor, kind: str) -> Tensor:
    """-E[log D(G(z))], or the saturating E[log(1 - D(G(z)))], of logits of forged images."""
    return F.softplus(-forged).mean() if kind == "non-saturating" else -F.softplus(forged).mean()


def train(config: Config, run: Run | None = None) -> Adversaries:
    """Train both; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    data = load(config.data)
    model = Adversaries(config, image_shape(data.train.inputs, config.data), len(data.classes))
    require_statistics(model, len(data.train.labels), config.batch_size)
    both = {
        name: torch.optim.Adam(part.parameters(), config.learning_rate, betas=(0.5, 0.999), fused=True)
        for name, part in (("generator", model.generator), ("discriminator", model.discriminator))
    }
    parts: dict[str, nn.Module | torch.optim.Optimizer] = {"model": model, **both}
    train_epochs(config, run or Run.off(), parts, lambda epoch: learn(model, both, data, epoch))
    return model


def learn(
    model: Adversaries, optimizers: Mapping[str, torch.optim.Optimizer], data: DataSet, epoch: int
) -> dict[str, float]:
    """Take as many steps of the generator as there are batches in the data, each after those of the discriminator."""
    config, name = model.config, f"epoch {epoch}"
    rng = generators(config.seed, name)[name]
    inputs, labels = data.train
    batch = min(config.batch_size, len(labels))
    steps = -(-len(labels) // batch)
    sums = np.zeros(3)
    model.train()

    def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def forged(told: Tensor) -> Tensor:
        return model.forge(torch.randn(batch, config.latent), told)

    with seeded_modules(config.seed, name):
        for _ in range(steps):
            for _ in range(config.discriminator_steps):
                rows = rng.integers(len(labels), size=batch)
                told = torch.from_numpy(labels[rows])
                images = 2 * unit(torch.from_numpy(inputs[rows])) - 1
                with torch.no_grad():
                    forgeries = forged(told)
                real, false = model.logits(images, told), model.logits(forgeries, told)
                sums[0] += step(optimizers["discriminator"], discriminator_loss(real, false))
                sums[1] += ((real > 0).float().mean() + (false <= 0).float().mean()).item() / 2
            told = torch.from_numpy(labels[rng.integers(len(labels), size=batch)])
            logits = model.logits(forged(told), told)
            sums[2] += step(optimizers["generator"], generator_loss(logits, config.loss))
    sums[:2] /= config.discriminator_steps
    names = ("discriminator_loss", "discriminator_accuracy", "generator_loss")
    return dict(zip(names, (sums / steps).tolist(), strict=True))


def restored(config: Config, state: Mapping[str, Any]) -> Adversaries:
    """The trained networks of a checkpoint's state."""
    saved = state["model"]
    model = Adversaries(config, tuple(saved["shape"].tolist()), int(saved["classes"]))
    model.load_state_dict(saved)
    return model.eval()


@torch.inference_mode()
def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """What a classifier of the data sees in forgeries; see `supervised.judgement.Model`."""
    data, model = load(name), restored(config, state)
    classes = len(data.classes)
    fits = image_shape(data.test.inputs, name) == model.size and classes == int(model.classes)
    require(fits, "data", name, "its images or classes are others than those learnt from")
    source = torch_generator(0, "samples")
    labels = torch.arange(SAMPLES) % classes
    parts = [
        model.forge(torch.randn(len(some), config.latent, generator=source), some).cpu() for some in labels.split(500)
    ]
    forgeries = torch.cat(parts)
    pixels = (255 * (forgeries + 1) / 2).round().clamp(0, 255).to(torch.uint8)
    images = pixels[:, 0] if data.test.inputs.ndim == 3 else pixels.movedim(1, -1)
    expert = Judge(name)
    told, seen = expert(images.numpy())
    _, real = expert(data.test.inputs)
    shares = np.bincount(told, minlength=classes) / SAMPLES
    found = {"modes": float((shares >= COVERED).sum()), "frechet": frechet_distance(seen, real)}
    if config.conditional:
        found["recognised"] = float((told == labels.numpy()).mean())
    details = {"shares": shares.tolist(), "samples": SAMPLES, "judge_accuracy": expert.accuracy}

    def draw(folder: Path) -> Iterator[Path]:
        order = labels[:100].argsort(stable=True) if config.conditional else torch.arange(100)
        title = "Forged, a class a row" if config.conditional else "Forged"
        draw_grid((forgeries[order] + 1) / 2, 10, folder / "samples.png", title)
        yield folder / "samples.png"

    return Judgement(f"{name}, {SAMPLES:,} samples", found, details, draw)


_MODELS: list[tuple[str, type[Config], Mapping[str, Config]]] = [
    ("gan", Config, {"default": Config(), "saturating": Config(loss="saturating")}),
    ("dcgan", ConvolutionalConfig, {"default": ConvolutionalConfig()}),
    ("conditional-gan", ConditionalConfig, {"default": ConditionalConfig()}),
]
ALGORITHMS = {
    name: Model(
        *(kind, presets, train, Adversaries, "epochs", lambda config: config.epochs),
        measures={"modes": ".0f", "frechet": ".2f", **({"recognised": ".2%"} if kind.conditional else {})},
        judge=judge,
    )
    for name, kind, presets in _MODELS
}

"""Variational autoencoders (book, chapter 6; Kingma and Welling 2014): an encoder that gives a distribution of codes.

What is learnt is a bound on the log-likelihood of the data, the ELBO, which is to be as large as can be; the loss is
its negative (erratum E-9). With ``beta`` above 1 the codes' parts are more independent (Higgins et al. 2017); a
conditional model (Sohn et al. 2015) is told the class of the image in encoder and decoder.

    x  image, its pixels from 0 to 1        q(z|x)  what the encoder gives, normal with mean m and variance v
    z  code                                 p(x|z)  what the decoder gives, the chance of every pixel to be white
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.data import DataSet, Split
from supervised.epochs import Settings, train_epochs
from supervised.generative.images import blocks, draw_grid, image_shape, load_images, unit
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.plots import figure
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads, torch_generator

Array = NDArray[Any]

MANIFOLD, REACH = 15, 4.0  # images a side of the picture of a plane of codes, which goes from -4 to 4 (the book's)


@dataclass(frozen=True)
class Config(Settings):
    """A variational autoencoder."""

    epochs: int = 20
    """Passes through what is learnt from."""
    batch_size: int = 128
    """Rows of a gradient step."""
    latent: int = 16
    """Numbers of a code."""
    beta: float = 1.0
    """Weight of the divergence of codes from the standard normal distribution."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.latent >= 1, "latent", self.latent, "use at least 1")
        require(self.beta >= 0, "beta", self.beta, "use 0 or more")

    def networks(self, shape: tuple[int, int, int], told: int) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder of images of that shape (colours, height, width), both told so many numbers besides."""
        raise NotImplementedError


@dataclass(frozen=True)
class DenseConfig(Config):
    """A variational autoencoder of fully connected layers."""

    hidden: int = 512
    """Units of the layer on either side of the code."""
    conditional: tyro.conf.FlagConversionOff[bool] = False
    """Encoder and decoder are told the class of the image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hidden >= 1, "hidden", self.hidden, "use at least 1")

    def networks(self, shape: tuple[int, int, int], told: int) -> tuple[nn.Module, nn.Module]:
        """See `Config`."""
        pixels = shape[0] * shape[1] * shape[2]
        encoder = nn.Sequential(
            *(nn.Linear(pixels + told, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 2 * self.latent))
        )
        decoder = nn.Sequential(
            *(nn.Linear(self.latent + told, self.hidden), nn.ReLU(), nn.Linear(self.hidden, pixels))
        )
        return encoder, decoder


@dataclass(frozen=True)
class ConvolutionalConfig(Config):
    """A convolutional variational autoencoder, as Ha and Schmidhuber 2018, "World Models", have of CarRacing."""

    epochs: int = 10
    """Passes through what is learnt from."""
    batch_size: int = 32
    """Rows of a gradient step."""
    latent: int = 32
    """Numbers of a code."""
    width: int = 32
    """Filters of the first layer; each of the three after it has twice as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "width", self.width, "use at least 1")

    def networks(self, shape: tuple[int, int, int], told: int) -> tuple[nn.Module, nn.Module]:
        """See `Config`.

        Raises:
            UserError: sides that are no multiples of 16.
        """
        colours, height, width = shape
        even = height % 16 == 0 and width % 16 == 0
        require(even, "image", f"{height} x {width}", "this network halves images four times: use multiples of 16")
        widths = [self.width * 2**k for k in range(4)]
        down: list[nn.Module] = [nn.Unflatten(1, shape)]
        for inputs, outputs in zip([colours, *widths], widths, strict=False):
            down += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        maps = (widths[-1], height // 16, width // 16)
        units = maps[0] * maps[1] * maps[2]
        up: list[nn.Module] = [nn.Linear(self.latent, units), nn.ReLU(), nn.Unflatten(1, maps)]
        for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], colours], strict=True):
            up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(units, 2 * self.latent))
        return encoder, nn.Sequential(*up[:-1], nn.Flatten())


class VAE(nn.Module):
    """Encoder and decoder.

    Args:
        shape: (colours, height, width) of the images.
        classes: how many there are, of which a conditional model is told one.
    """

    shape: Tensor
    classes: Tensor

    def __init__(self, config: Config, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.config, self.device, self.size = config, torch.device(config.device), shape
        self.told = classes if isinstance(config, DenseConfig) and config.conditional else 0
        with seeded_modules(config.seed, "network"):
            self.encoder, self.decoder = config.networks(shape, self.told)
        self.register_buffer("shape", torch.tensor(shape))
        self.register_buffer("classes", torch.tensor(classes))
        self.to(self.device)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of codes ``(batch, latent)`` of images ``(batch, colours, height, width)``."""
        mean, log_variance = self.encoder(self._with(images.flatten(1), labels)).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Logits of pixels ``(batch, colours, height, width)`` of codes ``(batch, latent)``."""
        return self.decoder(self._with(codes, labels)).unflatten(1, self.size)

    def _with(self, numbers: Tensor, labels: Tensor) -> Tensor:
        numbers = numbers.to(self.device)
        if not self.told:
            return numbers
        return torch.cat([numbers, F.one_hot(labels.to(self.device), self.told).float()], dim=1)

    def terms(self, images: Tensor, labels: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts of the negative ELBO ``(batch,)``, nat: of the reconstruction, and of the divergence.

        Args:
            epsilon: ``(batch, latent)``, drawn from the standard normal distribution.
        """
        mean, log_variance = self.encode(images, labels)
        codes = mean + (0.5 * log_variance).exp() * epsilon.to(self.device)  # z = m + sqrt(v) epsilon
        logits = self.decode(codes, labels)
        # -E[log p(x|z)], by one z
        reconstruction = F.binary_cross_entropy_with_logits(logits, images.to(self.device), reduction="none")
        return reconstruction.sum((1, 2, 3)), divergence(mean, log_variance)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(m, v) || N(0, 1)) ``(batch,)``, nat, the sum over a code's numbers."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)


def train(config: Config, run: Run | None = None) -> VAE:
    """Train a variational autoencoder; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    data = load_images(config.data)
    model = VAE(config, image_shape(data.train.inputs, config.data), len(data.classes))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name, sums = f"epoch {epoch}", np.zeros(2)
        rows = generators(config.seed, name)[name].permutation(len(data.train.labels))
        with seeded_modules(config.seed, name):
            for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
                images = unit(torch.from_numpy(data.train.inputs[batch]))
                labels = torch.from_numpy(data.train.labels[batch])
                parts = model.terms(images, labels, torch.randn(len(batch), config.latent))
                optimizer.zero_grad()
                (parts[0] + config.beta * parts[1]).mean().backward()
                optimizer.step()
                sums += [part.sum().item() for part in parts]
        reconstruction, divergent = sums / len(rows)
        return {
            "loss": reconstruction + config.beta * divergent,
            "reconstruction": reconstruction,
            "divergence": divergent,
        }

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> VAE:
    """The trained model of a checkpoint's state."""
    saved = state["model"]
    model = VAE(config, tuple(saved["shape"].tolist()), int(saved["classes"]))
    model.load_state_dict(saved)
    return model.eval()


@torch.inference_mode()
def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """The bound on images that it has not seen, with beta 1 and one code an image; see `Model`."""
    data, model = load_images(name), restored(config, state)
    test = data.test
    require(image_shape(test.inputs, name) == model.size, "data", name, "its images are of another size")
    told = model.told in (0, len(data.classes))
    require(told, "data", name, f"it has {len(data.classes)} classes, and the model was told {model.told}")
    generator = torch_generator(0, "codes of judging")
    sums, means, first = np.zeros(2), [], 0
    for images in blocks(test.inputs):
        labels = torch.from_numpy(test.labels[first : first + len(images)])
        first += len(images)
        epsilon = torch.randn(len(images), config.latent, generator=generator)
        sums += [part.sum().item() for part in model.terms(images, labels, epsilon)]
        means.append(model.encode(images, labels)[0].cpu())
    reconstruction, divergent = sums / len(test.labels)
    found = {
        "negative_elbo": reconstruction + divergent,
        "reconstruction": reconstruction,
        "divergence": divergent,
    }
    return Judgement(
        *(f"{name}, {len(test.labels):,} test images", found, {}),
        lambda folder: draw(model, data, torch.cat(means).numpy(), folder),
    )


@torch.inference_mode()
def draw(model: VAE, data: DataSet, means: Array, folder: Path) -> Iterator[Path]:
    """Draw what comes back, what is new, and the plane of codes where they have two numbers."""
    config = model.config
    few: Split = data.test.take(slice(10))
    images, labels = next(blocks(few.inputs)), torch.from_numpy(few.labels)
    back = model.decode(model.encode(images, labels)[0], labels).sigmoid().cpu()
    draw_grid(torch.cat([images, back]), len(images), folder / "reconstructions.png", "Images, and what comes back")
    yield folder / "reconstructions.png"
    codes = torch.randn(100, config.latent, generator=torch_generator(0, "samples"))
    labels = torch.arange(100) // 10 % len(data.classes)
    title = "New ones, a class a row" if model.told else "New ones"
    draw_grid(model.decode(codes, labels).sigmoid(), 10, folder / "samples.png", title)
    yield folder / "samples.png"
    if config.latent == 2 and not model.told:
        draw_latent(means, data.test.labels, data.classes, folder / "latent.png")
        yield folder / "latent.png"
        side = torch.linspace(-REACH, REACH, MANIFOLD)
        codes = torch.stack(torch.meshgrid(side.flip(0), side, indexing="ij")[::-1], dim=2).flatten(0, 1)
        shown = model.decode(codes, torch.zeros(len(codes), dtype=torch.int64)).sigmoid()
        extent = (-REACH, REACH, -REACH, REACH)
        draw_grid(shown, MANIFOLD, folder / "manifold.png", "What the decoder makes of each code", extent)
        yield folder / "manifold.png"


def draw_latent(means: Array, labels: Array, classes: Sequence[str], path: Path) -> None:
    """Draw the means of codes ``(n, 2)``, a colour a class."""
    with figure(path, (760, 640)) as drawing:
        axes = drawing.subplots()
        for number, name in enumerate(classes):
            chosen = means[labels == number]
            axes.scatter(chosen[:, 0], chosen[:, 1], s=3, alpha=0.6, label=name, linewidths=0)
        axes.set_title("Where the encoder puts images of the test part", loc="left", fontsize="medium")
        axes.set_xlabel("$z_1$")
        axes.set_ylabel("$z_2$")
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=4, frameon=False)


class Code(nn.Module):
    """The mean of the codes of images as data sets have them, see `supervised.perception`."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        require(not model.told, "conditional", True, "a model that is told the class cannot see without")
        self.encoder, self.latent = model.encoder, model.config.latent

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(unit(images).flatten(1))[:, : self.latent]


PRESETS = {
    "default": DenseConfig(),
    # chapter 6: 784-512-2, Adam as Keras has it
    "book": DenseConfig(epochs=50, latent=2, learning_rate_end=1e-3),
    "beta": DenseConfig(beta=4.0),
    "conditional": DenseConfig(latent=8, conditional=True),
}
CONVOLUTIONAL_PRESETS = {
    "default": ConvolutionalConfig(),
    # CarRacing's frames, for whoever drives by their codes
    "perception": ConvolutionalConfig(data="scenes:runs/tracks", width=16),
}
_MODELS: list[tuple[str, type[Config], Mapping[str, Config]]] = [
    ("vae", DenseConfig, PRESETS),
    ("conv-vae", ConvolutionalConfig, CONVOLUTIONAL_PRESETS),
]
ALGORITHMS = {
    name: Model(
        *(kind, presets, train, VAE, "epochs", lambda config: config.epochs),
        measures={"negative_elbo": ".2f", "reconstruction": ".2f", "divergence": ".2f"},
        judge=judge,
        perceive=lambda config, state: Code(restored(config, state)),
    )
    for name, kind, presets in _MODELS
}

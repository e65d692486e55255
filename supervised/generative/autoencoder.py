"""Autoencoders: a network that gives back what it is shown, through fewer numbers than it has (book, chapter 6).

A denoising one (Vincent et al. 2008) is shown images with noise, and is to give them back without.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.epochs import Settings, train_epochs
from supervised.generative.images import blocks, draw_grid, image_shape, load_images, unit
from supervised.judgement import Judgement, Model
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads, torch_generator


@dataclass(frozen=True)
class Config(Settings):
    """An autoencoder of fully connected layers."""

    epochs: int = 20
    """Passes through what is learnt from."""
    batch_size: int = 128
    """Rows of a gradient step."""
    hidden: int = 256
    """Units of the layer on either side of the code."""
    latent: int = 32
    """Numbers that an image is put into."""
    noise: float = 0.0
    """Standard deviation of the noise that the network is to take away, of images from 0 to 1; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "latent"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.noise >= 0, "noise", self.noise, "use 0 or more")


PRESETS = {"default": Config(), "denoising": Config(noise=0.5, hidden=512, latent=128)}


class Autoencoder(nn.Module):
    """An encoder to a code, and a decoder from it.

    Args:
        shape: (colours, height, width) of the images.
    """

    shape: Tensor

    def __init__(self, config: Config, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.config, self.device = config, torch.device(config.device)
        pixels = shape[0] * shape[1] * shape[2]
        with seeded_modules(config.seed, "network"):
            self.encoder = nn.Sequential(
                *(nn.Flatten(), nn.Linear(pixels, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.latent))
            )
            self.decoder = nn.Sequential(
                *(nn.Linear(config.latent, config.hidden), nn.ReLU(), nn.Linear(config.hidden, pixels)),
                nn.Unflatten(1, shape),
            )
        self.register_buffer("shape", torch.tensor(shape))
        self.to(self.device)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of pixels ``(batch, colours, height, width)`` of images ``(batch, colours, height, width)``."""
        return self.decoder(self.encoder(images.to(self.device)))

    def noisy(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The images as the network is shown them."""
        if not self.config.noise:
            return images
        return images + self.config.noise * torch.randn(images.shape, generator=generator)

    def losses(self, images: Tensor, shown: Tensor) -> Tensor:
        """Cross-entropy of every image (nat), the sum over its pixels ``(batch,)``."""
        logits = self(shown)
        return F.binary_cross_entropy_with_logits(logits, images.to(self.device), reduction="none").sum((1, 2, 3))


def train(config: Config, run: Run | None = None) -> Autoencoder:
    """Train an autoencoder; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    images = load_images(config.data).train.inputs
    model = Autoencoder(config, image_shape(images, config.data))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name, total = f"epoch {epoch}", 0.0
        rows = generators(config.seed, name)[name].permutation(len(images))
        with seeded_modules(config.seed, name):
            for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
                seen = unit(torch.from_numpy(images[batch]))
                loss = model.losses(seen, model.noisy(seen)).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
        return {"loss": total / len(rows)}

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> Autoencoder:
    """The trained autoencoder of a checkpoint's state."""
    model = Autoencoder(config, tuple(state["model"]["shape"].tolist()))
    model.load_state_dict(state["model"])
    return model.eval()


@torch.inference_mode()
def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well images that it has not seen come back; see `supervised.judgement.Model`."""
    images, model = load_images(name).test.inputs, restored(config, state)
    require(image_shape(images, name) == tuple(model.shape.tolist()), "data", name, "its images are of another size")
    generator = torch_generator(0, "noise of judging")
    total = squares = 0.0
    for seen in blocks(images):
        shown = model.noisy(seen, generator)
        total += model.losses(seen, shown).sum().item()
        squares += (model(shown).sigmoid().cpu() - seen).square().mean((1, 2, 3)).sum().item()
    found = {"loss": total / len(images), "error": float(np.sqrt(squares / len(images)))}

    def draw(folder: Path) -> Iterator[Path]:
        seen = next(blocks(images[:10]))
        shown = model.noisy(seen, torch_generator(0, "noise of judging"))
        with torch.inference_mode():
            back = model(shown).sigmoid().cpu()
        lines = [seen, back] if config.noise == 0 else [seen, shown, back]
        what = "Images, and what comes back" if config.noise == 0 else "Images, with noise, and what comes back"
        draw_grid(torch.cat(lines), 10, folder / "reconstructions.png", what)
        yield folder / "reconstructions.png"

    return Judgement(f"{name}, {len(images):,} test images", found, {}, draw)


class Code(nn.Module):
    """The code of images as data sets have them, see `supervised.perception`."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(unit(images))


ALGORITHMS = {
    "autoencoder": Model(
        *(Config, PRESETS, train, Autoencoder, "epochs", lambda config: config.epochs),
        measures={"loss": ".2f", "error": ".4f"},
        judge=judge,
        perceive=lambda config, state: Code(restored(config, state)),
    )
}

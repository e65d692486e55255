"""How all networks for speech learn: a network for each fold, from strings that are other ones every epoch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.data.spoken import LONGEST, Recording, strings
from supervised.epochs import train_epochs
from supervised.speech.augmentation import elsewhere, faster, masked
from supervised.speech.digits import folds
from supervised.speech.encoder import EncoderSettings
from supervised.speech.features import heard
from supervised.training.errors import UserError
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

Array = NDArray[Any]
#: a network's loss of what is heard in strings, of them as they are said, in an epoch
Loss = Callable[[Any, Sequence[Array], Sequence[Recording], int], Tensor]

Network = TypeVar("Network", bound=nn.Module)

CLIP = 5.0  # the longest gradient
LONGEST_MASK = 15  # frames


def train_networks(
    config: EncoderSettings, run: Run | None, network: Callable[[], nn.Module], loss: Loss
) -> nn.ModuleDict:
    """Train a network of each fold; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: recordings or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)
    parts = folds(config)
    models = made(config, parts, network)
    optimizer = torch.optim.Adam(models.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        losses = []
        for name, fold in parts.items():
            stream, model = f"{name}, epoch {epoch}", models[name].train()
            rng = generators(config.seed, stream)[stream]
            rows, spoken = zip(*perturbed(config, fold.train, epoch, rng), strict=True)
            with seeded_modules(config.seed, stream):
                for batch in batches(rows, config.batch_size, rng):
                    found = loss(model, [rows[k] for k in batch], [spoken[k] for k in batch], epoch)
                    optimizer.zero_grad()
                    found.backward()
                    nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                    optimizer.step()
                    losses.append(found.item())
        return {"loss": float(np.mean(losses))}

    train_epochs(config, run or Run.off(), {"models": models, "optimizer": optimizer}, learn)
    return models.eval()


def made(config: EncoderSettings, names: Mapping[str, Any], network: Callable[[], nn.Module]) -> nn.ModuleDict:
    """Networks of folds that have learnt nothing."""
    found = nn.ModuleDict()
    for name in names:
        if "." in name or hasattr(found, name):  # which no name of a module can be
            raise UserError(
                f"a speaker called {name!r} cannot be held out; give the recordings another name of speaker"
            )
        with seeded_modules(config.seed, f"network {name}"):
            found[name] = network()
    return found.to(torch.device(config.device))


def restored(config: EncoderSettings, state: Mapping[str, Any], network: Callable[[], Network]) -> dict[str, Network]:
    """The trained networks of a checkpoint's state, by fold."""
    found = made(config, dict.fromkeys(name.partition(".")[0] for name in state["models"]), network)
    found.load_state_dict(state["models"])
    return dict(found.eval().items())  # type: ignore[arg-type]


def perturbed(
    config: EncoderSettings, recordings: list[Recording], epoch: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Recording]]:
    """Strings of an epoch: what is heard of them ``(time, n)``, and they, as they are said there."""
    strength = min(epoch / config.ramp, 1.0)
    for one in strings(recordings, rng, min(1 + epoch // config.growth, LONGEST)):
        speed, warp = np.exp(strength * rng.uniform(-1, 1, 2) * (config.speed, config.warp))
        if config.features == "learned":  # from samples alone: there other vocal tracts are other speeds
            speed, warp = speed * warp, 1.0
        other = faster(one, speed)
        if rng.random() < strength * config.noise:
            other = elsewhere(other, rng)
        found = heard(other.wave, config.features, warp)
        if config.features != "learned":
            found = masked(found, rng, round(strength * config.masks), round(strength * LONGEST_MASK))
        yield found, other


def batches(rows: Sequence[Array], size: int, rng: np.random.Generator) -> list[Array]:
    """Rows that are learnt from together, those of about the same length, in any order."""
    order = np.argsort([len(one) for one in rows], kind="stable")
    found = np.array_split(order, -(-len(order) // size))
    return [found[k] for k in rng.permutation(len(found))]

"""Captions of pictures: convolutions see, a recurrent decoder writes (Vinyals et al. 2014; book, chapter 7).

One in, many out. With attention the decoder looks at parts of the picture as it writes (Xu et al. 2015). Pictures and
captions are drawn without end (`supervised.language.shapes`); what it is judged by was not there to be learnt from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supervised.data.text import join, packed, tokens, unpacked
from supervised.epochs import train_epochs
from supervised.generative.images import unit
from supervised.judgement import INTERVAL, Judgement, Model, share
from supervised.language.decoding import State
from supervised.language.recurrent import Decoder, DecoderSettings, learn_from
from supervised.language.shapes import SIDE, draw_scene, paint
from supervised.language.tasks import part_of
from supervised.language.vocabulary import Vocabulary, padded, vocabulary_of
from supervised.training.doors import SMOKE
from supervised.training.errors import UserError, require, suggest
from supervised.training.plots import COLOURS, INK, figure
from supervised.training.precision import autocast
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads

NAME = "shapes"
BLOCK = 250  # pictures that are told at once
VALIDATED, UNSEEN = (20, 20) if SMOKE else (300, 1_000)  # pictures
LIMIT = 16  # words of a caption, with its end
SHOWN = 12  # pictures that are drawn with what was told
TOLD = 10  # captions in evaluation.json
HALVED = 3  # times that convolutions halve a picture's sides

Scenes = Sequence[tuple[NDArray[Any], str]]


@dataclass(frozen=True)
class Config(DecoderSettings):
    """Convolutions and a decoder."""

    data: str = NAME
    """The pictures: shapes."""
    epochs: int = 6
    """Times that pictures are drawn and learnt from."""
    width: int = 16
    """Channels of the first convolution; the next ones have twice and four times as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.width >= 1, "width", self.width, "use at least 1")


class Captioner(nn.Module):
    """Convolutions to places, which are parts of a picture; a layer from all of them to where the decoder begins."""

    words: Tensor

    def __init__(self, config: Config, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.device, self.vocabulary = config, torch.device(config.device), vocabulary
        channels = (3, config.width, 2 * config.width, 4 * config.width)
        parts = (SIDE >> HALVED) ** 2
        numbers = config.layers * config.hidden * (2 if config.cell == "lstm" else 1)
        with seeded_modules(config.seed, "network"):
            self.convolutions = nn.Sequential()
            for before, after in zip(channels, channels[1:], strict=False):
                convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
                self.convolutions.extend([convolution, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)])
            self.places = nn.Linear(channels[-1], config.hidden)
            self.begin = nn.Linear(parts * channels[-1], numbers)
            self.decoder = Decoder(len(vocabulary), config)
        self.register_buffer("words", torch.from_numpy(packed(vocabulary)))
        self.to(self.device)

    def see(self, pictures: Sequence[NDArray[Any]]) -> State:
        """The decoder's state before the first word, of pictures ``(height, width, 3)`` uint8."""
        parts = self.convolutions(unit(torch.from_numpy(np.stack(pictures))).to(self.device)).flatten(2).mT
        first = self.begin(parts.flatten(1)).tanh().unflatten(1, (-1, self.config.layers, self.config.hidden))
        seen = torch.ones(parts.shape[:2], dtype=torch.bool, device=self.device)
        return self.decoder.begin(first.unbind(1), self.places(parts), seen)

    def loss(self, scenes: Scenes) -> Tensor:
        """See `Decoder.loss`."""
        pictures, captions = zip(*scenes, strict=True)
        targets, _ = padded([tokens(one, "words") for one in captions], self.vocabulary)
        with autocast(self.device, self.config.dtype):
            return self.decoder.loss(targets.to(self.device), self.see(pictures), self.config.teacher_forcing)

    @torch.inference_mode()
    def captions(self, pictures: Sequence[NDArray[Any]], beam: int) -> list[str]:
        """What is told of pictures ``(height, width, 3)`` uint8."""
        found: list[str] = []
        for first in range(0, len(pictures), BLOCK):
            told = self.decoder.write(self.see(pictures[first : first + BLOCK]), LIMIT, beam).tokens
            found += [join([self.vocabulary[word] for word in one], "words") for one in told]
        return found


def drawn(name: str, part: str, count: int, rng: np.random.Generator) -> list[tuple[NDArray[Any], str]]:
    """So many pictures ``(height, width, 3)`` uint8 with captions of a part, see `tasks.part_of`.

    Raises:
        UserError: data of another name.
    """
    if name != NAME:
        raise UserError(f"unknown data {name!r}{suggest(name, [NAME])}")
    found: list[tuple[NDArray[Any], str]] = []
    while len(found) < count:
        caption, shapes = draw_scene(rng)
        if part_of(caption) == part:
            found.append((paint(shapes, rng), caption))
    return found


def exact(model: Captioner, scenes: Scenes, beam: int) -> NDArray[np.bool_]:
    """Of which pictures all is told right ``(n,)``."""
    told = model.captions([picture for picture, _ in scenes], beam)
    return np.array([one == caption for one, (_, caption) in zip(told, scenes, strict=True)])


def train(config: Config, run: Run | None = None) -> Captioner:
    """Train convolutions and a decoder; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    set_threads(config.threads)

    def scenes(part: str, count: int, stream: str) -> list[tuple[NDArray[Any], str]]:
        return drawn(config.data, part, count, generators(config.seed, stream)[stream])

    seen = scenes("train", config.rows, "vocabulary")
    held_out = scenes("validation", VALIDATED, "validation")
    model = Captioner(config, vocabulary_of(tokens(caption, "words") for _, caption in seen))
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate, fused=True)

    def learn(epoch: int) -> dict[str, float]:
        name = f"epoch {epoch}"
        with seeded_modules(config.seed, name):
            loss = learn_from(scenes("train", config.rows, name), model.train().loss, optimizer, config)
        return {"loss": loss, "validation_accuracy": float(exact(model.eval(), held_out, beam=1).mean())}

    train_epochs(config, run or Run.off(), {"model": model, "optimizer": optimizer}, learn)
    return model


def restored(config: Config, state: Mapping[str, Any]) -> Captioner:
    """The trained model of a checkpoint's state."""
    model = Captioner(config, unpacked(state["model"]["words"].numpy()))
    model.load_state_dict(state["model"])
    return model.eval()


def judge(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """Of how many pictures with unseen captions all is told right; see `Model`."""
    model = restored(config, state)
    scenes = drawn(name, "test", UNSEEN, generators(0, "judging")["judging"])
    right = exact(model, scenes, config.beam)
    told = model.captions([picture for picture, _ in scenes[:SHOWN]], config.beam)
    measures = {**share("exact", right), "greedy": float(exact(model, scenes, beam=1).mean())}
    details = {
        "examples": len(scenes),
        "captions": len({caption for _, caption in scenes}),
        "told": [[one, caption] for one, (_, caption) in zip(told[:TOLD], scenes, strict=False)],
    }

    def draw(folder: Path) -> Iterator[Path]:
        draw_captions(scenes[:SHOWN], told, folder / "captions.png")
        yield folder / "captions.png"

    return Judgement(f"{name}, {len(scenes):,} pictures with unseen captions", measures, details, draw)


def draw_captions(scenes: Scenes, told: Sequence[str], path: Path) -> None:
    """Draw pictures above what was told of them, in another colour where that is wrong."""
    with figure(path, (1000, 800)) as drawing:
        for axes, (picture, caption), one in zip(drawing.subplots(3, 4).ravel(), scenes, told, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(
                one.replace(" above", "\nabove").replace(" left of", "\nleft of"),
                y=-0.3,
                fontsize="medium",
                color=INK if one == caption else COLOURS[1],
            )


PRESETS = {"default": Config(), "plain": Config(attention="none")}
ALGORITHMS = {
    "captioning": Model(
        *(Config, PRESETS, train, Captioner, "epochs", lambda config: config.epochs),
        measures={"exact": ".2%", **INTERVAL, "greedy": ".2%"},
        judge=judge,
    )
}

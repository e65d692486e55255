"""Behavioral cloning of CarRacing: preparing frames, and an epoch, against the book's way (chapter 10).

The book's pipeline, rebuilt with the libraries that its transforms call: every frame alone becomes a Pillow image,
gray, padded and cropped, and a float tensor, anew in every epoch, fetched row by row by a ``DataLoader`` with two
worker processes. Ours prepares all frames once and keeps bytes; that time is measured apart. Network, rows, batch
size, threads and arithmetic (float32) are the same on both sides.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import nn
from torch.utils.data import DataLoader, Dataset

from agents.imitation import behavioral_cloning
from agents.imitation.examples import Examples
from agents.imitation.experts import Expert
from agents.imitation.networks import BLOCK, Agent, make_agent
from envs.car_racing.env import CarRacing
from supervised.training.seeding import set_threads
from tools.bench.measurement import SMOKE, Measurement, rates

Array = NDArray[Any]

CARS, STEPS = (2, 40) if SMOKE else (8, 400)
THREADS = 2
CONFIG = dataclasses.replace(behavioral_cloning.PRESETS["book"], balance="none", threads=THREADS)


def drive() -> tuple[Array, Array]:
    """Frames ``(rows, 96, 96, 3)`` and classes ``(rows,)`` of the expert."""
    cars = CarRacing(CARS, actions="book", renderer="fast")
    frames, _ = cars.reset(seed=0)
    expert, rows, classes = Expert(cars, "book"), [], []
    for _ in range(STEPS):
        rows.append(frames)
        classes.append(expert.act())
        frames, *_ = cars.step(classes[-1])
    return np.concatenate(rows), np.concatenate(classes)


def book_frame(frame: Array) -> torch.Tensor:
    """The book's transforms of one frame: ``(1, 84, 84)`` float32 in 0..1."""
    image = ImageOps.expand(Image.fromarray(frame).convert("L"), (12, 12, 12, 0))
    left, top = (image.width - 84) // 2, (image.height - 84) // 2
    pixels = np.array(image.crop((left, top, left + 84, top + 84)))
    tensor = torch.from_numpy(pixels[None]).to(torch.float32).div(255)
    return tensor.sub(0).div(1)  # Normalize((0,), (1,))


def book_prepare(frames: Array) -> torch.Tensor:
    """All frames, one by one: ``(rows, 1, 84, 84)``."""
    return torch.stack([book_frame(frame) for frame in frames])


def prepare(agent: Agent, frames: Array) -> Array:
    """The same frames as our agents see them: ``(rows, 84, 84)`` bytes, scaled by the network."""
    return np.concatenate([agent.transform(frames[k : k + BLOCK]) for k in range(0, len(frames), BLOCK)])


class BookRows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Frames and classes; a frame is transformed when it is fetched."""

    def __init__(self, frames: Array, classes: Array) -> None:
        self.frames, self.classes = torch.tensor(np.moveaxis(frames, 3, 1)), torch.tensor(classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        return book_frame(self.frames[row].permute(1, 2, 0).numpy()), self.classes[row]


class BookEpochs:
    """The book's training loop."""

    def __init__(self, agent: Agent, frames: Array, classes: Array) -> None:
        layers: Any = agent.network.backbone.layers
        self.model = nn.Sequential(*layers, agent.network.head)
        self.loader = DataLoader(BookRows(frames, classes), batch_size=32, shuffle=True, num_workers=2)
        self.optimizer, self.loss = torch.optim.Adam(self.model.parameters()), nn.CrossEntropyLoss()

    def epoch(self) -> int:
        """One pass; returns the number of rows."""
        self.model.train()
        for inputs, labels in self.loader:
            self.optimizer.zero_grad()
            with torch.set_grad_enabled(True):
                outputs = self.model(inputs)
                loss = self.loss(outputs, labels)
                loss.backward()
                self.optimizer.step()
            (outputs.argmax(1) == labels).sum().item()
            loss.item()
        return len(self.loader.dataset)  # type: ignore[arg-type]


def run() -> Iterator[Measurement]:
    """Preparation, then epochs, in turns."""
    set_threads(THREADS)
    frames, classes = drive()
    agent = make_agent(CONFIG)
    prepared, theirs = prepare(agent, frames), book_prepare(frames)
    if not np.array_equal(prepared, (theirs[:, 0].numpy() * 255).round().astype(np.uint8)):
        raise AssertionError("both pipelines prepare the same pixels")
    settings = {"rows": len(frames), "threads": THREADS, "dtype": "float32", "batch_size": 32}

    def count(work: Any) -> int:
        return len(work)

    rate = rates(
        {"ours": lambda: count(prepare(agent, frames)), "peer": lambda: count(book_prepare(frames))}, seconds=0.0
    )
    name = "cloning, frames prepared, against the book's transforms"
    yield Measurement(name, rate["ours"], rate["peer"], "frames/s", rate["ours"] / rate["peer"], 10.0, settings)

    examples = Examples(prepared, classes, np.zeros(len(classes), np.int64))
    learner = behavioral_cloning.Learner(CONFIG, agent)
    learner.prepare(examples)
    book = BookEpochs(make_agent(CONFIG), frames, classes)

    def ours() -> int:
        learner.epoch(examples, 0, 1.0)
        return len(examples)

    rate = rates({"ours": ours, "peer": book.epoch}, seconds=0.0)
    name = "cloning, rows of an epoch, against the book's DataLoader"
    yield Measurement(name, rate["ours"], rate["peer"], "rows/s", rate["ours"] / rate["peer"], 1.4, settings)

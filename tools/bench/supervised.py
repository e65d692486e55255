"""Epochs of the book's convolutional networks, against a plain PyTorch loop; and inference of a residual network.

The plain loop is what tutorials of PyTorch write: a ``Dataset`` that makes one image a tensor, changes and scales it, a
``DataLoader`` that shuffles and stacks them, the network as the book prints it, Adam. Both sides have one thread, the
same rows and batches; ours also in bfloat16, where the processor multiplies it. Inference is of ResNet-18 over
photographs of 224 pixels a side, batch normalization folded into the convolutions, against the same network as it is.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from supervised.data import Split
from supervised.training.precision import multiplies_bfloat16
from supervised.training.seeding import set_threads
from supervised.vision import book, networks
from supervised.vision.classification import ALGORITHMS, learn
from supervised.vision.classifier import OPTIMIZERS, Classifier, Config
from supervised.vision.inference import folded
from tools.bench.measurement import SMOKE, Measurement, rates

ROWS = 100 if SMOKE else 2_000
PHOTOGRAPHS, SIDE = (1, 64) if SMOKE else (8, 224)
GOALS = {"float32": 1.1, "bfloat16": 1.7}
INFERENCE = 1.2


def run() -> Iterator[Measurement]:
    """Measure all of it."""
    set_threads(1)
    rng = np.random.default_rng(0)
    for name, config, shape, network, changed in (
        ("MNIST CNN", ALGORITHMS["cnn"].presets["default"], (28, 28), book.cnn, False),
        ("CIFAR CNN", ALGORITHMS["deep-cnn"].presets["book"], (32, 32, 3), book.deep_cnn, True),
    ):
        data = Split(rng.integers(256, size=(ROWS, *shape), dtype=np.uint8), rng.integers(10, size=ROWS))
        dtypes = [dtype for dtype in GOALS if dtype == "float32" or multiplies_bfloat16("cpu")]
        sides = {dtype: ours(dataclasses.replace(config, dtype=dtype), data) for dtype in dtypes}
        found = rates({**sides, "peer": plain(data, network, config.batch_size, changed)}, seconds=0, rounds=3)
        for dtype in dtypes:
            numbers = found[dtype], found["peer"]
            yield Measurement(
                f"{name} epoch, {dtype}, PyTorch loop with DataLoader",
                *(*numbers, "images/s", numbers[0] / numbers[1], GOALS[dtype]),
                settings={"batch": config.batch_size, "augmentation": config.augmentation, "threads": 1, "rows": ROWS},
            )
    yield inference()


def ours(config: Config, data: Split) -> Callable[[], int]:
    """An epoch of `supervised.train`."""
    classifier = Classifier(config, data.inputs, [""] * 10)
    optimizer = OPTIMIZERS[config.optimizer](classifier.network.parameters(), config)

    def epoch() -> int:
        learn(classifier, optimizer, data, 0)
        return len(data.labels)

    return epoch


class Images(Dataset[tuple[Tensor, int]]):
    """Images one by one, as tutorials have them."""

    def __init__(self, data: Split, changed: bool) -> None:
        self.data, self.changed = data, changed
        axes = (0, 1, 2)
        self.mean, self.std = (
            torch.tensor(np.atleast_1d(of(data.inputs / 255, axes)), dtype=torch.float32)[:, None, None]
            for of in (np.mean, np.std)
        )

    def __len__(self) -> int:
        return len(self.data.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.data.inputs[row])
        image = (image[None] if image.ndim == 2 else image.permute(2, 0, 1)).float() / 255
        if self.changed:
            image = turned(image)
        return (image - self.mean) / self.std, int(self.data.labels[row])


def turned(image: Tensor) -> Tensor:
    """The book's changes to an image ``(colours, height, width)``: up to 90 degrees, a tenth of its size, mirrored."""
    angle, across, down = ((2 * torch.rand(3) - 1) * torch.tensor([math.pi / 2, 0.2, 0.2])).tolist()
    cosine, sine = math.cos(angle), math.sin(angle)
    flip = -1.0 if torch.rand(()) < 0.5 else 1.0
    matrix = torch.tensor([[[flip * cosine, -sine, across], [flip * sine, cosine, down]]])
    grid = F.affine_grid(matrix, [1, *image.shape], align_corners=False)
    return F.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]


def plain(data: Split, network: Callable[..., nn.Module], batch: int, changed: bool) -> Callable[[], int]:
    """An epoch of the plain loop."""
    images = Images(data, changed)
    loader = DataLoader(images, batch_size=batch, shuffle=True)
    model = as_printed(network(images[0][0].shape, 10))
    optimizer = torch.optim.Adam(model.parameters())

    def epoch() -> int:
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
        return len(data.labels)

    return epoch


def as_printed(network: nn.Module) -> nn.Module:
    """The same function of images with its layers in the book's order, activations before pooling."""
    layers = list(network.children())
    for k, (pooling, activation) in enumerate(itertools.pairwise(list(layers))):
        if isinstance(pooling, nn.MaxPool2d):
            layers[k : k + 2] = activation, pooling
    return nn.Sequential(*layers)


def inference() -> Measurement:
    """Images/s of ResNet-18, folded and as it is."""
    network: Any = networks.build("resnet18", 3, 1000, SIDE).eval()
    photographs = torch.rand(PHOTOGRAPHS, 3, SIDE, SIDE)

    def judging(one: nn.Module) -> Callable[[], int]:
        @torch.inference_mode()
        def judge() -> int:
            one(photographs)
            return len(photographs)

        return judge

    found = rates({"ours": judging(folded(network)), "peer": judging(network)})
    return Measurement(
        "ResNet-18 inference, folded, PyTorch as it is",
        *(found["ours"], found["peer"], "images/s", found["ours"] / found["peer"], INFERENCE),
        settings={"batch": PHOTOGRAPHS, "pixels": SIDE, "threads": 1, "dtype": "float32"},
    )

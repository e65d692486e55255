"""Training of classifiers: whatever the network, on whatever data set.

Data sets lie whole in memory as they came, images as bytes; a batch is taken, changed (`supervised.data.augmentation`),
normalized by the statistics of what is learnt from, and learnt. The loss is the mean cross-entropy
-log softmax(logits)[label], in training with those of classifiers in the middle, where a network has them. All that is
random in an epoch depends on the run's seed and the epoch's number alone.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from supervised.data import Split, load, load_alike
from supervised.data.augmentation import PRESETS as AUGMENTATIONS
from supervised.data.augmentation import augment
from supervised.epochs import require_statistics, train_epochs
from supervised.judgement import ACCURACY, Judgement, Model, told
from supervised.training.errors import require
from supervised.training.run import Run
from supervised.training.seeding import generators, seeded_modules, set_threads
from supervised.vision import networks, pictures
from supervised.vision.classifier import (
    OPTIMIZERS,
    Classifier,
    CNNConfig,
    Config,
    DeepCNNConfig,
    MLPConfig,
    NetworkConfig,
    last_layer,
)
from supervised.vision.weights import transfer

Array = NDArray[Any]


def balanced(data: Split, rows: int, seed: int) -> Split:
    """So many rows drawn of all, as many of each class, or one more of some; fewer of a class that has no more."""
    order = generators(seed, "rows")["rows"].permutation(len(data.labels))
    turn = np.empty(len(order), np.int64)  # how many of its class come before
    for label in np.unique(data.labels):
        same = data.labels[order] == label
        turn[same] = np.arange(same.sum())
    return data.take(np.sort(order[np.argsort(turn, kind="stable")[:rows]]))


def train(config: Config, run: Run | None = None) -> Classifier:
    """Train a classifier; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: data or settings that do not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal.
    """
    run = run or Run.off()
    set_threads(config.threads)
    data = load(config.data)
    available = balanced(data.train, config.rows, config.seed) if config.rows else data.train
    order = generators(config.seed, "split")["split"].permutation(len(available.labels))
    held = round(config.validation * len(order))

    def parts(data: Split) -> tuple[Split, Split]:
        return data.take(np.sort(order[:held])), data.take(np.sort(order[held:]))

    held_out, training = parts(available)
    require(len(training.labels) >= config.batch_size, "batch_size", config.batch_size, f"{config.data} has fewer rows")
    classifier = learner = Classifier(config, training.inputs, data.classes)
    if isinstance(config, NetworkConfig) and config.weights:
        transfer(classifier.network, config.weights)
        if config.frozen:
            learner = last_layer(classifier)
    optimizer = OPTIMIZERS[config.optimizer](learner.network.parameters(), config)

    @functools.cache
    def seen() -> tuple[Split, Split]:
        if learner is classifier:
            return held_out, training
        # what a frozen network makes of an image never changes, so each passes once
        return parts(Split(classifier.features(available.inputs), available.labels))

    def epoch(number: int) -> dict[str, float]:
        held_out, training = seen()
        metrics = learn(learner, optimizer, training, number)
        if held:
            metrics |= {f"validation_{name}": value for name, value in judge(learner, held_out).items()}
        return metrics

    train_epochs(config, run, {"classifier": classifier, "optimizer": optimizer}, epoch)
    return classifier


def learn(classifier: Classifier, optimizer: torch.optim.Optimizer, data: Split, epoch: int) -> dict[str, float]:
    """Pass once through the data; returns mean loss and accuracy on the way."""
    config, name = classifier.config, f"epoch {epoch}"
    rng = generators(config.seed, name)[name]
    rows = rng.permutation(len(data.labels))
    require_statistics(classifier.network, len(rows), config.batch_size)
    total = correct = 0.0
    classifier.train()
    changes = AUGMENTATIONS[config.augmentation]
    with seeded_modules(config.seed, name):  # what dropout draws
        for batch in np.array_split(rows, -(-len(rows) // config.batch_size)):
            inputs = data.inputs[batch]
            labels = torch.from_numpy(data.labels[batch]).to(classifier.device)
            logits = classifier(torch.from_numpy(augment(inputs, changes, rng) if inputs.ndim > 2 else inputs))
            loss = F.cross_entropy(logits, labels) + networks.auxiliary_loss(classifier.network, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
            correct += float((logits.argmax(1) == labels).sum())
    return {"loss": total / len(rows), "accuracy": correct / len(rows)}


def judge(classifier: Classifier, data: Split) -> dict[str, float]:
    """Mean loss and accuracy on data as it is."""
    return measures(classifier.probabilities(data.inputs), data.labels)


def measures(probabilities: Array, labels: Array) -> dict[str, float]:
    """Mean loss and accuracy of probabilities ``(n, classes)`` where labels ``(n,)`` are true."""
    said = probabilities[np.arange(len(labels)), labels]
    right = probabilities.argmax(1) == labels
    return {"loss": float(-np.log(np.maximum(said, 1e-30)).mean()), "accuracy": float(right.mean())}


def judgement(config: Config, state: Mapping[str, Any], name: str) -> Judgement:
    """How well a trained classifier tells the test part of a data set; see `Model`."""
    data = load_alike(name, config.data)
    classifier = Classifier(dataclasses.replace(config, data=name), data.test.inputs, data.classes)
    classifier.load_state_dict(state["classifier"])
    probabilities = classifier.probabilities(data.test.inputs)
    found = told(name, data, probabilities.argmax(1))

    def draw(folder: Path) -> Iterator[Path]:
        yield from found.draw(folder)
        if data.test.inputs.ndim > 2:
            seen = classifier.inputs(torch.from_numpy(data.test.inputs[:1]).to(classifier.device))
            yield from pictures.draw(classifier.network, seen, folder)

    return found._replace(measures={**measures(probabilities, data.test.labels), **found.measures}, draw=draw)


def perceive(config: Config, state: Mapping[str, Any]) -> nn.Module:
    """A trained classifier of images without its last layer; see `Model`."""
    saved = state["classifier"]
    *_, bias = saved.values()  # of the last layer
    example = np.zeros((1, *saved["inputs.shape"].tolist()), np.uint8)
    classifier = Classifier(config, example, [""] * len(bias))
    classifier.load_state_dict(saved)
    networks.headless(classifier.network)
    return nn.Sequential(classifier.inputs, classifier.network)


#: chapter 3 learns from bytes, by stochastic gradient descent with the steps of Keras' default
_BOOK_MLP: Mapping[str, Any] = {
    "inputs": "bytes",
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "learning_rate_end": 0.01,
    "epochs": 100,
}
_BOOK_CIFAR: Mapping[str, Any] = {
    "data": "cifar10-jpeg",
    "hidden": (1024, 512, 512),
    "activations": ("relu", "relu", "sigmoid"),
}
MLP_PRESETS = {
    "default": MLPConfig(),
    "book-mnist": MLPConfig(**_BOOK_MLP, hidden=(100,), activations=("sigmoid",)),
    "book-cifar": MLPConfig(**{**_BOOK_MLP, **_BOOK_CIFAR, "inputs": "unit"}),
    # the same network by other means, in a tenth of the epochs
    "cifar": MLPConfig(**_BOOK_CIFAR, learning_rate=3e-4, augmentation="cifar", epochs=10),
}
CNN_PRESETS = {
    "default": CNNConfig(),
    "book": CNNConfig(inputs="bytes", optimizer="adadelta", learning_rate=1.0, learning_rate_end=1.0),
}
_BOOK_DEEP_CNN: Mapping[str, Any] = {"data": "cifar10-jpeg", "batch_size": 50, "augmentation": "book"}
DEEP_CNN_PRESETS = {
    "default": DeepCNNConfig(epochs=20, augmentation="cifar"),
    # chapter 4 trains for 100 epochs, or for 3 or 5 where there is less time
    **{
        name: DeepCNNConfig(**_BOOK_DEEP_CNN, epochs=epochs, learning_rate_end=1e-3)
        for name, epochs in (("book", 100), ("book-3", 3), ("book-5", 5))
    },
    # the same 100 epochs with steps that fall to 0, and of images that are turned, but not smoothed
    "book-falling": DeepCNNConfig(**_BOOK_DEEP_CNN, epochs=100, dtype="bfloat16"),
    "book-sharp": DeepCNNConfig(**{**_BOOK_DEEP_CNN, "augmentation": "book-sharp"}, epochs=100, dtype="bfloat16"),
}

#: CIFAR-10 from 400 images a class, as docs/transfer.md has it
_SMALL_CIFAR: Mapping[str, Any] = {
    "architecture": "mobilenet_v2",
    "data": "cifar10-jpeg",
    "rows": 4_000,
    "inputs": "imagenet",
    "resize": 96,
    "batch_size": 50,
}
_PUBLISHED = {**_SMALL_CIFAR, "weights": "weights/mobilenet_v2-b0353104.pth"}
MOBILENET_PRESETS = {
    "default": NetworkConfig(architecture="mobilenet_v2"),
    "extract": NetworkConfig(**_PUBLISHED, frozen=True, augmentation="none", epochs=30),
    "fine-tune": NetworkConfig(**_PUBLISHED, learning_rate=5e-4, epochs=5),
    "scratch": NetworkConfig(**_SMALL_CIFAR, epochs=5),
}


def _network_presets(name: str) -> Mapping[str, Config]:
    return MOBILENET_PRESETS if name == "mobilenet_v2" else {"default": NetworkConfig(architecture=name)}


_MODELS: list[tuple[str, type[Config], Mapping[str, Config]]] = [
    ("mlp", MLPConfig, MLP_PRESETS),
    ("cnn", CNNConfig, CNN_PRESETS),
    ("deep-cnn", DeepCNNConfig, DEEP_CNN_PRESETS),
    *((name, NetworkConfig, _network_presets(name)) for name in networks.NETWORKS),
]
ALGORITHMS = {
    name: Model(
        *(kind, presets, train, Classifier, "epochs", lambda config: config.epochs),
        measures={**ACCURACY, "loss": ".4f"},
        judge=judgement,
        perceive=perceive,
    )
    for name, kind, presets in _MODELS
}

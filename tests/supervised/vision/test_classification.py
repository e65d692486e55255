"""Classifiers of the book: sizes as printed, learning to a threshold, exact resuming, and what is refused."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data import DataSet, Split, sets
from supervised.registry import CATALOGUE, find
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from supervised.vision import book, classification
from supervised.vision.classifier import Classifier, CNNConfig, Config, DeepCNNConfig, Inputs, MLPConfig, NetworkConfig
from supervised.vision.networks import NETWORKS
from supervised.vision.pictures import draw

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def stripes(monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The data set "stripes": 24 x 24 pixels, upright or level, in noise."""
    rng = np.random.default_rng(0)  # its own, so that no test's data depends on which ran before
    labels = rng.integers(2, size=300)
    images = rng.integers(120, size=(300, 24, 24)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        (image if label else image.T)[:, 5:19:4] += 100
    data = DataSet(Split(images[:200], labels[:200]), Split(images[200:], labels[200:]), ("level", "upright"))
    monkeypatch.setitem(sets.SETS, "stripes", lambda: data)
    return data


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_books_networks_have_the_books_sizes() -> None:
    assert count(book.cnn((1, 28, 28), 10)) == 305_194  # as `model.summary()` prints in chapter 4
    assert [count(layer) for layer in book.cnn((1, 28, 28), 10) if count(layer)] == [320, 9_248, 294_976, 650]
    assert count(book.mlp((28, 28), 10, (100,), [torch.nn.Sigmoid])) == 784 * 100 + 100 + 100 * 10 + 10
    mlp = book.mlp((3, 32, 32), 10, (1024, 512, 512), [torch.nn.ReLU, torch.nn.ReLU, torch.nn.Sigmoid])
    kinds = [type(layer).__name__ for layer in mlp]
    assert kinds == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear", "Sigmoid", "Linear"]
    deep = book.deep_cnn((3, 32, 32), 10)
    seen = torch.zeros(1, 3, 32, 32)
    shapes = []
    for layer in deep.eval():
        seen = layer(seen)
        shapes.append(tuple(seen.shape[1:]))
    assert shapes[-2:] == [(512,), (10,)] and (128, 2, 2) in shapes


@pytest.mark.parametrize("network", [book.cnn, book.deep_cnn])
def test_pooling_first_changes_nothing(network: Callable[..., torch.nn.Module]) -> None:
    """The book has activations before pooling: the same logits, and the same gradients."""
    ours = network((3, 32, 32), 10).eval()
    layers = list(ours.children())
    pools = [k for k, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
    for k in pools:
        layers[k : k + 2] = layers[k + 1], layers[k]
    assert pools
    images, found = torch.randn(2, 3, 32, 32), []
    for one in (ours, torch.nn.Sequential(*layers)):
        ours.zero_grad()
        logits = one(images)
        logits.square().sum().backward()
        found.append([logits, *(weights.grad for weights in ours.parameters())])
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right)


@pytest.mark.parametrize("shape", [(5,), (6, 4), (6, 4, 3)])
def test_inputs_come_scaled_with_colours_in_front(shape: tuple[int, ...]) -> None:
    inputs = RNG.integers(256, size=(50, *shape)).astype(np.uint8 if len(shape) > 1 else np.float32)
    out = Inputs(inputs, "standardized")(torch.from_numpy(inputs))
    assert out.shape[1:] == {1: (5,), 2: (1, 6, 4), 3: (3, 6, 4)}[len(shape)]
    axes = (0,) if len(shape) == 1 else (0, 2, 3)
    np.testing.assert_allclose(out.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axes, correction=0), 1, atol=1e-4)
    even = np.full_like(inputs, 7)
    assert (Inputs(even, "standardized")(torch.from_numpy(even)) == 0).all()
    if len(shape) > 1:
        unit, raw = (Inputs(inputs, scale)(torch.from_numpy(inputs)) for scale in ("unit", "bytes"))
        assert unit.max() <= 1 and torch.equal(raw, (unit * 255).round())
        assert raw[7, -1, 2, 3] == inputs[7, 2, 3].ravel()[-1]


@pytest.mark.parametrize(
    "config",
    [
        MLPConfig(epochs=5),
        CNNConfig(epochs=3),
        CNNConfig(epochs=3, optimizer="adadelta", learning_rate=1.0, inputs="unit"),
        DeepCNNConfig(epochs=4, batch_size=20),
        MLPConfig(epochs=15, optimizer="sgd", learning_rate=0.05, momentum=0.9),
        MLPConfig(epochs=10, dtype="bfloat16"),
    ],
    ids=lambda config: f"{type(config).__name__} {config.optimizer} {config.dtype}",
)
def test_all_of_them_learn(config: Any, stripes: DataSet) -> None:
    config = dataclasses.replace(config, data="stripes", batch_size=min(config.batch_size, 20))
    classifier = classification.train(config)
    assert classification.judge(classifier, stripes.test)["accuracy"] >= 0.95


def test_a_network_by_name_learns(stripes: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    few = DataSet(*(Split(part.inputs[:100, 5:13, 5:13], part.labels[:100]) for part in stripes[:2]), stripes.classes)
    monkeypatch.setitem(sets.SETS, "few", lambda: few)
    config = NetworkConfig(data="few", epochs=4, batch_size=10, augmentation="none")
    assert classification.judge(classification.train(config), few.test)["accuracy"] >= 0.95


def test_flowers_are_told(tmp_path: Path) -> None:
    """Chapter 1's task: all 30 right."""
    pytest.importorskip("sklearn", reason="needs the learn extra")
    config = MLPConfig(data="iris", hidden=(5,), epochs=60, batch_size=10, learning_rate=0.02)
    data = sets.load("iris")
    assert classification.judge(classification.train(config), data.test)["accuracy"] >= 29 / 30


def test_a_run_that_is_cut_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DeepCNNConfig(data="stripes", epochs=3, batch_size=40, validation=0.2, optimizer="sgd", momentum=0.5)
    config = dataclasses.replace(config, augmentation="book")

    def create(name: str) -> Run:
        return Run.create(
            tmp_path / name,
            algorithm="deep-cnn",
            preset="x",
            config=to_json(config),
            total=3,
            unit="epochs",
            progress=False,
        )

    with create("whole") as run:
        whole = classification.train(config, run)
    learn, epochs = classification.learn, []

    def stop(*arguments: Any) -> dict[str, float]:
        epochs.append(arguments[-1])
        if epochs == [0, 1]:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return learn(*arguments)

    monkeypatch.setattr(classification, "learn", stop)
    with create("cut") as run, pytest.raises(Interrupted):
        classification.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = classification.train(config, run)
    assert epochs == [0, 1, 1, 2]
    left, right = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert logs[0] == logs[1] and b"validation_accuracy" in logs[0]


def test_a_run_is_trained_and_judged_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    train_door.main(["mlp", "--data", "stripes", "--epochs", "4", "--batch-size", "20", "--run-dir", str(folder)])
    evaluate_door.main([str(folder), "--require", "accuracy>=0.9", "loss<1"])
    printed = capsys.readouterr().out
    assert "python -m supervised.evaluate" in printed and "mlp on stripes, 100 test examples" in printed
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["examples"] == 100 and result["ci95_low"] < result["accuracy"] <= result["ci95_high"]
    assert result["training"]["step"] == 4
    drawn = {path.name for path in folder.glob("*.png")}
    assert drawn == {"curve.png", "confusion.png", "weights.png"}, "a network without maps has no features to draw"
    with pytest.raises(SystemExit) as stop:
        evaluate_door.main([str(folder), "--require", "accuracy>1"])
    assert stop.value.code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mpl"], "unknown model 'mpl'; did you mean mlp"),
        ([], "name a model; python -m supervised.train --list shows all"),
        (["mlp", "--preset", "book"], "unknown preset 'book' of mlp; known: book-cifar, book-mnist, cifar"),
        (["mlp", "--data", "strips"], "unknown data 'strips'; did you mean stripes"),
        (["cnn", "--data", "tiny"], "image='5 x 5': this network needs 6 x 6 pixels or more"),
        (["mlp", "--data", "stripes", "--batch-size", "201"], "batch_size=201: stripes has fewer rows"),
        (["resnet18", "--data", "flat"], "data='flat': this network sees images alone, use mlp"),
        (["mlp", "--learning-rate", "0"], "learning_rate=0.0: use a positive number"),
        (["mlp", "--optimizer", "adm"], "unknown optimizer 'adm'; did you mean adam"),
        (["mlp", "--activations", "rely"], "unknown activation 'rely'; did you mean relu"),
        (["mlp", "--data", "stripes", "--learning-rate", "1e30"], "loss=nan in epoch 1: training stopped; try"),
        (["resnet18", "--data", "tiny", "--batch-size", "1"], "batch_size=1: some batches of 100 rows would have one"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = Split(np.zeros((100, 5, 5), np.uint8), np.arange(100) % 2)
    monkeypatch.setitem(sets.SETS, "tiny", lambda: DataSet(tiny, tiny, ("a", "b")))
    flat = Split(np.zeros((100, 5), np.float32), np.arange(100) % 2)
    monkeypatch.setitem(sets.SETS, "flat", lambda: DataSet(flat, flat, ("a", "b")))
    assert message in refused(train_door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_data_that_does_not_fit_is_named(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_door.main(["mlp", "--data", "stripes", "--epochs", "1", "--run-dir", str(tmp_path / "run"), "--quiet"])
    small = Split(np.zeros((100, 5, 5), np.uint8), np.arange(100) % 2)
    monkeypatch.setitem(sets.SETS, "small", lambda: DataSet(small, small, ("level", "upright")))
    assert "small does not fit what" in refused(evaluate_door.main, tmp_path / "run", "--data", "small")
    strange = DataSet(small, small, ("c", "d", "e", "f"))
    monkeypatch.setitem(sets.SETS, "strange", lambda: strange)
    told = refused(evaluate_door.main, tmp_path / "run", "--data", "strange")
    assert "data='strange': it has classes c, d, e ..., and what was learnt from, stripes, has" in told


def test_other_data_is_judged_beside_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stripes: DataSet) -> None:
    run = tmp_path / "run"
    train_door.main(["mlp", "--data", "stripes", "--epochs", "1", "--run-dir", str(run), "--quiet"])
    monkeypatch.setitem(sets.SETS, "more stripes", lambda: stripes)
    evaluate_door.main([str(run)])
    before = (run / "evaluation.json").read_bytes()
    evaluate_door.main([str(run), "--data", "more stripes"])
    assert (run / "evaluation.json").read_bytes() == before
    assert json.loads((run / "evaluation-more-stripes.json").read_text())["protocol"].startswith("more stripes, ")


def test_every_architecture_can_be_trained_by_name() -> None:
    named = {name for name, (module, _) in CATALOGUE.items() if module == classification.__name__}
    assert named == classification.ALGORITHMS.keys() and NETWORKS.keys() < named


@pytest.mark.parametrize("name", ["mlp", "cnn", "deep-cnn", "mobilenet_v2", "resnet18", "vgg11_bn"])
def test_every_preset_can_be_made(name: str) -> None:
    for preset in find(name).presets.values():
        inputs = np.zeros((4, 32, 32, 3), np.uint8)
        assert isinstance(Classifier(preset, inputs, ("a", "b")).config, find(name).config)


def test_pictures_of_what_was_learnt(tmp_path: Path, stripes: DataSet) -> None:
    colours = np.repeat(stripes.test.inputs[..., None], 3, 3)
    for config, inputs, layers in ((CNNConfig(), stripes.test.inputs, 3), (DeepCNNConfig(), colours, 9)):
        classifier = Classifier(config, inputs, stripes.classes)
        seen = classifier.inputs(torch.from_numpy(inputs[:1]))
        assert {path.name for path in draw(classifier.network, seen, tmp_path)} == {"weights.png", "features.png"}
        with Image.open(tmp_path / "features.png") as picture:
            assert picture.size[1] == 95 * (layers + 1) + 30
    flat = Classifier(MLPConfig(), stripes.test.inputs, stripes.classes)
    seen = flat.inputs(torch.from_numpy(stripes.test.inputs[:1]))
    assert [path.name for path in draw(flat.network, seen, tmp_path)] == ["weights.png"], "it has no maps"


def test_a_network_asked_for_by_the_base_alone() -> None:
    with pytest.raises(NotImplementedError):
        Config().network((1, 2, 2), 2)
    with pytest.raises(UserError, match="unknown inputs 'byte'; did you mean bytes"):
        Config(inputs="byte")

"""Transfer learning: what a file's weights become of a network with other classes, frozen or learning on."""

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from supervised import train as train_door
from supervised.data import DataSet, Split, sets
from supervised.registry import find
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from supervised.vision import classification
from supervised.vision.classification import balanced
from supervised.vision.classifier import Inputs, NetworkConfig, last_layer
from supervised.vision.networks import build, head
from supervised.vision.weights import transfer

#: a file's network has five classes, the data two
SMALL = NetworkConfig(data="squares", inputs="imagenet", augmentation="none", epochs=12, batch_size=20)


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The data set "squares": 8 x 8 pixels, a reddish or a bluish square in noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=60)
    images = rng.integers(150, size=(60, 8, 8, 3)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2:6, 2:6, 2 * label] += 100
    data = DataSet(Split(images[:40], labels[:40]), Split(images[40:], labels[40:]), ("red", "blue"))
    monkeypatch.setitem(sets.SETS, "squares", lambda: data)
    return data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights of a ResNet-18 for five classes, drawn at random, which has seen a few batches."""
    torch.manual_seed(0)
    network = build("resnet18", 3, 5, 8)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(4, 3, 8, 8))
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def test_only_the_last_layer_of_a_frozen_network_learns(squares: DataSet, file: Path) -> None:
    config = dataclasses.replace(SMALL, weights=str(file), frozen=True, learning_rate=0.01)
    classifier = classification.train(config)
    given, state = torch.load(file, weights_only=True), classifier.network.state_dict()
    assert given.keys() == state.keys() and state["fc.weight"].shape == (2, 512)
    for name, tensor in given.items():  # statistics of batch normalization and counts of its batches among them
        assert name.startswith("fc.") or torch.equal(tensor, state[name]), name
    assert classification.judge(classifier, squares.test)["accuracy"] >= 0.9, "even random features tell colours"


def test_features_seen_once_are_what_the_network_makes_of_images(squares: DataSet, file: Path) -> None:
    classifier = classification.train(dataclasses.replace(SMALL, weights=str(file), frozen=True, epochs=1))
    features = classifier.features(squares.test.inputs)
    assert features.shape == (20, 512)
    alone = last_layer(classifier)
    np.testing.assert_allclose(
        alone.probabilities(features), classifier.probabilities(squares.test.inputs), rtol=1e-5, atol=1e-6
    )
    assert alone.network is head(classifier.network)[1]


def test_fine_tuning_begins_with_the_files_weights_and_changes_all(squares: DataSet, file: Path) -> None:
    given = torch.load(file, weights_only=True)
    still = classification.train(dataclasses.replace(SMALL, weights=str(file), learning_rate=1e-9, epochs=1))
    moved = classification.train(dataclasses.replace(SMALL, weights=str(file), epochs=1)).network.state_dict()
    for name, parameter in still.network.named_parameters():
        if not name.startswith("fc."):
            torch.testing.assert_close(parameter.data, given[name], rtol=0, atol=1e-7)
            assert not torch.equal(moved[name], given[name]), name
    assert int(moved["bn1.num_batches_tracked"]) == 3 + 2, "batch normalization goes on learning, too"


def test_classifiers_in_the_middle_stay_new(tmp_path: Path) -> None:
    """Of five classes in the file and two here; small images have none at all."""
    given = build("googlenet", 3, 5, 66).state_dict()
    torch.save(given, tmp_path / "googlenet.pth")
    network = build("googlenet", 3, 2, 66)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    transfer(network, str(tmp_path / "googlenet.pth"))
    for name, one in network.state_dict().items():
        new = name.startswith(("aux1.", "aux2.", "fc."))
        assert torch.equal(one, before[name] if new else given[name]), name
    torch.save(build("inception_v3", 3, 5, 75).state_dict(), tmp_path / "inception.pth")
    small = build("inception_v3", 3, 2, 32)
    transfer(small, str(tmp_path / "inception.pth"))
    assert not any(name.startswith("AuxLogits") for name in small.state_dict())


def test_a_run_of_ours_gives_its_weights(squares: DataSet, tmp_path: Path) -> None:
    name = "mobilenet_v2"
    arguments = ["--data", "squares", "--epochs", "1", "--batch-size", "20", "--quiet", "--run-dir"]
    train_door.main([name, *arguments, str(tmp_path / "first")])
    config = dataclasses.replace(SMALL, architecture=name, weights=str(tmp_path / "first"), frozen=True, epochs=1)
    network = classification.train(config).network
    with Run.resume(tmp_path / "first", progress=False) as run:
        saved: Any = run.restore()
    assert torch.equal(network.state_dict()["features.0.0.weight"], saved["classifier"]["network.features.0.0.weight"])


def test_an_extraction_that_is_cut_ends_in_the_same_bits(
    squares: DataSet, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(SMALL, weights=str(file), frozen=True, epochs=3, validation=0.3, rows=30)
    whole = classification.train(config)
    learn = classification.learn

    def stop(*arguments: Any) -> dict[str, float]:
        if arguments[-1] == 2 and not stopped:
            stopped.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(*arguments)

    stopped: list[int] = []
    monkeypatch.setattr(classification, "learn", stop)
    keywords: dict[str, Any] = {"algorithm": "resnet18", "preset": "x", "total": 3, "unit": "epochs", "progress": False}
    with Run.create(tmp_path / "cut", config=to_json(config), **keywords) as run, pytest.raises(Interrupted):
        classification.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = classification.train(config, run)
    left, right = whole.state_dict(), resumed.state_dict()
    assert stopped and all(torch.equal(left[name], right[name]) for name in left)


def test_rows_are_balanced_and_seeded() -> None:
    labels = np.array([0] * 50 + [1] * 20 + [2] * 3)
    data = Split(np.arange(73), labels)
    some = balanced(data, 31, seed=0)
    assert np.bincount(some.labels).tolist() in ([14, 14, 3], [15, 13, 3], [13, 15, 3])
    assert (labels[some.inputs] == some.labels).all() and len(set(some.inputs)) == 31
    assert np.array_equal(some.inputs, balanced(data, 31, seed=0).inputs)
    assert not np.array_equal(some.inputs, balanced(data, 31, seed=1).inputs)
    assert len(balanced(data, 100, seed=0).labels) == 73


def test_images_are_enlarged_and_scaled_as_imagenets() -> None:
    gray = np.full((2, 4, 6), 51, np.uint8)  # a fifth of white
    seen = Inputs(gray, "imagenet", 8)(torch.from_numpy(gray))
    assert seen.shape == (2, 3, 8, 12), "three equal colours, and the sides keep their proportion"
    wanted = (0.2 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[1, :, 3, 7], wanted)
    corners = np.array([[[0, 100], [200, 60]]], np.uint8)
    enlarged = Inputs(corners, "bytes", 4)(torch.from_numpy(corners))[0, 0]
    # pixels' centres lie at 1/4, 3/4, 5/4, 7/4 of the old ones: the second is 3/4 the first and 1/4 the second
    torch.testing.assert_close(enlarged[0], torch.tensor([0.0, 25.0, 75.0, 100.0]))
    torch.testing.assert_close(enlarged[1, 1], torch.tensor(0.75 * 25.0 + 0.25 * (0.75 * 200 + 0.25 * 60)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "nowhere.pth"], "nowhere.pth does not exist: give a file of weights"),
        (["--frozen", "--augmentation", "none"], "frozen=True: the network would never learn: give its weights"),
        (["--frozen", "--weights", "x.pth"], "augmentation='cifar': a frozen network sees every image once"),
        (["--resize", "-1"], "resize=-1: use 0 or more"),
        (["--weights", "FILE"], "conv1.weight is (64, 3, 3, 3) in"),
        (["--weights", "vgg.pth"], "vgg.pth has no conv1.weight: its weights are of another architecture"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    squares: DataSet,
    file: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(build("vgg11", 3, 5, 32).state_dict(), tmp_path / "vgg.pth")
    arguments = [str(file) if one == "FILE" else one for one in arguments]
    resize = [] if "--resize" in arguments else ["--resize", "66"]  # a first layer of 7 x 7
    arguments = ["resnet18", "--data", "squares", "--batch-size", "20", *resize, *arguments]
    assert message in refused(train_door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_inputs_of_images_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = Split(np.zeros((100, 5), np.float32), np.arange(100) % 2)
    monkeypatch.setitem(sets.SETS, "flat", lambda: DataSet(flat, flat, ("a", "b")))
    for setting in ({"resize": 8}, {"inputs": "imagenet"}):
        with pytest.raises(UserError, match="flat has no images"):
            classification.train(dataclasses.replace(find("mlp").presets["default"], data="flat", **setting))

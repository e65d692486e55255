"""VGG's weights in Keras' files: what they compute there they compute here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised.training.errors import CorruptFile, UserError
from supervised.vision.keras_weights import MEAN
from supervised.vision.networks import NETWORKS
from supervised.vision.weights import IMAGENET_MEAN, IMAGENET_STD, read_weights

h5py = pytest.importorskip("h5py", reason="needs the learn extra")


def write(path: Path, layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in layers.items():
            group = file.create_group(name)
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias
        file.create_group("block1_pool")
    return path


def layers(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of a VGG with few channels."""
    shapes: dict[str, tuple[int, ...]] = {
        "block1_conv1": (3, 3, 3, 2),
        "block1_conv2": (3, 3, 2, 4),
        "block2_conv1": (3, 3, 4, 5),
        "fc1": (7 * 7 * 5, 6),
        "fc2": (6, 6),
        "predictions": (6, 10),
    }
    return {name: (rng.normal(size=shape), rng.normal(size=shape[-1])) for name, shape in shapes.items()}


def test_what_they_compute(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = layers(rng)
    state = read_weights(write(tmp_path / "vgg.h5", given))
    assert [name for name in state if name.endswith("weight")] == [
        *("features.0.weight", "features.2.weight", "features.5.weight"),
        *("classifier.0.weight", "classifier.3.weight", "classifier.6.weight"),
    ]
    # blue, green, red less the mean, there; red, green, blue by ImageNet's mean and deviation, here
    colours = rng.integers(256, size=(9, 9, 3))
    there = torch.tensor((colours - MEAN)[..., ::-1].copy()).permute(2, 0, 1)[None]
    kernel, bias = map(torch.tensor, given["block1_conv1"])
    wanted = F.conv2d(there, kernel.permute(3, 2, 0, 1), bias)
    here = torch.tensor((colours / 255 - IMAGENET_MEAN) / IMAGENET_STD, dtype=torch.float32).permute(2, 0, 1)[None]
    found = F.conv2d(here, state["features.0.weight"], state["features.0.bias"])
    torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-3)
    maps = rng.normal(size=(7, 7, 5))  # channels last there
    wanted = torch.tensor(maps.ravel() @ given["fc1"][0] + given["fc1"][1], dtype=torch.float32)
    flat = torch.tensor(maps.transpose(2, 0, 1).ravel(), dtype=torch.float32)
    torch.testing.assert_close(F.linear(flat, state["classifier.0.weight"], state["classifier.0.bias"]), wanted)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_all_layers_find_their_place(name: str, tmp_path: Path) -> None:
    """As many as Keras has, with a channel each."""
    stages = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}[name]
    names = [f"block{k}_conv{i}" for k, count in enumerate(stages, 1) for i in range(1, count + 1)]
    given = {one: (np.ones((3, 3, 3 if one == names[0] else 1, 1)), np.ones(1)) for one in names}
    given |= {one: (np.ones((rows, 1)), np.ones(1)) for one, rows in (("fc1", 49), ("fc2", 1), ("predictions", 1))}
    state = read_weights(write(tmp_path / "vgg.h5", given))
    with torch.device("meta"):
        wanted = NETWORKS[name](3, 1000, False).state_dict()
    assert state.keys() == wanted.keys() and all(state[key].ndim == wanted[key].ndim for key in wanted)


def test_what_is_no_vgg(tmp_path: Path) -> None:
    given = layers(np.random.default_rng(0))
    with pytest.raises(UserError, match="nowhere.h5 does not exist"):
        read_weights(tmp_path / "nowhere.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(CorruptFile, match="cannot read .*text.h5"):
        read_weights(tmp_path / "text.h5")
    for missing in ("fc2", "predictions"):
        some = {name: one for name, one in given.items() if name != missing}
        with pytest.raises(UserError, match=f"holds no VGG of Keras' .*{missing}"):
            read_weights(write(tmp_path / "some.h5", some))
    other = {"conv1": given["block1_conv1"]}
    with pytest.raises(UserError, match="holds no VGG of Keras'"):
        read_weights(write(tmp_path / "other.h5", other))

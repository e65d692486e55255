"""Style transfer: Gram matrices and losses by hand, gradients of pixels, losses that fall, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from supervised import evaluate as evaluate_door
from supervised import style as style_door
from supervised import train as train_door
from supervised.data import DataSet, Split, sets
from supervised.training.errors import UserError
from supervised.vision import fast_style
from supervised.vision.networks import NETWORKS, build
from supervised.vision.style_transfer import (
    LAYERS,
    Layers,
    Losses,
    Maps,
    Objective,
    default_layers,
    gram,
    picture,
    relative_error,
    repaint,
    total_variation,
)

LAYERS_HERE = Layers(("2",), ("0", "2"))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 2), nn.Flatten())


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(1, 3, 12, 10), torch.rand(1, 3, 8, 8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a MobileNet v2, drawn at random."""
    torch.manual_seed(0)
    torch.save(build("mobilenet_v2", 3, 5, 224).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two pictures of different sizes."""
    rng = np.random.default_rng(0)
    paths = tmp_path / "content.png", tmp_path / "painting.png"
    for path, size in zip(paths, ((20, 30), (24, 24)), strict=True):
        Image.fromarray(rng.integers(256, size=(*size, 3)).astype(np.uint8)).save(path)
    return paths


def test_gram_matrix_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]], [[0.0, -1.0], [1.0, 2.0]]]])
    # (1 + 4 + 9) / 4, (0 - 2 + 3 + 0) / 4, (0 + 1 + 1 + 4) / 4
    torch.testing.assert_close(gram(maps), torch.tensor([[[3.5, 0.25], [0.25, 1.5]]]))
    moved = maps.flip(2).roll(1, 3)
    torch.testing.assert_close(gram(moved), gram(maps))  # where something is does not matter
    larger = maps.repeat(1, 1, 2, 3)
    torch.testing.assert_close(gram(larger), gram(maps))  # nor does the size of the picture


def test_losses_by_hand() -> None:
    wanted = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(relative_error(torch.tensor([[3.0, 3.0], [0.0, 0.0]]), wanted), torch.tensor([0.04, 1]))
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # down: (0.25 + 0.25) / 2; across: (1 + 0) / 2
    torch.testing.assert_close(total_variation(image), torch.tensor([0.75]))
    content, painting = pictures()
    objective = Objective(network(), LAYERS_HERE, Losses(2.0, 3.0, 5.0), painting)
    parts = objective.parts(painting, objective.content(content[:, :, :8, :8]))
    assert parts["style_loss"] == 0, "it is the style itself"
    maps = objective.maps

    def second(image: torch.Tensor) -> torch.Tensor:
        return network()[:3]((image - maps.mean) / maps.std).detach()

    found, aimed = second(painting), second(content[:, :, :8, :8])
    by_hand = float((found - aimed).square().sum() / aimed.square().sum())
    assert parts["content_loss"].item() == pytest.approx(by_hand, rel=1e-5)
    total = 2 * by_hand + 5 * total_variation(painting).item()
    assert parts["loss"].item() == pytest.approx(total, rel=1e-5)


def test_maps_are_those_of_the_layers_whatever_comes_after_works_in_place() -> None:
    content, _ = pictures()
    plain = network()
    maps = Maps(network(), ("2", "0"))
    scaled = (content - maps.mean) / maps.std
    made = maps(content)
    torch.testing.assert_close(made["0"], plain[0](scaled))
    assert (made["0"] < 0).any(), "before the ReLU that would work in place"
    torch.testing.assert_close(made["2"], plain[:3](scaled))
    with pytest.raises(UserError, match="unknown layer '9'; known: "):
        Maps(network(), ("9",))


def test_gradients_of_pixels() -> None:
    content, painting = (one.double() for one in pictures())
    objective = Objective(network().double(), LAYERS_HERE, Losses(1.0, 2.0, 3.0), painting)
    objective.maps.double()
    objective.grams = {name: gram(objective.maps(painting)[name]) for name in ("0", "2")}
    wanted = objective.content(content)
    start = torch.rand_like(content).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: objective.parts(image, wanted)["loss"], (start,), fast_mode=True)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls(optimizer: str) -> None:
    content, painting = pictures()
    objective = Objective(network(), LAYERS_HERE, Losses(1.0, 10.0, 0.0), painting)
    painted, history = repaint(objective, content, content, 25, optimizer)
    assert painted.shape == content.shape and painted.min() >= 0 and painted.max() <= 1
    assert len(history) == 26 and history[0]["content_loss"] == 0
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["style_loss"] < 0.5 * history[0]["style_loss"]
    assert all(math.isfinite(one) for losses in history for one in losses.values())


def test_the_layers_of_every_network_exist() -> None:
    for name in NETWORKS:
        if not any(name.startswith(one) for one in LAYERS) or name.endswith("_bn"):
            continue
        with torch.device("meta"):
            layers = dict(NETWORKS[name](3, 1, False).named_modules())
        assert {*default_layers(name).content, *default_layers(name).style} <= layers.keys(), name
    with torch.device("meta"):
        vgg = dict(NETWORKS["vgg19"](3, 1, False).named_modules())
    # the paper's relu1_1 to relu5_1, and relu4_2
    assert all(isinstance(vgg[name], nn.ReLU) for name in (*LAYERS["vgg19"].style, *LAYERS["vgg19"].content))
    assert [vgg[f"features.{k - 1}"].out_channels for k in (1, 6, 11, 20, 29)] == [64, 128, 256, 512, 512]
    with pytest.raises(UserError, match="name its content_layers and style_layers"):
        default_layers("vgg11_bn")


def test_pictures_of_files(files: tuple[Path, Path]) -> None:
    assert picture(str(files[0]), 60).shape == (1, 3, 40, 60)
    whole = picture(str(files[0]), 30)
    with Image.open(files[0]) as image:
        np.testing.assert_allclose(whole[0].movedim(0, 2) * 255, np.array(image), atol=1e-3)


def test_the_command(
    files: tuple[Path, Path], weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--weights", str(weights), "--side", "32", "--steps", "3", "--noise", "--out", str(tmp_path / "out.png")]
    style_door.main([*map(str, files), *options])
    lines = capsys.readouterr().out.splitlines()
    before, after = lines[0].split()[1], lines[0].split()[-1]
    assert lines[0].startswith("loss") and float(after) < float(before)
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (1000, 380)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "steps=0: use at least 1"),
        (["--optimizer", "adm"], "unknown optimizer 'adm'; did you mean adam?"),
        (["--style-layers", "features.99"], "unknown layer 'features.99'; did you mean features.9"),
        (["--network", "vgg11"], "network='vgg11': name its content_layers and style_layers"),
        (["--side", "8"], "side=8: use 16 pixels or more"),
        (["--weights", "nowhere.pth"], "nowhere.pth does not exist: give a file of weights"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    files: tuple[Path, Path],
    weights: Path,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    given = [*files, "--side", "32", "--weights", weights, "--out", tmp_path / "out.png", *arguments]
    assert message in refused(style_door.main, *given)
    assert not (tmp_path / "out.png").exists()


def test_a_picture_that_is_none(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "cannot read chelsae: No such file" in refused(style_door.main, "chelsae", "coffee")
    (tmp_path / "no.png").write_bytes(b"nothing")
    assert "no.png: cannot identify" in refused(style_door.main, tmp_path / "no.png", "coffee")


def test_a_painter_learns_a_style_by_command(
    files: tuple[Path, Path], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images = Split(rng.integers(256, size=(8, 18, 16, 3)).astype(np.uint8), np.arange(8) % 2)
    monkeypatch.setitem(sets.SETS, "noise", lambda: DataSet(images, images, ("a", "b")))
    options = ["--data", "noise", "--style", files[1], "--weights", weights, "--resize", "16", "--channels", "2"]
    options += ["--blocks", "1", "--epochs", "6", "--content-weight", "0", "--learning-rate", "0.01", "--quiet"]
    train_door.main(["fast-style", *map(str, options), "--run-dir", str(tmp_path / "run")])
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["style_loss"] < 0.8 * logged[0]["style_loss"]
    evaluate_door.main([str(tmp_path / "run")])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["examples"] == 8 and {"content_loss", "style_loss", "style_loss_before"} < result.keys()
    assert (tmp_path / "run" / "painted.png").exists()


@pytest.mark.parametrize("size", [(16, 16), (17, 30)])
def test_a_painter_keeps_sizes(size: tuple[int, int]) -> None:
    painted = fast_style.Painter(fast_style.Config(channels=2, blocks=1))(torch.rand(2, 3, *size))
    assert painted.shape == (2, 3, *size) and ((painted > 0) & (painted < 1)).all()


def test_a_painter_sees_colours_alone(tmp_path: Path, refused: Callable[..., str]) -> None:
    pytest.importorskip("sklearn", reason="needs the learn extra")
    given = ["fast-style", "--data", "digits", "--run-dir", tmp_path / "run"]
    assert "data='digits': give images in colours" in refused(train_door.main, *given)

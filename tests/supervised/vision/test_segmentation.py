"""Segmentation: figures by hand, networks that see what they should, learning, exact resuming, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from agents.transforms import Transforms
from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data.scenes import Segmented
from supervised.perception import perception
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from supervised.vision import segmentation
from supervised.vision.networks.segmentation import FCN, PixelClassifier, UNet, WindowClassifier
from supervised.vision.segmentation import ALGORITHMS, Segmenter, intersection_over_union, measures, segment

SIDE = 20
TINY = {"pixel-classifier": ["--width", "8"], "sliding-window": ["--side", "11", "--windows", "50", "--width", "12"]}
TINY |= {"fcn": ["--width", "12", "--depth", "2"], "unet": ["--width", "8", "--depth", "2"]}


def shapes(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Red squares, class 1, and red frames, class 2: the colour alone does not tell them apart."""
    images = rng.integers(60, size=(count, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, mask in zip(images, masks, strict=True):
        for label, left in ((1, 1), (2, 11)):
            row, column = rng.integers(1, 12), left + rng.integers(2)
            inside = np.zeros((SIDE, SIDE), np.bool_)
            inside[row : row + 7, column : column + 7] = True
            if label == 2:
                inside[row + 1 : row + 6, column + 1 : column + 6] = False
            image[inside, 0] += 180
            mask[inside] = label
        if rng.random() < 0.5:
            image[:], mask[:] = image[:, ::-1].copy(), mask[:, ::-1].copy()
    return {"images": images, "masks": masks}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("toy")
    record = {"task": "segmentation", "classes": ["nothing", "square", "frame"]}
    (folder / "scenes.json").write_text(json.dumps(record))
    rng = np.random.default_rng(0)
    for part, count in (("train", 80), ("test", 20)):
        np.savez(folder / f"{part}.npz", **shapes(count, rng))  # type: ignore[arg-type]
    return f"scenes:{folder}"


def test_figures_by_hand() -> None:
    matrix = np.array([[50, 2, 0, 0], [3, 40, 0, 1], [0, 0, 0, 4], [0, 0, 0, 0]])  # true class down
    iou = intersection_over_union(matrix)
    np.testing.assert_allclose(iou, [50 / 55, 40 / 46, 0, 0])
    found = measures(matrix)
    assert found["mean_iou"] == pytest.approx((50 / 55 + 40 / 46) / 4)
    assert found["pixel_accuracy"] == pytest.approx(0.9) and found["least_iou"] == 0
    without = intersection_over_union(np.array([[7, 1, 0], [0, 2, 0], [0, 0, 0]]))
    np.testing.assert_allclose(without, [7 / 8, 2 / 3, np.nan])  # the third is neither there nor told
    assert measures(np.array([[7, 1, 0], [0, 2, 0], [0, 0, 0]]))["mean_iou"] == pytest.approx((7 / 8 + 2 / 3) / 2)


def test_classes_lie_half_transparent_over_the_image() -> None:
    image = np.array([[[200, 100, 0], [255, 255, 255]]], np.uint8)
    colours = np.array([[[100, 0, 255], [255, 255, 255]]])
    over = segmentation.overlay(image, colours)
    assert over.dtype == np.uint8 and over.tolist() == [[[150, 50, 127], [255, 255, 255]]]


def test_the_picture_of_scenes_lays_what_was_told_over_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setattr(Axes, "imshow", lambda self, picture, **keywords: shown.append(picture))
    test = Segmented(np.full((1, 4, 4, 3), 90, np.uint8), np.zeros((1, 4, 4), np.uint8))
    told = np.zeros((1, 4, 4), np.uint8)
    told[0, 0, 0] = 1
    segmentation.draw_scenes(test, told, ("grass", "road"), tmp_path / "scenes.png")
    image, _, said, over, difference = shown[:5]
    np.testing.assert_array_equal(over, (image.astype(int) + said) // 2)
    assert (over[0, 0] != over[1, 1]).any(), "the image is the same everywhere, what was told is not"
    assert difference[0, 0] == 0 and difference[1:].min() == 255


def test_a_window_slides_as_if_every_window_were_told_alone() -> None:
    torch.manual_seed(0)
    network = WindowClassifier(3, 4, width=5, side=13)
    image = torch.randn(1, 3, 20, 18)
    whole = network(image)
    assert whole.shape == (1, 4, 8, 6)
    alone = torch.stack([network(image[..., y : y + 13, x : x + 13])[0, :, 0, 0] for y in range(8) for x in range(6)])
    torch.testing.assert_close(whole[0].flatten(1).T, alone, rtol=1e-4, atol=1e-5)


def test_windows_are_cut_about_their_pixels() -> None:
    config = segmentation.WindowConfig(side=11, windows=800)
    images = np.random.default_rng(0).integers(256, size=(2, 9, 7, 3)).astype(np.uint8)
    places = np.arange(2 * 9 * 7, dtype=np.uint8).reshape(2, 9, 7)  # every pixel is its own class
    windows, masks = config.examples(images, places, np.random.default_rng(1))
    assert windows.shape == (1600, 11, 11, 3) and masks.shape == (1600, 1, 1) and set(masks.ravel()) == set(range(126))
    np.testing.assert_array_equal(windows[:, 5, 5], images.reshape(-1, 3)[masks.ravel()])
    corner = windows[masks.ravel() == 0][0]
    np.testing.assert_array_equal(corner[5:, 5:], images[0, :6, :6])
    assert (corner[:6, :6] == images[0, 0, 0]).all()


def test_pixels_are_told_by_themselves_alone() -> None:
    network = PixelClassifier(3, 4, 8)
    image = torch.randn(1, 3, 6, 6)
    order = torch.randperm(36)
    shuffled = network(image.flatten(2)[..., order].unflatten(2, (6, 6)))
    torch.testing.assert_close(shuffled.flatten(2), network(image).flatten(2)[..., order])


@pytest.mark.parametrize("kind", [FCN, UNet])
def test_any_size_comes_back_as_large(kind: type[FCN] | type[UNet]) -> None:
    network = kind(3, 5, width=2, depth=3).eval()
    for height, width in ((16, 24), (17, 23), (9, 8), (66, 50)):
        assert network(torch.randn(2, 3, height, width)).shape == (2, 5, height, width)


def test_unpooling_puts_values_back_where_they_were() -> None:
    network = FCN(1, 2, width=1, depth=1)
    network.encoder[0] = network.decoder[0] = torch.nn.Identity()
    network.head = torch.nn.Identity()  # type: ignore[assignment]
    image = torch.tensor([[1.0, 2, 0, 0], [3, 9, 0, 7], [0, 0, 5, 0], [0, 4, 0, 0]])[None, None]
    kept = torch.tensor([[0.0, 0, 0, 0], [0, 9, 0, 7], [0, 0, 5, 0], [0, 4, 0, 0]])[None, None]
    assert torch.equal(network(image), kept)


def test_sizes_and_shortcuts_of_the_u_net() -> None:
    # Ronneberger et al. 2015: 64 to 1,024 channels, four halvings; 31 million weights, as is often counted for it
    paper = UNet(1, 2, width=64, depth=4)
    convolutions = [one for one in paper.modules() if isinstance(one, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 23 and sum(one.weight.numel() for one in convolutions) == 31_023_808
    assert [stage[0][0].weight.shape[1] for stage in paper.up] == [1024, 512, 256, 128]  # type: ignore[index]
    network = UNet(3, 2, width=2, depth=2).eval()
    with torch.no_grad():
        for grow in network.grow:
            grow.weight.zero_()  # nothing comes from below
    image = torch.randn(1, 3, 8, 8)
    changed = image.clone()
    changed[..., 7, 7] += 5
    difference = (network(changed) - network(image))[0].abs().sum(0)
    assert difference[7, 7] > 0 and not difference[:3, :3].any()


@pytest.mark.parametrize(("name", "least", "most"), [
    ("pixel-classifier", 0.5, 0.8), ("sliding-window", 0.9, 1), ("fcn", 0.9, 1), ("unet", 0.95, 1),
])  # fmt: skip
def test_networks_learn_what_they_can_see(name: str, least: float, most: float, toy: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["--data", toy, "--epochs", "8", "--batch-size", "8", "--learning-rate", "0.01", *TINY[name]]
    train_door.main([name, *options, "--run-dir", str(folder), "--quiet"])
    evaluate_door.main([str(folder), "--require", f"mean_iou>={least}"])
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["mean_iou"] <= most and result["protocol"] == f"{toy}, 20 test scenes"
    assert set(result["iou"]) == {"nothing", "square", "frame"}
    assert result["mean_iou"] == pytest.approx(np.mean(list(result["iou"].values())))
    assert result["least_iou"] == min(result["iou"].values()) and np.sum(result["confusion"]) == 20 * SIDE * SIDE
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last.keys() == {"step", "loss", "mean_iou", "least_iou", "pixel_accuracy", "learning_rate"}

    found, sees = perception(folder)
    data = segmentation.load_segmentation(toy).test
    told = sees(torch.from_numpy(data.images)).numpy()
    assert found == name and told.dtype == np.uint8 and sees.segmenter.classes == ("nothing", "square", "frame")
    classes = segment(sees.segmenter, data.images)  # type: ignore[arg-type]
    np.testing.assert_array_equal(told, 127 * classes)  # three grays, as far apart as bytes can be
    assert (classes == data.masks).mean() == pytest.approx(result["pixel_accuracy"])
    for picture in ("scenes.png", "confusion.png"):
        with Image.open(folder / picture) as opened:
            assert opened.size[0] > 300


def test_a_cut_run_ends_in_the_same_bits(toy: str, tmp_path: Path) -> None:
    config = segmentation.WindowConfig(data=toy, epochs=3, batch_size=20, side=11, windows=10, width=2)
    record = {"algorithm": "sliding-window", "preset": "default", "config": {}, "total": 3, "unit": "epochs"}

    def run(folder: Path, stop: bool) -> dict[str, torch.Tensor]:
        with Run.create(folder, progress=False, **record) as one:  # type: ignore[arg-type]
            if not stop:
                return segmentation.train(config, one).state_dict()
            one.checkpoint = _stopping(one.checkpoint)  # type: ignore[method-assign]
            with pytest.raises(Interrupted):
                segmentation.train(config, one)
        with Run.resume(folder, progress=False) as one:
            return segmentation.train(config, one).state_dict()

    whole, cut = run(tmp_path / "whole", False), run(tmp_path / "cut", True)
    assert all(torch.equal(whole[name], cut[name]) for name in whole if name != "_extra_state")
    assert (tmp_path / "whole/metrics.jsonl").read_bytes() == (tmp_path / "cut/metrics.jsonl").read_bytes()


def _stopping(checkpoint: Callable[..., None]) -> Callable[..., None]:
    """A `Run.checkpoint` after which the run is as if killed."""

    def stop(step: int, state: Callable[[], object], every: int) -> None:
        checkpoint(step, state, every)
        raise Interrupted(15, step, Path())

    return stop


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unet", "--data", "mnist"], "data='mnist': segmentation learns from scenes:FOLDER"),
        (["unet", "--data", "scenes:nowhere"], "nowhere holds no scenes.json"),
        (["unet", "--depth", "7"], "depth=7: use 1 to 6"),
        (["fcn", "--width", "0"], "width=0: use at least 1"),
        (["sliding-window", "--side", "12"], "side=12: use an odd number from 11 on"),
        (["sliding-window", "--windows", "0"], "windows=0: use at least 1"),
        (["pixel-classifier", "--weight-decay", "-1"], "weight_decay=-1.0: use 0 or more"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    assert message in refused(train_door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_a_network(toy: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    run, folder = tmp_path / "run", tmp_path / "others"
    train_door.main(["pixel-classifier", "--data", toy, "--epochs", "1", "--run-dir", str(run), "--quiet"])
    folder.mkdir()
    for part in ("train", "test"):
        np.savez(folder / f"{part}.npz", **shapes(2, np.random.default_rng(0)))  # type: ignore[arg-type]
    for classes in (["nothing", "frame", "square"], ["nothing", "square", "frame", "disc"]):
        (folder / "scenes.json").write_text(json.dumps({"task": "segmentation", "classes": classes}))
        complaint = refused(evaluate_door.main, run, "--data", f"scenes:{folder}")
        assert "use scenes like its own" in complaint or "does not fit what" in complaint
    segmenter: Any = perception(run)[1].segmenter
    for images in (np.zeros((1, 8, 8), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 4), np.uint8)):
        with pytest.raises(UserError, match=r"images=.*give uint8 \(n, height, width, 3\)"):
            segment(segmenter, images)
    with pytest.raises(UserError, match="images='uint8 .1, 9, 9.': give uint8"):
        Transforms(gym.spaces.Box(0, 255, (9, 9), np.uint8), (f"perceive:{run}",))
    seen = Transforms(gym.spaces.Box(0, 255, (9, 7, 3), np.uint8), (f"perceive:{run}", "stack:2"))
    assert seen.space.shape == (2, 9, 7) and seen.space.dtype == np.uint8


def test_a_network_asked_for_by_the_base_alone() -> None:
    with pytest.raises(NotImplementedError):
        segmentation.Config().network(2)


def test_every_preset_can_be_made() -> None:
    for name, model in ALGORITHMS.items():
        for config in model.presets.values():
            images = np.zeros((1, 24, 24, 3), np.uint8)
            assert segment(Segmenter(config, ("a", "b"), images), images).shape == (1, 24, 24), name

"""The small YOLOv3: its loss by hand, learning, the same bits after a cut, its commands, and what is refused."""

import dataclasses
import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from supervised import detect as detect_door
from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data.scenes import Boxed, Scenes
from supervised.registry import find
from supervised.training.configuration import from_json, to_json
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run, read_config, read_state
from supervised.vision.detection import detector, two_stage, yolo
from supervised.vision.detection.average_precision import Objects
from supervised.vision.detection.darknet import Head
from supervised.vision.detection.detector import mirrored, objects
from supervised.vision.detection.judging import draw_scenes, judgement
from supervised.vision.detection.two_stage import TwoStageConfig
from supervised.vision.detection.yolo import RARE, TinyYOLO, YOLOConfig, yolo_losses

SMALL = YOLOConfig(
    data="shapes", epochs=5, batch_size=4, learning_rate=2e-2, filters=(8, 16, 16, 16), blocks=(0, 0, 0), pairs=1
)
TWO = TwoStageConfig(
    data="shapes", epochs=3, batch_size=8, learning_rate=5e-3, filters=(8, 16, 16), hidden=32, anchors=3
)


def shapes(count: int, seed: int) -> Boxed:
    """Red and green rectangles in noise, one or two in 32 x 32 pixels, left and right."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, size=(count, 32, 32, 3)).astype(np.uint8)
    rows = []
    for k, image in enumerate(images):
        for left in (0, 16)[: rng.integers(1, 3)]:
            (width, height), label = rng.integers(6, 13, size=2), rng.integers(2)
            x, y = left + rng.integers(16 - width + 1), rng.integers(32 - height + 1)
            image[y : y + height, x : x + width, label] = 220
            rows.append((x, y, x + width, y + height, label, k))
    table = np.array(rows)
    return Boxed(images, table[:, :4].astype(np.float32), table[:, 4], table[:, 5])


@pytest.fixture(autouse=True)
def scenes(monkeypatch: pytest.MonkeyPatch) -> Scenes[Boxed]:
    """The data "shapes"."""
    made, real = Scenes(shapes(120, 0), shapes(40, 1), ("red", "green")), detector.load
    for module in (detector, yolo, two_stage, detect_door):
        monkeypatch.setattr(module, "load", lambda name: made if name == "shapes" else real(name))
    return made


def there_of(*boxes: list[float]) -> Objects:
    return Objects(
        torch.tensor(boxes).reshape(-1, 4), torch.zeros(len(boxes), dtype=torch.int64), torch.ones(len(boxes))
    )


def test_the_loss_of_a_network_that_knows_nothing_by_hand() -> None:
    """All logits 0: every sigmoid is 1/2, every box its anchor in the middle of its cell."""
    heads = [Head(torch.tensor([[40.0, 40]]), 2), Head(torch.tensor([[8.0, 8], [4, 16]]), 2)]
    logits = [torch.zeros(2, 2, 2, 1, 7), torch.zeros(2, 4, 4, 2, 7)]
    # 16 x 8 about (12, 20) of 64 x 64 px: nearest is 8 x 8, of the second head; its cell is (0, 1), of 16 px
    found = yolo_losses(heads, logits, [there_of([4, 16, 20, 24]), there_of()], 64, 64, ignored=0.99)
    bit = math.log(2)
    scale = 2 - 16 * 8 / 64**2
    assert found["location_loss"].item() == pytest.approx(scale * (2 * bit + 0.5 * math.log(2) ** 2) / 2, rel=1e-5)
    assert found["class_loss"].item() == pytest.approx(2 * bit / 2)
    assert found["objectness_loss"].item() == pytest.approx((2 * 4 + 2 * 32) * bit / 2, rel=1e-5)
    # of the first image's boxes, some overlap 8 x 8 px about (8, 24) by more than a tenth, and need not deny it
    few = yolo_losses(heads, logits, [there_of([4, 20, 12, 28]), there_of()], 64, 64, ignored=0.3)
    # the finder itself counts; 4 x 16 about the same place overlaps by 32 / 96, the first head's 40 x 40 by 64 / 1600
    assert few["objectness_loss"].item() == pytest.approx((2 * 4 + 2 * 32 - 1) * bit / 2, rel=1e-5)


def test_the_loss_falls_to_nothing_where_all_is_said() -> None:
    head, true = Head(torch.tensor([[8.0, 8], [20, 20]]), 2), there_of([6, 30, 22, 46])
    logits = torch.full((1, 8, 8, 2, 7), -20.0)
    # 16 x 16 about (14, 38): the second anchor in cell (1, 4); sigmoid(t) = 3/4
    t = math.log(3)
    logits[0, 4, 1, 1] = torch.tensor([t, t, math.log(16 / 20), math.log(16 / 20), 20, 20, -20])
    found = yolo_losses([head], [logits], [true], 64, 64, ignored=0.5)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # what remains of cross-entropy between equal shares
    assert found["location_loss"].item() == pytest.approx((2 - 16**2 / 64**2) * 2 * entropy, rel=1e-4)
    assert found["objectness_loss"] < 1e-4 and found["class_loss"] < 1e-4
    told = head.boxes(logits, 64, 64)[0, 4, 1, 1]
    torch.testing.assert_close(told, torch.tensor([14.0, 38, 16, 16]))


def test_an_object_at_the_edge_and_scenes_of_two_proportions() -> None:
    head = Head(torch.tensor([[8.0, 8]]), 1)
    found = yolo_losses([head], [torch.zeros(1, 2, 4, 1, 6)], [there_of([60, 28, 68, 36])], 32, 64, ignored=0.5)
    assert all(math.isfinite(value.item()) for value in found.values())


def test_it_begins_with_few_objects(scenes: Scenes[Boxed]) -> None:
    network = TinyYOLO(SMALL, (32, 32), scenes.classes).network
    with torch.no_grad():
        logits = network(torch.zeros(1, 3, 32, 32))
    assert len(logits) == 3 and all((one[..., 4] - RARE).abs().max() < 1.5 for one in logits)


def test_mirroring() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    turned, there = mirrored(image, there_of([0, 0, 1, 2]))
    assert there.boxes.tolist() == [[3, 0, 4, 2]]
    np.testing.assert_array_equal(turned[:, 3:4], image[:, 0:1])


@pytest.mark.parametrize(
    ("name", "config"), [("tiny-yolo", SMALL), ("two-stage", TWO)], ids=lambda one: one if isinstance(one, str) else ""
)
def test_both_kinds_learn(name: str, config: Any, scenes: Scenes[Boxed]) -> None:
    model = find(name)
    trained = model.train(config)
    found = model.judge(config, {"detector": trained.state_dict()}, "shapes")
    assert found.measures["map50"] >= 0.6 and set(found.details["average_precision"]) == {"red", "green"}
    assert found.measures["precision"] >= 0.6 and found.measures["recall"] >= 0.1
    assert found.protocol == f"shapes, 40 test scenes with {len(scenes.test.boxes)} boxes"


@pytest.mark.parametrize(("name", "config"), [("tiny-yolo", SMALL), ("two-stage", TWO)])
def test_a_run_that_is_cut_ends_in_the_same_bits(
    name: str, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenes: Scenes[Boxed]
) -> None:
    few = Boxed(*(part[: 16 if len(part) == 120 else int((scenes.train.scene < 16).sum())] for part in scenes.train))
    monkeypatch.setattr(detector, "load", lambda _: scenes._replace(train=few))
    config, model = dataclasses.replace(config, epochs=2, flip=True), find(name)

    def create(folder: str) -> Run:
        settings = {"algorithm": name, "preset": "x", "config": to_json(config)}
        return Run.create(tmp_path / folder, **settings, total=2, unit="epochs", progress=False)

    with create("whole") as run:
        whole = model.train(config, run).state_dict()
    learn, epochs = detector.learn, []

    def stop(*arguments: Any) -> dict[str, float]:
        epochs.append(arguments[-1])
        if epochs == [0, 1]:
            os.kill(os.getpid(), signal.SIGTERM)
        return learn(*arguments)

    monkeypatch.setattr(detector, "learn", stop)
    with create("cut") as run, pytest.raises(Interrupted):
        model.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = model.train(config, run).state_dict()
    assert epochs == [0, 1, 1] and all(torch.equal(whole[key], resumed[key]) for key in whole)
    logs = [(tmp_path / folder / "metrics.jsonl").read_bytes() for folder in ("whole", "cut")]
    assert logs[0] == logs[1] and b"class_loss" in logs[0]


def test_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str], scenes: Scenes[Boxed]
) -> None:
    folder = tmp_path / "run"
    small = ["--filters", "4", "4", "4", "4", "--blocks", "0", "0", "0", "--data", "shapes", "--epochs", "1"]
    train_door.main(["tiny-yolo", *small, "--run-dir", str(folder), "--quiet"])
    evaluate_door.main([str(folder), "--require", "map50>=0"])
    assert "map50" in capsys.readouterr().out
    result = json.loads((folder / "evaluation.json").read_text())
    assert result["examples"] == 40 and set(result["average_precision"]) <= {"red", "green"}
    assert (folder / "detections.png").stat().st_size > 10_000
    assert "nowhere holds no scenes.json" in refused(evaluate_door.main, folder, "--data", "scenes:nowhere")

    image = scenes.test.images[0]
    Image.fromarray(image).save(tmp_path / "scene.png")
    capsys.readouterr()
    options = ["--run", str(folder), "--least-score", "0.01", "--out", str(tmp_path / "boxes.png")]
    detect_door.main([str(tmp_path / "scene.png"), *options])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:-1]]
    config = from_json(YOLOConfig, read_config(folder)["config"])
    told = yolo.restored(config, read_state(folder), scenes).detect(image[None])[0]
    assert len(rows) == len(told.boxes) > 0
    np.testing.assert_allclose([[float(one) for one in row[2:]] for row in rows], told.boxes, atol=0.51)
    assert [row[0] for row in rows] == [scenes.classes[label] for label in told.labels]
    assert (tmp_path / "boxes.png").stat().st_size > 10_000


def test_a_detector_of_two_stages_comes_back_as_it_was(scenes: Scenes[Boxed]) -> None:
    made = two_stage.TwoStage(TWO, scenes.classes, torch.tensor([[8.0, 8], [6, 12], [12, 6]]))
    restore = find("two-stage").detector
    assert restore is not None
    back = restore(TWO, {"detector": made.state_dict()}, scenes)
    for one, other in zip(made.detect(scenes.test.images[:3]), back.detect(scenes.test.images[:3]), strict=True):
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True)) and len(one.boxes)


def test_a_run_that_detects_nothing(tmp_path: Path, refused: Callable[..., str]) -> None:
    train_door.main(["mlp", "--data", "iris", "--epochs", "1", "--run-dir", str(tmp_path / "run"), "--quiet"])
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "x.png")
    given = tmp_path / "x.png", "--run", tmp_path / "run", "--out", tmp_path / "boxes.png"
    assert "is a run of mlp: give one of tiny-yolo or two-stage" in refused(detect_door.main, *given)


def test_nothing_there_and_nothing_told(scenes: Scenes[Boxed], tmp_path: Path) -> None:
    empty = Boxed(scenes.test.images[:2], *(part[:0] for part in scenes.test[1:]))
    assert [len(one.boxes) for one in objects(empty)] == [0, 0]
    for made in (TinyYOLO(SMALL, (32, 32), scenes.classes), two_stage.TwoStage(TWO, scenes.classes, torch.ones(3, 2))):
        losses = made.losses(made.inputs(empty.images), objects(empty))
        assert all(math.isfinite(value.item()) for value in losses.values())
        found = judgement(made, Scenes(empty, empty, scenes.classes), "empty")
        assert found.measures["map50"] == 0 and found.details["boxes"] == 0
    draw_scenes(empty.images, objects(empty), objects(empty), scenes.classes, tmp_path / "x.png", "empty")
    assert (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny-yolo", "--data", "mnist"], "data='mnist': detectors learn from mnist-scenes or scenes:FOLDER"),
        (["tiny-yolo", "--data", "scenes:nowhere"], "nowhere holds no scenes.json"),
        (["tiny-yolo", "--filters", "8", "8"], "filters=(8, 8): name at least 4"),
        (["tiny-yolo", "--filters", "8", "8", "8", "1"], "filters=(8, 8, 8, 1): use at least 2 everywhere"),
        (["tiny-yolo", "--blocks", "1", "1"], "blocks=(1, 1): name 4"),
        (["tiny-yolo", "--ignored", "0"], "ignored=0.0: use a number from 0 to 1"),
        (["tiny-yolo", "--overlap", "1"], "overlap=1.0: use a number between 0 and 1"),
        (["tiny-yolo", "--data", "odd"], "image='30 x 30': use multiples of 16 pixels"),
        (["tiny-yolo", "--data", "bare"], "bare: no scene to learn from has a box"),
        (["two-stage", "--filters", "8"], "filters=(8,): name at least 2"),
        (["two-stage", "--negative", "0.8"], "negative=0.8: use a number above 0, up to positive"),
        (["two-stage", "--sampled-anchors", "1"], "sampled_anchors=1: use at least 2"),
        (["two-stage", "--anchors", "0"], "anchors=0: use at least 1"),
        (["two-stage", "--data", "shapes", "--anchors", "999"], "anchors=999: the boxes have"),
        (["two-stage", "--data", "shapes", "--learning-rate", "1e30"], "in epoch 1: training stopped"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    scenes: Scenes[Boxed],
) -> None:
    odd = scenes.train._replace(images=scenes.train.images[:, :30, :30])
    bare = Boxed(scenes.train.images, *(part[:0] for part in scenes.train[1:]))
    known, real = {"odd": scenes._replace(train=odd), "bare": scenes._replace(train=bare)}, detector.load
    monkeypatch.setattr(detector, "load", lambda name: known.get(name) or real(name))
    assert message in refused(train_door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_both() -> None:
    with pytest.raises(UserError, match="weight_decay=-1: use 0 or more"):
        YOLOConfig(weight_decay=-1)
    with pytest.raises(UserError, match="pairs=0: use at least 1"):
        YOLOConfig(pairs=0)
    for name in ("tiny-yolo", "two-stage"):
        assert find(name).presets["car-racing"].flip and not find(name).presets["default"].flip

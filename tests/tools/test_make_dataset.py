"""Scenes made by the command: the same bytes for the same seed, labels without noise, tracks apart, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.car_racing import scenes
from supervised.data.scenes import Boxed, load_detection, load_segmentation
from tools import make_dataset

FEW = ["--scenes", "12", "--test-scenes", "3", "--scenes-per-track", "3"]


def make(folder: Path, task: str, *options: str) -> Path:
    make_dataset.main(["--task", task, "--out", str(folder), *FEW, *options])
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("scenes") / "plain", "segmentation")


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("scenes") / "boxed", "detection", "--cars", "4")


def test_what_is_written(plain: Path, boxed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(path.name for path in plain.iterdir()) == ["scenes.json", "test.npz", "train.npz"]
    record = json.loads((plain / "scenes.json").read_text())
    assert record["task"] == "segmentation" and record["env"] == "skidpad/CarRacing-v0"
    assert record["classes"] == ["grass", "road", "kerb", "car", "panel"]
    assert record["counts"] == {"train": {"images": 12}, "test": {"images": 3}}
    assert record["settings"]["seed"] == 0 and record["settings"]["noise"] == 0
    data = load_segmentation(f"scenes:{plain}")
    assert data.train.images.shape == (12, 96, 96, 3) and data.test.masks.shape == (3, 96, 96)
    again = make(tmp_path / "again", "segmentation")
    assert capsys.readouterr().out == f"{again}: 12 images to train; 3 images to test\n"
    for name in ("scenes.json", "train.npz", "test.npz"):
        assert (again / name).read_bytes() == (plain / name).read_bytes(), name
    assert json.loads((boxed / "scenes.json").read_text())["classes"] == ["kerb", "car"]


def test_colours_and_noise_are_in_the_images_alone(plain: Path, tmp_path: Path) -> None:
    before = load_segmentation(f"scenes:{plain}").train
    noisy = load_segmentation(f"scenes:{make(tmp_path / 'noisy', 'segmentation', '--noise', '5')}").train
    # the moments and moves of a track's first scene come before any noise is drawn
    np.testing.assert_array_equal(noisy.masks[::3], before.masks[::3])
    difference = noisy.images[::3].astype(int) - before.images[::3]
    inside = (before.images[::3] > 20) & (before.images[::3] < 235)
    assert difference[inside].std() == pytest.approx(5, rel=0.03) and abs(difference[inside].mean()) < 0.1
    random = load_segmentation(f"scenes:{make(tmp_path / 'random', 'segmentation', '--domain-randomize')}").train
    roads = [np.median(image[mask == 1], axis=0) for image, mask in zip(random.images, random.masks, strict=True)]
    assert len({tuple(np.round(road, -1)) for road in roads}) >= 3, "a colour a track"
    plain_roads = [np.median(image[mask == 1], axis=0) for image, mask in zip(*before, strict=True)]
    assert np.ptp(plain_roads, axis=0).max() <= 6


def test_test_tracks_are_others(plain: Path, tmp_path: Path) -> None:
    one = load_segmentation(f"scenes:{plain}")
    assert not any(np.array_equal(train, test) for train in one.train.masks for test in one.test.masks)
    later = load_segmentation(f"scenes:{make(tmp_path / 'later', 'segmentation', '--seed', '1')}")
    np.testing.assert_array_equal(later.train.masks[:9], one.train.masks[3:])  # seed after seed, lane by lane alike


def test_boxes_fit_what_is_seen(boxed: Path) -> None:
    part: Boxed = load_detection(f"scenes:{boxed}").train
    cars = part.labels == 1
    own = part.boxes[cars][np.unique(part.scene[cars], return_index=True)[1]]
    assert np.abs(own - (45, 67, 51, 77)).max() <= 3, "the first car of a scene is the own one"
    assert 12 < cars.sum() <= 12 * 5 and (~cars).sum() >= 5
    for image, (x_min, y_min, x_max, y_max) in zip(part.images[part.scene[cars]], part.boxes[cars], strict=True):
        inside = image[int(y_min) : int(y_max), int(x_min) : int(x_max)].astype(int)
        assert ((inside[..., 0] >= 150) & (inside[..., 1] < 60)).sum() >= 4, "the hull is red"
        for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
            assert (edge[:, 1] < 150).any()  # darker or redder than grass
    for image, (x_min, y_min, x_max, y_max) in zip(part.images[part.scene[~cars]], part.boxes[~cars], strict=True):
        inside = image[int(y_min) : int(y_max), int(x_min) : int(x_max)]
        assert (inside[..., 0] > 170).sum() >= 4, "kerbs are red and white"


def test_other_cars_are_of_the_class_car(tmp_path: Path) -> None:
    more = load_segmentation(f"scenes:{make(tmp_path / 'more', 'segmentation', '--cars', '3')}").train
    assert [(mask == scenes.CAR).sum() > 60 for mask in more.masks].count(True) >= 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenes", "0"], "scenes=0: use 1 or more"),
        (["--noise", "-1"], "noise=-1.0: use 0 or more"),
        (["--cars", "-1"], "cars=-1: use 0 or more"),
        (["--seed", "9998"], "seed=9998: tracks from 10000 on are for tests, and 4 are asked for"),
        (["--env", "CartPole-v1"], "env='CartPole-v1': labels are known of skidpad/CarRacing-v0"),
        (["--task", "depth"], "see python -m tools.make_dataset --help"),
    ],
)
def test_mistakes_are_one_line(options: list[str], message: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    out = tmp_path / "out"
    assert message in refused(make_dataset.main, "--task", "segmentation", "--out", out, *FEW, *options)
    assert not out.exists()


def test_a_used_folder_is_kept(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "mine").touch()
    for out in (tmp_path, tmp_path / "mine"):
        assert "not empty: choose another" in refused(make_dataset.main, "--task", "detection", "--out", out, *FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]

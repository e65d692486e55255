"""The command that finds objects: a network whose answer is known, its picture, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supervised import detect as detect_door

#: one cell with one anchor of two classes: whatever it sees, a box of 20 x 10 px in the middle of 32 x 32
CFG = """[net]
width=32
height=32
[convolutional]
filters=7
size=1
stride=32
activation=linear
[yolo]
anchors=20,10
classes=2
num=1
"""
LOGITS = (0, 0, 0, 0, 9, -9, 9)  # t_x, t_y, t_w, t_h, objectness, classes: the biases of filters of zeros

HEAD = np.array([0, 2, 0, 0, 0], "<i4").tobytes()  # version 0.2


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """Arguments: a picture twice as wide and three times as high as the network's, files, and where to draw."""
    Image.fromarray(np.random.default_rng(0).integers(256, size=(96, 64, 3)).astype(np.uint8)).save(tmp_path / "x.png")
    (tmp_path / "x.cfg").write_text(CFG)
    (tmp_path / "x.weights").write_bytes(HEAD + np.array([*LOGITS, *[0] * 21], "<f4").tobytes())
    (tmp_path / "x.names").write_text("cat\ncup\n")
    paths = {name: str(tmp_path / f"x.{name}") for name in ("cfg", "weights", "names")}
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    return [str(tmp_path / "x.png"), *options, "--out", str(tmp_path / "boxes.png")]


def test_a_box_is_told_in_pixels_of_the_picture(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """6 to 26 and 11 to 21 px of 32, twice and three times as large."""
    detect_door.main(given)
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["class", "score", "x_min", "y_min", "x_max", "y_max"]
    assert [line.split() for line in lines] == [["cup", "1.00", "12", "33", "52", "63"]]
    assert last == f"1 found, drawn in {tmp_path / 'boxes.png'}"
    with Image.open(tmp_path / "boxes.png") as image:
        assert image.size == (533, 840)
        whole = np.array(image.convert("RGB"))
    detect_door.main([*given, "--least-score", "0.9999"])
    assert capsys.readouterr().out.splitlines()[1:] == [f"0 found, drawn in {tmp_path / 'boxes.png'}"]
    with Image.open(tmp_path / "boxes.png") as image:
        assert (np.array(image.convert("RGB")) != whole).any(), "the box is gone"


def test_classes_without_names_are_numbers(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    at = given.index("--names")
    detect_door.main(given[:at] + given[at + 2 :])
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.weights", HEAD + bytes(79), "x.weights: 132 bytes expected, 99 found; it is truncated"),
        ("x.weights", b"", "x.weights: 128 bytes expected, 0 found; it is truncated"),
        ("x.weights", None, "x.weights: No such file or directory; give a .weights file"),
        ("x.cfg", b"[net]\nwidth=32\nheight=32\n[gru]\n", "x.cfg, line 4: unknown section [gru]; known: convolutional"),
        ("x.cfg", CFG.replace("s=7", "s=99999999999999").encode(), "x.cfg, line 4: [convolutional]: filters=999"),
        ("x.cfg", CFG.replace("width=32", "width=999999").encode(), "x.cfg, line 1: [net]: width=999999: use 1 to"),
        ("x.cfg", CFG.replace("width=32", "width=33").encode(), "image='32 x 33': use multiples of 32 pixels"),
        ("x.cfg", None, "x.cfg: No such file or directory; give a .cfg file of Darknet"),
        ("x.names", b"cat\n", "x.names': it names 1 classes, and"),
        ("x.names", b"\xff\xfe\0", "x.names: it is no text"),
        ("x.names", None, "x.names: No such file or directory; give a text file"),
        ("x.png", b"no picture", "x.png: cannot identify image file"),
        ("x.png", None, "x.png: No such file or directory"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_bad_files_are_one_line(
    name: str, content: bytes | None, message: str, given: list[str], tmp_path: Path, refused: Callable[..., str]
) -> None:
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    assert message in refused(detect_door.main, *given)
    assert not (tmp_path / "boxes.png").exists()


def test_a_truncated_picture(given: list[str], tmp_path: Path, refused: Callable[..., str]) -> None:
    whole = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    assert "cannot read" in refused(detect_door.main, *given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give both --cfg and --weights, or --run alone"),
        (["--cfg", "x.cfg"], "give both --cfg and --weights, or --run alone"),
        (["--run", "x", "--names", "x.names"], "give both --cfg and --weights, or --run alone"),
        (["--run", "x", "--cfg", "x.cfg", "--weights", "x.weights"], "give both --cfg and --weights, or --run alone"),
        (["--run", "nowhere"], "nowhere"),
        (["--run", "nowhere", "--least-score", "1.5"], "least_score=1.5: use a number between 0 and 1"),
        (["--run", "nowhere", "--out", "boxes.txt"], "cannot draw boxes.txt: end its name in .png or .svg"),
    ],
)
def test_what_cannot_be_asked(
    arguments: list[str], message: str, given: list[str], tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert message in refused(detect_door.main, given[0], "--out", tmp_path / "boxes.png", *arguments)

"""Darknet's networks: sizes as published, the same outputs as OpenCV's importer, and files that are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from supervised.training.errors import CorruptFile, UserError
from supervised.vision.detection.darknet import Darknet, MaxPool, read_cfg
from supervised.vision.detection.darknet_cfg import parse
from supervised.vision.detection.darknet_weights import load_weights, tensors
from supervised.vision.detection.yolov3 import yolov3_cfg, yolov3_tiny_cfg

HEAD = np.array([0, 2, 0, 32_013_312, 0], "<i4").tobytes()  # as of the published weights
SMALL_TINY = yolov3_tiny_cfg(96, 3, filters=(4, 4, 8, 8, 16, 16, 32))
NARROW = yolov3_cfg(64, 3, filters=(4, 8, 8, 16, 16, 32))  # all 107 layers of YOLOv3


def random_weights(network: Darknet, spread: float) -> bytes:
    """A weight file, written as Darknet writes it."""
    rng = np.random.default_rng(0)
    parts = [HEAD]
    for convolution, following in (layer[:2] for layer in network.layers if isinstance(layer, nn.Sequential)):
        n, inputs = convolution.out_channels, convolution.weight[0].numel()
        arrays = [rng.normal(0, 0.1, n)]
        if isinstance(following, nn.BatchNorm2d):
            arrays += [rng.uniform(0.7, 1.3, n), rng.normal(0, 0.1, n), rng.uniform(0.5, 1.5, n)]
        arrays.append(rng.normal(0, spread * (2 / inputs) ** 0.5, n * inputs))
        parts += [array.astype("<f4").tobytes() for array in arrays]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("text", "layers", "file_size"),
    [(yolov3_cfg(), 107, 248_007_048), (yolov3_tiny_cfg(), 24, 35_434_956)],  # pjreddie.com's files have so many bytes
    ids=["yolov3", "tiny"],
)
def test_published_sizes(text: str, layers: int, file_size: int) -> None:
    with torch.device("meta"):
        network = Darknet(parse(text))
    assert len(network.layers) == layers
    assert len(HEAD) + 4 * sum(one.numel() for one in tensors(network)) == file_size


def test_grids_of_the_heads() -> None:
    images = torch.zeros(1, 3, 416, 416)
    for text, sides in ((NARROW, [13, 26, 52]), (SMALL_TINY, [13, 26])):
        assert [tuple(one.shape) for one in Darknet(parse(text))(images)] == [(1, n, n, 3, 8) for n in sides]


@pytest.mark.parametrize(("text", "size", "spread"), [(SMALL_TINY, 96, 1.0), (NARROW, 64, 0.6)], ids=["tiny", "yolov3"])
def test_opencv_says_the_same(text: str, size: int, spread: float, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    cfg, weights = tmp_path / "x.cfg", tmp_path / "x.weights"
    cfg.write_text(text)
    network = read_cfg(cfg).eval()
    weights.write_bytes(random_weights(network, spread))
    assert load_weights(network, weights) == 32_013_312
    image = np.random.default_rng(1).integers(256, size=(size, size, 3)).astype(np.uint8)
    with torch.inference_mode():
        logits = network(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    theirs = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    theirs.setInput(cv2.dnn.blobFromImage(image, 1 / 255, (size, size)))
    outputs = theirs.forward(theirs.getUnconnectedOutLayersNames())
    for head, said, output in zip(network.heads, logits, outputs, strict=True):
        objectness = said[..., 4:5].sigmoid()
        scores = objectness * said[..., 5:].sigmoid()
        scores = torch.where(scores > 0.2, scores, 0)  # as OpenCV leaves less out
        ours = torch.cat([head.boxes(said, size, size) / size, objectness, scores], -1).reshape(-1, 8).numpy()
        assert ours[:, :4].std(0).min() > 0.01 and ours[:, 5:].max() > 0.2, "there is something to compare"
        np.testing.assert_allclose(ours, output, rtol=1e-3, atol=1e-3)


def test_pooling_as_darknet_pads() -> None:
    maps = torch.arange(9.0).view(1, 1, 3, 3)
    assert MaxPool(2, 1, 1)(maps)[0, 0].tolist() == [[4, 5, 5], [7, 8, 8], [7, 8, 8]]
    assert MaxPool(2, 2, 1)(maps)[0, 0].tolist() == [[4, 5], [7, 8]]
    assert MaxPool(3, 1, 2)(-maps)[0, 0].tolist() == [[0, 0, -1], [0, 0, -1], [-3, -3, -4]]


def test_boxes_of_a_head_by_hand() -> None:
    """At zero, the box is the anchor in the middle of the cell."""
    head = Darknet(parse(SMALL_TINY)).heads[1]
    boxes = head.boxes(torch.zeros(1, 6, 6, 3, 8), 96, 192)
    assert boxes[0, 2, 5, 1].tolist() == [5.5 * 32, 2.5 * 16, 23 + 14, 27 + 31]


def test_files_from_before_counted_in_32_bits(tmp_path: Path) -> None:
    network, path = Darknet(parse(SMALL_TINY)), tmp_path / "old.weights"
    numbers = random_weights(network, 1)[len(HEAD) :]
    path.write_bytes(np.array([0, 1, 0, 77], "<i4").tobytes() + numbers)
    assert load_weights(network, path) == 77
    first = next(iter(tensors(network)))
    assert first.detach().numpy().tobytes() == numbers[: 4 * first.numel()], "biases come first"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-5], "59,396 bytes expected, 59,391 found; it is truncated"),
        (lambda data: data + b"\0" * 4, "59,396 bytes expected, 59,400 found; it is too long, or of another network"),
        (lambda data: data[:7], "bytes expected, 7 found; it is truncated"),
        (lambda data: data[:20] + b"\xff" * 4 + data[24:], "numbers that are not finite"),
    ],
)
def test_damaged_weights(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    network, path = Darknet(parse(SMALL_TINY)), tmp_path / "x.weights"
    before = [one.clone() for one in tensors(network)]
    path.write_bytes(change(random_weights(network, 1)))
    with pytest.raises(CorruptFile, match=message):
        load_weights(network, path)
    assert all(torch.equal(left, right) for left, right in zip(before, tensors(network), strict=True))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="x.cfg: No such file or directory; give a .cfg file of Darknet"):
        read_cfg(tmp_path / "x.cfg")
    (tmp_path / "x.cfg").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is no text"):
        read_cfg(tmp_path / "x.cfg")
    with pytest.raises(UserError, match="x.weights: No such file or directory"):
        load_weights(Darknet(parse(SMALL_TINY)), tmp_path / "x.weights")


NET = "[net]\nwidth=32\nheight=32\n"
YOLO = "[yolo]\nclasses=1\nanchors=1,2, 3,4\nnum=2\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NET + "[convolutionl]", "cfg, line 4: unknown section \\[convolutionl\\]; did you mean convolutional"),
        (NET + "[crnn]", "cfg, line 4: unknown section \\[crnn\\]; known: "),
        (NET + "[yolo", "line 4: unknown section"),
        (NET + "\n# a word\nword", "line 6: 'word' is neither a \\[section\\] nor an option=value"),
        ("width=3", "line 1: 'width=3' is neither"),
        (NET + "[upsample]\nfactor=2", "line 5: unknown option 'factor' of \\[upsample\\]; known: stride"),
        (NET + "[upsample]\nstride=two", "line 5: stride='two' is no number"),
        ("[maxpool]\nsize=2", "does not begin with the section \\[net\\]"),
        ("", "does not begin with the section \\[net\\]"),
        (NET + NET, "more than one section"),
        ("[net]\nwidth=32", "line 1: \\[net\\]: it lacks the option height"),
        (NET + "width=0", "line 1: \\[net\\]: width=0: use 1 to 16,384"),
        (NET, "has no \\[yolo\\] layer"),
        (NET + "[upsample]\nstride=2", "line 4: \\[upsample\\]: stride=2: maps here are of stride 1"),
        (NET + "[route]\nlayers=-1", "line 4: \\[route\\]: there is no layer -1 before it"),
        (NET + "[route]\nlayers=4", "there is no layer 4 before it"),
        (NET + "[maxpool]\nstride=2\n[maxpool]\nstride=2\n[route]\nlayers=0,1", "maps have the same size"),
        (NET + "[maxpool]\nstride=0", "stride=0: use 1 to 16,384"),
        (
            NET + "[convolutional]\nfilters=99999999999999",
            "line 4: \\[convolutional\\]: filters=99999999999999: use 1 to 16,384",
        ),
        (NET + "[conv]\nfilters=3\nsize=9999", "3 filters of 3 x 9999 x 9999 are 899,820,009 weights: use at most"),
        (NET + "[conv]\nsize=3\npadding=99999999", "line 4: \\[convolutional\\]: padding=99999999: use 0 to size=3"),
        (NET + "[maxpool]\nsize=2\npadding=-1", "line 4: \\[maxpool\\]: padding=-1: use 0 to size=2"),
        (
            NET + "[conv]\nfilters=6\n[yolo]\nclasses=1\nanchors=1,2\n"
            "[conv]\nfilters=7\n[yolo]\nclasses=2\nanchors=1,2",
            "classes=\\[1, 2\\]: all \\[yolo\\] layers of cfg must have the same",
        ),
        (NET + "[convolutional]\nactivation=mish", "unknown activation 'mish'; known: leaky"),
        (
            NET + "[conv]\nfilters=5\n[conv]\n[shortcut]\nfrom=-2",
            "cannot add 5 maps of stride 1 and 1",
        ),
        (
            NET + YOLO,
            "line 4: \\[yolo\\]: the layer before has 3 filters, and needs 2 anchors x \\(5 \\+ 1 classes\\) = 12",
        ),
        (NET + YOLO + "mask=2", "mask=\\(2,\\): name some of the 2 anchors, from 0 on"),
        (NET + YOLO + "anchors=1,2,0,4", "anchors=.*0.0, 4.0.*: name a width"),
        (NET + YOLO + "num=3", "anchors=.*: name a width and a height, above 0, for each of num=3"),
    ],
)
def test_mistakes_name_their_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Darknet(parse(text))


def test_layers_whose_sizes_do_not_fit(tmp_path: Path) -> None:
    """Where a convolution looks not beyond the edge, maps are smaller than their strides say."""
    text = NET + "[conv]\nfilters=12\n[conv]\nfilters=12\nsize=3\n[shortcut]\nfrom=-2\n" + YOLO
    (tmp_path / "x.cfg").write_text(text)
    with pytest.raises(UserError, match="x.cfg: its layers do not fit together: .*32"):
        read_cfg(tmp_path / "x.cfg")


def test_comments_other_names_and_training_options_are_read_over() -> None:
    text = NET + "# comment\nbatch=64 ; more\n[conv]\nfilters = 12 # wide\n" + YOLO.replace("num=2", "num=2\njitter=.3")
    network = Darknet(parse(text))
    assert network.heads[0].anchors.tolist() == [[1, 2], [3, 4]] and network.channels == 3


def test_images_that_do_not_fit() -> None:
    network = Darknet(parse(SMALL_TINY))
    with pytest.raises(UserError, match="image='96 x 80': use multiples of 32 pixels"):
        network(torch.zeros(1, 3, 96, 80))
    with pytest.raises(UserError, match="channels=1: this network sees 3"):
        network(torch.zeros(1, 1, 96, 96))

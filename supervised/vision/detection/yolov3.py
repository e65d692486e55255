"""The structure of YOLOv3 (Redmon and Farhadi 2018) as texts for `darknet`: the whole, smaller ones, and its tiny one.

A text is written rather than kept, so that number of classes, anchors and widths are what one needs.
"""

from collections.abc import Iterator, Sequence

Shape = tuple[float, float]

#: widths and heights, px, of what is in COCO (section 2.3)
ANCHORS: tuple[Shape, ...] = (
    *((10, 13), (16, 30), (33, 23)),
    *((30, 61), (62, 45), (59, 119)),
    *((116, 90), (156, 198), (373, 326)),
)
TINY_ANCHORS: tuple[Shape, ...] = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
FILTERS = (32, 64, 128, 256, 512, 1024)  # of Darknet-53's stages (table 1)
BLOCKS = (1, 2, 8, 8, 4)  # of two convolutions and a shortcut, in each stage after the first


def yolov3_cfg(
    size: int = 416,
    classes: int = 80,
    anchors: Sequence[Shape] = ANCHORS,
    filters: Sequence[int] = FILTERS,
    blocks: Sequence[int] = BLOCKS,
    pairs: int = 3,
) -> str:
    """Darknet-53 and three heads, the coarsest first.

    Args:
        size: height and width of images, px, a multiple of ``2 ** len(blocks)``.
        anchors: nine, from small to large; the coarsest head has the last three.
        filters: of the first convolution and of each stage, which halves the size; the last is the coarsest head's.
        blocks: in each stage.
        pairs: of convolutions before a head.
    """
    sections = [_net(size), _convolution(filters[0], 3)]
    ends = []  # numbers of the stages' last layers
    for width, count in zip(filters[1:], blocks, strict=True):
        sections.append(_convolution(width, 3, stride=2))
        for _ in range(count):
            sections += [_convolution(width // 2, 1), _convolution(width, 3), _section("shortcut", {"from": -3})]
        ends.append(len(sections) - 2)
    for scale in range(3):
        width = filters[-1 - scale]
        if scale:
            sections += [_section("route", {"layers": -4}), _convolution(width // 2, 1)]
            sections += [_section("upsample", {"stride": 2}), _section("route", {"layers": f"-1, {ends[-1 - scale]}"})]
        for _ in range(pairs):
            sections += [_convolution(width // 2, 1), _convolution(width, 3)]
        sections += _head(anchors, range(6 - 3 * scale, 9 - 3 * scale), classes)
    return "\n".join(sections)


def yolov3_tiny_cfg(
    size: int = 416,
    classes: int = 80,
    anchors: Sequence[Shape] = TINY_ANCHORS,
    filters: Sequence[int] = (16, 32, 64, 128, 256, 512, 1024),
) -> str:
    """Seven convolutions with pooling, and two heads.

    Args:
        anchors: six, from small to large, numbered from 0 on; the coarse head has 3 to 5, the fine one 1 to 3, as
            published.
        filters: of the convolutions, one after the other.
    """
    sections = [_net(size)]
    for k, width in enumerate(filters[:-1]):
        sections += [_convolution(width, 3), _section("maxpool", {"size": 2, "stride": 2 if k < 5 else 1})]
    narrow = filters[-1] // 4
    sections += [_convolution(filters[-1], 3), _convolution(narrow, 1), _convolution(filters[-2], 3)]
    sections += _head(anchors, range(3, 6), classes)
    sections += [_section("route", {"layers": -4}), _convolution(narrow // 2, 1), _section("upsample", {"stride": 2})]
    sections += [_section("route", {"layers": "-1, 8"}), _convolution(filters[-3], 3)]
    return "\n".join(sections + list(_head(anchors, range(1, 4), classes)))


def _section(kind: str, options: dict[str, object]) -> str:
    return "\n".join([f"[{kind}]", *(f"{name}={value}" for name, value in options.items()), ""])


def _net(size: int) -> str:
    return _section("net", {"width": size, "height": size, "channels": 3})


def _convolution(filters: int, size: int, stride: int = 1) -> str:
    options = {"batch_normalize": 1, "filters": filters, "size": size, "stride": stride, "pad": 1}
    return _section("convolutional", {**options, "activation": "leaky"})


def _head(anchors: Sequence[Shape], mask: range, classes: int) -> Iterator[str]:
    filters = len(mask) * (5 + classes)
    plain = {"filters": filters, "size": 1, "stride": 1, "pad": 1, "activation": "linear"}
    yield _section("convolutional", plain)
    shapes = ", ".join(f"{width:g},{height:g}" for width, height in anchors)
    numbers = ",".join(map(str, mask))
    yield _section("yolo", {"mask": numbers, "anchors": shapes, "classes": classes, "num": len(anchors)})

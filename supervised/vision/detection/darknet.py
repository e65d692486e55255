"""Networks of Darknet (Redmon): built from a ``.cfg`` file, as YOLOv3 is published.

Layers are numbered from 0 on, as the sections after [net] are; [route] and [shortcut] name them so, or by how many
layers before their own. Outputs are those of the [yolo] layers: maps of what each anchor of each cell says.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.training.errors import UserError, require, suggest
from supervised.vision.detection.darknet_cfg import Section, parse

EPSILON = 1e-6  # added to variances
MOST = 2**14  # of filters, pixels a side and the like; published networks have a tenth at most
MOST_WEIGHTS = 2**27  # of a layer, half a gigabyte
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "leaky": lambda: nn.LeakyReLU(0.1),
    "relu": nn.ReLU,
    "logistic": nn.Sigmoid,
}


class MaxPool(nn.Module):
    """Darknet's: ``padding`` pixels in all, half of them (rounded down) above and left; stride 1 keeps sizes."""

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        low = padding // 2
        self.border = (low, padding - low, low, padding - low)

    def forward(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(maps, self.border, value=-math.inf), self.size, self.stride)


class Route(nn.Module):
    """Maps of some layers, one after the other as channels."""

    def __init__(self, layers: Sequence[int]) -> None:
        super().__init__()
        self.layers = tuple(layers)


class Shortcut(nn.Module):
    """The sum of the layer before and another one."""

    def __init__(self, layer: int, activation: nn.Module) -> None:
        super().__init__()
        self.layer, self.activation = layer, activation


class Head(nn.Module):
    """What a [yolo] layer is: maps ``(batch, k (5 + classes), rows, columns)`` told apart.

    Args:
        anchors: ``(k, 2)`` width and height, px, those of its mask.
        classes: how many.
    """

    anchors: Tensor

    def __init__(self, anchors: Tensor, classes: int) -> None:
        super().__init__()
        self.register_buffer("anchors", anchors)
        self.classes = classes

    def forward(self, maps: Tensor) -> Tensor:
        """``(batch, rows, columns, k, 5 + classes)``: t_x, t_y, t_w, t_h, objectness and classes, as logits."""
        return maps.unflatten(1, (len(self.anchors), 5 + self.classes)).permute(0, 3, 4, 1, 2)

    def boxes(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Boxes ``(batch, rows, columns, k, 4)`` by centres and sizes, px, of an image of that size.

        b_x = (sigmoid(t_x) + c_x) stride, b_y likewise; b_w = p_w exp(t_w), b_h likewise, where (c_x, c_y) is the
        cell and (p_w, p_h) the anchor (Redmon and Farhadi 2018, section 2.1).
        """
        rows, columns = logits.shape[1:3]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cells = torch.stack([x, y], -1).to(logits)[:, :, None]
        stride = logits.new_tensor([width / columns, height / rows])
        centres = (logits[..., :2].sigmoid() + cells) * stride
        return torch.cat([centres, self.anchors * logits[..., 2:4].exp()], -1)


class Darknet(nn.Module):
    """A network of sections.

    Raises:
        UserError: options that are missing or do not fit together; the message names the section's line.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        super().__init__()
        net, *layers = sections
        self.height, self.width, self.channels = net.get("height"), net.get("width"), net.get("channels", 3)
        for name in ("height", "width", "channels"):
            _positive(net, name, 3 if name == "channels" else None)
        self.layers = nn.ModuleList()
        channels: list[int] = []  # of what each layer gives
        strides: list[int] = []  # and how many pixels of the image one of its pixels stands for
        inputs, stride = self.channels, 1
        for number, section in enumerate(layers):
            module, inputs, stride = _layer(section, number, inputs, stride, channels, strides)
            self.layers.append(module)
            channels.append(inputs)
            strides.append(stride)
        self.stride = max(strides, default=1)
        self.needed = {place for one in self.layers for place in _sources(one)}
        if not self.heads:
            raise UserError(f"{net.source} has no [yolo] layer: it detects nothing")
        self.classes = self.heads[0].classes
        told = [one.classes for one in self.heads]
        require(len(set(told)) == 1, "classes", told, f"all [yolo] layers of {net.source} must have the same")

    @property
    def heads(self) -> list[Head]:
        """The [yolo] layers, in order."""
        return [one for one in self.layers if isinstance(one, Head)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """What each head says (see `Head.forward`) of images ``(batch, channels, height, width)`` float32 from 0 to 1.

        Raises:
            UserError: images of another number of channels, or a size that the strides do not divide.
        """
        height, width = images.shape[2:]
        require(images.shape[1] == self.channels, "channels", images.shape[1], f"this network sees {self.channels}")
        fits = height % self.stride == 0 and width % self.stride == 0
        require(fits, "image", f"{height} x {width}", f"use multiples of {self.stride} pixels")
        made: dict[int, Tensor] = {}
        found: list[Tensor] = []
        maps = images
        for number, layer in enumerate(self.layers):
            if isinstance(layer, Route):
                maps = torch.cat([made[one] for one in layer.layers], 1)
            elif isinstance(layer, Shortcut):
                maps = layer.activation(maps + made[layer.layer])
            elif isinstance(layer, Head):
                found.append(layer(maps))
            else:
                maps = layer(maps)
            if number in self.needed:
                made[number] = maps
        return found


def read_cfg(path: Path) -> Darknet:
    """The network of a ``.cfg`` file, with weights drawn at random; raises `UserError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UserError(f"cannot read {path}: {reason}; give a .cfg file of Darknet") from error
    sections = parse(text, str(path))
    with torch.device("meta"):  # shapes alone, without numbers
        trial = Darknet(sections)
        images = torch.zeros(1, trial.channels, trial.height, trial.width)
        try:
            trial.eval()(images)
        except RuntimeError as error:
            what = str(error).splitlines()[0]
            raise UserError(f"{path}: its layers do not fit together: {what}; give a .cfg file of Darknet") from error
    return Darknet(sections)


def _sources(layer: nn.Module) -> Sequence[int]:
    """The earlier layers that a layer sees besides the one before."""
    if isinstance(layer, Route):
        return layer.layers
    return (layer.layer,) if isinstance(layer, Shortcut) else ()


def _layer(
    section: Section, number: int, inputs: int, stride: int, channels: Sequence[int], strides: Sequence[int]
) -> tuple[nn.Module, int, int]:
    """A section's module, and the channels and stride of what it gives.

    Args:
        number: the layer's.
        inputs, stride: channels of the layer before, and how many pixels of the image one of its pixels stands for.
        channels, strides: of all layers before.
    """

    def place(layer: int) -> int:
        found = layer if layer >= 0 else number + layer
        if not 0 <= found < number:
            raise section.error(f"there is no layer {layer} before it")
        return found

    if section.kind == "convolutional":
        filters = _positive(section, "filters", 1)
        return _convolution(section, inputs, filters), filters, stride * _positive(section, "stride", 1)
    if section.kind == "maxpool":
        step = _positive(section, "stride", 1)
        size = _positive(section, "size", step)
        padding = section.get("padding", size - 1)
        if not 0 <= padding <= size:
            raise section.error(f"padding={padding}: use 0 to size={size}")
        return MaxPool(size, step, padding), inputs, stride * step
    if section.kind == "upsample":
        factor = _positive(section, "stride", 2)
        if stride % factor:
            raise section.error(f"stride={factor}: maps here are of stride {stride} and cannot grow so")
        return nn.Upsample(scale_factor=factor, mode="nearest"), inputs, stride // factor
    if section.kind == "route":
        layers = [place(one) for one in section.get("layers")]
        if not layers or len({strides[one] for one in layers}) > 1:
            raise section.error(f"layers={section.get('layers')}: name layers whose maps have the same size")
        return Route(layers), sum(channels[one] for one in layers), strides[layers[0]]
    if section.kind == "shortcut":
        other = place(section.get("from"))
        if (channels[other], strides[other]) != (inputs, stride):
            shapes = f"{channels[other]} maps of stride {strides[other]} and {inputs} of stride {stride}"
            raise section.error(f"from={section.get('from')}: it cannot add {shapes}")
        return Shortcut(other, _activation(section)), inputs, stride
    return _head(section, inputs), inputs, stride


def _positive(section: Section, name: str, default: int | None = None) -> int:
    value = section.get(name, default)
    if not 1 <= value <= MOST:
        raise section.error(f"{name}={value}: use 1 to {MOST:,}")
    return value


def _activation(section: Section) -> nn.Module:
    name = section.get("activation", "linear" if section.kind == "shortcut" else "logistic")
    if name not in ACTIVATIONS:
        raise section.error(f"unknown activation {name!r}{suggest(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def _convolution(section: Section, inputs: int, filters: int) -> nn.Module:
    """A convolution, batch normalization unless it is off, and the activation."""
    size, stride = (_positive(section, name, 1) for name in ("size", "stride"))
    padding = size // 2 if section.get("pad", 0) else section.get("padding", 0)
    if not 0 <= padding <= size:
        raise section.error(f"padding={padding}: use 0 to size={size}")
    if (weights := inputs * filters * size**2) > MOST_WEIGHTS:
        shape = f"{filters} filters of {inputs} x {size} x {size}"
        raise section.error(f"{shape} are {weights:,} weights: use at most {MOST_WEIGHTS:,}")
    normalized = bool(section.get("batch_normalize", 0))
    parts: list[nn.Module] = [nn.Conv2d(inputs, filters, size, stride, padding, bias=not normalized)]
    if normalized:
        parts.append(nn.BatchNorm2d(filters, EPSILON))
    return nn.Sequential(*parts, _activation(section))


def _head(section: Section, inputs: int) -> Head:
    anchors, classes = section.get("anchors"), _positive(section, "classes")
    number = section.get("num", 1)
    if len(anchors) != 2 * number or not all(one > 0 for one in anchors):
        raise section.error(f"anchors={anchors}: name a width and a height, above 0, for each of num={number}")
    mask = section.get("mask", tuple(range(number)))
    if not mask or not all(0 <= one < number for one in mask):
        raise section.error(f"mask={mask}: name some of the {number} anchors, from 0 on")
    if inputs != len(mask) * (5 + classes):
        wanted = f"{len(mask)} anchors x (5 + {classes} classes) = {len(mask) * (5 + classes)}"
        raise section.error(f"the layer before has {inputs} filters, and needs {wanted}")
    return Head(torch.tensor([anchors[2 * one : 2 * one + 2] for one in mask]), classes)

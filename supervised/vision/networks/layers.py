"""What several architectures are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size = int | tuple[int, int]


def he_normal(network: nn.Module) -> None:
    """Draw the filters of all convolutions so that activations keep their variance (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Convolution(nn.Module):
    """Convolution, batch normalization and ReLU, as Inception networks have them."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(inputs)), inplace=True)


class Mixed(nn.Module):
    """Paths side by side, whose outputs are put together: what Inception networks are made of.

    A path is written as the papers draw it, ``"1x1:64 3x3:96/2"``: convolutions of a size to so many channels, /2 with
    stride 2; ``avg`` or ``max`` (pooling of 3 x 3), ``max/2``; ``1x3:256+3x1:256`` parts the path, side by side.

    Args:
        inputs: channels.
        paths: by name. A path's only convolution has the path's name, others ``NAME_1``, ``NAME_2a`` and so on.
        padded: what has stride 2 looks beyond the edge by a pixel, too; all with stride 1 keeps the size.

    Attributes:
        outputs: channels.
    """

    def __init__(self, inputs: int, paths: dict[str, str], padded: bool = False) -> None:
        super().__init__()
        self.outputs, self._edge = 0, 1 if padded else 0
        self._paths: list[list[list[str]]] = []  # path -> steps -> names side by side
        for name, path in paths.items():
            steps, channels = path.split(), inputs
            convolutions = sum(":" in step for step in steps)
            self._paths.append([])
            for number, step in enumerate([one for one in steps if ":" in one], 1):
                parts = step.split("+")
                found = [self._convolution(channels, part) for part in parts]
                prefix = name if convolutions == 1 else f"{name}_{number}"
                names = [prefix + ("abc"[k] if len(parts) > 1 else "") for k in range(len(parts))]
                for one, layer in zip(names, found, strict=True):
                    self.add_module(one, layer)
                channels = sum(layer.conv.out_channels for layer in found)
                self._paths[-1].append(names)
            if ":" not in steps[0]:
                self._paths[-1].insert(0, [steps[0]])
            self.outputs += channels

    def _convolution(self, inputs: int, text: str) -> Convolution:
        size, _, rest = text.partition(":")
        height, width = map(int, size.split("x"))
        outputs, _, stride = rest.partition("/")
        edges = (self._edge, self._edge) if stride else (height // 2, width // 2)
        return Convolution(inputs, int(outputs), (height, width), int(stride or 1), edges)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([self._along(path, inputs) for path in self._paths], dim=1)

    def _along(self, path: Sequence[Sequence[str]], found: Tensor) -> Tensor:
        for names in path:
            if names == ["avg"]:
                found = F.avg_pool2d(found, 3, 1, 1)
            elif names == ["max"]:
                found = F.max_pool2d(found, 3, 1, 1)
            elif names == ["max/2"]:
                found = F.max_pool2d(found, 3, 2, self._edge)
            else:
                parts = [self.get_submodule(name)(found) for name in names]
                found = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return found

"""Convolutional and pooling layers, forward and backward (book, chapter 4), over any number of axes.

Inputs are ``(n, channels, *space)`` with one axis of space for sounds, two for images, three for films; what is said of
one size holds for each axis. As in all such networks, "convolution" is cross-correlation: kernels are not turned.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from supervised.training.errors import require

Array = NDArray[Any]

Size = int | Sequence[int]  # one for all axes of space, or one each


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """O = (I + 2 P - F) / S + 1, rounded down; raises `UserError` where the kernel does not fit."""
    require(stride >= 1, "stride", stride, "use at least 1")
    require(1 <= kernel <= size + 2 * padding, "kernel", kernel, f"use 1 to {size + 2 * padding}, input and padding")
    return (size + 2 * padding - kernel) // stride + 1


def transposed_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """O = S (I - 1) + F - 2 P: the size that a convolution would make ``size`` of (chapter 6)."""
    return stride * (size - 1) + kernel - 2 * padding


def weight_count(channels: int, filters: int, kernel: Sequence[int], groups: int = 1, bias: bool = True) -> int:
    """(D F_1 F_2 ... + 1) M, where every filter sees D = channels / groups of the channels."""
    return (channels // groups * int(np.prod(kernel)) + bias) * filters


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """How many inputs along an axis one output sees through layers of (kernel, stride), first to last."""
    field, jump = 1, 1  # seen by one neuron, and between neighbours, in inputs
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


class Convolution:
    """y = sum over channels and places of the kernel of x w, and a bias a filter.

    ``forward`` and ``backward`` are called in turn. A kernel of 1 mixes channels alone (pointwise); with as many groups
    as channels every one has filters of its own (depthwise), ``filters / channels`` of them (the multiplier).

    Args:
        kernels: ``(filters, channels / groups, *kernel)``.
        bias: ``(filters,)``.

    Raises:
        UserError: groups that do not divide channels or filters, or a kernel that does not fit.
    """

    def __init__(
        self, kernels: Array, bias: Array | None = None, stride: Size = 1, padding: Size = 0, groups: int = 1
    ) -> None:
        require(len(kernels) % groups == 0, "groups", groups, f"use a divisor of {len(kernels)} filters")
        self.kernels, self.bias = kernels, np.zeros(len(kernels)) if bias is None else bias
        self.axes, self.groups = kernels.ndim - 2, groups
        self.stride, self.padding = _each(stride, self.axes), _each(padding, self.axes)

    def forward(self, inputs: Array) -> Array:
        """Outputs ``(n, filters, *smaller space)``."""
        channels, wanted = inputs.shape[1], self.kernels.shape[1] * self.groups
        require(channels == wanted, "channels", channels, f"these kernels see {wanted}")
        for size, kernel, stride, padding in zip(
            inputs.shape[2:], self.kernels.shape[2:], self.stride, self.padding, strict=True
        ):
            output_size(size, kernel, stride, padding)
        self._windows = _windows(_padded(inputs, self.padding), self.kernels.shape[2:], self.stride)
        self._space = inputs.shape[2:]
        windows = self._grouped(self._windows)
        kernels = self.kernels.reshape(self.groups, -1, *self.kernels.shape[1:])
        # n groups channels space kernel, groups filters channels kernel -> n groups filters space
        outputs = np.einsum(
            windows,
            [0, 1, 2, *self._at(10), *self._at(20)],
            kernels,
            [1, 3, 2, *self._at(20)],
            [0, 1, 3, *self._at(10)],
            optimize=True,
        )
        outputs = outputs.reshape(len(inputs), len(self.kernels), *outputs.shape[3:])
        return outputs + self.bias.reshape(-1, *[1] * self.axes)

    def backward(self, gradient: Array) -> tuple[Array, Array, Array]:
        """From dJ/dy ``(n, filters, *space)``: dJ/dx, dJ/dw and dJ/db, shaped as inputs, kernels and bias."""
        parted = gradient.reshape(len(gradient), self.groups, -1, *gradient.shape[2:])
        # dJ/dw = sum over samples and places of dJ/dy x
        of_kernels = np.einsum(
            self._grouped(self._windows),
            [0, 1, 2, *self._at(10), *self._at(20)],
            parted,
            [0, 1, 3, *self._at(10)],
            [1, 3, 2, *self._at(20)],
            optimize=True,
        )
        of_bias = gradient.sum((0, *range(2, gradient.ndim)))
        return self._spread(gradient), of_kernels.reshape(self.kernels.shape), of_bias

    def _spread(self, gradient: Array) -> Array:
        """dJ/dx: every output gives its gradient back to the inputs that it saw, times their weights."""
        kernels = self.kernels.reshape(self.groups, -1, *self.kernels.shape[1:])
        parted = gradient.reshape(len(gradient), self.groups, -1, *gradient.shape[2:])
        space = [size + 2 * padding for size, padding in zip(self._space, self.padding, strict=True)]
        found = np.zeros((len(gradient), self.groups, kernels.shape[2], *space))
        for place in product(*map(range, self.kernels.shape[2:])):
            weights = kernels[_last(*place)]  # (groups, filters, channels)
            part = np.einsum(parted, [0, 1, 3, *self._at(10)], weights, [1, 3, 2], [0, 1, 2, *self._at(10)])
            steps = zip(place, gradient.shape[2:], self.stride, strict=True)
            found[_last(*(slice(k, k + stride * (size - 1) + 1, stride) for k, size, stride in steps))] += part
        found = found.reshape(len(gradient), -1, *space)
        inside = (slice(p, p + size) for p, size in zip(self.padding, self._space, strict=True))
        return found[_last(*inside)]

    def _at(self, first: int) -> list[int]:
        return list(range(first, first + self.axes))

    def _grouped(self, windows: Array) -> Array:
        return windows.reshape(len(windows), self.groups, -1, *windows.shape[2:])


class TransposedConvolution:
    """What a convolution does backward, done forward: small maps become large ones (chapter 6).

    Args:
        kernels: ``(channels, filters, *kernel)``, those of the convolution whose inputs come out here.
    """

    def __init__(self, kernels: Array, bias: Array | None = None, stride: Size = 1, padding: Size = 0) -> None:
        self._convolution = Convolution(kernels, None, stride, padding)
        self.bias = np.zeros(kernels.shape[1]) if bias is None else bias

    def forward(self, inputs: Array) -> Array:
        """Outputs ``(n, filters, *larger space)``."""
        convolution, self._inputs = self._convolution, inputs
        sizes = zip(
            inputs.shape[2:], convolution.kernels.shape[2:], convolution.stride, convolution.padding, strict=True
        )
        convolution._space = tuple(transposed_size(*one) for one in sizes)
        return convolution._spread(inputs) + self.bias.reshape(-1, *[1] * convolution.axes)

    def backward(self, gradient: Array) -> tuple[Array, Array, Array]:
        """From dJ/dy: dJ/dx, dJ/dw and dJ/db."""
        of_inputs = self._convolution.forward(gradient)  # which is its own transpose's transpose
        return of_inputs, self._convolution.backward(self._inputs)[1], gradient.sum((0, *range(2, gradient.ndim)))


class MaxPooling:
    """The largest of every window; its gradient goes to that input alone (the first of equals)."""

    def __init__(self, size: Size = 2, stride: Size | None = None) -> None:
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, inputs: Array) -> Array:
        """Outputs ``(n, channels, *smaller space)``."""
        axes = inputs.ndim - 2
        self._shape, self._kernel, stride = inputs.shape, _each(self.size, axes), _each(self.stride, axes)
        windows = _windows(inputs, self._kernel, stride)
        flat = windows.reshape(*windows.shape[: 2 + axes], -1)
        self._winners = flat.argmax(-1)
        # where each winner is: its window's corner, and its place in there
        within = np.unravel_index(self._winners, self._kernel)
        corners = np.indices(self._winners.shape)
        places = zip(corners[2:], stride, within, strict=True)
        self._places = (corners[0], corners[1], *(corner * step + inner for corner, step, inner in places))
        return np.take_along_axis(flat, self._winners[..., None], -1)[..., 0]

    def backward(self, gradient: Array) -> Array:
        """dJ/dx of dJ/dy."""
        found = np.zeros(self._shape)
        np.add.at(found, self._places, gradient)  # windows may overlap
        return found


class AveragePooling:
    """The mean of every window."""

    def __init__(self, size: Size = 2, stride: Size | None = None) -> None:
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, inputs: Array) -> Array:
        """Outputs ``(n, channels, *smaller space)``."""
        axes, channels = inputs.ndim - 2, inputs.shape[1]
        kernel = _each(self.size, axes)
        kernels = np.full((channels, 1, *kernel), 1 / np.prod(kernel))  # a depthwise convolution with equal weights
        self._convolution = Convolution(kernels, stride=self.stride, groups=channels)
        return self._convolution.forward(inputs)

    def backward(self, gradient: Array) -> Array:
        """dJ/dx of dJ/dy."""
        return self._convolution.backward(gradient)[0]


def _each(size: Size, axes: int) -> tuple[int, ...]:
    return (size,) * axes if isinstance(size, int) else tuple(size)


def _padded(inputs: Array, padding: Sequence[int]) -> Array:
    return np.pad(inputs, [(0, 0), (0, 0), *((one, one) for one in padding)])


def _windows(inputs: Array, kernel: Sequence[int], stride: Sequence[int]) -> Array:
    """Views ``(n, channels, *output space, *kernel)``."""
    axes = tuple(range(2, inputs.ndim))
    kept = [slice(None, None, one) for one in stride]
    return sliding_window_view(inputs, tuple(kernel), axes)[_last(*kept, *[slice(None)] * len(kernel))]


def _last(*index: Any) -> Any:
    """An index of the last axes."""
    return (..., *index)

"""Chapter 4: layers against torch's, forward and backward, in one to three axes; and sizes as in the book."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised.scratch.convolution import (
    AveragePooling,
    Convolution,
    MaxPooling,
    TransposedConvolution,
    output_size,
    receptive_field,
    transposed_size,
    weight_count,
)
from supervised.training.errors import UserError

RNG = np.random.default_rng(0)
SPACES = [(11,), (9, 8), (6, 7, 5)]
CONVOLUTIONS = [F.conv1d, F.conv2d, F.conv3d]
TRANSPOSED = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array, requires_grad=True) for array in arrays]


def compare(mine: Any, function: Any, inputs: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> None:
    """Outputs and all gradients."""
    x, w, b = tensors(inputs, kernels, bias)
    theirs = function(x, w, b)
    outputs = mine.forward(inputs)
    np.testing.assert_allclose(outputs, theirs.detach().numpy(), atol=1e-10)
    gradient = RNG.normal(size=outputs.shape)
    theirs.backward(torch.tensor(gradient))
    for found, wanted in zip(mine.backward(gradient), (x, w, b), strict=True):
        assert wanted.grad is not None
        np.testing.assert_allclose(found, wanted.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (3, 2, 1), (1, 1, 0), (2, 3, 2), (4, 2, 0)])
def test_convolutions_are_torchs(axes: int, kernel: int, stride: int, padding: int) -> None:
    inputs = RNG.normal(size=(2, 3, *SPACES[axes - 1]))
    kernels, bias = RNG.normal(size=(4, 3, *[kernel] * axes)), RNG.normal(size=4)
    mine = Convolution(kernels, bias, stride, padding)
    compare(mine, lambda x, w, b: CONVOLUTIONS[axes - 1](x, w, b, stride, padding), inputs, kernels, bias)


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_and_depthwise_convolutions_with_a_multiplier(groups: int) -> None:
    inputs, kernels = RNG.normal(size=(2, 4, 7, 6)), RNG.normal(size=(8, 4 // groups, 3, 2))
    mine = Convolution(kernels, np.zeros(8), (1, 2), (1, 0), groups)
    function = lambda x, w, b: F.conv2d(x, w, b, (1, 2), (1, 0), groups=groups)  # noqa: E731
    compare(mine, function, inputs, kernels, np.zeros(8))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 0), (4, 2, 1), (2, 3, 0)])
def test_transposed_convolutions_are_torchs(axes: int, kernel: int, stride: int, padding: int) -> None:
    inputs = RNG.normal(size=(2, 3, *[4, 3, 2][:axes]))
    kernels, bias = RNG.normal(size=(3, 5, *[kernel] * axes)), RNG.normal(size=5)
    mine = TransposedConvolution(kernels, bias, stride, padding)
    compare(mine, lambda x, w, b: TRANSPOSED[axes - 1](x, w, b, stride, padding), inputs, kernels, bias)


@pytest.mark.parametrize(("size", "stride"), [(2, None), (3, 2), ((2, 3), (1, 2))])
def test_pooling(size: Any, stride: Any) -> None:
    """Largest values with their gradients routed, and means, also where windows overlap."""
    inputs = RNG.normal(size=(2, 3, 8, 9))
    for mine, function in ((MaxPooling(size, stride), F.max_pool2d), (AveragePooling(size, stride), F.avg_pool2d)):
        (x,) = tensors(inputs)
        theirs, outputs = function(x, size, stride), mine.forward(inputs)
        np.testing.assert_allclose(outputs, theirs.detach().numpy(), atol=1e-12)
        gradient = RNG.normal(size=outputs.shape)
        theirs.backward(torch.tensor(gradient))
        assert x.grad is not None
        np.testing.assert_allclose(mine.backward(gradient), x.grad.numpy(), atol=1e-12)


def test_the_books_sizes_and_weights() -> None:
    assert weight_count(3, 4, (5, 5)) == 304
    assert weight_count(3, 1, (5, 5)) == 76
    # erratum E-7: a depthwise separable layer of 32 slices has 9 x 32 + 32 x 32 weights, a common one 9,216
    assert weight_count(32, 32, (3, 3), groups=32, bias=False) + weight_count(32, 32, (1, 1), bias=False) == 1_312
    assert weight_count(32, 32, (3, 3), bias=False) == 9_216
    assert output_size(28, 3) == 26 and output_size(5, 3, padding=1) == 5 and output_size(224, 7, 2, 3) == 112
    for size, kernel, stride, padding in ((7, 4, 2, 1), (14, 4, 2, 1), (5, 3, 1, 0)):
        larger = transposed_size(size, kernel, stride, padding)
        assert output_size(larger, kernel, stride, padding) == size


def test_receptive_fields() -> None:
    """By what changes an output: two neurons behind a stride of 2 see 4 inputs; VGG's stacked 3 x 3 see 5, and 7."""
    assert receptive_field([(2, 2), (2, 1)]) == 4
    assert receptive_field([(3, 1)] * 2) == 5 and receptive_field([(3, 1)] * 3) == 7
    layers = [(3, 2), (3, 1), (2, 2)]
    x = torch.zeros(1, 1, 40, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, 2].backward()
    assert x.grad is not None and int((x.grad != 0).sum()) == receptive_field(layers)


@pytest.mark.parametrize(
    ("arguments", "inputs", "message"),
    [
        ({}, (1, 2, 8, 8), "channels=2: these kernels see 3"),
        ({}, (1, 3, 2, 8), "kernel=3: use 1 to 2, input and padding"),
        ({"stride": 0}, (1, 3, 8, 8), "stride=0: use at least 1"),
        ({"groups": 3}, (1, 3, 8, 8), "groups=3: use a divisor of 4 filters"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, Any], inputs: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Convolution(np.zeros((4, 3, 3, 3)), **arguments).forward(np.zeros(inputs))

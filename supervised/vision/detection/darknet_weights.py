"""Darknet's ``.weights`` files: float32 numbers one after the other, without names.

A head of three int32, the version (major, minor, revision), and of how many images were learnt from, an int64 since
version 0.2 and an int32 before. Then for every convolution in order: biases, or with batch normalization its biases
(beta), scales (gamma), running means and running variances; and the kernels ``(filters, inputs, size, size)``. All
little-endian.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from supervised.training.errors import CorruptFile, UserError
from supervised.vision.detection.darknet import Darknet

VERSION = np.dtype("<i4")


def tensors(network: Darknet) -> Iterator[Tensor]:
    """All weights of a network in the order in which a file has them."""
    for layer in network.layers:
        if not isinstance(layer, nn.Sequential):
            continue
        convolution, second = layer[0], layer[1]
        assert isinstance(convolution, nn.Conv2d)
        if isinstance(second, nn.BatchNorm2d):
            assert second.running_mean is not None and second.running_var is not None
            yield from (second.bias, second.weight, second.running_mean, second.running_var)
        else:
            assert convolution.bias is not None
            yield convolution.bias
        yield convolution.weight


@torch.no_grad()
def load_weights(network: Darknet, path: Path) -> int:
    """Give a network the weights of a file, all of them; returns how many images they were learnt from.

    Raises:
        UserError: there is no such file.
        CorruptFile: another length than the network needs; the network stays as it is.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a .weights file of Darknet") from error
    # Darknet packs two decimal digits; version 1000 and more told of transposed weights once
    major, minor = np.frombuffer(data[:8].ljust(8, b"\0"), VERSION).tolist()
    seen = np.dtype("<u8" if 10 * major + minor >= 2 and major < 1000 and minor < 1000 else "<u4")
    head = 3 * VERSION.itemsize + seen.itemsize
    wanted = list(tensors(network))
    expected = head + 4 * sum(one.numel() for one in wanted)
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "too long, or of another network"
        raise CorruptFile(f"{path}: {expected:,} bytes expected, {len(data):,} found; it is {what}")
    values = np.frombuffer(data, "<f4", offset=head).astype(np.float32)
    if not np.isfinite(values).all():
        raise CorruptFile(f"{path} holds numbers that are not finite; it is damaged")
    for one, part in zip(wanted, np.split(values, np.cumsum([t.numel() for t in wanted])[:-1]), strict=True):
        one.copy_(torch.from_numpy(part).reshape(one.shape))
    return int(np.frombuffer(data, seen, 1, 3 * VERSION.itemsize)[0])

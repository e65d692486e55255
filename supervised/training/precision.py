"""The arithmetic of networks: float32, or bfloat16 where processors multiply it faster (AMX, tensor cores)."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is slow to import
    import torch

DTYPES = ("float32", "bfloat16")


def autocast(device: "torch.device", dtype: str) -> AbstractContextManager[Any]:
    """A context in which torch computes convolutions and matrix products in ``dtype``, one of `DTYPES`."""
    if dtype == "float32":
        return nullcontext()
    import torch

    return torch.autocast(device.type, getattr(torch, dtype))


def precision(device: "torch.device") -> "torch.dtype":
    """The type in which torch now computes convolutions and matrix products: that of `autocast`, where it is on."""
    import torch

    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32

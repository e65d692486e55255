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

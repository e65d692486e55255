"""The arithmetic of networks: float32, or bfloat16 where processors multiply it faster (AMX, tensor cores)."""

import functools
import re
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from supervised.training.errors import require

if TYPE_CHECKING:  # torch is slow to import
    import torch

DTYPES = ("float32", "bfloat16")


def autocast(device: "torch.device", dtype: str) -> AbstractContextManager[Any]:
    """A context in which torch computes convolutions and matrix products in ``dtype``, one of `DTYPES`.

    A processor that cannot multiply bfloat16 computes in float32, as emulating it takes ten times as long and more.
    """
    if dtype == "float32":
        return nullcontext()
    if not multiplies_bfloat16(device.type):
        warnings.warn("this processor does not multiply bfloat16: float32 is used instead", stacklevel=2)
        return nullcontext()
    import torch

    return torch.autocast(device.type, getattr(torch, dtype))


@functools.cache
def multiplies_bfloat16(device: str) -> bool:
    """Whether processors of that kind ("cpu" or "cuda") do."""
    import torch

    return device != "cpu" or torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "AVX2")


def require_device(device: str) -> None:
    """Refuse a device that is not there.

    Raises:
        UserError: neither "cpu", nor "cuda" (or "cuda:1") where torch has it.
    """
    known = re.fullmatch(r"cpu|cuda(:\d+)?", device)
    require(known is not None, "device", device, "use cpu, cuda or cuda:1")
    if device != "cpu":
        import torch

        here = torch.cuda.device_count() > int(device.partition(":")[2] or 0)
        require(here, "device", device, "torch finds no such processor here, use cpu")


def precision(device: "torch.device") -> "torch.dtype":
    """The type in which torch now computes convolutions and matrix products: that of `autocast`, where it is on."""
    import torch

    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32

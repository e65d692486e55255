"""Arithmetic of networks by what the processor can do."""

from collections.abc import Iterator

import pytest
import torch

from supervised.training import precision


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is remembered of the processor is asked anew, before and after."""
    precision.multiplies_bfloat16.cache_clear()
    yield
    precision.multiplies_bfloat16.cache_clear()


def product(dtype: str) -> torch.dtype:
    with precision.autocast(torch.device("cpu"), dtype):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_bfloat16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert product("bfloat16") == torch.bfloat16 and product("float32") == torch.float32


def test_float32_with_a_warning_where_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.warns(UserWarning, match="this processor does not multiply bfloat16: float32 is used instead"):
        assert product("bfloat16") == torch.float32

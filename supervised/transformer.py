"""Transformer layers, for whatever reads sequences: texts, instructions, observations, or what an agent has done.

Of Vaswani et al. (2017), "Attention Is All You Need", with layers normalized before they are entered (Xiong et al.
2020), which learn without a warm-up.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supervised.training.errors import require


class Attention(nn.Module):
    """Self-attention with several heads: softmax(q k^T / sqrt(d)) v, of queries, keys and values made of each place.

    Args:
        units: of each place, shared out to the heads.
        causal: places see themselves and those before.

    Raises:
        UserError: units that cannot be shared out.
    """

    def __init__(self, units: int, heads: int, causal: bool) -> None:
        super().__init__()
        require(heads >= 1 and units % heads == 0, "heads", heads, f"{units} units must be a multiple of it")
        self.heads, self.causal = heads, causal
        self.together = nn.Linear(units, 3 * units)
        self.out = nn.Linear(units, units)

    def forward(self, places: Tensor, seen: Tensor | None = None) -> Tensor:
        """See `Transformer`."""
        q, k, v = self.together(places).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if seen is not None:
            seen = seen[:, None, None]  # the same for every head and every query
            if self.causal:
                seen = seen & torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool, device=seen.device).tril()
        mixed = F.scaled_dot_product_attention(q, k, v, seen, is_causal=self.causal and seen is None)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention, then two fully connected layers of each place by itself; both are added to what comes in."""

    def __init__(self, units: int, heads: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_dense = nn.LayerNorm(units), nn.LayerNorm(units)
        self.attention = Attention(units, heads, causal)
        self.dense = nn.Sequential(nn.Linear(units, 4 * units), nn.GELU(), nn.Linear(4 * units, units))
        self.dropout = nn.Dropout(dropout)

    def forward(self, places: Tensor, seen: Tensor | None = None) -> Tensor:
        """See `Transformer`."""
        places = places + self.dropout(self.attention(self.before_attention(places), seen))
        return places + self.dropout(self.dense(self.before_dense(places)))


class Transformer(nn.Module):
    """Layers upon each other: ``forward(places (batch, time, units), seen (batch, time))``, and as many places out.

    What a place is and where it stands is for the caller to put into its units (`sinusoids`). Where ``seen`` is false,
    no other place looks; a place that may look nowhere gets numbers that mean nothing.

    Args:
        causal: places see themselves and those before.

    Raises:
        UserError: units that heads cannot share.
    """

    def __init__(self, units: int, layers: int, heads: int, causal: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(units, heads, causal, dropout) for _ in range(layers))
        self.normalized = nn.LayerNorm(units)

    def forward(self, places: Tensor, seen: Tensor | None = None) -> Tensor:
        """See the class."""
        for layer in self.layers:
            places = layer(places, seen)
        normalized: Tensor = self.normalized(places)
        return normalized


def sinusoids(length: int, units: int) -> Tensor:
    """Where places stand ``(length, units)``: sin(t / 10000^(2i / units)), and cos of the same beside it."""
    places = torch.arange(length)[:, None] * 10_000.0 ** (-torch.arange(0, units, 2) / units)
    return torch.stack([places.sin(), places.cos()], -1).flatten(1)[:, :units]

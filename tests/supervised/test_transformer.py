"""Transformer layers."""

import pytest
import torch
from torch import nn

from supervised.training.errors import UserError
from supervised.transformer import Attention, Transformer, sinusoids

PLACES = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs(causal: bool) -> None:
    ours, theirs = Attention(8, 2, causal), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.together.weight)
        theirs.in_proj_bias.copy_(ours.together.bias)
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    hidden = torch.ones(6, 6).triu(1).bool() if causal else None
    expected, _ = theirs(PLACES, PLACES, PLACES, attn_mask=hidden, need_weights=False)
    torch.testing.assert_close(ours(PLACES), expected, atol=1e-6, rtol=1e-5)


def test_places_see_none_that_come_after() -> None:
    network = Transformer(8, layers=2, heads=2, causal=True)
    changed = PLACES.clone()
    changed[:, 4:] = changed[:, 4:].roll(1, -1)
    before, after = network(PLACES), network(changed)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert (after[:, 4:] - before[:, 4:]).abs().amax() > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_what_is_not_to_be_seen_changes_nothing(causal: bool) -> None:
    network = Transformer(8, layers=2, heads=4, causal=causal)
    seen = torch.tensor([[True] * 4 + [False] * 2] * 3)
    changed = PLACES.clone()
    changed[:, 4:] = changed[:, 4:].roll(1, -1)
    torch.testing.assert_close(network(changed, seen)[:, :4], network(PLACES, seen)[:, :4])
    torch.testing.assert_close(network(PLACES, seen)[:, :4], network(PLACES[:, :4])[:, :4])


def test_order_matters_by_sinusoids_alone() -> None:
    network = Transformer(8, layers=1, heads=2)
    turned = PLACES.flip(1)
    torch.testing.assert_close(network(turned), network(PLACES).flip(1))
    where = sinusoids(6, 8)
    assert (network(turned + where) - network(PLACES + where).flip(1)).abs().amax() > 1e-3


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(50, 7)
    assert found.shape == (50, 7)
    assert found[3, 0].item() == pytest.approx(0.1411, abs=1e-4)  # sin 3
    assert found[3, 1].item() == pytest.approx(-0.98999, abs=1e-4)  # cos 3
    assert found[40, 2].item() == pytest.approx(torch.tensor(40 / 10_000 ** (2 / 7)).sin().item(), abs=1e-5)


def test_heads_that_cannot_share_are_refused() -> None:
    with pytest.raises(UserError, match="heads=3: 8 units must be a multiple of it"):
        Transformer(8, layers=1, heads=3)

"""Encoder, attention and decoder: scores by hand, padding that changes nothing, one step at a time or all at once."""

import dataclasses

import numpy as np
import pytest
import torch

from supervised.language.recurrent import Additive, Decoder, DecoderSettings, Encoder, Multiplicative, begun
from supervised.language.vocabulary import EOS, GO, PAD
from supervised.training.errors import UserError

BASE = DecoderSettings(embedding=5, hidden=6)
KINDS = [
    *(DecoderSettings(embedding=5, hidden=6, attention=one, cell=cell) for one in ("none", "bahdanau", "luong")
      for cell in ("lstm", "gru")),
    DecoderSettings(embedding=5, hidden=6, attention="luong", score="dot", layers=2),
    DecoderSettings(embedding=5, hidden=6, attention="bahdanau", layers=3),
]  # fmt: skip


def names(config: DecoderSettings) -> str:
    return f"{config.attention}-{config.score}-{config.cell}-{config.layers}"


def parts(config: DecoderSettings, both: bool = True) -> tuple[Encoder, Decoder]:
    torch.manual_seed(0)
    return Encoder(9, config, both), Decoder(8, config)


def texts() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs of 3 and 5 tokens with their lengths, and targets."""
    tokens = torch.tensor([[5, 6, EOS, PAD, PAD], [4, 8, 7, 7, EOS]])
    return tokens, torch.tensor([3, 5]), torch.tensor([[4, 5, EOS, PAD], [7, 6, 5, EOS]])


def test_scores_by_hand() -> None:
    rng = torch.Generator().manual_seed(0)
    states, places = torch.randn(2, 3, 4, generator=rng), torch.randn(2, 5, 4, generator=rng)
    torch.manual_seed(0)
    additive, general, dot = Additive(4), Multiplicative(4, "general"), Multiplicative(4, "dot")
    found = [one(states, one.of_places(places)).detach().numpy() for one in (additive, general, dot)]
    weights = {name: one.detach().numpy() for name, one in (*additive.named_parameters(), *general.named_parameters())}
    u, bias = additive.of_places.weight.detach().numpy(), additive.of_places.bias.detach().numpy()
    w, v = weights["of_state.weight"], weights["v.weight"][0]
    for batch in range(2):
        for t in range(3):
            for place in range(5):
                s, h = states[batch, t].numpy(), places[batch, place].numpy()
                by_hand = [v @ np.tanh(w @ s + u @ h + bias), s @ general.of_places.weight.detach().numpy() @ h, s @ h]
                np.testing.assert_allclose([one[batch, t, place] for one in found], by_hand, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", KINDS, ids=names)
def test_all_at_once_is_one_after_the_other(config: DecoderSettings) -> None:
    encoder, decoder = parts(config)
    tokens, lengths, targets = texts()
    places, last = encoder(tokens, lengths)
    state = decoder.begin(last, places, torch.arange(5) < lengths[:, None])
    logits, after, weights = decoder(begun(targets), state)
    assert logits.shape == (2, 4, 8)
    for t, one in enumerate(begun(targets).split(1, 1)):
        step, state, look = decoder(one, state)
        torch.testing.assert_close(step[:, 0], logits[:, t])
        assert (look is None) == (weights is None)
        if look is not None and weights is not None:
            torch.testing.assert_close(look[:, 0], weights[:, t])
    for one, other in zip(state, after, strict=True):
        torch.testing.assert_close(one, other)
    if weights is not None:
        torch.testing.assert_close(weights.sum(2), torch.ones(2, 4))
        assert bool((weights[0, :, 3:] == 0).all()) and bool((weights[0, :, :3] > 0).all())


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_padding_changes_nothing(cell: str, both: bool) -> None:
    """A text's states are the same alone and beside a longer one; the last ones are where each direction ends."""
    encoder, _ = parts(dataclasses.replace(BASE, cell=cell, layers=2), both)
    tokens, lengths, _ = texts()
    places, last = encoder(tokens, lengths)
    alone, its_last = encoder(tokens[:1, :3], lengths[:1])
    torch.testing.assert_close(places[:1, :3], alone)
    for one, other in zip(last, its_last, strict=True):
        assert one.shape == (2, 2, 6)
        torch.testing.assert_close(one[:1], other)
    top = last[0][:, -1]
    if both:
        expected = torch.cat([places[[0, 1], lengths - 1, :3], places[:, 0, 3:]], 1)
    else:
        expected = places[[0, 1], lengths - 1]
    torch.testing.assert_close(top, expected)


def test_what_it_looks_at_is_the_mean_by_weights() -> None:
    """Where all places are one and the same, attention adds what they are, however it looks."""
    config = dataclasses.replace(BASE, attention="luong", score="dot")
    _, decoder = parts(config)
    place = torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(1))
    last = torch.zeros(1, 1, 6), torch.zeros(1, 1, 6)
    logits = []
    for count in (1, 4):
        state = decoder.begin(last, place.expand(1, count, 6), torch.ones(1, count, dtype=torch.bool))
        logits.append(decoder(torch.tensor([[GO, 4]]), state)[0])
    torch.testing.assert_close(*logits)


def test_the_loss_by_hand_and_teacher_forcing() -> None:
    """Padding counts for nothing; a decoder that is never given the right tokens is given its own."""
    encoder, decoder = parts(BASE)
    tokens, lengths, targets = texts()
    places, last = encoder(tokens, lengths)
    state = decoder.begin(last, places, torch.arange(5) < lengths[:, None])
    log_probs = decoder(begun(targets), state)[0].log_softmax(2)
    by_hand = [-log_probs[row, t, target] for row in range(2) for t, target in enumerate(targets[row]) if target != PAD]
    forced = decoder.loss(targets, state, 1.0)
    torch.testing.assert_close(forced, torch.stack(by_hand).mean())
    free, given, told = [], torch.full((2, 1), GO), state
    for t in range(4):
        logits, told, _ = decoder(given, told)
        free += [-logits[row, 0].log_softmax(0)[targets[row, t]] for row in range(2) if targets[row, t] != PAD]
        given = logits.argmax(2)
    torch.testing.assert_close(decoder.loss(targets, state, 0.0), torch.stack(free).mean())
    assert decoder.loss(targets, state, 0.0).item() != pytest.approx(forced.item())


def test_an_odd_number_of_units_has_no_halves() -> None:
    with pytest.raises(UserError, match="hidden=7: use an even number"):
        parts(dataclasses.replace(BASE, hidden=7))

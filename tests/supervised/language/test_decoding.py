"""Greedy and beam search against all sequences there are, of a small model; tokens as numbers."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from supervised.data.text import packed, unpacked
from supervised.language.decoding import State, beam_search
from supervised.language.vocabulary import EOS, GO, PAD, SPECIAL, UNK, padded, vocabulary_of

END, START, SIZE = 0, 1, 5


def markov(seed: int, rows: int = 1) -> tuple[Tensor, State]:
    """For each row the chances of a token after another, and a state that counts steps and says which row it is."""
    table = torch.randn(rows, SIZE, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    table[:, :, START] = -torch.inf
    return table.log_softmax(2), (torch.arange(rows), torch.zeros(rows, dtype=torch.int64))


def follow(table: Tensor, tokens: Tensor, state: State) -> tuple[Tensor, State]:
    which, steps = state
    return table[which, tokens], (which, steps + 1)


def log_prob(table: Tensor, text: tuple[int, ...]) -> float:
    return sum(float(table[before, after]) for before, after in itertools.pairwise((START, *text)))


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_likeliest_of_all(seed: int) -> None:
    table, state = markov(seed, rows=3)
    limit = 4
    found = beam_search(lambda *one: follow(table, *one), state, START, END, limit, beam=SIZE**limit)
    others = [token for token in range(SIZE) if token not in (END, START)]
    every = [
        (*text, *([END] if length < limit else []))
        for length in range(limit + 1)
        for text in itertools.product(others, repeat=length)
    ]
    for row in range(3):
        best = max(every, key=lambda text, row=row: log_prob(table[row], text))
        assert found.tokens[row] == [token for token in best if token != END]
        assert found.log_probs[row].item() == pytest.approx(log_prob(table[row], best))


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_takes_the_likeliest_token_each_time(seed: int) -> None:
    table, state = markov(seed, rows=2)
    found = beam_search(lambda *one: follow(table, *one), state, START, END, limit=6)
    for row in range(2):
        text: list[int] = []
        while len(text) < 6 and END not in text:
            text.append(int(table[row, text[-1] if text else START].argmax()))
        assert found.tokens[row] == [token for token in text if token != END]
        assert found.log_probs[row].item() == pytest.approx(log_prob(table[row], tuple(text)))


def test_two_hypotheses_see_through_a_bait() -> None:
    """The likelier first token leads nowhere: 0.6 x 0.3 against 0.4 x 1."""
    chances = torch.tensor([[1, 0, 0, 0], [0, 0, 0.6, 0.4], [0.3, 0, 0.35, 0.35], [1, 0, 0, 0]], dtype=torch.float64)

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        return chances.log()[tokens], state

    state = (torch.zeros(1),)
    assert beam_search(step, state, START, END, 3, beam=1).tokens[0][0] == 2
    found = beam_search(step, state, START, END, 3, beam=2)
    assert found.tokens == [[3]] and found.log_probs.exp().item() == pytest.approx(0.4)


def test_states_go_with_their_hypotheses() -> None:
    """The state says which tokens were taken: a model that must repeat its first one would fail with another's."""

    def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
        first, count = state
        first = torch.where(count == 1, tokens, first)
        logits = torch.full((len(tokens), 6), -9.0)
        logits[:, 2:] = torch.tensor([0.4, 0.3, 0.2, 0.1])
        logits[count > 0] = -9.0
        logits[torch.arange(len(tokens)), torch.where(count > 2, END, first)] = 0.0
        logits[count == 0, END] = -9.0
        return logits.log_softmax(1), (first, count + 1)

    zeros = torch.zeros(2, dtype=torch.int64)
    found = beam_search(step, (zeros, zeros), START, END, 5, beam=4)
    assert found.tokens == [[2, 2, 2]] * 2


def test_texts_are_filled_up_and_turned() -> None:
    vocabulary = vocabulary_of([["b", "a"], [" ", "\n"]])
    assert vocabulary == (*SPECIAL, "\n", " ", "a", "b")
    numbers, lengths = padded([["a", "b", "?"], [], ["a"]], vocabulary)
    assert numbers.tolist() == [[6, 7, UNK, EOS], [EOS, PAD, PAD, PAD], [6, EOS, PAD, PAD]]
    assert lengths.tolist() == [4, 1, 2] and GO not in numbers
    turned, _ = padded([["a", "b", "?"], ["b"]], vocabulary, reverse=True)
    assert turned.tolist() == [[UNK, 7, 6, EOS], [7, EOS, PAD, PAD]]
    assert unpacked(packed(vocabulary)) == vocabulary


def test_probabilities_of_more_hypotheses_are_no_lower() -> None:
    table, state = markov(7, rows=20)
    found = [beam_search(lambda *one: follow(table, *one), state, START, END, 8, beam).log_probs for beam in (1, 3, 40)]
    assert bool((found[1] >= found[0] - 1e-9).float().mean() > 0.8) and bool((found[2] >= found[0] - 1e-9).all())
    assert np.isfinite(found[2].numpy()).all()

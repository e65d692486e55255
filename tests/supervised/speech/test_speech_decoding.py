"""Beam search over prefixes by enumeration, language models and lattices."""

import itertools

import numpy as np
import pytest
import torch

from supervised.speech.ctc import ctc_loss
from supervised.speech.decoding import LanguageModel, beam_search, lattice, lexicon_tree, words_at
from supervised.training.errors import UserError

SPELLINGS = [[1], [1, 2], [2, 2], [2, 1]]  # the first word is the beginning of the second


def log_chances(seed: int, steps: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(steps, 3))
    return found - np.logaddexp.reduce(found, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("read", [False, True])
def test_the_likeliest_words_by_hand(seed: int, read: bool) -> None:
    log_y = log_chances(seed, 5)
    model = LanguageModel([(0, 1), (0, 1, 2), (3, 0)], 4) if read else None
    wanted = {}
    for words in itertools.chain.from_iterable(itertools.product(range(4), repeat=n) for n in range(5)):
        labels = np.array([label for word in words for label in SPELLINGS[word]], np.int64)
        score = -ctc_loss(torch.from_numpy(log_y)[None], [5], [labels]).item()
        for k, word in enumerate(words):
            score += model.following(words[:k])[1 + word] if model else 0
        if score > -np.inf:
            wanted[words] = score + (model.following(words)[0] if model else 0)
    found = beam_search(log_y, lexicon_tree(SPELLINGS), model, width=1_000)
    assert {one.words for one in found} == set(wanted)
    for one in found:
        assert one.score == pytest.approx(wanted[one.words])
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    narrow = beam_search(log_y, lexicon_tree(SPELLINGS), model, width=4)
    assert narrow[0].score <= found[0].score + 1e-9


def test_a_language_model_decides_what_sounds_alike() -> None:
    log_y = np.log(np.array([[0.1, 0.46, 0.44], [0.98, 0.01, 0.01], [0.1, 0.44, 0.46]]))
    root = lexicon_tree([[1], [2]])
    assert beam_search(log_y, root)[0].words == (0, 1)
    model = LanguageModel([(0, 0), (1, 0)] * 20, 2)
    assert beam_search(log_y, root, model)[0].words == (0, 0)
    assert beam_search(log_y, root, model, weight=0.0)[0].words == (0, 1)
    assert np.exp(model.following(())).sum() == pytest.approx(1)
    assert model.following((1,))[1] > model.following((1,))[2]


def test_a_lattice_has_all_that_may_have_been_said() -> None:
    log_y = np.log(np.array([[0.1, 0.6, 0.3], [0.98, 0.01, 0.01], [0.1, 0.45, 0.45], [0.98, 0.01, 0.01]]))
    spellings = [[1], [2]]
    found = beam_search(log_y, lexicon_tree(spellings))
    edges = lattice(log_y, found, spellings)
    chances = {edge[:3]: edge.chance for edge in edges}
    assert chances[0, 0, 2] > chances[1, 0, 2] > 0.2  # the first sound is rather a 0
    assert chances[0, 2, 4] == pytest.approx(chances[1, 2, 4], rel=0.25)  # the second one either
    assert chances[0, 0, 4] < 0.2  # or there was only one
    assert all(edge.chance >= 0.25 for edge in lattice(log_y, found, spellings, least=0.25))
    assert words_at(log_y, (0, 1), spellings) == [(0, 0, 2), (1, 2, 4)] and words_at(log_y, (), spellings) == []
    assert lattice(log_y, [], spellings) == []


def test_mistakes() -> None:
    with pytest.raises(UserError, match="lexicon=1: a word needs labels"):
        lexicon_tree([[1], []])
    with pytest.raises(UserError, match="width=0: keep at least 1 prefix"):
        beam_search(log_chances(0, 2), lexicon_tree(SPELLINGS), width=0)

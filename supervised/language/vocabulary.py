"""Tokens as numbers for models that read or write sequences, with the special ones: <unk>, <pad>, <go> and <eos>.

<unk> stands for what a vocabulary does not have, <pad> fills short sequences of a batch up, <go> is what a decoder
begins after, and <eos> ends a sequence.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from supervised.data.text import UNKNOWN, encode

SPECIAL = (UNKNOWN, "<pad>", "<go>", "<eos>")
UNK, PAD, GO, EOS = range(len(SPECIAL))

Vocabulary = tuple[str, ...]


def vocabulary_of(texts: Iterable[Iterable[str]]) -> Vocabulary:
    """The special tokens, and in order all that texts have."""
    return (*SPECIAL, *sorted({token for text in texts for token in text}))


def padded(texts: Sequence[list[str]], vocabulary: Vocabulary, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """Numbers ``(batch, time)`` of texts, each followed by <eos> and then <pad>, and lengths with <eos> ``(batch,)``.

    Args:
        reverse: the last token comes first (Sutskever et al. 2014), and <eos> still last.
    """
    turned = [text[::-1] if reverse else text for text in texts]
    lengths = np.array([len(text) + 1 for text in turned])
    numbers = np.full((len(turned), lengths.max()), PAD, np.int64)
    ends = np.arange(numbers.shape[1]) == lengths[:, None] - 1
    numbers[ends] = EOS
    before = np.arange(numbers.shape[1]) < lengths[:, None] - 1
    numbers[before] = encode(list(chain.from_iterable(turned)), vocabulary)
    return torch.from_numpy(numbers), torch.from_numpy(lengths)

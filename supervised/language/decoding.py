"""Sequences out of a model that tells the next token: greedy, or by beam search.

What is looked for is the y of the greatest P(y | x) = P(y_1 | x) P(y_2 | x, y_1) ... P(<eos> | x, y_1 ... y_n). With
one hypothesis, the likeliest token is taken at each place; with more, those that are likeliest so far are kept.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

#: all that a model's next step depends on; rows are hypotheses
State = tuple[Tensor, ...]
#: tokens ``(rows,)`` and the state before them -> log P of the next ones ``(rows, vocabulary)`` and the state after
Step = Callable[[Tensor, State], tuple[Tensor, State]]


class Found(NamedTuple):
    """The likeliest sequences found."""

    tokens: list[list[int]]
    """Without their end."""
    log_probs: Tensor
    """log P of each, its end included where it has one ``(batch,)``."""


def beam_search(step: Step, state: State, go: int, end: int, limit: int, beam: int = 1) -> Found:
    """The likeliest sequence for every row of ``state``, of at most ``limit`` tokens with the end.

    Args:
        state: before the first token ``(batch, ...)`` each.
        go: the token that a sequence begins after.
        end: the token that ends it.
        beam: hypotheses that are kept; 1: greedy.
    """
    batch, device = len(state[0]), state[0].device
    state = tuple(one.repeat_interleave(beam, 0) for one in state)
    scores = torch.full((batch, beam), -torch.inf, device=device)
    scores[:, 0] = 0  # all hypotheses are alike yet: one is enough
    first = torch.arange(batch, device=device)[:, None] * beam
    tokens = torch.full((batch * beam,), go, device=device)
    texts = torch.empty((batch, beam, 0), dtype=torch.int64, device=device)
    ended = torch.zeros((batch, beam), dtype=torch.bool, device=device)
    for _ in range(limit):
        log_probs, state = step(tokens, state)
        size = log_probs.shape[1]
        nothing_more = torch.full((size,), -torch.inf, device=device)
        nothing_more[end] = 0  # what has ended stays as it is, and as likely
        following = torch.where(ended[..., None], nothing_more, log_probs.view(batch, beam, size))
        scores, places = (scores[..., None] + following).flatten(1).topk(beam)  # log P(y_1 ... y_t | x)
        parents, chosen = places // size, places % size
        rows = (first + parents).flatten()
        state = tuple(one[rows] for one in state)
        texts = torch.cat([texts.flatten(0, 1)[rows].unflatten(0, (batch, beam)), chosen[..., None]], 2)
        ended = ended.gather(1, parents) | (chosen == end)
        tokens = chosen.flatten()
        if ended[:, 0].all():  # what goes on becomes less likely only, so that none can overtake
            break
    best = texts[:, 0].tolist()
    return Found([one[: one.index(end)] if end in one else one for one in best], scores[:, 0])

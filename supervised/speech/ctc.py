"""Connectionist temporal classification (Graves et al. 2006; book, chapter 7, "CTC").

A path has a label or the blank at every step; what it says is left when repeated labels are one, and blanks are away.
P(labels) is the sum of the chances of all paths that say them. Over the labels l' with blanks between and around,

    a_t(s) = y_t(l'_s) (a_{t-1}(s) + a_{t-1}(s-1) + [l'_s is no blank and not l'_{s-2}] a_{t-1}(s-2))
    b_t(s) = the same backwards, from the end, without y_t
    P(labels) = a_T(S) + a_T(S-1)
    -d log P / d log y_t(k) = -sum over s with l'_s = k of a_t(s) b_t(s) / P
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from supervised.speech.viterbi import viterbi

Array = NDArray[Any]

BLANK = 0


def said(path: Array) -> list[int]:
    """What a path ``(time,)`` says: 0aa0ab00 with 0 as the blank says aab."""
    firsts = np.flatnonzero(np.diff(path, prepend=BLANK))
    return [int(label) for label in path[firsts] if label != BLANK]


@njit(cache=True, nogil=True)
def _added(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    if a < b:
        a, b = b, a
    return a + np.log1p(np.exp(b - a)) if b > -np.inf else a


@njit(cache=True, nogil=True)
def _forward_backward(log_y, labels, alpha, beta, gradient):  # type: ignore[no-untyped-def]
    """Fill ``alpha`` and ``beta`` (time, 2 n + 1), add to ``gradient`` (time, classes), and return -log P."""
    steps, places = alpha.shape
    alpha[:] = -np.inf
    beta[:] = -np.inf
    alpha[0, 0] = log_y[0, BLANK]
    beta[steps - 1, places - 1] = 0.0
    if places > 1:
        alpha[0, 1] = log_y[0, labels[0]]
        beta[steps - 1, places - 2] = 0.0
    for t in range(1, steps):
        for s in range(places):
            label = labels[s // 2] if s % 2 else BLANK
            total = alpha[t - 1, s]
            if s > 0:
                total = _added(total, alpha[t - 1, s - 1])
            if s > 1 and s % 2 and label != labels[s // 2 - 1]:
                total = _added(total, alpha[t - 1, s - 2])
            alpha[t, s] = total + log_y[t, label]
    for t in range(steps - 2, -1, -1):
        for s in range(places):
            total = beta[t + 1, s] + log_y[t + 1, labels[s // 2] if s % 2 else BLANK]
            if s + 1 < places:
                following = labels[(s + 1) // 2] if (s + 1) % 2 else BLANK
                total = _added(total, beta[t + 1, s + 1] + log_y[t + 1, following])
            if s + 2 < places and s % 2 and labels[s // 2] != labels[s // 2 + 1]:
                total = _added(total, beta[t + 1, s + 2] + log_y[t + 1, labels[s // 2 + 1]])
            beta[t, s] = total
    chance = alpha[steps - 1, places - 1]
    if places > 1:
        chance = _added(chance, alpha[steps - 1, places - 2])
    if chance > -np.inf:
        for t in range(steps):
            for s in range(places):
                gradient[t, labels[s // 2] if s % 2 else BLANK] -= np.exp(alpha[t, s] + beta[t, s] - chance)
    return -chance


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_y: Tensor, lengths: list[int], labels: list[Array]) -> Tensor:
        chances = log_y.detach().cpu().double().numpy()
        gradients = np.zeros_like(chances)
        losses = np.zeros(len(labels))
        for k, (steps, wanted) in enumerate(zip(lengths, labels, strict=True)):
            alpha, beta = np.empty((2, steps, 2 * len(wanted) + 1))
            losses[k] = _forward_backward(chances[k, :steps], wanted, alpha, beta, gradients[k])
        ctx.save_for_backward(torch.from_numpy(gradients).to(log_y))
        return torch.from_numpy(losses).to(log_y)

    @staticmethod
    def backward(ctx: Any, *by_losses: Tensor) -> tuple[Tensor, None, None]:
        (gradients,) = ctx.saved_tensors
        return gradients * by_losses[0][:, None, None], None, None


def ctc_loss(log_y: Tensor, lengths: list[int], labels: list[Array]) -> Tensor:
    """-log P(labels) of every sequence ``(batch,)``, infinite and without gradient where no path says them.

    Args:
        log_y: logarithms of chances ``(batch, time, classes)``; class `BLANK` is the blank.
        lengths: how many steps of each count.
        labels: of each ``(n,)`` int64, none of them the blank.
    """
    found: Tensor = _Loss.apply(log_y, lengths, labels)
    return found


def aligned(log_y: Array, labels: Array) -> Array:
    """The likeliest path ``(time,)`` that says these labels: which place of l' each step is at, even ones being blanks.

    Raises:
        UserError: there are fewer steps than labels, and blanks between equal ones, need.
    """
    places = np.full(2 * len(labels) + 1, BLANK)
    places[1::2] = labels
    moves = np.full((len(places), len(places)), -np.inf)
    for s in range(len(places)):
        moves[s, s : s + 2] = 0
        if s % 2 and s + 2 < len(places) and places[s] != places[s + 2]:
            moves[s, s + 2] = 0
    start, end = np.full((2, len(places)), -np.inf)
    start[:2], end[-2:] = 0, 0
    return viterbi(log_y[:, places], start, moves, end)[0]

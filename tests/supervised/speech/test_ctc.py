"""CTC by enumeration of all paths, and against torch's."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised.speech.ctc import aligned, ctc_loss, said
from supervised.training.errors import UserError


def chances(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).requires_grad_()


def test_the_books_path() -> None:
    assert said(np.array([0, 1, 1, 0, 1, 2, 0, 0])) == [1, 1, 2]  # "-aa-ab--" says "aab"
    assert said(np.array([0, 0])) == [] and said(np.array([2, 2])) == [2]


@pytest.mark.parametrize("labels", [[], [1], [2, 1], [1, 1], [1, 2, 1]])
def test_all_paths_by_hand(labels: list[int]) -> None:
    log_y = chances(0, 1, 4, 3).log_softmax(-1)
    y = log_y.exp()[0].detach().numpy()
    total = sum(
        np.prod([y[t, k] for t, k in enumerate(path)])
        for path in itertools.product(range(3), repeat=4)
        if said(np.array(path)) == labels
    )
    found = ctc_loss(log_y, [4], [np.array(labels, np.int64)])
    assert found.item() == pytest.approx(-np.log(total))


def test_values_and_gradients_are_torchs() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(20, 41, 12).tolist()
    labels = [rng.integers(1, 6, rng.integers(0, 9)) for _ in lengths]
    logits, weights = chances(2, 12, 40, 6), torch.from_numpy(rng.random(12))
    ours = ctc_loss(logits.log_softmax(-1), lengths, labels)
    theirs = F.ctc_loss(
        *(logits.log_softmax(-1).transpose(0, 1), torch.from_numpy(np.concatenate(labels)), torch.tensor(lengths)),
        torch.tensor([len(one) for one in labels]),
        reduction="none",
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    gradients = [torch.autograd.grad((weights * one).sum(), logits)[0] for one in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_gradients_by_differences() -> None:
    labels = [np.array([1, 1, 2]), np.array([], np.int64)]
    assert torch.autograd.gradcheck(lambda log_y: ctc_loss(log_y, [6, 4], labels), chances(3, 2, 6, 3))


def test_what_no_path_says() -> None:
    logits = chances(4, 2, 3, 3)
    found = ctc_loss(logits.log_softmax(-1), [3, 3], [np.array([1, 1, 2]), np.array([1, 2])])
    assert found[0] == torch.inf and torch.isfinite(found[1])
    (gradient,) = torch.autograd.grad(found[1], logits)
    assert torch.isfinite(gradient).all() and (gradient[0] == 0).all()
    with pytest.raises(UserError, match="no path through 7 states has 3 steps"):
        aligned(logits[0].detach().numpy(), np.array([1, 1, 2]))


def test_the_likeliest_path_by_hand() -> None:
    log_y = chances(5, 6, 3).log_softmax(-1).detach().numpy()
    labels = np.array([1, 1, 2])
    paths = [path for path in itertools.product(range(3), repeat=6) if said(np.array(path)) == labels.tolist()]
    best = max(paths, key=lambda path: sum(log_y[t, k] for t, k in enumerate(path)))
    places = aligned(log_y, labels)
    assert [int(np.array([0, 1, 0, 1, 0, 2, 0])[place]) for place in places] == list(best)

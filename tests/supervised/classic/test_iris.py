"""Chapter 1's first network: the losses of the book to their last digit, and the flowers as Fisher has them."""

import numpy as np
import pytest
import torch

from supervised.classic import iris
from supervised.data import load

pytest.importorskip("sklearn", reason="needs the learn extra")

BOOK = {1: "1.2181", 10: "0.6745", 20: "0.2447", 30: "0.1397", 40: "0.1001", 50: "0.0855"}


def test_the_losses_of_the_book() -> None:
    state = torch.random.get_rng_state()
    learnt = iris.learn()
    assert {epoch: f"{learnt.losses[epoch - 1]:.4f}" for epoch in BOOK} == BOOK
    assert {epoch: f"{loss:.4f}" for epoch, loss in iris.PRINTED.items()} == BOOK
    assert learnt.right == 30 and len(learnt.losses) == 50
    assert torch.equal(torch.random.get_rng_state(), state), "nobody else's random numbers change"


def test_the_two_flowers_that_ucis_file_misprints() -> None:
    """Fisher 1936, and the notes in UCI's iris.names; rows 35 and 38 before the shuffling of the book."""
    data = load("iris")
    every = np.empty((150, 4), np.float32)
    order = np.random.RandomState(1234).choice(150, 150, replace=False)
    every[order] = np.concatenate([data.train.inputs, data.test.inputs])
    np.testing.assert_allclose(every[[34, 37]], [[4.9, 3.1, 1.5, 0.2], [4.9, 3.6, 1.4, 0.1]], rtol=1e-6)

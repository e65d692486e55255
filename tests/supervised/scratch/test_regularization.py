"""Batch normalization and dropout against torch and by their means; filters on pictures that are known."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from supervised.scratch import filters
from supervised.scratch.regularization import BatchNorm, Dropout
from supervised.training.errors import UserError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(20, 3), (4, 3, 5), (4, 3, 5, 6)])
def test_batch_normalization_is_torchs(shape: tuple[int, ...]) -> None:
    mine, theirs = BatchNorm(3), torch.nn.BatchNorm1d(3).double()
    mine.gamma, mine.beta = RNG.normal(size=3), RNG.normal(size=3)
    mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    gamma, beta = (torch.tensor(one, requires_grad=True) for one in (mine.gamma, mine.beta))
    assert theirs.eps == mine.epsilon and theirs.momentum == mine.momentum
    for _ in range(3):
        inputs = RNG.normal(2, 3, shape)
        x = torch.tensor(inputs, requires_grad=True)
        wanted = F.batch_norm(x, mean, variance, gamma, beta, training=True)
        outputs = mine.forward(inputs)
        np.testing.assert_allclose(outputs, wanted.detach().numpy(), atol=1e-10)
    gradient = RNG.normal(size=shape)
    wanted.backward(torch.tensor(gradient))
    for found, one in zip(mine.backward(gradient), (x, gamma, beta), strict=True):
        assert one.grad is not None
        np.testing.assert_allclose(found, one.grad.numpy(), atol=1e-9)
    np.testing.assert_allclose(mine.mean, mean.numpy(), atol=1e-12)
    np.testing.assert_allclose(mine.variance, variance.numpy(), atol=1e-12)
    after = F.batch_norm(torch.tensor(inputs), mean, variance, gamma, beta, training=False)
    np.testing.assert_allclose(mine.forward(inputs, training=False), after.detach().numpy(), atol=1e-10)


def test_dropout_keeps_means() -> None:
    layer, inputs = Dropout(0.3, np.random.default_rng(0)), np.ones((200, 500))
    outputs = layer.forward(inputs)
    assert abs((outputs == 0).mean() - 0.3) < 0.01 and abs(outputs.mean() - 1) < 0.01
    np.testing.assert_array_equal(layer.backward(inputs), outputs)
    np.testing.assert_array_equal(layer.forward(inputs, training=False), inputs)


def test_filters_of_known_pictures() -> None:
    step = np.zeros((9, 9))
    step[:, 5:] = 1
    steep = filters.edges(step)[1:-1, 1:-1]
    assert (steep[:, 3:5] == 4).all() and (np.delete(steep, (3, 4), 1) == 0).all()
    dot = np.zeros((9, 9))
    dot[4, 4] = 1
    bell = filters.gaussian(5, 1.0)
    np.testing.assert_allclose(filters.apply(dot, bell)[2:7, 2:7], bell)
    assert bell.sum() == pytest.approx(1) and bell[2, 2] == bell.max()
    with pytest.raises(UserError, match="size=4: use an odd number"):
        filters.gaussian(4, 1.0)


def test_the_astronaut() -> None:
    pytest.importorskip("skimage", reason="needs the learn extra")
    image = filters.astronaut()
    assert image.shape == (512, 512) and 0 <= image.min() < image.max() <= 1
    steepness = [
        filters.edges(filters.apply(image, filters.gaussian(15, deviation)))[15:-15, 15:-15].mean()
        for deviation in (0.1, 2.0, 4.0)
    ]
    assert steepness[0] > 1.3 * steepness[1] > 1.3**2 * steepness[2]

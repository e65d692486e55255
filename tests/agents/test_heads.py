"""Heads: what actions become, what a loss is worth by hand, and that what is encoded is decoded."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents import heads
from supervised.training.errors import UserError

CAR = gym.spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))


def test_classes() -> None:
    head = heads.build("classes", 5, gym.spaces.Discrete(4, start=2))
    assert head.encode(np.array([2, 5])).tolist() == [0, 3]
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    assert head.loss(logits, torch.tensor([1])).tolist() == pytest.approx([-np.log(0.2)])
    assert head.decode(logits).tolist() == [5]
    drawn = head.decode(logits.expand(20_000, 4), np.random.default_rng(0)) - 2
    assert np.bincount(drawn) / 20_000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)


def test_acceleration_is_gas_or_brake() -> None:
    head = heads.build("continuous", 5, CAR)
    actions = np.array([[-0.5, 0.75, 0], [1, 0, 0.25], [0, 0, 0]], np.float32)
    targets = head.encode(actions)
    assert targets.tolist() == [[-0.5, 0.75], [1, -0.25], [0, 0]]
    assert head.decode(torch.from_numpy(targets)).tolist() == actions.tolist()
    assert CAR.contains(head.decode(head(torch.full((1, 5), 100.0)).detach())[0])
    assert head.loss(torch.tensor([[0.5, 0.0]]), torch.tensor([[0.0, 1.0]])).tolist() == [1.25]


def test_steering_gas_and_brake_count_alike() -> None:
    head = heads.build("continuous", 5, CAR)
    targets = np.array([[0.1, 0.8], [-0.1, 0.8], [0.1, -0.2], [-0.1, -0.2]], np.float32)
    head.fit(targets)  # standard deviations 0.1, of gas 0.4, of brake 0.1
    outputs = torch.tensor([[0.1, 0.0], [0.0, 0.8], [0.0, -0.2], [0.0, 0.4]])
    wanted = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, -0.1]])
    assert head.loss(outputs, wanted).tolist() == pytest.approx([1, 2**2, 2**2, (1 + 1) ** 2])
    head.fit(targets * [1, 0])  # somebody who touches no pedal
    assert head.loss(outputs[:2], wanted[:2]).tolist() == pytest.approx([1, (0.8 / heads.LEAST_SPREAD) ** 2])


def test_gaussian() -> None:
    head = heads.build("gaussian", 5, CAR)
    outputs = torch.tensor([[0.0, 0.5, 0.5, np.log(0.1), 0.0, 0.0]], dtype=torch.float32)
    # -log N(0.2; 0, 0.1) without log sqrt(2 pi): log 0.1 + 2
    loss = head.loss(outputs, torch.tensor([[0.2, 0.5, 0.5]]))
    assert loss.tolist() == pytest.approx([np.log(0.1) + 2], rel=1e-5)
    assert head.decode(outputs).tolist() == [[0, 0.5, 0.5]]
    drawn = head.decode(outputs.expand(4000, 6), np.random.default_rng(0))
    assert drawn[:, 0].std() == pytest.approx(0.1, rel=0.05) and all(map(CAR.contains, drawn[:50]))


def test_alvinns_hill() -> None:
    head = heads.build("alvinn", 29, CAR)
    assert tuple(head.weight.shape) == (46, 29)
    middle, beside = torch.zeros(1, 46), torch.zeros(1, 46)
    distance = torch.arange(45) - 22.0
    middle[0, :45] = torch.exp(-(distance**2) / 10)
    beside[0, :45] = torch.exp(-((distance - 3) ** 2) / 10)
    straight = torch.tensor([[0.0, 0.0]])
    assert head.loss(middle, straight).item() == pytest.approx(0, abs=1e-10)
    assert head.loss(beside, straight).item() > 1
    assert head.decode(middle)[0].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert head.decode(beside)[0, 0] == pytest.approx(3 / 22, abs=1e-3)


@pytest.mark.parametrize("steering", [-1, -0.97, -0.31, 0.0, 0.62, 1])
def test_alvinn_reads_off_what_it_was_trained_towards(steering: float) -> None:
    head = heads.build("alvinn", 29, CAR)
    targets = torch.tensor([[steering, -0.5]], dtype=torch.float32)
    outputs = torch.zeros(1, 46, requires_grad=True)
    for _ in range(3):  # the loss is a sum of squares: half its gradient is the whole error
        (gradient,) = torch.autograd.grad(head.loss(outputs, targets).sum(), outputs)
        outputs = (outputs - gradient / 2).detach().requires_grad_()
    assert head.decode(outputs.detach())[0] == pytest.approx([steering, 0, 0.5], abs=0.02)


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("classes", CAR, "needs discrete actions"),
        ("continuous", gym.spaces.Discrete(7), "gives steering, gas and brake"),
        ("alvinn", gym.spaces.Box(-1, 1, (2,), np.float32), "gives steering, gas and brake"),
        ("gaussian", gym.spaces.Discrete(7), "needs actions in a Box"),
        ("gausian", CAR, "did you mean gaussian"),
    ],
)
def test_what_does_not_fit_is_named(name: str, space: gym.Space, message: str) -> None:
    with pytest.raises(UserError, match=message):
        heads.build(name, 10, space)


def test_unknown_actions_are_named() -> None:
    with pytest.raises(UserError, match="action 9 is unknown: this environment has 0 to 6"):
        heads.build("classes", 10, gym.spaces.Discrete(7)).encode(np.array([3, 9]))

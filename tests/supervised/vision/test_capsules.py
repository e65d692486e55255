"""Capsules: routing by hand, what holds of squash and assignments, learning, pictures, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data import DataSet, Split, sets
from supervised.registry import find
from supervised.vision import capsules
from supervised.vision.capsules import (
    CapsuleNetwork,
    Config,
    DynamicRouting,
    EMRouting,
    lengths,
    margin_loss,
    squash,
)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The data set "bars": 20 x 20 pixels with a bar, level or upright, at one of two places."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=260)
    images = rng.integers(40, size=(260, 20, 20)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        (image if label else image.T)[3:17, 6 + 7 * rng.integers(2)] = 250
    data = DataSet(Split(images[:200], labels[:200]), Split(images[200:], labels[200:]), ("level", "upright"))
    monkeypatch.setitem(sets.SETS, "bars", lambda: data)
    return data


def test_squash_keeps_directions_and_bounds_lengths() -> None:
    vectors = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.03, 0.04], [-300.0, 400.0]])
    squashed = squash(vectors)
    # |s| = 5: 25 / 26 of the direction (3, 4) / 5
    torch.testing.assert_close(squashed[0], 25 / 26 * torch.tensor([0.6, 0.8]))
    assert torch.equal(squashed[1], torch.zeros(2))
    torch.testing.assert_close(squashed[2], 0.0025 / 1.0025 * torch.tensor([0.6, 0.8]))
    assert 0.999 < lengths(squashed)[3] < 1 and lengths(squashed)[3] > lengths(squashed)[0]
    zero = torch.zeros(2, 3, requires_grad=True)
    lengths(squash(zero)).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_dynamic_routing_as_by_hand() -> None:
    """Two lower capsules, two higher ones, two dimensions, three iterations: procedure 1 of the paper, by loops."""
    u = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.6], [0.0, -1.0]]])  # u[i, j] = vote of i for j
    b = np.zeros((2, 2))
    for _ in range(3):
        v, c = np.zeros((2, 2)), np.zeros((2, 2))
        for i in range(2):
            c[i] = np.exp(b[i]) / np.exp(b[i]).sum()
        for j in range(2):
            s = sum(c[i, j] * u[i, j] for i in range(2))
            v[j] = (s @ s) / (1 + s @ s) * s / np.sqrt(s @ s) if s.any() else s
        for i in range(2):
            for j in range(2):
                b[i, j] += u[i, j] @ v[j]
    votes = torch.tensor(u)[None]
    poses, activations = DynamicRouting(2, 3)(votes, torch.ones(1, 2))
    np.testing.assert_allclose(poses[0], v, atol=1e-6)
    np.testing.assert_allclose(activations[0], np.linalg.norm(v, axis=1), atol=1e-6)
    assert activations[0, 0] > 0.5 > activations[0, 1], "votes for the first agree, those for the second cancel"
    once, _ = DynamicRouting(2, 1)(votes, torch.tensor([[1.0, 0.5]], dtype=torch.float64))
    torch.testing.assert_close(once[0, 0], squash(torch.tensor([0.5 + 0.25 * 0.8, 0.25 * 0.6], dtype=torch.float64)))


def test_em_maximizes_as_by_hand() -> None:
    """Three votes of two dimensions for one capsule, the third of half a capsule."""
    votes = torch.tensor([[[[0.0, 1.0]], [[2.0, 1.0]], [[4.0, 3.0]]]])
    router = EMRouting(1, 2)
    with torch.no_grad():
        router.cost.fill_(0.3)
        router.benefit.fill_(2.0)
    mean, variance, logits = router.maximize(torch.ones(1, 3, 1), votes, torch.tensor([[1.0, 1.0, 0.5]]), 0)
    # weights 0.4, 0.4, 0.2
    torch.testing.assert_close(mean[0, 0], torch.tensor([0.4 * 2 + 0.2 * 4, 0.8 + 0.2 * 3]))
    wanted = np.array([0.4 * 1.6**2 + 0.4 * 0.4**2 + 0.2 * 2.4**2, 0.8 * 0.4**2 + 0.2 * 1.6**2])
    np.testing.assert_allclose(variance[0, 0].detach(), wanted + 1e-4, rtol=1e-5)
    cost = (0.3 + 0.5 * np.log(wanted + 1e-4)).sum()
    np.testing.assert_allclose(logits.detach(), [[(2 - cost) / 2]], rtol=1e-4)


@given(st.integers(0, 1_000), st.integers(2, 6), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_assignments_of_a_vote_sum_to_1(seed: int, lower: int, higher: int) -> None:
    rng = np.random.default_rng(seed)
    votes = torch.tensor(5 * rng.normal(size=(2, lower, higher, 3)))
    active = torch.tensor(rng.uniform(size=(2, lower)))
    router = EMRouting(higher, 3)
    start = torch.full((2, lower, higher), 1 / higher, dtype=votes.dtype)
    assignments = router.expect(votes, *router.maximize(start, votes, active, 0))
    torch.testing.assert_close(assignments.sum(2), torch.ones(2, lower, dtype=votes.dtype))
    assert (assignments >= 0).all()
    poses, activations = router(votes, active)
    assert torch.isfinite(poses).all() and ((activations > 0) & (activations < 1)).all()


@pytest.mark.parametrize("kind", [DynamicRouting, EMRouting])
def test_routers_find_the_capsule_whose_votes_agree(kind: Callable[[int, int], torch.nn.Module]) -> None:
    """Ten of twelve votes for the first capsule agree, those for the second scatter."""
    rng = np.random.default_rng(0)
    pose = np.array([1.0, -1.0, 0.5, 2.0])
    votes = rng.normal(scale=1.2, size=(1, 12, 2, 4))
    votes[0, :10, 0] = pose + rng.normal(scale=0.02, size=(10, 4))
    poses, activations = kind(2, 5)(torch.tensor(votes), torch.ones(1, 12))
    assert activations[0, 0] > activations[0, 1]
    found = poses[0, 0].detach().numpy()
    assert found @ pose / np.linalg.norm(found) / np.linalg.norm(pose) > 0.97, "in the direction of the agreement"
    if kind is EMRouting:
        np.testing.assert_allclose(found, pose, atol=0.05)  # the two that scatter are assigned to the other


def test_margin_loss_as_by_hand() -> None:
    activations = torch.tensor([[0.7, 0.4, 0.05], [0.95, 0.1, 0.0]])
    # (0.9 - 0.7)^2 + 0.5 (0.4 - 0.1)^2, and 0
    torch.testing.assert_close(margin_loss(activations, torch.tensor([0, 0])), torch.tensor((0.04 + 0.045) / 2))


def test_the_papers_network_has_its_size() -> None:
    network = CapsuleNetwork(find("capsules").presets["paper"], np.zeros((1, 28, 28), np.uint8), 10)
    assert network.votes.shape == (1152, 8, 160), "32 x 6 x 6 primary capsules of 8 elements, 10 of 16"
    decoder = sum(one.numel() for one in network.decoder.parameters())
    whole = sum(one.numel() for one in network.parameters())
    assert whole - decoder == (81 + 1) * 256 + (81 * 256 + 1) * 256 + 1152 * 160 * 8
    assert decoder == 161 * 512 + 513 * 1024 + 1025 * 784


def test_a_primary_capsule_holds_eight_maps_at_one_place() -> None:
    network = CapsuleNetwork(Config(channels=4, capsules=3), np.zeros((1, 20, 20), np.uint8), 2)
    seen: list[torch.Tensor] = []
    network.router = Spy(seen)
    images = torch.rand(1, 1, 20, 20)
    network(images)
    maps = network.primary(torch.relu(network.convolution(images)))  # (1, 24, 2, 2)
    number = 1 * 4 + 1 * 2 + 0  # the second of three at row 1, column 0
    vector = maps[0, 8:16, 1, 0]
    wanted = vector / vector.norm() @ network.votes[number]
    torch.testing.assert_close(seen[0][0, number].flatten(), wanted)


class Spy(torch.nn.Module):
    """A router that keeps the votes."""

    def __init__(self, seen: list[torch.Tensor]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, votes: torch.Tensor, activations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append(votes)
        return votes.sum(1), activations


@pytest.mark.parametrize("routing", ["dynamic", "em"])
def test_both_routers_learn(routing: str, bars: DataSet) -> None:
    config = Config(data="bars", channels=8, capsules=8, epochs=8, batch_size=10, routing=routing, learning_rate=0.01)
    network = capsules.train(config)
    _, activations, _ = network.tell(bars.test.inputs)
    assert (activations.argmax(1) == bars.test.labels).mean() >= 0.95


def test_the_decoder_draws_from_the_pose_of_one_class_alone() -> None:
    network = CapsuleNetwork(Config(channels=4, capsules=1), np.zeros((1, 20, 20), np.uint8), 3)
    poses = torch.rand(2, 3, 16)
    drawn = network.reconstruct(poses, torch.tensor([1, 2]))
    assert drawn.shape == (2, 1, 20, 20) and ((drawn > 0) & (drawn < 1)).all()
    others = poses.clone()
    others[0, [0, 2]] += 1
    others[1, [0, 1]] += 1
    assert torch.equal(network.reconstruct(others, torch.tensor([1, 2])), drawn)
    others[0, 1, 3] += 1
    assert not torch.equal(network.reconstruct(others, torch.tensor([1, 2]))[0], drawn[0])


def test_a_run_by_command(bars: DataSet, tmp_path: Path) -> None:
    arguments = ["--data", "bars", "--channels", "4", "--capsules", "1", "--epochs", "1", "--batch-size", "20"]
    train_door.main(["capsules", *arguments, "--quiet", "--run-dir", str(tmp_path / "run")])
    evaluate_door.main([str(tmp_path / "run"), "--require", "reconstruction_error<100"])
    result = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert result["examples"] == 60 and result["ci95_low"] <= result["accuracy"]
    drawn = {path.name for path in (tmp_path / "run").glob("*.png")}
    assert drawn == {"curve.png", "confusion.png", "reconstructions.png", "dimensions.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--routing", "dynamc"], "unknown routing 'dynamc'; did you mean dynamic?"),
        (["--iterations", "0"], "iterations=0: use at least 1"),
        (["--data", "iris"], "data='iris': capsules see images alone"),
        (["--data", "digits"], "image='8 x 8': this network needs 17 x 17 pixels or more"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    if "--data" in arguments:
        pytest.importorskip("sklearn", reason="needs the learn extra")
    assert message in refused(train_door.main, "capsules", *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()

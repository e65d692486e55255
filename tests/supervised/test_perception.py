"""What a run has learnt to see, as a backbone and as a transform of observations."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from agents.policy import ppo
from agents.transforms import Transforms
from supervised import backbones
from supervised import train as train_door
from supervised.data import load
from supervised.perception import perception
from supervised.training.errors import UserError
from supervised.training.run import Run

pytest.importorskip("sklearn", reason="needs the learn extra")
SPACE = gym.spaces.Box(0, 255, (8, 8), np.uint8)


class Digits(gym.Env):
    """Shows a digit; the reward says whether the action is right that it is 5 or more."""

    observation_space = SPACE
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.examples = load("digits").train

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.row = int(self.np_random.integers(len(self.examples.labels)))
        return self.examples.inputs[self.row], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        reward = float((self.examples.labels[self.row] >= 5) == action)
        return self.examples.inputs[self.row], reward, True, False, {}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt to tell scikit-learn's digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    options = ["--data", "digits", "--epochs", "4", "--batch-size", "20", "--run-dir", str(folder), "--quiet"]
    train_door.main(["cnn", *options])
    return folder


def images(n: int) -> torch.Tensor:
    return torch.from_numpy(load("digits").test.inputs[:n])


def test_a_backbone_begins_with_what_a_run_has_learnt(run: Path) -> None:
    backbone = backbones.build("cnn", SPACE, weights=str(run))
    name, network = perception(run)
    assert name == "cnn" and backbone.feature_dim == 64
    features = backbone(images(5))
    torch.testing.assert_close(features, network(images(5)))
    assert (features >= 0).all() and features.std() > 0.1, "they are what the last ReLU lets pass"
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    stacked = backbones.build("cnn", gym.spaces.Box(0, 255, (3, 8, 8), np.uint8), weights=str(run))
    stack = images(6).unflatten(0, (2, 3))
    assert stacked.feature_dim == 3 * 64
    torch.testing.assert_close(stacked(stack), network(images(6)).reshape(2, 3 * 64))


def test_what_is_frozen_never_changes(run: Path) -> None:
    backbone = backbones.build("cnn", SPACE, weights=str(run), frozen=True)
    network = nn.Sequential(backbone, nn.Linear(backbone.feature_dim, 2)).train()
    assert not any(module.training for module in backbone.modules()) and network[1].training
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == ["1.weight", "1.bias"]


@pytest.mark.parametrize("frozen", [True, False])
def test_an_agent_learns_on_it(run: Path, frozen: bool) -> None:
    config = ppo.Config(
        env=Digits,
        backbone="cnn",
        backbone_weights=str(run),
        backbone_frozen=frozen,
        total_steps=2560,
        lanes=16,
        round_steps=16,
        evaluate_every=0,
    )
    agent = ppo.train(config)
    test = load("digits").test
    right = agent.act(test.inputs, deterministic=True) == (test.labels >= 5)
    assert right.mean() > 0.85
    kept = all(torch.equal(one, other) for one, other in zip(agent.network.actor.parameters(), fresh(run), strict=True))
    assert kept == frozen


def fresh(run: Path) -> Any:
    return backbones.build("cnn", SPACE, weights=str(run)).parameters()


def test_a_transform_shows_its_features_instead_of_the_image(run: Path) -> None:
    transforms = Transforms(SPACE, (f"perceive:{run}", "stack:2"))
    assert transforms.frame_space.shape == (64,) and transforms.space.shape == (2, 64)
    seen = transforms(images(7).numpy())
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, perception(run)[1](images(7)).detach().numpy(), rtol=1e-5, atol=1e-6)
    resized = Transforms(gym.spaces.Box(0, 255, (16, 16), np.uint8), ("resize:8:8", f"perceive:{run}"))
    assert resized.frame_space.shape == (64,)


def test_what_does_not_fit_is_named(run: Path, tmp_path: Path) -> None:
    coloured = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    with pytest.raises(UserError, match="that is a run of cnn, use --backbone cnn"):
        backbones.build("mlp", SPACE, weights=str(run))
    with pytest.raises(UserError, match="it learnt from other images than"):
        backbones.build("cnn", coloured, weights=str(run))
    with pytest.raises(UserError, match="that cnn learnt from other images than"):
        Transforms(coloured, (f"perceive:{run}",))
    with pytest.raises(UserError, match="the backbone would never learn: give its backbone_weights"):
        backbones.build("resnet18", SPACE, frozen=True)
    with pytest.raises(UserError, match="nowhere"):
        Transforms(SPACE, (f"perceive:{tmp_path}/nowhere",))
    Run.create(tmp_path / "dqn", algorithm="dqn", preset="default", config={}, total=1, progress=False).close()
    with pytest.raises(UserError, match="is a run of dqn, which makes no features of images"):
        perception(tmp_path / "dqn")

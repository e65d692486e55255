"""Q-networks and distributions of returns against numbers computed by hand; every refinement of DQN in a run."""

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from agents.replay import Replay
from agents.value import dqn
from agents.value.distributions import Categorical, Expected, Quantile
from agents.value.networks import Dueling, NoisyLinear, QNetwork
from supervised import backbones
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from tests.agents.test_dqn import ACTIONS, SMALL, SPACE, linear_agent, one_transition


def test_double_q_learning_chooses_and_values_with_different_networks() -> None:
    """At s' = (3, 1) the online network ranks (4, 6, -1): action 1; the target network says (9, 5, 7) there.

    y = 0.5 + 0.9 * 5 = 5; without `double` it would be 0.5 + 0.9 * 9 = 8.6. q(s, 0) = 3.
    """
    for double, expected in ((True, (3 - 5.0) ** 2), (False, (3 - 8.6) ** 2)):
        config = dataclasses.replace(SMALL, hidden=(), discount=0.9, loss="squared", batch_size=1, double=double)
        config = dataclasses.replace(config, bound_targets=False)
        learner = dqn.Learner(config, linear_agent(config))
        with torch.no_grad():
            learner.target.head.weight.copy_(torch.tensor([[3.0, 0.0], [1.0, 2.0], [2.0, 1.0]]))
        learner.update(one_transition(False), 0.0, np.random.default_rng(0))
        assert learner.metrics["loss"] == pytest.approx(expected, rel=1e-5)


def test_importance_weights_scale_the_loss() -> None:
    config = dataclasses.replace(SMALL, hidden=(), discount=0.9, loss="squared", batch_size=1, bound_targets=False)
    learner, replay = dqn.Learner(config, linear_agent(config)), one_transition(True)
    draw = replay.sample
    replay.sample = lambda *rest: draw(*rest)._replace(weights=np.array([0.25], np.float32))  # type: ignore[method-assign]
    learner.update(replay, 0.0, np.random.default_rng(0))
    assert learner.metrics["loss"] == pytest.approx(0.25 * 2.5**2)


def logits(*probabilities: float) -> torch.Tensor:
    return torch.tensor([probabilities]).log()


def column(value: float) -> torch.Tensor:
    return torch.tensor([[value]])


def test_projection_by_hand() -> None:
    """Atoms 0, 1, 2, 3. Z' = 0.5 + 0.5 z: 0.5, 1, 1.5, 2 are shared between their neighbours."""
    targets = Categorical(4, 0.0, 3.0).targets(logits(0.1, 0.2, 0.3, 0.4), column(0.5), column(0.5))
    torch.testing.assert_close(targets, torch.tensor([[0.05, 0.05 + 0.2 + 0.15, 0.15 + 0.4, 0.0]]))


def test_a_terminal_reward_is_the_whole_target() -> None:
    kind, outputs = Categorical(5, -2.0, 2.0), torch.randn(1, 5, generator=torch.Generator().manual_seed(0))
    assert kind.targets(outputs, column(1.0), column(0.0))[0].tolist() == pytest.approx([0, 0, 0, 1, 0])
    assert kind.targets(outputs, column(7.0), column(0.0))[0].tolist() == pytest.approx([0, 0, 0, 0, 1])  # beyond


@given(st.integers(0, 2**20), st.floats(-2, 2), st.floats(0, 1), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_projection_keeps_mass_and_mean(seed: int, reward: float, discount: float, atoms: int) -> None:
    kind = Categorical(atoms, -10.0, 10.0)  # |reward + discount z| <= 12: some mass may be clipped
    outputs = 2 * torch.randn(3, atoms, generator=torch.Generator().manual_seed(seed))
    targets = kind.targets(outputs, torch.full((3, 1), reward), torch.full((3, 1), discount))
    torch.testing.assert_close(targets.sum(1), torch.ones(3))
    assert (targets >= 0).all()
    returns = (reward + discount * torch.linspace(-10, 10, atoms)).clamp(-10, 10)
    mean = targets @ torch.linspace(-10, 10, atoms)
    torch.testing.assert_close(mean, outputs.softmax(1) @ returns, atol=2e-4, rtol=1e-4)


def test_categorical_loss_is_the_cross_entropy() -> None:
    losses, errors = Categorical(2, 0.0, 1.0).losses(logits(0.25, 0.75), torch.tensor([[0.5, 0.5]]))
    assert losses.item() == pytest.approx(-0.5 * np.log(0.25) - 0.5 * np.log(0.75))
    assert errors.item() == pytest.approx(losses.item() - np.log(2))  # KL: 0 where output and target agree


def test_quantile_loss_by_hand() -> None:
    """Quantiles 0 and 2 at levels 1/4 and 3/4 against the targets 0.5 and 3.

    u = 0.5, 3 for the first: |1/4 - 0| * (0.125, 2.5); u = -1.5, 1 for the second: (1/4 * 1, 3/4 * 0.5).
    """
    outputs, targets = torch.tensor([[0.0, 2.0]]), torch.tensor([[0.5, 3.0]])
    losses, _ = Quantile(2).losses(outputs, targets)
    assert losses.item() == pytest.approx((0.25 * 0.125 + 0.25 * 2.5) / 2 + (0.25 * 1.0 + 0.75 * 0.5) / 2)


def test_quantiles_of_a_known_distribution_are_found() -> None:
    rng, quantiles = np.random.default_rng(0), nn.Parameter(torch.zeros(1, 4))
    kind, optimizer = Quantile(4), torch.optim.SGD([quantiles], lr=0.5)
    for _ in range(3000):
        samples = torch.from_numpy(rng.uniform(0, 80, (1, 16)).astype(np.float32))
        loss = kind.losses(quantiles, samples)[0].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert quantiles[0].tolist() == pytest.approx([10, 30, 50, 70], abs=4)


def test_expected_values_of_all_distributions() -> None:
    outputs = torch.tensor([[[0.0, 0.0], [0.0, np.log(3.0)]]], dtype=torch.float32)  # (batch, actions, size)
    assert Categorical(2, 0.0, 4.0).values(outputs)[0].tolist() == pytest.approx([2.0, 3.0])
    assert Quantile(2).values(outputs)[0].tolist() == pytest.approx([0.0, np.log(3.0) / 2])
    assert Expected("huber").values(outputs[..., 1:])[0].tolist() == pytest.approx([0.0, np.log(3.0)])


def test_advantages_of_a_dueling_head_have_mean_0() -> None:
    head = Dueling(6, 4, 3)
    features = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    outputs = head(features).unflatten(1, (4, 3))
    torch.testing.assert_close(outputs.mean(1), head.value(features))
    assert outputs.std(1).min() > 0


def test_noise_of_a_layer_is_that_of_its_noisy_weights() -> None:
    layer = NoisyLinear(nn.Linear(3, 2), 0.5)
    assert layer.weight_std[0, 0].item() == pytest.approx(0.5 / np.sqrt(3))
    layer.draw(np.random.default_rng(7))
    drawn = np.random.default_rng(7)
    noises = [np.sign(e) * np.sqrt(np.abs(e)) for e in (drawn.standard_normal(3), drawn.standard_normal(2))]
    weight = layer.weight.detach().numpy() + layer.weight_std.detach().numpy() * np.outer(noises[1], noises[0])
    bias = layer.bias.detach().numpy() + layer.bias_std.detach().numpy() * noises[1]
    inputs = np.array([[0.3, -2.0, 1.0]], np.float32)
    np.testing.assert_allclose(layer(torch.from_numpy(inputs)).detach(), inputs @ weight.T + bias, rtol=1e-5)
    layer.draw(None)
    np.testing.assert_allclose(layer(torch.zeros(1, 3)).detach()[0], layer.bias.detach())


def test_a_noisy_network_has_no_other_linear_layers_and_explores_only_when_it_should() -> None:
    network = QNetwork(backbones.build("mlp", SPACE, hidden=(8,)), 3, 1, dueling=True, noisy=0.5)
    assert not any(isinstance(module, nn.Linear) for module in network.modules())
    agent = dqn.Agent(dataclasses.replace(SMALL, noisy=0.5), SPACE, ACTIONS)
    agent.epsilon = 0.0
    observations = np.tile(np.array([[1.0, -1.0]], np.float32), (1, 1))
    assert len({int(agent.act(observations)[0]) for _ in range(200)}) > 1
    assert len({int(agent.act(observations, deterministic=True)[0]) for _ in range(50)}) == 1


EVERYTHING = {"double": True, "dueling": True, "n_step": 3, "priority_exponent": 0.5, "noisy": 0.5, "atoms": 11}


@pytest.mark.parametrize("distribution", ["expected", "categorical", "quantile"])
def test_everything_at_once_resumes_to_the_same_bits(distribution: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, distribution=distribution, **EVERYTHING, checkpoint_every=400)

    def create(folder: Path) -> Run:
        return Run.create(folder, algorithm="dqn", preset="", config={}, total=config.total_steps, progress=False)

    with create(tmp_path / "whole") as run:
        whole = dqn.train(config, run)
    with create(tmp_path / "cut") as run, pytest.raises(Interrupted):
        log = run.log

        def stop(step: int, metrics: Any) -> None:
            log(step, metrics)
            if step > 800:
                run._receive(15, None)

        run.log = stop  # type: ignore[method-assign]
        dqn.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = dqn.train(config, run)
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distribution": "normal"}, "distribution='normal': use one of expected, categorical, quantile"),
        ({"atoms": 1}, "atoms=1: use at least 2"),
        ({"n_step": 0}, "n_step=0: use at least 1"),
        ({"value_range": (1.0, -1.0)}, "value_range"),
        ({"priority_exponent": 1.5}, "priority_exponent=1.5: use a number from 0 to 1"),
        ({"noisy": -0.5}, "noisy=-0.5: use 0 or more"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **change)


def test_a_million_frames_of_an_atari_game_fit_into_8_gib() -> None:
    space = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
    memory = Replay(1_000, space, ACTIONS, ChunkLog(None), stack=4, priority_exponent=0.5)
    assert memory.row_bytes * 1_000_000 < 8 * 2**30

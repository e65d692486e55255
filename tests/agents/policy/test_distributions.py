"""Densities, entropies and draws of the stochastic policies against torch's, integrals and frequencies."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.policy import distributions
from supervised.training.errors import UserError

BOX = gym.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
FEATURES = 6


def make(name, space=BOX, rows=5, scale=1.0):
    torch.manual_seed(3)
    policy = distributions.build(name, FEATURES, space)
    return policy, policy(torch.randn(rows, FEATURES) * scale).detach()


def test_a_categorical_policy_agrees_with_torch():
    policy, logits = make("categorical", gym.spaces.Discrete(4))
    reference = torch.distributions.Categorical(logits=logits)
    actions = torch.tensor([0, 1, 2, 3, 0])
    torch.testing.assert_close(policy.log_probs(logits, actions), reference.log_prob(actions))
    torch.testing.assert_close(policy.entropy(logits), reference.entropy())


def test_draws_of_a_categorical_policy_have_its_frequencies():
    policy = distributions.build("categorical", FEATURES, gym.spaces.Discrete(3, start=5))
    chances = np.array([0.2, 0.7, 0.1])
    draws = policy.sample(np.tile(np.log(chances, dtype=np.float32), (20_000, 1)), np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(draws) / 20_000, chances, atol=0.01)
    assert set(policy.to_env(draws)) == {5, 6, 7}


def test_a_gaussian_policy_agrees_with_torch():
    policy, parameters = make("gaussian")
    with torch.no_grad():
        policy.log_std[:] = torch.tensor([-1.0, 0.3])
    parameters = policy(torch.randn(5, FEATURES)).detach()
    mean, log_std = parameters.chunk(2, dim=1)
    reference = torch.distributions.Normal(mean, log_std.exp())
    actions = torch.randn(5, 2)
    torch.testing.assert_close(policy.log_probs(parameters, actions), reference.log_prob(actions).sum(1))
    torch.testing.assert_close(policy.entropy(parameters), reference.entropy().sum(1))


def test_a_beta_policy_agrees_with_torch():
    policy, parameters = make("beta", scale=3)
    alpha, beta = parameters.chunk(2, dim=1)
    assert (parameters > 1).all()
    reference = torch.distributions.Beta(alpha, beta)
    actions = torch.rand(5, 2) * 0.98 + 0.01
    torch.testing.assert_close(policy.log_probs(parameters, actions), reference.log_prob(actions).sum(1))
    torch.testing.assert_close(policy.entropy(parameters), reference.entropy().sum(1))


def test_a_squashed_policy_agrees_with_torch_and_its_entropy_with_draws():
    policy, parameters = make("squashed")
    mean, log_std = parameters.chunk(2, dim=1)
    reference = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(mean, log_std.exp()), torch.distributions.TanhTransform(cache_size=1)
    )
    u = mean + 0.5
    torch.testing.assert_close(policy.log_probs(parameters, u), reference.log_prob(torch.tanh(u)).sum(1))
    many = parameters[:1].expand(200_000, -1)
    drawn = torch.from_numpy(policy.sample(many.numpy(), np.random.default_rng(0)))
    estimate = -policy.log_probs(many, drawn).mean()
    torch.testing.assert_close(policy.entropy(parameters)[0], estimate, atol=0.02, rtol=0)


def test_the_density_of_squashed_actions_integrates_to_one():
    policy, parameters = make("squashed", gym.spaces.Box(-1.0, 1.0, (1,)), rows=3)
    actions = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1].float()
    for row in parameters:
        densities = policy.log_probs(row.expand(len(actions), -1), actions.atanh()[:, None]).exp()
        assert torch.trapezoid(densities, actions).item() == pytest.approx(1, abs=2e-3)


def test_draws_with_gradients_know_their_density_and_what_moves_them():
    policy, parameters = make("squashed", scale=2, rows=400)
    parameters.requires_grad_(True)
    actions, log_probs = policy.rsample(parameters, np.random.default_rng(5))
    drawn = torch.from_numpy(policy.sample(parameters.detach().numpy(), np.random.default_rng(5)))
    torch.testing.assert_close(actions, drawn.tanh())
    torch.testing.assert_close(log_probs, policy.log_probs(parameters, drawn), atol=1e-4, rtol=1e-4)
    noise = (drawn - parameters[:, :2]) / parameters[:, 2:].exp()
    actions.sum().backward()
    slopes = 1 - drawn.tanh().square()  # d tanh(u) / du, and u = mean + std noise
    torch.testing.assert_close(parameters.grad[:, :2], slopes)
    torch.testing.assert_close(parameters.grad[:, 2:], slopes * noise * parameters[:, 2:].exp(), atol=1e-5, rtol=1e-4)


def test_the_environments_actions_are_centred_between_its_bounds():
    policy, _ = make("squashed")
    actions = np.array([[-2.0, 0.0], [0.0, 0.75], [2.0, 1.0]], np.float32)
    centred = policy.centred(actions)
    np.testing.assert_allclose(centred, [[-1, -1], [0, 0.5], [1, 1]])
    np.testing.assert_allclose(policy.scaled((centred + 1) / 2), actions)


@pytest.mark.parametrize("name", ["gaussian", "squashed", "beta"])
def test_continuous_actions_reach_the_bounds_of_the_space_and_stay_within(name):
    policy, parameters = make(name, scale=10, rows=2000)
    rng = np.random.default_rng(0)
    actions = policy.to_env(policy.sample(parameters.numpy(), rng))
    assert actions.dtype == np.float32 and actions.shape == (2000, 2)
    assert (actions >= BOX.low).all() and (actions <= BOX.high).all()
    assert (actions.min(0) < BOX.low + 0.1).all() and (actions.max(0) > BOX.high - 0.1).all()
    assert all(BOX.contains(one) for one in policy.to_env(policy.mode(parameters.numpy())))


@pytest.mark.parametrize("name", ["gaussian", "squashed", "beta"])
def test_draws_have_the_density_that_is_claimed(name):
    """A histogram of draws in one dimension against the density times the width of its bins."""
    space = gym.spaces.Box(-1.0, 1.0, (1,))
    policy, parameters = make(name, space, rows=1)
    many = parameters.expand(100_000, -1).numpy()
    draws = policy.sample(many, np.random.default_rng(1))[:, 0]
    counts, edges = np.histogram(draws, bins=30)
    middles = torch.from_numpy((edges[1:] + edges[:-1]).astype(np.float32) / 2)[:, None]
    log_probs = policy.log_probs(parameters.expand(30, -1), middles)
    if name == "squashed":  # of u, not of tanh(u)
        log_probs = log_probs + torch.log(1 - torch.tanh(middles[:, 0]) ** 2)
    expected = log_probs.exp().numpy() * np.diff(edges) * 100_000
    np.testing.assert_allclose(counts, expected, atol=0.05 * counts.max())


def test_the_space_decides_what_auto_is():
    assert isinstance(distributions.build("auto", 2, gym.spaces.Discrete(2)), distributions.Categorical)
    assert isinstance(distributions.build("auto", 2, BOX), distributions.Gaussian)
    unbounded = distributions.build("auto", 2, gym.spaces.Box(-np.inf, np.inf, (2,)))
    np.testing.assert_array_equal(unbounded.to_env(np.full((1, 2), 7.5, np.float32)), [[7.5, 7.5]])


@pytest.mark.parametrize(
    ("name", "space", "message"),
    [
        ("categorical", BOX, "discrete"),
        ("gaussian", gym.spaces.Discrete(2), "Box of one axis"),
        ("beta", gym.spaces.Box(0, np.inf, (2,)), "needs bounds"),
        ("gauss", BOX, "gaussian"),
    ],
)
def test_what_does_not_fit_is_refused(name, space, message):
    with pytest.raises(UserError, match=message):
        distributions.build(name, 2, space)

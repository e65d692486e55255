"""SAC and TD3: losses against numbers computed by hand, their learning, and their exactness."""

import copy
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.evaluation import evaluate
from agents.policy import off_policy, sac, td3
from agents.policy.off_policy import Batch, draw, follow
from agents.replay import Replay
from agents.rollout import Transitions
from supervised.training.checkpoint import ChunkLog
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Run

SPACE = gym.spaces.Box(-10, 10, (2,), np.float32)
ACTIONS = gym.spaces.Box(0, 4, (1,), np.float32)
SMALL: dict[str, Any] = {
    "total_steps": 240,
    "lanes": 2,
    "learning_starts": 40,
    "hidden": (8,),
    "batch_size": 8,
    "train_every": 4,
    "updates": 1,
    "log_every": 40,
    "evaluate_every": 0,
}
both = pytest.mark.parametrize("module", [sac, td3], ids=["sac", "td3"])


def linear(module: ModuleType, **changes: Any) -> Any:
    """A learner without hidden layers: q_1 = s_0 + a, q_2 = s_1 - a; the policy's output layer is all 0."""
    config = module.Config(hidden=(), batch_size=1, **{"discount": 0.5, **changes})
    learner = module.Learner(config, module.Agent(config, SPACE, ACTIONS))
    weights = torch.tensor([[[1.0, 0, 1]], [[0, 1.0, -1]]])
    target = learner.target if module is sac else learner.target_critics
    with torch.no_grad():
        for critics in (learner.critics, target):
            for twin, weight in zip(critics.twins, weights, strict=True):
                twin[1].weight.copy_(weight)
                twin[1].bias.zero_()
        for actor in (learner.actor, *([learner.target_actor] if module is td3 else [])):
            for parameter in actor.parameters():
                parameter.zero_()
    return learner


def one_transition(terminated: bool) -> Replay:
    """From (1, 2) with the action 3, which is 0.5 in -1..1, to (3, 1), for the reward 0.25."""
    replay = Replay(3, SPACE, ACTIONS, ChunkLog(None), discount=0.5)
    states = np.array([[[1, 2]], [[3, 1]]], np.float32)
    flags = np.array([terminated]), np.array([not terminated]), np.array([True]), np.array([True]), np.array([True])
    action = np.array([[3.0]], np.float32)
    replay.add(Transitions(states[0], action, np.array([0.25]), states[1], *flags))
    return replay


@both
@pytest.mark.parametrize("terminated", [True, False])
def test_a_batch_has_scaled_actions_and_no_future_after_a_terminal_state(module: ModuleType, terminated: bool) -> None:
    learner = linear(module)
    batch = draw(one_transition(terminated), learner.config, learner.agent, np.random.default_rng(0))
    assert batch.actions.tolist() == [[0.5]]
    assert batch.discounts.tolist() == [0.0 if terminated else 0.5]
    assert learner.critics(batch.observations, batch.actions).tolist() == [[1.5], [1.5]]
    assert learner.critics(batch.observations, batch.actions, twins=1).tolist() == [[1.5]]


@pytest.mark.parametrize("terminated", [True, False])
def test_soft_target_by_hand(terminated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """a' = 0.5 with log pi = -2: min(3 + 0.5, 1 - 0.5) = 0.5; y = 0.25 + 0.5 (0.5 + 0.1 * 2) = 0.6, or y = 0.25."""
    learner = linear(sac, temperature=0.1, learn_temperature=False)
    drawn = torch.tensor([[0.5]]), torch.tensor([-2.0])
    monkeypatch.setattr(learner.policy, "rsample", lambda parameters, rng: drawn)
    batch = draw(one_transition(terminated), learner.config, learner.agent, learner.rng)
    assert learner.targets(batch, torch.tensor([0.1])).item() == pytest.approx(0.25 if terminated else 0.6)


def test_soft_losses_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy of mean 0 and deviation 1 that draws 0: log pi = -log sqrt(2 pi)."""
    learner = linear(sac, temperature=0.1, learning_rate=1e-9, learning_rate_end=1e-9)
    monkeypatch.setattr(learner, "rng", Zeros())
    learner.update(one_transition(False), 1e-9)
    log_pi = -0.5 * np.log(2 * np.pi)
    y = 0.25 + 0.5 * (min(3, 1) - 0.1 * log_pi)
    expected = {
        "critic_loss": 0.5 * 2 * (1.5 - y) ** 2,
        "actor_loss": 0.1 * log_pi - min(1, 2),
        "q_value": 1.5,
        "entropy": -log_pi,
        "temperature": 0.1,
    }
    assert {name: learner.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)


class Zeros:
    """A generator whose every draw is 0."""

    def integers(self, low: int, high: int, size: int) -> Any:
        return np.full(size, low, np.int64)

    def standard_normal(self, shape: Any, dtype: Any) -> Any:
        return np.zeros(shape, dtype)


@pytest.mark.parametrize(("entropy", "direction"), [(-3.0, 1), (0.0, -1)])
def test_temperature_rises_where_entropy_is_wanting(entropy: float, direction: int) -> None:
    learner = linear(sac)
    assert learner.target_entropy == -1
    optimizer = learner.optimizers["temperature"]
    off_policy.descend(optimizer, learner.temperature_loss(torch.full((4,), -entropy)), 0.01)
    # Adam's first step is the learning rate against the gradient's sign
    assert learner.log_temperature.item() == pytest.approx(0.01 * direction, rel=1e-4)


def test_a_fixed_temperature_stays() -> None:
    learner = linear(sac, temperature=0.3, learn_temperature=False)
    learner.update(one_transition(False), 0.1)
    assert learner.log_temperature.exp().item() == pytest.approx(0.3)


def batch_of(following: list[list[float]]) -> Batch:
    states = torch.tensor(following)
    ones = torch.ones(len(states))
    return Batch(states, ones[:, None], 0.25 * ones, states, 0.5 * ones)


def test_target_smoothing_is_clipped_by_hand() -> None:
    """mu'(s') = 0 and noise of +-0.5, its bound: min(3 + a', 1 - a') = 1 - a' is 0.5 or 1.5."""
    learner = linear(td3, target_noise=1e3, target_noise_clip=0.5)
    targets = learner.targets(batch_of([[3.0, 1.0]] * 64))
    found = sorted({round(y, 5) for y in targets.tolist()})
    assert found == pytest.approx([0.25 + 0.5 * 0.5, 0.25 + 0.5 * 1.5])
    quiet = linear(td3, target_noise=0.0)
    assert quiet.targets(batch_of([[3.0, 1.0]])).item() == pytest.approx(0.25 + 0.5 * 1.0)


def test_smoothed_actions_stay_within_bounds() -> None:
    """mu'(s') = tanh(10) = 1: with noise of +-0.5 a' is 0.5 or 1; q_1 is the lesser one."""
    learner = linear(td3, target_noise=1e3, target_noise_clip=0.5)
    with torch.no_grad():
        learner.target_actor.policy.bias.fill_(10)
    found = {round(y, 4) for y in learner.targets(batch_of([[0.0, 5.0]] * 64)).tolist()}
    assert sorted(found) == pytest.approx([0.25 + 0.5 * 0.5, 0.25 + 0.5 * 1.0])


def test_policy_and_targets_wait_for_the_critics() -> None:
    learner, replay = linear(td3, policy_delay=2, tau=0.25), one_transition(True)
    networks = [learner.actor, learner.target_actor, learner.target_critics]
    before = [copy.deepcopy(network.state_dict()) for network in networks]
    critics = copy.deepcopy(learner.critics.state_dict())

    def moved() -> list[bool]:
        pairs = zip(networks, before, strict=True)
        return [any(not torch.equal(new.state_dict()[name], old[name]) for name in old) for new, old in pairs]

    learner.update(replay, 0.1)
    assert moved() == [False, False, False] and "actor_loss" not in learner.metrics
    assert not torch.equal(learner.critics.state_dict()["twins.0.1.weight"], critics["twins.0.1.weight"])
    learner.update(replay, 0.1)
    assert moved() == [True, True, True]
    # q_1 rises with the action, and mu'(s) = 0 only at first: the policy's bias goes up by Adam's first step
    assert learner.actor.policy.bias.item() == pytest.approx(0.1, rel=1e-3)
    assert learner.target_actor.policy.bias.item() == pytest.approx(0.025, rel=1e-3)
    value = learner.critics.twins[0](torch.tensor([[1.0, 2, 0]])).item()
    assert learner.metrics["actor_loss"] == pytest.approx(-value)


def test_targets_follow_by_their_share() -> None:
    slow, fast = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    expected = 0.9 * slow.weight + 0.1 * fast.weight
    follow(slow, fast, 0.1)
    torch.testing.assert_close(slow.weight, expected)


@both
def test_exploration_stays_within_bounds_and_ends_when_asked(module: ModuleType) -> None:
    agent = linear(module, **({"exploration_noise": 1.0} if module is td3 else {})).agent
    observations = np.zeros((2000, 2), np.float32)
    for actions in (agent.act(observations), agent.random_actions(2000)):
        assert actions.shape == (2000, 1) and actions.dtype == np.float32
        assert actions.min() >= 0 and actions.max() <= 4 and actions.std() > 1
    assert (agent.act(observations, deterministic=True) == 2).all()


class Point(gym.Env):
    """A point on a line that should be at 0: an action of 0 to 4 moves it by -0.25 to 0.25; ten steps."""

    observation_space = gym.spaces.Box(-2, 2, (1,), np.float32)
    action_space = ACTIONS

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.steps = self.np_random.uniform(-1, 1), 0
        return np.array([self.place], np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place = float(np.clip(self.place + (action[0] - 2) / 8, -2, 2))
        self.steps += 1
        return np.array([self.place], np.float32), -abs(self.place), False, self.steps == 10, {}


class Best:
    """Moves the point to 0 as fast as can be."""

    transform = staticmethod(np.asarray)

    def act(self, observations: Any, deterministic: bool = False) -> Any:
        return np.clip(2 - 8 * observations, 0, 4)


@both
def test_it_learns_to_hold_a_point(module: ModuleType) -> None:
    config = module.Config(
        env=Point, total_steps=1_600, learning_starts=200, hidden=(32, 32), batch_size=64, learning_rate=5e-3,
        discount=0.9, tau=0.02, evaluate_every=0,
    )  # fmt: skip
    found, best = (evaluate(policy, Point, episodes=40)["mean"] for policy in (module.train(config), Best()))
    assert best - 0.3 < found <= best + 1e-5


@both
def test_images_enter_through_a_backbone(module: ModuleType) -> None:
    images = gym.spaces.Box(0, 255, (36, 36), np.uint8)
    config = module.Config(backbone="nature_cnn", hidden=(8,), batch_size=2)
    learner = module.Learner(config, module.Agent(config, images, ACTIONS))
    replay = Replay(12, images, ACTIONS, ChunkLog(None), lanes=4)
    seen = np.random.default_rng(0).integers(0, 256, (2, 4, 36, 36), dtype=np.uint8)
    no, yes = np.zeros(4, np.bool_), np.ones(4, np.bool_)
    replay.add(Transitions(seen[0], learner.agent.act(seen[0]), np.ones(4), seen[1], no, yes, yes, yes, yes))
    before = [copy.deepcopy(one.state_dict()) for one in (learner.actor.backbone, learner.critics.backbone)]
    for _ in range(2):
        learner.update(replay, 1e-3)
    for old, new in zip(before, (learner.actor.backbone, learner.critics.backbone), strict=True):
        assert not torch.equal(old["layers.0.weight"], new.state_dict()["layers.0.weight"])


@both
def test_resuming_gives_the_same_bits(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = module.Config(env="Pendulum-v1", **SMALL, checkpoint_every=60)

    def started(name: str) -> Run:
        settings: dict[str, Any] = {"preset": "x", "config": to_json(config), "total": config.total_steps}
        return Run.create(tmp_path / name, algorithm="x", **settings, progress=False)

    with started("whole") as run:
        module.train(config, run)

    class Killed(Exception):
        pass

    update, updates = module.Learner.update, []

    def dying(self: Any, *arguments: Any) -> None:
        updates.append(1)
        if len(updates) == 37:  # of 50
            raise Killed
        update(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed), started("cut") as run:
        patch.setattr(module.Learner, "update", dying)
        module.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        module.train(config, run)
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1] and texts[0].count(b"critic_loss") == 5
    newest = [max((tmp_path / name / "checkpoints").glob("step-*")) for name in ("whole", "cut")]
    arrays = [(folder / "arrays.safetensors").read_bytes() for folder in newest]
    assert arrays[0] == arrays[1]


@both
def test_seeds_decide_everything(module: ModuleType) -> None:
    configs = [module.Config(env=Point, **{**SMALL, "total_steps": 80}, seed=seed) for seed in (3, 3, 4)]
    first, second, other = (module.train(config).actor.state_dict() for config in configs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["policy.weight"], other["policy.weight"])


@pytest.mark.parametrize(
    ("module", "changes", "message"),
    [
        (sac, {"tau": 0.0}, "tau=0.0: use a number above 0, and 1 at most (copies)"),
        (td3, {"tau": 1.5}, "tau=1.5"),
        (sac, {"learning_starts": 240}, "learning_starts=240: learning would never begin; use less than"),
        (td3, {"train_every": 0}, "train_every=0: use at least 1"),
        (sac, {"learning_rate": -1.0}, "learning_rate=-1.0: use a positive number"),
        (sac, {"temperature": 0.0}, "temperature=0.0: use a positive number"),
        (sac, {"matmul_precision": "low"}, "matmul_precision='low': use one of highest, high, medium"),
        (sac, {"dtype": "bfloat16"}, "dtype='bfloat16': these are small networks; matmul_precision is faster"),
        (td3, {"policy_delay": 0}, "policy_delay=0: use at least 1"),
        (td3, {"target_noise": -0.1}, "target_noise=-0.1: use 0 or more"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(module: ModuleType, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        module.Config(**{**SMALL, **changes})
    assert message in str(refusal.value)


@both
@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Discrete(2), "actions must be continuous, and Pendulum-v1 has Discrete(2): use dqn or ppo"),
        (gym.spaces.Box(0, 3, (1,), np.int64), "actions must be continuous"),
        (gym.spaces.Box(-np.inf, 1, (2,)), "actions need bounds with room between them, and Pendulum-v1 has Box(-inf"),
        (gym.spaces.Box(np.float32([0, 1]), np.float32([1, 1])), "actions need bounds with room between them"),
    ],
)
def test_actions_that_do_not_fit(module: ModuleType, space: gym.Space[Any], message: str) -> None:
    with pytest.raises(UserError) as refusal:
        module.Agent(module.Config(env="Pendulum-v1"), SPACE, space)
    assert message in str(refusal.value)


@both
def test_a_loss_that_is_not_finite_stops_training(module: ModuleType) -> None:
    class Broken(Point):
        def step(self, action: Any) -> Any:
            observation, _, *rest = super().step(action)
            return observation, float("nan"), *rest

    with pytest.raises(UserError, match="critic_loss=nan after 0 gradient steps"):
        module.train(module.Config(env=Broken, **SMALL))

"""Our lanes for Stable-Baselines3, and its algorithms through our doors."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents import evaluate as evaluate_door
from agents import train as train_door
from agents.evaluation import evaluate
from agents.registry import find
from agents.rollout import make_lanes
from agents.sb3 import as_sb3
from supervised.training import memory
from supervised.training.errors import UserError
from supervised.training.run import read_state
from tests.agents import test_dqn
from tests.agents.policy.exercises import Corridor

stable_baselines3 = pytest.importorskip("stable_baselines3", reason="needs the sb3 extra")

SMALL = {
    "sb3-ppo": ["--lanes", "4", "--round-steps", "16", "--epochs", "1", "--batch-size", "32"],
    "sb3-a2c": [],
    "sb3-dqn": ["--lanes", "2", "--train-every", "16", "--updates", "2", "--learning-starts", "50"],
    "sb3-sac": ["--lanes", "2", "--train-every", "8", "--hidden", "8", "--batch-size", "8", "--learning-starts", "50"],
}
BUDGET = ["--total-steps", "320", "--log-every", "64", "--evaluate-every", "0", "--quiet"]


def trained(name: str, folder: Path, *options: str) -> Path:
    train_door.main([name, *SMALL[name], *BUDGET, *options, "--run-dir", str(folder)])
    return folder


@pytest.mark.parametrize("terminal", [True, False])
def test_ends_of_episodes_are_told(terminal: bool) -> None:
    lanes = as_sb3(lambda: Corridor(terminal), lanes=2)
    assert lanes.reset().tolist() == [[0], [0]]
    for _ in range(2):
        _, rewards, done, infos = lanes.step(np.zeros(2, np.int64))
        assert rewards.tolist() == [1, 1] and not done.any() and infos == [{}, {}]
    observations, _, done, infos = lanes.step(np.zeros(2, np.int64))
    assert done.all() and observations.tolist() == [[0], [0]], "the next episodes have begun"
    assert infos[1]["terminal_observation"].tolist() == [3]
    assert infos[1]["TimeLimit.truncated"] is not terminal
    assert infos[1]["episode"] == {"r": 3.0, "l": 3}


def test_our_batch_and_gymnasiums_lanes_are_alike() -> None:
    both = [as_sb3(env, lanes=3) for env in ("skidpad/CartPole-v1", "CartPole-v1")]
    for lanes in both:
        lanes.seed(7)
    observations = [lanes.reset() for lanes in both]
    rng = np.random.default_rng(0)
    for _ in range(60):
        np.testing.assert_array_equal(*observations)
        actions = rng.integers(2, size=3)
        (first, rewards, done, infos), (second, other_rewards, other_done, other_infos) = (
            lanes.step(actions) for lanes in both
        )
        observations = [first, second]
        assert np.array_equal(rewards, other_rewards) and np.array_equal(done, other_done)
        assert repr(infos) == repr(other_infos)
    assert both[0].episodes.count == both[1].episodes.count > 0


@pytest.mark.parametrize(
    ("transforms", "shape"),
    [
        ((), (3, 96, 96)),
        (("gray",), (1, 96, 96)),
        (("gray", "resize:48:48", "stack:4"), (4, 48, 48)),
        (("stack:2",), (6, 96, 96)),
    ],
)
def test_images_have_channels_first(transforms: tuple[str, ...], shape: tuple[int, ...]) -> None:
    lanes = as_sb3("skidpad/CarRacing-v0", 2, transforms=transforms)
    observations = lanes.reset()
    assert lanes.observation_space.shape == shape and observations.shape == (2, *shape)
    assert lanes.observation_space.contains(observations[0])
    if not transforms:
        batch = make_lanes("skidpad/CarRacing-v0", 2, {})
        wanted, _ = batch.reset(seed=[1, 2])
        np.testing.assert_array_equal(lanes._layout.see(wanted)[1, 2], wanted[1, :, :, 2])


def test_a_model_of_theirs_learns_from_pixels() -> None:
    lanes = as_sb3("skidpad/CarRacing-v0", lanes=2)
    model = stable_baselines3.PPO("CnnPolicy", lanes, n_steps=4, batch_size=8, n_epochs=1, device="cpu", seed=0)
    assert model.get_env() is lanes, "nothing needs to be wrapped around it"
    model.learn(8)


@pytest.mark.parametrize("name", SMALL)
def test_the_doors(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [trained(name, tmp_path / folder) for folder in ("first", "again")]
    metrics = [(folder / "metrics.jsonl").read_text() for folder in folders]
    assert metrics[0] == metrics[1], "the same seed, the same bytes"
    assert [json.loads(line)["step"] for line in metrics[0].splitlines()] == [64, 128, 192, 256, 320]
    assert (folders[0] / "curve.png").exists() or name == "sb3-sac"
    assert {path.suffix for path in folders[0].rglob("checkpoints/*/*")} == {".json", ".safetensors"}
    evaluate_door.main([str(folders[0]), "--episodes", "2"])
    assert "return   mean" in capsys.readouterr().out


def test_ppo_learns() -> None:
    algorithm = find("sb3-ppo")
    config = algorithm.config(env=test_dqn.Corridor, total_steps=4_096, batch_size=64, evaluate_every=0)
    assert evaluate(algorithm.train(config), test_dqn.Corridor, episodes=5)["mean"] == pytest.approx(0.99)


@pytest.mark.parametrize("name", ["sb3-ppo", "sb3-dqn"])
def test_resuming_goes_on_from_the_weights_and_says_so(name: str, tmp_path: Path) -> None:
    folder = trained(name, tmp_path / "run", "--checkpoint-every", "200")
    for path in (folder / "finished.json", *sorted((folder / "checkpoints").glob("step-*"))[-1:]):
        path.unlink() if path.is_file() else path.rename(tmp_path / path.name)
    before = read_state(folder)
    assert before["step"] < 320
    with pytest.warns(UserWarning, match="goes on from its weights at step .* begin anew"):
        train_door.main(["--resume", str(folder), "--quiet"])
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and before["step"] < steps[-1] <= 320


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sb3-dqn", ["--env", "Pendulum-v1"], "DQN needs actions in a Discrete, and Pendulum-v1 has Box"),
        ("sb3-sac", ["--env", "CartPole-v1"], "SAC needs actions in a Box, and CartPole-v1 has Discrete(2)"),
        ("sb3-ppo", ["--dtype", "bfloat16"], "dtype='bfloat16': Stable-Baselines3 has float32 only"),
        ("sb3-a2c", ["--clip-rewards", "True"], "clip_rewards=True: Stable-Baselines3 learns from what"),
        ("sb3-dqn", ["--learning-starts", "5000", "--total-steps", "2048"], "learning_starts=5000: learning would"),
        ("sb3-ppo", ["--backbone", "gru"], "backbone='gru': use one of mlp, nature_cnn"),
        ("sb3-ppo", ["--total-steps", "100"], "total_steps=100: use at least one round of 256 steps"),
        ("sb3-dqn", ["--lanes", "3"], "train_every=256: use a multiple of lanes (3)"),
    ],
)
def test_mistakes_are_named(
    name: str, options: list[str], message: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert message in refused(train_door.main, name, *options, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_environments_that_do_not_fit_are_named() -> None:
    def vector() -> Any:
        return SyncVectorEnv([lambda: Corridor(True)] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)

    with pytest.raises(UserError, match="spends steps on resets"):
        as_sb3(vector)

    class Unbounded(Corridor):
        action_space = gym.spaces.Box(-np.inf, np.inf, (1,), np.float32)  # type: ignore[assignment]

    with pytest.raises(UserError, match="Stable-Baselines3 needs bounds of actions"):
        as_sb3(lambda: Unbounded(True))


def test_replay_that_would_not_fit_is_refused(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2**20)
    # two observations of 4 float32, an action of 8 bytes and three numbers
    message = refused(train_door.main, "sb3-dqn", "--replay-size", "50000", "--run-dir", tmp_path / "run")
    assert "replay_size=50000: its transitions take 0.0 GiB" in message and f"use at most {2**20 // 52}" in message


def test_a_missing_extra_is_named(tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("agents.sb3.training", "agents.sb3.lanes"):
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.delattr(module, raising=False)
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    message = refused(train_door.main, "sb3-ppo", "--run-dir", tmp_path / "run")
    assert message.endswith("is not installed: pip install 'skidpad[sb3]'")

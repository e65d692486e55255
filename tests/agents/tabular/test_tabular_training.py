"""The tabular methods as `agents.train` starts them."""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agents.evaluation import evaluate
from agents.registry import CATALOGUE, TABULAR, find
from agents.tabular.training import ALGORITHMS
from envs.toy.random_walk import RandomWalkEnv
from supervised.training.configuration import from_json, to_json
from supervised.training.errors import UserError
from supervised.training.run import Run, read_state

SMALL = {"episodes": 60, "max_sweeps": 5000}


def small(name: str, **changes: Any) -> Any:
    """The default settings with a small budget."""
    default = ALGORITHMS[name].presets["default"]
    return dataclasses.replace(default, **{k: v for k, v in SMALL.items() if hasattr(default, k)}, **changes)


def create(folder: Path, name: str, config: Any) -> Run:
    algorithm = ALGORITHMS[name]
    return Run.create(
        folder,
        algorithm=name,
        preset="default",
        config=to_json(config),
        total=algorithm.total(config),
        unit=algorithm.unit,
        progress=False,
    )


def test_the_catalogue_is_complete() -> None:
    assert ALGORITHMS.keys() == {name for name, (module, _) in CATALOGUE.items() if module == TABULAR}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_setting_is_used(name: str) -> None:
    algorithm = find(name)
    wanted = inspect.signature(algorithm.train.args[0]).parameters  # type: ignore[attr-defined]
    elsewhere = {"env", "env_kwargs", "checkpoint_every", "total_steps", "epsilon_end"}
    shape = {"features", "tiles", "tilings", "hidden", "activation"} if "semi-gradient" in name else set()
    fields = {entry.name for entry in dataclasses.fields(algorithm.config)}
    assert fields - elsewhere - shape <= wanted.keys() | ({"seed"} if algorithm.unit == "sweeps" else set())
    assert from_json(algorithm.config, to_json(algorithm.presets["default"])) == algorithm.presets["default"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_holds_the_agent(name: str, tmp_path: Path) -> None:
    config = small(name)
    run = create(tmp_path, name, config)
    with run:
        agent = ALGORITHMS[name].train(config, run)
    assert run.finished
    state = read_state(tmp_path)["agent"]
    env = gym.make(config.env, **config.env_kwargs)
    loaded = ALGORITHMS[name].agent(config, env.observation_space, env.action_space)
    loaded.load_state_dict(state)
    raw: Any = np.array([env.reset(seed=seed)[0] for seed in range(8)])
    seen = loaded.transform(raw)
    assert np.array_equal(agent.act(seen, deterministic=True), loaded.act(seen, deterministic=True))
    for _ in range(2):
        actions = loaded.act(seen)
        assert actions.shape == (8,) and np.array_equal(actions, agent.act(seen))
    assert all(env.action_space.contains(int(action)) for action in actions)
    fresh = ALGORITHMS[name].agent(config, env.observation_space, env.action_space)
    fresh.load_state_dict(loaded.state_dict())
    assert np.array_equal(fresh.act(seen), loaded.act(seen))
    if name != "semi-gradient-td":  # one value, as many tiles
        other = gym.make("skidpad/GamblersProblem-v0", goal=7)
        wide = ALGORITHMS[name].agent(config, other.observation_space, other.action_space)
        with pytest.raises(ValueError, match="shape|states and actions"):
            wide.load_state_dict(state)

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    if ALGORITHMS[name].unit == "sweeps":
        assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
        assert lines[-1]["delta"] <= config.tolerance and "policy_changes" in lines[-1]
        assert state["values"].shape == state["policy"].shape[:1]
    else:
        assert lines[-1]["step"] == 60 and {"episode_return", "episode_length", "steps"} <= lines[-1].keys()
        if "semi-gradient" not in name:
            assert "values" in state or "q_values" in state


def test_what_is_learnt_is_what_is_evaluated() -> None:
    algorithm = ALGORITHMS["q-learning"]
    config = algorithm.presets["default"]
    result = evaluate(algorithm.train(config), config.env, episodes=5)
    assert result["mean"] == -13 and result["lengths"] == [13] * 5
    planned = ALGORITHMS["policy-iteration"].train(small("policy-iteration", env="skidpad/CliffWalking-v0"))
    assert evaluate(planned, "skidpad/CliffWalking-v0", episodes=5)["mean"] == -13


def test_a_planning_run_shows_its_rounds(tmp_path: Path) -> None:
    config = small("policy-iteration", env="skidpad/GridWorld-v0", discount=1.0)
    run = create(tmp_path, "policy-iteration", config)
    with run:
        ALGORITHMS["policy-iteration"].train(config, run)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    changes = [line["policy_changes"] for line in lines if "policy_changes" in line]
    assert changes[0] > 0 and (changes[-1] == 0 or len(changes) > 1) and len(changes) < 5


def test_a_schedule_of_exploration(tmp_path: Path) -> None:
    config = small("sarsa", epsilon=0.8, epsilon_end=0.2)
    run = create(tmp_path, "sarsa", config)
    with run:
        ALGORITHMS["sarsa"].train(config, run)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["epsilon"] == pytest.approx(0.8) and lines[-1]["epsilon"] == pytest.approx(0.2)
    steps = small("sarsa", total_steps=100)
    run = create(tmp_path / "steps", "sarsa", steps)
    with run:
        ALGORITHMS["sarsa"].train(steps, run)
    assert read_state(tmp_path / "steps")["lengths"].sum() >= 100 > read_state(tmp_path / "steps")["lengths"][:-1].sum()


class Compass(gym.ObservationWrapper[Any, Any, Any]):
    """A dictionary in place of a number."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gym.spaces.Dict({"place": env.observation_space, "size": gym.spaces.Box(0, 9, (1,))})

    def observation(self, observation: int) -> dict[str, Any]:
        return {"place": observation, "size": np.ones(1, np.float32)}


def test_networks_read_any_observation() -> None:
    changes: dict[str, Any] = dict(env_kwargs={}, features="network", step_size=0.1, epsilon=0.2, discount=0.9)
    for env in ("skidpad/RandomWalk-v0", lambda: Compass(RandomWalkEnv())):
        config = small("semi-gradient-q-learning", env=env, **changes)
        agent = ALGORITHMS["semi-gradient-q-learning"].train(config)
        again = ALGORITHMS["semi-gradient-q-learning"].train(config)
        for name, weights in agent.function.weights.items():
            assert np.array_equal(weights, again.function.weights[name])
        raw: Any = np.arange(1, 6)
        if callable(env):
            raw = {"place": raw, "size": np.ones((5, 1), np.float32)}
        assert agent.act(agent.transform(raw), deterministic=True).tolist() == [1] * 5  # to the right


def test_observations_of_several_numbers() -> None:
    config = small("mc-control", env="Blackjack-v1")
    agent = ALGORITHMS["mc-control"].train(config)
    hands = (np.array([20, 5]), np.array([10, 2]), np.array([0, 1]))
    states = agent.transform(hands)
    assert states.tolist() == [(20 * 11 + 10) * 2, (5 * 11 + 2) * 2 + 1]
    assert agent.act(states, deterministic=True).shape == (2,)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("q-learning", {"discount": -0.1}, "discount=-0.1: use a number from 0 to 1"),
        ("q-learning", {"step_size": 0.0}, "step_size=0.0: use a number above 0"),
        ("q-learning", {"epsilon_end": 2.0}, "epsilon_end=2.0"),
        ("n-step-sarsa", {"n": 0}, "n=0: use at least 1"),
        ("td-lambda-prediction", {"trace_decay": 1.5}, "trace_decay=1.5"),
        ("value-iteration", {"tolerance": 0.0}, "tolerance=0.0: use a positive number"),
        ("sarsa", {"total_steps": 0}, "total_steps=0: use at least 1"),
        ("q-learning", {"env": "skidpad/CartPole-v1"}, "discrete observations"),
        ("q-learning", {"env": "skidpad/CliffWaking-v0"}, "did you mean skidpad/CliffWalking-v0"),
        ("value-iteration", {"env": "FrozenLake-v1"}, "FrozenLake-v1 shows no model.*q-learning"),
        ("policy-iteration", {"discount": 1.0}, "never reaches a terminal state"),
        ("semi-gradient-sarsa", {"env": "Pendulum-v1", "env_kwargs": {}}, "actions numbered from 0"),
        ("semi-gradient-sarsa", {"env": "CartPole-v1", "env_kwargs": {}}, "give finite bounds"),
    ],
)
def test_bad_input(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        ALGORITHMS[name].train(small(name, **changes))
    assert "\n" not in str(caught.value)

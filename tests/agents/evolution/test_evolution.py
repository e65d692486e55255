"""Evolution: what a generation plays, what comes of it, learning, exact resuming, and mistakes in one line."""

import dataclasses
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from agents import evaluate as evaluate_door
from agents import train as train_door
from agents.evaluation import evaluate
from agents.evolution import cma_es, genetic, neat
from agents.evolution.arena import Arena, Interface
from agents.evolution.perceptrons import Agent
from supervised.training.configuration import to_json
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run
from tests.agents.policy.exercises import Corridor, Endless

NAMES = {"genetic": genetic, "cma-es": cma_es, "neat": neat}
NEEDS = {"cma-es": "cma", "neat": "neat"}
SMALL: dict[str, Any] = {"population": 8, "episodes_each": 1, "total_steps": 8_000, "stop_return": float("inf")}


def module(name: str) -> Any:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="needs the evolution extra")
    return NAMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_cart_pole_is_solved_within_seconds(name: str) -> None:
    algorithm = module(name)
    agent = algorithm.train(algorithm.PRESETS["default"])
    assert evaluate(agent, "skidpad/CartPole-v1", episodes=50)["mean"] >= 475


def test_neat_swings_up_the_mountain() -> None:
    agent = module("neat").train(neat.PRESETS["mountain-car"])
    assert evaluate(agent, "skidpad/MountainCar-v0", episodes=50)["mean"] >= -120


@pytest.mark.parametrize(
    ("name", "env"), [*((name, "skidpad/MountainCar-v0") for name in NAMES), ("genetic", "CartPole-v1")]
)
def test_a_resumed_run_ends_with_the_same_bits(name: str, env: str, tmp_path: Path) -> None:
    algorithm = module(name)
    config = algorithm.Config(env=env, checkpoint_every=3_000, evaluate_every=0, **SMALL)

    def create(folder: Path) -> Run:
        settings: dict[str, Any] = {"preset": "", "config": to_json(config), "total": config.total_steps}
        return Run.create(folder, algorithm=name, **settings, progress=False)

    with create(tmp_path / "whole") as run:
        whole = algorithm.train(config, run)
    with create(tmp_path / "cut") as run, pytest.raises(Interrupted):
        log = run.log

        def stop(step: int, metrics: Any) -> None:
            log(step, metrics)
            if step > config.total_steps // 2:
                run._receive(15, None)

        run.log = stop  # type: ignore[method-assign]
        algorithm.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = algorithm.train(config, run)
    metrics = [(tmp_path / folder / "metrics.jsonl").read_bytes() for folder in ("whole", "cut")]
    assert metrics[0] == metrics[1]
    assert json.loads(metrics[0].splitlines()[-1])["step"] <= config.total_steps
    assert repr(whole.state_dict()) == repr(resumed.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_nobody_elses_random_numbers_are_drawn(name: str) -> None:
    algorithm = module(name)
    before = random.getstate(), repr(np.random.get_state())
    algorithm.train(algorithm.Config(env="skidpad/CartPole-v1", evaluate_every=0, **{**SMALL, "total_steps": 1_000}))
    assert (random.getstate(), repr(np.random.get_state())) == before


def test_individuals_play_the_same_episodes() -> None:
    """Fitness tells alike policies alike, and generations begin differently."""
    config = genetic.Config(**{**SMALL, "episodes_each": 3})
    arena = Arena(config)
    agent = Agent(config, *arena.spaces)
    genes = agent.random_genes(np.random.default_rng(0), 1).repeat(8, axis=0)
    found = [arena.play(agent.acting(genes)) for _ in range(3)]
    assert all(len(set(fitness)) == 1 for fitness in found)  # type: ignore[arg-type]
    assert len({float(fitness[0]) for fitness in found}) > 1  # type: ignore[index]


def test_fitness_is_the_mean_return_of_whole_episodes() -> None:
    """Three steps, each worth 1; steps are those of episodes that count."""
    arena = Arena(genetic.Config(env=lambda: Corridor(terminal=False), **{**SMALL, "episodes_each": 2}))
    fitness = arena.play(lambda observations: np.zeros(len(observations), np.int64))
    assert fitness is not None and fitness.tolist() == [3.0] * 8
    assert (arena.step, arena.generation, arena.episodes) == (48, 1, 16)


def test_a_budget_without_a_generation_is_refused() -> None:
    with pytest.raises(UserError, match="total_steps=100: not every lane ended an episode in so many"):
        genetic.train(genetic.Config(env=lambda: Endless(terminal=False), **{**SMALL, "total_steps": 100}))


def test_a_population_acts_as_its_individuals_do() -> None:
    """Each by the textbook's formula, layer for layer."""
    space = gym.spaces.Box(np.array([-2, -np.inf], np.float32), np.array([6, np.inf], np.float32))
    config = genetic.Config(hidden=(3,), **SMALL)
    agent = Agent(config, space, gym.spaces.Box(-1, 1, (2,), np.float32))
    rng = np.random.default_rng(1)
    genes = rng.standard_normal((5, agent.genes.size)).astype(np.float32)
    observations = rng.uniform(-2, 6, (10, 2)).astype(np.float32)
    seen = (observations - [2, 0]) / [4, 1]  # what has bounds becomes -1..1
    wanted = []
    for row in range(10):
        first, bias, second, offset = np.split(genes[row // 2], np.cumsum([6, 3, 6]))
        hidden = np.tanh(seen[row] @ first.reshape(2, 3) + bias)
        wanted.append(np.clip(hidden @ second.reshape(3, 2) + offset, -1, 1))
    np.testing.assert_allclose(agent.acting(genes)(observations), wanted, atol=1e-5)


def test_children_by_hand() -> None:
    config = genetic.Config(population=6, survival=0.25, elites=2, mutation_rate=0.0, crossover=1.0)
    genes = np.arange(24, dtype=np.float32).reshape(6, 4)
    rng = np.random.default_rng(0)
    bred = genetic.breed(config, genes, np.array([0, 5, 1, 9, 2, 3]), rng)
    assert bred[:2].tolist() == genes[[3, 1]].tolist(), "the best live on"
    assert all((gene in pair) for child in bred[2:] for gene, pair in zip(child, genes[[3, 1]].T, strict=True))
    alone = genetic.breed(dataclasses.replace(config, crossover=0.0), genes, np.arange(6.0), rng)
    assert {tuple(child) for child in alone} == {tuple(genes[5]), tuple(genes[4])}
    many = dataclasses.replace(config, mutation_rate=0.5, population=400, survival=0.01)
    changed = genetic.breed(many, genes, np.arange(6.0), rng)[2:]
    assert np.mean(changed == np.round(changed)) == pytest.approx(0.5, abs=0.05)


def test_continuous_actions_and_images(tmp_path: Path) -> None:
    small = ["--population", "8", "--total-steps", "3400", "--evaluate-every", "0", "--quiet"]
    train_door.main(["genetic", "--env", "Pendulum-v1", *small, "--run-dir", str(tmp_path / "run")])
    evaluate_door.main([str(tmp_path / "run"), "--episodes", "2"])
    pixels = gym.spaces.Box(0, 255, (4, 4, 3), np.uint8)
    interface = Interface(genetic.Config(), pixels, gym.spaces.Discrete(2, start=5))
    image = np.array([0] * 24 + [255] * 24, np.uint8).reshape(1, 4, 4, 3)
    assert interface.see(image).tolist() == [[-1] * 24 + [1] * 24]
    assert interface.decide(np.array([[0.1, 0.2], [0.2, 0.1]])).tolist() == [6, 5]


@pytest.mark.parametrize("name", NAMES)
def test_the_doors(name: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    module(name)
    folder = tmp_path / "run"
    small = ["--population", "8", "--total-steps", "2000", "--quiet"]
    train_door.main([name, *small, "--run-dir", str(folder)])
    assert (folder / "curve.png").exists()
    assert (folder / "network.png").exists() == (name == "neat")
    evaluate_door.main([str(folder), "--episodes", "3"])
    assert len(json.loads((folder / "evaluation.json").read_text())["lengths"]) == 3
    assert "does not fit what" in refused(evaluate_door.main, folder, "--env", "MountainCar-v0")


@pytest.mark.parametrize("name", ["cma-es", "neat"])
def test_a_missing_extra_is_named(
    name: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    message = refused(train_door.main, name, "--run-dir", tmp_path / "run")
    assert message == f"error: {NEEDS[name]} is not installed: pip install 'skidpad[evolution]'"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("algorithm", "change", "message"),
    [
        (genetic, {"population": 1}, "population=1: use at least 2"),
        (genetic, {"survival": 2.0}, "survival=2.0: use a number from 0 to 1"),
        (genetic, {"elites": 8}, "elites=8: use 0 to 7"),
        (genetic, {"activation": "sine"}, "unknown activation 'sine'; known: relu, tanh"),
        (genetic, {"episodes_each": 0}, "episodes_each=0: use at least 1"),
        (cma_es, {"initial_std": 0.0}, "initial_std=0.0: use a positive number"),
        (cma_es, {"population": 3}, "population=3: use at least 4"),
        (neat, {"add_node": 1.5}, "add_node=1.5: use a number from 0 to 1"),
        (neat, {"compatibility": 0.0}, "compatibility=0.0: use a positive number"),
    ],
)
def test_settings_out_of_range_are_named(algorithm: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        algorithm.Config(**{"population": 8, **change})


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(UserError, match="lanes=3: evolution needs 8, one for each episode"):
        Arena(genetic.Config(env=lambda: SyncVectorEnv([lambda: Corridor(True)] * 3), **SMALL))
    module("cma-es")
    with pytest.raises(UserError, match="their full covariance is too large"):
        cma_es.train(cma_es.Config(hidden=(64, 64), **SMALL))
    module("neat")
    with pytest.raises(UserError, match="compatibility=1e-09: 8 species, and there is room for 4"):
        neat.train(neat.Config(compatibility=1e-9, **SMALL))

"""Behavioral cloning: what it trains on, that it learns a small world, and that it resumes to the same bits."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from driving_school import SIDE, School, picture, record
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agents.evaluation import evaluate
from agents.imitation import behavioral_cloning as bc
from agents.imitation import demonstrations, examples
from agents.imitation.demonstrations import BOOK_CLASSES
from agents.imitation.examples import Examples
from agents.imitation.networks import Agent, make_agent
from agents.registry import find
from agents.transforms import FrameStack
from supervised.training.configuration import from_json, to_json
from supervised.training.errors import UserError
from supervised.training.run import Run

GYM_CAR = gym.spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))
PICTURES = gym.spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
SMALL = bc.Config(env=School, env_kwargs={}, transforms=("gray",), epochs=3, batch_size=16, patience=0, threads=1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    return record(tmp_path_factory.mktemp("recorded") / "school")


def rows_of(lengths: list[int]) -> Examples:
    """Examples whose frames are (episode, step)."""
    frames = [np.array([[number, step] for step in range(length)]) for number, length in enumerate(lengths)]
    return Examples.join([Examples(one, one[:, 1], np.zeros(len(one), np.int64)) for one in frames])


# What is trained on.


def test_dropout_ends_early(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def update(self: bc.Learner, *_: Any) -> tuple[torch.Tensor, float, torch.Tensor]:
        modules = list(self.network.modules())
        seen.append({type(module).__name__: module.training for module in modules})
        return torch.zeros(1, 7), 0.0, torch.zeros(1, dtype=torch.int64)

    monkeypatch.setattr(bc.Learner, "_update", update)
    bc.train(dataclasses.replace(SMALL, demonstrations=recorded, epochs=4, early_dropout=0.5, batch_size=10_000))
    assert [one["Dropout2d"] for one in seen] == [True, True, False, False]
    assert all(one["BatchNorm2d"] for one in seen)


@given(
    st.lists(st.integers(1, 300), min_size=2, max_size=40), st.floats(0.01, 0.9), st.integers(0, 2**32), st.booleans()
)
def test_no_episode_is_on_both_sides(lengths: list[int], share: float, seed: int, off: bool) -> None:
    training, validation = examples.split(np.array(lengths), 0.0 if off else share, np.random.default_rng(seed))
    assert sorted([*training, *validation]) == list(range(len(lengths)))
    assert len(training) and (len(validation) == 0) == off
    steps = sum(lengths[number] for number in validation)
    assert off or steps <= share * sum(lengths) or (len(validation) == 1 and steps == min(lengths))


def test_split_fills_the_share() -> None:
    _, validation = examples.split(np.full(20, 100), 0.15, np.random.default_rng(0))
    assert len(validation) == 3


def test_training_never_sees_a_held_out_frame(recorded: str) -> None:
    """Every recorded frame gets a number of its own; the frames of both sides are looked up."""
    episodes = demonstrations.load(recorded)
    numbers = examples.split(episodes.lengths, 0.3, np.random.default_rng(1))
    agent = make_agent(dataclasses.replace(SMALL, transforms=()), episodes.observation_space)
    training, validation = (agent.examples(episodes, side) for side in numbers)
    for side, rows in zip(numbers, (training, validation), strict=True):
        assert np.array_equal(rows.frames, np.concatenate([episodes[int(n)].frames for n in side]))
        assert np.array_equal(rows.targets, np.concatenate([episodes[int(n)].actions for n in side]))
        assert np.unique(rows.firsts).tolist() == list(range(0, 40 * len(side), 40))
    assert len(training) + len(validation) == 240 and len(validation) == 40


def test_weights_by_hand() -> None:
    classes = np.array([5, 5, 5, 5, 1])
    assert examples.class_weights(classes, 1.0) == pytest.approx([1 / 8] * 4 + [1 / 2])
    assert examples.class_weights(classes, 0.5) == pytest.approx([1 / 6] * 4 + [1 / 3])  # shares as 2 to 1
    assert examples.class_weights(classes, 0.0) == pytest.approx([1 / 5] * 5)


def test_the_books_ratios() -> None:
    """Braking 1 + 20 times; gas kept with chance 0.3, no key with 0.7; steering as it is."""
    classes = np.repeat(np.arange(7), 10_000)
    kept = np.bincount(classes[examples.book_rows(classes, np.random.default_rng(0))])
    assert kept[[1, 2, 3, 4, 6]].tolist() == [10_000, 210_000, 10_000, 210_000, 210_000]
    assert kept[[0, 5]] == pytest.approx([7_000, 3_000], abs=200)


def test_a_mirror_exchanges_left_and_right() -> None:
    names = np.array(BOOK_CLASSES)
    exchanged = [name.replace("left", "r!ght").replace("right", "left").replace("!", "i") for name in names]
    assert names[examples.MIRRORED_CLASSES].tolist() == exchanged
    actions = np.array([[-0.5, 0.2], [1, -1]], np.float32)
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    flipped, targets = examples.mirror(images, actions, coloured=False)
    assert (
        flipped[0, 0].tolist() == [3, 2, 1, 0] and targets.tolist() == np.array([[0.5, 0.2], [-1, -1]], "f4").tolist()
    )


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3), (4, 5, 6), (4, 5, 6, 3)])
def test_a_mirror_is_its_own_inverse(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, *shape), dtype=np.uint8)
    classes = np.arange(7)
    once = examples.mirror(images, classes, coloured=shape[-1] == 3)
    assert not np.array_equal(once[0], images)
    twice = examples.mirror(*once, coloured=shape[-1] == 3)
    assert np.array_equal(twice[0], images) and np.array_equal(twice[1], classes)


def test_the_small_world_is_its_own_mirror_image() -> None:
    for kind, mirrored in enumerate(examples.MIRRORED_CLASSES):
        assert np.array_equal(picture(kind)[:, ::-1], picture(mirrored))


@pytest.mark.parametrize("stride", [1, 2])
def test_stacks_are_those_of_driving(stride: int) -> None:
    """An action that is held for two steps has the frames of a stack two steps apart."""
    data = rows_of([9, 1, 6])
    for number in (0, 2):
        rows = np.flatnonzero(data.frames[:, 0] == number)[::stride]
        stack = FrameStack(3)
        started = True
        for row in rows:
            expected = stack.see(data.frames[row : row + 1], np.array([started]))[0]
            started = False
            assert np.array_equal(data.observations(np.array([row]), 3, stride)[0], expected)


# Learning.


def test_learns_a_small_world_and_drives_in_it(recorded: str) -> None:
    agent = bc.train(dataclasses.replace(SMALL, demonstrations=recorded, epochs=8))
    assert evaluate(agent, School, episodes=10)["mean"] == 20.0


def test_a_continuous_head_and_a_stack(recorded: str) -> None:
    """The classes as a car's actions: steering and acceleration."""

    class Car(School):
        action_space = GYM_CAR

    config = dataclasses.replace(
        SMALL, env=Car, head="continuous", balance="none", transforms=("gray", "stack:2"), demonstrations=recorded
    )
    metrics: list[dict] = []
    agent = bc.train(dataclasses.replace(config, epochs=12, learning_rate=3e-3), watching(metrics))
    assert agent.space.shape == (2, SIDE, SIDE)
    assert metrics[-1]["validation_steering_error"] < 0.5 * metrics[0]["validation_steering_error"]
    actions = agent.act(np.zeros((3, 2, SIDE, SIDE), np.uint8), deterministic=True)
    assert actions.shape == (3, 3) and all(map(GYM_CAR.contains, actions))


def test_alvinn_learns_to_find_the_road() -> None:
    """A light strip wanders over a dark ground: the steering wheel's place is that of the strip."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, 30, 400)
    frames = np.full((400, 38, 32), 60, np.uint8)
    for frame, column in zip(frames, columns, strict=True):
        frame[10:30, column : column + 3] = 220
    targets = np.stack([columns / 14.5 - 1, np.zeros(400)], axis=1).astype(np.float32)
    config = bc.Config(
        backbone="alvinn", head="alvinn", transforms=("stack:2",), balance="none", batch_size=16, threads=1
    )
    agent = Agent(config, gym.spaces.Box(0, 255, (38, 32), np.uint8), GYM_CAR)
    learner = bc.Learner(config, agent)
    data = Examples(frames, targets, np.arange(400))
    learner.prepare(data)
    before = learner.measure(data)["steering_error"]
    for epoch in range(30):
        learner.epoch(data, epoch, 1.0)
    assert learner.measure(data)["steering_error"] < 0.1 < before


def test_a_car_gets_the_books_actions() -> None:
    """Seven classes trained on one environment drive another that takes steering, gas and brake."""
    from envs.car_racing.env import BOOK_ACTIONS

    agent = Agent(SMALL, PICTURES, GYM_CAR)
    with torch.no_grad():
        agent.network.head.weight.zero_()
        agent.network.head.bias.copy_(torch.eye(7)[4])
    frames = agent.transform(np.zeros((2, SIDE, SIDE, 3), np.uint8))
    assert agent.act(frames, deterministic=True).tolist() == [BOOK_ACTIONS[4].astype(np.float32).tolist()] * 2
    assert agent.targets(np.array([[1, 0, 0.4], [0, 1, 0]], np.float32)).tolist() == [4, 5]
    assert agent.targets(np.array([6, 0])).tolist() == [6, 0]


def test_the_books_weights_load(tmp_path: Path) -> None:
    """Saved by a script like the book's: the state dict of one `nn.Sequential`."""
    source = Agent(SMALL, PICTURES, School.action_space)
    torch.save(nn.Sequential(*source.network.backbone.layers, source.network.head).state_dict(), tmp_path / "model.pt")
    target = Agent(dataclasses.replace(SMALL, seed=5), PICTURES, School.action_space)
    target.network.load_sequential(str(tmp_path / "model.pt"))
    batch = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    assert torch.equal(source.network.eval()(batch), target.network.eval()(batch))


# Runs.


def watching(metrics: list[dict]) -> Run:
    """A run that writes nothing and keeps what is logged."""
    run = Run.off()
    run.log = lambda step, values: metrics.append(values)  # type: ignore[method-assign]
    return run


def started(config: bc.Config, folder: Path) -> Run:
    return Run.create(folder, algorithm="bc", preset="x", config=to_json(config), total=config.epochs, progress=False)


def test_resuming_gives_the_same_bits(recorded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SMALL, demonstrations=recorded, epochs=4, patience=2, balance="book")
    with started(config, tmp_path / "whole") as run:
        whole = bc.train(config, run)

    class Killed(Exception):
        pass

    epoch = bc.Learner.epoch

    def dying(self: bc.Learner, training: Examples, number: int, left: float, dropout: bool) -> dict[str, float]:
        metrics = epoch(self, training, number, left, dropout)
        if number == 2:
            raise Killed
        return metrics

    with monkeypatch.context() as patch, pytest.raises(Killed), started(config, tmp_path / "cut") as run:
        patch.setattr(bc.Learner, "epoch", dying)
        bc.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = bc.train(config, run)
    texts = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut")]
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == 4
    states = [agent.network.state_dict() for agent in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert (tmp_path / "cut" / "confusion.png").stat().st_size > 5000


def test_stops_early_with_the_best_weights(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 1.0, 2.0, 2.5, 0.5])
    kept: list[Any] = []

    def measured(self: bc.Learner, held_out: Examples) -> dict[str, float]:
        kept.append({name: value.clone() for name, value in self.network.state_dict().items()})
        return {"loss": next(losses)}

    monkeypatch.setattr(bc.Learner, "measure", measured)
    metrics: list[dict] = []
    agent = bc.train(dataclasses.replace(SMALL, demonstrations=recorded, epochs=9, patience=2), watching(metrics))
    assert [one["validation_loss"] for one in metrics] == [3, 1, 2, 2.5]
    state = agent.network.state_dict()
    assert all(torch.equal(state[name], kept[1][name]) for name in state)
    assert not torch.equal(state["head.weight"], kept[3]["head.weight"])


@pytest.mark.parametrize(("decay", "rates"), [(True, [1e-3, 7.5e-4, 5e-4, 2.5e-4]), (False, [1e-3] * 4)])
def test_the_step_size_falls_where_it_should(
    decay: bool, rates: list[float], recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    epoch = bc.Learner.epoch

    def watched(self: bc.Learner, *arguments: Any) -> dict[str, float]:
        metrics = epoch(self, *arguments)
        seen.append(self.optimizer.param_groups[0]["lr"])
        return metrics

    monkeypatch.setattr(bc.Learner, "epoch", watched)
    bc.train(dataclasses.replace(SMALL, demonstrations=recorded, epochs=4, patience=0, decay=decay))
    assert seen == pytest.approx(rates)


def test_same_seed_same_weights(recorded: str) -> None:
    weights = [
        bc.train(dataclasses.replace(SMALL, demonstrations=recorded, epochs=1, seed=seed)).network.head.weight
        for seed in (3, 3, 4)
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_presets_survive_their_json() -> None:
    for preset in find("bc").presets.values():
        assert from_json(bc.Config, json.loads(json.dumps(to_json(preset)))) == preset


# Bad input.


class Vectors(School):
    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"demonstrations": ""}, "demonstrations='': name a folder"),
        ({"demonstrations": "/nowhere/at/all"}, "/nowhere/at/all holds no demonstrations"),
        ({"env": Vectors}, "the demonstrations show .*40, 40, 3.*shows Box"),
        ({"backbone": "book_cb"}, "did you mean book_bc"),
        ({"head": "continuous", "balance": "none"}, "gives steering, gas and brake"),
        ({"weights": __file__}, "do not fit this network"),
        ({"learning_rate": 1e30, "weight_decay": 1e30}, "loss=nan in epoch|loss=inf in epoch"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, message: str, recorded: str) -> None:
    with pytest.raises(UserError, match=message):
        bc.train(dataclasses.replace(SMALL, **{"demonstrations": recorded, **change}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"balance": "wieghts"}, "balance='wieghts': use one of weights, book, none"),
        ({"head": "continuous"}, "balance='weights': the head continuous has no classes"),
        ({"validation": 1.0}, "validation=1.0"),
        ({"validation": 0.0, "patience": 3}, "patience=3: stopping early needs validation"),
        ({"batch_size": 1}, "batch_size=1: use at least 2"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataclasses.replace(SMALL, **change)


def test_one_episode_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="validation=0.15: episodes are never cut in two"):
        bc.train(dataclasses.replace(SMALL, demonstrations=record(tmp_path / "one", episodes=1)))


def test_the_books_classes_are_seven() -> None:
    four = gym.spaces.Discrete(4)
    with pytest.raises(UserError, match="actions=4: use it with the book's seven classes"):
        Agent(SMALL, PICTURES, four).targets(np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="mirror=4: use it with the book's seven classes"):
        bc.Learner(SMALL, Agent(SMALL, PICTURES, four))
    plain = dataclasses.replace(SMALL, mirror=False, balance="book")
    with pytest.raises(UserError, match="balance=4: use it with the book's seven classes"):
        bc.Learner(plain, Agent(plain, PICTURES, four))

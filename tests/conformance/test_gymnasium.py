"""Every environment among others' parts: checkers, vectorizers, wrappers; and its pictures."""

import re
import warnings
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TransformReward
from gymnasium.wrappers import vector as wrappers

import envs.drawing
from envs.batched import BatchedEnv

from .rollouts import (
    LANES,
    LIMIT,
    MODES,
    assert_same,
    find,
    make_batch,
    make_plan,
    make_single,
    plain,
    rollout,
    true_transitions,
)

# v0 of CartPole is kept beside v1 on purpose
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")

BOARDS = "/(TicTacToe|ConnectFour|Othello|Gomoku|Go|Chess|Shogi)-v0"
# Warnings of Gymnasium's and Stable-Baselines3's checkers that an environment may cause, and why.
JUSTIFIED = {
    "is out of date": "",  # the older version of an id is kept so that old results can be repeated
    "value is -?infinity": "CartPole",  # velocities have no bound
    "symmetric and normalized Box": "CarRacing",  # gas and brake are 0 to 1, as Gymnasium's
    "observation +is an image|channels-last": BOARDS,  # planes of numbers, not colours
    r"observation space \w* ?is an image|resolution for an image": f"Maze-planes|InstructionMaze|{BOARDS}",
    "unconventional shape": "Atari-Breakout-small",  # single gray frames have no axis of colours
}


def unjustified(env_id: str, caught: list[warnings.WarningMessage]) -> list[str]:
    messages = [str(warning.message) for warning in caught]
    return [
        message
        for message in messages
        if not any(re.search(text, message) and re.search(names, env_id) for text, names in JUSTIFIED.items())
    ]


def test_gymnasium_checker(env_id: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gym.make(env_id).unwrapped)
    assert unjustified(env_id, caught) == []


def test_stable_baselines3_checker(env_id: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the sb3 extra")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gym.make(env_id))
    assert unjustified(env_id, caught) == []


def test_registration(env_id: str) -> None:
    spec = gym.spec(env_id)
    assert isinstance(spec.entry_point, str) and isinstance(spec.vector_entry_point, str)
    assert spec.max_episode_steps is None, "time limits are counted in the batch"
    single, batch = find(spec.entry_point), find(spec.vector_entry_point)
    assert single.batched is batch
    assert isinstance(gym.make(env_id).unwrapped, single)
    for section in ("Actions", "Observations", "Reward", "Episode", "Keywords", "Versions"):
        assert re.search(rf"^ *## {section}\b", batch.__doc__, re.MULTILINE), f"the manual lacks ## {section}"
        assert re.search(rf"^ *## {section}\b", single.__doc__, re.MULTILINE)


@pytest.mark.parametrize("mode", MODES[:2], ids=lambda mode: mode.name)
@pytest.mark.parametrize("vectorizer", [SyncVectorEnv, AsyncVectorEnv], ids=["sync", "async"])
def test_gymnasium_vectorizers_agree(env_id: str, vectorizer: type[Any], mode: AutoresetMode) -> None:
    ours = make_batch(env_id, 2, max_episode_steps=LIMIT, autoreset_mode=mode)
    theirs = vectorizer([partial(make_single, env_id, max_episode_steps=LIMIT)] * 2, autoreset_mode=mode)
    plan = make_plan(ours.single_action_space, lanes=2)
    try:
        assert_same(rollout(theirs, plan, seed=5), rollout(ours, plan, seed=5))
    finally:
        theirs.close()


def test_a_spawned_worker_finds_the_ids() -> None:
    kwargs = {"vectorization_mode": "async", "vector_kwargs": {"context": "spawn"}}
    env = gym.make_vec("skidpad/CartPole-v1", 1, **kwargs)
    try:
        observation, _ = env.reset(seed=3)
        np.testing.assert_array_equal(observation, make_batch("skidpad/CartPole-v1", 1).reset(seed=3)[0])
    finally:
        env.close()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_recorded_episode_statistics(env_id: str, mode: AutoresetMode) -> None:
    batch = make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=mode)
    env = wrappers.RecordEpisodeStatistics(batch, buffer_length=10_000)
    expected, total = [], np.zeros(2)
    for stream in true_transitions(env, make_plan(batch.single_action_space)):
        total[:] = 0
        for _, _, reward, terminated, truncated, _ in stream:
            total += (reward, 1)
            if terminated or truncated:
                expected.append(tuple(total))
                total[:] = 0
    recorded = sorted(zip(map(float, env.return_queue), map(float, env.length_queue), strict=True))
    assert len(recorded) >= 5 * LANES
    np.testing.assert_allclose(recorded, sorted(expected), rtol=1e-12)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_reward_wrappers(env_id: str, mode: AutoresetMode) -> None:
    def make() -> BatchedEnv:
        return make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=mode)

    plan = make_plan(make().single_action_space)
    trace = rollout(make(), plan)
    for env, rewards in (
        (wrappers.TransformReward(make(), lambda reward: 2 * reward), 2 * trace.rewards),
        (wrappers.VectorizeTransformReward(make(), TransformReward, func=np.negative), -trace.rewards),
        (wrappers.ClipReward(make(), -0.5, 0.5), np.clip(trace.rewards, -0.5, 0.5)),
    ):
        assert_same(rollout(env, plan), trace._replace(rewards=rewards))
    normalised = rollout(wrappers.NormalizeReward(make()), plan)
    np.testing.assert_array_equal(np.sign(normalised.rewards), np.sign(trace.rewards))


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # Box's own, for float64
def test_observation_wrappers(env_id: str) -> None:
    def make() -> BatchedEnv:
        return make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=AutoresetMode.NEXT_STEP)

    space = make().single_observation_space
    plan = make_plan(make().single_action_space)
    trace = rollout(make(), plan)

    flat = rollout(wrappers.FlattenObservation(make()), plan)
    if isinstance(space, gym.spaces.Dict):
        expected = trace.observations  # flattened already
    else:
        expected = np.array([[gym.spaces.flatten(space, lane) for lane in lanes] for lanes in trace.observations])
    np.testing.assert_array_equal(flat.observations, expected)

    if isinstance(space, gym.spaces.Box):
        double = rollout(wrappers.DtypeObservation(make(), np.float64), plan)
        np.testing.assert_array_equal(double.observations, trace.observations.astype(np.float64))
        env = wrappers.NormalizeObservation(make())
        normalised = rollout(env, plan)
        assert normalised.observations[-1] in env.observation_space
        mean = trace.observations.astype(np.float64).mean(axis=(0, 1))
        np.testing.assert_allclose(env.obs_rms.mean, mean, atol=1e-4 * (1 + np.abs(mean).max()))
        np.testing.assert_array_equal(normalised.rewards, trace.rewards)


def test_infos_as_a_list(env_id: str) -> None:
    env = make_batch(env_id, max_episode_steps=LIMIT)
    plan = make_plan(env.single_action_space)
    trace = rollout(env, plan)
    listed = wrappers.DictInfoToList(make_batch(env_id, max_episode_steps=LIMIT))
    listed.reset(seed=0)
    for t, actions in enumerate(plan):
        *_, infos = listed.step(actions)
        for lane, info in enumerate(infos):
            assert ("final_obs" in info) == (trace.terminated[t, lane] or trace.truncated[t, lane])
            if "final_obs" in info:
                np.testing.assert_array_equal(plain(info["final_obs"], 0), trace.final_observations[t, lane])


# Rendering.


def test_nothing_is_drawn_unasked(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was drawn")

    batch_class = find(gym.spec(env_id).vector_entry_point)
    monkeypatch.setattr(batch_class, "_render_lane", refuse)
    monkeypatch.setattr(envs.drawing.Canvas, "__init__", refuse)
    for render_mode in {None, *batch_class.metadata["render_modes"]} - {"human"}:  # a window asks at every step
        batch = make_batch(env_id, max_episode_steps=LIMIT, render_mode=render_mode)
        rollout(batch, make_plan(batch.single_action_space, LIMIT + 1))
        single = gym.make(env_id, render_mode=render_mode)
        single.reset(seed=0)
        single.step(single.action_space.sample())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert make_batch(env_id).render() is None
    assert "render_mode" in str(caught[-1].message)


def test_frames(env_id: str) -> None:
    if "rgb_array" not in make_batch(env_id, 1).metadata["render_modes"]:
        pytest.skip("no pictures")
    batch = make_batch(env_id, 2, render_mode="rgb_array")
    single = make_single(env_id, render_mode="rgb_array")
    assert batch.metadata["render_fps"] > 0
    batch.reset(seed=[4, 3])
    single.reset(seed=3)
    seen = set()
    for actions in make_plan(batch.single_action_space, 20, lanes=2):
        frames = batch.render()
        assert frames is not None and len(frames) == 2
        for frame in frames:
            assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
            assert (frame != frame[0, 0]).any(), "a blank picture"
        np.testing.assert_array_equal(single.render(), frames[1])
        seen.add(frames[1].tobytes())
        batch.step(actions)
        _, _, terminated, truncated, _ = single.step(actions[1])
        if terminated or truncated:
            single.reset()
    assert len(seen) > 1, "no step is to be seen"


def test_text(env_id: str) -> None:
    if "ansi" not in make_batch(env_id, 1).metadata["render_modes"]:
        pytest.skip("no text")
    batch = make_batch(env_id, 2, render_mode="ansi")
    batch.reset(seed=[4, 3])
    single = make_single(env_id, render_mode="ansi")
    single.reset(seed=3)
    assert single.render() == batch.render()[1]
    seen = set()
    for actions in make_plan(batch.single_action_space, 20, lanes=2):
        texts = batch.render()
        assert texts is not None and len(texts) == 2 and all(isinstance(text, str) and text for text in texts)
        seen.add(texts[1])
        batch.step(actions)
    assert len(seen) > 1, "no step is to be seen"


def test_unknown_render_mode(env_id: str) -> None:
    with pytest.raises(ValueError, match="render_mode='hologram': use one of"):
        make_batch(env_id, render_mode="hologram")

"""One implementation of every environment: single, batch, threads, state, episodes, finite models."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs.batched
from envs.batched import Array, BatchedEnv, rows_of
from envs.single import SingleEnv

from .rollouts import (
    IDS,
    LANES,
    LIMIT,
    MODES,
    SLOW,
    STEPS,
    Trace,
    assert_same,
    make_batch,
    make_plan,
    make_single,
    plain,
    rollout,
    true_transitions,
)

# v0 of CartPole is kept beside v1 on purpose
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def test_there_are_environments() -> None:
    assert {"skidpad/CartPole-v0", "skidpad/CartPole-v1", "skidpad/MountainCar-v0"} <= set(IDS)


# One implementation: single, batch, lanes, threads.


def test_single_equals_its_lane(env_id: str) -> None:
    batch = make_batch(env_id, max_episode_steps=LIMIT)
    plan = make_plan(batch.single_action_space)
    trace = rollout(batch, plan, seed=40)
    for lane in range(LANES):
        single = make_single(env_id, max_episode_steps=LIMIT)
        observation, _ = single.reset(seed=40 + lane)
        for t, action in enumerate(plan[:, lane]):
            np.testing.assert_array_equal(plain(observation, 0), trace.observations[t, lane])
            observation, reward, terminated, truncated, _ = single.step(action)
            assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
            assert reward == trace.rewards[t, lane]
            assert (terminated, truncated) == (trace.terminated[t, lane], trace.truncated[t, lane])
            if terminated or truncated:
                np.testing.assert_array_equal(plain(observation, 0), trace.final_observations[t, lane])
                observation, _ = single.reset()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_lanes_do_not_depend_on_their_number(env_id: str, mode: AutoresetMode) -> None:
    # so many that compiled loops run on whole vector registers of lanes, and five for which they do not
    times = 2 if any(name in env_id for name in SLOW) else 15
    many = make_batch(env_id, times * LANES, max_episode_steps=LIMIT, autoreset_mode=mode)
    few = make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=mode)
    plan = make_plan(many.single_action_space, 2 * LIMIT, lanes=many.num_envs)
    trace = rollout(many, plan)
    for first in range(0, many.num_envs, LANES):
        lanes = slice(first, first + LANES)
        assert_same(rollout(few, plan[:, lanes], seed=first), Trace(*(array[:, lanes] for array in trace)))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_lanes_do_not_depend_on_threads(env_id: str, mode: AutoresetMode, monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_batch(env_id, 13, max_episode_steps=LIMIT, autoreset_mode=mode)
    plan = make_plan(env.single_action_space, lanes=13)
    expected = rollout(env, plan)
    monkeypatch.setattr(envs.batched.numba, "get_num_threads", lambda: 3)
    monkeypatch.setattr(env, "lanes_per_thread", 4)
    assert_same(rollout(env, plan), expected)
    assert len(env._slices) == 3


def test_copy_changes_nothing_but_the_buffers(env_id: str) -> None:
    env, lean = (make_batch(env_id, max_episode_steps=LIMIT, copy=copies) for copies in (True, False))
    plan = make_plan(env.single_action_space)
    assert_same(rollout(lean, plan), rollout(env, plan))


# Randomness and state.


def test_the_seed_decides_everything(env_id: str) -> None:
    env, again = (make_batch(env_id, max_episode_steps=LIMIT) for _ in range(2))
    plan = make_plan(env.single_action_space)
    trace = rollout(env, plan, seed=7)
    assert_same(rollout(again, plan, seed=7), trace)
    env.reset(seed=7)
    before = env.rng.copy()
    assert_same(rollout(env, plan, seed=7), trace)  # a used environment, too
    if not np.array_equal(env.rng, before):  # it draws, so other seeds must show
        other = rollout(env, plan, seed=1007)
        assert any(not np.array_equal(left, right) for left, right in zip(trace, other, strict=True))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_state_continues_bit_for_bit(env_id: str, mode: AutoresetMode) -> None:
    env, fresh = (make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=mode) for _ in range(2))
    plan = make_plan(env.single_action_space)
    for middle in (LIMIT // 2, LIMIT):  # in mid-episode, and when episodes have just ended
        last = rollout(env, plan[:middle]).observations[-1]
        state = env.state_dict()
        assert all(array.dtype != object and len(array) == LANES for array in state.values())
        expected = rollout(env, plan[middle:], first=last)
        for target in (fresh, env):
            target.load_state_dict(state)
            np.testing.assert_array_equal(plain(target.observe()), last)
            assert_same(rollout(target, plan[middle:], first=target.observe()), expected)


def test_single_state_continues_bit_for_bit(env_id: str) -> None:
    def run(env: SingleEnv) -> Iterator[tuple[Any, ...]]:
        for action in plan[LIMIT // 2 :, 0]:
            observation, *step, _ = env.step(action)
            yield plain(observation, 0), *step
            if step[1] or step[2]:
                yield (plain(env.reset()[0], 0),)

    env, fresh = (make_single(env_id, max_episode_steps=LIMIT) for _ in range(2))
    plan = make_plan(env.action_space, lanes=1)
    env.reset(seed=3)
    for action in plan[: LIMIT // 2, 0]:
        env.step(action)
    state = env.state_dict()
    expected = list(run(env))
    fresh.load_state_dict(state)
    for left, right in zip(run(fresh), expected, strict=True):
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, other)


def test_foreign_state_is_refused(env_id: str) -> None:
    env, larger = make_batch(env_id), make_batch(env_id, LANES + 1)
    env.reset(seed=0)
    larger.reset(seed=1)
    before = env.state_dict()
    name = next(iter(env.fields))
    lacking = {key: value for key, value in before.items() if key != name}
    floats = {**before, "rng": before["rng"] * 1.0}
    for wrong in (larger.state_dict(), lacking, {**before, "more": before[name]}, floats):
        with pytest.raises(ValueError) as caught:
            env.load_state_dict(wrong)
        assert "\n" not in str(caught.value)
    for key, value in env.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def pickled(env: Any) -> Any:
    return pickle.loads(pickle.dumps(env))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_duplicates_go_on_by_themselves(env_id: str, duplicate: Callable[[Any], Any]) -> None:
    env = make_batch(env_id, max_episode_steps=LIMIT)
    plan = make_plan(env.single_action_space)
    last = rollout(env, plan[:5]).observations[-1]
    twin = duplicate(env)
    state = env.state_dict()
    expected = rollout(twin, plan[5:], first=last)
    for key, value in env.state_dict().items():
        np.testing.assert_array_equal(value, state[key])
    assert_same(rollout(env, plan[5:], first=last), expected)
    for key, value in env.state_dict().items():
        np.testing.assert_array_equal(value, twin.state_dict()[key])
    twin.load_state_dict(state)
    np.testing.assert_array_equal(plain(twin.observe()), last)
    assert_same(rollout(twin, plan), rollout(env, plan))

    single = gym.make(env_id)
    single.reset(seed=0)
    single.step(plan[0, 0])
    second = duplicate(single)
    for left, right in zip(single.step(plan[1, 0])[:4], second.step(plan[1, 0])[:4], strict=True):
        np.testing.assert_array_equal(plain(left, 0), plain(right, 0))


# Episodes.


def test_autoreset_modes_give_the_same_transitions(env_id: str) -> None:
    plan = make_plan(make_batch(env_id).single_action_space)
    streams = []
    for mode in MODES:
        env = make_batch(env_id, max_episode_steps=LIMIT, autoreset_mode=mode)
        assert env.metadata["autoreset_mode"] is mode
        streams.append(true_transitions(env, plan))
    for other in streams[1:]:
        for left, right in zip(streams[0], other, strict=True):
            for one, two in zip(left[: len(plan)], right[: len(plan)], strict=True):
                for item, same in zip(one, two, strict=True):
                    np.testing.assert_array_equal(item, same)


def test_spaces_and_types(env_id: str) -> None:
    env = make_batch(env_id)  # with its own time limit
    space, single_space = env.observation_space, env.single_observation_space
    observation, _ = env.reset(seed=1)
    assert observation in space
    for actions in make_plan(env.single_action_space, 5 * STEPS):
        assert actions in env.action_space
        observation, rewards, terminated, truncated, infos = env.step(actions)
        assert observation in space
        assert rewards.shape == terminated.shape == truncated.shape == (LANES,)
        assert rewards.dtype == np.float64 and np.isfinite(rewards).all()
        assert terminated.dtype == truncated.dtype == np.bool_
        assert not (terminated & truncated).any()
        done = terminated | truncated
        assert ("final_obs" in infos) == done.any()
        if done.any():
            np.testing.assert_array_equal(infos["_final_obs"], done)
            for lane in np.flatnonzero(done):
                final = rows_of(infos["final_obs"], lane)
                assert (np.int64(final) if single_space.shape == () else final) in single_space


def test_time_limit(env_id: str) -> None:
    env = make_batch(env_id, max_episode_steps=LIMIT)
    trace = rollout(env, make_plan(env.single_action_space))
    lengths = np.zeros(LANES, np.int64)
    for terminated, truncated in zip(trace.terminated, trace.truncated, strict=True):
        lengths += 1
        np.testing.assert_array_equal(truncated, (lengths == LIMIT) & ~terminated)
        lengths[terminated | truncated] = 0

    plan = make_plan(env.single_action_space, 1)
    for limit, last in ((1000, True), (None, False)):
        env = make_batch(env_id, max_episode_steps=limit)
        env.reset(seed=0)
        env.load_state_dict({**env.state_dict(), "elapsed": np.full(LANES, 999)})
        _, _, terminated, truncated, _ = env.step(plan[0])
        np.testing.assert_array_equal(truncated, last & ~terminated)


def test_the_ids_own_time_limit(env_id: str) -> None:
    limit = make_batch(env_id).max_episode_steps
    assert limit == make_single(env_id).batch.max_episode_steps
    assert gym.make(env_id).unwrapped.batch.max_episode_steps == limit
    assert gym.spec(env_id).kwargs.get("max_episode_steps", limit) == limit


def impossible_actions(env: BatchedEnv) -> list[Array]:
    space = env.single_action_space
    if isinstance(space, gym.spaces.Box):
        fine = np.zeros((env.num_envs, *space.shape), space.dtype)
        broken = fine.copy()
        broken[-1, 0] = np.nan
        return [broken, fine[:-1], fine[:, None], fine[:, :-1]]
    assert isinstance(space, gym.spaces.Discrete), "say what is outside of this space"
    good = np.full(env.num_envs, space.start)
    below, above = good.copy(), good.copy()
    below[-1], above[-1] = space.start - 1, space.start + space.n
    return [below, above, good + 0.5, good[:-1], good[:, None], np.full(env.num_envs, "a")]


def test_impossible_actions_move_nothing(env_id: str) -> None:
    env = make_batch(env_id)
    env.reset(seed=0)
    before = env.state_dict()
    for actions in impossible_actions(env):
        with pytest.raises(ValueError) as caught:
            env.step(actions)
        assert "\n" not in str(caught.value)
    for key, value in env.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    single = make_single(env_id)
    single.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        single.step(impossible_actions(env)[0][-1])


# Finite models.


@pytest.fixture
def finite(env_id: str) -> BatchedEnv:
    env = make_batch(env_id, autoreset_mode=AutoresetMode.DISABLED, max_episode_steps=LIMIT)
    if not hasattr(env, "mdp"):
        pytest.skip("not a finite model")
    return env


def test_transitions_follow_the_model(finite: BatchedEnv) -> None:
    mdp = finite.mdp  # type: ignore[attr-defined]
    finite.reset(seed=0)
    for actions in make_plan(finite.single_action_space, 4 * STEPS):
        states = finite.fields["state"].copy()
        assert not mdp.terminal[states].any()
        _, rewards, terminated, truncated, _ = finite.step(actions)
        reached = finite.fields["state"]
        np.testing.assert_array_equal(terminated, mdp.terminal[reached])
        for lane, row in enumerate(states * mdp.n_actions + actions):
            outcomes = slice(*mdp.offsets[row : row + 2])
            if outcomes.start == outcomes.stop:  # an action that is not allowed here does nothing
                assert reached[lane] == states[lane] and rewards[lane] == 0
                continue
            possible = mdp.next_states[outcomes] == reached[lane]
            assert possible.any(), f"no way from {states[lane]} by {actions[lane]} to {reached[lane]} in the model"
            if not len(mdp.noise):
                assert np.isclose(mdp.outcome_rewards[outcomes][possible], rewards[lane], atol=1e-12).any()
        if (terminated | truncated).any():
            finite.reset(options={"reset_mask": terminated | truncated})


def test_episodes_start_where_asked(env_id: str, finite: BatchedEnv) -> None:
    mdp = finite.mdp  # type: ignore[attr-defined]
    starts = np.flatnonzero(~mdp.terminal)[:500]
    env = make_batch(env_id, len(starts))
    observations, _ = env.reset(seed=0, options={"state": starts})
    np.testing.assert_array_equal(env.fields["state"], starts)
    if isinstance(env.single_observation_space, gym.spaces.Discrete):
        np.testing.assert_array_equal(observations, starts)
    single = make_single(env_id)
    observation, _ = single.reset(seed=0, options={"state": int(starts[-1])})
    np.testing.assert_array_equal(observation, observations[-1])
    for wrong in (-1, mdp.n_states, 0.5, *np.flatnonzero(mdp.terminal)[:1].tolist(), [0] * (len(starts) + 1)):
        with pytest.raises(ValueError, match="state"):
            env.reset(options={"state": wrong})


def test_action_masks_follow_the_model(env_id: str, finite: BatchedEnv) -> None:
    mdp = finite.mdp  # type: ignore[attr-defined]
    _, infos = finite.reset(seed=0)
    assert ("action_mask" in infos) == (not mdp.allowed.all())
    if "action_mask" not in infos:
        return
    for actions in make_plan(finite.single_action_space):
        np.testing.assert_array_equal(infos["action_mask"], mdp.allowed[finite.fields["state"]])
        *_, infos = finite.step(actions)
    single = make_single(env_id)
    _, info = single.reset(seed=0)
    for _ in range(20):
        action = single.action_space.sample(mask=info["action_mask"])
        assert mdp.allowed[single.fields["state"][0], action]

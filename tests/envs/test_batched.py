"""The lanes of a batch: resets, autoreset, buffers, threads, errors; and the batch of one."""

from typing import Any

import gymnasium as gym
import numba
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs.batched
from envs.batched import Array, Lanes
from envs.control.cart_pole import CartPole, CartPoleEnv
from envs.finite import FiniteEnv, FiniteSingle
from envs.mdp import MDP

LEFT, RIGHT, STAY = 0, 1, 2


def walk(length: int = 4) -> MDP:
    """States 0 ... length - 1 in a row, the last one terminal; rewards -1 left, 1 right, 0 for staying."""
    transitions = np.zeros((3, length, length))
    for state in range(length):
        for action, reached in enumerate((max(state - 1, 0), min(state + 1, length - 1), state)):
            transitions[action, state, reached] = 1
    start = np.eye(length)[0]
    rewards = np.tile([-1.0, 1.0, 0.0], (length, 1))
    return MDP(transitions, rewards, terminal=np.arange(length) == length - 1, start=start)


def walks(num_envs: int = 3, **kwargs: Any) -> FiniteEnv:
    env = FiniteEnv(num_envs, mdp=walk(), **kwargs)
    env.reset(seed=0)
    return env


# Resets.


def test_reset_mask_restarts_only_its_lanes() -> None:
    env = CartPole(4)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.ones(4, np.int64))
    before = env.state_dict()
    last = env.observe()
    mask = np.array([True, False, False, True])
    observations, _ = env.reset(options={"reset_mask": mask})
    after = env.state_dict()
    np.testing.assert_array_equal(after["elapsed"], [0, 3, 3, 0])
    for name in ("x", "theta_dot", "rng"):
        assert (after[name][mask] != before[name][mask]).any()
        np.testing.assert_array_equal(after[name][~mask], before[name][~mask])
    np.testing.assert_array_equal(observations[~mask], last[~mask])
    assert (np.abs(observations[mask]) <= 0.05).all()


def test_reset_mask_with_a_seed_seeds_its_lanes_only() -> None:
    env, whole = CartPole(3), CartPole(3)
    env.reset(seed=0)
    mask = np.array([False, True, False])
    before = env.observe()
    observations, _ = env.reset(seed=50, options={"reset_mask": mask})
    np.testing.assert_array_equal(observations[1], whole.reset(seed=50)[0][1])
    np.testing.assert_array_equal(observations[~mask], before[~mask])


def test_reset_clears_what_ended() -> None:
    env = walks(2, max_episode_steps=2, autoreset_mode=AutoresetMode.DISABLED)
    for _ in range(2):
        _, _, _, truncated, _ = env.step(np.array([STAY, STAY]))
    assert truncated.all()
    env.reset(options={"reset_mask": np.array([True, False])})
    np.testing.assert_array_equal(env.done, [False, True])
    _, rewards, _, truncated, _ = env.step(np.array([RIGHT, RIGHT]))
    np.testing.assert_array_equal(rewards, [1, 0])
    np.testing.assert_array_equal(truncated, [False, True])


def test_a_mask_must_fit() -> None:
    env = CartPole(2)
    with pytest.raises(gym.error.ResetNeeded, match="leave reset_mask out"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    for mask in (np.array([True]), np.array([1, 0]), np.ones((2, 1), np.bool_)):
        with pytest.raises(ValueError, match=r"give \(2,\) bool"):
            env.reset(options={"reset_mask": mask})


def test_options_are_the_callers_own() -> None:
    options = {"reset_mask": np.ones(2, np.bool_), "state": np.zeros(4)}
    env = CartPole(2)
    env.reset(seed=0, options=options)
    assert set(options) == {"reset_mask", "state"}
    np.testing.assert_array_equal(env.fields["x"], 0)


def test_a_start_is_given_to_the_masked_lanes() -> None:
    env = walks(3)
    env.reset(options={"state": [2, 1, 0], "reset_mask": np.array([True, True, False])})
    np.testing.assert_array_equal(env.fields["state"], [2, 1, 0])
    env.reset(options={"state": 1, "reset_mask": np.array([False, False, True])})
    np.testing.assert_array_equal(env.fields["state"], [2, 1, 1])
    wrong_starts = ((3, "state 3: give"), (-1, "state -1: give"), (0.5, "float64"), ([1, 2], r"\(2,\): give"))
    for wrong, message in wrong_starts:
        with pytest.raises(ValueError, match=message):
            env.reset(options={"state": wrong})
    np.testing.assert_array_equal(env.fields["state"], [2, 1, 1])


def test_seeds() -> None:
    env = CartPole(3)
    by_number, _ = env.reset(seed=7)
    by_list, _ = env.reset(seed=[7, 8, 9])
    np.testing.assert_array_equal(by_number, by_list)
    turned, _ = env.reset(seed=np.array([9, 8, 7]))
    np.testing.assert_array_equal(turned, by_list[::-1])
    following, _ = env.reset()  # no seed: every lane draws on
    assert (following != turned).any(axis=1).all()
    assert (CartPole(3).reset()[0] != CartPole(3).reset()[0]).any(), "two unseeded environments are equal"
    assert len(np.unique(CartPole(3).reset()[0][:, 0])) == 3
    with pytest.raises(ValueError, match="2 seeds for 3 lanes: give one a lane"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="seed -1 is out of range"):
        env.reset(seed=-1)


# The three autoreset modes.


def test_same_step_returns_both_observations() -> None:
    env = walks(2, max_episode_steps=10)
    env.reset(options={"state": [2, 0]})
    observations, rewards, terminated, _, infos = env.step(np.array([RIGHT, RIGHT]))
    np.testing.assert_array_equal(observations, [0, 1])
    np.testing.assert_array_equal(rewards, [1, 1])
    np.testing.assert_array_equal(terminated, [True, False])
    np.testing.assert_array_equal(infos["_final_obs"], [True, False])
    assert infos["final_obs"].shape == (2,) and infos["final_obs"][0] == 3
    observations, *_, infos = env.step(np.array([STAY, RIGHT]))
    np.testing.assert_array_equal(observations, [0, 2])
    assert "final_obs" not in infos
    np.testing.assert_array_equal(env.elapsed, [1, 2])


def test_next_step_ignores_the_action_of_the_step_that_resets() -> None:
    env = walks(1, max_episode_steps=10, autoreset_mode="NextStep")
    env.reset(options={"state": 2})
    observations, rewards, terminated, _, infos = env.step(np.array([RIGHT]))
    assert (observations[0], rewards[0], terminated[0], infos) == (3, 1, True, {})
    observations, rewards, terminated, _, _ = env.step(np.array([RIGHT]))
    assert (observations[0], rewards[0], terminated[0]) == (0, 0, False)
    assert env.elapsed[0] == 0


def test_disabled_lanes_stand_still() -> None:
    env = CartPole(2, max_episode_steps=3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.ones(2, np.int64))
    before = env.state_dict()
    for _ in range(2):
        observations, rewards, terminated, truncated, infos = env.step(np.zeros(2, np.int64))
        np.testing.assert_array_equal(rewards, 0)
        np.testing.assert_array_equal(truncated, True)
        np.testing.assert_array_equal(terminated, False)
        np.testing.assert_array_equal(observations, env.observe())
        assert infos == {}
        for name, array in env.state_dict().items():
            if name != "rewards":
                np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_an_end_at_the_last_permitted_step_is_no_truncation(mode: AutoresetMode) -> None:
    env = walks(2, max_episode_steps=3, autoreset_mode=mode)
    for _ in range(3):
        _, _, terminated, truncated, _ = env.step(np.array([RIGHT, STAY]))
    np.testing.assert_array_equal(terminated, [True, False])
    np.testing.assert_array_equal(truncated, [False, True])


def test_the_time_limit_may_change() -> None:
    env = walks(1, max_episode_steps=None)
    assert env.max_episode_steps is None
    assert not any(env.step(np.array([STAY]))[3][0] for _ in range(50))
    env.max_episode_steps = 60
    assert [bool(env.step(np.array([STAY]))[3][0]) for _ in range(10)] == [False] * 9 + [True]
    with pytest.raises(ValueError, match="max_episode_steps=0: use a positive number or None"):
        env.max_episode_steps = 0


# Buffers and state.


def test_copies_are_fresh_and_buffers_are_not() -> None:
    actions = np.ones(2, np.int64)
    env = CartPole(2)
    first = [env.reset(seed=0)[0], *env.step(actions)[:4]]
    kept = [array.copy() for array in first]
    second = env.step(actions)[:4]
    for array, value in zip(first, kept, strict=True):
        np.testing.assert_array_equal(array, value)
    for one, other in zip(first[1:], second, strict=True):
        assert not np.shares_memory(one, other)

    lean = CartPole(2, copy=False, max_episode_steps=2)
    observation, _ = lean.reset(seed=0)
    for _ in range(2):
        *step, infos = lean.step(actions)
        assert np.shares_memory(step[0], observation)
    *again, _ = lean.step(actions)
    *last, more = lean.step(actions)
    for one, other in zip(step, last, strict=True):
        assert one is other
    assert infos["final_obs"] is more["final_obs"]


def test_state_is_a_copy() -> None:
    env = CartPole(2)
    env.reset(seed=0)
    state = env.state_dict()
    state["x"][:] = 1
    assert (env.fields["x"] != 1).all()
    env.load_state_dict(state)
    state["x"][:] = 2
    np.testing.assert_array_equal(env.fields["x"], 1)
    np.testing.assert_array_equal(env.observe()[:, 0], 1)
    with pytest.raises(ValueError, match=r"field x is float64 \(3,\): float64 \(2,\) is needed"):
        env.load_state_dict({**state, "x": np.zeros(3)})
    with pytest.raises(ValueError, match="are needed"):
        env.load_state_dict({})


def test_a_loaded_environment_needs_no_reset() -> None:
    env, fresh = CartPole(2), CartPole(2)
    env.reset(seed=0)
    fresh.load_state_dict(env.state_dict())
    actions = np.ones(2, np.int64)
    np.testing.assert_array_equal(fresh.step(actions)[0], env.step(actions)[0])
    np.testing.assert_array_equal(fresh.reset()[0], env.reset()[0])


# Threads.


class Recorder(CartPole):
    """Notes the slice of lanes of every call."""

    lanes_per_thread = 2

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self.calls: list[tuple[int, int]] = []

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        self.calls.append((lanes.where.start, lanes.where.stop))
        super()._step_lanes(lanes, actions)


@pytest.mark.parametrize(
    ("num_envs", "threads", "expected"),
    [
        (8, 1, [(0, 8)]),
        (8, 2, [(0, 4), (4, 8)]),
        (7, 3, [(0, 2), (2, 4), (4, 7)]),
        (3, 4, [(0, 3)]),
        (1, 2, [(0, 1)]),
    ],
)
def test_lanes_are_shared_among_threads(
    num_envs: int, threads: int, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envs.batched.numba, "get_num_threads", lambda: threads)
    env = Recorder(num_envs)
    env.reset(seed=0)
    env.step(np.ones(num_envs, np.int64))
    assert sorted(env.calls) == expected


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="needs two cores")
def test_numbas_own_setting_decides() -> None:
    env = Recorder(8)
    env.reset(seed=0)
    before = numba.get_num_threads()
    try:
        for threads in (2, 1, 2):
            numba.set_num_threads(threads)
            env.calls.clear()
            env.step(np.ones(8, np.int64))
            assert len(env.calls) == threads
    finally:
        numba.set_num_threads(before)


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Recorder):
        def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
            raise RuntimeError("no dynamics here")

    monkeypatch.setattr(envs.batched.numba, "get_num_threads", lambda: 2)
    env = Failing(4)
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="no dynamics here"):
        env.step(np.ones(4, np.int64))


# Bad input.


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"num_envs": 0}, "num_envs=0: a batch has at least one lane"),
        ({"max_episode_steps": 0}, "max_episode_steps=0: use a positive number or None"),
        ({"max_episode_steps": -5}, "max_episode_steps=-5: use"),
        ({"render_mode": "human"}, "render_mode='human': use one of"),
        ({"autoreset_mode": "never"}, "never"),
    ],
)
def test_keywords_out_of_range(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        CartPole(**keywords)
    assert "\n" not in str(caught.value)


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match="velocity"):
        CartPole(2, velocity=False)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 2]), "action 2 of lane 1: give integers from 0 to 1"),
        (np.array([-1, 0]), "action -1 of lane 0: give"),
        (np.array([0, 255], np.uint8), "action 255 of lane 1"),
        (np.array([2**63, 0], np.uint64), "of lane 0: give"),
        (np.array([0.0, 1.0]), "actions are float64: give integers from 0 to 1"),
        (np.array([True, False]), "actions are bool"),
        (np.array([0]), r"actions have shape \(1,\): give \(2,\)"),
        (1, r"actions have shape \(\): give \(2,\)"),
        (None, "actions have shape"),
    ],
)
def test_impossible_actions(actions: Any, message: str) -> None:
    env = CartPole(2)
    env.reset(seed=0)
    before = env.state_dict()
    with pytest.raises(ValueError, match=message) as caught:
        env.step(actions)
    assert "\n" not in str(caught.value)
    for name, array in env.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_any_integers_are_actions(dtype: type[Any]) -> None:
    env, reference = CartPole(2), CartPole(2)
    for one in (env, reference):
        one.reset(seed=0)
    expected = reference.step(np.array([1, 0]))[0]
    np.testing.assert_array_equal(env.step(np.array([1, 0], dtype))[0], expected)
    assert env.step([1, 0])[0].shape == (2, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize("env", [CartPole(2), CartPoleEnv()], ids=["batch", "single"])
def test_the_first_step_needs_a_reset(env: Any) -> None:
    with pytest.raises(gym.error.ResetNeeded, match="call reset"):
        env.step(env.action_space.sample())


# The batch of one.


def test_np_random_is_the_lanes_generator() -> None:
    env = CartPoleEnv()
    env.reset(seed=3)
    expected = np.random.default_rng(3)
    expected.uniform(-0.05, 0.05, size=4)
    assert env.np_random.bit_generator.state == expected.bit_generator.state
    assert env.np_random_seed == 3
    env.np_random = np.random.default_rng(9)
    np.testing.assert_array_equal(env.reset()[0], CartPoleEnv().reset(seed=9)[0])
    fresh = CartPoleEnv()
    state = fresh.np_random.bit_generator.state  # chosen at random, and then kept
    assert fresh.np_random.bit_generator.state == state


def test_a_single_offers_what_its_batch_does() -> None:
    env = FiniteSingle(mdp=walk(), max_episode_steps=5)
    assert env.mdp is env.batch.mdp and env.max_episode_steps == 5
    assert env.kernel is env.batch.kernel
    assert not hasattr(env, "nonsense") and not hasattr(env, "_nonsense")
    observation, info = env.reset(seed=0, options={"state": 2})
    assert observation == 2 and type(observation) is int and info == {}
    assert env.step(np.int64(RIGHT)) == (3, 1.0, True, False, {})
    assert env.step(LEFT) == (3, 0.0, True, False, {})  # ended: it waits for a reset
    with pytest.raises(ValueError, match=r"actions have shape \(1, 1\)"):
        env.step(np.array([RIGHT]))

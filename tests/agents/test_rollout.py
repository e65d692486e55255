"""The stream of true transitions, from vector environments of every autoreset mode and from saved states."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from agents.rollout import Rollout, make_lanes, require_actions
from supervised.training.errors import UserError


class Count(gym.Env):
    """Observation (episode, step); random lengths; ends by termination in even episodes, by truncation in odd ones."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode += 1
        self.steps, self.length = 0, int(self.np_random.integers(1, 5))
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        return np.array([self.episode, self.steps], np.float32)

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        over, even = self.steps >= self.length, self.episode % 2 == 0
        return self._observe(), float(self.steps), over and even, over and not even, {}


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_transitions_stay_within_their_episode(mode: AutoresetMode) -> None:
    rollout = Rollout(SyncVectorEnv([Count] * 3, autoreset_mode=mode), seed=4)
    returns = []
    for _ in range(60):
        moved = rollout.step(np.zeros(3, np.int64))
        for lane in np.flatnonzero(moved.valid):
            episode, step = moved.observations[lane]
            assert tuple(moved.next_observations[lane]) == (episode, step + 1)
            assert moved.rewards[lane] == step + 1
            if moved.terminated[lane] or moved.truncated[lane]:
                assert bool(moved.terminated[lane]) == (episode % 2 == 0)
        ends = (moved.terminated | moved.truncated) & moved.valid
        assert len(rollout.finished_returns) == ends.sum()
        lengths = moved.next_observations[ends][:, 1]
        assert np.array_equal(rollout.finished_lengths, lengths)
        assert np.array_equal(rollout.finished_returns, lengths * (lengths + 1) / 2)
        returns += rollout.finished_returns.tolist()
    assert len(returns) > 30


class Lives(VectorEnv):
    """Rewards 1, -2, 3, -4, ...; a life is lost at every third step, and every seventh is the last of an episode."""

    num_envs = 2
    single_observation_space = gym.spaces.Box(0, np.inf, (1,), np.float32)
    single_action_space = gym.spaces.Discrete(2)
    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def reset(self, **_: Any) -> tuple[np.ndarray, dict]:
        self.steps = 0
        return np.zeros((2, 1), np.float32), {"life_lost": np.zeros(2, np.bool_)}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        self.steps += 1
        over = np.full(2, self.steps % 7 == 0)
        seen = np.full((2, 1), self.steps, np.float32)
        infos = {"life_lost": np.full(2, self.steps % 3 == 0) & ~over, "final_obs": seen, "_final_obs": over}
        return seen, np.full(2, -self.steps * (-1.0) ** self.steps), over, np.zeros(2, np.bool_), infos


@pytest.mark.parametrize("counts", [False, True])
def test_a_lost_life_ends_what_is_learnt_from_and_no_episode(counts: bool) -> None:
    rollout = Rollout(Lives(), 0, ("stack:2",), life_loss_ends=counts, clip_rewards=counts)
    for step in range(1, 8):
        moved = rollout.step(np.zeros(2, np.int64))
        over, reward = step == 7, step if step % 2 else -step
        assert moved.terminated.tolist() == [over or (counts and step % 3 == 0)] * 2
        assert moved.ended.tolist() == [over] * 2 and not moved.truncated.any()
        assert moved.starts.tolist() == [step == 1] * 2
        assert moved.rewards.tolist() == [float(np.sign(reward) if counts else reward)] * 2
        assert moved.observations[0, :, 0].tolist() == [max(step - 2, 0), step - 1], "stacks go on"
        assert rollout.finished_returns.tolist() == [4.0] * (2 * over), "true rewards, of whole episodes"


def test_lost_lives_that_nobody_tells_of() -> None:
    with pytest.raises(UserError, match="life_loss_ends=True: the environment does not tell"):
        Rollout(make_lanes("skidpad/CartPole-v1", 2, {}), 0, life_loss_ends=True)


@pytest.mark.parametrize(
    "env",
    ["CartPole-v1", "FrozenLake-v1", "skidpad/CartPole-v1", "skidpad/MountainCar-v0", "skidpad/Atari-Breakout-v0"],
)
def test_resumes_in_mid_episode(env: str) -> None:
    if "Atari" in env:
        pytest.importorskip("ale_py", reason="needs the atari extra")
    """Third-party lanes, which cannot be copied, are replayed from their generators and actions."""
    rng = np.random.default_rng(0)

    def play(rollout: Rollout, steps: int) -> list[np.ndarray]:
        stream = []
        for _ in range(steps):
            actions = rng.integers(2, size=3)
            moved = rollout.step(actions)
            stream += [np.array(moved.next_observations), np.array(moved.rewards), rollout.returns.copy()]
        return stream

    first = Rollout(make_lanes(env, 3, {}), seed=1)
    play(first, 70)
    saved, rng_state = first.state_dict(), rng.bit_generator.state
    expected = play(first, 70)
    second = Rollout(make_lanes(env, 3, {}), seed=1)
    second.load_state_dict(saved)
    rng.bit_generator.state = rng_state
    for mine, theirs in zip(play(second, 70), expected, strict=True):
        assert np.array_equal(mine, theirs)


def test_warns_where_an_environment_does_not_replay() -> None:
    class Drifting(Count):
        born = 0

        def _observe(self) -> np.ndarray:
            return super()._observe() + Drifting.born

    first = Rollout(make_lanes(Drifting, 1, {}), seed=1)
    saved = first.state_dict()
    Drifting.born = 1
    with pytest.warns(UserWarning, match="did not replay"):
        Rollout(make_lanes(Drifting, 1, {}), seed=1).load_state_dict(saved)


def test_lane_seeds_are_those_of_the_run_alone() -> None:
    starts = [Rollout(make_lanes("skidpad/CartPole-v1", 4, {}), seed=seed).observations.copy() for seed in (0, 0, 1)]
    assert np.array_equal(starts[0], starts[1])
    assert not np.isin(starts[0], starts[2]).any()


@pytest.mark.parametrize(
    ("env", "kwargs", "message"),
    [
        ("skidpad/CartPool-v1", {}, "did you mean.*skidpad/CartPole-v1"),
        ("no_such_package:Env-v0", {}, "No module named 'no_such_package'"),
        ("skidpad/CartPole-v1", {"gravity": 3}, "gravity"),
    ],
)
def test_bad_environments_are_named(env: str, kwargs: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_lanes(env, 2, kwargs)


def test_actions_that_no_learner_gives_are_named() -> None:
    for space in (gym.spaces.Discrete(3, start=1), gym.spaces.Box(-1, 1, (2,))):
        require_actions("fits", space)
    for space in (gym.spaces.MultiDiscrete([3, 2]), gym.spaces.MultiBinary(3), gym.spaces.Box(-1, 1, (2, 2))):
        with pytest.raises(UserError) as refusal:
            require_actions("mine", space)
        assert (
            str(refusal.value)
            == f"mine has actions in {space}: wrap it so that they are Discrete, or a Box of one axis"
        )

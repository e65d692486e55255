"""Transforms against Gymnasium's flatten, Pillow and numbers by hand; stacks and repeated actions through resets."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from PIL import Image, ImageOps

from agents.evaluation import Player, evaluate
from agents.rollout import RepeatLanes, Rollout, make_lanes
from agents.transforms import FrameStack, Transforms, action_repeat, flattener
from supervised.flattened import Flattened
from supervised.training.errors import UserError

SPACES = [
    spaces.Discrete(5),
    spaces.Discrete(4, start=-2),
    spaces.MultiDiscrete([3, 2, 4]),
    spaces.MultiBinary(6),
    spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (2, 2), np.float32))),
    spaces.Dict(goal=spaces.Box(0, 1, (3,), np.float64), room=spaces.Discrete(4), bits=spaces.MultiBinary(2)),
    spaces.Dict(outer=spaces.Dict(inner=spaces.Discrete(2)), image=spaces.Box(0, 255, (2, 2, 3), np.uint8)),
]
CAR = spaces.Box(0, 255, (96, 96, 3), np.uint8)
GRAY = spaces.Box(0, 255, (4, 6), np.uint8)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_equals_gymnasium_flatten(space: gym.Space) -> None:
    space.seed(0)
    samples = [space.sample() for _ in range(7)]
    batch = concatenate(space, samples, create_empty_array(space, n=len(samples)))
    flat_space, flatten = flattener(space)
    expected = np.stack([spaces.flatten(space, sample) for sample in samples]).astype(np.float32)
    result = flatten(batch)
    assert result.dtype == np.float32
    assert np.array_equal(result, expected)
    assert all(flat_space.contains(row) for row in result)
    assert isinstance(flat_space, Flattened) and flat_space.parts is space


def test_boxes_pass_untouched() -> None:
    image = spaces.Box(0, 255, (4, 4, 3), np.uint8)
    space, flatten = flattener(image)
    batch = np.zeros((2, 4, 4, 3), np.uint8)
    assert space is image and flatten(batch) is batch
    transforms = Transforms(image)
    assert transforms.space is image and transforms(batch) is batch


def test_spaces_without_fixed_size_are_refused() -> None:
    with pytest.raises(UserError, match="no fixed size"):
        flattener(spaces.Sequence(spaces.Discrete(3)))


def test_the_books_picture() -> None:
    """Chapter 10: Grayscale(1), Pad((12, 12, 12, 0)), CenterCrop(84), whose corner is rounded halves of the rest."""
    frames = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), dtype=np.uint8)
    transforms = Transforms(CAR, ("gray", "crop:0:84:6:90"))
    assert transforms.space == spaces.Box(0, 255, (84, 84), np.uint8)
    for frame, result in zip(frames, transforms(frames), strict=True):
        padded = ImageOps.expand(Image.fromarray(frame).convert("L"), (12, 12, 12, 0))  # left, top, right, bottom
        left, top = round((padded.width - 84) / 2), round((padded.height - 84) / 2)
        assert (padded.size, left, top) == ((120, 108), 18, 12)
        assert np.array_equal(result, np.asarray(padded.crop((left, top, left + 84, top + 84))))


def test_resize_is_the_mean_over_the_area() -> None:
    image = np.array([[[0, 10, 20], [30, 41, 50]]], np.uint8)  # 2 x 3

    def resized(height: int, width: int) -> list:
        return Transforms(spaces.Box(0, 255, (2, 3), np.uint8), (f"resize:{height}:{width}",))(image)[0].tolist()

    assert resized(1, 1) == [[25]]  # 151 / 6 = 25.2
    # columns 0 and a half of 1: (0 + 30 + (10 + 41) / 2) / 3 = 18.5, a half is rounded up
    assert resized(1, 2) == [[19, 32]]
    assert resized(2, 3) == image[0].tolist()
    assert resized(4, 3) == np.repeat(image[0], 2, axis=0).tolist()


@pytest.mark.parametrize("shape", [(96, 96), (96, 96, 3), (61, 47)])
def test_resize_against_a_sum_over_small_squares(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    results = Transforms(spaces.Box(0, 255, shape, np.uint8), ("resize:40:30",))(images)
    assert results.shape == (3, 40, 30, *shape[2:]) and results.flags.c_contiguous
    fine = images.reshape(*images.shape[:3], -1).astype(float).repeat(40, axis=1).repeat(30, axis=2)
    means = fine.reshape(3, 40, shape[0], 30, shape[1], -1).mean(axis=(2, 4))
    assert abs(results.reshape(means.shape) - means).max() <= 0.5 + 1e-9


def test_resize_is_near_pillows_box() -> None:
    """Pillow rounds twice, after columns and after rows."""
    images = np.random.default_rng(1).integers(0, 256, (3, 96, 96), dtype=np.uint8)
    results = Transforms(spaces.Box(0, 255, (96, 96), np.uint8), ("resize:48:32",))(images)
    for image, result in zip(images, results, strict=True):
        pillows = np.asarray(Image.fromarray(image).resize((32, 48), Image.Resampling.BOX))
        assert abs(result.astype(int) - pillows).max() <= 1


def test_stack_shows_the_newest_frames() -> None:
    stack = FrameStack(3)
    frames = np.array([[1], [2]])
    assert stack.start(frames, np.ones(2, bool))[..., 0].tolist() == [[1, 1, 1], [2, 2, 2]]
    before = stack.push(frames + 10)
    assert before[..., 0].tolist() == [[1, 1, 11], [2, 2, 12]]
    assert stack.start(frames + 20, np.array([False, True]))[..., 0].tolist() == [[1, 1, 11], [22, 22, 22]]
    assert before[..., 0].tolist() == [[1, 1, 11], [2, 2, 12]], "what was handed out stays"


class Count(gym.Env):
    """Observation (episode, step); random lengths."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode += 1
        self.steps, self.length = 0, int(self.np_random.integers(1, 8))
        return np.array([self.episode, 0], np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        return np.array([self.episode, self.steps], np.float32), 2.0**self.steps, self.steps >= self.length, False, {}


def stacked(episode: float, step: float, stack: int = 3) -> list[list[float]]:
    """The stack at a step: step 0 fills what lies before the episode."""
    return [[episode, max(step - back, 0.0)] for back in range(stack - 1, -1, -1)]


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
def test_stacks_stay_within_their_episode(mode: AutoresetMode) -> None:
    rollout = Rollout(SyncVectorEnv([Count] * 3, autoreset_mode=mode), 4, ("stack:3",))
    assert rollout.space.shape == (3, 2)
    ends = 0
    for _ in range(80):
        moved = rollout.step(np.zeros(3, np.int64))
        for lane in np.flatnonzero(moved.valid):
            episode, step = moved.observations[lane, -1]
            assert moved.observations[lane].tolist() == stacked(episode, step)
            assert moved.next_observations[lane].tolist() == stacked(episode, step + 1)
            ends += moved.terminated[lane]
    assert ends > 20


@pytest.mark.parametrize("env", ["CartPole-v1", "skidpad/CartPole-v1"])
def test_stacks_resume_in_mid_episode(env: str) -> None:
    actions = np.random.default_rng(0).integers(2, size=(80, 3))
    first = Rollout(make_lanes(env, 3, {}), 1, ("stack:4",))
    for row in actions[:40]:
        first.step(row)
    saved = first.state_dict()
    second = Rollout(make_lanes(env, 3, {}), 1, ("stack:4",))
    second.load_state_dict(saved)
    assert np.array_equal(first.observations, second.observations)
    for row in actions[40:]:
        assert np.array_equal(first.step(row).next_observations, second.step(row).next_observations)


class Watching:
    """Checks every stack that it is shown."""

    transform = Transforms(Count.observation_space, ("stack:3",))
    seen = 0

    def act(self, observations: np.ndarray, deterministic: bool = False) -> np.ndarray:
        for one in observations:
            assert one.tolist() == stacked(*one[-1])
        self.seen += 1
        return np.zeros(len(observations), np.int64)


def test_stacks_in_evaluation() -> None:
    """Lanes are reset at different times."""
    policy = Watching()
    result = evaluate(policy, Count, episodes=20, lanes=5)
    assert len(set(result["lengths"])) > 3 and policy.seen > 10


def test_a_player_fills_the_stack_of_each_new_episode() -> None:
    player = Player(Watching())
    player.act(np.array([[0.0, 0], [0, 0]]), np.array([True, True]), np.zeros(2))
    player.act(np.array([[0.0, 1], [1, 0]]), np.array([False, True]), np.zeros(2))
    player.act(np.array([[0.0, 2], [1, 1]]), np.array([False, False]), np.zeros(2))


def test_repeated_actions_sum_rewards_to_the_end_of_the_episode() -> None:
    rollout = Rollout(make_lanes(Count, 4, {}, repeat=3), seed=2)
    for _ in range(30):
        moved = rollout.step(np.zeros(4, np.int64))
        for lane in range(4):
            first, last = moved.observations[lane, 1], moved.next_observations[lane, 1]
            assert moved.observations[lane, 0] == moved.next_observations[lane, 0]
            assert last - first == 3 or (moved.terminated[lane] and 0 < last - first <= 3)
            assert moved.rewards[lane] == 2 ** (last + 1) - 2 ** (first + 1)


def test_repeated_actions_are_the_same_in_a_batch_and_lane_by_lane() -> None:
    """Our CartPole is Gymnasium's in every bit; the one is wrapped as a batch, the other lane by lane."""
    rng = np.random.default_rng(0)
    rollouts = [Rollout(make_lanes(env, 5, {}, 4), seed=3) for env in ("CartPole-v1", "skidpad/CartPole-v1")]
    assert isinstance(rollouts[1].env, RepeatLanes)
    ends = 0
    for _ in range(60):
        actions = rng.integers(2, size=5)
        theirs, ours = (rollout.step(actions) for rollout in rollouts)
        for name in ("rewards", "terminated", "truncated"):
            assert np.array_equal(getattr(theirs, name), getattr(ours, name)), name
        assert np.allclose(theirs.next_observations, ours.next_observations, rtol=0, atol=0)
        ends += ours.terminated.sum()
        if ours.terminated.any():  # the generators of a batch's later episodes are its own
            rollouts = [
                Rollout(make_lanes(env, 5, {}, 4), seed=3 + ends) for env in ("CartPole-v1", "skidpad/CartPole-v1")
            ]
    assert ends > 10


def test_repeat_by_keyword_is_repeat_by_wrapper() -> None:
    kwargs: dict[str, Any] = {"observation": "state", "max_episode_steps": 40}
    by_keyword = Rollout(make_lanes("skidpad/CarRacing-v0", 3, kwargs, repeat=4), seed=1)
    plain = make_lanes("skidpad/CarRacing-v0", 3, kwargs, autoreset_mode=AutoresetMode.DISABLED)
    by_wrapper = Rollout(RepeatLanes(plain, 4), seed=1)
    assert not isinstance(by_keyword.env, RepeatLanes)
    rng = np.random.default_rng(0)
    for _ in range(25):
        actions = rng.uniform([-1, 0, 0], [1, 1, 0.3], (3, 3)).astype(np.float32)
        first, second = by_keyword.step(actions), by_wrapper.step(actions)
        for mine, theirs in zip(first, second, strict=True):
            assert np.array_equal(mine, theirs)
    assert by_keyword.lengths.tolist() == [5, 5, 5]


def test_order_and_repeats() -> None:
    names = ("repeat:2", "gray", "crop:0:84:6:90", "resize:42:42", "stack:4", "repeat:3")
    transforms = Transforms(CAR, names)
    assert transforms.frame_space.shape == (42, 42) and transforms.space.shape == (4, 42, 42)
    assert transforms.repeat == action_repeat(names) == 6 and transforms.stack == 4
    assert transforms(np.full((2, 96, 96, 3), 200, np.uint8)).tolist() == np.full((2, 42, 42), 200).tolist()


@pytest.mark.parametrize(
    ("space", "names", "message"),
    [
        (CAR, ("grey",), "unknown transform 'grey'; did you mean gray"),
        (CAR, ("crop:0:84",), "transforms='crop:0:84': write crop:A:B:C:D"),
        (CAR, ("stack:four",), "transforms='stack:four': write stack:A"),
        (CAR, ("stack:0",), "transforms='stack:0': use numbers from 1 on"),
        (CAR, ("gray", "gray"), "needs colour images"),
        (CAR, ("crop:0:97:0:96",), "cut rows within 0 to 96"),
        (CAR, ("crop:50:50:0:96",), "cut rows within 0 to 96"),
        (CAR, ("stack:2", "gray"), "stack comes after"),
        (spaces.Box(0, 1, (4, 4), np.float32), ("resize:2:2",), "needs images of bytes"),
        (spaces.Discrete(3), ("crop:0:1:0:1",), "needs images of bytes"),
    ],
)
def test_what_does_not_fit_is_named(space: gym.Space, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Transforms(space, names)


def test_repeat_needs_single_environments() -> None:
    with pytest.raises(UserError, match="repeat:2 needs a callable that makes single environments"):
        make_lanes(lambda: SyncVectorEnv([Count]), 1, {}, repeat=2)

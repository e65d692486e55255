"""Atari: pixels and points against the emulator driven by hand, chance, lives, tapes, bad input."""

import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401 - registers the ids
from agents.rollout import make_lanes
from envs import rng as lane_rng
from envs.atari import emulators, kernels
from envs.atari.env import Atari
from envs.atari.games import GAMES, title
from envs.batched import Array
from supervised.training.errors import UserError

ale_py = pytest.importorskip("ale_py", reason="needs the atari extra")
PLAIN: dict[str, Any] = {"game": "breakout", "repeat_action_probability": 0.0}


def area_means(image: Array, size: int = kernels.SIZE) -> Array:
    """Every output pixel is the mean over its area, rounded half up; by whole numbers."""

    def overlaps(inputs: int) -> Array:
        o, i = np.arange(size)[:, None] * inputs, np.arange(inputs) * size
        return np.maximum(np.minimum(o + inputs, i + size) - np.maximum(o, i), 0)

    rows, columns = image.shape
    sums = overlaps(rows) @ image.astype(np.int64) @ overlaps(columns).T
    return ((2 * sums + rows * columns) // (2 * rows * columns)).astype(np.uint8)


class Hand:
    """The emulator, driven frame by frame."""

    def __init__(self, game: str = "breakout") -> None:
        self.ale = ale_py.ALEInterface()
        self.ale.setInt("random_seed", 1)
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.loadROM(ale_py.roms.get_rom_path(game))

    def begin(self, waits: int) -> None:
        self.ale.reset_game()
        for _ in range(emulators.SETTLING_FRAMES):
            self.ale.act(0)
        self.press([0] * (2 + waits))

    def press(self, actions: list[int]) -> float:
        points = 0
        for action in actions:
            before = self.ale.getScreenGrayscale()
            points += self.ale.act(action)
            self.pooled = np.maximum(before, self.ale.getScreenGrayscale())
        return points


@pytest.fixture(scope="module")
def hand() -> Hand:
    return Hand()


def plan(steps: int, n: int, seed: int = 0) -> Iterator[Array]:
    return iter(np.random.default_rng(seed).integers(n, size=(steps, 1)))


@pytest.mark.parametrize("crop", ["none", "book"])
def test_pixels_and_points_are_the_emulators(hand: Hand, crop: str) -> None:
    env = Atari(1, **PLAIN, crop=crop)
    rows = slice(34, 194) if crop == "book" else slice(None)
    observations, _ = env.reset(seed=7)
    hand.begin(waits=1 + int(np.random.default_rng(7).integers(30)))
    hand.press([1])
    expected = [area_means(hand.pooled[rows])] * 4
    np.testing.assert_array_equal(observations[0], expected)
    scored = 0.0
    for actions in plan(150, 4):
        lives = hand.ale.lives()
        points = hand.press([[0, 1, 3, 4][actions[0]]] * 4)
        if hand.ale.lives() < lives:
            hand.press([1])
        observations, rewards, terminated, _, infos = env.step(actions)
        expected = [*expected[1:], area_means(hand.pooled[rows])]
        np.testing.assert_array_equal(observations[0], expected)
        assert (rewards[0], infos["lives"][0], terminated[0]) == (points, hand.ale.lives(), False)
        assert infos["life_lost"][0] == (hand.ale.lives() < lives)
        scored += points
    assert scored > 0


def test_shrinking_against_fractions_and_opencv() -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (2, 210, 160), dtype=np.uint8)
    gray[:, :40] = 255
    out, changed = np.zeros((84, 84), np.uint8), np.ones((2, 210), np.bool_)
    kernels.shrink(gray, changed, 0, 210, out)
    pooled = gray.max(0)
    np.testing.assert_array_equal(out, area_means(pooled))
    assert not changed.any() and (out[:16] == 255).all()
    # the first output pixel covers 2.5 rows and 160 / 84 columns
    heights, widths = [1, 1, Fraction(1, 2)], [1, Fraction(160, 84) - 1]
    corner = gray[:, 50:53, :2].max(0)
    total = sum(h * w * int(corner[i, j]) for i, h in enumerate(heights) for j, w in enumerate(widths))
    assert out[20, 0] == int(total / (Fraction(5, 2) * Fraction(160, 84)) + Fraction(1, 2))
    cv2 = pytest.importorskip("cv2", reason="opencv comes with the bench extra")
    theirs = cv2.resize(pooled, (84, 84), interpolation=cv2.INTER_AREA)
    assert (np.abs(out.astype(int) - theirs) <= 1).all() and (out == theirs).mean() > 0.99


def test_single_frames_are_the_newest_of_stacks() -> None:
    stacks, single = Atari(2, **PLAIN), Atari(2, **PLAIN, stack=1)
    assert single.single_observation_space.shape == (84, 84)
    np.testing.assert_array_equal(stacks.reset(seed=3)[0][:, -1], single.reset(seed=3)[0])
    for actions in np.random.default_rng(0).integers(4, size=(20, 2)):
        np.testing.assert_array_equal(stacks.step(actions)[0][:, -1], single.step(actions)[0])


def test_a_frame_skip_of_one_shows_every_frame(hand: Hand) -> None:
    env = Atari(1, **PLAIN, frame_skip=1, noop_max=0, fire_reset=False)
    env.reset(seed=0)
    hand.begin(waits=0)
    for actions in plan(10, 4):
        hand.press([[0, 1, 3, 4][actions[0]]])
        np.testing.assert_array_equal(env.step(actions)[0][0, -1], area_means(hand.ale.getScreenGrayscale()))


@pytest.mark.parametrize("game", ["qbert", "tetris"])  # in which a state just brought back shows what was before
def test_what_an_emulator_played_before_does_not_matter(game: str) -> None:
    env = Atari(1, game=game)
    actions = list(plan(12, int(env.single_action_space.n)))

    def play() -> list[Array]:
        return [env.reset(seed=5)[0], *(env.step(one)[0] for one in actions)]

    first = play()
    for _ in range(30):
        env.step(np.array([2]))
    np.testing.assert_array_equal(play(), first)


def test_a_lost_life_is_told_and_the_game_goes_on() -> None:
    env = Atari(1, **PLAIN)
    env.reset(seed=1)
    lost, lives = 0, 5
    for _ in range(400):
        observations, _, terminated, _, infos = env.step(np.array([0]))
        if terminated[0]:
            break
        if infos["life_lost"][0]:
            lost += 1
            after = env.step(np.array([0]))[0]
            assert (after != observations).any(), "fire was pressed, and the ball is on its way"
        assert infos["lives"][0] == lives - lost
    assert terminated[0] and lost == 4, "the fifth life is the game's end, not told as a lost life"
    assert not infos["life_lost"][0] and infos["lives"][0] == 5


def test_without_fire_nothing_happens_in_breakout() -> None:
    env = Atari(1, **PLAIN, fire_reset=False)
    env.reset(seed=1)
    pictures = [env.step(np.array([0]))[0][0, -1].copy() for _ in range(20)]
    assert all((one == pictures[0]).all() for one in pictures)


def test_sticky_actions_stick_with_their_probability() -> None:
    lanes, skip, steps = 50, 4, 100
    rng = np.zeros((lanes, lane_rng.STATE_WORDS), np.uint64)
    lane_rng.seed_rows(rng, list(range(lanes)))
    held, ended, pressed = np.zeros(lanes, np.uint8), np.zeros(lanes, np.bool_), np.zeros((lanes, skip), np.uint8)
    first = later = 0
    for step in range(1, steps + 1):
        action = np.full(lanes, 1 + step % 2, np.uint8)
        kernels.plan(action, ended, held, 0.25, rng, pressed)
        fresh = pressed == action[:, None]
        assert (fresh[:, 1:] >= fresh[:, :-1]).all(), "once taken up, an action stays"
        first += int((~fresh[:, 0]).sum())
        later += int((~fresh[:, 1]).sum())
    n = lanes * steps
    for count, probability in ((first, 0.25), (later, 0.25**2)):
        # an action that was never taken up in the step before looks fresh two steps later: rarer than 0.25^4
        assert abs(count / n - probability) < 5 * np.sqrt(probability * (1 - probability) / n)
    kernels.plan(action, ended, held, 0.0, rng, pressed)
    assert (pressed == action[:, None]).all()


def test_a_tape_that_does_not_fit_is_refused() -> None:
    env = Atari(2, **PLAIN)
    env.reset(seed=0)
    for actions in np.random.default_rng(0).integers(4, size=(40, 2)):
        env.step(actions)
    state = env.state_dict()
    for change in (
        {"tape": state["tape"][:, :5]},
        {"tape": state["tape"] + np.uint8(200)},
        {"tape": state["tape"].astype(np.int64)},
        {"frames": -state["frames"]},
    ):
        with pytest.raises(ValueError, match="tape"):
            env.load_state_dict({**state, **change})
    with pytest.raises(ValueError, match="another version of ale-py"):
        env.load_state_dict({**state, "lives": state["lives"] - 1})


def test_every_game_of_ale_has_an_id() -> None:
    for_several = {"combat", "joust", "maze_craze", "warlords"}
    assert set(GAMES) == set(ale_py.roms.get_all_rom_ids()) - for_several
    for game in GAMES:
        assert gym.spec(f"skidpad/Atari-{title(game)}-v0").kwargs == {"game": game}
    env = gym.make("skidpad/Atari-MsPacman-v0", full_action_space=True)
    assert env.action_space == gym.spaces.Discrete(18)


def test_importing_envs_leaves_the_emulator_alone() -> None:
    check = "import sys, envs; sys.exit('ale_py' in sys.modules or 'envs.atari.env' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"stack": 0}, "stack=0: use a whole number from 1 on"),
        ({"frame_skip": 2.5}, "frame_skip=2.5"),
        ({"noop_max": -1}, "noop_max=-1"),
        ({"crop": "top"}, "crop='top': use one of"),
        ({"repeat_action_probability": 1.0}, "repeat_action_probability=1.0"),
        ({"game": "brekout"}, "did you mean breakout"),
        ({"game": 3}, "game=3: use a name such as breakout"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
    ],
)
def test_bad_keywords(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make_lanes("skidpad/Atari-Breakout-v0", 1, keywords)
    assert "\n" not in str(caught.value)


def test_unknown_games_and_missing_emulators_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean skidpad/Atari-Breakout-v0"):
        make_lanes("skidpad/Atari-Brekout-v0", 1, {})
    for folder in (tmp_path, tmp_path / "none"):  # without games
        monkeypatch.setenv("ALE_ROMS_DIR", str(folder))
        with pytest.raises(UserError, match=f"there is no tutankham in ALE_ROMS_DIR={folder}: unset it"):
            make_lanes("skidpad/Atari-Tutankham-v0", 1, {})
    monkeypatch.delenv("ALE_ROMS_DIR")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    emulators.start.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'skidpad\[atari\]'"):
        make_lanes("skidpad/Atari-Breakout-v0", 1, {})


def test_the_protocol_says_what_was_chosen() -> None:
    text = Atari(1, **PLAIN, crop="book", frame_skip=2, stack=1).protocol
    for part in ("Atari Breakout", "2 frames a step, the lighter", "no sticky", "rows 34 to 194", "single frames"):
        assert part in text
    assert "sticky actions 0.25" in Atari(1, game="breakout").protocol

"""InstructionMaze: grammar, mazes in which all can be reached, tasks as they are written, no luck for the blind."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

import envs  # noqa: F401 - registers the ids
from envs.batched import Array
from envs.grid import instructions
from envs.grid.instruction_maze import NAMES, InstructionMaze, InstructionMazeEnv
from envs.grid.instructions import EXITS, INSTRUCTIONS, LENGTH, OBJECTS, TEMPLATES, VOCABULARY

UP, RIGHT, DOWN, LEFT = range(4)
MOVES = [(-1, 0), (0, 1), (1, 0), (0, -1)]
SIZES = st.tuples(st.integers(3, 8), st.integers(3, 8)).map(lambda half: (2 * half[0] + 1, 2 * half[1] + 1))


def drawn(env: InstructionMaze) -> Array:
    """The mazes as characters ``(lanes, rows, columns)``."""
    return NAMES[env.fields["cells"]].reshape(env.num_envs, -1, env.columns)


def meaning(text: str) -> tuple[list[str], set[str]]:
    """Things to be taken in order, and exits to leave by: read by hand, for comparison."""
    words = text.replace(",", "").split()
    things = [word for word in words if word in OBJECTS]
    if len(things) == 2 and "after" in words:
        things.reverse()
    named = {word for word in words if word in EXITS}
    return things, set(EXITS) - named if "not" in words else named


# The grammar.


def test_sentences_and_their_words() -> None:
    assert len(INSTRUCTIONS) == 4 + 16 + 16 + 48 + 48 + 16 == len({one.text for one in INSTRUCTIONS})
    assert {one.text for one in INSTRUCTIONS} >= {
        "take the carrot, then leave by the east exit",
        "take the gem after the key, then leave by the north exit",
        "take the apple, but do not leave by the west exit",
    }
    for one in INSTRUCTIONS:
        tokens = instructions.encode(one.text)
        assert tokens.dtype == np.int16 and tokens.shape == (LENGTH,)
        words = [VOCABULARY[token] for token in tokens if token]
        assert " ".join(words).replace(" ,", ",") == one.text
        assert not tokens[len(words) :].any()
        things, exits = meaning(one.text)
        assert [OBJECTS[goal] for goal in one.goals] == things
        assert {name for name, may in zip(EXITS, one.exits, strict=True) if may} == exits
    assert max(len(instructions.words_of(one.text)) for one in INSTRUCTIONS) == LENGTH
    metadata = InstructionMaze.metadata
    assert metadata["vocabulary"] == VOCABULARY and len(set(VOCABULARY)) == len(VOCABULARY)
    assert [template.text for template in TEMPLATES] == list(metadata["templates"]) and len(TEMPLATES) >= 4


def test_unseen_combinations_are_balanced() -> None:
    """Of every template with an object a quarter: each object once, with an exit of its own."""
    seen, unseen, everything = (np.concatenate(instructions.chosen(split)) for split in ("train", "unseen", "all"))
    assert sorted([*seen, *unseen]) == everything.tolist() == list(range(len(INSTRUCTIONS)))
    for number, template in enumerate(TEMPLATES):
        pairs = []
        for one in (INSTRUCTIONS[index] for index in unseen):
            if one.template == number:
                first = one.goals[template.goals.index("object")]
                named = one.exits.index(not template.avoids)
                pairs.append((first, named))
        assert len(set(pairs)) == (4 if template.goals else 0)
        for column in zip(*set(pairs), strict=True):
            assert sorted(column) == [0, 1, 2, 3]


def test_no_task_suits_more_than_a_few_instructions() -> None:
    """An agent that does not read carries out some task; the best for it is right for 5 of 96."""
    best = 0.0
    tasks = [(), *((one,) for one in range(4)), *((a, b) for a in range(4) for b in range(4) if a != b)]
    for task in tasks:
        for exit in range(4):
            fits = [
                [one.goals == task and one.exits[exit] for one in INSTRUCTIONS if one.template == t] for t in range(6)
            ]
            best = max(best, float(np.mean([np.mean(group) for group in fits])))
    assert best == pytest.approx(5 / 96)


# Mazes.


@given(SIZES, st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=40, deadline=None)
def test_everything_can_be_reached_without_taking_anything(size: tuple[int, int], seed: int, loops: float) -> None:
    env = InstructionMaze(8, size=size, loops=loops)
    env.reset(seed=seed)
    for maze, place in zip(drawn(env), env.fields["place"], strict=True):
        assert maze.shape == (size[0] + 2, size[1] + 2)
        assert sorted(maze[~np.isin(maze, [".", "#"])]) == sorted("cakgNESW")
        for side, name in zip((maze[0], maze[:, -1], maze[-1], maze[:, 0]), "NESW", strict=True):
            assert (side != "#").sum() == 1 and name in side
        free, parts = scipy.ndimage.label(maze == ".")
        assert parts == 1 and free.flat[place]
        reached = scipy.ndimage.binary_dilation(free)
        assert reached[~np.isin(maze, ["#"])].all()
        objects = np.argwhere(np.isin(maze, list("cakg")))
        assert (objects % 2 == 1).all()  # in rooms
        walls = (maze[1:-1, 1:-1] == "#").sum()
        rooms = (size[0] // 2 + 1) * (size[1] // 2 + 1)
        tree = size[0] * size[1] - rooms - (rooms - 1)
        assert walls == tree if loops == 0 else walls <= tree


def test_mazes_and_instructions_differ_from_episode_to_episode() -> None:
    env = InstructionMaze(2000)
    _, infos = env.reset(seed=0)
    assert len({maze.tobytes() for maze in drawn(env)}) == 2000
    counts = np.bincount([INSTRUCTIONS[number].template for number in env.fields["instruction"]])
    assert (abs(counts - 2000 / 6) < 5 * np.sqrt(2000 / 6)).all()
    assert len(set(infos["instruction"])) == len(INSTRUCTIONS)
    for split in ("train", "unseen"):
        some = InstructionMaze(500, split=split)
        some.reset(seed=0)
        assert {INSTRUCTIONS[number].held_out for number in some.fields["instruction"]} == {split == "unseen"}


# Tasks.


def play(env: InstructionMaze, actions: Any) -> tuple[Array, Array, Array]:
    """Success, return and length of an episode of every lane, with autoreset disabled."""
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
    success, done = np.zeros((2, env.num_envs), np.bool_)
    while not done.all():
        _, rewards, terminated, truncated, infos = env.step(actions())
        returns += rewards
        lengths += ~done
        done = terminated | truncated
        if done.any():
            success = infos["success"] & infos["_success"]
    return success, returns, lengths


@pytest.mark.parametrize("keywords", [{}, {"size": (7, 15), "loops": 0.0}, {"split": "unseen"}])
def test_the_expert_does_what_is_asked_on_the_shortest_way(keywords: dict[str, Any]) -> None:
    env = InstructionMaze(200, autoreset_mode="Disabled", progress_reward=0.1, max_episode_steps=None, **keywords)
    env.reset(seed=5)
    way = env.fields["distances"][np.arange(200), 0, env.fields["place"]]
    asked = np.array([len(INSTRUCTIONS[number].goals) for number in env.fields["instruction"]])
    success, returns, lengths = play(env, env.expert_actions)
    assert success.all()
    np.testing.assert_array_equal(lengths, way)
    np.testing.assert_allclose(returns, -0.01 * way + 0.5 * asked + 1 + 0.1 * way)  # progress adds up to the way


def place_of(env: InstructionMazeEnv, name: str) -> tuple[int, int]:
    row, column = np.argwhere(drawn(env.batch)[0] == name)[0].tolist()
    return row, column


def go(env: InstructionMazeEnv, name: str) -> tuple[float, bool, dict[str, Any]]:
    """Walk to what is called ``name`` over free cells; the last step's reward, whether it ended, and info."""
    maze, goal = drawn(env.batch)[0], place_of(env, name)
    ways: dict[tuple[int, int], list[int]] = {goal: []}
    queue = [goal]
    start = divmod(int(env.batch.fields["place"][0]), env.batch.columns)
    while start not in ways:
        row, column = queue.pop(0)
        for action, (down, right) in enumerate(MOVES):
            before = row - down, column - right
            if (
                before not in ways
                and all(0 <= k < n for k, n in zip(before, maze.shape, strict=True))
                and (maze[before] == "." or before == start)
            ):
                ways[before] = [action, *ways[(row, column)]]
                queue.append(before)
    reward, ended, info = 0.0, False, {}
    for action in ways[start]:
        assert not ended
        _, reward, ended, _, info = env.step(action)
    return reward, ended, info


@pytest.mark.parametrize(
    ("text", "way", "rewards"),
    [
        ("leave by the south exit", "S", [0.99]),
        ("leave by the south exit", "N", [-1.01]),
        ("leave by the south exit", "g", [-1.01]),
        ("take the carrot, then leave by the east exit", "cE", [0.49, 0.99]),
        ("take the carrot, then leave by the east exit", "E", [-1.01]),
        ("take the carrot, then leave by the east exit", "cS", [0.49, -1.01]),
        ("leave by the east exit after taking the carrot", "ca", [0.49, -1.01]),
        ("take the apple before the key, then leave by the north exit", "akN", [0.49, 0.49, 0.99]),
        ("take the apple before the key, then leave by the north exit", "k", [-1.01]),
        ("take the apple before the key, then leave by the north exit", "aN", [0.49, -1.01]),
        ("take the apple after the key, then leave by the north exit", "kaN", [0.49, 0.49, 0.99]),
        ("take the gem, but do not leave by the west exit", "gN", [0.49, 0.99]),
        ("take the gem, but do not leave by the west exit", "gW", [0.49, -1.01]),
    ],
)
def test_what_an_instruction_asks_for(text: str, way: str, rewards: Sequence[float]) -> None:
    env = InstructionMazeEnv()
    for seed in (0, 1):
        _, info = env.reset(seed=seed, options={"instruction": text})
        assert info["instruction"] == text and "success" not in info
        for name, expected in zip(way, rewards, strict=True):
            before = drawn(env.batch)[0]
            reward, ended, info = go(env, name)
            assert reward == pytest.approx(expected)
            mistaken = expected < 0
            assert ended == (mistaken or name in "NESW") == ("success" in info)
            if ended:
                assert info["success"] == (not mistaken)
            elif name in "cakg":
                assert (before == name).any() and not (drawn(env.batch)[0] == name).any()  # taken


def test_walls_hold_and_time_runs_out() -> None:
    env = InstructionMazeEnv()
    env.reset(seed=0)
    place = int(env.batch.fields["place"][0])
    row, column = divmod(place, env.batch.columns)
    maze = drawn(env.batch)[0]
    wall = next(action for action, (down, right) in enumerate(MOVES) if maze[row + down, column + right] == "#")
    for step in range(1, 2 * 9 * 9 + 1):
        _, reward, terminated, truncated, info = env.step(wall)
        assert reward == -0.01 and env.batch.fields["place"][0] == place
        assert not terminated and truncated == (step == 2 * 9 * 9) == ("success" in info)
    assert not info["success"]


def test_outcomes_are_told_where_the_same_step_resets() -> None:
    env = InstructionMaze(16)
    _, infos = env.reset(seed=0)
    ended = 0
    for _ in range(60):
        *_, terminated, truncated, infos = env.step(env.expert_actions())
        if "final_info" in infos:
            np.testing.assert_array_equal(infos["_final_info"], terminated | truncated)
            assert infos["final_info"]["success"][infos["_final_info"]].all()
            ended += int(infos["_final_info"].sum())
        assert len(infos["instruction"]) == 16
    assert ended > 16


# What is seen.


def test_planes_and_tokens() -> None:
    env = InstructionMaze(20)
    observations, infos = env.reset(seed=0)
    planes = observations["planes"]
    assert planes.shape == (20, 10, 11, 11) and planes.dtype == np.uint8
    maze = drawn(env)
    for plane, name in ((0, "#"), *enumerate("cakgNESW", start=2)):
        np.testing.assert_array_equal(planes[:, plane], maze == name)
    np.testing.assert_array_equal(planes[:, 1].reshape(20, -1).argmax(1), env.fields["place"])
    assert (planes[:, 1].sum(axis=(1, 2)) == 1).all()
    expected = [instructions.encode(text) for text in infos["instruction"]]
    np.testing.assert_array_equal(observations["tokens"], expected)
    blind, blind_infos = InstructionMaze(20, blind=True).reset(seed=0)
    assert not blind["tokens"].any() and (blind_infos["instruction"] == infos["instruction"]).all()
    np.testing.assert_array_equal(blind["planes"], planes)


def test_pictures_show_the_instruction() -> None:
    texts = ["leave by the south exit", "leave by the north exit"]
    pictures = []
    for text in texts:
        env = gym.make("skidpad/InstructionMaze-v0", render_mode="rgb_array")
        env.reset(seed=1, options={"instruction": text})
        pictures.append(np.asarray(env.render()))
    maze, caption = slice(0, 704), slice(704, None)
    np.testing.assert_array_equal(pictures[0][maze], pictures[1][maze])
    assert (pictures[0][caption] != pictures[1][caption]).any()
    env = gym.make("skidpad/InstructionMaze-v0", render_mode="ansi")
    env.reset(seed=1, options={"instruction": texts[0]})
    lines = str(env.render()).split("\n")
    assert lines[-1] == texts[0] and len(lines) == 12 and sum(line.count("@") for line in lines[:-1]) == 1


# Refusals.


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"size": (8, 9)}, r"size=\(8, 9\)"),
        ({"size": (5, 9)}, r"size=\(5, 9\)"),
        ({"size": (9,)}, r"size=\(9,\)"),
        ({"size": 9}, "size=9: give two odd numbers"),
        ({"max_episode_steps": "3 x cells"}, "max_episode_steps='3 x cells'"),
        ({"loops": 1.5}, "loops=1.5"),
        ({"split": "test"}, "split='test'"),
    ],
)
def test_bad_keywords(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InstructionMaze(**keywords)


def test_bad_instructions() -> None:
    env = InstructionMaze(3)
    for wrong in ("eat the carrot", ["leave by the east exit"] * 2, None, 5, [5]):
        with pytest.raises(ValueError, match="instruction"):
            env.reset(seed=0, options={"instruction": wrong})
    _, infos = env.reset(seed=0, options={"instruction": [one.text for one in INSTRUCTIONS[:3]]})
    assert infos["instruction"].tolist() == [one.text for one in INSTRUCTIONS[:3]]

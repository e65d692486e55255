"""Mazes: spanning trees, loops, rewards, observations, sizes, refusals."""

import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import scipy.ndimage
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.batched import Array
from envs.grid.drawing import AGENT, FILLS
from envs.grid.maze import Maze, MazeEnv
from envs.grid.maze_generation import generate
from envs.mdp import MDP

UP, RIGHT, DOWN, LEFT = range(4)
SIZES = st.tuples(st.integers(2, 19), st.integers(2, 19)).filter(lambda size: max(size) > 2)


def rooms_and_walls(characters: Array) -> tuple[int, int, int]:
    """Numbers of rooms, of openings between two of them, and of walls between two of them."""
    rows, columns = characters.shape
    rooms = sum(characters[row, column] != "#" for row in range(0, rows, 2) for column in range(0, columns, 2))
    between = [
        str(characters[row, column])
        for row in range(rows)
        for column in range(columns)
        if (row + column) % 2 and row + row % 2 < rows and column + column % 2 < columns
    ]
    return rooms, len(between) - between.count("#"), between.count("#")


def steps_to_exit(characters: Array) -> Array:
    """Breadth first from the exits; -1 on walls and where no exit is reached."""
    steps = np.where(characters == "E", 0, -1)
    edge = [(row, column) for row, column in np.argwhere(characters == "E").tolist()]
    while edge:
        reached = []
        for row, column in edge:
            for cell in ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)):
                inside = 0 <= cell[0] < characters.shape[0] and 0 <= cell[1] < characters.shape[1]
                if inside and characters[cell] != "#" and steps[cell] < 0:
                    steps[cell] = steps[row, column] + 1
                    reached.append(cell)
        edge = reached
    return steps


def optimal_values(mdp: MDP, discount: float = 1.0) -> Array:
    """Value iteration until nothing changes; exact where episodes are bounded."""
    values, matrix = np.full(mdp.n_states, -1e6) * ~mdp.terminal, mdp.transition_matrix()
    while True:
        q_values = mdp.rewards + discount * (matrix @ values).reshape(mdp.rewards.shape)
        improved = np.where(mdp.terminal, 0.0, q_values.max(axis=1))
        if np.allclose(improved, values, rtol=0, atol=1e-12):
            return improved
        values = improved


def walk(env: MazeEnv, actions: list[int]) -> list[float]:
    return [env.step(action)[1] for action in actions]


# Generation.


@given(SIZES, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_perfect_maze_is_a_spanning_tree(size: tuple[int, int], seed: int) -> None:
    maze = generate(size, seed)
    rooms, openings, _ = rooms_and_walls(maze)
    assert maze.shape == size
    assert rooms == ((size[0] + 1) // 2) * ((size[1] + 1) // 2)  # every room is open
    assert openings == rooms - 1 == (maze != "#").sum() - rooms  # and nothing else than rooms and openings
    assert scipy.ndimage.label(maze != "#")[1] == 1
    assert maze[0, 0] == "S" and maze[(size[0] - 1) // 2 * 2, (size[1] - 1) // 2 * 2] == "E"


@given(SIZES, st.integers(0, 100), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_loops_open_their_fraction_of_the_walls_between_rooms(size: tuple[int, int], seed: int, loops: float) -> None:
    _, openings, closed = rooms_and_walls(generate(size, seed))
    looped = generate(size, seed, loops)
    rooms, more, left = rooms_and_walls(looped)
    assert more - openings == closed - left == round(loops * closed)
    assert (looped != "#").sum() == rooms + more
    assert ((looped != "#") >= (generate(size, seed) != "#")).all()


def test_the_seed_decides_the_maze() -> None:
    assert (generate((21, 21), 7, 0.1, 2, 3) == generate((21, 21), 7, 0.1, 2, 3)).all()
    assert len({generate((21, 21), seed).tobytes() for seed in range(20)}) == 20
    furnished = generate((21, 21), 7, carrots=3, traps=5)
    assert ((furnished == "#") == (generate((21, 21), 7) == "#")).all()
    assert (furnished == "c").sum() == 3 and (furnished == "t").sum() == 5


def test_walks_of_a_two_by_two_lattice_are_equally_likely() -> None:
    # from the first room the walk takes either way with 1/2, and cannot choose again: two mazes of the four trees
    mazes = np.array([generate((3, 3), seed) != "#" for seed in range(400)])
    first_down = ~mazes[:, 0, 1]
    assert (mazes.sum(axis=(1, 2)) == 7).all()
    assert len(np.unique(mazes, axis=0)) == 2
    assert 150 < first_down.sum() < 250


# The model.


@given(SIZES, st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
@settings(max_examples=30, deadline=None)
def test_the_best_return_is_that_of_the_shortest_way(size: tuple[int, int], seed: int, loops: float) -> None:
    env = Maze(size=size, maze_seed=seed, loops=loops)
    steps = steps_to_exit(env.characters)
    values = optimal_values(env.mdp)
    rows, columns = env.cells(np.arange(env.mdp.n_states)).T
    expected = np.where(steps == 0, 0.0, 1 - 0.01 * steps)[rows, columns]
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_states_are_the_open_cells_row_by_row() -> None:
    env = Maze(layout="S.#\n#.E")
    assert env.cells(np.arange(4)).tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert env.mdp.terminal.tolist() == [False, False, False, True]
    assert env.mdp.start.tolist() == [1, 0, 0, 0]
    moves = env.mdp.next_states.reshape(3, 4)
    assert moves.tolist() == [[0, 1, 0, 0], [1, 1, 2, 0], [1, 3, 2, 2]]


def test_rewards_add_up_and_a_carrot_is_eaten_once() -> None:
    env = MazeEnv(layout="Sct\n##E")
    env.reset(seed=0)
    assert walk(env, [UP, RIGHT, RIGHT, RIGHT, LEFT, RIGHT, DOWN]) == pytest.approx(
        [-0.01, 0.49, -0.51, -0.01, -0.01, -0.51, 0.99]  # bumping in the trap is no entry; the carrot is gone
    )
    assert env.batch.fields["state"][0] == 4 + 3 and env.batch.terminated[0]
    env.reset()
    assert walk(env, [RIGHT]) == pytest.approx([0.49])  # there again in the next episode
    env = MazeEnv(layout="Sct\n##E", step_reward=0, carrot_reward=2, trap_reward=-3, exit_reward=5)
    env.reset(seed=0)
    assert walk(env, [RIGHT, RIGHT, DOWN]) == [2, -3, 5]


def test_every_set_of_eaten_carrots_has_its_states() -> None:
    env = Maze(layout="cS.E\n.c.t")
    assert env.mdp.n_states == 4 * 8
    assert env.mdp.terminal.reshape(4, 8).sum(axis=0).tolist() == [0, 0, 0, 4, 0, 0, 0, 0]
    # both carrots are worth the way of two steps back: 2 * 0.5 + 1 - steps
    assert optimal_values(env.mdp)[1] == pytest.approx(2.0 - 0.01 * 6)
    left_then_down = [1, 8 * 1 + 0, 8 * 1 + 4, 8 * 3 + 5]
    for state, action, reached in zip(left_then_down, (LEFT, DOWN, RIGHT), left_then_down[1:], strict=False):
        assert env.mdp.next_states[env.mdp.offsets[state * 4 + action]] == reached


def test_mazes_are_drawn_uniformly_and_kept_apart() -> None:
    env = Maze(12_000, size=(7, 7), mazes=3, carrots=1, traps=1, autoreset_mode=AutoresetMode.DISABLED)
    n_open = env.places.shape[1]
    assert env.mdp.n_states == 3 * 2 * n_open and env.mdp.terminal.sum() == 6
    np.testing.assert_array_equal(env.mazes[1], generate((7, 7), 1, carrots=1, traps=1))
    states, _ = env.reset(seed=0)
    assert set(states.tolist()) == {0, 2 * n_open, 4 * n_open}
    assert (np.abs(np.bincount(states)[[0, 2 * n_open, 4 * n_open]] - 4000) < 250).all()
    source = np.repeat(np.arange(env.mdp.n_states), np.diff(env.mdp.offsets[:: env.mdp.n_actions]))
    assert (source // (2 * n_open) == env.mdp.next_states // (2 * n_open)).all()
    for maze in range(3):
        first = 2 * n_open * maze
        alone = Maze(size=(7, 7), maze_seed=maze, carrots=1, traps=1).mdp
        ours = slice(*env.mdp.offsets[[4 * first, 4 * (first + 2 * n_open)]])
        np.testing.assert_array_equal(env.mdp.next_states[ours] - first, alone.next_states)
        np.testing.assert_array_equal(env.mdp.outcome_rewards[ours], alone.outcome_rewards)


def test_arrays_and_other_characters_are_the_same_maze() -> None:
    text = Maze(layout="S.#\n#.E")
    array = Maze(layout=np.array([[1, 1, 0], [0, 1, 1]]), start=(0, 0), exit=(1, 2))
    digits = Maze(layout="S10\n0 E\n")
    for other in (array, digits):
        np.testing.assert_array_equal(other.characters, text.characters)
        np.testing.assert_array_equal(other.mdp.next_states, text.mdp.next_states)


def test_several_starts_and_exits() -> None:
    env = Maze(layout="S.E#S\n####E")
    assert env.mdp.start.tolist() == [0.5, 0, 0, 0.5, 0]
    assert env.mdp.terminal.tolist() == [False, False, True, False, True]


def test_time_limit() -> None:
    assert Maze(size=(9, 9)).max_episode_steps == 4 * 49
    assert Maze(layout="S.#\n#.E").max_episode_steps == 16
    assert Maze(max_episode_steps=None).max_episode_steps is None
    assert Maze(max_episode_steps=7).max_episode_steps == 7


# Observations.


def naive_planes(env: Maze, state: int) -> Array:
    n_carrots = env.carrots.shape[1]
    block, cell = divmod(state, env.places.shape[1])
    maze = env.mazes[block >> n_carrots]
    planes = np.array([maze == "#", maze == "@", maze == "E", maze == "c", maze == "t"], np.uint8)
    planes[1].flat[np.flatnonzero(maze != "#")[cell]] = 1
    for carrot, place in enumerate(np.flatnonzero(maze == "c")):
        planes[3].flat[place] = not block >> carrot & 1
    return planes


def test_all_observations_tell_of_the_same_state() -> None:
    kwargs: dict[str, Any] = dict(size=(5, 7), mazes=3, loops=0.5, carrots=3, traps=2)
    env, coordinates, planes = (Maze(16, observation=kind, **kwargs) for kind in ("index", "coordinates", "planes"))
    assert coordinates.single_observation_space == gym.spaces.Box(
        np.zeros(5, np.int32), np.array([4, 6, 1, 1, 1], np.int32), dtype=np.int32
    )
    assert planes.single_observation_space == gym.spaces.Box(0, 1, (5, 5, 7), np.uint8)
    actions = np.random.default_rng(0).integers(4, size=(200, 16))
    states, _ = env.reset(seed=5)
    seen, _ = coordinates.reset(seed=5)
    drawn, _ = planes.reset(seed=5)
    eaten = 0
    for step in actions:
        for lane in range(16):
            picture = naive_planes(env, int(states[lane]))
            np.testing.assert_array_equal(drawn[lane], picture)
            assert seen[lane, :2].tolist() == np.argwhere(picture[1])[0].tolist()
            maze = env.mazes[states[lane] // (8 * env.places.shape[1])]
            assert seen[lane, 2:].tolist() == picture[3][maze == "c"].tolist()
            eaten = max(eaten, int(3 - picture[3].sum()))
        (states, *_), (seen, *_), (drawn, *_) = env.step(step), coordinates.step(step), planes.step(step)
    assert eaten == 3


@pytest.mark.parametrize("observation", ["index", "coordinates", "planes"])
def test_a_lane_is_the_single_environment(observation: str) -> None:
    kwargs: dict[str, Any] = dict(
        size=(5, 5), mazes=2, carrots=1, traps=1, observation=observation, max_episode_steps=20
    )
    batch = Maze(4, **kwargs)
    actions = np.random.default_rng(1).integers(4, size=(60, 4))
    first, _ = batch.reset(seed=8)
    trace = [batch.step(step)[:4] for step in actions]
    for lane in range(4):
        env = MazeEnv(**kwargs)
        observation_, _ = env.reset(seed=8 + lane)
        np.testing.assert_array_equal(observation_, first[lane])
        for expected, action in zip(trace, actions[:, lane], strict=True):
            observation_, *rest, _ = env.step(action)
            if rest[1] or rest[2]:
                observation_, _ = env.reset()
            np.testing.assert_array_equal(observation_, expected[0][lane])
            assert rest == [part[lane] for part in expected[1:]]


@pytest.mark.parametrize("observation", ["index", "coordinates", "planes"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gymnasium_checker(observation: Any) -> None:
    check_env(MazeEnv(size=(4, 7), mazes=2, carrots=2, traps=1, observation=observation, render_mode="rgb_array"))


# Refusals.


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"size": (1, 9)}, r"size=\(1, 9\): a maze has at least 2 rows"),
        ({"size": (9, 1)}, r"size=\(9, 1\)"),
        ({"size": (2, 2)}, r"size=\(2, 2\)"),
        ({"size": (0, 0)}, r"size=\(0, 0\)"),
        ({"size": (-5, 9)}, r"size=\(-5, 9\)"),
        ({"size": (9,)}, r"size=\(9,\)"),
        ({"maze_seed": -1}, "seed -1"),
        ({"mazes": 0}, "mazes=0"),
        ({"loops": 1.1}, "loops=1.1"),
        ({"carrots": -1}, "carrots=-1"),
        ({"carrots": 9}, "carrots=9: at most 8"),
        ({"size": (3, 3), "carrots": 3, "traps": 3}, "carrots=3 and traps=3: the maze has 5 free cells"),
        ({"size": (601, 601), "carrots": 8}, "46387456 states, more than"),
        ({"start": (0, 0)}, "layout given as an array"),
        ({"layout": ""}, "empty"),
        ({"layout": "S.\n.E."}, "row 1 of the layout has 3 cells"),
        ({"layout": "S.x\n..E"}, "'x' in the layout"),
        ({"layout": "S..\n..."}, "no exit"),
        ({"layout": "...\n..E"}, "no start"),
        ({"layout": "S#E"}, r"no exit can be reached from the start at \(0, 0\)"),
        ({"layout": "S.E\n###\n..S"}, r"no exit can be reached from the start at \(2, 2\)"),
        ({"layout": "S" + "c" * 9 + "E"}, "9 carrots: at most 8"),
        ({"layout": "S.E", "exit": (0, 1)}, "write S and E"),
        ({"layout": "S.E", "mazes": 2}, "for generated mazes"),
        ({"layout": "S.E", "traps": 2}, "for generated mazes"),
        ({"layout": [[1, 1, 1]], "start": (0, 0)}, "needs exit"),
        ({"layout": [[1, 1, 1]], "exit": (0, 0)}, "needs start"),
        ({"layout": [[1, 0, 1]], "start": (0, 1), "exit": (0, 2)}, r"start=\(0, 1\) is a wall"),
        ({"layout": [[1, 1, 1]], "start": (0, 1), "exit": (0, 1)}, r"exit=\(0, 1\) is a wall or taken"),
        ({"layout": [[1, 1, 1]], "start": (0, -1), "exit": (0, 1)}, r"start=\(0, -1\): the maze has 1 rows"),
        ({"layout": [[1, 2, 1]], "start": (0, 0), "exit": (0, 2)}, "0 .wall. and 1"),
        ({"layout": [1, 1, 1], "start": (0, 0), "exit": (0, 2)}, r"a layout of shape \(3,\)"),
        ({"observation": "picture"}, "observation='picture'"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
    ],
)
def test_impossible_mazes_are_refused_in_one_line(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Maze(**kwargs)
    assert "\n" not in str(caught.value)


# Pictures and size.


def test_text_shows_the_carrots_that_are_left() -> None:
    env = MazeEnv(layout="Sc#\n#tE", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "@c#\n#tE"
    walk(env, [RIGHT])
    assert env.render() == "S@#\n#tE"
    walk(env, [LEFT])
    assert env.render() == "@.#\n#tE"


def test_values_are_those_of_the_carrots_that_are_left() -> None:
    env = Maze(layout="Sc.E")
    env.reset(seed=0)
    values = np.array([0.0, 1.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0])
    assert (env.draw(values) == env.draw(values * (np.arange(8) != 1))).all()  # on a carrot one has eaten it
    before = env.draw(values)
    env.step(np.array([RIGHT]))
    after = env.draw(values)
    corner = after[6, 6::64].astype(int).sum(axis=1), before[6, 6::64].astype(int).sum(axis=1)
    assert corner[1][0] < corner[1][2] and corner[0][0] > corner[0][2]


def test_each_lane_is_shown_in_its_maze() -> None:
    env = Maze(8, size=(5, 5), mazes=4, traps=1, render_mode="rgb_array")
    states, _ = env.reset(seed=0)
    assert len(set(states.tolist())) > 1
    frames = env.render()
    assert frames is not None
    for lane, state in enumerate(states):
        traps = np.argwhere(env.mazes[state // env.places.shape[1]] == "t")
        assert all(frames[lane][row * 64 + 6, column * 64 + 6].tolist() == list(FILLS["trap"]) for row, column in traps)


def test_one_finds_the_agent_in_a_large_maze() -> None:
    env = MazeEnv(size=(601, 601), render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (601, 601, 3)
    assert (picture == AGENT).all(axis=-1).sum() >= 16
    assert (picture == FILLS["goal"]).all(axis=-1).sum() >= 16


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_million_states_fit_into_modest_memory() -> None:
    program = """
from pathlib import Path
from envs.grid.maze import Maze
assert Maze(size=(1415, 1415), loops=0.05).mdp.n_states > 1_000_000
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 650_000  # kB at the peak; the libraries' 110,000 included

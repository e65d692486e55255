"""Grid world, cliff walking, windy grid world: known values, models, layouts, pictures."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from exact_solutions import optimal, policy_values
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from envs.batched import Array
from envs.finite import FiniteEnv
from envs.grid.cliff_walking import CliffWalking
from envs.grid.drawing import AGENT, FILLS, LARGEST_CELL, PATH, WALL
from envs.grid.grid_world import SUTTON_BARTO_3_5, GridWorld, GridWorldEnv
from envs.grid.layout import MOVES, GridEnv, neighbours, read_layout
from envs.grid.windy_grid_world import WindyGridWorld, WindyGridWorldEnv
from envs.mdp import MDP

UP, RIGHT, DOWN, LEFT = range(4)


def outcomes(mdp: MDP, state: int, action: int) -> dict[tuple[int, float], float]:
    """{(next state, reward): probability} of one pair."""
    found: dict[tuple[int, float], float] = {}
    row = state * mdp.n_actions + action
    for place in range(mdp.offsets[row], mdp.offsets[row + 1]):
        key = (int(mdp.next_states[place]), float(mdp.outcome_rewards[place]))
        found[key] = found.get(key, 0.0) + float(mdp.probabilities[place])
    return found


def sampled(env: FiniteEnv, state: int, action: int) -> dict[tuple[int, float], int]:
    """How often each (next state, reward) occurs when all lanes take one step from a state."""
    assert env.autoreset_mode is AutoresetMode.DISABLED
    env.reset(seed=1, options={"state": state})
    _, rewards, *_ = env.step(np.full(env.num_envs, action))
    pairs, counts = np.unique(np.stack([env.fields["state"], rewards]), axis=1, return_counts=True)
    return {(int(s), float(r)): int(count) for (s, r), count in zip(pairs.T, counts, strict=True)}


# Values.


def test_the_books_grid_world_under_the_uniform_policy() -> None:
    mdp = GridWorld().mdp
    values = policy_values(mdp, mdp.uniform_policy(), 1.0)
    expected = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values.reshape(4, 4), expected, atol=1e-9)


def test_the_books_grid_world_starts_anywhere_but_in_the_corners() -> None:
    start = GridWorld().mdp.start
    np.testing.assert_allclose(start[1:15], 1 / 14)
    assert start[0] == start[15] == 0


def test_sutton_barto_3_5() -> None:
    mdp = GridWorld(**SUTTON_BARTO_3_5).mdp
    values, q_values = optimal(mdp, 0.9)
    figure_3_5 = """
        22.0 24.4 22.0 19.4 17.5
        19.8 22.0 19.8 17.8 16.0
        17.8 19.8 17.8 16.0 14.4
        16.0 17.8 16.0 14.4 13.0
        14.4 16.0 14.4 13.0 11.7"""
    np.testing.assert_allclose(values, np.array(figure_3_5.split(), float), atol=0.051)
    best = np.isclose(q_values, values[:, None]).reshape(5, 5, 4)
    assert best[0, 1].all() and best[0, 3].all()  # in A and B every action is as good
    assert best[0, 0].tolist() == [False, True, False, False]
    assert best[4, 4].tolist() == [True, False, False, True]
    figure_3_2 = """
         3.3  8.8  4.4  5.3  1.5
         1.5  3.0  2.3  1.9  0.5
         0.1  0.7  0.7  0.4 -0.4
        -1.0 -0.4 -0.4 -0.6 -1.2
        -1.9 -1.3 -1.2 -1.4 -2.0"""
    uniform = policy_values(mdp, mdp.uniform_policy(), 0.9)
    np.testing.assert_allclose(uniform, np.array(figure_3_2.split(), float), atol=0.051)


def test_cliff_is_gymnasiums() -> None:
    ours, theirs = CliffWalking().mdp, MDP.from_toy_text(gym.make("CliffWalking-v1").get_wrapper_attr("P"))
    for name in ("offsets", "next_states", "probabilities", "outcome_rewards", "terminal"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.start[36] == 1


def test_cliff_optimum_and_fall() -> None:
    mdp = CliffWalking().mdp
    assert optimal(mdp, 1.0)[0][36] == pytest.approx(-13)
    for state, action in ((36, RIGHT), (25, DOWN), (34, DOWN)):
        assert outcomes(mdp, state, action) == {(36, -100.0): 1.0}
    assert outcomes(mdp, 35, DOWN) == {(47, -1.0): 1.0}


@pytest.mark.parametrize("moves, actions, steps", [("four", 4, 15), ("king", 8, 7), ("king+stay", 9, 7)])
def test_windy_optimum(moves: str, actions: int, steps: int) -> None:
    mdp = WindyGridWorld(moves=moves).mdp
    assert mdp.n_actions == actions
    assert optimal(mdp, 1.0)[0][30] == pytest.approx(-steps)


def test_wind_is_that_of_the_column_left() -> None:
    mdp = WindyGridWorld(moves="king+stay", stochastic_wind=True).mdp

    def cell(row: int, column: int) -> int:
        return row * 10 + column

    assert outcomes(mdp, cell(3, 2), RIGHT) == {(cell(3, 3), -1.0): 1.0}  # from calm into wind
    third = pytest.approx(1 / 3)
    gusts = outcomes(mdp, cell(4, 6), RIGHT)
    assert gusts == {(cell(4 - wind, 7), -1.0): third for wind in (1, 2, 3)}
    assert outcomes(mdp, cell(5, 8), 8) == {(cell(5 - wind, 8), -1.0): third for wind in (0, 1, 2)}
    assert outcomes(mdp, cell(0, 8), 6) == {(cell(0, 7), -1.0): pytest.approx(2 / 3), (cell(1, 7), -1.0): third}
    assert outcomes(mdp, cell(0, 6), UP) == {(cell(0, 6), -1.0): pytest.approx(1.0)}  # the edge stops it


# Models of layouts.


def test_rewards_bumps_and_walls() -> None:
    layout = "Sa#\n.bG"
    mdp = GridWorld(layout=layout, step_reward=-1, bump_reward=-3, rewards={"a": 2, "G": 10}).mdp
    assert mdp.start.tolist() == [1, 0, 0, 0, 0, 0]
    assert mdp.terminal.tolist() == [False, False, True, False, False, True]  # walls count as terminal
    assert outcomes(mdp, 0, RIGHT) == {(1, 2.0): 1.0}
    assert outcomes(mdp, 1, RIGHT) == {(1, -3.0): 1.0}  # a wall: nothing is entered
    assert outcomes(mdp, 1, UP) == {(1, -3.0): 1.0}
    assert outcomes(mdp, 1, DOWN) == {(4, -1.0): 1.0}
    assert outcomes(mdp, 4, RIGHT) == {(5, 10.0): 1.0}
    assert outcomes(GridWorld(layout=layout).mdp, 1, RIGHT) == {(1, -1.0): 1.0}  # an ordinary step


def test_several_starts_are_equally_likely() -> None:
    assert GridWorld(layout="S.S\nS.G").mdp.start.tolist() == [1 / 3, 0, 1 / 3, 1 / 3, 0, 0]


def test_teleports_hold_for_every_action_and_slip() -> None:
    mdp = GridWorld(layout="A..\n..b\nA.G", teleports={"A": ("b", 7)}, slip=0.5).mdp
    for cell in (0, 6):
        for action in range(4):
            assert outcomes(mdp, cell, action) == {(5, 7.0): pytest.approx(1.0)}


def test_slip_goes_to_both_sides() -> None:
    mdp = GridWorld(layout="...\n...\n..G", slip=0.2).mdp
    assert outcomes(mdp, 4, UP) == {(1, -1.0): pytest.approx(0.8), (5, -1.0): 0.1, (3, -1.0): 0.1}
    assert outcomes(mdp, 4, LEFT) == {(3, -1.0): pytest.approx(0.8), (1, -1.0): 0.1, (7, -1.0): 0.1}
    assert outcomes(mdp, 0, UP) == {(0, -1.0): pytest.approx(0.9), (1, -1.0): 0.1}
    sideways = GridWorld(layout="...\n...\n..G", slip=1).mdp
    assert {pair: p for pair, p in outcomes(sideways, 4, UP).items() if p} == {(5, -1.0): 0.5, (3, -1.0): 0.5}


@pytest.mark.parametrize(
    "env, state, action",
    [
        (GridWorld(20_000, slip=0.3, autoreset_mode="Disabled"), 5, DOWN),
        (WindyGridWorld(20_000, stochastic_wind=True, autoreset_mode="Disabled"), 46, RIGHT),
    ],
)
def test_sampled_frequencies_follow_the_model(env: FiniteEnv, state: int, action: int) -> None:
    expected, found = outcomes(env.mdp, state, action), sampled(env, state, action)
    assert found.keys() == expected.keys() and len(expected) == 3
    counts = [found[pair] for pair in expected]
    assert chisquare(counts, np.array(list(expected.values())) * env.num_envs).pvalue > 1e-4


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=3, max_side=5)))
@settings(max_examples=60, deadline=None)
def test_neighbours(walls: Array) -> None:
    reached = neighbours(walls)
    for cell, place in enumerate(np.ndindex(walls.shape)):
        for action, (down, right) in enumerate(MOVES):
            target = (*place[:-2], place[-2] + down, place[-1] + right)
            inside = 0 <= target[-2] < walls.shape[-2] and 0 <= target[-1] < walls.shape[-1]
            moves = inside and not walls[target]
            assert reached[cell, action] == (np.ravel_multi_index(target, walls.shape) if moves else cell)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"layout": ""}, "empty"),
        ({"layout": "...\n..\n..G"}, "row 1 of the layout has 2 cells"),
        ({"layout": "..\n.?"}, r"'\?' in the layout"),
        ({"layout": "..\n.1"}, "'1' in the layout"),
        ({"layout": "G#\n#G"}, "leave a cell"),
        ({"slip": 1.5}, "slip=1.5"),
        ({"slip": -0.1}, "slip=-0.1"),
        ({"rewards": {"x": 1.0}}, "rewards names 'x': the letters of the layout are G"),
        ({"rewards": {".": 1.0}}, "rewards names '.'"),
        ({"layout": "A.G", "teleports": {"A": ("b", 1.0)}}, "teleports names 'b'"),
        ({"layout": "A.b", "teleports": {"B": ("b", 1.0)}}, "teleports names 'B'"),
        ({"layout": "Abb", "teleports": {"A": ("b", 1.0)}}, "2 cells"),
        ({"step_reward": float("nan")}, "finite"),
        ({"max_episode_steps": 0}, "max_episode_steps=0"),
        ({"render_mode": "human"}, "render_mode='human'"),
    ],
)
def test_bad_grids_are_refused_in_one_line(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        GridWorld(**kwargs)
    assert "\n" not in str(caught.value)


def test_unknown_moves() -> None:
    with pytest.raises(ValueError, match="moves='queen': use one of four, king, king.stay"):
        WindyGridWorld(moves="queen")


def test_a_layout_needs_a_row() -> None:
    with pytest.raises(ValueError, match="empty"):
        read_layout([])


# As an environment.


@pytest.mark.parametrize(
    "env",
    [
        GridWorldEnv(**SUTTON_BARTO_3_5, max_episode_steps=20, render_mode="rgb_array"),
        GridWorldEnv(slip=0.5, layout="S.#\n..G", render_mode="ansi"),
        WindyGridWorldEnv(moves="king+stay", stochastic_wind=True, render_mode="rgb_array"),
    ],
    ids=["teleports", "slip", "wind"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gymnasium_checker_on_other_settings(env: gym.Env[Any, Any]) -> None:
    check_env(env)


@pytest.mark.parametrize(
    "make, single",
    [(GridWorld, GridWorldEnv), (WindyGridWorld, WindyGridWorldEnv)],
)
def test_a_lane_is_the_single_environment(make: type[GridEnv], single: type[GridWorldEnv]) -> None:
    settings = {"slip": 0.4} if make is GridWorld else {"moves": "king", "stochastic_wind": True}
    batch = make(6, max_episode_steps=9, **settings)
    actions = np.random.default_rng(0).integers(batch.mdp.n_actions, size=(60, 6))
    observations, _ = batch.reset(seed=3)
    rows = [observations] + [np.stack(batch.step(step)[:4]) for step in actions]
    for lane in range(6):
        env = single(max_episode_steps=9, **settings)
        observation, _ = env.reset(seed=3 + lane)
        assert observation == rows[0][lane]
        for row, action in zip(rows[1:], actions[:, lane], strict=True):
            observation, reward, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                observation, _ = env.reset()
            assert [observation, reward, terminated, truncated] == row[:, lane].tolist()


# Text and pictures.


def test_text() -> None:
    env = GridWorldEnv(layout="S.#\n.aG", render_mode="ansi")
    env.reset(seed=0)
    assert env.render() == "@.#\n.aG"
    env.step(DOWN)
    env.step(RIGHT)
    assert env.render() == "S.#\n.@G"
    env.step(RIGHT)
    assert env.render() == "S.#\n.a@"


def centre(picture: Array, row: int, column: int, size: int = LARGEST_CELL) -> list[int]:
    return picture[row * size + size // 2, column * size + size // 2].tolist()


def test_picture_shows_walls_goals_and_the_agent() -> None:
    env = GridWorldEnv(layout="S.#\n..G", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (2 * LARGEST_CELL, 3 * LARGEST_CELL, 3) and picture.dtype == np.uint8
    assert centre(picture, 0, 0) == list(AGENT)
    assert centre(picture, 0, 2) == list(WALL)
    assert picture[LARGEST_CELL + 6, 2 * LARGEST_CELL + 6].tolist() == list(FILLS["goal"])
    env.step(RIGHT)
    moved = env.render()
    assert centre(moved, 0, 1) == list(AGENT) and centre(moved, 0, 0) != list(AGENT)


def test_one_arrow_for_each_action_of_the_policy() -> None:
    env = GridWorld()
    reach = {UP: (-20, 0), RIGHT: (0, 20), DOWN: (20, 0), LEFT: (0, -20)}
    y = x = LARGEST_CELL + LARGEST_CELL // 2  # the middle of cell 5
    policy = np.zeros((16, 4))
    policy[5, [UP, LEFT]] = 0.5
    picture = env.draw(policy=policy)
    dark = {action for action, (down, right) in reach.items() if picture[y + down, x + right].max() < 100}
    assert dark == {UP, LEFT}
    assert (env.draw(policy=np.zeros((16, 4))) == env.draw()).all()


def test_values_are_colours_in_order() -> None:
    env = GridWorld(layout="....G")
    brightness = env.draw(np.array([1.0, 4.0, 2.0, 3.0, 0.0]))[6, 6::LARGEST_CELL].astype(int).sum(axis=1)
    assert brightness[0] < brightness[2] < brightness[3] < brightness[1]
    red, _, blue = env.draw(np.array([-5.0, 5.0, 0.0, 0.0, 0.0]))[6, 6::LARGEST_CELL].astype(int).T
    assert red[0] > blue[0] + 80 and blue[1] > red[1] + 80 and min(red[2], blue[2]) > 240
    assert env.draw(np.zeros(5)).shape == (LARGEST_CELL, 5 * LARGEST_CELL, 3)  # one value only
    assert (env.draw(np.full(5, np.nan)) == env.draw()).all()


def test_terminal_states_have_neither_value_nor_arrows() -> None:
    env = GridWorld(layout=".#G")
    picture = env.draw(np.array([1.0, 2.0, 3.0]), np.full((3, 4), 0.25))
    assert (picture == env.draw(np.array([1.0, -9.0, 0.0]), np.eye(3)[:1].T * np.full((3, 4), 0.25))).all()
    assert picture[6, 2 * LARGEST_CELL + 6].tolist() == list(FILLS["goal"])


def test_the_cliff_has_no_values() -> None:
    env = CliffWalking()
    assert centre(env.draw(np.arange(48.0)), 3, 5) == list(FILLS["cliff"])


def test_path_is_drawn_through_its_cells() -> None:
    env = GridWorld(layout="S..\n..G")
    picture = env.draw(path=[0, 1, 4])
    assert all(centre(picture, row, column) == list(PATH) for row, column in ((0, 0), (0, 1), (1, 1)))
    assert centre(picture, 0, 2) != list(PATH)
    assert (env.draw(path=[]) == env.draw()).all()


@pytest.mark.parametrize("side, size", [(15, 64), (16, 60), (60, 16), (120, 8), (121, 7), (1000, 1)])
def test_pictures_fit_their_grids(side: int, size: int) -> None:
    env = GridWorld(layout="\n".join(["." * side] * side))
    picture = env.draw(np.arange(side * side), path=np.arange(side))
    assert picture.shape == (side * size, side * size, 3)
    assert picture[size // 2, (side - 1) * size + size // 2].tolist() == list(PATH)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"values": np.zeros(15)}, r"values of shape \(15,\): give \(16,\)"),
        ({"policy": np.zeros((16, 5))}, r"policy of shape \(16, 5\): give \(16, 4\)"),
        ({"path": [0, 16]}, "path has states 0 to 16: give 0 to 15"),
        ({"path": [-1]}, "path has states -1"),
    ],
)
def test_what_does_not_fit_is_not_drawn(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GridWorld().draw(**kwargs)

"""Board games as environments: who plays when, what it brings, what is told; the rules have tests of their own."""

import copy
import threading
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from scipy.stats import chisquare

from envs.batched import Array
from envs.board import GAMES
from envs.board import game as make_game
from envs.board.drawing import CELL, COLOURS, MARGIN, TOP, draw
from envs.board.env import BoardGame, BoardGameEnv
from envs.board.game import PLIES, State

PACKAGES = {"chess": "chess", "shogi": "shogi"}  # what games need


@pytest.fixture(params=GAMES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param], reason="needs the games extra")
    return str(request.param)


def at(position: str, *answers: str, game: str = "tic_tac_toe", **keywords: Any) -> BoardGameEnv:
    """An environment in a position, whose opponent makes the moves given, in turn."""
    moves = iter(answers)
    env = BoardGameEnv(game=game, opponent=lambda *_: env.game.action(next(moves)), **keywords)
    env.reset(seed=0, options={"position": position})
    return env


def drawing_opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
    """Any legal action, in its own way of drawing numbers."""
    rng.normal()
    return int(rng.choice(np.flatnonzero(legal)))


def legal_play(env: BoardGame, steps: int, infos: dict[str, Any], seed: int = 0) -> list[tuple[Array, ...]]:
    """Random legal actions of a seed, one stream a lane, and what they bring."""
    streams = [np.random.default_rng(seed + lane) for lane in range(env.num_envs)]
    rows = []
    for _ in range(steps):
        masks = zip(streams, infos["action_mask"], strict=True)
        actions = np.array([rng.choice(np.flatnonzero(mask)) for rng, mask in masks])
        *results, infos = env.step(actions)
        rows.append((*results, infos["action_mask"], env.fields["state"].copy()))
    return rows


def assert_equal(rows: list[tuple[Array, ...]], others: list[tuple[Array, ...]]) -> None:
    for row, other in zip(rows, others, strict=True):
        for one, two in zip(row, other, strict=True):
            np.testing.assert_array_equal(one, two)


# Rewards and ends.


@pytest.mark.parametrize(
    ("position", "move", "answer", "reward"),
    [
        ("xx1/oo1/3 x", "c3", None, 1.0),
        ("oo1/xx1/x2 o", "c3", None, 1.0),
        ("xx1/oo1/3 x", "a1", "c2", -1.0),
        ("oo1/xx1/x2 o", "b1", "c2", -1.0),
        ("xox/xoo/ox1 x", "c1", None, 0.0),
        ("xox/xo1/ox1 o", "c2", "c1", 0.0),
        ("3/1x1/3 o", "a3", "c3", None),
    ],
)
def test_rewards_are_the_players(position: str, move: str, answer: str | None, reward: float | None) -> None:
    """Of games won, lost and drawn by the player, as x and as o, and by the last move of either."""
    env = at(position, *([answer] if answer else []))
    _, got, terminated, truncated, info = env.step(env.game.action(move))
    assert (got, terminated, truncated) == (reward or 0.0, reward is not None, False)
    assert not info.get("illegal", False)
    assert info["action_mask"].any() == (reward is None)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_an_illegal_action_loses_at_once(mode: AutoresetMode) -> None:
    """Beside it a game that goes on and one that is won, which is not called illegal."""

    def last(state: State, legal: Array, rng: np.random.Generator) -> int:
        return int(np.flatnonzero(legal)[-1])

    env = BoardGame(3, game="tic_tac_toe", opponent=last, side="first", autoreset_mode=mode)
    env.reset(seed=0, options={"position": "xx1/oo1/3 x"})
    before = env.fields["state"].copy()
    observations, rewards, terminated, _, infos = env.step(np.array([0, 6, 2]))
    outcome = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
    final = infos["final_obs"] if mode is AutoresetMode.SAME_STEP else observations
    assert rewards.tolist() == [-1, 0, 1] and terminated.tolist() == [True, False, True]
    assert outcome["_illegal"].tolist() == [True, False, True]
    assert outcome["illegal"][[0, 2]].tolist() == [True, False]
    np.testing.assert_array_equal(final[0], env.game.observe(before[0]))  # nothing was played
    if mode is AutoresetMode.DISABLED:
        *_, infos = env.step(np.array([7, 7, 7]))
        assert infos["illegal"][[0, 2]].tolist() == [True, False], "a finished lane stands still"


def test_masks_are_the_rules(name: str) -> None:
    env = BoardGame(4, game=name)
    _, infos = env.reset(seed=3)
    for *_, masks, states in legal_play(env, 3 if name in PACKAGES else 40, infos):
        assert masks.dtype == np.int8
        np.testing.assert_array_equal(masks, [env.game.legal(state) for state in states])


# Opponents.


def test_the_opponent_sees_the_position_and_its_action_is_played() -> None:
    asked: list[tuple[State, Array, np.random.Generator]] = []

    def opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
        asked.append((state.copy(), legal.copy(), rng))
        state[:] = 0  # its own copy
        return 4

    env = BoardGameEnv(opponent=opponent, side="first")
    env.reset(seed=0)
    assert not asked
    env.step(3)
    [(state, legal, rng)] = asked
    expected = env.game.after(env.game.start, 3)
    np.testing.assert_array_equal(state, expected)
    np.testing.assert_array_equal(legal, env.game.legal(expected))
    assert isinstance(rng, np.random.Generator)
    np.testing.assert_array_equal(env.fields["state"][0], env.game.after(expected, 4))


@pytest.mark.parametrize("action", [4, 9, -1])
def test_an_illegal_answer_is_an_error(action: int) -> None:
    env = BoardGameEnv(game="tic_tac_toe", opponent=lambda *_: action, side="first")
    env.reset(seed=0)
    told = f"the opponent's move {'b2' if action == 4 else action} is not legal in '3/1x1/3 o': legal are a3,"
    with pytest.raises(ValueError, match=rf"^{told}[^\n]*$"):
        env.step(4)


def test_an_opponent_is_asked_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a search that keeps its tree."""

    def opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
        asked.append(threading.current_thread())
        return int(np.argmax(legal))

    asked = list[threading.Thread]()
    monkeypatch.setattr("envs.batched.numba.get_num_threads", lambda: 3)
    monkeypatch.setattr(BoardGame, "lanes_per_thread", 4)
    env = BoardGame(12, opponent=opponent, side="first")
    env.reset(seed=0)
    env.step(np.zeros(12, np.int64))
    assert asked == 12 * [threading.current_thread()]


@pytest.mark.parametrize("plies", [0, 2], ids=["first move", "answer"])
def test_without_an_opponent_moves_are_uniform(plies: int) -> None:
    """Chi-square test at 0.001, of the first move and of an answer; its third column is full."""
    env = BoardGame(7000, side="first" if plies else "second")
    game = env.game
    env.reset(seed=1, options={"position": "2o4/2x4/2o4/2x4/2o4/2x4 x"} if plies else None)
    if plies:
        env.step(np.full(7000, 5))
    before = game.read("2o4/2x4/2o4/2x4/2o4/2x2x1 o") if plies else game.start
    choices = np.flatnonzero(game.legal(before))
    after = {game.after(before, int(action)).tobytes(): action for action in choices}
    found = [after[state.tobytes()] for state in env.fields["state"]]
    assert chisquare([found.count(action) for action in choices]).pvalue > 0.001


# Who begins, and where.


def test_sides() -> None:
    lanes = 2000
    for side, plies in (("first", 0), ("second", 1)):
        env = BoardGame(lanes, side=side)
        env.reset(seed=0)
        assert (env.fields["state"][:, PLIES] == plies).all()
    env = BoardGame(lanes)
    env.reset(seed=0)
    for _ in range(2):  # drawn again for every game
        second = int(env.fields["state"][:, PLIES].sum())
        assert chisquare([second, lanes - second]).pvalue > 0.001
        first = env.fields["state"][:, PLIES].copy()
        env.reset()
    again = env.fields["state"][:, PLIES]
    assert chisquare(np.bincount(2 * first + again, minlength=4)).pvalue > 0.001


def test_starting_from_a_position() -> None:
    env = BoardGame(3, game="tic_tac_toe", side="second", autoreset_mode=AutoresetMode.DISABLED)
    observations, infos = env.reset(seed=0, options={"position": "xo1/1x1/3 o"})
    state = env.game.read("xo1/1x1/3 o")
    assert (env.fields["state"] == state).all(), "the player moves"
    assert (observations == env.game.observe(state)).all()
    assert (infos["action_mask"] == env.game.legal(state)).all()
    env.reset(options={"position": "3/1x1/3 o", "reset_mask": np.array([False, True, False])})
    assert [env.game.write(one) for one in env.fields["state"]] == ["xo1/1x1/3 o", "3/1x1/3 o", "xo1/1x1/3 o"]


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ("3/1x1/3 x", "1 x and 0 o, but x to move"),
        ("xxx/oo1/3 o", "the game is over, give one that goes on"),
        ("nowhere", "1 fields"),
        (5, "1 fields"),
    ],
)
def test_bad_positions(position: Any, told: str) -> None:
    env = BoardGameEnv(game="tic_tac_toe")
    env.reset(seed=0, options={"position": "3/1x1/3 o"})
    with pytest.raises(ValueError, match=rf"^position [^\n]*{told}[^\n]*$"):
        env.reset(options={"position": position})
    assert env.game.write(env.fields["state"][0]) == "3/1x1/3 o"


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"game": "ludo"}, "game 'ludo': use one of tic_tac_toe, connect_four"),
        ({"game": "othello", "size": 6.0}, "size 6.0 of othello: use a whole number"),
        ({"game": "go", "komi": "x"}, "komi 'x' of go: use a number"),
        ({"game": "othello", "size": 7}, "size 7: use 4, 6, 8"),
        ({"side": "white"}, "side='white': use one of random, first, second"),
        ({"opponent": "mcts"}, "opponent='mcts': give a callable"),
    ],
)
def test_bad_keywords(keywords: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=rf"^{told}[^\n]*$"):
        BoardGame(2, **keywords)


def test_a_game_does_not_take_anothers_options() -> None:
    with pytest.raises(TypeError, match="komi"):
        BoardGame(2, game="othello", komi=6.5)


# Randomness and state.


@pytest.mark.parametrize("opponent", [None, drawing_opponent], ids=["random", "callable"])
def test_lanes_equal_singles_in_legal_play(name: str, opponent: Any) -> None:
    steps, keywords = 4 if name in PACKAGES else 60, {"game": name, "opponent": opponent}
    env = BoardGame(3, **keywords)
    rows = legal_play(env, steps, env.reset(seed=11)[1])
    assert_equal(rows, legal_play(env, steps, env.reset(seed=11)[1]))  # the seed decides
    for lane in range(3):
        single = BoardGameEnv(**keywords)
        _, info = single.reset(seed=11 + lane)
        rng = np.random.default_rng(lane)
        for observations, rewards, terminated, _, masks, _ in rows:
            observation, reward, ended, _, info = single.step(rng.choice(np.flatnonzero(info["action_mask"])))
            assert (reward, ended) == (rewards[lane], terminated[lane])
            if ended:
                observation, info = single.reset()
            np.testing.assert_array_equal(observation, observations[lane])
            np.testing.assert_array_equal(info["action_mask"], masks[lane])


def test_other_seeds_are_other_games() -> None:
    env = BoardGame(3)
    rows, others = (legal_play(env, 3, env.reset(seed=seed)[1]) for seed in (11, 17))
    assert not np.array_equal(rows[-1][0], others[-1][0])


def test_an_opponent_draws_on_from_its_lanes_generator() -> None:
    def opponent(state: State, legal: Array, rng: np.random.Generator) -> int:
        drawn.append(float(rng.random()))
        return int(np.argmax(legal))

    drawn = list[float]()
    env = BoardGameEnv(opponent=opponent, side="first")
    env.reset(seed=5)
    for action in (6, 5, 4):
        env.step(action)
    assert drawn == np.random.default_rng(5).random(3).tolist()


def test_state_continues_with_an_opponent_that_draws() -> None:
    env, fresh = (BoardGame(3, opponent=drawing_opponent) for _ in range(2))
    legal_play(env, 5, env.reset(seed=2)[1])
    state = env.state_dict()
    infos = {"action_mask": [env.game.legal(one) for one in state["state"]]}
    expected = legal_play(env, 30, infos, seed=9)
    fresh.load_state_dict(state)
    assert_equal(legal_play(fresh, 30, infos, seed=9), expected)


# Options, checkers, pictures.


def test_options_reach_the_game() -> None:
    env = gym.make("skidpad/Othello-v0", size=6, side="first")
    assert env.observation_space.shape == (2, 6, 6) and env.action_space == gym.spaces.Discrete(37)
    env.reset(seed=0)
    env.step(env.unwrapped.game.action("c2"))
    assert copy.deepcopy(env).unwrapped.game.rows == 6
    go = BoardGame(2, game="go", size=5, komi=0.5)
    assert go.single_action_space == gym.spaces.Discrete(26)


@pytest.mark.filterwarnings("ignore:.*For Box action spaces:UserWarning")
def test_gymnasiums_checker() -> None:
    check_env(gym.make("skidpad/Othello-v0", size=4).unwrapped)
    check_env(gym.make("skidpad/Go-v0", size=5, opponent=drawing_opponent).unwrapped)


@pytest.mark.parametrize("side", ["first", "second"])
@pytest.mark.parametrize("game", sorted(COLOURS))
def test_stones_are_seen(game: str, side: str) -> None:
    """Every cell's middle has the colour of what lies there, also after moves of both."""
    env = BoardGameEnv(game=game, side=side, render_mode="rgb_array")
    _, info = env.reset(seed=0)
    shape = env.game.rows * CELL + MARGIN + TOP, env.game.columns * CELL + 2 * MARGIN, 3
    colours = {"x": COLOURS[game][1], "o": COLOURS[game][2]}
    for _ in range(3):
        picture = env.render()
        assert picture.dtype == np.uint8 and picture.shape == shape
        for row, line in enumerate(env.game.show(env.fields["state"][0]).splitlines()):
            for column, stone in enumerate(line):
                middle = tuple(picture[TOP + CELL * row + CELL // 2, MARGIN + CELL * column + CELL // 2].tolist())
                assert middle == colours[stone] if stone in colours else middle not in colours.values()
        *_, info = env.step(np.flatnonzero(info["action_mask"])[-1])


@pytest.mark.parametrize(("game", "move"), [("chess", "e2e4"), ("shogi", "7g7f")])
def test_pieces_are_seen(game: str, move: str) -> None:
    """A move changes the picture in the cells it leaves and reaches."""
    pytest.importorskip(game, reason="needs the games extra")
    rules = make_game(game)
    before, after = (draw(rules, state) for state in (rules.start, rules.after(rules.start, rules.action(move))))
    rows, columns, _ = np.nonzero(before != after)
    cells = set(zip((rows - TOP) // CELL, (columns - MARGIN) // CELL, strict=True))
    assert cells == {"chess": {(6, 4), (4, 4)}, "shogi": {(6, 2), (5, 2)}}[game]


@pytest.mark.parametrize(
    ("game", "move", "cell"),
    [("connect_four", "3", (-1, 2)), ("othello", "c4", (3, 2)), ("othello", "pass", None), ("chess", "a8b8", None)],
)
def test_notes_are_drawn_where_they_belong(game: str, move: str, cell: tuple[int, int] | None) -> None:
    """In cells, above columns, or above the board; the move a8b8 is of a number that could be a cell's."""
    if game in PACKAGES:
        pytest.importorskip(PACKAGES[game], reason="needs the games extra")
    rules = make_game(game)
    rows, columns, _ = np.nonzero(draw(rules, rules.start) != draw(rules, rules.start, {rules.action(move): "0.5"}))
    assert len(rows)
    if cell is None:
        assert rows.max() < TOP
    else:
        assert set((rows - TOP) // CELL) == {cell[0]} and set((columns - MARGIN) // CELL) == {cell[1]}


def test_text() -> None:
    env = at("7/7/7/7/3o3/x2x3 o", "1", game="connect_four", render_mode="ansi")
    assert env.render() == ".......\n" * 4 + "...o...\nx..x..."
    env.step(6)
    assert env.render() == ".......\n" * 4 + "x..o...\nx..x..o"


def test_games_begin_with_an_opening() -> None:
    """Of so many random plies, and the opponent's answer in the half of the games that it begins; none is over."""
    env = BoardGame(200, opening=4)
    env.reset(seed=0)
    states = env.fields["state"]
    assert set(states[:, PLIES].tolist()) == {4, 5}
    assert len({state.tobytes() for state in states}) > 150
    again = BoardGame(200, opening=4)
    again.reset(seed=0)
    np.testing.assert_array_equal(again.fields["state"], states)

    env = BoardGame(300, game="tic_tac_toe", opening=9, side="second")
    env.reset(seed=0)
    for state in env.fields["state"]:
        assert env.game.outcome(state) is None
    assert {5, 6, 7} <= set(env.fields["state"][:, PLIES].tolist())
    for wrong in (-1, 2.0, "four"):
        with pytest.raises(ValueError, match="opening=.*: use 0 or more random actions"):
            BoardGame(opening=wrong)

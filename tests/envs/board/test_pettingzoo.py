"""Board games as environments of PettingZoo: its own checks, its own Connect Four, and both agents' sides."""

import importlib
import re
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="needs the games extra")
from pettingzoo.classic.connect_four.connect_four import env as pettingzoos_connect_four
from pettingzoo.test import api_test, render_test, seed_test

from envs.board import GAMES
from envs.board.pettingzoo import BoardGameAEC, aec

pytestmark = pytest.mark.filterwarnings(
    # what PettingZoo's check says of its own classic games, too, unless their names are on its list
    "ignore:Observation is not a NumPy array:UserWarning",
    "ignore:Observation space for each agent probably should be:UserWarning",
    "ignore:Observation numpy array is all zeros:UserWarning",
)
PACKAGES = {"chess": "chess", "shogi": "shogi"}  # what games need


@pytest.fixture(params=GAMES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param], reason="needs the games extra")
    return str(request.param)


def play(env: Any, *moves: str) -> None:
    for move in moves:
        env.step(env.unwrapped.game.action(move))


def test_pettingzoos_checks(name: str) -> None:
    cycles = 10 if name in PACKAGES else 1000
    api_test(aec(name), num_cycles=cycles)
    seed_test(lambda: aec(name), num_cycles=cycles)


def test_pettingzoos_render_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setitem(BoardGameAEC.metadata, "render_fps", 1000)
    render_test(aec)


def test_pettingzoos_own_connect_four_agrees() -> None:
    """Turn by turn: what both agents see, rewards and ends; planes come last there."""
    ours, theirs, generator = aec(), pettingzoos_connect_four(), np.random.default_rng(0)
    for _ in range(200):
        ours.reset()
        theirs.reset()
        for agent in ours.agent_iter():
            assert theirs.agent_selection == agent
            for one in ours.agents:
                mine, other = ours.observe(one), theirs.observe(one)
                np.testing.assert_array_equal(mine["observation"], other["observation"].transpose(2, 0, 1))
                if not ours.terminations[one]:  # where it goes on to call columns legal
                    np.testing.assert_array_equal(mine["action_mask"], other["action_mask"])
            assert ours.last(observe=False)[1:4] == theirs.last(observe=False)[1:4]
            legal = np.flatnonzero(ours.observe(agent)["action_mask"])
            action = None if ours.terminations[agent] else int(generator.choice(legal))
            ours.step(action)
            theirs.step(action)
        assert not theirs.agents


@pytest.mark.parametrize("name", [game for game in GAMES if game not in PACKAGES])
def test_random_games_to_the_end(name: str) -> None:
    """Agents take turns, the one who waits may do nothing, and rewards are those of the rules."""
    env, generator = BoardGameAEC(name), np.random.default_rng(3)
    for _ in range(3):
        env.reset()
        while not any(env.terminations.values()):
            agent, other = env.agent_selection, env.possible_agents[1 - env.possible_agents.index(env.agent_selection)]
            assert not env.observe(other)["action_mask"].any() and not any(env.rewards.values())
            mask = env.observe(agent)["action_mask"]
            np.testing.assert_array_equal(mask, env.game.legal(env.position))
            env.step(int(generator.choice(np.flatnonzero(mask))))
            assert env.agent_selection == other
        outcome = env.game.outcome(env.position)
        assert outcome is not None and env.rewards == {other: outcome, agent: -outcome}
        assert env.terminations == dict.fromkeys(env.possible_agents, True) and not any(env.truncations.values())
        assert env.infos == {"player_0": {}, "player_1": {}}
        for _ in range(2):
            env.step(None)
        assert env.agents == []


def test_an_illegal_action_loses() -> None:
    env = aec("tic_tac_toe")
    env.reset()
    play(env, "b2", "a1")
    before = env.unwrapped.position.copy()
    play(env, "a1")
    assert env.rewards == {"player_0": -1, "player_1": 1}
    assert env.terminations == {"player_0": True, "player_1": True}
    assert env.infos == {"player_0": {"illegal": True}, "player_1": {}}
    np.testing.assert_array_equal(env.unwrapped.position, before)
    assert not any(env.observe(agent)["action_mask"].any() for agent in env.agents)
    told = {}
    for agent in env.agent_iter():
        _, *told[agent] = env.last(observe=False)
        env.step(None)
    assert told == {"player_0": [-1, True, False, {"illegal": True}], "player_1": [1, True, False, {}]}


def test_both_sides_see_their_own() -> None:
    env = aec("tic_tac_toe")
    env.reset()
    play(env, "a3", "b2", "c3")
    x, o = np.array([[1, 0, 1], [0, 0, 0], [0, 0, 0]]), np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    first, second = env.observe("player_0"), env.observe("player_1")
    np.testing.assert_array_equal(first["observation"], [x, o])
    np.testing.assert_array_equal(second["observation"], [o, x])
    assert not first["action_mask"].any() and second["action_mask"].tolist() == [0, 1, 0, 1, 0, 1, 1, 1, 1]


def test_sides_of_games_with_more_planes(name: str) -> None:
    """What is "own" to one is "the other's" to the other; nothing else changes."""
    env = BoardGameAEC(name)
    env.reset()
    env.step(int(np.flatnonzero(env.game.legal(env.position))[0]))
    mover, other = (
        dict(zip(env.game.planes, env.observe(agent)["observation"], strict=True)) for agent in ("player_1", "player_0")
    )
    for plane, seen in mover.items():
        whose, _, kind = plane.partition(" ")
        twin = f"the other's {kind}" if whose == "own" else re.sub("^the other's ", "own ", plane)
        np.testing.assert_array_equal(other[twin], seen)


def test_starting_from_a_position() -> None:
    env = aec("tic_tac_toe")
    env.reset(options={"position": "xx1/1o1/3 o"})
    assert env.agent_selection == "player_1"
    play(env, "a1", "c3")
    assert env.rewards == {"player_0": 1, "player_1": -1}
    with pytest.raises(ValueError, match="^position 'xxx/oo1/3 o': the game is over, give one that goes on$"):
        env.reset(options={"position": "xxx/oo1/3 o"})
    env.reset()
    assert env.agent_selection == "player_0" and not env.unwrapped.position.any()


def test_pictures_and_text() -> None:
    env = aec("go", "rgb_array", size=5)
    env.reset()
    before = env.render()
    play(env, "c3")
    assert before.shape == env.render().shape and (before != env.render()).any()
    env = aec("go", "ansi", size=5)
    env.reset()
    play(env, "c3")
    assert env.render() == ".....\n.....\n..x..\n.....\n....."
    assert env.observation_space("player_0")["observation"].shape == (5, 5, 5)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^game 'ludo': use one of [^\n]*$"):
        aec("ludo")
    with pytest.raises(ValueError, match=r"^render_mode='hologram': use one of [^\n]*$"):
        aec(render_mode="hologram")
    env = aec()
    with pytest.raises(AttributeError, match="reset"):
        env.agents  # noqa: B018
    env.reset()
    for action in (-1, 7, 0.5, None):
        with pytest.raises(ValueError, match=rf"^action {action} of player_0: give integers from 0 to 6$"):
            env.step(action)
    assert not env.unwrapped.position.any()


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "envs.board.pettingzoo")
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(ValueError, match=r"^pettingzoo is not installed: pip install 'skidpad\[games\]'$"):
        importlib.import_module("envs.board.pettingzoo")

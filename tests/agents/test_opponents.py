"""Opponents by name: what they play, that they remember nothing, and where they are accepted."""

from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from agents import train
from agents.opponents import board_game, resolve
from agents.rollout import make_lanes
from envs.board import game
from supervised.training.errors import UserError

TIC_TAC_TOE = game("tic_tac_toe")


def test_the_game_of_an_environment() -> None:
    found = board_game("skidpad/Othello-v0", {"size": 6})
    assert found is not None and (found.name, found.n_actions) == ("othello", 37)
    assert board_game("skidpad/CartPole-v1", {}) is None
    assert board_game("skidpad/Atari-Breakout-v0", {}) is None
    assert board_game("CartPole-v1", {}) is None
    assert board_game(lambda: gym.make("CartPole-v1"), {}) is None


def test_random_plays_every_legal_action() -> None:
    state, rng = TIC_TAC_TOE.read("xox/1o1/1x1 o"), np.random.default_rng(0)
    legal = TIC_TAC_TOE.legal(state)
    played = [resolve("random", TIC_TAC_TOE)(state, legal, rng) for _ in range(400)]
    counts = np.bincount(played, minlength=9)
    assert (counts[~legal] == 0).all() and (counts[legal] > 60).all()


@pytest.mark.parametrize("name", ["mcts:60", "perfect"])
def test_those_that_think_see_a_threat(name: str) -> None:
    state = TIC_TAC_TOE.read("x1x/1o1/3 o")
    action = resolve(name, TIC_TAC_TOE)(state, TIC_TAC_TOE.legal(state), np.random.default_rng(0))
    assert TIC_TAC_TOE.move(action) == "b3"


def test_search_remembers_nothing() -> None:
    """What it plays depends on the position and the generator alone, whatever it was asked before."""
    opponent, state = resolve("mcts:30", TIC_TAC_TOE), TIC_TAC_TOE.read("3/1x1/3 o")
    legal = TIC_TAC_TOE.legal(state)
    first = [opponent(state, legal, np.random.default_rng(seed)) for seed in range(8)]
    other = TIC_TAC_TOE.read("x2/1o1/2x o")
    opponent(other, TIC_TAC_TOE.legal(other), np.random.default_rng(0))
    again = [opponent(state, legal, np.random.default_rng(seed)) for seed in reversed(range(8))]
    assert first == again[::-1]
    assert len(set(first)) > 1


def test_names_go_where_environments_are_named() -> None:
    """Lanes against a name are lanes against the opponent of that name."""
    named = make_lanes("skidpad/TicTacToe-v0", 3, {"opponent": "mcts:20"})
    own = make_lanes("skidpad/TicTacToe-v0", 3, {"opponent": resolve("mcts:20", TIC_TAC_TOE)})
    for lanes in (named, own):
        lanes.reset(seed=5)
    for _ in range(12):
        mask = named.unwrapped.fields["state"].copy()  # type: ignore[attr-defined]
        actions = np.array([TIC_TAC_TOE.legal(state).argmax() for state in mask])
        for left, right in zip(named.step(actions)[:4], own.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(left, right)


def test_an_agent_without_rules_is_an_opponent_too(tmp_path: Path) -> None:
    """Where its action is not legal a random one is played."""
    flags = "--total-steps 64 --lanes 4 --learning-starts 32 --evaluate-every 0 --hidden 8"
    run = tmp_path / "dqn"
    train.main(["dqn", "--env", "skidpad/TicTacToe-v0", *flags.split(), "--run-dir", str(run), "--quiet"])
    opponent, rng = resolve(str(run), TIC_TAC_TOE), np.random.default_rng(0)
    state = TIC_TAC_TOE.start
    while TIC_TAC_TOE.outcome(state) is None:
        state = TIC_TAC_TOE.after(state, opponent(state, TIC_TAC_TOE.legal(state), rng))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "unknown opponent 'nobody': use random, mcts:2000, perfect, or a run's folder"),
        ("mcts", "opponent 'mcts': write the simulations of a move, as mcts:2000"),
        ("mcts:0", "simulations=0: a search needs at least 1"),
    ],
)
def test_names_that_are_none(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(name, TIC_TAC_TOE)
    assert str(caught.value) == message


def test_games_without_a_perfect_player_are_named() -> None:
    with pytest.raises(UserError, match="'othello' has no perfect player: use one of tic_tac_toe, connect_four"):
        resolve("perfect", game("othello"))


def test_other_environments_have_no_opponent(tmp_path: Path, refused: Callable[..., str]) -> None:
    keywords = ["--env-kwargs", '{"opponent": "random"}', "--run-dir", tmp_path / "run"]
    message = refused(train.main, "dqn", "--env", "skidpad/CartPole-v1", *keywords)
    assert message == "error: opponent 'random': skidpad/CartPole-v1 is no board game, leave it out"
    assert not (tmp_path / "run").exists()

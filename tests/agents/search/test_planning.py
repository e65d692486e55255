"""Search for one player, in copies of the environment."""

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401 - registers the ids
from agents.search.planning import Planner
from supervised.training.errors import UserError


def test_walks_a_maze_by_about_the_shortest_way() -> None:
    """Random play needs some hundred steps; a mean over what was tried cannot tell every detour of a step or two."""
    env = gym.make("skidpad/Maze-v0", size=(5, 5), maze_seed=3).unwrapped
    env.reset(seed=0)
    planner = Planner(
        "skidpad/Maze-v0", {"size": (5, 5), "maze_seed": 3}, simulations=800, horizon=100, exploration=0.5
    )
    steps, over = 0, False
    while not over:
        _, _, terminated, truncated, _ = env.step(planner.act(env.state_dict()))
        over, steps = terminated or truncated, steps + 1
    assert terminated
    assert shortest(env) <= steps <= shortest(env) + 4


def shortest(env: gym.Env) -> int:
    """Steps from the start to the exit, by value iteration with a reward of -1 a step."""
    mdp = env.mdp  # type: ignore[attr-defined]
    distance = np.where(mdp.terminal, 0.0, np.inf)
    for _ in range(mdp.n_states):
        for state in np.flatnonzero(~mdp.terminal):
            first = state * mdp.n_actions
            follows = mdp.next_states[mdp.offsets[first : first + mdp.n_actions]]
            distance[state] = min(distance[state], 1 + distance[follows].min())
    return int(distance[np.flatnonzero(mdp.start)[0]])


def test_balances_a_pole_without_having_learnt() -> None:
    env = gym.make("skidpad/CartPole-v1").unwrapped
    env.reset(seed=0)
    planner = Planner("skidpad/CartPole-v1", simulations=96, lanes=32, horizon=30)
    for _ in range(60):  # random play falls after about 20 steps
        _, _, terminated, _, _ = env.step(planner.act(env.state_dict()))
        assert not terminated


def test_the_search_leaves_the_environment_alone_and_is_repeatable() -> None:
    env = gym.make("skidpad/CartPole-v1").unwrapped
    env.reset(seed=1)
    state = env.state_dict()
    visits = [Planner("skidpad/CartPole-v1", simulations=64, seed=5).plan(state) for _ in range(2)]
    assert visits[0].tolist() == visits[1].tolist()
    assert visits[0].sum() == 64
    for name, array in env.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_simulations_side_by_side_look_everywhere() -> None:
    """Before any return is known, too: the first ones are shared among the actions."""
    env = gym.make("skidpad/CartPole-v1").unwrapped
    env.reset(seed=0)
    planner = Planner("skidpad/CartPole-v1", simulations=32, lanes=32)
    first = planner.plan(env.state_dict()).tolist()
    assert first == [16, 16]
    planner = Planner("skidpad/CartPole-v1", simulations=32, lanes=16)
    assert min(planner.plan(env.state_dict())) > 8


def test_returns_are_discounted_by_hand() -> None:
    """From S the exit is one step to the left: -0.01 a step, 1 for the exit."""
    keywords = {"layout": "#####\n#ES.#\n#####"}
    env = gym.make("skidpad/Maze-v0", **keywords).unwrapped
    env.reset(seed=0)
    planner = Planner("skidpad/Maze-v0", keywords, simulations=400, lanes=1, horizon=0, discount=0.5)
    planner.plan(env.state_dict())
    left, right = planner.root.children[3], planner.root.children[1]
    assert left.over and left.reward == pytest.approx(0.99) and left.total == 0
    assert not right.over and right.reward == pytest.approx(-0.01)
    back = right.children[3]
    assert back.reward == pytest.approx(-0.01)
    assert back.children[3].over
    assert left.visits == max(child.visits for child in planner.root.children.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"simulations": 0}, "simulations=0: a search needs at least 1"),
        ({"horizon": -1}, "horizon=-1: use 0 or more"),
        ({"discount": 1.5}, "discount=1.5: use a number from 0 to 1"),
    ],
)
def test_numbers_that_cannot_be(arguments: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        Planner("skidpad/CartPole-v1", **arguments)
    assert str(caught.value) == message


def test_environments_that_cannot_be_searched() -> None:
    with pytest.raises(UserError, match="CartPole-v1 cannot be put back into an earlier state"):
        Planner("CartPole-v1")
    with pytest.raises(UserError, match="a search needs a finite number"):
        Planner("skidpad/CarRacing-v0")

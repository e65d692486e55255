"""Search for one player, in copies of the environment."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import envs  # noqa: F401 - registers the ids
from agents.search.planning import Planner
from envs.control.cart_pole import CartPole
from supervised.training.errors import UserError


def made(env: str, **keywords: Any) -> Any:
    """A single environment without Gymnasium's wrappers."""
    return gym.make(env, **keywords).unwrapped


def test_walks_a_maze_by_about_the_shortest_way() -> None:
    """Random play needs some hundred steps; a mean over what was tried cannot tell every detour of a step or two."""
    env = made("skidpad/Maze-v0", size=(5, 5), maze_seed=3)
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
    env = made("skidpad/CartPole-v1")
    env.reset(seed=0)
    planner = Planner("skidpad/CartPole-v1", simulations=96, lanes=32, horizon=30)
    for _ in range(60):  # random play falls after about 20 steps
        _, _, terminated, _, _ = env.step(planner.act(env.state_dict()))
        assert not terminated


def test_the_search_leaves_the_environment_alone_and_is_repeatable() -> None:
    env = made("skidpad/CartPole-v1")
    env.reset(seed=1)
    state = env.state_dict()
    visits = [Planner("skidpad/CartPole-v1", simulations=64, seed=5).plan(state) for _ in range(2)]
    assert visits[0].tolist() == visits[1].tolist()
    assert visits[0].sum() == 64
    for name, array in env.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_simulations_side_by_side_look_everywhere() -> None:
    """Before any return is known, too: the first ones are shared among the actions."""
    env = made("skidpad/CartPole-v1")
    env.reset(seed=0)
    planner = Planner("skidpad/CartPole-v1", simulations=32, lanes=32)
    first = planner.plan(env.state_dict()).tolist()
    assert first == [16, 16]
    planner = Planner("skidpad/CartPole-v1", simulations=32, lanes=16)
    assert min(planner.plan(env.state_dict())) > 8


def test_returns_are_discounted_by_hand() -> None:
    """From S the exit is one step to the left: -0.01 a step, 1 for the exit."""
    keywords = {"layout": "#####\n#ES.#\n#####"}
    env = made("skidpad/Maze-v0", **keywords)
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


def test_games_of_atari() -> None:
    """What was pressed is as long as its episode, and lanes are at different lengths; by the game itself."""
    pytest.importorskip("ale_py", reason="needs the atari extra")
    keywords = {"repeat_action_probability": 0.0}
    env, step = (made("skidpad/Atari-Breakout-v0", **keywords) for _ in range(2))
    env.reset(seed=0)
    for moves in range(3):
        state = env.state_dict()
        planner = Planner("skidpad/Atari-Breakout-v0", keywords, simulations=10, lanes=4, horizon=3, seed=moves)
        assert planner.plan(state).sum() == 10
        checked = 0
        for action, child in planner.root.children.items():
            ways = [(child, [action]), *((below, [action, again]) for again, below in child.children.items())]
            for node, actions in ways:
                step.load_state_dict(state)
                rewards = [step.step(one)[1] for one in actions]
                assert node.state is not None and node.reward == rewards[-1]
                reached, frames = step.state_dict(), int(node.state["frames"])
                np.testing.assert_array_equal(node.state["pixels"], reached["pixels"][0])
                np.testing.assert_array_equal(node.state["tape"][:frames], reached["tape"][0])
                checked += 1
        assert checked > 4
        env.step(moves)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"simulations": 0}, "simulations=0: a search needs at least 1"),
        ({"horizon": -1}, "horizon=-1: use 0 or more"),
        ({"discount": 1.5}, "discount=1.5: use a number from 0 to 1"),
        ({"exploration": -1.0}, "exploration=-1.0: use 0 or more"),
        ({"exploration": math.nan}, "exploration=nan: use 0 or more"),
        ({"seed": -1}, "seed=-1: use 0 or more"),
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


def test_after_the_end_there_is_nothing_to_plan() -> None:
    env = made("skidpad/CartPole-v1")
    env.reset(seed=0)
    while not env.step(0)[2]:
        pass
    with pytest.raises(ValueError, match="^the episode is over: reset the environment first$"):
        Planner("skidpad/CartPole-v1").plan(env.state_dict())
    won = made("skidpad/TicTacToe-v0", side="first")
    won.reset(seed=0)
    state = won.state_dict()
    state["state"][0] = won.game.read("xxx/oo1/3 o")
    with pytest.raises(ValueError, match="^the episode is over"):
        Planner("skidpad/TicTacToe-v0").plan(state)


def test_a_batch_that_resets_by_itself_is_at_a_start() -> None:
    """It still tells of the episode before that it was over."""
    batch = CartPole(num_envs=1)
    batch.reset(seed=0)
    while not batch.step(np.zeros(1, np.int64))[2][0]:
        pass
    state = batch.state_dict()
    assert state["done"].all()
    planner = Planner("skidpad/CartPole-v1", simulations=8, lanes=4)
    planner.plan(state)
    assert [child.reward for child in planner.root.children.values()] == [1.0, 1.0]
    assert state["done"].all(), "what was given stays as it is"


def state_of(env: str, **keywords: Any) -> dict[str, np.ndarray]:
    """At the start."""
    single = made(env, **keywords)
    single.reset(seed=0)
    return single.state_dict()


def last_of(size: int) -> dict[str, np.ndarray]:
    """The last state of a maze."""
    maze = made("skidpad/Maze-v0", size=(size, size))
    maze.reset(seed=0)
    return {**maze.state_dict(), "state": np.array([maze.mdp.n_states - 1])}


def test_states_of_other_environments() -> None:
    def refused(env: str, state: dict[str, np.ndarray], **keywords: Any) -> str:
        planner = Planner(env, keywords, simulations=8, lanes=4)
        with pytest.raises(ValueError) as caught:
            planner.plan(state)
        assert planner.plan(state_of(env, **keywords)).sum() == 8, "it goes on after a refusal"
        assert "\n" not in str(caught.value)
        return str(caught.value)

    pole, maze = "skidpad/CartPole-v1", "skidpad/Maze-v0"
    assert refused(pole, state_of(maze)).startswith("no state of skidpad/CartPole-v1: it has the fields ['done', ")
    assert refused(maze, state_of(pole)).startswith("no state of skidpad/Maze-v0: it has the fields ['done', ")
    assert refused(pole, {}).startswith("no state of skidpad/CartPole-v1: it has the fields []")
    assert refused(maze, last_of(9), size=(5, 5)) == "no state of skidpad/Maze-v0: state 48, of 0 to 16"
    assert refused(maze, {**last_of(5), "state": np.array([-1])}, size=(5, 5)).endswith("state -1, of 0 to 16")
    wide = {**state_of(pole), "x": np.zeros((1, 2))}
    assert refused(pole, wide) == "no state of skidpad/CartPole-v1: field x is float64 (1, 2), not float64 (1,)"
    single = {**state_of(pole), "x": np.zeros(1, np.float32)}
    assert refused(pole, single) == "no state of skidpad/CartPole-v1: field x is float32 (1,), not float64 (1,)"
    two = {name: np.repeat(array, 2, axis=0) for name, array in state_of(pole).items()}
    assert refused(pole, two).endswith("field rng is uint64 (2, 6), not uint64 (1, 6)")
    go = state_of("skidpad/Go-v0", size=5)
    assert refused("skidpad/Go-v0", go, size=4).startswith("no state of skidpad/Go-v0: field state is int64 (1, 136)")
    board = state_of("skidpad/Othello-v0", size=6)
    assert refused("skidpad/Othello-v0", board) == "position int64 (4,) of another game: this is othello, size 8"


def test_games_of_atari_are_told_apart() -> None:
    pytest.importorskip("ale_py", reason="needs the atari extra")
    planner = Planner("skidpad/Atari-Breakout-v0", simulations=2, lanes=2, horizon=0)
    with pytest.raises(ValueError, match="Breakout did not come out as it was saved"):
        planner.plan(state_of("skidpad/Atari-Pong-v0"))
    planner.simulations = 1
    assert planner.plan(state_of("skidpad/Atari-Breakout-v0")).sum() == 1, "it goes on after a refusal"

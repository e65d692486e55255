"""The scripted driver: its line and speeds on roads with known answers, and its laps on both environments."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

import envs  # noqa: F401  (registers the ids)
from agents.imitation.driving import CURVATURE, SPEED, TOP_SPEED, ahead, nearest, racing_line, speed_profile
from agents.imitation.experts import Expert
from envs.car_racing.env import CarRacing
from supervised.training.errors import UserError

BOOK_ACTIONS = np.array(
    [[0, 0, 0], [-1, 0, 0], [-1, 0, 0.3], [1, 0, 0], [1, 0, 0.3], [0, 1, 0], [0, 0, 0.3]], np.float32
)


def straight(length: int, step: float = 3.5) -> NDArray[Any]:
    """Points (beta, x, y) of a road that heads up."""
    return np.column_stack([np.zeros(length), np.zeros(length), step * np.arange(length)])


def hairpin(radius: float) -> NDArray[Any]:
    """A straight, a half turn to the left, and a straight back."""
    angles = np.linspace(0, math.pi, round(math.pi * radius / 3.5) + 1)
    bend = np.column_stack([angles, radius * (np.cos(angles) - 1), radius * np.sin(angles)])
    back = straight(20) * [0, 0, -1] + [math.pi, -2 * radius, -3.5]
    return np.concatenate([straight(20) - [0, 0, 70], bend, back])


def planned(points: NDArray[Any], reach: float, lateral: float = 150.0, braking: float = 100.0) -> NDArray[Any]:
    plan = np.zeros((len(points), 4))
    racing_line(points, reach, plan)
    speed_profile(lateral, braking, TOP_SPEED, plan)
    return plan


@pytest.mark.parametrize("radius", [12.0, 25.0, 50.0])
def test_speed_on_a_circle_is_the_root_of_lateral_times_radius(radius: float) -> None:
    angles = 3.5 / radius * np.arange(40)
    plan = np.zeros((40, 4))
    plan[:, :2] = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    speed_profile(150.0, 100.0, TOP_SPEED, plan)
    np.testing.assert_allclose(plan[1:-1, CURVATURE], 1 / radius)  # counter-clockwise: left
    np.testing.assert_allclose(plan[1:-1, SPEED], math.sqrt(150 * radius))
    plan[:, 0] *= -1
    speed_profile(150.0, 100.0, TOP_SPEED, plan)
    np.testing.assert_allclose(plan[1:-1, CURVATURE], -1 / radius)


def test_a_straight_allows_the_top_speed_and_its_end_is_braked_for() -> None:
    np.testing.assert_array_equal(planned(straight(30), 5.0)[:, SPEED], TOP_SPEED)
    plan = planned(hairpin(12.0), 0.0)
    np.testing.assert_allclose(plan[:, :2], hairpin(12.0)[:, 1:])
    squares = plan[:, SPEED] ** 2
    drops = (squares[:-1] - squares[1:]) / (2 * np.hypot(*np.diff(plan[:, :2], axis=0).T))
    assert drops.max() < 100 * (1 + 1e-9)
    np.testing.assert_allclose(drops[10:15], 100)  # v^2 = v'^2 + 2 a s on the way to the bend
    assert plan[-1, SPEED] == TOP_SPEED


def test_racing_line_cuts_bends_within_reach() -> None:
    points = hairpin(12.0)
    plan, middle = planned(points, 4.0), planned(points, 0.0)
    across = np.column_stack([np.cos(points[:, 0]), np.sin(points[:, 0])])
    offsets = ((plan[:, :2] - points[:, 1:]) * across).sum(axis=1)
    assert abs(offsets).max() <= 4 + 1e-9
    np.testing.assert_allclose(plan[:, :2], points[:, 1:] + offsets[:, None] * across)
    apex = len(points) // 2
    assert offsets[apex] < -3.5 and offsets[apex - 14] > 1  # in from the outside, through the inside
    steps, middle_steps = (np.hypot(*np.diff(line[:, :2], axis=0).T) for line in (plan, middle))
    bends = (steps * plan[1:, CURVATURE] ** 2).sum(), (middle_steps * middle[1:, CURVATURE] ** 2).sum()
    times = (steps / plan[1:, SPEED]).sum(), (middle_steps / middle[1:, SPEED]).sum()
    assert bends[0] < 0.85 * bends[1] and times[0] < 0.97 * times[1]
    assert offsets[0] == 0
    np.testing.assert_allclose(planned(straight(30), 4.0)[:, :2], straight(30)[:, 1:])


def test_places_on_the_line() -> None:
    plan = planned(straight(20), 4.0)
    assert nearest(plan, 1.0, 35.1, 5, 10) == 10
    assert nearest(plan, 0.0, 0.0, -3, 8) == 0  # around the end
    segment, part = ahead(plan, 3, 2.0, 3.5 * 3.25, 3.5 * 2)
    assert (segment, round(part, 9)) == (5, 0.25)
    segment, part = ahead(plan, 19, 0.0, 3.5 * 19, 7.0)  # straight on, past the end
    assert (segment, round(part, 9)) == (18, 3.0)


def original() -> Any:
    """Gymnasium's own environment, without the drawing that takes most of its time."""
    pytest.importorskip("Box2D")
    from gymnasium.envs.box2d.car_racing import CarRacing

    env = CarRacing(render_mode="state_pixels")
    env._render = lambda mode: np.zeros((96, 96, 3), np.uint8)  # type: ignore[method-assign]
    return env


@pytest.mark.parametrize("actions", ["continuous", "book"])
@pytest.mark.parametrize("seed", [0, 7])
def test_laps_of_the_original(actions: str, seed: int) -> None:
    env = original()
    expert = Expert(env, actions)
    env.reset(seed=seed)
    returns, terminated = 0.0, False
    for _ in range(1000):
        action = expert.act()[0]
        _, reward, terminated, _, info = env.step(BOOK_ACTIONS[action] if actions == "book" else action)
        returns += reward
        if terminated:
            break
    assert terminated and info["lap_finished"]
    assert returns >= 900


@pytest.mark.parametrize("actions", ["continuous", "book"])
def test_the_calm_style_is_slower_and_still_good(actions: str) -> None:
    results = {}
    for style in ("fast", "calm"):
        env = CarRacing(8, actions=actions, observation="none", autoreset_mode="Disabled")
        env.reset(seed=0)
        expert, top, returns, going = Expert(env, actions, style), 0.0, np.zeros(8), np.ones(8, np.bool_)
        while going.any():
            _, rewards, terminated, truncated, _ = env.step(expert.act())
            returns += rewards * going
            top = max(top, float(np.hypot(*env.fields["velocity"][going, 0].T).max()))
            going &= ~(terminated | truncated)
        results[style] = returns.mean(), top
    assert results["calm"][0] >= 850 and results["calm"][1] < 85 < results["fast"][1]


def test_another_episode_is_planned_anew() -> None:
    env = original()
    expert = Expert(env)
    env.reset(seed=0)
    for _ in range(60):
        env.step(expert.act()[0])
    before = expert.act()
    env.reset(seed=1)
    np.testing.assert_array_equal(expert.act(), Expert(env).act())
    env.reset(seed=0)
    for _ in range(60):
        env.step(expert.act()[0])
    np.testing.assert_array_equal(expert.act(), before)


@pytest.mark.parametrize("actions", ["continuous", "book"])
def test_laps_of_a_batch(actions: str) -> None:
    env = gym.make_vec(
        "skidpad/CarRacing-v0",
        num_envs=8,
        vectorization_mode="vector_entry_point",
        actions=actions,
        observation="none",
        autoreset_mode="Disabled",
    )
    expert = Expert(env, actions)
    env.reset(seed=20)
    returns, finished = np.zeros(8), np.zeros(8, np.bool_)
    for _ in range(1000):
        _, rewards, terminated, _, infos = env.step(expert.act())
        returns += rewards
        finished |= terminated
        if finished.all():
            break
    assert finished.all() and infos["lap_finished"].all()
    assert returns.min() >= 890 and returns.mean() >= 910


def test_a_lane_is_driven_as_if_alone() -> None:
    settings: dict[str, Any] = {"actions": "book", "observation": "none"}
    batch = gym.make_vec("skidpad/CarRacing-v0", num_envs=3, vectorization_mode="vector_entry_point", **settings)
    single = gym.make("skidpad/CarRacing-v0", **settings)
    together, alone = Expert(batch, "book"), Expert(single, "book")
    batch.reset(seed=4)
    single.reset(seed=6)
    for _ in range(100):
        actions = together.act()
        assert actions[2] == alone.act()[0]
        batch.step(actions)
        single.step(actions[2])


def test_what_the_expert_cannot_drive_is_refused() -> None:
    cart_pole = gym.make_vec("skidpad/CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point")
    with pytest.raises(UserError, match="CarRacing only"):
        Expert(cart_pole)
    with pytest.raises(UserError, match="actions='discrete'"):
        Expert(original(), "discrete")

"""The textbooks' finite environments: exact values, and models counted in other ways."""

from fractions import Fraction
from functools import cache
from itertools import product
from math import exp, factorial
from typing import Any

import numpy as np
import pytest
from exact_solutions import optimal, policy_values
from gymnasium.vector import AutoresetMode
from scipy.stats import chisquare, kstest, poisson

import envs.toy.jacks_car_rental as jack
from envs.batched import Array
from envs.mdp import MDP
from envs.toy import blackjack
from envs.toy.blackjack import HIT, OVER, STICK, Blackjack, BlackjackEnv, decode, encode
from envs.toy.four_state import FourState, FourStateEnv
from envs.toy.gamblers_problem import GamblersProblem, GamblersProblemEnv
from envs.toy.jacks_car_rental import JacksCarRental, JacksCarRentalEnv
from envs.toy.maximization_bias import MaximizationBias, MaximizationBiasEnv
from envs.toy.random_walk import RandomWalk, RandomWalkEnv


def row(mdp: MDP, state: int, action: int) -> slice:
    first = state * mdp.n_actions + action
    return slice(mdp.offsets[first], mdp.offsets[first + 1])


# Random walk.


@pytest.mark.parametrize(
    "kwargs, values",
    [({}, np.arange(1, 6) / 6), ({"states": 19, "left_reward": -1.0}, np.arange(1, 20) / 10 - 1)],
    ids=["example 6.2", "example 7.1"],
)
def test_random_walk_values_are_linear(kwargs: dict[str, Any], values: Array) -> None:
    mdp = RandomWalk(**kwargs).mdp
    np.testing.assert_allclose(policy_values(mdp, mdp.uniform_policy(), 1.0), [0, *values, 0], atol=1e-9)
    assert mdp.start.argmax() == (len(values) + 1) // 2 and mdp.start.max() == 1
    assert np.flatnonzero(mdp.terminal).tolist() == [0, len(values) + 1]


def test_random_walk_of_one_state() -> None:
    mdp = RandomWalk(states=1, left_reward=-2).mdp
    assert mdp.next_states.tolist() == [0, 2] and mdp.rewards[1].tolist() == [-2, 1]


# Maximization bias.


def test_maximization_bias_model() -> None:
    mdp = MaximizationBias(actions=4, mean=-0.5, deviation=2).mdp
    assert mdp.next_states.tolist() == [1, 2, 2, 2] + [2] * 4
    assert mdp.noise.tolist() == [0] * 4 + [2] * 4
    assert mdp.allowed.tolist() == [[True, True, False, False], [True] * 4, [True] * 4]
    np.testing.assert_allclose(optimal(mdp, 1.0)[1][:2, :2], [[-0.5, 0], [-0.5, -0.5]], atol=1e-12)


def test_maximization_bias_rewards_are_normal() -> None:
    env = MaximizationBias(4000, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    _, rewards, terminated, _, infos = env.step(np.zeros(4000, np.int64))
    assert not rewards.any() and not terminated.any() and infos["action_mask"].all()
    _, rewards, terminated, _, _ = env.step(np.arange(4000) % 10)
    assert terminated.all()
    assert kstest(rewards, "norm", args=(-0.1, 1)).pvalue > 1e-3


# Gambler's problem.


def test_gamblers_known_values() -> None:
    values, q_values = optimal(GamblersProblem().mdp, 1.0)
    # boldness is optimal for an unfair coin: 25 -> 50 -> 100, and from 75 the first win ends it
    np.testing.assert_allclose(values[[25, 50, 75]], [0.16, 0.4, 0.64], atol=1e-12)
    assert np.flatnonzero(np.isclose(q_values[50], 0.4)).tolist() == [49]  # all of it
    assert np.isclose(q_values[51], values[51])[[0, 48]].all()  # 1 or 49: the book's spikes and their ties
    best = GamblersProblem(heads_probability=1).mdp
    assert policy_values(best, best.uniform_policy(), 1.0)[1:100] == pytest.approx(1)


def test_gamblers_fair_coin_gives_the_capital() -> None:
    mdp = GamblersProblem(heads_probability=0.5, goal=20).mdp
    values = policy_values(mdp, mdp.uniform_policy(), 1.0)
    np.testing.assert_allclose(values[1:20], np.arange(1, 20) / 20, atol=1e-9)


def test_gamblers_stakes() -> None:
    mdp = GamblersProblem().mdp
    for capital, stakes in ((1, 1), (30, 30), (50, 50), (70, 30), (99, 1)):
        assert mdp.allowed[capital].sum() == stakes and mdp.allowed[capital, :stakes].all()
        for action in (0, stakes - 1, 49):
            stake = min(action + 1, stakes)
            assert mdp.next_states[row(mdp, capital, action)].tolist() == [capital - stake, capital + stake]
            assert mdp.probabilities[row(mdp, capital, action)].tolist() == [0.6, 0.4]
            won = float(capital + stake == 100)
            assert mdp.outcome_rewards[row(mdp, capital, action)].tolist() == [0, won]
    assert np.flatnonzero(mdp.terminal).tolist() == [0, 100]
    np.testing.assert_allclose(mdp.start[1:100], 1 / 99)


# Blackjack.

CHANCES = {card: Fraction(4 if card == 10 else 1, 13) for card in range(1, 11)}


def hand(cards: tuple[int, ...]) -> tuple[int, bool]:
    """Sum and usable ace of a whole hand."""
    total, ace = sum(cards), 1 in cards and sum(cards) + 10 <= 21
    return total + 10 * ace, ace


@cache
def dealer(cards: tuple[int, ...]) -> dict[int, Fraction]:
    """The dealer's final sums from these cards on; 22 stands for a bust."""
    total, _ = hand(cards)
    if total >= 17:
        return {min(total, 22): Fraction(1)}
    ends: dict[int, Fraction] = {}
    for card, chance in CHANCES.items():
        for end, probability in dealer(tuple(sorted((*cards, card)))).items():
            ends[end] = ends.get(end, Fraction(0)) + chance * probability
    return ends


def test_dealers_results() -> None:
    expected = [[float(dealer((card,)).get(end, 0)) for end in range(17, 23)] for card in CHANCES]
    np.testing.assert_allclose(blackjack.dealer_results(), expected, atol=1e-14)


def test_dealers_bust_probabilities_as_players_know_them() -> None:
    # cards 2 to 10 of an infinite deck, a dealer who sticks on a soft 17
    known = [0.3536, 0.3739, 0.3945, 0.4164, 0.4232, 0.2623, 0.2447, 0.2284, 0.2121]
    np.testing.assert_allclose(blackjack.dealer_results()[1:, 5], known, atol=6e-5)


def test_blackjack_start() -> None:
    expected = np.zeros(361)
    for first, second, shown in product(CHANCES, repeat=3):
        total, ace = hand((first, second))
        expected[encode(total, shown, ace)] += float(CHANCES[first] * CHANCES[second] * CHANCES[shown])
    np.testing.assert_allclose(Blackjack().mdp.start, expected, atol=1e-15)


@pytest.mark.parametrize("cards", [(2, 2), (10, 5), (1, 6), (1, 1), (10, 1), (10, 10), (5, 5), (9, 2), (1, 3, 7)])
@pytest.mark.parametrize("shown", [1, 10])
def test_blackjack_outcomes(cards: tuple[int, ...], shown: int) -> None:
    mdp, (total, ace) = Blackjack().mdp, hand(cards)
    state = int(encode(total, shown, ace))
    expected: dict[tuple[int, float], Fraction] = {}
    for card, chance in CHANCES.items():
        drawn, usable = hand((*cards, card))
        key = (OVER, -1.0) if drawn > 21 else (int(encode(drawn, shown, usable)), 0.0)
        expected[key] = expected.get(key, Fraction(0)) + chance
    found = dict.fromkeys(expected, 0.0)
    hits = row(mdp, state, HIT)
    for place in range(hits.start, hits.stop):
        found[int(mdp.next_states[place]), float(mdp.outcome_rewards[place])] += float(mdp.probabilities[place])
    assert found == pytest.approx({key: float(chance) for key, chance in expected.items()})

    ends = dealer((shown,))
    wins = sum(chance for end, chance in ends.items() if end == 22 or end < total)
    losses = sum(chance for end, chance in ends.items() if total < end < 22)
    stick = row(mdp, state, STICK)
    assert (mdp.next_states[stick] == OVER).all() and mdp.outcome_rewards[stick].tolist() == [-1, 0, 1]
    expected_ends = [float(chance) for chance in (losses, 1 - wins - losses, wins)]
    np.testing.assert_allclose(mdp.probabilities[stick], expected_ends, atol=1e-14)


def test_blackjack_optimal_policy_is_the_books() -> None:
    values, q_values = optimal(Blackjack().mdp, 1.0)
    sticks = (q_values[:OVER, STICK] > q_values[:OVER, HIT]).reshape(18, 10, 2)
    least = 4 + sticks.argmax(axis=0)  # the smallest sum to stick with, for each card shown
    # Sutton & Barto, figure 5.2; with an ace: 18, but 19 against 9 and 10
    assert least[:, 0].tolist() == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert least[1:, 1].tolist() == [18] * 7 + [19] * 2
    assert -0.06 < Blackjack().mdp.start @ values < -0.03


def test_blackjack_codes() -> None:
    states = np.arange(OVER)
    assert (encode(*decode(states)) == states).all()
    assert (encode(4, 1, 0), encode(21, 10, True)) == (0, 359)
    assert BlackjackEnv().decode(encode(15, 7, 1)) == (15, 7, 1)


@pytest.mark.parametrize("numbers", [(3, 1, 0), (22, 1, 0), (12, 0, 0), (12, 11, 0), (12, 1, 2)])
def test_blackjack_codes_out_of_range(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="give a sum from 4 to 21"):
        encode(*numbers)


def test_blackjack_sampled_results() -> None:
    env = Blackjack(20_000, autoreset_mode=AutoresetMode.DISABLED)
    state = int(encode(18, 6, 0))
    env.reset(seed=2, options={"state": state})
    _, rewards, terminated, _, _ = env.step(np.full(20_000, STICK))
    assert terminated.all()
    expected = env.mdp.probabilities[row(env.mdp, state, STICK)] * 20_000
    assert chisquare([(rewards == reward).sum() for reward in (-1, 0, 1)], expected).pvalue > 1e-4


# Jack's car rental.


def test_poisson_tables() -> None:
    equal, at_least = jack.poisson(3.0, 20)
    np.testing.assert_allclose(equal, poisson.pmf(np.arange(21), 3), rtol=1e-12)
    np.testing.assert_allclose(at_least, poisson.sf(np.arange(21) - 1, 3), atol=1e-14)


@pytest.mark.parametrize("first, second, moved", [(0, 0, 0), (3, 1, 2), (1, 4, -3), (5, 5, 5), (4, 5, -2)])
def test_jacks_day_counted_in_full(first: int, second: int, moved: int) -> None:
    most = 5
    mdp = JacksCarRental(max_cars=most, max_moves=5, requests=(1.0, 1.5), returns=(1.0, 0.5)).mdp
    assert mdp.allowed[first * 6 + second, moved + 5]
    cars = min(first - moved, most), min(second + moved, most)
    chances = np.zeros((6, 6))
    expected_reward = 0.0
    p = [[exp(-rate) * rate**n / factorial(n) for n in range(13)] for rate in (1.0, 1.5, 1.0, 0.5)]
    for asked_1, asked_2, back_1, back_2 in product(range(13), repeat=4):
        chance = p[0][asked_1] * p[1][asked_2] * p[2][back_1] * p[3][back_2]
        out_1, out_2 = min(asked_1, cars[0]), min(asked_2, cars[1])
        chances[min(cars[0] - out_1 + back_1, most), min(cars[1] - out_2 + back_2, most)] += chance
        expected_reward += chance * (10 * (out_1 + out_2) - 2 * abs(moved))
    found = np.zeros(36)
    outcomes = row(mdp, first * 6 + second, moved + 5)
    found[mdp.next_states[outcomes]] = mdp.probabilities[outcomes]
    np.testing.assert_allclose(found, chances.ravel(), atol=1e-7)
    assert mdp.rewards[first * 6 + second, moved + 5] == pytest.approx(expected_reward, abs=1e-5)


def test_jacks_optimal_policy_is_the_books() -> None:
    mdp = JacksCarRental().mdp
    values, q_values = optimal(mdp, 0.9)
    moves = q_values.argmax(axis=1).reshape(21, 21) - 5
    # Sutton & Barto, figure 4.2, pi_4: the corners, and the first row that moves nothing
    assert (moves[20, 0], moves[0, 20], moves[20, 20], moves[0, 0]) == (5, -4, 0, 0)
    assert moves[:, 0].tolist() == [0] * 5 + [1, 2, 3, 3, 4, 4] + [5] * 10
    assert np.unique(moves).tolist() == list(range(-4, 6))
    assert values.min() == pytest.approx(421.4, abs=0.1) and values.max() == pytest.approx(637.0, abs=0.1)


def test_jack_moves_what_there_is() -> None:
    mdp = JacksCarRental(max_cars=6, max_moves=3).mdp
    state = 2 * 7 + 1
    assert mdp.allowed[state].tolist() == [False, False, True, True, True, True, False]
    for asked, done in ((0, 2), (1, 2), (6, 5)):
        ours, theirs = row(mdp, state, asked), row(mdp, state, done)
        np.testing.assert_array_equal(mdp.probabilities[ours], mdp.probabilities[theirs])
        np.testing.assert_array_equal(mdp.outcome_rewards[ours], mdp.outcome_rewards[theirs])
    assert mdp.start.argmax() == 3 * 7 + 3


# The four-state model.


def test_four_state_values() -> None:
    mdp = FourState().mdp
    np.testing.assert_allclose(optimal(mdp, 1.0)[0], [6, 6, 5, 0], atol=1e-9)
    values, q_values = optimal(mdp, 0.5)
    np.testing.assert_allclose(values, [10 / 9, 16 / 9, 10 / 3, 0], atol=1e-9)
    assert q_values.argmax(axis=1)[:3].tolist() == [1, 2, 3]  # straight on by a_y


def test_four_state_actions_it_has_not_change_nothing() -> None:
    env = FourStateEnv()
    _, info = env.reset(seed=0)
    assert info["action_mask"].tolist() == [1, 1, 0, 0]
    assert env.step(3)[:4] == (0, 0.0, False, False)


# All of them.


@pytest.mark.parametrize(
    "env, state, text",
    [
        (RandomWalkEnv(render_mode="ansi"), 2, "| . @ . . . |"),
        (MaximizationBiasEnv(render_mode="ansi"), 1, "B"),
        (GamblersProblemEnv(render_mode="ansi"), 37, "37 of 100 dollars"),
        (BlackjackEnv(render_mode="ansi"), int(encode(15, 7, 1)), "player 15 with a usable ace, dealer shows 7"),
        (BlackjackEnv(render_mode="ansi"), int(encode(15, 7, 0)), "player 15, dealer shows 7"),
        (
            JacksCarRentalEnv(max_cars=4, max_moves=1, render_mode="ansi"),
            7,
            "evening: 1 cars at the first place, 2 at the second",
        ),
        (FourStateEnv(render_mode="ansi"), 2, "s_c"),
    ],
)
def test_text(env: Any, state: int, text: str) -> None:
    env.reset(options={"state": state})
    assert env.render() == text


def test_a_picture_of_the_text() -> None:
    env = BlackjackEnv(render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (64, 640, 3) and picture.min() < 100 and picture[:, :20].min() == 255


@pytest.mark.parametrize(
    "make, kwargs, message",
    [
        (RandomWalk, {"states": 0}, "states=0"),
        (MaximizationBias, {"actions": 1}, "actions=1"),
        (MaximizationBias, {"deviation": -1}, "deviation=-1"),
        (GamblersProblem, {"heads_probability": 1.1}, "heads_probability=1.1"),
        (GamblersProblem, {"goal": 1}, "goal=1"),
        (GamblersProblem, {"goal": 10**6}, "goal=1000000"),
        (JacksCarRental, {"max_cars": 0}, "max_cars=0"),
        (JacksCarRental, {"max_cars": 3}, "max_moves=5"),
        (JacksCarRental, {"max_cars": 200}, "max_cars=200: .* fewer cars"),
        (JacksCarRental, {"returns": (-1, 2)}, r"returns=\(-1, 2\)"),
    ],
)
def test_bad_numbers_are_refused_in_one_line(make: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(**kwargs)
    assert "\n" not in str(caught.value)

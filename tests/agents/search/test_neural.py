"""Search guided by a network, against numbers worked out by hand or by plain Python."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from agents.search import neural
from agents.search.matches import random_position
from agents.search.self_play import Plan, Search, Searching
from agents.search.solver import Exhaustive
from agents.search.tree import Tree, expand, grown
from envs.board import game
from envs.board.game import WIN, Game, Rules

TIC_TAC_TOE = game("tic_tac_toe")


def evenly(value: float = 0.0) -> Any:
    """A network that likes all actions alike, and finds every position worth ``value`` to the mover."""
    return lambda planes: (np.zeros((len(planes), 9), np.float32), np.full(len(planes), value, np.float32))


def by_stones(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A network that depends on the position, and on nothing else in the batch."""
    own, other = planes[:, 0].reshape(len(planes), -1), planes[:, 1].reshape(len(planes), -1)
    weights = np.sin(np.arange(own.shape[1] * 9).reshape(own.shape[1], 9))
    return (own @ weights - other @ weights[::-1]).astype(np.float32), np.tanh((own - other) @ weights[:, 0]).astype(
        np.float32
    )


def plan(rules: Game, positions: list[str], evaluate: Any, simulations: int = 64, **how: Any) -> Plan:
    search = Search(rules, len(positions), Searching(simulations, **how))
    return search.plan(np.array([rules.read(one) for one in positions]), evaluate)


def family(visits: list[int], totals: list[float], priors: list[float], value: float = 0.3) -> Tree:
    """A root with so many children, whose totals are for its mover."""
    tree = grown(None, 0)
    assert expand(tree, 0, np.ones(len(visits), np.bool_))
    tree.visits[1 : 1 + len(visits)], tree.total[1 : 1 + len(visits)] = visits, totals
    tree.prior[1 : 1 + len(visits)] = priors
    tree.value[0], tree.visits[0], tree.total[0] = value, 1 + sum(visits), -(value + sum(totals))
    return tree


# Selection.


def test_puct_by_hand() -> None:
    tree = family([3, 1, 0], [1.5, -0.5, 0.0], [0.5, 0.3, 0.2])
    root = (0.3 + 1.5 - 0.5) / 5  # what an action is worth that nobody has tried
    scores = [
        1.5 / 3 + 2 * 0.5 * math.sqrt(5) / 4,
        -0.5 / 1 + 2 * 0.3 * math.sqrt(5) / 2,
        root + 2 * 0.2 * math.sqrt(5) / 1,
    ]
    assert neural.by_puct(tree, 0, 2.0) == 1 + int(np.argmax(scores)) == 3
    assert neural.by_puct(tree, 0, 0.01) == 1  # without exploration the best mean


def test_puct_passes_over_what_is_lost() -> None:
    tree = family([5, 1], [4.0, -0.9], [0.9, 0.1])
    tree.proven[1] = WIN  # of the other
    assert neural.by_puct(tree, 0, 1.0) == 2


def improved(tree: Tree, scale: float) -> np.ndarray:
    """Danihelka et al. 2022, equations 10 to 12 and appendix D, in plain Python."""
    children = range(1, 1 + tree.children[0])
    seen = [child for child in children if tree.visits[child]]
    values = {child: tree.total[child] / tree.visits[child] for child in seen}
    weight = sum(float(tree.prior[child]) for child in seen)
    count = sum(int(tree.visits[child]) for child in seen)
    mixed = float(tree.value[0])
    if seen:
        mean = sum(float(tree.prior[child]) * values[child] for child in seen) / weight
        mixed = (mixed + count * mean) / (1 + count)
    most = max(int(tree.visits[child]) for child in children)
    return np.array(
        [math.log(tree.prior[child]) + (50 + most) * scale * (values.get(child, mixed) + 1) / 2 for child in children]
    )


def test_improved_logits_as_the_paper() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        visits = rng.integers(0, 4, 5).tolist()
        totals = [float(rng.uniform(-count, count)) for count in visits]
        tree = family(visits, totals, rng.dirichlet(np.ones(5)).tolist(), float(rng.uniform(-1, 1)))
        out = np.empty(5)
        neural.improved_logits(tree, 0, 0.3, out)
        np.testing.assert_allclose(out, improved(tree, 0.3), rtol=1e-5)


def test_the_improved_policy_is_no_worse() -> None:
    """What is expected of it, by the values completed as the paper does, is at least the prior's."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        priors = rng.dirichlet(np.ones(4))
        values = rng.uniform(-1, 1, 4)
        tree = family([1] * 4, values.tolist(), priors.tolist())
        policy = np.empty(4)
        neural.improved_logits(tree, 0, 0.1, policy)
        neural.softmax(policy)
        assert policy.sum() == pytest.approx(1)
        assert policy @ values >= priors @ values - 1e-6


def test_below_the_root_visits_follow_the_improved_policy() -> None:
    tree, scratch = family([0] * 3, [0.0] * 3, [0.6, 0.3, 0.1], 0.0), np.empty(3)
    chosen = []
    for _ in range(20):
        child = neural.by_improved_policy(tree, 0, 1e-9, scratch)
        tree.visits[child] += 1
        chosen.append(child - 1)
    np.testing.assert_allclose(np.bincount(chosen) / 20, [0.6, 0.3, 0.1], atol=0.05)


def test_sequential_halving_by_hand() -> None:
    """16 simulations of 4 actions: two rounds; in the first each has 2, in the second the better two have 4 more."""
    assert neural.halving(4, 16).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert neural.halving(1, 3).tolist() == [0, 1, 2]
    assert neural.halving(7, 3).tolist() == [0, 0, 0]  # fewer simulations than actions: one each


def test_the_root_looks_at_the_actions_that_noise_and_network_like() -> None:
    search = Search(TIC_TAC_TOE, 1, Searching(8, considered=4))
    gumbel = np.zeros((1, 9))
    gumbel[0, [2, 3, 5, 8]] = [4, 6, 5, 7]
    found = search.plan(TIC_TAC_TOE.start[None], evenly(), gumbel=gumbel)
    # 8 simulations of 4 actions: one each, then two more for the best two, as all values are equal
    assert found.visits[0].tolist() == [0, 0, 1, 3, 0, 1, 0, 0, 3]
    assert found.best.tolist() == [8]


# Leaves.


def test_policies_are_masked_and_sum_to_one() -> None:
    """The network's first choice is taken: it gets neither prior nor visits (D-37)."""

    def likes_the_centre(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, values = evenly()(planes)
        logits[:, 4] = 50.0
        return logits, values

    search = Search(TIC_TAC_TOE, 1, Searching(1))
    search.plan(TIC_TAC_TOE.read("3/1x1/3 o")[None], likes_the_centre)
    trees = search.trees
    children = slice(trees.first[0, 0], trees.first[0, 0] + trees.children[0, 0])
    assert sorted(trees.action[0, children].tolist()) == [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_allclose(trees.prior[0, children], 1 / 8, rtol=1e-6)


@pytest.mark.parametrize("considered", [0, 9])
def test_true_results_count_at_the_end(considered: int) -> None:
    """x wins at c3; the network thinks that whoever is to move has lost everywhere (D-37)."""
    found = plan(TIC_TAC_TOE, ["xx1/oo1/3 x", "oo1/xx1/x2 o"], evenly(-0.9), considered=considered)
    assert found.best.tolist() == [2, 2]
    assert found.values.tolist() == [1, 1]
    assert found.policies[:, 2].tolist() == [1, 1]


def test_values_change_their_sign_at_every_ply() -> None:
    """A network that is content with every position makes its mover's actions look bad: the other is content after."""
    found = plan(TIC_TAC_TOE, ["3/3/3 x"], evenly(0.5), simulations=9)
    assert found.values[0] == pytest.approx((0.5 - 9 * 0.5) / 10)


@pytest.mark.parametrize("considered", [0, 5])
def test_with_simulations_enough_no_move_errs(considered: int) -> None:
    solver = Exhaustive(TIC_TAC_TOE)
    solver.value(TIC_TAC_TOE.start)
    states = [np.frombuffer(position, np.int64).copy() for position in solver.table]
    late = [state for state in states if 4 <= state[0] and TIC_TAC_TOE.outcome(state) is None][::15]
    search = Search(TIC_TAC_TOE, len(late), Searching(400, considered=considered))
    found = search.plan(np.array(late), evenly())
    for state, best in zip(late, found.best, strict=True):
        values = solver.values(state)
        assert values[best] == values.max()


def test_a_tree_without_room_keeps_its_leaves() -> None:
    search = Search(TIC_TAC_TOE, 1, Searching(200))
    search.trees = neural.forest(1, 40)
    found = search.plan(TIC_TAC_TOE.start[None], evenly())
    assert search.trees.size[0, 0] <= 40
    assert found.visits.sum() == 200


def test_positions_that_are_over_are_left_alone() -> None:
    found = plan(TIC_TAC_TOE, ["xxx/oo1/3 o", "3/3/3 x"], evenly())
    assert found.policies[0].sum() == 0 and found.values[0] == -1
    assert found.policies[1].sum() == pytest.approx(1)


@pytest.mark.parametrize("considered", [0, 7])
def test_what_is_known_to_lose_is_not_played(considered: int) -> None:
    """Of undecided positions of Connect Four, after few simulations with a network that knows nothing."""
    rules, rng = game("connect_four"), np.random.default_rng(0)
    states = np.array([random_position(rules, 16, rng) for _ in range(300)])

    def ignorant(planes: np.ndarray) -> Any:
        noise = np.random.default_rng(int(planes.sum()))
        return noise.normal(size=(len(planes), 7)).astype(np.float32), noise.uniform(-1, 1, len(planes)).astype("f4")

    search = Search(rules, len(states), Searching(48, considered=considered))
    found = search.plan(states, ignorant)
    trees, met = search.trees, 0
    for lane in range(len(states)):
        children = range(trees.first[lane, 0], trees.first[lane, 0] + trees.children[lane, 0])
        lost = [int(trees.action[lane, child]) for child in children if trees.proven[lane, child] == WIN]
        if trees.proven[lane, 0] not in (WIN, 0, -1):
            met += bool(lost)
            assert found.best[lane] not in lost
            assert not found.policies[lane, lost].any()
    assert met > 20


# Noise.


def test_noise_is_mixed_into_legal_priors_alone() -> None:
    search = Search(TIC_TAC_TOE, 1, Searching(1))
    noise = np.arange(1.0, 10)[None]
    search.plan(TIC_TAC_TOE.read("3/1x1/3 o")[None], evenly(), dirichlet=noise, fraction=0.25)
    trees = search.trees
    children = slice(trees.first[0, 0], trees.first[0, 0] + trees.children[0, 0])
    shares = noise[0, trees.action[0, children]] / (45 - 5)
    np.testing.assert_allclose(trees.prior[0, children], 0.75 / 8 + 0.25 * shares, rtol=1e-6)


# One search, whatever is beside it.


@pytest.mark.parametrize("considered", [0, 4])
def test_trees_do_not_depend_on_each_other(considered: int) -> None:
    texts = ["3/3/3 x", "x2/3/3 o", "x2/1o1/3 x", "xo1/3/3 x"]
    together = plan(TIC_TAC_TOE, texts, by_stones, considered=considered)
    for lane, text in enumerate(texts):
        alone = plan(TIC_TAC_TOE, [text], by_stones, considered=considered)
        np.testing.assert_array_equal(alone.policies[0], together.policies[lane])
        np.testing.assert_array_equal(alone.visits[0], together.visits[lane])


@pytest.mark.parametrize("considered", [0, 4])
def test_plain_python_rules_give_the_same_search(considered: int) -> None:
    plain = Rules(*(function.py_func for function in TIC_TAC_TOE.rules))  # type: ignore[attr-defined]
    interpreted = dataclasses.replace(TIC_TAC_TOE, rules=plain)
    assert not interpreted.compiled
    for rules in (TIC_TAC_TOE, interpreted):
        found = plan(rules, ["x2/1o1/3 x", "3/3/3 x"], by_stones, considered=considered)
        if rules is TIC_TAC_TOE:
            expected = found
    np.testing.assert_array_equal(found.visits, expected.visits)
    np.testing.assert_array_equal(found.policies, expected.policies)


def test_golden_visits() -> None:
    found = plan(TIC_TAC_TOE, ["3/1x1/3 o"], by_stones, simulations=100)
    assert found.visits[0].tolist() == [7, 6, 1, 54, 0, 18, 4, 7, 3]


def test_lanes_whose_outcome_is_certain_stop() -> None:
    asked = []

    def counting(planes: np.ndarray) -> Any:
        asked.append(len(planes))
        return evenly()(planes)

    plan(TIC_TAC_TOE, ["xo1/oxx/1o1 x"], counting, simulations=10_000)  # c1 wins
    assert len(asked) < 10

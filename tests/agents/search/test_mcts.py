"""Tree search by UCT: known answers, hand-made trees, pinned trees, perfect play, and what holds in every tree."""

import functools
import math
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from agents.search.matches import Player, play_match
from agents.search.mcts import MCTS, Result, find, simulate
from agents.search.solver import Exhaustive
from agents.search.tree import Tree, back_up, copy_subtree, expand, grown, prove
from envs.board import game
from envs.board.game import DRAW, LOSS, ONGOING, WIN, Game, Rules, State
from envs.rng import STATE_WORDS, seed_rows
from supervised.training.errors import UserError

TIC_TAC_TOE, CONNECT_FOUR = game("tic_tac_toe"), game("connect_four")
GAMES = [TIC_TAC_TOE, CONNECT_FOUR, game("othello", size=6), game("go", size=5)]
#: tic-tac-toe by plain Python functions
IN_PYTHON = replace(TIC_TAC_TOE, rules=Rules._make(rule.py_func for rule in TIC_TAC_TOE.rules))  # type: ignore[union-attr]

#: visits of the root's legal actions after 100 simulations with seed 0, and how many nodes there are
GOLDEN: dict[str, tuple[list[int], int]] = {
    "tic_tac_toe": ([19, 6, 12, 13, 18, 12, 6, 11, 3], 243),
    "connect_four": ([14, 20, 11, 22, 11, 12, 10], 260),
    "othello": ([30, 20, 30, 20], 162),
    "go": ([2, 2, 5, 5, 3, 7, 3, 5, 3, 4, 2, 3, 5, 4, 2, 5, 5, 3, 3, 4, 5, 3, 3, 5, 5, 4], 678),
}

games = pytest.mark.parametrize("rules", GAMES, ids=lambda rules: rules.name)


@pytest.fixture(scope="module")
def perfect() -> Exhaustive:
    return Exhaustive(TIC_TAC_TOE)


class Growing:
    """A tree that grows by `simulate`; ``actions`` are those of the last simulation."""

    def __init__(self, rules: Game, state: State, seed: int = 0, capacity: int = 1 << 17) -> None:
        self.game, self.root, self.tree = rules, state, grown(None, capacity)
        self.rng = np.zeros((1, STATE_WORDS), np.uint64)
        seed_rows(self.rng, [seed])
        self.mask, self.actions = np.empty(rules.n_actions, np.bool_), np.empty(rules.longest + 1, np.int64)

    def grow(self, simulations: int, exploration: float = 2.0, rave: float = 0.0) -> int:
        rules = self.game.rules
        functions = rules.play, rules.legal, rules.outcome, rules.rollout
        settings = exploration, rave, simulations
        return simulate(*functions, self.tree, self.root, self.rng[0], *settings, self.mask, self.actions)


def after(rules: Game, *moves: str) -> State:
    return functools.reduce(lambda state, move: rules.after(state, rules.action(move)), moves, rules.start)


def children(tree: Tree, node: int) -> range:
    return range(tree.first[node], tree.first[node] + tree.children[node])


def visits_by_action(tree: Tree, node: int) -> dict[int, int]:
    return {int(tree.action[child]): int(tree.visits[child]) for child in children(tree, node)}


def positions(tree: Tree, rules: Game, root: State) -> Iterator[tuple[int, State]]:
    """Every node and its position."""
    states = {0: root}
    for node in range(tree.size[0]):
        if node > 0:
            states[node] = rules.after(states[int(tree.parent[node])], int(tree.action[node]))
        yield node, states[node]


def check_tree(tree: Tree, rules: Game, root: State, seen: int = 0) -> None:
    """What holds in every tree; ``seen`` is how often the root was visited as a leaf."""
    claimed = np.zeros(tree.size[0], np.int64)
    for node, state in positions(tree, rules, root):
        below = children(tree, node)
        claimed[list(below)] += 1
        assert (tree.parent[list(below)] == node).all()
        outcome, proven = rules.outcome(state), tree.proven[node]
        if len(below):
            legal = np.flatnonzero(rules.legal(state)).tolist()
            assert sorted(tree.action[list(below)].tolist()) == legal
        if tree.visits[node] == 0:
            assert proven == ONGOING and not len(below) and tree.total[node] == 0
            continue
        assert abs(tree.total[node]) <= tree.visits[node]
        own = tree.visits[node] - tree.visits[list(below)].sum()  # visits that ended here
        rest = tree.total[node] + tree.total[list(below)].sum()
        assert abs(rest) <= own
        if outcome is not None:
            assert proven == outcome and tree.total[node] == -outcome * tree.visits[node]
        elif proven == ONGOING:
            assert own == (1 if node else seen)
        else:
            outcomes = [-int(tree.proven[child]) for child in below if tree.proven[child] != ONGOING]
            assert proven == max(outcomes) and (proven == WIN or len(outcomes) == len(below))
    assert claimed[0] == 0 and (claimed[1:] == 1).all(), "every node but the root is the child of one"


# --- what it plays


@pytest.mark.parametrize("rave", [0.0, 300.0])
@pytest.mark.parametrize(
    ("rules", "text", "moves", "value"),
    [
        (TIC_TAC_TOE, "xx1/oo1/3 x", {"c3"}, WIN),
        (TIC_TAC_TOE, "xx1/oo1/1x1 o", {"c2"}, WIN),
        (TIC_TAC_TOE, "x1o/1x1/3 o", {"c1"}, None),  # a block
        (TIC_TAC_TOE, "x2/1o1/2x o", {"b3", "a2", "c2", "b1"}, DRAW),  # a corner would lose
        (TIC_TAC_TOE, "x2/1o1/1xo x", {"a2", "c3", "a1", "c2", "b3"}, None),
        (CONNECT_FOUR, "7/7/7/2x4/2x1o2/2xoo2 x", {"3"}, WIN),
        (CONNECT_FOUR, "7/7/7/7/2ooo2/2xxx2 x", {"2", "6"}, WIN),
        (CONNECT_FOUR, "7/7/7/7/2oo3/2xx3 x", {"2", "5"}, WIN),  # in three plies
        (CONNECT_FOUR, "7/7/7/2x4/2x1o2/2x1o2 o", {"3"}, None),  # a block
        (CONNECT_FOUR, "7/7/7/7/7/2xx2o o", {"2", "5"}, None),  # before there are three with both ends open
    ],
)
def test_forced_moves(rules: Game, text: str, moves: set[str], value: int | None, rave: float) -> None:
    state = rules.read(text)
    for seed in range(3):
        found = MCTS(rules, simulations=5000, rave=rave, seed=seed).search(state)
        assert rules.move(found.action) in moves
        if value is not None:
            assert found.outcome == found.value == value


def test_what_is_proven_is_so(perfect: Exhaustive) -> None:
    """In positions of tic-tac-toe that are not over, after three plies or more."""
    perfect.value(TIC_TAC_TOE.start)
    player = MCTS(TIC_TAC_TOE, simulations=5000)
    for position in list(perfect.table)[::5]:
        state = np.frombuffer(position, np.int64).copy()
        if TIC_TAC_TOE.outcome(state) is not None or state[0] < 3:
            continue
        player.forget()
        found, values = player.search(state), perfect.values(state)
        assert found.outcome == found.value == values.max()
        assert values[found.action] == values.max()
        assert found.simulations < 5000, "a decided search is over"
        known = found.outcomes != ONGOING
        assert (found.outcomes[known] == values[known]).all()
        assert (found.values[known] == values[known]).all()


def player_of(searcher: MCTS) -> Player:
    def actions(states: np.ndarray) -> np.ndarray:
        return np.array([searcher.search(state).action for state in states])

    return actions


def test_it_holds_tic_tac_toe(perfect: Exhaustive) -> None:
    rng = np.random.default_rng(0)

    def without_error(states: np.ndarray) -> np.ndarray:
        return np.array([perfect(state, TIC_TAC_TOE.legal(state), rng) for state in states])

    player = player_of(MCTS(TIC_TAC_TOE, simulations=2000))
    assert play_match(TIC_TAC_TOE, player, without_error, 20, 0, rng).draws == 20


@pytest.mark.parametrize(("rules", "score"), [(TIC_TAC_TOE, 0.8), (CONNECT_FOUR, 0.95)], ids=["3x3", "4"])
def test_it_beats_random_moves(rules: Game, score: float) -> None:
    rng = np.random.default_rng(0)

    def at_random(states: np.ndarray) -> np.ndarray:
        return np.array([rng.choice(np.flatnonzero(rules.legal(state))) for state in states])

    found = play_match(rules, player_of(MCTS(rules, simulations=500)), at_random, 40, 0, rng)
    assert found.score >= score and (rules is CONNECT_FOUR or found.losses == 0)


@pytest.mark.parametrize(("rules", "score"), [(TIC_TAC_TOE, 0.55), (CONNECT_FOUR, 0.8)], ids=["3x3", "4"])
def test_more_simulations_play_better(rules: Game, score: float) -> None:
    many, few = (player_of(MCTS(rules, simulations=simulations, seed=1)) for simulations in (2000, 20))
    assert play_match(rules, many, few, 40, 1, np.random.default_rng(0)).score >= score


def result(visits: list[int], values: list[float], outcomes: list[int], outcome: int | None = None) -> Result:
    return Result(np.array(visits), np.array(values), np.array(outcomes, np.int8), 0.0, outcome, sum(visits))


@pytest.mark.parametrize(
    ("found", "action"),
    [
        (result([5, 9, 0, 7], [0.9, 0.1, np.nan, 0.2], [2, 2, 2, 2]), 1),  # the most visited
        (result([5, 5, 5], [0.1, 0.3, 0.2], [2, 2, 2]), 1),  # of equal ones the best
        (result([50, 3, 9], [1.0, 1.0, 0.9], [2, WIN, 2], WIN), 1),  # a win that is certain before one that seems so
        (result([50, 3, 1], [LOSS, -0.9, np.nan], [LOSS, 2, 2]), 1),  # no certain loss
        (result([5, 3], [-1.0, -0.9], [2, 2]), 0),  # this loss is none
        (result([0, 4, 6], [np.nan, LOSS, LOSS], [2, LOSS, LOSS], LOSS), 2),  # where all are lost, the most visited
        (result([90, 4, 6], [LOSS, DRAW, DRAW], [LOSS, DRAW, DRAW], DRAW), 2),
        (result([90, 4, 6], [-0.1, DRAW, -0.2], [2, DRAW, 2]), 1),  # a certain draw before what looks worse
        (result([90, 4, 6], [0.1, DRAW, -0.2], [2, DRAW, 2]), 0),
    ],
)
def test_the_action(found: Result, action: int) -> None:
    assert found.action == action


# --- a simulation, step by step


@pytest.mark.parametrize(
    ("exploration", "chosen"),
    # scores  mean + c sqrt(ln 10 / n): 0.5 + 0.6195 c, 0.2 + 0.8761 c, -1.2 + 1.5174 c
    [(0.0, 0), (1.0, 0), (1.1, 0), (1.2, 1), (2.0, 1), (2.15, 1), (2.25, 2), (9.0, 2)],
)
def test_selection_by_hand(exploration: float, chosen: int) -> None:
    one = Growing(CONNECT_FOUR, CONNECT_FOUR.start)
    expand(one.tree, 0, np.arange(7) < 3)
    first, counts = one.tree.first[0], np.array([6, 3, 1])
    one.tree.visits[0], one.tree.visits[first : first + 3] = 10, counts
    one.tree.total[first : first + 3] = counts * [0.5, 0.2, -1.2]  # -1.2 lies out of reach, to tell them apart
    assert one.grow(1, exploration) == 1
    assert (one.tree.visits[first : first + 3] - counts).tolist() == [k == chosen for k in range(3)]


def test_selection_is_by_the_largest_bound() -> None:
    """With random numbers, certain ones among them: lost actions are left alone, a draw is worth 0 and no more."""
    rng = np.random.default_rng(0)
    chosen = set()
    for _ in range(300):
        one = Growing(CONNECT_FOUR, CONNECT_FOUR.start, capacity=0)
        expand(one.tree, 0, CONNECT_FOUR.legal(CONNECT_FOUR.start))
        inside, counts = slice(1, 8), rng.integers(1, 20, 7)
        one.tree.visits[0], one.tree.visits[inside] = counts.sum(), counts
        one.tree.total[inside] = means = rng.uniform(-1, 0.3, 7)
        one.tree.total[inside] *= counts
        proven = one.tree.proven[inside] = rng.choice([ONGOING, DRAW, WIN], 7, p=[0.4, 0.3, 0.3])
        if (proven != ONGOING).all():
            continue
        exploration = rng.uniform(0, 1)
        bounds = means + exploration * np.sqrt(np.log(counts.sum()) / counts)
        expected = int(np.argmax(np.select([proven == WIN, proven == DRAW], [-np.inf, 0.0], bounds)))
        one.grow(1, exploration)
        assert int(np.argmax(one.tree.visits[inside] - counts)) == expected
        chosen.add((expected, int(proven[expected])))
    assert len(chosen) >= 12, "any place, and certain draws as well"


@games
def test_untried_actions_come_first(rules: Game) -> None:
    """In random order, and whatever the others are worth."""
    orders = set()
    for seed in range(20):
        one, legal = Growing(rules, rules.start, seed), np.flatnonzero(rules.legal(rules.start)).tolist()
        one.grow(len(legal), 0.0)
        assert visits_by_action(one.tree, 0) == dict.fromkeys(legal, 1)
        assert one.tree.size[0] == 1 + len(legal), "a leaf has no children until it is visited again"
        orders.add(tuple(one.tree.action[list(children(one.tree, 0))].tolist()))
        one.grow(1, 0.0)
        assert one.tree.size[0] > 1 + len(legal)
    assert len({order[0] for order in orders}) > 2, "any may be the first"


def test_back_up_changes_the_sign_at_every_ply() -> None:
    tree = grown(None, 0)
    legal = np.array([True, False, True])
    for node in (0, 2, 3):  # 1 and 2 are the root's children, 3 and 4 those of 2, 5 and 6 those of 3
        assert expand(tree, node, legal)
    assert tree.parent[:7].tolist() == [0, 0, 0, 2, 2, 3, 3]
    assert tree.action[1:7].tolist() == [0, 2] * 3
    back_up(tree, 5, 1.0)  # won by who moves at 5: lost for who moved there
    assert tree.total[:7].tolist() == [1.0, 0.0, -1.0, 1.0, 0.0, -1.0, 0.0]
    back_up(tree, 4, 0.5)
    assert tree.total[:7].tolist() == [0.5, 0.0, -0.5, 1.0, -0.5, -1.0, 0.0]
    assert tree.visits[:7].tolist() == [2, 0, 2, 1, 1, 1, 0]


def test_certain_outcomes_are_carried_towards_the_root() -> None:
    tree = grown(None, 0)
    for node in (0, 1, 2):  # children of the root 1 and 2, of 1 are 3 and 4, of 2 are 5 and 6
        expand(tree, node, np.array([True, True]))

    def decided(node: int, outcome: int) -> list[int]:
        tree.proven[node] = outcome
        prove(tree, node)
        return tree.proven[:3].tolist()

    assert decided(3, WIN) == [ONGOING, ONGOING, ONGOING], "the mover at 1 has another action"
    assert decided(4, DRAW) == [ONGOING, DRAW, ONGOING]
    assert decided(5, LOSS) == [DRAW, DRAW, WIN], "one that wins is enough"


def test_a_lost_reply_wins_at_the_root() -> None:
    tree = grown(None, 0)
    expand(tree, 0, np.array([True, True]))
    expand(tree, 1, np.array([True]))
    tree.proven[3] = WIN
    prove(tree, 3)
    assert tree.proven[:3].tolist() == [WIN, LOSS, ONGOING]


def test_a_tree_without_room_stays_as_it_is() -> None:
    tree = grown(None, 0)
    assert not expand(tree, 0, np.ones(len(tree.parent), np.bool_))
    assert tree.size[0] == 1 and tree.first[0] == tree.children[0] == 0
    assert expand(tree, 0, np.ones(len(tree.parent) - 1, np.bool_))


@pytest.mark.parametrize("rave", [0.0, 100.0])
@pytest.mark.parametrize("rules", [TIC_TAC_TOE, CONNECT_FOUR], ids=["3x3", "4"])
def test_every_simulation_counts_what_it_played(rules: Game, rave: float) -> None:
    """From the actions and the end of each: visits and totals on its way, and RAVE's numbers beside it."""
    one = Growing(rules, rules.start, seed=3, capacity=0)
    for _ in range(200):
        before = Tree._make(np.copy(field) for field in one.tree)
        for field in before[:-1]:
            field[before.size[0] :] = 0
        assert one.grow(1, rave=rave) == 1
        tree, size = one.tree, int(one.tree.size[0])
        visits, total, others, others_total = np.zeros((4, size))
        way, state = [0], rules.start
        while way == [0] or (before.visits[way[-1]] > 0 and before.proven[way[-1]] == ONGOING):
            node = next(child for child in children(tree, way[-1]) if tree.action[child] == one.actions[len(way) - 1])
            way.append(node)
            state = rules.after(state, int(tree.action[node]))
        plies = len(way) - 1
        if tree.proven[way[-1]] != ONGOING:
            value = tree.proven[way[-1]] * (-1) ** plies  # for the mover at the root
        else:
            while (outcome := rules.outcome(state)) is None:
                state = rules.after(state, int(one.actions[plies]))
                plies += 1
            value = outcome * (-1) ** plies
        for depth, node in enumerate(way):
            mover = value * (-1) ** depth
            visits[node], total[node] = 1, -mover
            later = one.actions[depth:plies:2].tolist()
            for child in children(tree, node):
                if rave and tree.action[child] in later:
                    others[child], others_total[child] = 1, mover
        changes = {"visits": visits, "total": total, "others": others, "others_total": others_total}
        for name, change in changes.items():
            np.testing.assert_array_equal((getattr(tree, name) - getattr(before, name))[:size], change)


def test_rave_by_hand() -> None:
    """One simulation from the empty board of tic-tac-toe counts every action that "x" played in it."""
    one = Growing(TIC_TAC_TOE, TIC_TAC_TOE.start)
    one.grow(1, rave=100.0)
    state, plies = TIC_TAC_TOE.start, 0
    while TIC_TAC_TOE.outcome(state) is None:
        state, plies = TIC_TAC_TOE.after(state, int(one.actions[plies])), plies + 1
    value = TIC_TAC_TOE.outcome(state) * (-1) ** plies
    tree, below = one.tree, list(children(one.tree, 0))
    counted = {int(tree.action[child]): (int(tree.others[child]), tree.others_total[child]) for child in below}
    by_x = one.actions[:plies:2].tolist()
    assert counted == {action: (1, value) if action in by_x else (0, 0.0) for action in range(9)}


@pytest.mark.parametrize(("rave", "chosen"), [(0.0, 0), (1.0, 0), (300.0, 1)])
def test_rave_is_worth_less_the_more_visits_there_are(rave: float, chosen: int) -> None:
    """Means 0.5 and 0 after 10 visits each; those of RAVE are -1 and 1: of little weight, or of nearly all."""
    state = TIC_TAC_TOE.read("xox/oxo/1x1 o")
    one = Growing(TIC_TAC_TOE, state)
    expand(one.tree, 0, TIC_TAC_TOE.legal(state))
    tree, below = one.tree, slice(1, 3)
    tree.visits[0], tree.visits[below], tree.total[below] = 20, 10, [5.0, 0.0]
    tree.others[below], tree.others_total[below] = 40, [-40.0, 40.0]
    one.grow(1, 1.0, rave)
    assert tree.visits[below].tolist() == [10 + (k == chosen) for k in range(2)]


# --- whole trees


@pytest.mark.parametrize(
    ("rules", "visits", "size"), [(rules, *GOLDEN[rules.name]) for rules in GAMES], ids=[rules.name for rules in GAMES]
)
def test_golden_trees(rules: Game, visits: list[int], size: int) -> None:
    found = MCTS(rules, simulations=100).search(rules.start)
    assert found.visits[rules.legal(rules.start)].tolist() == visits
    one = Growing(rules, rules.start)
    one.grow(100)
    assert one.tree.size[0] == size


@games
@pytest.mark.parametrize("rave", [0.0, 100.0])
def test_what_holds_in_every_tree(rules: Game, rave: float) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        state = rules.start
        for _ in range(2 * seed):
            state = rules.after(state, int(rng.choice(np.flatnonzero(rules.legal(state)))))
        one = Growing(rules, state, seed)
        made = one.grow(400, rave=rave)
        assert made == 400 or one.tree.proven[0] != ONGOING
        assert one.tree.visits[0] == made
        check_tree(one.tree, rules, state)


@games
def test_a_subtree_is_copied_whole(rules: Game) -> None:
    one = Growing(rules, rules.start)
    one.grow(600)
    tree = one.tree
    child = max(children(tree, 0), key=lambda node: int(tree.visits[node]))
    node = max(children(tree, child), key=lambda node: int(tree.visits[node]))
    state = rules.after(rules.after(rules.start, int(tree.action[child])), int(tree.action[node]))
    out = grown(None, int(tree.size[0]))
    copy_subtree(tree, node, out)
    check_tree(out, rules, state, seen=1)
    pairs = [(node, 0)]
    for old, new in pairs:
        for field in ("visits", "total", "proven", "children", "prior", "value", "others", "others_total"):
            assert getattr(out, field)[new] == getattr(tree, field)[old]
        assert visits_by_action(out, new) == visits_by_action(tree, old)
        pairs += zip(children(tree, old), children(out, new), strict=True)
    assert len(pairs) == out.size[0]


@games
def test_a_search_goes_on_from_the_tree_of_the_last(rules: Game) -> None:
    """At the root again, one ply below it, and two."""
    one = Growing(rules, rules.start)
    one.grow(500)
    tree = one.tree
    child = max(children(tree, 0), key=lambda node: int(tree.visits[node]))
    node = max(children(tree, child), key=lambda node: int(tree.visits[node]))
    state = rules.start
    for reached in (0, child, node):
        player = MCTS(rules, simulations=500)
        player.search(rules.start)
        if reached:
            state = rules.after(state, int(tree.action[reached]))
        assert find(rules, tree, rules.start, state) == reached
        player.simulations = 1
        found = player.search(state)
        kept = np.zeros(rules.n_actions, np.int64)
        kept[list(visits_by_action(tree, reached))] = list(visits_by_action(tree, reached).values())
        assert found.simulations == 1 and (found.visits - kept).sum() == 1 == (found.visits - kept).max()
        player.forget()
        assert player.search(state).visits.sum() == 1


def test_another_position_starts_a_new_tree() -> None:
    player = MCTS(CONNECT_FOUR, simulations=50)
    for moves in ("4", "1234", "4", ""):  # not below the last, too deep for it, earlier
        assert player.search(after(CONNECT_FOUR, *moves)).visits.sum() == 50


def test_games_with_a_kept_tree() -> None:
    """Two searchers play; each finds its tree again after the other's reply."""
    players = [MCTS(CONNECT_FOUR, simulations=200, seed=seed) for seed in (0, 1)]
    state, kept = CONNECT_FOUR.start, 0
    while CONNECT_FOUR.outcome(state) is None:
        found = players[state[0] % 2].search(state)
        if found.outcome is None:
            assert found.simulations == 200 <= found.visits.sum()
        kept += int(found.visits.sum()) - found.simulations
        assert CONNECT_FOUR.legal(state)[found.action]
        state = CONNECT_FOUR.after(state, found.action)
    assert kept > 200


@games
def test_a_tree_that_grows_is_that_of_one_with_room(rules: Game) -> None:
    one = Growing(rules, rules.start, seed=5)
    one.grow(2000)
    found = MCTS(rules, simulations=2000, seed=5).search(rules.start)
    assert one.tree.size[0] > 2048, "more than it begins with, twice"
    np.testing.assert_array_equal(
        found.visits[found.visits > 0], [count for _, count in sorted(visits_by_action(one.tree, 0).items()) if count]
    )
    assert find(rules, grown(one.tree, 1 << 18), rules.start, rules.start) == 0


@games
@pytest.mark.parametrize("simulations", [1, 2, 137])
def test_as_many_simulations_as_asked_for(rules: Game, simulations: int) -> None:
    found = MCTS(rules, simulations=simulations).search(rules.start)
    assert found.simulations == found.visits.sum() == simulations
    assert np.isnan(found.values[found.visits == 0]).all()
    assert (np.abs(found.values[found.visits > 0]) <= 1).all()
    assert found.value == pytest.approx((found.values * found.visits)[found.visits > 0].sum() / simulations)
    assert found.visits[found.action] == found.visits.max()


def test_time_is_a_budget_too() -> None:
    start = time.perf_counter()
    found = MCTS(CONNECT_FOUR, simulations=10**9, seconds=0.05).search(CONNECT_FOUR.start)
    assert time.perf_counter() - start >= 0.05
    assert found.simulations == found.visits.sum() >= 1
    assert MCTS(CONNECT_FOUR, simulations=100, seconds=60.0).search(CONNECT_FOUR.start).simulations == 100
    assert MCTS(CONNECT_FOUR, simulations=10**9, seconds=1e-9).search(CONNECT_FOUR.start).simulations >= 1


def test_time_alone_is_a_budget() -> None:
    """The number of simulations is a bound where it is given, or nothing else is."""
    state = CONNECT_FOUR.start
    assert MCTS(CONNECT_FOUR).search(state).simulations == 1_000
    start = time.perf_counter()
    found = MCTS(CONNECT_FOUR, seconds=0.1).search(state)
    assert 0.1 <= time.perf_counter() - start < 1
    assert found.simulations == found.visits.sum() > 1_000
    assert MCTS(CONNECT_FOUR, seconds=1e-9).search(state).simulations >= 1
    assert MCTS(TIC_TAC_TOE, seconds=60.0).search(TIC_TAC_TOE.read("xx1/oo1/3 x")).outcome == WIN


@pytest.mark.parametrize("threads", [1, 2])
def test_a_search_ends_where_memory_does(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.search.mcts.FEW_NODES", 2**12)
    monkeypatch.setattr("agents.search.mcts.available_memory", lambda: 10**6)  # bytes, 49 of them a node
    player = MCTS(CONNECT_FOUR, seconds=60.0, threads=threads)
    start = time.perf_counter()
    found = player.search(CONNECT_FOUR.start)
    assert time.perf_counter() - start < 5
    assert 1_000 < found.simulations == found.visits.sum() < 10**6
    again = player.search(CONNECT_FOUR.start)
    assert again.visits.sum() == found.visits.sum() + again.simulations


def test_looks_at_the_clock_change_nothing() -> None:
    by_number, by_time = (MCTS(CONNECT_FOUR, simulations=3000, seconds=seconds) for seconds in (math.inf, 1e9))
    np.testing.assert_equal(vars(by_time.search(CONNECT_FOUR.start)), vars(by_number.search(CONNECT_FOUR.start)))


def test_threads_grow_a_tree_each() -> None:
    """Two with 150 simulations each are two searches of 150, of which the first is that of one thread."""
    both = MCTS(CONNECT_FOUR, simulations=300, threads=2, seed=4).search(CONNECT_FOUR.start)
    alone = MCTS(CONNECT_FOUR, simulations=150, seed=4).search(CONNECT_FOUR.start)
    assert both.simulations == 300
    others = both.visits - alone.visits
    assert (others >= 0).all() and others.sum() == alone.visits.sum()
    assert (others != alone.visits).any()


def test_threads_keep_their_trees_and_prove_together() -> None:
    player = MCTS(CONNECT_FOUR, simulations=601, threads=3)
    found = player.search(CONNECT_FOUR.start)
    assert found.simulations == 601
    state = CONNECT_FOUR.after(CONNECT_FOUR.start, found.action)
    again = player.search(state)
    assert again.simulations == 601 and again.visits.sum() == 601 + found.visits[found.action] - 3
    decided = MCTS(TIC_TAC_TOE, simulations=10_000, threads=2).search(TIC_TAC_TOE.read("xx1/oo1/3 x"))
    assert decided.outcome == WIN and TIC_TAC_TOE.move(decided.action) == "c3"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_finds_the_same(threads: int) -> None:
    def search(seed: int) -> dict[str, object]:
        return vars(MCTS(CONNECT_FOUR, simulations=500, threads=threads, seed=seed).search(CONNECT_FOUR.start))

    np.testing.assert_equal(search(1), search(1))
    assert (search(1)["visits"] != search(2)["visits"]).any()  # type: ignore[attr-defined]


# --- rules in plain Python, and bad input


@pytest.mark.parametrize("rave", [0.0, 100.0])
def test_rules_in_python_grow_the_same_tree(rave: float) -> None:
    state = TIC_TAC_TOE.start
    assert TIC_TAC_TOE.compiled and not IN_PYTHON.compiled
    for _ in range(3):
        found, same = (MCTS(one, simulations=150, rave=rave, seed=7).search(state) for one in (TIC_TAC_TOE, IN_PYTHON))
        np.testing.assert_equal(vars(same), vars(found))
        state = TIC_TAC_TOE.after(state, found.action)


def test_chess() -> None:
    pytest.importorskip("chess")
    chess = game("chess")
    mate = chess.read("7k/8/5KQ1/8/8/8/8/8 w - - 0 1")
    found = MCTS(chess, simulations=200).search(mate)
    assert found.outcome == WIN and chess.move(found.action) in ("g6g7", "g6e8", "g6h5", "g6h7")
    assert chess.outcome(chess.after(mate, found.action)) == LOSS
    assert 1 <= MCTS(chess, simulations=10**6, seconds=0.05).search(chess.start).simulations < 10**6


@pytest.mark.parametrize(
    ("keyword", "value", "remedy"),
    [
        ("simulations", 0, "a search needs at least 1"),
        ("simulations", 10**9 + 1, "use at most 1,000,000,000"),
        ("seconds", 0.0, "use a positive number"),
        ("seconds", math.nan, "use a positive number"),
        ("exploration", -0.5, "use 0 or more"),
        ("rave", -1.0, "use 0 or more"),
        ("threads", 0, "use at least 1"),
    ],
)
def test_bad_settings(keyword: str, value: float, remedy: str) -> None:
    with pytest.raises(UserError) as error:
        MCTS(TIC_TAC_TOE, **{keyword: value})  # type: ignore[arg-type]
    assert str(error.value) == f"{keyword}={value!r}: {remedy}"


def test_after_the_end_there_is_nothing_to_search() -> None:
    won = TIC_TAC_TOE.read("xxx/oo1/3 o")
    with pytest.raises(ValueError, match="^position 'xxx/oo1/3 o': the game is over$"):
        MCTS(TIC_TAC_TOE).search(won)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_that_cannot_be(seed: int, threads: int) -> None:
    with pytest.raises(ValueError, match=f"^seed {seed} is out of range: use an integer from 0 to 2\\^64 - 1$"):
        MCTS(TIC_TAC_TOE, seed=seed, threads=threads)


OTHELLO, SMALL = game("othello"), game("othello", size=6)


@pytest.mark.parametrize(
    ("rules", "state", "message"),
    [
        (TIC_TAC_TOE, GAMES[3].start, "position int64 (136,) of another game: this is tic_tac_toe"),
        (OTHELLO, SMALL.start, "position int64 (4,) of another game: this is othello, size 8"),
        (SMALL, OTHELLO.start, "position int64 (4,) of another game: this is othello, size 6"),
        (OTHELLO, CONNECT_FOUR.start, "position int64 (4,) of another game: this is othello, size 8"),
        (game("go"), GAMES[3].start, "position int64 (136,) of another game: this is go, size 9, komi 7.5"),
        (OTHELLO, OTHELLO.start.astype(np.int32), "position int32 (4,) of another game: this is othello, size 8"),
        (OTHELLO, OTHELLO.start[None], "position int64 (1, 4): give a single one, (4,)"),
    ],
)
def test_positions_of_other_games(rules: Game, state: State, message: str) -> None:
    player = MCTS(rules, simulations=20)
    player.search(rules.start)
    with pytest.raises(ValueError) as error:
        player.search(state)
    assert str(error.value) == message
    assert player.search(rules.start).visits.sum() == 40, "the tree of before is still there"


def test_positions_of_two_games_side_by_side_in_an_array() -> None:
    """Compiled rules want a position without gaps; a view may have them."""
    both = np.stack([CONNECT_FOUR.start, after(CONNECT_FOUR, "4")], axis=1)
    assert MCTS(CONNECT_FOUR, simulations=20).search(both[:, 0]).visits.sum() == 20

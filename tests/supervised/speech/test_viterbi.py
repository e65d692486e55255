"""The likeliest path by enumeration, and digits as chains of states."""

import itertools

import numpy as np
import pytest

from supervised.data.spoken import Recording, put_together
from supervised.speech.hmm import DIGITS, Topology, digits_at
from supervised.speech.viterbi import viterbi
from supervised.training.errors import UserError


def test_all_paths_by_hand() -> None:
    rng = np.random.default_rng(0)
    emissions, moves = rng.normal(size=(5, 3)), np.log(rng.dirichlet(np.ones(3), 3))
    start, end = np.log(rng.dirichlet(np.ones(3), 2))

    def chance(path: tuple[int, ...]) -> float:
        steps = sum(moves[a, b] for a, b in itertools.pairwise(path))
        return start[path[0]] + steps + end[path[-1]] + sum(emissions[t, s] for t, s in enumerate(path))

    best = max(itertools.product(range(3), repeat=5), key=chance)
    path, found = viterbi(emissions, start, moves, end)
    assert tuple(path) == best and found == pytest.approx(chance(best))


def emitted(topology: Topology, states: list[int], wrong: float = 0.0) -> np.ndarray:
    """log p(x_t | state) where each frame is of one state, more or less."""
    found = np.full((len(states), topology.pause + 1), -6.0)
    found += wrong * np.random.default_rng(0).normal(size=found.shape)
    found[np.arange(len(states)), states] = 0
    return found


@pytest.fixture
def topology() -> Topology:
    return Topology(3, np.full(3 * DIGITS + 1, 0.5))


def test_chains_and_loops(topology: Topology) -> None:
    pause = topology.pause
    states = [*[pause] * 3, 6, 6, 7, 8, 8, *[pause] * 2, 27, 28, 29, 29, 27, 28, 28, 29]  # 2, a pause, 9 and 9
    emissions = emitted(topology, states, wrong=1.0)
    loop = topology.loop(0.0)
    path = loop.states[loop.search(emissions)]
    assert path.tolist() == states and topology.said(path) == [2, 9, 9]
    chain = topology.chain([2, 9, 9])
    assert chain.states[chain.search(emissions)].tolist() == states
    other = topology.chain([2, 9])  # has to say them, whatever is heard
    assert topology.said(other.states[other.search(emissions)]) == [2, 9]
    with pytest.raises(UserError, match="has 2 steps; give a longer recording"):
        chain.search(emissions[:2])


def test_a_penalty_makes_for_fewer_digits(topology: Topology) -> None:
    states = [3, 4, 5, 3, 4, 5]
    emissions = emitted(topology, states)
    for penalty, digits in ((0.0, [1, 1]), (20.0, [1])):
        loop = topology.loop(penalty)
        assert topology.said(loop.states[loop.search(emissions)]) == digits


def test_where_digits_are() -> None:
    wave = np.ones(1_600, np.float32)
    nobody = np.zeros((0, 2), np.int64)
    one, two = (Recording("", "ann", 0, (digit,), wave, nobody) for digit in (1, 2))
    string = put_together([one, two], np.random.default_rng(0))
    frames = 1 + (len(string.wave) - 200) // 80
    loud = np.array([string.wave[80 * t + 100] > 0 for t in range(frames)])
    found = np.zeros(frames, np.bool_)
    for begin, end in digits_at(string, frames):
        found[begin:end] = True
        assert 19 <= end - begin <= 21
    np.testing.assert_array_equal(found, loud)
    with pytest.raises(UserError, match="learns from recordings of one digit each"):
        digits_at(one, frames)

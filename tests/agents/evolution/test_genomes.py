"""NEAT's genomes: networks against neat-python's own, and what a checkpoint keeps."""

import random
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agents.evolution import neat
from agents.evolution.genomes import Genome, Networks, pack, unpack

library = pytest.importorskip("neat", reason="needs the evolution extra")

GROWING = neat.Config(population=20, add_connection=0.9, add_node=0.9, delete_node=0.2, delete_connection=0.3)


@pytest.fixture(scope="module")
def population() -> neat.Population:
    """Several generations, of networks that have grown."""
    grown = neat.Population(GROWING, 3, 2)
    rng = np.random.default_rng(0)
    for _ in range(12):
        grown.breed(rng.random(20))
    return grown


def genome(*links: tuple[int, int, float], biases: dict[int, float], disabled: tuple[int, ...] = ()) -> Genome:
    sources, targets, weights = zip(*links, strict=True)
    enabled = np.array([k not in disabled for k in range(len(links))])
    columns = np.array([sources, targets]).T, np.array(weights), enabled, np.arange(len(links))
    return Genome(np.array(list(biases)), np.array(list(biases.values())), *columns)


def test_networks_equal_those_of_neat_python(population: neat.Population) -> None:
    genomes = population.genomes()
    assert max(len(one.nodes) for one in genomes) > 6
    inputs = np.random.default_rng(1).standard_normal((60, 3))
    found = Networks(genomes, 3, 2)(inputs)
    for number, theirs in enumerate(population._population.population.values()):
        network = library.nn.FeedForwardNetwork.create(theirs, population._settings)
        for row in range(3 * number, 3 * number + 3):
            np.testing.assert_allclose(found[row], network.activate(inputs[row]), rtol=1e-12, atol=1e-14)


def test_a_network_by_hand() -> None:
    """Two inputs, an output, a hidden node on the way, one that leads nowhere, and a connection that is off."""
    links = (-1, 5, 0.5), (5, 0, 2.0), (-2, 0, -1.0), (-1, 7, 9.0), (-1, 0, 100.0)
    one = genome(*links, biases={0: 0.1, 5: -0.2, 7: 3.0}, disabled=(4,))
    assert list(one.wiring(1)) == [5, 0]
    hidden = np.tanh(2.5 * (-0.2 + 0.5 * 0.3))
    wanted = np.tanh(2.5 * (0.1 + 2.0 * hidden - 0.7))
    assert Networks([one], 2, 1)(np.array([[0.3, 0.7]])).item() == pytest.approx(wanted)


def test_an_output_without_inputs_puts_out_its_bias() -> None:
    one = genome((-1, 0, 1.0), biases={0: 0.0, 1: 0.4})
    assert Networks([one], 1, 2)(np.zeros((1, 1)))[0].tolist() == pytest.approx([0, np.tanh(1.0)])


def test_packed_genomes_come_back(population: neat.Population) -> None:
    genomes = population.genomes()
    for one, other in zip(genomes, unpack(pack(genomes)), strict=True):
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def test_a_restored_population_evolves_alike(population: neat.Population) -> None:
    restored = neat.Population(GROWING, 3, 2)
    restored.load_state_dict(population.state_dict())
    outside = random.getstate()
    rng = np.random.default_rng(2)
    for _ in range(4):
        fitness = rng.random(20)
        population.breed(fitness)
        restored.breed(fitness)
    assert repr(population.state_dict()) == repr(restored.state_dict())
    assert random.getstate() == outside


def test_the_agent_refuses_networks_of_other_shape() -> None:
    def agent(actions: int) -> Any:
        return neat.Agent(neat.Config(), gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(actions))

    saved = agent(2).state_dict()
    agent(2).load_state_dict(saved)
    with pytest.raises(ValueError, match=r"a network of \(3, 2\) inputs and outputs where \(3, 4\) are needed"):
        agent(4).load_state_dict(saved)

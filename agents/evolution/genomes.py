"""NEAT's genomes as arrays, and the networks that they describe, compiled.

A node puts out tanh(2.5 (bias + sum of weight x input)). Inputs have the numbers -1, -2, ..., outputs 0, 1, ..., and
hidden nodes those after them. A connection that is not enabled stays in the genome and out of the network.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

STEEPNESS = 2.5  # neat-python's tanh; MarI/O's sigmoid, 2 / (1 + exp(-4.9 x)) - 1, is tanh(2.45 x)


class Genome(NamedTuple):
    """Genes of nodes and of connections, in their order."""

    nodes: Array  # (nodes,) int64: numbers of outputs and hidden nodes
    biases: Array  # (nodes,)
    connections: Array  # (connections, 2) int64: from, to
    weights: Array  # (connections,)
    enabled: Array  # (connections,) bool
    innovations: Array  # (connections,) int64: when in the history of all genomes the gene came up

    @classmethod
    def of(cls, nodes: Iterable[Any], connections: Iterable[Any]) -> "Genome":
        """That of neat-python's genes."""
        nodes, connections = list(nodes), list(connections)
        return cls(
            np.array([node.key for node in nodes], np.int64),
            np.array([node.bias for node in nodes], np.float64),
            np.array([one.key for one in connections], np.int64).reshape(-1, 2),
            np.array([one.weight for one in connections], np.float64),
            np.array([one.enabled for one in connections], np.bool_),
            np.array([one.innovation for one in connections], np.int64),
        )

    def wiring(self, outputs: int) -> dict[int, list[tuple[int, float]]]:
        """The nodes that outputs depend on, each after those before it, and what leads to them: source and weight."""
        into: dict[int, list[tuple[int, float]]] = {}
        for (source, target), weight in zip(self.connections[self.enabled], self.weights[self.enabled], strict=True):
            into.setdefault(int(target), []).append((int(source), float(weight)))
        needed: dict[int, list[tuple[int, float]]] = {}
        waiting = list(range(outputs))
        while waiting:
            node = waiting.pop()
            if node >= 0 and node not in needed:
                needed[node] = into.get(node, [])
                waiting += [source for source, _ in needed[node]]
        before = {node: [source for source, _ in links if source >= 0] for node, links in needed.items()}
        return {node: needed[node] for node in TopologicalSorter(before).static_order()}


def pack(genomes: Sequence[Genome]) -> dict[str, Array]:
    """Genomes one after the other, as a checkpoint holds them."""
    columns = {name: np.concatenate([getattr(one, name) for one in genomes]) for name in Genome._fields}
    counts = np.array([(len(one.nodes), len(one.connections)) for one in genomes], np.int64)
    return {**columns, "counts": counts}


def unpack(packed: Mapping[str, Array]) -> list[Genome]:
    """The genomes of `pack`."""
    ends = np.cumsum(packed["counts"], axis=0)[:-1]
    parts = [
        np.split(packed[name], ends[:, 0] if name in ("nodes", "biases") else ends[:, 1]) for name in Genome._fields
    ]
    return [Genome(*columns) for columns in zip(*parts, strict=True)]


class Networks:
    """The networks of several genomes, each of which acts for its share of the observations.

    Args:
        inputs, outputs: how many of each all of them have.
    """

    def __init__(self, genomes: Sequence[Genome], inputs: int, outputs: int) -> None:
        nodes, links, biases, sources, weights = [0], [0], [], [], []  # where nodes and links of the next one begin
        places = np.zeros((len(genomes), outputs), np.int64)
        for number, genome in enumerate(genomes):
            wiring, bias = genome.wiring(outputs), dict(zip(genome.nodes.tolist(), genome.biases, strict=True))
            place = {-1 - k: k for k in range(inputs)}
            for node, into in wiring.items():
                place[node] = len(place)
                biases.append(bias[node])
                sources += [place[source] for source, _ in into]
                weights += [weight for _, weight in into]
                links.append(len(sources))
            nodes.append(len(biases))
            places[number] = [place[output] for output in range(outputs)]
        self._places, self._inputs = places, inputs
        self._nodes, self._links = np.array(nodes), np.array(links)
        self._sources, self._biases, self._weights = np.array(sources, np.int64), np.array(biases), np.array(weights)
        self._most = inputs + max(end - first for first, end in itertools.pairwise(nodes))

    def __call__(self, inputs: Array) -> Array:
        """Outputs ``(rows, outputs)`` float64 of inputs ``(rows, inputs)``."""
        outputs = np.empty((len(inputs), self._places.shape[1]))
        values = np.empty(self._most)
        arrays = self._nodes, self._biases, self._links, self._sources, self._weights, self._places
        _activate(inputs, *arrays, values, outputs)
        return outputs


@njit(cache=True, nogil=True)
def _activate(
    inputs: Array,
    nodes: Array,
    biases: Array,
    links: Array,
    sources: Array,
    weights: Array,
    places: Array,
    values: Array,
    outputs: Array,
) -> None:
    seen = inputs.shape[1]
    share = inputs.shape[0] // places.shape[0]
    for row in range(inputs.shape[0]):
        network = row // share
        values[:seen] = inputs[row]
        first = nodes[network]
        for node in range(first, nodes[network + 1]):
            total = biases[node]
            for link in range(links[node], links[node + 1]):
                total += weights[link] * values[sources[link]]
            values[seen + node - first] = np.tanh(STEEPNESS * total)
        for output in range(places.shape[1]):
            outputs[row, output] = values[places[network, output]]

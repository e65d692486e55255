"""NEAT: networks whose topology evolves with their weights (Stanley and Miikkulainen 2002, through `neat-python`).

It is what played Super Mario World as MarI/O (book, chapter 9: "Introduction to genetic algorithms playing games").
Every genome begins with its inputs connected to its outputs, and mutation adds nodes and connections. Genes carry the
number of the innovation that they came from, by which crossover lines them up; genomes that differ much are of
different species, and compete within their own, so that a new structure has time to become good.

Differences from the paper: connections and nodes may also be deleted; each species keeps its best genomes. All else
that no setting names is as the paper has it.
"""

import configparser
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.evolution.arena import MOUNTAIN_CAR, Arena, EvolutionSettings, Interface
from agents.evolution.drawing import draw_network
from agents.evolution.genomes import Genome, Networks, pack, unpack
from agents.progress import Examiner, crossed
from supervised.training.errors import needs_extra, require
from supervised.training.run import Run
from supervised.training.seeding import generators

Array = NDArray[Any]


@dataclass(frozen=True)
class Config(EvolutionSettings):
    """NEAT: feed-forward networks that grow."""

    population: int = 150
    """Individuals of a generation (Stanley and Miikkulainen 2002)."""
    add_connection: float = 0.1
    """Probability that a child gets a connection more."""
    delete_connection: float = 0.05
    """Probability that it loses one."""
    add_node: float = 0.05
    """Probability that a node splits one of its connections."""
    delete_node: float = 0.02
    """Probability that it loses a hidden node."""
    weight_rate: float = 0.8
    """Share of weights and biases that mutate (Stanley and Miikkulainen 2002); a tenth of the others are drawn anew."""
    weight_std: float = 0.5
    """Standard deviation of what is added to them."""
    compatibility: float = 1.4
    """Genetic distance within a species; neat-python's is smaller than the paper's, whose 3 would leave one species."""
    stagnation: int = 15
    """Generations without progress after which a species dies out (Stanley and Miikkulainen 2002)."""
    survival: float = 0.2
    """Share of a species that has children."""
    elites: int = 2
    """Genomes of highest fitness that live on unchanged, in each species."""

    def __post_init__(self) -> None:
        super().__post_init__()
        probabilities = ("add_connection", "delete_connection", "add_node", "delete_node", "weight_rate", "survival")
        for name in probabilities:
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "use a number from 0 to 1")
        for name in ("weight_std", "compatibility"):
            require(getattr(self, name) > 0, name, getattr(self, name), "use a positive number")
        require(self.stagnation >= 1, "stagnation", self.stagnation, "use at least 1")
        require(0 <= self.elites < self.population, "elites", self.elites, f"use 0 to {self.population - 1}")


PRESETS = {
    "default": Config(),
    "mountain-car": Config(**MOUNTAIN_CAR),
}


class Agent:
    """Acts by the network of one genome, always the same way in the same state.

    Attributes:
        genome: it, without any connection before training.
        inputs, outputs: how many its network has.
        transform: see `agents.evaluation.Policy`.
    """

    def __init__(self, config: Config, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self._interface = Interface(config, observation_space, action_space)
        self.transform = self._interface.transform
        self.inputs, self.outputs = self._interface.inputs, self._interface.outputs
        nothing = np.zeros(0)
        links = nothing.astype(np.int64).reshape(0, 2), nothing, nothing.astype(np.bool_), nothing.astype(np.int64)
        self.genome = Genome(np.arange(self.outputs), np.zeros(self.outputs), *links)

    def acting(self, genomes: Sequence[Genome]) -> Callable[[Array], Array]:
        """Actions of several genomes, of each for its share of the observations."""
        networks = Networks(genomes, self.inputs, self.outputs)
        return lambda observations: self._interface.decide(networks(self._interface.see(observations)))

    def act(self, observations: Array, deterministic: bool = False) -> Array:
        """Actions ``(batch, *action)``; there is nothing to draw."""
        return self.acting([self.genome])(observations)

    def state_dict(self) -> dict[str, Any]:
        """The genome."""
        return {"inputs": self.inputs, "outputs": self.outputs, "genome": self.genome._asdict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`; raises `ValueError` for a network of other inputs or outputs."""
        found, wanted = (state["inputs"], state["outputs"]), (self.inputs, self.outputs)
        if found != wanted:
            raise ValueError(f"a network of {found} inputs and outputs where {wanted} are needed")
        self.genome = Genome(**state["genome"])


def train(config: Config, run: Run | None = None) -> Agent:
    """Evolve an agent; with a `Run` also log, save checkpoints, continue from the newest one, and draw the network.

    Raises:
        UserError: `neat-python` is not installed, an environment or setting that does not fit, or a budget too small
            for one generation.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    arena = Arena(config)
    agent, examiner = Agent(config, *arena.spaces), Examiner(config)
    population = Population(config, agent.inputs, agent.outputs)

    def state() -> dict[str, Any]:
        return {"agent": agent.state_dict(), "arena": arena.state_dict(), "population": population.state_dict()}

    if saved := run.restore():
        agent.load_state_dict(saved["agent"])
        arena.load_state_dict(saved["arena"])
        population.load_state_dict(saved["population"])

    before = arena.step
    while (fitness := arena.play(agent.acting(genomes := population.genomes()))) is not None:
        agent.genome = genomes[fitness.argmax()]
        hidden, links = len(agent.genome.nodes) - agent.outputs, int(agent.genome.enabled.sum())
        arena.log(run, species=population.species, hidden_nodes=hidden, connections=links)
        population.breed(fitness)
        if crossed(before, arena.step, config.evaluate_every) and examiner.solved(agent, run, arena.step):
            break
        run.checkpoint(arena.step, state, config.checkpoint_every)
        before = arena.step
    arena.close()
    if run.folder is not None:
        draw_network(agent.genome, agent.inputs, agent.outputs, run)
    run.finish(arena.step, state)
    return agent


class Population:
    """`neat.Population` with draws of its own and an exact state."""

    def __init__(self, config: Config, inputs: int, outputs: int) -> None:
        with needs_extra("evolution"):
            import neat
        self._config, self._neat = config, neat
        # neat-python draws from Python's global generator: this is its state while these genomes are at work
        self._draws = random.Random(int(generators(config.seed, "neat")["neat"].integers(2**63))).getstate()
        self._settings = neat_settings(config, inputs, outputs)
        with self._drawing():
            self._population = neat.Population(self._settings)
        self._count(max(self._population.population) + 1, max(self._species.species) + 1, outputs)

    @property
    def _species(self) -> Any:
        return self._population.species

    @property
    def species(self) -> int:
        """How many species there are."""
        return len(self._species.species)

    def genomes(self) -> list[Genome]:
        """The present generation."""
        return [Genome.of(one.nodes.values(), one.connections.values()) for one in self._population.population.values()]

    def breed(self, fitness: Array) -> None:
        """Make the next generation of one with that fitness ``(population,)``.

        Raises:
            UserError: there are more species than the population has room for.
        """

        def assess(genomes: Sequence[tuple[int, Any]], _: Any) -> None:
            for (_, genome), one in zip(genomes, fitness.tolist(), strict=True):
                genome.fitness = one

        most = self._config.population // max(self._config.elites, 1)
        room = f"{self.species} species, and there is room for {most}: use a larger distance, or a larger population"
        require(self.species <= most, "compatibility", self._config.compatibility, room)
        with self._drawing():
            self._population.run(assess, 1)

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Python's global generator is ours in the block, and as it was afterwards."""
        others = random.getstate()
        random.setstate(self._draws)
        try:
            yield
        finally:
            self._draws = random.getstate()
            random.setstate(others)

    def _count(self, genome: int, species: int, node: int) -> None:
        """Number new genomes, species and nodes from these on."""
        self._counters = {"genome": Counter(genome), "species": Counter(species), "node": Counter(node)}
        self._population.reproduction.genome_indexer = self._counters["genome"]
        self._species.indexer = self._counters["species"]
        self._settings.genome_config.node_indexer = self._counters["node"]

    def state_dict(self) -> dict[str, Any]:
        """Genomes, species, counters and draws."""
        version, words, spare = self._draws
        return {
            "generation": self._population.generation,
            "keys": list(self._population.population),
            "genomes": pack(self.genomes()),
            "species": [
                {
                    **{name: getattr(one, name) for name in ("key", "created", "last_improved")},
                    "fitness_history": list(one.fitness_history),
                    "representative": one.representative.key,
                    "members": list(one.members),
                }
                for one in self._species.species.values()
            ],
            "counters": {name: counter.value for name, counter in self._counters.items()},
            "innovations": self._population.reproduction.innovation_tracker.global_counter,
            "draws": {"version": version, "words": np.array(words, np.uint32), "spare": spare},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        genomes = zip(state["keys"], unpack(state["genomes"]), strict=True)
        population = {key: self._restored(key, genome) for key, genome in genomes}
        self._population.population, self._population.generation = population, state["generation"]
        self._species.species = {}
        for saved in state["species"]:
            one = self._neat.species.Species(saved["key"], saved["created"])
            one.last_improved, one.fitness_history = saved["last_improved"], list(saved["fitness_history"])
            one.update(population[saved["representative"]], {key: population[key] for key in saved["members"]})
            self._species.species[one.key] = one
        self._count(**state["counters"])
        self._population.reproduction.innovation_tracker.global_counter = state["innovations"]
        draws = state["draws"]
        self._draws = (draws["version"], tuple(draws["words"].tolist()), draws["spare"])

    def _restored(self, key: int, genome: Genome) -> Any:
        """A genome of neat-python."""
        restored = self._neat.DefaultGenome(key)
        for node, bias in zip(genome.nodes.tolist(), genome.biases.tolist(), strict=True):
            gene = restored.nodes[node] = self._neat.genes.DefaultNodeGene(node)
            gene.bias, gene.response, gene.time_constant = bias, 1.0, 1.0
            gene.activation, gene.aggregation = "tanh", "sum"
        columns = (genome.connections, genome.weights, genome.enabled, genome.innovations)
        for link, weight, enabled, innovation in zip(*(column.tolist() for column in columns), strict=True):
            gene = self._neat.genes.DefaultConnectionGene(tuple(link), innovation=innovation)
            gene.weight, gene.enabled = weight, enabled
            restored.connections[gene.key] = gene
        return restored


class Counter:
    """Counts up from ``value``, which unlike that of `itertools.count` can be saved."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __next__(self) -> int:
        self.value += 1
        return self.value - 1


#: settings of neat-python that nobody changes
FIXED: dict[str, dict[str, Any]] = {
    "NEAT": {
        "fitness_criterion": "max",
        "fitness_threshold": 0,
        "no_fitness_termination": True,  # the examiner says when it is enough
        "reset_on_extinction": True,
    },
    "DefaultGenome": {
        "num_hidden": 0,
        "feed_forward": True,
        "initial_connection": "full_direct",
        "compatibility_disjoint_coefficient": 1.0,  # c1 = c2 and c3 of the paper
        "compatibility_weight_coefficient": 0.4,
        "single_structural_mutation": False,
        "structural_mutation_surer": "default",
        "activation_default": "tanh",
        "activation_options": "tanh",
        "activation_mutate_rate": 0,
        "aggregation_default": "sum",
        "aggregation_options": "sum",
        "aggregation_mutate_rate": 0,
        "enabled_default": True,
        "enabled_mutate_rate": 0.01,
        "enabled_rate_to_true_add": 0,
        "enabled_rate_to_false_add": 0,
    },
    "DefaultSpeciesSet": {},
    "DefaultStagnation": {
        "species_fitness_func": "max",
        "species_elitism": 2,  # however long they stand still, two species live on
    },
    "DefaultReproduction": {},
}


def neat_settings(config: Config, inputs: int, outputs: int) -> Any:
    """The `neat.Config` of these settings."""
    import neat

    renewed = 0.1 * (1 - config.weight_rate)
    moving = {"init_mean": 0, "init_stdev": 1, "mutate_rate": config.weight_rate, "replace_rate": renewed}
    still = {"init_mean": 1, "init_stdev": 0, "mutate_rate": 0, "replace_rate": 0}
    common = {"init_type": "gaussian", "mutate_power": config.weight_std, "max_value": 30, "min_value": -30}
    numbers: dict[str, dict[str, Any]] = {"weight": moving, "bias": moving, "response": still}
    chosen: dict[str, dict[str, Any]] = {
        "NEAT": {"pop_size": config.population},
        "DefaultGenome": {
            "num_inputs": inputs,
            "num_outputs": outputs,
            "conn_add_prob": config.add_connection,
            "conn_delete_prob": config.delete_connection,
            "node_add_prob": config.add_node,
            "node_delete_prob": config.delete_node,
            **{f"{kind}_{name}": value for kind in numbers for name, value in {**numbers[kind], **common}.items()},
        },
        "DefaultSpeciesSet": {"compatibility_threshold": config.compatibility},
        "DefaultStagnation": {"max_stagnation": config.stagnation},
        "DefaultReproduction": {
            "elitism": config.elites,
            "survival_threshold": config.survival,
            "min_species_size": max(config.elites, 1),
        },
    }
    text = configparser.ConfigParser()
    text.read_dict({section: {**FIXED[section], **values} for section, values in chosen.items()})
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:  # it reads nothing but files
        text.write(file)
        file.flush()
        parts = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)
        return neat.Config(*parts, file.name)

"""Record demonstrations: ``python -m tools.record --env ID --out DATASET [--driver expert|RUN] [--episodes N]``.

Without a driver a window opens and you drive, with keys or a gamepad. Every episode that ends is on disk at once.
``python -m tools.record import FILE --out DATASET`` takes over recordings of others.
"""

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from agents.evaluate import load as load_run
from agents.evaluation import Player, Policy
from agents.heads import car_actions, steering_and_acceleration
from agents.imitation.demonstrations import BOOK_CLASSES, DemonstrationWriter, book_classes, load
from agents.imitation.episodes import Recording
from agents.rollout import make_lanes
from agents.settings import FIRST_EVALUATION_SEED, Keywords
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import UserError, require
from supervised.training.seeding import generators
from tools import importers
from tools.keys import Held, KeyMap, key_map
from tools.window import Window

PROG = "python -m tools.record"
DESCRIPTION = "Record demonstrations: drive yourself in a window, or let the expert or a trained run drive."
LANES = 8  # episodes that a driver drives side by side
EXPERTS = {"expert": "fast", "calm": "calm"}  # names of drivers: styles
HELP = "Space: pause    Enter: discard the episode    Esc: save and exit"

Array = NDArray[Any]
Driver = Callable[[Any, Array, Array], Array]  # (observations, whether they begin episodes, rewards) -> actions


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    env: Annotated[str, tyro.conf.arg(metavar="ID")]
    """Environment: an id, ours, Gymnasium's or "my_package:MyEnv-v0"."""
    out: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    """Where to: a folder, or the id of a Minari data set such as car-racing/mine-v0; more is appended to it."""
    env_kwargs: Keywords = field(default_factory=dict)
    """Keywords of the environment, as JSON: '{"actions": "book"}'."""
    driver: Annotated[str | None, tyro.conf.arg(metavar="expert|calm|RUN")] = None
    """Who drives instead of you, without a window: the scripted expert, fast or calm, or the agent of a run."""
    noise: float = 0.0
    """With a driver of a car: noise on its steering (standard deviation) and pedals (5 times that), in bursts; what it
    meant is what cloning learns."""
    episodes: int | None = None
    """Number of episodes (default: until Esc; 1 with a driver)."""
    seed: int | None = None
    """Seed of the first episode, the next one has SEED + 1; below 10,000 (default: the first one not yet used)."""
    keys: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Key map as JSON, such as '{"none": 0, "left": 1, "left+down": 2}'; a Box has vectors instead of numbers."""


@dataclass(frozen=True)
class ImportOptions:
    """Options of ``import``."""

    file: Annotated[Path, tyro.conf.Positional]
    """The book's data.gzip, or an .npz with frames, actions, rewards and terminal."""
    out: Annotated[str, tyro.conf.arg(metavar="DATASET")]
    """Where to: a folder, or the id of a Minari data set."""
    env: Annotated[str | None, tyro.conf.arg(metavar="ID")] = None
    """The environment it was recorded on, if you know; its spaces are checked."""
    max_episode_steps: int = 1000
    """Steps after which the environment began the next episode, which recordings do not tell."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with door():
        if arguments[:1] == ["import"]:
            description = "Take over a recording: the book's data.gzip, or an .npz. Nothing in it is run."
            take_over(parse(ImportOptions, arguments[1:], prog=f"{PROG} import", description=description))
        else:
            try:
                record(parse(Options, arguments, prog=PROG, description=DESCRIPTION))
            except KeyboardInterrupt:
                raise SystemExit(130) from None  # what is kept has been told


def take_over(options: ImportOptions) -> None:
    """Import a recording; all of it is checked before anything is written."""
    episodes = importers.read(options.file, options.max_episode_steps)
    observation_space: Space[Any] = importers.FRAMES
    action_space: Space[Any] = importers.CONTROLS
    if options.env is not None:
        batch = make_lanes(options.env, 1, {})
        observation_space, action_space = batch.single_observation_space, batch.single_action_space
        batch.close()
    importers.check_all(episodes, observation_space, action_space, options.file)
    writer = DemonstrationWriter(options.out, observation_space, action_space, options.env)
    for episode in episodes:
        writer.append(episode)
    steps = sum(len(episode) for episode in episodes)
    print(f"{len(episodes)} episodes of {steps} steps imported, {len(writer)} in {writer.path}")


def record(options: Options) -> None:
    """Record in a window, or without one if there is a driver."""
    episodes = 1 if options.episodes is None and options.driver else options.episodes
    require(episodes is None or episodes >= 1, "episodes", episodes, "use at least 1")
    require(not (options.driver and options.keys), "keys", str(options.keys), f"{options.driver} drives: leave it out")
    require(options.noise >= 0, "noise", options.noise, "use 0 or more")
    require(not options.noise or options.driver is not None, "noise", options.noise, "it needs a --driver")
    if SMOKE and episodes is not None:
        episodes = min(episodes, 2)  # cloning holds one of them out
    env_kwargs, policy = options.env_kwargs, None
    if options.driver is not None and options.driver not in EXPERTS:
        policy, _, trained_with = load_run(options.driver, options.env)
        env_kwargs = env_kwargs or trained_with
    own: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED, "copy": True}
    shown = {} if options.driver else {"render_mode": "rgb_array"}
    lanes = min(LANES, episodes or 1) if options.driver else 1
    batch = make_lanes(options.env, lanes, {**env_kwargs, **shown}, **own)
    space = batch.single_action_space
    try:
        writer = DemonstrationWriter(options.out, batch.single_observation_space, space, options.env, env_kwargs)
        seed = first_seed(writer) if options.seed is None else options.seed
        remedy = f"training seeds are 0 to {FIRST_EVALUATION_SEED - 1}, later ones are for evaluation"
        require(0 <= seed <= FIRST_EVALUATION_SEED - (episodes or 1), "seed", seed, remedy)
        kept = len(writer)
        try:
            if options.driver:
                style = EXPERTS.get(options.driver, "")
                driver = expert_driver(options.env, batch, style) if policy is None else policy_driver(policy)
                seeds = range(seed, seed + (episodes or 1))
                demonstrate(batch, driver, writer, seeds, options.driver, options.noise)
            else:
                Session(batch, key_map(options.env, space, options.keys), writer, seed).run(episodes)
        finally:
            if len(writer):
                print(f"{len(writer) - kept} episodes recorded, {len(writer)} in {writer.path}")
    finally:
        batch.close()


def first_seed(writer: DemonstrationWriter) -> int:
    """The seed after the highest one in the data set."""
    seeds = load(writer.path).seeds if len(writer) else []
    return max((seed + 1 for seed in seeds if seed is not None), default=0)


def policy_driver(policy: Policy) -> Driver:
    """A trained agent; it decides as often as it was trained to, but every step is recorded."""
    player, repeat = Player(policy), getattr(policy.transform, "repeat", 1)
    step, actions, gained = 0, np.zeros(0), np.zeros(0)

    def act(observations: Any, started: Array, rewards: Array) -> Array:
        nonlocal step, actions, gained
        step, gained = (0, rewards) if started.all() else (step + 1, gained + rewards)
        if step % repeat == 0:
            actions, gained = player.act(observations, started, gained), np.zeros(len(rewards))
        return actions

    return act


def expert_driver(env: str, batch: VectorEnv[Any, Any, Any], style: str) -> Driver:
    """The scripted expert, with the actions of the environment; an environment of ours may have one of its own.

    Raises:
        UserError: an environment with neither that nor a car, or with other actions.
    """
    if hasattr(batch, "expert_actions"):
        return lambda observations, started, rewards: batch.expert_actions()
    from agents.imitation.experts import Expert

    space = batch.single_action_space
    book = isinstance(space, spaces.Discrete) and space.n == len(BOOK_CLASSES)
    if not book and space.shape != (3,):
        raise UserError(f"{env} has the actions {space}: the expert drives CarRacing, continuous or the book's classes")
    cars = batch.envs if isinstance(batch, SyncVectorEnv) else [batch]
    experts = [Expert(car, "book" if book else "continuous", style) for car in cars]
    return lambda observations, started, rewards: np.concatenate([expert.act() for expert in experts])


class Tremor:
    """Noise on a car's steering and pedals, in bursts: the driver gets where mistakes lead.

    A clone learns from that how to come back (the idea of Laskey et al. 2017, "DART"). In a burst, of 5 to 24 steps,
    Ornstein-Uhlenbeck noise is added, of the standard deviation ``std`` to the steering and `PEDALS` times as much to
    acceleration, gas less brake; at least 20 steps pass in between.
    """

    MEMORY = 0.9  # of the noise from step to step
    PEDALS = 5.0  # a driver's pedals vary so much more than the steering

    def __init__(self, std: float, space: Space[Any], seed: int) -> None:
        if std and space.shape != (3,):
            raise UserError(f"noise={std}: it disturbs a car's steering, gas and brake, and this is {space}")
        self._std, self._rng = std, generators(seed, "tremor")["tremor"]
        self._noise, self._left = np.zeros(2), 0  # steps of a burst, counted down; below 0: steps since

    def __call__(self, action: Any) -> Any:
        """The action as a trembling hand and foot do it."""
        if not self._std:
            return action
        fresh = self._std * np.sqrt(1 - self.MEMORY**2) * self._rng.standard_normal(2)
        self._noise = self.MEMORY * self._noise + fresh
        self._left -= 1
        if self._left < -20 and self._rng.random() < 0.05:
            self._left = int(self._rng.integers(5, 25))
        if self._left <= 0:
            return action
        steering, acceleration = steering_and_acceleration(action[None])[0] + self._noise * (1, self.PEDALS)
        return car_actions(np.array([steering]), np.array([acceleration]))[0]


def demonstrate(
    batch: VectorEnv[Any, Any, Any], driver: Driver, writer: DemonstrationWriter, seeds: range, name: str, noise: float
) -> None:
    """Let ``driver`` drive one episode a seed, several side by side, and store them in the order of the seeds."""
    space = batch.single_action_space

    def proper(actions: Any) -> Array:
        """As the environment will see them, so that they replay."""
        if not isinstance(space, spaces.Box):
            return np.asarray(actions)
        return np.clip(actions, space.low, space.high).astype(space.dtype)

    for first in range(seeds.start, seeds.stop, batch.num_envs):
        lanes = range(min(batch.num_envs, seeds.stop - first))
        observations, _ = batch.reset(seed=list(range(first, first + batch.num_envs)))  # type: ignore[arg-type]
        items = list(iterate(batch.observation_space, observations))
        recordings = [Recording(batch.single_observation_space, [items[lane]], first + lane) for lane in lanes]
        tremors = [Tremor(noise, space, first + lane) for lane in range(batch.num_envs)]
        started, done = np.ones((2, batch.num_envs), np.bool_)
        done[: len(lanes)] = False
        rewards = np.zeros(batch.num_envs)
        while not done.all():
            meant = proper(driver(observations, started, rewards))
            actions = proper([tremor(action) for tremor, action in zip(tremors, meant, strict=True)])
            observations, rewards, terminated, truncated, _ = batch.step(actions)
            items = list(iterate(batch.observation_space, observations))
            for lane in np.flatnonzero(~done):
                recordings[lane].add(actions[lane], 0, items[lane], rewards[lane], terminated[lane], truncated[lane])
                if noise:
                    recordings[lane].meant.append(meant[lane])
            done |= terminated | truncated
            started[:] = False
        for recording in recordings:
            number = writer.append(recording.episode(driver=name, **({"noise": noise} if noise else {})))
            print(f"episode {number}  seed {recording.seed}  {len(recording)} steps  "
                  f"return {sum(recording.rewards):.1f}")  # fmt: skip


class Session:
    """A person at the keyboard: one lane, one window, one episode after the other."""

    def __init__(self, batch: VectorEnv[Any, Any, Any], keys: KeyMap, writer: DemonstrationWriter, seed: int) -> None:
        self.batch, self.keys, self.writer, self.seed = batch, keys, writer, seed
        self.window = Window(f"{writer.env} - recording to {writer.path}", "record without one: --driver expert or RUN")
        self.held = Held(keys.keys)
        arrows = {"left", "right", "up", "down"}.issuperset(keys.keys)
        self.help = f"{'arrows, WASD or gamepad' if arrows else ', '.join(keys.keys)}: drive    {HELP}"
        self.fps = float(batch.metadata.get("render_fps", 30))
        self.counts = np.zeros(len(self.class_names()), np.int64)  # of the kept episodes
        for episode in load(writer.path) if len(writer) and len(self.counts) else []:
            self.counts += self.count(episode.actions)
        self.counting = np.zeros_like(self.counts)  # of the one under way
        self.score = 0.0
        self.paused = self.over = False
        self.recording = self.begin()

    def begin(self) -> Recording:
        """Start the next episode; it waits for the first key."""
        require(self.seed < FIRST_EVALUATION_SEED, "seed", self.seed, "all training seeds are used up: choose --seed")
        observations, _ = self.batch.reset(seed=[self.seed])  # type: ignore[arg-type]
        self.seed += 1
        self.counting[:], self.score = 0, 0.0
        first = next(iterate(self.batch.observation_space, observations))
        return Recording(self.batch.single_observation_space, [first], self.seed - 1)

    def run(self, episodes: int | None) -> None:
        """Record until Esc, or until so many episodes are kept."""
        end = None if episodes is None else len(self.writer) + episodes
        try:
            for tick in itertools.count():
                for event in self.window.events():
                    self.react(event)
                if self.over or len(self.writer) == end or (SMOKE and tick == 3):
                    break
                held = self.held.look()
                if not self.paused:
                    self.move(held)
                self.show()
                self.window.wait(self.fps)
        finally:
            self.window.close()

    def react(self, event: Any) -> None:
        """Pause, discard, quit, or a key of the map."""
        pygame = self.window.pygame
        self.held.see(event)
        if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
            self.over = True
            if len(self.recording):
                self.recording.truncated = True  # by us: the environment would have gone on
                self.keep(stopped=True)
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE:
            self.paused = not self.paused
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_RETURN:
            self.recording, self.paused = self.begin(), False

    def move(self, held: Mapping[str, float]) -> None:
        """One step, unless the world waits for a key."""
        action = self.keys.action(held)
        if action is None or not (len(self.recording) or any(held.values())):
            return
        observations, rewards, terminated, truncated, _ = self.batch.step(np.array([action]))
        item = next(iterate(self.batch.observation_space, observations))
        self.recording.add(action, self.keys.bits(held), item, rewards[0], terminated[0], truncated[0])
        self.counting += self.count(np.array([action]))
        self.score += float(rewards[0])
        if terminated[0] or truncated[0]:
            self.keep()
            self.recording = self.begin()

    def keep(self, **details: Any) -> None:
        """Store the episode."""
        self.writer.append(self.recording.episode(driver="human", keys=self.keys.keys, **details))
        self.counts += self.counting

    def class_names(self) -> Sequence[str]:
        """The classes whose balance is shown: the book's for a car, otherwise the discrete actions."""
        is_car = "CarRacing" in str(self.writer.env)
        return BOOK_CLASSES if is_car and len(self.keys.labels) in (0, len(BOOK_CLASSES)) else self.keys.labels

    def count(self, actions: Array) -> NDArray[np.int64]:
        """How many of ``actions`` are of each class."""
        space = self.batch.single_action_space
        if not len(self.class_names()):
            return np.zeros(0, np.int64)
        classes = actions - space.start if isinstance(space, spaces.Discrete) else book_classes(actions)
        return np.bincount(classes, minlength=len(self.class_names()))

    def show(self) -> None:
        """Draw the window."""
        frames = self.batch.render()
        picture: Any = frames and frames[0]
        status = [f"score {self.score:.1f}", f"step {len(self.recording)}"]
        progress = lap_progress(self.batch)
        if progress is not None:
            status.append(f"lap {progress:.0%}")
        status += [f"episodes kept {len(self.writer)}", f"seed {self.recording.seed}"]
        bars = list(zip(self.class_names(), (self.counts + self.counting).tolist(), strict=True))
        notice = "paused - Space goes on" if self.paused else "press a key to start" if not len(self.recording) else ""
        self.window.show(picture, ["    ".join(status), self.help], bars, notice)


def lap_progress(batch: VectorEnv[Any, Any, Any]) -> float | None:
    """Share of the track's tiles that the first car has visited, where there is a track."""
    fields = getattr(batch.unwrapped, "fields", {})
    if "visits" in fields and "tiles" in fields:
        return float(fields["visits"][0] / max(fields["tiles"][0], 1))
    single: Any = batch.envs[0].unwrapped if isinstance(batch, SyncVectorEnv) else None
    if hasattr(single, "tile_visited_count"):
        return single.tile_visited_count / max(len(single.track), 1)
    return None


if __name__ == "__main__":
    main()

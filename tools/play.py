"""Watch a run or demonstrations, or play a board game against somebody.

    python -m tools.play RUN|DATASET [--episode K] [--video FILE] [--verify]
    python -m tools.play OPPONENT --env ID [--side second] [--terminal]

The second is a board game of yours against an opponent (`tools.board_play`).
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate
from numpy.typing import NDArray

from agents.evaluate import load as load_run
from agents.evaluate import pictures, write_video
from agents.evaluation import Player, playground
from agents.imitation.demonstrations import Demonstrations, load
from agents.imitation.episodes import Episode, Recording, leaves
from agents.opponents import board_game
from agents.rollout import make_lanes
from agents.settings import FIRST_EVALUATION_SEED, Keywords
from agents.zoo import locate
from supervised.training.doors import SMOKE, door, parse
from supervised.training.errors import UserError, require
from supervised.training.run import read_config
from tools import board_play
from tools.window import Window

PROG = "python -m tools.play"
DESCRIPTION = (
    "Watch the agent of a run, or recorded demonstrations, in a window or as a video; or play a board game yourself, "
    "against the agent of a run that was trained on it, or, with --env, against another opponent."
)
LEAST_PIXELS = 300  # smaller pictures are enlarged in a video
HELP = "Space: pause    Esc: quit"


@dataclass(frozen=True)
class Options:
    """Options of the command."""

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|DATASET|OPPONENT")]
    """A run's folder or "zoo:NAME"; demonstrations: a folder or the id of a Minari data set; or who plays a board game
    with you: random, mcts:2000, perfect, or a run. A run that was trained on a board game plays with you, unless
    --episode or --video asks to see it play."""
    env: Annotated[str | None, tyro.conf.arg(metavar="ID")] = None
    """The board game that you play, such as skidpad/ConnectFour-v0 (default: the run's)."""
    env_kwargs: Keywords = field(default_factory=dict)
    """Its keywords, as JSON: '{"size": 6}'."""
    side: Literal["first", "second"] = "first"
    """Whose turns you have in it."""
    terminal: bool = False
    """Play it in the terminal instead of a window."""
    seed: int | None = None
    """Seed of the opponent's random numbers (default: others every time)."""
    episode: int | None = None
    """Which episode: of a data set from 0 (default: all); a run plays the episode of seed 10,000 + K (default: 0)."""
    video: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write an .mp4 or .gif instead of opening a window."""
    verify: bool = False
    """Show nothing: play the recorded actions again, and find the same observations and rewards, bit for bit."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with door():
        play(parse(Options, sys.argv[1:] if arguments is None else arguments, prog=PROG, description=DESCRIPTION))


def play(options: Options) -> None:
    """Show, film or verify."""
    folder = locate(options.what)
    is_run = (folder / "config.json").exists()
    watching = Options(options.what, episode=options.episode, video=options.video, verify=options.verify)
    if watching == Options(options.what) and (game := game_to_play(options, folder)):
        board_play.play(options.what, *game, options.side, options.terminal, options.seed)
        return
    if options != watching:
        raise UserError(
            f"{options.what} is only watched here: --env, --env-kwargs, --side, --terminal and --seed are for board "
            "games, without --episode, --video and --verify"
        )
    if options.verify:
        require(not is_run, "verify", options.what, "it is a run: give a data set of demonstrations")
        verify(load(options.what), options.episode)
        return
    frames, fps = run_frames(options) if is_run else demonstration_frames(load(options.what), options.episode)
    if SMOKE:
        frames = (frame for frame, _ in zip(frames, range(3), strict=False))
    if options.video is None:
        show(frames, fps, options.what)
    else:
        write_video(options.video, (picture for picture, _ in map(enlarged, frames)), round(fps))
        print(options.video)


def game_to_play(options: Options, folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The environment of the board game that a person is to play, and its keywords; None where something is watched.

    Raises:
        UserError: an opponent without a game.
    """
    if options.env is not None:
        return options.env, dict(options.env_kwargs)
    if (folder / "config.json").exists():
        config = read_config(folder)["config"]
        env, kwargs = config.get("env"), {**config.get("env_kwargs", {}), **options.env_kwargs}
        return (env, kwargs) if board_game(env, kwargs) else None
    if options.what.partition(":")[0] in ("random", "mcts", "perfect") and not folder.exists():
        raise UserError(f"{options.what} plays board games: name one, as --env skidpad/ConnectFour-v0")
    return None


Frame = tuple[NDArray[np.uint8], str]  # a picture (height, width, 3), and what to write below it


def run_frames(options: Options) -> tuple[Iterator[Frame], float]:
    """The pictures of a greedy episode of a run's agent, and their rate (1/s)."""
    policy, env, kwargs = load_run(options.what)
    batch = playground(policy, env, 1, {**kwargs, "render_mode": "rgb_array"})
    episode = options.episode or 0
    require(episode >= 0, "episode", episode, "use 0 or more")
    seed = FIRST_EVALUATION_SEED + episode
    shown = pictures(Player(policy).act, batch, seed)
    frames = ((frame, f"{env}    seed {seed}    step {step}") for step, frame in enumerate(shown))
    return frames, float(batch.metadata.get("render_fps", 30))


def demonstration_frames(demonstrations: Demonstrations, number: int | None) -> tuple[Iterator[Frame], float]:
    """The pictures of recorded episodes, and their rate (1/s): those stored, or drawn anew where none are stored.

    Raises:
        UserError: no such episode; neither pictures nor the seed to draw them again.
    """
    numbers = chosen(demonstrations, number)
    shape = demonstrations.observation_space.shape or ()
    stored = demonstrations.observation_space.dtype == np.uint8 and (len(shape) == 2 or shape[2:] == (3,))
    batch = None if demonstrations.env is None else again(demonstrations, render_mode="rgb_array")
    fps = 50.0 if batch is None else float(batch.metadata.get("render_fps", 30))

    def frames() -> Iterator[Frame]:
        for one in numbers:
            episode = demonstrations[one]
            if stored:
                drawn: Iterator[Any] = iter(episode.observations)
            elif batch is None or episode.seed is None:
                raise UserError(
                    f"episode {one} of {demonstrations.path} has neither pictures nor a seed to draw them again"
                )
            else:
                drawn = (batch.render()[0] for _ in replay(batch, episode))  # type: ignore[index]
            score = np.concatenate([[0.0], np.cumsum(episode.rewards)])
            for step, picture in enumerate(drawn):
                colored = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
                yield colored, f"episode {one}    step {step} of {len(episode)}    score {score[step]:.1f}"

    return frames(), fps


def chosen(demonstrations: Demonstrations, number: int | None) -> Sequence[int]:
    """The numbers of the episodes asked for."""
    last = len(demonstrations) - 1
    require(number is None or 0 <= number <= last, "episode", number, f"the data set has the episodes 0 to {last}")
    return range(last + 1) if number is None else [number]


def again(demonstrations: Demonstrations, **shown: Any) -> VectorEnv[Any, Any, Any]:
    """The environment of the demonstrations, one lane."""
    assert demonstrations.env is not None
    own: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED, "copy": True}
    return make_lanes(demonstrations.env, 1, {**demonstrations.env_kwargs, **shown}, **own)


def replay(batch: VectorEnv[Any, Any, Any], episode: Episode) -> Iterator[Recording]:
    """Play an episode's actions again; yields what there is so far after the reset and after every step."""
    observations, _ = batch.reset(seed=[episode.seed])  # type: ignore[arg-type]
    first = next(iterate(batch.observation_space, observations))
    recording = Recording(batch.single_observation_space, [first], episode.seed)
    yield recording
    for action in episode.actions:
        observations, rewards, terminated, truncated, _ = batch.step(np.array([action]))
        item = next(iterate(batch.observation_space, observations))
        recording.add(action, 0, item, rewards[0], terminated[0], truncated[0])
        yield recording
        if terminated[0] or truncated[0]:
            break


def verify(demonstrations: Demonstrations, number: int | None) -> None:
    """Play episodes again from their seed and actions.

    Raises:
        UserError: an episode that does not come out the same (naming its first differing step), or cannot be played.
    """
    where = str(demonstrations.path)
    if demonstrations.env is None:
        raise UserError(f"{where} does not say which environment it was recorded on: it cannot be verified")
    batch = again(demonstrations)
    steps = 0
    for one in chosen(demonstrations, number):
        episode = demonstrations[one]
        if episode.seed is None:
            raise UserError(f"episode {one} of {where} has no seed, as imported ones: it cannot be verified")
        recording = list(replay(batch, episode))[-1]
        difference = first_difference(episode, recording.episode(), demonstrations.observation_space)
        if difference is not None:
            raise UserError(f"episode {one} of {where} differs at {difference}")
        steps += len(episode)
    batch.close()
    print(f"{len(chosen(demonstrations, number))} episodes of {steps} steps are the same, bit for bit")


def first_difference(stored: Episode, now: Episode, space: Any) -> str | None:
    """Where two recordings of an episode part ("step 3: the reward is 1.0, stored 0.9"), or None."""
    found: list[tuple[int, str]] = []
    common = min(len(stored), len(now))
    for (_, old), (_, new) in zip(leaves(space, stored.observations), leaves(space, now.observations), strict=True):
        rows = (old[: common + 1] != new[: common + 1]).reshape(common + 1, -1).any(axis=1)
        if rows.any():
            found.append((int(rows.argmax()), "the observation is another"))
    for name in ("rewards", "terminations", "truncations"):
        old, new = getattr(stored, name)[:common], getattr(now, name)[:common]
        rows = old != new
        if name == "truncations" and stored.details.get("stopped"):
            rows[-1] = False  # the recorder stopped it, not the environment
        if rows.any():
            step = int(rows.argmax())
            found.append((step + 1, f"{name} has {new[step]}, stored {old[step]}"))
    if len(stored) != len(now):
        found.append((common, f"the episode ends, stored {len(stored)} steps"))
    return "step {}: {}".format(*min(found)) if found else None


def enlarged(frame: Frame) -> Frame:
    """A small picture with several pixels a pixel."""
    picture, text = frame
    factor = -(-LEAST_PIXELS // picture.shape[0]) if picture.shape[0] < LEAST_PIXELS // 2 else 1
    return picture.repeat(factor, axis=0).repeat(factor, axis=1), text


def show(frames: Iterator[Frame], fps: float, title: str) -> None:
    """Show pictures in a window until they end or Esc is pressed."""
    window = Window(title, "write a file with --video FILE.mp4")
    pygame = window.pygame
    paused = over = False
    frame = next(frames, None)
    while frame is not None and not over:
        for event in window.events():
            if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
                over = True
            elif event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE:
                paused = not paused
        window.show(frame[0], [frame[1], HELP], notice="paused - Space goes on" if paused else "")
        window.wait(fps)
        frame = frame if paused else next(frames, None)
    window.close()


if __name__ == "__main__":
    main()

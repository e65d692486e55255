"""Games of the Atari 2600 as a batch: 84 x 84 gray pixels, in the preprocessing that the field has agreed on."""

import difflib
import sys
import weakref
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.atari import emulators, kernels
from envs.atari.games import GAMES, title
from envs.batched import Array, BatchedEnv, Lanes
from envs.single import SingleEnv

CROPS = {"none": None, "book": (34, 194)}
FRAMES_PER_SECOND = 60
POOLED = 2  # frames of a step that an observation shows: sprites that flicker are drawn in every other one


class Atari(BatchedEnv):
    """A game of the Atari 2600, run by the Arcade Learning Environment (Bellemare et al. 2013), seen as gray pixels.

    Needs ale-py, which brings the games along: ``pip install 'skidpad[atari]'``. Every game for one player has an id,
    such as ``skidpad/Atari-Breakout-v0``.

    ## Actions: ``Discrete(n)``
    The actions that do something in this game, in ALE's order; with ``full_action_space`` all 18 of them:
    | action | meaning | action | meaning | action | meaning |
    |---|---|---|---|---|---|
    | 0 | nothing | 6 | up right | 12 | left, fire |
    | 1 | fire | 7 | up left | 13 | down, fire |
    | 2 | up | 8 | down right | 14 | up right, fire |
    | 3 | right | 9 | down left | 15 | up left, fire |
    | 4 | left | 10 | up, fire | 16 | down right, fire |
    | 5 | down | 11 | right, fire | 17 | down left, fire |

    An action is held for ``frame_skip`` frames of 1/60 s. Breakout has 0, 1, 3 and 4, numbered from 0 on.

    ## Observations: ``Box((stack, 84, 84), uint8)``
    The latest ``stack`` frames, oldest first, the first of an episode repeated; with ``stack=1`` there is no such
    axis. Each is the lighter of the last two frames of its step, pixel by pixel, in gray as ALE gives it, cropped, and
    shrunk by the mean over the area of each pixel. A game that ends before them shows the frame it ended in.

    ## Reward
    The points won in the step, as the game counts them.

    ## Episode
    A whole game. Starts after 1 to ``noop_max`` frames in which nothing is pressed, as many as the lane draws.
    Terminates when the game is over; is truncated after ``max_episode_steps``. ``infos["lives"]`` is how many are
    left, and ``infos["life_lost"]`` where the step took one and the game goes on: what a learner makes of that is its
    own business (``--life-loss-ends``, and ``--clip-rewards`` for rewards).

    ## Keywords
    Those of `envs.batched.BatchedEnv`, and
    - ``game``: ALE's name, such as "ms_pacman"; an id of the registry implies it.
    - ``frame_skip``: frames of a step, default 4.
    - ``repeat_action_probability``: that a frame still has the action of the frame before it, however often it has
      been so ("sticky actions", Machado et al. 2018), default 0.25; 0 for a game without chance.
    - ``stack``: frames of an observation, default 4. A learner with a replay memory takes 1 and the transform
      ``stack:4``, so that the memory holds every frame once.
    - ``crop``: "none" (default), or "book": rows 34 to 194, which leave out the score.
    - ``noop_max``: default 30; 0 for none, and every episode starts alike.
    - ``fire_reset``: whether the button is pressed for a frame more at the start and after each lost life, in games
      that know it, default True: in some nothing moves before, and a policy that never fires would not end.
    - ``full_action_space``: default False.
    - ``max_episode_steps``: default 27,000, which are 108,000 frames or half an hour with ``frame_skip=4``.

    ``state_dict`` holds no state of the emulator, but what was pressed in the episode under way: loading plays it
    again, some thousand frames a second.

    ## Versions
    v0: as ``ALE/...-v5`` of ale-py 0.12 under the preprocessing of Mnih et al. (2015), but that an episode's memory
    starts with the same bytes each time.
    """

    metadata = {**BatchedEnv.metadata, "render_fps": FRAMES_PER_SECOND // 4}
    # ale-py holds the interpreter's lock while it plays a frame: two threads are slower than one
    lanes_per_thread = sys.maxsize

    def __init__(
        self,
        num_envs: int = 1,
        *,
        game: str,
        frame_skip: int = 4,
        repeat_action_probability: float = 0.25,
        stack: int = 4,
        crop: str = "none",
        noop_max: int = 30,
        fire_reset: bool = True,
        full_action_space: bool = False,
        max_episode_steps: int | None = 27_000,
        **kwargs: Any,
    ) -> None:
        for name, value, least in (("frame_skip", frame_skip, 1), ("stack", stack, 1), ("noop_max", noop_max, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name}={value!r}: use a whole number from {least} on")
        if game not in GAMES:
            near = difflib.get_close_matches(str(game).lower(), GAMES)
            known = f"did you mean {' or '.join(near)}?" if near else "use a name such as breakout or ms_pacman"
            raise ValueError(f"game={game!r}: {known}")
        if crop not in CROPS:
            raise ValueError(f"crop={crop!r}: use one of {list(CROPS)}")
        if not 0 <= repeat_action_probability < 1:
            raise ValueError(f"repeat_action_probability={repeat_action_probability}: use a number from 0, below 1")
        self.game, self.frame_skip, self.noop_max = game, int(frame_skip), int(noop_max)
        self.repeat_action_probability, self.crop = float(repeat_action_probability), crop
        start = emulators.start(game)
        codes = tuple(range(emulators.CODES)) if full_action_space else start.actions
        self._codes = np.array(codes, np.uint8)
        self.fires = bool(fire_reset) and emulators.FIRE in start.actions
        self._window_rows = CROPS[crop] or (0, start.screen[0])
        shape = (kernels.SIZE, kernels.SIZE)
        super().__init__(
            num_envs,
            gym.spaces.Box(0, 255, shape if stack == 1 else (stack, *shape), np.uint8),
            gym.spaces.Discrete(len(codes)),
            {
                "pixels": np.zeros((num_envs, stack, *shape), np.uint8),
                "lives": np.zeros(num_envs, np.int64),
                "life_lost": np.zeros(num_envs, np.bool_),
                "held": np.zeros(num_envs, np.uint8),  # the action of the last frame
                "frames": np.zeros(num_envs, np.int64),  # of the episode under way
            },
            max_episode_steps=max_episode_steps,
            **kwargs,
        )
        self.metadata = {**self.metadata, "render_fps": max(FRAMES_PER_SECOND // self.frame_skip, 1)}
        self._tapes = [bytearray() for _ in range(num_envs)]  # what was pressed in each frame of the episode
        self._power_on()

    @property
    def protocol(self) -> str:
        """What makes scores comparable, in one line."""
        chance, stack = self.repeat_action_probability, self.fields["pixels"].shape[1]
        parts = [
            f"Atari {title(self.game)}",
            f"{self.frame_skip} frames a step" + (", the lighter of the last 2" if self.frame_skip > 1 else ""),
            f"sticky actions {chance:g}" if chance else "no sticky actions",
            f"up to {self.noop_max} frames of waiting at the start",
            "fire pressed at the start and after each lost life" if self.fires else "fire left to the agent",
            "rows {} to {}".format(*self._window_rows) if self.crop != "none" else "full frame",
            "84 x 84 gray, " + (f"stacks of {stack}" if stack > 1 else "single frames"),
            "whole games" if self.max_episode_steps is None else f"at most {self.max_episode_steps:,} steps",
        ]
        return ", ".join(parts)

    def _power_on(self) -> None:
        """Emulators, and what is kept of the last two frames of each lane to save work; no part of the state."""
        lanes = self.num_envs
        self._start = emulators.start(self.game)
        self._emulators: list[Any] = [None] * lanes
        self._screen = np.zeros((lanes, *self._start.screen), np.uint8)
        self._known = np.zeros((lanes, 2, *self._start.screen), np.uint8)
        self._gray = np.zeros((lanes, 2, *self._start.screen), np.uint8)
        self._changed = np.ones((lanes, 2, self._start.screen[0]), np.bool_)
        self._slots = [0] * lanes  # which of the two is the older

        for lane in range(lanes):
            self._emulators[lane] = emulator = emulators.take(self.game)
            self._known[lane], self._gray[lane] = emulator.getScreen(), emulator.getScreenGrayscale()
        weakref.finalize(self, emulators.give, self.game, self._emulators).atexit = False

    def _look(self, lane: int) -> None:
        """Take in the emulator's present frame instead of the older of the two known ones."""
        emulator, slot, screen = self._emulators[lane], self._slots[lane], self._screen[lane]
        palette = emulators.palette(self.game)
        known = palette, self._known[lane, slot], self._gray[lane, slot], self._changed[lane, slot]
        emulator.getScreen(screen)
        if not kernels.take_in(screen, *known):
            palette[screen] = emulator.getScreenGrayscale()
            kernels.take_in(screen, *known)
        self._slots[lane] = 1 - slot

    def _press(self, lane: int, actions: bytes) -> tuple[int, bool]:
        """Play a frame for each of the actions, until the game is over; returns the points won, and whether it is."""
        emulator, points, over, frame = self._emulators[lane], 0, False, 0
        act, game_over = emulator.act, emulator.game_over
        for frame, action in enumerate(actions, 1):
            points += act(action)
            over = game_over(with_truncation=False)
            if frame > len(actions) - POOLED or over:
                self._look(lane)
            if over:
                break
        if frame == 1 or (over and frame < len(actions)):
            self._look(lane)  # a single frame is both
        self._tapes[lane] += actions[:frame]
        return points, over

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        _, lives, life_lost, held, frames = lanes.fields
        pressed = np.zeros((len(actions), self.frame_skip), np.uint8)
        codes = self._codes[actions]
        kernels.plan(codes, lanes.ended, held, self.repeat_action_probability, lanes.rng, pressed)

        life_lost[:] = False
        for k in np.flatnonzero(~lanes.ended).tolist():
            lane = lanes.where.start + k
            points, over = self._press(lane, pressed[k].tobytes())
            left = self._emulators[lane].lives()
            life_lost[k] = left < lives[k] and not over
            if life_lost[k] and self.fires:
                more, over = self._fire(lane)
                points += more
            lanes.rewards[k], lanes.terminated[k], lives[k] = points, over, left
            frames[k] = len(self._tapes[lane])
            self._draw(lane)

    def _fire(self, lane: int) -> tuple[int, bool]:
        emulator = self._emulators[lane]
        points = emulator.act(emulators.FIRE)
        self._tapes[lane].append(emulators.FIRE)
        self._look(lane)
        return points, emulator.game_over(with_truncation=False)

    def _draw(self, lane: int) -> None:
        """Put the last two frames into the stack."""
        pixels = self.fields["pixels"][lane]
        pixels[:-1] = pixels[1:]
        kernels.shrink(self._gray[lane], self._changed[lane], *self._window_rows, pixels[-1])

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        pixels, lives, life_lost, held, frames = lanes.fields
        waits = np.zeros(len(mask), np.int64)
        kernels.draw_waits(mask, self.noop_max, lanes.rng, waits)
        life_lost[mask] = False
        for k in np.flatnonzero(mask).tolist():
            lane = lanes.where.start + k
            self._emulators[lane].restoreSystemState(self._start.state)
            self._tapes[lane] = bytearray()
            # a state that was brought back has no picture yet: two frames draw one
            self._press(lane, bytes([emulators.NOOP]) * (POOLED + int(waits[k])))
            if self.fires:
                self._fire(lane)
            lives[k], held[k], frames[k] = self._emulators[lane].lives(), emulators.NOOP, len(self._tapes[lane])
            self._draw(lane)
            pixels[k, :-1] = pixels[k, -1]

    def _observe_lanes(self, lanes: Lanes, out: Array) -> None:
        pixels = lanes.fields[0]
        out[...] = pixels if pixels.shape[1] > 1 else pixels[:, 0]

    def _infos(self) -> dict[str, Any]:
        # a time limit that cuts a game off as a life is lost is no lost life: nothing follows
        return {"lives": self.fields["lives"].copy(), "life_lost": self.fields["life_lost"] & ~self.done}

    def _render_lane(self, lane: int) -> NDArray[np.uint8]:
        return self._emulators[lane].getScreenRGB()

    def state_dict(self) -> dict[str, Array]:
        """See `BatchedEnv.state_dict`; ``tape (lanes, frames)`` is what was pressed, up to each lane's ``frames``."""
        tape = np.zeros((self.num_envs, max(map(len, self._tapes))), np.uint8)
        for row, pressed in zip(tape, self._tapes, strict=True):
            row[: len(pressed)] = np.frombuffer(pressed, np.uint8)
        return {**super().state_dict(), "tape": tape}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """See `BatchedEnv.load_state_dict`; plays the episodes under way again.

        Raises:
            ValueError: also where a game does not come out as it did, as another version of ale-py may play it.
        """
        tape, frames = np.asarray(state.get("tape")), np.asarray(state.get("frames"))
        rows = tape.dtype == np.uint8 and tape.shape[:-1] == (self.num_envs,)
        if not (rows and frames.dtype == np.int64 and frames.shape == (self.num_envs,)):
            raise ValueError(f"tape {tape.dtype} {tape.shape} and frames {frames.shape}: one row a lane is needed")
        if (frames < 0).any() or (frames > tape.shape[1]).any() or (tape >= emulators.CODES).any():
            raise ValueError(f"frames {frames} and actions up to {tape.max()} on tapes {tape.shape}: they do not fit")
        super().load_state_dict({name: array for name, array in state.items() if name != "tape"})
        self._tapes = [bytearray(row[:count].tobytes()) for row, count in zip(tape, frames, strict=True)]
        self._replay()

    def _replay(self) -> None:
        """Bring the emulators to where the tapes end."""
        for emulator, tape in zip(self._emulators, self._tapes, strict=True):
            emulator.restoreSystemState(self._start.state)
            for action in tape:
                emulator.act(action)
        self._changed[:] = True  # the newest pixels are not those of the frames that are known
        for lane, emulator in enumerate(self._emulators):
            if self._tapes[lane] and emulator.lives() != self.fields["lives"][lane]:
                remedy = "was it saved with another version of ale-py?"
                raise ValueError(f"lane {lane}: {title(self.game)} did not come out as it was saved; {remedy}")

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_start", "_emulators", "_screen", "_known", "_gray", "_changed", "_slots")
        return {name: value for name, value in super().__getstate__().items() if name not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._power_on()
        self._replay()


class AtariEnv(SingleEnv):
    batched = Atari

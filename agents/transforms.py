"""Observation transforms: what a network sees of an observation. An ordered list of names, alike wherever it acts.

    gray            colours (height, width, 3) to gray (height, width), as Pillow's "L"
    crop:A:B:C:D    rows A to B and columns C to D of an image (the ends left out)
    resize:H:W      H rows and W columns of an image, each pixel the mean over its area
    perceive:RUN    what a run of `supervised.train` makes of an image: features, or a map such as every pixel's class
    stack:K         the newest K of what the others give, oldest first; an episode's first fills the stack
    repeat:K        no observation at all but every K-th: an action is held for K steps of the environment

Box observations pass as they are without these. Everything else (Discrete, MultiDiscrete, MultiBinary, and Dict and
Tuple of any of these) is flattened into one float32 vector, discrete parts one-hot, in the order of Gymnasium's
``flatten``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.pixels import to_gray
from envs.threads import shares
from supervised.flattened import Flattened
from supervised.training.errors import UserError, require, suggest

Array = NDArray[Any]
Transform = Callable[[Any], Array]

#: name -> how many numbers follow it; "perceive" has the folder of a run
NAMES = {"gray": 0, "crop": 4, "resize": 2, "perceive": 1, "stack": 1, "repeat": 1}


class Transforms:
    """The transforms ``names`` of observations of ``space``: called with a batch, it gives a batch of frames.

    Attributes:
        frame_space: a Box, of one transformed observation.
        stack: how many frames a network sees at once; `FrameStack` puts them together.
        space: a Box, of what a network sees: ``frame_space``, or ``(stack, *frame_space.shape)``.
        repeat: how many steps of the environment an action is held, see `agents.rollout.make_lanes`.

    Raises:
        UserError: an unknown name, numbers that do not fit it or the space, or a space without fixed size.
    """

    def __init__(self, space: gym.Space[Any], names: Sequence[str] = ()) -> None:
        self.frame_space, first = flattener(space)
        self.stack, self.repeat = 1, action_repeat(names)
        self._steps = [first]
        for name in names:
            kind, numbers = parse(name)
            if kind == "stack":
                self.stack *= numbers[0]
            elif kind in _IMAGES:
                require(self.stack == 1, "transforms", tuple(names), "stack comes after all changes of the image")
                self.frame_space, step = _IMAGES[kind](self.frame_space, *numbers)
                self._steps.append(step)
        self.space = self.frame_space if self.stack == 1 else _stacked(self.frame_space, self.stack)

    def __call__(self, observations: Any) -> Array:
        """Frames ``(batch, *frame_space.shape)`` of observations as vector environments give them."""
        for step in self._steps:
            observations = step(observations)
        return observations


def parse(name: str) -> tuple[str, list[Any]]:
    """Kind and numbers of one transform: ``("crop", [0, 84, 6, 90])``; raises `UserError`."""
    kind, *texts = name.split(":")
    if kind not in NAMES:
        raise UserError(f"unknown transform {name!r}{suggest(kind, NAMES)}")
    if kind == "perceive":
        return kind, [":".join(texts)]
    usage = ":".join([kind, *"ABCD"[: NAMES[kind]]])
    require(len(texts) == NAMES[kind] and all(text.isdecimal() for text in texts), "transforms", name, f"write {usage}")
    numbers = [int(text) for text in texts]
    require(kind == "crop" or 0 not in numbers, "transforms", name, "use numbers from 1 on")
    return kind, numbers


def action_repeat(names: Sequence[str]) -> int:
    """How many steps of the environment an action is held: the product of the ``repeat:K`` among the names."""
    return math.prod(numbers[0] for kind, numbers in map(parse, names) if kind == "repeat")


class FrameStack:
    """The newest frames of every lane, oldest first; an episode's first frame fills the stack of its lane.

    With ``stack`` 1 frames pass as they are.
    """

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self._frames: Array = np.zeros(0)

    def push(self, frames: Array) -> Array:
        """Stacks ``(lanes, stack, *frame)`` after new frames ``(lanes, *frame)`` of the episodes under way."""
        if self.stack > 1:
            self._frames = np.concatenate([self._frames[:, 1:], frames[:, None]], axis=1)
        return frames if self.stack == 1 else self._frames

    def start(self, frames: Array, mask: Array) -> Array:
        """The present stacks, those of the lanes in ``mask (lanes,)`` filled with the first frame of an episode."""
        if self.stack == 1:
            return frames
        if mask.all():
            self._frames = np.repeat(frames[:, None], self.stack, axis=1)
        elif mask.any():
            self._frames = self._frames.copy()  # what `push` returned stays as it was
            self._frames[mask] = frames[mask][:, None]
        return self._frames

    def see(self, frames: Array, started: Array) -> Array:
        """The stacks after new frames, of which those in ``started (lanes,)`` are the first of an episode.

        All of them must be at the first call.
        """
        if not started.all():
            self.push(frames)
        return self.start(frames, started)

    def state_dict(self) -> dict[str, Any]:
        """The frames remembered, nothing where only the newest counts."""
        return {} if self.stack == 1 else {"frames": self._frames.copy()}

    def load_state_dict(self, state: Mapping[str, Any], newest: Array) -> Array:
        """The stacks of `state_dict` before the frames ``newest`` that the lanes show now."""
        if self.stack == 1:
            return newest
        self._frames = np.array(state["frames"])
        self._frames[:, -1] = newest
        return self._frames


def _gray(space: spaces.Box) -> tuple[spaces.Box, Transform]:
    require(_is_image(space) and space.shape[2:] == (3,), "transforms", "gray", f"needs colour images, not {space}")

    def gray(images: Any) -> Array:
        out = np.empty(images.shape[:-1], np.uint8)
        to_gray(np.ascontiguousarray(images), out, shares(len(out), 16))
        return out

    return _pixels(space.shape[:2]), gray


def _crop(space: spaces.Box, top: int, bottom: int, left: int, right: int) -> tuple[spaces.Box, Transform]:
    name = f"crop:{top}:{bottom}:{left}:{right}"
    require(_is_image(space), "transforms", name, f"needs images of bytes, not {space}")
    rows, columns = space.shape[:2]
    fits = top < bottom <= rows and left < right <= columns
    require(fits, "transforms", name, f"cut rows within 0 to {rows} and columns within 0 to {columns}")
    shape = (bottom - top, right - left, *space.shape[2:])
    return _pixels(shape), lambda images: np.ascontiguousarray(images[:, top:bottom, left:right])


def _resize(space: spaces.Box, height: int, width: int) -> tuple[spaces.Box, Transform]:
    require(_is_image(space), "transforms", f"resize:{height}:{width}", f"needs images of bytes, not {space}")
    rows, columns = space.shape[:2]
    area = rows * columns  # every output pixel covers the area 1 / (height * width) of the image
    # sums of bytes times overlaps are whole numbers up to 255 * area: exact in either type, in any order of adding
    dtype = np.float32 if 255 * area < 2**24 else np.float64
    vertical, horizontal = _overlaps(rows, height).astype(dtype), _overlaps(columns, width).T.astype(dtype)

    def resize(images: Any) -> Array:
        planes = np.moveaxis(images, 3, 1) if images.ndim == 4 else images
        sums = (vertical @ planes.astype(dtype) @ horizontal).astype(np.uint32)
        means = ((2 * sums + area) // (2 * area)).astype(np.uint8)  # rounded half up
        return np.ascontiguousarray(np.moveaxis(means, 1, 3)) if images.ndim == 4 else means

    return _pixels((height, width, *space.shape[2:])), resize


def _perceive(space: spaces.Box, run: str) -> tuple[spaces.Box, Transform]:
    import torch  # slow to import, and not needed by others

    from supervised.perception import perception

    require(_is_image(space), "transforms", f"perceive:{run}", f"needs images of bytes, not {space}")
    kind, network = perception(Path(run))

    @torch.inference_mode()
    def perceive(images: Any) -> Array:
        return network(torch.from_numpy(np.asarray(images))).numpy()

    try:
        seen = perceive(np.zeros((1, *space.shape), np.uint8))[0]
    except RuntimeError as error:
        raise UserError(f"transforms='perceive:{run}': that {kind} learnt from other images than {space}") from error
    if seen.dtype == np.uint8:
        return _pixels(seen.shape), perceive
    return spaces.Box(-np.inf, np.inf, seen.shape, np.float32), perceive


_IMAGES: dict[str, Callable[..., tuple[spaces.Box, Transform]]] = {
    "gray": _gray,
    "crop": _crop,
    "resize": _resize,
    "perceive": _perceive,
}


def _overlaps(inputs: int, outputs: int) -> Array:
    """How much input i and output o share ``(outputs, inputs)``; inputs are ``outputs`` long, outputs ``inputs``."""
    o, i = np.arange(outputs)[:, None] * inputs, np.arange(inputs) * outputs
    return np.maximum(np.minimum(o + inputs, i + outputs) - np.maximum(o, i), 0)


def _is_image(space: spaces.Box) -> bool:
    return space.dtype == np.uint8 and len(space.shape) in (2, 3)


def _pixels(shape: tuple[int, ...]) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def _stacked(space: spaces.Box, stack: int) -> spaces.Box:
    low, high = (np.repeat(bound[None], stack, axis=0) for bound in (space.low, space.high))
    return spaces.Box(low, high, dtype=space.dtype.type)


def flattener(space: gym.Space[Any]) -> tuple[spaces.Box, Transform]:
    """The space that a network sees without transforms, and the function that turns a batch of observations into it.

    Returns:
        the transformed space (a `Flattened` where it is another), and a function from observations as vector
        environments give them (arrays ``(batch, ...)``, or dictionaries and tuples of them) to an array
        ``(batch, *shape)``.

    Raises:
        UserError: a space without fixed size (Text, Sequence, Graph).
    """
    if isinstance(space, spaces.Box):
        return space, np.asarray
    if not space.is_np_flattenable:
        raise UserError(f"observations of {space} have no fixed size: wrap the environment to give arrays")
    return Flattened(space), lambda observations: np.concatenate(_parts(space, observations), axis=1)


def _parts(space: gym.Space[Any], observations: Any) -> list[Array]:
    """The float32 columns of a batch, part by part."""
    if isinstance(space, spaces.Dict):
        return [part for key, child in space.spaces.items() for part in _parts(child, observations[key])]
    if isinstance(space, spaces.Tuple):
        return [part for child, batch in zip(space.spaces, observations, strict=True) for part in _parts(child, batch)]
    if isinstance(space, spaces.Discrete):
        return [np.eye(space.n, dtype=np.float32)[np.asarray(observations) - space.start]]
    if isinstance(space, spaces.MultiDiscrete):
        batch = np.asarray(observations).reshape(len(observations), -1)
        sizes = zip(space.nvec.ravel(), (batch - space.start.ravel()).T, strict=True)
        return [np.eye(size, dtype=np.float32)[column] for size, column in sizes]
    batch = np.asarray(observations)
    return [batch.reshape(len(batch), -1).astype(np.float32)]

"""InstructionMaze: do in a maze what a sentence says."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.batched import Array, BatchedEnv, Lanes
from envs.grid import instruction_dynamics as dynamics
from envs.grid import instructions
from envs.grid.layout import MOVES
from envs.single import SingleEnv

SMALLEST = 7  # cells a side: fewer rooms have no place for everything
NAMES = np.array(
    [".", "#", *(name[0] for name in instructions.OBJECTS), *(name[0].upper() for name in instructions.EXITS)]
)
CAPTION = 56  # pixels below the picture, for the instruction


class InstructionMaze(BatchedEnv):
    """A maze with four exits and four things in it, and an instruction in English what to take and where to leave.

    The language half of the book's chapter 7 put to the use of an agent: only who reads the instruction can follow it.
    Every episode has a maze and an instruction of its own, drawn independently of each other, so that the maze tells
    nothing about the instruction. All four objects and all four exits are always there, and each can be reached
    without taking another thing. Whoever cannot read can only hope: what suits most instructions, to take one certain
    object and leave by one certain exit, is right for 5 of 96.

    ## Instructions
    One of six templates, drawn uniformly, with its gaps filled uniformly:

    | template | to be done |
    |---|---|
    | "leave by the {exit} exit" | take nothing |
    | "take the {object}, then leave by the {exit} exit" | as it says |
    | "leave by the {exit} exit after taking the {object}" | the same, in the other order of words |
    | "take the {object} before the {other}, then leave by the {exit} exit" | the first object first |
    | "take the {object} after the {other}, then leave by the {exit} exit" | the first object second |
    | "take the {object}, but do not leave by the {exit} exit" | leave by any of the other three |

    ``object`` and ``other`` are two of carrot, apple, key, gem; ``exit`` is north, east, south or west: up, right,
    down, left. These are 148 sentences. A sentence becomes numbers word by word, a comma being a word, too; 0 fills it
    up. ``metadata["vocabulary"]`` has the words in the order of their numbers, ``metadata["templates"]``,
    ``metadata["objects"]`` and ``metadata["exits"]`` the grammar. The sentence itself is ``info["instruction"]``.

    ## Actions: ``Discrete(4)``
    | action | meaning |
    |---|---|
    | 0 | up |
    | 1 | right |
    | 2 | down |
    | 3 | left |

    A move into a wall stays in its cell.

    ## Observations: ``Dict``
    | key | space | meaning |
    |---|---|---|
    | "planes" | ``Box((10, rows + 2, columns + 2), uint8)`` | 0 or 1 a cell, see below |
    | "tokens" | ``Box((13,), int16)`` | the instruction's words by number |

    The planes show walls, the agent, the four objects and the four exits, one a plane in the order above. The two
    additional rows and columns are the wall around the maze, with a door in each side. Objects lie in rooms, the cells
    with odd coordinates; what has been taken is gone.

    ## Reward
    The sum of ``step_reward`` (-0.01) for every step, ``object_reward`` (0.5) for each object taken as it was asked
    for, ``exit_reward`` (1) for leaving as it was asked for after that, ``mistake_reward`` (-1) for any other object or
    exit, and ``progress_reward`` (0) times the cells by which the way to the end of the task has become shorter. The
    last is a help for learners that changes no best policy (Ng, Harada and Russell 1999); it knows the shortest ways.

    ## Episode
    Starts in a room. Terminates at any exit, and when a thing is taken that is not the next one asked for; truncated
    after ``max_episode_steps`` ("2 x cells", the default, is 2 times rows times columns; `gymnasium.make` takes numbers
    alone). The step that ends an episode tells ``success`` in ``info`` (in ``final_info`` where the same step resets).
    ``reset(options={"instruction": text})`` asks for a sentence of the grammar; one for all lanes or one a lane.

    ## Keywords
    - ``size=(9, 9)``: rows and columns of the maze, odd numbers from 7 on. ``loops=0.3``: the chance of each wall
      between two rooms to be opened, on top of a maze with a single way between any two.
    - ``split="all"``: "train" leaves out a quarter of the combinations of template, object and exit, "unseen" has
      only those; every template but the first keeps four, in which each object and each exit occurs once.
    - ``blind=False``: whether the tokens are all 0.
    - ``step_reward``, ``object_reward``, ``exit_reward``, ``mistake_reward``, ``progress_reward``.
    - those of `envs.batched.BatchedEnv`.

    Raises ``ValueError`` for other sizes, splits, chances or instructions.

    ## Versions
    v0.
    """

    metadata: dict[str, Any] = {
        **BatchedEnv.metadata,
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 8,
        "templates": tuple(template.text for template in instructions.TEMPLATES),
        "objects": instructions.OBJECTS,
        "exits": instructions.EXITS,
        "vocabulary": instructions.VOCABULARY,
    }
    icons: ClassVar = {
        **{name[0]: name for name in instructions.OBJECTS},
        **{name[0].upper(): "goal" for name in instructions.EXITS},
    }

    def __init__(
        self,
        num_envs: int = 1,
        *,
        size: tuple[int, int] = (9, 9),
        loops: float = 0.3,
        split: Literal["all", "train", "unseen"] = "all",
        blind: bool = False,
        step_reward: float = -0.01,
        object_reward: float = 0.5,
        exit_reward: float = 1.0,
        mistake_reward: float = -1.0,
        progress_reward: float = 0.0,
        max_episode_steps: int | Literal["2 x cells"] | None = "2 x cells",
        **kwargs: Any,
    ) -> None:
        if np.shape(size) != (2,) or min(size) < SMALLEST or not all(side % 2 for side in size):
            raise ValueError(f"size={size}: give two odd numbers, rows and columns, from {SMALLEST} on")
        if isinstance(max_episode_steps, str) and max_episode_steps != "2 x cells":
            raise ValueError(f'max_episode_steps={max_episode_steps!r}: give a number, None, or "2 x cells"')
        if not 0 <= loops <= 1:
            raise ValueError(f"loops={loops}: give a chance from 0 to 1")
        rows, self.columns = size[0] + 2, size[1] + 2
        self.loops, self.blind = loops, blind
        self.rewards_of = (step_reward, object_reward, exit_reward, mistake_reward, progress_reward)
        groups = instructions.chosen(split)
        self._members = np.concatenate(groups)
        self._groups = np.cumsum([0, *map(len, groups)])
        sentences = instructions.INSTRUCTIONS
        self._tokens = np.stack([instructions.encode(one.text) for one in sentences])
        self._goals = np.full((len(sentences), instructions.GOALS), -1)
        for number, one in enumerate(sentences):
            self._goals[number, : len(one.goals)] = one.goals
        self._exits = np.array([one.exits for one in sentences])

        cells = rows * self.columns
        lanes = (num_envs, instructions.GOALS + 1, cells)
        fields: dict[str, Array] = {
            "cells": np.zeros((num_envs, cells), np.int8),
            "place": np.zeros(num_envs, np.int64),
            "instruction": np.zeros(num_envs, np.int64),
            "stage": np.zeros(num_envs, np.int64),
            "distances": np.zeros(lanes, np.int16),
            "success": np.zeros(num_envs, np.bool_),
        }
        seen: dict[str, gym.Space[Any]] = {
            "planes": gym.spaces.Box(0, 1, (dynamics.PLANES, rows, self.columns), np.uint8),
            "tokens": gym.spaces.Box(0, len(instructions.VOCABULARY) - 1, (instructions.LENGTH,), np.int16),
        }
        super().__init__(
            num_envs,
            gym.spaces.Dict(seen),
            gym.spaces.Discrete(len(MOVES)),
            fields,
            max_episode_steps=2 * size[0] * size[1] if max_episode_steps == "2 x cells" else max_episode_steps,
            **kwargs,
        )

    def _step_lanes(self, lanes: Lanes, actions: Array) -> None:
        rules = (self.columns, self._goals, self._exits, *self.rewards_of)
        dynamics.step(actions, lanes.ended, *rules, lanes.rewards, lanes.terminated, *lanes.fields)

    def _reset_lanes(self, lanes: Lanes, mask: Array, options: Mapping[str, Any]) -> None:
        forced = np.full(len(mask), -1)
        if "instruction" in options:
            wanted = instructions.find(options["instruction"])
            if len(wanted) not in (1, self.num_envs):
                raise ValueError(f"{len(wanted)} instructions for {self.num_envs} lanes: give one, or one a lane")
            forced[:] = wanted
        texts = (self._groups, self._members, forced, self._goals, self._exits)
        dynamics.reset(mask, lanes.rng, self.columns, self.loops, *texts, *lanes.fields[:-1])

    def _observe_lanes(self, lanes: Lanes, out: Any) -> None:
        cells, place, instruction, *_ = lanes.fields
        planes = out["planes"]
        dynamics.observe(cells, place, planes.reshape(*planes.shape[:2], -1))
        out["tokens"][:] = 0 if self.blind else self._tokens[instruction]

    def _infos(self) -> dict[str, Any]:
        texts = instructions.TEXTS[self.fields["instruction"]]
        return {"instruction": texts, "_instruction": np.ones(self.num_envs, np.bool_)}

    def _outcome(self) -> dict[str, Any]:
        return {"success": self.fields["success"].copy(), "_success": self.done.copy()}

    def expert_actions(self) -> Array:
        """The first move of a shortest way through the task, for every lane ``(lanes,)``; 0 where it is done."""
        actions = np.zeros(self.num_envs, np.int64)
        names = ("cells", "place", "stage", "distances")
        dynamics.shortest(self.columns, *(self.fields[name] for name in names), actions)
        return actions

    def _render_lane(self, lane: int) -> str | NDArray[np.uint8]:
        from envs.drawing import Canvas
        from envs.grid.drawing import draw_grid

        characters = NAMES[self.fields["cells"][lane]].reshape(-1, self.columns)
        agent = np.array(divmod(int(self.fields["place"][lane]), self.columns))
        text = str(instructions.TEXTS[self.fields["instruction"][lane]])
        if self.render_mode == "ansi":
            characters[tuple(agent)] = "@"
            return "\n".join([*("".join(row) for row in characters), text])
        picture = draw_grid(characters, self.icons, MOVES, agent=agent)
        caption = Canvas(picture.shape[1], CAPTION)
        caption.text(
            (picture.shape[1] / 2, CAPTION / 2), text, (38, 44, 54), min(28.0, 1.9 * picture.shape[1] / len(text))
        )
        return np.concatenate([picture, caption.array()])


class InstructionMazeEnv(SingleEnv):
    batched = InstructionMaze

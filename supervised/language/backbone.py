"""The backbone that reads: planes, and a sentence that speaks of them."""

import math
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from supervised.backbones import Backbone, Residual
from supervised.training.errors import UserError

WORD, SENTENCE = 32, 64  # units of a word, and of what a sentence asks for
SOUGHT = 4  # maps of what is looked for
CHANNELS, BLOCKS = 32, 3  # of the residual network


class Language(Backbone):
    """Convolutions over planes that a sentence speaks of.

    Words are embedded and read by a GRU (Cho et al. 2014). What it says at each of them, together with which planes
    have anything in them, is turned into the kernel of a 1 x 1 convolution (as in LingUNet: Misra et al. 2018): maps of
    what is looked for now. They join the planes before a residual network, of which each block sees two cells of its
    maps further. A feature is the greatest that any place of the last map has: what counts near the agent is the same
    wherever it is, and the weights are for planes of any size.

    Args:
        space: a `supervised.flattened.Flattened` Dict of "planes" ``(planes, rows, columns)``, and "tokens"
            ``(length,)``: words by number, and 0 after the last.

    Raises:
        UserError: another space.
    """

    feature_dim = 128

    def __init__(self, space: gym.Space[Any]) -> None:
        super().__init__()
        parts = getattr(space, "parts", None)
        if not isinstance(parts, gym.spaces.Dict) or list(parts) != ["planes", "tokens"]:
            remedy = "use it in skidpad/InstructionMaze-v0, without the transform stack"
            raise UserError(f"the backbone language reads planes and tokens, not {space}: {remedy}")
        planes, tokens = parts["planes"], parts["tokens"]
        assert isinstance(planes, gym.spaces.Box) and isinstance(tokens, gym.spaces.Box)
        self.shape = planes.shape
        self.words = nn.Embedding(int(tokens.high.max()) + 1, WORD)
        self.sentence = nn.GRU(WORD, SENTENCE, batch_first=True)
        said = math.prod(tokens.shape) * SENTENCE
        asked = [nn.Linear(said + self.shape[0], SENTENCE), nn.ReLU(), nn.Linear(SENTENCE, SENTENCE), nn.ReLU()]
        self.kernel = nn.Sequential(*asked, nn.Linear(SENTENCE, SOUGHT * self.shape[0]))
        self.stem = nn.Conv2d(self.shape[0] + SOUGHT, CHANNELS, 3, stride=2)
        self.blocks = nn.Sequential(*(Residual(CHANNELS) for _ in range(BLOCKS)), nn.ReLU())
        self.out = nn.Conv2d(CHANNELS, self.feature_dim, 1)

    def forward(self, observations: Tensor) -> Tensor:
        """Features ``(batch, feature_dim)`` of flattened observations ``(batch, columns)``."""
        flat, tokens = observations.tensor_split([math.prod(self.shape)], dim=1)
        planes = flat.unflatten(1, (self.shape[0], -1))  # (batch, planes, cells)
        asked = torch.cat([self.read(tokens.int()), planes.amax(2)], dim=1)
        sought = self.kernel(asked).unflatten(1, (SOUGHT, -1)) @ planes
        maps = torch.cat([planes, sought], dim=1).unflatten(2, self.shape[1:])
        maps = self.blocks(self.stem(maps.contiguous(memory_format=torch.channels_last)))  # which is faster so
        return self.out(maps).amax((2, 3)).relu()

    def read(self, tokens: Tensor) -> Tensor:
        """What the GRU says at each word, side by side ``(batch, length * SENTENCE)``; 0 after the last."""
        if not torch.is_grad_enabled():
            return self._read(tokens)
        # in learning every sentence is read once, however many rows have it; who acts does not, since products of
        # other sizes may differ in the last bit, and what a lane does is not to depend on what others read
        sentences, rows = tokens.unique(dim=0, return_inverse=True)
        return self._read(sentences)[rows]

    def _read(self, sentences: Tensor) -> Tensor:
        said, _ = self.sentence(self.words(sentences))
        return said.masked_fill((sentences == 0)[..., None], 0.0).flatten(1)

"""The network of AlphaZero: a residual tower with a head for the policy and one for the value (Silver et al. 2017)."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from envs.board.game import Game


class Convolution(nn.Module):
    """A convolution that keeps the board's size, with batch normalization behind it."""

    def __init__(self, channels: int, filters: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, padding=kernel // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(filters)

    def forward(self, planes: Tensor) -> Tensor:
        """Maps ``(batch, filters, rows, columns)``, before the activation."""
        return self.norm(self.conv(planes))


class Block(nn.Module):
    """Two convolutions and the way around them (He et al. 2016)."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(filters, filters), Convolution(filters, filters)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(batch, filters, rows, columns)``."""
        return F.relu(self.second(F.relu(self.first(maps))) + maps)


class PolicyValueNetwork(nn.Module):
    """Logits of all actions and the value for the mover, of positions as their `Game` observes them.

    Args:
        blocks, filters: of the tower.
        units: of the value head's hidden layer, twice the planes of the policy head.
    """

    def __init__(self, game: Game, blocks: int, filters: int, units: int = 64) -> None:
        super().__init__()
        cells = game.rows * game.columns
        self.stem = Convolution(len(game.planes), filters)
        self.blocks = nn.Sequential(*(Block(filters) for _ in range(blocks)))
        self.policy_maps, self.value_maps = Convolution(filters, units // 2, 1), Convolution(filters, units // 8, 1)
        self.policy = nn.Linear(units // 2 * cells, game.n_actions)
        self.value = nn.Sequential(nn.Linear(units // 8 * cells, units), nn.ReLU(), nn.Linear(units, 1))

    def forward(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(batch, actions)`` and values ``(batch,)`` in -1..1 of planes ``(batch, planes, rows, columns)``."""
        numbers = planes.to(self.stem.conv.weight.dtype).contiguous(memory_format=torch.channels_last)
        maps = self.blocks(F.relu(self.stem(numbers)))
        logits = self.policy(F.relu(self.policy_maps(maps)).flatten(1))
        values = self.value(F.relu(self.value_maps(maps)).flatten(1))
        return logits.float(), values.squeeze(1).float().tanh()

    def fused(self, dtype: torch.dtype) -> "PolicyValueNetwork":
        """A copy for inference: normalization is part of the convolutions, numbers are ``dtype``."""
        network = copy.deepcopy(self).cpu().eval()
        for part in network.modules():
            if isinstance(part, Convolution):
                assert isinstance(part.norm, nn.BatchNorm2d)
                part.conv, part.norm = fuse_conv_bn_eval(part.conv, part.norm), nn.Identity()
        network = network.to(dtype=dtype)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.requires_grad_(False)


def evaluator(network: PolicyValueNetwork) -> Any:
    """What asks a network: planes ``(batch, planes, rows, columns)`` give logits and values as float32 arrays."""

    @torch.inference_mode()
    def evaluate(planes: Any) -> tuple[Any, Any]:
        logits, values = network(torch.from_numpy(planes))
        return logits.numpy(), values.numpy()

    return evaluate

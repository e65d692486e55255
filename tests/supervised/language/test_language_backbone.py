"""The backbone that reads: shapes, words that count, and a sentence's meaning learnt from what it speaks of."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from supervised import backbones
from supervised.flattened import Flattened
from supervised.training.errors import UserError

PLANES, LENGTH = 3, 4


def space(side: int = 7) -> Flattened:
    planes = gym.spaces.Box(0, 1, (PLANES, side, side), np.uint8)
    return Flattened(gym.spaces.Dict(planes=planes, tokens=gym.spaces.Box(0, 9, (LENGTH,), np.int16)))


def observations(rng: np.random.Generator, batch: int, side: int = 7) -> tuple[Tensor, Tensor]:
    """A mark in each plane; sentences "w", "w 7", "8 w", "8 w 7" of which w = 1, 2, 3 names a plane.

    Returns:
        flattened observations, and in which quarter of the plane named the mark lies ``(batch,)``.
    """
    planes = np.zeros((batch, PLANES, side * side), np.float32)
    marks = rng.integers(side * side, size=(batch, PLANES))
    np.put_along_axis(planes, marks[..., None], 1.0, axis=2)
    tokens = np.zeros((batch, LENGTH), np.float32)
    words = rng.integers(1, 1 + PLANES, batch)
    late = rng.integers(2, size=batch)
    tokens[np.arange(batch), late] = words
    tokens[late == 1, 0] = 8
    tokens[np.arange(batch), late + 1] = 7 * rng.integers(2, size=batch)
    row, column = np.divmod(marks[np.arange(batch), words - 1], side)
    quarters = 2 * (row > side // 2) + (column > side // 2)
    return torch.from_numpy(np.concatenate([planes.reshape(batch, -1), tokens], axis=1)), torch.from_numpy(quarters)


def test_features_of_planes_of_any_size() -> None:
    torch.manual_seed(0)
    small, large = backbones.build("language", space()), backbones.build("language", space(11))
    large.load_state_dict(small.state_dict())
    for backbone, side in ((small, 7), (large, 11)):
        features = backbone(observations(np.random.default_rng(0), 5, side)[0])
        assert features.shape == (5, backbone.feature_dim) and features.dtype == torch.float32


def test_rows_do_not_depend_on_each_other() -> None:
    backbone = backbones.build("language", space()).eval()
    seen, _ = observations(np.random.default_rng(0), 8)
    with torch.no_grad():
        together = backbone(seen)
        alone = torch.cat([backbone(row[None]) for row in seen])
    learning = backbone(seen)  # which reads each sentence once
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(learning.detach(), together, rtol=1e-4, atol=1e-5)


def test_every_word_counts_and_filling_does_not() -> None:
    backbone = backbones.build("language", space())
    tokens = torch.tensor([[1, 2, 3, 0], [1, 2, 0, 0], [2, 1, 3, 0], [1, 2, 3, 4], [0, 0, 0, 0]])
    said = backbone.read(tokens)
    assert len(said.unique(dim=0)) == 5
    words = said.unflatten(1, (LENGTH, -1))
    assert (words[1, 2:] == 0).all() and (words[4] == 0).all()  # nothing is said
    torch.testing.assert_close(words[0, :2], words[1, :2])  # what follows does not change what has been said


def test_it_learns_what_the_words_name() -> None:
    """Which of the planes is meant only the sentence tells; without it three times in four nothing is left but luck."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    backbone, head = backbones.build("language", space()), nn.Linear(128, 4)
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=2e-3)
    for _ in range(300):
        seen, quarters = observations(rng, 64)
        loss = nn.functional.cross_entropy(head(backbone(seen)), quarters)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen, quarters = observations(np.random.default_rng(1), 500)
    with torch.no_grad():
        right = (head(backbone(seen)).argmax(1) == quarters).float().mean()
        seen[:, -LENGTH:] = 0
        blind = (head(backbone(seen)).argmax(1) == quarters).float().mean()
    assert right > 0.95 and blind < 0.7


def test_other_spaces_are_refused() -> None:
    box = gym.spaces.Box(0, 255, (84, 84, 3), np.uint8)
    for other in (box, Flattened(gym.spaces.Dict(planes=box)), Flattened(gym.spaces.Discrete(4))):
        with pytest.raises(UserError, match="language reads planes and tokens"):
            backbones.build("language", other)

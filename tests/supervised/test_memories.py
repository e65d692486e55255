"""Memories: a window by hand, episodes that leave nothing behind, and how far each looks back."""

from typing import Any

import pytest
import torch

from supervised.memories import MEMORIES, WINDOW, fill, in_front
from supervised.training.errors import UserError

UNITS = 8
WINDOWS = ("attention", "transformer")


def sequence(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(length, 2, 3, generator=torch.Generator().manual_seed(seed))


def made(kind: str) -> Any:
    """With weights as they might be after some learning."""
    torch.manual_seed(0)
    memory = MEMORIES[kind](3, UNITS)
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return memory


def no_starts(length: int) -> torch.Tensor:
    return torch.zeros(length, 2, dtype=torch.bool)


def test_a_window_fills_and_begins_anew_with_an_episode() -> None:
    starts = no_starts(6)
    starts[3, 1] = True
    filled = fill(torch.tensor([0, 3]), starts, window=5)
    assert filled.T.tolist() == [[1, 2, 3, 4, 5, 5], [4, 5, 5, 1, 2, 3]]


def test_what_counts_comes_first() -> None:
    windows = torch.arange(8.0).reshape(2, 4, 1)
    found = in_front(windows, torch.tensor([2, 4]))
    assert found[..., 0].tolist() == [[2, 3, 3, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize("kind", MEMORIES)
def test_a_sequence_at_once_is_step_after_step(kind: str) -> None:
    """Longer than the window, with an episode that begins within it, one after it and one at once."""
    memory, inputs, starts = made(kind), sequence(3 * WINDOW), no_starts(3 * WINDOW)
    starts[0] = starts[5, 1] = starts[6, 1] = starts[2 * WINDOW, 0] = True
    state = torch.zeros(2, memory.state_dim)
    features, after = memory(inputs, state, starts)
    for t in range(len(inputs)):
        one, state = memory(inputs[t : t + 1], state, starts[t : t + 1])
        torch.testing.assert_close(one[0], features[t])
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("kind", MEMORIES)
def test_nothing_is_left_of_the_episode_before(kind: str) -> None:
    memory, inputs, starts = made(kind), sequence(2 * WINDOW), no_starts(2 * WINDOW)
    starts[WINDOW - 2] = True
    changed = inputs.clone()
    changed[: WINDOW - 2] = sequence(WINDOW - 2, seed=1)
    state = torch.zeros(2, memory.state_dim)
    before, after = memory(inputs, state, starts)[0], memory(changed, state, starts)[0]
    assert torch.equal(before[WINDOW - 2 :], after[WINDOW - 2 :])
    assert (before[: WINDOW - 2] - after[: WINDOW - 2]).abs().amin(dim=(1, 2)).max() > 0


@pytest.mark.parametrize("kind", WINDOWS)
def test_the_newest_sees_its_window_and_no_further(kind: str) -> None:
    """And the order of what it sees: each input's place counts."""
    memory, inputs = made(kind), sequence(WINDOW + 3)
    state, starts = torch.zeros(2, memory.state_dim), no_starts(WINDOW + 3)
    newest = memory(inputs, state, starts)[0][-1]
    for changed in range(len(inputs)):
        other = inputs.clone()
        other[changed] += 1
        differs = (memory(other, state, starts)[0][-1] - newest).abs().amax().item() > 1e-6
        assert differs == (changed >= len(inputs) - WINDOW), changed
    swapped = inputs.clone()
    swapped[[-3, -2]] = inputs[[-2, -3]]
    assert (memory(swapped, state, starts)[0][-1] - newest).abs().amax() > 1e-5


def test_a_transformer_begins_with_the_newest_alone() -> None:
    memory, inputs, starts = MEMORIES["transformer"](3, UNITS), sequence(4), no_starts(4)
    state, alone = torch.zeros(2, memory.state_dim), torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(memory(inputs, state, starts)[0][-1], memory(inputs[-1:], state, alone)[0][0])


@pytest.mark.parametrize("kind", WINDOWS)
def test_heads_that_cannot_share_units_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match="heads=4: 6 units must be a multiple of it"):
        MEMORIES[kind](3, 6)

"""Memories: what lets a network use more than the newest of what it reads, step after step of many episodes.

A memory has ``state_dim`` and ``forward(inputs (time, batch, units), state (batch, state_dim), starts (time, batch)) ->
(features (time, batch, units), state)``. Where ``starts`` is true an episode begins, and nothing of what was before is
left; a sequence at once gives what step after step does. The first state is zeros.

    gru, lstm                 a recurrent layer: the state is its own
    attention, transformer    the newest of a window of inputs looks back at the others: the state is the window
"""

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from supervised.transformer import Attention, Transformer, sinusoids

WINDOW = 8  # inputs that `Attention` and `Transformer` see, the newest among them
HEADS, LAYERS = 4, 2
ADDED = ("attention.out.weight", "dense.2.weight")  # of what a layer of a Transformer adds


class Memory(nn.Module):
    """What all have: see the module. A state of ``state_dim`` numbers is remembered between steps."""

    state_dim: int


class Gated(Memory):
    """A recurrent layer: "gru" (Cho et al. 2014) or "lstm" (Hochreiter and Schmidhuber 1997), two vectors of state."""

    def __init__(self, inputs: int, units: int, kind: str) -> None:
        super().__init__()
        self.recurrence = {"gru": nn.GRU, "lstm": nn.LSTM}[kind](inputs, units)
        self.state_dim = units * (2 if kind == "lstm" else 1)

    def forward(self, inputs: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        begun = starts.any(1)
        begun[0] = True
        cuts = [*begun.nonzero()[:, 0].tolist(), len(inputs)]
        features = []
        for first, end in itertools.pairwise(cuts):  # in between no episode begins
            state = state.masked_fill(starts[first][:, None], 0.0)
            some, state = self._run(inputs[first:end], state)
            features.append(some)
        return torch.cat(features), state

    def _run(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.recurrence, nn.GRU):
            features, after = self.recurrence(inputs, state[None])
            return features, after[0]
        hidden, cell = (one[None].contiguous() for one in state.chunk(2, dim=1))
        features, (hidden, cell) = self.recurrence(inputs, (hidden, cell))
        return features, torch.cat([hidden[0], cell[0]], dim=1)


class Window(Memory):
    """The newest `WINDOW` inputs of an episode, and what the newest of them makes of all.

    The state is the inputs before the newest, the oldest first, and how many of them count. Inputs know their age by
    sinusoids. ``kind`` says who looks:

        attention      one layer: c_t = sum_s softmax(q_t k_s / sqrt(d)) v_s in several heads, and then the attentional
                       vector tanh(W [c_t; h_t]) of Luong, Pham and Manning (2015)
        transformer    a causal Transformer whose newest place is read; its layers add nothing at first, so that
                       learning begins with the newest alone, which keeps it steady (Parisotto et al. 2020)

    Raises:
        UserError: units that heads cannot share.
    """

    ages: Tensor

    def __init__(self, inputs: int, units: int, kind: str) -> None:
        super().__init__()
        self.inputs, self.state_dim = inputs, (WINDOW - 1) * inputs + 1
        self.enter = nn.Linear(inputs, units)
        self.look: Attention | Transformer
        self.leave: nn.Linear | None = None
        if kind == "attention":
            self.look, self.leave = Attention(units, HEADS, causal=True), nn.Linear(2 * units, units)
        else:
            self.look = Transformer(units, LAYERS, HEADS, causal=True)
            for name, parameter in self.look.layers.named_parameters():
                if name.endswith(ADDED):
                    nn.init.zeros_(parameter)
        self.register_buffer("ages", sinusoids(WINDOW, units), persistent=False)

    def forward(self, inputs: Tensor, state: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        past, count = state[:, :-1].unflatten(1, (WINDOW - 1, self.inputs)), state[:, -1].long()
        filled = fill(count, starts, WINDOW)
        extended = torch.cat([past.transpose(0, 1), inputs])
        windows = extended.unfold(0, WINDOW, 1).movedim(-1, 2)  # (time, batch, WINDOW, inputs)
        features = self._features(windows.flatten(0, 1), filled.flatten()).unflatten(0, starts.shape)
        kept = extended[len(inputs) :].transpose(0, 1).flatten(1)
        return features, torch.cat([kept, filled[-1:].clamp(max=WINDOW - 1).T.to(kept.dtype)], 1)

    def _features(self, windows: Tensor, filled: Tensor) -> Tensor:
        """``(rows, units)`` of windows ``(rows, WINDOW, inputs)``, the last ``filled (rows,)`` of which count."""
        ages = (filled[:, None] - 1 - torch.arange(WINDOW, device=filled.device)).clamp(min=0)
        entered = self.enter(in_front(windows, filled)) + self.ages[ages]
        newest = (filled - 1)[:, None, None]
        seen = self.look(entered).take_along_dim(newest, 1)[:, 0]
        if self.leave is None:
            return seen
        return torch.tanh(self.leave(torch.cat([seen, entered.take_along_dim(newest, 1)[:, 0]], 1)))


def fill(count: Tensor, starts: Tensor, window: int) -> Tensor:
    """How many of a window count at each step ``(time, batch)``, the newest included, where ``count`` did before."""
    steps = torch.arange(len(starts), device=starts.device)[:, None]
    begun = torch.where(starts, steps, -count).cummax(0).values  # the step at which the episode under way began
    return (steps - begun + 1).clamp(max=window)


def in_front(windows: Tensor, filled: Tensor) -> Tensor:
    """Windows ``(rows, window, ...)`` with what counts, the last ``filled (rows,)``, first.

    What follows repeats the newest: a causal network that reads the newest's place sees nothing of what does not count.
    """
    length = windows.shape[1]
    places = torch.arange(length, device=filled.device) + length - filled[:, None]
    return windows.take_along_dim(places.clamp(max=length - 1)[..., None], 1)


MEMORIES: dict[str, Callable[[int, int], Memory]] = {
    **{name: functools.partial(Gated, kind=name) for name in ("gru", "lstm")},
    **{name: functools.partial(Window, kind=name) for name in ("attention", "transformer")},
}

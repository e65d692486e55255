"""Recurrent encoder, decoder and attention: what reads a sequence into a state, and what writes one from it.

A decoder is fed its state, and the token before: it is given the right one while it learns (teacher forcing), and its
own when it writes. With attention it also sees places, which are the states of an encoder at each token, or the parts
of a picture: their mean by weights that are a softmax of scores, anew at each step.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from supervised.epochs import Settings
from supervised.language.decoding import Found, State, beam_search
from supervised.language.vocabulary import EOS, GO, PAD
from supervised.training.errors import UserError, require, suggest

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
ATTENTIONS = ("none", "bahdanau", "luong")
SCORES = ("general", "dot")

Example = TypeVar("Example")


@dataclass(frozen=True)
class RecurrentSettings(Settings):
    """A training of recurrent layers."""

    batch_size: int = 64
    """Examples of a gradient step."""
    learning_rate: float = 2e-3
    """Step size at the start."""
    clip: float = 1.0
    """Norm of all gradients together that steps are cut to."""
    cell: str = "lstm"
    """Recurrent cells: lstm or gru."""
    embedding: int = 64
    """Numbers that stand for a token."""
    hidden: int = 128
    """Units of a recurrent layer; of a layer in two directions half of them in each."""
    layers: int = 1
    """Recurrent layers on top of each other."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("embedding", "hidden", "layers"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")
        require(self.clip > 0, "clip", self.clip, "use a positive number")
        require_known("cell", self.cell, CELLS)


@dataclass(frozen=True)
class DecoderSettings(RecurrentSettings):
    """The same, of what writes sequences; the examples are drawn anew for every epoch."""

    epochs: int = 10
    """Times that examples are drawn and learnt from."""
    rows: int = 10_000
    """Examples of an epoch."""
    attention: str = "luong"
    """How a decoder looks at what it writes about: none, bahdanau (additive) or luong (multiplicative)."""
    score: str = "general"
    """Luong's score of a place: general or dot."""
    teacher_forcing: float = 1.0
    """Chance that a decoder which learns is given the right token, and not its own."""
    beam: int = 4
    """Hypotheses that are kept when it is judged; 1: greedy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known("attention", self.attention, ATTENTIONS)
        require_known("score", self.score, SCORES)
        require(0 <= self.teacher_forcing <= 1, "teacher_forcing", self.teacher_forcing, "use 0 to 1")
        for name in ("beam", "rows"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "use at least 1")


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """Raise `UserError` for a setting that is none of the known ones."""
    if value not in set(known):
        raise UserError(f"unknown {name} {value!r}{suggest(value, known)}")


def learn_from(
    examples: Sequence[Example],
    loss_of: Callable[[Sequence[Example]], Tensor],
    optimizer: torch.optim.Optimizer,
    config: RecurrentSettings,
) -> float:
    """Pass through examples once, in their order, a batch a step; returns the mean loss of batches."""
    total, batches = 0.0, range(0, len(examples), config.batch_size)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for first in batches:
        loss = loss_of(examples[first : first + config.batch_size])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, config.clip)
        optimizer.step()
        total += loss.item()
    return total / len(batches)


class Encoder(nn.Module):
    """Recurrent layers over tokens.

    Args:
        size: of the vocabulary.
        both: half of the units read from the last token to the first.

    Raises:
        UserError: an odd number of units for two directions.
    """

    def __init__(self, size: int, config: RecurrentSettings, both: bool) -> None:
        super().__init__()
        require(not both or config.hidden % 2 == 0, "hidden", config.hidden, "use an even number for both directions")
        self.embedding = nn.Embedding(size, config.embedding, padding_idx=PAD)
        units = config.hidden // 2 if both else config.hidden
        self.cells = CELLS[config.cell](
            config.embedding, units, config.layers, batch_first=True, bidirectional=both
        )  # fmt: skip

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, State]:
        """States of tokens ``(batch, time)`` at each of them ``(batch, time, units)``, and the last ones for a decoder.

        Those are ``(batch, layers, units)``, of LSTMs both h and c; of two directions each in its own last one.
        """
        given = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        places, last = self.cells(given)
        last = last if isinstance(last, tuple) else (last,)
        directions = 2 if self.cells.bidirectional else 1
        together = (one.unflatten(0, (-1, directions)).permute(2, 0, 1, 3).flatten(2) for one in last)
        return pad_packed_sequence(places, batch_first=True)[0], tuple(together)


class Additive(nn.Module):
    """Scores of Bahdanau et al. (2014): a network of one hidden layer, e = v^T tanh(W s + U h)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.of_state, self.of_places = nn.Linear(units, units, bias=False), nn.Linear(units, units)
        self.v = nn.Linear(units, 1, bias=False)

    def forward(self, states: Tensor, keys: Tensor) -> Tensor:
        """Scores ``(batch, time, places)`` of states ``(batch, time, units)`` and keys, ``of_places`` of places."""
        scores: Tensor = self.v(torch.tanh(self.of_state(states)[:, :, None] + keys[:, None]))[..., 0]
        return scores


class Multiplicative(nn.Module):
    """Scores of Luong et al. (2015): e = s^T W h ("general"), or s^T h ("dot")."""

    def __init__(self, units: int, score: str) -> None:
        super().__init__()
        self.of_places = nn.Linear(units, units, bias=False) if score == "general" else nn.Identity()

    def forward(self, states: Tensor, keys: Tensor) -> Tensor:
        """As `Additive`."""
        return states @ keys.mT


class Decoder(nn.Module):
    """What tells the next token, of the tokens before and of what it writes about.

    Bahdanau's attention looks before it reads the last token, s_t = f(s_{t-1}, y_{t-1}, c_t), and Luong's after it;
    both tell the next token of tanh(W [c_t; s_t]) (in Bahdanau et al. it is a layer of maxima).

    Args:
        size: of the vocabulary.
    """

    def __init__(self, size: int, config: DecoderSettings) -> None:
        super().__init__()
        units = config.hidden
        self.embedding = nn.Embedding(size, config.embedding, padding_idx=PAD)
        self.early = config.attention == "bahdanau"
        self.attention: Additive | Multiplicative | None = None
        if config.attention != "none":
            self.attention = Additive(units) if self.early else Multiplicative(units, config.score)
            self.together = nn.Linear(2 * units, units)
        inputs = config.embedding + (units if self.early else 0)
        self.cells = CELLS[config.cell](inputs, units, config.layers, batch_first=True)
        self.out = nn.Linear(units, size)

    def begin(self, last: State, places: Tensor, seen: Tensor) -> State:
        """The state before the first token.

        Args:
            last: what the cells begin with ``(batch, layers, units)``, of LSTMs both h and c.
            places: what may be looked at ``(batch, places, units)``.
            seen: which of them there are ``(batch, places)``.
        """
        if self.attention is None:
            return last
        return (*last, places, self.attention.of_places(places), seen)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State, Tensor | None]:
        """What follows tokens ``(batch, time)``, each of them given.

        Returns:
            Logits ``(batch, time, vocabulary)`` of the next ones, the state after the last, and the weights of places
            ``(batch, time, places)`` by which it looked, or None without attention.
        """
        held = 0 if self.attention is None else 3
        last, looked_at = state[: len(state) - held], state[len(state) - held :]
        embedded = self.embedding(tokens)
        contexts = weights = None
        if self.early:
            steps = []
            for y in embedded.split(1, 1):
                context, look = self._look(last[0][:, -1:], *looked_at)  # e_{t,k} = a(s_{t-1}, h_k)
                out, last = self._run(torch.cat([y, context], 2), last)  # s_t = f(s_{t-1}, y_{t-1}, c_t)
                steps.append((out, context, look))
            out, contexts, weights = (torch.cat(one, 1) for one in zip(*steps, strict=True))
        else:
            out, last = self._run(embedded, last)
            if self.attention is not None:
                contexts, weights = self._look(out, *looked_at)
        if contexts is not None:
            out = torch.tanh(self.together(torch.cat([contexts, out], 2)))
        return self.out(out), (*last, *looked_at), weights

    def _run(self, inputs: Tensor, last: State) -> tuple[Tensor, State]:
        """The cells over inputs ``(batch, time, inputs)``: states at each, and the last ones of all layers."""
        given = tuple(one.transpose(0, 1).contiguous() for one in last)
        out, after = self.cells(inputs, given if len(given) == 2 else given[0])
        return out, tuple(one.transpose(0, 1) for one in (after if isinstance(after, tuple) else (after,)))

    def _look(self, states: Tensor, places: Tensor, keys: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts ``(batch, time, units)`` for states, and the weights of places in them ``(batch, time, places)``."""
        assert self.attention is not None
        scores = self.attention(states, keys).masked_fill(~seen[:, None], -torch.inf)
        weights = scores.softmax(2)  # alpha_{t,i} = exp(e_{t,i}) / sum_k exp(e_{t,k})
        return weights @ places, weights  # c_t = sum_i alpha_{t,i} h_i

    def loss(self, targets: Tensor, state: State, forced: float) -> Tensor:
        """The mean of -log P(y_t | v, y_1 ... y_{t-1}) over all tokens of targets ``(batch, time)`` but <pad>.

        Args:
            forced: the chance of being given the target before, and not what was told itself (torch's own generator).
        """
        given = begun(targets)
        if forced == 1:
            logits = self(given, state)[0]
        else:
            told: list[Tensor] = []
            for right in given.split(1, 1):
                own = told[-1].argmax(2) if told else right
                tokens = torch.where(torch.rand(right.shape, device=right.device) < forced, right, own)
                following, state, _ = self(tokens, state)
                told.append(following)
            logits = torch.cat(told, 1)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)

    def write(self, state: State, limit: int, beam: int) -> Found:
        """The likeliest sequences, see `beam_search`."""

        def step(tokens: Tensor, state: State) -> tuple[Tensor, State]:
            logits, state, _ = self(tokens[:, None], state)
            return logits[:, 0].log_softmax(1), state

        return beam_search(step, state, GO, EOS, limit, beam)


def begun(targets: Tensor) -> Tensor:
    """What a decoder is given to tell targets ``(batch, time)``: <go>, and each of them but the last."""
    return torch.cat([torch.full_like(targets[:, :1], GO), targets[:, :-1]], 1)

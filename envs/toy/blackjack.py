"""Blackjack from an infinite deck: hit or stick."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.batched import Array
from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv

STICK, HIT = 0, 1
CARDS = np.arange(1, 11)  # 1 is the ace, 10 also stands for the faces
CARD_PROBABILITIES = np.array([1.0] * 9 + [4.0]) / 13
SHAPE = (18, 10, 2)  # player's sum 4 ... 21, dealer's card 1 ... 10, usable ace no / yes
OVER = 360  # the state after the hand


def encode(player: ArrayLike, dealer: ArrayLike, ace: ArrayLike) -> NDArray[np.int64]:
    """State of the player's sum (4 to 21), the dealer's card (1 to 10), and a usable ace (0 or 1).

    Raises:
        ValueError: a number is out of range.
    """
    index = (np.asarray(player) - 4, np.asarray(dealer) - 1, np.asarray(ace, np.int64))
    for number, size in zip(index, SHAPE, strict=True):
        if (number < 0).any() or (number >= size).any():
            raise ValueError(
                f"({player!r}, {dealer!r}, {ace!r}): give a sum from 4 to 21, a card from 1 to 10, an ace of 0 or 1"
            )
    return np.asarray(np.ravel_multi_index(index, SHAPE))


def decode(states: ArrayLike) -> tuple[Array, Array, Array]:
    """Player's sum, dealer's card and usable ace of states 0 to 359; the opposite of `encode`."""
    player, dealer, ace = np.unravel_index(np.asarray(states), SHAPE)
    return player + 4, dealer + 1, ace


def add_card(total: Array, ace: Array, card: ArrayLike) -> tuple[Array, Array]:
    """A hand's new sum and whether an ace counts as 11 in it; a sum above 21 is a bust."""
    card, ace = np.asarray(card), np.asarray(ace, np.bool_)
    total = total + card
    promoted = (card == 1) & ~ace & (total + 10 <= 21)
    demoted = ace & (total > 21)
    return total + 10 * promoted - 10 * demoted, (ace | promoted) & ~demoted


def dealer_results() -> NDArray[np.float64]:
    """P(dealer's final sum | card shown) ``(10, 6)``: 17, 18, 19, 20, 21, bust; the dealer sticks on 17 or more."""
    sums, aces = np.indices((27, 2)).reshape(2, -1)  # a hand is sum * 2 + usable ace
    draws = np.diag((sums >= 17).astype(float))  # the chain of the dealer's hands
    for card, probability in zip(CARDS, CARD_PROBABILITIES, strict=True):
        drawing = sums < 17
        total, ace = add_card(sums[drawing], aces[drawing], card)
        np.add.at(draws, (np.flatnonzero(drawing), total * 2 + ace), probability)
    total, ace = add_card(np.zeros(10, np.int64), np.zeros(10, np.bool_), CARDS)
    ends = np.linalg.matrix_power(draws, 32)[total * 2 + ace].reshape(10, 27, 2).sum(axis=2)
    return np.concatenate([ends[:, 17:22], ends[:, 22:].sum(axis=1, keepdims=True)], axis=1)


class Blackjack(ToyEnv):
    """Draw cards for a sum closer to 21 than the dealer's without going beyond it.

    Sutton & Barto (2018), example 5.1. Cards come from an infinite deck; ten, jack, queen and king count 10,
    an ace 11 where that does not bust the hand ("usable"), else 1. The dealer shows one card, and sticks on
    17 or more. A natural (ace and ten) is worth as much as any other 21: as Gymnasium's ``Blackjack`` without
    ``natural`` and ``sab``.

    ## Actions: ``Discrete(2)``
    | action | meaning |
    |---|---|
    | 0 | stick: the dealer plays, the hand is over |
    | 1 | hit: draw a card |

    ## Observations: ``Discrete(361)``
    ``((player's sum - 4) * 10 + dealer's card - 1) * 2 + usable ace`` for sums 4 to 21 and cards 1 (ace) to
    10; 360 after the hand. ``env.unwrapped.decode(states)`` gives the three numbers, `encode` the state.

    ## Reward
    1 for a hand won, 0 for a draw, -1 for a hand lost, at its end.

    ## Episode
    Starts with two cards dealt to the player, and one to the dealer. Terminates when the player sticks or has
    more than 21; ``max_episode_steps`` is None.

    ## Keywords
    Those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    encode, decode = staticmethod(encode), staticmethod(decode)

    def __init__(self, num_envs: int = 1, *, max_episode_steps: int | None = None, **kwargs: Any) -> None:
        super().__init__(num_envs, mdp=build(), max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        if state == OVER:
            return "the hand is over"
        player, dealer, ace = decode(state)
        return f"player {player}{' with a usable ace' if ace else ''}, dealer shows {dealer}"


def build() -> MDP:
    """The model: hitting draws one of ten cards, sticking has three outcomes."""
    player, dealer, ace = decode(np.arange(OVER))

    total, usable = add_card(player[:, None], ace[:, None], CARDS)  # (states, cards)
    bust = total > 21
    shown = np.broadcast_to(dealer[:, None], bust.shape)
    hit_next = np.where(bust, OVER, encode(np.minimum(total, 21), shown, usable))

    ends = np.array([17, 18, 19, 20, 21, 0])  # the dealer's; a bust loses against every hand
    results = dealer_results()[dealer - 1]  # (states, 6)
    outcome = np.sign(player[:, None] - ends)
    stick = np.stack([(results * (outcome == reward)).sum(axis=1) for reward in (-1, 0, 1)], axis=1)

    states = np.arange(OVER)
    start = np.zeros(OVER + 1)
    first, first_ace = add_card(np.zeros(10, np.int64), np.zeros(10, np.bool_), CARDS)
    total, usable = add_card(first[:, None], first_ace[:, None], CARDS)  # (first card, second card)
    deal = np.einsum("i,j,k->ijk", CARD_PROBABILITIES, CARD_PROBABILITIES, CARD_PROBABILITIES)
    cards = (total[..., None], CARDS, usable[..., None])
    np.add.at(start, encode(*np.broadcast_arrays(*cards)), deal)
    return MDP.from_outcomes(
        (OVER + 1, 2),
        np.concatenate([np.repeat(states, 3), np.repeat(states, 10)]),
        np.repeat([STICK, HIT], [3 * OVER, 10 * OVER]),
        np.concatenate([np.full(3 * OVER, OVER), hit_next.ravel()]),
        np.concatenate([stick.ravel(), np.tile(CARD_PROBABILITIES, OVER)]),
        np.concatenate([np.tile([-1.0, 0.0, 1.0], OVER), np.where(bust, -1.0, 0.0).ravel()]),
        terminal=np.arange(OVER + 1) == OVER,
        start=start,
    )


class BlackjackEnv(SingleEnv):
    batched = Blackjack

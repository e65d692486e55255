"""Jack's car rental: how many cars to move overnight between two places."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.batched import Array
from envs.mdp import MDP
from envs.single import SingleEnv
from envs.toy import ToyEnv


class JacksCarRental(ToyEnv):
    """Jack rents out cars at two places, and moves some of them from one to the other in the night.

    Sutton & Barto (2018), example 4.2. Requests and returns at each place are Poisson distributed; a request
    that finds no car is lost; a car that is returned can be rented out the next day; a place keeps at most
    ``max_cars``, further ones leave the problem.

    ## Actions: ``Discrete(2 * max_moves + 1)``
    Action a moves a - ``max_moves`` cars from the first place to the second (so 0 moves 5 back, 5 moves none,
    10 moves 5 over). Allowed (``infos["action_mask"]``) is what the cars there suffice for; more moves all
    there are.

    ## Observations: ``Discrete((max_cars + 1)**2)``
    ``cars at the first place * (max_cars + 1) + cars at the second``, in the evening.

    ## Reward
    ``rental_reward`` (10) for each car rented out during the day less ``move_cost`` (2) for each one moved:
    the expectation given the cars of this evening and the next. Values are those of the rewards themselves.

    ## Episode
    Starts with ``max_cars // 2`` cars at each place. Goes on for ever (use a discount, 0.9 in the book); is
    truncated after ``max_episode_steps`` (1000 days).

    ## Keywords
    ``max_cars=20``, ``max_moves=5``, ``requests=(3.0, 4.0)`` and ``returns=(3.0, 2.0)`` (cars a day at each
    place), ``rental_reward=10.0``, ``move_cost=2.0``; and those of `envs.batched.BatchedEnv`.

    ## Versions
    v0.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_cars: int = 20,
        max_moves: int = 5,
        requests: tuple[float, float] = (3.0, 4.0),
        returns: tuple[float, float] = (3.0, 2.0),
        rental_reward: float = 10.0,
        move_cost: float = 2.0,
        max_episode_steps: int | None = 1000,
        **kwargs: Any,
    ) -> None:
        if max_cars < 1 or not 0 <= max_moves <= max_cars:
            raise ValueError(f"max_cars={max_cars}, max_moves={max_moves}: give 0 <= max_moves <= max_cars, one car")
        if (max_cars + 1) ** 4 * (2 * max_moves + 1) > 2**25:
            raise ValueError(f"max_cars={max_cars}: the model would have too many outcomes, use fewer cars")
        if min(*requests, *returns) < 0:
            raise ValueError(f"requests={requests}, returns={returns}: give numbers from 0 on")
        self.max_cars = max_cars
        mdp = build(max_cars, max_moves, requests, returns, rental_reward, move_cost)
        super().__init__(num_envs, mdp=mdp, max_episode_steps=max_episode_steps, **kwargs)

    def _text(self, state: int) -> str:
        first, second = divmod(state, self.max_cars + 1)
        return f"evening: {first} cars at the first place, {second} at the second"


def poisson(mean: float, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(X = k) and P(X >= k) for k = 0 ... most of a Poisson variable."""
    k = np.arange(1, most + 1)
    equal = np.exp(-mean) * np.cumprod(np.concatenate([[1.0], mean / k]))
    at_least = 1 - np.concatenate([[0.0], np.cumsum(equal)[:-1]])
    return equal, np.maximum(at_least, 0.0)


def day(max_cars: int, requests: float, returns: float) -> tuple[Array, Array]:
    """One place's day, for each number of cars in the morning and in the evening.

    Returns:
        probabilities ``(morning, evening)``, and E[cars rented out; evening] ``(morning, evening)``, which is
        the probability times the conditional expectation.
    """
    request, request_or_more = poisson(requests, max_cars)
    back, back_or_more = poisson(returns, max_cars)
    probabilities = np.zeros((max_cars + 1, max_cars + 1))
    rented = np.zeros_like(probabilities)
    for morning in range(max_cars + 1):
        for out in range(morning + 1):
            # further requests find no car, cars beyond the limit leave: both tails in one term each
            chance = request_or_more[out] if out == morning else request[out]
            left = morning - out
            evening = chance * np.append(back[: max_cars - left], back_or_more[max_cars - left])
            probabilities[morning, left:] += evening
            rented[morning, left:] += out * evening
    return probabilities, rented


def build(
    max_cars: int,
    max_moves: int,
    requests: tuple[float, float],
    returns: tuple[float, float],
    rental_reward: float,
    move_cost: float,
) -> MDP:
    """The model; see `JacksCarRental`."""
    (chance_1, rented_1), (chance_2, rented_2) = (
        day(max_cars, *rates) for rates in zip(requests, returns, strict=True)
    )
    levels = max_cars + 1
    n_states, n_actions = levels**2, 2 * max_moves + 1
    # p(evening' | morning) = p1 p2, and E[r; evening'] = 10 (e1 p2 + p1 e2), each (mornings, evenings)
    chance = np.kron(chance_1, chance_2)
    income = rental_reward * (np.kron(rented_1, chance_2) + np.kron(chance_1, rented_2))
    income /= np.where(chance > 0, chance, 1.0)

    first, second = np.divmod(np.arange(n_states), levels)
    wanted = np.arange(n_actions) - max_moves
    moved = np.clip(wanted, -second[:, None], first[:, None])  # (states, actions)
    morning_1, morning_2 = (np.minimum(cars, max_cars) for cars in (first[:, None] - moved, second[:, None] + moved))
    morning = morning_1 * levels + morning_2
    states, actions, next_states = np.indices((n_states, n_actions, n_states), np.int32).reshape(3, -1)
    return MDP.from_outcomes(
        (n_states, n_actions),
        states,
        actions,
        next_states,
        chance[morning].ravel(),
        (income[morning] - move_cost * np.abs(moved)[..., None]).ravel(),
        allowed=moved == wanted,
        start=(np.arange(n_states) == max_cars // 2 * (levels + 1)).astype(float),
    )


class JacksCarRentalEnv(SingleEnv):
    batched = JacksCarRental

"""Wall time until PPO drives CarRacing from pixels, against Stable-Baselines3 on Gymnasium's own.

Both see the same pictures, gray and small, decide as often, and learn from rounds, minibatches and passes of one size,
by the preset ``car-racing``; each with what it has for the rest: we draw roughly for training, with a Beta policy in
bfloat16, Stable-Baselines3 learns in Gymnasium's environment, with a Gaussian policy in float32. The clock of ours runs
until validation tracks, drawn roughly too, average the wanted return, evaluations included; what the agent then has on
other tracks, as Gymnasium draws them, is told beside it. The peer's clock stands still while it is evaluated, on those
pictures, whenever another such time has passed. After the last it is given up: the ratio is then a lower bound.
"""

import dataclasses
import time
from collections.abc import Iterator

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from agents.evaluation import Policy, evaluate
from agents.policy import ppo
from agents.sb3 import algorithms as sb3
from agents.sb3.lanes import Lanes
from agents.sb3.training import Agent, make_model
from agents.settings import CONFIRMATION_SEED
from tools.bench.measurement import SMOKE, Measurement
from tools.bench.until_solved import timed

RETURN = -200.0 if SMOKE else 500.0
TIMES = 1 if SMOKE else 8  # of ours, until the peer is given up
EPISODES = 2 if SMOKE else 48
SMALL = (
    {"total_steps": 256, "lanes": 4, "round_steps": 16, "evaluate_every": 128, "evaluate_episodes": 2} if SMOKE else {}
)
OURS = dataclasses.replace(ppo.PRESETS["car-racing"], stop_return=RETURN, **SMALL)  # type: ignore[arg-type]
PEER = sb3.PPO(
    env="CarRacing-v3",
    total_steps=OURS.total_steps,
    transforms=OURS.transforms,
    lanes=OURS.lanes,
    backbone="nature_cnn",
    hidden=(),
    round_steps=OURS.round_steps,
    epochs=OURS.epochs,
    batch_size=OURS.lanes * OURS.round_steps // OURS.minibatches,
    discount=OURS.discount,
    gae_lambda=OURS.gae_lambda,
    learning_rate=OURS.learning_rate,
    clip_end=OURS.clip,
)


def mean_return(agent: Policy) -> float:
    """On tracks of their own, as Gymnasium draws them."""
    return evaluate(agent, "skidpad/CarRacing-v0", episodes=EPISODES, seed=CONFIRMATION_SEED)["mean"]


class Stop(BaseCallback):
    """Ends ``learn`` when the return is reached, or ``TIMES`` times ``seconds`` have passed; ``times`` is when."""

    def __init__(self, agent: Agent, seconds: float) -> None:
        super().__init__()
        self._agent, self._seconds, self._start = agent, seconds, time.perf_counter()
        self.times, self.returns = 0, [float("-inf")]

    def _on_step(self) -> bool:
        if time.perf_counter() - self._start < (self.times + 1) * self._seconds:
            return True
        self.times += 1
        before = time.perf_counter()
        self.returns.append(mean_return(self._agent))
        self._start += time.perf_counter() - before
        return self.returns[-1] < RETURN and self.times < TIMES


def theirs(seconds: float) -> tuple[Stop, int]:
    """When the return was reached, and the steps until then."""
    lanes = Lanes(PEER.env, PEER.lanes, {}, PEER.transforms, PEER.seed)
    agent = Agent(PEER, *lanes.spaces)
    model = make_model(PEER, VecNormalize(lanes, norm_obs=False))
    agent.policy = model.policy
    stop = Stop(agent, seconds)
    model.learn(PEER.total_steps, callback=stop)
    lanes.close()
    return stop, model.num_timesteps


def run() -> Iterator[Measurement]:
    """One comparison."""
    torch.set_num_threads(1)
    agent, seconds, steps = timed("ppo", OURS)
    reached = mean_return(agent)
    stop, peer_steps = theirs(seconds)
    settings = {
        "return": RETURN,
        "decisions": {"ours": steps, "peer": peer_steps},
        "returns": {"ours": round(reached, 1), "peer": round(stop.returns[-1], 1)},
        "peer": "reached it" if stop.returns[-1] >= RETURN else "given up",
        "seeds": 1,
        "torch_threads": 1,
    }
    name = f"PPO drives CarRacing to {RETURN:g}, against SB3"
    yield Measurement(name, seconds, stop.times * seconds, "s", float(stop.times), 8.0, settings)

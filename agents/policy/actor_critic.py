"""One-step actor-critic, online (book, chapter 9: "Policy gradients with actor-critic"; Sutton & Barto, chapter 13.5).

After every step of all lanes actor and critic take a step each. With a critic of states

    delta = r + gamma v(s') - v(s)          v(s') = 0 after a terminal state
    w     += alpha delta grad v(s)
    theta += alpha delta grad log pi(a|s)

and with a critic of actions, as in Sarsa with a' drawn from pi(.|s'),

    delta = r + gamma q(s', a') - q(s, a)
    w     += alpha delta grad q(s, a)
    theta += alpha (q(s, a) - E_pi q(s, .)) grad log pi(a|s)

What the book prints otherwise: its actor follows v(s), which does not depend on the action, so that the expected step
is zero; it is delta that it must follow (erratum D-29). Both critics step by + delta, not - (D-30).

Departures: the actor of the second form subtracts the policy's mean value, a baseline that leaves the expected step as
it is (D-31). The factor gamma^t of the discounted objective is dropped on purpose, as usual (D-28). Steps are Adam's,
on the mean over lanes; with one lane the method is the book's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from agents.policy.networks import Agent, PolicySettings
from agents.policy.optimization import anneal, descend
from agents.policy.trajectories import Rewards
from agents.progress import Episodes, Examiner, crossed
from agents.rollout import Transitions, begin
from supervised.backbones import RECURRENT
from supervised.training.errors import require
from supervised.training.optimizers import load_optimizer_state, optimizer_state
from supervised.training.run import Run
from supervised.training.seeding import set_threads

Array = NDArray[Any]

CRITICS = ("state", "action")


@dataclass(frozen=True)
class Config(PolicySettings):
    """Actor-critic: a step of policy and critic after every step of the lanes."""

    critic: str = "state"
    """What the critic values: "state", or "action" (discrete ones only)."""
    learning_rate: float = 1e-3
    """Adam's step size of the actor at the start."""
    critic_rate: float = 1.0
    """The critic's step size, as a multiple of the actor's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.critic in CRITICS, "critic", self.critic, f"use one of {', '.join(CRITICS)}")
        require(self.critic_rate > 0, "critic_rate", self.critic_rate, "use a positive number")
        memory = "single steps leave nothing to learn a memory from: use another backbone, or a2c or ppo"
        require(self.backbone not in RECURRENT, "backbone", self.backbone, memory)

    @property
    def critic_of(self) -> str:
        """As `critic`."""
        return self.critic


PRESETS = {
    "default": Config(),
    "action-value": Config(critic="action"),
}


def train(config: Config, run: Run | None = None) -> Agent:
    """Train an agent; with a `Run` also log, save checkpoints, and continue from the newest one.

    Raises:
        UserError: an environment or setting that does not fit, or a loss that is no longer finite.
        supervised.training.run.Interrupted: after a signal, with a checkpoint saved.
    """
    run = run or Run.off()
    set_threads(config.threads)
    rollout = begin(config, run)
    lanes = rollout.env
    agent = Agent(config, lanes.single_observation_space, lanes.single_action_space)
    learner, rewards = Learner(config, agent), Rewards(config, config.lanes)
    memory, episodes, examiner, step = agent.initial_state(config.lanes), Episodes(), Examiner(config), 0

    def state() -> dict[str, Any]:
        return {
            "step": step,
            "agent": agent.state_dict(),
            "learner": learner.state_dict(),
            "rollout": rollout.state_dict(),
            "rewards": rewards.state_dict(),
            "episodes": episodes.state_dict(),
        }

    if saved := run.restore():
        step = saved["step"]
        agent.load_state_dict(saved["agent"])
        learner.load_state_dict(saved["learner"])
        rollout.load_state_dict(saved["rollout"])
        rewards.load_state_dict(saved["rewards"])
        episodes.load_state_dict(saved["episodes"])

    policy = agent.network.policy
    while step + config.lanes <= config.total_steps:
        parameters, _, _ = agent.act_outputs(rollout.observations, memory, rollout.started)
        actions = policy.sample(parameters, agent.rng)
        transitions = rollout.step(policy.to_env(actions))
        episodes.add(rollout)
        metrics = learner.learn(transitions, actions, rewards(transitions), 1 - step / config.total_steps)
        before, step = step, step + config.lanes
        if crossed(before, step, config.log_every):
            run.log(step, {**episodes.metrics(), **metrics})
        run.progress(step)
        if crossed(before, step, config.evaluate_every) and examiner.solved(agent, run, step):
            break
        run.checkpoint(step, state, config.checkpoint_every)
    lanes.close()
    run.finish(step, state)
    return agent


class Learner:
    """Gradient steps on the agent's network, with the optimizer's state."""

    def __init__(self, config: Config, agent: Agent) -> None:
        self.config, self.network, self.device, self.rng = config, agent.network, agent.device, agent.rng
        parts: dict[bool, list[nn.Parameter]] = {False: [], True: []}
        for name, parameter in self.network.named_parameters():
            parts[name.startswith(("critic.", "value."))].append(parameter)
        groups: list[dict[str, Any]] = [{"params": parts[False]}, {"params": parts[True], "times": config.critic_rate}]
        self.optimizer = torch.optim.Adam(groups, lr=config.learning_rate, eps=1e-5, fused=True)

    def learn(self, transitions: Transitions, actions: Array, rewards: Array, left: float) -> dict[str, Any]:
        """Learn from one step of the lanes; ``left`` is the share of the run before it. Returns metrics.

        Args:
            actions: ``(lanes, ...)`` in the policy's own coordinates.
            rewards: ``(lanes,)`` float32.

        Raises:
            UserError: the loss is not finite.
        """
        config, rate, valid = self.config, anneal(self.optimizer, self.config, left), transitions.valid
        if not valid.any():
            return {}
        columns = transitions.observations, actions, rewards, transitions.next_observations, transitions.terminated
        losses = self.losses(*(torch.from_numpy(one[valid]).to(self.device) for one in columns))
        loss = losses["policy_loss"] + losses["value_loss"] - config.entropy_coefficient * losses["entropy"]
        descend(self.optimizer, loss, config.max_gradient_norm)
        self.network.see(transitions.observations[valid])
        return {**{name: one.detach() for name, one in losses.items()}, "learning_rate": rate}

    def losses(
        self, observations: Tensor, actions: Tensor, rewards: Tensor, following: Tensor, terminated: Tensor
    ) -> dict[str, Tensor]:
        """The parts of the loss, in means over the rows of the arguments ``(rows, ...)``.

        Args:
            following: the observations after the step.
        """
        policy = self.network.policy
        outputs, all_values, _ = self.network(torch.cat([observations, following]))
        parameters, next_parameters = outputs.chunk(2)
        values, next_values = all_values.chunk(2)
        log_probs = policy.log_probs(parameters, actions)
        if self.config.critic == "action":
            q_values = values.detach()
            next_actions = policy.sample(next_parameters.detach().cpu().numpy(), self.rng)  # a' from pi(.|s')
            values = _of(values, actions)
            next_values = _of(next_values, torch.from_numpy(next_actions).to(self.device))
        # delta = r + gamma v(s') - v(s), and v(s') = 0 at a terminal state; the target is taken as given
        targets = rewards + self.config.discount * next_values.detach().masked_fill(terminated, 0.0)
        td_errors = targets - values
        weights = td_errors.detach()
        if self.config.critic == "action":
            # q(s, a) - sum_a pi(a|s) q(s, a)
            weights = values.detach() - (F.softmax(parameters.detach(), 1) * q_values).sum(1)
        return {
            "policy_loss": -(weights * log_probs).mean(),
            "value_loss": 0.5 * td_errors.square().mean(),
            "entropy": policy.entropy(parameters).mean(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Optimizer."""
        return {"optimizer": optimizer_state(self.optimizer)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict`."""
        load_optimizer_state(self.optimizer, state["optimizer"])


def _of(values: Tensor, actions: Tensor) -> Tensor:
    """Values ``(rows,)`` of the actions taken, of values ``(rows, actions)`` of all."""
    return values.gather(1, actions[:, None])[:, 0]

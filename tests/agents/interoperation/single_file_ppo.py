"""PPO in one file, as users of Gymnasium 1.x write it: no import of ours, and any vector environment will do."""

from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import nn

ROUND, EPOCHS, MINIBATCHES, GAMMA, LAMBDA, CLIP = 64, 6, 4, 0.98, 0.9, 0.2


class Network(nn.Module):
    """Logits and value of observations."""

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        super().__init__()
        inputs, actions = envs.single_observation_space.shape[0], int(envs.single_action_space.n)
        self.actor = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, actions))
        self.critic = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, observations: torch.Tensor) -> tuple[torch.distributions.Categorical, torch.Tensor]:
        return torch.distributions.Categorical(logits=self.actor(observations)), self.critic(observations)[..., 0]


def train(envs: VectorEnv[Any, Any, Any], total_steps: int, next_step_only: bool = False) -> list[float]:
    """Train, and return the returns of all episodes in the order of their ends.

    With ``next_step_only`` the script was written for resets that take a step of their own, and asks nobody.
    """
    mode = AutoresetMode.NEXT_STEP if next_step_only else envs.metadata["autoreset_mode"]
    assert mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
    torch.manual_seed(1)
    envs = RecordEpisodeStatistics(envs)
    network = Network(envs)
    optimizer = torch.optim.Adam(network.parameters(), lr=2.5e-3, eps=1e-5)
    returns: list[float] = []
    observations, _ = envs.reset(seed=1)
    done = np.zeros(envs.num_envs, bool)
    for _ in range(total_steps // (ROUND * envs.num_envs)):
        rows = []
        for _ in range(ROUND):
            begun = torch.as_tensor(observations, dtype=torch.float32)
            with torch.no_grad():
                policy, values = network(begun)
                actions = policy.sample()
            observations, rewards, terminated, truncated, infos = envs.step(actions.numpy())
            # NEXT_STEP: the step after an end only resets, and is no experience
            counts = ~done if mode is AutoresetMode.NEXT_STEP else np.ones_like(done)
            done = terminated | truncated
            following = np.array(observations)
            if mode is AutoresetMode.SAME_STEP and done.any():
                following[done] = np.stack([one for one, ended in zip(infos["final_obs"], done, strict=True) if ended])
            with torch.no_grad():
                next_values = network(torch.as_tensor(following, dtype=torch.float32))[1] * ~torch.as_tensor(terminated)
            told = infos if "episode" in infos else infos.get("final_info", {})
            if "episode" in told:
                returns += told["episode"]["r"][done & counts].tolist()
            row = (begun, actions, policy.log_prob(actions), values, torch.as_tensor(rewards, dtype=torch.float32))
            rows.append((*row, next_values, torch.as_tensor(done.copy()), torch.as_tensor(counts)))
        update(network, optimizer, [torch.stack(column) for column in zip(*rows, strict=True)])
    envs.close()
    return returns


def update(network: Network, optimizer: torch.optim.Optimizer, columns: list[torch.Tensor]) -> None:
    """All passes through a round."""
    observations, actions, log_probs, values, rewards, next_values, done, counts = columns
    advantages, last = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for t in reversed(range(ROUND)):
        delta = rewards[t] + GAMMA * next_values[t] - values[t]
        last = delta + GAMMA * LAMBDA * ~done[t] * last
        advantages[t] = last
    columns = [one[counts] for one in (observations, actions, log_probs, advantages, advantages + values)]
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(columns[0])).chunk(MINIBATCHES):
            seen, acted, before, advantage, target = (one[rows] for one in columns)
            policy, value = network(seen)
            ratio = (policy.log_prob(acted) - before).exp()
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            gain = torch.minimum(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
            loss = 0.5 * (value - target).square().mean() - gain
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.5)
            optimizer.step()

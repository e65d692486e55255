"""Chapter 9: deep reinforcement learning for games."""

from tools.book.rows import PROSE, Equation, Item, Sections, both, evaluated, measured, picture, trained

TRAIN = "python -m agents.train"
DQN = "agents/value/dqn.py"
ATARI = "envs/atari/env.py"
REINFORCE = "agents/policy/reinforce.py"
ACTOR_CRITIC = "agents/policy/actor_critic.py"
A2C = "agents/policy/a2c.py"
MCTS = "agents/search/mcts.py"
BREAKOUT = "Playing Atari Breakout with Deep Q-learning"
CART_POLE = "Playing cart pole with A2C"
SETTINGS = "the settings are the listing's"


def best_return(lines: list[dict[str, float]]) -> str:
    """The highest mean of 100 episodes in training, and where."""
    best = max(
        (line for line in lines if line.get("episode_return") is not None), key=lambda one: one["episode_return"]
    )
    return f"mean of 100 episodes up to {best['episode_return']:.0f}, after {best['step']:,} steps"


def longest(lines: list[dict[str, float]]) -> str:
    """The greatest mean length of 100 episodes in training."""
    lengths = [line["episode_length"] for line in lines if line.get("episode_length") is not None]
    return f"mean length of 100 episodes up to {max(lengths):,.0f} steps"


ITEMS: Sections[Item] = {
    "Introduction to genetic algorithms playing games": [
        Item(
            "steps",
            "selection, crossover and mutation of genes",
            f"{TRAIN} genetic --seeds 5",
            evaluated("genetic-default", "mean", ".1f", "of 500 on CartPole-v1:"),
        ),
        Item(
            "figure",
            "a game played by networks that evolved",
            f"{TRAIN} neat --preset mountain-car --seeds 5",
            both(
                evaluated("neat-mountain-car", "mean", ".1f", "mean return on MountainCar"),
                picture("neat-mountain-car"),
            ),
        ),
        Item(
            "claim",
            "evolution needs far more of the game",
            f"{TRAIN} cma-es --preset mountain-car --seeds 5",
            both(
                evaluated("cma-es-mountain-car", "mean", ".1f", "mean return on MountainCar"),
                measured("cma-es-mountain-car-s0.json", lambda one: f"in {one['training']['step']:,} steps"),
                evaluated("ppo-mountain-car", "mean", ".1f", "PPO"),
                measured("ppo-mountain-car-s0.json", lambda one: f"in {one['training']['step']:,} steps"),
            ),
        ),
    ],
    BREAKOUT: [
        Item("figure", "the game", f"{ATARI}:Atari", "six rows worth 1, 1, 4, 4, 7 and 7, not eight worth 1 (D-23)"),
        Item("listing", "imports", DQN),
        Item(
            "listing",
            "constants: batches of 32, a memory of 10^6, epsilon 1 to 0.1",
            f"{TRAIN} dqn --preset book-dqn",
            SETTINGS,
        ),
        Item(
            "listing",
            "environment, two networks, optimizer, restoring a checkpoint",
            (f"{DQN}:train", "supervised/training/run.py:Run"),
            "a resumed run ends in the same bits",
        ),
        Item("figure", "frames in, values of four actions out", "supervised/backbones.py:NatureCNN"),
        Item(
            "listing",
            "three convolutions, 512 units, Huber's loss",
            ("supervised/backbones.py:NatureCNN", "agents/value/networks.py:QNetwork"),
            "rewards are another matter (D-24)",
        ),
        Item("figure", "a frame, and what the network sees of it", f"{ATARI}:Atari", '`crop="book"`'),
        Item(
            "listing",
            "cropping, shrinking and graying a frame",
            "envs/atari/kernels.py:shrink",
            "shrunk by area, where the listing drops rows",
        ),
        Item(
            "listing", "choosing an action", "agents/value/agent.py:Agent.choose", "epsilon begins at its start (D-26)"
        ),
        Item(
            "listing",
            "filling the memory, compressed if wanted",
            "agents/replay.py:Replay",
            "every frame once; `--compress-replay`",
        ),
        Item("listing", "the training loop", f"{DQN}:train"),
        Item("listing", "drawing reward and length", "python -m tools.plot runs/breakout"),
        Item("listing", "running it all", f"{TRAIN} dqn --preset book-dqn"),
        Item(
            "figure",
            "DQN: moving average of reward and length",
            f"{TRAIN} dqn --preset book-dqn",
            evaluated("dqn-book-dqn", "mean", ".1f", "mean score"),
            book="25 at best, single episodes above 40",
        ),
        Item("listing", "double DQN: the lines taken out", f"{DQN}:Learner.update", "`--double`"),
        Item("listing", "double DQN: the lines put in", f"{DQN}:Learner.update", "the online network chooses (D-25)"),
        Item(
            "figure",
            "double DQN: moving average of reward",
            f"{TRAIN} dqn --preset ddqn",
            both(
                measured("curve-dqn-ddqn-s0.jsonl", best_return),
                evaluated("dqn-ddqn", "mean", ".1f", "greedy mean of 100 episodes after training"),
                picture("breakout-return"),
            ),
            book="better than DQN; 61 in the best episode",
        ),
        Item(
            "figure",
            "double DQN: moving average of length",
            f"{TRAIN} dqn --preset ddqn",
            both(measured("curve-dqn-ddqn-s0.jsonl", longest), picture("breakout-length")),
            book="2,778 steps in the longest episode",
        ),
        Item(
            "claim",
            "Rainbow's improvements",
            f"{TRAIN} dqn --preset rainbow",
            evaluated("dqn-rainbow", "mean", ".1f", "mean score"),
        ),
    ],
    "Monte Carlo policy gradients with REINFORCE": [
        Item(
            "steps",
            "a policy learnt from whole episodes",
            (f"{TRAIN} reinforce --preset no-baseline", f"{REINFORCE}:train"),
            "the sum ends at T - 1 (D-28)",
        ),
    ],
    "Policy gradients with actor-critic": [
        Item(
            "steps",
            "with a critic of states",
            (f"{TRAIN} actor-critic", f"{ACTOR_CRITIC}:train"),
            "the actor follows the TD error (D-29)",
        ),
        Item(
            "steps",
            "with a critic of actions",
            f"{TRAIN} actor-critic --preset action-value",
            "the critic steps by plus (D-30)",
        ),
    ],
    "Actor-Critic with advantage": [
        Item(
            "example",
            "two updates, without a baseline and with 180 as one",
            ("python -m tools.bench gradient-variance", f"{REINFORCE}:gradient_variance"),
            measured(
                "bench-gradient-variance.json",
                lambda rows: (
                    "what falls is the variance (D-31): "
                    + ", ".join(
                        f"{one['ratio']:.1f} times after {one['settings']['trained_steps']:,} steps" for one in rows
                    )
                ),
            ),
            book="140 and 57, then 14 and 3",
        ),
        Item(
            "claim",
            "PPO, which OpenAI Five learnt Dota 2 by",
            f"{TRAIN} ppo",
            evaluated("ppo-default", "mean", ".1f", "of 500 on CartPole-v1:"),
        ),
    ],
    CART_POLE: [
        Item("listing", "imports", A2C),
        Item("listing", "making CartPole-v0", "envs/control/cart_pole.py:CartPole"),
        Item(
            "listing",
            "discount 0.9, step sizes 0.01, three episodes for the actor",
            f"{TRAIN} a2c --preset book",
            SETTINGS,
        ),
        Item("listing", "a session", PROSE),
        Item(
            "listing",
            "the actor: 20 tanh units, softmax, its loss",
            f"{A2C}:Learner.losses",
            "log-softmax, a sum over actions (D-33)",
        ),
        Item("listing", "the tuple that the actor is", "agents/policy/networks.py:ActorCritic"),
        Item("listing", "the critic: 20 tanh units, squared error", f"{A2C}:Learner.losses"),
        Item("listing", "the tuple that the critic is", "agents/policy/networks.py:ActorCritic"),
        Item("listing", "drawing an action", "agents/policy/distributions.py"),
        Item(
            "listing",
            "episodes, advantages, learning, an end after ten full episodes",
            f"{A2C}:train",
            "rewards are kept as they are (D-32); a time limit is no failure (D-20)",
        ),
        Item("listing", "running it", f"{TRAIN} a2c --preset book"),
        Item(
            "figure",
            "moving average of an episode's length",
            f"{TRAIN} a2c --preset book --seeds 5",
            both(
                trained("a2c-book", "episodes", ".0f", "ten full episodes in a row after"),
                evaluated("a2c-book", "mean", ".1f", "greedy mean of 100 episodes after training, of 200:"),
            ),
            book="the most in about 200 episodes",
        ),
    ],
    "Monte Carlo Tree Search": [
        Item("figure", "selection, expansion, simulation, back-up", f"{MCTS}:simulate"),
        Item(
            "steps",
            "the same four, and the next search in what is left of the tree",
            "python -m agents.evaluate mcts:2000 --env skidpad/ConnectFour-v0",
            measured(
                "player-mcts2000-connect-four.json",
                lambda one: f"{one['wins']} won, {one['losses']} lost of 100 games against a tenth of its simulations",
            ),
        ),
    ],
    "Playing board games with AlphaZero": [
        Item(
            "steps",
            "self-play guided by a network, and learning from it",
            f"{TRAIN} alpha-zero --preset connect-four",
            both(
                evaluated(
                    "alpha-zero-connect-four", "score", ".0%", "score against UCT of 2,000 simulations", "-mcts2000"
                ),
                picture("connect-four-game"),
            ),
        ),
        Item(
            "claim",
            "better than all before at Go, chess and shogi",
            (f"{TRAIN} alpha-zero --preset go", f"{TRAIN} alpha-zero --preset othello"),
            both(
                evaluated("alpha-zero-go", "score", ".0%", "against UCT of 1,000 simulations at 5 x 5 Go", "-mcts1000"),
                evaluated("alpha-zero-othello", "score", ".0%", "at 6 x 6 Othello", "-mcts1000"),
            ),
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Policy gradient methods": [
        Equation("a step up the gradient", "agents/policy/optimization.py", "descend", "optimizer.step()"),
        Equation("J, the value of the first state", REINFORCE, "", "gradient of v_pi(s_0)"),
        Equation("the policy gradient theorem (D-27)", REINFORCE, "", "grad J = 1/N sum"),
    ],
    "Monte Carlo policy gradients with REINFORCE": [
        Equation("the policy's step", REINFORCE, "Learner.learn", "policy_loss = -(batch.advantages * log_probs)"),
        Equation("the return from step t on (D-28)", REINFORCE, "", "G_t = sum_{j=t}^{T-1}"),
    ],
    "Policy gradients with actor-critic": [
        Equation(
            "critic of states: the actor's step, twice (D-29)",
            ACTOR_CRITIC,
            "",
            "theta += alpha delta grad log pi(a|s)",
        ),
        Equation("critic of states: its own step, twice (D-30)", ACTOR_CRITIC, "", "w     += alpha delta grad v(s)"),
        Equation(
            "critic of actions: the actor's step, twice", ACTOR_CRITIC, "", "theta += alpha (q(s, a) - E_pi q(s, .))"
        ),
        Equation(
            "critic of actions: its own step, twice (D-30)", ACTOR_CRITIC, "", "w     += alpha delta grad q(s, a)"
        ),
    ],
    "Actor-Critic with advantage": [
        Equation("the advantage, q less v", ACTOR_CRITIC, "Learner.losses", "q(s, a) - sum_a pi(a|s) q(s, a)"),
        Equation(
            "the advantage as a TD error",
            "agents/policy/trajectories.py",
            "advantages",
            "delta_t = r_t + gamma v(s_(t+1)) - v(s_t)",
        ),
    ],
    "Monte Carlo Tree Search": [
        Equation("UCT (D-35)", MCTS, "_select", "u(s, a) = mean + c sqrt(ln N_s / n_sa)"),
    ],
    "Playing board games with AlphaZero": [
        Equation("PUCT", "agents/search/neural.py", "by_puct", "u(s, a) = q(s, a) + c p(s, a) sqrt(N_s) / (1 + n_sa)"),
        Equation(
            "the policy found, by visits (D-36)",
            "agents/search/neural.py",
            "conclude",
            "shares[k] = tree.visits[first + k]",
        ),
        Equation(
            "the network's loss (D-37)", "agents/search/learning.py", "Learner._losses", "- pi . ln p over all actions"
        ),
    ],
}

"""Chapter 8: the theory of reinforcement learning, and Q-learning on the cart-pole."""

import numpy as np

from agents.tabular.dynamic_programming import evaluate_policy, improve_policy
from agents.tabular.sweeps import pack, q_table, sweep_policy
from envs.grid.grid_world import GridWorld
from tools.book.rows import PROSE, Equation, Item, Sections, both, evaluated, measured, picture

TRAIN = "python -m agents.train"
DP = "agents/tabular/dynamic_programming.py"
SWEEPS = "agents/tabular/sweeps.py"
MC = "agents/tabular/monte_carlo.py"
TD = "agents/tabular/temporal_difference.py"
FUNCTION = "agents/tabular/function_approximation.py"
DQN = "agents/value/dqn.py"
Q_VALUES = "agents/value/agent.py"
SETTINGS = "the settings are the listing's"


def first_updates() -> str:
    """The values of the book's cells 2 and 3 in the first sweep over its grid, in place."""
    mdp, values = GridWorld().mdp, np.zeros(16)
    sweep_policy(pack(mdp), mdp.uniform_policy(), values, values, 1.0, 0, 16, False)
    return f"{values[1]:g} and {values[2]:g}"


def grid_values() -> str:
    """The values of the uniform policy on the book's grid, row by row."""
    mdp = GridWorld().mdp
    rows = evaluate_policy(mdp, mdp.uniform_policy(), tolerance=1e-9).values.round().astype(int).reshape(4, 4)
    return " / ".join(" ".join(map(str, row)) for row in rows)


def cell_six() -> str:
    """Action values in the book's cell 6, of the policy before, and the better policy."""
    mdp = GridWorld().mdp
    values = evaluate_policy(mdp, mdp.uniform_policy(), tolerance=1e-9).values
    q_values = np.empty((16, 4))
    q_table(pack(mdp), values, 1.0, q_values)
    policy = improve_policy(mdp, values)[5]
    names = ("up", "right", "down", "left")
    told = (f"{name} {q_values[5, k]:.0f} ({policy[k]:g})" for k, name in enumerate(names))
    return ", ".join(told)


ITEMS: Sections[Item] = {
    "RL paradigms": [
        Item(
            "example",
            "a maze of walls, paths and rewards, which carries the chapter",
            f"{TRAIN} value-iteration --env skidpad/Maze-v0",
            both(picture("maze"), picture("maze-values")),
        ),
    ],
    "RL as a Markov decision process": [
        Item(
            "figure",
            "a model of four states and four actions",
            f"{TRAIN} value-iteration --env skidpad/FourState-v0",
            "a model of the same size and kind of transitions",
        ),
        Item(
            "steps",
            "how an episode runs",
            "envs/mdp.py:sample_outcome",
            "compiled, with the random numbers of the lane",
        ),
    ],
    "Bellman equations": [
        Item("example", "Fibonacci's numbers by keeping the last two", PROSE),
    ],
    "Policy evaluation": [
        Item(
            "steps",
            "sweeps of Bellman backups until no value changes much",
            (f"{TRAIN} policy-evaluation", f"{DP}:evaluate_policy"),
            "at least one sweep (D-5)",
        ),
    ],
    "Policy evaluation example": [
        Item(
            "figure",
            "a robot on a grid of 4 x 4 cells",
            "envs/grid/grid_world.py:GridWorld",
            "the default of `skidpad/GridWorld-v0`",
        ),
        Item(
            "example",
            "the first updates, of cells 2 and 3",
            f"{SWEEPS}:sweep_policy",
            first_updates,
            book="-1 and -1.25",
        ),
    ],
    "Policy improvements": [
        Item(
            "steps", "a greedy look one step ahead in every state", f"{DP}:improve_policy", "ties share a state equally"
        ),
        Item(
            "result",
            "values of the random policy on the grid",
            f"{TRAIN} policy-evaluation --env skidpad/GridWorld-v0",
            grid_values,
            book="0 -14 -20 -22 / -14 -18 -20 -20 / -20 -20 -18 -14 / -22 -20 -14 0",
        ),
        Item(
            "example",
            "the improvement in cell 6",
            f"{DP}:improve_policy",
            cell_six,
            book="up -15 (0.5), right -21 (0), down -21 (0), left -15 (0.5)",
        ),
    ],
    "Policy and value iterations": [
        Item("figure", "policy iteration, unfolded", f"{TRAIN} policy-iteration", picture("progress")),
        Item(
            "steps",
            "evaluation and improvement merged into one",
            f"{TRAIN} value-iteration",
            "in three orders of sweeps",
        ),
    ],
    "Monte Carlo: policy evaluation": [
        Item(
            "steps",
            "first-visit and every-visit prediction",
            (f"{TRAIN} mc-prediction", f"{MC}:mc_prediction"),
            "G = gamma G + r (D-7)",
        ),
    ],
    "Exploring starts policy improvement": [
        Item(
            "steps",
            "control with a drawn first state and action",
            (f"{TRAIN} mc-exploring-starts", f"{MC}:mc_exploring_starts"),
            "every first pair can be drawn (D-8)",
        ),
    ],
    "Epsilon-greedy policy improvement": [
        Item(
            "steps",
            "control with an epsilon-greedy policy",
            (f"{TRAIN} mc-control", f"{MC}:mc_control"),
            "q is set to the average, which the print leaves out (D-10)",
        ),
    ],
    "TD: policy evaluation": [
        Item("steps", "TD(0)", (f"{TRAIN} td-prediction", f"{TD}:td_prediction")),
        Item(
            "claim",
            "n-step TD and TD(lambda) exist",
            (f"{TRAIN} n-step-td-prediction", f"{TRAIN} td-lambda-prediction"),
        ),
    ],
    "Control with Sarsa": [
        Item("steps", "on-policy control", (f"{TRAIN} sarsa", f"{TD}:sarsa"), picture("cliff-curve")),
    ],
    "Control with Q-learning": [
        Item(
            "steps",
            "off-policy control",
            (f"{TRAIN} q-learning", f"{TD}:q_learning"),
            both("the action is chosen after the update (D-13)", picture("cliff-curve")),
        ),
    ],
    "Double Q-learning": [
        Item(
            "claim",
            "Q-learning overestimates where all actions are worth 0",
            (
                f"{TRAIN} q-learning --env skidpad/MaximizationBias-v0",
                "tests/agents/tabular/test_temporal_difference.py:test_example_6_7_maximization_bias",
            ),
            "tested",
        ),
        Item(
            "steps",
            "two tables, one of which chooses and the other values",
            (f"{TRAIN} double-q-learning", f"{TD}:double_q_learning"),
        ),
    ],
    "Value function approximations": [
        Item(
            "steps",
            "TD(0) with a network",
            (f"{TRAIN} semi-gradient-td", f"{FUNCTION}:semi_gradient_td"),
            "weights move up the gradient (D-16)",
        ),
    ],
    "Value approximation for Sarsa and Q-learning": [
        Item(
            "steps", "the same for action values", (f"{TRAIN} semi-gradient-sarsa", f"{TRAIN} semi-gradient-q-learning")
        ),
    ],
    "Fixed target Q-network": [
        Item("steps", "a copy of the network that gives the targets", f"{DQN}:Learner.update", "`--target-every`"),
    ],
    "Experience replay": [
        Item(
            "claim",
            "mini-batches from a window of the latest steps, by priority if wanted",
            "agents/replay.py:Replay",
            "`--replay-size`, `--priority-exponent`",
        ),
    ],
    "Q-learning in action": [
        Item("figure", "the cart-pole", "envs/control/cart_pole.py:CartPole"),
        Item("listing", "installing Gym", "Makefile", "`make demo` installs what is needed"),
        Item("listing", "imports", DQN),
        Item(
            "listing",
            "making CartPole-v0",
            "envs/control/cart_pole.py:CartPole",
            "`skidpad/CartPole-v0`, which falls beyond 12 degrees (D-19)",
        ),
        Item("listing", "a network of 20 tanh units", "supervised/backbones.py:MLP", SETTINGS),
        Item("listing", "squared loss, and Adam", "agents/value/distributions.py:Expected", SETTINGS),
        Item("listing", "choosing an action", f"{Q_VALUES}:Agent.choose", "epsilon keeps a floor (D-22)"),
        Item("listing", "training on a mini-batch", f"{DQN}:Learner.update", SETTINGS),
        Item(
            "listing",
            "the loop of 500 episodes",
            f"{DQN}:train",
            "time limits are no failures (D-20), and every step counts (D-21)",
        ),
        Item(
            "figure",
            "steps of each episode in training",
            f"{TRAIN} dqn --preset book-ch8 --seeds 5",
            both(
                evaluated("dqn-book-ch8", "mean", ".1f", "greedy mean of 100 episodes after training"),
                picture("demo-curve"),
            ),
            book="the limit of 200 is reached about game 400",
        ),
        Item(
            "result",
            "the task is solved",
            f"{TRAIN} dqn --seeds 10",
            evaluated("dqn-default", "mean", ".1f", "of 500 steps of CartPole-v1:"),
            book="200 steps an episode",
        ),
        Item(
            "claim",
            "one hidden layer does, and it learns in little time",
            "python -m tools.bench dqn-cart-pole",
            measured("bench-dqn-cart-pole.json", lambda rows: f"solved {rows[0]['ratio']:.1f} times as fast as by SB3"),
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "RL as a Markov decision process": [
        Equation("P: chances of the next state", "envs/mdp.py", "MDP", "P(s' | s, a)"),
        Equation("R: expected reward", "envs/mdp.py", "MDP._build", "r(s, a) = sum over"),
        Equation("the trajectory of an episode", MC, "_play", "pairs[length], rewards"),
        Equation("the discounted return G (D-2)", MC, "", "G <- discount G + r"),
        Equation("G from the next G", MC, "_mc_prediction", "g = discount * g + rewards"),
        Equation("v of a policy, an expected return", MC, "mc_prediction", "v_pi as the"),
        Equation("q of a policy (D-3)", MC, "_mc_control", "g - q_values[state, action]"),
        Equation("v as the policy's mean of q", SWEEPS, "sweep_policy", "pi(a | s) q(s, a)"),
    ],
    "Bellman equations": [
        Equation("v from the next return", MC, "_mc_prediction", "g - values[state]"),
        Equation("its first part: the expected reward", "envs/mdp.py", "MDP._build", "r(s, a) = sum over"),
        Equation("its second part: what follows", SWEEPS, "_q_value", "expected += probabilities"),
        Equation("both together", SWEEPS, "_q_value", "q(s, a) = r(s, a) + discount"),
        Equation("Bellman's equation of v", SWEEPS, "sweep_policy", "sum over a of pi(a | s) q(s, a)"),
        Equation("Bellman's equation of q", SWEEPS, "_q_value", "q(s, a) = r(s, a) + discount"),
    ],
    "Optimal policies and value functions": [
        Equation("v*, the best v of all policies", DP, "policy_iteration", "optimal"),
        Equation("q*, the best q", DP, "value_iteration", "The optimal values"),
        Equation("q* from the next v*", SWEEPS, "_q_value", "+ discount * expected"),
        Equation("v* as the largest q*", SWEEPS, "_best_value", "max over a of q(s, a)"),
        Equation("Bellman's optimality of v*", SWEEPS, "sweep_optimal", "v(s) <- max over"),
        Equation("of q* (D-4)", TD, "_q_learning", "discount max over a' of q(s', a')"),
    ],
    "Policy evaluation": [
        Equation("the backup of a state", SWEEPS, "sweep_policy", "value += policy[state, action] * q"),
        Equation("the largest change so far", SWEEPS, "sweep_policy", "delta = max(delta"),
    ],
    "Policy evaluation example": [
        Equation("the backup of cell 2", SWEEPS, "sweep_policy", "out[state] = value"),
        Equation("its value in the first sweep", SWEEPS, "sweep_policy", "out[state] = value"),
        Equation("that of cell 3", SWEEPS, "sweep_policy", "out[state] = value"),
    ],
    "Policy improvements": [
        Equation("the greedy policy", "agents/tabular/policies.py", "split_row", "best = max(best"),
    ],
    "Monte Carlo: policy evaluation": [
        Equation("v as a mean of returns", MC, "_mc_prediction", "values[state] += step_size"),
    ],
    "Exploring starts policy improvement": [
        Equation("q as a mean of returns", MC, "_mc_control", "q_values[state, action] +="),
    ],
    "Epsilon-greedy policy improvement": [
        Equation(
            "chances of best and other actions (D-9)",
            "agents/tabular/actions.py",
            "epsilon_greedy",
            "1 - epsilon + epsilon / actions",
        ),
    ],
    "TD: policy evaluation": [
        Equation("TD(0)", TD, "_td", "v(s) <- v(s) + step_size [r + discount v(s') - v(s)]"),
    ],
    "Control with Sarsa": [
        Equation("Sarsa", TD, "_sarsa", "[r + discount q(s', a') - q(s, a)]"),
    ],
    "Control with Q-learning": [
        Equation("Q-learning", TD, "_q_learning", "max over a' of q(s', a') - q(s, a)]"),
    ],
    "Double Q-learning": [
        Equation("of the first table (D-14)", TD, "_double_q_learning", "q1(s, a) <- q1(s, a)"),
        Equation("of the second", TD, "_double_q_learning", "the same with q1 and q2 exchanged"),
    ],
    "Value function approximations": [
        Equation("v and q by functions with weights", FUNCTION, "", "v(s, w) or q(s, a, w)"),
        Equation("their squared errors (D-15)", "agents/value/distributions.py", "LOSSES", '"squared": F.mse_loss'),
        Equation("the gradients of these", FUNCTION, "NetworkFunction.move", "autograd.grad"),
        Equation("a step down the gradient", FUNCTION, "Function.move", "w <- w + amount"),
        Equation("TD(0) as target and estimate", FUNCTION, "_td", "target = reward if"),
        Equation("semi-gradient TD(0) (D-16)", FUNCTION, "_td", "grad v(s, w)"),
    ],
    "Value approximation for Sarsa and Q-learning": [
        Equation("of Sarsa", FUNCTION, "_sarsa", "grad q(s, a, w)"),
        Equation("of Q-learning", FUNCTION, "_q_learning", "grad q(s, a, w)"),
    ],
    "Fixed target Q-network": [
        Equation("the target by the fixed weights", DQN, "Learner._transitions", "agent.outputs(self.target"),
    ],
}

"""The algorithms of reinforcement learning, evolution and imitation by name."""

from supervised.training.registry import Registry

TABULAR = "agents.tabular.training"
SB3 = "agents.sb3.algorithms"
CLASSIC = "agents.imitation.classic_cloning"

#: name -> (module, what it is in one line)
CATALOGUE: dict[str, tuple[str, str]] = {
    "policy-evaluation": (TABULAR, "values of the uniform policy, from the model by sweeps"),
    "policy-iteration": (TABULAR, "optimal policy from the model, by evaluation and improvement in turn"),
    "value-iteration": (
        TABULAR,
        "optimal values from the model; synchronous, Gauss-Seidel or prioritized sweeps",
    ),
    "mc-prediction": (TABULAR, "values of the uniform policy from whole episodes, first or every visit"),
    "td-prediction": (TABULAR, "values of the uniform policy by TD(0)"),
    "n-step-td-prediction": (TABULAR, "values of the uniform policy from n-step returns"),
    "td-lambda-prediction": (TABULAR, "values of the uniform policy with eligibility traces"),
    "mc-exploring-starts": (TABULAR, "Monte Carlo control, every episode from a random state and action"),
    "mc-control": (TABULAR, "Monte Carlo control with an epsilon-greedy policy"),
    "mc-off-policy": (TABULAR, "Monte Carlo control by weighted importance sampling"),
    "sarsa": (TABULAR, "on-policy TD control"),
    "expected-sarsa": (TABULAR, "TD control with the expected value of the next action"),
    "n-step-sarsa": (TABULAR, "on-policy TD control from n-step returns"),
    "sarsa-lambda": (TABULAR, "on-policy TD control with eligibility traces"),
    "q-learning": (TABULAR, "off-policy TD control with a table"),
    "double-q-learning": (TABULAR, "Q-learning with two tables, free of maximization bias"),
    "semi-gradient-td": (TABULAR, "TD(0) prediction with linear features or a network"),
    "semi-gradient-sarsa": (TABULAR, "Sarsa with linear features (tile coding) or a network"),
    "semi-gradient-q-learning": (TABULAR, "Q-learning with linear features (tile coding) or a network"),
    "dqn": ("agents.value.dqn", "Q-learning with a network and experience replay"),
    "pqn": ("agents.value.pqn", "Q-learning in many parallel lanes, without replay memory and target network"),
    "reinforce": ("agents.policy.reinforce", "Monte Carlo policy gradients, with and without a baseline"),
    "actor-critic": (
        "agents.policy.actor_critic",
        "policy and critic learnt online from single steps, with a critic of states or of actions",
    ),
    "a2c": ("agents.policy.a2c", "advantage actor-critic on a few steps of many lanes, or on whole episodes"),
    "ppo": ("agents.policy.ppo", "proximal policy optimization: clipped policy gradients on several passes"),
    "sac": ("agents.policy.sac", "soft actor-critic: continuous actions, return and entropy, from replay"),
    "td3": ("agents.policy.td3", "twin delayed deterministic policy gradient: continuous actions, from replay"),
    "alpha-zero": ("agents.search.alpha_zero", "board games: a network learns from games against itself, by search"),
    "genetic": ("agents.evolution.genetic", "genetic algorithm: selection, crossover and mutation of network weights"),
    "cma-es": ("agents.evolution.cma_es", "evolution of network weights by a normal distribution that adapts"),
    "neat": ("agents.evolution.neat", "evolution of networks whose topology grows"),
    "sb3-ppo": (SB3, "PPO of Stable-Baselines3"),
    "sb3-a2c": (SB3, "A2C of Stable-Baselines3"),
    "sb3-dqn": (SB3, "DQN of Stable-Baselines3"),
    "sb3-sac": (SB3, "SAC of Stable-Baselines3"),
    "bc": ("agents.imitation.behavioral_cloning", "behavioral cloning: learning a teacher's actions from its episodes"),
    "dagger": (
        "agents.imitation.dagger",
        "cloning on states that the learner visits, with a teacher that says what to do",
    ),
    "decision-transformer": (
        "agents.imitation.decision_transformer",
        "a sequence model of demonstrations, which acts for the return that it is asked for",
    ),
    "clone-svm": (CLASSIC, "a teacher's discrete actions learnt by a support vector machine"),
    "clone-decision-tree": (CLASSIC, "a teacher's discrete actions learnt by a decision tree"),
    "clone-random-forest": (CLASSIC, "a teacher's discrete actions learnt by a random forest"),
    "clone-gradient-boosting": (CLASSIC, "a teacher's discrete actions learnt by gradient boosting"),
}

REGISTRY = Registry(CATALOGUE)
find, preset = REGISTRY.find, REGISTRY.preset

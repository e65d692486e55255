"""Train an agent: ``python -m agents.train ALGORITHM [--preset NAME] [--env ID] ...``."""

from agents.registry import REGISTRY
from supervised.training.training_door import TrainingDoor

#: the most that SKIDPAD_SMOKE leaves of each setting
SMOKE_BUDGET = {
    "total_steps": 1_500,
    "learning_starts": 200,
    "replay_size": 100_000,
    "lanes": 16,
    "episodes": 50,
    "epochs": 1,
    "rounds": 2,
    "round_steps": 40,
    "updates": 1,
    "population": 7,
    "episodes_each": 1,
    "simulations": 8,
    "play_simulations": 8,
    "evaluate_every": 1_024,
    "evaluate_episodes": 2,
    "log_every": 100,
    "threads": 1,
}

DOOR = TrainingDoor("python -m agents.train", "python -m agents.evaluate", REGISTRY, "env", SMOKE_BUDGET)
main, configuration = DOOR.main, DOOR.configuration

if __name__ == "__main__":
    main()

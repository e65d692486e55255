"""Train a supervised model: ``python -m supervised.train MODEL [--preset NAME] [--data NAME] ...``."""

from supervised.registry import REGISTRY
from supervised.training.training_door import TrainingDoor

#: the most that SKIDPAD_SMOKE leaves of each setting
SMOKE_BUDGET = {"epochs": 1, "rows": 100, "resize": 16, "threads": 1}

DOOR = TrainingDoor("python -m supervised.train", "python -m supervised.evaluate", REGISTRY, "data", SMOKE_BUDGET)
main = DOOR.main

if __name__ == "__main__":
    main()

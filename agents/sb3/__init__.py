"""Both ways to Stable-Baselines3: our environments for its algorithms, and its algorithms through our doors.

PPO("CnnPolicy", as_sb3("skidpad/CarRacing-v0", lanes=8))       in a script of its own
python -m agents.train sb3-ppo --env skidpad/CarRacing-v0       evaluated and plotted like ours
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from supervised.training.errors import needs_extra

if TYPE_CHECKING:
    from agents.sb3.lanes import Lanes


def as_sb3(
    env: str | Callable[[], Any],
    lanes: int = 1,
    env_kwargs: Mapping[str, Any] | None = None,
    transforms: Sequence[str] = (),
    seed: int = 0,
) -> "Lanes":
    """An environment as a ``VecEnv`` of Stable-Baselines3, ours as the batch that it is.

    Args:
        env: an id (ours, Gymnasium's, "my_package:MyEnv-v0"), or a callable that makes an environment.
        transforms: names of `agents.transforms`.
        seed: of the lanes; a model's own ``seed`` replaces it.

    Raises:
        UserError: Stable-Baselines3 is not installed, or an environment that does not fit it.
    """
    with needs_extra("sb3"):
        from agents.sb3.lanes import Lanes
    return Lanes(env, lanes, env_kwargs or {}, transforms, seed)

"""Search: trees of games and environments, with and without a network, and perfect players."""

from pathlib import Path

import envs
from envs.caches import drop_stale

drop_stale(Path(__file__).parent, Path(envs.__file__).parent)

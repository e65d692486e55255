"""The methods of the book's chapter 8 that learn or compute tables, and linear features."""

from pathlib import Path

import envs
from envs.caches import drop_stale

drop_stale(Path(__file__).parent, Path(envs.__file__).parent)

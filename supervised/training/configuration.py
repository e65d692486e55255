"""Configurations as JSON: what a run stores, and what a resumed one begins with."""

import dataclasses
import json
from typing import Any

from supervised.training.errors import UserError


def to_json(config: Any) -> dict[str, Any]:
    """A configuration as JSON-able dictionary; a callable environment is stored by name only."""
    values = dataclasses.asdict(config)
    if callable(values.get("env")):
        values["env"] = f"<{getattr(values['env'], '__qualname__', 'callable')}>"
    return json.loads(json.dumps(values))


def from_json(kind: type, values: dict[str, Any]) -> Any:
    """A configuration of class ``kind`` from `to_json`.

    Raises:
        UserError: a setting this version does not know.
    """
    known = {entry.name for entry in dataclasses.fields(kind)}
    unknown = sorted(values.keys() - known)
    if unknown:
        raise UserError(f"the run's setting {unknown[0]!r} is unknown to this version: train it anew")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

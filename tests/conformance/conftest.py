"""Every test of this folder that asks for an ``env_id`` runs once for each."""

import pytest

from .rollouts import IDS


@pytest.fixture(params=IDS)
def env_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)

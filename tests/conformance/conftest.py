"""Every test of this folder that asks for an ``env_id`` runs once for each."""

import pytest

from .rollouts import IDS


@pytest.fixture(params=IDS)
def env_id(request: pytest.FixtureRequest) -> str:
    if "Atari" in request.param:
        pytest.importorskip("ale_py", reason="needs the atari extra")
    return str(request.param)

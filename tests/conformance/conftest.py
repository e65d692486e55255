"""Every test of this folder that asks for an ``env_id`` runs once for each."""

import pytest

from .rollouts import IDS

NEEDS = {"Atari": ("ale_py", "atari"), "Chess": ("chess", "games"), "Shogi": ("shogi", "games")}  # package, extra


@pytest.fixture(params=IDS)
def env_id(request: pytest.FixtureRequest) -> str:
    for name, (package, extra) in NEEDS.items():
        if name in request.param:
            pytest.importorskip(package, reason=f"needs the {extra} extra")
    return str(request.param)

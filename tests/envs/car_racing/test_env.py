"""CarRacing as an environment: what it tells of finished episodes."""

import pytest
from gymnasium.vector import AutoresetMode

from agents.imitation.experts import Expert
from envs.car_racing.env import CarRacing


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_finished_lap_is_told_in_every_autoreset_mode(mode: AutoresetMode) -> None:
    cars = CarRacing(2, observation="none", autoreset_mode=mode)
    cars.reset(seed=1)
    expert = Expert(cars)
    while True:
        *_, terminated, truncated, infos = cars.step(expert.act())
        assert not truncated.any()
        if terminated.any():
            break
    outcome = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
    assert outcome["_lap_finished"].tolist() == terminated.tolist()
    assert outcome["lap_finished"][terminated].all()

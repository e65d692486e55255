"""The presets for Breakout: that each of them trains, resumes to the same bits, and says how it is measured."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import evaluate, train
from agents.evaluation import Player, playground
from agents.registry import find, preset
from agents.zoo import locate
from supervised.training.run import read_state

pytest.importorskip("ale_py", reason="needs the atari extra")

SMALL: dict[str, dict[str, Any]] = {
    "dqn": {"replay_size": 500, "batch_size": 4, "learning_starts": 40},
    "ppo": {"round_steps": 8, "minibatches": 2, "epochs": 1},
    "a2c": {},
    "pqn": {"round_steps": 8, "minibatches": 2, "epochs": 1},
}
NAMES = [("dqn", name) for name in ("ddqn", "rainbow", "book-dqn", "book-ddqn")]
NAMES += [(name, "breakout") for name in ("ppo", "a2c", "pqn")]


@pytest.mark.parametrize(("algorithm", "name"), NAMES)
def test_every_preset_trains(algorithm: str, name: str) -> None:
    if name.startswith("book"):
        pytest.importorskip("lz4", reason="needs the atari extra")
    config = preset(name, algorithm)
    lanes = min(config.lanes, 2)
    small = dataclasses.replace(config, total_steps=60 + lanes, lanes=lanes, **SMALL[algorithm])
    agent = find(algorithm).train(small)
    assert agent.space.shape == (4, 84, 84)


def test_a_score_is_no_number_of_bricks() -> None:
    """Erratum D-23: bricks are worth 1 in the two rows below, 4 in the next two, and 7 in the two above."""
    agent = evaluate.load(locate("zoo:breakout-ppo"))[0]
    lanes = playground(agent, "skidpad/Atari-Breakout-v0", 2, {"repeat_action_probability": 0.0})
    player, started, rewards = Player(agent), np.ones(2, np.bool_), np.zeros(2)
    observations, _ = lanes.reset(seed=[1, 2])
    seen: list[float] = []
    while 7.0 not in seen and len(seen) < 2_000:
        observations, rewards, *_ = lanes.step(player.act(observations, started, rewards))
        seen, started = [*seen, *rewards], np.zeros(2, np.bool_)
    lanes.close()
    worth = [points for points in seen if points]
    assert worth[0] == 1.0 and set(worth) == {1.0, 4.0, 7.0}


def test_a_run_says_how_it_is_measured_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folders = [tmp_path / name for name in ("whole", "resumed")]
    arguments = "dqn --preset ddqn --lanes 2 --replay-size 500 --batch-size 4 --learning-starts 20 --log-every 10"
    kwargs = json.dumps({"stack": 1, "max_episode_steps": 30, "repeat_action_probability": 0.25})
    limits = ["--total-steps", "100", "--checkpoint-every", "50", "--env-kwargs", kwargs]
    for folder in folders:
        train.main([*arguments.split(), *limits, "--run-dir", str(folder)])
    assert "sticky actions 0.25" in (printed := capsys.readouterr().err)
    assert "in learning a lost life ends what is learnt from, rewards are clipped" in printed
    assert "replay memory: 100 transitions" in printed
    whole, resumed = folders
    (resumed / "finished.json").unlink()
    newest = max((resumed / "checkpoints").glob("step-*"))
    (newest / "manifest.json").write_text("spoilt")
    with pytest.warns(UserWarning, match="skipping the checkpoint"):
        train.main(["--resume", str(resumed), "--quiet"])
    assert (whole / "metrics.jsonl").read_bytes() == (resumed / "metrics.jsonl").read_bytes()
    left, right = (read_state(folder)["agent"]["network"] for folder in folders)
    assert all((left[key] == right[key]).all() for key in left)
    assert (resumed / "notes.txt").read_text() == (whole / "notes.txt").read_text()

    evaluate.main([str(whole), "--episodes", "2"])
    protocol = json.loads((whole / "evaluation.json").read_text())["protocol"]
    assert "seeds 10000 to 10001; Atari Breakout, 4 frames a step" in protocol
    assert protocol.endswith("single frames, at most 30 steps, of which the agent sees 4")

"""Sharing agents: a copy evaluates, plays and plots like its run, and is small; the zoo's agents do what they say."""

import json
from pathlib import Path

import pytest

from agents import evaluate, train
from agents.zoo import locate, names
from supervised.training.errors import UserError
from tools import export, play, plot

QUICK = "--lanes 8 --train-every 8 --updates 1 --total-steps 400 --learning-starts 200 --hidden 8 --log-every 100"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    limit = ["--env-kwargs", '{"max_episode_steps": 8}']
    train.main(["dqn", *QUICK.split(), *limit, "--run-dir", str(folder), "--quiet"])
    return folder


def test_a_copy_does_what_the_run_does(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    copy = tmp_path / "copy"
    export.main([str(run), "--out", str(copy)])
    assert capsys.readouterr().out == f"{copy}: {size(copy) / 1e6:.2f} MB\n"
    assert size(copy / "checkpoints") < size(run / "checkpoints") / 4  # no replay memory, optimizer or lanes
    for folder in (run, copy):
        evaluate.main([str(folder), "--episodes", "5"])
    results = [json.loads((folder / "evaluation.json").read_text()) for folder in (run, copy)]
    assert results[0]["returns"] == results[1]["returns"] and results[0]["training"] == results[1]["training"]
    play.main([str(copy), "--video", str(tmp_path / "copy.gif")])
    plot.main([str(copy), "--out", str(tmp_path / "copy.png")])
    train.main(["--resume", str(copy)])
    assert capsys.readouterr().out.endswith("is finished: nothing to do\n")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("case", ["full", "unfinished", "nothing"])
def test_what_cannot_be_shared(run: Path, tmp_path: Path, case: str, capsys: pytest.CaptureFixture) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    if case != "nothing":
        export.main([str(run), "--out", str(source)])
    if case == "full":
        out.mkdir()
        (out / "mine").touch()
    if case == "unfinished":
        (source / "finished.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        export.main([str(source), "--out", str(out)])
    assert stopped.value.code == 2
    message = {"full": "not empty: choose another", "unfinished": "--resume", "nothing": "give the folder of a run"}
    assert message[case] in capsys.readouterr().err.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


def test_an_agent_the_zoo_has_not() -> None:
    with pytest.raises(UserError, match="the zoo has no agent 'penguin'"):
        locate("zoo:penguin")


@pytest.mark.parametrize("name", names())
def test_the_zoos_agents_play(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As well as in the stored evaluation, whose last bits are those of another processor; each less than 5 MB."""
    stored = json.loads((locate(f"zoo:{name}") / "evaluation.json").read_text())
    monkeypatch.chdir(tmp_path)
    agent, env, kwargs = evaluate.load(f"zoo:{name}")
    again = evaluate.evaluate(agent, env, kwargs, episodes=2, seed=stored["seeds"][0])
    assert min(stored["returns"]) <= again["mean"] <= max(stored["returns"])
    assert size(locate(f"zoo:{name}")) < 5e6

"""The console script hands over to the doors, and imports no other."""

import importlib
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from tools import cli


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("error: ") and complaint.count("\n") == 1
    return complaint


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for command, (_, summary) in cli.COMMANDS.items():
        assert f"  {command:10}{summary}" in lines


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_door(command: str) -> None:
    assert callable(importlib.import_module(cli.COMMANDS[command][0]).main)


def test_command_gets_the_rest_of_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "agents.train", SimpleNamespace(main=calls.append))
    monkeypatch.setattr(sys, "argv", ["skidpad", "train", "dqn", "--help"])
    cli.main()
    cli.main(["train"])
    assert calls == [["dqn", "--help"], []]


def test_exit_code_of_a_door_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(arguments: list[str]) -> None:
        raise SystemExit(1)

    monkeypatch.setitem(sys.modules, "agents.evaluate", SimpleNamespace(main=main))
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate"])
    assert stop.value.code == 1


def test_unknown_command_is_one_line_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown command 'evalute'; did you mean evaluate?" in failure(capsys, "evalute")
    assert "known: bench, evaluate, export, judge, learn, play, plot, record, report, scenes, train" in failure(
        capsys, "xyz"
    )
    assert "train, evaluate, learn, judge, record, scenes, play, plot, export, bench, report" in failure(capsys)


def test_version_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(metadata, "version", {"skidpad": "1.2.3"}.__getitem__)
    cli.main(["--version"])
    assert capsys.readouterr().out == "skidpad 1.2.3\n"

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert "pip install" in failure(capsys, "--version")


def test_nothing_heavy_is_imported_to_hand_over() -> None:
    code = "import sys, tools.cli; print(*{'torch', 'numba', 'gymnasium', 'matplotlib'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []

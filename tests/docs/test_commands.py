"""The documentation holds: every command and Python block runs, every option, link and table is as the code has it."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agents import evaluate, train
from agents.registry import CATALOGUE
from supervised import detect, figures, generate, style, translate, words
from supervised import evaluate as supervised_evaluate
from supervised import train as supervised_train
from supervised.registry import CATALOGUE as MODELS
from tools import make_dataset, play, plot, record, report
from tools.bench.__main__ import main as bench

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *(page for place in report.PLACES for page in sorted((ROOT / place).glob("*.md")))]
NOT_RUN = ("sudo apt-get ", "git clone ", "make ", "pip ", ". .venv/bin/activate")  # these set up, and need the network
OTHERS_OPTIONS = {"--find-links", "--logdir"}  # pip's and TensorBoard's
PEER_MISSING = "pip install 'skidpad["  # a benchmark's peer is in an extra that the tests do without
#: page -> runs of its commands, whose metrics it explains
GLOSSARIES = {
    "dqn": ("default",),
    "policy-gradients": ("reinforce", "actor-critic", "a2c", "ppo"),
    "continuous-control": ("sac-pendulum", "td3-pendulum"),
    "evolution": ("genetic", "cma-es", "neat"),
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith((*NOT_RUN, "#"))]


#: runs commands one after the other as ``python -m`` does; one process a page, as importing torch takes seconds
RUNNER = """
import json, runpy, sys, traceback
for command in json.load(open("commands.json")):
    sys.argv = command
    code = 0
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 70
    print("\\nexit", code, *command, file=sys.stderr, flush=True)
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(folder)])
    environment = {**os.environ, "SKIDPAD_SMOKE": "1", "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    environment["MINARI_DATASETS_PATH"] = str(folder / "minari")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=1800
    )


@pages
def test_every_command_and_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """In order, in one folder; a Python block that begins with the name of a file is saved under it."""
    code = []
    for block in blocks(page, "python"):
        if match := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / match[1]).write_text(block)
        else:
            code.append(block)
    if "$SKIDPAD_DATA" in page.read_text() and not os.environ.get("SKIDPAD_DATA"):
        pytest.skip("needs the data sets that SKIDPAD_DATA names")
    words = [shlex.split(os.path.expandvars(command), comments=True) for command in commands(page)]
    for one in words:
        assert one[:2] == ["python", "-m"], f"{' '.join(one)}: neither started nor in NOT_RUN"
    (tmp_path / "commands.json").write_text(json.dumps([one[2:] for one in words]))
    done = run(RUNNER, tmp_path)
    reports = re.split(r"\nexit (\d+) .*\n", done.stderr)
    assert len(reports) == 2 * len(words) + 1, done.stderr
    for one, complaint, status in zip(words, reports[::2], reports[1::2], strict=False):
        allowed = {0, 1} if "--require" in one else {0}  # budgets are cut: the requirement may be missed
        peer_missing = status == "2" and PEER_MISSING in complaint
        assert peer_missing or int(status) in allowed, f"{' '.join(one)}\n{complaint}"
    if code:
        done = run("\n".join(code), tmp_path)
        assert done.returncode == 0, done.stderr
    for name in GLOSSARIES.get(page.stem, ()):
        check_glossary(page, tmp_path / "runs" / name)


def check_glossary(page: Path, folder: Path) -> None:
    """Every metric that a run logged is explained."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    logged = {key for line in lines for key in json.loads(line)}
    rows = [line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("|")]
    assert logged <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert "episode_return" in logged


def shown(main: Callable[[list[str]], None], *arguments: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
    return text.getvalue()


def test_every_option_exists() -> None:
    helps = [shown(train.main, name) for name in CATALOGUE] + [shown(train.main)]
    helps += [shown(supervised_train.main, name) for name in MODELS]
    doors = (supervised_evaluate, detect, figures, generate, style, translate, words)
    helps += [shown(door.main) for door in doors]
    helps += [
        shown(door)
        for door in (evaluate.main, plot.main, bench, report.main, record.main, make_dataset.main, play.main)
    ]
    known = {option for text in helps for option in re.findall(r"--[a-z][\w-]*", text)} | OTHERS_OPTIONS
    for page in PAGES:
        assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text())) <= known, page.name


@pages
def test_links_and_pictures_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pages
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(r"`((?:agents|envs|supervised|tools|tests)/[\w/.]*)`", page.read_text()):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_generated_tables_are_fresh() -> None:
    stale = [path.name for path, text in report.rendered() if text != path.read_text()]
    assert not stale, "run python -m tools.report"

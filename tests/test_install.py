"""The packaging files and the Makefile, without installing anything: a stub stands in for Python and pip."""

import configparser
import importlib.metadata
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["agents", "envs", "supervised", "tools"]
INPUTS = ["Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"]

# Notes its calls. Its pip fails while a file `pip-fails` exists; while `unusable` exists it has no venv.
STUB = """#!/bin/sh
echo "$*" >>calls.log
case "$*" in
    "-c import ensurepip"*) [ ! -e unusable ] ;;
    "-c import sys; print(sys.prefix"*) echo "$PWD/.venv 3 11" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) echo "pip's last words" && [ ! -e pip-fails ] ;;
esac
"""


def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read_string((ROOT / "setup.cfg").read_text())
    return config


def requirements(*extras: str) -> list[Requirement]:
    config = setup_cfg()
    texts = [config["options"]["install_requires"], *(config["options.extras_require"][e] for e in extras)]
    return [Requirement(line) for text in texts for line in text.split("\n") if line]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name: Version(version) for name, version in (line.split("==") for line in lines)}


class Checkout:
    """The packaging files in a folder of their own, with the stub as PYTHON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in INPUTS:
            shutil.copy(ROOT / name, folder)
        (folder / "fake-python").write_text(STUB)
        (folder / "fake-python").chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # An outer make (this file runs under `make test`) must not hand its options to this one.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        command = ["make", "PYTHON=./fake-python", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=60)

    def calls(self) -> list[str]:
        """Every call of the stub since the last time this was asked."""
        log = self.folder / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def installed(self, *arguments: str) -> list[str]:
        """What pip was told to install by `make ARGUMENTS`, which must succeed."""
        self.calls()
        result = self.make(*arguments)
        assert result.returncode == 0, result.stderr
        return [call.split(" -e ")[1] for call in self.calls() if call.startswith("-m pip install ")]

    def stamps(self) -> set[str]:
        return {path.name for path in (self.folder / ".venv").glob("*.stamp")}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return Checkout(tmp_path / "it's a path" / "skidpad")


def test_metadata_names_the_package_its_python_and_its_command() -> None:
    config = setup_cfg()
    assert config["metadata"]["name"] == "skidpad"
    assert Version(config["metadata"]["version"]) >= Version("0.1.0")
    assert config["options"]["python_requires"] == ">=3.11"
    assert config["options.entry_points"]["console_scripts"].strip() == "skidpad = tools.cli:main"


def test_tests_are_not_installed(tmp_path: Path) -> None:
    for name in [*PACKAGES, "envs/grid", "tests", "tests/envs", "tools_of_mine", "docs"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    include = setup_cfg()["options.packages.find"]["include"].split()
    assert set(setuptools.find_packages(str(tmp_path), include=include)) == {*PACKAGES, "envs.grid"}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_constraints_are_exact_and_portable() -> None:
    assert all(name == canonicalize_name(name) for name in pins())
    assert all(version.local is None for version in pins().values()), "a pin names a build (+cpu)"
    assert list(pins()) == sorted(pins())


@pytest.mark.parametrize("extra", ["core", *setup_cfg()["options.extras_require"]])
def test_every_requirement_is_pinned_within_its_range(extra: str) -> None:
    for requirement in requirements() if extra == "core" else requirements(extra):
        pin = pins().get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name}: run make constraints"
        assert pin in requirement.specifier


def test_everything_that_requirements_need_is_pinned() -> None:
    wanted = requirements(*setup_cfg()["options.extras_require"])
    seen: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name.startswith(("cuda-", "nvidia-", "triton")):
            continue  # torch's CUDA build pins its own parts
        assert name in pins(), f"{name}: run make constraints"
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                needs = map(Requirement, importlib.metadata.requires(name) or [])
            except importlib.metadata.PackageNotFoundError:
                continue  # an extra that is not installed here
            wanted += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    assert ("torch", "") in seen


def test_help_is_the_default_and_names_every_command(checkout: Checkout) -> None:
    result = checkout.make()
    assert result.returncode == 0
    for target in ["demo", "test", "lint", "bench", "constraints", "clean"]:
        assert f"make {target} " in result.stdout
    assert checkout.calls() == []


@pytest.mark.parametrize(
    ("target", "command"),
    [("demo", "agents.train"), ("demo", "agents.evaluate"), ("test", "pytest"), ("bench", "tools.bench")],
)
def test_dry_run_shows_commands_and_installs_nothing(checkout: Checkout, target: str, command: str) -> None:
    result = checkout.make("-n", target)
    assert result.returncode == 0, result.stderr
    assert f".venv/bin/python -m {command}" in result.stdout
    assert not (checkout.folder / ".venv").exists()


def test_second_run_calls_no_pip(checkout: Checkout) -> None:
    assert checkout.installed("demo") == ["."]
    assert checkout.installed("test") == [".[dev]"]
    for target in ["demo", "test", "lint"]:
        assert checkout.make(target).returncode == 0
        assert not [call for call in checkout.calls() if "pip" in call or "venv" in call]


def test_demo_after_test_installs_nothing(checkout: Checkout) -> None:
    assert checkout.installed("test") == [".[dev]"]
    assert checkout.installed("demo") == []
    assert checkout.installed("bench") == [".[bench]"]


def test_demo_starts_afresh_and_leaves_other_runs(checkout: Checkout) -> None:
    for name in ["demo", "mine"]:
        (checkout.folder / "runs" / name).mkdir(parents=True)
    result = checkout.make("demo")
    assert "runs/demo/curve.png" in result.stdout and "runs/demo/videos/" in result.stdout
    assert [path.name for path in (checkout.folder / "runs").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["setup.cfg", "pyproject.toml", "constraints.txt"])
def test_changed_file_makes_every_stamp_stale(checkout: Checkout, name: str) -> None:
    checkout.installed("demo")
    checkout.installed("test")
    with (checkout.folder / name).open("a") as file:
        file.write("\n# changed\n")
    assert checkout.installed("demo") == ["."]
    assert checkout.stamps() == {"core.stamp"}
    assert checkout.installed("test") == [".[dev]"]


def test_touched_file_is_not_a_changed_file(checkout: Checkout) -> None:
    checkout.installed("demo")
    (checkout.folder / "setup.cfg").touch()
    assert checkout.installed("demo") == []


def test_failed_install_leaves_no_stamp_and_shows_why(checkout: Checkout) -> None:
    (checkout.folder / "pip-fails").touch()
    result = checkout.make("demo")
    assert result.returncode != 0
    assert "pip's last words" in result.stderr and "pip's last words" not in result.stdout
    assert checkout.stamps() == set()
    assert not [call for call in checkout.calls() if "agents" in call]
    (checkout.folder / "pip-fails").unlink()
    assert checkout.installed("demo") == ["."]


def test_install_passes_constraints_and_pip_args(checkout: Checkout) -> None:
    checkout.make("demo", "PIP_ARGS=--find-links wheels")
    assert "-m pip install --find-links wheels -c constraints.txt -e ." in checkout.calls()


def test_moved_checkout_gets_a_new_venv(checkout: Checkout) -> None:
    checkout.installed("demo")
    (checkout.folder / ".venv" / "old").touch()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("elsewhere"))
    assert checkout.installed("demo") == ["."]
    assert not (checkout.folder / ".venv" / "old").exists()


def test_broken_venv_is_made_anew(checkout: Checkout) -> None:
    checkout.installed("test")
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    assert checkout.installed("demo") == ["."]
    assert checkout.stamps() == {"core.stamp"}


def test_users_own_venv_is_kept(checkout: Checkout) -> None:
    python = checkout.folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    shutil.copy(checkout.folder / "fake-python", python)
    (checkout.folder / ".venv" / "mine").touch()
    assert checkout.installed("demo") == ["."]
    assert (checkout.folder / ".venv" / "mine").exists()


@pytest.mark.parametrize("python", ["./fake-python", "./no-such-python"])
@pytest.mark.parametrize("leftover", [False, True])
def test_unusable_python_is_one_line_with_the_remedy(checkout: Checkout, python: str, leftover: bool) -> None:
    (checkout.folder / "unusable").touch()
    if leftover:  # what `python3 -m venv .venv` leaves behind without the package python3-venv
        (checkout.folder / ".venv" / "bin").mkdir(parents=True)
    result = checkout.make("demo", f"PYTHON={python}")
    assert result.returncode != 0
    assert len(result.stderr.splitlines()) == 1
    assert python in result.stderr and "sudo apt-get install python3-venv make" in result.stderr
    assert not (checkout.folder / ".venv").exists()
    assert not [call for call in checkout.calls() if "-m" in call]


def test_clean_keeps_runs(checkout: Checkout) -> None:
    checkout.installed("demo")
    for name in ["runs/mine", "build", *PACKAGES, "tests", "envs/__pycache__"]:
        (checkout.folder / name).mkdir(parents=True)
    assert checkout.make("clean").returncode == 0
    assert (checkout.folder / "runs" / "mine").exists()
    assert not any((checkout.folder / name).exists() for name in [".venv", "build", "envs/__pycache__"])


@pytest.mark.parametrize("data", [False, True])
def test_ci_run_finds_the_data_and_runs_the_tests(tmp_path: Path, data: bool) -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    (tmp_path / "a b" / "main" / ".ci").mkdir(parents=True)
    shutil.copy(script, tmp_path / "a b" / "main" / ".ci" / "run")
    if data:
        (tmp_path / "a b" / "shared" / "data").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    stubs = {"id": "echo 1000", "apt-get": "exit 99", "make": 'echo "$PWD|$*|${SKIDPAD_DATA-unset}"'}
    for name, body in stubs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k != "SKIDPAD_DATA"}
    environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{environment['PATH']}"
    command = [str(tmp_path / "a b" / "main" / ".ci" / "run")]
    result = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    found = str(tmp_path / "a b" / "shared" / "data") if data else "unset"
    assert result.stdout == f"{tmp_path / 'a b' / 'main'}|test|{found}\n"

"""The shape of the house: which way imports point, what no file may do, and what `import envs` costs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "envs": {"envs"},
    "supervised": {"supervised"},
    "agents": {"agents", "envs", "supervised"},
    "tools": {"tools", "agents", "envs", "supervised"},
}
FILES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
SEEDED = {"RandomState", "Generator", "BitGenerator", "PCG64", "SeedSequence", "default_rng"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Top-level names of all imports, those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield package if node.level else str(node.module).split(".")[0]


def forbidden(tree: ast.Module) -> Iterator[str]:
    """What could run code that a file brings, or draws numbers that no seed decides."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"np.random", "numpy.random"}:
            if node.attr not in SEEDED:
                yield f"line {node.lineno}: np.random.{node.attr} draws from a global state"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in {"eval", "exec", "compile", "__import__"} or name.endswith("read_pickle"):
            yield f"line {node.lineno}: {name}()"
        if name in {"np.load", "numpy.load"} and keywords.get("allow_pickle", "False") != "False":
            yield f"line {node.lineno}: np.load() needs allow_pickle=False"
        if name == "torch.load" and keywords.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load() needs weights_only=True"


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_every_package_has_files() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    tree = parsed(path)
    names = set(imported(tree, package))
    assert names & {*MAY_IMPORT, "tests"} <= MAY_IMPORT[package], "imports point one way"
    assert not names & RUNS_CODE
    assert list(forbidden(tree)) == []
    assert ast.get_docstring(tree), "a module says what it is for"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("eval('1')", 1),
        ("model.eval()", 0),
        ("np.load(path)", 0),
        ("np.load(path, allow_pickle=True)", 1),
        ("torch.load(path)", 1),
        ("torch.load(path, weights_only=True)", 0),
        ("np.random.seed(0)", 1),
        ("np.random.default_rng(0).normal()", 0),
    ],
)
def test_what_is_forbidden_is_found(source: str, found: int) -> None:
    assert len(list(forbidden(ast.parse(source)))) == found


def test_imports_inside_functions_are_found() -> None:
    source = "def f():\n    from agents.value import dqn\n    import pickle as p\nfrom . import x\n"
    assert set(imported(ast.parse(source), "envs")) == {"agents", "pickle", "envs"}


def test_importing_envs_registers_everything_and_loads_nothing() -> None:
    code = (
        "import sys; import gymnasium; before = set(sys.modules); import envs; "
        "print(*sorted(set(sys.modules) - before)); "
        "print(*sorted(i for i in gymnasium.registry if i.startswith('skidpad/')))"
    )
    modules, ids = (line.split() for line in run(code).splitlines())
    assert "skidpad/CartPole-v1" in ids
    assert not {module.split(".")[0] for module in modules} & {"numba", "torch", "scipy", "matplotlib", "PIL"}
    assert [module for module in modules if module.startswith("envs.")] == [
        "envs.atari",
        "envs.atari.games",  # names only
        "envs.caches",
    ]


def test_the_environments_need_no_torch() -> None:
    code = (
        "import sys, gymnasium, envs\n"
        "atari = [i for i in gymnasium.registry if 'Atari' in i and 'Breakout' not in i]\n"
        "for i in [i for i in gymnasium.registry if i.startswith('skidpad/') and i not in atari]:\n"
        "    gymnasium.make_vec(i, num_envs=2, vectorization_mode='vector_entry_point').close()\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    )
    assert run(code).split() == ["False", "False"]


def test_every_id_leads_to_a_file_of_ours() -> None:
    import envs  # noqa: F401  (registers the ids)

    for env_id, spec in gym.registry.items():
        if env_id.startswith("skidpad/"):
            for place in (spec.entry_point, spec.vector_entry_point):
                module = str(place).split(":")[0]
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), f"{env_id}: {place}"

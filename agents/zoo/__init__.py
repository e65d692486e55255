"""Trained agents that come with Skidpad: folders of runs, without what only training needs (`tools.export`)."""

from pathlib import Path

from agents.opponents import is_name
from supervised.training.errors import UserError, suggest, writing

PREFIX = "zoo:"
FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The agents that are there."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def locate(run: str | Path) -> Path:
    """The folder of a run, or of the zoo's agent ``zoo:NAME``.

    Raises:
        UserError: no agent of that name; the message names the nearest.
    """
    text = str(run)
    if not text.startswith(PREFIX):
        return Path(run)
    name = text.removeprefix(PREFIX)
    if name not in names():
        raise UserError(f"the zoo has no agent {name!r}{suggest(name, names())}")
    return FOLDER / name


def outputs(run: str | Path) -> Path:
    """Where results of a run go: its folder; for an agent of the zoo ``runs/zoo/NAME``, which is made.

    Results of opponents by name, such as "mcts:200", go to ``runs/mcts-200``.
    """
    text = str(run)
    if text.startswith(PREFIX):
        folder = Path("runs", "zoo", text.removeprefix(PREFIX))
    elif is_name(text):
        folder = Path("runs", text.replace(":", "-"))
    else:
        return Path(run)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder

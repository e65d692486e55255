"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

Rows = Iterable[Sequence[object]]


def markdown(head: Sequence[str], rows: Rows) -> str:
    """A table; numbers are aligned to the right."""
    cells = [list(row) for row in rows]
    if not cells:
        return "*No measurements are stored yet.*\n"
    numeric = [all(isinstance(row[k], int | float) or row[k] == "" for row in cells) for k in range(len(head))]
    lines = [head, ["---:" if right else "---" for right in numeric], *cells]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def rounded(number: float) -> float:
    """To one decimal, as returns are shown."""
    return round(float(number), 1)

"""Single pictures that commands are given: files, or photographs that scikit-image brings."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from supervised.data.formats import decode
from supervised.training.errors import UserError, needs_extra, suggest

Array = NDArray[Any]

#: photographs that scikit-image brings, free to use
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")


def photograph(name: str) -> Array:
    """The colours ``(height, width, 3)`` uint8 of a picture.

    Args:
        name: a file, or one of `PHOTOGRAPHS`.

    Raises:
        UserError: there is none.
        CorruptFile: it is damaged.
    """
    if name in PHOTOGRAPHS:
        with needs_extra("learn"):
            from skimage import data
        return getattr(data, name)()
    try:
        return decode(Path(name).read_bytes(), name)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}{suggest(name, PHOTOGRAPHS)}") from error

"""Darknet's ``.cfg`` files: a network as sections of options, one a layer (pjreddie.com/darknet)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supervised.training.errors import UserError, suggest


def _numbers(kind: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda text: tuple(kind(one) for one in text.split(",") if one.strip())


#: section -> what an option of it means; all that changes what the network computes
KNOWN: dict[str, dict[str, Callable[[str], Any]]] = {
    "net": {"width": int, "height": int, "channels": int},
    "convolutional": {
        "batch_normalize": int,
        "filters": int,
        "size": int,
        "stride": int,
        "pad": int,
        "padding": int,
        "activation": str.strip,
    },
    "maxpool": {"size": int, "stride": int, "padding": int},
    "upsample": {"stride": int},
    "route": {"layers": _numbers(int)},
    "shortcut": {"from": int, "activation": str.strip},
    "yolo": {"mask": _numbers(int), "anchors": _numbers(float), "classes": int, "num": int},
}
#: the same layer by another name
ALIASES = {"network": "net", "conv": "convolutional", "max": "maxpool"}
TRAINING = set(  # options that only Darknet's own training reads
    "batch subdivisions momentum decay angle saturation exposure hue learning_rate burn_in max_batches policy steps "
    "scales jitter ignore_thresh truth_thresh random".split()
)


@dataclass(frozen=True)
class Section:
    """A section of a file: what it is, where it begins, and its options."""

    kind: str
    line: int
    """From 1 on."""
    source: str
    """What the file is called in messages."""
    options: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An option; raises `UserError` where it is not there and has no default."""
        if name in self.options:
            return self.options[name]
        if default is None:
            raise self.error(f"it lacks the option {name}")
        return default

    def error(self, what: str) -> UserError:
        """A `UserError` that says what is wrong with this section, and where it is."""
        return UserError(f"{self.source}, line {self.line}: [{self.kind}]: {what}")


def parse(text: str, source: str = "cfg") -> list[Section]:
    """The sections of a file's text, [net] first.

    Raises:
        UserError: what is no section or option, or one that is not known here; the message names it and its line.
    """
    sections: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].split(";")[0].strip()
        if not line:
            continue
        where = f"{source}, line {number}"
        if line.startswith("["):
            kind = line[1:].rstrip("]").strip()
            kind = ALIASES.get(kind, kind)
            if not line.endswith("]") or kind not in KNOWN:
                raise UserError(f"{where}: unknown section {line}{suggest(kind, KNOWN)}")
            sections.append(Section(kind, number, source, {}))
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not sections:
            raise UserError(f"{where}: {line!r} is neither a [section] nor an option=value of one")
        kind = sections[-1].kind
        if name in TRAINING:
            continue
        if name not in KNOWN[kind]:
            raise UserError(f"{where}: unknown option {name!r} of [{kind}]{suggest(name, KNOWN[kind])}")
        try:
            sections[-1].options[name] = KNOWN[kind][name](value)
        except ValueError as error:
            raise UserError(f"{where}: {name}={value!r} is no number") from error
    if not sections or sections[0].kind != "net":
        raise UserError(f"{source} does not begin with the section [net]: it is no network of Darknet")
    if any(one.kind == "net" for one in sections[1:]):
        raise UserError(f"{source} has more than one section [net]")
    return sections

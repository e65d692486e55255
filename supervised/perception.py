"""What trained models make of images, for whoever acts on them: an agent's backbone, or a transform of observations."""

from pathlib import Path

from torch import nn

from supervised.registry import CATALOGUE, find
from supervised.training.configuration import from_json
from supervised.training.errors import UserError
from supervised.training.run import read_config, read_state


def perception(run: Path) -> tuple[str, nn.Module]:
    """The name of a run's model, and what it makes of images, in evaluation mode.

    That is a module from images ``(batch, height, width)`` or ``(batch, height, width, colours)`` uint8 to features
    ``(batch, features)`` float32, or to maps ``(batch, height, width)`` uint8 such as the class of every pixel.

    Raises:
        UserError: no run of `supervised.train`, one without checkpoint, or of a model that makes nothing of images.
    """
    record = read_config(run)
    name = record["algorithm"]
    model = find(name) if name in CATALOGUE else None
    if model is None or model.perceive is None:
        raise UserError(f"{run} is a run of {name}, which makes no features of images: give one of supervised.train")
    return name, model.perceive(from_json(model.config, record["config"]), read_state(run)).eval()

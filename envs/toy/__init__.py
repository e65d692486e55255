"""Small finite environments of the textbooks; shown as a line of text, or as a picture of that line."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.finite import FiniteEnv


class ToyEnv(FiniteEnv):
    """A finite environment that describes each of its states in a line of text."""

    metadata: dict[str, Any] = {**FiniteEnv.metadata, "render_modes": ["rgb_array", "ansi"], "render_fps": 4}

    def _text(self, state: int) -> str:
        raise NotImplementedError

    def _render_lane(self, lane: int) -> str | NDArray[np.uint8]:
        text = self._text(int(self.fields["state"][lane]))
        if self.render_mode == "ansi":
            return text
        from envs.drawing import Canvas

        canvas = Canvas(640, 64)
        canvas.text((320, 32), text, (38, 44, 54), min(24.0, 1100 / len(text)))
        return canvas.array()

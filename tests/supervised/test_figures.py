"""The book's pictures are drawn, the same bytes for the same seed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from supervised import figures
from supervised.classic import pictures
from supervised.data import sets
from supervised.data.sources import is_here


@pytest.mark.parametrize("name", list(figures.FIGURES))
def test_every_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "astronaut":
        pytest.importorskip("skimage", reason="needs the learn extra")
    if name in ("margin", "kernel", "tree", "ensembles", "iris"):
        pytest.importorskip("sklearn", reason="needs the learn extra")
    if name == "hearing" and not is_here("fsdd/recordings.tar"):
        pytest.skip("needs the spoken digits of SKIDPAD_DATA")
    if name == "rbm":
        if not is_here("mnist/train-images-idx3-ubyte.gz"):
            pytest.skip("needs MNIST of SKIDPAD_DATA")
        monkeypatch.setattr(sets, "SMOKE", True)  # few digits: what is looked at here is not how well they are learnt
    monkeypatch.setattr(pictures, "SIDE", 30)
    paths = [tmp_path / f"{k}.png" for k in range(2)]
    for path in paths:
        figures.main([name, "--out", str(path)])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as picture:
        assert picture.size == figures.FIGURES[name][2]


def test_mistakes(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "unknown picture 'xorr'; did you mean xor" in refused(figures.main, "xorr")
    assert "end its name in .png or .svg" in refused(figures.main, "boxcar", "--out", tmp_path / "box.gif")

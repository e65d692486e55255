"""Files of data: found where they should be, checked, and fetched by a local address."""

import gzip
import hashlib
from pathlib import Path

import pytest

from supervised.data import sources
from supervised.data.sources import File, locate
from supervised.training.errors import CorruptFile, UserError

CONTENT = b"pixels" * 1000
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders ``given``, ``home`` (the public's) and ``cache``; files plain.bin and packed.gz."""
    for name in ("given", "home", "cache"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("SKIDPAD_DATA", str(tmp_path / "given"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = (tmp_path / "home").as_uri() + "/"
    files = {"set/plain.bin": File(SUM, home), "set/packed.gz": File(SUM, home), "set/hand.bin": File(SUM, None)}
    monkeypatch.setattr(sources, "FILES", files)
    return tmp_path


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_is_given_comes_first(places: Path) -> None:
    cached = put(places / "cache/skidpad/set/plain.bin", CONTENT)
    assert sources.is_here("set/plain.bin") and locate("set/plain.bin") == cached
    given = put(places / "given/set/plain.bin", CONTENT)
    assert locate("set/plain.bin") == given


def test_a_packed_file_is_known_by_what_it_holds(places: Path) -> None:
    for level in (1, 9):
        path = put(places / "given/set/packed.gz", gzip.compress(CONTENT, level))
        assert locate("set/packed.gz") == path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptFile, match="cannot read .*packed.gz"):
        locate("set/packed.gz")


def test_what_is_missing_is_fetched_once(places: Path) -> None:
    assert not sources.is_here("set/plain.bin")
    public = put(places / "home/plain.bin", CONTENT)
    fetched = locate("set/plain.bin")
    assert fetched == places / "cache/skidpad/set/plain.bin" and fetched.read_bytes() == CONTENT
    public.unlink()
    assert locate("set/plain.bin") == fetched


def test_nothing_wrong_is_kept(places: Path) -> None:
    with pytest.raises(
        UserError, match="plain.bin is missing, and file://.* does not give it: put it at .*given.* or "
    ):
        locate("set/plain.bin")
    put(places / "home/plain.bin", CONTENT[1:])
    with pytest.raises(CorruptFile, match=rf"SHA-256 .* instead of {SUM[:8]}"):
        locate("set/plain.bin")
    assert not list((places / "cache/skidpad/set").iterdir())
    put(places / "given/set/plain.bin", b"else")
    with pytest.raises(CorruptFile, match="delete it, or put the right one"):
        locate("set/plain.bin")


def test_what_has_no_address_is_put_by_hand(places: Path) -> None:
    with pytest.raises(UserError, match="set/hand.bin is missing: put it at .*given/set/hand.bin or .*cache"):
        locate("set/hand.bin")
    with pytest.raises(UserError, match="unknown file 'set/plan.bin'; did you mean set/plain.bin"):
        locate("set/plan.bin")

"""Demonstrations come back as written, read by Minari alone, and survive crashes, full disks and bad input."""

import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from agents.imitation import demonstrations as module
from agents.imitation.demonstrations import BOOK_CLASSES, DemonstrationWriter, book_classes, load, locate
from agents.imitation.episodes import Episode, Recording
from supervised.training.errors import CorruptFile, UserError

FRAMES = spaces.Box(0, 255, (96, 96, 3), np.uint8)
CONTROLS = spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))


def drive(steps: int = 5, number: int = 0, **changes: Any) -> Episode:
    """An episode with noise for frames, which no lossy format would bring back."""
    rng = np.random.default_rng(number)
    actions = rng.uniform([-1, 0, 0], 1, (steps, 3)).astype(np.float32)
    values: dict[str, Any] = {
        "observations": rng.integers(0, 256, (steps + 1, 96, 96, 3), np.uint8),
        "actions": actions,
        "rewards": rng.normal(size=steps),
        "terminations": np.zeros(steps, np.bool_),
        "truncations": np.arange(steps) == steps - 1,
        "seed": number,
        "keys": rng.integers(0, 16, steps + 1),
        "details": {"driver": "human", "keys": ["left", "right"]},
    }
    return Episode(**values | changes)


def write(path: Path, *episodes: Episode) -> DemonstrationWriter:
    writer = DemonstrationWriter(path, FRAMES, CONTROLS, "CarRacing-v3", {"continuous": True})
    for episode in episodes:
        writer.append(episode)
    return writer


def same(one: Any, other: Any) -> bool:
    names = ("observations", "actions", "rewards", "terminations", "truncations", "keys", "meant")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    episodes = [drive(5, 0), drive(3, 1, meant=drive(3, 9).actions), drive(7, 2, seed=None)]
    write(tmp_path / "mine", *episodes)
    found = load(tmp_path / "mine")
    assert (len(found), found.total_steps, found.seeds) == (3, 15, [0, 1, None])
    assert found.lengths.tolist() == [5, 3, 7]
    assert (found.env, found.env_kwargs) == ("CarRacing-v3", {"continuous": True})
    assert (found.observation_space, found.action_space) == (FRAMES, CONTROLS)
    for number, (episode, written) in enumerate(zip(found, episodes, strict=True)):
        assert same(episode, written) and episode.seed == written.seed and episode.number == number
        assert episode.frames.shape == (len(written), 96, 96, 3)
        assert episode.frames.dtype == np.uint8 and episode.actions.dtype == np.float32
        assert episode.details["driver"] == "human" and "skidpad_version" in episode.details
    assert [len(one) for one in found[1:]] == [3, 7] and len(found[-1]) == 7


def test_minari_alone_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = [drive(4, 0), drive(6, 1)]
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    writer = DemonstrationWriter("car-racing/mine-v0", FRAMES, CONTROLS, "CarRacing-v3")
    for episode in episodes:
        writer.append(episode)
    for name in ("car-racing/mine-v0", str(tmp_path / "car-racing" / "mine-v0")):
        data = minari.load_dataset(name)
        assert (data.id, data.total_episodes, data.total_steps) == ("car-racing/mine-v0", 2, 10)
        assert data.env_spec.id == "CarRacing-v3"
        for stored, episode in zip(data.iterate_episodes(), episodes, strict=True):
            assert np.array_equal(stored.observations, episode.observations), "lossless"
            assert np.array_equal(stored.actions, episode.actions) and np.array_equal(stored.rewards, episode.rewards)
            assert np.array_equal(stored.infos["keys"], episode.keys)
    assert "car-racing/mine-v0" in minari.list_local_datasets()
    assert load("car-racing/mine-v0").total_steps == 10


def test_keywords_reach_minaris_environment(tmp_path: Path) -> None:
    space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    row = Episode(np.zeros((2, 4)), np.zeros(1), np.zeros(1), np.zeros(1, bool), np.ones(1, bool))
    for number, (env, expected) in enumerate([("skidpad/CartPole-v1", None), ("CartPole-v1", 7)]):
        writer = DemonstrationWriter(tmp_path / str(number), space, spaces.Discrete(2), env, {"max_episode_steps": 7})
        writer.append(row)
        spec = minari.load_dataset(str(tmp_path / str(number))).env_spec
        assert spec.max_episode_steps == expected
        assert spec.kwargs == ({} if expected else {"max_episode_steps": 7})


@pytest.mark.parametrize(
    ("space", "observations"),
    [
        (spaces.Discrete(5), np.array([0, 4, 2])),
        (spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)}), None),
        (spaces.Tuple((spaces.Discrete(32), spaces.MultiBinary(2))), None),
        (spaces.Box(0, 255, (40, 40), np.uint8), None),
    ],
    ids=str,
)
def test_other_spaces(tmp_path: Path, space: spaces.Space, observations: Any) -> None:
    space.seed(0)
    recording = Recording(space, [space.sample()], 3)
    for step in range(2):
        recording.add(step, 1, space.sample(), 0.5, step == 1, False)
    episode = recording.episode()
    if observations is not None:
        episode = Episode(observations, *(getattr(episode, name) for name in ("actions", "rewards", "terminations")),
                          truncations=episode.truncations, seed=3)  # fmt: skip
    writer = DemonstrationWriter(tmp_path / "d", space, spaces.Discrete(2))
    assert [writer.append(episode), writer.append(episode)] == [0, 1]
    found = load(tmp_path / "d")[1]
    pairs = module.Demonstrations(tmp_path / "d").observation_space, space
    assert pairs[0] == pairs[1] and found.seed == 3 and found.actions.tolist() == [0, 1]
    from agents.imitation.episodes import leaves

    for (_, old), (_, new) in zip(leaves(space, episode.observations), leaves(space, found.observations), strict=True):
        assert np.array_equal(old, new)


def test_data_sets_of_others(tmp_path: Path) -> None:
    """Minari's own default: one HDF5 file, and JPEG for what looks like a picture."""
    pytest.importorskip("h5py")
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    (tmp_path / "d").mkdir()
    space = spaces.Box(-1, 1, (2,), np.float32)
    storage = MinariStorage.new(tmp_path / "d" / "data", space, spaces.Discrete(2))
    storage.update_metadata({"dataset_id": "d-v0", "minari_version": minari.__version__})
    ends = [False, True]
    zeros = np.zeros((3, 2), np.float32)
    storage.update_episodes([EpisodeBuffer(0, 7, None, zeros, np.array([0, 1]), [0.0, 1.0], ends, ends, {})])
    found = load(tmp_path / "d")
    assert (found.seeds, found[0].actions.tolist(), found[0].keys, found.env) == ([7], [0, 1], None, None)
    with pytest.raises(UserError, match="in another of Minari's formats"):
        DemonstrationWriter(tmp_path / "d", space, spaces.Discrete(2))


def test_flat_frames_take_little_room(tmp_path: Path) -> None:
    flat = np.zeros((101, 96, 96, 3), np.uint8)
    write(tmp_path / "d", drive(100, observations=flat))
    size = sum(file.stat().st_size for file in (tmp_path / "d" / "data" / "0").iterdir())
    assert size < flat.nbytes / 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": np.zeros((5, 96, 96, 3), np.uint8)}, r"observations of shape \(5, 96, 96, 3\) for 5 steps"),
        ({"actions": np.zeros((5, 2), np.float32)}, r"actions of shape \(5, 2\)"),
        ({"actions": np.full((5, 3), np.nan, np.float32)}, r"action \[nan, nan, nan\] of step 0"),
        ({"actions": np.full((5, 3), -0.5, np.float32)}, "of step 0 is not in Box"),
        ({"rewards": np.array([0, 0, np.inf, 0, 0])}, "reward inf"),
        ({"rewards": np.zeros(4)}, "for 4 steps"),
        ({"terminations": np.arange(5) == 2}, "ends at step 2"),
        ({"truncations": np.zeros(3, bool)}, r"truncations of shape \(3,\)"),
        ({name: np.zeros((0, 3) if name == "actions" else 0) for name in ("rewards", "actions")}, "of 0 steps"),
    ],
)
def test_bad_episodes_are_refused_and_nothing_is_written(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        write(tmp_path / "new", drive(**changes))
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()
    write(tmp_path / "d", drive(2))
    with pytest.raises(UserError, match=message):
        write(tmp_path / "d", drive(**changes))
    assert len(load(tmp_path / "d")) == 1


def test_another_environment_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d", drive())
    with pytest.raises(UserError, match="recorded with env CarRacing-v3, not CarRacing-v2: choose another --out"):
        DemonstrationWriter(tmp_path / "d", FRAMES, CONTROLS, "CarRacing-v2", {"continuous": True})
    with pytest.raises(UserError, match="recorded with action_space"):
        DemonstrationWriter(tmp_path / "d", FRAMES, spaces.Discrete(5), "CarRacing-v3", {"continuous": True})


@pytest.fixture
def full_disk() -> Iterator[None]:
    """Files beyond 20 kB cannot be written: what a full disk does, in earnest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_earlier_episodes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    writer = write(tmp_path / "d", drive(3, 0), drive(3, 1))
    request.getfixturevalue("full_disk")
    with pytest.raises(UserError, match=r"cannot write .*the 2 episodes before are kept: free some space") as caught:
        writer.append(drive(3, 2))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="the 0 episodes before are kept"):
        write(tmp_path / "new", drive())
    assert not (tmp_path / "new").exists()
    found = load(tmp_path / "d")
    assert len(writer) == len(found) == 2 and same(found[1], drive(3, 1))
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["data"], "nothing half-written stays"


@pytest.mark.parametrize("moment", ["arrow", "rename", "count"])
def test_a_kill_loses_at_most_the_episode_under_way(tmp_path: Path, monkeypatch: Any, moment: str) -> None:
    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    writer = write(tmp_path / "d", drive(3, 0))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
        place, name = {
            "arrow": (module, "_compress"),
            "rename": (module.os, "rename"),
            "count": (module.os, "replace"),
        }[moment]
        patch.setattr(place, name, die)
        with pytest.raises(Killed):
            writer.append(drive(4, 1))
    lasts = moment == "count"
    assert len(load(tmp_path / "d")) == 1 + lasts
    assert same(load(tmp_path / "d")[0], drive(3, 0))
    write(tmp_path / "d", drive(5, 2))
    assert load(tmp_path / "d").lengths.tolist() == [3, 4, 5] if lasts else [3, 5]
    data = minari.load_dataset(str(tmp_path / "d"))
    assert (data.total_episodes, data.total_steps) == ((3, 12) if lasts else (2, 8))
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["data"]


@pytest.mark.parametrize("damage", ["cut", "empty", "metadata", "steps"])
def test_damage_is_one_line(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "d", drive(3, 0), drive(3, 1))
    folder = tmp_path / "d" / "data" / "1"
    if damage in ("cut", "empty"):
        arrow = folder / "part-0.arrow"
        arrow.write_bytes(arrow.read_bytes()[: 1000 if damage == "cut" else 0])
    elif damage == "metadata":
        (tmp_path / "d" / "data" / "metadata.json").write_text('{"total_episodes": 2')
    else:
        (folder / "metadata.json").write_text(json.dumps({"id": 1}))
    with pytest.raises(CorruptFile, match="cannot read") as caught:
        _ = load(tmp_path / "d")[1]
    assert "\n" not in str(caught.value)


def test_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no demonstrations: record some with python -m tools.record --out"):
        load(tmp_path)


def test_folders_and_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)
    assert locate("group/mine-v1") == (tmp_path / "minari" / "group" / "mine-v1", "group/mine-v1")
    assert locate("demos/mine") == (Path("demos/mine"), "mine-v0")
    assert locate("./mine-v1") == (Path("mine-v1"), "mine-v1")
    assert locate(tmp_path / "my laps!") == (tmp_path / "my laps!", "my-laps-v0")
    Path("mine-v1").mkdir()
    assert locate("mine-v1") == (Path("mine-v1"), "mine-v1")


def test_the_books_classes() -> None:
    table = [[0, 0, 0], [-1, 0, 0], [-1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert BOOK_CLASSES == ("nothing", "left", "left+brake", "right", "right+brake", "gas", "brake")
    assert book_classes(np.array(table)).tolist() == list(range(7))
    for scale in (0.1, 0.3):  # whatever the recorder or the driver scaled the brake to
        assert book_classes(np.array(table) * [1, 1, scale]).tolist() == list(range(7))
    assert book_classes(np.array([[-1, 1, 0], [1, 1, 0.5], [0, 1, 0.5], [0.3, 0.2, 0]])).tolist() == [1, 4, 6, 5]
    assert book_classes(np.arange(7)).tolist() == list(range(7))


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_mirrored_driving_has_mirrored_classes(rows: list[Any]) -> None:
    actions = np.array(rows)
    mirrored = np.array([0, 3, 4, 1, 2, 5, 6])
    assert np.array_equal(book_classes(actions * [-1, 1, 1]), mirrored[book_classes(actions)])


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 7]), "action 7 of step 1"),
        (np.array([[0, 0, np.nan]]), "NaN or infinity at step 0"),
        (np.zeros((3, 2)), r"shape \(3, 2\)"),
        (np.zeros(3), r"shape \(3,\), float64"),
    ],
)
def test_unknown_actions(actions: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        book_classes(actions)

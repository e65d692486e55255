"""Key maps: built in, from files, and what is held down at the moment."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces
from key_events import event, press, release

from agents.imitation.demonstrations import book_classes
from supervised.training.errors import UserError
from tools.keys import Held, KeyMap, key_map

pygame = pytest.importorskip("pygame")

CONTROLS = spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))


def test_discrete_keys_and_chords() -> None:
    keys = key_map("skidpad/CarRacing-v0", spaces.Discrete(7))
    expected = {"": 0, "left": 1, "left down": 2, "right": 3, "right down": 4, "up": 5, "down": 6, "left up": 1}
    for held, action in expected.items():
        assert keys.action(dict.fromkeys(held.split(), 1.0)) == action, held
    assert keys.labels == ["none", "left", "left+down", "right", "right+down", "up", "down"]
    assert keys.keys == ("left", "down", "right", "up")
    assert keys.bits({"down": 1.0, "up": 0.6, "right": 0.4}) == 0b1010


def test_box_keys_add_up_and_sticks_are_analog() -> None:
    table = {("left",): [-1, 0, 0], ("right",): [1, 0, 0], ("up",): [0, 1, 0], ("left", "up"): [-1, 0, 0]}
    keys = KeyMap(CONTROLS, table, [0, 0, 0])
    for held, action in [
        ({}, [0, 0, 0]),
        ({"right": 1, "up": 1}, [1, 1, 0]),
        ({"left": 1, "up": 1}, [-1, 0, 0]),
        ({"right": 0.25, "up": 0.5}, [0.25, 0.5, 0]),
        ({"left": 1, "right": 1}, [0, 0, 0]),
    ]:
        found = keys.action(held)
        assert found.tolist() == action and found.dtype == np.float32
    assert keys.labels == []


def test_without_none_the_world_waits() -> None:
    keys = key_map("CartPole-v1", spaces.Discrete(2))
    assert keys.action({}) is None and keys.action({"left": 0.3}) is None
    assert (keys.action({"left": 1}), keys.action({"right": 1})) == (0, 1)


@pytest.mark.parametrize("env", ["skidpad/Maze-v0", "GridWorld-v0", "skidpad/CliffWalking-v0"])
def test_the_arrows_point_where_the_grid_goes(env: str) -> None:
    keys = key_map(env, spaces.Discrete(4))
    assert [keys.action({key: 1.0}) for key in ("up", "right", "down", "left")] == [0, 1, 2, 3]


def test_a_map_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"none": 2, "q": 0, "Q+E": 1, "left": 2}')
    keys = key_map("any", spaces.Discrete(3), tmp_path / "keys.json")
    assert [keys.action(dict.fromkeys(held, 1.0)) for held in ("", "q", "qe")] == [2, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"left": 5}', "the action 5 of 'left' is not in Discrete"),
        ('{"left": true}', "the action True"),
        ('{"left": [0]}', "the action [0]"),
        ('{"banana": 1}', "unknown key 'banana'"),
        ('{"space": 1}', "'space' pauses"),
        ('{"none": 1}', "binds no key"),
        ("[1]", "is a list: write a JSON object"),
        ("{", "cannot read the key map"),
        (None, "cannot read the key map"),
    ],
)
def test_bad_maps(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "keys.json").write_text(text)
    with pytest.raises(UserError) as caught:
        key_map("any", spaces.Discrete(2), tmp_path / "keys.json")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_environments_without_a_map() -> None:
    with pytest.raises(UserError, match="no keys are known for Acrobot-v1.*--keys FILE"):
        key_map("Acrobot-v1", spaces.Discrete(3))
    with pytest.raises(UserError, match="Discrete and Box actions only"):
        key_map("any", spaces.MultiBinary(2))


def test_what_is_held_down() -> None:
    held = Held(("left", "up"))
    for one in (press("LEFT"), press("x"), press("w"), release("w")):
        held.see(one)
    assert held.look() == {"left": 1.0, "up": 1.0}, "a short tap counts once"
    assert held.look() == {"left": 1.0}
    held.see(event("WINDOWFOCUSLOST"))
    assert held.look() == {}
    held.see(event("JOYAXISMOTION", axis=0, value=-0.6))
    assert held.look()["left"] == 0.6 and held.look()["right"] == 0
    held.see(event("JOYAXISMOTION", axis=0, value=0.05))
    held.see(event("JOYHATMOTION", value=(0, 1)))
    assert held.look() == {"left": 0, "right": 0, "up": 1, "down": 0}


def test_the_keys_of_a_car_give_the_books_classes() -> None:
    book = key_map("skidpad/CarRacing-v0", spaces.Discrete(7))
    controls = key_map("skidpad/CarRacing-v0", CONTROLS)
    for chord in ("", "left", "left down", "right", "right down", "up", "down", "left up", "right up"):
        held = dict.fromkeys(chord.split(), 1.0)
        assert book_classes(controls.action(held)[None]) == [book.action(held)], chord
    assert controls.action({"left": 0.5})[0] == -0.5

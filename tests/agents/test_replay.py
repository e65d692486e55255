"""Replay memory: what is drawn, against episodes whose every number is known; priorities; checkpoints."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from agents.replay import Replay
from agents.rollout import Transitions
from agents.sum_tree import SumTree
from agents.transforms import FrameStack
from supervised.training import memory
from supervised.training.checkpoint import ChunkLog
from supervised.training.errors import UserError
from supervised.training.memory import available_memory

ACTIONS = gym.spaces.Discrete(3)
LANES = 3


def space(stack: int) -> gym.spaces.Box:
    return gym.spaces.Box(0, 255, (2, 2) if stack == 1 else (stack, 2, 2), np.uint8)


def make(capacity: int, log: Path | None = None, stack: int = 1, **options: object) -> Replay:
    return Replay(capacity, space(stack), ACTIONS, ChunkLog(log), lanes=LANES, stack=stack, **options)  # type: ignore[arg-type]


class Game:
    """Lanes whose frame shows lane and clock, and whose reward is the clock; some steps end an episode."""

    def __init__(self, stack: int = 1, seed: int = 0) -> None:
        self.rng, self.clock = np.random.default_rng(seed), np.zeros(LANES, np.int64)
        self.stack, self.started = FrameStack(stack), np.ones(LANES, np.bool_)
        self.observations = self.stack.start(self.frames(), self.started)

    def frames(self) -> np.ndarray:
        pixels = np.stack([np.arange(LANES), self.clock, 0 * self.clock, self.clock % 7], axis=1)
        return pixels.reshape(LANES, 2, 2).astype(np.uint8)

    def step(self) -> Transitions:
        seen, starts, rewards = self.observations.copy(), self.started, self.clock.astype(np.float64)
        self.clock += 1
        ends = self.rng.random(LANES)
        terminated, truncated = ends < 0.1, (ends > 0.85) | (ends < 0.02)  # now and then both
        lost = (ends > 0.3) & (ends < 0.36)  # a life, and the episode goes on
        following = self.stack.push(self.frames()).copy()
        self.started = terminated | truncated
        self.clock[self.started] += 10
        self.observations = self.stack.start(self.frames(), self.started)
        actions = self.rng.integers(3, size=LANES)
        flags = terminated | lost, truncated, np.ones(LANES, np.bool_), starts, self.started
        return Transitions(seen, actions, rewards, following, *flags)


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("compress", [False, True])
def test_what_is_drawn_is_what_was_played(stack: int, n_step: int, compress: bool) -> None:
    """Every transition drawn equals the one made by hand from the steps as they were played."""
    if compress:
        pytest.importorskip("lz4", reason="the codec of the atari extra")
    game, replay = Game(stack), make(60, stack=stack, n_step=n_step, discount=0.5, compress=compress)
    played = [game.step() for _ in range(40)]
    for step in played:
        replay.add(step)
    batch = replay.sample(400, np.random.default_rng(1))
    cases = {"whole": 0, "terminated": 0, "short": 0}
    for k in range(400):
        frame = batch.observations[k] if stack == 1 else batch.observations[k, -1]
        lane, clock = int(frame[0, 0]), int(frame[0, 1])
        t = next(t for t, step in enumerate(played) if step.rewards[lane] == clock)
        assert t >= 40 - 60 // LANES - 1, "the latest only"
        np.testing.assert_array_equal(batch.observations[k], played[t].observations[lane])
        assert batch.actions[k] == played[t].actions[lane]
        total, discount, step, m = followed(played, t, lane, n_step)
        assert batch.rewards[k] == pytest.approx(total)
        if step.terminated[lane]:
            assert batch.discounts[k] == 0
            cases["terminated"] += 1
        else:
            assert batch.discounts[k] == pytest.approx(discount)
            np.testing.assert_array_equal(batch.next_observations[k], step.next_observations[lane])
            cases["whole" if m == n_step else "short"] += 1
    assert cases["whole"] and cases["terminated"] and (n_step == 1 or cases["short"])


def followed(played: list[Transitions], t: int, lane: int, n_step: int) -> tuple[float, float, Transitions, int]:
    """R for gamma = 0.5, gamma^m, the last of the m steps, and m."""
    total, discount, m, last = 0.0, 1.0, 0, played[-1]
    while True:
        step = played[t + m]
        total, discount, m = total + discount * step.rewards[lane], discount * 0.5, m + 1
        ended = step.terminated[lane] or step.truncated[lane]
        known = t + m < 39 or (t + m == 39 and (last.terminated | last.truncated)[lane])  # what follows
        if ended or m == n_step or not known:
            return total, discount, step, m


@pytest.mark.parametrize("capacity", [60, 300])
@pytest.mark.parametrize(("stack", "n_step", "burn_in"), [(1, 1, 0), (1, 3, 4), (4, 2, 3)])
def test_sequences_are_what_was_played_in_order(stack: int, n_step: int, burn_in: int, capacity: int) -> None:
    """What is learnt from has its past before it, as far as it is asked for or there, and what followed after it."""
    game, replay = Game(stack), make(capacity, stack=stack, n_step=n_step, discount=0.5)
    played = [game.step() for _ in range(40)]
    for step in played:
        replay.add(step)
    batch = replay.sample_sequences(100, 5, burn_in, np.random.default_rng(1))
    assert batch.observations.shape == (len(batch.observations), 100, *space(stack).shape)
    flat = batch.observations.reshape(-1, *space(stack).shape)
    lengths = []
    for k, here in enumerate(batch.here):
        newest = flat[here] if stack == 1 else flat[here, -1]
        lane, clock = int(newest[0, 0]), int(newest[0, 1])
        t = next(t for t, step in enumerate(played) if step.rewards[lane] == clock)
        assert batch.actions[k] == played[t].actions[lane]
        total, discount, step, _ = followed(played, t, lane, n_step)
        assert batch.rewards[k] == pytest.approx(total)
        assert batch.discounts[k] == (0 if step.terminated[lane] else pytest.approx(discount))
        if not step.terminated[lane]:
            np.testing.assert_array_equal(flat[batch.there[k]], step.next_observations[lane])
        time, column = divmod(int(here), 100)
        for back in range(time + 1):
            np.testing.assert_array_equal(batch.observations[time - back, column], played[t - back].observations[lane])
        forgets = capacity < 40 * LANES  # what was before may have been written over
        assert time >= burn_in or played[t - time].starts[lane] or forgets
        lengths.append(time)
    assert max(lengths) == 4 + burn_in or (forgets and max(lengths) < 4 + burn_in)


def test_sequences_learn_from_all_steps_nearly_alike() -> None:
    """Most seldom are episodes of a single step, of which a sequence of four has a quarter."""
    game, replay = Game(seed=1), make(120)
    for _ in range(60):
        replay.add(game.step())
    batches = [replay.sample_sequences(500, 4, 0, np.random.default_rng(seed)) for seed in range(10)]
    _, counts = np.unique(np.concatenate([batch.rows for batch in batches]), return_counts=True)
    assert len(counts) == len(np.unique(replay.sample(20_000, np.random.default_rng(0)).rows))
    assert counts.min() > 0.2 * np.median(counts)


def test_draws_are_even_over_all_complete_steps() -> None:
    game, replay = Game(), make(90)
    for _ in range(50):
        replay.add(game.step())
    rows, counts = np.unique(replay.sample(40_000, np.random.default_rng(2)).rows, return_counts=True)
    assert rows.min() >= replay.added - 90
    assert chisquare(counts).pvalue > 1e-3
    assert (replay.sample(8, np.random.default_rng(3)).weights == 1).all()


def test_priorities_set_the_frequencies_and_the_weights() -> None:
    """P(i) = p_i^alpha / sum_k p_k^alpha, and weights (N P(i))^-beta / max."""
    game, replay = Game(seed=5), make(90, priority_exponent=0.6)
    for _ in range(25):
        replay.add(game.step())
    rows = np.unique(replay.sample(5_000, np.random.default_rng(0)).rows)
    errors = np.linspace(-3, 2, len(rows))
    replay.set_priorities(rows, errors)
    expected = (np.abs(errors) + 1e-6) ** 0.6
    expected /= expected.sum()
    drawn = np.concatenate([replay.sample(1, rng).rows for rng in map(np.random.default_rng, range(20_000))])
    counts = np.array([(drawn == row).sum() for row in rows])
    assert counts.sum() == 20_000
    often = expected * 20_000 > 5
    assert chisquare(counts[often], expected[often] * counts[often].sum() / expected[often].sum()).pvalue > 1e-3
    batch = replay.sample(64, np.random.default_rng(1), weight_exponent=0.4)
    weights = expected[np.searchsorted(rows, batch.rows)] ** -0.4
    np.testing.assert_allclose(batch.weights, weights / weights.max(), rtol=1e-5)


def test_new_steps_come_with_the_highest_priority() -> None:
    game, replay = Game(), make(60, priority_exponent=1.0)
    for _ in range(4):
        replay.add(game.step())
    first = np.unique(replay.sample(500, np.random.default_rng(0)).rows)
    replay.set_priorities(first, np.full(len(first), 9.0))
    replay.set_priorities(first, np.full(len(first), 1e-9))
    replay.add(game.step())
    assert not np.isin(replay.sample(200, np.random.default_rng(1)).rows, first).any()


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=70), st.data())
@settings(max_examples=60, deadline=None)
def test_a_sum_tree_finds_what_a_running_sum_finds(values: list[float], data: st.DataObject) -> None:
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), np.array(values))
    assert tree.total == pytest.approx(sum(values))
    place = data.draw(st.integers(0, len(values) - 1))
    if values[place] > 1e-3:  # in the middle of its share
        middle = np.array([sum(values[:place]) + values[place] / 2])
        assert tree.find(middle * (1 - 1e-12)).tolist() == [place]


@pytest.mark.parametrize("priority_exponent", [0.0, 0.5])
def test_a_memory_survives_its_checkpoints(tmp_path: Path, priority_exponent: float) -> None:
    options = {"stack": 4, "n_step": 2, "priority_exponent": priority_exponent}
    game, replay = Game(4), make(60, tmp_path, **options)  # type: ignore[arg-type]
    states = []
    for step in range(90):
        replay.add(game.step())
        if step > 3:
            rows = replay.sample(4, np.random.default_rng(step)).rows
            replay.set_priorities(rows, np.arange(1.0, 5.0))
        if step in (4, 17, 30, 60):  # between the last two, more than the memory holds
            states.append(replay.state_dict())
            kept = replay.sample(50, np.random.default_rng(9))
    copy = make(60, tmp_path, **options)  # type: ignore[arg-type]
    copy.load_state_dict(states[-1])
    for one, other in zip(kept, copy.sample(50, np.random.default_rng(9)), strict=True):
        np.testing.assert_array_equal(one, other)
    for restored in (replay, copy):
        played = Game(4)
        for _ in range(61):
            played.step()
        restored.load_state_dict(states[-1])
        for _ in range(10):
            restored.add(played.step())
    for one, other in zip(*(one.sample(50, np.random.default_rng(9)) for one in (replay, copy)), strict=True):
        np.testing.assert_array_equal(one, other)
    make(60, tmp_path, **options).load_state_dict(states[-2])  # type: ignore[arg-type]  # the one before is there, too


def test_a_checkpoint_is_written_in_files_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.replay.CHUNK", 200)
    game, replay = Game(), make(60, tmp_path)
    for _ in range(10):
        replay.add(game.step())
    assert len(replay.state_dict()["chunks"]) > 5


def test_bad_sizes_are_refused_before_anything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="replay_size=8: use at least 9"):
        make(8)
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    with pytest.raises(
        UserError, match=r"replay_size=1000000000: its transitions take 31\.7 GiB, and 1\.0 GiB .* compress"
    ):
        make(10**9)
    with pytest.raises(UserError, match=r"replay_size=1000000000: its transitions take 67\.1 GiB"):
        make(10**9, compress=True)
    assert make(10**9, total_steps=1_000).capacity == 1_000
    with pytest.raises(ValueError, match="none of them complete"):
        replay = make(60)
        replay.add(Game().step()._replace(terminated=np.zeros(3, np.bool_), truncated=np.zeros(3, np.bool_)))
        replay.sample(1, np.random.default_rng(0))


def test_memory_is_that_of_the_container(tmp_path: Path) -> None:
    info, missing = tmp_path / "meminfo", tmp_path / "none"
    info.write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    assert available_memory(info, missing) == 5000 * 1024
    for name, text in (("memory.max", "3000000\n"), ("memory.current", "1000000\n")):
        (tmp_path / name).write_text(text)
    assert available_memory(info, tmp_path) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(info, tmp_path) == 5000 * 1024
    assert available_memory() > 2**20

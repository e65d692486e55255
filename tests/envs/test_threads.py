"""Kernels that share their lanes among threads: the same bits, from any thread, and after a fork."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from envs import threads
from envs.car_racing.env import CarRacing

LANES = 24
ACTIONS = np.tile(np.array([0.1, 0.6, 0.0], np.float32), (LANES, 1))


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


def drive(observation: str = "rgb") -> NDArray[Any]:
    env = CarRacing(LANES, observation=observation, renderer="fast", max_episode_steps=6)
    frames = [env.reset(seed=3)[0]]
    frames += [env.step(ACTIONS)[0] for _ in range(10)]
    return np.array(frames)


def test_every_thread_gets_the_least_number_of_lanes() -> None:
    most = numba.get_num_threads()
    assert [threads.shares(lanes) for lanes in (1, 2, 1000)] == [1, min(2, most), most]
    assert [threads.shares(lanes, 8) for lanes in (8, 15, 16)] == [1, 1, min(2, most)]
    numba.set_num_threads(1)
    assert threads.shares(1000) == 1


@pytest.mark.parametrize("observation", ["rgb", "state"])
def test_one_thread_and_two_give_the_same_bits(observation: str) -> None:
    both = drive(observation)
    numba.set_num_threads(1)
    np.testing.assert_array_equal(drive(observation), both)


def test_two_python_threads_may_step_at_once() -> None:
    alone, results = drive(), [np.zeros(0)] * 2

    def work(k: int) -> None:
        results[k] = drive()

    workers = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        np.testing.assert_array_equal(result, alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_works_with_one_thread() -> None:
    alone = drive()  # starts the threads, which a child does not have
    child = os.fork()
    if child == 0:
        os._exit(0 if threads.shares(1000) == 1 and np.array_equal(drive(), alone) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_a_library_for_parallel_kernels_there_is_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    threads._available.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(threads.importlib, "import_module", missing)
        assert threads.shares(1000) == 1
    threads._available.cache_clear()

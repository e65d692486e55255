"""Whole episodes against traces of Gymnasium's CarRacing: bit for bit where its C library's sine is ours."""

import platform
import sys

import numpy as np
import pytest
from golden import FOLDER, TRACES, digest

from envs.car_racing.env import CarRacing

# float32 sine and cosine of glibc on x86-64; elsewhere last bits differ, and with them poses a little
EXACT = sys.platform == "linux" and platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


@pytest.mark.parametrize("name", TRACES)
def test_trace(name: str) -> None:
    _, keywords, seed = TRACES[name]
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        trace = dict(file)
    env = CarRacing(**keywords, autoreset_mode="Disabled")
    observations, _ = env.reset(seed=[seed])
    digests, poses, rewards, terminated = [digest(observations[0])], [], [], []
    for action in trace["actions"] if EXACT else trace["actions"][:300]:
        observations, reward, ended, _, _ = env.step(action[None])
        digests.append(digest(observations[0]))
        poses.append((*env.fields["position"][0, 0], env.fields["angle"][0, 0]))
        rewards.append(reward[0])
        terminated.append(ended[0])
    count = len(rewards)
    np.testing.assert_array_equal(rewards, trace["rewards"][:count])
    np.testing.assert_array_equal(terminated, trace["terminated"][:count])
    if EXACT:
        np.testing.assert_array_equal(np.array(poses, np.float32), trace["poses"])
        np.testing.assert_array_equal(digests, trace["digests"])
    else:
        np.testing.assert_allclose(poses, trace["poses"][:count], atol=0.05)

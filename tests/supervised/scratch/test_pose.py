"""Parts of faces are found in their poses, and vote for the face's own."""

import numpy as np
import pytest

from supervised.scratch import pose
from supervised.scratch.pose import Pose

NAMES = tuple(pose.PLACES)


def test_turning_by_hand() -> None:
    np.testing.assert_allclose(pose.turned(np.array([2.0, 1.0]), 90), [-1, 2], atol=1e-12)  # x becomes y, y becomes -x
    np.testing.assert_allclose(pose.turned(np.array([1.0, 0.0]), 30), [np.sqrt(3) / 2, 0.5])


def test_a_stroke_is_dark_on_its_line_and_fades() -> None:
    image = pose.strokes(np.array([[-2.0, 0, 2, 0]]), (4.0, 4.0), 9)
    np.testing.assert_allclose(image[4, 2:7], 1)
    np.testing.assert_allclose([image[5, 4], image[4, 8]], [np.exp(-1), np.exp(-4)])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wanted", [Pose(20, 30, 0), Pose(25, 17, 105)])
def test_parts_are_found_where_they_are(name: str, wanted: Pose) -> None:
    fit, found = pose.look_for(name, pose.part(name, wanted))
    assert found == wanted and fit == pytest.approx(1, abs=1e-6)


def test_votes_of_parts_in_their_places_are_the_faces_pose() -> None:
    whole = Pose(22.0, 25.0, 40.0)
    for name, place in pose.PLACES.items():
        x, y = pose.turned(np.array(place), whole.angle) + (whole.x, whole.y)
        np.testing.assert_allclose(pose.vote(name, Pose(x, y, whole.angle)), whole)


def test_pooling_cannot_tell_what_votes_can() -> None:
    middle = Pose(23.5, 23.5, 0)
    images = {
        "face": pose.face(middle),
        "turned": pose.face(Pose(23.5, 23.5, 60)),
        "exchanged": pose.face(middle, NAMES[::-1]),
    }
    found = {kind: {name: pose.look_for(name, image) for name in NAMES} for kind, image in images.items()}
    agreement = {
        kind: pose.agreement([pose.vote(name, one) for name, (_, one) in parts.items()])
        for kind, parts in found.items()
    }
    assert agreement["face"] > 0.9 and agreement["turned"] > 0.9 and agreement["exchanged"] < 0.1
    pooled = {kind: np.array([fit for fit, _ in parts.values()]) for kind, parts in found.items()}
    assert np.abs(pooled["exchanged"] - pooled["face"]).max() < 0.2, "pooling sees all parts in both"


def test_agreement_by_hand() -> None:
    assert pose.agreement([Pose(3, 4, 0)] * 3) == 1
    # standard deviations 4.8 and 0: a tenth of the image
    assert pose.agreement([Pose(0, 4, 0), Pose(9.6, 4, 90)]) == pytest.approx(np.exp(-1))

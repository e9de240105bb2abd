"""Between two looks of the network a calm target is carried; whatever else happens, the network looks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.carrying import Carrier
from models.frames import Picture
from models.geometry import Box
from models.package import load_tracker
from models.presence import State
from models.runtimes.base import ByteArray
from models.searching import Search
from models.target import Estimate, Target
from tests.drawing import Drawing

TRACKER = load_tracker("dummy")
CARRIER = Carrier(TRACKER)
DRAWING = Drawing(speed_x=2.0, speed_y=1.0)


class Follower:
    """Follows a target with a cadence and notes where the network looked."""

    def __init__(self, cadence: int, drawing: Drawing = DRAWING) -> None:
        self.cadence, self.drawing = cadence, drawing
        self.target: Target = TRACKER.start(drawing.frame(0), drawing.box(0))
        self.looks: list[int] = []

    def see(self, index: int, frame: np.ndarray | Picture | None = None) -> Estimate:
        """The estimate in a frame."""
        shown = self.drawing.frame(index) if frame is None else frame
        before = self.target.box
        if (estimate := CARRIER.carried(self.target, shown, self.cadence)) is None:
            estimate = TRACKER.follow(self.target, shown)
            self.looks.append(index)
            CARRIER.looked(self.target, shown, before, estimate)
        return estimate


def _off(box: Box, truth: Box) -> float:
    return max(abs(box.cx - truth.cx), abs(box.cy - truth.cy))


def test_a_calm_target_is_looked_at_once_in_so_many_frames_and_carried_with_the_picture() -> None:
    follower = Follower(4)
    for index in range(1, 14):
        estimate = follower.see(index)
        assert _off(estimate.box, DRAWING.box(index)) < 1.0
        assert estimate.state is State.TRACKING or index == 1
        assert (estimate.search is Search.CARRIED) == (index not in follower.looks)
    assert follower.looks == [1, 5, 9, 13]
    assert follower.target.frames == 13


def test_without_a_cadence_the_network_looks_at_every_frame() -> None:
    follower = Follower(1)
    for index in range(1, 6):
        follower.see(index)
    assert follower.looks == [1, 2, 3, 4, 5]


def test_the_network_looks_at_once_when_the_target_jumps() -> None:
    follower = Follower(8, Drawing(speed_x=2.0, speed_y=0.0))
    follower.see(1)
    follower.see(2)
    assert follower.looks == [1]
    follower.see(3, follower.drawing.frame(8))  # 12 px of 40: more than a calm target moves
    assert follower.looks == [1, 3]


def test_the_network_looks_at_once_when_the_target_is_gone() -> None:
    follower = Follower(8)
    follower.see(1)
    follower.see(2, np.random.default_rng(1).integers(0, 80, (240, 320, 3), np.uint8))
    assert follower.looks == [1, 2]
    assert follower.target.carry is None


def test_the_network_looks_at_once_where_the_target_is_said_to_be() -> None:
    follower = Follower(8)
    follower.see(1)
    follower.see(2)
    box = follower.target.box
    follower.target = TRACKER.placed(follower.target, Box(box.x + 5, box.y - 4, box.w, box.h))
    follower.see(3)
    assert follower.looks == [1, 3]


def test_a_part_of_a_frame_that_lacks_the_surroundings_is_looked_at() -> None:
    follower = Follower(8)
    follower.see(1)
    box = follower.target.box
    x, y = int(box.x), int(box.y)
    part = Picture(DRAWING.frame(2)[y : y + 20, x : x + 20], x, y, 320, 240)
    assert CARRIER.carried(follower.target, part, 8) is None


def test_in_windows_that_were_scaled_down_targets_are_carried_to_the_same_place() -> None:
    follower = Follower(8, Drawing(width=640, height=480, side=120, speed_x=4.0, speed_y=2.0))
    estimate = follower.see(1)
    for index in range(2, 7):
        window = follower.drawing.frame(index)[:, :512]
        small = np.asarray(cv2.resize(window, (205, 192), interpolation=cv2.INTER_AREA), np.uint8)
        estimate = follower.see(index, Picture(small, 0, 0, 640, 480, scaled_from=(512, 480)))
        assert _off(estimate.box, follower.drawing.box(index)) < 5.0
    assert estimate.search is Search.CARRIED
    assert len(follower.looks) < 4


@pytest.mark.parametrize("cadence", [1, 4])
def test_following_with_a_cadence_is_looking_and_carrying_in_turns(cadence: int) -> None:
    follower, target = Follower(cadence), TRACKER.start(DRAWING.frame(0), DRAWING.box(0))
    for index in range(1, 8):
        assert CARRIER.follow(target, DRAWING.frame(index), cadence) == follower.see(index)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 2)])
def test_at_the_frames_border_a_target_is_carried_too(dx: int, dy: int) -> None:
    rng = np.random.default_rng(2)
    background, texture = rng.integers(0, 80, (240, 320, 3), np.uint8), rng.integers(0, 255, (10, 10, 3), np.uint8)
    texture = cv2.resize(texture, (40, 40), interpolation=cv2.INTER_NEAREST)

    def frame(x: int, y: int) -> ByteArray:
        shown = background.copy()
        shown[y : y + 40, x : x + 40] = texture
        return shown

    target = TRACKER.start(frame(270, 0), Box(270.0, 0.0, 40.0, 40.0))
    before = target.box
    for _ in range(2):
        estimate = TRACKER.follow(target, frame(270, 0))
        CARRIER.looked(target, frame(270, 0), before, estimate)
    carried = CARRIER.carried(target, frame(270 + dx, dy), 4)
    assert carried is not None
    assert _off(carried.box, Box(270.0 + dx, float(dy), 40.0, 40.0)) < 1.0

"""Numbers, boxes and frames at the limits of the tracking loop, and beyond."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from models.geometry import Box
from models.package import load_tracker
from models.presence import State
from models.runtimes.base import ByteArray
from models.target import TargetInvalid
from models.tracker import Tracker
from tests.unit.models.scripted import BOX, FRAME, MIDDLE, SPEC, ScriptedRuntime, drawn_box, drawn_frame


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_numbers_that_are_not_finite_keep_the_box_and_count_as_unseen(place: int, wrong: float) -> None:
    best = [*MIDDLE, 60.0, 60.0, 0.9, 1.0]
    best[place] = wrong
    tracker = Tracker(SPEC, ScriptedRuntime(best, peak2=(math.nan, 0.0)))
    target = tracker.start(FRAME, BOX)
    first, second = tracker.follow(target, FRAME), tracker.follow(target, FRAME)
    assert first.box == second.box == BOX
    assert (first.score, first.peak2) == (0.0, 0.0)
    assert (first.state, second.state) == (State.UNCERTAIN, State.LOST)


@pytest.mark.parametrize("best", [[-5e3, 9e3, 1e6, 1e6], [9e3, -5e3, 0.0, 0.0], [112, 112, -50, 3]])
def test_wild_boxes_stay_within_the_frame_and_above_the_smallest_size(best: list[float]) -> None:
    tracker = Tracker(SPEC, ScriptedRuntime([*best, 0.9, 1.0]))
    target = tracker.start(FRAME, BOX)
    for _ in range(40):
        box = tracker.follow(target, FRAME).box
        assert 0 <= box.cx <= 320
        assert 0 <= box.cy <= 240
        assert 4 <= box.w <= 320
        assert 4 <= box.h <= 240


@pytest.mark.parametrize(
    ("box", "field", "code", "words"),
    [
        (Box(math.nan, 10, 20, 20), "x", "not_finite", "nan"),
        (Box(10, 10, 20, math.inf), "h", "not_finite", "inf"),
        (Box(10, 10, 0, 20), "w", "too_small", "at least 4 px"),
        (Box(10, 10, 20, 3.9), "h", "too_small", "3.9 px"),
        (Box(10, 10, -20, 20), "w", "too_small", "-20 px"),
        (Box(-300, 0, 641, 20), "w", "too_large", "640 px"),
        (Box(0, -200, 20, 481), "h", "too_large", "480 px"),
        (Box(311, 10, 20, 20), "x", "outside", "321 px"),
        (Box(10, -11, 20, 20), "y", "outside", "-1 px"),
    ],
)
def test_a_box_that_breaks_a_rule_is_refused_with_field_value_and_limit(
    box: Box, field: str, code: str, words: str
) -> None:
    with pytest.raises(TargetInvalid) as refused:
        load_tracker("dummy").start(FRAME, box)
    assert (refused.value.field, refused.value.code) == (field, code)
    assert words in str(refused.value)


@pytest.mark.parametrize("box", [Box(0, 0, 640, 480), Box(-10, -10, 20, 20), Box(310, 230, 20, 20), Box(5, 5, 4, 4)])
def test_a_box_at_the_limits_is_followed(box: Box) -> None:
    tracker = load_tracker("dummy")
    estimate = tracker.follow(tracker.start(FRAME, box), FRAME)
    assert estimate.box.is_finite()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((240, 320), np.uint8),
        np.zeros((240, 320, 4), np.uint8),
        np.zeros((240, 320, 3), np.float32),
        np.zeros((0, 320, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused_and_changes_no_target(frame: ByteArray) -> None:
    tracker = load_tracker("dummy")
    targets = [tracker.start(drawn_frame(0), drawn_box(which, 0)) for which in range(2)]
    before = copy.deepcopy(targets)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        tracker.start(frame, BOX)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        tracker.step([(targets[0], drawn_frame(1)), (targets[1], frame)])
    assert [target.box for target in targets] == [target.box for target in before]
    assert [target.frames for target in targets] == [0, 0]


def test_the_same_target_twice_in_a_step_is_refused() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(FRAME, BOX)
    with pytest.raises(ValueError, match="twice"):
        tracker.step([(target, FRAME), (target, FRAME)])
    assert target.frames == 0

"""Boxes as tight or as wide as the first one was marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import Box, Size
from models.marking import AS_DRAWN, MOST, Marking
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.dummy import DUMMY_SPEC, DummyRuntime
from models.tracker import Tracker

SPEC = replace(DUMMY_SPEC, as_marked=1.0)
SIDE = 48
DRAWN = Size(60.0, 30.0)
"""What the network of these tests draws around a square of SIDE pixels, whatever was marked."""
factors = st.floats(1 / MOST, MOST)
shares = st.floats(0, 1)


class Drawing(DummyRuntime):
    """Finds the square as the dummy does, and draws its box as this network likes it."""

    def __init__(self, score: float = 1.0) -> None:
        self.score = score
        self.searches = 0
        self.expected: list[tuple[float, float]] = []

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.searches += 1
        found = super().search(features, crops, size, loop)
        for row, crop in zip(found.best, crops, strict=True):
            # The square is the only thing that is bright: its rows tell how much the crop enlarges.
            enlarged = math.sqrt((crop.max(axis=2) > 150).sum()) / SIDE
            self.expected.append((float(size[0, 0]) / enlarged, float(size[0, 1]) / enlarged))
            row[2:4] = DRAWN.w * enlarged, DRAWN.h * enlarged
            row[4] = min(row[4], self.score)
        return found


def frame(x: int, y: int) -> ByteArray:
    """A bright square with its corner at (x, y) on quiet noise, 640 x 360."""
    picture = np.random.default_rng(5).integers(0, 50, (360, 640, 3), dtype=np.uint8)
    cv2.rectangle(picture, (x, y), (x + SIDE - 1, y + SIDE - 1), (40, 200, 250), -1)
    return picture


def around_square(x: int, y: int, size: Size) -> Box:
    return Box.from_centre(x + SIDE / 2, y + SIDE / 2, *size)


@pytest.mark.parametrize("share", [0.6, 1.0])
@pytest.mark.parametrize("marked", [Size(48.0, 48.0), Size(40.0, 36.0), Size(70.0, 56.0)])
def test_boxes_become_what_was_marked_or_a_share_of_it(marked: Size, share: float) -> None:
    expected = Size(*(drawn ** (1 - share) * side**share for drawn, side in zip(DRAWN, marked, strict=True)))
    runtime = Drawing()
    tracker = Tracker(replace(SPEC, as_marked=share), runtime)
    target = tracker.start(frame(300, 150), around_square(300, 150, marked))
    for step in range(1, 30):
        box = tracker.follow(target, frame(300 + 3 * step, 150 + step)).box
        assert (box.cx, box.cy) == pytest.approx((300 + 3 * step + SIDE / 2, 150 + step + SIDE / 2), abs=3)
    assert box.size == pytest.approx(expected, rel=0.03)
    assert runtime.expected[-1] == pytest.approx(DRAWN, rel=0.05), "the network is told the size that it would draw"


def test_without_it_boxes_become_the_networks_own() -> None:
    runtime = Drawing()
    tracker = Tracker(DUMMY_SPEC, runtime)
    target = tracker.start(frame(300, 150), around_square(300, 150, Size(48.0, 48.0)))
    assert (runtime.searches, target.marking) == (0, AS_DRAWN), "and starting costs no search"
    for step in range(1, 20):
        box = tracker.follow(target, frame(300 + 3 * step, 150 + step)).box
    assert box.size == pytest.approx(DRAWN, rel=0.03)


def test_a_target_that_the_network_does_not_see_where_it_was_marked_says_nothing() -> None:
    tracker = Tracker(SPEC, Drawing(score=0.4))
    assert tracker.start(frame(300, 150), around_square(300, 150, Size(48.0, 48.0))).marking == AS_DRAWN


def test_a_target_goes_on_as_marked_from_another_place() -> None:
    tracker = Tracker(SPEC, Drawing())
    target = tracker.start(frame(300, 150), around_square(300, 150, Size(48.0, 48.0)))
    assert tracker.placed(target, Box(20, 20, 48, 48)).marking == target.marking != AS_DRAWN


@given(factors, factors, st.floats(1, 500), st.floats(1, 500), shares)
def test_the_ratio_is_done_and_undone(width: float, height: float, w: float, h: float, share: float) -> None:
    marked = Box(10, 20, w, h)
    marking = Marking.of(marked, Box.from_centre(marked.cx, marked.cy, w / width, h / height), share)
    assert marking == pytest.approx((width**share, height**share))
    drawn = marking.as_drawn(marked.size)
    row = marking.as_marked([marked.cx, marked.cy, *drawn, 0.9, 1.0])
    assert row == pytest.approx([marked.cx, marked.cy, w, h, 0.9, 1.0])


@given(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0, 1e4), st.floats(0, 1e4)))
def test_no_side_is_changed_by_more_than_the_limit(drawn: tuple[float, float, float, float]) -> None:
    assert all(1 / MOST <= factor <= MOST for factor in Marking.of(Box(0, 0, 40, 20), Box(*drawn), 1.0))


def test_a_box_of_something_else_does_not_count() -> None:
    marked = Box(100, 100, 40, 40)
    assert Marking.of(marked, Box.from_centre(139, 120, 20, 20), 1.0) == pytest.approx((MOST, MOST))
    assert Marking.of(marked, Box.from_centre(141, 120, 20, 20), 1.0) == AS_DRAWN


@pytest.mark.parametrize("field", range(4))
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_are_none_do_not_count(field: int, number: float) -> None:
    drawn = [100.0, 100.0, 30.0, 30.0]
    drawn[field] = number
    assert Marking.of(Box(100, 100, 40, 40), Box(*drawn), 1.0) == AS_DRAWN
